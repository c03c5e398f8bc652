"""Reviews: what a review earns, and what its removal takes back."""

from ledger.core.awards import apply_rules
from ledger.core.draft import Draft
from ledger.core.lots import claw_back
from ledger.core.pages import COMPLETED, OrderPage, ReviewPage
from ledger.wire.facts import Review, ReviewRemoval


def post_review(draft: Draft, data: Review) -> None:
    """Decide a review of a completed line: a line has one."""
    key = f"review/{data.review}"
    if draft.pages.get(key) is not None:
        draft.decline("already")
    order = draft.pages.get(f"order/{data.order}")
    if not isinstance(order, OrderPage) or order.status != COMPLETED:
        draft.decline("line-not-completed", order=data.order, line=data.line)
    line = order.line(data.line)
    if line is None:
        draft.decline("line-not-completed", order=data.order, line=data.line)
    if line.reviewed:
        draft.decline("already-reviewed", order=data.order, line=data.line)
    line.reviewed = True
    draft.pages.put(f"order/{data.order}", order)
    rules = draft.version.rules_on("review.posted")
    awards = apply_rules(draft, rules, data, data.review, line, since=order.completed_at(line))
    draft.pages.put(key, ReviewPage(data.order, data.line, False, awards))


def remove_review(draft: Draft, data: ReviewRemoval) -> None:
    """Decide that a review is gone: what it gave is taken back."""
    review = data.review
    page = draft.pages.get(f"review/{review}")
    if not isinstance(page, ReviewPage):
        draft.decline("unknown-review", review=review)
    if page.removed:
        draft.decline("already")
    page.removed = True
    for award in page.awards:
        claw_back(draft, award, 0, page.line)
    draft.pages.put(f"review/{review}", page)
