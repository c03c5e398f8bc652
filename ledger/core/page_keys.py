"""Which pages a fact will ask for: a hint, so that a store far away can fetch those of a whole batch at once.

It may leave some out (the redemptions of an order that is returned, the page of a lot that is gone): what is not
fetched ahead is read when it is asked for.
"""

from collections.abc import Iterator

from ledger.rulebook.compiled import Book
from ledger.wire.facts import Fact, fact_type
from ledger.wire.times import day_of

# The field of a fact's data that names a page -> the beginning of the page's key.
_NAMES = {
    "order": "order",
    "return_": "return",
    "review": "review",
    "answer": "answer",
    "share": "share",
    "grant": "grant",
    "redemption": "redemption",
    "hold": "hold",
    "card": "card",
    "claim": "claim",
    "adjustment": "adjustment",
    "lot": "opening",
}


def pages_ahead(fact: Fact, occurred: int, book: Book) -> Iterator[str]:
    """The keys of the pages that a fact names, and of those that count what its day was given."""
    data = getattr(fact, "data", None)
    for field, kind in _NAMES.items():
        name = getattr(data, field, "")
        if name:
            yield f"{kind}/{name}"
    version = book.nearest(occurred)
    for rule in version.fact_rules.get(fact_type(fact).removesuffix(".v1"), ()):
        if rule.day_cap or rule.award.each_day:
            yield f"day/{rule.name}/{day_of(occurred, version.offset)}"
