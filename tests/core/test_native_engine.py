"""The native engine decides what the core decides, to the last byte; what it does not do it hands back.

`make engine` builds it. Without it these tests are skipped, and with CI=true where there is cargo they fail.
"""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import msgspec
import pytest

from consumers.kafka.settings import BadSettings, load
from consumers.runtime.events import Decided
from ledger.journal.engines import CALLS, VARIABLE, NoEngine, chosen_engine, code, deciding, native_module
from ledger.journal.native import published_by
from ledger.journal.open import open_or_create
from ledger.journal.partition import FactRecord
from ledger.rulebook.compiled import Programme
from ledger.rulebook.plain import plain_version
from ledger.rulebook.schema import shipped, shipped_names
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import describe_published
from ledger.wire.fact_codec import canonical, decode
from ledger.wire.times import SECOND, TimeZone, Zone
from projections.what_if.backtest import backtest
from service.metrics import Metrics
from tests.core.test_worked_examples_of_benefits import BOOK as CLAIMS
from tests.core.test_worked_examples_of_exchanges import BOOK as EXCHANGES
from tests.streams.test_follow_ups import fact
from tests.streams.test_names_that_move import HEAD, OLD, check, takes
from tests.support import engine_history
from tests.support.books import made_book, made_union
from tests.support.engines import Kept, difference
from tests.support.histories import amended_history, book_history, changed_history, encode, history
from tests.support.ledgers import SmallLedger, histories_of, scratch


@cache
def jd() -> Programme:
    return Programme([shipped("jd")])


MADE: dict[str, Callable[[Random, int], list[dict[str, Any]]]] = {
    "plain": history,
    "changed": changed_history,
    "amended": amended_history,
}
BATCHES = ((1, 1), (1, 1 << 22), (7, 6_000), (1_000, 1 << 22))  # facts a call, bytes in memory: 6,000 of it encoded


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("seed", range(4))
def test_histories_under_the_shipped_book_come_to_the_same_bytes(native: Any, seed: int, made: str) -> None:
    assert difference(native, jd(), MADE[made](Random(seed), 100), *BATCHES[seed % 4]) == ""


def test_an_order_is_decided_alike_whose_card_was_taken_out_or_back_since(native: Any) -> None:
    def fact(number: int, type_: str, time: str, **data: Any) -> dict[str, Any]:
        head = {"specversion": "1.0", "id": f"f{number}", "source": "/shop", "subject": "m-1"}
        return head | {"type": type_, "time": f"2025-04-{time}:00+08:00", "data": data}

    def line(fen: int) -> list[dict[str, Any]]:
        return [{"line": "1", "sku": "s", "category": "books", "paid_fen": fen}]

    facts = [
        fact(0, "card.trial-started.v1", "21T10:00", card="C1", product="plus.trial"),
        fact(1, "order.completed.v1", "21T11:00", order="O1", lines=line(10_000)),
        fact(2, "card.refunded.v1", "20T10:00", card="C1", refund_fen=0),
        fact(3, "order.amended.v1", "22T10:00", order="O1", lines=line(20_000)),
        fact(4, "card.purchased.v1", "23T10:00", card="C2", product="plus.month", paid_fen=100),
        fact(5, "order.amended.v1", "24T10:00", order="O1", lines=line(30_000)),
        fact(6, "order.amended.v1", "24T11:00", order="O1", lines=line(900_000)),
        fact(7, "card.refunded.v1", "25T10:00", card="C2", refund_fen=100),
        fact(8, "order.completed.v1", "24T12:00", order="O2", lines=line(20_000)),
        fact(9, "order.amended.v1", "26T10:00", order="O2", lines=line(30_000)),
    ]
    assert difference(native, jd(), facts, 1, 1) == ""


