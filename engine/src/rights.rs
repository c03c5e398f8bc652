//! Rights of an order's line: given as it completes, claimed by order and line, gone with the last piece.

use crate::draft::{Done, Draft, decline};
use crate::entries::{RightEnded, RightGiven, Text};
use crate::evaluate::{Asked, Line, meets};
use crate::facts::{Claim, Data, Order, OrderLine};
use crate::pages::{COMPLETED, OrderPage, PageLine, Right, SaidOfOrder};
use crate::perks::holder_of;
use crate::programme::Perk;
use crate::times::{DAY, MAX_INSTANT};
use crate::who::who_fails;

/// Return what is kept of an order's fact where a claim of a line's right will ask it.
pub fn said_of(order: &Order) -> SaidOfOrder {
    let mut said = SaidOfOrder {
        shop: order.shop.clone(),
        self_operated: order.self_operated,
        channel: order.channel.clone(),
        pay: order.pay.clone(),
        tags: order.tags.clone(),
        of_lines: None,
    };
    for line in &order.lines {
        tag_line(&mut said, line);
    }
    said
}

/// Keep a line's own tags, in place of those it had before.
pub fn tag_line(said: &mut SaidOfOrder, line: &OrderLine) {
    if !line.tags.is_empty() {
        said.of_lines.get_or_insert_default().insert(line.line.clone(), line.tags.clone());
    } else if let Some(of_lines) = &mut said.of_lines {
        of_lines.shift_remove(&line.line);
    }
}

/// Give a line that completes its rights; whose they are is judged now, and holds whatever comes.
pub fn give_rights(draft: &mut Draft, data: &Data, order: &Order, asked: &Line, line: &mut PageLine) -> Done {
    for name in &draft.version.rights {
        let perk = &draft.version.perks[name];
        if !meets(&perk.clauses, Some(asked), Asked::Data(data)) {
            continue;
        }
        let (mut card, mut product) = (Text::default(), Text::default());
        if !perk.membership.is_empty() {
            let Some(term) = holder_of(draft, perk) else {
                continue;
            };
            if perk.by_product.as_ref().is_some_and(|by_product| !by_product.contains_key(&term.product)) {
                continue;
            }
            (card, product) = (term.card, term.product);
        }
        if who_fails(draft, perk.who.as_ref(), &order.shop)?.is_some() {
            continue;
        }
        let until = until(draft.occurred, perk);
        let (benefit, membership) = (perk.name.clone(), perk.membership.clone());
        line.rights.push(Right {
            benefit: benefit.clone(),
            until,
            membership: membership.clone(),
            card: card.clone(),
            product,
            is_ended: false,
        });
        let (order, line) = (order.order.clone(), line.line.clone());
        draft.emit(RightGiven { benefit, order, line, until_at: until, membership, card })?;
    }
    Ok(())
}

/// End the rights of a line of which all pieces came back, once.
pub fn end_rights(draft: &mut Draft, line: &mut PageLine) -> Done {
    for right in &mut line.rights {
        if !right.is_ended {
            right.is_ended = true;
            draft.emit(RightEnded {
                benefit: right.benefit.clone(),
                line: line.line.clone(),
                membership: right.membership.clone(),
                card: right.card.clone(),
            })?;
        }
    }
    Ok(())
}

/// Return the right that a claim of a line's benefit names; of one that is judged at the claim it is made for it.
///
/// Declines a line that has not completed, has no such right or has it no longer, or came back.
pub fn check_line(draft: &Draft, perk: &Perk, data: &Claim, page: Option<&OrderPage>) -> Done<Right> {
    let of_line =
        |reason: &'static str| decline(reason, [("order", (&data.order).into()), ("line", (&data.line).into())]);
    let of_right = |reason: &'static str| {
        let (benefit, order, line) = ((&perk.name).into(), (&data.order).into(), (&data.line).into());
        decline(reason, [("benefit", benefit), ("order", order), ("line", line)])
    };
    let page = page.filter(|page| page.status == COMPLETED).ok_or_else(|| of_line("line-not-completed"))?;
    let line = page.line(&data.line).ok_or_else(|| of_line("line-not-completed"))?;
    let right = if perk.at_claim {
        asked_now(page, line, perk)
    } else {
        line.rights.iter().find(|right| right.benefit == perk.name).cloned()
    };
    let right = right.ok_or_else(|| of_right("no-right"))?;
    if draft.occurred >= right.until {
        return Err(of_right("right-over"));
    }
    if line.returned >= line.quantity {
        return Err(of_line("line-returned"));
    }
    Ok(right)
}

/// Return the right that a line has by what is kept of it and its order, whoever asks.
fn asked_now(page: &OrderPage, line: &PageLine, perk: &Perk) -> Option<Right> {
    let said = page.completions.get(line.completion as usize).and_then(|completion| completion.said.as_ref());
    if perk.asks_order && said.is_none() {
        return None;
    }
    let asked = said.map_or(Asked::Nothing, Asked::Said);
    let own = said.and_then(|said| said.of_lines.as_ref()).and_then(|of_lines| of_lines.get(&line.line));
    let line_asked = Line { tags: own.map_or(&[], Vec::as_slice), ..line.into() };
    meets(&perk.clauses, Some(&line_asked), asked).then(|| Right {
        benefit: perk.name.clone(),
        until: until(page.completed_at(line), perk),
        ..Right::default()
    })
}

fn until(completed_at: i64, perk: &Perk) -> i64 {
    if perk.days == 0 { MAX_INSTANT } else { (completed_at + perk.days * DAY).min(MAX_INSTANT) }
}
