"""Recompute the chain from the stored bytes: a byte changed, an entry dropped, two swapped, all show and are named.

A rule book's version is the hash of its text, and entries name it: a text that was edited shows, too.
"""

from collections.abc import Generator, Iterator, Sequence
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from msgspec.structs import asdict

from ledger.journal.engines import native_module
from ledger.journal.gaps import gaps_of
from ledger.journal.growth import partitions_at
from ledger.journal.ledger import INBOX, Ledger
from ledger.journal.odd_values import odd_values_told
from ledger.journal.origin import State
from ledger.journal.partition_map import Jobs, partition_map
from ledger.journal.port import Damaged, EntryRow, Unavailable
from ledger.journal.pruned import Elsewhere, is_stub, leaf_in
from ledger.journal.sql import Journal
from ledger.rulebook.schema import version_of
from ledger.wire.entries import ACCEPTED, Entry
from ledger.wire.entry_codec import GENESIS_LINK, decode_entry, leaf_of, link_after
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.murmur import partition_of
from ledger.wire.unreadable import UNREADABLE
from projections.ahead import read_ahead
from projections.audit.differences import Difference, Differences
from projections.audit.proof import Refuted
from projections.audit.proof.checkpoint import Signed, check_ledger
from projections.audit.proof.tree import Frontier
from projections.ticking import EVERY, Progress


def verify(
    ledger: Ledger, *, checkpoints: Sequence[Signed] = (), jobs: Jobs = 1, progress: Progress = lambda _: None
) -> dict[str, Any]:
    """Recompute every partition's chain: `partitions` with their entries and last link, and what is `broken`.

    `gaps`, where there are any, are positions without records that an operator accepted.

    With `checkpoints` the entries have to be those that were signed. Raises `BadProof` for one of another ledger.
    """
    broken: list[Difference] = []
    found: dict[int, _Part] = {}
    done = 0
    for signed in checkpoints:
        try:
            check_ledger(ledger, signed)
        except Refuted as refuted:
            broken.append({"partition": None, "place": 0, "member": "", "number": 0, "problem": str(refuted)})
    for part in partition_map(ledger, jobs, verify_partition, tuple(checkpoints)):
        if isinstance(part, int):
            done += part
            progress(done)
        else:
            found[part.partition] = part
    parts = [found[partition] for partition in ledger.partitions]
    partitions = [{"partition": part.partition, "entries": part.entries, "link": part.link.hex()} for part in parts]
    broken += chain.from_iterable(part.broken for part in parts)
    gaps = list(chain.from_iterable(part.gaps for part in parts))
    return {"partitions": partitions, "broken": broken, **({"gaps": gaps} if gaps else {})}


class _Part(NamedTuple):
    """What was found in a partition: its entries and last link, what is broken, and the gaps that were accepted."""

    partition: int
    entries: int
    link: bytes
    broken: list[Difference]
    gaps: list[dict[str, Any]]


def verify_partition(ledger: Ledger, partition: int, checkpoints: Sequence[Signed]) -> Iterator[int | _Part]:
    """Recompute one partition's chain: counts of entries as they are done, and last what was found.

    It begins where the partition branched off; what stands before that is its parent's.
    """
    broken = Differences(partition)
    entries, link = yield from _follow(ledger, broken, checkpoints)
    gaps = _gaps(ledger, broken)
    yield _Part(partition, entries, link, broken.listed, gaps)


