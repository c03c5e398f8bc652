"""The operations of a subject, of each its address, its names in the OpenAPI document, and its errors."""

from hashlib import sha256
from typing import Annotated, Any

from litestar import Request, delete, get, post
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter
from litestar.types import Guard

from ledger.wire.answers import Problem as ProblemAnswer
from service.http.problems import MEDIA_TYPE, TYPES, Problem

AnyRequest = Request[Any, Any, Any]
_NO_PARAMETERS = frozenset({"request", "data"})  # of a handler: what is no query
MOST_IDEMPOTENCY = 255  # characters
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        max_length=MOST_IDEMPOTENCY,
        description="The same again, by the same key and with the same body, answers as the first time: send anew what"
        " got no answer. It may be any text, such as a UUID.",
    ),
]
Responses = dict[int, ResponseSpec]
# What any address may answer.
ANYWHERE = (
    "bad-request",
    "no-key",
    "wrong-scope",
    "wrong-origin",
    "too-slow",
    "too-many-requests",
    "busy",
    "took-too-long",
)


def problems(*names: str) -> Responses:
    """Return the answers that problems of these types are."""
    found: dict[int, list[str]] = {}
    for name in names:
        found.setdefault(TYPES[name].status, []).append(f"`{name}`: {TYPES[name].title}")
    return {
        status: ResponseSpec(
            ProblemAnswer, description="; ".join(lines), media_type=MEDIA_TYPE, generate_examples=False
        )
        for status, lines in found.items()
    }


def once_named(caller: str, given: str | None) -> str:
    """Return 32 hexadecimal digits for the `Idempotency-Key` of a caller; empty where none was given."""
    return sha256(f"{len(caller)} {caller}{given}".encode()).hexdigest()[:32] if given else ""


async def knows_its_parameters(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard: a query parameter that the address does not take is named, and not silently left out."""
    if not connection.scope["query_string"]:
        return
    path = connection.path_params
    taken = [
        getattr(field.kwarg_definition, "name", None) or name
        for name, field in handler.parsed_fn_signature.parameters.items()
        if name not in _NO_PARAMETERS and name not in path and not isinstance(field.kwarg_definition, HeaderParameter)
    ]
    for name in connection.query_params:
        if name not in taken:
            has = f"it takes {', '.join(taken)}" if taken else "it takes none"
            raise Problem("bad-request", f"{name[:64]}: there is no such parameter at this address; {has}")


class Subject:
    """Declares the operations of one subject, all under its tag and its guards."""

    def __init__(self, tag: str, *guards: Guard) -> None:
        self._common: dict[str, Any] = {"tags": [tag], "guards": [*guards, knows_its_parameters]}

    def get(self, path: str, name: str, summary: str, *errors: str, **more: Any) -> get:
        """Declare a GET; `errors` are the types of problems beside those that any address may answer."""
        return get(path, **self._named(name, summary, errors, more))

    def post(
        self, path: str, name: str, summary: str, *errors: str, most_bytes: int, status: int = 200, **more: Any
    ) -> post:
        """Declare a POST of a body of up to `most_bytes`."""
        named = self._named(name, summary, errors, more)
        return post(path, status_code=status, request_max_body_size=most_bytes, **named)

    def delete(self, path: str, name: str, summary: str, *errors: str) -> delete:
        """Declare a DELETE that answers with what is left."""
        return delete(path, status_code=200, **self._named(name, summary, errors, {}))

    def _named(self, name: str, summary: str, errors: tuple[str, ...], more: dict[str, Any]) -> dict[str, Any]:
        responses = problems(*ANYWHERE, *errors) | more.pop("responses", {})
        return {**self._common, "operation_id": name, "summary": summary, "responses": responses, **more}
