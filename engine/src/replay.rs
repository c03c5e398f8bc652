//! Facts decided again from a journal's entries, by member and number, and every byte compared with what is stored.
//!
//! A member of whom anything is not plainly an entry is handed back whole when the next one begins: nothing of it counts
//! here, and Python says what is wrong.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;

use crate::account::Account;
use crate::decide::{Arrival, Place, decide};
use crate::draft::{Done, Pages, Stop};
use crate::engine::earned_in;
use crate::entries::{Change, ENGINE, Earned, Entry, Text};
use crate::evolve::apply_entry;
use crate::fact_codec;
use crate::grouped::Grouped;
use crate::handed_back::HandedBack;
use crate::pages::Page;
use crate::plain_entry::{self, PlainEntry};
use crate::programme::Programme;
use crate::quiet::caught;
use crate::stored::{Row, pack, unpack};

const GROUPS: u64 = 4_096;
const PUBLICATION: &str = "programme.published.v1";

/// A member's snapshot as it is stored: its number, and its bytes.
pub type Stored = (i64, Vec<u8>);

/// Something of a row that is not as it is stored.
pub struct Difference {
    pub sequence: i64,
    pub member: Text,
    pub number: i64,
    pub state: Vec<u8>,
    pub derived: Derived,
}

/// What a stored entry comes to.
pub enum Derived {
    /// These bytes.
    Entry(Vec<u8>),
    /// An account of these bytes, which is not plainly the member's snapshot: Python compares them.
    Account(Vec<u8>),
}

impl Difference {
    fn new(row: &Row, state: &[u8], derived: Derived) -> Difference {
        let (sequence, number) = (row.sequence, row.number);
        Difference { sequence, member: row.member.into(), number, state: state.into(), derived }
    }
}

/// A member whose entries have ended: how many there are, and why it is handed back, if it is.
pub struct Ended {
    pub member: Text,
    pub entries: i64,
    pub why: Option<HandedBack>,
}

/// What some rows came to.
#[derive(Default)]
pub struct Found {
    /// In the order of the rows; of a member that is handed back they do not count.
    pub differences: Vec<Difference>,
    pub ended: Vec<Ended>,
}

/// How facts are decided again: where, and by which books.
pub struct Deriving {
    pub partition: i64,
    pub max_age: i64,
    /// Each from behind a sequence on, in their order.
    pub books: Vec<(i64, Programme)>,
    random: RandomState,
}

/// One partition's entries as they are compared, and sums of the receipts and pages that they come to.
pub struct Replay {
    deriving: Deriving,
    versions: FxHashSet<Text>,
    member: Option<Member>,
    pub receipts: ReceiptSum,
    pub pages: PageSum,
}

/// A fact that was decided again: the entry's bytes, and what names the fact where it did not come before.
struct Decided {
    state: Vec<u8>,
    first: Option<(String, String)>,
}

struct Member {
    name: Text,
    snapshot: Option<Stored>,
    history: History,
    receipts: Counted,
    entries: i64,
    why: Option<HandedBack>,
}

/// What a member's facts come to.
#[derive(Default)]
struct History {
    account: Account,
    pages: MemberPages,
    sources: FxHashMap<Text, usize>,
    /// By source and id of a fact the number of the entry that took it first, and a hash of its content.
    first: FxHashMap<(usize, Text), (i64, u64)>,
}

/// The type of a fact.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

impl Replay {
    /// Make a replay of a partition. `upto` is the last entry whose receipt counts.
    pub fn new(partition: i64, max_age: i64, upto: i64, books: Vec<(i64, Programme)>) -> Replay {
        let versions: FxHashSet<Text> =
            books.iter().flat_map(|(_, book)| &book.versions).map(|version| version.name.clone()).collect();
        let deriving = Deriving::new(partition, max_age, books);
        let random = deriving.random.clone();
        Replay {
            deriving,
            versions,
            member: None,
            receipts: ReceiptSum {
                random: random.clone(),
                upto,
                derived: Counted::default(),
                stored: Counted::default(),
            },
            pages: PageSum { random, sums: vec![0; GROUPS as usize], unknown: FxHashSet::default() },
        }
    }