def _follow(
    ledger: Ledger, broken: Differences, checkpoints: Sequence[Signed]
) -> Generator[int, None, tuple[int, bytes]]:
    """Yield counts of entries; return how many there are, and the last link. What is wrong goes to `broken`."""
    journal = ledger.journal(broken.partition)
    head = journal.state()
    followed: _Chain | None = None
    told = 0
    try:
        with odd_values_told(ledger):
            followed = _Chain(ledger, broken, checkpoints)
            blocks = journal.scan_rows_of(followed.place, head.head)
            for rows in read_ahead(blocks) if followed.is_native else blocks:
                followed.take(rows)
                if followed.entries - told >= EVERY:
                    yield followed.entries - told
                    told = followed.entries
    except Elsewhere:
        raise  # an archive that is out of reach is no damage
    except (Damaged, Unavailable) as error:
        place, entries, link = (followed.place, followed.entries, followed.link) if followed else (0, 0, GENESIS_LINK)
        broken.add(place=place + 1, member="", number=0, problem=f"the file cannot be read any further: {error}")
        return entries, link
    yield followed.entries - told
    for at, problem in (*followed.end(head), *_beside(ledger, broken.partition, head, followed.entries)):
        broken.add(place=at, member="", number=0, problem=problem)
    return followed.entries, followed.link


class _Chain:
    """A partition's entries as they pass by in their order: how many, and the last one's sequence, link and offset."""

    def __init__(self, ledger: Ledger, broken: Differences, checkpoints: Sequence[Signed]) -> None:
        self._ledger, self._broken, self._partition = ledger, broken, broken.partition
        branch = ledger.branch(self._partition)
        self.entries, self.place, self.offset = 0, branch.entries, branch.offset
        self.link = bytes.fromhex(branch.link)
        self._signatures = _Signatures(ledger, self._partition, checkpoints)
        self._texts = _Texts(ledger, self._partition)
        # What was signed is compared leaf by leaf, and the native engine keeps none.
        self._native = None if checkpoints else native_module()
        self.is_native = self._native is not None
        for problem in self._signatures.compare(self.link):
            self._report(self.place, problem)

    def take(self, rows: Sequence[tuple[int, str, int, bytes, bytes]]) -> None:
        """Take the next entries; what is wrong with them goes to `broken`."""
        if not self._are_plain(rows):
            for row in rows:
                self._see(EntryRow(*row))

    def _are_plain(self, rows: Sequence[tuple[int, str, int, bytes, bytes]]) -> bool:
        """Let the native engine go over entries; return False, with nothing taken, where they are not plainly good."""
        if self._native is None:
            return False
        partitions = self._partitions_at(rows[-1][0])
        if self._partitions_at(rows[0][0]) != partitions:
            return False
        before, home = (self.place, self.link, self.offset), (self._partition, partitions)
        try:
            behind = self._native.follow_chain(before, *home, list(self._texts.known), rows)
        except (TypeError, ValueError, OverflowError):  # a column that holds something else than it should
            return False
        if behind is None:
            return False
        self.place, self.link, self.offset = behind
        self.entries += len(rows)
        return True

    def _partitions_at(self, sequence: int) -> int:
        settings = self._ledger.settings
        return partitions_at(settings.grown, self._partition, sequence, settings.partitions)

    def _see(self, row: EntryRow) -> None:
        self.entries += 1
        if row.sequence != self.place + 1:
            self._report(self.place + 1, f"entries {self.place + 1} to {row.sequence - 1} are missing")
        self.place = place = row.sequence
        leaf = leaf_of(row.state)
        expected = link_after(self.link, leaf)
        if row.link != expected:
            self._report(place, "the entry's bytes or its link were changed", row)
        # Go on from the stored link: each break is named once.
        self.link = row.link if row.link is not None and len(row.link) == 32 else expected
        for problem in self._signatures.see(leaf, self.link):
            self._report(place, problem, row)
        try:
            entry = decode_entry(row.state)
        except UNREADABLE:
            self._report(place, "the entry's bytes cannot be read", row)
            return
        if (entry.member, entry.number, entry.partition) != (row.member, row.number, self._partition):
            self._report(place, "the entry stands under another member, number or partition", row)
        if row.member != PROGRAMME_SUBJECT:
            home = partition_of(row.member, self._partitions_at(place))
            if home != self._partition:
                self._report(place, f"the member belongs to partition {home}", row)
        if entry.offset <= self.offset:
            self._report(place, f"its position {entry.offset} does not come after {self.offset}", row)
        self.offset = entry.offset
        for problem in self._texts.see(place, entry):
            self._report(place, problem, row)

    def _report(self, at: int, problem: str, row: EntryRow | None = None) -> None:
        member, number = (row.member, row.number) if row else ("", 0)
        self._broken.add(place=at, member=member, number=number, problem=problem)

    def end(self, head: State) -> Iterator[tuple[int, str]]:
        """Yield what is wrong with where the entries end, and the place."""
        if self.place != head.head:
            yield self.place + 1, f"the journal's head says {head.head} entries, the last is {self.place}"
        if self.link != head.link:
            yield self.place, "the last link is not the one that the journal's head keeps"
        yield from self._signatures.unseen()
        yield from self._texts.unseen(head.head)


