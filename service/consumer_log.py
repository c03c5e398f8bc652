"""A consumer's log as JSON lines on standard error: each event, and its progress every few seconds."""

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

from consumers.kafka.settings import LogSettings
from consumers.runtime.events import Acquired, Decided, Event, Failed, Lag, Left, Recovered, Released, WentBack
from ledger.wire.entry_json import position_text
from projections.answers.plain import escaped

MOST_PARKED_LINES = 20  # of dead-lettered records between two lines of progress
LONGEST_DETAIL = 300  # characters
LEVELS = ("info", "warning", "error")


class ConsumerLog:
    """The log of a consumer: lines of a level and those above it, with its progress every few seconds."""

    def __init__(self, settings: LogSettings = LogSettings()) -> None:  # noqa: B008  # it is frozen
        self._every = settings.every_seconds
        self._least = LEVELS.index(settings.level)
        self._file = sys.stderr
        self._facts = self._facts_then = 0
        self._then = time.monotonic()
        self._lag: dict[int, int] = {}
        self._ahead: set[int] = set()  # partitions whose `recorded` is ahead of the clock
        self._last_error = ""
        self._parked_lines = self._parked_more = 0  # since the last progress: named, and not named any more

    def info(self, event: str, **facts: Any) -> None:
        """Log a line of its own."""
        self._say("info", event, **facts)

    def _say(self, level: str, event: str, **facts: Any) -> None:
        """Write a line, unless its level is below the least: a library that did would take 0.14 seconds to load."""
        if LEVELS.index(level) < self._least:
            return
        at = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = json.dumps({**facts, "event": event, "level": level, "timestamp": at}, ensure_ascii=False)
        self._file.write(escaped(line) + "\n")
        self._file.flush()

    def observe(self, event: Event) -> None:
        """Log an event, and the progress where it is due."""
        match event:
            case Decided():
                self._facts += event.records
                self._compare_clocks(event)
                self._name_parked(event)
            case Lag(by_partition):
                self._lag.update(by_partition)
            case Acquired(partition, epoch, position):
                self.info("owned", partition=partition, epoch=epoch, position=position)
            case Released(partition, why):
                self._lag.pop(partition, None)
                self._say("warning", "dropped", partition=partition, why=why)
            case Left(partition, why):
                self._last_error = why
                self._say("error", "left", partition=partition, error=why)
            case WentBack(partition, position, known):
                self._say("warning", "went-back", partition=partition, position=position, known=known)
            case Failed(stage, why):
                self._last_error = why
                self._say("error", "trouble", stage=stage, error=why)
            case Recovered(stage):
                self.info("recovered", stage=stage)
        now = time.monotonic()
        if now - self._then >= self._every:
            self._progress(now)

    def _name_parked(self, batch: Decided) -> None:
        """Log each record that was dead-lettered, as long as there are not too many; the progress counts the others."""
        told = batch.parked[: max(0, MOST_PARKED_LINES - self._parked_lines)]
        for parked in told:
            position = position_text(batch.partition, parked.offset)
            detail = parked.detail[:LONGEST_DETAIL]
            self._say("warning", "dead-lettered", position=position, reason=parked.reason, detail=detail)
        self._parked_lines += len(told)
        self._parked_more += batch.tally.parked - len(told)

    def _compare_clocks(self, batch: Decided) -> None:
        """Log once that `recorded` of a partition is ahead of the clock, and once that it is not any more."""
        if batch.ahead and batch.partition not in self._ahead:
            self._ahead.add(batch.partition)
            self._say("warning", "recorded-ahead", partition=batch.partition, seconds=batch.ahead)
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
            **({"dead_lettered_besides": self._parked_more} if self._parked_more else {}),
            **({"last_error": self._last_error} if self._last_error else {}),
        )
        self._parked_lines = self._parked_more = 0
        self._then, self._facts_then = now, self._facts
