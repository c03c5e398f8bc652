"""Facts that arrive one by one (over HTTP, from an operator's command) into the ledger's topic, as into an inbox."""

from collections.abc import Sequence
from functools import partial

from consumers.kafka.client_base import Writer
from consumers.kafka.clients import open_writer
from consumers.kafka.port import StreamError
from consumers.kafka.produce import headers_of
from consumers.kafka.settings import KafkaSettings
from consumers.local.port import CannotAppend, InboxLine


class TopicAppender:
    """Appends lines to a topic; what is told a place is acknowledged by all replicas in sync.

    For one thread. A writer that failed is replaced by the next call, since nothing more goes through it.
    """

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._writer: Writer | None = None

    def append(self, lines: Sequence[InboxLine]) -> list[tuple[int, int]]:
        """Append lines and wait; returns the (partition, offset) of each.

        Raises `CannotAppend` where not all are acknowledged: some may stand in the topic all the same, and sent again
        they are duplicates.
        """
        offsets = [-1] * len(lines)
        try:
            writer = self._writer = self._writer or open_writer(self._settings)
            for at, line in enumerate(lines):
                key, told = line.key.encode(), partial(offsets.__setitem__, at)
                writer.send(self._topic, line.partition, key, line.value, headers_of(line), told)
            writer.flush(self._settings.timeout_seconds)
        except StreamError as error:
            self.close()
            raise CannotAppend(f"the topic {self._topic}: {error}") from error
        return [(line.partition, offset) for line, offset in zip(lines, offsets, strict=True)]

    def close(self) -> None:
        """Close the writer."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
