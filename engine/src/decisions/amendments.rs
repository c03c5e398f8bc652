//! Amendments: the lines of an order as they are now, and what each rule gives more or less for it.
//!
//! For each line and rule A is what was given and A′ what the new line gives at its completion's version, card and
//! multiplier. K(A′) − K(A), both with what came back so far, is earned now or taken back.

use crate::account::Term;
use crate::awards::{Counted, Earning, earn_award, room_of, withhold};
use crate::card_orders::{count_taken_out, ordinary_of, put_order, stood_in_for, taken_out_of};
use crate::decisions::orders::{
    apply_early, award_line, begin_completion, cards_at, ended, listed, page_line, page_of, restore_rest,
};
use crate::decisions::payments::take_back_line;
use crate::draft::{Done, Draft, at_shop, bounded, decline};
use crate::entries::{Map, Scored, Text};
use crate::evaluate::{Asked, Line, amount_of, meets, multiplier_of};
use crate::facts::{Data, Order, OrderLine};
use crate::lots::claw_back;
use crate::pages::{Award, COMPLETED, CardPage, Completion, GrownLot, OrderPage, PageLine, kept_of};
use crate::programme::{Multiplier, Rule, Version};
use crate::rights::{end_rights, tag_line};
use crate::who::unentitled_by;

/// A line that is amended: its place on the page, its new data, and by rule what it kept before.
struct Renewed<'a> {
    place: usize,
    data: &'a OrderLine,
    kept: Map<Text, i64>,
}

/// What the rules of a line's completion are asked with.
struct Asking<'a> {
    data: &'a Data,
    order: &'a Order,
    completion: Completion,
    version: &'a Version,
}

/// Decide the lines of an order as they are now; before its completion they are only kept.
pub fn amend(draft: &mut Draft, data: &Data, order: &Order) -> Done {
    let key = format!("order/{}", order.order);
    let Some(mut page) = page_of(draft, &order.order)? else {
        return Err(decline("unknown-order", [("order", (&order.order).into())]));
    };
    if page.status != COMPLETED {
        if let Some(reason) = ended(page.status) {
            return Err(decline(reason, []));
        }
        page.lines = order.lines.iter().map(page_line).collect();
        draft.put(key, page);
        return Ok(());
    }
    draft.refund_fen = order.refund_fen;
    page.more = page.more || order.more;
    let place_of = |page: &OrderPage, name: &Text| page.lines.iter().position(|line| line.line == *name);
    let mut amended = Vec::new();
    let mut fresh = Vec::new();
    let mut gone = Vec::new();
    for line in &order.lines {
        match place_of(&page, &line.line) {
            None => fresh.push(line),
            Some(place) if page.lines[place].is_gone => gone.push(&line.line),
            Some(place) => amended.push(renew(&mut page, place, line)),
        }
    }
    if !gone.is_empty() {
        draft.note("line-returned", [("lines", listed(gone.into_iter()).into())]);
    }
    let asks = if fresh.is_empty() { "" } else { "order.completed" };
    let unentitled = unentitled_by(draft, asks, data)?;
    let mut missing = Vec::new();
    for (place, line) in page.lines.iter_mut().enumerate() {
        if !line.is_gone && order.lines.iter().all(|named| named.line != line.line) {
            line.is_gone = true;
            line.returned = line.returned.max(line.quantity);
            missing.push(place);
        }
    }
    if fresh.is_empty() {
        restore_rest(draft, &mut page, &[])?;
    }
    for line in &amended {
        draft.unentitled.clear(); // what was judged at its completion holds
        let asking = asking_of(draft, &page, data, order, &page.lines[line.place]);
        amend_line(draft, &mut page, &asking, line)?;
    }
    if !fresh.is_empty() {
        draft.unentitled = unentitled;
        let place = begin_completion(draft, &mut page, order);
        for line in fresh {
            award_line(draft, &mut page, data, order, line, place)?;
        }
    }
    for place in missing {
        let line = &mut page.lines[place];
        end_rights(draft, line)?;
        let name = line.line.clone();
        take_back_line(draft, &mut page, &name)?;
        for award in &mut page.lines[place].awards {
            claw_back(draft, award, 0, &name)?;
        }
    }
    apply_early(draft, &mut page)?;
    draft.put(key, page);
    Ok(())
}

