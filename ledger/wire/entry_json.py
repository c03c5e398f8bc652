"""An entry as JSON: what `points entries`, outcomes and exports say of it, times in the book's zone."""

from typing import Any

import msgspec
from msgspec import Struct

from ledger.wire.entries import OUTCOMES, Change, Entry, lot_text
from ledger.wire.times import month_text, to_text


class FactHead(Struct, gc=False):
    """What names a fact, and its data as it was kept."""

    type: str
    id: str
    source: str
    data: msgspec.Raw = msgspec.Raw(b"{}")


_head = msgspec.json.Decoder(FactHead)


def fact_head(entry: Entry) -> FactHead:
    """The name of an entry's fact, without checking the rest again."""
    return _head.decode(entry.fact)


def position_text(partition: int, offset: int) -> str:
    """A position as it is written everywhere: ``partition:offset``."""
    return f"{partition}:{offset}"


def entry_to_dict(entry: Entry, link: bytes, offset: int) -> dict[str, Any]:
    """An entry for `msgspec.json.encode`; `offset` is the book's, `link` the chain's at this entry."""
    head = fact_head(entry)
    occurred = to_text(entry.occurred, offset)
    view: dict[str, Any] = {
        "number": entry.number,
        "position": position_text(entry.partition, entry.offset),
        "type": head.type,
        "id": head.id,
        "source": head.source,
        "occurred": occurred,
        "recorded": occurred if entry.recorded == entry.occurred else to_text(entry.recorded, offset),
        "clock": occurred if entry.clock == entry.occurred else to_text(entry.clock, offset),
        "outcome": OUTCOMES[entry.outcome],
        "reason": entry.reason,
        "figures": entry.figures,
        "version": entry.version,
        "engine": entry.engine,
        "data": head.data,
        "changes": [change_to_dict(change, offset) for change in entry.changes],
        "link": link.hex(),
    }
    if entry.backlog:
        view["backlog"] = True
    return view


_INSTANTS = {"bought_at", "earned_at", "expires_at", "pending_until", "due_at", "until_at", "from_at", "at"}
_MONTHS = {"month", "first_month", "last_month"}


def change_to_dict(change: Change, offset: int) -> dict[str, Any]:
    """A change for people and JSON: its name under ``change``, times in the book's zone, empty fields left out."""
    view: dict[str, Any] = {"change": change.__struct_config__.tag}
    for name in change.__struct_fields__:
        value = getattr(change, name)
        if name == "lot":
            view[name] = lot_text(value)
        elif name in _INSTANTS:
            if value:
                view[name] = to_text(value, offset)
        elif name in _MONTHS:
            view[name] = month_text(value)
        elif value != "" and value is not False:
            view[name] = value
    return view
