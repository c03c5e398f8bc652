"""A partition's journal in SQL, as a recorder of the `eventsourcing` library: what SQLite and PostgreSQL do alike.

An entry is a stored event: originator = member, version = its number, notification id = its sequence in the journal.
Everything a batch changes is one transaction that begins with the fence: the partition's one row is updated where the
fencing token (column `epoch`) is still the owner's, which locks, numbers and fences at once.

Statements mark parameters by `?` and name tables with their schema, which in a file of SQLite is `main`.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import chain, groupby, starmap, takewhile
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ledger.core.pages import Page, decode_page
from ledger.journal.by_member import EntryRows, MemberSpan, rows_by_member, spans
from ledger.journal.growth import grown_in, owner_at
from ledger.journal.origin import Origin, State, seal_of
from ledger.journal.port import (
    SOURCES,
    STREAM,
    TOPIC,
    BeingSplit,
    Damaged,
    DeadLetter,
    EntryRow,
    Fenced,
    Head,
    Published,
    Receipt,
    Snapshot,
    StoredRow,
    WentBack,
)
from ledger.journal.pruned import MARK, STUB_BYTES, Span, archived, is_stub, leaf_in

if TYPE_CHECKING:
    from eventsourcing.persistence import StoredEvent, Tracking

_ALL = 1 << 62
_SCAN_ENTRIES = 2_000  # of one member
_SCAN_RECEIPTS = 2_000
_SCAN_PARKED = 100  # of up to 64 KiB each
_SCAN_MEMBERS = _SCAN_PAGES = 2_000
_SCAN_TOPICS = 100_000

_STATE = """SELECT o.ledger, o.partition, o.partitions, o.genesis, o.settings, o.book, epoch, head, link, recorded,
    coalesce((SELECT notification_id FROM {0}.tracking WHERE application_name = ?), 0), seal,
    coalesce((SELECT max({1}) FROM {0}.stored_events), 0), stream
    FROM {0}.shard LEFT JOIN {0}.origin AS o ON o.one = shard.one"""

_MOVE = """INSERT INTO {}.tracking AS t VALUES (?, ?) ON CONFLICT (application_name)
    DO UPDATE SET notification_id = excluded.notification_id WHERE t.notification_id < excluded.notification_id"""

UPSERTS = {  # by table: what becomes of a row whose key is there
    "pages": "(key, member) DO UPDATE SET state = excluded.state",
    "accounts": "(member) DO UPDATE SET number = excluded.number, state = excluded.state",
}

CLOSED = 1 << 40  # added to the fencing token of a journal that is being split

_T = TypeVar("_T")
_member_of = attrgetter("member")
_second, _third = itemgetter(1), itemgetter(2)
_LETTER = "position, recorded, reason, detail, length, sha256, kept, retried > 0"


def _letter(row: Sequence[Any]) -> DeadLetter:
    return DeadLetter._make((*row[:7], bool(row[7])))


def _being_split(name: str) -> str:
    return (
        f"{name} is being split or moved: nothing is decided until `points split` or `points partitions move`, run"
        " again, is done"
    )


def _no_head(name: str, rows: int) -> Damaged:
    return Damaged(f"{name}: the table shard has {rows} rows, and one says where the journal ends")


class _Reader(ABC):
    """What may be asked in a batch and outside of one."""

    name: str  # for people: the file, or the server and schema
    schema: str
    entry_id: str  # the column of an entry's sequence

    @abstractmethod
    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Run one statement; return what it answers, in plain tuples."""

    def _entry_rows(self, condition: str, parameters: Sequence[Any]) -> list[EntryRow]:
        rows = self._rows(
            f"SELECT {self.entry_id}, originator_id, originator_version, state, link"
            f" FROM {self.schema}.stored_events WHERE {condition}",
            parameters,
        )
        return list(starmap(EntryRow, self._whole(rows)))

    def _whole(self, rows: list[Any]) -> list[Any]:
        """Return rows (sequence, member, number, state, …) with the bytes of entries that an archive keeps."""
        stubs = {row[0]: row[3] for row in rows if len(row[3]) == STUB_BYTES and is_stub(row[3])}  # seldom: no call
        if not stubs:
            return rows
        ((partition, settings),) = self._rows(f"SELECT partition, settings FROM {self.schema}.origin")
        owner = partial(owner_at, grown_in(settings), partition)
        states = archived(self.name, owner, self.pruned_spans(), stubs)
        return [(*row[:3], states.get(row[0], row[3]), *row[4:]) for row in rows]

    def pruned_spans(self) -> list[Span]:
        """Return the spans of entries that were pruned, by their first."""
        rows = self._rows(f"SELECT first, last, month, archive FROM {self.schema}.pruned ORDER BY first")
        return list(starmap(Span, rows))

    def has_pruned(self, member: str) -> bool:
        """Return True if entries of a member were pruned."""
        rows = self._rows(
            f"SELECT 1 FROM {self.schema}.stored_events WHERE originator_id = ? AND length(state) = ?"
            " AND substr(state, 1, 1) = ? LIMIT 1",
            (member, STUB_BYTES, MARK),
        )
        return bool(rows)

    def entries_of(self, member: str, after: int = 0, limit: int | None = None) -> list[EntryRow]:
        """Return a member's entries after a number, in order, at most `limit`."""
        return self._entry_rows(
            "originator_id = ? AND originator_version > ? ORDER BY originator_version LIMIT ?",
            (member, after, _ALL if limit is None else limit),
        )

    def snapshot(self, member: str) -> Snapshot | None:
        """Return a member's last snapshot."""
        rows = self._rows(f"SELECT member, number, state FROM {self.schema}.accounts WHERE member = ?", (member,))
        return Snapshot(*rows[0]) if rows else None

    def snapshots_of(self, members: Sequence[str]) -> list[Snapshot]:
        """Return the last snapshots of some members, of those that have one."""
        marks = ", ".join("?" * len(members))
        rows = self._rows(
            f"SELECT member, number, state FROM {self.schema}.accounts WHERE member IN ({marks})", members
        )
        return [Snapshot(*row) for row in rows]

    def page(self, member: str, key: str) -> Page | None:
        """Return a page of a member."""
        state = self.page_state(member, key)
        return decode_page(state) if state is not None else None

    def page_state(self, member: str, key: str) -> bytes | None:
        """Return a page of a member as it is stored."""
        rows = self._rows(f"SELECT state FROM {self.schema}.pages WHERE key = ? AND member = ?", (key, member))
        return rows[0][0] if rows else None

    def state(self) -> State:
        """Return what the journal says of itself, all of one instant. Raises `Damaged`."""
        rows = self._rows(_STATE.format(self.schema, self.entry_id), (STREAM,))
        if len(rows) != 1:
            raise _no_head(self.name, len(rows))
        *origin, epoch, head, link, recorded, position, seal, last, stream = rows[0]
        self._check_head(epoch, head, recorded, position, last, link=link)
        stored = None if origin[0] is None else Origin(*origin)
        return State(stored, epoch, head, link, recorded, position, seal or b"", last, stream)

    def _check_head(self, *numbers: object, link: object) -> None:
        """Raise `Damaged` unless these are numbers, and the link bytes."""
        if not (all(isinstance(number, int) for number in numbers) and isinstance(link, bytes)):
            raise Damaged(f"{self.name}: the journal's head or its position is no number, or its link no bytes")


