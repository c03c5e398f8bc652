//! How points move: earned into lots, spent from them in burn order, restored to them, clawed back to the last point.

use crate::account::Lot;
use crate::draft::{Done, Draft, MAX_TOTAL, Stop, bounded};
use crate::entries::{
    ClawedBack, Confirmed, DebtIncurred, Earned, Expired, Forfeited, Forgiven, GivenBack, IdleEnded, IdleMoved,
    PaidInCash, Released, Repaid, Restored, Scored, Spent, Text, Waiting, WrittenOff,
};
use crate::handed_back::HandedBack;
use crate::pages::{Award, Fined, LotPage, Part, RedemptionPage};
use crate::programme::{OPENS, Shortfall, base_of};
use crate::times::MAX_INSTANT;

/// Open a lot and let it meet what waits for it: its lapse, its expiry, or debt. Returns its key.
///
/// `waits` says for what it is pending, if not for a card.
pub fn earn(draft: &mut Draft, earned: Earned, waits: i64) -> Done<i64> {
    let (kind, key) = (earned.kind.clone(), earned.lot);
    let (pending_until, expires_at) = (earned.pending_until, earned.expires_at);
    let issued = draft.purse(&kind).map_or(0, |purse| purse.issued);
    if i128::from(issued) + i128::from(earned.points) > MAX_TOTAL {
        return Err(Stop::HandBack(HandedBack::OutOfRange));
    }
    if !draft.version.idle.is_empty() {
        keep_alive(draft, &kind)?;
    }
    let meets_debt = draft.purse(&kind).is_some_and(|purse| purse.debt != 0 || purse.idle_until != 0);
    draft.emit(earned)?;
    if waits != 0 {
        draft.emit(Waiting { kind: kind.clone(), lot: key, waits })?;
        end_waiting(draft, &kind, key, draft.clock)?;
    } else if pending_until != 0 {
        if pending_until <= draft.clock {
            expire(draft, &kind, key, pending_until)?;
        }
    } else if expires_at <= draft.clock || meets_debt {
        repay_or_expire(draft, &kind, key, draft.clock)?;
    }
    Ok(key)
}

/// Let a lot that waits for its time or a claim become spendable, lapse or expire, as far as that is due.
pub fn end_waiting(draft: &mut Draft, kind: &Text, key: i64, now: i64) -> Done {
    let lot = lot_of(draft, kind, key);
    let due = lot.due_at();
    if due > now {
        return Ok(());
    }
    if lot.waits == OPENS && lot.pending_until < lot.expires_at {
        let points = lot.left;
        draft.emit(Confirmed { kind: kind.clone(), lot: key, points })?;
        repay_or_expire(draft, kind, key, now)
    } else {
        expire(draft, kind, key, due)
    }
}

fn lot_of<'a>(draft: &'a Draft, kind: &str, key: i64) -> &'a Lot {
    draft.account.lot(kind, key).expect("the lot is open")
}

/// Return which spendable lots a burn of `points` takes: (lot, points) in burn order. The sum may fall short.
pub fn take(draft: &Draft, kind: &str, points: i64) -> Vec<(i64, i64)> {
    let Some(purse) = draft.purse(kind) else {
        return vec![];
    };
    let spendable = purse.lots.iter().filter(|(_, lot)| lot.left != 0 && lot.pending_until == 0);
    let mut lots: Vec<(i64, i64, i64)> = spendable.map(|(key, lot)| (lot.expires_at, *key, lot.left)).collect();
    if &*draft.version.kind(kind).burn != "oldest" {
        lots.sort_by_key(|(expires_at, _, _)| *expires_at); // stable: of equal ends the oldest
    }
    let mut rest = points;
    let mut taken = Vec::new();
    for (_, key, left) in lots {
        if rest == 0 {
            break;
        }
        let part = rest.min(left);
        taken.push((key, part));
        rest -= part;
    }
    taken
}

