"""Facts that go to the topic one by one: where each stands is told only where the brokers said so."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from consumers.kafka.appending import TopicAppender
from consumers.kafka.client_base import UNKNOWN
from consumers.kafka.confluent import _Client
from consumers.kafka.port import BrokerAway
from consumers.kafka.settings import KafkaSettings
from consumers.local.port import CannotAppend, InboxLine


class _Writer:
    """A writer to brokers that say of each record where it stands, or that they had it already."""

    def __init__(self, *offsets: int) -> None:
        self._offsets = list(offsets)

    def send(self, *record: Any) -> None:
        record[-1](self._offsets.pop(0))

    def flush(self, timeout: float) -> None:
        pass


def test_a_record_that_the_brokers_had_already_is_not_said_to_stand_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [InboxLine(2, 0, 0, "m-1", b"{}"), InboxLine(2, 0, 0, "m-1", b"{}")]
    appender = TopicAppender(KafkaSettings(), "facts")
    writer = _Writer(7, UNKNOWN, 8, 9)
    client = SimpleNamespace(Writer=lambda settings: writer)
    monkeypatch.setattr("consumers.kafka.appending.client_of", lambda settings: client)
    with pytest.raises(CannotAppend, match="1 records stand there, and the brokers do not say where"):
        appender.append(lines)
    assert appender.append(lines) == [(2, 8), (2, 9)]


def test_a_connection_that_the_library_replaces_is_a_broker_that_is_away_for_a_moment() -> None:
    client = _Client(KafkaSettings())
    error = client._translated(KafkaError(KafkaError._DESTROY_BROKER))
    assert isinstance(error, BrokerAway)
    assert error.can_retry
