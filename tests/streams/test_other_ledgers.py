"""Two ledgers of ours exchange points: embedded ones by their inboxes, and over Kafka by their topics."""

import json
import signal
import tomllib
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from consumers.runtime.follow_ups import Unsent
from ledger.journal.ledger import KAFKA, Settings, new_id
from ledger.journal.open import open_ledger, open_or_create
from projections.audit.transit import transit
from tests.core.test_worked_examples_of_other_ledgers import HOTEL, MALL
from tests.streams.test_follow_ups import MORE_STEPS, STEPS
from tests.support.brokers import Broker
from tests.support.kafka_shop import Topics, points_in_a_process
from tests.support.ledgers import write_facts
from tests.support.shop import instant

MEMBERS = 6


def fact(type_: str, subject: str, name: str, data: dict[str, Any], source: str = "/shop") -> dict[str, Any]:
    head = {"specversion": "1.0", "id": name, "source": source, "type": f"{type_}.v1"}
    return {**head, "subject": subject, "time": "2025-11-01T10:00:00+08:00", "data": data}


def exchanges() -> list[dict[str, Any]]:
    """Members who have 600 beans exchange 300, and ask for points of a kind that the other ledger has not."""
    lot = {"kind": "beans", "points": 600, "earned_at": "2025-01-01T00:00:00Z", "expires_at": "2998-01-01T00:00:00Z"}
    facts = []
    for n in range(MEMBERS):
        facts += [
            fact("lot.opened", f"m-{n}", f"l-{n}", {"lot": "L", **lot}, "/operators"),
            fact("exchange.requested", f"m-{n}", f"x-{n}", {"request": "X", "exchange": "nights", "points": 300}),
            fact("exchange.requested", f"m-{n}", f"y-{n}", {"request": "Y", "exchange": "odd", "points": 100}),
        ]
    return facts


def made(place: Path, name: str, peer: str, topic: str = "") -> Path:
    born = Settings(3, id=new_id(), name=name, peers=(peer,), stream=KAFKA if topic else "inbox", topic=topic)
    open_or_create(place, MALL if name == "mall" else HOTEL, born).close()
    return place


def check(mall: Path, hotel: Path) -> None:
    """Each member gave 300 beans and has 100 points; what the hotel had no kind for came back."""
    now = instant("2025-11-02")
    with closing(open_ledger(str(mall))) as ledger:
        found = {name: account.purse("beans") for name, account in ledger.accounts(now)}
        assert {(p.spendable(), p.held(), p.redeemed) for p in found.values()} == {(300, 0, 300)}
        assert len(found) == MEMBERS
    with closing(open_ledger(str(hotel))) as ledger:
        assert {account.purse("points").issued for _, account in ledger.accounts(now)} == {100}


def ran(place: Path, *arguments: str, environment: Mapping[str, str], code: int = 0) -> dict[str, Any]:
    run = points_in_a_process(place, *arguments, "--json", environment=environment)
    assert run.returncode == code, run.stderr
    return json.loads(run.stdout)


def test_two_ledgers_in_folders_exchange_and_one_that_is_away_is_asked_again(tmp_path: Path) -> None:
    mall, hotel = made(tmp_path / "mall", "mall", "hotel"), tmp_path / "hotel"
    places = {"POINTS_PEERS": json.dumps({"mall": str(mall), "hotel": str(hotel)})}
    ran(mall, "ingest", str(write_facts(tmp_path / "f.ndjson", exchanges())), "--backlog", environment=places)
    away = ran(mall, "transit", "send", environment=places, code=1)
    assert (away["sent"], list(away["away"])) == (0, ["hotel"])
    with closing(open_ledger(mall)) as ledger:
        found = transit(ledger)
        since = [Unsent().since(ledger, partition) for partition in ledger.partitions]
    assert {peer for waits in since for peer, at in waits.items() if at} == {"hotel"}
    assert (found.told, found.on_its_way, found.in_transit) == (2 * MEMBERS, 2 * MEMBERS, {})
    assert found.waiting[0].to.startswith("hotel/m-") and not found.waiting[0].sent
    made(hotel, "hotel", "mall")
    assert ran(mall, "transit", "send", environment=places) == {"sent": 2 * MEMBERS, "away": {}}
    with closing(open_ledger(mall)) as ledger:
        assert {one.sent for one in transit(ledger).waiting} == {True}, "until they are answered"
        assert not any(any(Unsent().since(ledger, partition).values()) for partition in ledger.partitions)
    assert ran(hotel, "transit", "send", environment=places) == {"sent": 2 * MEMBERS, "away": {}}
    assert ran(mall, "transit", "send", environment=places) == {"sent": 0, "away": {}}
    check_at_rest(mall, hotel)


