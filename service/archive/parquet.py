"""A ledger's journals as Parquet files, by partition and month of recording, with a manifest of their hashes.

The column `entry` is the truth; the others are there to be queried. An archive is made under another name beside its
folder and takes its name when it is whole.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import merge
from itertools import groupby, islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import pyarrow
import pyarrow.parquet
from msgspec import Meta, Struct

from ledger.journal.folder import BOOK
from ledger.journal.ledger import Ledger, Settings
from ledger.journal.port import DeadLetter, EntryRow, Head
from ledger.wire.entries import ENGINE, OUTCOMES, Entry
from ledger.wire.entry_codec import GENESIS_LINK, decode_entry, leaf_of, link_after
from ledger.wire.entry_json import change_to_dict, fact_head, position_text
from ledger.wire.times import Zone, month_of, month_text
from ledger.wire.unreadable import UNREADABLE
from projections.answers.output import output_file, output_folder
from projections.audit.proof import Refuted
from projections.ticking import Progress
from service.archive.files import (
    BadCopy,
    Count,
    File,
    Hash,
    Manifest,
    Name,
    check_files,
    check_new,
    file_at,
    read_manifest,
    write_manifest,
)

FORMAT = "points-ledger.archive.v1"
MANIFEST = "manifest.json"
ROW_GROUP = 8_192  # rows that are in memory at once
PARKED_AT_ONCE = 256  # of up to 64 KiB each
ROWS_READ = 256  # of a file at a time

_Partition = Annotated[int, Meta(ge=0, le=1023)]


class Month(Struct, frozen=True, forbid_unknown_fields=True):
    """The entries `first` to `last` of a partition, and the chain's links before and at the end of them."""

    file: Name
    partition: _Partition
    first: Count
    last: Count
    link_before: Hash
    link: Hash