/// Put a line's new figures on its page; what it kept of each award goes by the old ones.
fn renew<'a>(page: &mut OrderPage, place: usize, data: &'a OrderLine) -> Renewed<'a> {
    let line = &mut page.lines[place];
    let kept = line.awards.iter().map(|award| (award.rule.clone(), kept_of(line, award.counted()))).collect();
    (line.quantity, line.paid_fen, line.category) = (data.quantity, data.paid_fen, data.category.clone());
    (line.sku, line.points) = (data.sku.clone(), data.points);
    let completion = page.completions.get_mut(line.completion as usize);
    if let Some(said) = completion.and_then(|completion| completion.said.as_mut()) {
        tag_line(said, data);
    }
    Renewed { place, data, kept }
}

fn asking_of<'a, 'd: 'a>(
    draft: &Draft<'d>,
    page: &OrderPage,
    data: &'a Data,
    order: &'a Order,
    line: &PageLine,
) -> Asking<'a> {
    let completion = match page.completions.get(line.completion as usize) {
        Some(completion) => completion.clone(),
        // engine 1 kept no more than the instant
        None => Completion { at: page.ended_at, cards: cards_at(draft, page.ended_at), ..Completion::default() },
    };
    let version = draft.book.decided(&completion.version, completion.at);
    Asking { data, order, completion, version }
}

/// Give or take back what each rule of a line's completion makes of its new figures.
fn amend_line(draft: &mut Draft, page: &mut OrderPage, asking: &Asking, line: &Renewed) -> Done {
    let version = asking.version;
    let mut replaced: Vec<Text> = Vec::new();
    for rule in version.line_rules.iter().map(|place| &version.rules[*place]) {
        let mut award = page.lines[line.place].awards.iter().position(|award| award.rule == rule.name);
        let is_new = award.is_none() && is_not_asked_anew(asking, rule);
        if !rule.is_kept || rule.award.first.is_some() || is_new {
            continue;
        }
        let term = term_of(draft, asking, rule, award.map(|place| &page.lines[line.place].awards[place]))?;
        let mut given = 0;
        if !replaced.contains(&rule.name) && (term.is_some() || rule.member.is_none() || award.is_some()) {
            given = would_give(asking, rule, line, &mut page.lines[line.place])?;
        }
        if let Some(place) = award {
            let claws_back = rule.member.as_ref().is_some_and(|member| version.claws_back.contains(member));
            if claws_back && !page.lines[line.place].awards[place].card.is_empty() {
                let had = page.lines[line.place].awards[place].ordinary;
                let ordinary = ordinary(draft, page, asking, line, rule, had)?;
                let award = &mut page.lines[line.place].awards[place];
                award.ordinary = ordinary;
                if award.is_ordinary {
                    given = ordinary;
                }
            }
        }
        award = move_to(draft, page, asking, line, rule, award, term.as_ref(), given)?;
        if let (Some(place), Some(instead_of)) = (award, &rule.award.instead_of)
            && page.lines[line.place].awards[place].given != 0
        {
            replaced.push(instead_of.clone());
        }
    }
    Ok(())
}

/// Return true if a rule that gave nothing gives nothing now: what it asked of the member is not known any more.
fn is_not_asked_anew(asking: &Asking, rule: &Rule) -> bool {
    let has_no_shop = rule.at_shop && asking.order.shop.is_empty();
    rule.has_guards || rule.who.is_some() || rule.wants_joined || has_no_shop
}

/// Return what the rule would have given for the new line, at its completion, that a card's rule stands in for.
///
/// One with `who` only if it would have then; a multiplier that was not asked for then is the first for anybody.
fn ordinary(draft: &mut Draft, page: &OrderPage, asking: &Asking, line: &Renewed, rule: &Rule, had: i64) -> Done<i64> {
    let Some(other) = stood_in_for(asking.version, rule).filter(|other| other.who.is_none() || had != 0) else {
        return Ok(0);
    };
    draft.unentitled = of_some(other);
    let at = asking.completion.at;
    ordinary_of(draft, asking.version, at, asking.data, page, line.place, &page.lines[line.place], rule)
}

