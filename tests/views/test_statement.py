"""The statement of a member: the balance after each line is what the ledger says was spendable."""

from random import Random
from typing import Any

import pytest

from ledger.core.account import Account
from ledger.core.evolve import evolve
from ledger.journal import sql
from ledger.journal.ledger import Ledger
from ledger.journal.port import EntryRow
from ledger.journal.sql import Journal
from ledger.wire.entry_codec import decode_entry, encode_entry
from projections.answers import statement_pages
from projections.answers.savings import savings
from projections.answers.show import show_member
from projections.answers.statement import Line, LineReader, Month, Wanted, folded, lines_of, table_of
from projections.answers.statement_pages import Statement, Statements, statement_of
from projections.explaining import history
from projections.explaining.explain import explain_entry
from projections.explaining.member import explain_member
from tests.core.test_laws_of_gifts import Story
from tests.core.test_worked_examples_of_merges import done, merges, parts, town_of
from tests.support.ledgers import SmallLedger, histories_of, scratch
from tests.support.town import Town


@pytest.mark.parametrize("seed", range(3))
def test_each_balance_is_what_was_spendable_after_the_entry_however_many_are_read(seed: int) -> None:
    with scratch() as folder:
        small = SmallLedger(folder / "ledger")
        try:
            small.hears(histories_of(Random(seed), 3, 200))
            small.decides()
            ledger = small.ledger
            for partition in ledger.partitions:
                for member, rows in ledger.journal(partition).by_member():
                    account, spendable = Account(), []
                    for row in rows:
                        entry = decode_entry(row.state)
                        for change in entry.changes:
                            evolve(account, change)
                        spendable.append({kind: purse.spendable() for kind, purse in account.purses.items()})
                    lines = list(lines_of(ledger, member, len(spendable)))
                    assert [line.number for line in lines] == list(range(1, len(spendable) + 1))
                    before: dict[str, int] = {}
                    for line, of in zip(lines, spendable, strict=True):
                        assert line.balances == of
                        for kind, points in of.items():
                            moved = line.effect.get(kind, 0) + line.lost.get(kind, 0)
                            assert points - before.get(kind, 0) == moved
                        before = of
                    page = statement_of(ledger, member, len(spendable)).page(ledger, 0, Wanted())
                    came_to = sum(sum(month.sums.get("beans", (0, 0))) for month in walked(ledger, member, lines))
                    assert came_to == spendable[-1].get("beans", 0) and page.found == len(spendable)
                    wanted = Wanted("beans", "", "accepted")
                    chosen = [line for line in lines if wanted.has(line)]
                    assert chosen and all(line.outcome == "accepted" for line in chosen)
                    told = list(table_of(member, chosen, "beans", ledger.book.offset).rows)
                    assert sum(row[9] for row in told) == sum(line.effect.get("beans", 0) for line in chosen)
                    one = [line for line in lines if line.reason == "duplicate"]
                    assert sum(line.folded + 1 for line in folded(one)) == len(one)
        finally:
            small.close()


def test_what_is_given_to_others_and_comes_of_them_moves_the_balance_of_its_own_line() -> None:
    town = Story(1, closes=True).runs()
    seen = set[str]()
    for member in town.members.values():
        reader, account, before = LineReader(town.book.offset, Account()), Account(), 0
        for entry in member.entries:
            state = encode_entry(entry)
            line = reader.line_of(EntryRow(entry.number, member.name, entry.number, state, b""))
            for change in entry.changes:
                evolve(account, change)
            after = account.purse("beans").spendable()
            assert line.balances is not None and line.balances.get("beans", 0) == after
            assert line.effect.get("beans", 0) + line.lost.get("beans", 0) == after - before
            before = after
            seen.update(type(change).__name__ for change in entry.changes)
    assert {"Sent", "Received", "SentBack", "Recalled"} <= seen


