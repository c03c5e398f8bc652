//! A member in memory between two batches: the account as it is decided on, the pages as they are stored.
//!
//! Nearly no page is asked for again soon, and one that is read takes five times the memory of its bytes.

use rustc_hash::FxHashMap;

use crate::account::Account;

// What is held for a thing beside its texts, in bytes, as measured with the crate's allocator.
const ACCOUNT: usize = 2_600;
const LOT: usize = 200;
const MAP: usize = 240;
const PAGE: usize = 112;

/// A member's account and pages; `saved` is the number of the snapshot that is stored.
pub struct Member {
    pub account: Account,
    pub saved: i64,
    pub pages: KeptPages,
    pub used: u64,
    pub weight: usize,
}

impl Member {
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