/// Burn spendable points (there are enough) and return the parts for the redemption's page.
pub fn spend(draft: &mut Draft, kind: &Text, points: i64, redemption: &Text) -> Done<Vec<Part>> {
    if !draft.version.idle.is_empty() {
        keep_alive(draft, kind)?;
    }
    let mut parts = Vec::new();
    for (key, part) in take(draft, kind, points) {
        parts.push(part_of(lot_of(draft, kind, key), key, part));
        draft.emit(Spent { kind: kind.clone(), lot: key, points: part, redemption: redemption.clone() })?;
    }
    Ok(parts)
}

/// Return what a burn of `points` is about to take of each lot, with all that is needed to give it back.
pub fn parts_of(draft: &Draft, kind: &str, points: i64) -> Vec<Part> {
    take(draft, kind, points).into_iter().map(|(key, part)| part_of(lot_of(draft, kind, key), key, part)).collect()
}

/// Give points that a penalty took back to their lots; what had become debt is forgiven, or given back if repaid.
pub fn owe_back(draft: &mut Draft, fined: &Fined) -> Done {
    let kind = &fined.kind;
    for part in fined.parts.iter().rev() {
        give_back(draft, kind, &fined.rule, part)?;
    }
    let forgiven = fined.debt.min(draft.account.debt(kind));
    if forgiven != 0 {
        draft.emit(Forgiven { kind: kind.clone(), points: forgiven, origin: fined.rule.clone() })?;
    }
    let repaid = fined.debt - forgiven;
    if repaid != 0 {
        let (lot, earned_at) = (draft.next_lot()?, draft.occurred);
        let part = Part {
            lot,
            points: repaid,
            rule: fined.rule.clone(),
            earned: repaid,
            earned_at,
            expires_at: draft.version.expires_at(kind, earned_at),
            ..Part::default()
        };
        give_back(draft, kind, &fined.rule, &part)?;
    }
    Ok(())
}

fn give_back(draft: &mut Draft, kind: &Text, origin: &Text, part: &Part) -> Done {
    draft.emit(GivenBack {
        kind: kind.clone(),
        lot: part.lot,
        points: part.points,
        origin: origin.clone(),
        rule: part.rule.clone(),
        earned: part.earned,
        earned_at: part.earned_at,
        expires_at: part.expires_at,
        returnable: part.returnable,
    })?;
    repay_or_expire(draft, kind, part.lot, draft.clock)
}

/// Return what a redemption's page keeps of points that it takes from a lot.
pub fn part_of(lot: &Lot, key: i64, points: i64) -> Part {
    Part {
        lot: key,
        points,
        rule: lot.rule.clone(),
        earned: lot.earned,
        earned_at: lot.earned_at,
        expires_at: lot.expires_at,
        returnable: lot.returnable,
        ..Part::default()
    }
}

/// Give up to `points` of a redemption back to their lots, the last taken first. Returns how many there were.
///
/// `key` is that of its page.
pub fn restore(draft: &mut Draft, redemption: &Text, mut page: RedemptionPage, points: i64, key: String) -> Done<i64> {
    let mut rest = points;
    let of_page = page.kind.clone();
    for part in page.parts.iter_mut().rev() {
        let back = rest.min(part.points - part.restored);
        if back == 0 {
            continue;
        }
        part.restored += back;
        rest -= back;
        let kind = if of_page.is_empty() { part.kind.clone() } else { of_page.clone() };
        let idle_ended = draft.purse(&kind).map_or(0, |purse| purse.idle_ended);
        if !draft.version.idle.is_empty() && part.lot >= idle_ended {
            keep_alive(draft, &kind)?;
        }
        draft.emit(Restored {
            kind: kind.clone(),
            lot: part.lot,
            points: back,
            redemption: redemption.clone(),
            rule: part.rule.clone(),
            earned: part.earned,
            earned_at: part.earned_at,
            expires_at: part.expires_at,
            returnable: part.returnable,
        })?;
        repay_or_expire(draft, &kind, part.lot, draft.clock)?;
    }
    draft.put(key, page);
    Ok(points - rest)
}

