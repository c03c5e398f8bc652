"""What a draft rule book would have done: every fact of the ledger decided again under it, beside what was decided.

Both sides are read at the same instant: the accounts that are, and those that would be. Members never touch each
other, so the history streams member by member, and memory does not grow with the number of facts.
"""

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ledger.core.account import Account
from ledger.core.decide import run_to
from ledger.core.evolve import evolve_entry
from ledger.core.pages import PagesInMemory
from ledger.core.postings import IN_AND_OUT, MOVES, growth, postings_of
from ledger.core.scores import tier_of, value_of
from ledger.journal.accounts_at import members_of
from ledger.journal.ledger import Ledger
from ledger.journal.partition_map import partition_map
from ledger.journal.port import EntryRow
from ledger.rulebook.compiled import Book
from ledger.wire.entries import OUTCOMES, Change, Earned, Expired
from ledger.wire.entry_codec import decode_entry
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.times import month_text, to_text
from projections.audit.derive import Unreadable, derive
from projections.views.builtin.books import FIGURES, figures_of
from projections.what_if.reports import Answer, ChangedAnswer, Draft, Month, Move, Moves, Pair, Report, Rule, Tiers

LARGEST = 10  # members listed on either side
TICK_EVERY = 2_000  # entries
FLOW = growth({figure: figure for figure in IN_AND_OUT})

Progress = Callable[[int], None]


def draft_book(ledger: Ledger, toml: str, where: str, since: int | None = None) -> Book:
    """Return the ledger's book with a draft that decides from an instant on, or (None) whatever the ledger ever saw.

    Raises `BadProgramme`, also where the ledger's accounts have something that the draft lacks.
    """
    book = Book([version.toml for version in ledger.book.versions])
    draft = book.add(toml, where)
    draft.since = 0 if since is None else since
    book.versions = [*(v for v in book.versions if v is not draft and v.since < draft.since), draft]
    return book


def backtest(
    ledger: Ledger,
    toml: str,
    where: str,
    as_of: int,
    *,
    since: int | None = None,
    jobs: int = 1,
    progress: Progress = lambda _: None,
) -> Report:
    """Return the whole comparison; docs/backtest.md has each field. Raises `BadProgramme`, `JournalError`."""
    started = time.monotonic()
    draft = draft_book(ledger, toml, where, since)
    sums = _Sums()
    for part in partition_map(ledger, jobs, backtest_partition, toml, where, as_of, since):
        if isinstance(part, int):
            sums.entries += part
            progress(sums.entries)
        else:
            sums.add(part)
    version = draft.versions[-1]
    offset = ledger.book.offset
    return Report(
        Draft(where, version.name, version.programme.from_.isoformat()),
        None if since is None else to_text(since, offset),
        to_text(as_of, offset),
        sums.entries,
        sums.members,
        sums.unreadable,
        _points(sums),
        _months(sums, ledger.book),
        _rules(sums),
        _outcomes(sums),
        {kind: moves.described(sums.members) for kind, moves in sorted(sums.moves.items())},
        _tiers(sums, ledger.book, draft, as_of),
        round(time.monotonic() - started, 3),
    )


# -- one partition ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Side:
    """What one rule book brought: final figures by kind, flows by kind and month, points issued by kind and rule."""

    figures: Counter[tuple[str, str]] = field(default_factory=Counter)
    flows: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)

    def see(self, changes: Iterable[Change], book: Book, occurred: int, clock: int) -> None:
        """Count the changes of one entry; `occurred` is its fact's."""
        for change in changes:
            if type(change) not in MOVES:
                continue
            at = change.due_at if isinstance(change, Expired) else occurred if isinstance(change, Earned) else clock
            for posting in postings_of(change, None):
                for flow, sign in FLOW[posting.source, posting.destination]:
                    self.flows[posting.kind, _month(book, at), flow] += sign * posting.points
            if isinstance(change, Earned):
                self.rules[change.kind, change.rule] += change.points

    def end(self, account: Account) -> None:
        """Count a member's account as it stands at the instant asked for."""
        for kind, purse in account.purses.items():
            for name, figure in zip(FIGURES, figures_of(purse), strict=True):
                self.figures[kind, name] += figure

    def add(self, other: "_Side") -> None:
        """Count what another counted."""
        self.figures.update(other.figures)
        self.flows.update(other.flows)
        self.rules.update(other.rules)


_Move = tuple[int, str, int, int]  # how much, the member, actual, draft


