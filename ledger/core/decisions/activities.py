"""What the catalogue and the rule book say whole: what members do besides buying, and what is known of them."""

import msgspec

from ledger.core.awards import apply_rules
from ledger.core.draft import Draft
from ledger.core.tiers import move_tiers
from ledger.wire.fact_catalogue import FactType
from ledger.wire.facts import SignIn
from ledger.wire.times import DAY, parse_instant


def act(row: FactType, draft: Draft, data: msgspec.Struct) -> None:
    """Decide something a member did: once for each business id, it gives what the rules that stand on it say."""
    key = row.own_key(data)
    if key:
        draft.take_id(key)
    stated = data.day if isinstance(data, SignIn) else ""
    day = parse_instant(stated, 0) // DAY if stated else None
    apply_rules(draft, draft.version.rules_on(row.on), data, key.partition("/")[2], day=day)
    if row.moves_tiers:
        move_tiers(draft, draft.version.month(draft.clock), draft.clock)


def set_attribute(row: FactType, draft: Draft, data: msgspec.Struct) -> None:
    """Decide something that is known of a member: its one figure is kept until the next of its type."""
    assert row.sets is not None
    draft.emit(row.sets(*msgspec.structs.astuple(data)))
    if row.moves_tiers:
        move_tiers(draft, draft.version.month(draft.clock), draft.clock)
