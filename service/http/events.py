"""CloudEvents as HTTP carries them: structured or binary, and in batches."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

from litestar import Request

from consumers.cloudevents import BATCH, STRUCTURED, BadData, UnknownMode, assembled, events_of, is_binary, media_type
from service.http.problems import Problem

BATCH_BYTES = 8 << 20  # of a batch, which is read whole before any of it is taken
_PREFIX = b"ce-"
_TAKEN = f"{STRUCTURED} and application/json are taken here, and binary CloudEvents (ce-… headers)"


def event_of(request: Request[Any, Any, Any], body: bytes) -> bytes:
    """Return the structured event that a request is, in whichever mode. Raises `Problem`."""
    content_type = request.headers.get("content-type", "")
    kind = media_type(content_type)
    if kind == BATCH:
        raise Problem("wrong-media-type", "a batch of CloudEvents is taken at /v1/facts:bulk, one event here")
    attributes = _attributes(request)
    try:
        if is_binary(content_type, attributes):
            return assembled(attributes, body)
    except UnknownMode as error:
        raise Problem("wrong-media-type", f"{error}; {_TAKEN}") from None
    except BadData as error:
        raise Problem("bad-fact", str(error), reason="not-json") from None
    if kind not in ("application/json", STRUCTURED):
        raise Problem("wrong-media-type", f"Content-Type is {kind or 'missing'}; {_TAKEN}")
    return body


async def lines_of_batch(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the events of a batch, a line each. Raises `Problem`."""
    whole = bytearray()
    async for piece in body:
        whole += piece
        if len(whole) > BATCH_BYTES:
            raise Problem("too-large", f"a batch has at most {BATCH_BYTES:,} bytes; send it as application/x-ndjson")
    try:
        events = events_of(bytes(whole))
    except BadData as error:
        raise Problem("bad-request", str(error)) from None
    for event in events:
        yield event + b"\n"


def _attributes(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Return the attributes that headers hold, by their names without the prefix. Raises `Problem`."""
    found: dict[str, str] = {}
    for header, value in request.scope["headers"]:
        if not header.startswith(_PREFIX):
            continue
        name = header.removeprefix(_PREFIX).decode("latin-1")
        if name in found:
            raise Problem("bad-request", f"the header ce-{name} is there twice")
        try:
            found[name] = unquote(value.decode(), errors="strict")
        except UnicodeDecodeError:
            raise Problem("bad-request", f"the header ce-{name} is not UTF-8; write it percent-encoded") from None
    return found
