"""What a journal keeps of its ledger, so that neither is taken for another; and the seal that ties it to the chain.

The origin stands in each journal, since what lies beside a journal can be lost, edited or swapped. A ledger's settings
can be put back from it. The seal is made anew with every batch: it covers the origin, the fencing token, the chain's
last link, the last `recorded` and the stream's position, so that none of them is changed by itself.
"""

from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from ledger.wire.unreadable import UNREADABLE

_SETTLED_LATER = ("stream", "topic")  # of a ledger whose stream was open
_PLACES = ("moved",)  # where partitions stand is not what a ledger is


class Origin(NamedTuple):
    """Which ledger a journal belongs to, which of how many partitions it is, and what its ledger was born with.

    `ledger` is the ledger's id, "" for one made before there were ids. `genesis` is the ledger's (SHA-256, in hex).
    `settings` is JSON, and `book` the TOML of the first rule book.
    """

    ledger: str
    partition: int
    partitions: int
    genesis: str
    settings: str
    book: str

    def digest(self) -> bytes:
        """Return the SHA-256 of all of it."""
        return sha256(msgspec.json.encode(list(self))).digest()


class State(NamedTuple):
    """What a journal says of itself, read at one instant; `position` is one past the offset of the last record taken.

    `origin` is None in a journal that carries none. `seal` is empty where none was made. `last` is the highest sequence
    of an entry, 0 where there is none: the head, unless somebody changed the one or the other. `stream` is the id of
    the topic in which the position means something, "" where none is known.
    """

    origin: Origin | None
    epoch: int
    head: int
    link: bytes
    recorded: int
    position: int
    seal: bytes
    last: int = 0
    stream: str = ""

    def is_sealed(self) -> bool:
        """Return True if the seal fits the rest."""
        return self.seal == self.made_seal()

    def made_seal(self) -> bytes:
        """Return the seal that fits the rest."""
        return seal_of(
            b"" if self.origin is None else self.origin.digest(),
            self.epoch,
            self.head,
            self.link,
            self.recorded,
            self.position,
            self.stream,
        )


def seal_of(origin: bytes, epoch: int, head: int, link: bytes, recorded: int, position: int, stream: str = "") -> bytes:
    """Return the seal of a journal's state: SHA-256 of a MessagePack array of the arguments, in their order.

    A `stream` that is not known is left out.
    """
    known = (stream,) if stream else ()
    return sha256(msgspec.msgpack.encode([origin, epoch, head, link, recorded, position, *known])).digest()


def settings_that_differ(stored: Origin, wanted: Origin) -> list[str]:
    """Return the names of the settings in which two origins differ, those that the stored one knows.

    A stream that was open is settled later, and is no difference. A text that is no JSON differs as a whole.
    """
    try:
        old: dict[str, Any] = msgspec.json.decode(stored.settings, type=dict[str, Any])
        new: dict[str, Any] = msgspec.json.decode(wanted.settings, type=dict[str, Any])
    except UNREADABLE:
        return ["settings"]
    settled_later = _SETTLED_LATER if old.get("stream") == "open" else ()
    free = {*settled_later, *_PLACES}
    return [name for name, value in old.items() if name not in free and value != new.get(name, value)]


def problem_with(stored: Origin | None, wanted: Origin) -> str:
    """Return why a journal with one origin is none of the ledger and partition of another, "" where it is."""
    if stored is None:
        return "does not say which ledger it belongs to"
    if stored.ledger != wanted.ledger:
        theirs, ours = stored.ledger or "an older one without an id", wanted.ledger or "an older one without an id"
        return f"is partition {stored.partition} of another ledger, {theirs}; this one is {ours}"
    if stored.partitions != wanted.partitions:
        return f"is one of {stored.partitions} partitions, and the settings (ledger.json) say {wanted.partitions}"
    if stored.partition != wanted.partition:
        return f"is partition {stored.partition}, and stands where partition {wanted.partition} belongs"
    if stored.book != wanted.book:
        return "was born with another rule book than the ledger's own (book.toml), which was edited or replaced"
    if names := settings_that_differ(stored, wanted):
        return f"was born with other settings than ledger.json has, which was edited: {', '.join(names)}"
    if stored.genesis != wanted.genesis:
        return "says of its ledger what does not fit together: it was damaged"
    return ""
