//! What the ledger decided about one fact: the changes that it made, and the entry that writes them down.
//!
//! `ledger/wire/entries.py` says what each means. Instants are microseconds since 1970 UTC, months
//! `year * 12 + month - 1`; a lot is named `entry number << 16 | place in the entry`.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use rustc_hash::FxHashSet;
use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest, Sha256};

pub use crate::map::Map;
use crate::tagged;

/// A text that many places share.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Text(Arc<str>);

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(to)
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl<T: Into<Arc<str>>> From<T> for Text {
    fn from(text: T) -> Text {
        Text(text.into())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Text, D::Error> {
        struct Making;

        impl de::Visitor<'_> for Making {
            type Value = Text;

            fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
                to.write_str("a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text::from(text)) // at once: serde makes a String of an Arc's text first
            }
        }
        from.deserialize_str(Making)
    }
}
/// The figures of a decision by their names.
pub type Figures = Map<Text, Figure>;

pub const ENGINE: i64 = 2;
pub const ACCEPTED: i64 = 0;
pub const REFUSED: i64 = 1;
pub const IGNORED: i64 = 2;
pub const LOT_BITS: u32 = 16;
pub const LIFE_BUCKET: i64 = 0;
pub const DAY_BUCKETS: i64 = 1 << 20;
pub const FIRST_MONTH: i64 = 10_000;

/// Return the name of the lot opened as the `place`-th (from 0) by a member's entry `number`.
pub fn lot_key(number: i64, place: i64) -> i64 {
    number << LOT_BITS | place
}

/// Return a lot's name as people read it: `entry.place`, both counted from 1.
pub fn lot_text(lot: i64) -> String {
    format!("{}.{}", lot >> LOT_BITS, (lot & ((1 << LOT_BITS) - 1)) + 1)
}

const SHARED: usize = 4_096; // texts at most

thread_local! {
    static TEXTS: RefCell<FxHashSet<Text>> = RefCell::default();
}

/// Read a text of which there are few, such as the name of a rule: one that this thread has read before is the same.
pub fn shared<'de, D: Deserializer<'de>>(from: D) -> Result<Text, D::Error> {
    from.deserialize_str(Sharing)
}

struct Sharing;

impl de::Visitor<'_> for Sharing {
    type Value = Text;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
        TEXTS.with_borrow_mut(|texts| {
            if let Some(known) = texts.get(text) {
                return Ok(known.clone());
            }
            if texts.len() == SHARED {
                texts.clear();
            }
            let new = Text::from(text);
            texts.insert(new.clone());
            Ok(new)
        })
    }
}

/// A figure of a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Figure {
    Number(i64),
    Text(Text),
}

impl From<i64> for Figure {
    fn from(number: i64) -> Figure {
        Figure::Number(number)
    }
}

impl From<&Text> for Figure {
    fn from(text: &Text) -> Figure {
        Figure::Text(text.clone())
    }
}

impl From<&str> for Figure {
    fn from(text: &str) -> Figure {
        Figure::Text(text.into())
    }
}

impl From<String> for Figure {
    fn from(text: String) -> Figure {
        Figure::Text(text.into())
    }
}

impl Default for Figure {
    fn default() -> Figure {
        Figure::Number(0)
    }
}

