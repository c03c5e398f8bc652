//! A member's entries folded into what a view keeps: the account that they come to, and sums of the points that moved.
//!
//! `projections/views/view.py` folds the same in Python, an entry of one view at a time, and says what each step means. A
//! member of whom anything is not plainly an entry, or is not done here, is handed back whole: nothing of it counts.

use rustc_hash::FxHashMap;

use crate::account::Account;
use crate::awards::ONCE;
use crate::draft::{Done, Draft, Stop};
use crate::entries::{Change, Text};
use crate::evolve::apply;
use crate::fall_due::fall_due;
use crate::grouped::Grouped;
use crate::handed_back::HandedBack;
use crate::intake::PROGRAMME_SUBJECT;
use crate::plain_entry::{self, PlainEntry};
use crate::postings::{Place, Posting, postings_of};
use crate::programme::{CLAIM, OPENS, Programme};
use crate::quiet::caught;
use crate::replay::MemberPages;
use crate::stored::{Row, pack};
use crate::tiers::DEDUCTION;
use crate::times::Zone;

const NOWHERE: i64 = -1; // the month of expiry of points that are in no lot

/// By what the points that moved are summed, beside their kind and the accounts; all of it is 0 where it is left out.
#[derive(Clone, Copy, Debug)]
pub struct Grain {
    pub member: bool,
    /// The local month in which it happened by the member's clock.
    pub month: bool,
    /// The local month in which the ledger knew it, and with it what time took by the end of each month.
    pub booked: bool,
    pub day: bool,
    /// The local month in which the points expire, `NOWHERE` where they are in no lot.
    pub expires: bool,
}

/// What points are summed by.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Key {
    pub member: Text,
    pub kind: Text,
    pub source: Place,
    pub destination: Place,
    pub month: i64,
    pub booked: i64,
    pub day: i64,
    pub expires: i64,
}

/// Sums of points, and of the fen that were paid for points, or the points where it was none.
pub type Sums = FxHashMap<Key, (i128, i128)>;

/// A member whose entries have ended, and what they come to: none of one that is handed back.
pub type Folded = (Text, Option<State>);

/// The last entry of a member, and the account, encoded.
pub struct State {
    pub number: i64,
    pub clock: i64,
    pub recorded: i64,
    pub due_at: i64,
    pub account: Vec<u8>,
}

/// What members come to: by grain the sums of points, and how often facts were answered by an outcome and a reason.
#[derive(Default)]
pub struct Sum {
    pub entries: usize,
    pub members: Vec<Folded>,
    pub moved: Vec<Sums>,
    pub answers: FxHashMap<(i64, Text), i64>,
}

/// What folds entries under a rule book that gives nothing for a tier that is reached.
pub struct Folding {
    book: Programme,
    grains: Vec<Grain>,
    is_booked: bool,
}

/// A posting with its instant, and that by which the ledger knew it; or what time took by the end of a month, and not.
struct Moved {
    posting: Posting,
    at: i64,
    known: i64,
    is_projected: bool,
    sign: i128,
}

/// A member in the making.
#[derive(Default)]
struct Member {
    account: Account,
    number: i64,
    clock: i64,
    recorded: i64,
    at: i64,
    moved: Vec<Moved>,
    answers: Vec<(i64, Text)>,
}

impl Folding {
    /// Make what folds entries; a member's points are summed by each of the grains.
    pub fn new(book: Programme, grains: Vec<Grain>) -> Folding {
        let is_booked = grains.iter().any(|grain| grain.booked);
        Folding { book, grains, is_booked }
    }

