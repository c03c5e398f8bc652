//! Orders from payment to return: what completes is awarded line by line, what comes back is reversed exactly.

use crate::awards::{Given, apply_rules};
use crate::card_orders::remember;
use crate::claims::give_back;
use crate::decisions::payments::{award_payment, take_back_payment};
use crate::draft::{Done, Draft, bounded, decline};
use crate::entries::{Map, Text};
use crate::facts::{Data, Order, OrderEnd, OrderLine, Return};
use crate::lots::{claw_back, restore};
use crate::pages::{
    CANCELLED, COMPLETED, ClaimPage, Completion, EarlyReturn, OPEN, OrderPage, PAID, PageLine, REJECTED,
    RedemptionPage, SeenPage, kept_of,
};
use crate::rights::{end_rights, give_rights, said_of};
use crate::who::cut;

const MAX_LINES: i64 = 1_000;
const ALL: i64 = 1 << 62;

/// Return the reason for which an order that has ended takes no more.
pub fn ended(status: i64) -> Option<&'static str> {
    match status {
        COMPLETED => Some("order-completed"),
        CANCELLED => Some("order-cancelled"),
        REJECTED => Some("order-rejected"),
        _ => None,
    }
}

/// Return the page of an order, None where it was never seen.
pub fn page_of(draft: &mut Draft, order: &str) -> Done<Option<OrderPage>> {
    if order.is_empty() { Ok(None) } else { draft.page(&["order/", order].concat()) }
}

/// Decline what comes again, or after the order has ended another way.
fn end_once(page: Option<&OrderPage>, status: i64) -> Done {
    match page.and_then(|page| Some((page.status, ended(page.status)?))) {
        Some((was, _)) if was == status => Err(decline("already", [])),
        Some((_, reason)) => Err(decline(reason, [])),
        None => Ok(()),
    }
}

/// Let a cancelled order go on; what its cancellation gave back counts no more.
fn reopen(draft: &mut Draft, page: &mut OrderPage) {
    page.redeemed = 0;
    page.redeemed_fen = 0;
    page.redemptions.clear();
    page.ended_at = 0;
    draft.note("after-cancellation", []);
}

/// Decide an order that was paid.
pub fn pay(draft: &mut Draft, data: &Data, order: &Order) -> Done {
    let mut page = match page_of(draft, &order.order)? {
        None => OrderPage::default(),
        Some(mut page) if page.status == CANCELLED && draft.occurred >= page.ended_at => {
            reopen(draft, &mut page);
            page
        }
        Some(page) => {
            end_once(Some(&page), PAID)?;
            if page.status == PAID {
                return Err(decline("already", []));
            }
            page
        }
    };
    page.status = PAID;
    page.lines = order.lines.iter().map(page_line).collect();
    award_payment(draft, &mut page, data, order)?;
    if !page.paid.is_empty() {
        let mut early = std::mem::take(&mut page.early);
        for back in &mut early {
            // that came before the payment was heard of
            draft.refund_fen = back.refund_fen;
            for (name, pieces, fen) in &back.lines {
                return_payment(draft, &mut page, name, *pieces, *fen)?;
            }
            back.refund_fen = draft.refund_fen;
        }
        page.early = early;
    }
    draft.put(["order/", &order.order].concat(), page);
    Ok(())
}

/// Return a line as its order's page keeps it, with nothing given for it yet.
pub fn page_line(line: &OrderLine) -> PageLine {
    PageLine {
        line: line.line.clone(),
        quantity: line.quantity,
        paid_fen: line.paid_fen,
        category: line.category.clone(),
        sku: line.sku.clone(),
        points: line.points,
        ..PageLine::default()
    }
}

