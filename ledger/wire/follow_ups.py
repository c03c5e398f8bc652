"""The facts that entries leave for other accounts: their names, and their bytes as they are sent.

A follow-up is named by the account that left it, the number of its entry there, and its place in that entry: these
survive a split, a restore and a move to other servers. Its bytes are made of the stored change alone.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct

from ledger.wire.entries import Entry, Told
from ledger.wire.facts import LEDGER_SOURCE, Fact
from ledger.wire.times import to_datetime

FLOW: Final = "follow-ups"  # as the tracking of a journal names how far they were sent
_MARK: Final = b"\xa4" + str(Told.__struct_config__.tag).encode()  # in the bytes of every entry that leaves one


class _Sent(Struct, gc=False):
    specversion: str
    id: str
    source: str
    subject: str
    time: datetime
    type: str
    data: msgspec.Raw


_encode = msgspec.json.Encoder().encode


def source_of(partition: int) -> str:
    """Return the source of what accounts of a partition (the one they were born in) leave for others."""
    return f"{LEDGER_SOURCE}{partition}"


def name_of(entry: Entry, told: Told) -> str:
    """Return the id of a follow-up: ``account:number.k``, at most 160 characters."""
    return f"{entry.member}:{entry.number}.{told.k}"


def leaves_any(state: bytes) -> bool:
    """Return False if an entry's bytes leave no follow-up for sure."""
    return _MARK in state


def told_in(entry: Entry) -> Iterator[Told]:
    """Yield the follow-ups that an entry leaves, in their order."""
    return (change for change in entry.changes if type(change) is Told)


def fact_of(entry: Entry, told: Told, partition: int) -> bytes:
    """Return the bytes of a follow-up as they are sent; `partition` is the one that the account was born in."""
    time = to_datetime(told.time).astimezone(UTC)
    data = msgspec.Raw(told.data.encode())
    return _encode(_Sent("1.0", name_of(entry, told), source_of(partition), told.to, time, told.fact, data))


def is_from_ledger(fact: Fact) -> bool:
    """Return True if the source of a fact says that an account of a ledger left it."""
    return fact.source.startswith(LEDGER_SOURCE)