    /// Fold the rows of whole members, by member and number.
    pub fn fold<'a>(&self, rows: impl IntoIterator<Item = Row<'a>>) -> Sum {
        let mut sum = self.nothing();
        let mut rows = rows.into_iter().peekable();
        while let Some(first) = rows.next() {
            let name = first.member;
            let mut entries = vec![first];
            while let Some(row) = rows.next_if(|row| row.member == name) {
                entries.push(row);
            }
            self.add(&entries, &mut sum);
        }
        sum
    }

    /// Fold the next members that are grouped, until they have so many entries; publications are none of a member's.
    pub fn fold_grouped(&self, grouped: &mut Grouped, most: usize) -> Sum {
        let mut sum = self.nothing();
        while sum.entries < most {
            let given = grouped.give(|rows| match rows.first() {
                Some(row) if row.member != PROGRAMME_SUBJECT => self.add(rows, &mut sum),
                _ => sum.entries += rows.len(),
            });
            if given.is_none() {
                break;
            }
        }
        sum
    }

    fn nothing(&self) -> Sum {
        Sum { moved: vec![Sums::default(); self.grains.len()], ..Sum::default() }
    }

    /// Add the entries of a member.
    fn add(&self, rows: &[Row], sum: &mut Sum) {
        let name = Text::from(rows[0].member);
        let member = caught(|| self.member(&name, rows)).and_then(Result::ok);
        let state = member.map(|member| self.count(&name, member, sum));
        sum.members.push((name, state));
        sum.entries += rows.len();
    }

    fn member(&self, name: &str, rows: &[Row]) -> Done<Member> {
        if self.book.is_shared(name) {
            return Err(Stop::HandBack(HandedBack::Pool));
        }
        let mut member = Member::default();
        for row in rows {
            let entry = row.state.and_then(plain_entry::read).filter(|entry| entry.engine != 1).ok_or_else(odd)?;
            self.entry(&mut member, &entry)?;
        }
        Ok(member)
    }

    fn entry(&self, member: &mut Member, entry: &PlainEntry) -> Done {
        let known = entry.recorded.max(entry.clock);
        if self.is_booked && member.number != 0 && member.account.next_due_at <= known {
            self.book_time(member, known)?;
        }
        let mut by_time = true;
        let changes: Vec<Change> = entry.changes.read().ok_or_else(odd)?;
        for change in &changes {
            if by_time {
                by_time = member.passes(change);
                if !by_time {
                    member.at = entry.clock;
                }
            }
            let Member { account, moved, at, .. } = member;
            give(change, account, *at, |posting, at| {
                moved.push(Moved { posting, at, known, is_projected: false, sign: 1 });
            });
            keep(account, change)?;
        }
        (member.number, member.clock, member.recorded) = (entry.number, entry.clock, entry.recorded);
        let account = &mut member.account;
        (account.number, account.clock) = (entry.number, entry.clock);
        if account.next_due_at <= entry.clock {
            account.next_due_at = account.next_due();
        }
        member.answers.push((entry.outcome, entry.reason.into()));
        Ok(())
    }

    /// Where a month has ended by an instant: book what time took by its end in its own month, and take it back now.
    fn book_time(&self, member: &mut Member, now: i64) -> Done {
        let zone = self.zone();
        let month = zone.month(now);
        let end = zone.month_start(month);
        let last_known = member.recorded.max(member.clock);
        if month <= zone.month(last_known) || member.account.next_due_at > end || end <= member.clock {
            return Ok(());
        }
        let mut after = member.account.clone();
        let mut pages = MemberPages::default();
        let version = self.book.nearest(end);
        let mut draft = Draft::new(&mut after, &mut pages, &self.book, version, end, end, version.month(end));
        fall_due(&mut draft, end)?;
        let changes = std::mem::take(&mut draft.changes);
        let mut then =
            Member { account: member.account.clone(), at: member.clock, clock: member.clock, ..Member::default() };
        for change in &changes {
            then.passes(change);
            give(change, &then.account, then.at, |posting, at| {
                let booked = at.max(last_known);
                member.moved.push(Moved { posting: posting.clone(), at, known: booked, is_projected: true, sign: 1 });
                member.moved.push(Moved { posting, at, known: now, is_projected: true, sign: -1 });
            });
            keep(&mut then.account, change)?;
        }
        Ok(())
    }

    fn zone(&self) -> &Zone {
        &self.book.versions[0].zone
    }

    /// Add what a member comes to.
    fn count(&self, name: &Text, member: Member, sum: &mut Sum) -> State {
        let none = Text::default();
        for (grain, sums) in self.grains.iter().zip(&mut sum.moved) {
            for moved in member.moved.iter().filter(|moved| grain.booked || !moved.is_projected) {
                let (zone, Moved { posting, at, known, sign, .. }) = (self.zone(), moved);
                let end = posting.expires_at;
                let key = Key {
                    member: if grain.member { name.clone() } else { none.clone() },
                    kind: posting.kind.clone(),
                    source: posting.source,
                    destination: posting.destination,
                    month: if grain.month { zone.month(*at) } else { 0 },
                    booked: if grain.booked { zone.month(*known) } else { 0 },
                    day: if grain.day { zone.day(*at) } else { 0 },
                    expires: match (grain.expires, end) {
                        (false, _) => 0,
                        (true, 0) => NOWHERE,
                        (true, _) => zone.month(end - 1),
                    },
                };
                let paid = if posting.fen == 0 { posting.points } else { posting.fen };
                let (points, amount) = sums.entry(key).or_default();
                *points += sign * i128::from(posting.points);
                *amount += sign * i128::from(paid);
            }
        }
        for answer in member.answers {
            *sum.answers.entry(answer).or_insert(0) += 1;
        }
        let Member { account, number, clock, recorded, .. } = member;
        State { number, clock, recorded, due_at: account.next_due_at, account: pack(&account) }
    }
}

