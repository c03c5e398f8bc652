"""The tables that an archive is published as: what stands in them of a partition behind a place, as Arrow's batches.

Postings and balances need the accounts as they stood, so a partition is folded from its beginning, as a replay does it.
Rows come member by member: all of a partition's are one commit, or none.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import pyarrow
import pyarrow.compute

from ledger.core.postings import ACCOUNTS, growth
from ledger.wire.times import month_of, month_text
from projections.answers.postings import postings_behind
from service.archive.ledger import ArchivedLedger
from service.archive.parquet import ENTRY_COLUMNS, schema_of

ROWS = 8_192  # of a batch
_GROWTH = growth({account: account for account in ACCOUNTS})
_POSTING_COLUMNS = {
    "partition": "int32",
    "place": "int64",
    "member": "string",
    "entry": "int64",
    "at": "instant",
    "kind": "string",
    "source": "string",
    "destination": "string",
    "points": "int64",
    "fen": "int64",
    "lot": "string",
    "rule": "string",
    "version": "string",
}
_BALANCE_COLUMNS = {
    "month": "string",
    "partition": "int32",
    "member": "string",
    "kind": "string",
    "account": "string",
    "points": "int64",
}

Rows = Iterator[tuple[Any, ...]]


class LakeTable(NamedTuple):
    """A table by its name, its columns, and what is in it of a partition (archive, partition, place) behind a place."""

    name: str
    schema: pyarrow.Schema
    behind: Callable[[ArchivedLedger, int, int], Iterator[pyarrow.RecordBatch]]


def _entries(ledger: ArchivedLedger, partition: int, after: int) -> Iterator[pyarrow.RecordBatch]:
    for month in ledger.archive.months(partition):
        if month.last > after:
            for batch in ledger.archive.batches(month):
                yield batch.filter(pyarrow.compute.greater(batch["place"], after))


def _postings(ledger: ArchivedLedger, partition: int, after: int) -> Iterator[pyarrow.RecordBatch]:
    return _batches(_posting_rows(ledger, partition, after), POSTINGS.schema)


def _posting_rows(ledger: ArchivedLedger, partition: int, after: int) -> Rows:
    for row, found in postings_behind(ledger, partition, after):
        yield from ((partition, row.sequence, *posting) for posting in found)


def _balances(ledger: ArchivedLedger, partition: int, after: int) -> Iterator[pyarrow.RecordBatch]:
    return _batches(_balance_rows(ledger, partition, after), BALANCES.schema)


def _balance_rows(ledger: ArchivedLedger, partition: int, after: int) -> Rows:
    """Yield by member, kind, account and month what the account grew by."""
    zone, of, sums = ledger.book.offset, "", Counter[tuple[int, str, str]]()
    for row, found in postings_behind(ledger, partition, after):
        if row.member != of:
            yield from _summed(partition, of, sums)
            of, sums = row.member, Counter()
        for _, _, at, kind, source, destination, points, *_ in found:
            for account, sign in _GROWTH[source, destination]:
                sums[month_of(at, zone), kind, account] += sign * points
    yield from _summed(partition, of, sums)


def _summed(partition: int, member: str, sums: Counter[tuple[int, str, str]]) -> Rows:
    for (month, kind, account), points in sorted(sums.items()):
        if points:
            yield month_text(month), partition, member, kind, account, points


def _batches(rows: Rows, schema: pyarrow.Schema) -> Iterator[pyarrow.RecordBatch]:
    while some := list(islice(rows, ROWS)):
        columns = zip(zip(*some, strict=True), schema.types, strict=True)
        yield pyarrow.RecordBatch.from_arrays([pyarrow.array(values, kind) for values, kind in columns], schema=schema)


ENTRIES = LakeTable("entries", schema_of(ENTRY_COLUMNS), _entries)
POSTINGS = LakeTable("postings", schema_of(_POSTING_COLUMNS), _postings)
BALANCES = LakeTable("balances_by_month", schema_of(_BALANCE_COLUMNS), _balances)
TABLES = (ENTRIES, POSTINGS, BALANCES)
