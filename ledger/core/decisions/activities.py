"""What the catalogue and the rule book say whole: what members do besides buying, and what is known of them."""

import msgspec

from ledger.core.awards import apply_rules
from ledger.core.draft import Draft
from ledger.core.lots import claw_back
from ledger.core.pages import ActivityPage
from ledger.core.penalties import apply_penalties, give_back_fines
from ledger.core.tiers import move_tiers
from ledger.rulebook.attributes import is_value
from ledger.wire.entries import AttributeTold, Joined
from ledger.wire.fact_catalogue import FactType
from ledger.wire.facts import Activity, Description, Joining, SignIn, Undone
from ledger.wire.times import DAY, parse_instant

ACTIVITY = "activity.done"


def act(row: FactType, draft: Draft, data: msgspec.Struct) -> None:
    """Decide something a member did: once for each business id, it gives what the rules that stand on it say."""
    key = row.own_key(data)
    if key:
        draft.take_id(key)
    stated = data.day if isinstance(data, SignIn) else ""
    day = parse_instant(stated, 0) // DAY if stated else None
    apply_rules(draft, draft.version.rules_on(row.on), data, key.partition("/")[2], day=day)
    if row.moves_tiers and draft.engine == 1:
        move_tiers(draft, draft.version.month(draft.clock), draft.clock)


def join(draft: Draft, data: Joining) -> None:
    """Decide that a member joined a shop, which is once."""
    draft.take_id(f"joined/{data.shop}")
    draft.emit(Joined(data.shop))
    apply_rules(draft, draft.version.rules_on("member.joined"), data, data.shop)


def do(draft: Draft, data: Activity) -> None:
    """Decide an activity that another system knows of: its awards, and what it costs."""
    key = f"activity/{data.done}"
    if draft.pages.get(key) is not None:
        draft.decline("already")
    rules = draft.version.rules_on(ACTIVITY)
    awards = apply_rules(draft, rules, data, data.done, fen=data.amount_fen, count=data.count, may_return=True)
    fined = apply_penalties(draft, ACTIVITY, data, data.done)
    draft.pages.put(key, ActivityPage(False, awards, fined))


def undo(draft: Draft, data: Undone) -> None:
    """Decide that an activity did not stand: what it gave is taken back, what it cost is given back."""
    key = f"activity/{data.done}"
    page = draft.pages.get(key)
    if not isinstance(page, ActivityPage):
        draft.decline("unknown-activity", done=data.done)
    if page.undone:
        draft.decline("already")
    page.undone = True
    for award in page.awards:
        claw_back(draft, award, 0, "")
    give_back_fines(draft, page.fined, data.done)
    draft.pages.put(key, page)


def describe(draft: Draft, data: Description) -> None:
    """Decide attributes of a member: those that the book declares are kept, the others are said in a note."""
    declared = draft.version.programme.attributes
    odd = []
    for name, attribute in declared.items():
        if name not in data.attributes:
            continue
        value = data.attributes[name]
        if is_value(attribute, value):
            tell(draft, name, value)
        else:
            odd.append(name)
    odd += [name for name in data.attributes if name not in declared]
    if odd:
        draft.note("unknown-attribute", attributes=",".join(odd)[:512])


def tell(draft: Draft, name: str, value: str | int) -> bool:
    """Keep what is told of a member, unless what is held occurred later; False where that is so."""
    held = draft.account.attributes.get(name)
    if held is not None and held[1] > draft.occurred:
        return False
    draft.emit(AttributeTold(name, value, draft.occurred))
    return True


def set_attribute(row: FactType, draft: Draft, data: msgspec.Struct) -> None:
    """Decide something that is known of a member: its one figure is kept until a later one of its type."""
    assert row.sets is not None
    figures = msgspec.structs.astuple(data)
    if draft.engine >= 2:
        (name,) = row.sets.__struct_fields__
        draft.remember_limited(name)
        tell(draft, name, *figures)
        return
    draft.emit(row.sets(*figures))
    if row.moves_tiers:
        move_tiers(draft, draft.version.month(draft.clock), draft.clock)
