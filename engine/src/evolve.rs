//! Apply one change to an account. It never refuses; what an integer grew to is returned, so that a bound can be kept.

use crate::account::{Account, Bundle, Lot, OpenHold, Purse, Seat, Term, TierGrant, TierHold, is_dropped};
use crate::benefits::{forget_days, quota_key};
use crate::entries::{Change, Entry, Figure, Map, SeatMoved, Text, lot_key};
use crate::programme::AT_SHOP;

const MAX_TIER_MOVES: usize = 256;
const SMALL: i64 = 1 << 31;

/// Apply a whole entry: its changes, number and clock.
///
/// From the first change that is about names on they are left out, as Python decides all that follows: later ones speak
/// of lots and terms that came with a name.
pub fn apply_entry(account: &mut Account, entry: &Entry) {
    for change in &entry.changes {
        if account.bundle.is_some() {
            break;
        }
        apply(account, change);
    }
    if entry.engine == 1 {
        account.tier_moves.clear(); // snapshots of that time have none
    }
    account.number = entry.number;
    account.clock = entry.clock;
}

/// Apply one change in place; return what it made grow, 0 where that needs no bound.
pub fn apply(account: &mut Account, change: &Change) -> i128 {
    match change {
        Change::Earned(change) => {
            let purse = account.purses.entry(change.kind.clone()).or_default();
            let lot = Lot {
                left: change.points,
                held: 0,
                earned: change.points,
                earned_at: change.earned_at,
                expires_at: change.expires_at,
                rule: change.rule.clone(),
                pending_until: change.pending_until,
                returnable: change.returnable,
                waits: 0,
            };
            purse.lots.insert(change.lot, lot);
            let issued = add(&mut purse.issued, change.points);
            account.is_due_by(if change.pending_until == 0 { change.expires_at } else { change.pending_until });
            if !change.card.is_empty() {
                for term in account.terms.values_mut().flatten() {
                    if term.card == change.card {
                        return issued.max(add(&mut term.capped, change.points));
                    }
                }
            }
            issued
        }
        Change::Scored(change) => scored(account, &change.score, change.month, &change.part, change.points),
        Change::Expired(change) => {
            let purse = &mut account.purses[&change.kind];
            take(purse, change.lot, change.points);
            add(&mut purse.expired, change.points)
        }
        Change::Spent(change) => {
            let purse = &mut account.purses[&change.kind];
            take(purse, change.lot, change.points);
            add(&mut purse.redeemed, change.points)
        }
        Change::ClawedBack(change) => {
            let purse = &mut account.purses[&change.kind];
            take(purse, change.lot, change.points);
            add(&mut purse.clawed_back, change.points)
        }
        Change::Repaid(change) => {
            let purse = &mut account.purses[&change.kind];
            take(purse, change.lot, change.points);
            purse.debt -= change.points;
            add(&mut purse.clawed_back, change.points)
        }
        Change::Forfeited(change) => {
            let purse = &mut account.purses[&change.kind];
            take(purse, change.lot, change.points);
            add(&mut purse.forfeited, change.points)
        }
        Change::FirstSeen(change) => {
            if change.bucket == 0 {
                account.marks.entry(change.rule.clone()).or_default().insert(change.mark.clone());
            } else {
                let day: u32 = change.mark[change.mark.len() - 2..].parse().expect("a day ends in two digits");
                let days = account.days.entry(change.bucket).or_default();
                *days.entry(change.rule.clone()).or_insert(0) |= 1 << day;
            }
            0
        }
        Change::CounterAdded(change) => {
            let counts = account.counts.entry(change.bucket).or_default();
            add(counts.entry(change.rule.clone()).or_insert(0), change.by)
        }
        Change::Restored(change) => {
            let purse = &mut account.purses[&change.kind];
            purse.redeemed -= change.points;
            let lot = purse.lots.get_or_open(change.lot, || {
                reopened(&change.rule, change.earned, change.earned_at, change.expires_at, change.returnable)
            });
            let left = add(&mut lot.left, change.points);
            let due = if lot.pending_until == 0 { lot.expires_at } else { lot.pending_until };
            account.is_due_by(due);
            left
        }
        Change::Sent(change) => {
            let purse = &mut account.purses[&change.kind];
            take(purse, change.lot, change.points);
            add(&mut purse.gone, change.points)
        }
        Change::Recalled(change) => {
            let purse = &mut account.purses[&change.kind];
            take(purse, change.lot, change.points);
            add(&mut purse.gone, change.points)
        }
        Change::Received(change) => {
            let purse = account.purses.entry(change.kind.clone()).or_default();
            let lot = Lot {
                left: change.points,
                held: 0,
                earned: change.points,
                earned_at: change.earned_at,
                expires_at: change.expires_at,
                rule: change.rule.clone(),
                pending_until: 0,
                returnable: false,
                waits: 0,
            };
            purse.lots.insert(change.lot, lot);
            let come = add(&mut purse.come, change.points);
            account.is_due_by(change.expires_at);
            come
        }
        Change::SentBack(change) => {
            let purse = &mut account.purses[&change.kind];
            let come = add(&mut purse.come, change.points);
            let lot = purse.lots.get_or_open(change.lot, || {
                reopened(&change.rule, change.earned, change.earned_at, change.expires_at, change.returnable)
            });
            add(&mut lot.left, change.points);
            let due = if lot.pending_until == 0 { lot.expires_at } else { lot.pending_until };
            account.is_due_by(due);
            come
        }
        Change::GivenBack(change) => {
            let purse = &mut account.purses[&change.kind];
            purse.clawed_back -= change.points;
            let lot = purse.lots.get_or_open(change.lot, || {
                reopened(&change.rule, change.earned, change.earned_at, change.expires_at, change.returnable)
            });
            let left = add(&mut lot.left, change.points);
            let due = lot.expires_at;
            account.is_due_by(due);
            left
        }
        Change::Waiting(change) => {
            let lot = lot_of(account, &change.kind, change.lot);
            lot.waits = change.waits;
            let due = lot.due_at();
            account.is_due_by(due);
            0
        }
        Change::Forgiven(change) => {
            account.purses[&change.kind].debt -= change.points;
            0
        }
        Change::Confirmed(change) => {
            let lot = lot_of(account, &change.kind, change.lot);
            lot.pending_until = 0;
            lot.waits = 0;
            let due = lot.expires_at;
            account.is_due_by(due);
            0
        }
        Change::Refrozen(change) => {
            lot_of(account, &change.kind, change.lot).pending_until = change.pending_until;
            account.is_due_by(change.pending_until);
            0
        }
        Change::DebtIncurred(change) => {
            add(&mut account.purses.entry(change.kind.clone()).or_default().debt, change.points)
        }
        Change::PaidInCash(change) => {
            add(&mut account.purses.entry(change.kind.clone()).or_default().cash_shortfall_fen, change.fen)
        }
        Change::WrittenOff(change) => {
            add(&mut account.purses.entry(change.kind.clone()).or_default().written_off, change.points)
        }
        Change::Held(change) => {
            let lot = lot_of(account, &change.kind, change.lot);
            lot.left -= change.points;
            lot.held += change.points;
            if !account.holds.contains_key(&change.hold) {
                let hold = OpenHold { kind: change.kind.clone(), until: change.until_at, parts: Map::default() };
                account.holds.insert(change.hold.clone(), hold);
                account.is_due_by(change.until_at);
            }
            *account.holds[&change.hold].parts.entry(change.lot).or_insert(0) += change.points;
            0
        }
        Change::Captured(change) => {
            let purse = &mut account.purses[&change.kind];
            let lot = purse.lots.get_mut(&change.lot).expect("a captured lot is open");
            lot.held -= change.points;
            if lot.left == 0 && lot.held == 0 {
                purse.lots.remove(&change.lot);
            }
            let redeemed = add(&mut purse.redeemed, change.points);
            end_part(account, &change.hold, change.lot, change.points);
            redeemed
        }
        Change::Released(change) => {
            let lot = lot_of(account, &change.kind, change.lot);
            lot.held -= change.points;
            lot.left += change.points;
            let due = if lot.pending_until == 0 { lot.expires_at } else { lot.pending_until };
            account.is_due_by(due);
            end_part(account, &change.hold, change.lot, change.points);
            0
        }
        Change::IdleMoved(change) => {
            account.purses.entry(change.kind.clone()).or_default().idle_until = change.until_at;
            account.is_due_by(change.until_at);
            0
        }
        Change::IdleEnded(change) => {
            let ended = lot_key(account.number + 1, 0);
            let purse = &mut account.purses[&change.kind];
            purse.idle_until = 0;
            purse.idle_ended = ended;
            0
        }
        Change::ScoredOnce(change) => {
            let key = format!("{}/{}/{}", change.score, change.part, change.rule);
            account.once.insert(key.into(), change.points);
            if let Some(holds) = account.tier_holds.get_mut(&change.score) {
                holds.values_mut().for_each(|hold| hold.value += change.points);
            }
            extent_of_score(account, &change.score)
        }
        Change::Rated(change) => {
            account.stars = change.stars;
            0
        }
        Change::CreditSet(change) => {
            account.credit = change.credit;
            0
        }
        Change::TierMoved(change) => {
            if !change.score.contains(AT_SHOP) {
                account.tiers.insert(change.score.clone(), change.after.clone());
                match account.tier_moves.get_mut(&change.score) {
                    None => {
                        let moves = vec![(0, change.before.clone()), (change.at, change.after.clone())];
                        account.tier_moves.insert(change.score.clone(), moves);
                    }
                    Some(moves) => {
                        if moves.len() > MAX_TIER_MOVES {
                            moves.remove(0);
                        }
                        moves.push((change.at, change.after.clone()));
                    }
                }
            }
            0
        }
        Change::TierHeld(change) => {
            let hold =
                TierHold { until: change.until_at, value: change.value, first: change.first, needs: change.needs };
            account.tier_holds.entry(change.score.clone()).or_default().insert(change.tier.clone(), hold);
            account.is_due_by(change.until_at);
            0
        }
        Change::TierHoldEnded(change) => {
            let holds = &mut account.tier_holds[&change.score];
            holds.shift_remove(&change.tier).expect("a hold that ends is there");
            if holds.is_empty() {
                account.tier_holds.shift_remove(&change.score);
            }
            0
        }
        Change::TierGranted(change) => {
            let grant = TierGrant { score: change.score.clone(), tier: change.tier.clone(), until: change.until_at };
            account.grants.insert(change.grant.clone(), grant);
            account.is_due_by(change.until_at);
            0
        }
        Change::TierGrantEnded(change) => {
            account.grants.shift_remove(&change.grant).expect("a grant that ends is there");
            0
        }
        Change::AttributeTold(change) => {
            account.attributes.insert(change.attribute.clone(), (change.value.clone(), change.since_at));
            if let Figure::Number(number) = change.value {
                match &*change.attribute {
                    "stars" => account.stars = number,
                    "credit" => account.credit = number,
                    _ => {}
                }
            }
            0
        }
        Change::HistoryPruned(change) => {
            history_pruned(account, change.month, change.at);
            0
        }
        Change::TermOpened(change) => {
            let term = Term {
                card: change.card.clone(),
                product: change.product.clone(),
                start: change.from_at,
                until: change.until_at,
                trial: change.trial,
                bought_at: if change.bought_at == 0 { change.from_at } else { change.bought_at },
                span: change.until_at - change.from_at,
                ..Term::default()
            };
            let terms = account.terms.entry(change.membership.clone()).or_default();
            let mut place = terms.len();
            while place > 0 && terms[place - 1].start > change.from_at {
                place -= 1;
            }
            terms.insert(place, term);
            account.is_due_by(change.until_at);
            if change.trial {
                *account.trials.entry(change.membership.clone()).or_insert(0) += 1;
            }
            0
        }
        Change::TermMoved(change) => {
            let term = account.term_of(&change.membership, &change.card).expect("a term that moves is kept");
            (term.start, term.until) = (change.from_at, change.until_at);
            if !matches!(&*change.why, "moved-up" | "laid-behind") {
                term.cut_at = term.until;
                term.upgraded = &*change.why == "upgraded";
            } else {
                if &*change.why == "laid-behind" {
                    term.ended = false;
                }
                if term.months != 0 {
                    term.anchor = term.start;
                    if term.cut_at == 0 {
                        term.span = term.until - term.start;
                    }
                }
            }
            account.is_due_by(change.until_at);
            if &*change.why == "taken-out" {
                account.terms[&change.membership].retain(|term| term.card != change.card);
            }
            if change.pending_until != 0 {
                move_lapse(account, change.pending_until);
            }
            0
        }
        Change::TermAnchored(change) => {
            let term = account.term_of(&change.membership, &change.card).expect("a term just laid is kept");
            (term.months, term.anchor) = (change.months, change.anchor_at);
            0
        }
        Change::TermEnded(change) => {
            account.term_of(&change.membership, &change.card).expect("a term that ends is kept").ended = true;
            0
        }
        Change::TrialConverted(change) => {
            account.term_of(&change.membership, &change.card).expect("a trial is kept").converted = true;
            0
        }
        Change::TrialReverted(change) => {
            account.term_of(&change.membership, &change.card).expect("a trial is kept").converted = false;
            0
        }
        Change::BenefitUsed(change) => {
            let term = account.term_of(&change.membership, &change.card).expect("a card that is used is kept");
            *term.used.entry(quota_key(&change.benefit, change.bucket)).or_insert(0) += 1;
            0
        }
        Change::BenefitCounted(change) => {
            if change.line.is_empty() && change.shop.is_empty() {
                let counts = account.counts.entry(change.bucket).or_default();
                *counts.entry(format!("benefit/{}", change.benefit).into()).or_insert(0) += 1;
            }
            0
        }
        Change::BenefitGivenBack(change) => {
            if change.line.is_empty() && change.shop.is_empty() {
                let (used, key): (&mut Map<Text, i64>, Text) = if change.card.is_empty() {
                    (&mut account.counts[&change.bucket], format!("benefit/{}", change.benefit).into())
                } else {
                    let term = account.term_of(&change.membership, &change.card).expect("the card is kept");
                    (&mut term.used, quota_key(&change.benefit, change.bucket))
                };
                used[&key] -= 1;
                if used[&key] == 0 {
                    used.shift_remove(&key);
                }
            }
            0
        }
        Change::RightGiven(change) => {
            change_rights(account, &change.membership, &change.card, 1);
            0
        }
        Change::RightEnded(change) => {
            change_rights(account, &change.membership, &change.card, -1);
            0
        }
        Change::Frozen(_) => {
            account.frozen = true;
            0
        }
        Change::Unfrozen(_) => {
            account.frozen = false;
            0
        }
        Change::Closed(_) => {
            account.closed = true;
            0
        }
        Change::Reopened(_) => {
            account.closed = false;
            0
        }
        Change::Drawn(change) => count(account, change.bucket, "drawn", change.n),
        Change::PutBack(change) => count(account, change.bucket, "drawn", -change.n),
        Change::Leased(change) => count(account, change.bucket, &format!("out/{}", change.lease), change.n),
        Change::Seated(change) => {
            let seat = Seat { membership: change.membership.clone(), ..Seat::default() };
            account.seats.insert(change.who.clone(), seat);
            0
        }
        Change::Unseated(change) => {
            account.seats.shift_remove(&change.who);
            0
        }
        Change::SeatMoved(change) => {
            move_seat(account, change);
            0
        }
        Change::Withheld(_) | Change::Multiplied(_) | Change::Joined(_) | Change::Resettled(_) | Change::Told(_) => 0,
        Change::Under(_)
        | Change::NameKnown(_)
        | Change::Merging(_)
        | Change::Awaited(_)
        | Change::NameCame(_)
        | Change::NameLeft(_)
        | Change::Aliased(_)
        | Change::MovedOut(_)
        | Change::MovedIn(_)
        | Change::HoldLeft(_)
        | Change::HoldCame(_)
        | Change::HoldShifted(_)
        | Change::DebtMoved(_)
        | Change::TermCame(_)
        | Change::TermLeft(_)
        | Change::Delayed(_)
        | Change::DecidedLate(_) => {
            account.bundle = Some(Bundle);
            0
        }
    }
}