/// Take back what an award still holds above `keep`, a score item from its month and points from lots.
pub fn claw_back(draft: &mut Draft, award: &mut Award, keep: i64, line: &Text) -> Done {
    let mut claim = award.held - keep;
    if claim <= 0 {
        return Ok(());
    }
    award.held = keep;
    if !award.score.is_empty() {
        return draft.score(Scored {
            score: award.score.clone(),
            part: award.part.clone(),
            rule: award.rule.clone(),
            month: award.month,
            points: -claim,
            line: line.clone(),
            ..Scored::default()
        });
    }
    let mut short = 0;
    for place in (0..award.grown.len()).rev() {
        // of an amended line: the newest lot first
        let grown = &mut award.grown[place];
        let part = claim.min(grown.held);
        grown.held -= part;
        claim -= part;
        let lot = grown.lot;
        short += take_own(draft, award, lot, part, line)?;
    }
    short += take_own(draft, award, award.lot, claim, line)?;
    if short != 0 {
        collect(draft, &award.kind, short, &award.rule, line)?;
    }
    Ok(())
}

/// Claim points of a lot of an award's own. Returns what is to come from others: it was spent.
fn take_own(draft: &mut Draft, award: &Award, key: i64, claim: i64, line: &Text) -> Done<i64> {
    if claim == 0 {
        return Ok(0);
    }
    let mut claim = claim;
    // a kind that the account has no purse of is a fault, and not an award that is gone
    let own = draft.account.purses[&award.kind].lots.get(&key).map_or(0, |lot| claim.min(lot.left));
    if own != 0 {
        draft.emit(ClawedBack {
            kind: award.kind.clone(),
            lot: key,
            points: own,
            origin: award.rule.clone(),
            line: line.clone(),
        })?;
        claim -= own;
    }
    if claim != 0 {
        let name = format!("lot/{key}");
        if let Some(mut page) = draft.page::<LotPage>(&name)? {
            let gone = page.expired + if draft.account.closed { 0 } else { page.forfeited };
            if gone > page.met {
                let met = claim.min(gone - page.met); // what expired is gone and is not asked for again
                page.met = bounded(i128::from(page.met) + i128::from(met))?;
                claim -= met;
                draft.put(name, page);
            }
        }
    }
    Ok(claim)
}

/// Take a claim from spendable lots in burn order; what remains follows the kind's shortfall policy.
pub fn collect(draft: &mut Draft, kind: &Text, claim: i64, origin: &Text, line: &Text) -> Done {
    let mut claim = claim;
    for (key, points) in take(draft, kind, claim) {
        draft.emit(ClawedBack { kind: kind.clone(), lot: key, points, origin: origin.clone(), line: line.clone() })?;
        claim -= points;
    }
    if claim == 0 {
        return Ok(());
    }
    let currency = draft.version.kind(kind);
    let (kind, origin, line) = (kind.clone(), origin.clone(), line.clone());
    if currency.shortfall == Shortfall::Clamp || draft.account.closed {
        return draft.emit(WrittenOff { kind, points: claim, origin, line });
    }
    if currency.shortfall == Shortfall::Cash {
        let points = claim.min(draft.refund_fen / currency.fen);
        if points != 0 {
            let fen = points * currency.fen;
            draft.refund_fen -= fen;
            let change = PaidInCash { kind: kind.clone(), points, fen, origin: origin.clone(), line: line.clone() };
            draft.emit(change)?;
            claim -= points;
        }
    }
    if claim != 0 {
        if i128::from(draft.account.debt(&kind)) + i128::from(claim) > MAX_TOTAL {
            return Err(Stop::HandBack(HandedBack::OutOfRange));
        }
        draft.emit(DebtIncurred { kind, points: claim, origin, line })?;
    }
    Ok(())
}

