"""The stream of a served ledger: its inbox, or the topic of Kafka that feeds it and that consumers decide."""

import threading
import time
from abc import ABC, abstractmethod
from contextlib import closing, suppress

import msgspec

from consumers.feeding import Feeding, feeding_of
from consumers.kafka.client_base import Reader
from consumers.kafka.clients import client_of
from consumers.kafka.port import StreamError
from consumers.kafka.settings import KafkaSettings
from consumers.local.open import open_inbox
from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.wire.facts import PROGRAMME_SUBJECT
from service.http.owners import OwnersState
from service.http.pending import Busy

FRESH_SECONDS = 1.0  # that what a broker said of the ends holds
BROKER_SECONDS = 2.0  # that a broker is waited for, where its ends are all that is asked
PROGRAMME_SECONDS = 1.0  # between two looks at whether a programme was published
AGAIN_SECONDS = 5.0  # until one that did not answer is asked again


class Stream(ABC):
    """Where facts that requests give are appended, and what of it is asked beside that; by any thread."""

    @abstractmethod
    def feeding(self) -> Feeding:
        """What appends, for the thread that asks. Raises `JournalError`."""

    @abstractmethod
    def ends(self, ledger: Ledger) -> list[int]:
        """The offset of each partition's last record, -1 where it is empty. Raises `Busy`, `JournalError`."""

    @abstractmethod
    def end(self, ledger: Ledger, partition: int) -> int:
        """The same of one partition, as it is now."""

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Let go of connections."""


class InboxStream(Stream):
    """The inbox of a ledger, whose lock or claims this process holds. Made where there is none."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        open_inbox(ledger, feeding=True).close()

    def feeding(self) -> Feeding:
        return feeding_of(self._ledger)

    def ends(self, ledger: Ledger) -> list[int]:
        with closing(open_inbox(ledger)) as inbox:
            return [inbox.end(partition) for partition in ledger.partitions]

    def end(self, ledger: Ledger, partition: int) -> int:
        with closing(open_inbox(ledger)) as inbox:
            return inbox.end(partition)


class TopicStream(Stream):
    """The topic that feeds a ledger, for life."""

    def __init__(self, ledger: Ledger, settings: KafkaSettings) -> None:
        self._ledger = ledger
        self._settings = settings
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._ends: list[int] = []
        self._last_error = ""
        self._ask_at = 0.0

    def feeding(self) -> Feeding:
        return feeding_of(self._ledger, self._settings)

    def ends(self, ledger: Ledger) -> list[int]:
        with self._lock:
            if time.monotonic() >= self._ask_at:
                self._ask()
            if self._last_error:
                raise Busy(self._last_error)
            return self._ends

    def end(self, ledger: Ledger, partition: int) -> int:
        with self._lock:
            if not self._last_error:
                self._ask_at = 0.0
        return self.ends(ledger)[partition]

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _ask(self) -> None:
        topic = self._ledger.settings.topic
        hasty = msgspec.structs.replace(self._settings, timeout_seconds=BROKER_SECONDS)
        try:
            reader = self._reader = self._reader or client_of(hasty).Reader(hasty, topic)
            found = reader.ends(self._ledger.partitions)
        except StreamError as error:
            self.close()
            self._last_error, self._ask_at = f"the topic {topic}: {error}", time.monotonic() + AGAIN_SECONDS
        else:
            self._ends = [found[partition] for partition in self._ledger.partitions]
            self._last_error, self._ask_at = "", time.monotonic() + FRESH_SECONDS


class DecidedByConsumers:
    """Decides nothing: consumers of Kafka do, and their decisions are looked up. Watches for published programmes."""

    def __init__(self, ledger: Ledger) -> None:
        self.state = OwnersState(is_caught_up=True)
        self._ledger = ledger
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="points-watch", daemon=True)

    def start(self, pending: object) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def expect(self, listener: object, offsets: object, decoded: object) -> None:
        """Consumers follow the topic by themselves."""

    def _watch(self) -> None:
        while not self._stopped.wait(PROGRAMME_SECONDS):
            with suppress(JournalError):  # what cannot be read now is told to who reads it
                journal = self._ledger.journal(self._ledger.partition_of(PROGRAMME_SUBJECT))
                self.state = self.state._replace(programmes=len(journal.published()))
