"""What a view is: a name, a version, tables of sums, perhaps a state a member, and a pure fold of entries into them.

Every table is a sum: the fold adds amounts to the row of a key, and the order of rows never matters. What a member's
next entry needs (the open lots, to know when points that are spent would have expired) is the member's state. Time
makes entries too: what falls due is folded when the view is read, by the same fold, with `Step.entry` left out.

A view that `counts` goes another way with time: `count` says what a member adds to the tables at an instant, the file
keeps with each member what she added, and the tables hold the sum over all members. A reader then adds only what fell
due since, and not what time did to every member there ever was.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec
from msgspec import Struct

from ledger.core.account import NEVER, Account
from ledger.core.decide import run_to
from ledger.core.draft import next_due
from ledger.core.pages import PagesInMemory
from ledger.rulebook.compiled import Book
from ledger.wire.entries import Change, Entry, Expired, HistoryPruned, Released, Repaid, TermEnded, TierMoved
from projections.answers.tables import Column, Table

if TYPE_CHECKING:
    from projections.views.reading import Snapshot

Key = tuple[Any, ...]  # text and integers
Amounts = list[int]


# What time does to an account, at the head of an entry; behind any other change stands the decision.
BY_TIME = frozenset({Expired, Released, Repaid, TermEnded, TierMoved, HistoryPruned})


class Sums(NamedTuple):
    """A table: the columns of its key (of type text or integer) and the integers that are summed under it."""

    name: str
    key: tuple[Column, ...]
    amounts: tuple[str, ...]


class Rows:
    """Amounts to be added to tables, summed by key."""

    def __init__(self, tables: tuple[Sums, ...]) -> None:
        self.of: dict[str, dict[Key, Amounts]] = {table.name: {} for table in tables}

    def add_to(self, table: str, key: Key, place: int, amount: int, width: int) -> None:
        """Add one amount, the one at a place of the table's `width`, to the row of a key."""
        rows = self.of[table]
        row = rows.get(key)
        if row is None:
            row = rows[key] = [0] * width
        row[place] += amount

    def add(self, table: str, key: Key, *amounts: int) -> None:
        """Add amounts, in the order of the table's, to the row of a key."""
        rows = self.of[table]
        row = rows.get(key)
        if row is None:
            rows[key] = list(amounts)
        else:
            for place, amount in enumerate(amounts):
                row[place] += amount


@dataclass(slots=True)
class Kept:
    """A member as a view knows her: the last entry that was folded (instants in microseconds), and the view's state.

    Where the view counts: the rows she counts for now, encoded, and the instant at which time next changes them.
    """

    member: str
    number: int
    clock: int
    recorded: int
    state: Any
    counted: bytes = b""
    due: int = NEVER


@dataclass(slots=True)
class Step:
    """What a fold is given: one entry of a member, or time itself (`entry` None), and the state before it."""

    book: Book
    kept: Kept
    entry: Entry | None = None
    at: int = 0  # of the change: the last instant before what fell due, or else the member's clock

    @property
    def member(self) -> str:
        """Whose entry it is."""
        return self.kept.member


@dataclass(frozen=True)
class Options:
    """What a reading may be asked for beside the instant; each says which of them it knows."""

    month: str | None = None
    days: int | None = None
    score: str | None = None


@dataclass(frozen=True)
class Reading:
    """A question that a view answers: `rows` makes the table from a snapshot of it."""

    name: str
    about: str
    rows: "Callable[[Snapshot, Options], Table]"
    options: frozenset[str] = frozenset()
    is_by_member: bool = True