def _beside(ledger: Ledger, partition: int, head: State, entries: int) -> Iterator[tuple[int, str]]:
    """Yield what `_beside_the_chain` does, and where it cannot be read."""
    try:
        with odd_values_told(ledger):
            yield from _beside_the_chain(ledger, partition, head, entries)
    except (Damaged, Unavailable) as error:
        yield 0, f"the file cannot be read any further: {error}"


def _gaps(ledger: Ledger, broken: Differences) -> list[dict[str, Any]]:
    """Return the accepted gaps of a partition; one that was changed goes to `broken`."""
    found: list[dict[str, Any]] = []
    try:
        for letter, gap in gaps_of(ledger.journal(broken.partition)):
            if gap is None:
                problem = f"the accepted gap up to position {letter.offset} was changed"
                broken.add(place=0, member="", number=0, problem=problem)
            else:
                found.append({"partition": broken.partition, **asdict(gap)})
    except (Damaged, Unavailable) as error:
        broken.add(place=0, member="", number=0, problem=f"the dead letters cannot be read: {error}")
    return found


def _beside_the_chain(ledger: Ledger, partition: int, head: State, entries: int) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with what the chain does not cover, and the place: the head, dead letters, what flowed out.

    How many `entries` there are says with the dead letters whether a record of the inbox came to nothing.
    """
    journal, branch = ledger.journal(partition), ledger.branch(partition)
    if not head.is_sealed():
        yield head.head, "the journal's head, its position or what it says of its ledger was changed"
    if head.last > head.head:
        yield head.last, f"an entry stands behind the last, {head.head} by the journal's head"
    for sequence in journal.of_other_topics(head.head):
        yield sequence, "the entry is stored under another topic"
    for offset in journal.unsealed(head.position - 1):
        yield 0, f"the dead letter at offset {offset} was changed"
    if (last := journal.last_parked()) > journal.head().offset:  # asked later: it may have been parked meanwhile
        yield 0, f"the dead letter at offset {last} stands behind the position"
    letters = journal.count_parked(head.position - 1, retried=True)
    records = head.position - branch.offset - 1
    if ledger.settings.stream == INBOX and entries == head.head - branch.entries and entries + letters != records:
        yield 0, f"the position says {records} records, and there are {entries} entries and {letters} dead letters"
    yield from _copies(ledger, journal, partition)
    for flow, upto in journal.flows().items():
        if not 0 <= upto <= max(head.head, head.position):
            yield 0, f"{flow} is acknowledged up to {upto}, beyond the end of the journal"


def _copies(ledger: Ledger, journal: Journal, partition: int) -> Iterator[tuple[int, str]]:
    """Yield where the copies of what its members had in its parent, which a partition began with, are not those."""
    branch, took = ledger.branch(partition), ledger.took_copies(partition)
    upto = branch.entries
    if not upto:
        return
    if journal.link_at(upto) != bytes.fromhex(branch.link):
        yield upto, "its parent's link is not the one that it branched off"
    there = chain.from_iterable(journal.stored_rows_of(0, upto))
    wanted = (row for row in there if took(row[1]))
    for copy, row in zip_longest(chain.from_iterable(journal.own_rows_of(0, upto)), wanted):
        if copy != row and (copy is None or row is None or not _are_alike(copy, row)):
            at = min(one[0] for one in (copy, row) if one is not None)
            yield at, "the copy of what its parent decided is missing, or another"
            return


def _are_alike(copy: tuple[Any, ...], row: tuple[Any, ...]) -> bool:
    """Return True if two rows are of one entry, of which the one or the other was pruned."""
    if not (is_stub(copy[3]) or is_stub(row[3])):
        return False
    return (*copy[:3], leaf_in(copy[3]), copy[4]) == (*row[:3], leaf_in(row[3]), row[4])


class _Texts:
    """The stored texts of the rule book's versions, compared with what a partition's entries say of them."""

    def __init__(self, ledger: Ledger, partition: int) -> None:
        self._journal = ledger.journal(partition)
        self._published = {book.sequence: book for book in self._journal.published()}
        self.known = {"", version_of(ledger.genesis_book)}
        upto = ledger.branch(partition).entries
        for book in [book for book in self._published.values() if book.sequence <= upto]:  # its parent published these
            if book.version == version_of(str(book.toml)):
                del self._published[book.sequence]
            self.known.add(book.version)

    def see(self, place: int, entry: Entry) -> Iterator[str]:
        """Take the next entry; yield what is wrong with a text, once for each version."""
        if entry.member == PROGRAMME_SUBJECT and entry.outcome == ACCEPTED:
            book = self._published.pop(place, None)
            if book is None or not book.version == version_of(str(book.toml)) == entry.version:
                yield f"the stored text of version {entry.version}, published here, is missing or was changed"
        elif entry.version not in self.known:
            yield f"was decided by version {entry.version}, which is not in the rule book: was book.toml edited?"
        self.known.add(entry.version)

    def unseen(self, upto: int) -> Iterator[tuple[int, str]]:
        """Yield the texts that no entry up to a place has published, and none that was made meanwhile."""
        for place, book in self._published.items():
            if place <= upto or place > self._journal.head().entries:
                yield place, f"no entry has published the stored text of version {book.version}"


class _Signatures:
    """What checkpoints signed of a partition, compared as its entries pass by."""

    def __init__(self, ledger: Ledger, partition: int, checkpoints: Sequence[Signed]) -> None:
        marks = [(m, s.checkpoint.at) for s in checkpoints for m in s.checkpoint.partitions if m.partition == partition]
        self._waiting = sorted(marks, key=lambda waiting: waiting[0].entries, reverse=True)
        self._tree = Frontier()
        upto = ledger.branch(partition).entries if marks else 0
        for row in ledger.journal(partition).scan(0, upto):  # of its parent
            self._tree.add(leaf_of(row.state))

    def see(self, leaf: bytes, link: bytes) -> Iterator[str]:
        """Take the next entry; yield what is wrong where a checkpoint ends with it."""
        if not self._waiting:
            return
        self._tree.add(leaf)
        yield from self.compare(link)

    def compare(self, link: bytes) -> Iterator[str]:
        """Yield what is wrong where checkpoints end with the last entry, whose link this is."""
        while self._waiting and self._waiting[-1][0].entries <= self._tree.size:
            mark, at = self._waiting.pop()
            if mark.entries and (mark.link, mark.tree) != (link.hex(), self._tree.head().hex()):
                yield f"the entries up to this one are not those that the checkpoint of {at} signed"

    def unseen(self) -> Iterator[tuple[int, str]]:
        """Yield the checkpoints that go on where the entries have ended."""
        for mark, at in self._waiting:
            if mark.entries:
                yield mark.entries, f"the checkpoint of {at} signed {mark.entries} entries, which are not all there"
