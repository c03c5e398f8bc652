//! Exchanges: points of one kind for points of another, whole or not at all; both purses are one account's.

use crate::caps::{check_caps, count_caps};
use crate::draft::{Done, Draft, Stop, bounded, decline};
use crate::entries::{ClawedBack, Earned, Text};
use crate::facts::{Exchange, ExchangeReversal};
use crate::handed_back::HandedBack;
use crate::lots::{earn, restore, spend};
use crate::pages::{ExchangePage, Part, RedemptionPage};
use crate::programme::Rate;
use crate::who::{cut, require, who_fails};

/// Decide points of one kind that are asked to become points of another.
pub fn exchange(draft: &mut Draft, data: &Exchange) -> Done {
    let (name, points) = (&data.exchange, data.points);
    let Some(found) = draft.version.exchanges.get(name) else {
        return Err(decline("unknown-exchange", [("exchange", name.into())]));
    };
    if found.table.ledger.is_some() {
        return Err(Stop::HandBack(HandedBack::OtherLedger));
    }
    let table = &found.table;
    require(draft, found.who.as_ref(), "")?;
    let rate = rate_of(draft, &found.rates)?;
    if points % rate.take != 0 {
        return Err(decline("not-a-multiple", [("asked", points.into()), ("multiple", rate.take.into())]));
    }
    let cap: Text = format!("exchange/{name}").into();
    check_caps(draft, &cap, &table.cap, points, "")?;
    let spendable = draft.account.spendable(&table.takes);
    if points > spendable {
        let reason = format!("{}-short", table.takes);
        return Err(decline(reason, [("asked", points.into()), ("spendable", spendable.into())]));
    }
    let parts = spend(draft, &table.takes, points, &format!("exchange/{}", data.request).into())?;
    count_caps(draft, &cap, &table.cap, points, "")?;
    let given = i128::from(points / rate.take) * i128::from(rate.give);
    let mut lots = Vec::new();
    for (part, share) in parts.iter().zip(shares(&parts, given)) {
        if share != 0 {
            let share = bounded(share)?;
            lots.push((open(draft, &table.gives, name, &data.request, part, &table.takes, share)?, share));
        }
    }
    let page = ExchangePage { exchange: name.clone(), gives: table.gives.clone(), lots, is_reversed: false };
    draft.put(format!("exchange/{}", data.request), page);
    let taken = RedemptionPage { kind: table.takes.clone(), order: Text::default(), parts };
    draft.put(format!("exchanged/{}", data.request), taken);
    Ok(())
}

/// Decide that an exchange is undone, which is possible while all that it gave is there.
pub fn reverse_exchange(draft: &mut Draft, data: &ExchangeReversal) -> Done {
    let (key, taken_key) = (format!("exchange/{}", data.request), format!("exchanged/{}", data.request));
    let page = draft.page::<ExchangePage>(&key)?;
    let taken = draft.page::<RedemptionPage>(&taken_key)?;
    let (Some(mut page), Some(taken)) = (page, taken) else {
        return Err(decline("unknown-exchange", [("request", (&data.request).into())]));
    };
    if page.is_reversed {
        return Err(decline("already", []));
    }
    let left: i64 =
        page.lots.iter().filter_map(|(key, _)| draft.account.lot(&page.gives, *key)).map(|lot| lot.left).sum();
    let given: i64 = page.lots.iter().map(|(_, points)| points).sum();
    if left < given {
        return Err(decline("given-spent", [("given", given.into()), ("left", left.into())]));
    }
    let origin: Text = format!("exchange.{}", page.exchange).into();
    for (lot, points) in &page.lots {
        let (kind, origin) = (page.gives.clone(), origin.clone());
        draft.emit(ClawedBack { kind, lot: *lot, points: *points, origin, line: Text::default() })?;
    }
    let points = taken.parts.iter().map(|part| part.points).sum();
    restore(draft, &format!("exchange/{}", data.request).into(), taken, points, taken_key)?;
    page.is_reversed = true;
    draft.put(key, page);
    Ok(())
}

/// Return the first rate that has begun and is this member's; declines where there is none.
fn rate_of<'a>(draft: &mut Draft, rates: &'a [Rate]) -> Done<&'a Rate> {
    let mut failed = "no rate has begun".to_owned();
    let now = draft.occurred;
    for rate in rates.iter().filter(|rate| rate.since <= now) {
        match who_fails(draft, rate.who.as_ref(), "")? {
            None => return Ok(rate),
            Some(fails) => failed = fails,
        }
    }
    Err(decline("not-entitled", [("who", cut(&failed).into())]))
}

/// Share what is given over the burned lots by largest remainder, ties to the lot burned earlier.
fn shares(parts: &[Part], given: i128) -> Vec<i128> {
    let points: i128 = parts.iter().map(|part| i128::from(part.points)).sum();
    let mut shares: Vec<i128> = parts.iter().map(|part| given * i128::from(part.points) / points).collect();
    let mut by_remainder: Vec<usize> = (0..parts.len()).collect();
    by_remainder.sort_by_key(|place| -(given * i128::from(parts[*place].points) % points)); // stable
    let short = given - shares.iter().sum::<i128>();
    for place in by_remainder.into_iter().take(short as usize) {
        shares[place] += 1;
    }
    shares
}

/// Open a lot of what is given; it ends by its kind's rule, or with the lot that was burned for it.
fn open(
    draft: &mut Draft,
    kind: &Text,
    exchange: &Text,
    request: &Text,
    burned: &Part,
    taken: &str,
    points: i64,
) -> Done<i64> {
    let idle_until = draft.purse(taken).map_or(0, |purse| purse.idle_until);
    let ends = if idle_until == 0 { burned.expires_at } else { idle_until };
    let (at, lot) = (draft.occurred, draft.next_lot()?);
    let expires_at = draft.version.expires_at(kind, at).min(burned.expires_at).min(ends);
    let earned = Earned {
        kind: kind.clone(),
        lot,
        points,
        rule: format!("exchange.{exchange}").into(),
        earned_at: at,
        expires_at,
        page: request.clone(),
        uncapped: points,
        returnable: true,
        ..Earned::default()
    };
    earn(draft, earned, 0)
}
