//! What falls due by itself: holds, lots and terms that end, tiers and sums as months pass. Time goes first.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::account::is_dropped;
use crate::benefits::has_old_days;
use crate::draft::{Done, Draft};
use crate::entries::{DAY_BUCKETS, FIRST_MONTH, HistoryPruned, Map, TermEnded, Text};
use crate::lots::{end_idle, end_waiting, expire, release_hold};
use crate::programme::{OPENS, Version};
use crate::rankings::Window;
use crate::reached::award_reached;
use crate::tiers::{end_tier_grants, end_tier_holds, pass_period, place_anew};
use crate::times::DAY;

const MAX_MONTHS: i64 = 12;

/// Emit all that falls due up to and including an instant, and what the passing time means for scores and sums.
pub fn fall_due(draft: &mut Draft, until: i64) -> Done {
    let version = draft.book.nearest(until);
    let passes = until >= draft.account.next_month_at;
    let month = version.month(until);
    let mut passing = Vec::new();
    let is_known = draft.account.number != 0;
    if is_known && (passes || version.name != draft.account.placed_by) {
        passing = instants_that_matter(draft, until, version, month);
        passing.reverse();
    }
    if draft.account.next_due_at <= until {
        draft.account.next_due_at = draft.account.next_due();
    }
    loop {
        let at = draft.account.next_due_at; // what is emitted lowers it
        if let Some(next) = passing.last().copied().filter(|next| *next < at) {
            passing.pop();
            pass_period(draft, next)?;
            if !draft.reached.is_empty() {
                award_reached(draft)?;
            }
            continue;
        }
        if at > until {
            break;
        }
        end_what_is_due(draft, at)?;
        end_tier_grants(draft, at)?;
        end_tier_holds(draft, at)?;
        if passing.last() == Some(&at) {
            passing.pop();
            pass_period(draft, at)?;
        }
        if !draft.reached.is_empty() {
            award_reached(draft)?;
        }
        draft.account.next_due_at = draft.account.next_due();
    }
    if passes {
        if is_known {
            prune(draft, month)?;
        }
        draft.account.next_month_at = next_passing(draft, version, month, until);
    }
    if draft.account.placed_by != version.name {
        if is_known {
            place_anew(draft, until)?;
        }
        draft.account.placed_by = version.name.clone();
    }
    Ok(())
}

/// Return the instants after the clock at which time alone, or a version, moves a score that has items; in order.
fn instants_that_matter(draft: &Draft, until: i64, now: &Version, month_now: i64) -> Vec<i64> {
    let (account, book, after) = (&draft.account, draft.book, draft.account.clock);
    let later: Vec<&Version> = book
        .versions
        .iter()
        .map(Arc::as_ref)
        .filter(|version| after < version.since && version.since <= until)
        .collect();
    let mut found: BTreeSet<i64> = later.iter().map(|version| version.since).collect();
    for version in std::iter::once(book.nearest(after)).chain(later) {
        let before = version.month(after);
        let last = if std::ptr::eq(version, now) { month_now } else { version.month(until) };
        for (name, sums) in &account.sums {
            let Some(ranking) = version.rankings.get(name) else {
                continue;
            };
            if ranking.is_monthly {
                let span = ranking.span; // a bucket counts from the month behind it on, for as long as the window is
                let mut months: Vec<i64> = (before..last).collect();
                if last - before > MAX_MONTHS {
                    let moved = sums.keys().flat_map(|bucket| [*bucket, bucket + span]);
                    months = moved.filter(|month| before <= *month && *month < last).collect();
                }
                for month in months {
                    if sums.contains_key(&month) || sums.contains_key(&(month - span)) {
                        found.insert(version.zone.month_start(month + 1));
                    }
                }
                continue;
            }
            let moves = sums.keys().flat_map(|bucket| ranking.moves_of(*bucket, &version.zone));
            found.extend(moves.filter(|at| after < *at && *at <= until));
        }
    }
    found.into_iter().collect()
}

