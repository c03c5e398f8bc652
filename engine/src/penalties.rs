//! What a fact costs: points of a kind, or of a score's part, each time or from a count of it on.

use crate::draft::{Done, Draft, at_shop};
use crate::entries::{CounterAdded, Scored, Text};
use crate::evaluate::{Asked, meets};
use crate::facts::Data;
use crate::lots::{collect, owe_back, parts_of};
use crate::pages::Fined;
use crate::programme::{Fine, Penalty};
use crate::shops::page_of_shop;

/// Take what the penalties on a type of fact say; return what would be given back if the fact did not stand.
pub fn apply_penalties(draft: &mut Draft, data: &Data, page: &Text) -> Done<Vec<Fined>> {
    let version = draft.version;
    let mut fined = Vec::new();
    for fine in version.penalties.get(data.on()).map_or(&[][..], Vec::as_slice) {
        if !meets(&fine.clauses, None, Asked::Data(data)) {
            continue;
        }
        if fine.is_counted && is_spared(draft, fine)? {
            continue;
        }
        if !has_begun(draft, &fine.penalty, data)? {
            continue;
        }
        let (penalty, rule, points) = (&fine.penalty, fine.name.clone(), fine.penalty.points);
        if let Some(score) = &penalty.score {
            let (part, month) = (penalty.part.clone().unwrap_or_default(), version.bucket(score, draft.occurred));
            let is_kept_so = version.keyed_scores.contains(score);
            let score = if is_kept_so { at_shop(score, data.shop()) } else { score.clone() };
            draft.score(Scored {
                score: score.clone(),
                part: part.clone(),
                rule: rule.clone(),
                month,
                points: -points,
                page: page.clone(),
                ..Scored::default()
            })?;
            fined.push(Fined { rule, points, score, part, month, ..Fined::default() });
        } else if let Some(kind) = &penalty.kind {
            let is_kept_so = version.keyed_kinds.contains(kind);
            let kind = if is_kept_so { at_shop(kind, data.shop()) } else { kind.clone() };
            let debt = draft.account.debt(&kind);
            let parts = parts_of(draft, &kind, points);
            collect(draft, &kind, points, &rule, &Text::default())?;
            let debt = draft.account.debt(&kind) - debt;
            fined.push(Fined { rule, points, kind, parts, debt, ..Fined::default() });
        }
    }
    Ok(fined)
}

/// Return true if there is what a penalty takes from: of what is kept for each shop, a shop is named and joined.
fn has_begun(draft: &mut Draft, penalty: &Penalty, data: &Data) -> Done<bool> {
    if let Some(score) = penalty.score.as_ref().filter(|score| draft.version.keyed_scores.contains(*score)) {
        return Ok(page_of_shop(draft, score, data.shop())?.is_some());
    }
    let is_kept_so = penalty.kind.as_ref().is_some_and(|kind| draft.version.keyed_kinds.contains(kind));
    Ok(!is_kept_so || !data.shop().is_empty())
}

/// Count a fact of a penalty in its month and its year; true where these are too few, or the member is exempt.
fn is_spared(draft: &mut Draft, fine: &Fine) -> Done<bool> {
    let (month, year, penalty) = (draft.month, draft.month.div_euclid(12), &fine.penalty);
    draft.emit(CounterAdded { rule: fine.name.clone(), bucket: month, by: 1 })?;
    draft.emit(CounterAdded { rule: fine.name.clone(), bucket: year, by: 1 })?;
    let in_month = draft.account.count(month, &fine.name);
    let in_year = draft.account.count(year, &fine.name);
    let mut is_exempt = false;
    if let Some(exempt) = &penalty.exempt
        && draft.account.term_at(&exempt.membership, draft.occurred).is_some()
    {
        let rule: Text = format!("{}.exempt", fine.name).into();
        draft.emit(CounterAdded { rule: rule.clone(), bucket: month, by: 1 })?;
        is_exempt = draft.account.count(month, &rule) <= exempt.in_month;
    }
    draft.figures.insert("in_month".into(), in_month.into());
    draft.figures.insert("in_year".into(), in_year.into());
    let is_met = (penalty.from_in_month.is_none() && penalty.from_in_year.is_none())
        || penalty.from_in_month.is_some_and(|from| in_month >= from)
        || penalty.from_in_year.is_some_and(|from| in_year >= from);
    if !is_met {
        return Ok(true);
    }
    if is_exempt {
        draft.note("exempt", [("points", penalty.points.into())]);
    }
    Ok(is_exempt)
}

/// Give back what penalties took: a score item in its month, points to their lots, and debt as far as it stands.
pub fn give_back_fines(draft: &mut Draft, fined: &[Fined], page: &Text) -> Done {
    for fine in fined {
        if fine.score.is_empty() {
            owe_back(draft, fine)?;
            continue;
        }
        draft.score(Scored {
            score: fine.score.clone(),
            part: fine.part.clone(),
            rule: fine.rule.clone(),
            month: fine.month,
            points: fine.points,
            page: page.clone(),
            ..Scored::default()
        })?;
    }
    Ok(())
}
