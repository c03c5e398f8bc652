"""Which pages a fact will ask for: a hint, so that a store far away can fetch those of a whole batch at once.

It may leave some out (the redemptions of an order that is returned, the orders of a card that is refunded, the page of
a lot that is gone): what is not fetched ahead is read when it is asked for.
"""

from collections.abc import Iterator

from ledger.core.account import Account, term_at
from ledger.rulebook.compiled import Programme
from ledger.wire.fact_catalogue import BY_CLASS
from ledger.wire.facts import Fact, OrderCompleted, PointsAdjusted
from ledger.wire.times import day_of


def pages_ahead(fact: Fact, occurred: int, book: Programme) -> Iterator[str]:
    """The keys of the pages that a fact names, and of those that count what its day was given."""
    row = BY_CLASS[type(fact)]
    for field, kind in row.names.items():
        name = getattr(fact.data, field)
        if name:
            yield f"{kind}/{name}"
    for field, kind in row.also.items():
        yield f"{kind}/{getattr(fact.data, field)}"
    aim = fact.data.of if isinstance(fact, PointsAdjusted) else None
    if aim is not None and not aim.lot:
        yield f"order/{aim.order}" if aim.order else f"grant/{aim.grant}"
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
