"""Memberships with what is left of their quotas, and what a card gave beyond the ordinary rate."""

from collections.abc import Iterator
from typing import Any

from ledger.core.account import current_term
from ledger.core.bundles import OF_SHARES
from ledger.core.decide import run_to
from ledger.core.evaluate import ordinary_points
from ledger.core.pages import PagesInMemory
from ledger.journal.port import Damaged
from ledger.rulebook.compiled import Rule
from ledger.wire.entries import (
    BenefitCounted,
    BenefitGivenBack,
    BenefitUsed,
    CardChange,
    Change,
    CreditSet,
    Earned,
    HistoryPruned,
    Joined,
    TermCame,
    TermLeft,
    TierMoved,
)
from ledger.wire.facts import OrderCompleted
from projections.answers.benefits import draft_at, quotas_alone, quotas_of
from projections.answers.members import decided_fact
from projections.answers.tables import Row, Table, columns, memberships
from projections.views.builtin.scores import OF_SCORES, RankedMember, RankedView
from projections.views.view import FoldStep, Known, Options, Query, RowDeltas, Snapshot, SumTable

TERMS = frozenset((*CardChange.__args__, BenefitUsed, BenefitCounted, BenefitGivenBack, HistoryPruned))
QUOTAS = columns("member membership product benefit quota:integer used:integer left:integer")
SAVINGS = SumTable("savings", columns("member membership card kind"), ("points", "ordinary_points", "lines"))
BENEFITS = SumTable("benefits", columns("member membership card benefit"), ("times",))


def _memberships(taken: Snapshot, _: Options) -> Table:
    version = taken.book.nearest(taken.as_of)
    return taken.by_member(
        memberships.columns(version),
        lambda known: memberships.rows(
            taken.version_of(known.subject.member), taken.as_of, known.subject.member, known.subject.state.account
        ),
    )


def quotas(taken: Snapshot, _: Options) -> Table:
    """What is left of each benefit that is limited for a member: those of running cards, then those that need none."""
    return taken.by_member(QUOTAS, lambda known: _quotas(taken, known))


def _quotas(taken: Snapshot, known: Known) -> Iterator[Row]:
    state: RankedMember = known.subject.state
    account, book, version = state.account, taken.book_of(known.subject.member), taken.version_of(known.subject.member)
    run_to(account, book, taken.as_of, PagesInMemory())
    draft = draft_at(account, book, taken.as_of, state.shops.pages(version))
    for name in draft.version.programme.memberships:
        term = current_term(account, name, taken.as_of)
        if term is None:
            continue
        for label, quota, used in quotas_of(draft, name, term):
            yield known.subject.member, name, term.product, label, quota, used, max(quota - used, 0)
    for label, quota, used in quotas_alone(draft, state.shops.begun(version)):
        yield known.subject.member, "", "", label, quota, used, max(quota - used, 0)


def savings(taken: Snapshot, _: Options) -> Table:
    """What each card gave at its own rate, what the ordinary rule would have given, and benefits used."""
    sums = "lines:integer points:integer ordinary_points:integer extra_points:integer extra_fen:integer"
    shown = (*SAVINGS.key, *columns(f"{sums} benefits_used:integer"))

    def rows(known: Known) -> Iterator[Row]:
        used: dict[str, int] = {}
        for (_, _, card, _), (times,) in known.rows[BENEFITS.name].items():
            used[str(card)] = used.get(str(card), 0) + times
        for key, (points, ordinary, lines) in known.rows[SAVINGS.name].items():
            extra = points - ordinary
            worth = taken.programme.fen_of(str(key[3]))
            yield *key, lines, points, ordinary, extra, extra * worth, used.get(str(key[2]), 0)

    return taken.by_member(shown, rows)


class Memberships(RankedView):
    """The terms of each member with what quotas ask of the member, and sums of what their cards gave."""

    name = "memberships"
    version = 3
    about = "each member's cards with quotas, and what they gave beyond the ordinary rate"
    tables = (SAVINGS, BENEFITS)
    changes = TERMS | OF_SCORES | OF_SHARES | {TermCame, TermLeft, Earned, TierMoved, CreditSet, Joined}
    queries = (
        Query(
            "memberships",
            "the current or else the last term of each membership",
            _memberships,
            keys=("membership", "state"),
        ),
        Query(
            "quotas",
            "what is left of the benefits that a member has, by card or without one",
            quotas,
            keys=("membership", "benefit"),
        ),
        Query(
            "savings",
            "points beyond the ordinary rate, by card",
            savings,
            keys=("membership", "kind"),
        ),
    )

    def change(self, step: FoldStep, change: Change, rows: RowDeltas) -> None:
        """Sum what counts against a card beside what its line would have earned without it."""
        if type(change) is Earned and change.card:
            rule = _rule(step, change.rule)
            membership = (rule.award.member or "") if rule is not None else ""
            ordinary = _ordinary_points(step, change, rule)
            rows.add(SAVINGS.name, (step.member, membership, change.card, change.kind), change.points, ordinary, 1)
        elif type(change) is BenefitUsed:
            rows.add(BENEFITS.name, (step.member, change.membership, change.card, change.benefit), 1)
        elif type(change) is BenefitGivenBack and change.card:
            rows.add(BENEFITS.name, (step.member, change.membership, change.card, change.benefit), -1)

    def evolve(self, state: Any, change: Change) -> None:
        """Apply a change to a term, or to what conditions on the member are asked of."""
        if type(change) is not Earned:
            state.take(change)


def _rule(step: FoldStep, name: str | None) -> Rule | None:
    entry = step.entry
    assert entry is not None
    if entry.version not in step.book.by_name:
        raise Damaged(
            f"entry {entry.number} of {entry.member} was decided by version {entry.version} of the programme,"
            " which the ledger has no more: what it stores of it was edited"
        )
    return step.book.decided(entry.version, entry.occurred).rules.get(name or "")


def _ordinary_points(step: FoldStep, change: Earned, rule: Rule | None) -> int:
    """What the rule that the card's rule replaces would have given for the same line, by the book that decided."""
    ordinary = _rule(step, rule.award.instead_of) if rule is not None else None
    assert step.entry is not None
    if ordinary is None or not ordinary.since <= step.entry.occurred < ordinary.until:
        return 0
    fact = decided_fact(step.entry.fact)
    if not isinstance(fact, OrderCompleted):
        return 0
    line = next((line for line in fact.data.lines if line.line == change.line), None)
    return 0 if line is None else ordinary_points(ordinary, line, fact.data)
