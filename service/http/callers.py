"""Who a request's place is counted for: its key, the key of its session in the console, or the address it came from."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address

from litestar import Litestar
from litestar.types import HTTPScope

from ledger.journal.port import JournalError
from service.console.requests import HOME, is_use, key_of_session, session_token
from service.console.sessions import Sessions
from service.http.access import LOCAL, Authenticator
from service.http.places import Who
from service.http.protocol import network_of
from service.keys import Key

FORWARDED_FOR = b"x-forwarded-for"


def caller_finder(app: Litestar, proxies: frozenset[str]) -> Callable[[HTTPScope], Who]:
    """Return what finds out who asks: an application's keys and sessions say, and `proxies` tell addresses.

    While there are no keys everybody is one caller, who may do all.
    """
    authenticator: Authenticator = app.state.authenticator
    sessions: Sessions = app.state.sessions

    def find(scope: HTTPScope) -> Who:
        try:
            key = authenticator.key_in(scope) or _key_of_session(scope, authenticator, sessions)
            is_open = key is None and not authenticator.has_keys(scope)
        except (sqlite3.Error, JournalError):  # the handler that wants to know says so
            key, is_open = None, False
        if key is not None:
            return Who(key.id, True)
        return Who(LOCAL, True) if is_open else Who(network_of(address_of(scope, proxies)), False)

    return find


def address_of(scope: HTTPScope, proxies: frozenset[str]) -> str:
    """Return the address a request came from: of a proxy's, the last one it forwards that is no proxy's itself."""
    client = scope["client"]
    address = client[0] if client else ""
    if address not in proxies:
        return address
    forwarded = b",".join(value for name, value in scope["headers"] if name == FORWARDED_FOR).decode("latin-1")
    with suppress(ValueError):  # what is no address tells nothing of those before it
        for one in reversed(forwarded.split(",")):
            ip_address(one.strip())
            address = one.strip()
            if address not in proxies:
                break
    return address


def _key_of_session(scope: HTTPScope, authenticator: Authenticator, sessions: Sessions) -> Key | None:
    if not scope["path"].startswith(HOME):
        return None
    cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin-1")
    token = session_token(cookies)
    return key_of_session(token, authenticator, sessions, is_use=is_use(scope["path"])) if token else None
