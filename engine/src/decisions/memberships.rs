//! Paid, coded and tried memberships: cards that are bought, and given back.

use crate::account::Term;
use crate::card_orders::take_back;
use crate::draft::{Done, Draft, decline};
use crate::entries::{Confirmed, LOT_BITS, TermMoved, Text, TrialConverted};
use crate::facts::{Card, CardRefund};
use crate::fees::{note_opening, note_refund};
use crate::lots::repay_or_expire;
use crate::pages::{CardPage, Paid};
use crate::terms::{end_if_over, lay, lay_behind_the_last, move_up};
use crate::times::DAY;

/// Decide a card that was bought, came by code, or is tried.
pub fn open_card(draft: &mut Draft, data: &Card, is_trial: bool) -> Done {
    let key = format!("card/{}", data.card);
    if draft.has_page(&key)? {
        return Err(decline("already", []));
    }
    let version = draft.version;
    let Some(product) = version.products.get(&data.product) else {
        return Err(decline("unknown-product", [("product", (&data.product).into())]));
    };
    let membership = &product.membership;
    if product.table.trial != is_trial {
        let reason = if is_trial { "not-a-trial" } else { "not-for-sale" };
        return Err(decline(reason, [("product", (&data.product).into())]));
    }
    if is_trial {
        let had_one = draft.account.trials.get(membership).is_some_and(|trials| *trials != 0);
        let terms = draft.account.terms.get(membership).map_or(&[][..], Vec::as_slice);
        if had_one || terms.iter().any(|term| term.until > draft.occurred) {
            return Err(decline("trial-used", []));
        }
    }
    note_opening(draft, product, data.paid_fen)?;
    let mut upgraded = None;
    // as it stood: a trial that this ends is not over before it
    let frozen = if is_trial { vec![] } else { frozen(draft, membership) };
    if !is_trial {
        let running = draft.account.term_at(membership, draft.occurred).cloned();
        let place = |draft: &Draft, card: &Text| {
            draft.account.terms[membership].iter().position(|term| term.card == *card).expect("it is running")
        };
        if let Some(running) = running {
            let moved = |why: &str| TermMoved {
                membership: membership.clone(),
                card: running.card.clone(),
                from_at: running.start,
                until_at: draft.occurred,
                why: why.into(),
                pending_until: 0,
            };
            if running.trial {
                let moved = moved("bought");
                draft.emit(moved)?;
                end_if_over(draft, membership, &running.card)?;
                let first = place(draft, &running.card) + 1;
                move_up(draft, membership, first, false)?;
            } else if product.table.upgrades.contains(&running.product) {
                let moved = moved("upgraded");
                let unused = running.until - draft.occurred;
                draft.figures.insert("upgraded".into(), (&running.card).into());
                draft.figures.insert("unused_days".into(), (unused / DAY).into());
                let page = draft.page::<CardPage>(&format!("card/{}", running.card))?;
                if let Some(page) = page.filter(|page| page.paid_fen.0 >= 0) {
                    let worth = i128::from(page.paid_fen.0) * i128::from(unused) / i128::from(running.span);
                    draft.figures.insert("unused_fen".into(), (worth as i64).into());
                }
                draft.emit(moved)?;
                end_if_over(draft, membership, &running.card)?;
                upgraded = Some(running.card.clone());
            }
        }
    }
    let (card, table) = (&data.card, &product.table);
    match upgraded {
        None => lay_behind_the_last(draft, membership, card, &data.product, table, is_trial)?,
        Some(upgraded) => {
            let now = draft.occurred;
            lay(draft, membership, card, &data.product, table, now, now, false)?;
            let terms = &draft.account.terms[membership];
            let place = terms.iter().position(|term| term.card == upgraded).expect("it is kept");
            move_up(draft, membership, place + 2, true)?;
        }
    }
    let mut page = CardPage { membership: membership.clone(), ..CardPage::default() };
    page.paid_fen = Paid(data.paid_fen.unwrap_or(0));
    if !is_trial {
        let (trial, released) = release_pending(draft, membership, frozen)?;
        if !trial.is_empty() && version.claws_back.contains(membership) {
            (page.trial, page.released) = (trial, released);
        }
    }
    draft.put(key, page);
    Ok(())
}

