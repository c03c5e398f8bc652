"""Caps of requests: the most points that a use grants, or an exchange takes, in an order, day, month, year or ever.

What was granted counts by the request's `occurred`, and no room comes back.
"""

from ledger.core.draft import Draft
from ledger.core.pages import DayPage
from ledger.rulebook.schema import UseCap
from ledger.wire.entries import CounterAdded
from ledger.wire.times import day_of


def check_caps(draft: Draft, name: str, caps: tuple[UseCap, ...], points: int, order: str = "") -> None:
    """Decline a request for points that one of the caps of `name` (``use/offset``) has no room for."""
    for cap in caps:
        key, bucket = _bucket(draft, name, cap.per, order)
        page = draft.pages.get(key) if key else None
        counted = draft.account.counts.get(bucket, {}).get(name, 0)
        given = (page.given if isinstance(page, DayPage) else 0) if key else counted
        if given + points > cap.points:
            draft.decline("cap-full", asked=points, per=cap.per, cap=cap.points, given=given)


def count_caps(draft: Draft, name: str, caps: tuple[UseCap, ...], points: int, order: str = "") -> None:
    """Count what was granted under each of the caps of `name`."""
    for cap in caps:
        key, bucket = _bucket(draft, name, cap.per, order)
        if not key:
            draft.emit(CounterAdded(name, bucket, points))
            continue
        page = draft.pages.get(key)
        page = page if isinstance(page, DayPage) else DayPage()
        page.given = draft.bounded(page.given + points)
        draft.pages.put(key, page)


def _bucket(draft: Draft, name: str, per: str, order: str) -> tuple[str, int]:
    """Where a cap is counted: the key of a page, or the bucket of a counter."""
    if per == "order":
        return f"cap/{name}/{order}", 0
    if per == "day":
        return f"day/{name}/{day_of(draft.occurred, draft.version.offset)}", 0
    return "", {"month": draft.month, "year": draft.month // 12, "ever": 0}[per]