    /// Compare the next rows, by member and number; `snapshots` are those of the members that begin here.
    pub fn feed<'a>(
        &mut self,
        rows: impl IntoIterator<Item = Row<'a>>,
        snapshots: &mut FxHashMap<String, Stored>,
    ) -> Found {
        let mut found = Found::default();
        for row in rows {
            self.see(&row, snapshots, &mut found);
        }
        found
    }

    /// Compare the entries of the next members that are grouped, at most so many; `snapshots` are theirs.
    pub fn compare_grouped(
        &mut self,
        grouped: &mut Grouped,
        most: usize,
        snapshots: &mut FxHashMap<String, Stored>,
    ) -> Found {
        let mut found = Found::default();
        for _ in 0..most {
            if grouped.give(|rows| rows.iter().for_each(|row| self.see(row, snapshots, &mut found))).is_none() {
                break;
            }
        }
        found
    }

    fn see(&mut self, row: &Row, snapshots: &mut FxHashMap<String, Stored>, found: &mut Found) {
        if self.member.as_ref().is_none_or(|member| *member.name != *row.member) {
            self.finish(found);
            self.member = Some(Member::new(row.member, snapshots.remove(row.member)));
        }
        let mut member = self.member.take().expect("it was made");
        member.entries += 1;
        if member.why.is_none() {
            member.why = settled(|| self.compare(&mut member, row, found)).err();
        }
        self.member = Some(member);
    }

    /// End the last member.
    pub fn finish(&mut self, found: &mut Found) {
        let Some(member) = self.member.take() else {
            return;
        };
        if member.why.is_none() {
            self.receipts.derived.add_all(&member.receipts);
            for (key, page) in &member.history.pages.pages {
                self.pages.add(&member.name, key, &pack(page));
            }
        }
        found.ended.push(Ended { member: member.name, entries: member.entries, why: member.why });
    }

    /// Decide the fact of a row again and compare what comes of it.
    fn compare(&self, member: &mut Member, row: &Row, found: &mut Found) -> Done {
        let (state, head) = head_of(row)?;
        if head.engine != ENGINE || !(head.version.is_empty() || self.versions.contains(head.version)) {
            return Err(Stop::HandBack(HandedBack::Foreign));
        }
        let derived = self.deriving.derive(&mut member.history, row, &head)?;
        if let Some((source, id)) = &derived.first {
            self.receipts.count(&mut member.receipts, source, id, &member.name, row.sequence);
        }
        if derived.state != state {
            if !is_plain(state) {
                return Err(odd());
            }
            found.differences.push(Difference::new(row, state, Derived::Entry(derived.state)));
        }
        let account = &member.history.account;
        if let Some((number, snapshot)) = &member.snapshot
            && *number == row.number
            && !is_snapshot(snapshot, account)
        {
            found.differences.push(Difference::new(row, state, Derived::Account(pack(account))));
        }
        Ok(())
    }
}

fn odd() -> Stop {
    Stop::HandBack(HandedBack::OddEntry)
}

/// Return the bytes of a row and what they say; an entry of engine 1 is handed back.
fn head_of<'a>(row: &Row<'a>) -> Done<(&'a [u8], PlainEntry<'a>)> {
    let state = row.state.ok_or_else(odd)?;
    let head = plain_entry::outline(state).ok_or_else(odd)?;
    if head.engine == 1 {
        return Err(Stop::HandBack(HandedBack::Engine1));
    }
    Ok((state, head))
}

/// Return what a function comes to, or why it is handed back.
fn settled<T>(function: impl FnOnce() -> Done<T>) -> Result<T, HandedBack> {
    match caught(function) {
        Some(Ok(done)) => Ok(done),
        Some(Err(Stop::HandBack(why))) => Err(why),
        Some(Err(Stop::Decline(..) | Stop::Store(_))) | None => Err(HandedBack::BrokenInvariant),
    }
}

impl Deriving {
    /// Make what derives a partition's entries.
    pub fn new(partition: i64, max_age: i64, books: Vec<(i64, Programme)>) -> Deriving {
        Deriving { partition, max_age, books, random: RandomState::new() }
    }

    /// Decide the fact of a member's next row again.
    fn derive(&self, history: &mut History, row: &Row, head: &PlainEntry) -> Done<Decided> {
        let PlainEntry { offset, recorded, backlog, fact, received, pushed, .. } = *head;
        if row.number != history.account.number + 1 {
            return Err(odd());
        }
        let Some(plain) = fact_codec::decode(fact).filter(|plain| plain.canonical == fact) else {
            let is_publication = serde_json::from_slice::<Kind>(fact).is_ok_and(|fact| fact.kind == PUBLICATION);
            let why = if is_publication { HandedBack::Publication } else { HandedBack::UnknownFact };
            return Err(Stop::HandBack(why));
        };
        let content = self.random.hash_one(fact);
        let (first, known) = history.first_of(&plain.source, &plain.id, row.number, content);
        let repeats = (first != row.number).then_some((first, known == content));
        let arrival = Arrival { recorded, pushed, backlog, repeats, max_age: self.max_age };
        let book = self.book_before(row.sequence);
        if book.is_shared(&plain.member) {
            return Err(Stop::HandBack(HandedBack::Pool));
        }
        let decision = decide(&mut history.account, &mut history.pages, &plain.fact, book, arrival)?;
        history.account.number = row.number;
        let place = Place {
            member: plain.member,
            number: row.number,
            partition: self.partition,
            offset,
            recorded,
            backlog,
            pushed,
        };
        let state = pack(&decision.into_entry(place, plain.fact.occurred, fact, received));
        Ok(Decided { state, first: repeats.is_none().then_some((plain.source, plain.id)) })
    }