@pytest.mark.parametrize(("batch", "most"), BATCHES)
def test_many_lots_and_holds_are_decided_alike(native: Any, batch: int, most: int) -> None:
    start = datetime(2025, 4, 1, tzinfo=UTC)
    facts: list[dict[str, Any]] = []

    def add(type_: str, day: int, **data: Any) -> None:
        time = start + timedelta(days=day, seconds=len(facts))
        head = {"specversion": "1.0", "id": f"f{len(facts)}", "source": "/shop", "subject": "m-1"}
        facts.append(head | {"type": f"{type_}.v1", "time": time.isoformat(), "data": data})

    def redeem(name: str, day: int, points: int) -> None:
        add("redemption.requested", day, redemption=name, kind="beans", points=points, use="coupon")

    for n in range(90):  # lots end in another order than they were opened in
        expires = (start + timedelta(days=30 + n * 37 % 90)).isoformat()
        add("campaign.granted", 0, grant=f"G{n}", campaign="11.11", kind="beans", points=100, expires=expires)
    redeem("R1", 1, 950)
    for n in range(24):
        until = (start + timedelta(days=5 + n * 7 % 24)).isoformat()
        add("hold.requested", 1, hold=f"H{n}", kind="beans", points=150, until=until)
    add("hold.requested", 1, hold="large", kind="beans", points=2_550, until=until)
    for n in (20, 3, 11, 0, 5, 23, 8):
        add("hold.released", 2, hold=f"H{n}")
    for n in (4, 22, 9):
        add("hold.captured", 2, hold=f"H{n}", points=70)
    add("hold.captured", 2, hold="large", points=1_770)
    redeem("R2", 3, 1_500)
    add("redemption.reversed", 3, redemption="R1")
    redeem("R3", 9, 2_000)
    add("redemption.reversed", 10, redemption="R2", points=700)
    for day in range(12, 130, 9):
        redeem(f"R-{day}", day, 10)
    assert difference(native, jd(), facts, batch, most) == ""


def under_a_made_up_book(native: Any, seed: int, length: int) -> None:
    toml = made_book(Random(seed))
    assert difference(native, Programme([toml]), book_history(Random(seed), length, toml), *BATCHES[seed % 4]) == ""


@pytest.mark.parametrize("seed", range(20))
def test_histories_under_made_up_books_come_to_the_same_bytes(native: Any, seed: int) -> None:
    under_a_made_up_book(native, seed, 80)


def under_several_owners_books(native: Any, seed: int, length: int) -> None:
    whole, books = made_union(Random(seed))
    facts = book_history(Random(seed), length, whole)
    assert difference(native, Programme(books), facts, *BATCHES[seed % 4]) == ""


@pytest.mark.parametrize("seed", range(15))
def test_histories_under_several_owners_books_come_to_the_same_bytes(native: Any, seed: int) -> None:
    under_several_owners_books(native, seed, 80)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(1_000, 3_000))
def test_they_come_to_the_same_bytes_over_a_long_campaign(native: Any, seed: int) -> None:
    under_a_made_up_book(native, seed, 120)
    under_several_owners_books(native, seed, 120)
    for made in MADE.values():
        assert difference(native, jd(), made(Random(seed), 120), *BATCHES[seed % 4]) == ""


MOVING = TimeZone("x", (0, 1_700_000_000 * SECOND, 1_740_000_000 * SECOND), (-2_670 * SECOND, 3_600 * SECOND, 0))


@pytest.mark.parametrize("zone", [0, 8 * 3_600 * SECOND, MOVING])
@pytest.mark.parametrize("path", engine_history.files(), ids=lambda path: path.name)
def test_recorded_entries_are_published_as_python_does(native: Any, path: Path, zone: Zone) -> None:
    told_by = published_by(native, zone)
    for row in [row for rows in engine_history.read(path)[1].values() for row in rows]:
        told = describe_published(row.sequence, decode_entry(row.state), bytes(32), zone, is_copy=False)
        assert told_by([(*row[:4], bytes(32))], True) == [msgspec.json.encode(told)]


