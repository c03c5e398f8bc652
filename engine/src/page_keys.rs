//! Which pages a fact will ask for: a hint, so that those of a whole batch can be read at once.
//!
//! `ledger/core/page_keys.py` is the same in Python. What is left out is read when it is asked for.

use crate::account::Account;
use crate::facts::{Data, Fact};
use crate::pages::ASKS;
use crate::programme::Programme;

/// Return the keys of the pages that a fact names, and of those that count what its day was given.
pub fn pages_ahead(fact: &Fact, book: &Programme) -> Vec<String> {
    let data = &fact.data;
    let mut keys = if book.has_pools() { vec![ASKS.to_owned()] } else { Vec::new() };
    let mut name = |kind: &str, id: &str| {
        if !id.is_empty() {
            keys.push([kind, "/", id].concat());
        }
    };
    if let Some((kind, id)) = data.own() {
        name(kind, id);
    }
    match data {
        Data::OrderReturned(back) => name("order", &back.order),
        Data::ReviewPosted(review) => name("order", &review.order),
        Data::RedemptionRequested(asked) => name("order", &asked.order),
        Data::BenefitClaimed(claim) => name("order", &claim.order),
        Data::RedemptionReversed(reversal) => name("captured", &reversal.redemption),
        Data::ExchangeReversed(reversal) => name("exchanged", &reversal.request),
        Data::BenefitReturned(claim) => name("claim-price", &claim.claim),
        _ => {}
    }
    let version = book.nearest(fact.occurred);
    let day = version.zone.day(fact.occurred);
    for rule in version.rules_on(data.on()).iter().map(|&place| &version.rules[place]) {
        if rule.day_cap != 0 || rule.day_mark.is_some() {
            name("day", &format!("{}/{day}", rule.name));
        }
    }
    let shop = data.shop();
    if !version.keyed_scores.is_empty() && !shop.is_empty() {
        name("joined", shop);
        version.keyed_scores.iter().for_each(|score| name("score", &format!("{score}/{shop}")));
    }
    keys
}

/// Return the keys of the pages of the cards that an order counts on, as the account stands before the batch.
pub fn cards_ahead(fact: &Fact, book: &Programme, account: &Account) -> Vec<String> {
    if !matches!(fact.data, Data::OrderCompleted(_)) || account.terms.is_empty() {
        return Vec::new();
    }
    let memberships = book.nearest(fact.occurred).claws_back.iter();
    let terms = memberships.filter_map(|membership| account.term_at(membership, fact.occurred));
    terms.map(|term| format!("card/{}", term.card)).collect()
}