/// Return the next instant at which a month, day or version may begin that moves a score.
fn next_passing(draft: &Draft, version: &Version, month: i64, until: i64) -> i64 {
    let zone = &version.zone;
    let mut next = zone.month_start(month + 1);
    for later in draft.book.versions.iter().filter(|later| later.since > until) {
        next = next.min(later.since);
    }
    for ranking in version.rankings.values() {
        if ranking.window == Window::Days {
            next = next.min(zone.instant((zone.day(until) + 1) * DAY));
        } else if ranking.settle_day > 1 {
            for month in [month, month + 1] {
                let settles = ranking.settle_instant(month, zone);
                if settles > until {
                    next = next.min(settles);
                }
            }
        }
    }
    next
}

/// Drop the sums and counters that no fact may come late for, and no score counts any more.
fn prune(draft: &mut Draft, now: i64) -> Done {
    let (account, version) = (&draft.account, draft.version);
    let zone = &version.zone;
    let mut kept = version.month((zone.month_start(now) - version.late).max(0));
    for ranking in version.rankings.values() {
        let oldest = ranking.oldest_needed(now);
        if ranking.oldest_needed(FIRST_MONTH) < FIRST_MONTH {
            kept = kept.min(oldest);
        }
    }
    if account.pruned_before >= kept {
        return Ok(());
    }
    let year = kept.div_euclid(12);
    let is_old = |bucket: &i64| {
        let bucket = *bucket;
        if bucket < kept {
            bucket >= FIRST_MONTH || (0 < bucket && bucket < year)
        } else {
            bucket >= DAY_BUCKETS && is_dropped(bucket, kept)
        }
    };
    let counted = account.sums.values().flat_map(Map::keys).chain(account.counts.keys()).chain(account.days.keys());
    if counted.into_iter().any(is_old) || account.terms.values().flatten().any(|term| has_old_days(term, kept)) {
        draft.emit(HistoryPruned { month: kept, at: zone.month_start(kept) })?;
    }
    Ok(())
}

/// End what is due at an instant: holds of points, what waits for it, lots, idle purses, terms.
fn end_what_is_due(draft: &mut Draft, at: i64) -> Done {
    let holds: Vec<Text> =
        draft.account.holds.iter().filter(|(_, hold)| hold.until <= at).map(|(name, _)| name.clone()).collect();
    for name in holds {
        release_hold(draft, &name, at, at)?;
    }
    let kinds: Vec<Text> = draft.account.purses.keys().cloned().collect();
    for kind in &kinds {
        let lots = &draft.account.purses[kind].lots;
        let opens = |(_, lot): &(&i64, &crate::account::Lot)| lot.waits == OPENS && lot.left != 0 && lot.due_at() <= at;
        let opened: Vec<i64> = lots.iter().filter(opens).map(|(key, _)| *key).collect();
        for key in opened {
            let lot = &draft.account.purses[kind].lots[&key];
            if lot.pending_until < lot.expires_at {
                end_waiting(draft, kind, key, at)?;
            }
        }
    }
    for kind in &kinds {
        let lots = &draft.account.purses[kind].lots;
        let due: Vec<i64> =
            lots.iter().filter(|(_, lot)| lot.left != 0 && lot.due_at() <= at).map(|(key, _)| *key).collect();
        for key in due {
            if draft.account.purses[kind].lots[&key].waits != 0 {
                end_waiting(draft, kind, key, at)?;
            } else {
                expire(draft, kind, key, at)?;
            }
        }
    }
    for kind in &kinds {
        let idle_until = draft.account.purses[kind].idle_until;
        if idle_until != 0 && idle_until <= at {
            end_idle(draft, kind, at)?;
        }
    }
    let terms = draft.account.terms.iter().flat_map(|(name, terms)| terms.iter().map(move |term| (name, term)));
    let over: Vec<(Text, Text)> = terms
        .filter(|(_, term)| !term.ended && term.until <= at)
        .map(|(name, term)| (name.clone(), term.card.clone()))
        .collect();
    for (membership, card) in over {
        draft.emit(TermEnded { membership, card, at })?;
    }
    Ok(())
}
