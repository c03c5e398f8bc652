"""Houses, names that move and exchanges with a partner survive a kill between any two steps.

In both stores, and from Kafka in one process and in two.
Gifts and pools have the same tests in test_follow_ups.py and test_pools_survive.py.
"""

import signal
from pathlib import Path

import pytest

from consumers.runtime.ingest import ingest
from ledger.journal.database import migrate
from ledger.journal.ledger import KAFKA, Ledger, Settings, new_id
from ledger.journal.open import open_ledger, open_or_create
from tests.streams.test_follow_ups import CANNOT_RUN, MORE_STEPS, STEPS
from tests.support.brokers import Broker
from tests.support.kafka_shop import Topics, killed_and_run_again, points_in_a_process
from tests.support.ledgers import write_facts
from tests.support.protocols import MERGE, PART, PARTNER, SEATS, Protocol, check_at_rest

ANY_STEP = (*STEPS, *MORE_STEPS)
ALL = (SEATS, MERGE, PART, PARTNER)
# In every run of the suite.
SOON = [(SEATS, "after-follow-ups", 1), (PART, "before-follow-ups", 2), (PARTNER, "after-commit", 1)]
LATER = [
    pytest.param(protocol, step, count, marks=pytest.mark.campaign)
    for protocol in ALL
    for step in ANY_STEP
    for count in (1, 2, 3)
    if (protocol, step, count) not in SOON
]


def named(value: object) -> str:
    return value.name if isinstance(value, Protocol) else str(value)


def takes_first(ledger: Ledger, protocol: Protocol, folder: Path) -> None:
    """Take in what comes before anything goes wrong."""
    protocol.begin(ledger)
    if protocol.before:
        with ledger.writing():
            ingest(ledger, [str(write_facts(folder / "before.ndjson", protocol.before))], backlog=True)
    ledger.close()


def check(place: Path | str, protocol: Protocol) -> None:
    ledger = open_ledger(str(place))
    check_at_rest(ledger)
    protocol.check(ledger)
    ledger.close()


@pytest.mark.parametrize(("protocol", "step", "count"), [*SOON, *LATER], ids=named)
def test_killed_at_any_step_nothing_is_lost_or_doubled(
    tmp_path: Path, protocol: Protocol, step: str, count: int
) -> None:
    place = tmp_path / "ledger"
    takes_first(open_or_create(place, protocol.book), protocol, tmp_path)
    killed_and_run_again(place, write_facts(tmp_path / "facts.ndjson", protocol.facts), step, count)
    check(place, protocol)


@pytest.mark.parametrize(
    ("protocol", "step", "count"),
    [(MERGE, "after-commit", 2), *(one for one in LATER if one.values != (MERGE, "after-commit", 2))],
    ids=named,
)
def test_so_it_is_in_postgresql(tmp_path: Path, postgres: str, protocol: Protocol, step: str, count: int) -> None:
    migrate(postgres, partitions=4, book=protocol.book)
    takes_first(open_ledger(postgres), protocol, tmp_path)
    killed_and_run_again(postgres, write_facts(tmp_path / "facts.ndjson", protocol.facts), step, count)
    check(postgres, protocol)


@pytest.mark.parametrize(
    ("protocol", "jobs", "step"),
    [
        (MERGE, 2, "after-follow-ups"),
        *(
            pytest.param(protocol, jobs, step, marks=pytest.mark.campaign)
            for protocol in ALL
            for jobs in (1, 2)
            for step in ANY_STEP
            if (protocol, jobs, step) != (MERGE, 2, "after-follow-ups")
        ),
    ],
    ids=named,
)
def test_so_it_is_over_kafka_in_one_process_and_in_two(
    tmp_path: Path, broker: Broker, protocol: Protocol, jobs: int, step: str
) -> None:
    topics = Topics(broker).make()
    place, told = tmp_path / "ledger", ("consume", "--until-end", "--batch", "4", "--no-publish", "--jobs", str(jobs))
    settings = Settings(topics.partitions, id=new_id(), stream=KAFKA, topic=topics.facts)
    ledger = open_or_create(place, protocol.book, settings)
    protocol.begin(ledger)
    ledger.close()
    if protocol.before:
        topics.send(protocol.before)
        assert points_in_a_process(place, *told, environment=topics.environment).returncode == 0
    topics.send(protocol.facts)
    environment = {**topics.environment, "POINTS_FAILPOINT": f"{step}:2"}
    run = points_in_a_process(place, *told, environment=environment)
    assert run.returncode == (-signal.SIGKILL if jobs == 1 else CANNOT_RUN), run.stderr
    run = points_in_a_process(place, *told, environment=topics.environment)
    assert run.returncode == 0, run.stderr
    check(place, protocol)
