"""What an archive says of itself: its first manifest, and a chain of links, one for each export that appended to it.

`manifest.json` is the beginning, and `links/000001.json` the first link. Each link carries the SHA-256 of the manifest
before it, and only what is new. An archive that begins in a bucket holds nothing until its first link. `head.json` says
how many links there are at least, and what the last of them is: it is written behind each, and may be one behind.

A split of the ledger's partitions is a link of its own, behind all that the parents had when they were split. Of each
partition the archive has the chain's own part: what comes behind where it branched off.
"""

import re
from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from ledger.journal.failpoints import failpoint
from ledger.journal.folder import BOOK
from ledger.journal.growth import MOST_PARTITIONS, End, Growth, branch_of
from ledger.journal.ledger import KAFKA, Settings
from ledger.wire.entries import ENGINE
from service.archive.files import BadCopy, Count, File, Hash, Manifest, Name, decode_manifest, manifest_text
from service.archive.places import MISSING, Place

FORMAT = "points-ledger.archive.v1"  # whole as it is; links may follow
EMPTY = "points-ledger.archive.v2"  # holds nothing but what the ledger was born with: all of it is in links
LINK = "points-ledger.archive-link.v1"
SPLIT = "points-ledger.archive-link.v2"  # that the ledger's partitions were split, and nothing else
MANIFEST = "manifest.json"
LINKS = "links"
HEAD_FORMAT = "points-ledger.archive-head.v1"
HEAD = "head.json"
MADE_BY = "points archive export"

_LINK_NAME = re.compile(f"{LINKS}/[0-9]{{6,}}\\.json")

_Partition = Annotated[int, Meta(ge=0, le=1023)]
_Version = Annotated[str, Meta(max_length=200)]


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


class Heard(Struct, frozen=True, forbid_unknown_fields=True):
    """A version of the rule book that a partition heard, at which place, and when it was recorded."""

    partition: _Partition
    place: Count
    recorded: Count
    version: _Version


class Split(Struct, frozen=True, forbid_unknown_fields=True):
    """A split of a ledger's partitions: how many there are since, and where those before ended."""

    partitions: Annotated[int, Meta(ge=2, le=MOST_PARTITIONS)]
    before: Growth


