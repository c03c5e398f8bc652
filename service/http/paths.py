"""Where a request goes: a path is split at its slashes before it is decoded, so that a token may hold one.

The router splits a decoded path. Where a part of one holds a slash (`%2F`), the router is given another character for
it, which no path decodes to, and handlers are given the slash.
"""

from urllib.parse import unquote_to_bytes

from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

ADDRESSES = (b"/v1/members/", b"/v1/houses/", b"/v1/people/")  # behind which a part may hold a slash
ROOTS = ("/", "/console/")  # that people type
_SLASH = "\udc2f"  # half of a pair: UTF-8 has none alone


def routed_path(scope: HTTPScope) -> str | None:
    """Return the path of a request as the router is to read it, until `as_written`.

    None for one that the router would read as another one: by its slashes, or as no UTF-8. A member's token may hold
    what the router leaves out, and would be answered for another member's.
    """
    path, raw = scope["path"], scope.get("raw_path", b"")
    if "\ufffd" in path:  # written so, or put in place of what is no UTF-8
        try:
            unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            return None
    if b"%2f" in raw.lower():
        if not raw.startswith(ADDRESSES):
            return None
        path = "/".join(unquote_to_bytes(part).decode().replace("/", _SLASH) for part in raw.split(b"/"))
    return None if "//" in path or (path.endswith("/") and path not in ROOTS) else path


def as_written(scope: Scope) -> None:
    """Put the slashes back into a scope that the router has read."""
    if _SLASH in scope["path"]:
        scope["path"] = scope["path"].replace(_SLASH, "/")
        scope["path_params"] = {
            name: value.replace(_SLASH, "/") if isinstance(value, str) else value
            for name, value in scope.get("path_params", {}).items()
        }


def with_slashes(app: ASGIApp) -> ASGIApp:
    """Return an application behind the router which is given paths as they are written."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        as_written(scope)
        await app(scope, receive, send)

    return answer
