//! What Python sees of a replay.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;
use rustc_hash::FxHashMap;

use crate::chain::{self, Journal};
use crate::handed_back::HandedBack;
use crate::programme::Programme;
use crate::python_book::versions_of;
use crate::python_grouped::{PyGrouped, Rows, held, plain_rows};
use crate::replay::{Backtest, Compared, Derived, Deriving, Found, Replay, Stored};

/// Of each row that differs: sequence, member, number, state, whether it is the account, and what is derived.
type Differences<'py> = Vec<(i64, String, i64, Bound<'py, PyBytes>, bool, Bound<'py, PyBytes>)>;
type Snapshots = Vec<(String, i64, Vec<u8>)>;
type Ended = Vec<(String, i64, Option<&'static str>)>;

/// One partition's entries decided again and compared; `replay.rs` says how.
#[pyclass(name = "Replay", frozen)]
pub struct PyReplay(Mutex<Replay>);

impl PyReplay {
    fn replay(&self) -> MutexGuard<'_, Replay> {
        self.0.lock().expect("no call panics")
    }
}

#[pymethods]
impl PyReplay {
    /// `versions` are as `plain.plain_version` gives them, `books` those of each by place, from behind a sequence on.
    #[new]
    fn new(
        partition: i64,
        max_age: i64,
        upto: i64,
        versions: Vec<PyBackedBytes>,
        books: Vec<(i64, Vec<usize>)>,
    ) -> PyResult<PyReplay> {
        let versions = versions_of(&versions)?;
        let book_of = |places: Vec<usize>| -> Option<Programme> {
            let versions: Option<Vec<_>> = places.into_iter().map(|place| versions.get(place).cloned()).collect();
            versions.filter(|versions| !versions.is_empty()).map(|versions| Programme { versions })
        };
        let books: Option<Vec<_>> =
            books.into_iter().map(|(from, places)| book_of(places).map(|book| (from, book))).collect();
        let books = books.filter(|books| !books.is_empty());
        let books = books.ok_or_else(|| PyValueError::new_err("a book without a version that is there"))?;
        Ok(PyReplay(Mutex::new(Replay::new(partition, max_age, upto, books))))
    }

    /// Compare rows (sequence, member, number, state), by member and number, with snapshots (member, number, state) of the members that begin.
    ///
    /// Return what differs, and who ended (member, entries, why it is handed back).
    fn feed<'py>(&self, py: Python<'py>, rows: Rows<'py>, snapshots: Snapshots) -> (Differences<'py>, Ended) {
        let rows = held(rows);
        let found = py.detach(|| self.replay().feed(plain_rows(&rows), &mut by_member(snapshots)));
        plain(py, found)
    }

    /// Compare the entries of the next members that are grouped, at most so many; return as `feed` does.
    fn compare_grouped<'py>(
        &self,
        py: Python<'py>,
        grouped: &PyGrouped,
        most: usize,
        snapshots: Snapshots,
    ) -> (Differences<'py>, Ended) {
        let found =
            py.detach(|| self.replay().compare_grouped(&mut grouped.entries(), most, &mut by_member(snapshots)));
        plain(py, found)
    }

    /// End the last member; return as `feed` does.
    fn finish<'py>(&self, py: Python<'py>) -> (Differences<'py>, Ended) {
        let mut found = Found::default();
        self.replay().finish(&mut found);
        plain(py, found)
    }

    /// Count a receipt that Python derived.
    fn add_receipt(&self, source: &str, id: &str, member: &str, sequence: i64) {
        self.replay().receipts.add(source, id, member, sequence);
    }

    /// Count receipts (number of the source, id, member, sequence) that are stored; return the furthest sequence.
    fn add_stored_receipts(
        &self,
        py: Python<'_>,
        names: HashMap<i64, String>,
        receipts: Vec<(i64, PyBackedStr, PyBackedStr, i64)>,
    ) -> i64 {
        py.detach(|| {
            let mut replay = self.replay();
            for (source, id, member, sequence) in &receipts {
                let source = names.get(source).map_or("", String::as_str);
                replay.receipts.add_stored(source, id, member, *sequence);
            }
            receipts.iter().map(|receipt| receipt.3).max().unwrap_or(0)
        })
    }

    /// Return whether the receipts that are stored are those that are derived.
    fn receipts_agree(&self) -> bool {
        self.replay().receipts.agree()
    }

    /// Count pages (key, bytes) of a member that Python derived.
    fn add_pages(&self, member: &str, pages: Vec<(PyBackedStr, PyBackedBytes)>) {
        let mut replay = self.replay();
        for (key, page) in &pages {
            replay.pages.add(member, key, page);
        }
    }

    /// Count pages (key, member, bytes) that are stored.
    fn add_stored_pages(&self, py: Python<'_>, pages: Vec<(PyBackedStr, PyBackedStr, PyBackedBytes)>) {
        py.detach(|| {
            let mut replay = self.replay();
            for (key, member, page) in &pages {
                replay.pages.add_stored(member, key, page);
            }
        });
    }

    /// Leave out the pages of a member, which nobody can derive.
    fn leave_out_pages(&self, member: &str) {
        self.replay().pages.leave_out(member);
    }

    /// Return the group of a member's pages.
    fn page_group_of(&self, member: &str) -> u64 {
        self.replay().pages.group_of(member)
    }

    /// Return the groups whose stored pages are not those that are derived.
    fn page_groups_that_differ(&self) -> Vec<u64> {
        self.replay().pages.groups_that_differ()
    }
}