class Link(Manifest, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an export appended: partitions that moved, as they stand now; months and files that are new. Or a split.

    `before` is the SHA-256 of the manifest before this one, `number` counts from 1. `texts` are the rule books that
    `heard` names, by version.
    """

    number: Count
    before: Hash
    engine: int
    partitions: Annotated[list[ArchivedPartition], Meta(max_length=1024)]
    months: list[Month]
    files: list[File]
    heard: list[Heard]
    texts: dict[_Version, str]
    split: Split | None = None


class ArchiveHead(Manifest, frozen=True, forbid_unknown_fields=True):
    """How many links there are, and the SHA-256 of the last of them; of the first manifest where there is none."""

    number: Count
    sha256: Hash


class Chain:
    """An archive's manifests as they were read: all that they list together, and what the next link begins with.

    `manifest` is the first one with what every link appended.
    """

    def __init__(self, place: Place, upto: int | None = None) -> None:
        """Read and join all manifests, or those up to a link. Raises `BadCopy` where one is lost or does not join."""
        self.place = place
        self.heard: list[Heard] = []
        self.texts: dict[str, str] = {}
        named, content = place.at(MANIFEST), place.read(MANIFEST)
        if content is None:
            raise BadCopy(f"{named}: {MISSING}; give a folder that `{MADE_BY}` made")
        self.manifest = decode_manifest(named, content, ArchiveManifest, (FORMAT, EMPTY))
        self.whole = self.manifest if self.manifest.format == FORMAT else None  # what no link lists
        self._check_engine(named, self.manifest.engine)
        self._check_first(named)
        self._head = self._read_head()  # before the links, which are there before it
        self._stand_at(0, content)
        self._state = {part.partition: part for part in self.manifest.partitions}
        self._join(named, self.manifest.months, begun(self.manifest.born), self.manifest.partitions)
        for name in self._links()[:upto]:
            self._read(name)
        if upto is None and self._head is not None and self._head.number > self.number:
            raise self._missing(self.number + 1)

    def _links(self) -> list[str]:
        """Return the names of the links, in order. Raises `BadCopy` where one is missing or is none."""
        names = self.place.names(LINKS)
        for name in names:
            if not _LINK_NAME.fullmatch(name):
                raise BadCopy(f"{self.place.at(name)}: is no link of the chain; take it out")
        for number, name in enumerate(names, 1):
            if name != link_name(number):
                raise self._missing(number)
        return names

    def _missing(self, number: int) -> BadCopy:
        return BadCopy(
            f"{self.place.at(link_name(number))}: is missing, and the chain goes on behind it; take another copy of the"
            " archive"
        )

    def _read_head(self) -> ArchiveHead | None:
        """Return what the head says; None in an archive that has none, since an older version made it."""
        content = self.place.read(HEAD)
        if content is None:
            return None
        head = decode_manifest(self.place.at(HEAD), content, ArchiveHead, (HEAD_FORMAT,))
        if head.ledger != self.manifest.ledger:
            raise BadCopy(f"{self.place.at(HEAD)}: is of another ledger, {head.ledger}; take another copy of it")
        return head

    def _stand_at(self, number: int, content: bytes) -> None:
        """Take a manifest as the last so far. Raises `BadCopy` where it is not the one that the head says."""
        self.number, self.digest = number, sha256(content).hexdigest()
        if self._head is not None and self._head.number == number and self._head.sha256 != self.digest:
            name = link_name(number) if number else MANIFEST
            raise BadCopy(f"{self.place.at(name)}: was changed since {HEAD} was written; take another copy of it")

    def keep_head(self) -> None:
        """Write the head, where it is not where the chain ends."""
        head = ArchiveHead(HEAD_FORMAT, self.manifest.ledger, self.number, self.digest)
        if head != self._head:
            with self.place.drafts() as folder:
                draft = folder / HEAD
                draft.write_bytes(manifest_text(head))
                self.place.put(HEAD, draft)
            self._head = head

    def _check_engine(self, named: str, engine: int) -> None:
        if engine > ENGINE:
            raise BadCopy(f"{named}: decided by engine {engine}; this version of points has {ENGINE} only")

    def _check_first(self, named: str) -> None:
        manifest = self.manifest
        numbers = [part.partition for part in manifest.partitions]
        wanted = {BOOK, *(month.file for month in manifest.months)}
        if self.whole is not None:
            wanted |= set(map(parked_name, numbers))
        if numbers != list(range(manifest.born.partitions)) or {file.file for file in manifest.files} != wanted:
            raise BadCopy(f"{named}: does not list each partition and file once; take another copy of the archive")

    def _join(
        self, named: str, months: list[Month], before: dict[int, ArchivedPartition], after: list[ArchivedPartition]
    ) -> None:
        """Raise `BadCopy` unless months lead from where the partitions stood to where they stand."""
        stands = {number: (part.entries, part.link) for number, part in before.items()}
        for month in months:
            place, link = stands.get(month.partition, (-2, ""))
            if (month.first, month.link_before) != (place + 1, link) or month.last < month.first:
                raise BadCopy(f"{named}: {month.file} does not join the month before it")
            stands[month.partition] = month.last, month.link
        for part in after:
            place, link = stands.get(part.partition, (-1, ""))
            if (place, link) != (part.entries, part.link):
                raise BadCopy(
                    f"{named}: the months of partition {part.partition} end at place {place:,} of {part.entries:,}"
                )

    def _read(self, name: str) -> None:
        named, content = self.place.at(name), self.place.read(name)
        if content is None:
            raise BadCopy(f"{named}: {MISSING}; take another copy of it")
        link = decode_manifest(named, content, Link, (LINK, SPLIT))
        self._check_engine(named, link.engine)
        wanted = (self.manifest.ledger, self.number + 1, self.digest)
        if (link.ledger, link.number, link.before) != wanted:
            raise BadCopy(f"{named}: does not follow the manifest before it; take another copy of the archive")
        if (link.split is not None) != (link.format == SPLIT) or not self._is_split(link):
            raise BadCopy(f"{named}: tells of a split that does not fit; take another copy of the archive")
        new, listed = {month.file for month in link.months}, [file.file for file in link.files]
        parked = [file for file in listed if partition_of_parked(file) is not None]
        if {*listed} != {*new, *parked} or len({*listed}) != len(listed) or not self.known.isdisjoint(listed):
            raise BadCopy(f"{named}: does not list each file once; take another copy of the archive")
        moved = {month.partition for month in link.months} - {part.partition for part in link.partitions}
        if moved or {heard.version for heard in link.heard} - {*self.texts, *link.texts}:
            raise BadCopy(f"{named}: does not say where each partition stands; take another copy of the archive")
        self._join(named, link.months, self._state, link.partitions)
        self._take(link, content)

    def _is_split(self, link: Link) -> bool:
        """Return True if a link's split, if it tells of one, splits the partitions as they stand, and does no more."""
        if link.split is None:
            return True
        ends = enumerate(link.split.before.ends)
        return (
            not (link.partitions or link.months or link.files or link.heard)
            and link.split.before.partitions == len(link.split.before.ends) == len(self._state)
            and link.split.partitions % len(self._state) == 0 < link.split.partitions - len(self._state)
            and all(self._has(number, end) for number, end in ends)
        )

    def _has(self, number: int, end: End) -> bool:
        """Return True if all that a partition had when it was split is there."""
        stands = self._state[number]
        return stands.entries > end.entries or (stands.entries, stands.link) == (end.entries, end.link)

    @property
    def known(self) -> set[str]:
        """The names of all files that are listed."""
        return {file.file for file in self.manifest.files}

    def of(self, partition: int) -> ArchivedPartition:
        """Return where a partition stands."""
        return self._state[partition]

    def next(self) -> Link:
        """Return the link that would come next, with nothing in it."""
        return Link(LINK, self.manifest.ledger, self.number + 1, self.digest, ENGINE, [], [], [], [], {})

    def next_for(self, split: Split) -> Link:
        """Return the link that tells of a split."""
        return replace(self.next(), format=SPLIT, split=split)

    def append(self, link: Link) -> bool:
        """Create the next link, by which what it lists is in the archive; False where another export was sooner."""
        content = manifest_text(link)
        if not self.place.create(link_name(link.number), content):
            return False
        self._take(link, content)
        failpoint("archive-link-made")
        self.keep_head()
        return True

    def _take(self, link: Link, content: bytes) -> None:
        self._stand_at(link.number, content)
        born = self.manifest.born
        if link.split is not None:
            born = replace(born, partitions=link.split.partitions, grown=(*born.grown, link.split.before))
            self._state = begun(born) | self._state
        self._state |= {part.partition: part for part in link.partitions}
        self.heard += link.heard
        self.texts |= link.texts
        self.manifest = replace(
            self.manifest,
            born=born,
            engine=max(self.manifest.engine, link.engine),
            partitions=[self._state[number] for number in sorted(self._state)],
            months=[*self.manifest.months, *link.months],
            files=[*self.manifest.files, *link.files],
        )


def begun(born: Settings) -> dict[int, ArchivedPartition]:
    """Return by partition where what an archive has of it begins: where it branched off, or at the ledger's birth."""
    found = {}
    for number in range(born.partitions):
        branch = branch_of(born.grown, number)
        position = -1 if born.stream == KAFKA else branch.offset
        found[number] = ArchivedPartition(number, branch.entries, branch.link, position, branch.recorded, 0)
    return found


def splits_behind(born: Settings, now: Settings) -> list[Split]:
    """Return the splits that settings know of and earlier ones do not, in order."""
    counts = [*(growth.partitions for growth in now.grown), now.partitions]
    return [Split(counts[place + 1], now.grown[place]) for place in range(len(born.grown), len(now.grown))]


def head_of(ledger: str, number: int, content: bytes) -> ArchiveHead:
    """Return the head of a chain whose last manifest has this content."""
    return ArchiveHead(HEAD_FORMAT, ledger, number, sha256(content).hexdigest())


def link_name(number: int) -> str:
    """Return the name of a link."""
    return f"{LINKS}/{number:06d}.json"


def parked_name(partition: int) -> str:
    """Return the name of the dead letters of a partition in a whole archive."""
    return f"parked/partition-{partition}.parquet"


def partition_of_parked(name: str) -> int | None:
    """Return the partition whose dead letters a file holds, None for another file."""
    if not name.startswith("parked/partition-"):
        return None
    return int(name.removeprefix("parked/partition-").partition(".")[0])
