"""Follows the journals beside a server, in a process of its own: views, and the trees by which entries are proved."""

import os
import threading
import time
from collections.abc import Callable, Collection
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

from ledger.errors import PointsLedgerError
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from projections.answers.sidecar import AUDITS, TREES
from projections.audit.proof.nodes import BLOCK, blocks_of
from projections.views.builtin.books import Books
from projections.views.builtin.finding import Finding
from projections.views.builtin.overview import Overview
from projections.views.port import Claim, ViewStore
from projections.views.registry import all_views
from projections.views.runner import Following, Heads
from projections.views.view import View
from service.beside import Beside, end_with_the_server
from service.errors import say
from service.view_store import view_store

EVERY_SECONDS = 0.1  # between two looks at how far the journals are
SETTLED_SECONDS = 5.0  # between two looks at which views there are, and at what falls due where nothing is decided
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
    ending = threading.Event()
    end_with_the_server(pipe, ending)
    os.nice(NICE)
    with closing(open_ledger(place)) as ledger:
        follow(ledger, view_store(place, folder), trees, ending.wait)


def follow(ledger: Ledger, store: ViewStore, trees: Path, has_ended: Callable[[float], bool]) -> None:
    """Bring views and trees to where a ledger stands, until `has_ended`, which waits for some seconds, says so."""
    store.make()
    views = all_views().values()
    claims: dict[str, Claim] = {}
    said: list[str] = []
    heads: Heads = {}
    blocks: Heads = {}
    ours: list[View] = []
    looked = -SETTLED_SECONDS
    with closing(Following(ledger, store)) as following:
        while not has_ended(EVERY_SECONDS):
            now = ledger.heads()
            is_settled = time.monotonic() - looked > SETTLED_SECONDS
            if is_settled:
                live = store.live_builds()
                ours = _claimed([view for view in views if _is_wanted(view, store, live)], store, claims)
                looked = time.monotonic()
            if now != heads or is_settled:
                heads = now
                said = say_troubles(following.bring_up(ours).troubles, said)
            for partition, entries in heads.items():
                if blocks.get(partition) != entries // BLOCK:
                    blocks_of(ledger, partition, entries, trees)
                    blocks[partition] = entries // BLOCK


def _claimed(wanted: list[View], store: ViewStore, claims: dict[str, Claim]) -> list[View]:
    """Claim views that nobody else follows; return those that are this process's."""
    for view in wanted:
        if view.name not in claims and (claim := store.claim(view.name)) is not None:
            claims[view.name] = claim
    return [view for view in wanted if view.name in claims]


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


def _is_wanted(view: View, store: ViewStore, live: Collection[str]) -> bool:
    """Return True for what the server itself reads, what others read by SQL, and what was built once."""
    return view.name in ALWAYS or (view.is_for_sql and store.is_for_sql) or view.name in live
