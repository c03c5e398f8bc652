//! What is kept of each order, review, redemption, hold and card. `ledger/core/pages.py` is the same in Python.

use serde::{Deserialize, Serialize};

use crate::account::Term;
use crate::entries::{Map, Text};
use crate::tagged;

pub const OPEN: i64 = 0;
pub const PAID: i64 = 1;
pub const COMPLETED: i64 = 2;
pub const CANCELLED: i64 = 3;
pub const REJECTED: i64 = 4;

/// Return what an order that takes no claim on it is.
pub fn not_payable(status: i64) -> Option<&'static str> {
    match status {
        CANCELLED => Some("cancelled"),
        REJECTED => Some("rejected"),
        _ => None,
    }
}

/// A later lot of an award, which an amendment of its order opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrownLot {
    pub lot: i64,
    pub held: i64,
    pub expires_at: i64,
}

/// What a rule gave for a line or a review: points of a kind in a lot, or a score item of a month.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Award {
    pub rule: Text,
    pub given: i64,
    pub held: i64,
    pub kind: Text,
    pub lot: i64,
    pub expires_at: i64,
    pub score: Text,
    pub part: Text,
    pub month: i64,
    pub less: i64,
    pub grown: Vec<GrownLot>,
    pub card: Text,
    pub ordinary: i64,
    pub is_ordinary: bool,
}

impl Award {
    /// Return the A of the contract's formula: what was given, less what adjustments took of it.
    pub fn counted(&self) -> i64 {
        self.given - self.less
    }
}

/// A line's right to a benefit until an instant, and the card that gave it, if one did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Right {
    pub benefit: Text,
    pub until: i64,
    pub membership: Text,
    pub card: Text,
    pub product: Text,
    pub is_ended: bool,
}

/// A line of an order: pieces and fen bought, pieces and fen returned so far, and its awards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PageLine {
    pub line: Text,
    pub quantity: i64,
    pub paid_fen: i64,
    pub category: Text,
    pub returned: i64,
    pub refunded_fen: i64,
    pub reviewed: bool,
    pub awards: Vec<Award>,
    pub completion: i64,
    pub is_gone: bool,
    pub times: Option<Map<Text, Text>>,
    pub sku: Text,
    pub points: i64,
    pub rights: Vec<Right>,
    pub claimed: Option<Map<Text, i64>>,
}

/// Return what a line keeps of an award by what came back of it so far.
///
/// The contract's formula: K = 0 once all pieces are back, otherwise floor(A * (P - min(F, P)) / P).
pub fn kept_of(line: &PageLine, given: i64) -> i64 {
    if line.returned >= line.quantity {
        return 0;
    }
    let paid = line.paid_fen;
    if paid == 0 {
        return given;
    }
    let left = paid - line.refunded_fen.min(paid);
    (i128::from(given) * i128::from(left)).div_euclid(i128::from(paid)) as i64
}

/// What an order's fact said besides its lines, and the tags of those lines that have some of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SaidOfOrder {
    pub shop: Text,
    pub self_operated: bool,
    pub channel: Text,
    pub pay: Text,
    pub tags: Vec<Text>,
    /// A line to its tags.
    pub of_lines: Option<Map<Text, Vec<Text>>>,
}

/// Lines of an order completed together: when, by which version, and the card of each membership that held.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Completion {
    pub at: i64,
    pub version: Text,
    pub cards: Option<Map<Text, Text>>,
    pub said: Option<SaidOfOrder>,
}

/// A return that came before its lines completed: (line, pieces, refund in fen) each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EarlyReturn {
    pub return_: Text,
    pub refund_fen: i64,
    pub lines: Vec<(Text, i64, i64)>,
    pub points: i64,
}

/// Points that a redemption took from a lot, with all that is needed to open that lot again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Part {
    pub lot: i64,
    pub points: i64,
    pub rule: Text,
    pub earned: i64,
    pub earned_at: i64,
    pub expires_at: i64,
    pub returnable: bool,
    pub restored: i64,
    pub kind: Text,
}

/// What a penalty took for a fact: points of a score's month, or of a kind out of lots, and what became debt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fined {
    pub rule: Text,
    pub points: i64,
    pub kind: Text,
    pub parts: Vec<Part>,
    pub debt: i64,
    pub score: Text,
    pub part: Text,
    pub month: i64,
}

