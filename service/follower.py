"""Follows the journals beside a server, in a process of its own: views, and the trees by which entries are proved."""

import os
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

from consumers.runtime.retry import Backoff
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from ledger.journal.processes import Workers
from projections.answers.sidecar import AUDITS, TREES, VIEWS
from projections.audit.proof.nodes import blocks_of
from projections.views.builtin.books import Books
from projections.views.builtin.overview import Overview
from projections.views.files import Folder
from projections.views.registry import all_views
from projections.views.runner import Heads, Stale, run
from service.errors import report, say

EVERY_SECONDS = 0.5
SETTLED_SECONDS = 5.0  # between two looks at what falls due, where nothing is decided
LOOK_SECONDS = 0.2  # between two looks at whether to stop
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds until it is started again
NICE = 10  # a request that waits comes first
ALWAYS = (Books.name, Overview.name)  # what the server reads; other views are followed once they were built


class Follower:
    """Keeps a process running that follows a ledger; `folder` is what lies beside it."""

    def __init__(self, place: str, folder: Path) -> None:
        self._about = (place, folder / VIEWS, folder / AUDITS / TREES)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="points-follower", daemon=True)

    def __enter__(self) -> "Follower":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        while not self._stopping.wait(backoff.remaining()):
            workers = Workers(_work, [self._about])
            try:
                while workers.are_running and not self._stopping.is_set():
                    for _ in workers.messages(LOOK_SECONDS):
                        pass
            except Exception as error:  # whatever it is: it is said, and the process is started again
                report(error)
                backoff.failed()
                say(f"views are not followed now; again in {backoff.remaining():.0f} s")
            finally:
                workers.close(0)


def _work(pipe: Connection, place: str, views: Path, trees: Path) -> None:
    threading.Thread(target=_end_with_the_server, args=(pipe,), daemon=True).start()
    os.nice(NICE)
    follow(open_ledger(place), Folder(views), trees)


def _end_with_the_server(pipe: Connection) -> None:
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(0)  # what is half done is a transaction, and is done again


def follow(ledger: Ledger, folder: Folder, trees: Path) -> None:
    """Bring views and trees to where a ledger stands, for ever."""
    claims: dict[str, BinaryIO] = {}
    stale = ""
    heads: Heads = {}
    looked = 0.0
    while True:
        now = ledger.heads()
        if now != heads or time.monotonic() - looked > SETTLED_SECONDS:
            heads, looked = now, time.monotonic()
            try:
                _views(ledger, folder, claims)
            except Stale as error:
                if str(error) != stale:
                    stale = str(error)
                    say(stale)
            for partition, entries in heads.items():
                blocks_of(ledger, partition, entries, trees)
        time.sleep(EVERY_SECONDS)


def _views(ledger: Ledger, folder: Folder, claims: dict[str, BinaryIO]) -> None:
    """Bring the views up to date that nobody else follows."""
    folder.make()
    wanted = [view for view in all_views().values() if view.name in ALWAYS or folder.live(view.name) is not None]
    for view in wanted:
        if view.name not in claims and (claim := folder.claim(view.name)) is not None:
            claims[view.name] = claim
    run(ledger, folder, [view for view in wanted if view.name in claims])
