"""An archive that is asked like the ledger that it is of.

A partition's journal is made from the archive's files when it is first asked: entries, rule books and dead letters, in
a temporary file that goes when another partition is asked. What is derived (receipts, pages, snapshots) is not in it.
So whoever goes over partitions one by one needs room for one of them, here as on any other machine; of a ledger that
was split, for those that it branched off as well.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from sqlite3 import IntegrityError
from tempfile import TemporaryDirectory

from eventsourcing.persistence import PersistenceError

from ledger.errors import WrongUse
from ledger.journal.folder import journal_made
from ledger.journal.growth import parts_of
from ledger.journal.ledger import Ledger, Opening
from ledger.journal.origin import State
from ledger.journal.port import Claims, EntryRow, StreamRecord
from ledger.journal.sql import Batch, Journal
from ledger.wire.entries import ACCEPTED
from ledger.wire.entry_codec import decode_entry
from ledger.wire.fact_codec import decode_canonical
from ledger.wire.facts import PROGRAMME_SUBJECT, ProgrammePublished
from ledger.wire.unreadable import UNREADABLE
from service.archive.files import BadCopy
from service.archive.manifests import Heard, Month
from service.archive.reading import Archive

_ROWS = 20_000  # of a transaction
_LETTERS = 256  # of up to 64 KiB each
_COLUMNS = ("place", "member", "number", "entry", "link")
_NOT_WRITTEN = "an archive is read, and not written: `points archive import` makes a ledger from it"

Books = tuple[tuple[Heard, str], ...]  # the rule books that partitions heard, each with its text


class ArchivedLedger(Ledger):
    """An archive as a ledger for audits. Close it: its journals lie in a temporary folder."""

    is_shared = False
    is_archived = True

    def __init__(self, archive: Archive, books: Books | None = None) -> None:
        """Open an archive; `books` are those that partitions heard, where they are known. Raises `BadCopy`."""
        manifest = archive.manifest
        super().__init__(archive.name, archive.name, manifest.born, archive.book)
        if (self.identity, self.genesis) != (manifest.ledger, manifest.genesis):
            raise BadCopy(f"{archive.name}: its settings and book are not those of its ledger; take another copy")
        self.archive = archive
        self.heard = _books_of(archive) if books is None else books
        self._folder = TemporaryDirectory(prefix="points-archive-")

    @classmethod
    def at(cls, address: str, upto: int | None = None, books: Books | None = None) -> "ArchivedLedger":
        """Open the archive at an address, as it was after so many links. Raises `BadCopy`."""
        return cls(Archive(address, upto), books)

    def opening(self) -> Opening:
        """Return how another process opens this archive, as it is now though it may grow meanwhile."""
        return Opening(ArchivedLedger.at, (self.archive.name, self.archive.chain.number, self.heard))

    def reopen(self) -> "ArchivedLedger":
        """Return the archive opened once more."""
        return ArchivedLedger.at(self.archive.name, self.archive.chain.number, self.heard)

    def heads(self) -> dict[int, int]:
        """Return how many entries each partition has."""
        return {part.partition: part.entries for part in self.archive.manifest.partitions}

    def journal(self, partition: int) -> Journal:
        """Return a partition's journal, made from the archive. Raises `BadCopy`.

        Those of other partitions go, but for the ones that it branched off.
        """
        kept = {number for number, _, _ in parts_of(self.settings.grown, partition)}
        for other in self._journals.keys() - kept:
            self.close_journal(other)
            self._file(other).unlink()
        return super().journal(partition)

    def close(self) -> None:
        """Close the journal, and remove the temporary folder."""
        super().close()
        self._folder.cleanup()

    def claims(self) -> Claims:
        """Return claims of nothing: nobody decides here."""
        return Claims()

    def writing(self) -> AbstractContextManager[None]:
        """Raise `WrongUse`: an archive is read."""
        raise WrongUse(_NOT_WRITTEN)

    def put_settings(self) -> None:
        """Raise `WrongUse`: an archive is read."""
        raise WrongUse(_NOT_WRITTEN)

    def check_inbox(self, partition: int) -> None:
        """Do nothing: the stream is not archived."""

    def records(self, partition: int, after: int, upto: int) -> list[StreamRecord]:
        """Return nothing: the stream is not archived."""
        return []

    def _published(self, partition: int, known_at: int | None = None) -> list[str]:
        """Return the texts of the versions that a partition heard, recorded by an instant, in its order."""
        return [
            text
            for heard, text in self.heard
            if heard.partition == self.owner_at(partition, heard.place)
            and (known_at is None or heard.recorded <= known_at)
        ]

    def _file(self, partition: int) -> Path:
        return Path(self._folder.name) / f"partition-{partition}.db"

    def _open_journal(self, partition: int) -> Journal:
        *before, (_, begins, _) = parts_of(self.settings.grown, partition)
        journal = journal_made(self._file(partition), None if before else self.origin(partition))
        if before:
            journal.begins = begins
            self._branch_off(journal, partition, before)
        self._fill(journal, partition)
        return journal

    def _branch_off(self, journal: Journal, partition: int, before: list[tuple[int, int, int]]) -> None:
        """Let a journal begin with copies of what its members have in those that it branched off, and behind these."""
        took = self.took_copies(partition)
        for parent, after, upto in before:
            for month in self.archive.months(parent):
                if month.first > upto:
                    break
                rows = (row for row in self._rows(month) if after < row.sequence <= upto and took(row.member))
                while some := list(islice(rows, _ROWS)):
                    with journal.amending() as batch:
                        batch.append(some)
                        _keep_books(batch, some)
        branch = self.branch(partition)
        end = State(None, 0, branch.entries, bytes.fromhex(branch.link), branch.recorded, branch.offset + 1, b"")
        with journal.amending() as batch:
            batch.begin_behind(end)
            batch.stamp(self.origin(partition))

    def _fill(self, journal: Journal, partition: int) -> None:
        token, part = journal.acquire(), self.archive.chain.of(partition)
        for month in self.archive.months(partition):
            rows, count = self._rows(month), 0
            while some := list(islice(rows, _ROWS)):
                count += len(some)
                try:
                    with journal.transaction(len(some), token) as batch:
                        batch.append(some)
                        _keep_books(batch, some)
                except (IntegrityError, PersistenceError) as error:
                    raise BadCopy(f"{self.archive.place.at(month.file)}: an entry stands twice: {error}") from None
            if count != month.last - month.first + 1:
                raise BadCopy(
                    f"{self.archive.place.at(month.file)}: has {count:,} entries of {month.last - month.first + 1:,}"
                )
        letters, done = self.archive.dead_letters(partition), []
        while found := list(islice(letters, _LETTERS)):
            with journal.transaction(0, token) as batch:
                batch.park(found)
            done += [letter.offset for letter in found if letter.is_done]
        if part.position > journal.head().offset:
            with journal.transaction(0, token) as batch:
                batch.finish(bytes.fromhex(part.link), part.position, part.recorded)
        journal.mark_retried(done)

    def _rows(self, month: Month) -> Iterator[EntryRow]:
        return (EntryRow(*row) for row in self.archive.rows(month, _COLUMNS))


def _keep_books(batch: Batch, rows: list[EntryRow]) -> None:
    """Keep the rule books that entries published; one that cannot be read is named by whoever reads the entry."""
    for row in rows:
        if row.member == PROGRAMME_SUBJECT and (book := _book_in(row.state)) is not None:
            batch.put_programme(row.sequence, *book[1:])


def _book_in(state: bytes) -> tuple[int, str, str] | None:
    """Return when an entry that published a rule book was recorded, the version, and the text; None for another."""
    try:
        entry = decode_entry(state)
        fact, _ = decode_canonical(entry.fact)
    except UNREADABLE:
        return None
    if entry.outcome != ACCEPTED or not isinstance(fact, ProgrammePublished):
        return None
    return entry.recorded, str(entry.figures.get("version", "")), fact.data.toml


def _books_of(archive: Archive) -> Books:
    """Return the rule books that partitions heard: those of links as they say, those before from the entries."""
    found = [(heard, archive.chain.texts[heard.version]) for heard in archive.chain.heard]
    for month in archive.chain.whole.months if archive.chain.whole is not None else ():
        for place, state in archive.entries_about(month, PROGRAMME_SUBJECT):
            if (book := _book_in(state)) is not None:
                recorded, version, text = book
                found.append((Heard(month.partition, place, recorded, version), text))
    return tuple(sorted(found, key=lambda one: (one[0].partition, one[0].place)))
