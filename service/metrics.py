"""A consumer's events as Prometheus metrics."""

import time
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, start_http_server

from consumers.runtime.events import STAGES, Acquired, Decided, Event, Failed, Lag, Left, Published, Recovered, Released
from ledger.errors import BadInput
from ledger.journal.engines import deciding

RECORDS = (1, 4, 16, 64, 256, 1_024, 4_000)
BYTES = (1 << 10, 1 << 13, 1 << 16, 1 << 19, 1 << 22, 1 << 23)
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)
LONGEST_ERROR = 500  # characters


class Metrics:
    """The metrics of a consumer and all its processes."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self._facts = counter("points_facts", "Records decided, by outcome.", ["outcome"])
        self._parked = counter("points_parked", "Records that are no facts, by reason.", ["reason"])
        self._handed_back = counter(
            "points_engine_handed_back", "Facts that the native engine left to Python, by why.", ["why"]
        )
        gauge("points_engine", "Which program decides: native or python.", ["engine"]).labels(deciding().decides).set(1)
        self._lag = gauge("points_lag_records", "Records behind those decided.", ["partition"])
        self._records = histogram("points_batch_records", "Records of a batch.", buckets=RECORDS)
        self._bytes = histogram("points_batch_bytes", "Bytes of a batch.", buckets=BYTES)
        self._stages = histogram("points_batch_seconds", "Seconds of a batch, by stage.", ["stage"], buckets=SECONDS)
        self._position = gauge("points_position", "Offset of the last record decided.", ["partition"])
        self._committed = gauge(
            "points_last_commit_timestamp_seconds", "When a batch was last committed.", ["partition"]
        )
        self._ahead = gauge(
            "points_recorded_ahead_seconds", "By how much recorded is ahead of the clock.", ["partition"]
        )
        self._epoch = gauge("points_epoch", "Epoch in which a partition is owned.", ["partition"])
        self._published = gauge("points_published", "Number of the last record published.", ["flow", "partition"])
        self._troubles = counter("points_troubles", "Errors that were met, by stage.", ["stage"])
        self._in_trouble = gauge("points_in_trouble", "Whether a stage is stopped now.", ["stage"])
        self._left = gauge("points_partition_left", "Partitions that cannot be gone on with.", ["partition"])
        self._error = Info("points_last_error", "The last error met.", registry=self.registry)
        self._error_at = gauge("points_last_error_timestamp_seconds", "When the last error was met.")

    def serve(self, host: str, port: int) -> None:
        """Answer scrapes in another thread. Raises `BadInput` where the address is taken."""
        try:
            start_http_server(port, host, self.registry)
        except OSError as error:
            raise BadInput(f"--metrics {host}:{port}: {error.strerror or error}; give another address") from None

    def observe(self, event: Event) -> None:
        """Count an event."""
        match event:
            case Decided():
                self._decided(event)
            case Lag(by_partition):
                for partition, lag in by_partition.items():
                    self._lag.labels(partition).set(lag)
            case Acquired(partition, epoch, position):
                self._left.remove(partition)
                self._epoch.labels(partition).set(epoch)
                self._position.labels(partition).set(position)
            case Released(partition):
                for gauge in (self._left, self._epoch, self._position, self._lag, self._committed, self._ahead):
                    gauge.remove(partition)
            case Published(partition, flow, upto):
                self._published.labels(flow, partition).set(upto)
            case Left(partition, why):
                self._left.labels(partition).set(1)
                self._met("deciding", why)
            case Failed(stage, why):
                self._in_trouble.labels(stage).set(1)
                self._met(stage, why)
            case Recovered(stage):
                self._in_trouble.labels(stage).set(0)

    def _met(self, stage: str, why: str) -> None:
        self._troubles.labels(stage).inc()
        self._error.info({"stage": stage, "error": why[:LONGEST_ERROR]})
        self._error_at.set(time.time())

    def _decided(self, batch: Decided) -> None:
        tally = batch.tally
        for outcome in ("accepted", "refused", "ignored"):
            self._facts.labels(outcome).inc(getattr(tally, outcome))
        for reason, records in tally.reasons.items():
            self._parked.labels(reason).inc(records)
        for why, facts in tally.handed_back.items():
            self._handed_back.labels(why).inc(facts)
        self._records.observe(batch.records)
        self._bytes.observe(batch.bytes)
        for stage in STAGES:
            self._stages.labels(stage).observe(getattr(batch, stage))
        self._position.labels(batch.partition).set(batch.offset)
        self._committed.labels(batch.partition).set(batch.at)
        self._ahead.labels(batch.partition).set(batch.ahead)