fn by_member(snapshots: Snapshots) -> FxHashMap<String, Stored> {
    snapshots.into_iter().map(|(member, number, state)| (member, (number, state))).collect()
}

type Tried<'py> = (String, Bound<'py, PyBytes>, Bound<'py, PyBytes>, Option<&'static str>);

/// A partition's history decided again under a draft; `replay.rs` says how.
#[pyclass(name = "Backtest", frozen)]
pub struct PyBacktest(Mutex<Backtest>);

#[pymethods]
impl PyBacktest {
    /// `versions` are those of the draft, as `plain.plain_version` gives them.
    #[new]
    fn new(partition: i64, max_age: i64, as_of: i64, versions: Vec<PyBackedBytes>) -> PyResult<PyBacktest> {
        let versions = versions_of(&versions)?;
        if versions.is_empty() {
            return Err(PyValueError::new_err("a book without a version"));
        }
        let deriving = Deriving::new(partition, max_age, vec![(i64::MIN, Programme { versions })]);
        Ok(PyBacktest(Mutex::new(Backtest::new(deriving, as_of))))
    }

    /// Decide rows (sequence, member, number, state), by member and number.
    ///
    /// Return the entry of each, None where it does not count, and who ended (member, the account, the one that would be, why it is handed back).
    fn feed<'py>(&self, py: Python<'py>, rows: Rows<'py>) -> (Vec<Option<Bound<'py, PyBytes>>>, Vec<Tried<'py>>) {
        let rows = held(rows);
        let mut ended = Vec::new();
        let states = py.detach(|| self.0.lock().expect("no call panics").feed(plain_rows(&rows), &mut ended));
        let states = states.into_iter().map(|state| state.map(|state| PyBytes::new(py, &state))).collect();
        (states, tried(py, ended))
    }

    /// End the last member; return it as `feed` does.
    fn finish<'py>(&self, py: Python<'py>) -> Vec<Tried<'py>> {
        let mut ended = Vec::new();
        self.0.lock().expect("no call panics").finish(&mut ended);
        tried(py, ended)
    }
}

fn tried(py: Python<'_>, ended: Vec<Compared>) -> Vec<Tried<'_>> {
    let bytes = |state: &[u8]| PyBytes::new(py, state);
    ended
        .into_iter()
        .map(|one| {
            let why = one.why.map(HandedBack::name);
            (one.member.to_string(), bytes(&one.actual), bytes(&one.would_be), why)
        })
        .collect()
}

/// Return where a journal stands (sequence, link, offset) behind rows (sequence, member, number, state, link).
///
/// None where one of them is not plainly as it should be. `at` is where it stands before; `versions` were seen.
#[pyfunction]
pub fn follow_chain(
    py: Python<'_>,
    at: (i64, [u8; 32], i64),
    partition: i64,
    partitions: i64,
    versions: Vec<String>,
    rows: Vec<(i64, PyBackedStr, i64, PyBackedBytes, PyBackedBytes)>,
) -> Option<(i64, [u8; 32], i64)> {
    py.detach(|| {
        let journal = Journal { partition, partitions, versions: versions.into_iter().collect() };
        let rows: Vec<chain::Row> = rows
            .iter()
            .map(|(sequence, member, number, state, link)| chain::Row {
                sequence: *sequence,
                member,
                number: *number,
                state,
                link,
            })
            .collect();
        let at = chain::Standing { sequence: at.0, link: at.1, offset: at.2 };
        chain::follow(at, &journal, &rows).map(|at| (at.sequence, at.link, at.offset))
    })
}

fn plain<'py>(py: Python<'py>, found: Found) -> (Differences<'py>, Ended) {
    let bytes = |state: &[u8]| PyBytes::new(py, state);
    let differences = found.differences.into_iter().map(|one| {
        let (is_of_account, derived) = match one.derived {
            Derived::Entry(derived) => (false, derived),
            Derived::Account(derived) => (true, derived),
        };
        (one.sequence, one.member.to_string(), one.number, bytes(&one.state), is_of_account, bytes(&derived))
    });
    let ended = found.ended.into_iter();
    let ended = ended.map(|one| (one.member.to_string(), one.entries, one.why.map(|why| why.name())));
    (differences.collect(), ended.collect())
}
