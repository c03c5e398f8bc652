"""Signing in with an API key or with an OpenID Connect issuer, signing out, and the choice of language.

A browser that comes back from the issuer was sent by another site, so it would not show a cookie that is SameSite
Strict: neither ours to us, nor in a redirect the session's that was just set. What a sign-in began with is therefore in
a cookie of its own, Lax and short, and the answer is a page that leads on by itself.
"""

import asyncio
from dataclasses import replace
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.params import QueryParameter
from litestar.response import Redirect

from ledger.errors import CannotRunNow
from service.console.language import LANGUAGES
from service.console.pages import HEADERS, MENU, page
from service.console.requests import (
    HOME,
    LANGUAGE_COOKIE,
    SESSION_COOKIE,
    AnyRequest,
    authenticator_of,
    cookies_of,
    form_of,
    safe_back,
    visitor_of,
)
from service.console.sessions import LONGEST_SECONDS, MOST_ID_TOKEN, SIGN_IN_SECONDS, Person, Sessions, person_id
from service.errors import say
from service.http.access import Caller
from service.http.problems import Problem
from service.http.state import served_by

FORM_BYTES = 8 << 10
YEAR_SECONDS = 365 * 86_400
OIDC_COOKIE = "points-oidc"
MOST_GIVEN = 4_000  # characters of what an issuer answers in an address
MOST_BACK = 2_000  # characters of an address that a cookie remembers
Back = Annotated[str, QueryParameter(description="Where to go on.", max_length=2_000)]


@get("/sign-in")
async def get_sign_in(request: AnyRequest, back: Back = HOME) -> Response[Any]:
    """The page to sign in; who is signed in already goes on."""
    if visitor_of(request).caller is not None:
        return Redirect(safe_back(back), status_code=303, headers=HEADERS)
    return page(request, "sign-in.html", back=safe_back(back), wrong="", issuer=_host_of_issuer(request))


@post("/sign-in", request_max_body_size=FORM_BYTES)
async def sign_in(request: AnyRequest) -> Response[Any]:
    """Begin a session with a key that opens some page."""
    form = await form_of(request)
    back, authenticator = safe_back(form.get("back", HOME)), authenticator_of(request)
    key = authenticator.keys.find(form.get("key", "").strip())
    if key is None:
        return _not_signed_in(request, "no-such-key", back)
    if authenticator.keys.is_blocked(key.name):
        return _not_signed_in(request, "blocked", back, f"{key.name} is blocked")
    visitor = replace(visitor_of(request), caller=authenticator.admitted(key))
    if not any(visitor.may(scope) for _, _, scope in MENU):
        return _not_signed_in(request, "opens-nothing", back)
    sessions: Sessions = request.app.state.sessions
    sessions.end(visitor.token)
    cookie = _cookie(request, SESSION_COOKIE, sessions.begin(key.id), LONGEST_SECONDS)
    return Redirect(back, status_code=303, headers=HEADERS, cookies=[cookie])


@post("/sign-out", status_code=303, request_max_body_size=FORM_BYTES)
async def sign_out(request: AnyRequest) -> Response[Any]:
    """End the session, and the issuer's, where one signed in there."""
    await form_of(request)
    sessions: Sessions = request.app.state.sessions
    token, issuer = visitor_of(request).token, request.app.state.issuer
    found = sessions.key_of(token)
    sessions.end(token)
    gone = _cookie(request, SESSION_COOKIE, "", 0)
    where = await issuer.end_session(found.id_token) if issuer is not None and isinstance(found, Person) else ""
    if where:  # as a page: a form must not be redirected to another site (form-action)
        request.scope.pop("points.visitor", None)  # type: ignore[typeddict-item]
        answer = page(request, "going-on.html", where=where, title="sign-out.done", host=issuer.host)
        answer.cookies = [gone]
        return answer
    return Redirect(f"{HOME}/sign-in", status_code=303, headers=HEADERS, cookies=[gone])


@post("/language", request_max_body_size=FORM_BYTES)
async def choose_language(request: AnyRequest) -> Response[Any]:
    """Remember a language, and go back in it."""
    form = await form_of(request)
    language = form.get("language", "")
    cookies = [_cookie(request, LANGUAGE_COOKIE, language, YEAR_SECONDS)] if language in LANGUAGES else []
    return Redirect(safe_back(form.get("back", HOME)), status_code=303, headers=HEADERS, cookies=cookies)


