"""A ledger's journals as Parquet files, by partition and month of recording, with a manifest of their hashes.

The column `entry` is the truth; the others are there to be queried. An archive is made under another name beside its
folder and takes its name when it is whole.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow
import pyarrow.parquet

from ledger.journal.folder import BOOK
from ledger.journal.ledger import Ledger, Settings
from ledger.journal.port import DeadLetter, EntryRow, Head
from ledger.wire.entries import ACCEPTED, ENGINE, OUTCOMES, Entry
from ledger.wire.entry_codec import decode_entry, leaf_of, link_after
from ledger.wire.entry_json import change_to_dict, fact_head, position_text
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.times import Zone, month_of, month_text
from projections.answers.output import output_file, output_folder
from projections.audit.proof import Refuted
from projections.ticking import Progress
from service.archive.files import File, check_new, file_at, write_manifest
from service.archive.manifests import (
    FORMAT,
    HEAD,
    MANIFEST,
    ArchivedPartition,
    ArchiveManifest,
    Month,
    begun,
    head_of,
    parked_name,
)

ROW_GROUP = 8_192  # rows that are in memory at once
PARKED_AT_ONCE = 256  # of up to 64 KiB each


def export_archive(ledger: Ledger, folder: Path, progress: Progress = lambda _: None) -> ArchiveManifest:
    """Write an archive of all that a ledger holds now into a folder that is not there yet.

    Raises `BadCopy` where it is, and `Refuted` where a chain is broken: that is not archived.
    """
    check_new(folder)
    with output_folder(folder) as making:
        manifest = _write_archive(ledger, making, progress)
        write_manifest(making / MANIFEST, manifest)
        write_manifest(making / HEAD, head_of(manifest.ledger, 0, (making / MANIFEST).read_bytes()))
    return manifest


def _write_archive(ledger: Ledger, making: Path, progress: Progress) -> ArchiveManifest:
    partitions: list[ArchivedPartition] = []
    months: list[Month] = []
    with output_file(making / BOOK) as out:
        out.write(ledger.genesis_book.encode())
    done = 0
    for partition, beginning in begun(ledger.settings).items():
        head = ledger.journal(partition).head()
        for segment in write_segments(ledger, reached(beginning), partition, head, making):
            months.append(segment.month)
            progress(done + segment.month.last - beginning.entries)
        done += head.entries - beginning.entries
        letters = ledger.journal(partition).scan_parked(-1, head.offset)
        parked = write_dead_letters(partition, letters, making / parked_name(partition))
        partitions.append(
            ArchivedPartition(partition, head.entries, head.link.hex(), head.offset, head.recorded, parked)
        )
    names = sorted(path.relative_to(making).as_posix() for path in making.rglob("*") if path.is_file())
    return first_manifest(ledger, FORMAT, partitions, months, [file_at(making, name) for name in names])


def first_manifest(
    ledger: Ledger, kind: str, partitions: list[ArchivedPartition], months: list[Month], files: list[File]
) -> ArchiveManifest:
    """Return the manifest with which an archive of a ledger begins."""
    born = {name: getattr(ledger.settings, name) for name in Settings.__struct_fields__}
    return ArchiveManifest(kind, ledger.identity, ledger.genesis, ENGINE, Settings(**born), partitions, months, files)


class Reached(NamedTuple):
    """How far a partition was written: the last place, the link there, and the month's text."""

    place: int
    link: bytes
    month: str


def reached(part: ArchivedPartition, month: str = "") -> Reached:
    """Return how far a partition was written, where it stands so and a month's text is the last."""
    return Reached(part.entries, bytes.fromhex(part.link), month)


class Segment(NamedTuple):
    """A file of entries that was written, by the name that it has in a whole archive.

    `offset` and `recorded` are its last entry's; of the rule books in it `published` has place and recorded.
    """

    month: Month
    offset: int
    recorded: int
    published: list[tuple[int, int]]


def write_segments(
    ledger: Ledger, reached: Reached, partition: int, head: Head, folder: Path, most: int = 1 << 62
) -> Iterator[Segment]:
    """Write files of up to `most` entries of one month, and recompute the chain; yield each file. Raises `Refuted`."""
    zone = ledger.book.offset
    place, link, latest = reached
    rows = ((row, decode_entry(row.state)) for row in ledger.journal(partition).scan(place, head.entries))
    for month, group in groupby(rows, key=lambda pair: month_of(pair[1].recorded, zone)):
        text = month_text(month)
        if text < latest:
            raise Refuted(f"partition {partition}: recorded runs back at place {place + 1:,}: run `points replay`")
        latest = text
        name = f"entries/partition-{partition}/{text}.parquet"
        while some := list(islice(group, min(ROW_GROUP, most))):
            before, first, published, last = link, place + 1, [], some[-1][1]
            with _writer(folder / name, ENTRY_COLUMNS) as write:
                while some:
                    for row, entry in some:
                        place += 1
                        link = link_after(link, leaf_of(row.state))
                        if (row.sequence, row.link) != (place, link):
                            raise Refuted(f"partition {partition} is broken at place {place:,}: run `points verify`")
                        if entry.member == PROGRAMME_SUBJECT and entry.outcome == ACCEPTED:
                            published.append((place, entry.recorded))
                    write([_entry_row(row, entry, zone) for row, entry in some])
                    last = some[-1][1]
                    some = list(islice(group, min(ROW_GROUP, most - (place - first + 1))))
            written = Month(name, partition, first, place, before.hex(), link.hex())
            yield Segment(written, last.offset, last.recorded, published)
    if (place, link) != (head.entries, head.link):
        raise Refuted(f"partition {partition} ends at place {place:,} of {head.entries:,}: run `points verify`")


def write_dead_letters(partition: int, letters: Iterable[DeadLetter], path: Path) -> int:
    """Write dead letters, which come by offset; return how many there are."""
    records, count = iter(letters), 0
    with _writer(path, PARKED_COLUMNS) as write:
        while batch := list(islice(records, PARKED_AT_ONCE)):
            write([(partition, *record) for record in batch])
            count += len(batch)
    return count


# Plain types only, which every reader of Parquet has.
ENTRY_COLUMNS = {
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
PARKED_COLUMNS = {
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


def schema_of(columns: dict[str, str]) -> pyarrow.Schema:
    """Return Arrow's schema of columns by their names and kinds."""
    instant = pyarrow.timestamp("us", tz="UTC")
    return pyarrow.schema([(name, instant if kind == "instant" else kind) for name, kind in columns.items()])


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


@contextmanager
def _writer(path: Path, columns: dict[str, str]) -> Iterator[Callable[[list[tuple[Any, ...]]], None]]:
    """Write a Parquet file, zstd; yield a function that takes the rows of one row group."""
    schema = schema_of(columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    with output_file(path) as out, pyarrow.parquet.ParquetWriter(out, schema, compression="zstd") as file:

        def write(rows: list[tuple[Any, ...]]) -> None:
            arrays = [
                pyarrow.array(values, kind) for values, kind in zip(zip(*rows, strict=True), schema.types, strict=True)
            ]
            file.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))

        yield write
