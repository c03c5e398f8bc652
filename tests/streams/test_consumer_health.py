"""The health of a consumer by its events, and its log of what was dead-lettered."""

import json
from typing import Any

import pytest

from consumers.runtime.events import Acquired, Decided, Event, Failed, Left, Parked, Recovered, Released
from ledger.journal.partition import Tally
from service.commands.consume import _Standing
from service.consumer_log import MOST_PARKED_LINES, ConsumerLog
from service.health import ConsumerHealth
from service.metrics import Metrics


def test_it_is_ready_while_nothing_stands_in_the_way() -> None:
    health = ConsumerHealth()
    health.observe(Acquired(0, 1, 5))
    health.observe(Acquired(1, 1, 5))
    assert health.is_ready() == (True, {"status": "ready", "partitions": [0, 1], "troubles": {}, "left": {}})
    health.observe(Failed("kafka", "no broker answers"))
    assert health.is_ready()[0] is False and health.is_ready()[1]["troubles"] == {"kafka": "no broker answers"}
    health.observe(Recovered("kafka"))
    health.observe(Released(1, "given to another process"))
    assert health.is_ready()[0] and health.is_ready()[1]["partitions"] == [0]
    health.observe(Left(0, "the topic was made anew"))
    assert not health.is_ready()[0]


@pytest.mark.parametrize("after", [Acquired(1, 2, 5), Released(1, "given to another process")])
def test_a_partition_is_left_until_it_is_owned_again_or_goes_to_another(after: Event) -> None:
    health, metrics, told = ConsumerHealth(), Metrics(), list[Event]()
    for event in (Left(0, "gone"), Released(1, "the store"), Left(1, "gone"), after):
        health.observe(event)
        metrics.observe(event)
    left = metrics.registry.get_sample_value
    assert left("points_partition_left", {"partition": "0"}) == 1
    assert left("points_partition_left", {"partition": "1"}) is None
    assert health.is_ready()[1]["left"] == {"0": "gone"}
    standing = _Standing(told.append)
    for event in (Released(1, "the store"), Left(1, "gone")):
        standing(event)
    standing.end()
    assert told[-1] == Released(1, "the ledger was split: it is opened anew")


def test_the_log_names_what_is_dead_lettered_and_counts_what_is_too_much(capsys: pytest.CaptureFixture[str]) -> None:
    log = ConsumerLog()
    parked = tuple(Parked(offset, "not-json", "x" * 5_000) for offset in range(5))
    for _ in range(10):
        log.observe(Decided(2, 9, 0.0, 8, 8, Tally(parked=8), 0.0, 0.0, 0.0, 0.0, 0, parked))
    log._then -= 60
    log.observe(Recovered("kafka"))
    lines: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    named = [line for line in lines if line["event"] == "dead-lettered"]
    assert len(named) == MOST_PARKED_LINES and named[1]["position"] == "2:1" and len(named[0]["detail"]) < 500
    (progress,) = [line for line in lines if line["event"] == "progress"]
    assert progress["dead_lettered_besides"] == 80 - MOST_PARKED_LINES
