"""Views that are kept: a view rebuilt is the view kept, and both say what the entries say, at any instant."""

import os
import signal
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ledger.core.account import Account
from ledger.core.decide import run_to
from ledger.core.evolve import evolve_entry
from ledger.core.pages import PagesInMemory
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger, open_or_create
from ledger.journal.port import Damaged, JournalError
from ledger.rulebook.schema import shipped
from ledger.wire.entry_codec import decode_entry
from ledger.wire.times import DAY, MAX_INSTANT, day_of, month_of, month_start, month_text
from projections.answers import stats, tables
from projections.answers.parquet import write_parquet
from projections.views import compare as compared
from projections.views import rebuild, runner
from projections.views import snapshot as snapshots
from projections.views.builtin import liability
from projections.views.compare import compare
from projections.views.files import Folder
from projections.views.registry import BUILT_IN, all_views, find_query
from projections.views.snapshot import Past, of_member, snapshot
from projections.views.sql import Batch
from projections.views.view import Options
from tests.support.bitemporal import at, fact, order
from tests.support.histories import START
from tests.support.ledgers import SmallLedger, histories_of, scratch
from tests.support.shop import instant
from tests.support.tampering import stamp_anew

SEEDS = range(4)
VIEWS = all_views()
Rows = list[tuple[Any, ...]]


@contextmanager
def kept(seed: int, monkeypatch: pytest.MonkeyPatch, members: int = 5, length: int = 120) -> Iterator[SmallLedger]:
    """A ledger whose views were run after each of its batches, a few entries at a time."""
    monkeypatch.setattr(runner, "BATCH", 37)
    monkeypatch.setattr(rebuild, "BATCH", 53)
    random = Random(seed)
    facts = histories_of(random, members, length)
    with scratch() as folder:
        small = SmallLedger(folder / "ledger")
        try:
            while facts:
                some = random.randint(1, 150)
                small.hears(facts[:some])
                del facts[:some]
                small.decides(batch=random.choice((7, 100)))
                run_some(small.ledger, random)
            runner.run(small.ledger, views_of(small.ledger), BUILT_IN)
            yield small
        finally:
            small.close()


def run_some(ledger: Ledger, random: Random) -> None:
    """Not all views at once, so that they stand at different places and meet again."""
    runner.run(ledger, views_of(ledger), random.sample(BUILT_IN, random.randint(1, len(BUILT_IN))))


def views_of(ledger: Ledger) -> Folder:
    return Folder(Path(ledger.place) / "views")


def rows_of(ledger: Ledger, name: str, as_of: int | None, **options: Any) -> Rows:
    """What a query says of the live build."""
    found = find_query(VIEWS, name)
    assert found is not None
    with snapshot(ledger, views_of(ledger), found[0], as_of) as taken:
        return list(found[1].rows(taken, Options(**options)).rows)