impl Member {
    /// Set the instant of a change at the head of an entry; return whether time made it before the decision.
    fn passes(&mut self, change: &Change) -> bool {
        let at = match change {
            Change::Repaid(_)
            | Change::HistoryPruned(_)
            | Change::CounterAdded(_)
            | Change::FirstSeen(_)
            | Change::Multiplied(_)
            | Change::Withheld(_)
            | Change::Waiting(_)
            | Change::IdleMoved(_)
            | Change::TermOpened(_)
            | Change::TermAnchored(_)
            | Change::Resettled(_) => return true,
            Change::TermEnded(of) => of.at,
            Change::TierMoved(of) => of.at,
            Change::TierHeld(of) => of.at,
            Change::TierHoldEnded(of) => of.at,
            Change::TierGrantEnded(of) => of.at,
            Change::Expired(of) => of.due_at - 1,
            Change::Released(of) if of.due_at != 0 => of.due_at - 1,
            Change::IdleEnded(of) => of.at - 1,
            Change::Confirmed(of) => match self.account.lot(&of.kind, of.lot) {
                Some(lot) if lot.waits == OPENS => lot.pending_until,
                _ => return false,
            },
            Change::Scored(of) => return &*of.rule == DEDUCTION,
            _ => return false,
        };
        self.at = at.max(self.clock);
        true
    }
}

/// Give the points that a change moves in or out of what members have, at an instant.
fn give(change: &Change, account: &Account, at: i64, mut to: impl FnMut(Posting, i64)) {
    postings_of(change, account, |posting| {
        if !(posting.source.is_within() && posting.destination.is_within()) {
            to(posting, at);
        }
    });
}

/// Apply a change to the account of a view: what was met for the first time is kept where a rule gives once for it.
fn keep(account: &mut Account, change: &Change) -> Done {
    if is_between_accounts(change) {
        return Err(Stop::HandBack(HandedBack::Pool)); // what time does to such an account is not known here
    }
    if !matches!(change, Change::FirstSeen(first) if &*first.mark != ONCE) {
        apply(account, change);
    }
    if account.bundle.is_some() { Err(Stop::HandBack(HandedBack::Names)) } else { Ok(()) }
}

/// Return true if a change has to do with another account: a pool, a house, or whoever was told of something.
fn is_between_accounts(change: &Change) -> bool {
    match change {
        Change::Waiting(of) => of.waits > CLAIM,
        Change::Told(_)
        | Change::Drawn(_)
        | Change::PutBack(_)
        | Change::Leased(_)
        | Change::Seated(_)
        | Change::Unseated(_)
        | Change::SeatMoved(_) => true,
        _ => false,
    }
}

fn odd() -> Stop {
    Stop::HandBack(HandedBack::OddEntry)
}
