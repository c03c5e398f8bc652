"""Names of requests, by which a client's log and the server's are laid side by side, and the log of what was answered.

A client may name its request (`X-Request-Id`); one that does not is given a name. `traceparent` (W3C Trace Context)
names the trace that a request belongs to.
"""

import re
import secrets
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from litestar.types import HTTPScope

from projections.answers.plain import escaped
from projections.answers.to_json import to_json

HEADER = b"x-request-id"
_NAME = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_TRACE = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a request's name: its client's, where that is one of up to 128 plain characters, or a new one."""
    for name, value in headers:
        if name == HEADER and _NAME.fullmatch(value):
            return value
    return secrets.token_hex(8).encode()


def trace_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the trace that a request belongs to, "" where it names none."""
    for name, value in headers:
        if name == b"traceparent" and (found := _TRACE.fullmatch(value)) is not None:
            return found[1].decode()
    return ""


def log_request(scope: HTTPScope, asked: str, name: bytes, status: int, seconds: float, caller: str) -> None:
    """Write a line about a request that was answered to standard error, as JSON. Its query and body are not in it."""
    line: dict[str, Any] = {
        "event": "request",
        "request_id": name.decode(),
        "method": asked,
        "path": scope["path"],
        "route": str(scope.get("path_template") or ""),
        "status": status,
        "seconds": round(seconds, 6),
        "caller": caller,
        "timestamp": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds"),
    }
    if trace := trace_of(scope["headers"]):
        line["trace_id"] = trace
    sys.stderr.write(escaped(to_json(line).decode()) + "\n")
    sys.stderr.flush()
