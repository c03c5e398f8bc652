"""An archive as it is read: what its manifests list together, each file compared with them before it is believed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
import pyarrow.parquet

from ledger.journal.folder import BOOK
from ledger.journal.port import DeadLetter
from ledger.wire.entries import Entry
from ledger.wire.entry_codec import decode_entry
from ledger.wire.unreadable import UNREADABLE
from projections.ticking import Progress
from service.archive.files import BadCopy, check_file
from service.archive.manifests import ArchiveManifest, Chain, Link, Month, begun, partition_of_parked
from service.archive.parquet import ENTRY_COLUMNS, PARKED_COLUMNS
from service.archive.places import Place, place_at

ROWS_READ = 256  # of a file at a time
ROWS_OF_A_BATCH = 8_192  # where columns go on as they are


class Archived(NamedTuple):
    """What an archive holds of a position: an entry and the chain's link behind it, or a dead letter."""

    item: Entry | DeadLetter
    link: bytes = b""


class Archive:
    """An archive whose manifests join; a file is compared with them when it is first read, or by `check`."""

    def __init__(self, where: Place | Path | str, upto: int | None = None) -> None:
        """Read the manifests in a folder or at an address, or those up to a link. Raises `BadCopy` naming the file."""
        self.place = where if isinstance(where, Place) else place_at(where)
        self.chain = Chain(self.place, upto)
        self._files = {file.file: file for file in self.manifest.files}
        self._checked: set[str] = set()

    @classmethod
    def checked(cls, where: Place | Path | str, progress: Progress = lambda _: None) -> "Archive":
        """Return an archive that is whole, where finding that out costs no way; `progress` gets the bytes done."""
        archive = cls(where)
        if archive.place.is_near:
            archive.check(progress)
        return archive

    @property
    def name(self) -> str:
        """Where the archive is, for people."""
        return self.place.name

    @property
    def manifest(self) -> ArchiveManifest:
        """What all manifests say together."""
        return self.chain.manifest

    def append(self, link: Link) -> bool:
        """Create the next link; False where another export was sooner."""
        if not self.chain.append(link):
            return False
        self._files |= {file.file: file for file in link.files}
        return True

    @property
    def entries(self) -> int:
        """How many entries there are."""
        first = begun(self.manifest.born)
        return sum(part.entries - first[part.partition].entries for part in self.manifest.partitions)

    def check(self, progress: Progress = lambda _: None) -> None:
        """Raise `BadCopy` unless every file is there and as it was written."""
        done = 0
        for file in self.manifest.files:
            with self._near(file.file):
                done += file.bytes
            progress(done)

    @contextmanager
    def _near(self, name: str) -> Iterator[Path]:
        """Return a file on this machine. Raises `BadCopy` where it is not as the manifests say."""
        with self.place.near(name) as path:
            if name not in self._checked:
                check_file(path, self._files[name], self.place.at(name))
            if self.place.is_near:
                self._checked.add(name)
            yield path

    @property
    def book(self) -> str:
        """Return the TOML of the rule book that the ledger was born with."""
        with self._near(BOOK) as path:
            try:
                return path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise BadCopy(
                    f"{self.place.at(BOOK)}: byte {error.start} is not UTF-8; take another copy of it"
                ) from None

    def months(self, partition: int) -> list[Month]:
        """Return the files of a partition's entries, in order."""
        return [month for month in self.manifest.months if month.partition == partition]

    def link_at(self, partition: int, place: int) -> str:
        """Return the chain's link of the entry at a place, as a manifest says it; nothing where there is none."""
        month = next((month for month in self.months(partition) if month.first <= place <= month.last), None)
        if month is None or place == month.last:
            return month.link if month else ""
        return next(bytes(link).hex() for at, link in self.rows(month, ("place", "link")) if at == place)

    def records(self, partition: int) -> Iterator[Archived]:
        """Yield the entries and dead letters of a partition, by position. Raises `BadCopy`."""
        position = -1
        parked = (Archived(record) for record in self.dead_letters(partition))
        for record in merge(self._entries(partition), parked, key=lambda record: record.item.offset):
            if record.item.offset <= position:
                raise BadCopy(f"{self.name}: position {partition}:{record.item.offset} stands twice, or out of order")
            position = record.item.offset
            yield record

    def _entries(self, partition: int) -> Iterator[Archived]:
        for month in self.months(partition):
            for entry, link in self.rows(month, ("entry", "link")):
                try:
                    yield Archived(decode_entry(entry), link)
                except UNREADABLE as error:
                    raise BadCopy(f"{self.place.at(month.file)}: holds what is no entry: {error}") from None

    def rows(self, month: Month, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a file of entries, of some columns, in their order. Raises `BadCopy`."""
        return self._read(month.file, {name: ENTRY_COLUMNS[name] for name in columns})

    def batches(self, month: Month) -> Iterator[pyarrow.RecordBatch]:
        """Yield a file of entries as it is, some rows at a time. Raises `BadCopy`."""
        named = self.place.at(month.file)
        with self._near(month.file) as path:
            try:
                with pyarrow.parquet.ParquetFile(path) as file:
                    yield from file.iter_batches(ROWS_OF_A_BATCH)
            except (pyarrow.ArrowException, OSError) as error:
                raise BadCopy(f"{named}: {error}; take another copy of it") from None

    def entries_about(self, month: Month, member: str) -> Iterator[tuple[int, bytes]]:
        """Yield a member's entries in a file, each with its place. Raises `BadCopy`."""
        named = self.place.at(month.file)
        with self._near(month.file) as path:
            try:
                columns, wanted = ["place", "entry"], [("member", "=", member)]
                rows = pyarrow.parquet.read_table(path, columns=columns, filters=wanted)
            except (pyarrow.ArrowException, OSError) as error:
                raise BadCopy(f"{named}: {error}; take another copy of it") from None
        yield from zip(rows["place"].to_pylist(), rows["entry"].to_pylist(), strict=True)

    def dead_letters(self, partition: int) -> Iterator[DeadLetter]:
        """Yield the dead letters of a partition, by position; of one that changed since, as it is now."""
        names = [name for name in self._files if partition_of_parked(name) == partition]
        files = [self._letters(name, place) for place, name in enumerate(names)]
        for _, letters in groupby(merge(*files), itemgetter(0)):
            *_, (_, _, letter) = letters
            yield letter

    def _letters(self, name: str, place: int) -> Iterator[tuple[int, int, DeadLetter]]:
        kinds = {column: kind for column, kind in PARKED_COLUMNS.items() if column != "partition"}
        last = -1
        for row in self._read(name, kinds):
            letter = DeadLetter(*row)
            if letter.offset <= last:
                where = f"{partition_of_parked(name)}:{letter.offset}"
                raise BadCopy(f"{self.name}: position {where} stands twice, or out of order")
            last = letter.offset
            yield letter.offset, place, letter

    def _read(self, name: str, kinds: dict[str, str]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a table, of the columns that `kinds` names, in their order. Raises `BadCopy`."""
        named = self.place.at(name)
        with self._near(name) as path:
            try:
                with pyarrow.parquet.ParquetFile(path) as file:
                    for column, kind in kinds.items():
                        place = file.schema_arrow.get_field_index(column)
                        if place < 0 or file.schema_arrow.types[place] != pyarrow.type_for_alias(kind):
                            raise BadCopy(f"{named}: has no column {column} of type {kind}")
                    for batch in file.iter_batches(ROWS_READ, columns=list(kinds)):
                        for column, values in zip(batch.schema.names, batch.columns, strict=True):
                            if values.null_count:
                                raise BadCopy(f"{named}: a row has no {column}")
                        yield from zip(*(batch.column(column).to_pylist() for column in kinds), strict=True)
            except (pyarrow.ArrowException, OSError) as error:
                raise BadCopy(f"{named}: {error}; take another copy of it") from None