    /// Return the book that decided the entry at a sequence.
    fn book_before(&self, sequence: i64) -> &Programme {
        let published = self.books.partition_point(|(from, _)| *from < sequence);
        &self.books[published.saturating_sub(1)].1
    }
}

/// A history decided again under another book, beside what was decided.
pub struct Backtest {
    deriving: Deriving,
    as_of: i64,
    member: Option<Tried>,
}

struct Tried {
    name: Text,
    actual: Account,
    history: History,
    is_over: bool,
    why: Option<HandedBack>,
}

/// A member whose entries have ended: both accounts, and why it is handed back, if it is.
pub struct Compared {
    pub member: Text,
    pub actual: Vec<u8>,
    pub would_be: Vec<u8>,
    pub why: Option<HandedBack>,
}

impl Backtest {
    /// Make a backtest of what a partition's members did up to an instant of their clocks.
    pub fn new(deriving: Deriving, as_of: i64) -> Backtest {
        Backtest { deriving, as_of, member: None }
    }

    /// Decide the next rows, by member and number: the entry of each, none of one that does not count.
    pub fn feed<'a>(
        &mut self,
        rows: impl IntoIterator<Item = Row<'a>>,
        ended: &mut Vec<Compared>,
    ) -> Vec<Option<Vec<u8>>> {
        let mut states = Vec::new();
        for row in rows {
            if self.member.as_ref().is_none_or(|member| *member.name != *row.member) {
                self.finish(ended);
                self.member = Some(Tried {
                    name: row.member.into(),
                    actual: Account::default(),
                    history: History::default(),
                    is_over: false,
                    why: None,
                });
            }
            let mut member = self.member.take().expect("it was made");
            let mut state = None;
            if member.why.is_none() && !member.is_over {
                match settled(|| self.derive(&mut member, &row)) {
                    Ok(Some(derived)) => state = Some(derived),
                    Ok(None) => member.is_over = true,
                    Err(why) => member.why = Some(why),
                }
            }
            states.push(state);
            self.member = Some(member);
        }
        states
    }

    fn derive(&self, member: &mut Tried, row: &Row) -> Done<Option<Vec<u8>>> {
        let (state, head) = head_of(row)?;
        if head.clock > self.as_of {
            return Ok(None);
        }
        let stored: Entry = unpack(state).map_err(|_| odd())?;
        if pack(&stored) != state {
            return Err(odd());
        }
        apply_entry(&mut member.actual, &stored);
        if member.actual.bundle.is_some() {
            return Err(Stop::HandBack(HandedBack::Names));
        }
        self.deriving.derive(&mut member.history, row, &head).map(|derived| Some(derived.state))
    }

    /// End the last member.
    pub fn finish(&mut self, ended: &mut Vec<Compared>) {
        if let Some(Tried { name, actual, history, why, .. }) = self.member.take() {
            let both = || (pack(&actual), pack(&history.account));
            let (actual, would_be) = if why.is_none() { both() } else { Default::default() };
            ended.push(Compared { member: name, actual, would_be, why });
        }
    }
}

/// Return true if a stored entry reads as what it says, so that Python reads the same.
fn is_plain(state: &[u8]) -> bool {
    unpack::<Entry>(state).is_ok_and(|entry| pack(&entry) == state)
}

/// Return true if a snapshot is plainly the account, but for the instants at which it looks next.
fn is_snapshot(stored: &[u8], account: &Account) -> bool {
    let Ok(mut kept) = unpack::<Account>(stored) else {
        return false;
    };
    if pack(&kept) != stored || kept.next_due_at > account.next_due() || kept.next_month_at > account.next_month_at {
        return false;
    }
    // When to look next: early in either is as good.
    (kept.next_due_at, kept.next_month_at) = (account.next_due_at, account.next_month_at);
    kept.placed_by = account.placed_by.clone();
    kept == *account
}

