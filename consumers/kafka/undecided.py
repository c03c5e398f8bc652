"""Whether all that stands in the topic of facts is decided: until then its ledger is not split."""

from contextlib import closing
from time import monotonic

from consumers.kafka.client_base import POLL_SECONDS
from consumers.kafka.clients import client_of
from consumers.kafka.port import BrokerAway, Start
from consumers.kafka.settings import KafkaSettings
from ledger.journal.ledger import Ledger


def has_undecided(ledger: Ledger, settings: KafkaSettings) -> bool:
    """Return True if a record stands in the topic of facts that the ledger has not decided. Raises `StreamError`."""
    topic, deadline = settings.topics.facts, monotonic() + settings.timeout_seconds
    heads = {partition: ledger.journal(partition).head() for partition in ledger.partitions}
    with closing(client_of(settings).Reader(settings, topic)) as reader:
        unread = {p: end for p, end in reader.ends(ledger.partitions).items() if end > heads[p].offset}
        reader.assign({p: Start(heads[p].offset, heads[p].recorded) for p in unread})
        while unread:
            if monotonic() > deadline:
                raise BrokerAway(f"the end of the topic {topic} could not be read: {reader.last_error or 'no answer'}")
            reader.poll(POLL_SECONDS)
            if any(map(reader.waiting, unread)):
                return True
            unread = {p: end for p, end in unread.items() if reader.passed(p) < end}
    return False
