"""An entry's bytes, its leaf and its link: what is stored, hashed and compared."""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final

import msgspec

from ledger.wire.entries import Deciding, Entry

GENESIS_LINK: Final = bytes(32)


class EntryHead(Deciding, array_like=True, frozen=True, gc=False):
    """An entry with its figures and changes left undecoded, several times faster: for a replay, by bytes."""

    figures: msgspec.Raw
    changes: msgspec.Raw
    fact: bytes
    received: bytes
    pushed: int = 0


_encode = msgspec.msgpack.Encoder().encode
_UNPUSHED = b"\xdc\x00\x10"  # an array without its last field, `pushed`


def encode_entry(entry: Entry) -> bytes:
    """Return the bytes of an entry: what is stored, hashed and compared. Raises OverflowError beyond 64 bits.

    Most entries were not pushed. Theirs are those of the versions of points that knew no such field.
    """
    state = _encode(entry)
    return state if entry.pushed else _UNPUSHED + state[3:-1]


# An entry, or its head, from its bytes. Raises `msgspec.DecodeError` or `ValidationError` where they are damaged.
decode_entry: Callable[[bytes], Entry] = msgspec.msgpack.Decoder(Entry).decode
decode_head: Callable[[bytes], EntryHead] = msgspec.msgpack.Decoder(EntryHead).decode


def leaf_of(state: bytes) -> bytes:
    """SHA-256 of an entry's bytes."""
    return sha256(state).digest()


def links_after(link: bytes, states: Iterable[bytes]) -> list[bytes]:
    """The chain's link at each of some entries, behind the link before them."""
    links = []
    for state in states:
        link = link_after(link, leaf_of(state))
        links.append(link)
    return links


def link_after(previous: bytes, leaf: bytes) -> bytes:
    """The chain's next link."""
    return sha256(previous + leaf).digest()
