"""Values that a column is not for, such as a blob for a member's name: SQLite takes them, and whoever reads them fails.

What fails is told as the damage that it is, with the column; nothing is looked at where nothing fails.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from ledger.errors import PointsLedgerError
from ledger.journal.ledger import Ledger
from ledger.journal.port import Damaged

_FAILURES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@contextmanager
def odd_values_told(ledger: Ledger) -> Iterator[None]:
    """Raise `Damaged` for an error that comes while a ledger's journals hold odd values; any other passes."""
    try:
        yield
    except PointsLedgerError:
        raise
    except _FAILURES as error:
        for partition in ledger.partitions:
            for problem in ledger.journal(partition).odd_values():
                raise Damaged(problem) from error
        raise