/// Decide lines of an order that are completed: they are awarded, and returns that came before are applied.
pub fn complete(draft: &mut Draft, data: &Data, order: &Order) -> Done {
    let found = page_of(draft, &order.order)?;
    let is_first = found.as_ref().is_none_or(|page| page.status != COMPLETED);
    let mut lines: Vec<&OrderLine> = order.lines.iter().collect();
    let mut page = found.unwrap_or_default();
    if page.more && !is_first {
        lines.retain(|line| page.line(&line.line).is_none());
        if lines.is_empty() {
            return Err(decline("already", []));
        }
        if lines.len() < order.lines.len() {
            let known = order.lines.iter().filter(|line| page.line(&line.line).is_some());
            let listed = listed(known.map(|line| &line.line));
            draft.note("line-completed", [("lines", listed.into())]);
        }
    } else if page.status == CANCELLED {
        reopen(draft, &mut page);
    } else {
        end_once(Some(&page), COMPLETED)?;
    }
    if is_first {
        page.status = COMPLETED;
        page.ended_at = draft.occurred;
        page.lines.clear();
    }
    page.more = order.more;
    let place = begin_completion(draft, &mut page, order);
    for line in lines {
        award_line(draft, &mut page, data, order, line, place)?;
    }
    if is_first {
        let rules = draft.version.rules_on("order.completed");
        apply_rules(draft, rules, &Given::of_fact(data, &order.order), Some(&mut page), None)?;
    }
    if !page.more && page.tendered != page.redeemed {
        let figures = [("tendered", page.tendered.into()), ("redeemed", page.redeemed.into())];
        draft.note("points-differ", figures);
    }
    apply_early(draft, &mut page)?;
    draft.put(["order/", &order.order].concat(), page);
    Ok(())
}

/// Give what a line earns that completes with this fact, and put it on its order's page.
pub fn award_line(
    draft: &mut Draft,
    page: &mut OrderPage,
    data: &Data,
    order: &Order,
    line: &OrderLine,
    place: i64,
) -> Done {
    let version = draft.version;
    let has_cards = !draft.account.terms.is_empty();
    let rules = if has_cards { &version.line_rules } else { &version.line_rules_without_card };
    let mut times: Map<Text, Text> = Map::default();
    let told = version.multiplies.then_some(&mut times);
    let given = Given::of_line(data, &order.order, line.into());
    let awards = apply_rules(draft, rules, &given, Some(page), told)?;
    let mut kept = PageLine { awards, completion: place, ..page_line(line) };
    kept.times = (!times.is_empty()).then_some(times);
    if has_cards && !version.claws_back.is_empty() {
        remember(draft, data, &order.order, page, &mut kept)?;
    }
    if !version.rights.is_empty() {
        give_rights(draft, data, order, &line.into(), &mut kept)?;
    }
    page.lines.push(kept);
    page.tendered = bounded(i128::from(page.tendered) + i128::from(line.points))?;
    Ok(())
}

/// Keep what holds for the lines that complete with this fact, as an amendment will ask. Returns its place.
pub fn begin_completion(draft: &Draft, page: &mut OrderPage, order: &Order) -> i64 {
    let version = draft.version;
    let mut completion = Completion { at: draft.occurred, version: version.name.clone(), ..Completion::default() };
    completion.said = version.keeps_said.then(|| said_of(order));
    completion.cards = cards_at(draft, draft.occurred);
    page.completions.push(completion);
    page.completions.len() as i64 - 1
}

/// Return the card of each membership that held at an instant; None where none did.
pub fn cards_at(draft: &Draft, instant: i64) -> Option<Map<Text, Text>> {
    let account = &draft.account;
    let held =
        account.terms.keys().filter_map(|name| Some((name.clone(), account.term_at(name, instant)?.card.clone())));
    let cards: Map<Text, Text> = held.collect();
    (!cards.is_empty()).then_some(cards)
}

/// Return names of lines as a figure of an entry has them.
pub fn listed<'a>(names: impl Iterator<Item = &'a Text>) -> String {
    let names: Vec<&str> = names.map(|name| &**name).collect();
    cut(&names.join(","))
}

/// Decide an order that was cancelled, or what is left of one that completes in parts.
pub fn cancel(draft: &mut Draft, end: &OrderEnd) -> Done {
    let page = page_of(draft, &end.order)?;
    if let Some(mut page) = page.clone().filter(|page| page.status == COMPLETED && page.more) {
        draft.note("rest-cancelled", []);
        page.more = false;
        page.early.clear();
        take_back_payment(draft, &mut page, true)?;
        restore_rest(draft, &mut page, &[])?;
        draft.put(format!("order/{}", end.order), page);
        return Ok(());
    }
    end_once(page.as_ref(), CANCELLED)?;
    if page.is_none() {
        draft.note("unknown-order", [("order", (&end.order).into())]);
    }
    end_with_restoration(draft, &end.order, page.unwrap_or_default(), CANCELLED)
}

