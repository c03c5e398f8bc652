"""Signing in with an API key, signing out, and the choice of language."""

from dataclasses import replace
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.params import QueryParameter
from litestar.response import Redirect

from service.console.language import LANGUAGES
from service.console.pages import HEADERS, MENU, page
from service.console.requests import (
    HOME,
    LANGUAGE_COOKIE,
    SESSION_COOKIE,
    AnyRequest,
    authenticator_of,
    form_of,
    safe_back,
    visitor_of,
)
from service.console.sessions import LONGEST_SECONDS, Sessions

FORM_BYTES = 8 << 10
YEAR_SECONDS = 365 * 86_400
Back = Annotated[str, QueryParameter(description="Where to go on.", max_length=2_000)]


@get("/sign-in")
async def get_sign_in(request: AnyRequest, back: Back = HOME) -> Response[Any]:
    """The page to sign in; who is signed in already goes on."""
    if visitor_of(request).caller is not None:
        return Redirect(safe_back(back), status_code=303, headers=HEADERS)
    return page(request, "sign-in.html", back=safe_back(back), wrong="")


@post("/sign-in", request_max_body_size=FORM_BYTES)
async def sign_in(request: AnyRequest) -> Response[Any]:
    """Begin a session with a key that opens some page."""
    form = await form_of(request)
    back, authenticator = safe_back(form.get("back", HOME)), authenticator_of(request)
    key = authenticator.keys.find(form.get("key", "").strip())
    if key is None:
        return page(request, "sign-in.html", status=403, back=back, wrong="no-such-key")
    visitor = replace(visitor_of(request), caller=authenticator.admitted(key))
    if not any(visitor.may(scope) for _, _, scope in MENU):
        return page(request, "sign-in.html", status=403, back=back, wrong="opens-nothing")
    sessions: Sessions = request.app.state.sessions
    sessions.end(visitor.token)
    cookie = _cookie(request, SESSION_COOKIE, sessions.begin(key.id), LONGEST_SECONDS)
    return Redirect(back, status_code=303, headers=HEADERS, cookies=[cookie])


@post("/sign-out", status_code=303, request_max_body_size=FORM_BYTES)
async def sign_out(request: AnyRequest) -> Response[Any]:
    """End the session."""
    await form_of(request)
    sessions: Sessions = request.app.state.sessions
    sessions.end(visitor_of(request).token)
    gone = _cookie(request, SESSION_COOKIE, "", 0)
    return Redirect(f"{HOME}/sign-in", status_code=303, headers=HEADERS, cookies=[gone])


@post("/language", request_max_body_size=FORM_BYTES)
async def choose_language(request: AnyRequest) -> Response[Any]:
    """Remember a language, and go back in it."""
    form = await form_of(request)
    language = form.get("language", "")
    cookies = [_cookie(request, LANGUAGE_COOKIE, language, YEAR_SECONDS)] if language in LANGUAGES else []
    return Redirect(safe_back(form.get("back", HOME)), status_code=303, headers=HEADERS, cookies=cookies)


def _cookie(request: AnyRequest, name: str, value: str, seconds: int) -> Cookie:
    """Return a cookie for the console alone, that no script reads and no other site sends."""
    is_secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
    return Cookie(key=name, value=value, path=HOME, max_age=seconds, httponly=True, samesite="strict", secure=is_secure)


HANDLERS = (get_sign_in, sign_in, sign_out, choose_language)
