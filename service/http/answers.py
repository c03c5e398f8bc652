"""Answers as HTTP has them: JSON with an ETag, 304 where the asker has it already, and the instant asked for."""

import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from litestar import Request, Response
from msgspec import Struct
from msgspec.structs import replace

from ledger.rulebook.compiled import Programme
from ledger.wire.fact_catalogue import CATALOGUE
from ledger.wire.times import parse_instant
from projections.answers.to_json import to_json
from service.http.problems import Problem

JSON = "application/json"
TYPES = frozenset(str(row.fact.__struct_config__.tag) for row in CATALOGUE)
Document = Struct | dict[str, Any]


def answer(request: Request[Any, Any, Any], document: Document) -> Response[Any]:
    """Return a document that was read, or 304.

    Its tag leaves out `as_of`, by which every answer of "now" would be new.
    """
    body = to_json(document)
    if isinstance(document, dict):
        tagged = to_json({**document, "as_of": ""})
    else:
        tagged = to_json(replace(document, as_of="")) if hasattr(document, "as_of") else body
    tag = f'W/"{sha256(tagged).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Vary": "Accept-Language"}
    if _matches(request.headers.get("if-none-match"), tag):
        return Response(None, status_code=304, headers=headers)
    return Response(body, media_type=JSON, headers=headers)


def _matches(header: str | None, tag: str) -> bool:
    if header is None:
        return False
    opaque = tag.removeprefix("W/")
    return any(given.strip() in ("*", tag, opaque) for given in header.split(","))


def plain_answer(document: Struct, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """Return a document that says what was done."""
    return Response(to_json(document), status_code=status, media_type=JSON, headers=dict(headers or {}))


def check_media_type(request: Request[Any, Any, Any], *taken: str) -> str:
    """Return which of the media types that are taken a body has. Raises `Problem`, also where it is compressed."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in taken:
        raise Problem("wrong-media-type", f"Content-Type is {given or 'missing'}; {' or '.join(taken)} is taken here")
    check_encoding(request)
    return given


def check_encoding(request: Request[Any, Any, Any]) -> None:
    """Raise `Problem` where a body is compressed."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem("wrong-media-type", "a compressed body is not taken; send it plain")


def instant(text: str | None, name: str, book: Programme) -> int:
    """Return the instant of a parameter, the present where it is not given. Raises `Problem`."""
    if text is None:
        return time.time_ns() // 1000
    try:
        return parse_instant(text, book.offset)
    except (ValueError, OverflowError):
        raise Problem(
            "bad-request",
            f"{name} is no instant of the years 1970 to 2999: give a date (2025-12-01), a local time"
            " (2025-12-01T08:00) or RFC 3339 (2025-12-01T08:00:00+08:00, with the + as %2B)",
        ) from None


def known_instant(text: str | None, book: Programme) -> int | None:
    """Return the instant of `known_at`, or None. Raises `Problem`."""
    return None if text is None else instant(text, "known_at", book)


def known_types(names: Sequence[str]) -> frozenset[str]:
    """Return types of facts that a request names. Raises `Problem` for one that there is not."""
    for name in names:
        if name not in TYPES:
            raise Problem("bad-request", f'type: there are no facts of type "{name[:128]}"; `points schema` lists them')
    return frozenset(names)
