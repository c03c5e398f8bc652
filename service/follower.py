"""Follows the journals beside a server, in a process of its own: views, and the trees by which entries are proved."""

import os
import time
from multiprocessing.connection import Connection
from pathlib import Path

from ledger.errors import PointsLedgerError
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from projections.answers.sidecar import AUDITS, TREES
from projections.audit.proof.nodes import blocks_of
from projections.views.builtin.books import Books
from projections.views.builtin.finding import Finding
from projections.views.builtin.overview import Overview
from projections.views.port import Claim, ViewStore
from projections.views.registry import all_views
from projections.views.runner import Heads, bring_up
from projections.views.view import View
from service.beside import Beside, end_with_the_server
from service.errors import say
from service.view_store import view_store

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
    arguments = (place, folder, folder / AUDITS / TREES)
    return Beside(_work, arguments, "views are not followed now")


def _work(pipe: Connection, place: str, folder: Path, trees: Path) -> None:
    end_with_the_server(pipe)
    os.nice(NICE)
    follow(open_ledger(place), view_store(place, folder), trees)


def follow(ledger: Ledger, store: ViewStore, trees: Path) -> None:
    """Bring views and trees to where a ledger stands, for ever."""
    claims: dict[str, Claim] = {}
    said: list[str] = []
    heads: Heads = {}
    looked = 0.0
    while True:
        now = ledger.heads()
        if now != heads or time.monotonic() - looked > SETTLED_SECONDS:
            heads, looked = now, time.monotonic()
            said = say_troubles(_views(ledger, store, claims), said)
            for partition, entries in heads.items():
                blocks_of(ledger, partition, entries, trees)
        time.sleep(EVERY_SECONDS)


def _views(ledger: Ledger, store: ViewStore, claims: dict[str, Claim]) -> dict[str, Exception]:
    """Bring the views up to date that nobody else follows; return what is wrong with those that are not."""
    store.make()
    wanted = [view for view in all_views().values() if _is_wanted(view, store)]
    for view in wanted:
        if view.name not in claims and (claim := store.claim(view.name)) is not None:
            claims[view.name] = claim
    return bring_up(ledger, store, [view for view in wanted if view.name in claims]).troubles


def say_troubles(troubles: dict[str, Exception], before: list[str]) -> list[str]:
    """Say what is wrong with views, unless it was said before; return all there is to say."""
    lines = [
        str(error) if isinstance(error, PointsLedgerError) else f"{name}: {type(error).__name__}: {error}"
        for name, error in troubles.items()
    ]
    for line in lines:
        if line not in before:
            say(line)
    return lines


def _is_wanted(view: View, store: ViewStore) -> bool:
    """Return True for what the server itself reads, what others read by SQL, and what was built once."""
    return view.name in ALWAYS or (view.is_for_sql and store.is_for_sql) or store.live(view.name) is not None
