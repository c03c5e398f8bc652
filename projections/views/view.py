"""What a view is: a name, a version, tables of sums, perhaps a state per member, and a pure fold of entries into them.

Every table is a sum: the fold adds amounts to the row of a key, and the order of rows never matters. What the fold of a
member's next entry needs (the open lots, to know when points that are spent would have expired) is the member's state.
Time makes changes too: what falls due is folded when the view is read, by the same fold, with `FoldStep.entry` None.

A view that `counts` treats time differently: `count` says what a member adds to the tables at an instant, the file
keeps that with each member, and the tables hold the sum over all members. A reader then adds only what fell due since,
and not what time did to every member there ever was.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, NamedTuple, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from ledger.core.account import NEVER, Account, copy_account, next_due
from ledger.core.bundles import entry_is_over
from ledger.core.decide import run_to
from ledger.core.evolve import evolve
from ledger.core.pages import PagesInMemory
from ledger.core.tiers import DEDUCTION
from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import OPENS, Programme, ProgrammeVersion
from ledger.rulebook.rankings import moves_of
from ledger.rulebook.schema import ProgrammeTables
from ledger.wire.entries import (
    Change,
    Confirmed,
    CounterAdded,
    Earned,
    Entry,
    Expired,
    FirstSeen,
    HistoryPruned,
    IdleEnded,
    IdleMoved,
    Multiplied,
    Released,
    Repaid,
    Resettled,
    Scored,
    TermAnchored,
    TermEnded,
    TermOpened,
    TierGrantEnded,
    TierHeld,
    TierHoldEnded,
    TierMoved,
    Waiting,
    Withheld,
)
from ledger.wire.fact_catalogue import REACHED
from ledger.wire.times import Zone, day_of, day_text, month_of, month_text
from projections.answers.shops import without_shop
from projections.answers.tables import AccountTable, Column, Row, Table
from projections.ticking import Progress

Key = tuple[Any, ...]  # text and integers
Amounts = list[int]
Keys = TypeVar("Keys", bound=Hashable)


class SumTable(NamedTuple):
    """A table: the columns of its key (of type text or integer) and the integers that are summed under it."""

    name: str
    key: tuple[Column, ...]
    amounts: tuple[str, ...]


class RowDeltas:
    """Amounts to be added to tables, summed by key."""

    def __init__(self, tables: tuple[SumTable, ...]) -> None:
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


def summed(rows: Iterable[tuple[Keys, Amounts]]) -> dict[Keys, Amounts]:
    """Return the amounts of rows, added up under each key."""
    found: dict[Keys, Amounts] = {}
    for key, amounts in rows:
        row = found.get(key)
        found[key] = list(amounts) if row is None else [a + b for a, b in zip(row, amounts, strict=True)]
    return found


def over_shops(rows: Mapping[Key, Amounts]) -> dict[Key, Amounts]:
    """Return rows whose key begins with a kind of points, each kind that is kept for each shop as one over them all."""
    return dict(sorted(summed(((without_shop(key[0]), *key[1:]), amounts) for key, amounts in rows.items()).items()))


def day_at(instant: int, zone: Zone) -> str:
    """Return the local day of an instant as ``YYYY-MM-DD``; `zone` is the book's."""
    return day_text(day_of(instant, zone))


def month_at(instant: int, zone: Zone) -> str:
    """Return the local month of an instant as ``YYYY-MM``."""
    return month_text(month_of(instant, zone))


def rows_by_key(rows: dict[Key, Amounts]) -> Iterator[tuple[Key, Amounts]]:
    """Rows in the order of their keys, without those that came to nothing."""
    return ((key, rows[key]) for key in sorted(rows) if any(rows[key]))


def merged(rows: dict[Key, Amounts], more: dict[Key, Amounts]) -> dict[Key, Amounts]:
    """Return the sum of both in the order of their keys, without rows that came to nothing."""
    return dict(rows_by_key(summed(chain(rows.items(), more.items()))))


class StateWithAccount(Struct, array_like=True):
    """A member's state that has the account, and more."""

    account: Account = field(default_factory=Account)


@dataclass(slots=True)
class MemberState:
    """A member in a view: the last entry that was folded (instants in microseconds since 1970 UTC), the view's state.

    Where the view counts: the rows that the member counts for now, encoded, and the instant at which time changes them.
    """

    member: str
    number: int
    clock: int
    recorded: int
    state: Any
    counted: bytes = b""
    due: int = NEVER


