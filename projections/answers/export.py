"""A table as CSV, NDJSON, a JSON array or a beancount file, streamed in bounded memory (`parquet` writes Parquet)."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from ledger.wire.times import Zone, to_text
from projections.answers import beancount
from projections.answers.plain import escaped
from projections.answers.tables import Form, Row, Table
from projections.answers.to_json import to_json
from projections.ticking import Progress, ticking

FORMATS = ("csv", "ndjson", "parquet")
BEANCOUNT = "beancount"  # of postings only
TICK_EVERY = 1_000  # rows
FORMULA = ("=", "+", "-", "@", "'", "＝", "＋", "－", "＠")


class CountedRows:
    """The rows of a table, counted as they are taken; `tick` gets how many were."""

    def __init__(self, rows: Iterator[Row], tick: Progress) -> None:
        self.count = 0
        self._rows = ticking(rows, tick, every=TICK_EVERY)
        self._tick = tick

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row
        self._tick(self.count)


def write_table(
    table: Table, form: str, out: BinaryIO, tick: Progress = lambda _: None, *, is_safe_csv: bool = False
) -> int:
    """Write a table as csv, ndjson, beancount or a JSON array (``json``); return how many rows it has.

    Safe CSV is for a spreadsheet: no text in it is a formula, and what nobody sees is written as its escape.
    """
    rows = CountedRows(table.rows, tick)
    csv_writer = _safe_csv if is_safe_csv else _csv
    writer = {"csv": csv_writer, "ndjson": _ndjson, "json": _json, BEANCOUNT: _beancount}[form]
    writer(replace(table, rows=iter(rows)), out)
    return rows.count


def _safe_csv(table: Table, out: BinaryIO) -> None:
    """Write CSV whose texts are no formulas: each that could be one has an apostrophe before it."""
    texts = [index for index, column in enumerate(table.columns) if column.form in ("text", "json")]

    def made_safe(row: Row) -> Row:
        values = list(row)
        for index in texts:
            if isinstance(value := values[index], str):
                values[index] = _safe(value)
            elif value is not None:
                values[index] = escaped(to_json(value).decode())
        return tuple(values)

    names = tuple(column._replace(name=_safe(column.name)) for column in table.columns)
    forms = tuple(column._replace(form="text") if column.form == "json" else column for column in names)
    _csv(replace(table, columns=forms, rows=map(made_safe, table.rows)), out)


def _safe(text: str) -> str:
    """Return a text that a spreadsheet shows as it is; one with an apostrophe before it gets another."""
    shown = escaped(text).replace("\n", "\\u000a")
    return f"'{shown}" if text.lstrip()[:1] in FORMULA or shown != text else shown


def _csv(table: Table, out: BinaryIO) -> None:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=False)
    try:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(column.name for column in table.columns)
        forms = [column.form for column in table.columns]
        for row in table.rows:
            writer.writerow(_csv_cell(value, form, table.offset) for value, form in zip(row, forms, strict=True))
        text.flush()
    finally:
        text.detach()


def _csv_cell(value: Any, form: Form, offset: Zone) -> Any:
    if value is None:
        return ""
    if form == "instant":
        return to_text(value, offset)
    if form == "json":
        return to_json(value).decode()
    if form == "flag":
        return "true" if value else "false"
    return value


def _objects(table: Table) -> Iterator[bytes]:
    names = [column.name for column in table.columns]
    instants = [index for index, column in enumerate(table.columns) if column.form == "instant"]
    for row in table.rows:
        values = list(row)
        for index in instants:
            if values[index] is not None:
                values[index] = to_text(values[index], table.offset)
        told = [value is not None or index in instants for index, value in enumerate(values)]
        yield to_json({name: value for name, value, is_told in zip(names, values, told, strict=True) if is_told})


def _ndjson(table: Table, out: BinaryIO) -> None:
    out.writelines(line + b"\n" for line in _objects(table))


def _json(table: Table, out: BinaryIO) -> None:
    lines = _objects(table)
    out.write(b"[" + next(lines, b""))
    out.writelines(b",\n" + line for line in lines)
    out.write(b"]\n")


def _beancount(table: Table, out: BinaryIO) -> None:
    out.writelines(text.encode() for text in beancount.pieces_of(table))
