//! Entries of many members in memory: taken as they lie in a journal, given member by member.

use std::collections::BTreeMap;
use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::entries::Text;
use crate::stored::Row;

/// Entries that were taken and not given yet.
#[derive(Default)]
pub struct Grouped {
    blocks: Vec<Vec<u8>>,
    size: usize,
    places: FxHashMap<Text, usize>,
    members: Vec<Vec<Kept>>,
    /// Of the members by name, once all are taken.
    waiting: BTreeMap<Text, usize>,
}

/// An entry: its bytes are some of a block's; none where the column holds something else.
struct Kept {
    sequence: i64,
    number: i64,
    state: Option<(usize, Range<usize>)>,
}

impl Grouped {
    /// Take some entries, none after the first member was given; their bytes are one block, which is as large as they are.
    pub fn take(&mut self, rows: &[Row]) {
        let size = rows.iter().filter_map(|row| row.state).map(<[u8]>::len).sum();
        let mut block = Vec::with_capacity(size);
        for row in rows {
            let state = row.state.map(|state| {
                let from = block.len();
                block.extend_from_slice(state);
                (self.blocks.len(), from..block.len())
            });
            let kept = Kept { sequence: row.sequence, number: row.number, state };
            match self.places.get(row.member) {
                Some(place) => self.members[*place].push(kept),
                None => {
                    self.places.insert(row.member.into(), self.members.len());
                    self.members.push(vec![kept]);
                }
            }
        }
        self.blocks.push(block);
        self.size += size;
    }

    /// Return how many bytes of entries there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Return the next members in order, at most so many.
    pub fn next(&mut self, most: usize) -> Vec<&str> {
        self.waiting.extend(self.places.drain());
        self.waiting.keys().take(most).map(|member| &**member).collect()
    }

    /// Give the entries of the next member, by number; None where there is none.
    pub fn give<T>(&mut self, to: impl FnOnce(&[Row]) -> T) -> Option<T> {
        self.waiting.extend(self.places.drain());
        let (member, place) = self.waiting.pop_first()?;
        let mut entries = std::mem::take(&mut self.members[place]);
        entries.sort_by_key(|kept| kept.number);
        let row_of = |Kept { sequence, number, state }| Row {
            sequence,
            member: &member,
            number,
            state: state.map(|(block, range)| &self.blocks[block][range]),
        };
        let rows: Vec<Row> = entries.into_iter().map(row_of).collect();
        Some(to(&rows))
    }
}
