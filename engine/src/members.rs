//! A member in memory between two batches: hot, with the account as it is decided on, or encoded as it is stored.
//!
//! A hot one's pages are kept as they are stored: nearly no page is asked for again soon, and one that is read takes five
//! times the memory of its bytes. An encoded member takes a fifth of a hot one's, and decoding it a quarter of the time
//! that reading it takes.

use rustc_hash::FxHashMap;

use crate::account::Account;
use crate::stored::{pack, unpack};

// What is held for a thing beside its texts, in bytes, as measured with the crate's allocator.
const ACCOUNT: usize = 2_000;
const LOT: usize = 130;
const MAP: usize = 165;
const PAGE: usize = 112;
const ENCODED: usize = 150;

/// A member's account and pages; `saved` is the number of the snapshot that is stored.
pub struct Member {
    pub account: Account,
    pub saved: i64,
    pub pages: KeptPages,
    /// The least goes first.
    pub worth: u64,
    pub weight: usize,
}

impl Member {
    /// Return a member of whom no page is known.
    pub fn new(account: Account, saved: i64) -> Member {
        Member { account, saved, pages: KeptPages::default(), worth: 0, weight: 0 }
    }

    /// Return about how many bytes of memory it takes.
    pub fn weigh(&self) -> usize {
        let account = &self.account;
        let lots: usize = account.purses.values().map(|purse| purse.lots.len()).sum();
        let inner = account.sums.values().map(|months| months.len()).sum::<usize>()
            + account.counts.len()
            + account.days.len()
            + account.purses.len()
            + account.holds.len()
            + account.tier_holds.len();
        let named = account.once.len() + account.marks.values().map(|marks| 1 + marks.len()).sum::<usize>();
        let terms: usize = account.terms.values().map(Vec::len).sum();
        ACCOUNT + LOT * (lots + named / 2) + MAP * (inner + 2 * terms) + self.pages.bytes
    }
}

/// A member's account as a snapshot has it, `number` and `saved` as the member's.
pub struct Encoded {
    pub state: Box<[u8]>,
    pub number: i64,
    pub saved: i64,
    pub worth: u64,
}

impl Encoded {
    /// Return a member encoded, without the pages.
    pub fn of(member: &Member) -> Encoded {
        let Member { account, saved, worth, .. } = member;
        Encoded { state: pack(account).into(), number: account.number, saved: *saved, worth: *worth }
    }

    /// Return the member.
    pub fn decoded(&self) -> Result<Member, String> {
        Ok(Member::new(unpack(&self.state)?, self.saved))
    }

    /// Return about how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        ENCODED + self.state.len()
    }
}

/// Return the least worth of those that stay where the dearest are to take about `most` bytes; of each worth and weight.
pub fn keeping(members: impl Iterator<Item = (u64, usize)>, most: usize) -> u64 {
    let mut members: Vec<(u64, usize)> = members.collect();
    members.sort_unstable_by(|one, other| other.cmp(one));
    let mut bytes = 0;
    let first = members.iter().find(|(_, weight)| {
        bytes += weight;
        bytes > most
    });
    first.map_or(0, |(worth, _)| worth + 1)
}

/// A member's pages by their keys, as they are stored; None where it is known that there is none.
#[derive(Default)]
pub struct KeptPages {
    by_key: FxHashMap<Box<str>, Option<Box<[u8]>>>,
    bytes: usize,
}

impl KeptPages {
    /// Return what is known of a page; None where nothing is.
    pub fn get(&self, key: &str) -> Option<Option<&[u8]>> {
        self.by_key.get(key).map(Option::as_deref)
    }

    /// Keep a page, or that there is none.
    pub fn keep(&mut self, key: &str, page: Option<&[u8]>) {
        let length = |page: Option<&[u8]>| page.map_or(0, <[u8]>::len);
        match self.by_key.get_mut(key) {
            Some(known) => {
                self.bytes -= length(known.as_deref());
                *known = page.map(Box::from);
            }
            None => {
                self.bytes += PAGE + key.len();
                self.by_key.insert(key.into(), page.map(Box::from));
            }
        }
        self.bytes += length(page);
    }
}
