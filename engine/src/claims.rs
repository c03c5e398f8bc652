//! What a claim of a benefit costs and gives, and how all of it comes back.

use crate::benefits::quota_key;
use crate::draft::{Done, Draft, at_shop, decline};
use crate::entries::{BenefitGivenBack, DAY_BUCKETS, Earned, Map, Text};
use crate::lots::{claw_back, earn, restore, spend};
use crate::pages::{Award, ClaimPage, OrderPage, QuotaPage, RedemptionPage};
use crate::programme::Gift;
use crate::terms::{end_free, open_free};
use crate::tiers::{grant_tier, withdraw_tier};
use crate::times::{DAY, MAX_INSTANT};

/// Return what a card or a tier is called that a claim gave.
pub fn grant_name(claim: &str) -> Text {
    format!("claim/{claim}").into()
}

/// Return the purse of a kind that a claim means; declines one that is kept for each shop where none is named.
pub fn purse_of(draft: &Draft, kind: &Text, shop: &str) -> Done<Text> {
    if !draft.version.keyed_kinds.contains(kind) {
        return Ok(kind.clone());
    }
    if shop.is_empty() {
        return Err(decline("shop-missing", [("kind", kind.into())]));
    }
    Ok(at_shop(kind, shop))
}

/// Burn what a claim costs (there is enough of it).
pub fn pay(draft: &mut Draft, claim: &Text, purse: &Text, points: i64) -> Done {
    let parts = spend(draft, purse, points, &grant_name(claim))?;
    let page = RedemptionPage { kind: purse.clone(), order: Text::default(), parts };
    draft.put(format!("claim-price/{claim}"), page);
    Ok(())
}

/// Give what a claim gives, in the book's order: points, cards, a tier. Its page keeps what may come back.
///
/// `purses` are those of the kinds of points.
pub fn give(draft: &mut Draft, claim: &Text, gifts: &[Gift], purses: &Map<Text, Text>, page: &mut ClaimPage) -> Done {
    for gift in gifts {
        if let Some(product) = &gift.opens {
            let card = cards_of(draft, claim, gifts).swap_remove(page.opened.len());
            let opened = open_free(draft, &card, product)?;
            page.opened.push(opened);
        } else if let (Some(score), Some(tier)) = (&gift.score, &gift.tier) {
            let until = (draft.occurred + gift.days.unwrap_or(0) * DAY).min(MAX_INSTANT);
            if until > draft.clock {
                grant_tier(draft, &grant_name(claim), score, tier, until)?;
                page.has_tier = true;
            }
        } else if let (Some(kind), Some(points)) = (&gift.kind, gift.points) {
            let purse = &purses[kind];
            if !draft.has_room_for(purse) {
                continue;
            }
            let rule: Text = format!("benefit.{}", page.benefit).into();
            let (at, lot) = (draft.occurred, draft.next_lot()?);
            let expires_at = match gift.days {
                Some(days) if days != 0 => (at + days * DAY).min(MAX_INSTANT),
                _ => draft.version.expires_at(purse, at),
            };
            let earned = Earned {
                kind: purse.clone(),
                lot,
                points,
                rule: rule.clone(),
                earned_at: at,
                expires_at,
                page: claim.clone(),
                uncapped: points,
                returnable: true,
                ..Earned::default()
            };
            earn(draft, earned, 0)?;
            let kind = purse.clone();
            page.awards.push(Award { rule, given: points, held: points, kind, lot, expires_at, ..Award::default() });
        }
    }
    Ok(())
}

/// Return what the cards are called that a claim opens, in the book's order.
pub fn cards_of(draft: &Draft, claim: &Text, gifts: &[Gift]) -> Vec<Text> {
    let opens = gifts.iter().filter_map(|gift| gift.opens.as_ref());
    let memberships: Vec<Text> = opens.map(|label| draft.version.products[label].membership.clone()).collect();
    named(claim, &memberships)
}

