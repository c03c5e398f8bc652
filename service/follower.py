"""Follows the journals beside a server, in a process of its own: views, and the trees by which entries are proved."""

import os
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from projections.answers.sidecar import AUDITS, TREES, VIEWS
from projections.audit.proof.nodes import blocks_of
from projections.views.builtin.books import Books
from projections.views.builtin.finding import Finding
from projections.views.builtin.overview import Overview
from projections.views.files import Folder
from projections.views.registry import all_views
from projections.views.runner import Heads, Stale, run
from service.beside import Beside, end_with_the_server
from service.errors import say

EVERY_SECONDS = 0.5
SETTLED_SECONDS = 5.0  # between two looks at what falls due, where nothing is decided
NICE = 10  # a request that waits comes first
ALWAYS = (
    Books.name,
    Overview.name,
    Finding.name,
)  # what the server reads; other views are followed once they were built


def follower(place: str, folder: Path) -> Beside:
    """Return what keeps a process running that follows a ledger; `folder` is what lies beside it."""
    arguments = (place, folder / VIEWS, folder / AUDITS / TREES)
    return Beside(_work, arguments, "views are not followed now")


def _work(pipe: Connection, place: str, views: Path, trees: Path) -> None:
    end_with_the_server(pipe)
    os.nice(NICE)
    follow(open_ledger(place), Folder(views), trees)


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
