"""Which client: the setting chooses, nothing else knows."""

from consumers.kafka.port import Admin, Reader, Writer
from consumers.kafka.settings import BadSettings, KafkaSettings


def open_reader(settings: KafkaSettings, topic: str) -> Reader:
    """A reader of a topic. Raises `BrokerAway`, `Denied` (no such topic too), `BadSettings`."""
    if settings.client == "confluent-kafka":
        check_client(settings)
        from consumers.kafka.confluent import FastReader

        return FastReader(settings, topic)
    from consumers.kafka.kafka_python import PureReader

    return PureReader(settings, topic)


def open_writer(settings: KafkaSettings) -> Writer:
    """A writer. Raises `BrokerAway`, `Denied`, `BadSettings`."""
    if settings.client == "confluent-kafka":
        check_client(settings)
        from consumers.kafka.confluent import FastWriter

        return FastWriter(settings)
    from consumers.kafka.kafka_python import PureWriter

    return PureWriter(settings)


def open_admin(settings: KafkaSettings) -> Admin:
    """An admin. Raises `BrokerAway`, `Denied`, `BadSettings`."""
    if settings.client == "confluent-kafka":
        check_client(settings)
        from consumers.kafka.confluent import FastAdmin

        return FastAdmin(settings)
    from consumers.kafka.kafka_python import PureAdmin

    return PureAdmin(settings)


def check_client(settings: KafkaSettings) -> None:
    """See that the client that the settings name is installed. Raises `BadSettings`."""
    if settings.client != "confluent-kafka":
        return
    try:
        import confluent_kafka  # noqa: F401
    except ImportError:
        raise BadSettings(
            'kafka.client: "confluent-kafka" is not installed; pip install "points-ledger[fast]", or take kafka-python'
        ) from None