/// Return the term of the card by which a rule gave, or of the one that held at the line's completion.
fn term_of(draft: &mut Draft, asking: &Asking, rule: &Rule, award: Option<&Award>) -> Done<Option<Term>> {
    let Some(member) = &rule.member else {
        return Ok(None);
    };
    let held = || asking.completion.cards.as_ref().and_then(|cards| cards.get(member).cloned());
    let of_award = award.map(|award| award.card.clone()).filter(|card| !card.is_empty());
    let Some(card) = of_award.or_else(held).filter(|card| !card.is_empty()) else {
        return Ok(None);
    };
    let page = draft.page::<CardPage>(&format!("card/{card}"))?;
    if page.as_ref().is_some_and(|page| page.is_taken_back) {
        return Ok(None);
    }
    if let Some(laid) = draft.account.term_of(member, &card) {
        return Ok(Some(laid.clone()));
    }
    taken_out_of(draft, member, &card)
}

/// Return A′: what a rule gives for the new line at its completion, after the cap of the line.
fn would_give(asking: &Asking, rule: &Rule, line: &Renewed, page: &mut PageLine) -> Done<i64> {
    let (at, own, asked) = (asking.completion.at, Line::from(line.data), Asked::Data(asking.data));
    if !(rule.since <= at && at < rule.until && meets(&rule.clauses, Some(&own), asked)) {
        return Ok(0);
    }
    let times = times_of(asking, rule, line, page);
    let points = amount_of(&rule.amount, own.paid_fen, own.category, own.quantity, times);
    bounded(if rule.line_cap == 0 { points } else { points.min(i128::from(rule.line_cap)) })
}

/// Return the multiplier that held at the line's completion; where the rule was not asked then, the first for anybody.
fn times_of<'a>(asking: &Asking, rule: &'a Rule, line: &Renewed, page: &mut PageLine) -> Option<&'a Multiplier> {
    if line.kept.contains_key(&rule.name) {
        let text = page.times.as_ref().and_then(|kept| kept.get(&rule.name))?;
        return rule.times.iter().find(|times| times.text == *text);
    }
    let asked = Asked::Data(asking.data);
    let found = multiplier_of(rule, Some(&line.data.into()), asked, asking.completion.at, &of_some(rule));
    if let Some(found) = found {
        // it stands, should the rule give now
        page.times.get_or_insert_default().insert(rule.name.clone(), found.text.clone());
    } else if let Some(kept) = &mut page.times {
        kept.shift_remove(&rule.name);
    }
    found
}

/// Return the multipliers of a rule that are for some members alone.
fn of_some(rule: &Rule) -> Map<Text, String> {
    let of_some = rule.times.iter().filter(|times| times.who.is_some());
    of_some.map(|times| (times.name.clone(), String::new())).collect()
}

