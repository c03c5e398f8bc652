"""Proofs against a checkpoint: that an entry is in the ledger, and that a later checkpoint extends an earlier one."""

from base64 import b64encode
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from ledger.journal.ledger import Ledger
from projections.members import require_member
from projections.proof import BadProof, Refuted
from projections.proof.checkpoint import REPORT_EVERY, Mark, Progress, Signed, check_ledger, leaves_of
from projections.proof.keys import Envelope
from projections.proof.tree import Frontier, consistency_path, heads_of, inclusion_path


class Inclusion(Struct, frozen=True):
    """That an entry stands at a place (from 1) of a partition; `path` as in RFC 9162, in hex, `entry` in base64."""

    format: str
    partition: int
    place: int
    entry: str
    path: list[str]
    checkpoint: Envelope


class Extension(Struct, frozen=True):
    """How a partition's later tree is made from the earlier one."""

    partition: int
    path: list[str]


class Consistency(Struct, frozen=True):
    """That the later checkpoint holds every entry of the earlier one, in its place."""

    format: str
    earlier: Envelope
    later: Envelope
    partitions: list[Extension]


def inclusion(ledger: Ledger, member: str, number: int, signed: Signed, progress: Progress | None = None) -> Inclusion:
    """Prove that a member's entry is in a checkpoint; reads the partition up to it once.

    Raises `UnknownMember`, `BadProof` where there is no such entry by then or the checkpoint is of another ledger, and
    `Refuted` where the ledger is not what was signed.
    """
    check_ledger(ledger, signed)
    partition = ledger.partition_of(member)
    row = next((r for r in ledger.journal(partition).entries_of(member, number - 1, 1) if r.number == number), None)
    if row is None:
        require_member(ledger, member)
        raise BadProof(f"{member} has no entry {number}; `points entries {member}` lists them")
    mark = signed.checkpoint.partitions[partition]
    if row.place > mark.entries:
        raise BadProof(
            f"the entry stands at place {row.place:,}; the checkpoint of {signed.checkpoint.at} ends at"
            f" {mark.entries:,}: make a new one with `points checkpoint`"
        )
    leaves = _counted(leaves_of(ledger, partition, mark.entries), progress)
    path = heads_of(_checked(leaves, [(mark, signed)]), inclusion_path(row.place - 1, mark.entries))
    return Inclusion(
        "points-ledger.inclusion.v1",
        partition,
        row.place,
        b64encode(row.state).decode(),
        [node.hex() for node in path],
        signed.envelope,
    )


def consistency(ledger: Ledger, earlier: Signed, later: Signed, progress: Progress | None = None) -> Consistency:
    """Prove that one checkpoint extends another; reads every partition up to the later one once.

    Raises `BadProof` where they are of another ledger or the wrong way round, and `Refuted` where the ledger is not
    what was signed.
    """
    check_ledger(ledger, earlier)
    check_ledger(ledger, later)
    extensions = []
    for before, after in zip(earlier.checkpoint.partitions, later.checkpoint.partitions, strict=True):
        if before.entries > after.entries:
            raise BadProof(
                f"partition {before.partition} had {before.entries:,} entries at {earlier.checkpoint.at} and"
                f" {after.entries:,} at {later.checkpoint.at}: give the earlier checkpoint first"
            )
        leaves = _counted(leaves_of(ledger, after.partition, after.entries), progress)
        checked = _checked(leaves, [(before, earlier), (after, later)])
        path = heads_of(checked, consistency_path(before.entries, after.entries))
        extensions.append(Extension(after.partition, [node.hex() for node in path]))
    return Consistency("points-ledger.consistency.v1", earlier.envelope, later.envelope, extensions)


def write(proof: Inclusion | Consistency) -> bytes:
    """The file of a proof: one line of JSON."""
    return msgspec.json.encode(proof) + b"\n"


def _checked(leaves: Iterator[bytes], marks: list[tuple[Mark, Signed]]) -> Iterator[bytes]:
    """The leaves as they are; raises `Refuted` in the end where a mark, smallest first, is not the head of its tree."""
    waiting = [(mark, signed) for mark, signed in marks if mark.entries]
    tree = Frontier()
    for leaf in leaves:
        tree.add(leaf)
        while waiting and waiting[0][0].entries == tree.size and waiting[0][0].tree == tree.head().hex():
            waiting.pop(0)
        yield leaf
    for mark, signed in waiting[:1]:
        raise Refuted(
            f"partition {mark.partition} does not begin with the {mark.entries:,} entries that were signed at"
            f" {signed.checkpoint.at}: run `points verify --checkpoint FILE`"
        )


def _counted(leaves: Iterator[bytes], progress: Progress | None) -> Iterator[bytes]:
    for count, leaf in enumerate(leaves, 1):
        if progress and not count % REPORT_EVERY:
            progress(count)
        yield leaf