def test_a_line_says_by_name_what_came_with_it_and_what_went_and_all_of_it_is_the_balance() -> None:
    town = town_of(A=100, B=50, C=5)
    town.spends("A", 30, "R1")
    for name, into in (("A", "B"), ("B", "C")):
        merges(town, name, into)
        done(town)
    town.spends("A", 20, "R2")
    done(town)
    parts(town, "C", "B")
    done(town)
    said = {name: [line.names for line in lines_of_member(town, name) if line.names] for name in "ABC"}
    came, went = {"B": {"beans": 50}, "A": {"beans": 70}}, {"B": {"beans": -35}, "A": {"beans": -70}}
    back = {"B": {"beans": 35}, "A": {"beans": 70}}
    assert said["A"] == [{"A": {"beans": -70}}]
    assert said["B"] == [{"A": {"beans": 70}}, {"B": {"beans": -50}, "A": {"beans": -70}}, back]
    assert said["C"] == [came, went], "15 of the 20 were B's"
    for name in "ABC":
        for line in lines_of_member(town, name):
            if line.names:
                assert line.effect.get("beans", 0) == sum(of.get("beans", 0) for of in line.names.values())
    rows = list(table_of("C", lines_of_member(town, "C"), "beans", town.book.offset).rows)
    assert sum(row[9] or 0 for row in rows) == town.member("C").purse().spendable()
    assert next(row[12] for row in rows if row[12]) == {"B": 50, "A": 70}


