"""A clock that was once ahead: what it stamped pushes `recorded` of what comes later, and stops nobody's requests."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers import clock
from consumers.files.loader import router_into
from consumers.kafka.buffers import Buffer
from consumers.kafka.port import Start
from consumers.local.open import open_inbox
from consumers.local.port import ClockAhead, Inbox
from consumers.runtime.events import Decided
from consumers.runtime.ingest import ingest
from consumers.runtime.owner import PartitionOwner
from ledger.errors import WrongUse
from ledger.journal.database import migrate
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger, open_or_create
from ledger.journal.partitioning import Partitioner
from ledger.rulebook.schema import shipped
from ledger.wire.entries import OUTCOMES, Entry
from ledger.wire.entry_codec import decode_entry, encode_entry
from ledger.wire.times import DAY, SECOND
from projections.audit.replay import replay
from projections.audit.verify import verify
from service.cli import run
from service.consumer_log import ConsumerLog
from tests.support.histories import encode
from tests.support.inbox_contract import PARTITIONS

HOUR, YEAR = 3_600 * SECOND, 365 * DAY
AT = Partitioner(PARTITIONS)("m-1")  # the partition of the member
STORES = ["folder", "postgresql"]


class Host:
    """A host whose clock can be wrong; `passes` lets true time go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.true, self.ahead, self._facts = clock.now(), 0, 0
        monkeypatch.setattr(clock, "now", lambda: self.true + self.ahead)

    def passes(self, microseconds: int) -> None:
        self.true += microseconds

    def fact(self, type_: str, member: str = "m-1", ago: int = 0, **data: Any) -> dict[str, Any]:
        self._facts += 1
        time = datetime.fromtimestamp((self.true - ago) / SECOND, UTC)
        named = {"specversion": "1.0", "id": f"f{self._facts}", "source": "/shop", "subject": member}
        return {**named, "type": f"{type_}.v1", "time": time.isoformat(), "data": data}

    def grant(self, member: str = "m-1", ago: int = 0) -> dict[str, Any]:
        return self.fact("campaign.granted", member, ago, grant=f"G{self._facts}", campaign="c", points=1_000)

    def redemption(self, member: str = "m-1", ago: int = 0) -> dict[str, Any]:
        use = {"redemption": f"R{self._facts}", "points": 100, "use": "coupon"}
        return self.fact("redemption.requested", member, ago, **use)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch)


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | Path]:
    if request.param == "folder":
        yield tmp_path / "ledger"
        return
    address: str = request.getfixturevalue("postgres")
    migrate(address, partitions=PARTITIONS)
    yield address


@pytest.fixture
def takes(place: str | Path, tmp_path: Path) -> Callable[..., list[Entry]]:
    """Take facts in from a file, by a process of its own each time; return the entries of the members."""

    def take(*facts: dict[str, Any], backlog: bool = False) -> list[Entry]:
        file = tmp_path / f"{facts[0]['id']}.ndjson"
        file.write_bytes(b"".join(encode(fact) + b"\n" for fact in facts))
        with closing(open_or_create(place)) as ledger, ledger.writing():
            ingest(ledger, [str(file)], backlog=backlog)
            return entries_of(ledger)

    return take


def entries_of(ledger: Ledger) -> list[Entry]:
    return [decode_entry(row.state) for partition in ledger.partitions for row in ledger.journal(partition).scan()]


def outcome(entry: Entry) -> str:
    return f"{OUTCOMES[entry.outcome]}{': ' if entry.reason else ''}{entry.reason}"


def check_audits(place: str | Path) -> None:
    with closing(open_ledger(place)) as ledger:
        assert replay(ledger, from_topic=True)["differences"] == [] and verify(ledger)["broken"] == []