@dataclass(slots=True)
class _Moves:
    """How members of a kind fare: gains and losses of what each has or has spent, less debt."""

    sums: Counter[str] = field(default_factory=Counter)
    largest_gains: list[_Move] = field(default_factory=list)
    largest_losses: list[_Move] = field(default_factory=list)

    def see(self, member: str, actual: int, draft: int) -> None:
        """Count a member."""
        difference = draft - actual
        if difference > 0:
            self.sums.update(gain=1, gained=difference)
            self.largest_gains.append((difference, member, actual, draft))
        elif difference:
            self.sums.update(lose=1, lost=-difference)
            self.largest_losses.append((-difference, member, actual, draft))

    def add(self, other: "_Moves") -> None:
        """Count what another counted."""
        self.sums.update(other.sums)
        self.largest_gains = _largest(self.largest_gains, other.largest_gains)
        self.largest_losses = _largest(self.largest_losses, other.largest_losses)

    def described(self, members: int) -> Moves:
        """Return the moves, the largest first; `members` is how many there are in all."""

        def listed(found: list[_Move]) -> list[Move]:
            return [
                Move(actual, draft, draft - actual, member=member)
                for _, member, actual, draft in sorted(found, key=lambda move: (-move[0], move[1]))
            ]

        gain, lose = self.sums["gain"], self.sums["lose"]
        largest = listed(self.largest_gains), listed(self.largest_losses)
        return Moves(gain, lose, members - gain - lose, self.sums["gained"], self.sums["lost"], *largest)


def _largest(some: list[_Move], more: list[_Move]) -> list[_Move]:
    """Return the largest moves of both."""
    return heapq.nlargest(LARGEST, [*some, *more]) if more else some


_Answer = tuple[int, str]  # outcome and reason


@dataclass(slots=True)
class _Sums:
    """All that was compared so far."""

    actual: _Side = field(default_factory=_Side)
    draft: _Side = field(default_factory=_Side)
    answers: Counter[tuple[_Answer, _Answer]] = field(default_factory=Counter)  # that differ
    moves: dict[str, _Moves] = field(default_factory=dict)
    tiers: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # score, tier that is, tier that would be
    entries: int = 0
    members: int = 0
    unreadable: int = 0

    def add(self, other: "_Sums") -> None:
        """Count what another compared."""
        self.actual.add(other.actual)
        self.draft.add(other.draft)
        self.answers.update(other.answers)
        self.tiers.update(other.tiers)
        for kind, moves in other.moves.items():
            self.moves.setdefault(kind, _Moves()).add(moves)
        self.entries += other.entries
        self.members += other.members
        self.unreadable += other.unreadable


def backtest_partition(
    ledger: Ledger, partition: int, toml: str, where: str, as_of: int, since: int | None
) -> Iterator[int | _Sums]:
    """Compare one partition: counts of entries as they are done, then the sums (whose own count is 0)."""
    draft = draft_book(ledger, toml, where, since)
    sums = _Sums()
    done = 0
    for member, rows in members_of(ledger.journal(partition).scan_by_member()):
        if member == PROGRAMME_SUBJECT:
            continue
        one = _member(ledger, partition, member, rows, draft, as_of)
        done += one.entries
        one.entries = 0
        sums.add(one)
        if done >= TICK_EVERY:
            yield done
            done = 0
    yield done
    yield sums


def _member(ledger: Ledger, partition: int, member: str, rows: Iterator[EntryRow], draft: Book, as_of: int) -> _Sums:
    """Return one member decided again; facts whose clock lies behind `as_of` are left out on both sides."""
    book = ledger.book
    sums, is_account, would_be = _Sums(), Account(), Account()
    for found in derive(ledger.journal(partition), member, rows, lambda _: draft, ledger.limits, as_of):
        sums.entries += 1
        if isinstance(found, Unreadable):
            sums.unreadable += 1
            continue
        entry, decision = decode_entry(found.row.state), found.decision
        evolve_entry(is_account, entry)
        would_be = found.account
        sums.actual.see(entry.changes, book, found.occurred, entry.clock)
        sums.draft.see(decision.changes, book, found.occurred, decision.clock)
        was, would = (entry.outcome, entry.reason), (decision.outcome, decision.reason)
        if was != would:
            sums.answers[was, would] += 1
    if is_account.number:
        _end(sums, member, (is_account, book), (would_be, draft), as_of)
    return sums


