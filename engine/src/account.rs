//! One member's state: the fold of that member's entries. `ledger/core/account.py` is the same in Python.

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use crate::entries::{DAY_BUCKETS, FIRST_MONTH, Figure, Map, Text, shared};
use crate::open_lots::OpenLots;
use crate::times::first_day;

/// An instant after every other.
pub const NEVER: i64 = 1 << 62;

/// Points earned together: `left` are free (pending while `pending_until` is set), `held` on hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lot {
    pub left: i64,
    pub held: i64,
    pub earned: i64,
    pub earned_at: i64,
    pub expires_at: i64,
    #[serde(deserialize_with = "shared")]
    pub rule: Text,
    pub pending_until: i64,
    pub returnable: bool,
    pub waits: i64,
}

impl Lot {
    /// Return the instant at which something becomes of it by itself.
    pub fn due_at(&self) -> i64 {
        match (self.pending_until, self.waits) {
            (0, _) => self.expires_at,
            (pending, 0) => pending,
            (pending, _) => pending.min(self.expires_at),
        }
    }
}

/// One kind of points: open lots by their key, debt, and totals since the account began (points; cash in fen).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Purse {
    pub lots: OpenLots,
    pub debt: i64,
    pub issued: i64,
    pub redeemed: i64,
    pub expired: i64,
    pub clawed_back: i64,
    pub written_off: i64,
    pub cash_shortfall_fen: i64,
    pub idle_until: i64,
    pub idle_ended: i64,
    pub forfeited: i64,
    /// Points that left for other accounts.
    pub gone: i64,
    /// Points that arrived from other accounts, and came back from them.
    pub come: i64,
}

impl Purse {
    /// Return when a lot that is not pending expires: by itself, or earlier with its idle purse.
    pub fn end_of(&self, lot: &Lot) -> i64 {
        if self.idle_until == 0 { lot.expires_at } else { lot.expires_at.min(self.idle_until) }
    }

    /// Return the points that a redemption may take now.
    pub fn spendable(&self) -> i64 {
        self.lots.values().filter(|lot| lot.pending_until == 0).map(|lot| lot.left).sum()
    }
}

/// Points kept for a hold until an instant, by lot in the order they were taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenHold {
    pub kind: Text,
    pub until: i64,
    pub parts: Map<i64, i64>,
}

/// An interval of a membership, and what was used of its cap and its quotas (by `benefit:bucket`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Term {
    pub card: Text,
    pub product: Text,
    pub start: i64,
    pub until: i64,
    pub trial: bool,
    pub bought_at: i64,
    pub span: i64,
    pub cut_at: i64,
    pub ended: bool,
    pub converted: bool,
    pub capped: i64,
    pub used: Map<Text, i64>,
    pub months: i64,
    pub anchor: i64,
    pub rights: i64,
    pub upgraded: bool,
}

/// A tier that does not fall by ageing before `until`; `value` is the score without ageing, below `needs` it ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TierHold {
    pub until: i64,
    pub value: i64,
    pub first: i64,
    pub needs: i64,
}

/// A tier of a score that is granted until an instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TierGrant {
    pub score: Text,
    pub tier: Text,
    pub until: i64,
}

/// A seat in a membership of a house: there that somebody sits, at the member what it gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seat {
    pub membership: Text,
    pub n: i64,
    pub terms: Vec<Term>,
}

/// Score -> bucket -> part -> points.
pub type Sums = Map<Text, Map<i64, Map<Text, i64>>>;

/// Everything about one member that the next decision may need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    pub number: i64,
    pub clock: i64,
    pub next_due_at: i64,
    pub next_month_at: i64,
    pub frozen: bool,
    pub stars: i64,
    pub credit: i64,
    pub purses: Map<Text, Purse>,
    pub holds: Map<Text, OpenHold>,
    pub sums: Sums,
    pub once: Map<Text, i64>,
    pub counts: Map<i64, Map<Text, i64>>,
    pub marks: Map<Text, IndexSet<Text, FxBuildHasher>>,
    pub days: Map<i64, Map<Text, i64>>,
    pub terms: Map<Text, Vec<Term>>,
    pub trials: Map<Text, i64>,
    pub tiers: Map<Text, Text>,
    pub pruned_before: i64,
    pub attributes: Map<Text, (Figure, i64)>,
    pub tier_moves: Map<Text, Vec<(i64, Text)>>,
    pub closed: bool,
    pub tier_holds: Map<Text, Map<Text, TierHold>>,
    pub grants: Map<Text, TierGrant>,
    pub placed_by: Text,
    /// Of a member by house, of a house by member: whoever has any is handed back.
    pub seats: Map<Text, Seat>,
    /// Of a member who has, had or became another name: Python decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Bundle>,
}

