//! A member in memory between two batches: hot, with the account as it is decided on, or encoded in few bytes.
//!
//! A hot one's pages are kept as they are stored: nearly no page is asked for again soon, and one that is read takes five
//! times the memory of its bytes.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use rustc_hash::FxHashMap;

use crate::account::Account;
use crate::compact::{Compact, Reader, Texts, Writer};

// What is held for a thing beside its texts, in bytes, as measured with the crate's allocator.
const ACCOUNT: usize = 2_000;
const LOT: usize = 130;
const MAP: usize = 165;
const PAGE: usize = 112;
const ENCODED: usize = 64;

const USUAL: usize = 512; // bytes of an encoded member

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

/// A member by name: the account in few bytes, without pages.
///
/// All of it but the worth lies in one piece of memory: of members who are put away there are many.
pub struct Encoded {
    bytes: Box<[u8]>,
    pub worth: u64,
}

impl Encoded {
    /// Return a member encoded.
    pub fn of(name: &str, member: &Member, texts: &mut Texts) -> Encoded {
        let mut bytes = Vec::with_capacity(USUAL);
        bytes.extend(u16::try_from(name.len()).expect("the name of a member is short").to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        let mut to = Writer::behind(bytes, texts);
        member.saved.put(&mut to);
        member.account.put(&mut to);
        Encoded { bytes: to.bytes.into(), worth: member.worth }
    }

    fn parts(&self) -> (&str, &[u8]) {
        let (length, rest) = self.bytes.split_first_chunk().expect("it has a name");
        let (name, account) = rest.split_at(usize::from(u16::from_le_bytes(*length)));
        (str::from_utf8(name).expect("a name is a text"), account)
    }

    /// Return the name.
    pub fn name(&self) -> &str {
        self.parts().0
    }

    /// Return the member; `texts` are those that were there when it was encoded, and maybe more.
    pub fn decoded(&self, texts: &Texts) -> Member {
        let mut from = Reader::of(self.parts().1, texts);
        let saved = Compact::take(&mut from);
        Member::new(Compact::take(&mut from), saved)
    }

    /// Return about how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        ENCODED + self.bytes.len()
    }
}

/// Found, in a set, by the name.
impl Borrow<str> for Encoded {
    fn borrow(&self) -> &str {
        self.name()
    }
}

impl Hash for Encoded {
    fn hash<H: Hasher>(&self, to: &mut H) {
        self.name().hash(to);
    }
}

impl PartialEq for Encoded {
    fn eq(&self, other: &Encoded) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Encoded {}

/// Return the least worth of those that stay where the dearest are to take about `most` bytes; of each worth and weight.
pub fn keeping(members: impl Iterator<Item = (u64, usize)>, most: usize) -> u64 {
    let mut weights: BTreeMap<u64, usize> = BTreeMap::new();
    for (worth, weight) in members {
        *weights.entry(worth).or_default() += weight;
    }
    let mut bytes = 0;
    let first = weights.iter().rev().find(|(_, weight)| {
        bytes += *weight;
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
