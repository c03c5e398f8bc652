"""A partition moves to another server while a consumer decides what Kafka feeds: it goes on where the partition is."""

import signal
import subprocess
from contextlib import closing
from pathlib import Path
from random import Random

from consumers.kafka.publisher import Outcomes
from ledger.journal.database import DatabaseLedger, migrate
from projections.audit.verify import verify
from tests.streams.test_kafka_survival import contents, in_own_group
from tests.support.brokers import Broker
from tests.support.databases import Server
from tests.support.histories import LONG_AGO
from tests.support.kafka_shop import PARTITIONS, Topics, consume, decided, outcomes_are_whole, start, until
from tests.support.ledgers import histories_of, scratch
from tests.support.served import ROOT, environment, points


def test_a_consumer_goes_on_through_a_move(
    broker: Broker, postgres: str, postgres_server: Server, tmp_path: Path
) -> None:
    facts = histories_of(Random(7), members=10, length=30, start=LONG_AGO)
    mine = Topics(broker).make()
    migrate(postgres, partitions=PARTITIONS, topic=mine.facts)
    other = postgres_server.database()
    with closing(DatabaseLedger.at(postgres)) as ledger:
        number = ledger.partition_of(facts[0]["subject"])

    def move(to: str) -> None:
        moving = [*points(postgres), "partitions", "move", str(number), "--to", to]
        moved = subprocess.run(moving, cwd=ROOT, env=environment(), capture_output=True, check=False, timeout=120)
        assert moved.returncode == 0, moved.stderr

    def is_published() -> bool:
        run.send_signal(signal.SIGCONT)
        with closing(DatabaseLedger.at(postgres)) as ledger:
            return ledger.journal(number).published_upto(Outcomes.name) == 1

    stopped = {  # and it keeps its partitions meanwhile
        "POINTS_FAILPOINT": "before-publish:1:STOP",
        "POINTS_KAFKA_SESSION_TIMEOUT_SECONDS": "300",
    }
    run = start(postgres, "consume", environment=in_own_group(mine) | stopped)
    try:
        mine.send(facts[:1])
        until(lambda: decided(postgres) == 1, run)
        move(other)
        until(is_published, run)  # no other fact comes
        run.terminate()
        _, log = run.communicate(timeout=100)
        assert run.returncode == 0, log
        run = start(postgres, "consume", "--batch", "16", environment=in_own_group(mine))
        mine.send(facts[1:150])
        until(lambda: decided(postgres) == 150, run)
        move("main")
        mine.send(facts[150:])
        with closing(DatabaseLedger.at(postgres)) as ledger:
            until(lambda: sum(ledger.heads().values()) == len(facts), run)
        run.terminate()
        _, log = run.communicate(timeout=100)
        assert run.returncode == 0, log
        with scratch() as folder, closing(DatabaseLedger.at(postgres)) as ledger:
            outcomes_are_whole(mine, postgres)
            consume(mine.with_own_outlets(), folder / "ledger", "--no-publish")
            assert contents(postgres) == contents(folder / "ledger")
            assert verify(ledger)["broken"] == []
    finally:
        postgres_server.drop(other)