class Known(NamedTuple):
    """A member at an instant, with the member's rows of each table whose key begins with the member."""

    subject: MemberState
    rows: dict[str, dict[Key, Amounts]]


@dataclass(slots=True)
class FoldStep:
    """What a fold is given: one entry of a member, or time itself (`entry` None), and the member before it."""

    book: Programme
    subject: MemberState
    entry: Entry | None = None
    at: int = 0  # of the change: the last instant before what fell due, or else the member's clock
    _rises: bool | None = None

    @property
    def rises(self) -> bool:
        """Return what `rises_by_time` says of the book, which is asked once."""
        if self._rises is None:
            self._rises = rises_by_time(self.book)
        return self._rises

    @property
    def member(self) -> str:
        """The token of the member."""
        return self.subject.member


@dataclass(frozen=True)
class Options:
    """What a query may be asked for beside the instant; each query says which of them it knows."""

    month: str | None = None
    days: int | None = None
    score: str | None = None
    by_shop: bool | None = None


@dataclass(frozen=True)
class Standing:
    """Where a build stands beside the journals: entries folded by partition, and how many there are more."""

    version: int
    positions: dict[int, int]
    behind: int


@dataclass(frozen=True)
class Snapshot(ABC):
    """What a query reads: a view at an instant, in microseconds since 1970 UTC (`projections.views.snapshot`).

    `standing` is None where entries were folded and no build was read.
    """

    view: "View"
    ledger: Ledger
    as_of: int
    standing: Standing | None

    @property
    def book(self) -> Programme:
        """The ledger's rule book, for what is about no member."""
        return self.ledger.book

    def book_of(self, member: str) -> Programme:
        """Return the rule book that decides about a member."""
        return self.ledger.book_of(member)

    def version_of(self, member: str) -> ProgrammeVersion:
        """Return the version of the member's rule book that holds at the instant."""
        return self.book_of(member).nearest(self.as_of)

    @property
    def programme(self) -> ProgrammeTables:
        """The version of the book that holds at the instant."""
        return self.book.nearest(self.as_of).programme

    @property
    def today(self) -> str:
        """The day of the instant in the ledger's zone."""
        return day_at(self.as_of, self.book.offset)

    def table(self, columns: tuple[Column, ...], rows: Iterator[Row]) -> Table:
        """A table of the ledger's zone."""
        return Table(columns, rows, self.book.offset)

    def by_member(self, columns: tuple[Column, ...], rows: Callable[[Known], Iterable[Row]]) -> Table:
        """A table of what each member has, in order of the members."""
        return self.table(columns, (row for known in self.members() for row in rows(known)))

    @abstractmethod
    def members(self) -> Iterator[Known]:
        """Every member with an entry by then, in order; only tables whose key begins with the member have rows."""

    @abstractmethod
    def sums(self, table: str, until: Callable[[MemberState], int] | None = None) -> dict[Key, Amounts]:
        """A whole table with what time takes by the end of the instant's day, as far as that is past, in order of keys.

        `until` says another instant by member, none later. What ends with an instant stands in it, as it does where a
        later entry says so. Tables that are read whole have to be small: they are by day and kind, never by member.
        """

    @abstractmethod
    def counted(self, tick: Progress = ...) -> dict[str, dict[Key, Amounts]]:
        """Return every table of a view that counts. `tick` gets how many members something fell due for since."""


@dataclass(frozen=True)
class Query:
    """A question that a view answers: `rows` makes the table from a snapshot of it.

    `keys` are the columns that stay where the table is summed by what is known of the members (``--by``); with none it
    is not.
    """

    name: str
    about: str
    rows: Callable[[Snapshot, Options], Table]
    options: frozenset[str] = frozenset()
    is_by_member: bool = True
    keys: tuple[str, ...] = ()


def of_accounts(table: AccountTable) -> Callable[[Snapshot, Options], Table]:
    """Return what a query says that makes an export's table from the accounts that are the members' states."""

    def made(taken: Snapshot, _: Options) -> Table:
        version = taken.book.nearest(taken.as_of)
        return taken.by_member(
            table.columns(version),
            lambda known: table.rows(
                taken.version_of(known.subject.member), taken.as_of, known.subject.member, known.subject.state
            ),
        )

    return made


