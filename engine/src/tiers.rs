//! Tiers follow the scores, never the spendable balance: at once where something moved them, or as time passes.
//!
//! The tier in force is the higher of the member's own and of those granted. A tier that was reached may be held against
//! ageing, but not against what is taken back.

use crate::account::TierHold;
use crate::draft::{Done, Draft};
use crate::entries::{
    Change, FIRST_MONTH, Map, Resettled, Scored, Text, TierGrantEnded, TierGranted, TierHeld, TierHoldEnded, TierMoved,
};
use crate::programme::Version;
use crate::rankings::{Ranking, Window};
use crate::scores::{value_in, value_since};
use crate::standing::{Stand, first_tier, is_invited, own_place, place_at, tier_name};

const DEDUCTION: &str = "deduction";
pub const MAX_GRANTS: usize = 1_000;

/// Move the tiers of all scores that a decision moved, at the clock, and say which settled months it moved.
pub fn follow_scores(draft: &mut Draft) -> Done {
    let clock = draft.clock;
    let version = draft.book.nearest(clock);
    let now = version.month(clock);
    let mut oldest: Map<Text, i64> = Map::default();
    let stands = std::mem::take(&mut draft.stands);
    for change in &draft.changes {
        if let Change::Scored(scored) = change
            && FIRST_MONTH <= scored.month
            && scored.month < now
        {
            let first = oldest.entry(scored.score.clone()).or_insert(now);
            *first = scored.month.min(*first);
        }
    }
    for (name, ranking) in &version.rankings {
        if let Some(&month) = oldest.get(name) {
            let first_month = if ranking.at_once { month } else { month + 1 };
            let last_month = (month + ranking.span).min(now);
            draft.emit(Resettled { score: name.clone(), first_month, last_month })?;
        }
        if let Some(stand) = stands.get(name) {
            follow(draft, version, ranking, *stand, clock)?;
        }
    }
    Ok(())
}

/// Move the tiers as a month, day or year begins at an instant, or another version, which places the member anew.
pub fn pass_period(draft: &mut Draft, at: i64) -> Done {
    let version = draft.book.nearest(at);
    let has_awards = !version.rules_on("tier.reached").is_empty();
    for ranking in version.rankings.values() {
        let period = ranking.period_at(at, &version.zone);
        if ranking.holds || has_awards {
            let before = ranking.period_at(at - 1, &version.zone);
            if period != before {
                let value = value_in(draft.account, ranking, before);
                // Time reaches nothing in a year that is over: it stood then as it stands now.
                let of_year = ranking.window == Window::Year;
                let last_year = if of_year { value_in(draft.account, ranking, period - 1) } else { 0 };
                let own = own_place(draft.account, ranking, value).max(held_until(draft, ranking, at));
                follow(draft, version, ranking, Stand { value, last_year, own }, at)?;
                continue;
            }
        }
        place(draft, ranking, value_in(draft.account, ranking, period), at)?;
    }
    Ok(())
}

/// Return the place of the highest tier whose hold was over at this instant: it was the member's until then.
fn held_until(draft: &Draft, ranking: &Ranking, at: i64) -> i64 {
    let mut found = -1;
    for change in draft.changes.iter().filter(|_| ranking.holds) {
        if let Change::TierHoldEnded(ended) = change
            && ended.score == ranking.name
            && ended.at == at
            && &*ended.why == "over"
        {
            let place = ranking.tiers.iter().position(|tier| tier.name == ended.tier);
            found = found.max(place.map_or(-1, |place| place as i64));
        }
    }
    found
}

/// Place a member in the tiers of the version at an instant: nothing is reached by that.
pub fn place_anew(draft: &mut Draft, at: i64) -> Done {
    let version = draft.book.nearest(at);
    for ranking in version.rankings.values() {
        let value = value_in(draft.account, ranking, ranking.period_at(at, &version.zone));
        place(draft, ranking, value, at)?;
    }
    Ok(())
}

/// Follow a score that stood so: holds that are pierced, tiers that are reached, the tier in force.
fn follow(draft: &mut Draft, version: &Version, ranking: &Ranking, stand: Stand, at: i64) -> Done {
    let zone = &version.zone;
    let period = ranking.period_at(at, zone);
    let value = value_in(draft.account, ranking, period);
    if ranking.deducts {
        return follow_with_deduction(draft, version, ranking, stand, value, at);
    }
    let holds = draft.account.tier_holds.get(&ranking.name).into_iter().flatten();
    let pierced: Vec<Text> = holds.filter(|(_, hold)| hold.value < hold.needs).map(|(tier, _)| tier.clone()).collect();
    for tier in pierced {
        draft.emit(TierHoldEnded { score: ranking.name.clone(), tier, at, why: "pierced".into() })?;
    }
    let mut has_risen = value > stand.value;
    if ranking.holds {
        let first = ranking.window_of(period).0;
        let year = zone.month(at).div_euclid(12);
        if ranking.window == Window::Year {
            let last_year = value_in(draft.account, ranking, period - 1);
            let until = ranking.hold_until(year - 1, at, zone);
            has_risen = has_risen || last_year > stand.last_year;
            if until > at {
                hold_reached(draft, ranking, stand.last_year, last_year, at, until, first - 1)?;
            }
        }
        let until = ranking.hold_until(year, at, zone);
        hold_reached(draft, ranking, stand.value, value, at, until, first)?;
    }
    place(draft, ranking, value, at)?;
    if has_risen {
        reach(draft, ranking, stand.own, own_place(draft.account, ranking, value), at);
    }
    Ok(())
}

