"""Facts that are sent to a name which lives elsewhere: they follow it, wait for it, or go back to who handed them on.

Each hop follows a move that is finished, or undoes one, and moves make no ring: so it ends. Source: two-accounts.md F.
"""

from typing import Any, Final

import msgspec

from ledger.core.names import NamedDraft
from ledger.core.pages import KeptFactPage
from ledger.wire.entries import Delayed
from ledger.wire.fact_codec import canonical
from ledger.wire.facts import MAX_BYTES, Fact, Forwarded, MemberForwarded
from ledger.wire.times import to_instant

HERE, WAITS, FORWARDED, HANDED_BACK = "here", "waits", "forwarded", "handed-back"
KEPT: Final = "delayed/"  # how the key of the page of a fact that waits begins; behind it stands its entry
MOST_BYTES: Final = MAX_BYTES - 8_192  # of a fact that is handed on, which is a fact in a fact

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Forwarded).decode


def wrapped(draft: NamedDraft, fact: Fact) -> Forwarded:
    """Return a fact as the account it was sent to hands it on."""
    data: Any = fact.data
    told = Forwarded(frm=draft.member, name=draft.member, fact=msgspec.Raw(canonical(fact)), by="-")
    told.at = getattr(data, "at", None)
    told.points = getattr(data, "points", 0) if told.at is not None else 0
    return told


def place(draft: NamedDraft, data: Forwarded, *, is_new: bool = False) -> str:
    """Return what becomes of a fact for a name: decided `HERE`, or it `WAITS`; else it is sent, and whereto is said."""
    bundle = draft.bundle
    alias = bundle.alias
    if alias is not None and data.name in alias.names:
        if data.back and data.era == alias.era:
            return WAITS  # the head gave the name back: it is on its way here
        _send(draft, alias.head, data, draft.member, alias.era)
        draft.figures["head"] = alias.head
        return FORWARDED
    if alias is None and draft.is_self(data.name):
        return HERE
    if data.name in bundle.awaited:
        return WAITS
    if data.back or is_new:
        _send(draft, data.name, data, draft.member, 0)  # it was handed on since: to the name itself
        return FORWARDED
    _send(draft, data.by, data, data.by, data.era, back=True)
    return HANDED_BACK


def _send(draft: NamedDraft, to: str, data: Forwarded, by: str, era: int, *, back: bool = False) -> None:
    told = msgspec.structs.replace(data, frm=draft.member, by=by, era=era, back=back)
    draft.tell(to, MemberForwarded, told, to_instant(data.at) if data.at is not None else 0)


def note(draft: NamedDraft, data: Forwarded, where: str) -> None:
    """Say what becomes of the fact of this entry, which is not decided here; one that waits is kept."""
    if where == WAITS:
        draft.note("waits")
        _keep(draft, data)
    elif where == FORWARDED:
        draft.note("forwarded")
    else:
        draft.note("handed-back")


def _keep(draft: NamedDraft, data: Forwarded) -> None:
    draft.emit(Delayed(draft.number))
    draft.named.whole.put(f"{KEPT}{draft.number}", KeptFactPage(_encode(data).decode()))


def kept(draft: NamedDraft, number: int) -> Forwarded:
    """Return the fact of an entry that waits."""
    page = draft.named.whole.get(f"{KEPT}{number}")
    assert isinstance(page, KeptFactPage), "a fact that waits has a page"
    return _decode(page.data)
