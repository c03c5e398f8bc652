//! A programme as Python hands it over.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::programme::Version;

/// Return versions of a programme, each from what `plain.plain_version` gives.
pub fn versions_of(plain: &[PyBackedBytes]) -> PyResult<Vec<Arc<Version>>> {
    let versions: Result<_, _> = plain.iter().map(|version| rmp_serde::from_slice(version)).collect();
    versions.map_err(|error| PyValueError::new_err(error.to_string()))
}
