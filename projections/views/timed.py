"""Views that count: what each member adds to the tables at an instant is kept with the member, to be taken back later.

The sums are exact at any instant from the latest by which a member was counted: the few for whom something fell due
since are counted anew. `refresh_due` is run now and then, so that they stay few.
"""

import time
from dataclasses import replace

import msgspec

from ledger.core.account import copy_account
from ledger.core.benefits import next_end_of_grace
from ledger.core.decide import run_to
from ledger.core.pages import PagesInMemory
from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import NOT_MEMBERS, Programme
from projections.views.port import Build
from projections.views.sql import member_row, table_rows
from projections.views.view import FoldStep, Key, MemberState, RowDeltas, View, copied_state, fold_time, next_change

AT_ONCE = 1_000  # members of a transaction
_Row = tuple[str, Key, list[int]]  # of a table

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Row]).decode


def present() -> int:
    """Return the instant at which members are counted: now, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def count(view: View, book: Programme, subject: MemberState, instant: int, rows: RowDeltas) -> None:
    """Replace what a member counted for before by what the member counts for at an instant."""
    for table, key, amounts in _decode(subject.counted) if subject.counted else ():
        rows.add(table, key, *(-amount for amount in amounts))
    account = view.account(subject.state)
    assert account is not None
    found = RowDeltas(view.tables)
    if view.folds_time or account.next_due_at <= instant:
        account = copy_account(account)
        changes = run_to(account, book, instant, PagesInMemory())
        if view.folds_time and changes:
            before = replace(subject, state=copied_state(subject.state))
            fold_time(view, FoldStep(book, before), changes, found)
    if not subject.member.startswith(NOT_MEMBERS):
        view.count_member(subject, account, max(instant, account.clock), book, found)
    clock = max(instant, account.clock)
    due = min(next_change(account, book), view.next_count(account, book))
    subject.due = min(due, next_end_of_grace(account, book.nearest(clock), clock))
    counted = [(table, key, amounts) for table, of in found.of.items() for key, amounts in of.items() if any(amounts)]
    for table, key, amounts in counted:
        rows.add(table, key, *amounts)
    subject.counted = _encode(counted)


def refresh_due(ledger: Ledger, build: Build, instant: int) -> None:
    """Count every member anew for whom something fell due by an instant."""
    while True:
        with build.reading() as batch:
            if not batch.has_due(instant):
                return
        with build.writing() as batch:
            rows = RowDeltas(build.view.tables)
            members = []
            for partition, subject in batch.due_members(instant, AT_ONCE):
                count(build.view, ledger.books().in_partition(partition), subject, instant, rows)
                members.append(member_row(build.view, partition, subject))
            batch.write(members, table_rows(build.view, rows))
            batch.counted_at(instant)