@get("/sign-in/oidc")
async def begin_oidc(request: AnyRequest, back: Back = HOME) -> Response[Any]:
    """Go to the issuer to sign in there."""
    issuer = _issuer_of(request)
    back = safe_back(back)
    cookie, begun = request.app.state.sessions.begin_sign_in(back if len(back) <= MOST_BACK else HOME)
    try:
        where = await issuer.authorization(begun.state, begun.nonce, begun.challenge)
    except CannotRunNow as error:
        return _not_signed_in(request, "oidc-away", back, str(error))
    return Redirect(where, status_code=303, headers=HEADERS, cookies=[_oidc_cookie(issuer, cookie, SIGN_IN_SECONDS)])


@get("/sign-in/oidc/callback")
async def end_oidc(request: AnyRequest) -> Response[Any]:
    """Begin a session for whom the issuer says somebody is, and go on where that was wanted."""
    given = {name: request.query_params.get(name) for name in ("state", "code", "error", "iss")}
    if any(len(value or "") > MOST_GIVEN for value in given.values()):
        return _not_signed_in(request, "oidc-stale")
    issuer, sessions = _issuer_of(request), request.app.state.sessions
    begun = sessions.finish_sign_in(
        cookies_of(request.headers.get("cookie", "")).get(OIDC_COOKIE, ""), given["state"] or ""
    )
    if begun is None:
        return _not_signed_in(request, "oidc-stale")
    if given["error"] or not given["code"]:
        return _not_signed_in(request, "oidc-denied", begun.back)
    try:
        found = await issuer.signed_in(given["code"], begun.verifier, begun.nonce, given["iss"])
    except CannotRunNow as problem:
        return _not_signed_in(request, f"oidc-{getattr(problem, 'reason', 'away')}", begun.back, str(problem))
    settings = issuer.settings
    keys = authenticator_of(request).keys
    name = keys.person(settings.issuer, found.subject, found.name)
    if keys.is_blocked(name):
        return _not_signed_in(request, "blocked", begun.back, f"{name} is blocked")
    visitor = replace(visitor_of(request), caller=Caller(name, found.scopes))
    if not any(visitor.may(scope) for _, _, scope in MENU):
        return _not_signed_in(request, "opens-nothing", begun.back)
    log, about = served_by(request).operator_log, f"{settings.issuer} {found.subject}"
    await asyncio.to_thread(log.record, name, "sign-in", about, why=", ".join(found.roles))
    sessions.end(visitor.token)
    kept = found.id_token if len(found.id_token) <= MOST_ID_TOKEN else ""
    seconds = 60 * settings.session_minutes
    token = sessions.begin(Person(person_id(name), name, found.scopes, kept), seconds)
    answer = page(request, "going-on.html", where=begun.back, title="sign-in.done", host="")
    answer.cookies = [person_cookie(request, issuer, token, seconds), _oidc_cookie(issuer, "", 0)]
    return answer


def _issuer_of(request: AnyRequest) -> Any:
    """Return the server's `service.oidc.issuer.Issuer`. Raises `Problem` where there is none."""
    found = request.app.state.issuer
    if found is None:
        raise Problem("not-found", "nobody signs in with an issuer here: none is set")
    return found


def _not_signed_in(request: AnyRequest, wrong: str, back: str = HOME, why: str = "") -> Response[Any]:
    """Return the page to sign in, with what went wrong; the log has it in full."""
    if why:
        say(f"sign-in: {why}")
    status = 503 if wrong == "oidc-away" else 403
    issuer = _host_of_issuer(request)
    return page(request, "sign-in.html", status=status, back=back, wrong=wrong, issuer=issuer)


def _host_of_issuer(request: AnyRequest) -> str:
    """Return the issuer's host, for people; empty where there is no issuer."""
    issuer = request.app.state.issuer
    return "" if issuer is None else str(issuer.host)


def _cookie(request: AnyRequest, name: str, value: str, seconds: int) -> Cookie:
    """Return a cookie for the console alone, that no script reads and no other site sends."""
    is_secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
    return Cookie(key=name, value=value, path=HOME, max_age=seconds, httponly=True, samesite="strict", secure=is_secure)


def person_cookie(request: AnyRequest, issuer: Any, token: str, seconds: int) -> Cookie:
    """Return the session's cookie of who came back from the issuer: to an address of https, whatever a proxy says."""
    made = _cookie(request, SESSION_COOKIE, token, seconds)
    return replace(made, secure=made.secure or issuer.settings.url.startswith("https:"))


def _oidc_cookie(issuer: Any, value: str, seconds: int) -> Cookie:
    """Return the cookie of a sign-in with the issuer, which comes back from there."""
    is_secure = issuer.settings.url.startswith("https:")
    path = f"{HOME}/sign-in/oidc"
    return Cookie(
        key=OIDC_COOKIE, value=value, path=path, max_age=seconds, httponly=True, samesite="lax", secure=is_secure
    )


HANDLERS = (get_sign_in, sign_in, sign_out, choose_language, begin_oidc, end_oidc)
