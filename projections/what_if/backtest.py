"""What a draft rule book would have done: every fact of the ledger decided again under it, beside what was decided.

Both sides are read at the same instant: the accounts that are, and those that would be. Members never touch each
other, so the history streams member by member, and memory does not grow with the number of facts.
"""

import heapq
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ledger.core.account import Account, decode_account
from ledger.core.decide import Decision, run_to
from ledger.core.evolve import evolve_entry
from ledger.core.pages import OpenAsksPage, PagesInMemory
from ledger.core.postings import FORFEITED, IN_AND_OUT, IN_TRANSIT, MOVES, growth, postings_of
from ledger.core.standing import tier_now
from ledger.journal.engines import native_module
from ledger.journal.ledger import Ledger
from ledger.journal.partition_map import Jobs, partition_map
from ledger.journal.port import EntryRow
from ledger.rulebook.compiled import STORED, Programme, ProgrammeVersion
from ledger.rulebook.plain import plain_version
from ledger.rulebook.union import Part
from ledger.wire.entries import OUTCOMES, Change, Earned, Entry, Expired
from ledger.wire.entry_codec import decode_entry
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.times import month_text, to_text
from projections.answers.members import is_alias
from projections.answers.shops import ShopScores, without_shop
from projections.audit.derive import Unreadable, derive
from projections.ticking import Progress
from projections.views.builtin.books import FIGURES, figures_of
from projections.views.builtin.liability import outstanding_of
from projections.what_if.reports import Answer, ChangedAnswer, Draft, Month, Move, Moves, Pair, Report, Rule, Tiers

LARGEST = 10  # members listed on either side
TICK_EVERY = 2_000  # entries
FLOW = growth({figure: figure for figure in IN_AND_OUT})


