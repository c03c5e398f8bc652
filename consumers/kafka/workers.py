"""A consumer in this process, or several in worker processes whose events are observed here."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from time import sleep
from typing import TypeVar

from consumers.kafka.appending import TopicAppender
from consumers.kafka.client_base import Writer
from consumers.kafka.clients import client_of, open_admin, topic_ids
from consumers.kafka.consume import Consumer, Plan
from consumers.kafka.holes import Log
from consumers.kafka.port import BrokerAway, Denied, StreamBroken
from consumers.kafka.settings import KafkaSettings
from consumers.runtime.events import Failed, Observe, Recovered, Told
from consumers.runtime.ingest import CannotDecide
from consumers.runtime.retry import Backoff
from ledger.journal.engines import native_module
from ledger.journal.ledger import Ledger, is_address
from ledger.journal.open import open_ledger
from ledger.journal.port import Unavailable
from ledger.journal.processes import WaitingWorkers, Workers

T = TypeVar("T")

LISTEN_SECONDS = 0.2  # between two looks at whether to stop
BACKOFF_SECONDS = 0.05  # the same, while no broker answers
END_SECONDS = 60.0  # for a worker to end by itself
MOST_WAITING = 16  # processes that wait for a plan; there may be fewer partitions than jobs


def waiting_workers(settings: KafkaSettings, jobs: int) -> WaitingWorkers:
    """Return processes for several jobs, which wait for their plans; what they need is imported first.

    Raises `BadSettings`, `NoEngine`.
    """
    client_of(settings)
    native_module()
    return WaitingWorkers(min(jobs, MOST_WAITING) if jobs > 1 else 0)


def consume(
    ledger: Ledger,
    settings: KafkaSettings,
    plans: Sequence[Plan],
    observe: Observe,
    is_stopped: Callable[[], bool],
    waiting: WaitingWorkers | None = None,
) -> None:
    """Work as planned: one plan in this process, several in a worker process each, of those that are `waiting` first.

    A worker that ends since each of its partitions is in trouble lets the others go on, and its error is raised at the
    end; any other error ends all. What a worker left for the accounts of one that had ended is decided here, where all
    is to come to an end. Raises `CannotDecide`, `StreamError`, `JournalError`.
    """
    if len(plans) == 1:
        _consume(ledger, settings, plans[0], observe, is_stopped)
        return
    parts = [(ledger.place, settings, plan) for plan in plans]
    workers = Workers(_work, parts, (StreamBroken, CannotDecide), waiting)
    if waiting is not None:
        waiting.close()
    is_stopping, told = False, dict[int, int]()
    try:
        while workers.are_running:
            for event in workers.messages(LISTEN_SECONDS):
                observe(event)
                if isinstance(event, Told):
                    told |= {p: max(end, told.get(p, -1)) for p, end in event.upto.items()}
                if is_stopped():
                    break
            if is_stopped() and not is_stopping:
                is_stopping = True
                workers.send("stop")
    finally:
        workers.close(END_SECONDS)
    if not is_stopping and any(ledger.journal(p).head().offset < end for p, end in told.items()):
        whole = replace(plans[0], partitions=tuple(sorted(p for plan in plans for p in plan.partitions)))
        _consume(ledger, settings, whole, observe, is_stopped)


def _work(pipe: Connection, place: str, settings: KafkaSettings, plan: Plan) -> None:
    """Consume as planned until told to stop, or until nobody listens."""
    ledger = once_stored(place, lambda: open_ledger(place), pipe.send, pipe.poll)
    if ledger is not None:
        with closing(ledger):
            _consume(ledger, settings, plan, pipe.send, pipe.poll)


def _consume(
    ledger: Ledger, settings: KafkaSettings, plan: Plan, observe: Observe, is_stopped: Callable[[], bool]
) -> None:
    new_reader = partial(client_of(settings).Reader, settings, settings.topics.facts)
    reader = once_answered(new_reader, observe, is_stopped)
    if reader is not None:
        new_writer = partial(_open_writer, settings, plan, ledger.settings.partitions)
        log = Log(partial(open_admin, settings), settings.topics.facts, topic_ids(settings))
        topic = TopicAppender(settings, settings.topics.facts)
        with (
            closing(topic),
            closing(Consumer(ledger, reader, log, new_writer, topic.append, plan, observe)) as consumer,
        ):
            consumer.run(is_stopped)


def _open_writer(settings: KafkaSettings, plan: Plan, partitions: int) -> Writer:
    """A writer to topics that are there: one that waits for a topic would keep its owner from deciding."""
    client = client_of(settings)
    for name in filter(None, (plan.outcomes, plan.dead_letters)):
        found = client.partitions_of(settings, name)
        if found < partitions:
            raise Denied(f"the topic {name} has {found} partitions, and the ledger has {partitions}")
    return client.Writer(settings)


def once_answered(
    attempt: Callable[[], T],
    observe: Observe,
    is_stopped: Callable[[], bool],
    away: tuple[type[Exception], ...] = (BrokerAway,),
    stage: str = "kafka",
) -> T | None:
    """Return what `attempt` returns, tried again while it raises that a broker or a store is `away`.

    None if stopped before it answers. What was in the way is observed under `stage`.
    """
    backoff = Backoff()
    while not is_stopped():
        if not backoff.is_over():
            sleep(BACKOFF_SECONDS)
            continue
        try:
            found = attempt()
        except away as error:
            observe(Failed(stage, str(error)))
            backoff.failed()
            continue
        if backoff.succeeded():
            observe(Recovered(stage))
        return found
    return None


def once_stored(place: str, attempt: Callable[[], T], observe: Observe, is_stopped: Callable[[], bool]) -> T | None:
    """Return what `attempt` returns, tried again while the database of a ledger is away; None if stopped before.

    A ledger in a folder is there or not: what it raises is raised.
    """
    return once_answered(attempt, observe, is_stopped, (Unavailable,), "store") if is_address(place) else attempt()