def ran_though_killed(step: str, place: Path, *arguments: str, environment: Mapping[str, str]) -> bool:
    """Run a command that is killed where a step comes, if it does, and then whole; says whether it was killed."""
    run = points_in_a_process(place, *arguments, environment={**environment, "POINTS_FAILPOINT": step})
    if run.returncode == 0:
        return False
    assert run.returncode == -signal.SIGKILL, run.stderr
    run = points_in_a_process(place, *arguments, environment=environment)
    assert run.returncode == 0, run.stderr
    return True


@pytest.mark.parametrize(
    ("step", "count"),
    [
        ("after-follow-ups", 2),
        *(
            pytest.param(step, count, marks=pytest.mark.campaign)
            for step in (*STEPS, *MORE_STEPS)
            for count in (1, 2, 3)
            if (step, count) != ("after-follow-ups", 2)
        ),
    ],
)
def test_killed_at_any_step_two_ledgers_in_folders_exchange_once(tmp_path: Path, step: str, count: int) -> None:
    mall, hotel = made(tmp_path / "mall", "mall", "hotel"), made(tmp_path / "hotel", "hotel", "mall")
    places = {"POINTS_PEERS": json.dumps({"mall": str(mall), "hotel": str(hotel)})}
    file, killed = write_facts(tmp_path / "f.ndjson", exchanges()), []
    for place, *told in (
        (mall, "ingest", str(file), "--backlog"),
        (hotel, "transit", "send"),
        (mall, "transit", "send"),
    ):
        killed.append(ran_though_killed(f"{step}:{count}", place, *told, environment=places))
    assert any(killed)
    check_at_rest(mall, hotel)


def check_at_rest(mall: Path, hotel: Path) -> None:
    """Each follow-up was taken once, and nothing is on its way."""
    check(mall, hotel)
    for place in (mall, hotel):
        with closing(open_ledger(str(place))) as ledger:
            found = transit(ledger)
        assert (found.told, found.on_its_way, found.faults) == (2 * MEMBERS, 0, [])


def test_a_ledger_that_does_not_know_this_one_is_sent_nothing(tmp_path: Path) -> None:
    mall, hotel = made(tmp_path / "mall", "mall", "hotel"), made(tmp_path / "hotel", "hotel", "other")
    places = {"POINTS_PEERS": json.dumps({"hotel": str(hotel)})}
    ran(mall, "ingest", str(write_facts(tmp_path / "f.ndjson", exchanges())), "--backlog", environment=places)
    away = ran(mall, "transit", "send", environment=places, code=1)["away"]
    assert "does not know itself as hotel and this ledger as mall" in away["hotel"]


@pytest.mark.parametrize(
    "step", ["", *(pytest.param(step, marks=pytest.mark.campaign) for step in (*STEPS, *MORE_STEPS))]
)
def test_two_ledgers_exchange_over_kafka(tmp_path: Path, broker: Broker, step: str) -> None:
    topics = {"mall": Topics(broker).make(), "hotel": Topics(broker).make()}
    places = {"POINTS_PEERS": json.dumps({name: f"kafka:{one.facts}" for name, one in topics.items()})}
    mall = made(tmp_path / "mall", "mall", "hotel", topics["mall"].facts)
    hotel = made(tmp_path / "hotel", "hotel", "mall", topics["hotel"].facts)
    topics["mall"].send(exchanges())
    for place in (mall, hotel, mall):
        environment = {**topics[place.name].environment, **places}
        ran_though_killed(step, place, "consume", "--until-end", "--no-publish", environment=environment)
    check(mall, hotel)


def test_the_settings_are_changed_by_a_command_and_checked(tmp_path: Path) -> None:
    place = tmp_path / "mall"
    open_or_create(place, MALL, Settings(1, id=new_id())).close()
    settings = ("store", "settings")
    assert points_in_a_process(place, *settings, "--peer", "hotel").returncode == 2
    run = points_in_a_process(place, *settings, "--name", "mall", "--peer", "hotel", "--partner", "/partners/airline")
    assert run.returncode == 0, run.stderr
    assert points_in_a_process(place, *settings, "--name", "shop").returncode == 2
    with closing(open_ledger(str(place))) as ledger:
        found = ledger.settings
    assert (found.name, found.peers, found.partners) == ("mall", ("hotel",), ("/partners/airline",))
    assert tomllib.loads(MALL)["exchanges"]["nights"]["ledger"] in found.peers