def instants_of(ledger: Ledger, random: Random, count: int) -> list[int]:
    """Instants of all sorts: of entries, just before them, between, at midnights, and long after."""
    clocks = sorted(decode_entry(row.state).clock for p in ledger.partitions for row in ledger.journal(p).scan())
    offset = ledger.book.offset
    found = []
    for _ in range(count):
        at = random.choice(clocks)
        midnight = day_of(at, offset) * DAY - offset
        found.append(random.choice((at, at - 1, at + random.randint(0, 300 * DAY), midnight, midnight - 1)))
    return [*found, clocks[-1], clocks[-1] + 1_000 * DAY]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_view_rebuilt_is_the_view_kept(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with kept(seed, monkeypatch) as small:
        folder = views_of(small.ledger)
        for view in BUILT_IN:
            runner.rebuild(small.ledger, folder, view)
            found = compare(small.ledger, folder, view)
            assert found["rows"] and found["differences"] == [], view.name


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["balances", "lots", "scores", "memberships"])
def test_views_say_what_the_exports_say_at_any_instant(name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with kept(seed, monkeypatch) as small:
        for at in instants_of(small.ledger, Random(seed), 12):
            assert rows_of(small.ledger, name, at) == list(tables.TABLES[name](small.ledger, at, None).rows)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_statement_closes_at_what_the_member_has(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with kept(seed, monkeypatch) as small:
        for at in instants_of(small.ledger, Random(seed), 12):
            last: dict[tuple[str, str], tuple[int, int]] = {}
            for member, kind, _month, opening, *_amounts, closing, debt, _forfeited, _given, _received in rows_of(
                small.ledger, "statement", at
            ):
                assert opening == last.get((member, kind), (0, 0))[0]
                last[member, kind] = closing, debt
            for member, account in small.ledger.accounts(at):
                for kind, purse in account.purses.items():
                    assert last.get((member, kind), (0, 0)) == (in_hand(purse), purse.debt), (member, at)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("counted_at", ["its clock", "now and again"])
def test_the_books_kept_are_the_books_summed(counted_at: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = int(START.timestamp()) * 1_000_000
    random = Random(seed)

    def present() -> int:
        nonlocal now
        now += random.randint(0, 6 * DAY) if counted_at == "now and again" else 0
        return now

    for module in (runner, rebuild, snapshots):
        monkeypatch.setattr(module, "present", present)
    with kept(seed, monkeypatch) as small:
        ledger, view = small.ledger, VIEWS["books"]
        with snapshot(ledger, views_of(ledger), view, None) as taken:
            first = taken.as_of
        for instant in (first, *(first + random.randint(0, 300 * DAY) for _ in range(6)), first + 3_000 * DAY):
            with snapshot(ledger, views_of(ledger), view, instant) as taken:
                sums = stats.kept(taken)
            summed = stats.summed(ledger, instant)
            assert stats.books_of(ledger, sums) == stats.books_of(ledger, summed), instant
            assert stats.outstanding_by_month(ledger, sums) == stats.outstanding_by_month(ledger, summed), instant
        with pytest.raises(Past), snapshot(ledger, views_of(ledger), view, first - 1):
            pass


def test_one_process_follows_a_view_and_another_lets_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    first = folder.claim("books")
    assert first is not None and folder.claim("books") is None
    other = folder.claim("liability")
    assert other is not None
    first.close()
    again = folder.claim("books")
    assert again is not None
    again.close()
    other.close()


def in_hand(purse: Any) -> int:
    return int(purse.spendable() + purse.pending() + purse.held())


FIGURES = ("issued", "redeemed", "expired", "clawed_back", "debt", "written_off", "cash_shortfall_fen")


def books_of(ledger: Ledger, until: int, *, known: bool) -> dict[str, tuple[int, ...]]:
    """Totals by kind of the entries before an instant (by clock, and where `known` by `recorded` too), run to it."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0] * len(FIGURES))
    for partition in ledger.partitions:
        for _, rows in ledger.journal(partition).by_member():
            account = Account()
            for row in rows:
                entry = decode_entry(row.state)
                if entry.clock >= until or (known and entry.recorded >= until):
                    break
                evolve_entry(account, entry)
            run_to(account, ledger.book, until, PagesInMemory())
            for kind, purse in account.purses.items():
                for place, name in enumerate(FIGURES):
                    totals[kind][place] += getattr(purse, name)
    return {kind: tuple(figures) for kind, figures in totals.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_liability_is_what_the_books_say_at_the_end_of_any_day(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with kept(seed, monkeypatch) as small:
        offset = small.ledger.book.offset
        monkeypatch.setattr(snapshots, "present", lambda: MAX_INSTANT)  # of every day it is the end
        for at in instants_of(small.ledger, Random(seed), 12):
            end = (day_of(at, offset) + 1) * DAY - offset
            books = books_of(small.ledger, end, known=False)
            cohorts = rows_of(small.ledger, "outstanding", at)
            for kind, *figures in rows_of(small.ledger, "liability", at):
                outstanding, beside = figures[4], figures[6:9]
                assert (*figures[:4], *beside) == books.get(kind, (0,) * len(FIGURES)), at
                assert outstanding == figures[0] - sum(figures[1:4])
                assert outstanding == sum(row[6] for row in cohorts if row[0] == kind)
                assert all(row[6] >= 0 for row in cohorts)


def months_of(ledger: Ledger) -> list[int]:
    """Every month from the first entry to half a year after the last."""
    clocks = [decode_entry(row.state).clock for p in ledger.partitions for row in ledger.journal(p).scan()]
    offset = ledger.book.offset
    return list(range(month_of(min(clocks), offset), month_of(max(clocks), offset) + 7))


def closed(ledger: Ledger, month: int) -> dict[str, dict[str, tuple[int, int | None]]]:
    """A month's close: by kind and line, points and how many of them belong to earlier months."""
    found: dict[str, dict[str, tuple[int, int | None]]] = defaultdict(dict)
    end = month_start(month + 1, ledger.book.offset)
    with snapshot(ledger, views_of(ledger), VIEWS["liability"], end) as taken:
        for _, kind, line, points, _, late in liability.close(taken, month).rows:
            found[kind][line] = points, late
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_a_close_is_what_was_known_when_the_month_ended(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with kept(seed, monkeypatch) as small:
        offset = small.ledger.book.offset
        late = 0
        for month in months_of(small.ledger):
            before = books_of(small.ledger, month_start(month, offset), known=True)
            after = books_of(small.ledger, month_start(month + 1, offset), known=True)
            for kind, lines in closed(small.ledger, month).items():
                old, new = before.get(kind, (0,) * 7), after.get(kind, (0,) * 7)
                assert lines["opening"][0] == old[0] - sum(old[1:4])
                assert lines["closing"][0] == new[0] - sum(new[1:4])
                moved = [lines[name][0] for name in ("issued", "redeemed", "expired", "clawed_back")]
                assert moved == [new[0] - old[0], *(old[place] - new[place] for place in (1, 2, 3))]
                late += sum(1 for _, of_earlier in lines.values() if of_earlier)
        assert late or seed, "no late fact in this history"


def test_a_closed_month_never_changes_and_what_is_late_is_in_a_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BATCH", 37)
    facts = histories_of(Random(7), 9, 60)
    with scratch() as folder:
        small = SmallLedger(folder / "ledger")
        homes = {small.ledger.partition_of(fact["subject"]) for fact in facts}
        seen: dict[int, dict[str, Any]] = {}
        try:
            for first in range(0, len(facts), 40):
                small.hears(facts[first : first + 40])
                small.decides()
                runner.run(small.ledger, views_of(small.ledger), [VIEWS["liability"]])
                recorded = [small.ledger.journal(p).head().recorded for p in homes]
                offset = small.ledger.book.offset
                for month in months_of(small.ledger):
                    if min(recorded) >= month_start(month + 1, offset):
                        found = closed(small.ledger, month)
                        assert seen.setdefault(month, found) == found, month_text(month)
            assert len(seen) > 3
            assert any(late for lines in seen.values() for kind in lines.values() for _, late in kind.values())
        finally:
            small.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_one_member_is_read_by_her_own_last_entry(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The views stand still while more is decided; who asks for one member reads what was decided a moment ago."""
    with kept(seed, monkeypatch) as small:
        more = histories_of(Random(seed + 100), 5, 10)
        small.hears(more)
        small.decides()
        at = instants_of(small.ledger, Random(seed), 0)[0]
        for name in ("balances", "statement", "savings"):
            found = find_query(VIEWS, name)
            assert found is not None
            view, asked = found
            alone = [
                row
                for member, _ in small.ledger.accounts(at)
                for row in asked.rows(of_member(small.ledger, view, member, at), Options()).rows
            ]
            with snapshot(small.ledger, views_of(small.ledger), view, at) as taken:
                assert taken.standing is not None and taken.standing.behind == len(more)
            runner.run(small.ledger, views_of(small.ledger), [view])
            assert alone == rows_of(small.ledger, name, at)


def test_campaigns_and_activity_count_what_the_entries_say(monkeypatch: pytest.MonkeyPatch) -> None:
    with kept(3, monkeypatch, members=6, length=200) as small:
        entries = [decode_entry(row.state) for p in small.ledger.partitions for row in small.ledger.journal(p).scan()]
        at = max(entry.clock for entry in entries)
        rows = rows_of(small.ledger, "activity", at)
        assert sum(row[3] for row in rows) == len(entries)
        assert {row[2] for row in rows} == {"accepted", "refused", "ignored"}
        offset = small.ledger.book.offset
        months = {(entry.member, month_of(entry.clock, offset)) for entry in entries}
        active = dict(rows_of(small.ledger, "active", at))
        assert sum(count for period, count in active.items() if len(period) == 7) == len(months)
        grants = [c for e in entries for c in e.changes if getattr(c, "rule", "") == "campaign" and hasattr(c, "page")]
        lots = {(e.member, c.lot) for e in entries for c in e.changes if c in grants}
        left = sum(
            lot.left + lot.held
            for member, account in small.ledger.accounts(at + 1)
            for key, lot in account.purse("beans").lots.items()
            if (member, key) in lots
        )
        spend = rows_of(small.ledger, "campaigns", at)
        assert {row[0] for row in spend} == {"618", "11.11"}
        assert sum(row[4] for row in spend) == sum(change.points for change in grants)
        assert sum(row[3] for row in spend) == len(grants)
        assert sum(row[8] for row in spend) == left > 0


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(100, 140))
def test_views_agree_with_everything_over_many_histories(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    test_a_view_rebuilt_is_the_view_kept(seed, monkeypatch)
    for name in ("balances", "lots", "scores", "memberships"):
        test_views_say_what_the_exports_say_at_any_instant(name, seed, monkeypatch)
    test_the_statement_closes_at_what_the_member_has(seed, monkeypatch)
    test_the_liability_is_what_the_books_say_at_the_end_of_any_day(seed, monkeypatch)
    test_a_close_is_what_was_known_when_the_month_ended(seed, monkeypatch)


# -- crashes -----------------------------------------------------------------------------------------------------------


def dies_at(folder: Path, what: str, turn: int, is_after: bool) -> None:
    """In a process of its own: run or rebuild views, and be killed before or after the turn-th write of a batch."""
    ledger = open_ledger(folder)
    runner.BATCH = rebuild.BATCH = 53
    write = Batch.write
    turns = 0

    def written(self: Batch, *arguments: Any) -> None:
        nonlocal turns
        turns += 1
        if turns == turn and not is_after:
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, *arguments)
        if turns == turn:
            os.kill(os.getpid(), signal.SIGKILL)

    Batch.write = written  # type: ignore[method-assign]
    if what == "run":
        runner.run(ledger, views_of(ledger), [VIEWS["liability"], VIEWS["balances"]])
    else:
        runner.rebuild(ledger, views_of(ledger), VIEWS["statement"])
    os._exit(0)


def killed(folder: Path, what: str, turn: int, is_after: bool) -> bool:
    process = get_context("fork").Process(target=dies_at, args=(folder, what, turn, is_after))
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@pytest.mark.parametrize("what", ["run", "rebuild"])
def test_killed_at_any_batch_the_same_command_goes_on_to_the_same_rows(what: str) -> None:
    with scratch() as folder:
        small = SmallLedger(folder / "ledger")
        facts = histories_of(Random(11), 8, 60)
        small.hears(facts[:200])
        small.decides()
        place = views_of(small.ledger)
        runner.run(small.ledger, place, BUILT_IN)  # what follows is followed in journal order, by entries
        small.hears(facts[200:])
        small.decides()
        small.close()
        turns = 0
        for turn in range(1, 40):
            turns += killed(small.ledger.place, what, 1 + turn % 3, turn % 2 == 0)
        assert turns > 5, "nothing was killed"
        ledger = open_ledger(small.ledger.place)
        runner.run(ledger, place, BUILT_IN)
        for name in ("liability", "balances", "statement"):
            runner.rebuild(ledger, place, VIEWS[name])
            assert compare(ledger, place, VIEWS[name])["differences"] == [], name
        ledger.close()


def runs(folder: Path) -> None:
    """In a process of its own: run every view, a few entries at a time."""
    runner.BATCH = rebuild.BATCH = 29
    ledger = open_ledger(folder)
    runner.run(ledger, views_of(ledger), BUILT_IN)
    os._exit(0)


def test_two_runners_at_once_count_nothing_twice() -> None:
    with scratch() as folder:
        small = SmallLedger(folder / "ledger")
        facts = histories_of(Random(5), 6, 60)
        for part in (facts[:180], facts[180:]):  # first while the views are built, then while they are followed
            small.hears(part)
            small.decides()
            processes = [get_context("fork").Process(target=runs, args=(small.ledger.place,)) for _ in range(2)]
            for process in processes:
                process.start()
            for process in processes:
                process.join(60)
            assert [process.exitcode for process in processes] == [0, 0]
        runner.run(small.ledger, views_of(small.ledger), BUILT_IN)
        for view in BUILT_IN:
            runner.rebuild(small.ledger, views_of(small.ledger), view)
            assert compare(small.ledger, views_of(small.ledger), view)["differences"] == [], view.name
        small.close()


# -- corners that made-up histories seldom meet ------------------------------------------------------------------------


def told(folder: Path, *facts: dict[str, Any], book: str = "") -> Ledger:
    """A ledger that took these facts, with its views."""
    small = SmallLedger(folder, book=book)
    small.hears(facts)
    assert small.decides().accepted == len(facts)
    runner.run(small.ledger, views_of(small.ledger), BUILT_IN)
    return small.ledger


def test_frozen_points_that_lapse_by_a_late_refund_are_gone_from_when_it_was_decided() -> None:
    """A refund of 6 August that is heard of on 20 September lets the trial lapse on 5 September, 25 days earlier."""
    with scratch() as folder:
        ledger = told(
            folder / "ledger",
            fact("card.trial-started", "t", "08-01", card="T1", product="plus.trial"),
            order("O1", "08-02"),
            fact("member.signed-in", "s1", "09-20"),
            fact("card.refunded", "r", "08-06", card="T1", refund_fen=0),
            fact("member.signed-in", "s2", "09-22"),
        )
        for day, pending in (("09-10", 800), ("09-21", 0), ("09-23", 0)):
            exported = list(tables.TABLES["balances"](ledger, at(day), None).rows)
            assert rows_of(ledger, "balances", at(day)) == exported
            assert exported[0][3] == pending
        offset = ledger.book.offset
        for day, outstanding in (("09-10", 800), ("09-19", 800), ("09-20", 1), ("09-23", 2)):
            end = (day_of(at(day), offset) + 1) * DAY - offset - 1
            assert rows_of(ledger, "liability", end)[0][5] == outstanding, day
        ledger.close()


def test_what_expires_at_the_end_of_a_month_is_of_that_month_whether_an_entry_says_so_or_not() -> None:
    with scratch() as folder:
        midnight = "2025-08-01T00:00:00+08:00"
        granted = {"campaign": "618", "points": 500, "expires": midnight}
        ledger = told(
            folder / "ledger",
            fact("campaign.granted", "g1", "07-10", "m-1", grant="G1", **granted),
            fact("campaign.granted", "g2", "07-10", "m-2", grant="G2", **granted),
            fact("member.signed-in", "s", "08-20", "m-2"),
        )
        rows = rows_of(ledger, "statement", at("09-01"))
        expired = [(member, month, gone) for member, _, month, _, _, _, _, gone, *_ in rows if gone]
        assert expired == [("m-1", "2025-07", 500), ("m-2", "2025-07", 500)]
        assert closed(ledger, 2025 * 12 + 6)["beans"]["expired"] == (-1_000, 0)
        assert closed(ledger, 2025 * 12 + 7)["beans"] == {
            "opening": (0, None),
            "issued": (1, 0),
            "redeemed": (0, 0),
            "expired": (0, 0),
            "clawed_back": (0, 0),
            "forfeited": (0, 0),
            "in_transit": (0, 0),
            "closing": (1, None),
        }
        ledger.close()


def test_a_day_that_is_past_is_told_whole_whether_an_entry_says_what_fell_due_on_it_or_not() -> None:
    granted = {"campaign": "618", "points": 100, "expires": "2025-06-10T12:00:00+08:00"}
    grant = fact("campaign.granted", "g1", "06-01", grant="G1", **granted)
    after = fact("member.signed-in", "s1", "07-01")
    for facts in ([grant], [grant, after]):
        with scratch() as folder:
            ledger = told(folder / "ledger", *facts)
            for day, expired, left in (("2025-06-09", 0, 100), ("2025-06-10", 100, 0), ("2025-06-10 15:00", 100, 0)):
                [row] = [row for row in rows_of(ledger, "liability", instant(day)) if "beans" in row]
                assert (row[3], row[5]) == (expired, left), day
                [row] = [row for row in rows_of(ledger, "outstanding", instant(day)) if "beans" in row]
                assert (row[4], row[6]) == (expired, left), day
                [row] = rows_of(ledger, "campaigns", instant(day))
                assert (row[6], row[8]) == (expired, left), day
            ledger.close()


def test_what_of_a_campaign_was_given_away_is_not_outstanding_there() -> None:
    granted = {"campaign": "618", "points": 100, "expires": "2026-06-10T12:00:00+08:00"}
    book = shipped("jd") + '\n[transfers.gift]\nname = "赠豆"\nkind = "beans"\n'
    with scratch() as folder:
        ledger = told(
            folder / "ledger",
            fact("campaign.granted", "g1", "06-01", grant="G1", **granted),
            fact("transfer.requested", "t1", "06-02", transfer="T", rule="gift", to="m-2", points=30),
            book=book,
        )
        [row] = rows_of(ledger, "campaigns", at("06-03"))
        assert (row[4], row[8], row[12]) == (100, 70, 30)
        ledger.close()


def test_of_a_day_that_is_not_over_what_has_yet_to_fall_due_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    granted = {"campaign": "618", "points": 100, "expires": "2025-06-10T12:00:00+08:00"}
    with scratch() as folder:
        ledger = told(folder / "ledger", fact("campaign.granted", "g1", "06-01", grant="G1", **granted))
        for now, asked, left in (
            ("2025-06-10 11:00", "2025-06-10", 100),
            ("2025-06-10 13:00", "2025-06-10", 0),
            ("2025-06-01", "2025-06-10", 100),
            ("2025-06-01", "2025-06-10 13:00", 0),
        ):
            monkeypatch.setattr(snapshots, "present", lambda now=now: instant(now))
            assert rows_of(ledger, "liability", instant(asked))[0][5] == left, (now, asked)
        ledger.close()


@pytest.mark.parametrize("batch", [300, 10_000])
def test_sums_beyond_64_bits_are_exact(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a first build, of what is added to it, and of one that comes down again."""
    members, each, now = 2_100, 1 << 53, instant("2025-06-02")
    monkeypatch.setattr(runner, "BATCH", batch)
    monkeypatch.setattr(rebuild, "BATCH", batch)
    for module in (runner, rebuild, snapshots, compared):
        monkeypatch.setattr(module, "present", lambda: now)
    granted = {"campaign": "618", "points": each, "expires": "2025-07-01T00:00:00+08:00"}
    facts = [fact("campaign.granted", f"g{n}", "06-01", f"m-{n}", grant=f"G{n}", **granted) for n in range(members)]
    total = members * each
    assert total // 2 > 1 << 63 > total // 3
    with scratch() as folder:
        ledger = told(folder / "ledger", *facts[: members // 2])
        small = SmallLedger(folder / "ledger")
        small.hears(facts)
        small.decides()
        small.close()
        runner.run(ledger, views_of(ledger), BUILT_IN)
        for day, expired in (("2025-06-02", 0), ("2025-07-02", total)):
            now = instant(day)
            runner.run(ledger, views_of(ledger), BUILT_IN)
            assert rows_of(ledger, "liability", now)[0][1:6] == (total, 0, expired, 0, total - expired)
            assert rows_of(ledger, "campaigns", now)[0][2:8] == (members, members, total, 0, expired, 0)
            with snapshot(ledger, views_of(ledger), VIEWS["books"], None) as taken:
                assert stats.books_of(ledger, stats.kept(taken)) == stats.stats(ledger, now)
        runner.rebuild(ledger, views_of(ledger), VIEWS["liability"])
        assert compare(ledger, views_of(ledger), VIEWS["liability"])["differences"] == []
        with snapshot(ledger, views_of(ledger), VIEWS["liability"], now) as taken:
            table = liability.close(taken, 2025 * 12 + 5)
            with pytest.raises(JournalError, match="write it as csv"):
                write_parquet(table, BytesIO())
        ledger.close()


def test_a_sum_that_an_older_file_did_not_hold_exactly_is_never_shown() -> None:
    with scratch() as folder:
        granted = {"campaign": "618", "points": 100}
        ledger = told(folder / "ledger", fact("campaign.granted", "g1", "06-01", grant="G1", **granted))
        with sqlite3.connect(views_of(ledger).path / "liability.db") as file:
            file.execute("UPDATE movements SET issued = 1.5e19")
        with pytest.raises(JournalError, match="remove it and run"):
            rows_of(ledger, "liability", instant("2025-07-01"))
        ledger.close()


def test_what_a_card_gave_stands_beside_the_ordinary_rate_with_its_cap() -> None:
    with scratch() as folder:
        lines = [
            {
                "line": "1",
                "sku": "s",
                "category": "phone",
                "quantity": 1,
                "paid_fen": 1_500_000,
            },  # 1,000 without a card
            {"line": "2", "sku": "s", "category": "food", "quantity": 1, "paid_fen": 4_000},  # nothing without a card
            {"line": "3", "sku": "s", "category": "food", "quantity": 1, "paid_fen": 10_900},  # 10 without a card
        ]
        ledger = told(
            folder / "ledger",
            fact("card.purchased", "c", "06-01", card="C1", product="plus.annual", paid_fen=14_900),
            fact("order.completed", "o", "06-02", order="O1", lines=lines),
            fact("benefit.claimed", "b", "06-03", claim="B1", benefit="shipping"),
            fact("benefit.claimed", "b2", "06-03", claim="B2", benefit="shipping"),
            fact("benefit.returned", "b3", "06-04", claim="B2"),
        )
        plus, ordinary = 15_000 + 40 + 109, 1_000 + 0 + 10
        assert rows_of(ledger, "savings", at("07-01")) == [
            ("m-1", "plus", "C1", "beans", 3, plus, ordinary, plus - ordinary, plus - ordinary, 1)
        ]
        shipping = next(row for row in rows_of(ledger, "quotas", at("07-01")) if row[3] == "shipping")
        assert shipping[4:] == (60, 1, 59)
        ledger.close()


def test_a_view_of_a_ledger_whose_programme_was_edited_names_the_entry_and_the_version() -> None:
    with scratch() as folder:
        bought = fact("card.purchased", "c", "06-01", card="C1", product="plus.annual", paid_fen=14_900)
        lines = [{"line": "1", "sku": "s", "category": "phone", "quantity": 1, "paid_fen": 1_500_000}]
        told(folder / "ledger", bought, fact("order.completed", "o", "06-02", order="O1", lines=lines)).close()
        book = folder / "ledger" / "book.toml"
        book.write_text(book.read_text(encoding="utf-8").replace("at_least = 201", "at_least = 202"), encoding="utf-8")
        stamp_anew(folder / "ledger")
        edited = open_ledger(folder / "ledger")
        with pytest.raises(Damaged, match=r"entry 2 of m-1 was decided by version [0-9a-f]+ of the programme"):
            runner.run(edited, Folder(folder / "views"), BUILT_IN)
        edited.close()


def test_a_book_that_forgets_months_a_score_counts_is_read_alike() -> None:
    with scratch() as folder:
        toml = shipped("jd").replace("late_days = 400", "late_days = 40")
        open_or_create(folder / "ledger", toml).close()
        ledger = told(folder / "ledger", order("O1", "03-01"), order("O2", "04-01"))
        for day in ("04-20", "05-20", "06-20", "11-20"):
            assert rows_of(ledger, "scores", at(day)) == list(tables.TABLES["scores"](ledger, at(day), None).rows)
        ledger.close()


def test_what_a_tier_that_time_raised_gives_is_there_whether_an_entry_says_so_or_not() -> None:
    """Bought in January, the tier is reached as February begins, and gives 500 points that end after 40 days."""
    book = """
programme = "raised"
name = "raised"
from = 2025-01-01
utc_offset = "+08:00"
[kinds.beans]
name = "beans"
expiry = [{ from = 2025-01-01, days = 40 }]
[scores.value]
name = "value"
window_months = 12
parts = { bought = "bought" }
tiers = [{ at_least = 0, name = "a" }, { at_least = 100, name = "b" }]
[[award]]
rule = "bought"
name = "bought"
on = "order.completed"
each = "line"
score = "value"
part = "bought"
give = { points = 1, per_fen = 100 }
[[award]]
rule = "raised"
name = "raised"
on = "tier.reached"
when = { tier = { in = ["b"] } }
kind = "beans"
give = { points = 500 }
"""
    bought = fact(
        "order.completed", "o1", "01-10", order="O1", lines=[{"line": "1", "quantity": 1, "paid_fen": 20_000}]
    )
    later = fact("order.completed", "o2", "04-25", order="O2", lines=[{"line": "1", "quantity": 1, "paid_fen": 500}])
    queries = ("statement", "liability", "outstanding", "balances", "lots")
    days = [instant(day) for day in ("2025-01-31", "2025-02-05", "2025-03-31", "2025-04-20")]
    found: list[dict[str, list[Rows]]] = []
    for facts in ([bought], [bought, later]):
        with scratch() as folder:
            ledger = told(folder / "ledger", *facts, book=book)
            found.append({query: [rows_of(ledger, query, day) for day in days] for query in queries})
            for day in days:
                for name in ("balances", "lots"):
                    assert rows_of(ledger, name, day) == list(tables.TABLES[name](ledger, day, None).rows)
            ledger.close()
    assert found[0] == found[1]
    assert [[row[2:5] for row in rows] for rows in found[0]["statement"]] == [
        [],
        [("2025-02", 0, 500)],
        [("2025-02", 0, 500), ("2025-03", 500, 0)],
        [("2025-02", 0, 500), ("2025-03", 500, 0)],
    ]
