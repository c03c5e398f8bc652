"""Which client: the setting chooses, nothing else knows."""

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

from consumers.kafka.client_base import Reader, Writer
from consumers.kafka.port import Topic
from consumers.kafka.settings import BadSettings, KafkaSettings

if TYPE_CHECKING:
    from consumers.kafka.kafka_python import Admin


class Client(Protocol):
    """What the file of a client has."""

    def Reader(self, settings: KafkaSettings, topic: str) -> Reader:
        """Return an open reader of a topic. Raises `BrokerAway`, and `Denied` where there is no such topic."""
        ...

    def Writer(self, settings: KafkaSettings) -> Writer:
        """Return an open writer. Raises `BrokerAway`, `Denied`."""
        ...

    def partitions_of(self, settings: KafkaSettings, topic: str) -> int:
        """Return how many partitions a topic has. Raises `BrokerAway`, and `Denied` where there is no such topic."""
        ...


def client_of(settings: KafkaSettings) -> Client:
    """Return the client that the settings name. Raises `BadSettings` where it is not installed."""
    if settings.client == "confluent-kafka":
        try:
            from consumers.kafka import confluent
        except ImportError:
            raise BadSettings(
                'kafka.client: "confluent-kafka" is not installed; pip install "confluent-kafka>=2.11,<3", or take'
                " kafka-python"
            ) from None
        return confluent
    from consumers.kafka import kafka_python  # takes a while: not where the other client is used

    return kafka_python


def open_admin(settings: KafkaSettings) -> "Admin":
    """Connect to see to topics: kafka-python does that, whichever client is set. Raises `BrokerAway`, `Denied`."""
    from consumers.kafka import kafka_python  # takes a while: not where no broker is asked

    return kafka_python.Admin(settings)


def described_topic(settings: KafkaSettings, name: str) -> Topic | None:
    """Return a topic with all its settings, None where there is none, by the client that is set.

    Loading kafka-python takes a sixth of a second, for which this does not wait. Raises `BrokerAway`, `Denied`.
    """
    if settings.client == "confluent-kafka":
        from consumers.kafka import confluent

        return confluent.Topics(settings).topic(name)
    with closing(open_admin(settings)) as admin:
        return admin.topic(name)


def topic_ids(settings: KafkaSettings) -> Callable[[str], str] | None:
    """Return what asks for a topic's id as `Admin.topic_id` does, without kafka-python; None where that is the client.

    As `described_topic`, it does not wait for that library.
    """
    if settings.client != "confluent-kafka":
        return None
    from consumers.kafka import confluent

    return confluent.Topics(settings).of