class ArchivedPartition(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a partition stood: entries, last link, the stream's position (-1: none), last recorded, dead letters."""

    partition: _Partition
    entries: Count
    link: Hash
    position: Annotated[int, Meta(ge=-1, le=1 << 62)]
    recorded: Count
    parked: Count


class ArchiveManifest(Manifest, frozen=True, forbid_unknown_fields=True):
    """What an archive holds, of which ledger, what that was born with, and the engine of the export."""

    genesis: Hash
    engine: int
    born: Settings
    partitions: Annotated[list[ArchivedPartition], Meta(min_length=1, max_length=1024)]
    months: list[Month]
    files: list[File]


# -- making ------------------------------------------------------------------------------------------------------------


def export_archive(ledger: Ledger, folder: Path, progress: Progress = lambda _: None) -> ArchiveManifest:
    """Write an archive of all that a ledger holds now into a folder that is not there yet.

    Raises `BadCopy` where it is, and `Refuted` where a chain is broken: that is not archived.
    """
    check_new(folder)
    with output_folder(folder) as making:
        manifest = _write_archive(ledger, making, progress)
        write_manifest(making / MANIFEST, manifest)
    return manifest


def _write_archive(ledger: Ledger, making: Path, progress: Progress) -> ArchiveManifest:
    partitions: list[ArchivedPartition] = []
    months: list[Month] = []
    with output_file(making / BOOK) as out:
        out.write(ledger.genesis_book.encode())
    done = 0
    for partition in ledger.partitions:
        head = ledger.journal(partition).head()
        for month in _write_months(ledger, partition, head, making):
            months.append(month)
            progress(done + month.last)
        done += head.entries
        parked = _write_dead_letters(ledger, partition, head.offset, making)
        partitions.append(
            ArchivedPartition(partition, head.entries, head.link.hex(), head.offset, head.recorded, parked)
        )
    names = sorted(path.relative_to(making).as_posix() for path in making.rglob("*") if path.is_file())
    files = [file_at(making, name) for name in names]
    born = {name: getattr(ledger.settings, name) for name in Settings.__struct_fields__}
    return ArchiveManifest(FORMAT, ledger.identity, ledger.genesis, ENGINE, Settings(**born), partitions, months, files)


def _write_months(ledger: Ledger, partition: int, head: Head, making: Path) -> Iterator[Month]:
    """Write one file per month and recompute the chain; yield each month. Raises `Refuted`."""
    offset = ledger.book.offset
    link, place = GENESIS_LINK, 0
    rows = ((row, decode_entry(row.state)) for row in ledger.journal(partition).scan(0, head.entries))
    for month, group in groupby(rows, key=lambda pair: month_of(pair[1].recorded, offset)):
        name = f"entries/partition-{partition}/{month_text(month)}.parquet"
        before, first = link, place + 1
        if (making / name).exists():
            raise Refuted(f"partition {partition}: recorded runs back at place {first:,}: run `points replay`")
        with _writer(making / name, _ENTRY_COLUMNS) as write:
            while batch := list(islice(group, ROW_GROUP)):
                for row, _ in batch:
                    place += 1
                    link = link_after(link, leaf_of(row.state))
                    if (row.sequence, row.link) != (place, link):
                        raise Refuted(f"partition {partition} is broken at place {place:,}: run `points verify`")
                write([_entry_row(row, entry, offset) for row, entry in batch])
        yield Month(name, partition, first, place, before.hex(), link.hex())
    if (place, link) != (head.entries, head.link):
        raise Refuted(f"partition {partition} ends at place {place:,} of {head.entries:,}: run `points verify`")


def _write_dead_letters(ledger: Ledger, partition: int, position: int, making: Path) -> int:
    """Write a partition's dead letters up to a position; return how many there are."""
    records, count = ledger.journal(partition).scan_parked(-1, position), 0
    with _writer(making / _parked_file(partition), _PARKED_COLUMNS) as write:
        while batch := list(islice(records, PARKED_AT_ONCE)):
            write([(partition, *record) for record in batch])
            count += len(batch)
    return count


def _parked_file(partition: int) -> str:
    return f"parked/partition-{partition}.parquet"


# Plain types only, which every reader of Parquet has.
_ENTRY_COLUMNS = {
    "partition": "int32",
    "place": "int64",
    "member": "string",
    "number": "int64",
    "position": "string",
    "type": "string",
    "source": "string",
    "id": "string",
    "occurred": "instant",
    "recorded": "instant",
    "clock": "instant",
    "backlog": "bool",
    "outcome": "string",
    "reason": "string",
    "figures": "string",  # JSON, as `data` and `changes` are
    "version": "string",
    "engine": "int32",
    "data": "string",
    "changes": "string",
    "entry": "binary",
    "link": "binary",
}
_PARKED_COLUMNS = {
    "partition": "int32",
    "offset": "int64",
    "recorded": "int64",
    "reason": "string",
    "detail": "string",
    "length": "int64",
    "sha256": "binary",
    "kept": "binary",
    "is_done": "bool",
}


def _entry_row(row: EntryRow, entry: Entry, offset: Zone) -> tuple[Any, ...]:
    head = fact_head(entry)
    return (
        entry.partition,
        row.sequence,
        row.member,
        row.number,
        position_text(entry.partition, entry.offset),
        head.type,
        head.source,
        head.id,
        entry.occurred,
        entry.recorded,
        entry.clock,
        entry.backlog,
        OUTCOMES[entry.outcome],
        entry.reason,
        _json(entry.figures),
        entry.version,
        entry.engine,
        bytes(head.data).decode(),
        _json([change_to_dict(change, offset) for change in entry.changes]),
        row.state,
        row.link,
    )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


@contextmanager
def _writer(path: Path, columns: dict[str, str]) -> Iterator[Callable[[list[tuple[Any, ...]]], None]]:
    """Write a Parquet file, zstd; yield a function that takes the rows of one row group."""
    instant = pyarrow.timestamp("us", tz="UTC")
    schema = pyarrow.schema([(name, instant if kind == "instant" else kind) for name, kind in columns.items()])
    path.parent.mkdir(parents=True, exist_ok=True)
    with output_file(path) as out, pyarrow.parquet.ParquetWriter(out, schema, compression="zstd") as file:

        def write(rows: list[tuple[Any, ...]]) -> None:
            arrays = [
                pyarrow.array(values, kind) for values, kind in zip(zip(*rows, strict=True), schema.types, strict=True)
            ]
            file.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))

        yield write


# -- reading -----------------------------------------------------------------------------------------------------------


class Archived(NamedTuple):
    """What an archive holds of a position: an entry and the chain's link behind it, or a dead letter."""

    item: Entry | DeadLetter
    link: bytes = b""