/// That a member has, had or became another name; which ones this engine does not read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bundle;

impl<'de> Deserialize<'de> for Bundle {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Bundle, D::Error> {
        serde::de::IgnoredAny::deserialize(from).map(|_| Bundle)
    }
}

impl Serialize for Bundle {
    fn serialize<S: serde::Serializer>(&self, _to: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("an account of several names is Python's to write"))
    }
}

impl Default for Account {
    fn default() -> Account {
        Account {
            number: 0,
            clock: 0,
            next_due_at: NEVER,
            next_month_at: 0,
            frozen: false,
            stars: 0,
            credit: 0,
            purses: Map::default(),
            holds: Map::default(),
            sums: Map::default(),
            once: Map::default(),
            counts: Map::default(),
            marks: Map::default(),
            days: Map::default(),
            terms: Map::default(),
            trials: Map::default(),
            tiers: Map::default(),
            pruned_before: 0,
            attributes: Map::default(),
            tier_moves: Map::default(),
            closed: false,
            tier_holds: Map::default(),
            grants: Map::default(),
            placed_by: Text::default(),
            seats: Map::default(),
            bundle: None,
        }
    }
}

impl Account {
    /// Return what a member may spend of a kind now.
    pub fn spendable(&self, kind: &str) -> i64 {
        self.purses.get(kind).map_or(0, Purse::spendable)
    }

    /// Return the debt of a kind.
    pub fn debt(&self, kind: &str) -> i64 {
        self.purses.get(kind).map_or(0, |purse| purse.debt)
    }

    /// Return the lot of a key, where it is open.
    pub fn lot(&self, kind: &str, key: i64) -> Option<&Lot> {
        self.purses.get(kind)?.lots.get(&key)
    }

    /// Return the term that a card opened, where it is still kept.
    pub fn term_of(&mut self, membership: &str, card: &str) -> Option<&mut Term> {
        self.terms.get_mut(membership)?.iter_mut().find(|term| &*term.card == card)
    }

    /// Return the term that holds at an instant: from its start (inclusive) to its end (exclusive).
    pub fn term_at(&self, membership: &str, instant: i64) -> Option<&Term> {
        self.terms.get(membership)?.iter().find(|term| term.start <= instant && instant < term.until)
    }

    /// Return what was counted under a name in a bucket.
    pub fn count(&self, bucket: i64, name: &str) -> i64 {
        self.counts.get(&bucket).and_then(|counts| counts.get(name)).copied().unwrap_or(0)
    }

    /// Return the instant at which something next falls due, `NEVER` where nothing will.
    pub fn next_due(&self) -> i64 {
        let mut due = NEVER;
        for purse in self.purses.values() {
            for lot in purse.lots.values().filter(|lot| lot.left != 0) {
                due = due.min(lot.due_at());
            }
            if purse.idle_until != 0 {
                due = due.min(purse.idle_until);
            }
        }
        for hold in self.holds.values() {
            due = due.min(hold.until);
        }
        for term in self.terms.values().flatten().filter(|term| !term.ended) {
            due = due.min(term.until);
        }
        for hold in self.tier_holds.values().flat_map(Map::values) {
            due = due.min(hold.until);
        }
        for grant in self.grants.values() {
            due = due.min(grant.until);
        }
        due
    }

    /// Let the next instant at which something falls due be no later than this one.
    pub fn is_due_by(&mut self, instant: i64) {
        self.next_due_at = self.next_due_at.min(instant);
    }
}

/// Return true if a bucket of sums or counters lies before a month.
pub fn is_dropped(bucket: i64, month: i64) -> bool {
    if bucket >= DAY_BUCKETS {
        bucket - DAY_BUCKETS < first_day(month)
    } else if bucket >= FIRST_MONTH {
        bucket < month
    } else {
        0 < bucket && bucket < month / 12
    }
}
