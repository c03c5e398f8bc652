"""An archive published as Apache Iceberg tables, through `pyiceberg`, which is an extra.

How far a table has each partition stands in the table's own properties, and moves in the commit that appends the rows.
So a publication that was killed appends nothing twice and leaves nothing out when it is run again.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow

from ledger.errors import BadInput, CannotRunNow, WrongUse
from ledger.journal.failpoints import failpoint
from projections.ticking import Progress
from service.archive.ledger import ArchivedLedger
from service.archive.tables import TABLES, LakeTable

_LEDGER = "points-ledger.ledger"
_PLACE = "points-ledger.place."  # and a partition
_LINK = "points-ledger.link."  # and a partition: the chain's link of the last entry
# Whoever was slower is to fail, since a commit that is tried again by itself would append its rows twice.
_PROPERTIES = {"commit.retry.num-retries": "0"}


class Appended(NamedTuple):
    """How many rows a publication appended to a table."""

    table: str
    rows: int


def publish(
    ledger: ArchivedLedger, catalog_name: str, namespace: str, progress: Progress = lambda _: None
) -> list[Appended]:
    """Append to a catalog's tables what they lack of an archive; `progress` gets the entries gone over, per table.

    Raises `WrongUse` where the catalog is not known, `BadInput` where a table is another ledger's or has entries that
    the archive has not, `CannotRunNow` where another publication appends.
    """
    catalog = _catalog(catalog_name)
    catalog.create_namespace_if_not_exists(namespace)
    done = 0
    tables = [_made(catalog, f"{namespace}.{table.name}", table, ledger) for table in TABLES]
    rows = [0] * len(tables)
    for partition, entries in ledger.heads().items():
        for place, (table, kind) in enumerate(zip(tables, TABLES, strict=True)):
            rows[place] += _append(table, kind, ledger, partition, entries)
            done += entries
            progress(done)
    return [Appended(table.name, count) for table, count in zip(TABLES, rows, strict=True)]


def _catalog(name: str) -> Any:
    try:
        from pyiceberg.catalog import load_catalog
    except ImportError:
        raise WrongUse('Iceberg tables need an extra: pip install "pyiceberg>=0.12,<0.13"') from None
    try:
        return load_catalog(name)
    except ValueError as error:
        raise WrongUse(f"--catalog {name}: {error}; ~/.pyiceberg.yaml or PYICEBERG_CATALOG__… names it") from None


def _made(catalog: Any, name: str, table: LakeTable, ledger: ArchivedLedger) -> Any:
    """Return a table of a catalog, made where it is not there."""
    made = catalog.create_table_if_not_exists(
        name, schema=table.schema, properties={**_PROPERTIES, _LEDGER: ledger.identity}
    )
    of = made.properties.get(_LEDGER)
    if of != ledger.identity:
        raise BadInput(f"{name} holds the ledger {of}, not {ledger.identity}: give another --namespace")
    return made


def _append(table: Any, kind: LakeTable, ledger: ArchivedLedger, partition: int, entries: int) -> int:
    """Append what a table lacks of a partition, in one commit; return how many rows."""
    from pyiceberg.exceptions import CommitFailedException

    at = f"{_PLACE}{partition}"
    after = int(table.properties.get(at, ledger.branch(partition).entries))
    linked = f"{_LINK}{partition}"
    link = ledger.archive.link_at(partition, after)
    if after > entries or table.properties.get(linked, link) != link:
        raise BadInput(
            f"{'.'.join(table.name())} has other entries of partition {partition} than {ledger.name}, up to place"
            f" {after:,}: the ledger was restored from an older copy since; give another --namespace"
        )
    if after == entries:
        return 0
    counted = _Counted(kind.behind(ledger, partition, after))
    rows = pyarrow.RecordBatchReader.from_batches(kind.schema, counted)
    failpoint("iceberg-append")
    try:
        with table.transaction() as transaction:
            transaction.set_properties({at: str(entries), linked: ledger.archive.chain.of(partition).link})
            transaction.append(rows)
    except CommitFailedException:
        name = ".".join(table.name())
        raise CannotRunNow(f"{name}: another publication appends to it; let it end, and run this one again") from None
    failpoint("iceberg-appended")
    return counted.rows


class _Counted:
    """Batches that count their rows as they pass."""

    def __init__(self, batches: Iterator[pyarrow.RecordBatch]) -> None:
        self._batches = batches
        self.rows = 0

    def __iter__(self) -> Iterator[pyarrow.RecordBatch]:
        for batch in self._batches:
            self.rows += batch.num_rows
            yield batch