@pytest.mark.parametrize("odd", ['a"b', "a\\", "a\nb", "a\x1f", "a\x7f", "名", "a/b", "a b"])
@pytest.mark.parametrize("name", ["id", "source", "subject", "grant"])
def test_an_entry_with_odd_texts_is_published_as_python_does_or_left_to_it(native: Any, name: str, odd: str) -> None:
    named = {"id": "f", "source": "/shop", "subject": "m", "grant": "g"} | {name: odd}
    data = {"grant": named.pop("grant"), "campaign": odd, "points": 7}
    head = named | {"specversion": "1.0", "type": "campaign.granted.v1", "time": "2025-04-01T10:00:00+08:00"}
    fact, at = decode(encode(head | {"data": data}))
    engine = native.Engine(0, 0, 1 << 22)
    engine.take_programme([plain_version(version) for version in jd().versions])
    (state,) = engine.decide([FactRecord(1, at, False, fact, at, canonical(fact), bytes(32))], {}, Kept())[2]
    told = describe_published(1, decode_entry(state), bytes(32), 0, is_copy=False)
    is_left = name != "grant" and any(one in odd for one in '"\\\n\x1f')  # names of a fact that have an escape
    assert published_by(native, 0)([(1, fact.subject, 1, state, bytes(32))], True) == [
        None if is_left else msgspec.json.encode(told)
    ]


def test_who_asks_it_while_it_decides_is_told_and_does_not_wait_for_himself(native: Any) -> None:
    engine = native.Engine(0, 0, 1 << 22)
    engine.take_programme([plain_version(version) for version in jd().versions])
    told: list[str] = []

    class Asking(Kept):
        def accounts(self, members: Sequence[str]) -> list[tuple[bytes | None, list[bytes]]]:
            for ask in (lambda: engine.has(members[0]), engine.clear):
                with pytest.raises(RuntimeError) as error:
                    ask()
                told.append(str(error.value))
            return super().accounts(members)

    fact, occurred = decode(encode(history(Random(1), 1)[0]))
    engine.decide([FactRecord(1, occurred, False, fact, occurred, canonical(fact), bytes(32))], {}, Asking())
    assert told == ["the engine decides a batch: it cannot be asked until that is done"] * 2
    assert engine.has(fact.subject)


@pytest.mark.parametrize(("most", "times"), [(1 << 22, 1), (32_000, 1), (1, 3)])
def test_members_who_do_not_fit_as_they_are_decided_on_stay_in_memory_encoded(
    native: Any, most: int, times: int
) -> None:
    engine = native.Engine(0, 0, most)  # a member takes 5 kB, and encoded a quarter of that
    engine.take_programme([plain_version(version) for version in jd().versions])
    asked: Counter[str] = Counter()

    class Asked(Kept):
        def accounts(self, members: Sequence[str]) -> list[tuple[bytes | None, list[bytes]]]:
            asked.update(members)
            return [(None, []) for _ in members]

    members = [f"m-{number}" for number in range(12)]
    histories = [[decode(encode(made)) for made in history(Random(3), 3, member)] for member in members]
    for facts in zip(*histories, strict=True):
        items = [FactRecord(1, at, False, fact, at, canonical(fact), bytes(32)) for fact, at in facts]
        engine.decide(items, {}, Asked())
        assert [engine.has(member) for member in members] == [most > 1] * len(members)
    assert asked == dict.fromkeys(members, times)


def test_every_shipped_book_is_plain_data_that_it_takes(native: Any) -> None:
    for name in shipped_names():
        native.Engine(0, 0, 0).take_programme([plain_version(Programme([shipped(name)]).versions[0])])


