//! Benefits that are claimed: by quota and price, with what they give, in one decision or not at all.

use crate::awards::{Given, apply_rules};
use crate::benefits::{bucket_of, times_used};
use crate::claims::{cards_of, count_at_shop, give, give_back, pay, purse_of};
use crate::draft::{Done, Draft, Stop, decline};
use crate::entries::{BenefitCounted, BenefitUsed, Map, Text};
use crate::facts::{Claim, ClaimReturn, Data};
use crate::handed_back::HandedBack;
use crate::pages::{ClaimPage, OrderPage, not_payable};
use crate::perks::{holder_of, offer_of, why_closed};
use crate::programme::{CountedBy, Perk};
use crate::rights::check_line;
use crate::tiers::MAX_GRANTS;
use crate::who::cut;

/// Decide a claim of a benefit: whose it is, whether it is open, its quota and its price.
pub fn claim(draft: &mut Draft, asked: &Data, data: &Claim) -> Done {
    let version = draft.version;
    let named = ("benefit", (&data.benefit).into());
    let Some(perk) = version.perks.get(&data.benefit) else {
        return Err(decline("unknown-benefit", [named]));
    };
    let benefit = &perk.benefit;
    let order_key = format!("order/{}", data.order);
    let mut order: Option<OrderPage> = None;
    if !data.order.is_empty() && (perk.of_line || benefit.returns_with_order) {
        order = draft.page(&order_key)?;
        let status = order.as_ref().and_then(|order| not_payable(order.status));
        if let Some(status) = status.filter(|_| benefit.returns_with_order) {
            return Err(decline("order-ended", [("order", (&data.order).into()), ("status", status.into())]));
        }
    }
    let (mut card, mut product) = (Text::default(), Text::default());
    if perk.of_line {
        let right = check_line(draft, perk, data, order.as_ref())?;
        (card, product) = (right.card, right.product);
    }
    let mut term = None;
    if !perk.membership.is_empty() && perk.is_judged_at_claim() {
        term = holder_of(draft, perk);
        let Some(term) = &term else {
            return Err(decline("no-membership", [("membership", (&perk.membership).into())]));
        };
        (card, product) = (term.card.clone(), term.product.clone());
        if perk.by_product.as_ref().is_some_and(|by_product| !by_product.contains_key(&product)) {
            return Err(decline("not-in-card", [named, ("product", (&product).into())]));
        }
    }
    let offer = offer_of(draft, perk, &product, &data.shop, perk.is_judged_at_claim())?;
    if !offer.fails.is_empty() {
        return Err(decline("not-entitled", [("who", cut(&offer.fails).into())]));
    }
    if perk.counted == CountedBy::Shop && data.shop.is_empty() {
        return Err(decline("not-entitled", [("who", "shop, is not named".into())]));
    }
    if let Some(figures) = why_closed(draft, perk) {
        return Err(Stop::Decline("not-open".into(), figures));
    }
    let bucket = bucket_of(perk, draft.book, version, term.as_ref(), draft.occurred);
    let used = match perk.counted {
        CountedBy::Term => times_used(draft.account, perk, term.as_ref(), bucket),
        CountedBy::Line => {
            let line = order.as_ref().and_then(|order| order.line(&data.line));
            line.and_then(|line| line.claimed.as_ref()?.get(&perk.name).copied()).unwrap_or(0)
        }
        CountedBy::Shop => count_at_shop(draft, &perk.name, &data.shop, bucket, 0)?,
        CountedBy::Account => times_used(draft.account, perk, None, bucket),
    };
    if let Some(quota) = offer.quota.filter(|quota| used >= *quota) {
        return Err(decline("quota-used", [named, ("quota", quota.into()), ("used", used.into())]));
    }
    let mut purses: Map<Text, Text> = Map::default();
    for kind in benefit.gives.iter().filter_map(|gift| gift.kind.as_ref()) {
        purses.insert(kind.clone(), purse_of(draft, kind, &data.shop)?);
    }
    if let Some(charge) = offer.charge {
        let purse = purse_of(draft, &charge.kind, &data.shop)?;
        let spendable = draft.account.spendable(&purse);
        purses.insert(charge.kind.clone(), purse);
        if charge.points > spendable {
            let figures = [("asked", charge.points.into()), ("spendable", spendable.into())];
            return Err(decline(format!("{}-short", charge.kind), figures));
        }
    }
    if benefit.gives.iter().any(|gift| gift.tier.is_some()) && draft.account.grants.len() >= MAX_GRANTS {
        return Err(decline("too-many-grants", [("most", (MAX_GRANTS as i64).into())]));
    }
    for card in cards_of(draft, &data.claim, &benefit.gives) {
        if draft.has_page(&format!("card/{card}"))? {
            return Err(decline("already", []));
        }
    }
    if perk.stock.is_some() {
        return Err(Stop::HandBack(HandedBack::Pool));
    }
    let mut page = ClaimPage {
        membership: perk.membership.clone(),
        card: if term.is_some() { card.clone() } else { Text::default() },
        benefit: data.benefit.clone(),
        bucket,
        ..ClaimPage::default()
    };
    count(draft, perk, data, &mut page, order.as_mut(), &card)?;
    if let Some(charge) = offer.charge {
        pay(draft, &data.claim, &purses[&charge.kind], charge.points)?;
    }
    give(draft, &data.claim, &benefit.gives, &purses, &mut page)?;
    let rules = version.rules_on("benefit.claimed");
    if !rules.is_empty() {
        let given = Given { may_return: true, ..Given::of_fact(asked, &data.claim) };
        page.awards.extend(apply_rules(draft, rules, &given, None, None)?);
    }
    draft.put(format!("claim/{}", data.claim), page);
    if benefit.returns_with_order && !data.order.is_empty() {
        order.get_or_insert_default().claims.push(data.claim.clone());
    }
    if let Some(order) = order {
        draft.put(order_key, order);
    }
    Ok(())
}

