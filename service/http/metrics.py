"""What a server tells of itself, as Prometheus metrics."""

from collections.abc import Callable, Iterator

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ledger.journal.shard import Tally

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each of ours, which nobody reads

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

REQUESTS = Counter("points_http_requests", "Requests answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "points_http_request_seconds", "Seconds from a request to its answer.", ["method", "route"], buckets=SECONDS
)
RUNNING = Gauge("points_http_requests_running", "Requests that are being answered.")
APPENDED = Counter("points_facts_appended", "Facts made durable in the inbox.")
APPEND_SECONDS = Histogram("points_append_seconds", "Seconds of an append, to the disk.", buckets=SECONDS)
FACTS = Counter("points_facts", "Facts decided, by outcome.", ["outcome"])
PARKED = Counter("points_parked", "Records that are no facts.")


def count(tally: Tally) -> None:
    """Count a batch that was decided."""
    for outcome in ("accepted", "refused", "ignored"):
        decided = getattr(tally, outcome)
        if decided:
            FACTS.labels(outcome).inc(decided)
    PARKED.inc(tally.parked)


class Standing(Collector):
    """Where a ledger stands when it is asked: `read` gives (waiting, caught up, by partition (position, end))."""

    def __init__(self, read: Callable[[], tuple[int, bool, dict[int, tuple[int, int]]]]) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges."""
        waiting, caught_up, partitions = self._read()
        yield GaugeMetricFamily("points_facts_waiting", "Facts given and not yet durable.", waiting)
        yield GaugeMetricFamily("points_ready", "Whether facts are taken and decided.", int(caught_up))
        lag = GaugeMetricFamily("points_lag_records", "Records behind those decided.", labels=["partition"])
        position = GaugeMetricFamily("points_position", "Offset of the last record decided.", labels=["partition"])
        for partition, (at, end) in partitions.items():
            lag.add_metric([str(partition)], end - at)
            position.add_metric([str(partition)], at)
        yield lag
        yield position


def register(collector: Collector) -> None:
    """Begin to tell what a collector reads."""
    REGISTRY.register(collector)


def forget(collector: Collector) -> None:
    """Tell it no more."""
    REGISTRY.unregister(collector)


def text() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
