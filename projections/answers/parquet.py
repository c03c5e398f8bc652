"""A table as Parquet, streamed in row groups."""

from itertools import islice
from typing import Any, BinaryIO

import pyarrow
import pyarrow.parquet

from ledger.journal.port import JournalError
from ledger.wire.times import Zone
from projections.answers.export import CountedRows
from projections.answers.tables import Form, Table
from projections.answers.to_json import to_json
from projections.ticking import Progress

ROW_GROUP = 64 * 1024  # rows, all that is in memory at once


def write_parquet(table: Table, out: BinaryIO, tick: Progress = lambda _: None) -> int:
    """Write a table as Parquet; return how many rows it has. Raises `JournalError` where a sum is beyond 64 bits."""
    types: dict[Form, Any] = {
        "text": pyarrow.string(),
        "integer": pyarrow.int64(),
        "instant": pyarrow.timestamp("us", tz=_zone(table.offset)),
        "flag": pyarrow.bool_(),
        "json": pyarrow.string(),
    }
    schema = pyarrow.schema([(column.name, types[column.form]) for column in table.columns])
    counted = CountedRows(table.rows, tick)
    rows = iter(counted)
    with pyarrow.parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        while group := list(islice(rows, ROW_GROUP)):
            try:
                arrays = [
                    pyarrow.array(map(_json_text, values) if column.form == "json" else values, types[column.form])
                    for column, values in zip(table.columns, zip(*group, strict=True), strict=True)
                ]
            except OverflowError:
                raise JournalError(
                    "a sum is beyond the 64 bits of an integer in Parquet: write it as csv or ndjson"
                ) from None
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
    return counted.count


def _json_text(value: Any) -> str:
    return to_json(value).decode()


def _zone(offset: Zone) -> str:
    """A zone as Arrow names it: ``+08:00``, or a name of the IANA database."""
    if not isinstance(offset, int):
        return offset.name
    sign, minutes = "-" if offset < 0 else "+", abs(offset) // 60_000_000
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
