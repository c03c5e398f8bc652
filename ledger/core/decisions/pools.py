"""Pools that many members draw from, and what they answer: no book declares one yet."""

from ledger.core.draft import Draft
from ledger.wire.facts import LeaseMove, PoolAnswer, PoolAsk, PoolReturn


def ask(draft: Draft, data: PoolAsk) -> None:
    """Decide a draw from a pool."""
    draft.decline("unknown-pool", ask=data.ask)


def answered(draft: Draft, data: PoolAnswer) -> None:
    """Decide what a pool answered to an ask."""
    draft.decline("unknown-ask", ask=data.ask)


def returned(draft: Draft, data: PoolReturn) -> None:
    """Decide what comes back to a pool."""
    draft.decline("unknown-pool", ask=data.ask)


def lease(draft: Draft, data: LeaseMove) -> None:
    """Decide what passes between a pool and a lease of it."""
    draft.decline("unknown-pool", frm=data.frm)
