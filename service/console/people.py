"""People who may sign in: the sessions of each, ended before their time, and blocks; the API's own actions."""

from typing import Any, cast, get_args

from litestar import Response, get, post
from litestar.response import Redirect

from service.console.pages import HEADERS, page
from service.console.requests import AnyRequest, caller_of, form_of, needs
from service.console.signing import FORM_BYTES
from service.http.handlers.people import decided, people
from service.http.problems import Problem
from service.people import MOST_WHY, Act

_OPERATE: dict[str, Any] = {"guards": [needs("operate")]}
_ADDRESS = "/console/people"


@get("/people", **_OPERATE)
async def get_people(request: AnyRequest) -> Response[bytes]:
    """Everybody who may sign in, and what is to be done about one of them."""
    return _people_page(request)


@post("/people", request_max_body_size=FORM_BYTES, status_code=200, **_OPERATE)
async def post_people(request: AnyRequest) -> Response[Any]:
    """End somebody's sessions, block or unblock them; what is wrong with that is said on the page."""
    form = await form_of(request)
    asked = {name: form.get(name, "") for name in ("name", "act", "why")}
    try:
        if asked["act"] not in get_args(Act):
            raise Problem("bad-request", "there is no such act; reload the page and choose again")
        await decided(request, caller_of(request), asked["name"], cast("Act", asked["act"]), asked["why"])
    except Problem as problem:
        return _people_page(request, asked, problem)
    return Redirect(_ADDRESS, status_code=303, headers=HEADERS)


def _people_page(
    request: AnyRequest, form: dict[str, str] | None = None, problem: Problem | None = None
) -> Response[bytes]:
    return page(
        request,
        "people.html",
        status=problem.status if problem else 200,
        address=_ADDRESS,
        people=people(request),
        form=form or {"name": "", "why": ""},
        most_why=MOST_WHY,
        problem=problem,
    )


HANDLERS = (get_people, post_people)
