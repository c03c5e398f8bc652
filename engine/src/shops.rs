//! Scores that are kept for each shop: a sum and a tier on a page of its own, out of which nothing falls due by time.

use crate::draft::{Done, Draft};
use crate::entries::{Map, TierMoved};
use crate::pages::ScorePage;
use crate::programme::AT_SHOP;
use crate::standing::{first_tier, tier_name};

/// Return true if the member joined a shop.
pub fn has_joined(draft: &mut Draft, shop: &str) -> Done<bool> {
    draft.has_page(&format!("joined/{shop}"))
}

/// Return a score of a shop, None where it has not begun: the shop was not joined, or none is named.
pub fn page_of_shop(draft: &mut Draft, name: &str, shop: &str) -> Done<Option<ScorePage>> {
    if shop.is_empty() || (draft.version.joined_scores.contains(name) && !has_joined(draft, shop)?) {
        return Ok(None);
    }
    let page = draft.page(&format!("score/{name}/{shop}"))?;
    let tier = first_tier(&draft.version.rankings[name]);
    Ok(Some(page.unwrap_or(ScorePage { parts: Map::default(), tier })))
}

/// Move the tiers of the shops whose scores a decision moved, and note what was reached.
pub fn follow_shops(draft: &mut Draft) -> Done {
    let now = draft.book.nearest(draft.clock); // the tier in force is that of now, also where the fact came late
    for (score, before) in draft.at_shops.clone() {
        let (name, shop) = score.split_once(AT_SHOP).expect("the score of a shop names it");
        let ranking = now.rankings.get(name).unwrap_or_else(|| &draft.version.rankings[name]);
        let key = format!("score/{name}/{shop}");
        let mut page: ScorePage = draft.page(&key)?.expect("its item was put there");
        let value = page.value();
        let place = ranking.tiers.iter().rposition(|tier| value >= tier.at_least).map_or(-1, |place| place as i64);
        page.tier = tier_name(ranking, place);
        let after = page.tier.clone();
        draft.put(key, page);
        if after != before {
            draft.emit(TierMoved { score: score.clone(), before: before.clone(), after, at: draft.clock })?;
        }
        let start = ranking.tiers.iter().position(|tier| tier.name == before).map_or(-1, |place| place as i64);
        for number in start + 1..=place {
            let passed = (name.into(), tier_name(ranking, number), tier_name(ranking, number - 1), draft.clock);
            draft.reached.push(passed);
        }
    }
    Ok(())
}
