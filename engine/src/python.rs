//! What Python sees of the engine.

use std::sync::{Mutex, MutexGuard, TryLockError};

use memchr::memmem;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};

use crate::arrived::{PyArrived, take_plain};
use crate::compact::Texts;
use crate::engine::{Engine, Item, Repeats, Store, Stored, StoredPage, links};
use crate::entries::ENGINE;
use crate::entry_json::Telling;
use crate::fact_codec::{self, Plain};
use crate::facts;
use crate::handed_back::HandedBack;
use crate::intake::{Intake, PROGRAMME_SUBJECT};
use crate::members::{Encoded, Member};
use crate::python_book::versions_of;
use crate::python_folding::PyFolding;
use crate::python_grouped::PyGrouped;
use crate::python_replay::{PyBacktest, PyReplay, follow_chain};
use crate::quiet;
use crate::stored::{pack, unpack};
use crate::times::Zone;

type Rows<'py> = (
    Vec<i64>,
    Vec<i64>,
    Vec<Bound<'py, PyBytes>>,
    Vec<(String, String, Bound<'py, PyBytes>)>,
    Vec<(String, i64, Bound<'py, PyBytes>)>,
    Vec<(String, &'static str)>,
);

/// A plain fact where it stands in the stream; its attributes are those of `partition.FactRecord`.
#[pyclass(name = "Record", frozen)]
struct PyRecord {
    item: Item,
    id: String,
    source: Py<PyString>,
    member: Py<PyString>,
    occurred: i64,
}

#[pymethods]
impl PyRecord {
    #[getter]
    fn offset(&self) -> i64 {
        self.item.offset
    }

    #[getter]
    fn recorded(&self) -> i64 {
        self.item.recorded
    }

    #[getter]
    fn pushed(&self) -> i64 {
        self.item.pushed
    }

    #[getter]
    fn backlog(&self) -> bool {
        self.item.backlog
    }

    #[getter]
    fn id(&self) -> &str {
        &self.id
    }

    #[getter]
    fn source(&self, py: Python) -> Py<PyString> {
        self.source.clone_ref(py)
    }

    #[getter]
    fn member(&self, py: Python) -> Py<PyString> {
        self.member.clone_ref(py)
    }

    #[getter]
    fn occurred(&self) -> i64 {
        self.occurred
    }

    #[getter]
    fn canonical(&self) -> &[u8] {
        &self.item.canonical
    }

    #[getter]
    fn sha256(&self) -> &[u8] {
        &self.item.received
    }

    #[getter]
    fn engine(&self) -> i64 {
        ENGINE
    }

    /// None: nobody has decoded it for Python.
    #[getter]
    fn fact(&self) -> Option<Py<PyAny>> {
        None
    }
}

/// What reads a partition's records as far as they are plain facts that belong there.
#[pyclass(name = "Intake", frozen)]
struct PyIntake(Intake);

/// A record as it came: its bytes and its key, and where it stands.
struct Arrived<'py> {
    value: PyBackedBytes,
    key: PyBackedStr,
    name: Bound<'py, PyString>,
    offset: i64,
    recorded: i64,
    pushed: i64,
    backlog: i64,
}

const AHEAD: i64 = 2;

impl<'py> Arrived<'py> {
    /// Return a record; None where the stream found it wanting, cut it, or saw it to be from the future.
    fn of(record: &Bound<'py, PyAny>) -> PyResult<Option<Arrived<'py>>> {
        let py = record.py();
        if let Ok(plain) = record.cast::<PyArrived>() {
            let plain = plain.get();
            let name = plain.key.bind(py).clone();
            let (offset, recorded, pushed, backlog) = (plain.offset, plain.recorded, plain.pushed, plain.backlog);
            let (value, key) = (plain.value.bind(py).clone().into(), name.clone().try_into()?);
            return Ok(Some(Arrived { value, key, name, offset, recorded, pushed, backlog }));
        }
        let number = |name| -> PyResult<i64> { record.getattr(name)?.extract() };
        let backlog = number(intern!(py, "backlog"))?;
        let is_faulty = record.getattr(intern!(py, "fault"))?.is_truthy()?;
        if is_faulty || backlog & AHEAD != 0 || number(intern!(py, "whole_length"))? != 0 {
            return Ok(None);
        }
        let name = record.getattr(intern!(py, "key"))?.cast_into::<PyString>()?;
        Ok(Some(Arrived {
            value: record.getattr(intern!(py, "value"))?.extract()?,
            key: name.clone().try_into()?,
            name,
            offset: number(intern!(py, "offset"))?,
            recorded: number(intern!(py, "recorded"))?,
            pushed: number(intern!(py, "pushed"))?,
            backlog,
        }))
    }
}

#[pymethods]
impl PyIntake {
    #[new]
    fn new(partition: u32, partitions: u32, operators: Vec<String>, grantors: Vec<String>) -> PyIntake {
        let (operators, grantors) = (operators.into_iter().collect(), grantors.into_iter().collect());
        PyIntake(Intake { partition, partitions, operators, grantors })
    }

    /// Return for each record the fact, None where Python is to read it.
    fn read<'py>(&self, py: Python<'py>, records: Vec<Bound<'py, PyAny>>) -> PyResult<Vec<Option<PyRecord>>> {
        let arrived: Vec<Option<Arrived>> = records.iter().map(Arrived::of).collect::<PyResult<_>>()?;
        let told: Vec<Option<(&[u8], &str, i64)>> = arrived
            .iter()
            .map(|arrived| arrived.as_ref().map(|it| (&*it.value, &*it.key, it.recorded - it.pushed)))
            .collect();
        let plain: Vec<Option<(Plain, Vec<u8>)>> = py.detach(|| {
            let read = told.into_iter().map(|told| {
                let (value, key, stamped) = told?;
                let plain = fact_codec::decode(value).filter(|plain| self.0.takes(plain, key, stamped))?;
                Some((plain, Sha256::digest(value).to_vec()))
            });
            read.collect()
        });
        let mut source: Option<(String, Bound<PyString>)> = None; // facts behind each other mostly have the same
        let made = arrived.into_iter().zip(plain).map(|(arrived, plain)| {
            let (arrived, (plain, received)) = (arrived?, plain?);
            let name = match &source {
                Some((known, name)) if *known == plain.source => name.clone(),
                _ => source.insert((plain.source.clone(), PyString::new(py, &plain.source))).1.clone(),
            };
            let (offset, recorded, pushed) = (arrived.offset, arrived.recorded, arrived.pushed);
            Some(PyRecord {
                id: plain.id,
                source: name.unbind(),
                member: arrived.name.unbind(),
                occurred: plain.fact.occurred,
                item: Item {
                    member: plain.member,
                    offset,
                    recorded,
                    pushed,
                    backlog: arrived.backlog != 0,
                    canonical: plain.canonical,
                    received,
                    fact: Ok(plain.fact),
                },
            })
        });
        Ok(made.collect())
    }
}

/// Return the canonical bytes and the instant of a plain fact, None where Python is to read it.
#[pyfunction]
fn canonical<'py>(py: Python<'py>, raw: &[u8]) -> Option<(Bound<'py, PyBytes>, i64)> {
    fact_codec::decode(raw).map(|plain| (PyBytes::new(py, &plain.canonical), plain.fact.occurred))
}

