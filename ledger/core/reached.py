"""What tiers that were reached give: after the tiers of an instant have moved, the lowest tier first.

Points alone, never a score: so nothing cascades. A tier that time raised awards at the instant at which it did.
"""

from msgspec import Struct

from ledger.core.awards import apply_rules
from ledger.core.draft import Draft
from ledger.core.who import unentitled_by
from ledger.wire.fact_catalogue import REACHED


class Reached(Struct, frozen=True, gc=False):
    """An own tier of a score that a member passed upwards, and the tier below it."""

    score: str
    tier: str
    before: str


def award_reached(draft: Draft) -> None:
    """Give what the rules on reached tiers give for those that the draft has noted, each at its own instant."""
    reached, draft.reached = draft.reached, ()
    version, occurred, month, clock = draft.version, draft.occurred, draft.month, draft.clock
    for score, tier, before, at in reached:
        then = draft.book.nearest(at)
        rules = then.rules_on(REACHED)
        if not rules:
            continue
        draft.version, draft.occurred, draft.month, draft.clock = then, at, then.month(at), at
        data = Reached(score, tier, before)
        draft.unentitled = unentitled_by(draft, then.asks_who.get(REACHED, ()), data)
        apply_rules(draft, rules, data, f"{score}/{tier}")
    draft.version, draft.occurred, draft.month, draft.clock = version, occurred, month, clock