class Archive:
    """An archive that is whole: every file is there and as it was written, and the months join."""

    def __init__(self, folder: Path, progress: Progress = lambda _: None) -> None:
        """Check an archive; `progress` is called with bytes done. Raises `BadCopy` that names the file."""
        self.folder = folder
        path = folder / MANIFEST
        self.manifest = read_manifest(path, ArchiveManifest, FORMAT, "points archive export")
        if self.manifest.engine > ENGINE:
            raise BadCopy(f"{path}: decided by engine {self.manifest.engine}; this version of points has {ENGINE} only")
        check_files(folder, self.manifest.files, progress)
        self._check_months()

    def _check_months(self) -> None:
        path = self.folder / MANIFEST
        manifest = self.manifest
        numbers = [part.partition for part in manifest.partitions]
        wanted = {BOOK, *map(_parked_file, numbers), *(month.file for month in manifest.months)}
        if numbers != list(range(manifest.born.partitions)) or {file.file for file in manifest.files} != wanted:
            raise BadCopy(f"{path}: does not list each partition and file once; take another copy of the archive")
        for part in manifest.partitions:
            place, link = 0, GENESIS_LINK.hex()
            for month in self.months(part.partition):
                if (month.first, month.link_before) != (place + 1, link) or month.last < month.first:
                    raise BadCopy(f"{path}: {month.file} does not join the month before it")
                place, link = month.last, month.link
            if (place, link) != (part.entries, part.link):
                raise BadCopy(
                    f"{path}: the months of partition {part.partition} end at place {place:,} of {part.entries:,}"
                )

    @property
    def book(self) -> str:
        """Return the TOML of the rule book that the ledger was born with."""
        try:
            return (self.folder / BOOK).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise BadCopy(f"{self.folder / BOOK}: byte {error.start} is not UTF-8; take another copy of it") from None

    def months(self, partition: int) -> list[Month]:
        """Return the files of a partition's entries, in order."""
        return [month for month in self.manifest.months if month.partition == partition]

    def records(self, partition: int) -> Iterator["Archived"]:
        """Yield the entries and dead letters of a partition, by position. Raises `BadCopy`."""
        position = -1
        parked = (Archived(record) for record in self.dead_letters(partition))
        for record in merge(self._entries(partition), parked, key=lambda record: record.item.offset):
            if record.item.offset <= position:
                raise BadCopy(f"{self.folder}: position {partition}:{record.item.offset} stands twice, or out of order")
            position = record.item.offset
            yield record

    def _entries(self, partition: int) -> Iterator["Archived"]:
        for month in self.months(partition):
            for row in self._read(month.file, {name: _ENTRY_COLUMNS[name] for name in ("entry", "link")}):
                try:
                    yield Archived(decode_entry(row["entry"]), row["link"])
                except UNREADABLE as error:
                    raise BadCopy(f"{self.folder / month.file}: holds what is no entry: {error}") from None

    def dead_letters(self, partition: int) -> Iterator[DeadLetter]:
        """Return the dead letters of a partition, by position."""
        kinds = {name: kind for name, kind in _PARKED_COLUMNS.items() if name != "partition"}
        return (DeadLetter(raw=row.pop("kept"), **row) for row in self._read(_parked_file(partition), kinds))

    def _read(self, name: str, kinds: dict[str, str]) -> Iterator[dict[str, Any]]:
        """Yield the rows of a table, of the columns that `kinds` names. Raises `BadCopy`."""
        try:
            with pyarrow.parquet.ParquetFile(self.folder / name) as file:
                for column, kind in kinds.items():
                    place = file.schema_arrow.get_field_index(column)
                    if place < 0 or file.schema_arrow.types[place] != pyarrow.type_for_alias(kind):
                        raise BadCopy(f"{self.folder / name}: has no column {column} of type {kind}")
                for batch in file.iter_batches(ROWS_READ, columns=list(kinds)):
                    for column, values in zip(batch.schema.names, batch.columns, strict=True):
                        if values.null_count:
                            raise BadCopy(f"{self.folder / name}: a row has no {column}")
                    yield from batch.to_pylist()
        except (pyarrow.ArrowException, OSError) as error:
            raise BadCopy(f"{self.folder / name}: {error}; take another copy of it") from None
