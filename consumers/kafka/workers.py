"""A consumer in this process, or several in worker processes that tell this one of their work."""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from consumers.kafka.clients import open_admin, open_reader, open_writer
from consumers.kafka.consume import Consumer, Plan
from consumers.kafka.port import Denied, Writer
from consumers.kafka.settings import KafkaSettings
from consumers.kafka.topics import partitions_of
from consumers.runtime.events import Observe
from consumers.runtime.ingest import CannotDecide
from consumers.runtime.retry import once_a_broker_answers
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger

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
        found = partitions_of(open_admin(settings), name)
        if found < partitions:
            raise Denied(f"the topic {name} has {found} partitions, and the ledger has {partitions}")
    return open_writer(settings)


def consume_in_workers(
    place: str, settings: KafkaSettings, plans: Sequence[Plan], observe: Observe, is_stopped: Callable[[], bool]
) -> None:
    """A worker process for each plan; where one ends with an error all end, and the error is raised here."""
    workers = _Workers(place, settings, plans)
    try:
        while workers.are_working:
            workers.listen(observe)
            if is_stopped():
                workers.stop()
    finally:
        workers.close()


@dataclass(frozen=True, slots=True)
class _Job:
    """What a worker is told; picklable."""

    place: str
    settings: KafkaSettings
    plan: Plan


class _Workers:
    """The worker processes and the pipes on which they tell."""

    def __init__(self, place: str, settings: KafkaSettings, plans: Sequence[Plan]) -> None:
        context = multiprocessing.get_context("spawn")
        self._processes: list[Any] = []
        self._pipes: list[Connection] = []
        for plan in plans:
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(_Job(place, settings, plan), theirs), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._pipes.append(ours)
        self._is_stopping = False

    @property
    def are_working(self) -> bool:
        """Whether any has not said its last word."""
        return bool(self._pipes)

    def listen(self, observe: Observe) -> None:
        """Hear what the workers tell, and wait for it a moment."""
        for pipe in wait(self._pipes, LISTEN_SECONDS):
            assert isinstance(pipe, Connection)
            try:
                word = pipe.recv()
            except (EOFError, OSError):
                raise CannotDecide(
                    "a worker process died; what was decided is kept: run the same command again"
                ) from None
            if isinstance(word, Exception):
                raise word
            if word is None:
                self._pipes.remove(pipe)
                pipe.close()
            else:
                observe(word)

    def stop(self) -> None:
        """Tell them to finish."""
        if not self._is_stopping:
            self._is_stopping = True
            for pipe in self._pipes:
                with contextlib.suppress(OSError):  # one that is gone shows when it is heard
                    pipe.send("stop")

    def close(self) -> None:
        """Whoever still works hears by its pipe that nobody listens, and ends after its batch."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(END_SECONDS)
            if process.is_alive():
                process.kill()


def _work(job: _Job, pipe: Connection) -> None:
    """A worker: consume as planned until told to stop, or until nobody listens."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the first process hears them, and tells us
    try:
        ledger = open_ledger(job.place)
        consume(ledger, job.settings, job.plan, pipe.send, pipe.poll)
        pipe.send(None)
    except (BrokenPipeError, ConnectionError, EOFError):
        return
    except Exception as error:
        with contextlib.suppress(OSError):  # nobody may be left to hear it
            pipe.send(error)
