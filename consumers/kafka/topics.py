"""The three topics as they have to be: makes them, and finds what differs of those that are there."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from consumers.kafka.port import Topic
from consumers.kafka.settings import Topics

if TYPE_CHECKING:
    from consumers.kafka.kafka_python import Admin

PARTITIONS = 64  # of a cluster, chosen once: a member stays in one for ever
REPLICATION = 3  # where there are so many brokers
FACT_BYTES = 2 << 20  # a fact of 1 MiB with its key, headers and batch
OUTCOME_BYTES = 8 << 20  # an entry can be longer than its fact


class Difference(NamedTuple):
    """A setting of a topic that is not as it has to be, and what comes of that."""

    topic: str
    setting: str
    found: str
    wanted: str
    why: str


_COMMON = {
    "cleanup.policy": ("delete", "compaction keeps only the last record of a member"),
    "unclean.leader.election.enable": ("false", "a broker that lagged may take over and lose acknowledged records"),
}
_FACTS = {
    "message.timestamp.type": (
        "LogAppendTime",
        "the broker's stamp is when a fact was recorded; facts with a producer's are dead-lettered",
    ),
    "retention.ms": ("-1", "facts are kept for ever; what is deleted before it is decided is lost"),
    "retention.bytes": ("-1", "facts are kept for ever; what is deleted before it is decided is lost"),
}
_KEPT = {name: value for name, (value, _) in _FACTS.items() if name.startswith("retention")}


def wanted_topics(names: Topics, partitions: int, replication: int) -> list[Topic]:
    """Return the topics as `points topics create` makes them."""
    common = {name: value for name, (value, _) in _COMMON.items()}
    common["min.insync.replicas"] = str(_least_in_sync(replication))
    facts = {name: value for name, (value, _) in _FACTS.items()}
    flowing_out = {**common, **_KEPT, "max.message.bytes": str(OUTCOME_BYTES)}
    return [
        Topic(names.facts, partitions, replication, {**common, **facts, "max.message.bytes": str(FACT_BYTES)}),
        Topic(names.outcomes, partitions, replication, flowing_out),
        Topic(names.dead_letters, partitions, replication, flowing_out),
    ]


def create_topics(admin: "Admin", names: Topics, partitions: int, replication: int | None) -> list[tuple[str, bool]]:
    """Make those that are not there; return of each its name and whether it was made. Raises `Denied`, `BrokerAway`."""
    copies = replication or min(REPLICATION, admin.brokers())
    return [(topic.name, admin.create(topic)) for topic in wanted_topics(names, partitions, copies)]


def grow_topics(admin: "Admin", names: Topics, partitions: int) -> None:
    """Give topics that have fewer partitions as many as that, those of facts last. Raises `Denied`, `BrokerAway`."""
    for name in (names.outcomes, names.dead_letters, names.facts):
        found = admin.topic(name)
        if found is not None and found.partitions < partitions:
            admin.give_partitions({name: partitions})


def differences(admin: "Admin", names: Topics, partitions: int | None = None) -> Iterator[Difference]:
    """Yield what is not as it has to be; `partitions` where their number is known. Raises `Denied`, `BrokerAway`."""
    facts = admin.topic(names.facts)
    copies = min(REPLICATION, admin.brokers())
    for name in (names.facts, names.outcomes, names.dead_letters):
        is_facts = name == names.facts
        topic = facts if is_facts else admin.topic(name)
        if topic is None:
            yield Difference(name, "topic", "missing", "there", "`points topics create` makes it")
        elif is_facts:
            yield from _differs(topic, partitions or topic.partitions, copies, FACT_BYTES, _COMMON | _FACTS)
        else:
            yield from _differs(topic, (facts or topic).partitions, copies, OUTCOME_BYTES, _COMMON)


def _differs(
    topic: Topic, partitions: int, replication: int, most_bytes: int, exact: Mapping[str, tuple[str, str]] = _COMMON
) -> Iterator[Difference]:
    configs = topic.configs
    if topic.partitions != partitions:
        why = "a record's partition is its member's; the number is fixed for life, and the same in all three topics"
        yield Difference(topic.name, "partitions", str(topic.partitions), str(partitions), why)
    if topic.replication < replication:
        why = "a broker that is lost takes the only copies with it"
        yield Difference(topic.name, "replication", str(topic.replication), f"at least {replication}", why)
    in_sync, least = int(configs.get("min.insync.replicas", "1")), _least_in_sync(topic.replication)
    if in_sync < least:
        why = "a record may be acknowledged that one broker alone has"
        yield Difference(topic.name, "min.insync.replicas", str(in_sync), f"at least {least}", why)
    if in_sync > topic.replication:
        why = "no record can be acknowledged: there are fewer copies than that"
        yield Difference(topic.name, "min.insync.replicas", str(in_sync), f"at most {topic.replication}", why)
    if int(configs.get("max.message.bytes", "0")) < most_bytes:
        why = "the longest record would be refused"
        yield Difference(topic.name, "max.message.bytes", configs["max.message.bytes"], f"at least {most_bytes}", why)
    for name, (value, why) in exact.items():
        if configs.get(name) != value:
            yield Difference(topic.name, name, configs.get(name, ""), value, why)


def _least_in_sync(replication: int) -> int:
    return max(1, replication - 1)
