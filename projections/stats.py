"""The books of a ledger at an instant: each kind's figures over all members, and whether they balance.

issued = spendable + pending + held + redeemed + expired + clawed back, with debt on its own line. What a `clamp` wrote
off was never there to take, so it stands outside the sum, as a shortfall paid in cash does.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ledger.account import Account, evolve_entry
from ledger.cards import current_term
from ledger.decide import run_to
from ledger.entries import OUTCOMES, decode_entry
from ledger.facts import PROGRAMME_SUBJECT
from ledger.journal.ledger import Ledger, members_of
from ledger.pages import PagesInMemory
from ledger.rules import Book
from ledger.times import to_text
from projections.show import state_of

FIGURES = (
    "issued",
    "spendable",
    "pending",
    "held",
    "redeemed",
    "expired",
    "clawed_back",
    "written_off",
    "debt",
    "cash_shortfall_fen",
)
IN_THE_SUM = ("spendable", "pending", "held", "redeemed", "expired", "clawed_back")
TICK_EVERY = 2_000  # entries


@dataclass
class _Books:
    """What was summed so far."""

    points: dict[str, dict[str, int]]
    members: int = 0
    frozen: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    memberships: Counter[tuple[str, str]] = field(default_factory=Counter)
    entries: int = 0

    def add(self, account: Account, as_of: int) -> None:
        """Add a member."""
        self.members += 1
        self.frozen += account.frozen
        for kind, purse in account.purses.items():
            sums = self.points.setdefault(kind, dict.fromkeys(FIGURES, 0))
            for name in FIGURES:
                figure = getattr(purse, name)
                sums[name] += figure() if callable(figure) else figure
        for membership in account.terms:
            term = current_term(account, membership, as_of)
            if term is not None:
                self.memberships[membership, state_of(term, as_of)] += 1


def stats(
    ledger: Ledger, as_of: int, progress: Callable[[int], None] = lambda _: None, *, known_at: int | None = None
) -> dict[str, Any]:
    """The contract's JSON: figures by kind, members, entries by outcome, facts parked. `progress` hears of entries.

    With `known_at` only what was recorded by that instant counts.
    """
    book = ledger.book_known_at(known_at)
    books = _Books({kind: dict.fromkeys(FIGURES, 0) for kind in book.nearest(as_of).programme.kinds})
    parked: Counter[str] = Counter()
    for partition in ledger.partitions:
        _add_partition(books, ledger, book, partition, as_of, known_at, progress)
        parked.update(ledger.journal(partition).parked_reasons(as_of if known_at is None else min(as_of, known_at)))
    points = {
        kind: {**sums, "balanced": sums["issued"] == sum(sums[name] for name in IN_THE_SUM)}
        for kind, sums in books.points.items()
    }
    return {
        "as_of": to_text(as_of, book.offset),
        "members": books.members,
        "frozen": books.frozen,
        "entries": {outcome: books.outcomes[outcome] for outcome in OUTCOMES},
        "reasons": {
            outcome: {reason: n for (of, reason), n in books.reasons.most_common() if of == outcome}
            for outcome in OUTCOMES
        },
        "parked": parked.total(),
        "parked_reasons": dict(parked.most_common()),
        "memberships": _by_membership(books.memberships),
        "points": points,
        "balanced": all(figures["balanced"] for figures in points.values()),
    }


def _by_membership(counted: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (membership, _), _ in sorted(counted.items()):
        found[membership] = {state: counted[membership, state] for state in ("active", "trial", "ended")}
    return found


def _add_partition(
    books: _Books,
    ledger: Ledger,
    book: Book,
    partition: int,
    as_of: int,
    known_at: int | None,
    progress: Callable[[int], None],
) -> None:
    counts_programme = ledger.partition_of(PROGRAMME_SUBJECT) == partition  # a published book counts once
    for member, rows in members_of(ledger.journal(partition).scan_by_member()):
        is_programme = member == PROGRAMME_SUBJECT
        if is_programme and not counts_programme:
            continue
        account = Account()
        for row in rows:
            entry = decode_entry(row.state)
            if entry.clock > as_of or (known_at is not None and entry.recorded > known_at):
                break
            evolve_entry(account, entry)
            outcome = OUTCOMES[entry.outcome]
            books.outcomes[outcome] += 1
            if entry.reason:
                books.reasons[outcome, entry.reason] += 1
            books.entries += 1
            if not books.entries % TICK_EVERY:
                progress(books.entries)
        if account.number and not is_programme:
            run_to(account, book, as_of, PagesInMemory())
            books.add(account, as_of)
    progress(books.entries)
