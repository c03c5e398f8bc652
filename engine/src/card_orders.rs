//! What a card earned at its rate, and what is taken back of it where the card is refunded whole.

use crate::account::Term;
use crate::draft::{Done, Draft, bounded};
use crate::entries::{Map, Refrozen, Text, TrialReverted};
use crate::evaluate::{Asked, Line, amount_of, meets, multiplier_of};
use crate::facts::Data;
use crate::lots::{claw_back, collect, expire, lot_page};
use crate::pages::{Award, CardOrdersPage, CardPage, OrderPage, PageLine, kept_of};
use crate::programme::{Rule, Version};
use crate::times::DAY;

const ORDERS_A_PAGE: usize = 1_000;

/// Keep which card each award of a line counts against, and what the ordinary rule would have given for it.
pub fn remember(draft: &mut Draft, data: &Data, order: &Text, page: &OrderPage, line: &mut PageLine) -> Done {
    let version = draft.version;
    for place in 0..line.awards.len() {
        let rule = version.rule(&line.awards[place].rule).expect("the version gave it");
        let Some(membership) = rule.member.as_ref().filter(|member| version.claws_back.contains(*member)) else {
            continue;
        };
        let Some(card) = draft.account.term_at(membership, draft.occurred).map(|term| term.card.clone()) else {
            continue;
        };
        let at = draft.occurred;
        let ordinary = ordinary_of(draft, version, at, data, page, page.lines.len(), &*line, rule)?;
        let award = &mut line.awards[place];
        (award.card, award.ordinary) = (card.clone(), ordinary);
        put_order(draft, &card, order)?;
    }
    Ok(())
}

/// Return true if what is bought in a term earns at its card's rate: not of one that was refunded whole since.
pub fn has_rate(draft: &mut Draft, term: &Term) -> Done<bool> {
    if term.until > draft.clock {
        return Ok(true);
    }
    let page = draft.page::<CardPage>(&format!("card/{}", term.card))?;
    Ok(!page.is_some_and(|page| page.is_taken_back))
}

/// Put an order that earned at a card's rate on the card's pages, once in a row.
pub fn put_order(draft: &mut Draft, card: &Text, order: &Text) -> Done {
    let key = format!("card/{card}");
    let Some(mut page) = draft.page::<CardPage>(&key)?.filter(|page| page.orders.last() != Some(order)) else {
        return Ok(());
    };
    if page.orders.len() == ORDERS_A_PAGE {
        let orders = std::mem::take(&mut page.orders);
        draft.put(format!("card-orders/{card}/{}", page.full), CardOrdersPage { orders });
        page.full += 1;
    }
    page.orders.push(order.clone());
    draft.put(key, page);
    Ok(())
}

/// Return what the rule that a card's rule stands in for would have given for a line that completed at an instant.
///
/// The line is behind the first `before` lines of its order's page.
#[allow(clippy::too_many_arguments)]
pub fn ordinary_of(
    draft: &Draft,
    version: &Version,
    at: i64,
    data: &Data,
    page: &OrderPage,
    before: usize,
    line: &PageLine,
    rule: &Rule,
) -> Done<i64> {
    let Some(ordinary) = stood_in_for(version, rule) else {
        return Ok(0);
    };
    let score_of = |rule: &Rule| rule.key[..rule.key.len().saturating_sub(rule.name.len())].to_owned();
    if ordinary.kind != rule.kind || score_of(ordinary) != score_of(rule) {
        return Ok(0);
    }
    let (asked, own) = (Asked::Data(data), Line::from(line));
    if !(ordinary.since <= at && at < ordinary.until && meets(&ordinary.clauses, Some(&own), asked)) {
        return Ok(0);
    }
    if ordinary.member.as_ref().is_some_and(|member| draft.account.term_at(member, at).is_none()) {
        return Ok(0);
    }
    if ordinary.who.is_some() && draft.unentitled.contains_key(&ordinary.name) {
        return Ok(0);
    }
    if ordinary.award.first.is_some() {
        let is_known = match draft.account.marks.get(&ordinary.name) {
            Some(marks) => marks.contains(&line.category),
            None => line.category.is_empty(),
        };
        if is_known {
            return Ok(0);
        }
    }
    let times = multiplier_of(ordinary, Some(&own), asked, at, &draft.unentitled);
    let mut points = amount_of(&ordinary.amount, line.paid_fen, &line.category, line.quantity, times);
    if ordinary.line_cap != 0 {
        points = points.min(i128::from(ordinary.line_cap));
    }
    if let Some(bucket) = &ordinary.order_bucket {
        let counted = counted(version, page, before, line, ordinary);
        points = points.min((i128::from(bucket.points) - counted).max(0));
    }
    bounded(points)
}

