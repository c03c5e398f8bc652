"""A consumer's log as JSON lines on standard error: each event, and its progress every few seconds."""

import json
import logging
import sys
import time
from typing import Any

import structlog

from consumers.kafka.settings import LogSettings
from consumers.runtime.events import Acquired, Decided, Event, Failed, Lag, Left, Recovered, Released, WentBack
from projections.answers.plain import escaped

_NUMBERS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def _json(document: Any, **options: Any) -> str:
    return escaped(json.dumps(document, ensure_ascii=False, **options))


class ConsumerLog:
    """The log of a consumer: lines of a level and those above it, with its progress every few seconds."""

    def __init__(self, settings: LogSettings = LogSettings()) -> None:  # noqa: B008  # it is frozen
        self._every = settings.every_seconds
        self._logger = structlog.wrap_logger(
            structlog.PrintLogger(sys.stderr),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(_json),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(_NUMBERS[settings.level]),
        )
        self._facts = self._facts_then = 0
        self._then = time.monotonic()
        self._lag: dict[int, int] = {}
        self._ahead: set[int] = set()  # partitions whose `recorded` is ahead of the clock
        self._last_error = ""

    def info(self, event: str, **facts: Any) -> None:
        """Log a line of its own."""
        self._logger.info(event, **facts)

    def observe(self, event: Event) -> None:
        """Log an event, and the progress where it is due."""
        match event:
            case Decided():
                self._facts += event.records
                self._compare_clocks(event)
            case Lag(by_partition):
                self._lag.update(by_partition)
            case Acquired(partition, epoch, position):
                self.info("owned", partition=partition, epoch=epoch, position=position)
            case Released(partition, why):
                self._lag.pop(partition, None)
                self._logger.warning("dropped", partition=partition, why=why)
            case Left(partition, why):
                self._last_error = why
                self._logger.error("left", partition=partition, error=why)
            case WentBack(partition, position, known):
                self._logger.warning("went-back", partition=partition, position=position, known=known)
            case Failed(stage, why):
                self._last_error = why
                self._logger.error("trouble", stage=stage, error=why)
            case Recovered(stage):
                self.info("recovered", stage=stage)
        now = time.monotonic()
        if now - self._then >= self._every:
            self._progress(now)

    def _compare_clocks(self, batch: Decided) -> None:
        """Log once that `recorded` of a partition is ahead of the clock, and once that it is not any more."""
        if batch.ahead and batch.partition not in self._ahead:
            self._ahead.add(batch.partition)
            self._logger.warning("recorded-ahead", partition=batch.partition, seconds=batch.ahead)
        elif not batch.ahead and batch.partition in self._ahead:
            self._ahead.discard(batch.partition)
            self.info("recorded-in-time", partition=batch.partition)

    def _progress(self, now: float) -> None:
        rate = (self._facts - self._facts_then) / (now - self._then)
        self.info(
            "progress",
            facts=self._facts,
            facts_per_second=round(rate),
            lag=sum(self._lag.values()),
            partitions=len(self._lag),
            **({"last_error": self._last_error} if self._last_error else {}),
        )
        self._then, self._facts_then = now, self._facts