/// Return what is kept of a lot, a page of its own where nothing is yet.
pub fn lot_page(draft: &mut Draft, key: i64) -> Done<LotPage> {
    Ok(draft.page(&format!("lot/{key}"))?.unwrap_or_default())
}

/// End what is left of a lot, and keep on its page how much that was, if a return may ask.
pub fn expire(draft: &mut Draft, kind: &Text, key: i64, due_at: i64) -> Done {
    let lot = lot_of(draft, kind, key);
    let (points, returnable) = (lot.left, lot.returnable);
    if returnable {
        let mut page = lot_page(draft, key)?;
        page.expired = bounded(i128::from(page.expired) + i128::from(points))?;
        draft.put(format!("lot/{key}"), page);
    }
    draft.emit(Expired { kind: kind.clone(), lot: key, points, due_at })
}

/// Take what is left of a lot of a closed account, and keep on its page how much that was, if a claim may ask.
pub fn forfeit(draft: &mut Draft, kind: &Text, key: i64) -> Done {
    let lot = lot_of(draft, kind, key);
    let (points, returnable) = (lot.left, lot.returnable);
    if returnable {
        let mut page = lot_page(draft, key)?;
        page.forfeited = bounded(i128::from(page.forfeited) + i128::from(points))?;
        draft.put(format!("lot/{key}"), page);
    }
    draft.emit(Forfeited { kind: kind.clone(), lot: key, points })
}

/// Points have just become spendable in a lot: they expire at once if they are due, or repay debt first.
///
/// On a closed account what is not due is forfeited.
pub fn repay_or_expire(draft: &mut Draft, kind: &Text, key: i64, now: i64) -> Done {
    let purse = &draft.account.purses[kind];
    let lot = &purse.lots[&key];
    if lot.pending_until != 0 {
        // they came back to points of a trial that are frozen again
        if lot.pending_until <= now {
            return expire(draft, kind, key, now);
        }
    } else if purse.end_of(lot) <= now || key < purse.idle_ended {
        return expire(draft, kind, key, now);
    } else if draft.account.closed {
        if lot.left != 0 {
            return forfeit(draft, kind, key);
        }
    } else if purse.debt > 0 && lot.left != 0 {
        let points = purse.debt.min(lot.left);
        return draft.emit(Repaid { kind: kind.clone(), lot: key, points });
    }
    Ok(())
}

/// Move the end of a kind that ends when idle: it was earned or spent now. Nothing happens to other kinds.
pub fn keep_alive(draft: &mut Draft, kind: &Text) -> Done {
    if let Some(idle) = draft.version.idle.get(base_of(kind)) {
        let until_at = (draft.occurred + idle).min(MAX_INSTANT);
        if until_at > draft.purse(kind).map_or(0, |purse| purse.idle_until) {
            draft.emit(IdleMoved { kind: kind.clone(), until_at })?;
        }
    }
    Ok(())
}

/// End all that is left of a kind that was idle for too long, pending points too.
pub fn end_idle(draft: &mut Draft, kind: &Text, at: i64) -> Done {
    let lots = &draft.account.purses[kind].lots;
    let left: Vec<i64> = lots.iter().filter(|(_, lot)| lot.left != 0).map(|(key, _)| *key).collect();
    for key in left {
        expire(draft, kind, key, at)?;
    }
    draft.emit(IdleEnded { kind: kind.clone(), at })
}

/// Give what a hold still keeps back to its lots, the last taken first; `due_at` where it ends by itself.
pub fn release_hold(draft: &mut Draft, name: &Text, now: i64, due_at: i64) -> Done {
    let Some(hold) = draft.account.holds.get(name) else {
        return Ok(());
    };
    let kind = hold.kind.clone();
    let parts: Vec<(i64, i64)> = hold.parts.iter().rev().map(|(lot, points)| (*lot, *points)).collect();
    for (lot, points) in parts {
        draft.emit(Released { kind: kind.clone(), lot, points, hold: name.clone(), due_at })?;
        repay_or_expire(draft, &kind, lot, now)?;
    }
    Ok(())
}