/// Return the ordinary rule along `instead_of`: the first that is not at the same membership's rate.
pub fn stood_in_for<'a>(version: &'a Version, rule: &Rule) -> Option<&'a Rule> {
    let next = |rule: &Rule| rule.award.instead_of.as_ref().and_then(|name| version.rule(name));
    let mut found = next(rule);
    while let Some(other) = found.filter(|other| other.member == rule.member) {
        found = next(other);
    }
    found
}

/// Return what the lines before this one gave, or would have given, by a rule that has a cap for the order.
fn counted(version: &Version, page: &OrderPage, before: usize, line: &PageLine, ordinary: &Rule) -> i128 {
    let bucket = ordinary.order_bucket.as_ref().expect("asked of a rule that has one");
    let mut total = 0;
    for other in &page.lines[..before] {
        if bucket.of_line && !bucket.each.is_empty() {
            let is_alike = match &*bucket.each {
                "category" => other.category == line.category,
                "sku" => other.sku == line.sku,
                _ => true,
            };
            if !is_alike {
                continue;
            }
        }
        for award in &other.awards {
            if award.rule == ordinary.name {
                total += i128::from(award.given);
            } else if !award.card.is_empty() {
                let stood = version.rule(&award.rule).and_then(|rule| stood_in_for(version, rule));
                if stood.is_some_and(|rule| rule.name == ordinary.name) {
                    total += i128::from(award.ordinary);
                }
            }
        }
    }
    total
}

/// Return true if a term is of another card that was bought for a trial's points, and was not refunded.
fn is_other_card(draft: &mut Draft, term: &Term, trial: &Term, card: &Text) -> Done<bool> {
    if term.trial || term.card == *card || term.bought_at < trial.bought_at {
        return Ok(false);
    }
    Ok(draft.page::<CardPage>(&format!("card/{}", term.card))?.is_some_and(|page| !page.refunded))
}

/// Return the term of a card that was taken out, as what its orders earn from now on goes by; None of another.
///
/// Points of a trial are free once another card was bought for them.
pub fn taken_out_of(draft: &mut Draft, membership: &Text, card: &Text) -> Done<Option<Term>> {
    let Some(term) = page_of_taken_out(draft, card)?.and_then(|(_, page)| page.taken_out) else {
        return Ok(None);
    };
    let lapses = term.until + draft.version.release_days[membership] * DAY;
    let mut is_free = false;
    for other in draft.account.terms.get(membership).cloned().unwrap_or_default() {
        is_free |= term.trial && other.bought_at < lapses && is_other_card(draft, &other, &term, &term.card)?;
    }
    Ok(Some(Term { converted: term.converted || is_free, ..term }))
}

/// Count points against the cap of a card that was taken out; of one that is laid its term counts them.
pub fn count_taken_out(draft: &mut Draft, card: &Text, points: i64) -> Done {
    if let Some((key, mut page)) = page_of_taken_out(draft, card)?
        && let Some(term) = &mut page.taken_out
    {
        term.capped = bounded(i128::from(term.capped) + i128::from(points))?;
        draft.put(key, page);
    }
    Ok(())
}

/// Return the page, and its key, that keeps the term of a card taken out; one that a claim gave has a page for this.
fn page_of_taken_out(draft: &mut Draft, card: &Text) -> Done<Option<(String, CardPage)>> {
    for key in [format!("card/{card}"), format!("free-card/{card}")] {
        if let Some(page) = draft.page::<CardPage>(&key)? {
            return Ok(Some((key, page)));
        }
    }
    Ok(None)
}

/// Points to be taken back: of an award (by the order, the place of its line, its own), or `spent` ones of a trial.
struct Claim {
    lot: i64,
    order: Text,
    line: usize,
    award: usize,
    spent: i64,
}

/// Take back what a card gave that is refunded whole: what its rate gave more, and points of a trial.
pub fn take_back(draft: &mut Draft, card: &Text, page: &mut CardPage, refund_fen: i64) -> Done {
    draft.refund_fen = refund_fen;
    let mut orders = orders_of(draft, card, page)?;
    let mut claims = freeze_again(draft, card, page, &mut orders)?;
    for (order, page) in &orders {
        for (line, kept) in page.lines.iter().enumerate() {
            for (award, given) in kept.awards.iter().enumerate().filter(|(_, award)| award.card == *card) {
                claims.push(Claim { lot: given.lot, order: order.clone(), line, award, spent: 0 });
            }
        }
    }
    claims.sort_by_key(|claim| claim.lot);
    for claim in claims {
        let line = &mut orders[&claim.order].lines[claim.line];
        let name = line.line.clone();
        if claim.spent != 0 {
            let (kind, rule) = (line.awards[claim.award].kind.clone(), line.awards[claim.award].rule.clone());
            collect(draft, &kind, claim.spent, &rule, &name)?;
            continue;
        }
        let award = &mut line.awards[claim.award];
        award.is_ordinary = true;
        award.given = award.ordinary.max(award.less);
        let counted = award.counted();
        let keep = kept_of(line, counted);
        claw_back(draft, &mut line.awards[claim.award], keep, &name)?;
    }
    for (name, order) in orders {
        draft.put(format!("order/{name}"), order);
    }
    page.is_taken_back = true;
    Ok(())
}

