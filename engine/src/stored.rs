//! What a journal holds: rows, and the bytes of entries, pages and accounts.

const USUAL: usize = 512; // bytes of an entry

/// An entry as it is stored; no state where that is something else than bytes.
pub struct Row<'a> {
    pub sequence: i64,
    pub member: &'a str,
    pub number: i64,
    pub state: Option<&'a [u8]>,
}

/// Return the bytes of an entry, a page or an account.
pub fn pack<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL);
    rmp_serde::encode::write(&mut bytes, value).expect("all of it can be written");
    bytes
}

/// Return an entry, a page or an account from its bytes.
pub fn unpack<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    rmp_serde::from_slice(bytes).map_err(|error| format!("what is stored cannot be read: {error}"))
}