class View:
    """A view; the class says what is kept and an instance has no state of its own. Raise `version` with any change."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    about: ClassVar[str]
    tables: ClassVar[tuple[Sums, ...]] = ()
    changes: ClassVar[frozenset[type[Any]]] = frozenset()  # that the fold looks at; others are not even decoded
    needs_fact: ClassVar[bool] = False  # whether the fold reads `entry.fact`
    state: ClassVar[type[Struct] | None] = None  # of a member, empty where it is made without arguments
    counts: ClassVar[bool] = False  # whether `count` says what each member adds to the tables
    readings: ClassVar[tuple[Reading, ...]]
    source: str = ""  # the file or module it was named by, for the processes that fold it

    def entry(self, step: Step, rows: Rows) -> None:
        """Fold an entry, before its changes."""

    def change(self, step: Step, change: Change, rows: Rows) -> None:
        """Fold one change, before it is applied to the state."""

    def evolve(self, state: Any, change: Change) -> None:
        """Apply one change to a member's state."""

    def account(self, state: Any) -> Account | None:
        """The account in a member's state by which things fall due; None where time changes nothing."""
        return None

    def count(self, account: Account, instant: int, book: Book, rows: Rows) -> None:
        """Add what a member counts for at an instant that her account was run to."""


def fold_entry(view: View, step: Step, rows: Rows) -> None:
    """Fold the entry of a step into rows and into the member's state."""
    kept, entry = step.kept, step.entry
    assert entry is not None
    view.entry(step, rows)
    wanted = view.changes
    if wanted:
        by_time = True
        for change in entry.changes:
            kind = type(change)
            if by_time:
                by_time = kind in BY_TIME and _dates(step, change)
                if not by_time:
                    step.at = entry.clock
            if kind in wanted:
                view.change(step, change, rows)
                view.evolve(kept.state, change)
    kept.number, kept.clock, kept.recorded = entry.number, entry.clock, entry.recorded
    account = view.account(kept.state)
    if account is not None:
        _advance(account, entry.number, entry.clock)


def _advance(account: Account, number: int, clock: int) -> None:
    account.number, account.clock = number, clock
    if account.next_due_at <= clock:
        account.next_due_at = next_due(account)


def _dates(step: Step, change: Change) -> bool:
    """Set the instant of a change at the head of an entry; whether it is what time did before the decision.

    Nothing can be dated behind the entry before. Points that a hold gave back repay debt at the instant it ended.
    """
    if isinstance(change, Released) and not change.due_at:
        return False
    if isinstance(change, Expired | Released):
        step.at = max(change.due_at - 1, step.kept.clock)
    return True


def pass_time(view: View, step: Step, until: int, rows: Rows) -> None:
    """Fold what falls due up to an instant, without an entry; the state is then that of the instant."""
    kept = step.kept
    account = view.account(kept.state)
    if account is None or account.next_due_at > until or until <= kept.clock:
        return
    step.entry = None
    for change in run_to(copy_of(account), step.book, until, PagesInMemory()):
        _dates(step, change)
        if type(change) in view.changes:
            view.change(step, change, rows)
            view.evolve(kept.state, change)
    account.clock = until
    account.next_due_at = next_due(account)


def copy_of(account: Account) -> Account:
    """An account of its own, alike."""
    return _accounts.decode(_encoder.encode(account))


def new_member(view: View, member: str) -> Kept:
    """A member before the first entry."""
    return Kept(member, 0, 0, 0, view.state() if view.state is not None else None)


def due_of(view: View, kept: Kept) -> int:
    """The instant before which time alone changes nothing for a member."""
    if view.counts:
        return kept.due
    account = view.account(kept.state)
    return NEVER if account is None else account.next_due_at


_encoder = msgspec.msgpack.Encoder()
_accounts = msgspec.msgpack.Decoder(Account)


@dataclass
class States:
    """A view's member states as bytes and back."""

    view: View
    _decoder: msgspec.msgpack.Decoder[Any] = field(init=False)

    def __post_init__(self) -> None:
        self._decoder = msgspec.msgpack.Decoder(self.view.state or Struct)

    def encode(self, state: Any) -> bytes:
        """A state's bytes."""
        return _encoder.encode(state)

    def decode(self, state: bytes) -> Any:
        """A state from its bytes. Raises `msgspec.DecodeError` where they are damaged."""
        return self._decoder.decode(state)


def rows_by_key(rows: dict[Key, Amounts]) -> Iterator[tuple[Key, Amounts]]:
    """Rows in the order of their keys, without those that came to nothing."""
    return ((key, rows[key]) for key in sorted(rows) if any(rows[key]))