/// Add to an integer; what it comes to may lie beyond it, and is then refused by whoever asked.
fn add(sum: &mut i64, by: i64) -> i128 {
    let total = i128::from(*sum) + i128::from(by);
    *sum = sum.wrapping_add(by);
    total
}

/// Give a seat a term, in place of those that the house said of it before.
fn move_seat(account: &mut Account, change: &SeatMoved) {
    let seat = account.seats.entry(change.house.clone()).or_default();
    if seat.n != change.n {
        *seat = Seat { membership: change.membership.clone(), n: change.n, terms: Vec::new() };
    }
    let (start, until) = (change.from_at, change.until_at);
    if start < until {
        let (card, product) = (change.card.clone(), change.product.clone());
        seat.terms.push(Term { card, product, start, until, bought_at: start, span: until - start, ..Term::default() });
    }
}

/// Change a counter of a pool, which is gone where it is 0, and return what it comes to.
fn count(account: &mut Account, bucket: i64, name: &str, by: i64) -> i128 {
    let counts = account.counts.entry(bucket).or_default();
    let total = add(counts.entry(name.into()).or_default(), by);
    if total == 0 {
        counts.shift_remove(name);
    }
    total
}

fn lot_of<'a>(account: &'a mut Account, kind: &str, key: i64) -> &'a mut Lot {
    account.purses[kind].lots.get_mut(&key).expect("a lot that changes is open")
}

