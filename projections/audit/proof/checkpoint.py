"""A checkpoint: what a ledger held at an instant, a line a partition, signed.

A checkpoint carries the peaks of each tree, so that the next one reads only the entries behind it.
"""

from itertools import chain
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta, Struct

from ledger.journal.ledger import Ledger
from ledger.journal.pruned import leaf_in
from ledger.wire.entry_codec import link_after
from ledger.wire.unreadable import UNREADABLE
from projections.audit.proof import BadProof, Refuted
from projections.audit.proof.keys import Envelope, is_signed, key_id, payload_of, sign
from projections.audit.proof.tree import Frontier
from projections.ticking import Progress, ticking

PAYLOAD_TYPE = "application/vnd.points-ledger.checkpoint.v1+json"
MOST_BYTES = 16 << 20  # of a file: 1,024 partitions with every peak are 3 MiB

_Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Mark(Struct, frozen=True, forbid_unknown_fields=True):
    """A partition: how many entries, the chain's last link, the tree head over the leaves, and the tree's peaks."""

    partition: Annotated[int, Meta(ge=0, le=1023)]
    entries: Annotated[int, Meta(ge=0, le=1 << 62)]
    link: _Hash
    tree: _Hash
    peaks: list[_Hash]

    def frontier(self) -> Frontier:
        """Return the tree, to go on from. Raises `BadProof` where its parts contradict each other."""
        try:
            tree = Frontier(self.entries, [bytes.fromhex(peak) for peak in self.peaks])
        except ValueError as error:
            raise BadProof(f"partition {self.partition} of the checkpoint: {error}") from None
        if tree.head().hex() != self.tree:
            raise BadProof(f"partition {self.partition} of the checkpoint: its peaks are not those of its tree head")
        return tree


class Checkpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """What was signed: `ledger` and `genesis` say of which ledger, `at` when (RFC 3339), `key` by whom (in hex)."""

    ledger: str
    genesis: _Hash
    at: str
    key: _Hash
    partitions: Annotated[list[Mark], Meta(min_length=1, max_length=1024)]


class Signed(Struct, frozen=True):
    """A checkpoint with the envelope it came in."""

    checkpoint: Checkpoint
    envelope: Envelope

    @property
    def key_id(self) -> str:
        """Who signed it."""
        return self.envelope.signatures[0].keyid


def make(
    ledger: Ledger,
    key: Ed25519PrivateKey,
    at: str,
    after: Signed | None = None,
    progress: Progress = lambda _: None,
) -> Signed:
    """Recompute every chain and tree and sign what they come to; `after` an earlier checkpoint only what is new.

    Raises `Refuted` where a chain is broken: that is never signed. Raises `BadProof` where `after` is not of this
    ledger and key.
    """
    earlier: dict[int, Mark] = {}
    if after is not None:
        if not is_signed(after.envelope, key.public_key()):
            raise BadProof("the earlier checkpoint is signed by another key; leave --after out, or give that key")
        check_ledger(ledger, after)
        earlier = {mark.partition: mark for mark in after.checkpoint.partitions}
    marks: list[Mark] = []
    for partition in ledger.partitions:
        done = sum(mark.entries for mark in marks)
        before = earlier.get(partition % len(earlier)) if earlier else None
        marks.append(_mark(ledger, partition, before, progress, done))
    public = key.public_key().public_bytes_raw().hex()
    checkpoint = Checkpoint(ledger.identity, ledger.genesis, at, public, marks)
    return Signed(checkpoint, sign(msgspec.json.encode(checkpoint), PAYLOAD_TYPE, key))


def _mark(ledger: Ledger, partition: int, earlier: Mark | None, progress: Progress, done: int) -> Mark:
    journal = ledger.journal(partition)
    head = journal.head()
    tree, link, place = Frontier(), bytes(32), 0
    if earlier is not None:
        tree, link, place = earlier.frontier(), bytes.fromhex(earlier.link), earlier.entries
        if place > head.entries:
            raise Refuted(f"partition {partition} has {head.entries:,} entries, and had {place:,}: run `points verify`")
    rows = chain.from_iterable(journal.stored_rows_of(place, head.entries))
    for sequence, _, _, state, stored in ticking(rows, progress, done + place):
        leaf = leaf_in(state)
        link = link_after(link, leaf)
        place += 1
        if sequence != place or stored != link:
            break
        tree.add(leaf)
    if tree.size != head.entries or link != head.link:
        since = f", or not what was signed up to place {earlier.entries:,}" if earlier else ""
        raise Refuted(f"partition {partition} is broken near place {place:,}{since}: run `points verify`")
    return Mark(partition, tree.size, link.hex(), tree.head().hex(), [peak.hex() for peak in tree.peaks])


def write(signed: Signed) -> bytes:
    """Return the file of a checkpoint: one line of JSON."""
    return msgspec.json.encode(signed.envelope) + b"\n"


def read(path: Path, key: Ed25519PublicKey | None = None) -> Signed:
    """Return the checkpoint in a file, its signature checked by `key`, else by the one it names. Raises `BadProof`."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES)
    except OSError as error:
        raise BadProof(f"{path}: {error.strerror}; give a file that `points checkpoint` made") from None
    return parsed(content, str(path), key)


def parsed(content: bytes, path: str, key: Ed25519PublicKey | None = None) -> Signed:
    """Return a checkpoint from the bytes of a file, its signature checked. Raises `BadProof`."""
    try:
        envelope = msgspec.json.decode(content, type=Envelope)
        if envelope.payload_type != PAYLOAD_TYPE:
            raise BadProof(f'{path}: is of type "{envelope.payload_type[:200]}", not a checkpoint')
        checkpoint = msgspec.json.decode(payload_of(envelope), type=Checkpoint)
        named = Ed25519PublicKey.from_public_bytes(bytes.fromhex(checkpoint.key))
    except UNREADABLE as error:
        raise BadProof(f"{path}: damaged, or no checkpoint ({error}); take another copy of it") from None
    if key is not None and key_id(key) != key_id(named):
        raise BadProof(f"{path}: is signed by key {key_id(named)}, not by the one given ({key_id(key)})")
    if not is_signed(envelope, named):
        raise BadProof(f"{path}: its signature does not hold: it was changed after it was signed; take another copy")
    for mark in checkpoint.partitions:
        mark.frontier()
    return Signed(checkpoint, envelope)


def check_ledger(ledger: Ledger, signed: Signed) -> None:
    """Raise `BadProof` where a checkpoint is of another ledger, `Refuted` where this one was born otherwise."""
    checkpoint = signed.checkpoint
    if checkpoint.ledger != ledger.identity:
        raise BadProof(
            f"the checkpoint is of ledger {checkpoint.ledger}, this is {ledger.identity} ({ledger.name});"
            " give the one it was made of"
        )
    partitions = [mark.partition for mark in checkpoint.partitions]
    counts = (len(ledger.partitions), *(growth.partitions for growth in ledger.settings.grown))
    if checkpoint.genesis != ledger.genesis or partitions not in [list(range(count)) for count in counts]:
        raise Refuted(
            f"the settings or the rule book that {ledger.name} was born with are not those of the checkpoint of"
            f" {checkpoint.at}: they were changed; restore ledger.json and book.toml"
        )
