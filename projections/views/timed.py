"""Views that count: what each member adds to the tables at an instant, kept with her, so that it can be taken back.

The sums are exact at any instant from the latest by which a member was counted: the few for whom something fell due
since are counted anew. A view is settled now and then, so that they stay few.
"""

import time
from collections.abc import Callable, Iterable, Iterator

import msgspec

from ledger.core.decide import run_to
from ledger.core.draft import next_due
from ledger.core.pages import PagesInMemory
from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import Book
from projections.views.store import Batch, Build, table_rows
from projections.views.view import Kept, Key, Rows, View, copy_of

AT_ONCE = 1_000  # members of a transaction
Tick = Callable[[int], None]
_Row = tuple[str, Key, list[int]]  # of a table

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Row]).decode


def present() -> int:
    """The instant at which members are counted."""
    return time.time_ns() // 1000


def count(view: View, book: Book, kept: Kept, instant: int, rows: Rows) -> None:
    """Let a member count for what she is at an instant in place of what she counted for before."""
    for table, key, amounts in _decode(kept.counted) if kept.counted else ():
        rows.add(table, key, *(-amount for amount in amounts))
    found = Rows(view.tables)
    kept.due = _count(view, book, kept, instant, found)
    counted = [(table, key, amounts) for table, of in found.of.items() for key, amounts in of.items() if any(amounts)]
    for table, key, amounts in counted:
        rows.add(table, key, *amounts)
    kept.counted = _encode(counted)


def _count(view: View, book: Book, kept: Kept, instant: int, rows: Rows) -> int:
    """Add what a member counts for at an instant; the instant at which time next changes that."""
    account = view.account(kept.state)
    assert account is not None
    if account.next_due_at <= instant:
        account = copy_of(account)
        run_to(account, book, instant, PagesInMemory())
    view.count(account, max(instant, account.clock), book, rows)
    return next_due(account)


def settle(ledger: Ledger, build: Build, instant: int) -> int:
    """Count every member anew for whom something fell due by an instant; how many there were."""
    settled = 0
    while True:
        with build.reading() as batch:
            if not batch.has_due(instant):
                return settled
        with build.writing() as batch:
            rows = Rows(build.view.tables)
            parts: dict[int, dict[str, Kept]] = {}
            for partition, kept in batch.due_members(instant, AT_ONCE):
                count(build.view, ledger.book, kept, instant, rows)
                parts.setdefault(partition, {})[kept.member] = kept
            for partition, members in parts.items():
                batch.write_members(batch.member_rows(partition, members))
                settled += len(members)
            batch.write((), table_rows(build.view, rows))
            batch.counted_at(instant)


def counted(
    batch: Batch, view: View, book: Book, instant: int, tick: Tick = lambda _: None
) -> dict[str, dict[Key, list[int]]]:
    """A view's tables as they are at an instant from `Batch.latest` on. `tick` hears of members counted anew."""
    found = {table.name: dict(batch.sums(table)) for table in view.tables}
    rows = Rows(view.tables)
    for done, kept in enumerate(_due(batch, instant), 1):
        count(view, book, kept, instant, rows)
        if not done % AT_ONCE:
            tick(done)
    for name, changed in rows.of.items():
        for key, amounts in changed.items():
            row = found[name].get(key)
            found[name][key] = amounts if row is None else [a + b for a, b in zip(row, amounts, strict=True)]
    return {name: {key: row for key, row in of.items() if any(row)} for name, of in found.items()}


def _due(batch: Batch, instant: int) -> Iterator[Kept]:
    members: Iterable[tuple[int, Kept]] = batch.due_members(instant)
    return (kept for _, kept in members)
