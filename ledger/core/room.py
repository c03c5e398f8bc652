"""Whether what accounts have fits into the integers of one, where they become one, and of each, where they part.

What moves is counted twice, as gone and as come, each time that names meet and part. So the bounds lie well below that
of a single sum: a move that has begun comes to its end, whatever is decided meanwhile.
"""

from typing import Final

from ledger.core.account import Account
from ledger.core.draft import MAX_TOTAL

MOST_TOGETHER: Final = MAX_TOTAL >> 2  # of what accounts count that become one, in each kind and score
MOST_APART: Final = MAX_TOTAL >> 1  # of what left an account whose names part, and what it has beside it


def largest(account: Account) -> int:
    """Return the largest sum that an account brings to another one: of a kind, a month of a score, or a counter."""
    purses = [purse.issued + purse.come + purse.gone + purse.debt for purse in account.purses.values()]
    months = [sum(map(abs, parts.values())) for score in account.sums.values() for parts in score.values()]
    counts = [abs(count) for bucket in account.counts.values() for count in bucket.values()]
    return max([*purses, *months, *counts], default=0)


def may_part(account: Account) -> bool:
    """Return True if all that an account has of each kind may leave it, and come where its names go."""
    return all(
        purse.gone + sum(lot.left + lot.held for lot in purse.lots.values()) <= MOST_APART
        for purse in account.purses.values()
    )
