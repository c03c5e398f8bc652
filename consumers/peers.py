"""What accounts of this ledger tell those of other ledgers of ours: appended to their inboxes, or to their topics.

A peer that is away is asked again after a growing pause; neither this ledger nor another peer waits for it. Anybody may
send, and send again: a receipt there makes each count once.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Final

import msgspec

from consumers.kafka.appending import TopicAppender
from consumers.kafka.client_base import no_topic
from consumers.kafka.clients import open_admin
from consumers.kafka.settings import KafkaSettings
from consumers.local.open import open_inbox
from consumers.local.port import Append
from consumers.runtime.follow_ups import FollowUps
from consumers.runtime.retry import Backoff
from ledger.errors import CannotRunNow, PointsLedgerError
from ledger.journal.ledger import KAFKA, Ledger
from ledger.journal.open import open_ledger
from ledger.journal.partitioning import Partitioner

TOPIC: Final = "kafka:"  # before a topic, or before //SERVERS/TOPIC


class PeerAway(CannotRunNow):
    """Another ledger takes nothing now: which, why, and the way out."""


@dataclass(frozen=True, slots=True)
class PeerStream:
    """What appends to the stream of another ledger, and in which partition an account of it lives."""

    append: Append
    partition_of: Partitioner
    close: Callable[[], None]


def open_peer(ledger: Ledger, peer: str, place: str, kafka: KafkaSettings) -> PeerStream:
    """Return the stream of a peer at a place: a ledger's folder or address, or ``kafka:TOPIC``.

    Raises `PeerAway`, and others of `PointsLedgerError`.
    """
    if place.startswith(TOPIC):
        servers, _, topic = place.removeprefix(TOPIC).removeprefix("//").rpartition("/")
        return _topic(topic, msgspec.structs.replace(kafka, bootstrap_servers=servers) if servers else kafka)
    with ExitStack() as opened:
        other = opened.enter_context(closing(open_ledger(place)))
        settings, own = other.settings, ledger.settings.name
        if settings.name != peer or own not in settings.peers:
            raise PeerAway(
                f"{other.name} does not know itself as {peer} and this ledger as {own}: there, say"
                f" `points store settings --name {peer} --peer {own}`"
            )
        if settings.stream == KAFKA:
            return _topic(settings.topic, kafka)
        inbox = opened.enter_context(closing(open_inbox(other, feeding=True)))
        return PeerStream(inbox.append, Partitioner(settings.partitions), opened.pop_all().close)


def _topic(topic: str, kafka: KafkaSettings) -> PeerStream:
    with closing(open_admin(kafka)) as admin:
        found = admin.topic(topic)
    if found is None:
        raise no_topic(topic)
    appender = TopicAppender(kafka, topic)
    return PeerStream(appender.append, Partitioner(found.partitions), appender.close)


@dataclass(slots=True)
class _Route:
    """The way to a peer; `trouble` says why nothing could be sent, empty where it could."""

    peer: str
    place: str
    backoff: Backoff = field(default_factory=Backoff)
    stream: PeerStream | None = None
    flows: list[FollowUps] = field(default_factory=list)
    trouble: str = ""


class Courier:
    """Sends to each peer of a ledger what its accounts were told. For one thread.

    `places` says where they are, by their names.
    """

    def __init__(self, ledger: Ledger, places: Mapping[str, str], kafka: KafkaSettings) -> None:
        self._ledger = ledger
        self._kafka = kafka
        self._routes = [_Route(peer, places.get(peer, "")) for peer in ledger.settings.peers]

    @property
    def troubles(self) -> dict[str, str]:
        """Why nothing could be sent when it was last tried, by peer."""
        return {route.peer: route.trouble for route in self._routes if route.trouble}

    def round(self) -> int:
        """Send what waits to each peer that is not in a pause; return how many follow-ups went."""
        return sum(self._send(route) for route in self._routes if route.backoff.is_over())

    def _send(self, route: _Route) -> int:
        try:
            stream = route.stream = route.stream or self._opened(route)
            before = sum(flow.count for flow in route.flows)
            for flow in route.flows:
                flow.may_have_more = True
                flow.send(stream.append)
        except (PointsLedgerError, sqlite3.Error, OSError) as error:
            self._let_go(route)
            route.trouble = str(error) or type(error).__name__
            route.backoff.failed()
            return 0
        route.trouble = ""
        route.backoff.succeeded()
        return sum(flow.count for flow in route.flows) - before

    def _opened(self, route: _Route) -> PeerStream:
        if not route.place:
            raise PeerAway(f"nobody says where {route.peer} is: name its place under [peers] of the settings")
        stream = open_peer(self._ledger, route.peer, route.place, self._kafka)
        route.flows = [FollowUps(self._ledger, p, route.peer, stream.partition_of) for p in self._ledger.partitions]
        return stream

    def _let_go(self, route: _Route) -> None:
        if route.stream is not None:
            route.stream.close()
        route.stream, route.flows = None, []

    def close(self) -> None:
        """Let go of what is open."""
        for route in self._routes:
            self._let_go(route)
