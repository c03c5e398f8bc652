"""An entry's bytes, its leaf and its link: what is stored, hashed and compared."""

from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct

from ledger.wire.entries import Entry

GENESIS_LINK: Final = bytes(32)


class EntryHead(Struct, array_like=True, frozen=True, gc=False):
    """An entry with its changes left undecoded: for a replay, which compares bytes."""

    member: str
    number: int
    partition: int
    offset: int
    occurred: int
    recorded: int
    clock: int
    backlog: bool
    version: str
    engine: int
    outcome: int
    reason: str
    figures: msgspec.Raw
    changes: msgspec.Raw
    fact: bytes
    received: bytes


_encoder = msgspec.msgpack.Encoder()


_decoder = msgspec.msgpack.Decoder(Entry)


_head_decoder = msgspec.msgpack.Decoder(EntryHead)


def encode_entry(entry: Entry) -> bytes:
    """The bytes of an entry, which are what is stored, hashed and compared. Raises OverflowError beyond 64 bits."""
    return _encoder.encode(entry)


def decode_entry(state: bytes) -> Entry:
    """An entry from its bytes. Raises `msgspec.DecodeError` or `ValidationError` where they are damaged."""
    return _decoder.decode(state)


def decode_head(state: bytes) -> EntryHead:
    """An entry's head from its bytes, several times faster than the whole."""
    return _head_decoder.decode(state)


def leaf_of(state: bytes) -> bytes:
    """SHA-256 of an entry's bytes."""
    return sha256(state).digest()


def link_after(previous: bytes, leaf: bytes) -> bytes:
    """The chain's next link."""
    return sha256(previous + leaf).digest()