class View:
    """A view; the class says what is kept and an instance has no state of its own. Raise `version` with any change."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    about: ClassVar[str]
    tables: ClassVar[tuple[SumTable, ...]] = ()
    changes: ClassVar[frozenset[type[Any]]] = frozenset()  # that the fold looks at; others are not even decoded
    needs_fact: ClassVar[bool] = False  # whether the fold reads `entry.fact`
    state: ClassVar[type[Struct] | None] = None  # of a member, empty where it is made without arguments
    counts: ClassVar[bool] = False  # whether `count` says what each member adds to the tables
    is_for_sql: ClassVar[bool] = False  # kept where others read it by SQL, or where it is named
    folds_time: ClassVar[bool] = False  # of a view that counts: whether what time did since is folded by `change` too
    queries: ClassVar[tuple[Query, ...]]
    made_by: tuple[Callable[..., "View"], tuple[Any, ...]] | None = None  # where the class itself cannot be imported

    def __reduce__(self) -> tuple[Callable[..., "View"], tuple[Any, ...]]:
        """How another process makes it."""
        return self.made_by or (type(self), ())

    def entry(self, step: FoldStep, rows: RowDeltas) -> None:
        """Fold an entry, before its changes."""

    def change(self, step: FoldStep, change: Change, rows: RowDeltas) -> None:
        """Fold one change, before it is applied to the state."""

    def evolve(self, state: Any, change: Change) -> None:
        """Apply one change to a member's state: to the account in it, where there is one."""
        if (account := self.account(state)) is not None:
            evolve(account, change)

    def account(self, state: Any) -> Account | None:
        """Return the account by which things fall due: the state or what it has. None where time changes nothing."""
        # By the order of classes: where the answer is no, `isinstance` of a struct's class takes three times as long.
        found = state.account if StateWithAccount in type(state).__mro__ else state
        return found if Account in type(found).__mro__ else None

    def count(self, account: Account, instant: int, book: Programme, rows: RowDeltas) -> None:
        """Add what a member counts for at an instant that the account was run to."""

    def count_member(
        self, subject: MemberState, account: Account, instant: int, book: Programme, rows: RowDeltas
    ) -> None:
        """As `count`, for a view that has to know whose account it is, or more of the state than that."""
        self.count(account, instant, book, rows)

    def next_count(self, account: Account, book: Programme) -> int:
        """Return when the member may count for something else though nothing falls due; `NEVER` where it does not."""
        return NEVER


def fold_entry(view: View, step: FoldStep, rows: RowDeltas) -> None:
    """Fold the entry of a step into rows and into the member's state."""
    subject, entry = step.subject, step.entry
    assert entry is not None
    view.entry(step, rows)
    wanted, evolve_state, state = view.changes, view.evolve, subject.state
    fold = view.change if type(view).change is not View.change else None  # several views only keep a state
    if wanted:
        by_time = True
        for change in entry.changes:
            kind = type(change)
            if by_time:
                dates = BY_TIME.get(kind)
                by_time = dates is not None and dates(view, step, change)
                if not by_time:
                    step.at = entry.clock
            if kind in wanted:
                if fold is not None:
                    fold(step, change, rows)
                evolve_state(state, change)
    subject.number, subject.clock, subject.recorded = entry.number, entry.clock, entry.recorded
    account = state if type(state) is Account else view.account(state)
    if account is not None:
        account.number, account.clock = entry.number, entry.clock
        entry_is_over(account)
        if account.next_due_at <= entry.clock or step.rises:
            account.next_due_at = next_change(account, step.book)


def rises_by_time(book: Programme) -> bool:
    """Return True if time alone may raise a tier, and a rule gives points for it."""
    return any(
        version.rules_on(REACHED) and not all(ranking.at_once for ranking in version.rankings.values())
        for version in book.versions
    )


def next_change(account: Account, book: Programme) -> int:
    """Return the instant at which something next falls due, or at which what a score holds begins to count."""
    due = next_due(account)
    if rises_by_time(book):
        for version in book.versions:
            rankings = [(r, account.sums.get(r.name, {})) for r in version.rankings.values() if not r.at_once]
            begins = (moves_of(ranking, bucket, version.offset)[0] for ranking, sums in rankings for bucket in sums)
            due = min((at for at in begins if account.clock < at < due), default=due)
    return due


