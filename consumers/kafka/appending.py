"""Appends facts that arrive one by one (over HTTP, from a command) to the ledger's topic, as an inbox does."""

from collections.abc import Callable, Sequence
from functools import partial

from consumers.kafka.client_base import UNKNOWN, Writer
from consumers.kafka.clients import client_of
from consumers.kafka.port import StreamError
from consumers.kafka.produce import headers_of
from consumers.kafka.settings import KafkaSettings
from consumers.local.port import CannotAppend, InboxLine


class TopicAppender:
    """Appends lines to a topic; a line whose offset is returned is acknowledged by all replicas in sync.

    For one thread. The next call replaces a writer that failed. `open_writer` gives another than the client's own.
    """

    def __init__(self, settings: KafkaSettings, topic: str, open_writer: Callable[[], Writer] | None = None) -> None:
        self._settings = settings
        self._open_writer = open_writer
        self._topic = topic
        self._writer: Writer | None = None

    def append(self, lines: Sequence[InboxLine]) -> list[tuple[int, int]]:
        """Append lines, wait for them, and return the (partition, offset) of each.

        Raises `CannotAppend` unless all are acknowledged, and it is known where; some may stand in the topic all the
        same, and are duplicates when they are sent again.
        """
        offsets = [UNKNOWN] * len(lines)
        try:
            writer = self._writer = self._writer or self._new_writer()
            for at, line in enumerate(lines):
                key, on_delivered = line.key.encode(), partial(offsets.__setitem__, at)
                writer.send(self._topic, line.partition, key, line.value, headers_of(line), on_delivered)
            writer.flush(self._settings.timeout_seconds)
        except StreamError as error:
            self.close()
            raise CannotAppend(f"the topic {self._topic}: {error}") from error
        if (unknown := offsets.count(UNKNOWN)) > 0:
            raise CannotAppend(
                f"the topic {self._topic}: {unknown:,} records stand there, and the brokers do not say where: they had"
                " them already; sent again they are told where they stand"
            )
        return [(line.partition, offset) for line, offset in zip(lines, offsets, strict=True)]

    def _new_writer(self) -> Writer:
        return client_of(self._settings).Writer(self._settings) if self._open_writer is None else self._open_writer()

    def close(self) -> None:
        """Close the writer."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
