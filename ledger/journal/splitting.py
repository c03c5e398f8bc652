"""Splitting a ledger's partitions: new journals take copies of what their members have, and branch off their parents.

What is copied is copied while deciding goes on, round by round, each going on from the last. Then the parents are
closed: nobody decides. The last round is short, the ends of the chains go into the settings, and with these in place
all that opens the ledger sees it grown. Killed anywhere, the same command goes on from there.
"""

from collections.abc import Callable, Container, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from ledger.core.pages import encode_page
from ledger.errors import WrongUse
from ledger.journal.derived import REPETITIONS, page_keys
from ledger.journal.failpoints import failpoint
from ledger.journal.growth import MOST_PARTITIONS, End, Growth
from ledger.journal.ledger import KAFKA, Ledger, Settings
from ledger.journal.partitioning import Partitioner
from ledger.journal.port import EntryRow, PageRow
from ledger.journal.pruned import is_stub
from ledger.journal.sql import Batch, Journal
from ledger.rulebook.compiled import STORED
from ledger.wire.entry_codec import decode_head
from ledger.wire.entry_json import FactHead
from ledger.wire.facts import PROGRAMME_SUBJECT

AT_ONCE, BYTES_AT_ONCE = 20_000, 32 << 20  # entries in a transaction, and bytes of them
SHORT: Final = 2_000  # entries of a ledger that the last round, while nobody decides, may have left
_ENTRIES, _PAGES = "split-entries", "split-pages"  # up to which sequence of the parent these were copied
_STUBS, _RECEIPTS = "split-stubs", "split-receipts"  # the last stub, and up to which of them receipts were copied
_head = msgspec.json.Decoder(FactHead).decode


class Plan(NamedTuple):
    """What a split comes to: partitions before and after, and of all entries how many are copied, about."""

    ledger: str
    before: int
    after: int
    entries: int
    to_copy: int


Copied = Callable[[int], None]  # called with how many entries were looked at since


