"""CloudEvents as bindings carry them: structured, or binary (attributes in headers, `data` alone as the value).

A binary event is put together as the structured one that says the same, so that behind a binding there is one form.
What is made here is hashed as what was received: its bytes never change for the same event.
"""

import json
from collections.abc import Mapping

import msgspec

from ledger.errors import BadInput
from ledger.wire.unreadable import UNREADABLE

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
ATTRIBUTES = ("specversion", "id", "source", "type", "subject", "time")  # those of a fact; others are dropped
_ANY = "application/cloudevents"
_raw = msgspec.json.Decoder(msgspec.Raw).decode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class UnknownMode(BadInput):
    """An event in a mode or encoding that is not understood: which one, and what is taken."""


class BadData(BadInput):
    """The data of an event in binary mode is no JSON."""


def media_type(content_type: str) -> str:
    """Return the media type of a content type, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def is_binary(content_type: str, attributes: Mapping[str, str]) -> bool:
    """Return True for an event in binary mode, False for a structured one.

    `attributes` are those that headers hold, by their names without the prefix. Raises `UnknownMode`.
    """
    kind = media_type(content_type)
    if kind.startswith(_ANY):
        if kind != STRUCTURED:
            raise UnknownMode(f"the content type is {kind}: of structured CloudEvents {STRUCTURED} is taken here")
        return False
    if "specversion" not in attributes:
        return False
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise UnknownMode(f"the data of a binary CloudEvent is {kind}: application/json is taken here")
    return True


def assembled(attributes: Mapping[str, str], data: bytes) -> bytes:
    """Return the structured event of a binary one; empty data is none. Raises `BadData`."""
    known = [(name, json.dumps(attributes[name], ensure_ascii=False)) for name in ATTRIBUTES if name in attributes]
    head = ",".join(f'"{name}":{value}' for name, value in known).encode(errors="replace")
    if not data:
        return b"{" + head + b"}"
    try:
        _raw(data)  # one whole value: nothing behind it becomes an attribute
        data.decode()
    except UNREADABLE as error:
        raise BadData(f"the data of a binary CloudEvent is no JSON: {error}") from None
    return b"{" + head + b',"data":' + data + b"}"


def events_of(batch: bytes) -> list[bytes]:
    """Return the structured events of a batch, each on one line. Raises `BadData`."""
    try:
        return [bytes(event).replace(b"\n", b" ").replace(b"\r", b" ") for event in _list(batch)]
    except UNREADABLE as error:
        raise BadData(f"a batch of CloudEvents is a JSON array of them: {error}") from None
