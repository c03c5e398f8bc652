"""The facts that entries leave for other accounts: their names, and their bytes as they are sent.

A follow-up is named by the account that left it, the number of its entry there, and its place in that entry: these
survive a split, a restore and a move to other servers. Its bytes are made of the stored change alone. One for an
account of another ledger is `to` that ledger's name and the account's, ``NAME/account``.
"""

from collections.abc import Container, Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct

from ledger.wire.entries import Entry, Told
from ledger.wire.fact_catalogue import BETWEEN_LEDGERS
from ledger.wire.facts import LEDGER_SOURCE, Fact
from ledger.wire.times import to_datetime

FLOW: Final = "follow-ups"  # as the tracking of a journal names how far they were sent
MARK: Final = b"\xa4" + str(Told.__struct_config__.tag).encode()  # in the bytes of every entry that leaves one


_BETWEEN_LEDGERS: Final = frozenset(str(kind.__struct_config__.tag) for kind in BETWEEN_LEDGERS)


class _Sent(Struct, gc=False):
    specversion: str
    id: str
    source: str
    subject: str
    time: datetime
    type: str
    data: msgspec.Raw


_encode = msgspec.json.Encoder().encode


def source_of(partition: int, ledger: str = "") -> str:
    """Return the source of what accounts of a partition (the one they were born in) leave for others.

    For those of another ledger it has the own name of this one, `ledger`.
    """
    return f"{LEDGER_SOURCE}{ledger}/{partition}" if ledger else f"{LEDGER_SOURCE}{partition}"


def ledger_of(source: str) -> str:
    """Return the name of the ledger or partner that a source speaks for, empty for accounts of this ledger.

    It is NAME of ``ledger/NAME/3``, and the last part of any other, as of ``/partners/NAME``.
    """
    path, _, last = source.rpartition("/")
    if not source.startswith(LEDGER_SOURCE):
        return last
    return path.removeprefix(LEDGER_SOURCE) if path.startswith(LEDGER_SOURCE) else ""


def is_of_peer(source: str, peers: Container[str]) -> bool:
    """Return True if a source is one of those of the accounts of a ledger that is named: ``ledger/NAME/3``."""
    partition = source.rpartition("/")[2]
    return source.startswith(LEDGER_SOURCE) and partition.isdecimal() and (ledger_of(source) or None) in peers


def peer_of(told: Told) -> str:
    """Return the name of the ledger that a follow-up is for, empty for an account of this one."""
    return told.to.partition("/")[0] if told.fact in _BETWEEN_LEDGERS else ""


def subject_of(told: Told) -> str:
    """Return the account that a follow-up is for, as its ledger knows it."""
    return told.to.partition("/")[2] if told.fact in _BETWEEN_LEDGERS else told.to


def flow_to(peer: str) -> str:
    """Return the name of the tracking of how far was sent what is for a peer; an empty one: for this ledger."""
    return f"{FLOW}/{peer}" if peer else FLOW


def name_of(entry: Entry, told: Told) -> str:
    """Return the id of a follow-up: ``account:number.k``, at most 160 characters."""
    return f"{entry.member}:{entry.number}.{told.k}"


def leaves_any(state: bytes) -> bool:
    """Return False if an entry's bytes leave no follow-up for sure."""
    return MARK in state


def told_in(entry: Entry) -> Iterator[Told]:
    """Yield the follow-ups that an entry leaves, in their order."""
    return (change for change in entry.changes if type(change) is Told)


def fact_of(entry: Entry, told: Told, partition: int, ledger: str = "") -> bytes:
    """Return the bytes of a follow-up as they are sent; `partition` is the one that the account was born in.

    `ledger` is the own name of this ledger, for a follow-up that another one is to believe.
    """
    time = to_datetime(told.time).astimezone(UTC)
    data = msgspec.Raw(told.data.encode())
    source = source_of(partition, ledger if peer_of(told) else "")
    return _encode(_Sent("1.0", name_of(entry, told), source, subject_of(told), time, told.fact, data))


def is_from_ledger(fact: Fact) -> bool:
    """Return True if the source of a fact says that an account of a ledger left it."""
    return fact.source.startswith(LEDGER_SOURCE)
