"""A table as CSV, NDJSON, a JSON array or Parquet: streamed in bounded memory; a file is there whole or not at all."""

import csv
import io
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import ENOENT
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from ledger.journal.port import JournalError
from ledger.wire.times import to_text
from projections.answers import beancount
from projections.answers.tables import Form, Row, Table
from projections.answers.to_json import to_json

FORMATS = ("csv", "ndjson", "parquet")
BEANCOUNT = "beancount"  # of postings only
ROW_GROUP = 64 * 1024  # rows of a Parquet row group, all that is in memory at once

_TOO_LARGE = "a sum is beyond the 64 bits of an integer in Parquet: write it as csv or ndjson"

Tick = Callable[[int], None]


def write_table(table: Table, form: str, out: BinaryIO, tick: Tick = lambda _: None) -> int:
    """Write a table in a format of `FORMATS`, `BEANCOUNT` or as a JSON array (``json``); return how many rows it has.

    Raises `JournalError` where the format cannot hold a figure.
    """
    writer = {"csv": _csv, "ndjson": _ndjson, "json": _json, "parquet": _parquet, BEANCOUNT: _beancount}[form]
    return writer(table, out, tick)


@contextmanager
def output_file(path: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that takes its name only when all of it is written."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = path.resolve()
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(target.stat().st_mode) and not target.is_dir():
            with target.open("wb") as device:  # a pipe or a device keeps its name
                yield device
            return
    if not target.parent.is_dir():
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), str(target.parent))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def unfinished(folder: Path) -> Path:
    """The folder beside another, in which that one is made until it is whole."""
    return folder.with_name(f".{folder.name}.points-part")


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """A new folder that takes its name when all in it is written; what an interrupted run left is removed."""
    making = unfinished(folder)
    if making.exists():
        shutil.rmtree(making)
    making.mkdir(parents=True)
    try:
        yield making
        sync(making)
        making.rename(folder)
        sync(folder.absolute().parent)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


def sync(path: Path) -> None:
    """What was written to a file or folder survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _csv(table: Table, out: BinaryIO, tick: Tick) -> int:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=False)
    try:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(column.name for column in table.columns)
        forms = [column.form for column in table.columns]
        count = 0
        for count, row in enumerate(table.rows, 1):
            writer.writerow(_csv_cell(value, form, table.offset) for value, form in zip(row, forms, strict=True))
            if not count % 1_000:
                tick(count)
        text.flush()
    finally:
        text.detach()
    tick(count)
    return count


def _csv_cell(value: Any, form: Form, offset: int) -> Any:
    if value is None:
        return ""
    if form == "instant":
        return to_text(value, offset)
    if form == "json":
        return to_json(value).decode()
    if form == "flag":
        return "true" if value else "false"
    return value


def _objects(table: Table, tick: Tick) -> Iterator[bytes]:
    names = [column.name for column in table.columns]
    instants = [index for index, column in enumerate(table.columns) if column.form == "instant"]
    for count, row in enumerate(table.rows, 1):
        values = list(row)
        for index in instants:
            values[index] = to_text(values[index], table.offset)
        if not count % 1_000:
            tick(count)
        yield to_json({name: value for name, value in zip(names, values, strict=True) if value is not None})


def _ndjson(table: Table, out: BinaryIO, tick: Tick) -> int:
    count = 0
    for line in _objects(table, tick):
        out.write(line + b"\n")
        count += 1
    return count


def _beancount(table: Table, out: BinaryIO, tick: Tick) -> int:
    count = shown = 0
    for rows, text in beancount.lines_of(table):
        out.write(text.encode())
        count += rows
        if count - shown >= 1_000:
            tick(shown := count)
    tick(count)
    return count


def _json(table: Table, out: BinaryIO, tick: Tick) -> int:
    count = 0
    out.write(b"[")
    for count, line in enumerate(_objects(table, tick), 1):
        out.write(line if count == 1 else b",\n" + line)
    out.write(b"]\n")
    return count


def _parquet(table: Table, out: BinaryIO, tick: Tick) -> int:
    import pyarrow  # heavy, and needed here only
    import pyarrow.parquet

    types: dict[Form, Any] = {
        "text": pyarrow.string(),
        "integer": pyarrow.int64(),
        "instant": pyarrow.timestamp("us", tz=_zone(table.offset)),
        "flag": pyarrow.bool_(),
        "json": pyarrow.string(),
    }
    fields = [(column.name, types[column.form]) for column in table.columns]
    schema = pyarrow.schema(fields)
    count = 0
    with pyarrow.parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        while True:
            rows: list[Row] = list(islice(table.rows, ROW_GROUP))
            if not rows and count:
                break
            columns = zip(*rows, strict=True) if rows else [()] * len(fields)
            try:
                arrays = [
                    pyarrow.array([_json_text(v) for v in values] if column.form == "json" else list(values), kind)
                    for column, values, (_, kind) in zip(table.columns, columns, fields, strict=True)
                ]
            except OverflowError:
                raise JournalError(_TOO_LARGE) from None
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            count += len(rows)
            tick(count)
            if not rows:
                break
    return count


def _json_text(value: Any) -> str:
    return to_json(value).decode()


def _zone(offset: int) -> str:
    """An offset as Arrow names it: ``+08:00``."""
    sign, minutes = "-" if offset < 0 else "+", abs(offset) // 60_000_000
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
