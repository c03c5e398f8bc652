"""Proofs against a checkpoint: that an entry is in the ledger, and that a later checkpoint extends an earlier one."""

from base64 import b64encode
from pathlib import Path

import msgspec
from msgspec import Struct

from ledger.journal.ledger import Ledger
from ledger.journal.port import EntryRow
from projections.answers.members import require_member
from projections.audit.proof import BadProof, Refuted
from projections.audit.proof.checkpoint import Mark, Signed, check_ledger
from projections.audit.proof.keys import Envelope
from projections.audit.proof.nodes import blocks_of, forget
from projections.audit.proof.tree import Blocks, consistency_path, inclusion_path
from projections.ticking import Progress


class NoEntry(BadProof):
    """A member has no entry of that number."""


class NotCovered(BadProof):
    """An entry that came after a checkpoint."""


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


def inclusion(
    ledger: Ledger,
    member: str,
    number: int,
    signed: Signed,
    progress: Progress | None = None,
    nodes: Path | None = None,
) -> Inclusion:
    """Prove that a member's entry is in a checkpoint; reads what of the partition's tree is not in the folder `nodes`.

    Raises `UnknownMember`, `BadProof` where there is no such entry by then or the checkpoint is of another ledger, and
    `Refuted` where the ledger is not what was signed.
    """
    check_ledger(ledger, signed)
    row = _row(ledger, member, number)
    partition = ledger.owner_at(ledger.partition_of(member), row.sequence)
    marks = signed.checkpoint.partitions
    if partition >= len(marks) or row.sequence > marks[partition].entries:
        mark = marks[partition % len(marks)]
        raise NotCovered(
            f"the entry stands at place {row.sequence:,}; the checkpoint of {signed.checkpoint.at} ends at"
            f" {mark.entries:,}: make a new one with `points checkpoint`"
        )
    mark = marks[partition]
    blocks = agreed(ledger, [(mark, signed)], progress, nodes, row.sequence - 1)
    path = [blocks.head(part) for part in inclusion_path(row.sequence - 1, mark.entries)]
    return Inclusion(
        "points-ledger.inclusion.v1",
        partition,
        row.sequence,
        b64encode(row.state).decode(),
        [node.hex() for node in path],
        signed.envelope,
    )


def place_of(ledger: Ledger, member: str, number: int) -> tuple[int, int]:
    """Return the partition and place of a member's entry. Raises `UnknownMember`, and `NoEntry`."""
    sequence = _row(ledger, member, number).sequence
    return ledger.owner_at(ledger.partition_of(member), sequence), sequence


def _row(ledger: Ledger, member: str, number: int) -> EntryRow:
    rows = ledger.journal(ledger.partition_of(member)).entries_of(member, number - 1, 1)
    if not rows or rows[0].number != number:
        require_member(ledger, member)
        raise NoEntry(f'"{member}" has no entry {number}; `points entries {member}` lists them')
    return rows[0]


def consistency(
    ledger: Ledger, earlier: Signed, later: Signed, progress: Progress | None = None, nodes: Path | None = None
) -> Consistency:
    """Prove that one checkpoint extends another; reads what of the trees is not in the folder `nodes`.

    Raises `BadProof` where they are of another ledger or the wrong way round, and `Refuted` where the ledger is not
    what was signed.
    """
    check_ledger(ledger, earlier)
    check_ledger(ledger, later)
    extensions = []
    marks = earlier.checkpoint.partitions
    if len(marks) > len(later.checkpoint.partitions):
        raise BadProof(f"the checkpoint of {earlier.checkpoint.at} has more partitions: give the earlier one first")
    for after in later.checkpoint.partitions:
        before = marks[after.partition % len(marks)]  # which a new one branched off
        if before.entries > after.entries:
            raise BadProof(
                f"partition {before.partition} had {before.entries:,} entries at {earlier.checkpoint.at} and"
                f" {after.entries:,} at {later.checkpoint.at}: give the earlier checkpoint first"
            )
        boundary = before.entries if before.entries < after.entries else None
        blocks = agreed(ledger, [(before, earlier), (after, later)], progress, nodes, boundary)
        path = [blocks.head(part) for part in consistency_path(before.entries, after.entries)]
        extensions.append(Extension(after.partition, [node.hex() for node in path]))
    return Consistency("points-ledger.consistency.v1", earlier.envelope, later.envelope, extensions)


def write(proof: Inclusion | Consistency) -> bytes:
    """Return the file of a proof: one line of JSON."""
    return msgspec.json.encode(proof) + b"\n"


def agreed(
    ledger: Ledger,
    marks: list[tuple[Mark, Signed]],
    progress: Progress | None = None,
    nodes: Path | None = None,
    index: int | None = None,
) -> Blocks:
    """Return a partition's tree, which has to have the heads that were signed; `marks` with the largest last.

    What is kept in the folder `nodes` is trusted only where it comes to those, and the block of the leaf `index` is
    read in any case. Raises `Refuted`.
    """
    mark = marks[-1][0]
    blocks = blocks_of(ledger, mark.partition, mark.entries, nodes, progress)
    wrong = _first_wrong(blocks, marks, index)
    if wrong is not None and nodes is not None:
        forget(nodes, mark.partition)
        blocks = blocks_of(ledger, mark.partition, mark.entries, nodes, progress)
        wrong = _first_wrong(blocks, marks, index)
    if wrong is not None:
        raise Refuted(
            f"partition {mark.partition} does not begin with the {wrong[0].entries:,} entries that were signed at"
            f" {wrong[1].checkpoint.at}: run `points verify --checkpoint FILE`"
        )
    return blocks


def _first_wrong(blocks: Blocks, marks: list[tuple[Mark, Signed]], index: int | None) -> tuple[Mark, Signed] | None:
    for mark, signed in marks:
        if _head(blocks, mark.entries) != mark.tree:
            return mark, signed
    return None if index is None or blocks.is_block(index) else marks[-1]


def _head(blocks: Blocks, entries: int) -> str:
    """Return the head over the first entries, nothing where there are not as many."""
    try:
        return blocks.head(range(entries)).hex()
    except ValueError:
        return ""