@pytest.mark.parametrize("ahead", [HOUR, YEAR], ids=["an hour", "a year"])
def test_a_clock_that_was_ahead_makes_no_later_request_stale(
    host: Host, place: Any, takes: Any, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    monkeypatch.setenv(clock.TOLERANCE, str(2 * YEAR // SECOND))  # nobody stands in its way
    host.ahead = ahead
    (first,) = takes(host.grant())
    host.ahead = 0
    host.passes(60 * SECOND)
    *_, taken = takes(host.redemption())
    assert outcome(taken) == "accepted"
    assert (taken.recorded, taken.pushed) == (first.recorded, ahead - 60 * SECOND)
    *_, old = takes(host.redemption(ago=2 * DAY))
    assert outcome(old) == "refused: stale"
    figures = {"age_seconds": 172_800, "most_seconds": 86_400, "recorded_ahead_seconds": ahead // SECOND - 60}
    assert old.figures == figures
    host.passes(ahead)  # the clock has come to where it once was
    *_, later = takes(host.grant(), host.redemption())
    assert (outcome(later), later.pushed, later.recorded) == ("accepted", 0, host.true)
    check_audits(place)


def test_what_is_from_the_future_is_so_by_the_clock_as_it_is_now(host: Host, place: Any, takes: Any) -> None:
    host.ahead = 200 * SECOND
    takes(host.grant())
    host.ahead = 0
    assert len(takes(host.grant(ago=-290 * SECOND))) == 2
    assert len(takes(host.grant(ago=-310 * SECOND))) == 2, "it became a dead letter"
    check_audits(place)


def test_a_backlog_is_not_pushed_by_a_clock(host: Host, place: Any, takes: Any) -> None:
    takes(host.grant())
    *_, old = takes(host.grant(ago=400 * DAY), backlog=True)
    assert (old.backlog, old.pushed, old.recorded) == (True, 0, host.true)
    check_audits(place)


def test_an_entry_that_was_not_pushed_has_the_bytes_it_always_had(host: Host, tmp_path: Path) -> None:
    with closing(open_or_create(tmp_path / "ledger")) as ledger, ledger.writing():
        (tmp_path / "facts").write_bytes(encode(host.grant()))
        ingest(ledger, [str(tmp_path / "facts")], backlog=False)
        state = next(ledger.journal(AT).scan()).state
    entry = decode_entry(state)
    assert state[:3] == b"\xdc\x00\x10" and encode_entry(entry) == state
    pushed = msgspec.structs.replace(entry, pushed=5)
    assert encode_entry(pushed)[:3] == b"\xdc\x00\x11" and decode_entry(encode_entry(pushed)) == pushed


def test_a_broker_whose_clock_was_ahead_pushes_what_it_stamps_later() -> None:
    buffer = Buffer(Start(4, 7_000 * SECOND), 1 << 20, True)
    for offset, milliseconds, headers in (
        (5, 6_000_000, []),
        (6, 6_999_500, []),
        (7, 6_000_000, [("points-recorded", b"1000000")]),
        (8, 8_000_000, []),
    ):
        buffer.add(offset, milliseconds, True, b"m-1", b"v", headers)
    records = buffer.read(4, 10, 1 << 20)
    assert [(one.recorded // SECOND, one.pushed) for one in records] == [
        (7_000, 1_000 * SECOND),
        (7_000, 0),  # two brokers differ by less than a second
        (7_000, 0),  # its importer declared it
        (8_000, 0),
    ]


# -- a second source ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [8 * DAY, YEAR], ids=["eight days", "a year"])
def test_a_clock_far_ahead_of_the_facts_own_times_stamps_nothing(host: Host, tmp_path: Path, ahead: int) -> None:
    with closing(open_or_create(tmp_path / "ledger")) as ledger, closing(open_inbox(ledger, feeding=True)) as inbox:
        route = router_into(inbox, [], backlog=False)
        inbox.append(route.routed(encode(host.grant())))
        host.ahead = ahead
        host.passes(HOUR)
        with pytest.raises(ClockAhead, match=r"this host's clock says .* what comes in is from .* POINTS_CLOCK_TOL"):
            inbox.append(route.routed(encode(host.redemption())))
        assert inbox.end(AT) == 0, "nothing was taken"
        inbox.append(route.routed(encode(host.grant(ago=30 * DAY))))  # late facts say nothing about the present
        host.ahead = 0
        inbox.append(route.routed(encode(host.redemption())))
        assert [record.pushed // SECOND for record in inbox.read(AT, -1, 9)] == [0, 0, ahead // SECOND]


def test_a_ledger_that_was_idle_for_long_believes_the_clock_and_facts_that_agree(host: Host, tmp_path: Path) -> None:
    with closing(open_or_create(tmp_path / "ledger")) as ledger, closing(open_inbox(ledger, feeding=True)) as inbox:
        route = router_into(inbox, [], backlog=False)
        inbox.append(route.routed(encode(host.grant())))
        host.passes(YEAR)
        inbox.append(route.routed(encode(host.grant(ago=2 * DAY))))
        assert inbox.last_recorded(AT) == host.true


def test_an_operator_lets_a_clock_be_believed(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(clock.TOLERANCE, str(YEAR // SECOND))
    with closing(open_or_create(tmp_path / "ledger")) as ledger, closing(open_inbox(ledger, feeding=True)) as inbox:
        route = router_into(inbox, [], backlog=False)
        inbox.append(route.routed(encode(host.grant())))
        host.ahead = 100 * DAY
        inbox.append(route.routed(encode(host.grant())))
        assert inbox.end(AT) == 1


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "a", "1" * 30])
def test_a_tolerance_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(WrongUse, match="POINTS_CLOCK_TOLERANCE"):
        clock.tolerance({clock.TOLERANCE: text})


def test_a_clock_ahead_of_the_database_stamps_nothing_in_whatever_process(host: Host, postgres: str) -> None:
    migrate(postgres, partitions=PARTITIONS)
    with closing(open_ledger(postgres)) as ledger, closing(open_ledger(postgres)) as other:
        one, two = open_inbox(ledger, feeding=True), open_inbox(other, feeding=True)
        routes = [router_into(inbox, [], backlog=False) for inbox in (one, two)]
        host.ahead = HOUR
        with pytest.raises(ClockAhead, match=r"this host's clock says .*, and the database's .* says "):
            one.append(routes[0].routed(encode(host.grant())))
        host.ahead = 0
        two.append(routes[1].routed(encode(host.grant())))
        assert sum(one.end(partition) + 1 for partition in ledger.partitions) == 1


def test_a_rule_book_is_published_to_a_ledger_that_was_stamped_ahead(
    host: Host, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(postgres, partitions=PARTITIONS)
    monkeypatch.setenv(clock.TOLERANCE, str(2 * YEAR // SECOND))
    with closing(open_ledger(postgres)) as ledger:
        inbox = open_inbox(ledger, feeding=True)
        host.ahead = YEAR
        inbox.append(router_into(inbox, [], backlog=False).routed(encode(host.grant())))
        host.ahead = 0
        monkeypatch.delenv(clock.TOLERANCE)
        inbox = open_inbox(ledger, feeding=True)
        book = host.fact("programme.published", "programme", toml=shipped("jd")) | {"source": "/operators"}
        places = inbox.append(router_into(inbox, ["/operators"], backlog=False).routed(encode(book)))
        assert len(places) == PARTITIONS
        assert [inbox.last_recorded(partition) for partition in ledger.partitions] == [host.true + YEAR] * PARTITIONS


# -- it is said --------------------------------------------------------------------------------------------------------


def test_it_is_said_once_in_the_log_and_by_ingest(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").write_bytes(encode(host.grant()))
    (tmp_path / "b").write_bytes(encode(host.grant()))
    host.ahead = HOUR
    assert run(["--ledger", str(tmp_path / "ledger"), "ingest", str(tmp_path / "a")]) == 0
    assert "recorded-ahead" not in capsys.readouterr().err
    host.ahead = 0
    assert run(["--ledger", str(tmp_path / "ledger"), "ingest", str(tmp_path / "b")]) == 0
    assert f"recorded-ahead: partition {AT} is recorded 3,600 s ahead" in capsys.readouterr().err
    assert run(["--ledger", str(tmp_path / "ledger"), "entries", "m-1", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert "stamped" not in first and second["recorded"] == first["recorded"]
    assert second["stamped"] == second["occurred"]
    with closing(open_ledger(tmp_path / "ledger")) as ledger, ledger.writing():
        owner, log = PartitionOwner(ledger, AT), ConsumerLog()
        with closing(open_inbox(ledger)) as inbox:
            route = router_into(inbox, [], backlog=False)
            for _ in range(2):
                inbox.append(route.routed(encode(host.grant())))
                log.observe(decided(owner, inbox))
            assert owner.ahead_until
            host.passes(2 * HOUR)
            inbox.append(route.routed(encode(host.grant())))
            log.observe(decided(owner, inbox))
            assert not owner.ahead_until
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line.get("seconds")) for line in told] == [
        ("recorded-ahead", 3_600),
        ("recorded-in-time", None),
    ]


def decided(owner: PartitionOwner, inbox: Inbox) -> Decided:
    found = owner.turn(inbox)
    assert found is not None
    return found