def plan(ledger: Ledger, times: int) -> Plan:
    """Return what a split would do; one that was killed is only ended. Raises `WrongUse` where it cannot be done."""
    if ledger.has_split_to_end():
        return Plan(ledger.name, ledger.settings.grown[-1].partitions, ledger.settings.partitions, ledger.count(), 0)
    before = ledger.settings.partitions
    after = before * times
    if times < 2 or after > MOST_PARTITIONS:
        raise WrongUse(
            f"{ledger.name} has {before} partitions, and {times} times as many are {after}: give --times of 2 at least"
            f" so that there are no more than {MOST_PARTITIONS}"
        )
    entries = ledger.count()
    return Plan(ledger.name, before, after, entries, entries * (times - 1) // times)


class Split:
    """A ledger that is being split. `made` are the journals of its new partitions, which nobody else has yet."""

    def __init__(self, ledger: Ledger, times: int, made: dict[int, Journal]) -> None:
        self._ledger = ledger
        self._partitions = ledger.settings.partitions
        self._after = self._partitions * times
        self._partitioner = Partitioner(self._after)
        self._made = made

    def copy(self, copied: Copied = lambda _: None) -> int:
        """Copy what is there now and was not copied yet; return how many entries came to the ledger meanwhile."""
        behind = 0
        for partition in range(self._partitions):
            behind += self._copy(partition, copied)
        return behind

    def is_closing(self) -> bool:
        """Return True if a run that was killed began to close: `end` is all that lets the ledger be decided again."""
        return any(self._ledger.journal(partition).is_closed for partition in range(self._partitions))

    def close(self) -> None:
        """Let nobody decide any more."""
        for partition in range(self._partitions):
            self._ledger.journal(partition).close_for_split()
            failpoint("split-closed")

    def end(self) -> Settings:
        """End what is copied, of closed journals; return the settings that make the ledger the grown one."""
        self.copy()
        failpoint("split-copied")
        states = [self._ledger.journal(partition).state() for partition in range(self._partitions)]
        if self._ledger.settings.stream == KAFKA:  # where a new partition has positions of its own
            begins = [state._replace(position=0) for state in states]
        else:
            begins = states
        ends = tuple(End(state.head, state.link.hex(), state.position - 1, state.recorded) for state in states)
        before = self._ledger.settings_there()  # others may have changed them since the split began
        growth = Growth(self._partitions, ends)
        settings = replace(before, partitions=self._after, grown=(*before.grown, growth))
        for partition, journal in self._made.items():
            if journal.state().origin is None:
                parent = self._ledger.journal(partition % self._partitions)
                with journal.amending() as batch:
                    _copy_books(parent, batch)
                    batch.begin_behind(begins[partition % self._partitions])
                    batch.stamp(self._ledger.origin_by(settings, partition))
                failpoint("split-stamped")
        return settings

    def _copy(self, parent: int, copied: Copied) -> int:
        """Copy of one parent what was not copied yet, up to where it stands now."""
        journal = self._ledger.journal(parent)
        children = {p: self._made[p] for p in range(parent + self._partitions, self._after, self._partitions)}
        children = {p: child for p, child in children.items() if child.state().origin is None}  # the others are whole
        if not children:
            return 0
        upto = journal.head().entries
        done = {p: child.published_upto(_ENTRIES) for p, child in children.items()}
        pages = {p: child.published_upto(_PAGES) for p, child in children.items()}
        first = min(done.values())
        for rows in _blocks(journal, first, upto):
            self._copy_entries(journal, children, done, rows)
            copied(len(rows))
            failpoint("split-entries")
        self._copy_receipts(journal, children)
        if not all(pages.values()):
            self._copy_all_pages(journal, children)
        else:
            self._copy_pages_since(journal, children, pages, upto)
        for child in children.values():
            child.publish_upto(_PAGES, upto)
            child.publish_upto(_ENTRIES, upto)
        return journal.head().entries - upto

    def _copy_entries(
        self, journal: Journal, children: dict[int, Journal], done: dict[int, int], rows: Sequence[EntryRow]
    ) -> None:
        for partition, child in children.items():
            new = (row for row in rows if row.sequence > done[partition])
            theirs = [row for row in new if self._partitioner.is_home(partition, row.member)]
            if rows[-1].sequence > done[partition]:
                stubs = [row for row in theirs if is_stub(row.state)]
                with child.amending() as batch:
                    batch.append(theirs)
                    _receive(batch, [row for row in theirs if not is_stub(row.state)])
                    if stubs:
                        batch.put_accounts(journal.snapshots_of(sorted({row.member for row in stubs})))
                        for span in journal.pruned_spans():
                            batch.put_span(span)
                        batch.mark(_STUBS, stubs[-1].sequence)
                    batch.mark(_ENTRIES, rows[-1].sequence)

    def _copy_receipts(self, journal: Journal, children: dict[int, Journal]) -> None:
        """Copy the receipts of entries that were pruned: they are not made of facts, which only an archive has."""
        stubs = {p: child.published_upto(_STUBS) for p, child in children.items()}
        behind = {p: child for p, child in children.items() if child.published_upto(_RECEIPTS) < stubs[p]}
        for names, rows in journal.receipt_rows(max(stubs.values())) if behind else ():
            for partition, child in behind.items():
                with child.amending() as batch:
                    batch.receive(
                        [
                            (batch.source(names[source]), name, member, place)
                            for source, name, member, place in rows
                            if place <= stubs[partition] and self._partitioner.is_home(partition, member)
                        ]
                    )
            failpoint("split-receipts")
        for partition, child in behind.items():
            child.publish_upto(_RECEIPTS, stubs[partition])

    def _copy_all_pages(self, journal: Journal, children: dict[int, Journal]) -> None:
        """Copy pages and snapshots as they are; those that are written meanwhile are copied again by the next round."""
        self._copy_pages(journal, children)
        for some in journal.snapshots():
            for partition, child in children.items():
                with child.amending() as batch:
                    batch.put_accounts([one for one in some if self._partitioner.is_home(partition, one.member)])

    def _copy_pages(
        self, journal: Journal, children: dict[int, Journal], members: Container[str] | None = None
    ) -> None:
        """Copy the pages of some members, of all where none are named, in one pass over all pages."""
        for rows in journal.page_rows():
            some = [PageRow(*row) for row in rows if members is None or row[1] in members]
            for partition, child in children.items():
                theirs = [row for row in some if self._partitioner.is_home(partition, row.member)]
                if theirs:
                    with child.amending() as batch:
                        batch.put_pages(theirs)
            failpoint("split-pages")

    def _copy_pages_since(
        self, journal: Journal, children: dict[int, Journal], pages: dict[int, int], upto: int
    ) -> None:
        """Copy the pages of the members who were decided on since pages were copied."""
        published, book = journal.published(), self._ledger.new_book()
        for one in published:
            book.add(one.toml, engine=STORED)
        since = min(pages.values())
        members = dict.fromkeys(row.member for rows in _blocks(journal, since, upto) for row in rows)
        if journal.pruned_spans():  # no archive is read: theirs are looked for among all
            pruned = {member for member in members if journal.has_pruned(member)}
            if pruned:
                self._copy_pages(journal, children, pruned)
            members = dict.fromkeys(member for member in members if member not in pruned)
        for member in members:
            child = children.get(self._partitioner(member))
            if child is None or member == PROGRAMME_SUBJECT:
                continue
            keys = page_keys(journal.entries_of(member), book, published, self._ledger.limits)
            found = ((key, journal.page(member, key)) for key in keys)
            with child.amending() as batch:
                batch.put_pages([PageRow(key, member, encode_page(page)) for key, page in found if page is not None])


def _blocks(journal: Journal, after: int, upto: int) -> Iterator[list[EntryRow]]:
    """Yield what a journal has stored behind a sequence, copies included, so many entries and bytes at a time."""
    some: list[EntryRow] = []
    held = 0
    for rows in journal.own_rows_of(after, upto):
        some += [EntryRow(*row) for row in rows]
        held += sum(len(row[3]) for row in rows)
        if len(some) >= AT_ONCE or held >= BYTES_AT_ONCE:
            yield some
            some, held = [], 0
    if some:
        yield some


def _receive(batch: Batch, rows: Sequence[EntryRow]) -> None:
    """Take the receipts of copied entries: of each fact the first has it, and none that says that it came again."""
    receipts = []
    for row in rows:
        entry = decode_head(row.state)
        if entry.reason not in REPETITIONS:
            fact = _head(entry.fact)
            receipts.append((batch.source(fact.source), fact.id, row.member, row.sequence))
    batch.receive(receipts)


def _copy_books(parent: Journal, batch: Batch) -> None:
    """Copy the rule books that were published to the parent."""
    for book in parent.published():
        batch.put_programme(book.sequence, book.version, book.toml)
