"""Views folded by the native engine: each member's account, and sums of the points that moved, a batch a call.

It folds views that say by what the points are to be summed (`PointsView.moves_by`). A member that it hands back is
folded by Python, as all other views are. Both come to the same rows.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeGuard

from ledger.core.account import decode_account
from ledger.journal.by_member import EntryRows
from ledger.journal.engines import native_module
from ledger.rulebook.compiled import Programme
from ledger.rulebook.plain import plain_version
from ledger.wire.fact_catalogue import REACHED
from projections.views.builtin.points import MOVED_BY, Move, PointsView
from projections.views.sql import MemberRow
from projections.views.timed import count
from projections.views.view import MemberState, RowDeltas, View

Part = tuple[View, RowDeltas, list[MemberRow]]  # a view with its rows and members of a batch
NativePart = tuple[PointsView, RowDeltas, list[MemberRow]]


class Folded(NamedTuple):
    """What some members came to: how many `entries` they have, and who they are, in order.

    Nothing is folded of those that are `handed_back`; `latest` is the latest clock of the others, or 0.
    """

    entries: int
    members: list[str]
    handed_back: set[str]
    latest: int


class NativeFold:
    """What folds the members of a partition into some views."""

    def __init__(self, module: Any, book: Programme, partition: int, views: Sequence[PointsView]) -> None:
        self.module = module
        self._book, self._partition = book, partition
        grains = [tuple(name in (view.moves_by or ()) for name in MOVED_BY) for view in views]
        self._native = module.Folding([plain_version(version) for version in book.versions], grains)

    def fold(self, rows: EntryRows, parts: Sequence[NativePart], now: int) -> Folded:
        """Fold whole members into the parts of its views; count them at `now` where a view counts."""
        return self.take(self._native.fold(rows), parts, now)

    def fold_grouped(self, grouped: Any, most: int, parts: Sequence[NativePart], now: int) -> Folded:
        """Fold the next members of those in the engine's memory, until they have `most` entries; none once all are."""
        return self.take(self._native.fold_grouped(grouped, most), parts, now)

    def take(self, folded: Any, parts: Sequence[NativePart], now: int) -> Folded:
        """Add what the engine made of some members to the parts."""
        entries, members, moved, answers = folded
        latest = 0
        for member, state in members:
            if state is None:
                continue
            number, clock, recorded, due, account = state
            latest = max(latest, clock)
            for view, deltas, into in parts:
                row: MemberRow = (member, self._partition, number, clock, recorded, due, account)
                if view.counts:
                    subject = MemberState(member, number, clock, recorded, decode_account(account))
                    count(view, self._book, subject, now, deltas)
                    row = (*row[:5], subject.due, account, subject.counted)
                into.append(row)
        for (view, deltas, _), moves in zip(parts, moved, strict=True):
            for move in moves:
                view.moved(Move._make(move), deltas)
            for outcome, reason, times in answers:
                view.answered(outcome, reason, times, deltas)
        handed_back = {member for member, state in members if state is None}
        return Folded(entries, [member for member, _ in members], handed_back, latest)


def is_native(view: View) -> TypeGuard[PointsView]:
    """Return True if the native engine can fold a view: its own class says by what, and none that it was made from."""
    return isinstance(view, PointsView) and vars(type(view)).get("moves_by") is not None


def native_fold(book: Programme, partition: int, views: Sequence[View]) -> NativeFold | None:
    """Return what folds the native ones of some views; None where Python does.

    That is where the native engine does not decide, and under a book that gives for a tier that is reached.
    """
    module, chosen = native_module(), list(filter(is_native, views))
    if module is None or not chosen or any(version.rules_on(REACHED) for version in book.versions):
        return None
    return NativeFold(module, book, partition, chosen)
