//! What operators and campaigns say: grants, adjustments, opening lots, freezing, tiers, and points that are claimed.

use crate::aims::{lot_named, take_of};
use crate::draft::{Done, Draft, decline};
use crate::entries::{Closed, Confirmed, Earned, Frozen, Reopened, Text, Unfrozen};
use crate::facts::{Adjustment, Aim, Grant, OpeningLot, PointsClaim, Reason, TierGrantFact, TierWithdrawal};
use crate::lots::{collect, earn, forfeit, lot_page, release_hold, repay_or_expire};
use crate::pages::{GrantPage, OrderPage, Page, SeenPage};
use crate::programme::CLAIM;
use crate::tiers::{MAX_GRANTS, grant_tier, withdraw_tier};

/// Decide that an account is frozen.
pub fn freeze(draft: &mut Draft, data: &Reason) -> Done {
    draft.emit(Frozen { reason: data.reason.clone() })
}

/// Decide that an account is no longer frozen.
pub fn unfreeze(draft: &mut Draft, data: &Reason) -> Done {
    if !draft.account.frozen {
        return Err(decline("not-frozen", []));
    }
    draft.emit(Unfrozen { reason: data.reason.clone() })
}

/// Decide that an account is closed: its holds are released, and all that can be spent or waits is forfeited.
pub fn close(draft: &mut Draft, data: &Reason) -> Done {
    if draft.account.closed {
        return Err(decline("already", []));
    }
    let holds: Vec<Text> = draft.account.holds.keys().cloned().collect();
    for name in holds {
        release_hold(draft, &name, draft.clock, 0)?;
    }
    let kinds: Vec<Text> = draft.account.purses.keys().cloned().collect();
    for kind in kinds {
        let lots: Vec<i64> = draft.account.purses[&kind].lots.keys().copied().collect();
        for key in lots {
            if draft.account.lot(&kind, key).is_some_and(|lot| lot.left != 0) {
                forfeit(draft, &kind, key)?;
            }
        }
    }
    draft.emit(Closed { reason: data.reason.clone() })
}

/// Decide that a closed account goes on.
pub fn reopen(draft: &mut Draft, data: &Reason) -> Done {
    if !draft.account.closed {
        return Err(decline("not-closed", []));
    }
    draft.emit(Reopened { reason: data.reason.clone() })
}

/// Decide points that a campaign gives.
pub fn grant(draft: &mut Draft, data: &Grant) -> Done {
    let kind = draft.kind_of(&data.kind, &data.shop)?;
    let key = format!("grant/{}", data.grant);
    if draft.has_page(&key)? {
        return Err(decline("already", []));
    }
    let at = draft.occurred;
    let expires_at = data.expires.map_or_else(|| draft.version.expires_at(&kind, at), |expires| expires.0);
    let lot = earn_said(draft, &kind, data.points, "campaign", at, expires_at, &data.campaign)?;
    draft.put(key, GrantPage { kind, lot });
    Ok(())
}

/// Open a lot of points that stand in the fact itself; an adjustment may be aimed at it.
///
/// Returns its key, 0 where the member has points of the kind at too many shops, and none are given.
fn earn_said(
    draft: &mut Draft,
    kind: &Text,
    points: i64,
    rule: &str,
    earned_at: i64,
    expires_at: i64,
    page: &Text,
) -> Done<i64> {
    if !draft.has_room_for(kind) {
        return Ok(0);
    }
    let earned = Earned {
        kind: kind.clone(),
        lot: draft.next_lot()?,
        points,
        rule: rule.into(),
        earned_at,
        expires_at,
        page: page.clone(),
        uncapped: points,
        returnable: true,
        ..Earned::default()
    };
    earn(draft, earned, 0)
}

/// Decide points put on or taken off by hand, which needs two people.
pub fn adjust(draft: &mut Draft, data: &Adjustment) -> Done {
    let kind = draft.kind_of(&data.kind, &data.shop)?;
    let key = format!("adjustment/{}", data.adjustment);
    if draft.has_page(&key)? {
        return Err(decline("already", []));
    }
    if data.approved_by.is_empty() || data.approved_by == data.by {
        let figures = [("by", (&data.by).into()), ("approved_by", (&data.approved_by).into())];
        return Err(decline("not-approved", figures));
    }
    if let Some(aim) = data.of.as_ref().filter(|_| data.points < 0) {
        let aimed = take_of(draft, aim, &kind, -data.points)?;
        if aimed < -data.points {
            draft.note("adjustment-capped", [("asked", (-data.points).into()), ("held", aimed.into())]);
        }
    }
    draft.take_id(key)?;
    draft.figures.insert("reason".into(), (&data.reason).into());
    if data.points > 0 {
        let at = draft.occurred;
        let expires_at = draft.version.expires_at(&kind, at);
        earn_said(draft, &kind, data.points, "adjustment", at, expires_at, &data.adjustment)?;
    } else if data.of.is_none() {
        collect(draft, &kind, -data.points, &"adjustment".into(), &Text::default())?;
    }
    Ok(())
}

