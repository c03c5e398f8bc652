"""Who asks, and what they may: keys and their scopes, one bucket of requests a key, and where there are no keys yet."""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard, Scope

from service.http.problems import Problem
from service.keys import GOODWILL, LOCAL_NAME, Key, Keys

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
WRITE, WRITE_OF = "facts:write", "facts:write:"
LOCAL = LOCAL_NAME  # who asks where there are no keys
_KEY, _HAS_KEYS = "points.key", "points.has-keys"  # of a request, in its scope
Connection = ASGIConnection[Any, Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `name` is what an operator's action is recorded under."""

    name: str
    scopes: tuple[str, ...]

    def has(self, scope: str) -> bool:
        """Return True if a scope is held, whole."""
        return scope in self.scopes

    def may_write(self, source: str) -> bool:
        """Return True if facts of a source may be given."""
        return self.has(WRITE) or any(
            scope.startswith(WRITE_OF) and source.startswith(scope.removeprefix(WRITE_OF)) for scope in self.scopes
        )

    def may_write_any(self) -> bool:
        """Return True if facts of some source may be given."""
        return any(scope.startswith(WRITE) for scope in self.scopes)

    @property
    def goodwill(self) -> int:
        """How many points of goodwill may be given in 24 hours; the most of several limits."""
        limits = [scope.removeprefix(GOODWILL) for scope in self.scopes if scope.startswith(GOODWILL)]
        return max((int(limit) for limit in limits), default=0)

    def may_read(self, member: str) -> bool:
        """Return True if a member may be read."""
        return self.has("members:read") or self.has(f"member:read:{member}")


EVERYTHING = Caller(LOCAL, ("facts:write", "members:read", "books:read", "operate", "books:write"))


class Bucket:
    """A token bucket: so many requests a second, and no more than that many at once."""

    __slots__ = ("_at", "_most", "_rate", "_tokens")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = self._tokens = max(1.0, rate)
        self._at = time.monotonic()

    def take(self) -> float:
        """Take a token: 0, or the seconds until there is one."""
        now = time.monotonic()
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate


class Authenticator:
    """Finds out who asks. Each of `workers` admits its share of a key's rate.

    `has_sign_in` says whether people sign in with an issuer, so that keys are needed even where there are none yet.
    Used in the event loop only.
    """

    def __init__(self, keys: Keys, workers: int = 1, *, has_sign_in: bool = False) -> None:
        self.keys = keys
        self._has_sign_in = has_sign_in
        self._workers = workers
        self._buckets: dict[str, Bucket] = {}

    def caller_of(self, connection: Connection) -> Caller:
        """Return who asks. Raises `Problem` where a key is missing, wrong, or used too often."""
        has_header = "authorization" in connection.headers
        if not has_header and self.is_open_to(connection):
            return EVERYTHING
        key = self.key_in(connection.scope)
        if key is None:
            what = "the key is not valid, has expired or was revoked" if has_header else "no key was given"
            raise Problem(
                "no-key",
                f"{what}; send `Authorization: Bearer KEY` with one that `points keys new` printed",
                {"WWW-Authenticate": "Bearer"},
            )
        return self.admitted(key)

    def key_in(self, scope: Scope) -> Key | None:
        """Return the live key in a request's headers, looked up once a request; None where there is none."""
        if _KEY not in scope:
            headers = [value for name, value in scope["headers"] if name == b"authorization"]
            scheme, _, text = (headers[0] if headers else b"").decode("latin-1").partition(" ")
            scope[_KEY] = self.keys.find(text.strip()) if scheme.lower() == "bearer" else None  # type: ignore[literal-required]
        found: Key | None = scope[_KEY]  # type: ignore[literal-required]
        return found

    def is_open_to(self, connection: Connection) -> bool:
        """Return True if no key is needed, since none was ever made. Raises `Problem` to those of another site."""
        if self.has_keys(connection.scope):
            return False
        _check_local(connection)
        return True

    def has_keys(self, scope: Scope) -> bool:
        """Return True if any key was ever made, or if people sign in without one, asked once a request."""
        if _HAS_KEYS not in scope:
            scope[_HAS_KEYS] = self._has_sign_in or self.keys.exist()  # type: ignore[literal-required]
        return bool(scope[_HAS_KEYS])  # type: ignore[literal-required]

    def shows(self, connection: Connection, scope: str) -> bool:
        """Return True if a request that needs no key shows one with a scope, or if none was ever made."""
        key = self.key_in(connection.scope)
        try:
            return scope in key.scopes if key is not None else self.is_open_to(connection)
        except Problem:
            return False

    def admitted(self, key: Key) -> Caller:
        """Return who asks with a live key. Raises `Problem` where it is used too often."""
        bucket = self._buckets.get(key.id)
        if bucket is None:
            bucket = self._buckets[key.id] = Bucket(key.rate / self._workers)
        if wait := bucket.take():
            detail = f"this key may make {key.rate:,} requests a second"
            raise Problem("too-many-requests", detail, {"Retry-After": str(max(1, round(wait)))})
        return Caller(key.name, key.scopes)


def _check_local(connection: Connection) -> None:
    """Without keys a browser's pages of other sites must not get in, which reach 127.0.0.1 too."""
    host = connection.headers.get("host", "")
    origin = connection.headers.get("origin")
    named = None
    with suppress(ValueError):  # it is no host at all
        named = urlsplit(f"//{host}").hostname
    if named not in LOCAL_HOSTS or (origin is not None and origin != f"http://{host}"):
        raise Problem(
            "wrong-origin",
            "without keys only this machine is answered, under 127.0.0.1 or localhost; `points keys new` makes a key",
        )


def caller_of(connection: Connection) -> Caller:
    """Return who asks, found once a request."""
    caller: Caller | None = connection.scope.get("points.caller")  # type: ignore[assignment]
    if caller is None:
        caller = connection.app.state.authenticator.caller_of(connection)
        connection.scope["points.caller"] = caller  # type: ignore[typeddict-unknown-key]
    return caller


def needs(scope: str) -> Guard:
    """A guard: the caller must hold a scope. Guards are coroutines: one that is not would go through a thread."""

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        if not caller_of(connection).has(scope):
            raise lacks(scope)

    return guard


async def needs_member(connection: Connection, _: BaseRouteHandler) -> None:
    """A guard: the caller must be allowed to read the member of the path."""
    check_readable(caller_of(connection), connection.path_params["member"])


async def needs_writing(connection: Connection, _: BaseRouteHandler) -> None:
    """A guard: the caller must be allowed to give facts of some source; which one is seen when they are read."""
    if not caller_of(connection).may_write_any():
        raise lacks("facts:write")


def check_readable(caller: Caller, member: str) -> None:
    """Raise `Problem` where the caller may not read a member."""
    if not caller.may_read(member):
        raise lacks("members:read, or member:read: with this member")


def check_source(caller: Caller, source: str) -> None:
    """Raise `Problem` where the caller may not give facts of a source."""
    if not caller.may_write(source):
        raise lacks(f"facts:write for the source {source}")


def lacks(scope: str) -> Problem:
    """Return the problem of a key without a scope."""
    return Problem("wrong-scope", f"the key lacks the scope {scope}; `points keys new --scope` makes one that has it")
