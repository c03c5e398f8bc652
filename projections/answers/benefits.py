"""What a member may claim at an instant: what is left of each benefit, when it opens, and which condition fails."""

from collections.abc import Iterator

from msgspec import UNSET

from ledger.core.account import NEVER, Account, Term
from ledger.core.benefits import bucket_of, grace_until, is_in_grace, times_used
from ledger.core.draft import Draft
from ledger.core.pages import Pages, PagesInMemory, QuotaPage
from ledger.core.perks import offer_of, why_closed
from ledger.core.who import attribute_of
from ledger.rulebook.compiled import Perk, Programme
from ledger.rulebook.schema import AT_SHOP
from ledger.wire import answers
from ledger.wire.entries import DAY_BUCKETS
from ledger.wire.times import DAY, MAX_INSTANT, Zone, first_day, instant_at, month_of, month_start, to_text

_YEAR = 12  # months ahead in which every month of a birthday comes once


def draft_at(account: Account, book: Programme, instant: int, pages: Pages | None = None) -> Draft:
    """Return a decision at an instant that has not begun: to ask what holds for an account that was run to it."""
    version = book.nearest(instant)
    number, month = account.number + 1, version.month(instant)
    found = PagesInMemory() if pages is None else pages
    return Draft(account, found, book, version, number, instant, instant, month)


def quotas_of(draft: Draft, name: str, term: Term) -> Iterator[tuple[str, int, int]]:
    """Yield each benefit that a running term of a membership limits, how often it may be used, and how often it was.

    Rights of lines and quotas by shop are not among them.
    """
    for perk in _perks_of(draft, name, term):
        if perk.counted != "shop":
            yield from _quota(draft, perk, term)


def quotas_alone(draft: Draft, shops: list[str]) -> Iterator[tuple[str, int, int]]:
    """Yield each benefit that stands by itself and is limited for the member, as `quotas_of` does those of a card.

    Those of shops are named ``benefit@shop``, and as others are where the member has none.
    """
    for label in draft.version.programme.benefits:
        perk = draft.version.perks[label]
        if perk.counted == "shop":
            for shop in shops or [""]:
                yield from _quota(draft, perk, None, shop)
        elif not perk.of_line:
            yield from _quota(draft, perk, None)


def benefits_of(draft: Draft, name: str, term: Term) -> dict[str, answers.Benefit]:
    """Return each benefit of a membership's running term but rights of lines, by name."""
    return {perk.name: describe_benefit(draft, perk, term) for perk in _perks_of(draft, name, term)}


def benefits_alone(draft: Draft, shops: list[str]) -> dict[str, answers.Benefit]:
    """Return each benefit that stands by itself but rights of lines, by name; those of a shop by ``benefit@shop``."""
    found = {}
    for label in draft.version.programme.benefits:
        perk = draft.version.perks[label]
        if perk.of_line:
            continue
        if perk.counted != "shop" or not shops:
            found[label] = describe_benefit(draft, perk, None)
        else:
            found |= {f"{label}{AT_SHOP}{shop}": describe_benefit(draft, perk, None, shop) for shop in shops}
    return found


def describe_benefit(draft: Draft, perk: Perk, term: Term | None, shop: str = "") -> answers.Benefit:
    """Return what a benefit is to a member, by the card's term where it is a membership's, at a shop where it asks."""
    offer = offer_of(draft, perk, term.product if term is not None else "", shop)
    used, bucket = _used(draft, perk, term, shop)
    left = None if offer.quota is None else max(offer.quota - used, 0)
    opens, closes = opening_of(draft, perk)
    offset = draft.version.offset
    is_open = why_closed(draft, perk) is None
    again = _renewed_at(draft, perk, term, bucket) if left == 0 and offer.quota else NEVER
    return answers.Benefit(
        left,
        not offer.fails,
        is_open,
        offer.fails or UNSET,
        to_text(opens, offset) if not is_open and opens < MAX_INSTANT else UNSET,
        to_text(closes, offset) if is_open and closes < MAX_INSTANT else UNSET,
        to_text(again, offset) if again < MAX_INSTANT else UNSET,
    )