/// Return accounts as they are stored, after each lay in memory in few bytes; for a test, as they are to be the same.
#[pyfunction]
fn kept<'py>(py: Python<'py>, states: Vec<Vec<u8>>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let mut texts = Texts::default();
    let kept = states.iter().map(|state| {
        let account = unpack(state).map_err(PyValueError::new_err)?;
        let encoded = Encoded::of("", &Member::new(account, 0), &mut texts);
        Ok(PyBytes::new(py, &pack(&encoded.decoded(&texts).account)))
    });
    kept.collect()
}

/// How the canonical bytes of a published programme begin.
const PUBLICATION: &[u8] = br#"{"type":"programme.published.v1""#;

/// Return a fact that Python has decoded as an item.
fn item_of(record: &Bound<PyAny>) -> PyResult<Item> {
    let number = |name: &str| -> PyResult<i64> { record.getattr(name)?.extract() };
    let text: String = record.getattr("member")?.extract()?;
    let canonical: Vec<u8> = record.getattr("canonical")?.extract::<PyBackedBytes>()?.to_vec();
    let fact = if number("engine")? != ENGINE {
        Err(HandedBack::Engine1)
    } else if canonical.starts_with(PUBLICATION) {
        Err(HandedBack::Publication)
    } else {
        facts::decode(&canonical).ok_or(HandedBack::UnknownFact)
    };
    Ok(Item {
        member: text.into(),
        offset: number("offset")?,
        recorded: number("recorded")?,
        pushed: number("pushed")?,
        backlog: record.getattr("backlog")?.extract()?,
        canonical,
        received: record.getattr("sha256")?.extract::<PyBackedBytes>()?.to_vec(),
        fact,
    })
}