/// Return the trials of a membership whose points still wait for a card.
fn frozen(draft: &Draft, membership: &Text) -> Vec<Text> {
    let release = draft.version.release_days[membership] * DAY;
    let terms = draft.account.terms.get(membership).into_iter().flatten();
    let waiting = terms.filter(|term| term.trial && !term.converted && term.until + release > draft.clock);
    waiting.map(|term| term.card.clone()).collect()
}

/// A card was bought: the frozen points of the trial become spendable. Returns its card, and the kinds and lots.
fn release_pending(draft: &mut Draft, membership: &Text, frozen: Vec<Text>) -> Done<(Text, Vec<(Text, i64)>)> {
    let (version, lapsed_by) = (draft.version, draft.clock);
    let mut trial = Text::default();
    for card in frozen {
        draft.emit(TrialConverted { membership: membership.clone(), card: card.clone() })?;
        trial = card;
    }
    let mut released = Vec::new();
    let kinds: Vec<Text> = draft.account.purses.keys().cloned().collect();
    for kind in kinds {
        let lots: Vec<i64> = draft.account.purses[&kind].lots.keys().copied().collect();
        for key in lots {
            let Some(lot) = draft.account.lot(&kind, key) else {
                continue;
            };
            if lot.pending_until > lapsed_by && (lot.left != 0 || lot.held != 0) && lot.waits == 0 {
                let member = version.rule(&lot.rule).and_then(|rule| rule.member.as_ref());
                if member.is_some_and(|member| member != membership) {
                    continue; // it waits for a card of another membership
                }
                let points = lot.left;
                draft.emit(Confirmed { kind: kind.clone(), lot: key, points })?;
                released.push((kind.clone(), key));
                repay_or_expire(draft, &kind, key, draft.clock)?;
            }
        }
    }
    if let Some((_, lot)) = released.first().filter(|_| trial.is_empty()) {
        trial = trial_of(draft, *lot)?;
    }
    Ok((trial, released))
}

/// Return the card of the trial in which a lot was earned: one that was taken out, and is laid no more.
fn trial_of(draft: &mut Draft, lot: i64) -> Done<Text> {
    let earned = draft.pages.opened(lot >> LOT_BITS)?.into_iter().find(|earned| earned.lot == lot);
    Ok(earned.map(|earned| earned.card).unwrap_or_default())
}

/// Take what is left of a card's interval out; the terms that follow it move up.
pub fn refund_card(draft: &mut Draft, data: &CardRefund) -> Done {
    let card = &data.card;
    let key = format!("card/{card}");
    let Some(mut page) = draft.page::<CardPage>(&key)? else {
        return Err(decline("unknown-card", [("card", card.into())]));
    };
    if page.refunded {
        return Err(decline("already", []));
    }
    let membership = page.membership.clone();
    let place = draft.account.terms[&membership].iter().position(|term| term.card == *card);
    let term = place.map(|place| draft.account.terms[&membership][place].clone());
    let (Some(place), Some(term)) = (place, term.filter(|term| term.until > draft.occurred)) else {
        return Err(decline("card-ended", [("card", card.into())]));
    };
    note_refund(draft, &term, &page, data.refund_fen);
    let end = term.start.max(draft.occurred);
    let has_begun = term.start <= draft.occurred;
    let release = draft.version.release_days[&membership] * DAY;
    draft.emit(TermMoved {
        membership: membership.clone(),
        card: card.clone(),
        from_at: term.start,
        until_at: end,
        why: if has_begun { "refunded" } else { "taken-out" }.into(),
        pending_until: if term.trial && !term.converted { end + release } else { 0 },
    })?;
    end_if_over(draft, &membership, card)?;
    move_up(draft, &membership, if has_begun { place + 1 } else { place }, false)?;
    page.refunded = true;
    if !has_begun {
        page.taken_out = Some(Term { until: end, cut_at: end, ..term.clone() });
    }
    let is_whole = 0 < page.paid_fen.0 && page.paid_fen.0 <= data.refund_fen;
    let product = draft.version.products.get(&term.product);
    if is_whole && product.is_some_and(|product| &*product.table.on_refund == "claw-back") {
        take_back(draft, card, &mut page, data.refund_fen)?;
    }
    draft.put(key, page);
    Ok(())
}