def opening_of(draft: Draft, perk: Perk) -> tuple[int, int]:
    """Return from when until when a benefit is open: now, or else the next time; `NEVER` for an end there is not."""
    at, zone = draft.occurred, draft.version.offset
    if not perk.last_day and not perk.month_of:
        return (perk.since, min(perk.until, NEVER)) if at < perk.until else (NEVER, NEVER)
    month = month_of(max(at, perk.since), zone)
    for number in range(month, month + _YEAR + 1):
        start, end = _days_of(draft, perk, number, zone)
        start, end = max(start, perk.since), min(end, perk.until)
        if start < end and at < end:
            return start, end
    return NEVER, NEVER


def _days_of(draft: Draft, perk: Perk, month: int, zone: Zone) -> tuple[int, int]:
    """Return from when until when the days and months of a benefit are open in a month; twice 0 where they are not."""
    if perk.month_of:
        told = attribute_of(draft.account, draft.version, perk.month_of)
        if not isinstance(told, str) or told[:2] != f"{month % 12 + 1:02}":
            return 0, 0
    if not perk.last_day:
        return month_start(month, zone), month_start(month + 1, zone)
    first, days = first_day(month), first_day(month + 1) - first_day(month)
    start = instant_at((first + perk.first_day - 1) * DAY, zone)
    return start, instant_at((first + min(perk.last_day, days)) * DAY, zone)


def _perks_of(draft: Draft, name: str, term: Term) -> Iterator[Perk]:
    """Yield the benefits that a term gives while it runs or is in grace, but rights of lines."""
    version, at = draft.version, draft.occurred
    if not term.start <= at < term.until and not is_in_grace(version, term, at):
        return
    for label in version.programme.memberships[name].benefits:
        perk = version.perks[label]
        is_in_card = perk.by_product is None or term.product in perk.by_product
        if perk.membership == name and perk.counted != "line" and is_in_card:
            yield perk


def _quota(draft: Draft, perk: Perk, term: Term | None, shop: str = "") -> Iterator[tuple[str, int, int]]:
    offer = offer_of(draft, perk, term.product if term is not None else "", shop)
    if offer.quota is not None and not offer.fails:
        name = f"{perk.name}{AT_SHOP}{shop}" if shop else perk.name
        yield name, offer.quota, _used(draft, perk, term, shop)[0]


def _used(draft: Draft, perk: Perk, term: Term | None, shop: str) -> tuple[int, int]:
    """Return how often a benefit was given in the bucket of the instant, and that bucket."""
    bucket = bucket_of(perk, draft.book, draft.version, term, draft.occurred)
    if perk.counted == "shop":
        page = draft.pages.get(f"benefit/{perk.name}/{shop}")
        return (page.used.get(bucket, 0) if isinstance(page, QuotaPage) else 0), bucket
    return times_used(draft.account, perk, term, bucket), bucket


def _renewed_at(draft: Draft, perk: Perk, term: Term | None, bucket: int) -> int:
    """Return when a quota that is used up begins anew, `NEVER` where it does not, or the card has ended by then."""
    zone = draft.version.offset
    if perk.per == "month":
        found = month_start(bucket + 1, zone)
    elif perk.per == "year":
        found = month_start((bucket + 1) * 12, zone)
    elif perk.per == "day":
        found = instant_at((bucket - DAY_BUCKETS + 1) * DAY, zone)
    elif perk.per == "days":
        begin = term.start if term is not None else draft.book.versions[0].since
        piece = perk.days * DAY
        found = begin + ((draft.occurred - begin) // piece + 1) * piece
    else:
        return NEVER
    if term is not None and found >= grace_until(draft.version, term):
        return NEVER
    return found
