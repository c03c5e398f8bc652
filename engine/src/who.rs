//! Conditions on the member, judged at a fact's `occurred`: after time has passed, before the fact's own changes.

use crate::account::Account;
use crate::draft::{Done, Draft, decline};
use crate::entries::{Figure, Map, Text};
use crate::facts::{Data, Value};
use crate::programme::{AttributeType, Entitlement, MemberClause, Op, Table, Version, Wanted};
use crate::scores::value_at;
use crate::shops::page_of_shop;
use crate::standing::tier_at;

/// Return the first condition that fails, with what was found, or None where all hold.
pub fn who_fails(draft: &mut Draft, who: Option<&Entitlement>, shop: &str) -> Done<Option<String>> {
    let Some(who) = who else { return Ok(None) };
    for clause in &who.clauses {
        let found = found(draft, clause, shop)?;
        if !holds(draft.version, clause, found.as_ref()) {
            let said = said(clause.table, found.as_ref());
            return Ok(Some(format!("{}.{}, is {said}", clause.table.name(), clause.name)));
        }
    }
    if who.any_of.is_empty() {
        return Ok(None);
    }
    let mut failed = Vec::new();
    for one in &who.any_of {
        match who_fails(draft, Some(one), shop)? {
            None => return Ok(None),
            Some(fails) => failed.push(fails),
        }
    }
    Ok(Some(format!("none of: {}", failed.join("; "))))
}

/// Decline a fact whose member does not meet the conditions; the figure `who` names the first that fails.
pub fn require(draft: &mut Draft, who: Option<&Entitlement>, shop: &str) -> Done {
    match who_fails(draft, who, shop)? {
        None => Ok(()),
        Some(failed) => Err(decline("not-entitled", [("who", cut(&failed).into())])),
    }
}

/// Return the first 512 characters of a text, which is what a figure has.
pub fn cut(text: &str) -> String {
    text.chars().take(512).collect()
}

/// Return the award rules and multipliers on a type of fact that are not this member's, each with what fails.
///
/// It is asked before the fact changes anything.
pub fn unentitled_by(draft: &mut Draft, on: &str, data: &Data) -> Done<Map<Text, String>> {
    let mut unentitled = Map::default();
    for asked in draft.version.asks_who.get(on).map_or(&[][..], Vec::as_slice) {
        if asked.since <= draft.occurred
            && draft.occurred < asked.until
            && let Some(failed) = who_fails(draft, Some(&asked.who), data.shop())?
        {
            unentitled.extend(asked.names.iter().map(|name| (name.clone(), failed.clone())));
        }
    }
    Ok(unentitled)
}

/// Return what is known of a member; None where nothing is, or what is known is no value of this version's.
pub fn attribute_of(account: &Account, version: &Version, name: &str) -> Option<Figure> {
    match name {
        "stars" => return (account.stars != 0).then_some(Figure::Number(account.stars)),
        "credit" => return (account.credit != 0).then_some(Figure::Number(account.credit)),
        _ => {}
    }
    let (declared, (value, _)) = (version.attributes.get(name)?, account.attributes.get(name)?);
    let is_number = declared.type_ == AttributeType::Number;
    let is_known = match value {
        Figure::Number(_) => is_number && declared.values.is_none(),
        Figure::Text(text) => {
            !text.is_empty() && !is_number && declared.values.as_ref().is_none_or(|values| values.contains(text))
        }
    };
    is_known.then(|| value.clone())
}

fn found(draft: &mut Draft, clause: &MemberClause, shop: &str) -> Done<Option<Figure>> {
    let (table, name) = (clause.table, &clause.name);
    if matches!(table, Table::Tier | Table::Score) && !draft.version.rankings.contains_key(name) {
        return Ok(None); // of a file that does not hold yet
    }
    if matches!(table, Table::Tier | Table::Score) && draft.version.keyed_scores.contains(name) {
        let page = page_of_shop(draft, name, shop)?;
        return Ok(match table {
            Table::Tier => page.map(|page| Figure::Text(page.tier)),
            _ => page.map(|page| Figure::Number(page.value())),
        });
    }
    let account = &draft.account;
    Ok(match table {
        Table::Tier => Some(Figure::Text(tier_at(account, draft.version, name, draft.occurred))),
        Table::Score => Some(Figure::Number(value_at(account, draft.version, name, draft.occurred))),
        Table::Attribute => attribute_of(account, draft.version, name),
        Table::Card => account.term_at(name, draft.occurred).map(|term| Figure::Text(term.product.clone())),
    })
}

fn holds(version: &Version, clause: &MemberClause, found: Option<&Figure>) -> bool {
    if clause.op == Op::Active {
        return matches!(clause.value, Wanted::Truth(active) if active == found.is_some());
    }
    let Some(found) = found else { return false }; // unknown is not known to be something else
    if let (Table::Tier, Figure::Text(tier)) = (clause.table, found) {
        let tiers = &version.rankings[&clause.name].tiers;
        if !tier.is_empty() && tiers.iter().all(|one| one.name != *tier) {
            return false; // a tier of another version: it matches nothing until the score is placed anew
        }
    }
    let value = match found {
        Figure::Number(number) => Value::Number(*number),
        Figure::Text(text) => Value::Text(text),
    };
    match (clause.op, value) {
        (Op::In, value) => clause.value.names(value),
        (Op::NotIn, value) => !clause.value.names(value),
        (Op::AtLeast, Value::Number(number)) => number >= clause.value.number(),
        (Op::AtMost, Value::Number(number)) => number <= clause.value.number(),
        _ => false,
    }
}

fn said(table: Table, found: Option<&Figure>) -> String {
    match found {
        None if table == Table::Card => "not held".into(),
        None => "unknown".into(),
        Some(Figure::Number(number)) => number.to_string(),
        Some(Figure::Text(text)) if text.is_empty() => "none".into(),
        Some(Figure::Text(text)) => text.to_string(),
    }
}