/// Decide a lot carried over from an older system.
pub fn open_lot(draft: &mut Draft, data: &OpeningLot) -> Done {
    let kind = draft.kind_of(&data.kind, &data.shop)?;
    draft.take_id(format!("opening/{}", data.lot))?;
    earn_said(draft, &kind, data.points, "lot.opened", data.earned_at.0, data.expires_at.0, &data.lot)?;
    Ok(())
}

/// Decide a tier that is granted: a floor until an instant, or of an invited tier the permission.
pub fn grant_of_tier(draft: &mut Draft, data: &TierGrantFact) -> Done {
    let page = format!("tier-grant/{}", data.grant);
    if draft.account.grants.contains_key(&data.grant) || draft.has_page(&page)? {
        return Err(decline("already", []));
    }
    // one that is kept for each shop cannot be granted: a grant names no shop
    let is_kept_so = draft.version.keyed_scores.contains(&data.score);
    let ranking = draft.version.rankings.get(&data.score).filter(|_| !is_kept_so);
    if !ranking.is_some_and(|ranking| ranking.tiers.iter().any(|tier| tier.name == data.tier)) {
        return Err(decline("unknown-tier", [("score", (&data.score).into()), ("tier", (&data.tier).into())]));
    }
    if data.until.0 <= draft.clock {
        return Err(decline("over", []));
    }
    if draft.account.grants.len() >= MAX_GRANTS {
        return Err(decline("too-many-grants", [("most", (MAX_GRANTS as i64).into())]));
    }
    grant_tier(draft, &data.grant, &data.score, &data.tier, data.until.0)?;
    draft.put(page, SeenPage {});
    Ok(())
}

/// Decide that a granted tier ends: a fact's own, or what a claim gave (`claim/ID`).
pub fn withdraw_of_tier(draft: &mut Draft, data: &TierWithdrawal) -> Done {
    let name = &data.grant;
    if !draft.account.grants.contains_key(name) {
        let page = if name.starts_with("claim/") { name.to_string() } else { format!("tier-grant/{name}") };
        let was_known = match draft.pages.get(&page)? {
            Some(Page::ClaimPage(page)) => page.has_tier,
            page => page.is_some(),
        };
        let reason = if was_known { "already" } else { "unknown-grant" };
        return Err(decline(reason, [("grant", name.into())]));
    }
    withdraw_tier(draft, name)
}

/// Decide that points which waited for it are claimed: they are spendable from now on.
pub fn claim_points(draft: &mut Draft, data: &PointsClaim) -> Done {
    let named = lots_of(draft, &data.of)?;
    let mut waiting = Vec::new();
    for key in &named {
        for (kind, purse) in &draft.account.purses {
            if purse.lots.get(key).is_some_and(|lot| lot.waits == CLAIM) {
                waiting.push((kind.clone(), *key));
            }
        }
    }
    if waiting.is_empty() {
        let (mut is_claimed, mut is_expired) = (false, false);
        for key in named {
            let page = lot_page(draft, key)?;
            is_claimed = is_claimed || page.claimed;
            is_expired = is_expired || page.expired != 0;
        }
        let reason = if is_claimed {
            "already"
        } else if is_expired {
            "lapsed"
        } else {
            "unknown-award"
        };
        return Err(decline(reason, []));
    }
    for (kind, key) in waiting {
        let mut page = lot_page(draft, key)?;
        page.claimed = true;
        draft.put(format!("lot/{key}"), page);
        let points = draft.account.purses[&kind].lots[&key].left;
        draft.emit(Confirmed { kind: kind.clone(), lot: key, points })?;
        repay_or_expire(draft, &kind, key, draft.clock)?;
    }
    Ok(())
}

/// Return the lots of the award that is named.
fn lots_of(draft: &mut Draft, aim: &Aim) -> Done<Vec<i64>> {
    let mut lots = Vec::new();
    if !aim.order.is_empty() {
        let Some(page) = draft.page::<OrderPage>(&format!("order/{}", aim.order))? else {
            return Ok(lots);
        };
        for award in page.line(&aim.line).map_or(&[][..], |line| &line.awards) {
            lots.push(award.lot);
            lots.extend(award.grown.iter().map(|grown| grown.lot));
        }
        for paid in page.paid.iter().filter(|paid| paid.line == aim.line) {
            lots.extend(paid.awards.iter().map(|award| award.lot));
        }
    } else if !aim.grant.is_empty() {
        let grant: Option<GrantPage> = draft.page(&format!("grant/{}", aim.grant))?;
        lots.extend(grant.map(|grant| grant.lot));
    } else {
        lots.push(lot_named(&aim.lot));
    }
    Ok(lots)
}
