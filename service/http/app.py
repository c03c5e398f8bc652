"""The application: which handlers there are, and what they share. The console's pages join it as one router."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.datastructures import State

from ledger.journal.ledger import Ledger
from projections.side import Side
from service.console.routes import CONSOLE
from service.console.sessions import Sessions
from service.http import adjustments, audits, books, checkpoints, facts, health, letters, members, openapi, quotes
from service.http.access import Door
from service.http.problems import answer_problem
from service.http.server_state import serving
from service.keys import Keys

HANDLERS = (
    *facts.HANDLERS,
    *members.HANDLERS,
    *quotes.HANDLERS,
    *books.HANDLERS,
    *audits.HANDLERS,
    *checkpoints.HANDLERS,
    *letters.HANDLERS,
    *adjustments.HANDLERS,
    *health.HANDLERS,
)


def make_app(ledger: Ledger, side: Side, keys: Keys, wait: float, version: str, *, follows: bool = True) -> Litestar:
    """The application over a ledger whose lock is held; it serves from its start-up to its shutdown.

    `side` are the folders beside the ledger; `follows` says whether it keeps the views there up to date.
    """

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        with serving(ledger, side, wait, follows=follows) as served:
            app.state.served = served
            yield

    return Litestar(
        (*HANDLERS, CONSOLE),
        lifespan=[lifespan],
        state=State({"door": Door(keys), "sessions": Sessions()}),
        exception_handlers={Exception: answer_problem},
        openapi_config=openapi.config(version),
        logging_config=None,
        debug=False,
    )
