"""What is read and written of a build, in the SQL that both stores speak: marks are `?`, names are the build's own.

A build has the view's tables, its members (where the view keeps a state), its position in every partition, and how far
a build that is still being made has come.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ledger.journal.port import JournalError
from projections.views.view import Key, MemberState, RowDeltas, SumTable, View, due_of, new_member, rows_by_key

FORMAT = 1
POSITION = "partition-"  # and its number: the tracking name of a position
_LOOKUPS = 500  # members a query
_ALL = 1 << 62  # rows: no limit
_encode_state = msgspec.msgpack.Encoder().encode

# member, partition, number, clock, recorded, due, state, and where the view counts what the member counts for
MemberRow = tuple[Any, ...]
TableRows = dict[str, list[tuple[Any, ...]]]  # by table: its key's columns, then its amounts
Ends = dict[int, tuple[int, bytes]]  # by partition: the sequence of an entry, and the chain's link there


class Batch(ABC):
    """One transaction of a build, or a consistent state of it to read."""

    def __init__(self, view: View, place: str) -> None:
        self.view = view
        self.place = place
        self.decode_state = msgspec.msgpack.Decoder(view.state or Struct).decode

    @abstractmethod
    def run(self, sql: str, *values: Any) -> list[Any]:
        """Return the rows of a statement, none where it has none."""

    @abstractmethod
    def stream(self, sql: str, *values: Any) -> Iterator[Any]:
        """Yield the rows of a question, which may be many."""

    @abstractmethod
    def add_rows(self, table: SumTable, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows (the key, then amounts) to a table, exactly; those that come to nothing need not stay."""

    @abstractmethod
    def put_members(self, rows: Sequence[MemberRow]) -> None:
        """Keep members."""

    @abstractmethod
    def track(self, positions: Mapping[int, int]) -> None:
        """Set the position of partitions, which only goes up."""

    def positions(self) -> dict[int, int]:
        """By partition, the place of the last entry folded; none where nothing was."""
        return positions_of(self.run(POSITIONS, f"{POSITION}%"))

    def ends(self) -> Ends:
        """By partition, the sequence of the last entry folded and its link; no link where there is none."""
        links = dict(self.run("SELECT partition, link FROM chain"))
        return {partition: (place, links.get(partition, b"")) for partition, place in self.positions().items()}

    def move(self, ends: Ends) -> None:
        """Set the position of partitions, which only goes up, and the link of the entry there."""
        self.track({partition: place for partition, (place, _) in ends.items()})
        marks = ", ".join(["(?, ?)"] * len(ends))
        self.run(
            f"INSERT INTO chain VALUES {marks} ON CONFLICT (partition) DO UPDATE SET link = excluded.link",
            *(value for partition, (_, link) in ends.items() for value in (partition, link)),
        )

    def building(self) -> dict[int, tuple[int, str]]:
        """By partition that is still being built, up to which place and the last member that is in."""
        rows = self.run("SELECT partition, upto, after FROM building")
        return {partition: (upto, after) for partition, upto, after in rows}

    def is_whole(self) -> bool:
        """Whether every partition was built to where it was to be."""
        ((begun,),) = self.run("SELECT begun FROM build")
        return bool(begun) and not self.building()

    def begin_building(self, upto: dict[int, int]) -> None:
        """Set out to build every partition up to a place, unless that was done before."""
        ((begun,),) = self.run("SELECT begun FROM build")
        if begun:
            return
        self.run("UPDATE build SET begun = 1")
        for partition, place in upto.items():
            self.run("INSERT INTO building VALUES (?, ?, '')", partition, place)

    def built_to(self, partition: int, member: str) -> None:
        """Remember the last member that is in."""
        self.run("UPDATE building SET after = ? WHERE partition = ?", member, partition)

    def end_building(self, partition: int, upto: int, link: bytes) -> None:
        """A partition stands at the place it was to be built to."""
        self.run("DELETE FROM building WHERE partition = ?", partition)
        if upto:
            self.move({partition: (upto, link)})

    def load(self, members: Sequence[str]) -> dict[str, MemberState]:
        """Members as they are kept, new ones where they are not."""
        found = {member: new_member(self.view, member) for member in members}
        if self.view.state is None:
            return found
        for first in range(0, len(members), _LOOKUPS):
            part = members[first : first + _LOOKUPS]
            marks = ",".join("?" * len(part))
            found |= {of.member: of for _, of in self.members(f"WHERE member IN ({marks})", *part)}
        return found

    def write(self, members: Sequence[MemberRow], rows: TableRows) -> None:
        """Keep members, and add rows to their tables."""
        if members:
            self.put_members(members)
        for table in self.view.tables:
            if rows[table.name]:
                self.add_rows(table, rows[table.name])

    def sums(self, table: SumTable, between: tuple[str, str] | None = None) -> Iterator[tuple[Key, list[int]]]:
        """A table's rows in the order of their keys, without those that came to nothing. Raises `JournalError`.

        `between` are the least and the greatest value of the key's first column, where not all are wanted.
        """
        width = len(table.key)
        keys = ", ".join(column.name for column in table.key)
        where = f"WHERE {table.key[0].name} BETWEEN ? AND ?" if between else ""
        for row in self.stream(f"SELECT * FROM {table.name} {where} ORDER BY {keys}", *(between or ())):
            if any(row[width:]):
                yield tuple(row[:width]), self._amounts(row[width:])

    def _amounts(self, stored: Sequence[Any]) -> list[int]:
        """Amounts as they are stored: integers, or in a file text where one outgrew SQLite's."""
        kinds = set(map(type, stored))
        if kinds == {int}:
            return list(stored)
        if float in kinds:
            raise JournalError(
                f"{self.place}: an earlier version built this file, and a sum has outgrown it:"
                " remove it and run `points views run`"
            )
        return [int(amount) for amount in stored]

    def members(self, rest: str = "ORDER BY member", *values: int | str) -> Iterator[tuple[int, MemberState]]:
        """Return members with their partitions, in order; `rest` is SQL behind FROM members, with its values."""
        columns = f"partition, member, number, clock, recorded, state{', counted' if self.view.counts else ''}"
        for partition, member, number, clock, recorded, state, *counted in self.stream(
            f"SELECT {columns} FROM members {rest}", *values
        ):
            yield partition, MemberState(member, number, clock, recorded, self.decode_state(state), *counted)

    def has_due(self, instant: int, more_than: int = 0) -> bool:
        """Return True if something falls due by an instant for more than `more_than` members of a view that counts."""
        return bool(self.run("SELECT 1 FROM members WHERE due <= ? LIMIT 1 OFFSET ?", instant, more_than))

    def due_members(self, instant: int, limit: int = _ALL) -> Iterator[tuple[int, MemberState]]:
        """Members of a view that counts who count for something else by an instant, with their partitions."""
        return self.members("WHERE due <= ? LIMIT ?", instant, limit)

    def let_all_fall_due(self, partition: int) -> None:
        """Let every member of a partition be counted anew: by another rule book each may count for something else."""
        self.run("UPDATE members SET due = 0 WHERE partition = ?", partition)

    def counted_at(self, instant: int) -> None:
        """Remember the latest instant at which a member was counted."""
        self.run("UPDATE counted SET latest = ? WHERE latest < ?", instant, instant)

    def latest(self) -> int:
        """The instant from which on a view that counts is exact."""
        ((latest,),) = self.run("SELECT latest FROM counted")
        return int(latest)


