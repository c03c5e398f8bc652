//! What a change moves, from which named account to which: the postings of `ledger/core/postings.py`, in the same order.

use crate::account::{Account, Lot};
use crate::entries::{Change, Text};

/// A named account.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Place {
    Spendable,
    Pending,
    Held,
    Issued,
    Redeemed,
    Expired,
    ClawedBack,
    Forfeited,
    InTransit,
    Claimed,
    Debt,
    WrittenOff,
    CashShortfall,
}

use Place::{
    CashShortfall, Claimed, ClawedBack, Debt, Expired, Forfeited, Held, InTransit, Issued, Pending, Redeemed,
    Spendable, WrittenOff,
};

impl Place {
    /// Return true for where a member's own points stand.
    pub fn is_within(self) -> bool {
        matches!(self, Spendable | Pending | Held)
    }

    /// Return the name by which Python knows it.
    pub fn name(self) -> &'static str {
        match self {
            Spendable => "spendable",
            Pending => "pending",
            Held => "held",
            Issued => "issued",
            Redeemed => "redeemed",
            Expired => "expired",
            ClawedBack => "clawed_back",
            Forfeited => "forfeited",
            InTransit => "in_transit",
            Claimed => "claimed",
            Debt => "debt",
            WrittenOff => "written_off",
            CashShortfall => "cash_shortfall",
        }
    }
}

/// Points of a kind that moved; the end of their lot is 0 where they are in none. `fen` is what was paid for them.
#[derive(Clone, Debug)]
pub struct Posting {
    pub kind: Text,
    pub source: Place,
    pub destination: Place,
    pub points: i64,
    pub expires_at: i64,
    pub fen: i64,
}

/// Give what a change moves, none for one that moves no points; `account` is as it stands before the change.
///
/// Panics for a lot that the account has not. Changes about names are not given: their members are handed back.
pub fn postings_of(change: &Change, account: &Account, mut give: impl FnMut(Posting)) {
    let mut posting = |kind: &Text, source, destination, points, expires_at, fen| {
        give(Posting { kind: kind.clone(), source, destination, points, expires_at, fen });
    };
    let mut from_lot = |kind: &Text, lot: i64, points: i64, source, destination| {
        let lot = &account.purses[kind].lots[&lot];
        posting(kind, if lot.pending_until == 0 { source } else { Pending }, destination, points, lot.expires_at, 0);
    };
    match change {
        Change::Earned(of) => {
            let to = if of.pending_until == 0 { Spendable } else { Pending };
            posting(&of.kind, Issued, to, of.points, of.expires_at, 0);
        }
        Change::Confirmed(of) => from_lot(&of.kind, of.lot, of.points, Pending, Spendable),
        Change::Spent(of) => from_lot(&of.kind, of.lot, of.points, Spendable, Redeemed),
        Change::Restored(of) => {
            let to = free_place(account.lot(&of.kind, of.lot));
            posting(&of.kind, Redeemed, to, of.points, of.expires_at, 0);
        }
        Change::GivenBack(of) => posting(&of.kind, ClawedBack, Spendable, of.points, of.expires_at, 0),
        Change::Forgiven(of) => posting(&of.kind, Claimed, Debt, of.points, 0, 0),
        Change::Held(of) => from_lot(&of.kind, of.lot, of.points, Spendable, Held),
        Change::Released(of) => {
            let lot = &account.purses[&of.kind].lots[&of.lot];
            posting(&of.kind, Held, free_place(Some(lot)), of.points, lot.expires_at, 0);
        }
        Change::Captured(of) => {
            let lot = &account.purses[&of.kind].lots[&of.lot];
            posting(&of.kind, Held, Redeemed, of.points, lot.expires_at, 0);
        }
        Change::Refrozen(of) => from_lot(&of.kind, of.lot, of.points, Spendable, Pending),
        Change::Expired(of) => from_lot(&of.kind, of.lot, of.points, Spendable, Expired),
        Change::ClawedBack(of) => from_lot(&of.kind, of.lot, of.points, Spendable, ClawedBack),
        Change::Forfeited(of) => from_lot(&of.kind, of.lot, of.points, Spendable, Forfeited),
        Change::Sent(of) => from_lot(&of.kind, of.lot, of.points, Spendable, InTransit),
        Change::Recalled(of) => from_lot(&of.kind, of.lot, of.points, Spendable, InTransit),
        Change::Received(of) => posting(&of.kind, InTransit, Spendable, of.points, of.expires_at, 0),
        Change::SentBack(of) => {
            let to = free_place(account.lot(&of.kind, of.lot));
            posting(&of.kind, InTransit, to, of.points, of.expires_at, 0);
        }
        Change::Repaid(of) => {
            from_lot(&of.kind, of.lot, of.points, Spendable, ClawedBack);
            posting(&of.kind, Claimed, Debt, of.points, 0, 0);
        }
        Change::DebtIncurred(of) => posting(&of.kind, Debt, Claimed, of.points, 0, 0),
        Change::WrittenOff(of) => posting(&of.kind, WrittenOff, Claimed, of.points, 0, 0),
        Change::PaidInCash(of) => posting(&of.kind, CashShortfall, Claimed, of.points, 0, of.fen),
        _ => {}
    }
}

/// Return where free points of a lot stand.
fn free_place(lot: Option<&Lot>) -> Place {
    if lot.is_some_and(|lot| lot.pending_until != 0) { Pending } else { Spendable }
}
