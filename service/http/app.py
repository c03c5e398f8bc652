"""The application: which handlers there are, and what they share. The console's pages join it as one router."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from litestar import Litestar, Request
from litestar.datastructures import State
from litestar.exceptions import ClientException, MethodNotAllowedException, NotFoundException

from consumers.kafka.settings import KafkaSettings, OidcSettings
from ledger.journal.ledger import Ledger
from ledger.wire.unreadable import UNREADABLE
from service.console.routes import CONSOLE, answer_nowhere
from service.console.sessions import Sessions
from service.http import openapi
from service.http.access import Authenticator
from service.http.appender import Deciders
from service.http.handlers import (
    about,
    adjustments,
    audits,
    books,
    checkpoints,
    dead_letters,
    drafts,
    facts,
    feed,
    finding,
    health,
    members,
    people,
    quotes,
    webhooks,
)
from service.http.paths import with_slashes
from service.http.problems import answer_problem
from service.http.state import serving
from service.keys import Keys
from service.oidc.settings import issuer_of

HANDLERS = (
    *facts.HANDLERS,
    *members.HANDLERS,
    *feed.HANDLERS,
    *finding.HANDLERS,
    *quotes.HANDLERS,
    *books.HANDLERS,
    *audits.HANDLERS,
    *checkpoints.HANDLERS,
    *dead_letters.HANDLERS,
    *adjustments.HANDLERS,
    *people.HANDLERS,
    *drafts.HANDLERS,
    *webhooks.HANDLERS,
    *health.HANDLERS,
    *about.HANDLERS,
)


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body, where it is to be JSON and is none, is the client's mistake whatever is wrong with it."""

    async def json(self) -> Any:
        """Return the body, decoded. Raises `ClientException`: the library knows some errors of the decoder's only."""
        try:
            return await super().json()
        except UNREADABLE as error:
            raise ClientException(f"the body is not JSON: {error}") from None


def make_app(
    ledger: Ledger,
    folder: Path,
    keys: Keys,
    sessions: Sessions,
    wait: float,
    version: str,
    kafka: KafkaSettings | None = None,
    owners: Deciders | None = None,
    workers: int = 1,
    oidc: OidcSettings | None = None,
) -> Litestar:
    """The application over a ledger, one of so many `workers`; it serves from its start-up to its shutdown.

    `oidc` says how people sign in to the console, where not with keys alone. For the others see `serving`.
    """

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        with serving(ledger, folder, wait, owners, kafka) as served:
            app.state.served = served
            yield

    return Litestar(
        (*HANDLERS, CONSOLE),
        lifespan=[lifespan],
        middleware=[with_slashes],
        request_class=JsonRequest,
        state=State(
            {
                "authenticator": Authenticator(keys, workers, has_sign_in=oidc is not None),
                "sessions": sessions,
                "issuer": None if oidc is None else issuer_of(oidc),
            }
        ),
        exception_handlers={
            NotFoundException: answer_nowhere,
            MethodNotAllowedException: answer_nowhere,
            Exception: answer_problem,
        },
        openapi_config=openapi.config(version),
        logging_config=None,
        debug=False,
    )
