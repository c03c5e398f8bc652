"""The native engine, where it is installed: it decides a partition's facts to the bytes that `ledger.core` makes.

The engine keeps the members that it decided about in memory; what it does not do it hands back to Python.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec import msgpack

from ledger.core.decide import Limits
from ledger.journal.port import Snapshot, StoredRow
from ledger.journal.sql import Batch
from ledger.rulebook.compiled import Programme
from ledger.rulebook.plain import plain_version
from ledger.wire.times import Zone

MEMBER_BYTES: Final = 128 << 20  # of members in the engine's memory, in a process, over all its partitions


PlainRow = tuple[int, str, int, bytes, bytes]  # of an entry: sequence, member, number, bytes and link


# Takes those of a partition's fetched records that are plain: see `plain_records`.
TakePlain = Callable[[list[Any], int, int, int, bool], tuple[list[Any], int, int]]


class NativeBatch(NamedTuple):
    """What a batch came to: by place each entry's number, outcome and bytes, and the rows that are to be written."""

    numbers: list[int]
    outcomes: list[int]
    states: list[bytes]
    pages: list[tuple[str, str, bytes]]  # as `PageRow`, in the order of their keys
    snapshots: list[Snapshot]
    handed_back: set[str]


def plain_records(module: Any) -> TakePlain:
    """Return what takes records, as `Buffer.extend` has them, as long as they are plain.

    It is told the place of the first, the offset of the last before it, the latest instant so far and whether importers
    may declare one. It returns the records, the latest instant by then and how many bytes their values have.
    """
    take_plain: TakePlain = module.take_plain
    return take_plain


def plain_intake(
    module: Any, partition: int, partitions: int, operators: Iterable[str], grantors: Iterable[str]
) -> Callable[[Sequence[Any]], list[Any]]:
    """Return what reads the records of a partition: for each the fact, None where Python is to read it.

    A fact has the attributes of `partition.FactRecord`, and None as its `fact`.
    """
    read: Callable[[Sequence[Any]], list[Any]] = module.Intake(
        partition, partitions, list(operators), list(grantors)
    ).read
    return read


def published_by(module: Any, zone: Zone) -> Callable[[Sequence[PlainRow | StoredRow], bool], list[bytes | None]]:
    """Return what encodes entries as `entry_json.describe_published` tells them; None where Python is to do it.

    It takes rows as `Journal.scan_rows_of` has them, and whether published rule books are at home in the partition.
    """
    published: Callable[[Sequence[PlainRow | StoredRow], bool], list[bytes | None]]
    published = module.Teller(msgpack.encode(zone)).published
    return published


def looking_for(module: Any, mark: bytes) -> Callable[[Sequence[PlainRow | StoredRow]], bool]:
    """Return what says of entries, in rows as `published_by` has them, whether a mark stands in the bytes of any."""
    any_has: Callable[[Sequence[PlainRow | StoredRow], bytes], bool] = module.any_has
    return lambda rows: any_has(rows, mark)


class NativeEngine:
    """One partition's native engine."""

    def __init__(self, module: Any, partition: int, book: Programme, limits: Limits, share: float) -> None:
        self.module = module
        self._engine = module.Engine(partition, limits.request_max_age, int(MEMBER_BYTES * share))
        self._book = book
        self._known = 0  # versions that the engine has
        self._handed_back: Counter[str] = Counter()  # facts, by why, until they are taken

    def clear(self) -> None:
        """Forget all members: after an error some may be ahead of what is stored."""
        self._engine.clear()
        self._handed_back.clear()

    def take_handed_back(self) -> Counter[str]:
        """Return how many facts were handed back, by why, since this was last asked."""
        taken, self._handed_back = self._handed_back, Counter()
        return taken

    def has(self, member: str) -> bool:
        """Return True if a member is in memory."""
        found: bool = self._engine.has(member)
        return found

    def decide(self, batch: Batch, facts: Sequence[Any], repeats: Mapping[int, tuple[int, bool]]) -> NativeBatch:
        """Decide facts in stream order; the lock of the interpreter is free meanwhile, but for what is read.

        `facts` are `partition.FactRecord` or what `plain_intake` reads. `repeats` are by their place those that came
        before: the number of the entry that decided a fact of the same name, or of one of this batch -1 - its place in
        it, and whether the content is the same.
        """
        if len(self._book.versions) != self._known:  # a programme is only added to
            self._engine.take_programme([plain_version(version) for version in self._book.versions])
            self._known = len(self._book.versions)
        numbers, outcomes, states, pages, snapshots, handed_back = self._engine.decide(facts, repeats, _Reading(batch))
        if handed_back:
            of = Counter(item.member for item in facts)
            for member, why in handed_back:
                self._handed_back[why] += of[member]
        return NativeBatch(
            numbers,
            outcomes,
            states,
            pages,
            [Snapshot(*row) for row in snapshots],
            {m for m, _ in handed_back},
        )

    def links_after(self, link: bytes, states: Sequence[bytes]) -> list[bytes]:
        """Return the chain's link at each of some entries."""
        links: list[bytes] = self.module.chain(link, states)
        return links


class _Reading:
    """What the engine reads of a journal within a batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.accounts = batch.accounts
        self.page = batch.page_state
        self.pages = batch.page_states

    def entry(self, member: str, number: int) -> bytes | None:
        """Return a member's entry by its number."""
        rows = self._batch.entries_of(member, number - 1, 1)
        return rows[0].state if rows and rows[0].number == number else None