class Journal(_Reader):
    """One partition's journal. Everything but `acquire` and `transaction` may be asked by anybody, at any time.

    Any of it raises `Damaged` and `Unavailable`. A dialect says how it asks and changes, and what an error means.
    """

    scan_rows: int  # read at a time
    as_it_lies: ClassVar[str] = ""  # says that a table is read in its own order, where that has to be said
    batch: ClassVar[type["Batch"]]
    datastore: Any  # the library's, as is the next
    _insert_tracking: Any
    sources: dict[str, int]  # numbers of sources that are committed, and so hold as long as the owner does
    seal: bytes = b""  # over head and position, as the last owner by this object left them
    sealed: bytes = b""  # digest of the origin, as it was when the partition was acquired
    stream: str = ""  # the id of the topic, as it is under the seal
    # Of a ledger that grew: the journal that this one branched off and the sequence behind which its own entries come,
    # who is at home here, and of how many partitions it was one when it was opened. What it has of others is left over.
    parent: "Journal | None" = None
    begins: int = 0
    is_home: Callable[[str], bool] | None = None
    partitions: int = 0

    # -- what a dialect fills in -------------------------------------------------------------------------------------

    @abstractmethod
    def acquire(self) -> int:
        """Become the owner; returns the fencing token, by which every batch of an earlier owner is rejected.

        Raises `Damaged` where the journal's head is not as its last owner left it.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[Any]:
        """Return the library's cursor in a transaction that commits at its end. Raises the port's errors."""

    @abstractmethod
    def _change(self, sql: str, parameters: Sequence[Sequence[Any]], *, erases: bool = False) -> None:
        """Run one statement for each of the parameters, in one transaction; `erases` says that bytes must be gone."""

    # -- writing -----------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self, entries: int, token: int) -> Iterator["Batch"]:
        """One batch of `entries` entries in one transaction. Raises `Fenced`, `WentBack` before anything is written.

        It is never tried again here: after an error at its commit nobody knows whether it is in (`Unavailable`).
        """
        with self._writing() as cursor:
            batch = self.batch(self, cursor, entries, token)
            yield batch
        self.seal = batch.seal
        if len(self.sources) > SOURCES:
            self.sources.clear()
        self.sources.update(batch.named)

    @property
    def is_closed(self) -> bool:
        """Whether nobody may own the journal, since it is being split or moved."""
        return self.state().epoch >= CLOSED

    def check_open(self) -> None:
        """Raise `BeingSplit` where nobody may own the journal, since it is being split."""
        if self.is_closed:
            raise BeingSplit(_being_split(self.name))

    @contextmanager
    def amending(self) -> Iterator["Batch"]:
        """One transaction beside the owner's, by nobody's token: what it changes is not the chain's."""
        with self._writing() as cursor:
            yield self.batch(self, cursor, 0, None)

    def stamp(self, origin: Origin, *, reopens: bool = False) -> None:
        """Write which ledger the journal belongs to, and fence every owner that knew another. Raises `Damaged`.

        A journal that was closed for a split stays closed unless it `reopens`.
        """
        with self.amending() as batch:
            batch.stamp(origin, reopens=reopens)

    def close_for_split(self) -> None:
        """Fence every owner and let nobody become one, until the journal is stamped anew and reopened."""
        with self.amending() as batch:
            batch.close_for_split()

    def insert_events(self, stored_events: "Sequence[StoredEvent]", **kwargs: Any) -> Sequence[int] | None:
        """Write the library's events, by nobody's token and without a chain; returns their sequences."""
        with self.datastore.transaction(commit=True) as cursor:
            batch = self.batch(self, cursor, len(stored_events), None)
            rows = [
                EntryRow(sequence, str(event.originator_id), event.originator_version, event.state, b"", event.topic)
                for sequence, event in enumerate(stored_events, batch.before + 1)
            ]
            batch.append(rows)
            tracking: Tracking | None = kwargs.get("tracking")
            if tracking is not None:
                self._insert_tracking(cursor, tracking)
        return [row.sequence for row in rows]

    def publish_upto(self, flow: str, number: int) -> None:
        """Remember how far a flow was acknowledged; nothing happens where a later owner has moved it further."""
        self._change(_MOVE.format(self.schema), [(flow, number)])

    def mark_retried(self, offsets: Sequence[int]) -> None:
        """Remember that dead letters were redriven; they stay as a trace."""
        self._amend(offsets, erases=False)

    def drop_parked(self, offset: int, detail: str) -> None:
        """Remove a dead letter's bytes; `detail` says so in place of what was wrong.

        In PostgreSQL the file keeps them until VACUUM takes the old row away.
        """
        self._amend([offset], detail, erases=True)

    def _amend(self, offsets: Sequence[int], detail: str = "", *, erases: bool) -> None:
        """Let dead letters be done, and where it `erases` without their bytes. One that was changed stays unsealed."""
        amended = []
        for offset in offsets:
            for old in self.parked(offset - 1, upto=offset, retried=True):
                new = old._replace(is_done=True)
                if erases:
                    new = new._replace(raw=b"", detail=detail)
                ((stored,),) = self._rows(f"SELECT seal FROM {self.schema}.parked WHERE position = ?", (offset,))
                seal = new.seal() if stored == old.seal() else b""
                amended.append((new.raw, new.detail, seal, offset))
        self._change(
            f"UPDATE {self.schema}.parked SET kept = ?, detail = ?, retried = 1, seal = ? WHERE position = ?",
            amended,
            erases=erases,
        )

    def unsealed(self, upto: int) -> Iterator[int]:
        """Return the offsets up to one of the dead letters that were changed: their seal does not fit, streamed."""
        after = -1
        while letters := self.parked(after, _SCAN_PARKED, upto=upto, retried=True):
            rows = self._rows(
                f"SELECT position, seal FROM {self.schema}.parked WHERE position BETWEEN ? AND ? AND retried IN (0, 1)",
                (letters[0].offset, letters[-1].offset),
            )
            seals = dict(rows)
            yield from (letter.offset for letter in letters if seals.get(letter.offset) != letter.seal())
            after = letters[-1].offset

    # -- reading -----------------------------------------------------------------------------------------------------

    def head(self) -> Head:
        """Return where the journal stands."""
        rows = self._rows(
            "SELECT head, link, coalesce("
            f"(SELECT notification_id FROM {self.schema}.tracking WHERE application_name = ?), 0) - 1, recorded"
            f" FROM {self.schema}.shard",
            (STREAM,),
        )
        if len(rows) != 1:
            raise _no_head(self.name, len(rows))
        head = Head(*rows[0])
        self._check_head(head.entries, head.offset, head.recorded, link=head.link)
        return head

    def odd_values(self) -> Iterator[str]:
        """Yield what is wrong with each column that holds values of another type than its own, where that can be."""
        return iter(())

    def members(self, after: str = "") -> Iterator[str]:
        """Return the members with an entry, in order, streamed: those behind a member."""
        while rows := self._rows(
            f"SELECT DISTINCT originator_id FROM {self.schema}.stored_events WHERE originator_id > ?"
            " ORDER BY originator_id LIMIT ?",
            (after, _SCAN_MEMBERS),
        ):
            yield from self._at_home([row[0] for row in rows], str)
            after = rows[-1][0]

    def _at_home(self, rows: list[_T], member_of: Callable[[_T], str]) -> list[_T]:
        """Return those of some rows whose member is at home here."""
        if self.is_home is None:
            return rows
        are_home = {member: self.is_home(member) for member in set(map(member_of, rows))}
        return [row for row in rows if are_home[member_of(row)]]

    def published_upto(self, flow: str) -> int:
        """Return how far a flow out of this journal was acknowledged, 0 at its beginning.

        What stands before it branched off flows out of its parent.
        """
        rows = self._rows(f"SELECT notification_id FROM {self.schema}.tracking WHERE application_name = ?", (flow,))
        return max(self.begins, int(rows[0][0]) if rows else 0)

    def scan(self, after: int = 0, upto: int | None = None) -> Iterator[EntryRow]:
        """Return entries in journal order, streamed; those that are there when the first is read."""
        last = self.head().entries if upto is None else upto
        return starmap(EntryRow, chain.from_iterable(self.scan_rows_of(after, last)))

    def scan_rows_of(self, after: int, upto: int) -> Iterator[list[tuple[int, str, int, bytes, bytes]]]:
        """Return the same up to a sequence, some at a time, as plain rows."""
        if self.parent is not None and after < self.begins:
            yield from self.parent.scan_rows_of(after, min(upto, self.begins))  # which knows what was pruned there
            after = self.begins
        yield from map(self._whole, self.own_rows_of(after, upto))

    def link_at(self, sequence: int) -> bytes:
        """Return the chain's link of the entry of a sequence, nothing where there is none."""
        if self.parent is not None and sequence <= self.begins:
            return self.parent.link_at(sequence)
        rows = self._rows(f"SELECT link FROM {self.schema}.stored_events WHERE {self.entry_id} = ?", (sequence,))
        return (rows[0][0] or b"") if rows else b""

    def leaves(self, after: int, upto: int) -> Iterator[bytes]:
        """Return the leaves of entries in journal order, streamed; no archive is read for them."""
        return (leaf_in(row[3]) for rows in self.stored_rows_of(after, upto) for row in rows)

    def stored_rows_of(self, after: int, upto: int) -> Iterator[list[tuple[int, str, int, bytes, bytes]]]:
        """Return entries as `scan_rows_of` does, with the stubs of those that were pruned.

        Those of before the partition branched off are its parent's.
        """
        if self.parent is not None and after < self.begins:
            yield from self.parent.stored_rows_of(after, min(upto, self.begins))
            after = self.begins
        yield from self.own_rows_of(after, upto)

    def own_rows_of(self, after: int, upto: int) -> Iterator[list[tuple[int, str, int, bytes, bytes]]]:
        """Return what is stored here: copies up to where it branched off, then its own entries, with stubs."""
        query = (
            f"SELECT {self.entry_id}, originator_id, originator_version, state, link FROM {self.schema}.stored_events"
            f" WHERE {self.entry_id} > ? AND {self.entry_id} <= ? ORDER BY {self.entry_id} LIMIT ?"
        )
        while rows := self._rows(query, (after, upto, self.scan_rows)):
            yield rows
            if len(rows) < self.scan_rows:
                return
            after = rows[-1][0]

    def scan_by_member(
        self, after: str = "", number: int = _ALL, upto: int | None = None, *, left_over: bool = False
    ) -> Iterator[EntryRow]:
        """Return entries by member and number behind a member and number, streamed, up to a sequence.

        Without one they are those that are there when the first is read. `left_over` asks for those of members who went
        to a partition that branched off, too.
        """
        last = self.head().entries if upto is None else upto
        condition = (
            f"(originator_id, originator_version) > (?, ?) AND {self.entry_id} <= ?"
            " ORDER BY originator_id, originator_version LIMIT ?"
        )
        while len(rows := self._entry_rows(condition, (after, number, last, self.scan_rows))) == self.scan_rows:
            yield from rows if left_over else self._at_home(rows, _member_of)
            after, number = rows[-1].member, rows[-1].number
        yield from rows if left_over else self._at_home(rows, _member_of)

    def scan_of(self, member: str, upto: int) -> Iterator[EntryRow]:
        """Return a member's entries up to a sequence as `scan_by_member` does, whatever their numbers are."""
        return takewhile(lambda row: row.member == member, self.scan_by_member(member, -_ALL, upto))

    def rows_by_member(self, upto: int, after: str = "") -> Iterator[EntryRows]:
        """Return entries up to a sequence by member and number, some at a time: (sequence, member, number, state).

        They begin with the first member behind `after`.
        """
        return rows_by_member(self, upto, after)

    def spans_by_member(self, upto: int, after: str = "") -> Iterator[MemberSpan]:
        """Return the members behind one in spans; where one fits into memory `rows_in_order` takes half the time."""
        return spans(self, upto, after)

    def rows_looked_up(self, upto: int, after: str, last: str | None) -> Iterator[EntryRows]:
        """Return the same of the members up to `last`, each looked up; of all where none is given."""
        query = (
            f"SELECT {self.entry_id}, originator_id, originator_version, state FROM {self.schema}.stored_events"
            f" WHERE (originator_id, originator_version) > (?, ?) AND {self.entry_id} <= ?"
            f"{'' if last is None else ' AND originator_id <= ?'}"
            " ORDER BY originator_id, originator_version LIMIT ?"
        )
        number, until = _ALL, () if last is None else (last,)
        while rows := self._rows(query, (after, number, upto, *until, self.scan_rows)):
            if at_home := self._at_home(rows, _second):
                yield self._whole(at_home)
            if len(rows) < self.scan_rows:
                return
            _, after, number, _ = rows[-1]

    def rows_in_order(self, upto: int, after: str, last: str) -> Iterator[EntryRows]:
        """Return the same in the journal's order, in one pass over all entries up to the sequence."""
        query = (
            f"SELECT {self.entry_id}, originator_id, originator_version, state"
            f" FROM {self.schema}.stored_events{self.as_it_lies} WHERE {self.entry_id} > ? AND {self.entry_id} <= ?"
            f" AND originator_id > ? AND originator_id <= ? ORDER BY {self.entry_id} LIMIT ?"
        )
        behind = 0
        while rows := self._rows(query, (behind, upto, after, last, self.scan_rows)):
            if at_home := self._at_home(rows, _second):
                yield self._whole(at_home)
            if len(rows) < self.scan_rows:
                return
            behind = rows[-1][0]

    def member_sizes(self, after: str) -> Iterator[tuple[str, int]]:
        """Return the members behind one, in order, each with how many entries there are, streamed."""
        while rows := self._rows(
            f"SELECT originator_id, count(*) FROM {self.schema}.stored_events WHERE originator_id > ?"
            " GROUP BY originator_id ORDER BY originator_id LIMIT ?",
            (after, _SCAN_MEMBERS),
        ):
            yield from rows
            after = rows[-1][0]

    def mean_size(self, upto: int) -> int:
        """Return how many bytes an entry has on average, of the last hundred up to a sequence; 0 of none."""
        ((size,),) = self._rows(
            f"SELECT avg(length(state)) FROM (SELECT state FROM {self.schema}.stored_events"
            f" WHERE {self.entry_id} > ? AND {self.entry_id} <= ?) AS last_ones",
            (upto - 100, upto),
        )
        return int(size or 0)

    def by_member(self, after: str = "", *, left_over: bool = False) -> Iterator[tuple[str, Iterator[EntryRow]]]:
        """Return each member behind one with the entries, streamed; a group is to be read before the next, or left."""
        return groupby(self.scan_by_member(after, left_over=left_over), _member_of)

    def receipts(self, upto: int | None = None) -> Iterator[Receipt]:
        """Return the receipts of entries up to a sequence, streamed; all where none is given."""
        for names, rows in self.receipt_rows(upto):
            yield from (Receipt(names[source], id, member, place) for source, id, member, place in rows)

    def has_receipt(self, source: str, name: str, member: str) -> bool:
        """Return True if a fact was decided here: by its source, its id and its member."""
        query = (
            f"SELECT 1 FROM {self.schema}.receipts JOIN {self.schema}.sources ON sources.number = receipts.source"
            " WHERE sources.name = ? AND receipts.id = ? AND receipts.member = ?"
        )
        return bool(self._rows(query, (source, name, member)))

    def receipt_rows(self, upto: int | None = None) -> Iterator[tuple[dict[int, str], list[Any]]]:
        """Return the same some at a time, as rows in which sources have numbers, with the names of these."""
        rows: list[Any] = [(0, "", "")]  # the key that the first page comes after
        while rows:
            rows = self._rows(
                f"SELECT source, id, member, place FROM {self.schema}.receipts WHERE (source, id, member) > (?, ?, ?)"
                " AND place <= ? ORDER BY source, id, member LIMIT ?",
                (*rows[-1][:3], _ALL if upto is None else upto, _SCAN_RECEIPTS),
            )
            span = (rows[0][0], rows[-1][0]) if rows else (0, 0)
            names = defaultdict[int, str](
                str, self._rows(f"SELECT number, name FROM {self.schema}.sources WHERE number BETWEEN ? AND ?", span)
            )
            yield names, self._at_home(rows, _third)

    def received(self, names: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], EntryRow]:
        """Return by (source, id, member) the entry that first decided a fact, of those that were decided."""
        if not names:
            return {}
        asked = ", ".join(["(?, ?, ?)"] * len(names))
        rows = self._rows(
            f"WITH asked (source, id, member) AS (VALUES {asked})"
            f" SELECT asked.source, asked.id, e.{self.entry_id}, originator_id, originator_version, state, link"
            f" FROM asked JOIN {self.schema}.sources ON sources.name = asked.source"
            f" JOIN {self.schema}.receipts ON receipts.source = sources.number AND receipts.id = asked.id"
            " AND receipts.member = asked.member"
            f" JOIN {self.schema}.stored_events e ON e.{self.entry_id} = receipts.place",
            [part for name in names for part in name],
        )
        entries = self._whole([row[2:] for row in rows])
        return {(row[0], row[1], row[3]): EntryRow(*entry) for row, entry in zip(rows, entries, strict=True)}

    def pages(self) -> Iterator[tuple[str, str, bytes]]:
        """Return every page as it is stored (key, member, bytes), streamed."""
        return chain.from_iterable(self.page_rows())

    def page_rows(self) -> Iterator[list[tuple[str, str, bytes]]]:
        """Return the same some at a time."""
        key, member = "", ""
        while rows := self._rows(
            f"SELECT key, member, state FROM {self.schema}.pages WHERE (key, member) > (?, ?)"
            " ORDER BY key, member LIMIT ?",
            (key, member, _SCAN_PAGES),
        ):
            yield self._at_home(rows, _second)
            key, member, _ = rows[-1]

    def snapshots(self) -> Iterator[list[Snapshot]]:
        """Return all snapshots, some at a time, by member."""
        after = ""
        while rows := self._rows(
            f"SELECT member, number, state FROM {self.schema}.accounts WHERE member > ? ORDER BY member LIMIT ?",
            (after, _SCAN_MEMBERS),
        ):
            yield list(starmap(Snapshot, rows))
            after = rows[-1][0]

    def snapshots_of_nobody(self) -> Iterator[str]:
        """Return the members with a snapshot and no entry, streamed."""
        after = ""
        while rows := self._rows(
            f"SELECT member FROM {self.schema}.accounts AS a WHERE member > ? AND NOT EXISTS"
            f" (SELECT 1 FROM {self.schema}.stored_events WHERE originator_id = a.member) ORDER BY member LIMIT ?",
            (after, _SCAN_MEMBERS),
        ):
            yield from (row[0] for row in rows)
            after = rows[-1][0]

    def of_other_topics(self, upto: int) -> Iterator[int]:
        """Return the sequences, up to one, of events that are stored under another topic than an entry's, streamed."""
        for after in range(0, upto, _SCAN_TOPICS):
            rows = self._rows(
                f"SELECT {self.entry_id} FROM {self.schema}.stored_events WHERE topic <> ?"
                f" AND {self.entry_id} > ? AND {self.entry_id} <= ? ORDER BY {self.entry_id}",
                (TOPIC, after, min(after + _SCAN_TOPICS, upto)),
            )
            yield from (row[0] for row in rows)

    def flows(self) -> dict[str, int]:
        """Return how far each flow out of this journal was acknowledged."""
        rows = self._rows(
            f"SELECT application_name, notification_id FROM {self.schema}.tracking WHERE application_name <> ?",
            (STREAM,),
        )
        return dict(sorted(rows))

    def latest(self, member: str) -> tuple[Snapshot | None, list[EntryRow]]:
        """Return a member's last snapshot and the entries behind it, all of one state."""
        rows = self._rows(
            f"WITH snapshot AS (SELECT member, number, state FROM {self.schema}.accounts WHERE member = ?)"
            " SELECT 0 AS place, member, number, state, NULL AS link FROM snapshot UNION ALL"
            f" SELECT {self.entry_id}, originator_id, originator_version, state, link FROM {self.schema}.stored_events"
            " WHERE originator_id = ? AND originator_version > coalesce((SELECT number FROM snapshot), 0)"
            " ORDER BY place",
            (member, member),
        )
        first = rows.pop(0) if rows and rows[0][0] == 0 else None
        return Snapshot(*first[1:4]) if first else None, [EntryRow(*row) for row in self._whole(rows)]

    def each_entry_of(self, member: str) -> Iterator[EntryRow]:
        """Return all of a member's entries, in order, some at a time: however many there are, few are in memory."""
        after = 0
        while rows := self.entries_of(member, after, _SCAN_ENTRIES):
            yield from rows
            after = rows[-1].number

    def last_number(self, member: str) -> int:
        """Return the number of a member's last entry, 0 where there is none."""
        ((number,),) = self._rows(
            f"SELECT max(originator_version) FROM {self.schema}.stored_events WHERE originator_id = ?", (member,)
        )
        return number or 0

    def published(self) -> list[Published]:
        """Return the rule books published to this partition, in order."""
        rows = self._rows(f"SELECT place, version, toml FROM {self.schema}.programmes ORDER BY place")
        return [Published(*row) for row in rows]

    def parked(
        self, after: int = -1, limit: int | None = None, *, upto: int | None = None, retried: bool = False
    ) -> list[DeadLetter]:
        """Return dead letters by offset, behind `after` up to `upto`; those that are done when `retried` asks."""
        rows = self._rows(
            f"SELECT {_LETTER} FROM {self.schema}.parked"
            " WHERE position > ? AND position <= ? AND (retried = 0 OR ? = 1) ORDER BY position LIMIT ?",
            (after, _ALL if upto is None else upto, int(retried), _ALL if limit is None else limit),
        )
        return [_letter(row) for row in rows]

    def scan_parked(self, after: int, upto: int) -> Iterator[DeadLetter]:
        """Return all dead letters behind `after` up to an offset, those that are done too, streamed."""
        while len(found := self.parked(after, _SCAN_PARKED, upto=upto, retried=True)) == _SCAN_PARKED:
            yield from found
            after = found[-1].offset
        yield from found

    def count_parked(self, upto: int | None = None, *, retried: bool = False) -> int:
        """Return how many dead letters there are up to an offset; those that are done count when `retried` asks."""
        ((count,),) = self._rows(
            f"SELECT count(*) FROM {self.schema}.parked WHERE position <= ? AND (retried = 0 OR ? = 1)",
            (_ALL if upto is None else upto, int(retried)),
        )
        return int(count)

    def parked_for(self, reason: str, after: int = -1) -> list[int]:
        """Return the offsets behind `after` of the dead letters that have a reason, in order; done ones too."""
        query = f"SELECT position FROM {self.schema}.parked WHERE reason = ? AND position > ? ORDER BY position"
        rows = self._rows(query, (reason, after))
        return [int(row[0]) for row in rows]

    def last_parked(self) -> int:
        """Return the offset of the last dead letter, -1 where there is none."""
        ((offset,),) = self._rows(f"SELECT coalesce(max(position), -1) FROM {self.schema}.parked")
        return int(offset)

    def parked_reasons(self, recorded_by: int) -> dict[str, int]:
        """Return how many dead letters wait for each reason, of those recorded by an instant."""
        rows = self._rows(
            f"SELECT reason, count(*) FROM {self.schema}.parked WHERE retried = 0 AND recorded <= ? GROUP BY reason",
            (recorded_by,),
        )
        return dict(sorted(rows))


