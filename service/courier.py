"""Sends to other ledgers what accounts of this one tell theirs: beside a server, or at a command's end."""

import os
import time
from contextlib import AbstractContextManager, closing, nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from consumers.kafka.settings import load, load_tables
from consumers.peers import Courier
from ledger.journal.engines import CONFIG
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from service.beside import Beside, end_with_the_server
from service.errors import say

EVERY_SECONDS: Final = 0.2


def courier(ledger: Ledger, config: Path | None) -> AbstractContextManager[object]:
    """Return what keeps a process running that sends, where the ledger has peers."""
    if not ledger.settings.peers:
        return nullcontext()
    return Beside(_work, (ledger.place, config), "nothing is sent to other ledgers now")


def send_once(ledger: Ledger, config: Path | None) -> tuple[int, dict[str, str]]:
    """Send what waits; return how many follow-ups went, and by peer why none could."""
    if not ledger.settings.peers:
        return 0, {}
    with closing(_courier_of(ledger, config)) as sending:
        return sending.round(), sending.troubles


def say_troubles(troubles: dict[str, str]) -> None:
    """Say what could not be sent, and why."""
    for peer, why in troubles.items():
        say(f"nothing could be sent to {peer}: {why}; it is sent again")


def _courier_of(ledger: Ledger, config: Path | None) -> Courier:
    if config is None and os.environ.get(CONFIG):
        config = Path(os.environ[CONFIG])
    return Courier(ledger, load_tables(config).peers, load(config))


def _work(pipe: Connection, place: str, config: Path | None) -> None:
    end_with_the_server(pipe)
    sending, said = _courier_of(open_ledger(place), config), dict[str, str]()
    while True:
        sending.round()
        troubles = sending.troubles
        say_troubles({peer: why for peer, why in troubles.items() if why != said.get(peer)})
        said = troubles
        time.sleep(EVERY_SECONDS)