def lines_of_member(town: Town, name: str) -> list[Line]:
    """The lines of a member of a town."""
    reader = LineReader(town.book.offset, Account())
    entries = town.member(name).entries
    return [reader.line_of(EntryRow(of.number, name, of.number, encode_entry(of), b"")) for of in entries]


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many marks, some let go, and many pages, in a history of 200 facts."""
    for name, value in (("FIRST_SPACING", 3), ("MOST_MARKS", 6), ("LINES", 5), ("READ_AT_ONCE", 50), ("PIECE", 20)):
        monkeypatch.setattr(statement_pages, name, value)


def walked(ledger: Ledger, member: str, lines: list[Line]) -> list[Month]:
    """The months of a statement, read page by page as it grows and by filters; each page is what all lines say."""
    held, last = Statements(), len(lines)
    for grown in (last // 3, last // 2, last, last // 2, last * 2 // 3):  # as it grows, and then as of earlier days
        while held.read_on(ledger, member, grown):
            pass
        statement = held.of(ledger, member, grown)
        assert statement is not None
        filters = [Wanted(), Wanted("beans"), Wanted(outcome="ignored"), Wanted(type="order.completed.v1")]
        filters += [Wanted("beans", month=month) for month in statement.months]
        for wanted in filters:
            chosen = folded(filter(wanted.has, lines[:grown]))
            assert statement.page(ledger, 0, wanted).found == sum(line.folded + 1 for line in chosen)
            found, cuts = every_page(ledger, statement, wanted)
            assert not cuts
            assert found == chosen[::-1]
    statement = held.of(ledger, member, last)
    assert statement is not None and statement.number == last and statement is held.of(ledger, member, last)
    by_month = {month: Month(month, [], of.sums) for month, of in statement.months.items()}
    assert list(by_month) == list(dict.fromkeys(line.month for line in lines))
    return list(by_month.values())


def test_a_page_stops_where_it_has_read_enough_and_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with scratch() as folder:
        small = SmallLedger(folder / "ledger")
        try:
            small.hears([one for one in histories_of(Random(1), 1, 100) for _ in range(3)])
            small.decides()
            ledger = small.ledger
            member = next(member for p in ledger.partitions for member, _ in ledger.journal(p).by_member())
            last = ledger.journal(ledger.partition_of(member)).last_number(member)
            lines = list(lines_of(ledger, member, last))
            statement = statement_of(ledger, member, last)
            for wanted in (Wanted(), Wanted(outcome="ignored")):  # duplicates stand at the edge of a page
                assert every_page(ledger, statement, wanted)[0] == folded(filter(wanted.has, lines))[::-1]
            monkeypatch.setattr(statement_pages, "MOST_READ", 10)
            wanted = Wanted(outcome="refused")
            found, cuts = every_page(ledger, statement, wanted)
            assert cuts and found == list(filter(wanted.has, lines))[::-1]
            monkeypatch.setattr(statement_pages, "MOST_ENTRIES", 20)
            page = statement_of(ledger, member, last).page(ledger, 0, Wanted())
            assert page.found == 20 and all(line.balances is None for month in page.months for line in month.lines)
        finally:
            small.close()


def test_of_a_long_statement_the_newest_entries_are_read_and_the_rest_a_piece_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with scratch() as folder:
        small = SmallLedger(folder / "ledger")
        try:
            small.hears(histories_of(Random(1), 1, 200))
            small.decides()
            ledger, member, last = small.ledger, "m-0", 200
            lines = list(lines_of(ledger, member, last))
            counted, entries_of = list[int](), Journal.entries_of

            def counting(self: Journal, *asked: Any) -> list[EntryRow]:
                rows = entries_of(self, *asked)
                counted.append(len(rows))
                return rows

            monkeypatch.setattr(Journal, "entries_of", counting)
            held, read = Statements(), list[int]()
            assert held.of(ledger, member, last) is None and not counted
            newest = statement_of(ledger, member, last, 10).page(ledger, 0, Wanted())
            assert sum(counted) <= 20, "the newest once for what there is of them, and once for the page"
            shown = [line for month in newest.months for line in month.lines]
            assert [line.number for line in shown] == [line.number for line in folded(lines)][:-6:-1]
            assert all(line.balances is None for line in shown)
            while True:
                counted.clear()
                missing = held.read_on(ledger, member, last)
                read.append(sum(counted))
                if not missing:
                    break
            assert read == [20] * 10
            whole = held.of(ledger, member, last)
            assert whole is not None and whole.page(ledger, 0, Wanted()).months[0].lines[0] == lines[-1]
            counted.clear()
            earlier = held.of(ledger, member, 150)
            assert earlier is not None and earlier.number == 150 and sum(counted) <= earlier._spacing
        finally:
            small.close()


def test_what_is_told_of_a_member_by_all_entries_has_few_of_them_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with scratch() as folder:
        small = SmallLedger(folder / "ledger")
        try:
            small.hears(histories_of(Random(2), 1, 150))
            small.decides()
            ledger, member = small.ledger, "m-0"
            entries = [
                decode_entry(row.state) for row in ledger.journal(ledger.partition_of(member)).entries_of(member)
            ]
            middle, now = entries[75].clock, entries[-1].clock

            def told() -> list[Any]:
                shown = [show_member(ledger, member, at, known) for at, known in ((middle, None), (now, middle))]
                why = [explain_entry(ledger, member, 150), explain_member(ledger, member, as_of=middle)]
                return [*shown, *why, savings(ledger, member, now), list(lines_of(ledger, member, 100))]

            heard = list[int]()
            monkeypatch.setattr(history, "TOLD_EVERY", 50)
            explain_entry(ledger, member, 100, progress=heard.append)
            assert heard == [50, 100, 150, 50, 100], "read to the end, and decided anew up to the entry"

            def late(_: int) -> None:
                raise TimeoutError

            with pytest.raises(TimeoutError):
                explain_entry(ledger, member, 100, progress=late)
            whole, entries_of, most = told(), Journal.entries_of, list[int]()

            def counting(self: Journal, *asked: Any) -> list[EntryRow]:
                rows = entries_of(self, *asked)
                most.append(len(rows))
                return rows

            monkeypatch.setattr(Journal, "entries_of", counting)
            monkeypatch.setattr(sql, "_SCAN_ENTRIES", 7)
            assert told() == whole and max(most) == 7
            assert ledger.account("m-nobody", now) is None and ledger.account("m-nobody", now, now) is None
        finally:
            small.close()


def every_page(ledger: Ledger, statement: Statement, wanted: Wanted) -> tuple[list[Line], int]:
    """Return the lines of all pages, and how many pages were cut."""
    before, found, cuts = 0, list[Line](), 0
    while True:
        page = statement.page(ledger, before, wanted)
        found += [line for month in page.months for line in month.lines]
        cuts += page.is_cut
        before = page.older
        if not before:
            return found, cuts