tagged! {
    /// A page, by what it is of.
    #[allow(clippy::enum_variant_names)]
    Page {
        /// An order: how far it has come, its lines, what was redeemed for it, and returns from before it completed.
        OrderPage "order" {
            status: i64, ended_at: i64, redeemed: i64, lines: Vec<PageLine>, redemptions: Vec<Text>,
            early: Vec<EarlyReturn>, more: bool, completions: Vec<Completion>, given: Option<Map<Text, i64>>,
            tendered: i64, claims: Vec<Text>, paid: Vec<PageLine>, redeemed_fen: i64,
        }
        /// A review: the line it is about, and what it was given.
        ReviewPage "review" { order: Text, line: Text, removed: bool, awards: Vec<Award> }
        /// A redemption: what it took, by lot; `kind` is empty where each part has its own.
        RedemptionPage "redemption" { kind: Text, order: Text, parts: Vec<Part> }
        /// A hold that was granted once, and how it ended.
        HoldPage "hold" { ended: Text }
        /// A card that was laid once.
        CardPage "card" {
            membership: Text, refunded: bool, paid_fen: Paid, orders: Vec<Text>, full: i64,
            released: Vec<(Text, i64)>, trial: Text, is_taken_back: bool, taken_out: Option<Term>,
        }
        /// Orders that earned at a card's rate, as many as a page takes.
        CardOrdersPage "card-orders" { orders: Vec<Text> }
        /// What of a lot is gone, and how much of that a claim has met already.
        LotPage "lot" { expired: i64, met: i64, claimed: bool, forfeited: i64, taken: i64 }
        /// What a rule gave on a day, and for what.
        DayPage "day" { given: i64, marks: Vec<Text> }
        /// An exchange: which one, the kind that it gave, and what it put into which lot.
        ExchangePage "exchange" { exchange: Text, gives: Text, lots: Vec<(i64, i64)>, is_reversed: bool }
        /// A score of one shop: its points by part, and the tier that was written down last.
        ScorePage "score" { parts: Map<Text, i64>, tier: Text }
        /// Points that a campaign granted: the lot they were put in.
        GrantPage "grant" { kind: Text, lot: i64 }
        /// A benefit that was given once, in the `bucket` that its quota counts by.
        ClaimPage "claim" {
            membership: Text, card: Text, benefit: Text, bucket: i64, is_returned: bool, shop: Text, order: Text,
            line: Text, awards: Vec<Award>, opened: Vec<Text>, has_tier: bool, by_account: bool,
        }
        /// How often a benefit was given at a shop, by bucket.
        QuotaPage "quota" { used: Map<i64, i64> }
        /// A business id that is taken.
        SeenPage "seen" {}
        /// An activity that was done: what it was given, and what it cost.
        ActivityPage "activity" { undone: bool, awards: Vec<Award>, fined: Vec<Fined> }
    }
}

/// What a card was paid in fen; -1 where it is not known, as of a page that engine 1 left.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Paid(pub i64);

impl Default for Paid {
    fn default() -> Paid {
        Paid(-1)
    }
}

impl OrderPage {
    /// Return the line of a name.
    pub fn line(&self, name: &str) -> Option<&PageLine> {
        self.lines.iter().find(|line| &*line.line == name)
    }

    /// Return the line of a name, to be changed.
    pub fn line_mut(&mut self, name: &str) -> Option<&mut PageLine> {
        self.lines.iter_mut().find(|line| &*line.line == name)
    }

    /// Return the instant at which a line of it completed.
    pub fn completed_at(&self, line: &PageLine) -> i64 {
        if self.completions.is_empty() { self.ended_at } else { self.completions[line.completion as usize].at }
    }
}

impl ScorePage {
    /// Return what the score comes to, never below 0.
    pub fn value(&self) -> i64 {
        self.parts.values().sum::<i64>().max(0)
    }
}

/// The key of the page that every member has who ever asked a budget or stock.
pub const ASKS: &str = "asks";

/// A kind of page, asked for by what it is.
pub trait Kind: Sized {
    /// Return the page if it is of this kind.
    fn of(page: Page) -> Option<Self>;
}

macro_rules! kinds {
    ($($name:ident),*) => {
        $(impl Kind for $name {
            fn of(page: Page) -> Option<$name> {
                match page {
                    Page::$name(page) => Some(page),
                    _ => None,
                }
            }
        })*
    };
}

kinds!(
    OrderPage,
    ReviewPage,
    RedemptionPage,
    HoldPage,
    CardPage,
    CardOrdersPage,
    LotPage,
    DayPage,
    ExchangePage,
    ScorePage,
    GrantPage,
    ClaimPage,
    QuotaPage,
    ActivityPage
);
