"""An entry as JSON: what `points entries`, outcomes and exports say of it, times in the book's zone."""

import re
from typing import Any

import msgspec
from msgspec import Struct

from ledger.wire import answers
from ledger.wire.entries import DAY_BUCKETS, FIRST_MONTH, LIFE_BUCKET, OUTCOMES, Change, Entry, lot_text
from ledger.wire.name_keys import named
from ledger.wire.times import MAX_INSTANT, Zone, day_text, end_text, month_text, to_text


class FactHead(Struct, gc=False):
    """What names a fact, and its data as it was kept."""

    type: str
    id: str
    source: str
    data: msgspec.Raw = msgspec.Raw(b"{}")


_head = msgspec.json.Decoder(FactHead)
_POSITION = re.compile(r"([0-9]{1,18}):([0-9]{1,18})")


def fact_head(entry: Entry) -> FactHead:
    """The name of an entry's fact, without checking the rest again."""
    return _head.decode(entry.fact)


def position_text(partition: int, offset: int) -> str:
    """A position as it is written everywhere: ``partition:offset``."""
    return f"{partition}:{offset}"


def parse_position(text: str) -> tuple[int, int] | None:
    """Return the partition and offset of a position as it is written; None where a text is none."""
    found = _POSITION.fullmatch(text)
    return (int(found[1]), int(found[2])) if found else None


def describe_entry(entry: Entry, link: bytes, offset: Zone) -> answers.Entry:
    """Return an entry as it is told; `offset` is the book's, `link` the chain's at this entry."""
    position = position_text(entry.partition, entry.offset)
    return answers.Entry(entry.number, position, _outcome(entry), entry.reason, **_decided(entry, link, offset))


def describe_decision(entry: Entry, link: bytes, offset: Zone, *, is_repeated: bool = False) -> answers.Decision:
    """Return an entry with its member, as who gave the fact is told."""
    return answers.Decision(*_head_of(entry), is_repeated, **_decided(entry, link, offset))


def describe_published(
    place: int, entry: Entry, link: bytes, offset: Zone, *, is_copy: bool
) -> answers.PublishedDecision:
    """Return an entry at a place of the journal, as the outcomes topic is told."""
    return answers.PublishedDecision(*_head_of(entry), place=place, copy=is_copy, **_decided(entry, link, offset))


def _head_of(entry: Entry) -> tuple[str, answers.Outcome, str, str, int]:
    position = position_text(entry.partition, entry.offset)
    return position, _outcome(entry), entry.reason, entry.member, entry.number


def _outcome(entry: Entry) -> answers.Outcome:
    return OUTCOMES[entry.outcome]


def _decided(entry: Entry, link: bytes, offset: Zone) -> dict[str, Any]:
    """Return what every description of an entry has; `data` stays the JSON that was kept, for the encoder alone."""
    head = fact_head(entry)
    occurred = to_text(entry.occurred, offset)
    return {
        "type": head.type,
        "id": head.id,
        "source": head.source,
        "occurred": occurred,
        "recorded": occurred if entry.recorded == entry.occurred else to_text(entry.recorded, offset),
        "clock": occurred if entry.clock == entry.occurred else to_text(entry.clock, offset),
        "figures": entry.figures,
        "version": entry.version,
        "engine": entry.engine,
        "data": head.data,
        "changes": [change_to_dict(change, offset) for change in entry.changes],
        "link": link.hex(),
        "backlog": entry.backlog,
        "stamped": to_text(entry.recorded - entry.pushed, offset) if entry.pushed else "",
    }


_LOTS = ("lot", "to_lot")
_INSTANTS = {"anchor_at", "bought_at", "earned_at", "pending_until", "due_at", "until_at", "from_at", "at", "time"}
_MONTHS = {"month", "first_month", "last_month", "first"}
_JSON = "data"  # a text that is JSON
# What an account keeps by name: that of another name of the member's is told with it.
_NAMED = ("hold", "card", "house")


def bucket_text(bucket: int) -> str:
    """A bucket of a score as people read it: a month, a day or a year; empty where nothing ages out of it."""
    if bucket >= DAY_BUCKETS:
        return day_text(bucket - DAY_BUCKETS)
    return month_text(bucket) if bucket >= FIRST_MONTH else str(bucket or "")


def change_to_dict(change: Change, offset: Zone) -> dict[str, Any]:
    """A change for people and JSON: its name under ``change``, times in the book's zone, empty fields left out."""
    view: dict[str, Any] = {"change": change.__struct_config__.tag}
    for name in change.__struct_fields__:
        value = getattr(change, name)
        if name in _LOTS:
            view[name] = lot_text(value)
        elif name == "expires_at":
            view[name] = end_text(value, offset)
        elif name in _INSTANTS:
            if value and not (name == "pending_until" and value >= MAX_INSTANT):  # that waits for a pool's answer
                view[name] = to_text(value, offset)
        elif name == _JSON:
            view[name] = msgspec.json.decode(value)
        elif name in _MONTHS:
            if value != LIFE_BUCKET:
                view[name] = bucket_text(value)
        elif name in _NAMED and value:
            of, view[name] = named(value)
            if of:
                view["under"] = of
        elif value != "" and value is not False:
            view[name] = value
    return view


def change_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each change as `change_to_dict` tells it, by its name under ``change``."""
    return {str(kind.__struct_config__.tag): _schema_of(kind) for kind in Change.__args__}


def _schema_of(kind: type[Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {"change": {"const": str(kind.__struct_config__.tag)}}
    required = ["change"]
    for known in msgspec.structs.fields(kind):
        name = known.name
        properties[name] = _property_of(name, known.type)
        if name in _NAMED:
            properties["under"] = {"type": "string", "description": f"The member's other name that the {name} is of."}
        if name in ("expires_at", *_LOTS) or (known.type is int and name not in _INSTANTS | _MONTHS):
            required.append(name)
    text = (kind.__doc__ or "").strip().split("\n")[0]
    return {"type": "object", "description": text, "properties": properties, "required": required}


def _property_of(name: str, kind: Any) -> dict[str, Any]:
    if name in _LOTS:
        return {"type": "string", "description": "The lot's name, entry.place.", "examples": ["3.1"]}
    if name == "expires_at":
        return {
            "type": ["string", "null"],
            "description": "RFC 3339; null where the points have no end.",
        }
    if name in _INSTANTS:
        return {"type": "string", "format": "date-time"}
    if name in _MONTHS:
        return {"type": "string", "description": "A month, day or year."}
    if name == _JSON:
        return {"type": "object"}
    return {"type": {int: "integer", str: "string", bool: "boolean"}.get(kind, ["string", "integer"])}