/// Begin or renew the hold of each tier that a value crosses from below; `first` is its window's oldest bucket.
fn hold_reached(
    draft: &mut Draft,
    ranking: &Ranking,
    before: i64,
    after: i64,
    at: i64,
    until_at: i64,
    first: i64,
) -> Done {
    for (place, tier) in ranking.tiers.iter().enumerate() {
        if !(before < tier.at_least && tier.at_least <= after) {
            continue;
        }
        if tier.invited && !is_invited(draft.account, ranking, place) {
            continue;
        }
        let held = draft.account.tier_holds.get(&ranking.name).and_then(|holds| holds.get(&tier.name));
        if held.is_none_or(|held| held.until <= until_at) {
            let value = value_since(draft.account, ranking, first);
            let (score, needs) = (ranking.name.clone(), tier.at_least);
            draft.emit(TierHeld { score, tier: tier.name.clone(), at, until_at, value, first, needs })?;
        }
    }
    Ok(())
}

/// Note each own tier that is passed upwards, the lowest first.
fn reach(draft: &mut Draft, ranking: &Ranking, before: i64, after: i64, at: i64) {
    for place in before + 1..=after {
        draft.reached.push((ranking.name.clone(), tier_name(ranking, place), tier_name(ranking, place - 1), at));
    }
}

/// Write down the tier in force where it differs from the one written last.
fn place(draft: &mut Draft, ranking: &Ranking, value: i64, at: i64) -> Done {
    let before = draft.account.tiers.get(&ranking.name).cloned().unwrap_or_else(|| first_tier(ranking));
    let after = tier_name(ranking, place_at(draft.account, ranking, value));
    if after == before {
        return Ok(());
    }
    draft.emit(TierMoved { score: ranking.name.clone(), before, after, at })
}

/// End the granted tiers that are over at an instant.
pub fn end_tier_grants(draft: &mut Draft, due: i64) -> Done {
    let over: Vec<_> = draft.account.grants.iter().filter(|(_, grant)| grant.until <= due).collect();
    let over: Vec<_> = over.into_iter().map(|(name, grant)| (name.clone(), grant.clone())).collect();
    for (name, ended) in over {
        let (score, at) = (ended.score.clone(), ended.until);
        draft.emit(TierGrantEnded { grant: name, score: ended.score, tier: ended.tier, at, why: "over".into() })?;
        place_score(draft, &score, at)?;
    }
    Ok(())
}

/// End the holds of tiers that are over at an instant: the member is placed by what remains.
pub fn end_tier_holds(draft: &mut Draft, due: i64) -> Done {
    let version = draft.book.nearest(due);
    let held: Vec<Text> = draft.account.tier_holds.keys().cloned().collect();
    for name in held {
        let Some(holds) = draft.account.tier_holds.get(&name) else {
            continue;
        };
        let over = holds.iter().filter(|(_, hold)| hold.until <= due);
        let over: Map<Text, TierHold> = over.map(|(tier, hold)| (tier.clone(), hold.clone())).collect();
        if over.is_empty() {
            continue;
        }
        match version.rankings.get(&name) {
            None => {
                for (tier, _) in over {
                    draft.emit(TierHoldEnded { score: name.clone(), tier, at: due, why: "over".into() })?;
                }
            }
            Some(ranking) if ranking.deducts => deduct(draft, version, ranking, &over, due)?,
            Some(ranking) => end_holds(draft, version, ranking, &over, due)?,
        }
    }
    Ok(())
}

/// Place a member in the tiers of one score again, where nothing is reached by that.
fn place_score(draft: &mut Draft, name: &str, at: i64) -> Done {
    let version = draft.book.nearest(at);
    let Some(ranking) = version.rankings.get(name) else {
        return Ok(());
    };
    let value = value_in(draft.account, ranking, ranking.period_at(at, &version.zone));
    place(draft, ranking, value, at)
}

