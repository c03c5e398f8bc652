"""Which pages a fact will ask for: a hint, so that a store far away can fetch those of a whole batch at once.

It may leave some out (the redemptions of an order that is returned, the orders of a card that is refunded, the page of
a lot that is gone): what is not fetched ahead is read when it is asked for.
"""

from collections.abc import Iterator
from typing import Any

from ledger.core.account import Account, term_at
from ledger.rulebook.compiled import Programme
from ledger.wire.fact_catalogue import BY_CLASS, FactType
from ledger.wire.facts import Aim, Fact, OrderCompleted, PointsAdjusted, PointsClaimed
from ledger.wire.times import day_of


def pages_named(row: FactType, data: Any) -> Iterator[str]:
    """The keys of the pages that the data of a fact names, its own id's first."""
    for field, kind in row.names.items():
        name = getattr(data, field)
        if name:
            yield f"{kind}/{name}"
    for field, kind in row.also.items():
        yield f"{kind}/{getattr(data, field)}"
    aim = aim_of(row, data)
    if aim is not None and not aim.lot:
        yield f"order/{aim.order}" if aim.order else f"grant/{aim.grant}"


def aim_of(row: FactType, data: Any) -> Aim | None:
    """Return the award that the data of a fact is aimed at, None where it is at none."""
    found: Aim | None = data.of if row.fact is PointsAdjusted or row.fact is PointsClaimed else None
    return found


def pages_ahead(fact: Fact, occurred: int, book: Programme) -> Iterator[str]:
    """The keys of the pages that a fact names, and of those that count what its day was given."""
    row = BY_CLASS[type(fact)]
    yield from pages_named(row, fact.data)
    version = book.nearest(occurred)
    for rule in version.rules_on(row.on):
        if rule.day_cap or rule.award.each_day:
            yield f"day/{rule.name}/{day_of(occurred, version.offset)}"
    shop = getattr(fact.data, "shop", "") if version.keyed_scores else ""
    if shop:
        yield f"joined/{shop}"
        yield from (f"score/{name}/{shop}" for name in sorted(version.keyed_scores))


def cards_ahead(fact: Fact, occurred: int, book: Programme, account: Account) -> Iterator[str]:
    """The keys of the pages of the cards that an order counts on, as the account stands before the batch."""
    if isinstance(fact, OrderCompleted):
        for membership in sorted(book.nearest(occurred).claws_back):
            term = term_at(account, membership, occurred)
            if term is not None:
                yield f"card/{term.card}"
