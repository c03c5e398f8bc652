//! What Python sees of the engine.

use std::sync::{Arc, Mutex};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyList};

use crate::engine::{Engine, Item, Store, Stored, links};
use crate::handed_back::HandedBack;
use crate::programme::Version;
use crate::python_replay::{PyBacktest, PyReplay, follow_chain};

type Facts = Vec<(PyBackedStr, i64, i64, i64, bool, PyBackedBytes, PyBackedBytes, Option<(i64, bool)>)>;
type Rows<'py> = (
    Vec<(i64, i64, Bound<'py, PyBytes>)>,
    Vec<(String, String, Bound<'py, PyBytes>)>,
    Vec<(String, i64, Bound<'py, PyBytes>)>,
    Vec<(String, &'static str)>,
);

/// A partition's members in memory and its programme; `docs/engine.md` says what it does.
#[pyclass(name = "Engine", frozen)]
struct PyEngine(Mutex<Engine>);

#[pymethods]
impl PyEngine {
    #[new]
    fn new(partition: i64, max_age: i64, most_bytes: usize) -> PyEngine {
        PyEngine(Mutex::new(Engine::new(partition, max_age, most_bytes)))
    }

    /// Take the versions of the programme by their `from`, each as `plain.plain_version` gives it.
    fn take_programme(&self, plain: Vec<PyBackedBytes>) -> PyResult<()> {
        self.0.lock().expect("no call panics").book.versions = versions_of(&plain)?;
        Ok(())
    }

    /// Forget all members.
    fn clear(&self) {
        self.0.lock().expect("no call panics").clear();
    }

    /// Forget members whom Python has decided about.
    fn forget(&self, members: Vec<String>) {
        let mut engine = self.0.lock().expect("no call panics");
        members.iter().for_each(|member| engine.forget(member));
    }

    /// Return whether a member is in memory.
    fn has(&self, member: &str) -> bool {
        self.0.lock().expect("no call panics").has(member)
    }

    /// Return whether it is known if a member has a page.
    fn knows_page(&self, member: &str, key: &str) -> bool {
        self.0.lock().expect("no call panics").knows_page(member, key)
    }

    /// Decide a batch: by place (number, outcome, state); pages and snapshots to be written; members handed back, why.
    ///
    /// A fact is (member, offset, recorded, pushed, backlog, canonical, received, repeats). `store` has `account`, `page` and `entry`.
    fn decide<'py>(&self, py: Python<'py>, facts: Facts, store: Py<PyAny>) -> PyResult<Rows<'py>> {
        let done = py.detach(|| {
            let items: Vec<Item> = facts
                .iter()
                .map(|(member, offset, recorded, pushed, backlog, canonical, received, repeats)| Item {
                    member,
                    offset: *offset,
                    recorded: *recorded,
                    pushed: *pushed,
                    backlog: *backlog,
                    canonical,
                    received,
                    repeats: *repeats,
                })
                .collect();
            let mut journal = PyStore { store, error: None };
            let batch = self.0.lock().expect("no call panics").decide(&items, &mut journal);
            batch.map_err(|error| journal.error.unwrap_or_else(|| PyRuntimeError::new_err(error)))
        });
        let batch = done?;
        let decided = batch.decided.iter();
        let decided = decided.map(|one| (one.number, one.outcome, PyBytes::new(py, &one.state))).collect();
        let pages = batch.pages.iter();
        let pages =
            pages.map(|(key, member, page)| (key.clone(), member.to_string(), PyBytes::new(py, page))).collect();
        let snapshots = batch.snapshots.iter();
        let snapshots =
            snapshots.map(|(member, at, state)| (member.to_string(), *at, PyBytes::new(py, state))).collect();
        let handed_back = batch.handed_back.iter().map(|(member, why)| (member.to_string(), why.name())).collect();
        Ok((decided, pages, snapshots, handed_back))
    }
}

/// Return versions of a programme, each from what `plain.plain_version` gives.
pub fn versions_of(plain: &[PyBackedBytes]) -> PyResult<Vec<Arc<Version>>> {
    let versions: Result<_, _> = plain.iter().map(|version| rmp_serde::from_slice(version)).collect();
    versions.map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Return the links of a chain behind a link, one for each entry's bytes.
#[pyfunction]
fn chain<'py>(py: Python<'py>, link: [u8; 32], states: Vec<PyBackedBytes>) -> PyResult<Bound<'py, PyList>> {
    let made = py.detach(|| links(link, &states));
    PyList::new(py, made.iter().map(|link| PyBytes::new(py, link)))
}

/// The journal, by a Python object that reads it.
struct PyStore {
    store: Py<PyAny>,
    error: Option<PyErr>,
}

impl PyStore {
    fn ask<T>(&mut self, asking: impl FnOnce(Python, &Py<PyAny>) -> PyResult<T>) -> Result<T, String> {
        Python::attach(|py| asking(py, &self.store)).map_err(|error| {
            let text = error.to_string();
            self.error = Some(error);
            text
        })
    }
}

impl Store for PyStore {
    fn account(&mut self, member: &str) -> Result<Stored, String> {
        self.ask(|py, store| store.call_method1(py, "account", (member,))?.extract(py))
    }

    fn page(&mut self, member: &str, key: &str) -> Result<Option<Vec<u8>>, String> {
        self.ask(|py, store| store.call_method1(py, "page", (member, key))?.extract(py))
    }

    fn entry(&mut self, member: &str, number: i64) -> Result<Option<Vec<u8>>, String> {
        self.ask(|py, store| store.call_method1(py, "entry", (member, number))?.extract(py))
    }
}

/// The native engine.
#[pymodule]
fn points_engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    std::panic::set_hook(Box::new(|_| {})); // a panic hands its member back, and is counted
    module.add("CODE", env!("POINTS_CODE"))?; // SHA-256 of what it was made beside; build.rs
    module.add_class::<PyEngine>()?;
    module.add_class::<PyReplay>()?;
    module.add_class::<PyBacktest>()?;
    module.add_function(wrap_pyfunction!(follow_chain, module)?)?;
    module.add("HANDED_BACK", HandedBack::ALL.map(HandedBack::name))?;
    module.add_function(wrap_pyfunction!(chain, module)?)
}