tagged! {
    /// One change of an account.
    plain Change {
        /// Points came in as a new lot: `base` is what the rule counted (fen), `uncapped` what it came to before caps.
        Earned "earned" { kind: Text, lot: i64, points: i64, rule: Text, earned_at: i64, expires_at: i64, pending_until: i64, page: Text, line: Text, base: i64, uncapped: i64, card: Text, returnable: bool }
        /// What is left of points that a card had released from a trial waits for another card, to lapse otherwise.
        Refrozen "refrozen" { kind: Text, lot: i64, points: i64, pending_until: i64 }
        /// A lot that has just come in is pending for another reason than a trial: `waits` 1 its time, 2 a claim.
        Waiting "waiting" { kind: Text, lot: i64, waits: i64 }
        /// A pending lot became spendable.
        Confirmed "confirmed" { kind: Text, lot: i64, points: i64 }
        /// A redemption took points of a lot.
        Spent "spent" { kind: Text, lot: i64, points: i64, redemption: Text }
        /// Points of a lot (pending ones too) ended at `due_at`.
        Expired "expired" { kind: Text, lot: i64, points: i64, due_at: i64 }
        /// Points were taken from a lot; `origin` is the rule or cause whose award is taken back.
        ClawedBack "clawed-back" { kind: Text, lot: i64, points: i64, origin: Text, line: Text }
        /// Points of a lot that had become spendable paid for debt.
        Repaid "repaid" { kind: Text, lot: i64, points: i64 }
        /// Held points of a lot were taken for good.
        Captured "captured" { kind: Text, lot: i64, points: i64, hold: Text }
        /// Points of a lot (pending ones too) were lost, as the account is closed.
        Forfeited "forfeited" { kind: Text, lot: i64, points: i64 }
        /// Points that were spent came back to their own lot, which is opened again where it was gone.
        Restored "restored" { kind: Text, lot: i64, points: i64, redemption: Text, rule: Text, earned: i64, earned_at: i64, expires_at: i64, returnable: bool }
        /// A hold took points of a lot, to end by itself at `until_at`.
        Held "held" { kind: Text, lot: i64, points: i64, hold: Text, until_at: i64 }
        /// Held points went back to their lot; `due_at` is 0 unless the hold ended by itself.
        Released "released" { kind: Text, lot: i64, points: i64, hold: Text, due_at: i64 }
        /// A claim that no spendable point could meet became debt.
        DebtIncurred "indebted" { kind: Text, points: i64, origin: Text, line: Text }
        /// A claim that no spendable point could meet is to reduce the refund by `fen`.
        PaidInCash "paid-in-cash" { kind: Text, points: i64, fen: i64, origin: Text, line: Text }
        /// A claim that no spendable point could meet was given up (policy clamp).
        WrittenOff "written-off" { kind: Text, points: i64, origin: Text, line: Text }
        /// Points that a penalty had taken came back to their own lot, which is opened again where it was gone.
        GivenBack "given-back" { kind: Text, lot: i64, points: i64, origin: Text, rule: Text, earned: i64, earned_at: i64, expires_at: i64, returnable: bool }
        /// Debt that a penalty had made is owed no more.
        Forgiven "forgiven" { kind: Text, points: i64, origin: Text }
        /// Points of a lot left the account for another, by a gift.
        Sent "sent" { kind: Text, lot: i64, points: i64, transfer: Text }
        /// Points that `frm` gave came in as a new lot, with the rule, the instant and the end that they had there.
        Received "received" { kind: Text, lot: i64, points: i64, rule: Text, earned_at: i64, expires_at: i64, frm: Text, transfer: Text }
        /// Points of a gift came back to the very lot that they had left, which is opened again where it was gone.
        SentBack "sent-back" { kind: Text, lot: i64, points: i64, transfer: Text, rule: Text, earned: i64, earned_at: i64, expires_at: i64, returnable: bool }
        /// Points of a lot that `frm` had given went back there.
        Recalled "recalled" { kind: Text, lot: i64, points: i64, frm: Text, transfer: Text }
        /// A kind whose points end when it is idle was used: what there is of it ends at `until_at`, if not used again.
        IdleMoved "idle-moved" { kind: Text, until_at: i64 }
        /// A kind was not used for as long as its points last: all lots ended, and what comes back to them is gone.
        IdleEnded "idle-ended" { kind: Text, at: i64 }
        /// A score item moved in the bucket it belongs to; negative when it is taken back.
        Scored "scored" { score: Text, part: Text, rule: Text, month: i64, points: i64, page: Text, line: Text, base: i64, uncapped: i64 }
        /// A score item that does not age.
        ScoredOnce "scored-once" { score: Text, part: Text, rule: Text, points: i64, at: i64 }
        /// The reputation of the member changed, to one star up to five.
        Rated "rated" { stars: i64 }
        /// The credit score of the member changed.
        CreditSet "credit-set" { credit: i64 }
        /// What is known of a member from an instant on: a text or number; an empty text: it is no longer known.
        AttributeTold "attribute-told" { attribute: Text, value: Figure, since_at: i64 }
        /// The member joined a shop; for the reader only, a page of its own keeps it.
        Joined "joined" { shop: Text }
        /// A late fact or a return moved the settled scores of the months `first` to `last`.
        Resettled "resettled" { score: Text, first_month: i64, last_month: i64 }
        /// A score has another tier from an instant on; the empty name is below the first.
        TierMoved "tier-moved" { score: Text, before: Text, after: Text, at: i64 }
        /// A tier was reached, or is held on, and does not fall by ageing before `until_at`.
        TierHeld "tier-held" { score: Text, tier: Text, at: i64, until_at: i64, value: i64, first: i64, needs: i64 }
        /// A tier is held no longer: it is over, pierced by what was taken back, or another is held instead.
        TierHoldEnded "tier-hold-ended" { score: Text, tier: Text, at: i64, why: Text }
        /// A tier was granted until an instant: a floor, or of an invited tier the permission.
        TierGranted "tier-granted" { grant: Text, score: Text, tier: Text, until_at: i64 }
        /// A granted tier ended: its time is `over`, or it was `withdrawn`.
        TierGrantEnded "tier-grant-ended" { grant: Text, score: Text, tier: Text, at: i64, why: Text }
        /// A rule's counter of a bucket grew: a month (year * 12 + month - 1), a year, or 0 for ever.
        CounterAdded "counted" { rule: Text, bucket: i64, by: i64 }
        /// Something was met for the first time (a category; in a month's bucket, a day as YYYY-MM-DD).
        FirstSeen "marked" { rule: Text, bucket: i64, mark: Text }
        /// Sums, counters and ended terms before `month` (which begins `at`) were dropped; no fact may come that late.
        HistoryPruned "forgot" { month: i64, at: i64 }
        /// A rule that applied gave nothing, and why; for the reader only.
        Withheld "withheld" { rule: Text, why: Text, line: Text, would: i64 }
        /// What a rule gives next was multiplied by `by`, such as "3/2", and rounded once; for the reader only.
        Multiplied "multiplied" { rule: Text, line: Text, by: Text }
        /// A card's term was laid.
        TermOpened "term-opened" { membership: Text, card: Text, product: Text, from_at: i64, until_at: i64, trial: bool, bought_at: i64 }
        /// A term just laid is one of `months` by the calendar; its end has the local day and time of `anchor_at`.
        TermAnchored "term-anchored" { membership: Text, card: Text, months: i64, anchor_at: i64 }
        /// A term was cut short, moved up, or taken out. A trial's frozen points then wait until `pending_until`.
        TermMoved "term-moved" { membership: Text, card: Text, from_at: i64, until_at: i64, why: Text, pending_until: i64 }
        /// A term came to its end.
        TermEnded "term-ended" { membership: Text, card: Text, at: i64 }
        /// A card was bought for a trial's frozen points.
        TrialConverted "trial-converted" { membership: Text, card: Text }
        /// The card that was bought for a trial's frozen points was refunded whole: they wait for another one.
        TrialReverted "trial-reverted" { membership: Text, card: Text }
        /// A benefit of a card was given; `bucket` is the month or year its quota counts by, 0: the term.
        BenefitUsed "benefit-used" { membership: Text, card: Text, benefit: Text, bucket: i64 }
        /// A claim of a benefit was given back in the `bucket` where it was counted; with no `card` no card counted it.
        BenefitGivenBack "benefit-given-back" { membership: Text, card: Text, benefit: Text, bucket: i64, claim: Text, shop: Text, order: Text, line: Text }
        /// A benefit was given that no card counts: the account does in a `bucket`, or a `shop`, or a `line` of an order.
        BenefitCounted "benefit-counted" { benefit: Text, bucket: i64, membership: Text, card: Text, shop: Text, order: Text, line: Text }
        /// A line that completed has the right to a benefit until an instant; the `card` of a membership may give it.
        RightGiven "right-given" { benefit: Text, order: Text, line: Text, until_at: i64, membership: Text, card: Text }
        /// All pieces of a line came back, and with them went its right to a benefit.
        RightEnded "right-ended" { benefit: Text, line: Text, membership: Text, card: Text }
        /// The account refuses requests from now on.
        Frozen "frozen" { reason: Text }
        /// The account takes requests again.
        Unfrozen "unfrozen" { reason: Text }
        /// The account was closed: requests are refused, and of facts only returns count.
        Closed "closed" { reason: Text }
        /// The closed account goes on, with no points.
        Reopened "reopened" { reason: Text }
        /// Of a pool or a lease of one: `n` of a `bucket` were given to an ask of the account `frm`.
        Drawn "drawn" { frm: Text, ask: Text, n: i64, bucket: i64 }
        /// Of a pool or a lease of one: so much of what an ask was given came back.
        PutBack "put-back" { frm: Text, ask: Text, n: i64, bucket: i64 }
        /// A pool gave a lease of it a block of `n`, or took some of it back; both write it down.
        Leased "leased" { lease: Text, n: i64, bucket: i64 }
        /// Of a house: a member took a seat in a membership of it, through a card.
        Seated "seated" { who: Text, membership: Text, card: Text }
        /// Of a house: a member left.
        Unseated "unseated" { who: Text, membership: Text }
        /// Of a member: by entry `n` of a house, the seat there has this term; none is left where it ends as it begins.
        SeatMoved "seat-moved" { house: Text, n: i64, membership: Text, card: Text, product: Text, from_at: i64, until_at: i64 }
        /// A follow-up fact left for the account `to`: `k` counts those of the entry, `data` is the JSON of its data.
        Told "told" { k: i64, to: Text, fact: Text, time: i64, at: i64, data: Text }
        /// What follows in this entry is done under a name that the account took in; empty: under its own.
        Under "under" { name: Text }
        /// The account knows one name more, by which it numbers lots: the first is 1.
        NameKnown "name-known" { name: Text }
        /// The account is `asking` another to take its names in, `moving` there, or moving some `back`; empty: neither.
        Merging "merging" { state: Text, to: Text, era: i64, names: Text, i: i64 }
        /// The account said yes to taking a name in, which `frm` asked for; empty: it is awaited no more.
        Awaited "awaited" { name: Text, frm: Text }
        /// A name is part of the account from now on, with what is counted under it; empty: the account's own came back.
        NameCame "name-came" { name: Text, era: i64, through: Text, share: Text }
        /// A name, with all that is counted under it, left for the account `to`; empty: the account's own.
        NameLeft "name-left" { name: Text, to: Text }
        /// The account is another name of the account `head` from now on; empty: it lives again.
        Aliased "aliased" { head: Text, era: i64, names: Text }
        /// A lot left for the account `to` with its name: `points` that were free, and `held` that are on hold.
        MovedOut "moved-out" { kind: Text, lot: i64, points: i64, held: i64, to: Text }
        /// A lot came from the account `frm`, or points came back to one, as it was there.
        MovedIn "moved-in" { kind: Text, lot: i64, points: i64, held: i64, rule: Text, earned: i64, earned_at: i64, expires_at: i64, pending_until: i64, returnable: bool, waits: i64, frm: Text }
        /// A hold left with its name.
        HoldLeft "hold-left" { hold: Text }
        /// Points of a lot are held by a hold that came with its name.
        HoldCame "hold-came" { kind: Text, lot: i64, points: i64, hold: Text, until_at: i64 }
        /// Points that a name's hold keeps of another's lot are the hold's own name's from now on, in a lot `to_lot`.
        HoldShifted "hold-shifted" { kind: Text, lot: i64, to_lot: i64, points: i64, hold: Text }
        /// Debt came with a name, or (below 0) left with it.
        DebtMoved "debt-moved" { kind: Text, points: i64 }
        /// A card's term came with a name; `term` is all that was known of it, as JSON.
        TermCame "term-came" { membership: Text, card: Text, term: Text }
        /// A card's term left with its name.
        TermLeft "term-left" { membership: Text, card: Text }
        /// The fact of this entry waits for a name that is on its way.
        Delayed "delayed" { number: i64 }
        /// The fact of an earlier entry, which waited for a name, is decided here: what came of it.
        DecidedLate "decided-late" { number: i64, outcome: Text, reason: Text }
    }
}

/// One decision about one fact. `fact` is its canonical bytes, `received` the SHA-256 of what was received.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry<'a> {
    pub member: Text,
    pub number: i64,
    pub partition: i64,
    pub offset: i64,
    pub occurred: i64,
    pub recorded: i64,
    pub clock: i64,
    pub backlog: bool,
    pub version: Text,
    pub engine: i64,
    pub outcome: i64,
    pub reason: Text,
    pub figures: Figures,
    pub changes: Vec<Change>,
    #[serde(borrow)]
    pub fact: Bytes<'a>,
    #[serde(borrow)]
    pub received: Bytes<'a>,
    /// By how many microseconds `recorded` is later than the clock said; left out where it is not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pushed: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Bytes that are stored as such.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <&'a [u8]>::deserialize(from).map(Bytes)
    }
}

/// Return the SHA-256 of an entry's bytes.
pub fn leaf_of(state: &[u8]) -> [u8; 32] {
    Sha256::digest(state).into()
}

/// Return the chain's next link.
pub fn link_after(previous: &[u8; 32], leaf: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(previous).chain_update(leaf).finalize().into()
}
