//! Records of Kafka as they were fetched: those that are plain need no look of Python's, as `consumers/kafka/buffers.py`
//! takes the others.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::intake::MAX_AHEAD;
use crate::times::SECOND;

/// Of one fact as received.
const MAX_BYTES: usize = 1 << 20;
const MILLISECOND: i64 = 1_000;
/// Of a timestamp in milliseconds; a later one is Python's to read.
const LAST_STAMP: i64 = 1 << 52;
/// The header by which an importer declares when a record was recorded, and how many digits that has at most.
const RECORDED: &str = "points-recorded";
const MOST_DIGITS: usize = 16;
const BACKLOG: i64 = 1;
/// By how much `recorded` is later than the clock said where that is told.
const PUSHED: i64 = SECOND;

/// A plain record; its attributes are those of `consumers.stream.Record`.
#[pyclass(name = "Arrived", frozen, get_all)]
pub struct PyArrived {
    pub offset: i64,
    pub recorded: i64,
    pub backlog: i64,
    pub key: Py<PyString>,
    pub value: Py<PyBytes>,
    pub pushed: i64,
}

#[pymethods]
impl PyArrived {
    #[getter]
    fn whole_length(&self) -> i64 {
        0
    }

    #[getter]
    fn whole_sha256(&self) -> &[u8] {
        b""
    }

    #[getter]
    fn fault(&self) -> &str {
        ""
    }

    #[getter]
    fn detail(&self) -> &str {
        ""
    }

    #[getter]
    fn sent_sha256(&self) -> &[u8] {
        b""
    }
}

/// What of a fetched record is looked at; `stamped` is when the broker took it, `declared` when an importer says it did.
struct Fetched<'py> {
    key: Bound<'py, PyString>,
    value: Bound<'py, PyBytes>,
    stamped: i64,
    declared: Option<i64>,
}

impl<'py> Fetched<'py> {
    /// Return the record at an offset, None for one that stands elsewhere or is not plain.
    fn of(row: &Bound<'py, PyTuple>, offset: i64) -> PyResult<Option<Fetched<'py>>> {
        let stamp = row.get_item(1)?.extract::<i64>().ok().filter(|stamp| (0..LAST_STAMP).contains(stamp));
        let is_stamped = row.get_item(2)?.is_truthy()?;
        let (Some(stamp), true) = (stamp, is_stamped && row.get_item(0)?.extract::<i64>().ok() == Some(offset)) else {
            return Ok(None);
        };
        let (Ok(key), Ok(value)) = (row.get_item(3)?.cast_into::<PyBytes>(), row.get_item(4)?.cast_into::<PyBytes>())
        else {
            return Ok(None);
        };
        let Ok(key) = std::str::from_utf8(key.as_bytes()) else {
            return Ok(None);
        };
        let bytes = value.as_bytes();
        if bytes.len() > MAX_BYTES || bytes.first().is_none_or(|first| *first == 0) {
            return Ok(None);
        }
        let headers = row.get_item(5)?;
        let declared = match headers.len()? {
            0 => None,
            1 => match declared_by(&headers.get_item(0)?) {
                Some(declared) => Some(declared),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        let key = PyString::new(row.py(), key);
        Ok(Some(Fetched { key, value, stamped: stamp * MILLISECOND, declared }))
    }
}

/// Return the instant that a header declares, None where it is another header or declares it in an odd way.
fn declared_by(header: &Bound<PyAny>) -> Option<i64> {
    let (name, said): (Bound<PyString>, Bound<PyBytes>) = header.extract().ok()?;
    if name.to_str().ok()? != RECORDED {
        return None;
    }
    let digits = said.as_bytes();
    if digits.is_empty() || digits.len() > MOST_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| 10 * number + i64::from(digit - b'0')))
}

/// Take a partition's records from place `first` of `rows` on as long as each is plain and stands next behind `last`.
///
/// `rows` are as `Buffer.extend` has them, `recorded` is the latest instant so far. Return the records, the latest instant
/// by then, and how many bytes their values have.
#[pyfunction]
pub fn take_plain(
    rows: &Bound<PyList>,
    first: usize,
    last: i64,
    recorded: i64,
    takes_backlog: bool,
) -> PyResult<(Vec<PyArrived>, i64, usize)> {
    let (mut taken, mut latest, mut size) = (Vec::with_capacity(rows.len() - first.min(rows.len())), recorded, 0);
    let mut offset = last;
    for place in first..rows.len() {
        offset += 1;
        let Some(fetched) = Fetched::of(rows.get_item(place)?.cast::<PyTuple>()?, offset)? else {
            break;
        };
        let Fetched { key, value, stamped, declared } = fetched;
        if declared.is_some_and(|declared| !takes_backlog || declared > stamped + MAX_AHEAD) {
            break;
        }
        let (told, backlog) = declared.map_or((stamped, 0), |declared| (declared, BACKLOG));
        let ahead = if declared.is_none() { latest - told } else { 0 };
        let pushed = if ahead >= PUSHED { ahead } else { 0 };
        latest = latest.max(told);
        size += value.as_bytes().len();
        taken.push(PyArrived { offset, recorded: latest, backlog, key: key.unbind(), value: value.unbind(), pushed });
    }
    Ok((taken, latest, size))
}
