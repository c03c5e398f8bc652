//! What Python sees of a journal's entries in memory, by member.

use std::sync::{Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};

use crate::grouped::Grouped;
use crate::stored::Row;

pub type Rows<'py> = Vec<(i64, PyBackedStr, i64, Bound<'py, PyAny>)>;

/// Entries of many members, taken as they lie in a journal; `grouped.rs` says how.
#[pyclass(name = "Grouped", frozen)]
#[derive(Default)]
pub struct PyGrouped(Mutex<Grouped>);

impl PyGrouped {
    pub fn entries(&self) -> MutexGuard<'_, Grouped> {
        self.0.lock().expect("no call panics")
    }
}

#[pymethods]
impl PyGrouped {
    #[new]
    fn new() -> PyGrouped {
        PyGrouped::default()
    }

    /// Take rows (sequence, member, number, state) in any order; return how many bytes of entries are held.
    fn take(&self, rows: Rows<'_>) -> usize {
        let rows = held(rows);
        let rows: Vec<Row> = plain_rows(&rows).collect();
        let mut entries = self.entries();
        entries.take(&rows);
        entries.size()
    }

    /// Return the next members in their order, at most so many. All rows are taken by then.
    fn next_members(&self, most: usize) -> Vec<String> {
        self.entries().next(most).into_iter().map(String::from).collect()
    }
}

/// Rows while the lock of the interpreter is released.
pub type Held = Vec<(i64, PyBackedStr, i64, Option<PyBackedBytes>)>;

pub fn held(rows: Rows) -> Held {
    rows.into_iter().map(|(at, member, number, state)| (at, member, number, state.extract().ok())).collect()
}

pub fn plain_rows(rows: &Held) -> impl Iterator<Item = Row<'_>> {
    rows.iter().map(|(sequence, member, number, state)| Row {
        sequence: *sequence,
        member,
        number: *number,
        state: state.as_deref(),
    })
}
