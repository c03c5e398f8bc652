//! What a card costs a member, who may open one, and when money back for it is due.
//!
//! A purchase is a fact: the money is paid. So nothing is refused; the entry notes what is not as the book says.

use crate::account::Term;
use crate::draft::{Done, Draft};
use crate::pages::CardPage;
use crate::programme::Product;
use crate::times::DAY;
use crate::who::{cut, who_fails};

/// Note a card that is not for this member, or that was paid another price; `paid_fen` is None where none was.
pub fn note_opening(draft: &mut Draft, product: &Product, paid_fen: Option<i64>) -> Done {
    let gate = &product.gate;
    let is_asked = gate.since <= draft.occurred && draft.occurred < gate.until;
    if let Some(barred) = who_fails(draft, gate.who.as_ref().filter(|_| is_asked), "")? {
        draft.note("not-eligible", [("who", cut(&barred).into())]);
        return Ok(());
    }
    let Some(paid_fen) = paid_fen else {
        return Ok(());
    };
    for price in &product.prices {
        if price.since <= draft.occurred && who_fails(draft, price.who.as_ref(), "")?.is_none() {
            if price.fen != paid_fen {
                draft.note("price-differs", [("paid_fen", paid_fen.into()), ("price_fen", price.fen.into())]);
            }
            break;
        }
    }
    Ok(())
}

/// Note more money back than was paid, or money back that the book's rule for the card does not give.
pub fn note_refund(draft: &mut Draft, term: &Term, page: &CardPage, refund_fen: i64) {
    let paid_fen = page.paid_fen.0;
    if 0 <= paid_fen && paid_fen < refund_fen {
        draft.note("refund-above-price", [("refund_fen", refund_fen.into()), ("paid_fen", paid_fen.into())]);
        return;
    }
    let Some(rule) = draft.version.products.get(&term.product).and_then(|product| product.table.refund.as_ref()) else {
        return;
    };
    let is_used = term.capped > 0 || term.rights > 0 || term.used.values().any(|times| *times > 0);
    if rule.unused && is_used {
        draft.note("refund-not-due", [("why", "used".into())]);
    } else if rule.within_days.is_some_and(|days| draft.occurred - term.bought_at > days * DAY) {
        draft.note("refund-not-due", [("why", "late".into())]);
    }
}
