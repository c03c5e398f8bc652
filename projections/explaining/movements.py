"""What each class of change moves, once: in what can be spent, in a sum over an entry, and in the life of its lot."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from ledger.wire import entries
from projections.explaining.words import Words


class Movement(NamedTuple):
    """Signs by which a change's points count; 0 where they do not."""

    spendable: int  # in what can be spent of the kind, or in the score
    in_sums: int  # as an entry's line adds them up, under the phrase ``sum.<change>``
    out_of_lot: int = 0  # of the lot: 1 where they left it
    onto_hold: int = 0  # within the lot
    told: tuple[str, ...] = ()  # its fields that a lot's life tells


MOVEMENTS: Final[dict[type[entries.Change], Movement]] = {
    entries.Earned: Movement(1, 1),
    entries.Scored: Movement(1, 1),
    entries.ScoredOnce: Movement(1, 1),
    entries.Spent: Movement(-1, -1, 1, 0, ("redemption",)),
    entries.Restored: Movement(1, 1, -1, 0, ("redemption",)),
    entries.GivenBack: Movement(1, 1, -1, 0, ("origin",)),
    entries.Forgiven: Movement(0, 1),
    entries.Expired: Movement(0, -1, 1, 0, ("due_at",)),
    entries.ClawedBack: Movement(-1, -1, 1, 0, ("origin",)),
    entries.Repaid: Movement(-1, -1, 1),
    entries.Sent: Movement(-1, -1, 1, 0, ("transfer",)),
    entries.Received: Movement(1, 1),
    entries.SentBack: Movement(1, 1, -1, 0, ("transfer",)),
    entries.Recalled: Movement(-1, -1, 1, 0, ("transfer",)),
    entries.MovedOut: Movement(-1, -1, 1, 0, ("to",)),
    entries.MovedIn: Movement(1, 1, -1, 0, ("frm",)),  # of a lot that was here before
    entries.Forfeited: Movement(-1, -1, 1),
    entries.DebtIncurred: Movement(0, -1),
    entries.WrittenOff: Movement(0, 1),
    entries.Held: Movement(-1, -1, 0, 1, ("hold",)),
    entries.Captured: Movement(0, -1, 1, 0, ("hold",)),
    entries.Released: Movement(1, 1, 0, -1, ("hold",)),
    entries.Confirmed: Movement(1, 1),
    entries.Refrozen: Movement(-1, -1),
}

# In the life of a lot, one more: what a hold keeps of it became another lot.
LIFE: Final = MOVEMENTS | {entries.HoldShifted: Movement(0, 0, 1, -1, ("hold",))}
_OF_SCORES = (entries.Scored, entries.ScoredOnce)
TAGS: Final = {found: str(found.__struct_config__.tag) for found in entries.CHANGE_TYPES}  # what phrases call them
_OPENING = (entries.Earned, entries.Received, entries.MovedIn)
IN_LOTS: Final = tuple(found for found in MOVEMENTS if "lot" in found.__struct_fields__ and found not in _OPENING)
# What is counted or said, and moves nothing that the member has.
COUNTED: Final = frozenset(
    (
        entries.CounterAdded,
        entries.FirstSeen,
        entries.Withheld,
        entries.Multiplied,
        entries.Joined,
        entries.Waiting,
        entries.HistoryPruned,
        entries.Resettled,
        entries.Told,
        entries.Under,
        entries.NameKnown,
    )
)


def effect_of(changes: Iterable[entries.Change]) -> dict[str, int]:
    """What changes did to what is spendable of each kind, and to each score."""
    effect: dict[str, int] = {}
    for change in changes:
        moves = MOVEMENTS.get(type(change))
        if moves is not None and moves.spendable and not _is_pending(change):
            unit, points = _moved(change)
            effect[unit] = effect.get(unit, 0) + moves.spendable * points
    return effect


def _moved(change: Any) -> tuple[str, int]:
    """What a change moved, a kind of points or a score, and its points."""
    return change.score if type(change) in _OF_SCORES else change.kind, change.points


def _is_pending(change: entries.Change) -> bool:
    return isinstance(change, entries.Earned | entries.MovedIn) and change.pending_until > 0


def effect_text(changes: Iterable[entries.Change], words: Words) -> str:
    """The same in a few words, what cannot be seen in a sum included: +35 beans, 12 beans expired, tier 201."""
    sums: dict[tuple[str, str], int] = {}
    texts: list[str] = []
    for change in changes:
        if type(change) in COUNTED:
            continue
        tag, moves = TAGS[type(change)], MOVEMENTS.get(type(change))
        if moves is not None:
            unit, points = _moved(change)
            key = unit, words.say("sum.pending" if _is_pending(change) else f"sum.{tag}")
            sums[key] = sums.get(key, 0) + moves.in_sums * points
        elif text := words.say(f"brief.{tag}", change, is_lowest=getattr(change, "stars", 0) == 1):
            texts.append(text)
    moved = [f"{words.signed(points, unit)} {what}".rstrip() for (unit, what), points in sums.items() if points]
    return words.speech.comma.join([*moved, *texts])
