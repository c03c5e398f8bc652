//! What tiers that were reached give: after the tiers of an instant have moved, the lowest tier first.

use crate::awards::{Given, apply_rules};
use crate::draft::{Done, Draft};
use crate::entries::Text;
use crate::facts::{Data, Reached};
use crate::who::unentitled_by;

/// Give what the rules on reached tiers give for those that the draft has noted, each at its own instant.
pub fn award_reached(draft: &mut Draft) -> Done {
    let reached = std::mem::take(&mut draft.reached);
    let (version, occurred, month, clock) = (draft.version, draft.occurred, draft.month, draft.clock);
    for (score, tier, before, at) in reached {
        let then = draft.book.nearest(at);
        let rules = then.rules_on("tier.reached");
        if rules.is_empty() {
            continue;
        }
        (draft.version, draft.occurred, draft.month, draft.clock) = (then, at, then.month(at), at);
        let page: Text = format!("{score}/{tier}").into();
        let data = Data::Reached(Reached { score, tier, before });
        draft.unentitled = unentitled_by(draft, "tier.reached", &data)?;
        apply_rules(draft, rules, &Given::of_fact(&data, &page), None, None)?;
    }
    (draft.version, draft.occurred, draft.month, draft.clock) = (version, occurred, month, clock);
    Ok(())
}