fn reopened(rule: &Text, earned: i64, earned_at: i64, expires_at: i64, returnable: bool) -> Lot {
    Lot { earned, earned_at, expires_at, rule: rule.clone(), returnable, ..Lot::default() }
}

fn take(purse: &mut Purse, key: i64, points: i64) {
    let lot = purse.lots.get_mut(&key).expect("a lot that is taken from is open");
    lot.left -= points;
    if lot.left == 0 && lot.held == 0 {
        purse.lots.remove(&key);
    }
}

fn end_part(account: &mut Account, hold: &str, lot: i64, points: i64) {
    let parts = &mut account.holds[hold].parts;
    parts[&lot] -= points;
    if parts[&lot] == 0 {
        parts.shift_remove(&lot);
        if parts.is_empty() {
            account.holds.shift_remove(hold);
        }
    }
}

fn scored(account: &mut Account, score: &Text, month: i64, part: &Text, points: i64) -> i128 {
    if let Some(holds) = account.tier_holds.get_mut(score) {
        holds.values_mut().filter(|hold| month >= hold.first).for_each(|hold| hold.value += points);
    }
    if month < account.pruned_before && is_dropped(month, account.pruned_before) {
        return 0; // it counts in no score that can still be asked of this account
    }
    if !account.sums.contains_key(score) {
        if score.contains(AT_SHOP) {
            return 0; // it stands on a page of its own
        }
        account.sums.insert(score.clone(), Map::default());
    }
    let parts = account.sums[score].entry(month).or_default();
    add(parts.entry(part.clone()).or_insert(0), points);
    if -SMALL < points && points < SMALL { 0 } else { extent_of_score(account, score) }
}

