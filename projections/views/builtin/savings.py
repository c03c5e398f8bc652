"""What benefits saved each member, by card and benefit, and what cards would have saved those who had none."""

from collections.abc import Iterator
from typing import Any

from ledger.wire.entries import (
    BenefitCounted,
    BenefitGivenBack,
    BenefitUsed,
    Change,
    NameCame,
    NameLeft,
    SeatMoved,
    TermCame,
    TermLeft,
    TermMoved,
    TermOpened,
    Told,
)
from ledger.wire.name_keys import named
from projections.answers.savings import SavingsState, fold_savings, savings_of
from projections.answers.tables import Row, Table, columns
from projections.views.view import FoldStep, Known, Options, Query, RowDeltas, Snapshot, View

_SUMS = "times:integer lines:integer list_fen:integer saved_fen:integer"
SAVED = columns(f"member membership card product benefit {_SUMS} fee_fen:integer version")
MISSED = columns(f"member membership benefit {_SUMS} version")


def saved(taken: Snapshot, _: Options) -> Table:
    """What each benefit saved by each card, and what that card cost."""

    def rows(known: Known) -> Iterator[Row]:
        state: SavingsState = known.subject.state
        version = taken.version_of(known.subject.member)
        for row in savings_of(state, version, taken.as_of):
            if not row.is_missed:
                card = state.cards.get(row.card)
                product, fee = (card.product, card.fee_fen) if card is not None else ("", 0)
                sums = (row.times, row.lines, row.list_fen, row.saved_fen)
                yield (
                    known.subject.member,
                    row.membership,
                    named(row.card)[1],
                    product,
                    row.benefit,
                    *sums,
                    fee,
                    version.name,
                )

    return taken.by_member(SAVED, rows)


def would_have_saved(taken: Snapshot, _: Options) -> Table:
    """What each benefit of a card would have saved on orders of the last 365 days of members who had none then."""

    def rows(known: Known) -> Iterator[Row]:
        version = taken.version_of(known.subject.member)
        for row in savings_of(known.subject.state, version, taken.as_of):
            if row.is_missed:
                sums = (row.times, row.lines, row.list_fen, row.saved_fen)
                yield known.subject.member, row.membership, row.benefit, *sums, version.name

    return taken.by_member(MISSED, rows)


class Savings(View):
    """What happened to each member's cards, claims and tagged lines; what they saved is reckoned when it is asked."""

    name = "savings"
    version = 3
    about = "what benefits saved, against what cards cost, and what cards would have saved"
    changes = frozenset(
        {
            TermOpened,
            TermMoved,
            TermCame,
            TermLeft,
            BenefitUsed,
            BenefitCounted,
            BenefitGivenBack,
            SeatMoved,
            NameCame,
            NameLeft,
            Told,
        }
    )
    needs_fact = True
    state = SavingsState
    queries = (
        Query(
            "saved", "what each benefit saved, by card, beside the card's fee", saved, keys=("membership", "benefit")
        ),
        Query(
            "would-have-saved",
            "what cards would have saved members without them, in a year",
            would_have_saved,
            keys=("membership", "benefit"),
        ),
    )

    def entry(self, step: FoldStep, rows: RowDeltas) -> None:
        """Take an entry into the member's state."""
        assert step.entry is not None
        fold_savings(step.subject.state, step.entry)

    def evolve(self, state: Any, change: Change) -> None:
        """The fold of entries has done it."""
