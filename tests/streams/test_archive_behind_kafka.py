"""A ledger that Kafka feeds is archived, pruned and split beside its consumer: nothing is lost or told twice."""

import json
import os
import signal
import subprocess
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from ledger.journal.database import migrate
from ledger.journal.open import open_ledger
from ledger.journal.pruned import is_stub
from ledger.wire.times import DAY
from tests.streams.test_kafka_survival import in_own_group
from tests.streams.test_split_behind_kafka import outcomes_and_topic_are_whole
from tests.support.brokers import Broker
from tests.support.histories import LONG_AGO
from tests.support.kafka_shop import (
    Place,
    Topics,
    accounts,
    consume,
    contents,
    is_whole,
    points,
    points_in_a_process,
    start,
    until,
)
from tests.support.ledgers import Fact, histories_of

BORN, TIMES = 2, 2
FACTS = histories_of(Random(31), members=12, length=40, start=LONG_AGO)
THIRD = len(FACTS) // 3
PARTS: list[list[Fact | bytes]] = [
    FACTS[:THIRD],
    FACTS[THIRD : 2 * THIRD],
    [*FACTS[2 * THIRD :], b"{"],
]  # what is no fact is recorded now
MONTHS = ("2018-07", "2019-02")  # before which is pruned, before the split and behind it
STEPS = {  # at which each command is killed, in the order in which it comes to them
    "export": ("archive-file", "archive-link", "archive-linked"),
    "prune": ("prune-rows", "pruned-rows:3"),
    "split": ("split-entries", "split-receipts", "split-closed", "split-stamped", "split-moved", "split-switched"),
}


class Story:
    """A ledger, its consumer, its topics and its archive."""

    def __init__(self, broker: Broker, place: Place, folder: Path, *, with_kills: bool) -> None:
        self.topics = Topics(broker, BORN).make()
        self.place, self.folder, self.archive = place, folder, folder / "archive"
        self.is_shared = isinstance(place, str)
        self.environment = {**in_own_group(self.topics), "POINTS_FOLDER": str(folder / "beside")}
        self.with_kills = with_kills
        self.sent = 0
        if self.is_shared:
            migrate(str(place), partitions=BORN, topic=self.topics.facts)
        self.starts()

    def starts(self) -> None:
        self.consumer: subprocess.Popen[str] = start(
            self.place, "consume", environment=self.environment, log=self.folder / "consumer.log"
        )

    def stops(self) -> None:
        self.consumer.terminate()
        self.consumer.communicate(timeout=100)
        assert self.consumer.returncode == 0, (self.folder / "consumer.log").read_text()

    def takes(self, part: list[Fact | bytes]) -> None:
        """Send facts, and wait until they are decided."""
        self.topics.send(part)
        self.sent += len(part)
        until(lambda: self._decided() == self.sent, self.consumer)

    def _decided(self) -> int:
        if not self.is_shared and not (Path(self.place) / "ledger.json").exists():
            return 0
        with closing(open_ledger(self.place)) as ledger:
            return ledger.count() + sum(ledger.journal(p).count_parked(retried=True) for p in ledger.partitions)

    def does(self, *words: object) -> str:
        """Run a command, killed at each of its steps first where the story has kills."""
        said = list(map(str, words))
        for step in STEPS.get(next((word for word in said if word in STEPS), ""), ()) if self.with_kills else ():
            killed = points_in_a_process(self.place, *said, environment={**self.environment, "POINTS_FAILPOINT": step})
            assert killed.returncode == -signal.SIGKILL, (step, killed.stderr)
        ran = points(self.place, *said, environment=self.environment)
        assert ran.returncode == 0, ran.stderr + ran.stdout
        return ran.stdout

    def is_archived_and_pruned(self, before: str) -> None:
        self.does("views", "run")
        self.does("archive", "export", self.archive)
        pruned = self.does("archive", "prune", self.archive, "--before", before, "--reason", "retention", "--json")
        assert sum(month["pruned"] + month["before"] for month in json.loads(pruned)["months"]) > 10

    def stubs(self) -> dict[int, int]:
        """How many entries of each partition are pruned, copies included."""
        with closing(open_ledger(self.place)) as ledger:
            found = {p: ledger.journal(p).own_rows_of(0, 1 << 62) for p in ledger.partitions}
            return {p: sum(is_stub(row[3]) for rows in some for row in rows) for p, some in found.items()}


def goes_well(story: Story) -> None:
    """Archive, prune and split in turns while facts come."""
    try:
        story.takes(PARTS[0][:40])
        points(story.place, "archive", "export", str(story.archive))  # a small one is begun whole, in one step
        story.takes(PARTS[0][40:])
        story.is_archived_and_pruned(MONTHS[0])
        story.takes(PARTS[1])
        if not story.is_shared:
            story.stops()
        story.does("split", "--times", TIMES)
        story.topics.partitions = BORN * TIMES
        if not story.is_shared:
            story.starts()
        story.takes(PARTS[2])
        story.is_archived_and_pruned(MONTHS[1])
        story.stops()
    finally:
        if story.consumer.poll() is None:
            os.killpg(story.consumer.pid, signal.SIGKILL)
            story.consumer.communicate(timeout=100)

    assert len(story.stubs()) == BORN * TIMES and min(story.stubs().values()) > 5
    is_whole(story.place)
    outcomes_and_topic_are_whole(story.topics, story.place)
    for words in (("replay",), ("verify",)):
        said = [json.loads(story.does(*words, *more, "--json")) for more in ((), ("--from-archive", story.archive))]
        assert said[0]["entries" if words == ("replay",) else "partitions"], words
        assert [one.get("differences", one.get("broken")) for one in said] == [[], []], words
    for view in ("balances", "statement", "liability"):
        for step in ("rebuild", "compare", "switch"):
            story.does("views", step, view)
    restored = story.folder / "restored"
    assert points(restored, "archive", "import", str(story.archive)).returncode == 0
    assert contents(restored) == contents(story.place)

    undisturbed = Topics(story.topics.broker, BORN).make()
    undisturbed.send([*PARTS[0], *PARTS[1], *PARTS[2]])
    consume(undisturbed, story.folder / "undisturbed", "--no-publish")
    with closing(open_ledger(story.folder / "undisturbed")) as plain, closing(open_ledger(story.place)) as grown:
        last = max(plain.journal(p).head().recorded for p in plain.partitions) + DAY
        assert accounts(grown, last) == accounts(plain, last)


def test_in_postgresql_it_goes_on_beside_its_consumer(broker: Broker, postgres: str, tmp_path: Path) -> None:
    goes_well(Story(broker, postgres, tmp_path, with_kills=False))


@pytest.mark.campaign
def test_in_a_folder(broker: Broker, tmp_path: Path) -> None:
    goes_well(Story(broker, tmp_path / "ledger", tmp_path, with_kills=False))


@pytest.mark.campaign
def test_in_postgresql_killed_at_each_step(broker: Broker, postgres: str, tmp_path: Path) -> None:
    goes_well(Story(broker, postgres, tmp_path, with_kills=True))


@pytest.mark.campaign
def test_in_a_folder_killed_at_each_step(broker: Broker, tmp_path: Path) -> None:
    goes_well(Story(broker, tmp_path / "ledger", tmp_path, with_kills=True))
