"""Tiers follow the scores, never the spendable balance: at once where something moved them, or as a month begins."""

from ledger.core.account import Account
from ledger.core.draft import Draft
from ledger.core.scores import tier_of, value_of
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.wire.entries import Resettled, Scored, TierMoved


def move_tiers(draft: Draft, month: int, at: int) -> None:
    """Emit the tiers that differ from those last written down, for the scores of a month."""
    account = draft.account
    for name, score in draft.book.nearest(at).programme.scores.items():
        tier = tier_of(score, value_of(account, name, score, month))
        if tier != account.tiers.get(name, ""):
            draft.emit(TierMoved(name, account.tiers.get(name, ""), tier, at))


def tier_at(account: Account, version: ProgrammeVersion, name: str, instant: int) -> str:
    """Return the tier in force at an instant as the ledger knew it, empty below the first.

    A tier that moved because of late facts does not reach back: a move holds from its own instant on.
    """
    moves = account.tier_moves.get(name)
    if moves is None:
        held = account.tiers.get(name)
        return tier_of(version.programme.scores[name], 0) if held is None else held
    for at, tier in reversed(moves):
        if at <= instant:
            return tier
    return moves[0][1]


def refresh_settled(draft: Draft) -> None:
    """Say which settled months the decision's score items moved, and the tier where it follows at once."""
    now = draft.version.month(draft.clock)
    if draft.oldest_month < now:
        for name, score in draft.version.programme.scores.items():
            if any(isinstance(c, Scored) and c.score == name and c.month < now for c in draft.changes):
                last = min(draft.oldest_month + score.window_months, now)
                draft.emit(Resettled(name, draft.oldest_month + 1, last))
        move_tiers(draft, now, draft.clock)
