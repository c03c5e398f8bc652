"""What a server tells of itself, as Prometheus metrics."""

import os
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from ledger.journal.engines import deciding
from ledger.journal.partition import Tally

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each of ours, which nobody reads

# The library's: the folder in which several processes count together. It has to be set before they load the library.
SHARED = "PROMETHEUS_MULTIPROC_DIR"

MOST_WHY = 200  # characters of an error
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

REQUESTS = Counter("points_http_requests", "Requests answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "points_http_request_seconds", "Seconds from a request to its answer.", ["method", "route"], buckets=SECONDS
)
RUNNING = Gauge("points_http_requests_running", "Requests that are being answered.", multiprocess_mode="livesum")
TURNED_AWAY = Counter(
    "points_http_turned_away", "Connections cut and requests given up or refused for want of room, by what.", ["what"]
)
WAITING = Gauge("points_facts_waiting", "Facts given and not yet durable.", multiprocess_mode="livesum")
APPENDED = Counter("points_facts_appended", "Facts made durable in the inbox.")
GONE = Counter("points_facts_gone", "Facts that were acknowledged, and are gone: an earlier state stands there.")
APPEND_SECONDS = Histogram("points_append_seconds", "Seconds of an append, to the disk.", buckets=SECONDS)
FACTS = Counter("points_facts", "Facts decided, by outcome.", ["outcome"])
PARKED = Counter("points_parked", "Records that are no facts, by reason.", ["reason"])
HANDED_BACK = Counter("points_engine_handed_back", "Facts that the native engine left to Python, by why.", ["why"])


def count(tally: Tally) -> None:
    """Count a batch that was decided."""
    for outcome in ("accepted", "refused", "ignored"):
        decided = getattr(tally, outcome)
        if decided:
            FACTS.labels(outcome).inc(decided)
    for reason, records in tally.reasons.items():
        PARKED.labels(reason).inc(records)
    for why, facts in tally.handed_back.items():
        HANDED_BACK.labels(why).inc(facts)


class Place(NamedTuple):
    """Where a partition stands: the last offset decided, the stream's end, and the seconds it is recorded ahead.

    `unsent` is by peer ("" for this ledger) for how many seconds a follow-up waits to be sent.
    """

    offset: int
    end: int
    ahead: int
    unsent: Mapping[str, int]


class Standing(Collector):
    """Where a ledger stands: whether this process is ready, by partition its place, and what troubles which.

    `gaps` are how many gaps in the stream operators accepted.
    """

    def __init__(
        self,
        is_ready: bool,
        partitions: Mapping[int, Place],
        troubled: Mapping[int, str],
        gaps: Mapping[int, int],
    ) -> None:
        self._is_ready = is_ready
        self._partitions = partitions
        self._troubled = troubled
        self._gaps = gaps

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges."""
        yield GaugeMetricFamily("points_ready", "Whether facts are taken and decided.", int(self._is_ready))
        engine = GaugeMetricFamily("points_engine", "Which program decides: native or python.", labels=["engine"])
        engine.add_metric([_decides()], 1)
        yield engine
        lag = {partition: place.end - place.offset for partition, place in self._partitions.items()}
        position = {partition: place.offset for partition, place in self._partitions.items()}
        ahead = {partition: place.ahead for partition, place in self._partitions.items()}
        yield _gauge("points_lag_records", "Records behind those decided.", lag)
        yield _gauge("points_position", "Offset of the last record decided.", position)
        yield _gauge("points_recorded_ahead_seconds", "By how much recorded is ahead of the clock.", ahead)
        unsent = GaugeMetricFamily(
            "points_follow_ups_unsent_seconds",
            "For how long the oldest follow-up waits to be sent, to this ledger or a peer.",
            labels=["partition", "peer"],
        )
        for partition, place in sorted(self._partitions.items()):
            for peer, seconds in sorted(place.unsent.items()):
                unsent.add_metric([str(partition), peer], seconds)
        yield unsent
        troubled = GaugeMetricFamily(
            "points_partition_troubled", "Partitions that cannot be decided now, and why.", labels=["partition", "why"]
        )
        for partition, why in sorted(self._troubled.items()):
            troubled.add_metric([str(partition), why[:MOST_WHY]], 1)
        yield troubled
        yield _gauge("points_accepted_gaps", "Gaps in the stream that an operator accepted.", self._gaps)


def _gauge(name: str, help: str, by_partition: Mapping[int, int]) -> GaugeMetricFamily:
    found = GaugeMetricFamily(name, help, labels=["partition"])
    for partition, value in sorted(by_partition.items()):
        found.add_metric([str(partition)], value)
    return found


@cache
def _decides() -> str:
    """Return which program decides in this process, as it was when this was first asked."""
    return deciding().decides


def text(standing: Standing) -> bytes:
    """All metrics in Prometheus' text format; of several processes that share a folder for them, their sums."""
    registry = REGISTRY
    if SHARED in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    now = CollectorRegistry()
    now.register(standing)
    return generate_latest(registry) + generate_latest(now)
