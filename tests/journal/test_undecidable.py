"""No single fact stops a partition: one that passes a bound, and one on which deciding itself fails."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from consumers.runtime.ingest import ingest
from consumers.runtime.owner import PartitionOwner
from ledger.core import decide as deciding
from ledger.core.account import Account, decode_account, encode_account
from ledger.core.pages import GrantPage, Page
from ledger.journal import partition, snapshots
from ledger.journal.open import open_or_create
from ledger.rulebook.schema import shipped
from ledger.wire.entry_codec import decode_entry
from ledger.wire.facts import ShopVisited
from projections.audit.replay import replay
from projections.audit.verify import verify
from service.cli import run
from tests.support.contents import contents
from tests.support.ledgers import write_facts

DAY = "2025-05-{:02}T10:00:00+08:00"
MOST = 1 << 53


@pytest.fixture(autouse=True)
def _by_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The core is broken on purpose; the native engine would not notice."""
    monkeypatch.setenv("POINTS_ENGINE", "python")


def fact(number: int, kind: str, member: str, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"f{number}",
        "source": "/operators" if kind.startswith("programme") else "/s",
        "type": f"{kind}.v1",
        "subject": member,
        "time": DAY.format(1 + number % 28),
        "data": data,
    }


def grant(number: int, member: str, points: int = 10) -> dict[str, Any]:
    return fact(number, "campaign.granted", member, grant=f"g{number}", campaign="c", points=points)


def fails(*_: object) -> None:
    raise ZeroDivisionError("nobody thought of this shop")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    deciders: Mapping[Any, Any] = deciding._DECIDER_OF
    monkeypatch.setattr(deciding, "_DECIDER_OF", MappingProxyType({**deciders, ShopVisited: fails}))
    return monkeypatch