/// Return the pages of the orders that earned at a card's rate, in the order in which they did.
fn orders_of(draft: &mut Draft, card: &Text, page: &CardPage) -> Done<Map<Text, OrderPage>> {
    let mut names = Vec::new();
    for number in 0..page.full {
        let full: Option<CardOrdersPage> = draft.page(&format!("card-orders/{card}/{number}"))?;
        names.extend(full.expect("it was put there when it was full").orders);
    }
    names.extend(page.orders.iter().cloned());
    let mut found = Map::default();
    for name in names {
        if !found.contains_key(&name)
            && let Some(order) = draft.page::<OrderPage>(&format!("order/{name}"))?
        {
            found.insert(name, order);
        }
    }
    Ok(found)
}

/// Freeze what is left of points that a card released from a trial; return claims for what of them was spent.
///
/// Where another card was bought since, nothing is frozen: the points wait for that one's refund.
fn freeze_again(
    draft: &mut Draft,
    card: &Text,
    page: &CardPage,
    orders: &mut Map<Text, OrderPage>,
) -> Done<Vec<Claim>> {
    if page.released.is_empty() {
        return Ok(vec![]);
    }
    let terms = draft.account.terms.get(&page.membership).cloned().unwrap_or_default();
    let laid = terms.iter().find(|term| term.trial && term.card == page.trial).cloned();
    let is_laid = laid.is_some();
    let trial = match laid {
        None => page_of_taken_out(draft, &page.trial)?.and_then(|(_, page)| page.taken_out),
        laid => laid,
    };
    if let Some(trial) = &trial {
        for term in &terms {
            if is_other_card(draft, term, trial, card)? {
                let key = format!("card/{}", term.card);
                let mut kept: CardPage = draft.page(&key)?.expect("it was bought");
                kept.released.extend(page.released.iter().cloned());
                kept.trial = page.trial.clone();
                draft.put(key, kept);
                return Ok(vec![]);
            }
        }
    }
    let release = draft.version.release_days[&page.membership] * DAY;
    let until = trial.as_ref().map_or(draft.clock, |trial| trial.until + release);
    if let Some(trial) = trial.filter(|_| is_laid) {
        draft.emit(TrialReverted { membership: page.membership.clone(), card: trial.card.clone() })?;
    }
    let mut left: Map<i64, i64> = Map::default();
    for (kind, key) in &page.released {
        let gone = lot_page(draft, *key)?;
        let (free, held) = match draft.account.purses[kind].lots.get(key) {
            Some(lot) => (lot.left, lot.held),
            None => (0, 0),
        };
        left.insert(*key, free + held + gone.expired + gone.forfeited - gone.met);
        if free != 0 || held != 0 {
            draft.emit(Refrozen { kind: kind.clone(), lot: *key, points: free, pending_until: until })?;
            if until <= draft.clock && free != 0 {
                expire(draft, kind, *key, until)?;
            }
        }
    }
    if let Some(of_trial) = draft.page::<CardPage>(&format!("card/{}", page.trial))? {
        for (name, order) in orders_of(draft, &page.trial, &of_trial)? {
            orders.entry(name).or_insert(order);
        }
    }
    let mut claims = Vec::new();
    for (order, page) in orders.iter_mut() {
        for (line, kept) in page.lines.iter_mut().enumerate() {
            for (award, given) in kept.awards.iter_mut().enumerate() {
                for (lot, spent) in spent_of(given, &left) {
                    claims.push(Claim { lot, order: order.clone(), line, award, spent });
                }
            }
        }
    }
    Ok(claims)
}

/// Return what was spent of an award's lots, of which so much is left or is gone by itself.
///
/// From now on the award holds only the rest: a return does not claim it again.
fn spent_of(award: &mut Award, left: &Map<i64, i64>) -> Vec<(i64, i64)> {
    let mut claims = Vec::new();
    for grown in &mut award.grown {
        let spent = left.get(&grown.lot).map_or(0, |left| (grown.held - left).max(0));
        if spent != 0 {
            grown.held -= spent;
            award.held -= spent;
            claims.push((grown.lot, spent));
        }
    }
    let own = award.held - award.grown.iter().map(|grown| grown.held).sum::<i64>();
    let spent = left.get(&award.lot).map_or(0, |left| (own - left).max(0));
    if spent != 0 {
        award.held -= spent;
        claims.push((award.lot, spent));
    }
    claims
}