/// Return the sum of all that a score holds, each without its sign: no sum over months and parts is beyond it.
pub fn extent_of_score(account: &Account, score: &str) -> i128 {
    let size = |points: &i64| i128::from(*points).abs();
    let mut total: i128 =
        account.sums.get(score).into_iter().flat_map(Map::values).flat_map(Map::values).map(size).sum();
    let own = format!("{score}/");
    total += account.once.iter().filter(|(key, _)| key.starts_with(&own)).map(|(_, points)| size(points)).sum::<i128>();
    let holds = account.tier_holds.get(score).into_iter().flat_map(Map::values);
    holds.map(|hold| size(&hold.value)).fold(total, i128::max)
}

/// Let the frozen points of a trial lapse at another instant.
fn move_lapse(account: &mut Account, until: i64) {
    account.is_due_by(until);
    for lot in account.purses.values_mut().flat_map(|purse| purse.lots.values_mut()) {
        if lot.pending_until != 0 && lot.waits == 0 {
            lot.pending_until = until;
        }
    }
}

fn change_rights(account: &mut Account, membership: &str, card: &str, by: i64) {
    for term in account.terms.get_mut(membership).into_iter().flatten() {
        if &*term.card == card {
            term.rights += by;
        }
    }
}

fn history_pruned(account: &mut Account, month: i64, at: i64) {
    account.pruned_before = month;
    for terms in account.terms.values_mut() {
        // the last term that has begun stays: it is shown if later ones are taken out
        let last = terms.iter().rposition(|term| term.start <= at).unwrap_or(0);
        let mut place = 0;
        terms.retain(|term| {
            place += 1;
            place > last || term.until >= at
        });
    }
    for moves in account.tier_moves.values_mut() {
        while moves.len() > 1 && moves[1].0 <= at {
            moves.remove(0);
        }
    }
    for term in account.terms.values_mut().flatten() {
        forget_days(term, month);
    }
    for sums in account.sums.values_mut() {
        sums.retain(|bucket, _| !is_dropped(*bucket, month));
    }
    account.counts.retain(|bucket, _| !is_dropped(*bucket, month));
    account.days.retain(|bucket, _| !is_dropped(*bucket, month));
}