/// Count a claim where its quota does; a card that gives it is used by that in any case.
///
/// `card` is the one that gave a line its right.
fn count(
    draft: &mut Draft,
    perk: &Perk,
    data: &Claim,
    page: &mut ClaimPage,
    order: Option<&mut OrderPage>,
    card: &Text,
) -> Done {
    let (benefit, bucket) = (perk.name.clone(), page.bucket);
    if !page.card.is_empty() {
        let bucket = if perk.counted == CountedBy::Term { bucket } else { 0 };
        let (membership, card) = (perk.membership.clone(), page.card.clone());
        draft.emit(BenefitUsed { membership, card, benefit: benefit.clone(), bucket })?;
    }
    let counted = BenefitCounted { benefit, bucket, ..BenefitCounted::default() };
    if perk.of_line {
        let line = order.and_then(|order| order.line_mut(&data.line)).expect("it was checked");
        *line.claimed.get_or_insert_default().entry(perk.name.clone()).or_insert(0) += 1;
        (page.order, page.line) = (data.order.clone(), data.line.clone());
        let (membership, card) = (perk.membership.clone(), card.clone());
        draft.emit(BenefitCounted {
            membership,
            card,
            order: data.order.clone(),
            line: data.line.clone(),
            ..counted
        })?;
    } else if perk.counted == CountedBy::Shop {
        page.shop = data.shop.clone();
        count_at_shop(draft, &perk.name, &data.shop, bucket, 1)?;
        draft.emit(BenefitCounted { shop: data.shop.clone(), ..counted })?;
    } else if perk.counted == CountedBy::Account {
        page.by_account = true;
        draft.emit(counted)?;
    }
    Ok(())
}

/// Decide that a claim of a benefit is given back, with all that it cost and gave.
pub fn return_claim(draft: &mut Draft, data: &ClaimReturn) -> Done {
    let Some(page) = draft.page::<ClaimPage>(&format!("claim/{}", data.claim))? else {
        return Err(decline("unknown-claim", [("claim", (&data.claim).into())]));
    };
    if page.is_returned {
        return Err(decline("already", []));
    }
    give_back(draft, &data.claim, page)
}