def journals(
    monkeypatch: pytest.MonkeyPatch, engine: str, facts: list[Any], batch: int, share: float
) -> tuple[Any, ...]:
    """The entries and pages of a small ledger whose facts an engine decided."""
    monkeypatch.setenv(VARIABLE, engine)
    with scratch() as folder:
        ledger = SmallLedger(folder / "ledger", share)
        ledger.hears(facts)
        ledger.decides(batch)
        ledger.restarts()
        ledger.hears(facts[: len(facts) // 2])  # all of them again, behind a restart
        ledger.decides(batch)
        kept = ledger.journal, ledger.pages
        ledger.close()
    return kept


@pytest.mark.parametrize(("batch", "share"), [(4_000, 1.0), (3, 0.0)])
def test_a_ledger_comes_to_the_same_journal_by_either_engine(
    native: Any, monkeypatch: pytest.MonkeyPatch, batch: int, share: float
) -> None:
    facts = [*histories_of(Random(7), members=4, length=60), b"{"]
    by_python = journals(monkeypatch, "python", facts, batch, share)
    assert journals(monkeypatch, "native", facts, batch, share) == by_python


def beyond_range(count: int) -> list[Any]:
    """Grants to one member whose sum passes what an account holds."""
    huge = {"kind": "beans", "campaign": "c", "points": 1 << 53}
    return [
        {
            "specversion": "1.0",
            "id": f"g-{n}",
            "source": "/shop",
            "type": "campaign.granted.v1",
            "subject": "m-rich",
            "time": f"2025-03-01T10:{n // 60:02}:{n % 60:02}+08:00",
            "data": {"grant": f"G{n}", **huge},
        }
        for n in range(count)
    ]


def test_facts_beyond_an_accounts_range_are_handed_back_and_decided_with_care(
    native: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = beyond_range(520)
    by_python = journals(monkeypatch, "python", facts, 100, 1.0)
    assert any(b"out-of-range" in row[3] for rows in by_python[0] for row in rows)
    assert journals(monkeypatch, "native", facts, 100, 1.0) == by_python


def test_python_decides_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "python")
    assert native_module() is None


def test_an_engine_that_is_no_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "rust")
    with pytest.raises(NoEngine, match="POINTS_ENGINE is 'rust'; it is auto, python or native"):
        native_module()


def test_a_native_engine_that_is_not_installed_is_an_error_only_where_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ledger.journal.engines.MODULE", "points_engine_that_is_not_there")
    monkeypatch.setenv(VARIABLE, "auto")
    assert native_module() is None
    monkeypatch.setenv(VARIABLE, "native")
    with pytest.raises(NoEngine, match="make engine"):
        native_module()


def test_an_engine_that_was_built_beside_other_code_or_has_other_calls_does_not_decide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = ModuleType("points_engine_of_before")
    monkeypatch.setitem(sys.modules, other.__name__, other)
    monkeypatch.setattr("ledger.journal.engines.MODULE", other.__name__)
    for mark in (None, "0" * 64):
        monkeypatch.setattr(other, "CODE", mark, raising=False)
        monkeypatch.setenv(VARIABLE, "auto")
        assert native_module() is None
        monkeypatch.setenv(VARIABLE, "native")
        with pytest.raises(NoEngine, match="built beside other code"):
            native_module()
    monkeypatch.setattr(other, "CODE", code())
    for calls in (None, CALLS - 1):
        monkeypatch.setattr(other, "CALLS", calls, raising=False)
        with pytest.raises(NoEngine, match="other calls"):
            native_module()
    monkeypatch.setattr(other, "CALLS", CALLS)
    assert native_module() is other


def test_the_settings_file_says_which_engine_decides_where_the_variable_does_not(tmp_path: Path) -> None:
    file = tmp_path / "points.toml"
    file.write_text('engine = "python"\n[kafka]\ngroup = "g"\n', encoding="utf-8")
    named = {"POINTS_CONFIG": str(file)}
    assert chosen_engine(named) == ("python", f"{file}: engine")
    assert chosen_engine({**named, VARIABLE: "native"}) == ("native", VARIABLE)
    assert chosen_engine({**named, VARIABLE: ""}).engine == "python"
    assert chosen_engine({}) == ("auto", "the default")
    assert load(file, {}).group == "g"
    file.write_text('engine = "rust"\n', encoding="utf-8")
    with pytest.raises(NoEngine, match="engine is 'rust'; it is auto, python or native"):
        chosen_engine(named)
    with pytest.raises(BadSettings, match="one of auto, python, native is wanted"):
        load(file, {})


def test_every_reason_to_hand_back_stands_on_the_page(native: Any) -> None:
    page = (Path(__file__).parents[2] / "docs" / "engine.md").read_text(encoding="utf-8")
    assert [reason for reason in native.HANDED_BACK if f"| `{reason}` |" not in page] == []


def test_what_is_handed_back_is_counted_by_why_and_told_with_who_decides(
    native: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "native")
    with scratch() as folder:
        ledger = SmallLedger(folder / "ledger", 1.0)
        ledger.hears([*histories_of(Random(7), members=2, length=20), *beyond_range(520)])
        tally = ledger.decides(1_000)
        ledger.close()
    assert dict(tally.handed_back) == {"out-of-range": 520}
    metrics = Metrics()
    metrics.observe(Decided(0, 9, 0.0, 560, 1, tally, 0.0, 0.0, 0.0, 0.0))
    sample = metrics.registry.get_sample_value
    assert sample("points_engine_handed_back_total", {"why": "out-of-range"}) == 520
    assert sample("points_engine", {"engine": "native"}) == 1


def test_whoever_asks_is_told_which_program_decides_and_why_it_is_not_the_native_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "python")
    assert deciding() == ("python", "python", VARIABLE, "")
    monkeypatch.setattr("ledger.journal.engines.MODULE", "points_engine_that_is_not_there")
    monkeypatch.setenv(VARIABLE, "auto")
    assert deciding()[:3] == ("python", "auto", VARIABLE)
    assert "not installed" in deciding().why_not and not deciding().is_missing
    monkeypatch.setenv(VARIABLE, "native")
    assert deciding().is_missing