def drafted(book: Programme, parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the books that a draft is of: those given, beside the others of a ledger that has theirs among several."""
    held = {part.tables.programme for part in book.versions[-1].parts}
    is_one_of_several = len(held) > 1 and any(part.tables.programme in held for part in parts)
    return book.beside(parts) if is_one_of_several else tuple(parts)


def draft_book(held: Programme, toml: str, where: str, since: int | None = None) -> Programme:
    """Return a ledger's book with a draft that decides from an instant on, or (None) whatever the ledger ever saw.

    Raises `BadProgramme`, also where the ledger's accounts have something that the draft lacks.
    """
    book = Programme([version.toml for version in held.by_name.values()], engine=STORED)
    draft = book.add(toml, where)
    draft.since = 0 if since is None else since
    book.versions = [*(v for v in book.versions if v.name != draft.name and v.since < draft.since), draft]
    return book


def backtest(
    ledger: Ledger,
    toml: str,
    where: str,
    as_of: int,
    *,
    since: int | None = None,
    jobs: Jobs = 1,
    progress: Progress = lambda _: None,
) -> Report:
    """Return the whole comparison; docs/backtest.md has each field. Raises `BadProgramme`, `JournalError`."""
    started = time.monotonic()
    draft = draft_book(ledger.book, toml, where, since)
    sums = _Sums()
    for part in partition_map(ledger, jobs, backtest_partition, toml, where, as_of, since):
        if isinstance(part, int):
            sums.counts["entries"] += part
            progress(sums.counts["entries"])
        else:
            sums.add(part)
    version = draft.versions[-1]
    offset = ledger.book.offset
    return Report(
        Draft(where, version.name, version.programme.from_.isoformat()),
        None if since is None else to_text(since, offset),
        to_text(as_of, offset),
        sums.counts["entries"],
        sums.counts["members"],
        sums.counts["unreadable"],
        _points(sums),
        _months(sums, ledger.book),
        _rules(sums),
        _outcomes(sums),
        {kind: _moves(sums, kind) for kind in sorted({kind for _, kind, _ in sums.figures})},
        _tiers(sums, ledger.book, draft, as_of),
        round(time.monotonic() - started, 3),
        unanswered=sums.counts["unanswered"],
    )


# -- one partition ---------------------------------------------------------------------------------------------------


_Answer = tuple[int, str]  # outcome and reason
_Move = tuple[int, str, int, int]  # how much, the member, actual, draft
ACTUAL, DRAFT = range(2)  # a side: what is, and what would be


@dataclass(slots=True)
class _Sums:
    """All that was compared so far; a key of figures, flows and rules begins with the side."""

    counts: Counter[str] = field(default_factory=Counter)  # of entries, members, unreadable, unanswered
    figures: Counter[tuple[int, str, str]] = field(default_factory=Counter)  # final ones, by kind and name
    flows: Counter[tuple[int, str, int, str]] = field(default_factory=Counter)  # by kind, month and figure
    rules: Counter[tuple[int, str, str]] = field(default_factory=Counter)  # points issued, by kind and rule
    answers: Counter[tuple[_Answer, _Answer]] = field(default_factory=Counter)  # that differ
    tiers: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # score, tier that is, tier that would be
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind: members who gain or lose, and points
    largest: dict[tuple[str, bool], list[_Move]] = field(default_factory=dict)  # by kind, and whether it is a gain

    def see(self, side: int, changes: Iterable[Change], book: Programme, occurred: int, clock: int) -> None:
        """Count the changes of one entry; `occurred` is its fact's."""
        for change in changes:
            if type(change) not in MOVES:
                continue
            at = change.due_at if isinstance(change, Expired) else occurred if isinstance(change, Earned) else clock
            for posting in postings_of(change, None):
                for flow, sign in FLOW[posting.source, posting.destination]:
                    kind = without_shop(posting.kind)
                    self.flows[side, kind, book.versions[0].month(at), flow] += sign * posting.points
            if isinstance(change, Earned):
                self.rules[side, without_shop(change.kind), change.rule] += change.points

    def see_move(self, kind: str, member: str, actual: int, draft: int) -> None:
        """Count how a member fares: what the member has or has spent, less debt."""
        difference = draft - actual
        if difference:
            is_gain = difference > 0
            self.moves[kind, "gain" if is_gain else "lose"] += 1
            self.moves[kind, "gained" if is_gain else "lost"] += abs(difference)
            self.largest[kind, is_gain] = [(abs(difference), member, actual, draft)]

    def add(self, other: "_Sums") -> None:
        """Count what another counted."""
        for name in ("counts", "figures", "flows", "rules", "answers", "tiers", "moves"):
            getattr(self, name).update(getattr(other, name))
        for which, moves in other.largest.items():
            self.largest[which] = heapq.nlargest(LARGEST, [*self.largest.get(which, ()), *moves])


def backtest_partition(
    ledger: Ledger, partition: int, toml: str, where: str, as_of: int, since: int | None
) -> Iterator[int | _Sums]:
    """Compare one partition: counts of entries as they are done, then the sums (whose own count is 0)."""
    book = ledger.books().in_partition(partition)
    draft = draft_book(book, toml, where, since)
    sums = _Sums()
    done = 0
    module, of = native_module(), (ledger, partition, (book, draft), as_of)
    for one in _by_python(*of) if module is None else _by_native(module, *of):
        done += one.counts.pop("entries", 0)
        sums.add(one)
        if done >= TICK_EVERY:
            yield done
            done = 0
    yield done
    yield sums


_Books = tuple[Programme, Programme]  # that which decided, and the draft


class _Member:
    """What was compared of one member so far."""

    def __init__(self, books: _Books) -> None:
        self._books = books
        self.sums = _Sums()
        self._shops = ShopScores(), ShopScores()

    def see(self, entry: Entry, decided: Entry | Decision, occurred: int) -> None:
        """Count an entry, and what the draft decided; `occurred` is their fact's."""
        sums, book = self.sums, self._books[ACTUAL]
        sums.counts["entries"] += 1
        sums.see(ACTUAL, entry.changes, book, occurred, entry.clock)
        sums.see(DRAFT, decided.changes, book, occurred, decided.clock)
        for side, one in enumerate((entry, decided)):
            self._shops[side].begin(entry.fact, one.outcome)
            for change in one.changes:
                self._shops[side].take(change)
        was, would = (entry.outcome, entry.reason), (decided.outcome, decided.reason)
        if was != would:
            sums.answers[was, would] += 1

    def end(self, member: str, actual: Account, would_be: Account, as_of: int) -> _Sums:
        """Count both accounts; return all."""
        if actual.number:
            book, draft = self._books
            _end(self.sums, member, (actual, book), (would_be, draft), as_of)
            _end_at_shops(self.sums, self._shops, book.nearest(as_of), draft.nearest(as_of), as_of)
        return self.sums


def _member(ledger: Ledger, partition: int, member: str, rows: Iterator[EntryRow], books: _Books, as_of: int) -> _Sums:
    """Return one member decided again by the draft.

    Facts whose clock lies behind `as_of` are left out on both sides.
    """
    one, is_account, would_be, pages = _Member(books), Account(), Account(), PagesInMemory()
    for found in derive(ledger.journal(partition), member, rows, lambda _: books[DRAFT], ledger.limits, as_of):
        if isinstance(found, Unreadable):
            one.sums.counts.update(("entries", "unreadable"))
            continue
        entry = decode_entry(found.row.state)
        evolve_entry(is_account, entry)
        would_be, pages = found.account, found.pages
        one.see(entry, found.decision, found.item.occurred)
    asked = (len(page.asks) for page in pages.values() if isinstance(page, OpenAsksPage))
    one.sums.counts["unanswered"] += sum(asked)
    return one.end(member, is_account, would_be, as_of)


def _by_python(ledger: Ledger, partition: int, books: _Books, as_of: int) -> Iterator[_Sums]:
    """Yield each member decided again by Python."""
    for member, rows in ledger.journal(partition).by_member():
        if member != PROGRAMME_SUBJECT:
            yield _member(ledger, partition, member, rows, books, as_of)


def _by_native(module: Any, ledger: Ledger, partition: int, books: _Books, as_of: int) -> Iterator[_Sums]:
    """Yield each member decided again by the native engine; those that it hands back are decided by Python."""
    journal = ledger.journal(partition)
    upto = journal.head().entries
    versions = [plain_version(version) for version in books[DRAFT].versions]
    native = module.Backtest(partition, ledger.limits.request_max_age, as_of, versions)
    begun: dict[str, _Member] = {}  # that have not ended
    for rows in journal.rows_by_member(upto):
        states, ended = native.feed(rows)
        for (_, member, _, state), derived in zip(rows, states, strict=True):
            if derived is not None:
                decided = decode_entry(derived)
                begun.setdefault(member, _Member(books)).see(decode_entry(state), decided, decided.occurred)
        yield from _ended(ledger, partition, books, as_of, begun, ended, upto)
    yield from _ended(ledger, partition, books, as_of, begun, native.finish(), upto)


def _ended(
    ledger: Ledger,
    partition: int,
    books: _Books,
    as_of: int,
    begun: dict[str, _Member],
    ended: Sequence[tuple[str, bytes, bytes, str | None]],
    upto: int,
) -> Iterator[_Sums]:
    """Yield the members whose entries have ended, each with both accounts, or why it is handed back."""
    for member, actual, would_be, why in ended:
        one = begun.pop(member, None)
        if member == PROGRAMME_SUBJECT:
            continue
        if why is not None:
            yield _member(ledger, partition, member, ledger.journal(partition).scan_of(member, upto), books, as_of)
        elif one is not None:
            yield one.end(member, decode_account(actual), decode_account(would_be), as_of)


def _end(
    sums: _Sums, member: str, actual: tuple[Account, Programme], draft: tuple[Account, Programme], as_of: int
) -> None:
    """Both accounts of a member at the instant asked for; another's name is no member, and has no tier."""
    sums.counts["members"] = int(not is_alias(actual[0]))
    for side, (account, book) in enumerate((actual, draft)):
        sums.see(side, run_to(account, book, as_of, PagesInMemory()), book, as_of, as_of)
        for kind, purse in account.purses.items():
            for name, figure in zip(FIGURES, figures_of(purse), strict=True):
                sums.figures[side, without_shop(kind), name] += figure
    if not sums.counts["members"]:
        return
    is_worth, would_be_worth = _worth(actual[0]), _worth(draft[0])
    for kind in is_worth.keys() | would_be_worth.keys():
        sums.see_move(kind, member, is_worth[kind], would_be_worth[kind])
    version = actual[1].nearest(as_of)
    for score in version.programme.scores.keys() - version.keyed_scores:
        sums.tiers[score, _tier(actual, score, as_of), _tier(draft, score, as_of)] += 1


def _end_at_shops(
    sums: _Sums,
    shops: tuple[ShopScores, ShopScores],
    actual: ProgrammeVersion,
    draft: ProgrammeVersion,
    as_of: int,
) -> None:
    """The tiers of a member at the instant asked for, at each shop where a score has begun on either side."""
    versions = actual, draft
    at = [
        {key: score.tier for _, key, score in shops[side].describe(versions[side], as_of)} for side in (ACTUAL, DRAFT)
    ]
    for key in at[ACTUAL].keys() | at[DRAFT].keys():
        name = without_shop(key)
        was, would = (at[side].get(key, versions[side].rankings[name].first_tier) for side in (ACTUAL, DRAFT))
        sums.tiers[name, was, would] += 1


def _worth(account: Account) -> Counter[str]:
    """Return by kind what a member has or has spent, less what is owed; of all shops together."""
    found = Counter[str]()
    for kind, purse in account.purses.items():
        found[without_shop(kind)] += purse.spendable() + purse.pending() + purse.held() + purse.redeemed - purse.debt
    return found


def _tier(side: tuple[Account, Programme], score: str, as_of: int) -> str:
    account, book = side
    version = book.nearest(as_of)
    return tier_now(account, version, score, as_of)


# -- the report ------------------------------------------------------------------------------------------------------


def _pair(actual: int, draft: int) -> Pair:
    return Pair(actual, draft, draft - actual)


def _points(sums: _Sums) -> dict[str, dict[str, Pair]]:
    found: dict[str, dict[str, Pair]] = {}
    for kind in sorted({kind for _, kind, _ in sums.figures}):
        actual, draft = ({name: sums.figures[side, kind, name] for name in FIGURES} for side in (ACTUAL, DRAFT))
        for figures in (actual, draft):
            figures["outstanding"] = outstanding_of(*(figures[name] for name in (*IN_AND_OUT, FORFEITED, IN_TRANSIT)))
        found[kind] = {name: _pair(actual[name], draft[name]) for name in actual}
    return found


def _months(sums: _Sums, book: Programme) -> list[Month]:
    """Return flows by month, and what the difference in points issued is worth."""
    programme = book.versions[-1].programme
    found = []
    for kind, month in sorted({(kind, month) for _, kind, month, _ in sums.flows}):
        issued, redeemed, expired, clawed_back = (
            _pair(*(sums.flows[side, kind, month, flow] for side in (ACTUAL, DRAFT))) for flow in IN_AND_OUT
        )
        cost = issued.difference * programme.fen_of(kind)
        found.append(Month(kind, month_text(month), issued, redeemed, expired, clawed_back, cost))
    return found


def _rules(sums: _Sums) -> list[Rule]:
    found = []
    for kind, rule in sorted({(kind, rule) for _, kind, rule in sums.rules}):
        actual, draft = sums.rules[ACTUAL, kind, rule], sums.rules[DRAFT, kind, rule]
        found.append(Rule(actual, draft, draft - actual, kind=kind, rule=rule))
    return found


def _moves(sums: _Sums, kind: str) -> Moves:
    gain, lose, gained, lost = (sums.moves[kind, what] for what in ("gain", "lose", "gained", "lost"))
    gains, losses = (
        [
            Move(actual, draft, draft - actual, member=member)
            for _, member, actual, draft in sorted(sums.largest.get((kind, is_gain), ()), key=lambda m: (-m[0], m[1]))
        ]
        for is_gain in (True, False)
    )
    return Moves(gain, lose, sums.counts["members"] - gain - lose, gained, lost, gains, losses)


def _outcomes(sums: _Sums) -> list[ChangedAnswer]:
    return [
        ChangedAnswer(Answer(OUTCOMES[was[0]], was[1]), Answer(OUTCOMES[would[0]], would[1]), facts)
        for (was, would), facts in sums.answers.most_common()
    ]


def _tiers(sums: _Sums, book: Programme, draft: Programme, as_of: int) -> dict[str, Tiers]:
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