# -- the instant of what time did ------------------------------------------------------------------------------------
#
# Each sets the instant of a change at the head of an entry, and returns whether time made it before the decision.
# Nothing can be dated behind the entry before.


def _undated(view: View, step: FoldStep, change: Any) -> bool:
    return True


def _at_its_end(view: View, step: FoldStep, change: Expired) -> bool:
    step.at = max(change.due_at - 1, step.subject.clock)
    return True


def _at_its_release(view: View, step: FoldStep, change: Released) -> bool:
    """Points that a hold gave back repay debt at the instant it ended."""
    if change.due_at == 0:
        return False
    step.at = max(change.due_at - 1, step.subject.clock)
    return True


def _before_its_instant(view: View, step: FoldStep, change: IdleEnded) -> bool:
    step.at = max(change.at - 1, step.subject.clock)
    return True


def _at_its_instant(view: View, step: FoldStep, change: Any) -> bool:
    step.at = max(change.at, step.subject.clock)
    return True


def _at_its_opening(view: View, step: FoldStep, change: Confirmed) -> bool:
    account = view.account(step.subject.state)
    lot = account.purse(change.kind).lots.get(change.lot) if account is not None else None
    if lot is None or lot.waits != OPENS:
        return False
    step.at = max(lot.pending_until, step.subject.clock)
    return True


def _of_a_deduction(view: View, step: FoldStep, change: Scored) -> bool:
    return change.rule == DEDUCTION


def _for_a_tier(view: View, step: FoldStep, change: Earned) -> bool:
    """Only for a tier that is reached time gives points."""
    rules = (version.rules.get(change.rule) for version in step.book.versions)
    if not any(rule is not None and rule.award.on == REACHED for rule in rules):
        return False
    step.at = max(change.earned_at, step.subject.clock)
    return True


# What time does to an account, at the head of an entry, and what goes with it; behind any other change stands the
# decision. Time gives points, too: those that wait for their instant, and those of a tier that is reached.
BY_TIME: dict[type[Any], Callable[[View, FoldStep, Any], bool]] = {
    **dict.fromkeys((Repaid, HistoryPruned, CounterAdded, FirstSeen, Multiplied, Withheld, Waiting), _undated),
    **dict.fromkeys((IdleMoved, TermOpened, TermAnchored, Resettled), _undated),
    **dict.fromkeys((TermEnded, TierMoved, TierHeld, TierHoldEnded, TierGrantEnded), _at_its_instant),
    Expired: _at_its_end,
    Released: _at_its_release,
    IdleEnded: _before_its_instant,
    Confirmed: _at_its_opening,
    Scored: _of_a_deduction,
    Earned: _for_a_tier,
}


def pass_time(view: View, step: FoldStep, until: int, rows: RowDeltas) -> None:
    """Fold what falls due up to an instant, without an entry; the state is then that of the instant."""
    subject = step.subject
    account = view.account(subject.state)
    if account is None or account.next_due_at > until or until <= subject.clock:
        return
    fold_time(view, step, run_to(copy_account(account), step.book, until, PagesInMemory()), rows)
    account.clock = until
    account.next_due_at = next_change(account, step.book)


def fold_time(view: View, step: FoldStep, changes: Iterable[Change], rows: RowDeltas) -> None:
    """Fold changes that time alone made into rows and into the member's state."""
    step.entry, step.at = None, step.subject.clock
    for change in changes:
        BY_TIME.get(type(change), _undated)(view, step, change)
        if type(change) in view.changes:
            view.change(step, change, rows)
            view.evolve(step.subject.state, change)


def copied_state(state: Any) -> Any:
    """Return a member's state whose account is a copy: what is folded into it leaves the first as it is."""
    if isinstance(state, StateWithAccount):
        return replace(state, account=copy_account(state.account))
    return copy_account(state)


def new_member(view: View, member: str) -> MemberState:
    """Return a member before the first entry."""
    return MemberState(member, 0, 0, 0, view.state() if view.state is not None else None)


def due_of(view: View, subject: MemberState) -> int:
    """Return the instant before which time alone changes nothing for a member."""
    if view.counts:
        return subject.due
    account = view.account(subject.state)
    return NEVER if account is None else account.next_due_at
