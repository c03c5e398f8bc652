//! Terms of memberships: laid one behind the other, ended before their time, and moved up as others go.

use crate::account::Term;
use crate::benefits::is_in_grace;
use crate::draft::{Done, Draft};
use crate::entries::{TermAnchored, TermEnded, TermMoved, TermOpened, Text};
use crate::pages::{CardPage, Paid, SeenPage};
use crate::programme::ProductTable;
use crate::times::{DAY, MAX_INSTANT};

/// Lay a card's term where the last one ends, also if that was within its grace, or else from now on.
pub fn lay_behind_the_last(
    draft: &mut Draft,
    membership: &Text,
    card: &Text,
    label: &Text,
    product: &ProductTable,
    is_trial: bool,
) -> Done {
    let terms = draft.account.terms.get(membership).map_or(&[][..], Vec::as_slice);
    let mut start = terms.iter().map(|term| term.until).fold(draft.occurred, i64::max);
    let mut anchor = None;
    if let Some(last) = terms.last() {
        if !is_trial && is_in_grace(draft.version, last, draft.occurred) {
            start = last.until;
        }
        if last.months != 0 && last.until == start && last.cut_at == 0 {
            anchor = Some(last.anchor);
        }
    }
    lay(draft, membership, card, label, product, start, anchor.unwrap_or(start), is_trial)
}

/// Open a term; one by the calendar ends on the local day and at the time of day of `anchor`.
#[allow(clippy::too_many_arguments)]
pub fn lay(
    draft: &mut Draft,
    membership: &Text,
    card: &Text,
    label: &Text,
    product: &ProductTable,
    start: i64,
    anchor: i64,
    is_trial: bool,
) -> Done {
    let months = product.calendar_months();
    let until = if months != 0 {
        draft.version.zone.months_later(start, months, anchor)
    } else {
        start + product.days.unwrap_or(0) * DAY
    };
    draft.emit(TermOpened {
        membership: membership.clone(),
        card: card.clone(),
        product: label.clone(),
        from_at: start,
        until_at: until.min(MAX_INSTANT),
        trial: is_trial,
        bought_at: draft.occurred,
    })?;
    if months != 0 {
        let (membership, card) = (membership.clone(), card.clone());
        draft.emit(TermAnchored { membership, card, months, anchor_at: anchor })?;
    }
    Ok(())
}

/// Say that a term has ended where its end is past.
pub fn end_if_over(draft: &mut Draft, membership: &Text, card: &Text) -> Done {
    let clock = draft.clock;
    let term = draft.account.terms.get(membership).and_then(|terms| terms.iter().find(|term| term.card == *card));
    let Some(at) = term.filter(|term| term.until <= clock && !term.ended).map(|term| term.until) else {
        return Ok(());
    };
    draft.emit(TermEnded { membership: membership.clone(), card: card.clone(), at })
}

/// Lay the terms from place `first` on again: each from its card's instant, or where the one before now ends.
pub fn move_up(draft: &mut Draft, membership: &Text, first: usize, is_upgrade: bool) -> Done {
    let why: Text = if is_upgrade { "laid-behind" } else { "moved-up" }.into();
    for place in first..draft.account.terms[membership].len() {
        let terms = &draft.account.terms[membership];
        let term = &terms[place];
        let start = term.bought_at.max(if place > 0 { terms[place - 1].until } else { 0 });
        if start == term.start {
            continue;
        }
        let mut until = if term.months != 0 {
            draft.version.zone.months_later(start, term.months, start)
        } else {
            start + term.span
        };
        if term.cut_at != 0 {
            until = start.max(until.min(term.cut_at));
        }
        let card = term.card.clone();
        draft.emit(TermMoved {
            membership: membership.clone(),
            card: card.clone(),
            from_at: start,
            until_at: until.min(MAX_INSTANT),
            why: why.clone(),
            pending_until: 0,
        })?;
        if is_upgrade {
            end_if_over(draft, membership, &card)?;
        }
    }
    Ok(())
}

/// Lay a card that was not bought behind those that its membership has. Returns the membership.
pub fn open_free(draft: &mut Draft, card: &Text, label: &Text) -> Done<Text> {
    let product = &draft.version.products[label];
    lay_behind_the_last(draft, &product.membership, card, label, &product.table, false)?;
    draft.put(format!("card/{card}"), SeenPage {});
    Ok(product.membership.clone())
}

/// End what is left of a card that was not bought at the fact's instant; the terms that follow it move up.
pub fn end_free(draft: &mut Draft, membership: &Text, card: &Text) -> Done {
    let terms = draft.account.terms.get(membership).map_or(&[][..], Vec::as_slice);
    let Some(place) = terms.iter().position(|term| term.card == *card) else {
        return Ok(());
    };
    let term = &terms[place];
    if term.until <= draft.occurred {
        return Ok(());
    }
    let has_begun = term.start <= draft.occurred;
    let (from_at, until_at) = (term.start, term.start.max(draft.occurred));
    let taken_out = (!has_begun).then(|| Term { until: until_at, cut_at: until_at, ..term.clone() });
    let why = if has_begun { "given-back" } else { "taken-out" }.into();
    let (membership_, card_) = (membership.clone(), card.clone());
    draft.emit(TermMoved { membership: membership_, card: card_, from_at, until_at, why, pending_until: 0 })?;
    if taken_out.is_some() {
        let paid_fen = Paid(0);
        let page =
            CardPage { membership: membership.clone(), refunded: true, paid_fen, taken_out, ..Default::default() };
        draft.put(format!("free-card/{card}"), page);
    }
    end_if_over(draft, membership, card)?;
    move_up(draft, membership, if has_begun { place + 1 } else { place }, false)
}
