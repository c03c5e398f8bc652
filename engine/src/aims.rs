//! Which award an adjustment is aimed at, and what is taken of it.

use crate::draft::{Done, Draft, bounded, decline};
use crate::entries::{Earned, LOT_BITS, Text, lot_key, lot_text};
use crate::facts::Aim;
use crate::lots::{claw_back, lot_page};
use crate::pages::{ActivityPage, Award, ClaimPage, GrantPage, OrderPage, Page, ReviewPage};

/// Return the lot that people read as `entry.place`; 0, which is none, for one of another name: this member has one.
pub fn lot_named(text: &str) -> i64 {
    if text.contains('~') {
        return 0;
    }
    let (number, place) = text.split_once('.').expect("the fact's check saw to that");
    let whole = |digits: &str| digits.parse::<i64>().expect("the fact's check saw to that");
    lot_key(whole(number), whole(place) - 1)
}

/// Take up to `points` of a kind from the award that `aim` names. Returns how many it held.
///
/// Declines an award that is not known, or is not of that kind.
pub fn take_of(draft: &mut Draft, aim: &Aim, kind: &Text, points: i64) -> Done<i64> {
    if !aim.order.is_empty() {
        let key = format!("order/{}", aim.order);
        let unknown = || decline("unknown-award", [("order", (&aim.order).into()), ("line", (&aim.line).into())]);
        let mut order: OrderPage = draft.page(&key)?.ok_or_else(unknown)?;
        let line = order.line_mut(&aim.line).ok_or_else(unknown)?;
        let mut awards: Vec<&mut Award> = line.awards.iter_mut().filter(|award| award.kind == *kind).collect();
        if awards.is_empty() {
            return Err(unknown());
        }
        let taken = take(draft, &mut awards, points, &aim.line)?;
        draft.put(key, order);
        return Ok(taken);
    }
    if !aim.grant.is_empty() {
        let grant = draft.page::<GrantPage>(&format!("grant/{}", aim.grant))?.filter(|grant| grant.kind == *kind);
        let grant = grant.ok_or_else(|| decline("unknown-award", [("grant", (&aim.grant).into())]))?;
        return take_of_lot(draft, grant.lot, kind, points, &lot_text(grant.lot).into());
    }
    take_of_lot(draft, lot_named(&aim.lot), kind, points, &aim.lot)
}

/// Take of the award that opened a lot: it stands on the page of what gave it, or on no page but the lot's.
fn take_of_lot(draft: &mut Draft, key: i64, kind: &Text, points: i64, name: &Text) -> Done<i64> {
    let earned = draft.pages.opened(key >> LOT_BITS)?.into_iter().find(|earned| earned.lot == key);
    let Some(earned) = earned.filter(|earned| earned.kind == *kind) else {
        return Err(decline("unknown-award", [("lot", name.into())]));
    };
    let names: &[&str] = match (earned.page.is_empty(), earned.line.is_empty()) {
        (true, _) => &[],
        (false, false) => &["order", "review"],
        (false, true) => &["order", "claim", "activity"],
    };
    for name in names {
        let name = format!("{name}/{}", earned.page);
        let Some(mut page) = draft.pages.get(&name)? else {
            continue;
        };
        if let Some(award) = award_of(&mut page, &earned.line, key) {
            let taken = take(draft, &mut [award], points, &earned.line)?;
            draft.put(name, page);
            return Ok(taken);
        }
    }
    take_of_standing(draft, &earned, points)
}

/// Return the award on a page, of an order that of the line so named or of its payment, which opened a lot.
fn award_of<'a>(page: &'a mut Page, line: &str, key: i64) -> Option<&'a mut Award> {
    let opened = |award: &&mut Award| award.lot == key || award.grown.iter().any(|grown| grown.lot == key);
    match page {
        Page::OrderPage(order) => {
            let named = order.lines.iter_mut().find(|one| &*one.line == line);
            named.into_iter().chain(&mut order.paid).flat_map(|line| &mut line.awards).find(opened)
        }
        Page::ReviewPage(ReviewPage { awards, .. })
        | Page::ClaimPage(ClaimPage { awards, .. })
        | Page::ActivityPage(ActivityPage { awards, .. }) => awards.iter_mut().find(opened),
        _ => None,
    }
}

/// Take of an award that nothing else takes back: its lot's page counts what adjustments took.
fn take_of_standing(draft: &mut Draft, earned: &Earned, points: i64) -> Done<i64> {
    let before = lot_page(draft, earned.lot)?.taken;
    let held = earned.points - before;
    let taken = if is_gone(draft, earned) {
        points.min(held)
    } else {
        let mut award = Award {
            rule: earned.rule.clone(),
            given: earned.points,
            held,
            kind: earned.kind.clone(),
            lot: earned.lot,
            expires_at: earned.expires_at,
            less: before,
            ..Award::default()
        };
        take(draft, &mut [&mut award], points, &Text::default())?
    };
    let mut page = lot_page(draft, earned.lot)?;
    page.taken = before + taken;
    draft.put(format!("lot/{}", earned.lot), page);
    Ok(taken)
}

/// Return true if a lot is over of which no page remembers what expired: it counts as expired, and none is asked.
fn is_gone(draft: &Draft, earned: &Earned) -> bool {
    let idle_ended = draft.purse(&earned.kind).map_or(0, |purse| purse.idle_ended);
    !earned.returnable && (earned.expires_at <= draft.clock || earned.lot < idle_ended)
}

/// Take up to `points` of awards, one after the other, as a claw-back does; returns reckon with that much less.
fn take(draft: &mut Draft, awards: &mut [&mut Award], points: i64, line: &Text) -> Done<i64> {
    let mut rest = points;
    for award in awards {
        let part = rest.min(award.held);
        if part != 0 {
            let keep = award.held - part;
            claw_back(draft, award, keep, line)?;
            award.less = bounded(i128::from(award.less) + i128::from(part))?;
            rest -= part;
        }
    }
    Ok(points - rest)
}