impl Member {
    fn new(name: &str, snapshot: Option<Stored>) -> Member {
        Member {
            name: name.into(),
            snapshot,
            history: History::default(),
            receipts: Counted::default(),
            entries: 0,
            why: None,
        }
    }
}

impl History {
    /// Return the number of the entry that took a fact of a name first, this one if none did, and its content's hash.
    fn first_of(&mut self, source: &str, id: &str, number: i64, content: u64) -> (i64, u64) {
        let source = match self.sources.get(source) {
            Some(known) => *known,
            None => {
                self.sources.insert(source.into(), self.sources.len());
                self.sources.len() - 1
            }
        };
        *self.first.entry((source, id.into())).or_insert((number, content))
    }
}

/// One member's pages, and the lots that its entries opened.
#[derive(Default)]
pub struct MemberPages {
    pages: FxHashMap<String, Page>,
    entered: FxHashMap<i64, Vec<Earned>>,
}

impl Pages for MemberPages {
    fn get(&mut self, key: &str) -> Done<Option<Page>> {
        Ok(self.pages.get(key).cloned())
    }

    fn has(&mut self, key: &str) -> Done<bool> {
        Ok(self.pages.contains_key(key))
    }

    fn put(&mut self, key: String, page: Page) {
        self.pages.insert(key, page);
    }

    fn enter(&mut self, number: i64, changes: &[Change]) {
        self.entered.insert(number, earned_in(changes));
    }

    fn opened(&mut self, number: i64) -> Done<Vec<Earned>> {
        Ok(self.entered.get(&number).cloned().unwrap_or_default())
    }
}

/// How many there are of something, and the sum of their hashes, which is the same in any order.
#[derive(Default, PartialEq)]
struct Counted {
    count: u64,
    sum: u64,
}

impl Counted {
    fn add(&mut self, hash: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(hash);
    }

    fn add_all(&mut self, other: &Counted) {
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

/// The receipts of entries up to a sequence, those that are derived and those that are stored, as sums.
pub struct ReceiptSum {
    random: RandomState,
    upto: i64,
    derived: Counted,
    stored: Counted,
}

impl ReceiptSum {
    fn count(&self, counted: &mut Counted, source: &str, id: &str, member: &str, sequence: i64) {
        if sequence <= self.upto {
            counted.add(self.random.hash_one((source, id, member, sequence)));
        }
    }

    /// Count a receipt that Python derived.
    pub fn add(&mut self, source: &str, id: &str, member: &str, sequence: i64) {
        let mut one = Counted::default();
        self.count(&mut one, source, id, member, sequence);
        self.derived.add_all(&one);
    }

    /// Count a receipt that is stored.
    pub fn add_stored(&mut self, source: &str, id: &str, member: &str, sequence: i64) {
        let mut one = Counted::default();
        self.count(&mut one, source, id, member, sequence);
        self.stored.add_all(&one);
    }

    /// Return true if those that are stored are those that are derived.
    pub fn agree(&self) -> bool {
        self.derived == self.stored
    }
}

/// By group of members the hashes of the pages that are derived, less those that are stored.
pub struct PageSum {
    random: RandomState,
    sums: Vec<u64>,
    unknown: FxHashSet<u64>,
}

impl PageSum {
    /// Return the group of a member.
    pub fn group_of(&self, member: &str) -> u64 {
        self.random.hash_one(member) % GROUPS
    }

    /// Count a page that is derived.
    pub fn add(&mut self, member: &str, key: &str, page: &[u8]) {
        let sum = &mut self.sums[(self.random.hash_one(member) % GROUPS) as usize];
        *sum = sum.wrapping_add(self.random.hash_one((key, member, page)));
    }

    /// Count a page that is stored.
    pub fn add_stored(&mut self, member: &str, key: &str, page: &[u8]) {
        let sum = &mut self.sums[(self.random.hash_one(member) % GROUPS) as usize];
        *sum = sum.wrapping_sub(self.random.hash_one((key, member, page)));
    }

    /// Leave out the group of a member whose pages nobody can derive.
    pub fn leave_out(&mut self, member: &str) {
        self.unknown.insert(self.group_of(member));
    }

    /// Return the groups whose stored pages are not those derived, those left out excepted.
    pub fn groups_that_differ(&self) -> Vec<u64> {
        let differ = |group: &u64| self.sums[*group as usize] != 0 && !self.unknown.contains(group);
        (0..GROUPS).filter(differ).collect()
    }
}
