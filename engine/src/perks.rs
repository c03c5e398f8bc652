//! Whom a benefit is for, how often, at what price and when: judged before the fact's own changes, as `who` is.

use crate::account::Term;
use crate::benefits::is_in_grace;
use crate::draft::{Done, Draft};
use crate::entries::{Figure, Figures};
use crate::programme::{Charge, Entitlement, Perk};
use crate::times::day_text;
use crate::who::{attribute_of, who_fails};

/// How often a benefit is given to a member (None: without a limit), and what it costs; `fails` is what is not met.
#[derive(Debug)]
pub struct Offer<'a> {
    pub quota: Option<i64>,
    pub charge: Option<&'a Charge>,
    pub fails: String,
}

/// Return the term of the membership whose benefit it is, at the fact's instant or in grace then.
pub fn holder_of(draft: &Draft, perk: &Perk) -> Option<Term> {
    let account = &draft.account;
    if let Some(term) = account.term_at(&perk.membership, draft.occurred) {
        return Some(term.clone());
    }
    let terms = account.terms.get(&perk.membership)?;
    let last = terms.iter().rev().find(|term| term.start <= draft.occurred)?;
    is_in_grace(draft.version, last, draft.occurred).then(|| last.clone())
}

/// Return what a member is offered who has a card of `product`; whether `who` holds was asked before or not.
pub fn offer_of<'a>(draft: &mut Draft, perk: &'a Perk, product: &str, shop: &str, asks_who: bool) -> Done<Offer<'a>> {
    let mut fails = String::new();
    if asks_who {
        fails = who_fails(draft, perk.who.as_ref(), shop)?.unwrap_or_default();
    }
    let mut quota = None;
    if let Some(by_product) = &perk.by_product {
        quota = Some(by_product.get(product).copied().unwrap_or(0));
    } else if !perk.allowed.is_empty() {
        let (place, why) = first(draft, perk.allowed.iter().map(|one| one.who.as_ref()), shop)?;
        quota = Some(place.map_or(0, |place| perk.allowed[place].times));
        if fails.is_empty() {
            fails = why;
        }
    }
    let mut charge = None;
    if !perk.charges.is_empty() {
        let (place, why) = first(draft, perk.charges.iter().map(|one| one.who.as_ref()), shop)?;
        charge = place.map(|place| &perk.charges[place]);
        if fails.is_empty() {
            fails = why;
        }
    }
    Ok(Offer { quota, charge, fails })
}

/// Return the place of the first entry of a list that holds for the member, or why the last one does not.
fn first<'a>(
    draft: &mut Draft,
    entries: impl Iterator<Item = Option<&'a Entitlement>>,
    shop: &str,
) -> Done<(Option<usize>, String)> {
    let mut fails = String::new();
    for (place, who) in entries.enumerate() {
        match who_fails(draft, who, shop)? {
            None => return Ok((Some(place), String::new())),
            Some(why) => fails = why,
        }
    }
    Ok((None, fails))
}

/// Return why a benefit is not open at the fact's instant, as figures; None where it is.
pub fn why_closed(draft: &Draft, perk: &Perk) -> Option<Figures> {
    let figures = |named: Vec<(&str, Figure)>| Some(named.into_iter().map(|(k, v)| (k.into(), v)).collect());
    let at = draft.occurred;
    if at < perk.since || at >= perk.until {
        return figures(vec![("open", if at < perk.since { "not yet" } else { "over" }.into())]);
    }
    let day = day_text(draft.version.zone.day(at));
    let of_month: i64 = day[8..].parse().unwrap_or(0);
    if perk.last_day != 0 && !(perk.first_day <= of_month && of_month <= perk.last_day) {
        let open = format!("days {} to {}", perk.first_day, perk.last_day);
        return figures(vec![("open", open.into()), ("day", day.into())]);
    }
    if !perk.month_of.is_empty() {
        let month = match attribute_of(draft.account, draft.version, &perk.month_of) {
            Some(Figure::Text(told)) => told.chars().take(2).collect(),
            _ => String::new(),
        };
        if month != day[5..7] {
            let open = format!("month of {}", perk.month_of);
            let month = if month.is_empty() { "unknown".into() } else { month };
            return figures(vec![("open", open.into()), ("month", month.into()), ("day", day.into())]);
        }
    }
    None
}