def test_a_fact_on_which_deciding_fails_is_parked_and_all_behind_it_goes_on(
    tmp_path: Path, broken: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken.setattr("consumers.runtime.shared.PartitionOwner", partial(PartitionOwner, batch=20))
    later = shipped("jd").replace("from = 2017-09-14", "from = 2026-01-01", 1)
    facts: list[dict[str, Any]] = []
    for number in range(0, 200, 2):
        member = f"m-{number % 7}"
        facts.append(grant(number, member))
        if number % 10 == 0:
            facts.append(fact(number + 1, "shop.visited", member, shop=f"s{number}"))
    facts.insert(60, fact(1_000, "programme.published", "programme", toml=later))
    visits = [one for one in facts if one["type"] == "shop.visited.v1"]
    place = open_or_create(tmp_path / "ledger")
    with place.writing():
        summary = ingest(place, [str(write_facts(tmp_path / "facts", facts))], backlog=True)
    assert (summary.tally.parked, summary.tally.accepted) == (len(visits), len(facts) - len(visits))
    assert replay(place)["differences"] == replay(place, from_topic=True)["differences"] == []
    found = contents(place)
    place.close()

    without = open_or_create(tmp_path / "without")
    rest = [one for one in facts if one not in visits]
    with without.writing():
        ingest(without, [str(write_facts(tmp_path / "rest", rest))], backlog=True)
    purses = [{member: account.purses for member, account in one["accounts"]} for one in (contents(without), found)]
    assert purses[0] == purses[1] and len(purses[0]) == 7
    without.close()

    def on(*words: str) -> Any:
        assert run(["--ledger", str(tmp_path / "ledger"), "--json", *words]) == 0
        return json.loads(capsys.readouterr().out)

    letters = on("dead-letters", "list")
    assert {letter["reason"] for letter in letters} == {"undecidable"} and len(letters) == len(visits)
    assert "ZeroDivisionError: nobody thought of this shop" in letters[0]["detail"]
    broken.undo()
    assert {told["outcome"] for told in on("dead-letters", "retry", "--all")} == {"accepted"}
    assert on("replay")["differences"] == [] and on("verify")["broken"] == []


def test_a_store_that_fails_while_deciding_parks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = open_or_create(tmp_path / "ledger")
    file = str(write_facts(tmp_path / "facts", [grant(1, "m"), grant(2, "m")]))

    def fails_too(*_: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(deciding, "_DECIDER_OF", dict.fromkeys(deciding._DECIDER_OF, fails_too))
    with place.writing(), pytest.raises(Exception, match="the disk is gone"):
        ingest(place, [file], backlog=True)
    monkeypatch.undo()
    with place.writing():
        summary = ingest(place, [file], backlog=True)
    assert (summary.tally.accepted, summary.tally.parked) == (2, 0)
    place.close()


@pytest.mark.parametrize("batch", [7, 8_000])
def test_facts_beyond_range_change_nothing_but_the_clock_and_leave_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    decided = 0
    decide = deciding.decide

    def counting(*given: Any, **more: Any) -> Any:
        nonlocal decided
        decided += 1
        return decide(*given, **more)

    monkeypatch.setattr("ledger.journal.partition.decide", counting)
    monkeypatch.setattr("consumers.runtime.shared.PartitionOwner", partial(PartitionOwner, batch=batch))
    facts = [
        one for n in range(0, 3_000, 3) for one in (grant(n, "rich", MOST), grant(n + 1, "poor"), grant(n, "rich"))
    ]
    place = open_or_create(tmp_path / "ledger")
    with place.writing():
        summary = ingest(place, [str(write_facts(tmp_path / "facts", facts))], backlog=True)
    conflicts = 1_000  # the third of each three has the identity of the first
    assert summary.tally.accepted == 1_000 + 512 and summary.tally.parked == 0
    assert summary.tally.ignored == conflicts + 1_000 - 512
    assert decided <= 2 * len(facts) + 1_000, "each is decided again once, not once for each that passes the bound"
    found = contents(place)
    assert replay(place)["differences"] == [] and verify(place)["broken"] == []
    accounts = dict(found["accounts"])
    assert accounts["poor"].purse("beans").spendable() == 10_000
    assert decode_account(encode_account(accounts["rich"])) == accounts["rich"]
    place.close()


def test_an_earlier_fact_behind_one_beyond_range_does_not_turn_the_clock_back(tmp_path: Path) -> None:
    facts = [grant(28 * n, "rich", MOST) for n in range(512)]  # on the first of the month
    facts += [grant(19, "rich", MOST), fact(4, "shop.visited", "rich", shop="s")]
    place = open_or_create(tmp_path / "ledger")
    with place.writing():
        ingest(place, [str(write_facts(tmp_path / "facts", facts))], backlog=True)
    rows = place.journal(place.partition_of("rich")).entries_of("rich")
    first, beyond, earlier = (decode_entry(row.state) for row in rows[-3:])
    assert beyond.reason == "out-of-range" and earlier.occurred < beyond.occurred
    assert first.clock < beyond.clock == earlier.clock
    assert replay(place)["differences"] == []
    place.close()


def test_a_page_that_cannot_be_encoded_parks_its_fact_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = partition.encode_page

    def encode_but_one(page: Page) -> bytes:
        if isinstance(page, GrantPage) and page.lot >> 16 == 3:
            raise OverflowError("an integer of this page")
        return encode(page)

    monkeypatch.setattr(partition, "encode_page", encode_but_one)
    facts = [grant(n, f"m-{n % 3}") for n in range(60)]
    facts.insert(30, fact(99, "shop.visited", "m-0", shop="s"))
    place = open_or_create(tmp_path / "ledger")
    with place.writing():
        summary = ingest(place, [str(write_facts(tmp_path / "facts", facts))], backlog=True)
    # a grant behind one that is parked is the third, too, until a visit is
    assert (summary.tally.accepted, summary.tally.parked) == (2 + 2 + (2 + 1 + 12 - 2), 18 + 18 + 8)
    assert replay(place)["differences"] == [] and verify(place)["broken"] == []
    place.close()


def test_an_account_that_cannot_be_encoded_parks_the_facts_that_would_make_it_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode_poor(account: Account) -> bytes:
        if account.purse("beans").issued > 700:
            raise OverflowError("an integer of this account")
        return encode_account(account)

    monkeypatch.setattr(partition, "encode_account", encode_poor)
    monkeypatch.setattr(snapshots, "encode_account", encode_poor)
    facts = [grant(n, "rich" if n % 2 else "poor", 10 if n % 2 else 1) for n in range(200)]
    place = open_or_create(tmp_path / "ledger")
    with place.writing():
        summary = ingest(place, [str(write_facts(tmp_path / "facts", facts))], backlog=True)
    assert (summary.tally.accepted, summary.tally.parked) == (170, 30)
    found = dict(contents(place)["accounts"])
    assert (found["rich"].purse("beans").issued, found["poor"].purse("beans").issued) == (700, 100)
    assert replay(place)["differences"] == [] and verify(place)["broken"] == []
    place.close()
