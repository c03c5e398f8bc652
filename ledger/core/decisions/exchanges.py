"""Exchanges: points of one kind for points of another, whole or not at all; both purses are one account's.

What is given ends no later than what was taken would have: each burned lot opens one of its own. Those with another
ledger begin here, and are decided in `outside`.
"""

from ledger.core.caps import check_caps, count_caps
from ledger.core.decisions import outside
from ledger.core.decisions.outside import taken_key
from ledger.core.draft import Draft
from ledger.core.lots import earn, restore, spend
from ledger.core.pages import ExchangePage, OutsidePage, Part, RedemptionPage
from ledger.core.who import require, who_fails
from ledger.rulebook.compiled import Rate
from ledger.wire.entries import ClawedBack, Earned
from ledger.wire.facts import Exchange, ExchangeReversal


def exchange(draft: Draft, data: Exchange) -> None:
    """Decide points of one kind that are asked to become points of another."""
    name, points = data.exchange, data.points
    table = draft.version.programme.exchanges.get(name)
    if table is None:
        draft.decline("unknown-exchange", exchange=name)
    terms = draft.version.exchanges[name]
    require(draft, terms.who)
    rate = _rate_of(draft, terms.rates)
    if isinstance(rate, str):
        draft.decline("not-entitled", who=rate)
    if points % rate.take:
        draft.decline("not-a-multiple", asked=points, multiple=rate.take)
    given = points // rate.take * rate.give
    if table.ledger is not None:
        outside.check(draft, data, table, given)
    key = f"exchange/{name}"
    check_caps(draft, key, table.cap, points)
    spendable = draft.account.purse(table.takes).spendable()
    if points > spendable:
        draft.decline(f"{table.takes}-short", asked=points, spendable=spendable)
    if table.ledger is not None:
        count_caps(draft, key, table.cap, points)
        outside.ask(draft, data, table, given)
        return
    parts = spend(draft, table.takes, points, f"exchange/{data.request}")
    count_caps(draft, key, table.cap, points)
    lots = []
    for part, share in zip(parts, _shares(parts, given), strict=True):
        if share:
            lots.append((_open(draft, table.gives, f"exchange.{name}", data.request, part, table.takes, share), share))
    draft.pages.put(f"exchange/{data.request}", ExchangePage(name, table.gives, lots))
    draft.pages.put(taken_key(data.request), RedemptionPage(table.takes, "", parts))


def reverse_exchange(draft: Draft, data: ExchangeReversal) -> None:
    """Decide that an exchange is undone, which is possible while all that it gave is there."""
    page = draft.pages.get(f"exchange/{data.request}")
    if isinstance(page, OutsidePage):
        outside.reverse(draft, data.request, page)
        return
    taken = draft.pages.get(taken_key(data.request))
    if not isinstance(page, ExchangePage) or not isinstance(taken, RedemptionPage):
        draft.decline("unknown-exchange", request=data.request)
    if page.is_reversed:
        draft.decline("already")
    lots = draft.account.purse(page.gives).lots
    left = sum(lots[key].left for key, _ in page.lots if key in lots)
    given = sum(points for _, points in page.lots)
    if left < given:
        draft.decline("given-spent", given=given, left=left)
    for key, points in page.lots:
        draft.emit(ClawedBack(page.gives, key, points, f"exchange.{page.exchange}"))
    points = sum(part.points for part in taken.parts)
    restore(draft, f"exchange/{data.request}", taken, points, taken_key(data.request))
    page.is_reversed = True
    draft.pages.put(f"exchange/{data.request}", page)


def _rate_of(draft: Draft, rates: tuple[Rate, ...]) -> Rate | str:
    """Return the first rate that has begun and is this member's; where there is none, the condition that failed."""
    failed = "no rate has begun"
    for rate in rates:
        if rate.since <= draft.occurred:
            fails = who_fails(draft, rate.who)
            if fails is None:
                return rate
            failed = fails
    return failed[:512]


def _shares(parts: list[Part], given: int) -> list[int]:
    """Share what is given over the burned lots by largest remainder, ties to the lot burned earlier."""
    points = sum(part.points for part in parts)
    shares = [given * part.points // points for part in parts]
    by_remainder = sorted(range(len(parts)), key=lambda place: -(given * parts[place].points % points))  # stable
    for place in by_remainder[: given - sum(shares)]:
        shares[place] += 1
    return shares


def _open(draft: Draft, kind: str, rule: str, request: str, burned: Part, taken: str, points: int) -> int:
    """Open a lot of what is given; it ends by its kind's rule, or with the lot that was burned for it."""
    ends = draft.account.purse(taken).idle_until or burned.expires_at
    at, lot = draft.occurred, draft.next_lot()
    expires_at = min(draft.version.expires_at(kind, at), burned.expires_at, ends)
    return earn(draft, Earned(kind, lot, points, rule, at, expires_at, page=request, uncapped=points, returnable=True))
