"""The console's addresses as one router, and what its errors look like."""

import hashlib
from typing import Annotated, Any
from urllib.parse import quote

from litestar import Request, Response, Router, get
from litestar.params import PathParameter
from litestar.response import Redirect

from service.console import (
    acts,
    audits,
    books,
    dead_letters,
    drafts,
    finding,
    home,
    members,
    people,
    pools,
    programmes,
    signing,
)
from service.console.language import chosen_language
from service.console.pages import HEADERS, HTML, asset, render
from service.console.requests import HOME, AnyRequest, SignIn, Visitor, visitor_of
from service.http.paths import as_written
from service.http.problems import Problem, answer_problem, problem_of

TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
ASSET_SECONDS = 3_600


@get("/assets/{name:str}")
async def get_asset(
    request: AnyRequest, name: Annotated[str, PathParameter(description="The file.", max_length=64)]
) -> Response[bytes | None]:
    """A style sheet, a script or a picture. No session is needed."""
    found = asset(name)
    if found is None:
        raise Problem("not-found", "there is no such file")
    headers = {"Cache-Control": f"max-age={ASSET_SECONDS}", "ETag": f'"{hashlib.sha256(found).hexdigest()[:32]}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(None, status_code=304, headers=headers)
    return Response(found, media_type=TYPES[name.rpartition(".")[2]], headers=headers)


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The handler of every error: a page that says what happened, or the page to sign in."""
    is_part = "hx-request" in request.headers
    if isinstance(error, SignIn):
        where = f"{HOME}/sign-in?back={quote(error.back, safe='')}"
        if is_part:
            return Response(b"", status_code=401, headers={**HEADERS, "HX-Redirect": where})
        return Redirect(where, status_code=303, headers=HEADERS)
    problem = problem_of(error)
    template = "error-part.html" if is_part else "error.html"
    text = render(_visitor(request), template, problem=problem, address=request.url.path)
    kept = {name: value for name, value in problem.headers.items() if name != "WWW-Authenticate"}
    return Response(text.encode(), status_code=problem.status, media_type=HTML, headers={**HEADERS, **kept})


def answer_nowhere(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The handler of addresses and methods that are not there: a page for a browser, a problem for any other."""
    as_written(request.scope)
    is_browser = HTML in request.headers.get("accept", "")
    return answer_error(request, error) if is_browser else answer_problem(request, error)


def _visitor(request: AnyRequest) -> Visitor:
    """Return who looks; nobody where that itself went wrong."""
    try:
        return visitor_of(request)
    except Problem:
        return Visitor(None, chosen_language(None, request.headers.get("accept-language", "")), "", "")


CONSOLE = Router(
    HOME,
    route_handlers=[
        get_asset,
        *signing.HANDLERS,
        *home.HANDLERS,
        *books.HANDLERS,
        *members.HANDLERS,
        *finding.HANDLERS,
        *pools.HANDLERS,
        *programmes.HANDLERS,
        *drafts.HANDLERS,
        *audits.HANDLERS,
        *dead_letters.HANDLERS,
        *acts.HANDLERS,
        *people.HANDLERS,
    ],
    exception_handlers={Exception: answer_error},
    include_in_schema=False,
)