def _end(sums: _Sums, member: str, actual: tuple[Account, Book], draft: tuple[Account, Book], as_of: int) -> None:
    """Both accounts of a member at the instant asked for."""
    sums.members = 1
    for side, (account, book) in ((sums.actual, actual), (sums.draft, draft)):
        side.see(run_to(account, book, as_of, PagesInMemory()), book, as_of, as_of)
        side.end(account)
    for kind in actual[0].purses.keys() | draft[0].purses.keys():
        moves = sums.moves[kind] = _Moves()
        moves.see(member, _worth(actual[0], kind), _worth(draft[0], kind))
    for score in actual[1].nearest(as_of).programme.scores:
        sums.tiers[score, _tier(actual, score, as_of), _tier(draft, score, as_of)] += 1


def _worth(account: Account, kind: str) -> int:
    """Return what a member has or has spent, less what is owed."""
    purse = account.purse(kind)
    return purse.spendable() + purse.pending() + purse.held() + purse.redeemed - purse.debt


def _tier(side: tuple[Account, Book], score: str, as_of: int) -> str:
    account, book = side
    version = book.nearest(as_of)
    rules = version.programme.scores[score]
    return tier_of(rules, value_of(account, score, rules, version.month(as_of)))


def _month(book: Book, instant: int) -> int:
    return book.versions[0].month(instant)


# -- the report ------------------------------------------------------------------------------------------------------


def _pair(actual: int, draft: int) -> Pair:
    return Pair(actual, draft, draft - actual)


def _points(sums: _Sums) -> dict[str, dict[str, Pair]]:
    kinds = sorted({kind for side in (sums.actual, sums.draft) for kind, _ in side.figures})
    found: dict[str, dict[str, Pair]] = {}
    for kind in kinds:
        actual, draft = ({name: side.figures[kind, name] for name in FIGURES} for side in (sums.actual, sums.draft))
        for figures in (actual, draft):
            figures["outstanding"] = figures["spendable"] + figures["pending"] + figures["held"]
        found[kind] = {name: _pair(actual[name], draft[name]) for name in actual}
    return found


def _months(sums: _Sums, book: Book) -> list[Month]:
    """Return flows by month, and what the difference in points issued is worth."""
    kinds = book.versions[-1].programme.kinds
    found = []
    for kind, month in sorted({(kind, month) for side in (sums.actual, sums.draft) for kind, month, _ in side.flows}):
        issued, redeemed, expired, clawed_back = (
            _pair(sums.actual.flows[kind, month, flow], sums.draft.flows[kind, month, flow])
            for flow in ("issued", "redeemed", "expired", "clawed_back")
        )
        cost = issued.difference * (kinds[kind].fen if kind in kinds else 0)
        found.append(Month(kind, month_text(month), issued, redeemed, expired, clawed_back, cost))
    return found


def _rules(sums: _Sums) -> list[Rule]:
    found = []
    for kind, rule in sorted(sums.actual.rules.keys() | sums.draft.rules.keys()):
        actual, draft = sums.actual.rules[kind, rule], sums.draft.rules[kind, rule]
        found.append(Rule(actual, draft, draft - actual, kind=kind, rule=rule))
    return found


def _outcomes(sums: _Sums) -> list[ChangedAnswer]:
    return [
        ChangedAnswer(Answer(OUTCOMES[was[0]], was[1]), Answer(OUTCOMES[would[0]], would[1]), facts)
        for (was, would), facts in sums.answers.most_common()
    ]


def _tiers(sums: _Sums, book: Book, draft: Book, as_of: int) -> dict[str, Tiers]:
    """Return by score the tiers from the lowest, and how many members of each (rows) would be in each (columns)."""
    found: dict[str, Tiers] = {}
    new = draft.nearest(as_of).programme.scores
    for score, rules in book.nearest(as_of).programme.scores.items():
        least = {"": -(1 << 62), **{tier.name: tier.at_least for tier in (*rules.tiers, *new[score].tiers)}}
        names = sorted(least, key=lambda name: least[name])
        matrix = [[sums.tiers[score, was, would] for would in names] for was in names]
        moves = [(column - row, count) for row, line in enumerate(matrix) for column, count in enumerate(line)]
        up = sum(count for steps, count in moves if steps > 0)
        down = sum(count for steps, count in moves if steps < 0)
        found[score] = Tiers(names, matrix, up, down, sum(count for steps, count in moves if not steps))
    return found
