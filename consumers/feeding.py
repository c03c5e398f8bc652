"""What facts that come one by one are appended with, from requests and commands: to the inbox, or to the topic."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from consumers.files.loader import Router, router_into
from consumers.kafka.appending import TopicAppender
from consumers.kafka.settings import KafkaSettings, load
from consumers.local.open import open_inbox
from consumers.local.port import Append, Inbox
from ledger.journal.ledger import KAFKA, Ledger


@dataclass(frozen=True, slots=True)
class Feeding:
    """What appends lines, and what routes facts to it: new ones, and those of a backlog. For one thread."""

    append: Append
    new: Router
    old: Router
    close: Callable[[], None]

    def take(self, value: bytes, *, is_old: bool = False) -> list[tuple[int, int]]:
        """Append a fact; return the (partition, offset) at which it stands, several for a published programme.

        Raises `CannotAppend`.
        """
        return self.append((self.old if is_old else self.new).routed(value))


def feeding_of(ledger: Ledger, kafka: KafkaSettings | None = None) -> Feeding:
    """Return what feeds a ledger: its inbox, or (`kafka` says how it is reached) its topic. Raises `JournalError`."""
    settings = ledger.settings
    appender: Inbox | TopicAppender
    if kafka is None:
        inbox = appender = open_inbox(ledger)
        new, old = (router_into(inbox, settings.operators, backlog=backlog) for backlog in (False, True))
    else:
        appender = TopicAppender(kafka, settings.topic)
        new, old = (Router(settings.partitions, settings.operators, backlog=backlog) for backlog in (False, True))
    return Feeding(appender.append, new, old, appender.close)


@contextmanager
def fed(ledger: Ledger, config: Path | None) -> Iterator[Feeding]:
    """Yield what feeds a ledger, its inbox made where need be; `config` is the file that says how Kafka is reached."""
    kafka = load(config) if ledger.settings.stream == KAFKA else None
    if kafka is None:
        open_inbox(ledger, feeding=True).close()
    with closing(feeding_of(ledger, kafka)) as feeding:
        yield feeding