@pytest.mark.usefixtures("native")
def test_what_a_name_brought_is_no_trouble_to_an_engine_that_hands_such_members_back(tmp_path: Path) -> None:
    """A card and points came with a name, and were used up since: who reads those entries knows neither."""
    ledger = open_or_create(tmp_path / "ledger", CLAIMS)
    lot = {"kind": "beans", "points": 50, "earned_at": "2025-01-01T00:00:00Z", "expires_at": "2025-05-01T00:00:00Z"}
    card = {"card": "K", "product": "plus.month", "paid_fen": 990}
    told = [
        fact("lot.opened", OLD, "l", 0, {"lot": "L", **lot}, "/operators"),
        fact("card.purchased", OLD, "k", 1, card),
        fact("member.merged", OLD, "m", 2, {"into": HEAD}, "/operators"),
    ]
    later = [
        fact("member.signed-in", HEAD, f"s-{month}", 0, {}) | {"time": f"2025-{month}-01T00:00:00Z"}
        for month in ("06", "07")
    ]
    for facts in (told, later[:1], later[1:]):
        takes(ledger, tmp_path, facts)
    steps = [decode_entry(row.state) for row in ledger.journal(ledger.partition_of(HEAD)).entries_of(HEAD)]
    assert {"TermCame", "TermEnded"} <= {type(change).__name__ for step in steps for change in step.changes}
    report = backtest(ledger, CLAIMS, "book.toml", steps[-1].clock)
    assert report.members == 1
    check(ledger)
    ledger.close()


AIRLINE = """
[exchanges.air]
name = "换航空里程"
takes = "beans"
gives = "miles"
rate = [{ from = 2017-01-01, take = 1, give = 1 }]
ledger = "airline"
answer_within = 6
"""


@pytest.mark.usefixtures("native")
def test_an_exchange_with_another_ledger_that_is_to_be_undone_is_decided_by_python(tmp_path: Path) -> None:
    """The engine decides about the member again, and finds a page that it does not know."""
    ledger = open_or_create(tmp_path / "ledger", EXCHANGES + AIRLINE)
    lot = {"kind": "beans", "points": 500, "earned_at": "2025-01-01T00:00:00Z", "expires_at": "2999-01-01T00:00:00Z"}
    asked = {"request": "X", "exchange": "air", "points": 50}
    told = [
        fact("lot.opened", HEAD, "l", 0, {"lot": "L", **lot}, "/operators"),
        fact("exchange.requested", HEAD, "a", 1, asked),
        fact("exchange.reversed", HEAD, "r", 2, {"request": "X"}),
    ]
    for one in told:
        takes(ledger, tmp_path, [one])
    steps = [decode_entry(row.state) for row in ledger.journal(ledger.partition_of(HEAD)).entries_of(HEAD)]
    assert [step.reason for step in steps] == ["", "exchange-asked", "given-spent"]
    check(ledger)
    ledger.close()
