"""A consumer in this process, or several in worker processes whose events are observed here."""

from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

from consumers.kafka.client_base import Writer
from consumers.kafka.clients import open_reader, open_writer, partitions_of
from consumers.kafka.consume import Consumer, Plan
from consumers.kafka.port import Denied
from consumers.kafka.settings import KafkaSettings
from consumers.runtime.events import Observe
from consumers.runtime.retry import once_a_broker_answers
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from ledger.journal.processes import Workers

LISTEN_SECONDS = 0.2  # between two looks at whether to stop
END_SECONDS = 60.0  # for a worker to end by itself


def consume(
    ledger: Ledger, settings: KafkaSettings, plan: Plan, observe: Observe, is_stopped: Callable[[], bool]
) -> None:
    """Work as planned in this process. Raises `CannotDecide`, `StreamError`, `JournalError`."""
    reader = once_a_broker_answers(lambda: open_reader(settings, settings.topics.facts), observe, is_stopped)
    if reader is None:
        return
    consumer = Consumer(ledger, reader, lambda: _open_writer(settings, plan, ledger.settings.partitions), plan, observe)
    try:
        consumer.run(is_stopped)
    finally:
        consumer.close()


def _open_writer(settings: KafkaSettings, plan: Plan, partitions: int) -> Writer:
    """A writer to topics that are there: one that waits for a topic would keep its owner from deciding."""
    for name in filter(None, (plan.outcomes, plan.dead_letters)):
        found = partitions_of(settings, name)
        if found < partitions:
            raise Denied(f"the topic {name} has {found} partitions, and the ledger has {partitions}")
    return open_writer(settings)


def consume_in_workers(
    place: str, settings: KafkaSettings, plans: Sequence[Plan], observe: Observe, is_stopped: Callable[[], bool]
) -> None:
    """A worker process for each plan; where one ends with an error all end, and the error is raised here."""
    workers = Workers(_work, [(place, settings, plan) for plan in plans])
    is_stopping = False
    try:
        while workers.are_running:
            for event in workers.messages(LISTEN_SECONDS):
                observe(event)
                if is_stopped():
                    break
            if is_stopped() and not is_stopping:
                is_stopping = True
                workers.send("stop")
    finally:
        workers.close(END_SECONDS)


def _work(pipe: Connection, place: str, settings: KafkaSettings, plan: Plan) -> None:
    """Consume as planned until told to stop, or until nobody listens."""
    consume(open_ledger(place), settings, plan, pipe.send, pipe.poll)
