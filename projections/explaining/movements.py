"""What each class of change moves, once: in what can be spent, in a sum over an entry, and in the life of its lot."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from ledger.wire.entries import (
    Captured,
    Change,
    ClawedBack,
    Confirmed,
    DebtIncurred,
    Earned,
    Expired,
    Held,
    Released,
    Repaid,
    Restored,
    Scored,
    ScoredOnce,
    Spent,
    WrittenOff,
)
from projections.explaining.words import Words


class Movement(NamedTuple):
    """Signs by which a change's points count; 0 where they do not."""

    spendable: int  # in what can be spent of the kind, or in the score
    in_sums: int  # as an entry's line adds them up, under the phrase ``sum.<change>``
    out_of_lot: int = 0  # of the lot: 1 where they left it
    onto_hold: int = 0  # within the lot
    told: tuple[str, ...] = ()  # its fields that a lot's life tells


MOVEMENTS: Final[dict[type[Change], Movement]] = {
    Earned: Movement(1, 1),
    Scored: Movement(1, 1),
    ScoredOnce: Movement(1, 1),
    Spent: Movement(-1, -1, 1, 0, ("redemption",)),
    Restored: Movement(1, 1, -1, 0, ("redemption",)),
    Expired: Movement(0, -1, 1, 0, ("due_at",)),
    ClawedBack: Movement(-1, -1, 1, 0, ("origin",)),
    Repaid: Movement(-1, -1, 1),
    DebtIncurred: Movement(0, -1),
    WrittenOff: Movement(0, 1),
    Held: Movement(-1, -1, 0, 1, ("hold",)),
    Captured: Movement(0, -1, 1, 0, ("hold",)),
    Released: Movement(1, 1, 0, -1, ("hold",)),
    Confirmed: Movement(1, 1),
}


def effect_of(changes: Iterable[Change]) -> dict[str, int]:
    """What changes did to what is spendable of each kind, and to each score."""
    effect: dict[str, int] = {}
    for change in changes:
        moves, unit, points = _moved(change)
        if moves and moves.spendable and not getattr(change, "pending_until", 0):
            effect[unit] = effect.get(unit, 0) + moves.spendable * points
    return effect


def _moved(change: Change) -> tuple[Movement | None, str, int]:
    """How a change counts, of what (a kind of points, or a score), and its points."""
    unit = getattr(change, "kind", "") or getattr(change, "score", "")
    return MOVEMENTS.get(type(change)), unit, getattr(change, "points", 0)


def effect_text(changes: Iterable[Change], words: Words) -> str:
    """The same in a few words, what cannot be seen in a sum included: +35 beans, 12 beans expired, tier 201."""
    sums: dict[tuple[str, str], int] = {}
    texts: list[str] = []
    for change in changes:
        tag, (moves, unit, points) = change.__struct_config__.tag, _moved(change)
        if moves:
            code = "sum.pending" if getattr(change, "pending_until", 0) else f"sum.{tag}"
            key = unit, words.say(code)
            sums[key] = sums.get(key, 0) + moves.in_sums * points
        elif text := words.say(f"brief.{tag}", change, is_lowest=getattr(change, "stars", 0) == 1):
            texts.append(text)
    moved = [f"{words.signed(points, unit)} {what}".rstrip() for (unit, what), points in sums.items() if points]
    return ", ".join([*moved, *texts])