/// A fact of a batch: one that this engine read, or one that Python did.
enum Given {
    Read(Py<PyRecord>),
    Decoded(Box<Item>),
}

impl Given {
    fn of(record: &Bound<PyAny>) -> PyResult<Given> {
        match record.cast::<PyRecord>() {
            Ok(read) => Ok(Given::Read(read.clone().unbind())),
            Err(_) => Ok(Given::Decoded(Box::new(item_of(record)?))),
        }
    }

    fn item(&self) -> &Item {
        match self {
            Given::Read(record) => &record.get().item,
            Given::Decoded(item) => item,
        }
    }
}

/// A partition's members in memory and its programme; `docs/engine.md` says what it does.
#[pyclass(name = "Engine", frozen)]
struct PyEngine(Mutex<Engine>);

impl PyEngine {
    /// Return the engine. Raises `RuntimeError` while it decides: whoever it asks then would wait for itself.
    fn idle(&self) -> PyResult<MutexGuard<'_, Engine>> {
        self.0.try_lock().map_err(|error| {
            PyRuntimeError::new_err(match error {
                TryLockError::WouldBlock => "the engine decides a batch: it cannot be asked until that is done",
                TryLockError::Poisoned(_) => "a call of the engine panicked: make a new one",
            })
        })
    }
}

#[pymethods]
impl PyEngine {
    #[new]
    fn new(partition: i64, max_age: i64, most_bytes: usize) -> PyEngine {
        PyEngine(Mutex::new(Engine::new(partition, max_age, most_bytes)))
    }

    /// Take the versions of the programme by their `from`, each as `plain.plain_version` gives it.
    fn take_programme(&self, plain: Vec<PyBackedBytes>) -> PyResult<()> {
        self.idle()?.book.versions = versions_of(&plain)?;
        Ok(())
    }

    /// Forget all members.
    fn clear(&self) -> PyResult<()> {
        self.idle()?.clear();
        Ok(())
    }

    /// Return whether a member is in memory.
    fn has(&self, member: &str) -> PyResult<bool> {
        Ok(self.idle()?.has(member))
    }

    /// Decide a batch: by place the number, outcome and state of each; pages and snapshots to be written; members
    /// handed back, and why.
    ///
    /// `facts` are `Record`, or Python's own with the same attributes. `repeats` are places of facts that came before,
    /// each with what it repeats. `store` has `accounts`, `pages`, `page` and `entry`.
    fn decide<'py>(
        &self,
        py: Python<'py>,
        facts: Vec<Bound<'py, PyAny>>,
        repeats: FxHashMap<usize, Repeats>,
        store: Py<PyAny>,
    ) -> PyResult<Rows<'py>> {
        let facts: Vec<Given> = facts.iter().map(Given::of).collect::<PyResult<_>>()?;
        let done = py.detach(|| {
            let items: Vec<&Item> = facts.iter().map(Given::item).collect();
            let mut journal = PyStore { store, error: None };
            let batch = self.idle()?.decide(&items, &repeats, &mut journal);
            batch.map_err(|error| journal.error.unwrap_or_else(|| PyRuntimeError::new_err(error)))
        });
        let batch = done?;
        let numbers = batch.decided.iter().map(|one| one.number).collect();
        let outcomes = batch.decided.iter().map(|one| one.outcome).collect();
        let states = batch.decided.iter().map(|one| PyBytes::new(py, &one.state)).collect();
        let pages = batch.pages.iter();
        let pages =
            pages.map(|(key, member, page)| (key.clone(), member.to_string(), PyBytes::new(py, page))).collect();
        let snapshots = batch.snapshots.iter();
        let snapshots =
            snapshots.map(|(member, at, state)| (member.to_string(), *at, PyBytes::new(py, state))).collect();
        let handed_back = batch.handed_back.iter().map(|(member, why)| (member.to_string(), why.name())).collect();
        Ok((numbers, outcomes, states, pages, snapshots, handed_back))
    }
}