POSITIONS = "SELECT application_name, notification_id FROM tracking WHERE application_name LIKE ?"


def positions_of(rows: Sequence[tuple[str, int]]) -> dict[int, int]:
    """Return the positions by partition that rows of `POSITIONS` say."""
    return {int(name.removeprefix(POSITION)): place for name, place in rows}


def plain_rows(batch: Batch, view: View) -> Iterator[tuple[str, Key, Any]]:
    """Everything a build keeps, row by row in a fixed order: (table, key, values), a member's state decoded.

    An older version wrote a state without the fields that came since: decoded, it is the same state.
    """
    for table in view.tables:
        for key, amounts in batch.sums(table):
            yield table.name, key, amounts
    if view.state is not None:
        rows = batch.stream("SELECT member, number, clock, recorded, due, state FROM members ORDER BY member")
        for member, *values, state in rows:
            yield "members", (member,), [*values, batch.decode_state(state)]


def check_build(row: tuple[int, str, int, str], view: View, place: str) -> int:
    """Return the version of a build by its row (format, view, version, tables). Raises `JournalError`."""
    form, name, version, tables = row
    if form != FORMAT:
        raise JournalError(f"{place}: format {form}; this version of points reads format {FORMAT}")
    if name != view.name:
        raise JournalError(f"{place} is a build of the view {name}, not of {view.name}")
    if tables != tables_of(view):
        if version == view.version:
            raise JournalError(
                f"{place} was built with other tables than version {version} of the view {name} has now:"
                f" raise its version, and run `points views rebuild {name}`"
            )
        raise JournalError(
            f"{place} is of version {version} of the view {name}, with other tables than version"
            f" {view.version} has: `points views rebuild {name}`, then `points views switch {name}`"
        )
    return int(version)


def tables_of(view: View) -> str:
    """What a view keeps, as text: two builds can stand for each other where it is the same."""
    return json.dumps([[t.name, [c.name for c in t.key], t.amounts] for t in view.tables] + [view.state is not None])


def member_row(view: View, partition: int, of: MemberState) -> MemberRow:
    """A member as a row."""
    row = of.member, partition, of.number, of.clock, of.recorded, due_of(view, of), _encode_state(of.state)
    return (*row, of.counted) if view.counts else row


def table_rows(view: View, rows: RowDeltas) -> TableRows:
    """Rows as they are written, in the order of their keys."""
    return {t.name: [(*key, *amounts) for key, amounts in rows_by_key(rows.of[t.name])] for t in view.tables}
