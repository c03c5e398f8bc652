"""The process beside a server that delivers to webhooks; it alone needs an HTTP client, which takes long to import."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from pkgutil import resolve_name

from ledger.journal.open import open_ledger
from service.beside import Beside, end_with_the_server
from service.state_store import sharing
from service.webhooks.store import Webhooks, are_any, webhooks_of


@contextmanager
def deliverer(place: str, folder: Path) -> Iterator[None]:
    """Keep a process running that delivers, once a ledger has webhooks: of all its servers' one at a time does.

    Raises `BadWebhook` and `JournalError`.
    """
    with sharing(place) as state:
        if state is not None:
            Webhooks(state).adopt(folder)
        with Beside(_work, (place, folder), "webhooks are not delivered now", partial(are_any, state, folder)):
            yield


def _work(pipe: Connection, place: str, folder: Path) -> None:
    end_with_the_server(pipe)
    with webhooks_of(place, folder) as webhooks, webhooks.delivering() as check:  # another may: this one waits
        asyncio.run(resolve_name("service.webhooks.deliver:deliver")(open_ledger(place), webhooks, check))
