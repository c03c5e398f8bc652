//! A journal's chain recomputed from its stored bytes. `projections/audit/verify.py` says what is wrong with one.

use rustc_hash::FxHashSet;

use crate::entries::{leaf_of, link_after};
use crate::intake::PROGRAMME_SUBJECT;
use crate::plain_entry;

/// An entry as it is stored.
pub struct Row<'a> {
    pub sequence: i64,
    pub member: &'a str,
    pub number: i64,
    pub state: &'a [u8],
    pub link: &'a [u8],
}

/// What entries stand behind: the last one's sequence, link and offset.
#[derive(Clone, Copy)]
pub struct Standing {
    pub sequence: i64,
    pub link: [u8; 32],
    pub offset: i64,
}

/// What a journal's entries are compared with.
pub struct Journal {
    pub partition: i64,
    pub partitions: i64,
    /// Those of the rule book whose texts were seen.
    pub versions: FxHashSet<String>,
}

/// Return where the journal stands behind some rows; None where one of them is not plainly as it should be.
///
/// A publication is not plain: its text is to be looked at.
pub fn follow(mut at: Standing, journal: &Journal, rows: &[Row]) -> Option<Standing> {
    for row in rows {
        let link = link_after(&at.link, &leaf_of(row.state));
        if row.sequence != at.sequence + 1 || *row.link != link || row.member == PROGRAMME_SUBJECT {
            return None;
        }
        let entry = plain_entry::read(row.state)?;
        let stands_here =
            entry.member == row.member && entry.number == row.number && entry.partition == journal.partition;
        let is_home = partition_of(row.member, journal.partitions) == journal.partition;
        if !stands_here || !is_home || entry.offset <= at.offset || !journal.versions.contains(entry.version) {
            return None;
        }
        at = Standing { sequence: row.sequence, link, offset: entry.offset };
    }
    Some(at)
}

/// Return the partition of a member among so many, as Kafka's default partitioner does.
fn partition_of(member: &str, partitions: i64) -> i64 {
    i64::from(murmur2(member.as_bytes()) & 0x7fff_ffff) % partitions
}

/// Return Kafka's 32-bit murmur2 of a key.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let word = u32::from_le_bytes(word.try_into().expect("it has four bytes")).wrapping_mul(M);
        let word = (word ^ (word >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ word;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, byte| last << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}