/// The first card has the claim's name; each that follows its membership's too, for a cap counts by the card.
fn named(claim: &Text, memberships: &[Text]) -> Vec<Text> {
    let name = |(place, membership): (usize, &Text)| {
        let first = grant_name(claim);
        if place == 0 { first } else { format!("{first}/{membership}").into() }
    };
    memberships.iter().enumerate().map(name).collect()
}

/// Change how often a benefit was given at a shop in a bucket, and return how often it then was.
pub fn count_at_shop(draft: &mut Draft, benefit: &str, shop: &str, bucket: i64, by: i64) -> Done<i64> {
    let key = format!("benefit/{benefit}/{shop}");
    let mut page: QuotaPage = draft.page(&key)?.unwrap_or_default();
    let used = page.used.get(&bucket).copied().unwrap_or(0) + by;
    if by != 0 {
        page.used.insert(bucket, used);
        if used == 0 {
            page.used.shift_remove(&bucket);
        }
        draft.put(key, page);
    }
    Ok(used)
}

/// Give a claim back: to the quota that counted it, the points it cost, the points, cards and tier it gave.
pub fn give_back(draft: &mut Draft, claim: &Text, mut page: ClaimPage) -> Done {
    page.is_returned = true;
    count_back(draft, claim, &page)?;
    let key = format!("claim-price/{claim}");
    if let Some(price) = draft.page::<RedemptionPage>(&key)? {
        let points = price.parts.iter().map(|part| part.points).sum();
        restore(draft, &grant_name(claim), price, points, key)?;
    }
    for award in &mut page.awards {
        claw_back(draft, award, 0, &Text::default())?;
    }
    for (card, membership) in named(claim, &page.opened).iter().zip(&page.opened) {
        end_free(draft, membership, card)?;
    }
    if page.has_tier {
        withdraw_tier(draft, &grant_name(claim))?;
    }
    draft.put(format!("claim/{claim}"), page);
    Ok(())
}

/// Count a claim back in its bucket; where that is dropped, nothing is left that counts it.
fn count_back(draft: &mut Draft, claim: &Text, page: &ClaimPage) -> Done {
    let (benefit, bucket) = (&page.benefit, page.bucket);
    let given_back = BenefitGivenBack { benefit: benefit.clone(), bucket, claim: claim.clone(), ..Default::default() };
    if !page.card.is_empty() {
        let mut of_term = if page.by_account || !page.shop.is_empty() || !page.line.is_empty() { 0 } else { bucket };
        let term = draft.account.term_of(&page.membership, &page.card);
        let mut times = 0;
        if let Some(term) = term {
            if of_term >= DAY_BUCKETS && !term.used.contains_key(&quota_key(benefit, of_term)) {
                of_term = 0; // old days are counted together
            }
            times = term.used.get(&quota_key(benefit, of_term)).copied().unwrap_or(0);
        }
        if times != 0 {
            let (membership, card) = (page.membership.clone(), page.card.clone());
            draft.emit(BenefitGivenBack { membership, card, bucket: of_term, ..given_back.clone() })?;
        }
    }
    if !page.line.is_empty() {
        let key = format!("order/{}", page.order);
        let Some(mut order) = draft.page::<OrderPage>(&key)? else {
            return Ok(());
        };
        let claimed = order.line_mut(&page.line).and_then(|line| line.claimed.as_mut());
        let Some(times) = claimed.and_then(|claimed| claimed.get_mut(benefit)).filter(|times| **times != 0) else {
            return Ok(());
        };
        *times -= 1;
        draft.put(key, order);
        return draft.emit(BenefitGivenBack { order: page.order.clone(), line: page.line.clone(), ..given_back });
    }
    if !page.shop.is_empty() {
        if count_at_shop(draft, benefit, &page.shop, bucket, 0)? != 0 {
            count_at_shop(draft, benefit, &page.shop, bucket, -1)?;
            draft.emit(BenefitGivenBack { shop: page.shop.clone(), ..given_back })?;
        }
    } else if page.by_account && draft.account.count(bucket, &format!("benefit/{benefit}")) != 0 {
        draft.emit(given_back)?;
    }
    Ok(())
}
