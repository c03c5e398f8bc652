//! What Python sees of the fold of a view.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::folding::{self, Folding, Grain};
use crate::programme::Programme;
use crate::python_book::versions_of;
use crate::python_grouped::{PyGrouped, Rows, held, plain_rows};

/// Of a member: the last entry's number, clock and instant of recording, when something falls due, and the account.
type State<'py> = (i64, i64, i64, i64, Bound<'py, PyBytes>);
/// A key (member, kind, source, destination, month, booked, day, expires) with its points, and its amount.
type Moved = (String, String, &'static str, &'static str, i64, i64, i64, i64, i128, i128);
/// How many entries; by member the state, none of one that is handed back; by grain what was moved; by outcome and reason
/// how many answers.
type Sum<'py> = (usize, Vec<(String, Option<State<'py>>)>, Vec<Vec<Moved>>, Vec<(i64, String, i64)>);

/// Members' entries folded into accounts and sums; `folding.rs` says how.
#[pyclass(name = "Folding", frozen)]
pub struct PyFolding(Folding);

#[pymethods]
impl PyFolding {
    /// `versions` are those of the book, as `plain.plain_version` gives them; `grains` (member, month, booked, day, expires)
    /// say by what the points of each view are summed.
    #[new]
    fn new(versions: Vec<PyBackedBytes>, grains: Vec<(bool, bool, bool, bool, bool)>) -> PyResult<PyFolding> {
        let versions = versions_of(&versions)?;
        if versions.is_empty() {
            return Err(PyValueError::new_err("a book without a version"));
        }
        let grains = grains
            .into_iter()
            .map(|(member, month, booked, day, expires)| Grain { member, month, booked, day, expires })
            .collect();
        Ok(PyFolding(Folding::new(Programme { versions }, grains)))
    }

    /// Fold rows (sequence, member, number, state) of whole members, by member and number.
    fn fold<'py>(&self, py: Python<'py>, rows: Rows<'py>) -> Sum<'py> {
        let rows = held(rows);
        plain(py, py.detach(|| self.0.fold(plain_rows(&rows))))
    }

    /// Fold the next members of those that are grouped, until they have so many entries; there are no more where none are read.
    fn fold_grouped<'py>(&self, py: Python<'py>, grouped: &PyGrouped, most: usize) -> Sum<'py> {
        plain(py, py.detach(|| self.0.fold_grouped(&mut grouped.entries(), most)))
    }
}

fn plain(py: Python<'_>, sum: folding::Sum) -> Sum<'_> {
    let members = sum.members.into_iter().map(|(member, state)| {
        let state = state.map(|state| {
            let account = PyBytes::new(py, &state.account);
            (state.number, state.clock, state.recorded, state.due_at, account)
        });
        (member.to_string(), state)
    });
    let moved = sum.moved.into_iter().map(|sums| {
        let rows = sums.into_iter().map(|(key, (points, amount))| {
            let member = key.member.to_string();
            let (source, destination) = (key.source.name(), key.destination.name());
            let when = (key.month, key.booked, key.day, key.expires);
            (member, key.kind.to_string(), source, destination, when.0, when.1, when.2, when.3, points, amount)
        });
        rows.collect()
    });
    let answers = sum.answers.into_iter().map(|((outcome, reason), count)| (outcome, reason.to_string(), count));
    (sum.entries, members.collect(), moved.collect(), answers.collect())
}
