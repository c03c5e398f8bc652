"""What a campaign of chaos is made of: its schedule, its senders' stories, and the checks that find a lost fact."""

import subprocess
import sys
from pathlib import Path

import pytest

from ledger.wire.fact_codec import decode
from tests.chaos.checks import DUPLICATE, Decided, faults
from tests.chaos.hosts import Network
from tests.chaos.processes import ROOT, Ended, Process, Supervisor
from tests.chaos.traffic import Acknowledged, Story
from tests.chaos.troubles import GROUPS, KINDS, UNCLEAN, schedule
from tests.support.kafka_shop import until

FACT = ("/shop", "f-1", "m-1")
TOLD = Acknowledged(FACT, (0, 7), b"digest", "http", "accepted", "", 3)
ROW = Decided(FACT, b"digest", "accepted", "", 3)


def test_a_seed_decides_every_trouble_and_each_kind_comes() -> None:
    assert schedule(7, 600) == schedule(7, 600) != schedule(8, 600)
    found = {(trouble.group, trouble.kind) for seed in range(5) for trouble in schedule(seed, 600)}
    assert found == {(group, kind) for group, kinds in KINDS.items() for kind in kinds}
    for trouble in schedule(7, 600):
        assert 0 <= trouble.target < GROUPS[trouble.group] and trouble.at < 600


def test_where_nobody_can_be_cut_off_the_other_troubles_come() -> None:
    kinds = {trouble.kind for trouble in schedule(7, 600, can_cut=False)}
    assert kinds >= {"kill", "stop", "fail-over"} and not any(kind.startswith("cut") for kind in kinds)


def test_a_broker_that_lags_is_made_leader_halfway_where_that_is_wanted() -> None:
    added = set(schedule(7, 600, is_unclean=True)) - set(schedule(7, 600))
    assert [(trouble.kind, trouble.at) for trouble in added] == [(UNCLEAN, 300)]


def test_what_was_acknowledged_and_decided_once_as_told_is_right() -> None:
    again = Decided(FACT, b"digest", "ignored", DUPLICATE, 4)
    assert faults([TOLD], {(0, 7): ROW, (0, 9): again}) == []


@pytest.mark.parametrize(
    ("decided", "said"),
    [
        ({}, "is lost"),
        ({(0, 7): ROW._replace(fact=("/shop", "f-2", "m-1"))}, "is lost"),
        ({(0, 7): ROW._replace(reason=DUPLICATE)}, "is lost"),
        ({(0, 7): ROW, (0, 8): ROW}, "decided 2 times"),
        ({(0, 8): ROW}, "not what stands there"),
        ({(0, 7): ROW._replace(sha256=b"other")}, "not what stands there"),
        ({(0, 7): ROW._replace(outcome="refused")}, "was told as accepted"),
        ({(0, 7): ROW._replace(number=4)}, "was told as accepted"),
    ],
)
def test_a_fact_that_is_lost_or_decided_twice_or_otherwise_is_found(
    decided: dict[tuple[int, int], Decided], said: str
) -> None:
    assert any(said in line for line in faults([TOLD], decided))


def test_an_acknowledged_record_that_is_no_fact_has_to_be_a_dead_letter() -> None:
    poison = Acknowledged(("", "x", "m-1"), (0, 1), b"poison", "kafka")
    letter = Decided(("", "", ""), b"poison", "dead letter", "not-json", 0)
    assert faults([poison], {(0, 1): letter}) == []
    assert faults([poison], {(0, 1): letter._replace(sha256=b"other")}) != []


def test_positions_say_nothing_in_another_stream_and_a_lost_fact_is_found_all_the_same() -> None:
    assert faults([TOLD], {(0, 90): ROW}, is_same_stream=False) == []
    assert faults([TOLD], {}, is_same_stream=False) != []


def test_a_story_is_made_of_facts_and_of_poison_where_that_is_wanted() -> None:
    story = Story(3, "/shop/topic")
    told = [story.next(with_poison=True) for _ in range(400)]
    facts = [decode(value)[0] for (source, _, _), value in told if source]
    assert len({type(fact) for fact in facts}) == 5
    assert 0 < len(told) - len(facts) < 20
    assert len({fact.id for fact in facts}) < len(facts), "some come again"


def test_a_supervised_process_that_is_killed_is_told_of_and_started_again(tmp_path: Path) -> None:
    host = Network().host("here")
    command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    process = Process(host, "one", command, tmp_path / "log", {})
    ended: list[Ended] = []
    supervisor = Supervisor([process], ended.append)
    supervisor.start()
    until(lambda: "up" in process.said)
    process.kill()
    until(lambda: supervisor.restarts == 1 and process.exit_code is None)
    supervisor.let_go()
    assert process.end() == -15
    assert [(each.name, each.code) for each in ended] == [("one", -9)]


@pytest.mark.campaign
@pytest.mark.parametrize("how", [[], ["--asynchronous"]])
def test_a_short_campaign_loses_nothing(how: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos", "--minutes", "0.5", "--logs", str(tmp_path), *how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