/// Decide an order that was refused at the door; its penalties follow.
pub fn reject(draft: &mut Draft, end: &OrderEnd) -> Done {
    let page = page_of(draft, &end.order)?;
    end_once(page.as_ref(), REJECTED)?;
    end_with_restoration(draft, &end.order, page.unwrap_or_default(), REJECTED)
}

/// End an order before completion: every point tendered on it goes back to its lots.
fn end_with_restoration(draft: &mut Draft, order: &Text, mut page: OrderPage, status: i64) -> Done {
    page.status = status;
    page.ended_at = draft.occurred;
    page.early.clear();
    give_back_redeemed(draft, &page, ALL)?; // first, as where an order comes back whole
    take_back_payment(draft, &mut page, false)?;
    let claims = std::mem::take(&mut page.claims);
    let key = format!("order/{order}");
    draft.put(key.clone(), page); // where a claim of one of its lines is counted back
    for name in &claims {
        let claim = draft.page::<ClaimPage>(&format!("claim/{name}"))?;
        if let Some(claim) = claim.filter(|claim| !claim.is_returned) {
            give_back(draft, name, claim)?;
        }
    }
    Ok(())
}

/// Decide a return of some lines: what comes before its lines have completed is remembered for them.
pub fn take_back(draft: &mut Draft, data: &Return) -> Done {
    let found = page_of(draft, &data.order)?;
    if draft.has_page(&format!("return/{}", data.return_))? {
        return Err(decline("already", []));
    }
    let unknown_order = [("order", (&data.order).into())];
    if found.is_none() {
        if data.order.is_empty() {
            return Err(decline("unknown-order", unknown_order));
        }
        draft.note("unknown-order", unknown_order);
    }
    let mut page = found.unwrap_or_default();
    if let Some(reason) = ended(page.status).filter(|_| page.status != COMPLETED) {
        return Err(decline(reason, []));
    }
    let takes_any = page.status == OPEN || page.more;
    let known: Vec<_> = data.lines.iter().filter(|line| takes_any || page.line(&line.line).is_some()).collect();
    if known.len() < data.lines.len() {
        let unknown = data.lines.iter().filter(|line| page.line(&line.line).is_none());
        let unknown = listed(unknown.map(|line| &line.line));
        if known.is_empty() {
            return Err(decline("unknown-line", [("lines", unknown.into())]));
        }
        draft.note("unknown-line", [("lines", unknown.into())]);
    }
    let is_completed = page.status == COMPLETED;
    let is_now = |name: &str| is_completed && page.line(name).is_some();
    let (now, rest): (Vec<_>, Vec<_>) = known.iter().copied().partition(|line| is_now(&line.line));
    let later = if now.is_empty() { known.clone() } else { rest };
    if !later.is_empty() {
        let waiting: usize = page.early.iter().map(|early| early.lines.len().max(1)).sum::<usize>() + later.len();
        if waiting as i64 > MAX_LINES {
            let figures =
                [("order", (&data.order).into()), ("lines", (waiting as i64).into()), ("most", MAX_LINES.into())];
            return Err(decline("too-many-returns", figures));
        }
    }
    let refunds = data.lines.iter().filter(|line| !line.exchange).map(|line| i128::from(line.refund_fen));
    draft.refund_fen = bounded(refunds.sum())?;
    let asked = bounded(known.iter().map(|line| i128::from(line.points)).sum())?;
    let restored = give_back_redeemed(draft, &page, asked)?;
    if restored < asked {
        draft.note("points-capped", [("asked", asked.into()), ("restored", restored.into())]);
    }
    if !page.paid.is_empty() {
        for line in known.iter().filter(|line| !line.exchange) {
            return_payment(draft, &mut page, &line.line, line.quantity, line.refund_fen)?;
        }
    }
    let now: Vec<_> = now.into_iter().filter(|line| !line.exchange).collect();
    if is_completed {
        let back: Vec<(Text, i64)> = now.iter().map(|line| (line.line.clone(), line.quantity)).collect();
        restore_rest(draft, &mut page, &back)?;
    }
    for line in now {
        return_line(draft, &mut page, &line.line, line.quantity, line.refund_fen)?;
    }
    if !later.is_empty() {
        let lines = later.iter().filter(|line| !line.exchange);
        let lines = lines.map(|line| (line.line.clone(), line.quantity, line.refund_fen)).collect();
        let (return_, refund_fen) = (data.return_.clone(), draft.refund_fen);
        page.early.push(EarlyReturn { return_, refund_fen, lines, points: asked - restored });
        draft.note("before-completion", []);
    }
    draft.put(format!("order/{}", data.order), page);
    draft.put(format!("return/{}", data.return_), SeenPage {});
    Ok(())
}