/// Let an award come to `given`, or one begin that gave nothing. Returns its place on the line, None where there is none.
#[allow(clippy::too_many_arguments)]
fn move_to(
    draft: &mut Draft,
    page: &mut OrderPage,
    asking: &Asking,
    line: &Renewed,
    rule: &Rule,
    award: Option<usize>,
    term: Option<&Term>,
    given: i64,
) -> Done<Option<usize>> {
    let (place, at) = (line.place, asking.completion.at);
    let of = |page: &OrderPage, award: Option<usize>| award.map(|award| page.lines[place].awards[award].clone());
    let before = line.kept.get(&rule.name).copied().unwrap_or(0);
    let less = of(page, award).map_or(0, |award| award.less);
    let mut counted = (given - less).max(0);
    let more = kept_of(&page.lines[place], counted) - before;
    let mut award = award;
    if more > 0 {
        let mut room = 0;
        if draft.clock - at > draft.version.late {
            let name = page.lines[place].line.clone();
            withhold(draft, rule, "too-long-after-completion", &name, more)?;
        } else if term.is_some() || rule.member.is_none() || award.is_some() {
            // its card may be taken back by now
            let counted = Counted {
                data: asking.data,
                line: Some(line.data.into()),
                card: term.map(|term| term.card.clone()),
                day: Some(asking.version.zone.day(at)),
                month: asking.version.month(at),
            };
            room = room_of(draft, rule, more, &counted, term, page)?;
        }
        if room < more {
            counted = least_that_keeps(&page.lines[place], before + room);
        }
        if room != 0 {
            award = Some(add(draft, page, asking, line, rule, award, term, room)?);
        }
    } else if more < 0
        && let Some(award) = award
    {
        let name = page.lines[place].line.clone();
        let award = &mut page.lines[place].awards[award];
        let keep = (award.held + more).max(0);
        claw_back(draft, award, keep, &name)?;
    }
    if let Some(award) = award {
        page.lines[place].awards[award].given = bounded(i128::from(counted) + i128::from(less))?;
    }
    Ok(award)
}

/// Return the least A of which a line keeps so many points (K(A) = points), where it keeps anything at all.
fn least_that_keeps(line: &PageLine, points: i64) -> i64 {
    let paid = i128::from(line.paid_fen);
    let left = paid - i128::from(line.refunded_fen).min(paid);
    if left == 0 { points } else { (i128::from(points) * paid + left - 1).div_euclid(left) as i64 }
}

/// Give points more for a line: a second lot of its award, or an item in the month of its completion.
#[allow(clippy::too_many_arguments)]
fn add(
    draft: &mut Draft,
    page: &mut OrderPage,
    asking: &Asking,
    line: &Renewed,
    rule: &Rule,
    award: Option<usize>,
    term: Option<&Term>,
    points: i64,
) -> Done<usize> {
    let (place, order) = (line.place, asking.order);
    let (name, base) = (page.lines[place].line.clone(), line.data.paid_fen);
    let award = award.unwrap_or_else(|| {
        let kept = |name: &Text| {
            if rule.at_shop && !name.is_empty() { at_shop(name, &order.shop) } else { name.clone() }
        };
        let month = if rule.key.is_empty() { 0 } else { asking.version.bucket(&rule.score, asking.completion.at) };
        page.lines[place].awards.push(Award {
            rule: rule.name.clone(),
            kind: kept(&rule.kind),
            score: kept(&rule.score),
            part: rule.part.clone(),
            month,
            ..Award::default()
        });
        page.lines[place].awards.len() - 1
    });
    let kept = &page.lines[place].awards[award];
    if !rule.key.is_empty() {
        draft.score(Scored {
            score: kept.score.clone(),
            part: rule.part.clone(),
            rule: rule.name.clone(),
            month: kept.month,
            points,
            page: order.order.clone(),
            line: name,
            base,
            uncapped: points,
        })?;
    } else {
        let (page_, line_) = (&order.order, &name);
        let earning =
            Earning { points, uncapped: points, page: page_, line: line_, base, returnable: true, shop: &order.shop };
        let earned = earn_award(draft, rule, &earning, term)?;
        if let Some(term) = term {
            count_taken_out(draft, &term.card, points)?;
        }
        let kept = &mut page.lines[place].awards[award];
        if kept.lot != 0 {
            kept.grown.push(GrownLot { lot: earned.lot, held: points, expires_at: earned.expires_at });
        } else {
            (kept.lot, kept.expires_at, kept.card) = (earned.lot, earned.expires_at, earned.card.clone());
            if rule.member.as_ref().is_some_and(|member| asking.version.claws_back.contains(member)) {
                let ordinary = ordinary(draft, page, asking, line, rule, 0)?;
                page.lines[place].awards[award].ordinary = ordinary;
                put_order(draft, &earned.card, &order.order)?;
            }
        }
    }
    let kept = &mut page.lines[place].awards[award];
    kept.held = bounded(i128::from(kept.held) + i128::from(points))?;
    Ok(award)
}