/// Return the links of a chain behind a link, one for each entry's bytes.
#[pyfunction]
fn chain<'py>(py: Python<'py>, link: [u8; 32], states: Vec<PyBackedBytes>) -> PyResult<Bound<'py, PyList>> {
    let made = py.detach(|| links(link, &states));
    PyList::new(py, made.iter().map(|link| PyBytes::new(py, link)))
}

/// Return true where a mark stands in the bytes of one of some entries, each as `PyTeller::published` takes it.
#[pyfunction]
fn any_has(entries: Vec<Bound<PyTuple>>, mark: PyBackedBytes) -> PyResult<bool> {
    let mark = memmem::Finder::new(&*mark);
    for entry in entries {
        let state: PyBackedBytes = entry.get_item(3)?.extract()?;
        if mark.find(&state).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What tells of entries, with times in a zone.
#[pyclass(name = "Teller", frozen)]
struct PyTeller(Zone);

#[pymethods]
impl PyTeller {
    /// `zone` is MessagePack: an offset in microseconds, or a map with `starts` and `offsets`.
    #[new]
    fn new(zone: &[u8]) -> PyResult<PyTeller> {
        rmp_serde::from_slice(zone).map(PyTeller).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Return entries as they are published, as JSON; None for one that Python is to describe.
    ///
    /// Each entry begins with its place in the journal, its member and number, its bytes, and the chain's link at it.
    /// Where the partition is not the programme's own, its published rule books are copies.
    fn published<'py>(
        &self,
        py: Python<'py>,
        entries: Vec<Bound<'py, PyTuple>>,
        is_home: bool,
    ) -> PyResult<Vec<Option<Bound<'py, PyBytes>>>> {
        let mut telling = Telling::new(&self.0);
        let told = entries.iter().map(|row| {
            let (place, member) = (row.get_item(0)?.extract()?, row.get_item(1)?);
            let (state, link) = (row.get_item(3)?.cast_into::<PyBytes>()?, row.get_item(4)?.cast_into::<PyBytes>()?);
            let is_copy = !is_home && member.cast::<PyString>()?.to_str()? == PROGRAMME_SUBJECT;
            let json = telling.published(place, state.as_bytes(), link.as_bytes(), is_copy);
            Ok(json.map(|json| PyBytes::new(py, json)))
        });
        told.collect()
    }
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
    fn accounts(&mut self, members: Vec<&str>) -> Result<Vec<Stored>, String> {
        self.ask(|py, store| store.call_method1(py, "accounts", (members,))?.extract(py))
    }

    fn pages(&mut self, asked: Vec<(&str, &str)>) -> Result<Vec<StoredPage>, String> {
        self.ask(|py, store| store.call_method1(py, "pages", (asked,))?.extract(py))
    }

    fn page(&mut self, member: &str, key: &str) -> Result<Option<Vec<u8>>, String> {
        self.ask(|py, store| store.call_method1(py, "page", (member, key))?.extract(py))
    }

    fn entry(&mut self, member: &str, number: i64) -> Result<Option<Vec<u8>>, String> {
        self.ask(|py, store| store.call_method1(py, "entry", (member, number))?.extract(py))
    }
}

/// The number of what Python may call here, and with what: another one with every change of it, as in
/// `ledger/journal/engines.py`.
const CALLS: u32 = 3;

/// The native engine.
#[pymodule]
fn points_engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    quiet::install();
    module.add("CODE", env!("POINTS_CODE"))?; // SHA-256 of what it was made beside; build.rs
    module.add("CALLS", CALLS)?;
    module.add_class::<PyEngine>()?;
    module.add_class::<PyIntake>()?;
    module.add_class::<PyRecord>()?;
    module.add_class::<PyArrived>()?;
    module.add_class::<PyTeller>()?;
    module.add_function(wrap_pyfunction!(any_has, module)?)?;
    module.add_function(wrap_pyfunction!(canonical, module)?)?;
    module.add_function(wrap_pyfunction!(kept, module)?)?;
    module.add_function(wrap_pyfunction!(take_plain, module)?)?;
    module.add_class::<PyGrouped>()?;
    module.add_class::<PyReplay>()?;
    module.add_class::<PyBacktest>()?;
    module.add_class::<PyFolding>()?;
    module.add_function(wrap_pyfunction!(follow_chain, module)?)?;
    module.add("HANDED_BACK", HandedBack::ALL.map(HandedBack::name))?;
    module.add_function(wrap_pyfunction!(chain, module)?)
}
