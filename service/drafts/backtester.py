"""Runs the backtests of drafts beside a server: a process of its own, one backtest at a time, within a bound of time.

It is started when one waits and ends when none does. A cancelled one ends at its next look; the server's end ends all.
"""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from msgspec.structs import replace

from ledger.errors import ControlFlow
from ledger.journal.failpoints import failpoint
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from ledger.rulebook.checks import parts_of
from ledger.rulebook.union import joined
from ledger.wire.times import to_text
from projections.answers.to_json import to_json
from projections.what_if.backtest import backtest, drafted
from projections.what_if.reports import Report
from service.beside import Beside, end_with_the_server
from service.drafts.store import DraftStore, Run, drafts_of, is_waiting
from service.http.operator_lines import DraftStep
from service.http.operator_log import OperatorLog, operator_log_of
from service.state_store import sharing

NICE = 10  # a request that waits comes first
MOST_SECONDS = 3_600  # of one backtest; the command line has no bound
TOLD_SECONDS = 0.25  # between two times that it says how far it is, and looks whether it was cancelled


class Stopped(ControlFlow):
    """The backtest was cancelled, or takes too long."""


@contextmanager
def backtester(place: str, folder: Path) -> Iterator[None]:
    """Keep a process running while backtests of a ledger's drafts wait. Raises `JournalError`."""
    with sharing(place) as state:
        if state is not None:
            DraftStore(state).adopt(folder)
        with Beside(_work, (place, folder), "backtests are not run now", partial(is_waiting, state, folder)):
            yield


def _work(pipe: Connection, place: str, folder: Path) -> None:
    end_with_the_server(pipe)
    os.nice(NICE)
    with (
        drafts_of(place, folder) as store,
        store.running(),
        closing(operator_log_of(place, folder)) as log,
        closing(open_ledger(place)) as ledger,
    ):
        for run in store.interrupted():
            record(log, run)
        while (taken := store.take()) is not None:
            _run_one(store, log, ledger, *taken)


class _Progress:
    """Says how far a backtest is; called with the entries that are decided again. Raises `Stopped`."""

    def __init__(self, store: DraftStore, run: Run, total: int) -> None:
        self._store = store
        self._run = run
        self._total = total
        self._deadline = time.monotonic() + MOST_SECONDS
        self._told = 0.0

    def __call__(self, entries: int) -> None:
        now = time.monotonic()
        if now - self._told < TOLD_SECONDS:
            return
        self._told = now
        if not self._store.progress(self._run, entries, self._total):
            raise Stopped("it was cancelled")
        if now > self._deadline:
            raise Stopped(f"it took more than {MOST_SECONDS // 60} minutes; `points backtest` has no such bound")


def _run_one(store: DraftStore, log: OperatorLog, ledger: Ledger, run: Run, name: str, file: str) -> None:
    """Run a backtest of the text with a SHA-256, and record how it ended."""
    found, report, why = None, None, ""
    try:
        tick = _Progress(store, run, ledger.count())
        tick(0)
        failpoint("backtest")
        text = joined(drafted(ledger.book, parts_of(store.text(name), file)))
        at = time.time_ns() // 1000
        found = replace(
            backtest(ledger, text, file, at, since=run.since, progress=tick), at=to_text(at, ledger.book.offset)
        )
        report = to_json(found)
    except Exception as error:  # whatever it is: who asked for it is told
        why = str(error) or type(error).__name__
    with store.at_once():  # who sees that it has ended finds it in the record
        ended = store.end(run, "failed" if why else "done", why, report)
        if ended is not None:
            record(log, ended, found)


def record(log: OperatorLog, run: Run, found: Report | None = None) -> None:
    """Record how a backtest ended, under the name of who began or cancelled it."""
    cost = found.cost_fen if found is not None and run.report else 0
    what = DraftStep(ended=run.state, report=run.report, cost_fen=cost)
    log.step_draft(run.cancelled_by or run.by, "draft-backtest", run.draft, what, run.why)
