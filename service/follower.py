"""Follows the journals beside a server, in a process of its own: views, and the trees by which entries are proved.

`points serve` starts it and says on its standard input what to follow; when that ends, so does the process.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from projections.audit.proof.nodes import blocks_of
from projections.views.builtin.books import Books
from projections.views.files import Folder
from projections.views.registry import all_views
from projections.views.runner import Heads, Stale, heads_of, run
from projections.views.view import View
from service.errors import report, say

EVERY_SECONDS = 0.5
SETTLED_SECONDS = 5.0  # between two looks at what falls due, where nothing is decided
NICE = 10  # a request that waits comes first
ALWAYS = (Books.name,)  # what the server reads; other views are followed once they were built


class Following(NamedTuple):
    """A ledger, and the folders of its views and trees."""

    ledger: Ledger
    views: Folder
    trees: Path


def main() -> None:
    """Follow what standard input says until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends this
    asked: dict[str, Any] = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    os.nice(NICE)
    try:
        ledger = open_ledger(asked["ledger"])
        follow(Following(ledger, Folder(Path(asked["views"])), Path(asked["trees"])))
    except Exception as error:  # whatever it is: it is said, and the server starts another
        sys.exit(report(error))


def _end_with_the_server() -> None:
    sys.stdin.read()
    os._exit(0)  # what is half done is a transaction, and is done again


def follow(following: Following) -> None:
    """Go on for ever."""
    claims: dict[str, BinaryIO] = {}
    stale = ""
    heads: Heads = {}
    looked = 0.0
    while True:
        now = heads_of(following.ledger)
        if now != heads or time.monotonic() - looked > SETTLED_SECONDS:
            heads, looked = now, time.monotonic()
            try:
                _views(following, claims)
            except Stale as error:
                if str(error) != stale:
                    stale = str(error)
                    say(stale)
            _trees(following, heads)
        time.sleep(EVERY_SECONDS)


def _views(following: Following, claims: dict[str, BinaryIO]) -> None:
    """Bring the views up to date that nobody else follows."""
    following.views.make()
    mine = [view for view in all_views().values() if _is_wanted(following.views, view)]
    for view in mine:
        if view.name not in claims and (claim := following.views.claim(view.name)) is not None:
            claims[view.name] = claim
    run(following.ledger, following.views, [view for view in mine if view.name in claims])


def _is_wanted(folder: Folder, view: View) -> bool:
    return view.name in ALWAYS or folder.live(view.name) is not None


def _trees(following: Following, heads: Heads) -> None:
    for partition, entries in heads.items():
        blocks_of(following.ledger, partition, entries, following.trees)


if __name__ == "__main__":
    main()
