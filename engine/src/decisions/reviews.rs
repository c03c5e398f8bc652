//! Reviews: what a review earns, and what its removal takes back.

use crate::awards::{Given, apply_rules};
use crate::draft::{Done, Draft, decline};
use crate::evaluate::Line;
use crate::facts::{Data, Review, ReviewRemoval};
use crate::lots::claw_back;
use crate::pages::{COMPLETED, OrderPage, ReviewPage};

/// Decide a review of a completed line: a line has one.
pub fn post_review(draft: &mut Draft, data: &Data, review: &Review) -> Done {
    let key = format!("review/{}", review.review);
    if draft.has_page(&key)? {
        return Err(decline("already", []));
    }
    let of_line =
        |reason: &'static str| decline(reason, [("order", (&review.order).into()), ("line", (&review.line).into())]);
    let name = format!("order/{}", review.order);
    let order = draft.page::<OrderPage>(&name)?.filter(|order| order.status == COMPLETED);
    let mut order = order.ok_or_else(|| of_line("line-not-completed"))?;
    let line = order.line_mut(&review.line).ok_or_else(|| of_line("line-not-completed"))?;
    if line.reviewed {
        return Err(of_line("already-reviewed"));
    }
    line.reviewed = true;
    let line = line.clone();
    let since = order.completed_at(&line);
    draft.put(name, order);
    let given = Given { since, ..Given::of_line(data, &review.review, Line::from(&line)) };
    let awards = apply_rules(draft, draft.version.rules_on("review.posted"), &given, None, None)?;
    let (order, line) = (review.order.clone(), review.line.clone());
    draft.put(key, ReviewPage { order, line, removed: false, awards });
    Ok(())
}

/// Decide that a review is gone: what it gave is taken back.
pub fn remove_review(draft: &mut Draft, data: &ReviewRemoval) -> Done {
    let key = format!("review/{}", data.review);
    let Some(mut page) = draft.page::<ReviewPage>(&key)? else {
        return Err(decline("unknown-review", [("review", (&data.review).into())]));
    };
    if page.removed {
        return Err(decline("already", []));
    }
    page.removed = true;
    let line = page.line.clone();
    for award in &mut page.awards {
        claw_back(draft, award, 0, &line)?;
    }
    draft.put(key, page);
    Ok(())
}