/// Apply the returns that came before their lines completed; those of lines still to come go on waiting.
pub fn apply_early(draft: &mut Draft, page: &mut OrderPage) -> Done {
    let early = std::mem::take(&mut page.early);
    if early.is_empty() {
        return Ok(());
    }
    let lines = early.iter().flat_map(|early| &early.lines);
    let back: Vec<(Text, i64)> = lines.map(|(name, pieces, _)| (name.clone(), *pieces)).collect();
    restore_rest(draft, page, &back)?;
    let mut waiting = Vec::new();
    for EarlyReturn { return_, refund_fen, lines, points } in early {
        draft.refund_fen = refund_fen;
        let points = points - give_back_redeemed(draft, page, points)?;
        let mut unknown = Vec::new();
        for (name, pieces, fen) in lines {
            if !return_line(draft, page, &name, pieces, fen)? {
                unknown.push((name, pieces, fen));
            }
        }
        if page.more && (!unknown.is_empty() || points != 0) {
            waiting.push(EarlyReturn { return_, refund_fen: draft.refund_fen, lines: unknown, points });
        } else if !unknown.is_empty() {
            let names = listed(unknown.iter().map(|(name, _, _)| name));
            draft.note("unknown-line", [("lines", names.into())]);
        } else if points != 0 {
            draft.note("points-capped", [("asked", points.into()), ("restored", 0.into())]);
        }
    }
    page.early = waiting;
    Ok(())
}

/// Claw back what a line's awards hold above the formula's K. False where the order has no such line.
fn return_line(draft: &mut Draft, page: &mut OrderPage, name: &str, pieces: i64, refund_fen: i64) -> Done<bool> {
    let Some(line) = page.line_mut(name) else {
        return Ok(false);
    };
    take_of_line(draft, line, pieces, refund_fen)?;
    Ok(true)
}

/// Claw back what the payment gave for a line above the formula's K, with P and pieces as they were paid.
fn return_payment(draft: &mut Draft, page: &mut OrderPage, name: &str, pieces: i64, refund_fen: i64) -> Done {
    for line in page.paid.iter_mut().filter(|line| &*line.line == name) {
        take_of_line(draft, line, pieces, refund_fen)?;
    }
    Ok(())
}

/// Count what came back of a line, and claw back what its awards hold above the formula's K.
fn take_of_line(draft: &mut Draft, line: &mut PageLine, pieces: i64, refund_fen: i64) -> Done {
    line.returned = line.quantity.min(line.returned + pieces);
    line.refunded_fen = (line.refunded_fen + refund_fen).min(ALL);
    if !line.rights.is_empty() && line.returned >= line.quantity {
        end_rights(draft, line)?;
    }
    let name = line.line.clone();
    for place in 0..line.awards.len() {
        let keep = kept_of(line, line.awards[place].counted());
        claw_back(draft, &mut line.awards[place], keep, &name)?;
    }
    Ok(())
}

/// Give back all that an order's redemptions keep, if with `back` (line, pieces) it came back whole.
pub fn restore_rest(draft: &mut Draft, page: &mut OrderPage, back: &[(Text, i64)]) -> Done {
    if page.more {
        return Ok(());
    }
    let pieces_of = |name: &Text| back.iter().filter(|(line, _)| line == name).map(|(_, pieces)| pieces).sum::<i64>();
    if page.lines.iter().all(|line| line.returned + pieces_of(&line.line) >= line.quantity) {
        let rest = give_back_redeemed(draft, page, ALL)?;
        if rest != 0 {
            draft.note("rest-restored", [("rest", rest.into())]);
        }
    }
    Ok(())
}

/// Give back up to `points` of an order's redemptions, the last first. Returns how many there were.
fn give_back_redeemed(draft: &mut Draft, page: &OrderPage, points: i64) -> Done<i64> {
    let mut rest = points;
    for name in page.redemptions.iter().rev() {
        if rest == 0 {
            break;
        }
        let key = format!("redemption/{name}");
        let redemption: RedemptionPage = draft.page(&key)?.expect("an order's redemptions were granted");
        rest -= restore(draft, name, redemption, rest, key)?;
    }
    Ok(points - rest)
}
