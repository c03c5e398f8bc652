"""Answers as HTTP has them: JSON with an ETag, 304 where the asker has it already, and the instant asked for."""

import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec
from litestar import Request, Response

from ledger.rulebook.compiled import Book
from ledger.wire.times import parse_instant
from service.http.problems import Problem

JSON = "application/json"
_encode = msgspec.json.Encoder().encode


def answer(request: Request[Any, Any, Any], document: Mapping[str, Any]) -> Response[Any]:
    """A document that was read, or 304. Its tag leaves out `as_of`, by which every answer of "now" would be new."""
    tag = f'W/"{sha256(_encode({**document, "as_of": ""})).hexdigest()[:32]}"'
    if _matches(request.headers.get("if-none-match"), tag):
        return Response(None, status_code=304, headers={"ETag": tag})
    return Response(_encode(document), media_type=JSON, headers={"ETag": tag})


def _matches(header: str | None, tag: str) -> bool:
    if header is None:
        return False
    opaque = tag.removeprefix("W/")
    return any(given.strip() in ("*", tag, opaque) for given in header.split(","))


def plain_answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """A document that says what was done."""
    return Response(_encode(document), status_code=status, media_type=JSON, headers=dict(headers or {}))


def instant(text: str | None, name: str, book: Book) -> int:
    """The instant of a parameter, the present where it is not given. Raises `Problem`."""
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


def known_instant(text: str | None, book: Book) -> int | None:
    """The instant of `known_at`, or None. Raises `Problem`."""
    return None if text is None else instant(text, "known_at", book)