class Batch(_Reader):
    """What one transaction of a journal may do, behind the fence: entries are numbered from `before` + 1.

    `cursor` is the library's; the fence lets everybody in where `token` is None. `link` is the chain's last, for the
    writer to move on.
    """

    def __init__(self, journal: Journal, cursor: Any, entries: int, token: int | None) -> None:
        self._journal = journal
        self._cursor = cursor
        self.name, self.schema, self.entry_id = journal.name, journal.schema, journal.entry_id
        self.named: dict[str, int] = {}  # sources whose number was looked up or given here
        rows = self._rows(
            f"UPDATE {self.schema}.shard SET head = head + ? WHERE epoch = coalesce(?, epoch)"
            " RETURNING head, link, epoch, seal",
            (entries, token),
        )
        if not rows and token is None:
            raise _no_head(self.name, 0)
        if not rows:
            raise Fenced(f"epoch {token} is over: another process owns this partition now")
        self._head, self.link, self._epoch, seal = rows[0]
        self.seal: bytes = seal or b""
        self.before = self._head - entries
        if token is not None and journal.seal not in (b"", self.seal):
            raise WentBack(
                f"{self.name} is not as its owner left it, and nobody else took it: an earlier state stands there, as"
                " where a standby that lagged took over, or a backup was put back. Nothing was written; it goes on from"
                f" what is there, behind entry {self.before:,}"
            )

    def take(self) -> int:
        """Raise the fencing token; returns it. Raises `Damaged` where the seal does not fit what it is over.

        The last entry has to be the one that the head names, too: tables may have been swapped.
        """
        state = self.state()
        if state.epoch >= CLOSED:
            raise BeingSplit(_being_split(self.name))
        ours = self._journal.partitions
        if ours and state.origin is not None and state.origin.partitions != ours:
            raise BeingSplit(
                f"{self.name}: the ledger was split from {ours} into {state.origin.partitions} partitions: start again"
            )
        if not (state.is_sealed() or (not state.seal and state.origin is None)):
            raise Damaged(
                f"{self.name}: its head, its position or what it says of its ledger was changed, since the seal over"
                " them does not fit"
            )
        if state.head > self._journal.begins:
            last = self._rows(f"SELECT link FROM {self.schema}.stored_events WHERE {self.entry_id} = ?", (state.head,))
            if [row[0] for row in last] != [state.link]:
                raise Damaged(f"{self.name}: entry {state.head}, by the head the last, is missing or another")
        if state.last > state.head:
            raise Damaged(f"{self.name}: entry {state.last} stands behind {state.head}, by the head the last")
        self._journal.sealed = b"" if state.origin is None else state.origin.digest()
        self._journal.stream = state.stream
        epoch = self._move_epoch(state, 1)
        self._journal.sources.clear()  # those of an earlier owner may never have been: see `WentBack`
        self._journal.seal = self.seal
        return epoch

    def stamp(self, origin: Origin, *, reopens: bool = False) -> None:
        """Write which ledger the journal belongs to; owners of before are fenced. Raises `Damaged`, as `take`."""
        state = self.state()
        if state.seal and not state.is_sealed():
            raise Damaged(f"{self.name}: its head or its position was changed, since the seal over them does not fit")
        for letter in self._older_letters():
            self._rows(f"UPDATE {self.schema}.parked SET seal = ? WHERE position = ?", (letter.seal(), letter.offset))
        self._rows(f"DELETE FROM {self.schema}.origin")
        self._rows(f"INSERT INTO {self.schema}.origin VALUES (1, ?, ?, ?, ?, ?, ?)", origin)
        is_new = state.origin is None and not state.head  # nobody owned it: there is nobody to fence
        self._move_epoch(
            state._replace(origin=origin), (0 if is_new else 1) - CLOSED * (reopens and state.epoch >= CLOSED)
        )

    def close_for_split(self) -> None:
        """Fence owners of before, and let nobody own the journal."""
        state = self.state()
        if state.epoch < CLOSED:
            self._move_epoch(state, CLOSED)

    def mark(self, flow: str, number: int) -> None:
        """Remember how far a flow has come."""
        self._rows(_MOVE.format(self.schema), (flow, number))

    def begin_behind(self, end: State) -> None:
        """Let the journal go on where another one ended; it is stamped after this."""
        self._rows(
            f"UPDATE {self.schema}.shard SET head = ?, link = ?, recorded = ?, stream = ?",
            (end.head, end.link, end.recorded, end.stream),
        )
        self._rows(f"DELETE FROM {self.schema}.tracking")
        self.mark(STREAM, end.position)

    def bind(self, stream: str) -> None:
        """Keep the id of the topic in which the position means something, in place of an earlier one."""
        self.seal = self.state()._replace(stream=stream).made_seal()
        self._rows(f"UPDATE {self.schema}.shard SET stream = ?, seal = ?", (stream, self.seal))
        self._journal.stream = stream

    def _older_letters(self) -> Iterator[DeadLetter]:
        """Return the dead letters that an older version parked, without a seal, streamed."""
        after = -1
        while rows := self._rows(
            f"SELECT {_LETTER} FROM {self.schema}.parked WHERE position > ? AND seal IS NULL ORDER BY position LIMIT ?",
            (after, _SCAN_PARKED),
        ):
            yield from map(_letter, rows)
            after = rows[-1][0]

    def _move_epoch(self, state: State, by: int) -> int:
        state = state._replace(epoch=state.epoch + by)
        self.seal = state.made_seal()
        self._rows(f"UPDATE {self.schema}.shard SET epoch = ?, seal = ?", (state.epoch, self.seal))
        return state.epoch

    @abstractmethod
    def _insert(self, table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows that are new."""

    @abstractmethod
    def _replace(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write whole rows, each in place of the one of its key."""

    @abstractmethod
    def _each(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each of the parameters."""

    def source(self, name: str) -> int:
        """Return the number by which receipts name a source."""
        number = self._journal.sources.get(name) or self.named.get(name)
        if number is None:
            self._rows(  # nobody else numbers: the partition's row is locked
                f"INSERT INTO {self.schema}.sources SELECT coalesce(max(number), 0) + 1, ? FROM {self.schema}.sources"
                " WHERE true ON CONFLICT (name) DO NOTHING",
                (name,),
            )
            ((number,),) = self._rows(f"SELECT number FROM {self.schema}.sources WHERE name = ?", (name,))
            self.named[name] = number
        return int(number)

    @abstractmethod
    def receive(self, receipts: Sequence[tuple[int, str, str, int]]) -> dict[int, int]:
        """Take receipts (see `ReceiptRow`); returns sequence -> sequence of the first, where one came before."""

    @abstractmethod
    def prefetch(self, members: Iterable[str], pages: Iterable[tuple[str, str]]) -> None:
        """Fetch what will be asked for: members in the order in which they will be loaded, and pages (key, member)."""

    def prefetch_pages(self, pages: Iterable[tuple[str, str]]) -> None:
        """Fetch more pages (key, member) that will be asked for."""

    def accounts(self, members: Sequence[str]) -> list[tuple[bytes | None, list[bytes]]]:
        """Return of each of some members the last snapshot's bytes, if there is one, and the entries' behind it."""
        found: list[tuple[bytes | None, list[bytes]]] = []
        for member in members:
            snapshot = self.snapshot(member)
            rows = self.entries_of(member, snapshot.number if snapshot else 0)
            found.append((snapshot.state if snapshot else None, [row.state for row in rows]))
        return found

    @abstractmethod
    def page_states(self, asked: Sequence[tuple[str, str]]) -> list[tuple[str, str, bytes]]:
        """Return those that there are of some pages (key, member), as they are stored (key, member, bytes)."""

    def entry_at(self, sequence: int) -> tuple[int, bytes] | None:
        """Return an entry of an earlier batch: its number, and its bytes or its stub where it was pruned."""
        query = f"SELECT originator_version, state FROM {self.schema}.stored_events WHERE {self.entry_id} = ?"
        rows = self._rows(query, (sequence,))
        return rows[0] if rows else None

    def append(self, rows: Sequence[StoredRow]) -> None:
        """Write entries (see `EntryRow`)."""
        self._insert("stored_events", f"{self.entry_id}, originator_id, originator_version, state, link, topic", rows)

    def put_pages(self, pages: Sequence[tuple[str, str, bytes]]) -> None:
        """Write pages (see `PageRow`), best in the order of their keys."""
        self._replace("pages", pages)

    def put_accounts(self, accounts: Sequence[Snapshot]) -> None:
        """Write snapshots, best in the order of members."""
        self._replace("accounts", accounts)

    def put_stubs(self, span: Span, stubs: Sequence[tuple[bytes, int]]) -> None:
        """Let stubs (with their entries' sequences) stand in place of entries, which an archive has: see `Span`."""
        self.put_span(span)
        self._each(f"UPDATE {self.schema}.stored_events SET state = ? WHERE {self.entry_id} = ?", stubs)

    def put_span(self, span: Span) -> None:
        """Say which archive has pruned entries. Of spans that begin alike the longest stays: it has the others'."""
        known = [one.last for one in self.pruned_spans() if one.first == span.first]
        if not known or known[0] <= span.last:
            self._rows(f"DELETE FROM {self.schema}.pruned WHERE first = ?", (span.first,))
            self._rows(f"INSERT INTO {self.schema}.pruned VALUES (?, ?, ?, ?)", span)

    def page_keys(self, member: str) -> list[str]:
        """Return the keys of a member's pages, in order. No index has them: every page of the partition is read."""
        rows = self._rows(f"SELECT key FROM {self.schema}.pages WHERE member = ? ORDER BY key", (member,))
        return [row[0] for row in rows]

    def put_programme(self, sequence: int, version: str, toml: str) -> None:
        """Keep a published rule book."""
        self._rows(f"INSERT INTO {self.schema}.programmes VALUES (?, ?, ?)", (sequence, version, toml))

    def park(self, parked: Sequence[DeadLetter]) -> None:
        """Keep records that are no facts."""
        columns = "position, recorded, reason, detail, length, sha256, kept, seal"
        self._insert("parked", columns, [(*record[:7], record._replace(is_done=False).seal()) for record in parked])

    def finish(self, link: bytes, offset: int, recorded: int) -> None:
        """Move the chain's last link and the stream's offset; the transaction commits after this."""
        stream = self._journal.stream
        self.seal = seal_of(self._journal.sealed, self._epoch, self._head, link, recorded, offset + 1, stream)
        self._rows(f"UPDATE {self.schema}.shard SET link = ?, recorded = ?, seal = ?", (link, recorded, self.seal))
        if not self._rows(f"{_MOVE} RETURNING 1".format(self.schema), (STREAM, offset + 1)):
            raise Damaged(f"the stream's offset would not move forward to {offset}")