/// Grant a tier until an instant after the clock: a floor, or of an invited tier the permission.
pub fn grant_tier(draft: &mut Draft, grant: &Text, score: &Text, tier: &Text, until_at: i64) -> Done {
    draft.emit(TierGranted { grant: grant.clone(), score: score.clone(), tier: tier.clone(), until_at })?;
    place_score(draft, score, draft.clock)
}

/// End a granted tier at the clock, where one of that name runs.
pub fn withdraw_tier(draft: &mut Draft, grant: &Text) -> Done {
    let Some(found) = draft.account.grants.get(grant).cloned() else {
        return Ok(());
    };
    let (score, at) = (found.score.clone(), draft.clock);
    let why = "withdrawn".into();
    draft.emit(TierGrantEnded { grant: grant.clone(), score: found.score, tier: found.tier, at, why })?;
    place_score(draft, &score, at)
}

/// End holds that are over; where the book steps down the member falls one tier at most, and that one is held anew.
fn end_holds(draft: &mut Draft, version: &Version, ranking: &Ranking, over: &Map<Text, TierHold>, due: i64) -> Done {
    let value = value_in(draft.account, ranking, ranking.period_at(due, &version.zone));
    let before = own_place(draft.account, ranking, value);
    for tier in over.keys() {
        let (score, why) = (ranking.name.clone(), "over".into());
        draft.emit(TierHoldEnded { score, tier: tier.clone(), at: due, why })?;
    }
    let after = own_place(draft.account, ranking, value);
    if ranking.steps_down && after < before {
        let mut step = before - 1;
        while step > after && ranking.tiers[step as usize].invited && !is_invited(draft.account, ranking, step as usize)
        {
            step -= 1;
        }
        if let Some(last) = over.get(&tier_name(ranking, before)).filter(|_| step > after) {
            let below = &ranking.tiers[step as usize];
            let until_at = ranking.hold_until(version.month(due).div_euclid(12), due, &version.zone);
            draft.emit(TierHeld {
                score: ranking.name.clone(),
                tier: below.name.clone(),
                at: due,
                until_at,
                value: last.value,
                first: last.first,
                needs: below.at_least,
            })?;
        }
    }
    place(draft, ranking, value, due)
}

/// Take a tier's deduction from the score at the end of its hold, place the member by the rest, and hold anew.
fn deduct(draft: &mut Draft, version: &Version, ranking: &Ranking, over: &Map<Text, TierHold>, due: i64) -> Done {
    let name = &ranking.name;
    let period = ranking.period_at(due, &version.zone);
    for tier in over.keys() {
        draft.emit(TierHoldEnded { score: name.clone(), tier: tier.clone(), at: due, why: "over".into() })?;
        let deduction = ranking.tiers.iter().find(|one| one.name == *tier).map_or(0, |one| one.deduct);
        let taken = deduction.min(value_in(draft.account, ranking, period));
        if taken != 0 {
            draft.emit(Scored {
                score: name.clone(),
                part: DEDUCTION.into(),
                rule: DEDUCTION.into(),
                month: version.bucket(name, due),
                points: -taken,
                ..Scored::default()
            })?;
        }
    }
    let value = value_in(draft.account, ranking, period);
    place(draft, ranking, value, due)?;
    hold_own(draft, version, ranking, value, due)
}

/// There is one hold, of the tier that the member has: it begins anew in each other tier.
fn follow_with_deduction(
    draft: &mut Draft,
    version: &Version,
    ranking: &Ranking,
    stand: Stand,
    value: i64,
    at: i64,
) -> Done {
    let own = own_place(draft.account, ranking, value);
    if own != stand.own {
        let why: Text = if own < stand.own { "pierced" } else { "replacing" }.into();
        let held: Vec<Text> =
            draft.account.tier_holds.get(&ranking.name).into_iter().flat_map(Map::keys).cloned().collect();
        for tier in held {
            draft.emit(TierHoldEnded { score: ranking.name.clone(), tier, at, why: why.clone() })?;
        }
    }
    place(draft, ranking, value, at)?;
    if own != stand.own {
        hold_own(draft, version, ranking, value, at)?;
        reach(draft, ranking, stand.own, own, at);
    }
    Ok(())
}

/// Begin the hold of the tier of a value, where something is deducted at its end.
fn hold_own(draft: &mut Draft, version: &Version, ranking: &Ranking, value: i64, at: i64) -> Done {
    let place = own_place(draft.account, ranking, value);
    if place < 0 || ranking.tiers[place as usize].deduct == 0 {
        return Ok(());
    }
    let (tier, zone) = (&ranking.tiers[place as usize], &version.zone);
    let until_at = ranking.hold_until(zone.month(at).div_euclid(12), at, zone);
    let first = ranking.window_of(ranking.period_at(at, zone)).0;
    let (score, needs) = (ranking.name.clone(), tier.at_least);
    draft.emit(TierHeld { score, tier: tier.name.clone(), at, until_at, value, first, needs })
}
