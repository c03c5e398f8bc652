"""An archive that grows: an export appends what the ledger decided since the last one, and leaves what is there.

A file is there before a link lists it, and a link is created only where none of its number is. So a kill at any instant
leaves the archive as the last link says; what else was written is cleared away by the next export, which first takes
the next number: an export that was thought dead then finds its own number taken. A file's name has the number of its
link, so that whoever clears away, however slowly, removes nothing that a later link lists.
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from msgspec.structs import replace

from ledger.errors import CannotRunNow
from ledger.journal.failpoints import failpoint
from ledger.journal.folder import BOOK
from ledger.journal.ledger import Ledger
from ledger.journal.port import DeadLetter, Head
from ledger.wire.entry_codec import decode_entry
from projections.audit.proof import Refuted
from projections.ticking import Progress
from service.archive.files import BadCopy, File, file_at, file_of, manifest_text
from service.archive.manifests import (
    EMPTY,
    MANIFEST,
    ArchivedPartition,
    Heard,
    Split,
    begun,
    link_name,
    parked_name,
    splits_behind,
)
from service.archive.parquet import (
    Segment,
    first_manifest,
    reached,
    write_dead_letters,
    write_segments,
)
from service.archive.places import DRAFTS, Place
from service.archive.reading import Archive

STEP = 500_000  # entries of a file
LINK = 20 * STEP  # of a link, in the middle of an export: what a kill costs, and how long the chain grows

_OURS = ("entries/", "parked/", DRAFTS)  # names of what an export writes before its link


def is_archive(place: Place) -> bool:
    """Return True if an archive was begun at a place."""
    return place.read(MANIFEST) is not None


def begin(ledger: Ledger, place: Place) -> None:
    """Begin an archive that holds nothing but what the ledger was born with. Raises `BadCopy` where there is one."""
    book = ledger.genesis_book.encode()
    listed = File(BOOK, len(book), sha256(book).hexdigest())
    partitions = list(begun(ledger.settings).values())
    place.begin({BOOK: book, MANIFEST: manifest_text(first_manifest(ledger, EMPTY, partitions, [], [listed]))})


def grow(ledger: Ledger, place: Place, progress: Progress = lambda _: None) -> tuple[Archive, int]:
    """Append what an archive lacks of its ledger; return it, and how many entries are new.

    `progress` gets the entries that the archive has. Raises `BadCopy` where it is another ledger's, `Refuted` where a
    chain is broken or is not the one that was archived, and `CannotRunNow` where another export appends to it.
    """
    archive = Archive(place)
    manifest = archive.manifest
    if (manifest.ledger, manifest.genesis) != (ledger.identity, ledger.genesis):
        raise BadCopy(f"{place.name}: an archive of another ledger, {manifest.ledger}; name another place")
    born, now = manifest.born, ledger.settings
    splits = splits_behind(born, now)
    if born.grown != now.grown[: len(born.grown)] or (not splits and born.partitions != now.partitions):
        raise Refuted(
            f"{place.name}: an archive of {born.partitions} partitions, which {ledger.name} was never split into: it is"
            " an earlier state of this ledger, or was split otherwise; name another place"
        )
    began = archive.entries
    with place.drafts() as folder:
        try:
            growth = _Growth(ledger, archive, folder, progress)
            for partition in range(born.partitions):
                growth.check(partition)
            growth.clear_away()
            archive.chain.keep_head()  # an export that was killed may have left it behind
            for split in splits:  # behind all that the parents had until then
                growth.follow_all()
                growth.split(split)
            growth.follow_all()
        except FileNotFoundError:
            raise CannotRunNow(_other(place.name)) from None  # it took the next number, and cleared these drafts away
    return archive, archive.entries - began


def _other(where: str) -> str:
    return f"{where}: another export appends to this archive; let it end, and run this one again"


def _earlier(before: ArchivedPartition) -> Refuted:
    return Refuted(
        f"partition {before.partition} does not go on from entry {before.entries:,} and position {before.position:,},"
        " with which the archive ends: it is an earlier state of this ledger, or was changed; name another place"
    )


class _Growth:
    """What is written and in no link yet."""

    def __init__(self, ledger: Ledger, archive: Archive, folder: Path, progress: Progress) -> None:
        self._ledger, self._archive, self._folder, self._progress = ledger, archive, folder, progress
        self._link = archive.chain.next()
        self._entries = 0  # of the link

    def check(self, partition: int) -> None:
        """Raise `Refuted` unless a partition has all that the archive has of it, and goes on from there."""
        before, journal = self._archive.chain.of(partition), self._ledger.journal(partition)
        rows = list(journal.scan(max(before.entries - 1, 0), before.entries + 1))
        last = [row.link.hex() for row in rows if row.sequence <= before.entries]
        later = [decode_entry(row.state).offset for row in rows if row.sequence > before.entries]
        is_before = before.position > journal.head().offset or before.position >= min(later, default=1 << 63)
        if is_before or last != [before.link][: before.entries]:
            raise _earlier(before)
        for _ in self._new_letters(before, before.position):
            pass

    def clear_away(self) -> None:
        """Remove what an export that was killed left, once its number is taken."""
        kept = {*self._archive.chain.known, self._folder.name}
        left = [name for name in self._archive.place.names() if name not in kept and name.startswith(_OURS)]
        if left:
            self._create()
            for name in left:
                self._archive.place.remove(name)

    def follow_all(self) -> None:
        """Write what the partitions that the archive knows decided since, to the last link."""
        for partition in range(self._archive.manifest.born.partitions):
            self._follow(partition)
        self.commit()

    def split(self, split: Split) -> None:
        """Let a link tell of a split."""
        self._link = self._archive.chain.next_for(split)
        self._create()

    def _follow(self, partition: int) -> None:
        """Write what a partition decided since, and a link wherever that is much."""
        before = self._archive.chain.of(partition)
        head = self._ledger.journal(partition).head()
        for segment in write_segments(
            self._ledger, reached(before, self._month(partition)), partition, head, self._folder, STEP
        ):
            self._take(segment)
            if self._entries >= LINK:
                month = segment.month
                self._stand(Head(month.last, bytes.fromhex(month.link), segment.offset, segment.recorded), partition)
                self.commit()
        self._stand(head, partition)

    def _month(self, partition: int) -> str:
        """Return the text of the last month that the archive has of a partition."""
        months = self._archive.months(partition)
        return months[-1].file.rpartition("/")[2][:7] if months else ""

    def _take(self, segment: Segment) -> None:
        month = segment.month
        file = file_at(self._folder, month.file)
        where = f"{month.first:012d}-{self._link.number:06d}"
        name = f"{month.file.removesuffix('.parquet')}.{where}-{file.sha256[:16]}.parquet"
        self._archive.place.put(name, self._folder / month.file)
        failpoint("archive-file")
        self._link.months.append(replace(month, file=name))
        self._link.files.append(replace(file, file=name))
        books = {book.sequence: book for book in self._ledger.journal(month.partition).published()}
        for place, recorded in segment.published:
            self._link.heard.append(Heard(month.partition, place, recorded, books[place].version))
            self._link.texts[books[place].version] = books[place].toml
        self._entries += month.last - month.first + 1
        self._progress(self._archive.entries + self._entries)

    def _stand(self, head: Head, partition: int) -> None:
        """Let the link say where a partition stands, with the dead letters up to there."""
        before = self._archive.chain.of(partition)
        count = self._ledger.journal(partition).count_parked(head.offset, retried=True)
        stands = ArchivedPartition(partition, head.entries, head.link.hex(), head.offset, head.recorded, count)
        path = self._folder / parked_name(partition)
        if write_dead_letters(partition, self._new_letters(before, head.offset), path):
            file = file_of(path, parked_name(partition))
            name = f"{file.file.removesuffix('.parquet')}.{self._link.number:06d}-{file.sha256[:16]}.parquet"
            self._archive.place.put(name, path)
            self._link.files.append(replace(file, file=name))
        elif stands == before:
            return
        self._link.partitions.append(stands)

    def _new_letters(self, before: ArchivedPartition, upto: int) -> Iterator[DeadLetter]:
        """Yield the dead letters that the archive has not, or not as they are now. Raises `Refuted` for a lost one."""
        archived = self._archive.dead_letters(before.partition)
        other = next(archived, None)
        for letter in self._ledger.journal(before.partition).scan_parked(-1, upto):
            if letter != other:
                yield letter
            if other is None or other.offset > letter.offset:
                continue
            if (other.offset, other.sha256) != (letter.offset, letter.sha256):
                raise _earlier(before)
            other = next(archived, None)
        if other is not None and other.offset <= upto:
            raise _earlier(before)

    def commit(self) -> None:
        """Create the link, if anything is in it."""
        if self._link.partitions:
            self._create()

    def _create(self) -> None:
        failpoint("archive-link")
        if not self._archive.append(self._link):
            raise CannotRunNow(_other(self._archive.place.at(link_name(self._link.number))))
        failpoint("archive-linked")
        self._link, self._entries = self._archive.chain.next(), 0
