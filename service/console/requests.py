"""Who looks at a page: the session's key and its scopes, the language, and the checks that a form is our own."""

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from litestar import Request
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from ledger.errors import ControlFlow
from service.console.language import Language, chosen_language
from service.console.sessions import Person, Sessions
from service.http.access import EVERYTHING, Authenticator, Caller, Connection
from service.http.problems import Problem
from service.keys import DEFAULT_RATE, Key

SESSION_COOKIE = "points-session"
LANGUAGE_COOKIE = "points-language"
HOME = "/console"
LIVE = f"{HOME}/live"  # asked by a page that is left open: that keeps no session
MOST_FIELDS = 16
AnyRequest = Request[Any, Any, Any]


class SignIn(ControlFlow):
    """Nobody is signed in: the page to sign in comes first, and then this one."""

    def __init__(self, back: str) -> None:
        super().__init__(back)
        self.back = back


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks. `caller` is None where nobody is signed in; `token` is the session's, empty where none is needed."""

    caller: Caller | None
    language: Language
    token: str
    form_token: str

    def may(self, scope: str) -> bool:
        """Return True if a scope is held; for `members:read` one member is enough to see the page."""
        if self.caller is None:
            return False
        if scope == "members:read" and any(held.startswith("member:read:") for held in self.caller.scopes):
            return True
        return self.caller.has(scope)


def visitor_of(connection: Connection) -> Visitor:
    """Return who looks, found once a request. Raises `Problem`."""
    found: Visitor | None = connection.scope.get("points.visitor")  # type: ignore[assignment]
    if found is None:
        found = _visitor(connection)
        connection.scope["points.visitor"] = found  # type: ignore[typeddict-unknown-key]
    return found


def caller_of(connection: Connection) -> Caller:
    """Return who is signed in. Raises `SignIn` and `Problem`."""
    caller = visitor_of(connection).caller
    if caller is None:
        raise SignIn(address_of(connection))
    return caller


def needs(scope: str) -> Guard:
    """A guard: whoever is signed in must hold a scope. It is a coroutine, so that it stays in the event loop."""

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        caller_of(connection)
        if not visitor_of(connection).may(scope):
            raise Problem("wrong-scope", f"the key lacks the scope {scope}; sign in with one that has it")

    return guard


async def form_of(request: AnyRequest) -> dict[str, str]:
    """Return the fields of a form that our own page sent. Raises `Problem`."""
    try:
        fields = parse_qs(
            (await request.body()).decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError:
        raise Problem("bad-request", "the form cannot be read; reload the page and send it again") from None
    form = {name: values[-1] for name, values in fields.items()}
    origin = request.headers.get("origin")
    is_ours = origin is None or urlsplit(origin).netloc == request.headers.get("host", "")
    sessions: Sessions = request.app.state.sessions
    if not is_ours or not sessions.is_form_token(form.get("form_token", ""), visitor_of(request).token):
        raise Problem("wrong-origin", "the form is not of this session; go back, reload the page and send it again")
    return form


def safe_back(address: str) -> str:
    """Return an address of the console to go back to; its home for any other."""
    parts = urlsplit(address)
    is_ours = not parts.scheme and not parts.netloc and (parts.path == HOME or parts.path.startswith(HOME + "/"))
    return address if is_ours and "\\" not in address and address.isprintable() else HOME


def authenticator_of(connection: Connection) -> Authenticator:
    """Return the authenticator that the server's API has."""
    authenticator: Authenticator = connection.app.state.authenticator
    return authenticator


def _visitor(connection: Connection) -> Visitor:
    authenticator, sessions = authenticator_of(connection), connection.app.state.sessions
    cookies = cookies_of(connection.headers.get("cookie", ""))
    language = chosen_language(cookies.get(LANGUAGE_COOKIE), connection.headers.get("accept-language", ""))
    token, caller = cookies.get(SESSION_COOKIE, ""), None
    if authenticator.is_open_to(connection):
        token, caller = "", EVERYTHING
    else:
        key = key_of_session(token, authenticator, sessions, is_use=is_use(connection.url.path))
        if key is None:
            token = ""
        else:
            caller = authenticator.admitted(key)
    return Visitor(caller, language, token, sessions.form_token(token))


def session_token(cookies: str) -> str:
    """Return what a Cookie header says that the session is; empty where it says nothing."""
    return cookies_of(cookies).get(SESSION_COOKIE, "")


def is_use(path: str) -> bool:
    """Return False for what an open page asks for by itself, which keeps no session."""
    return path != LIVE and not path.startswith(f"{LIVE}/")


def key_of_session(token: str, authenticator: Authenticator, sessions: Sessions, *, is_use: bool = True) -> Key | None:
    """Return the live key of a session that holds; None where there is none. `is_use` as in `Sessions.key_of`.

    Of a person who signed in with an issuer it is a key that no file has, with the scopes of the person's roles. None
    where who signed in is blocked.
    """
    found = sessions.key_of(token, is_use=is_use)
    if isinstance(found, Person):
        key: Key | None = Key(found.id, found.name, found.scopes, DEFAULT_RATE, 0, None, None, None)
    else:
        key = authenticator.keys.live(found) if found else None
    return None if key is None or authenticator.keys.is_blocked(key.name) else key


def cookies_of(header: str) -> dict[str, str]:
    """Return the cookies of a header by name; none where it cannot be read."""
    try:
        return {name: one.value for name, one in SimpleCookie(header).items()}
    except CookieError:
        return {}


def address_of(connection: Connection) -> str:
    """Return the address of a request, with its query."""
    query = connection.scope.get("query_string", b"").decode("latin-1")
    return quote(connection.url.path, safe="/") + (f"?{query}" if query else "")
