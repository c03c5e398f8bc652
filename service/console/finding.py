"""Finding: what an id that somebody reads out belongs to. Where it is one member's alone, that member's page."""

from typing import Annotated, Any
from urllib.parse import quote

from litestar import Response, get
from litestar.params import QueryParameter
from litestar.response import Redirect

from projections.views.builtin.finding import MOST_TEXT, is_member
from service.console.pages import HEADERS, page
from service.console.requests import AnyRequest, caller_of
from service.http.handlers.finding import found_by, readable_by, recent_members
from service.http.problems import Problem, problem_of
from service.http.state import served_by

RECENT = 10  # members


@get("/find")
async def get_find(
    request: AnyRequest,
    q: Annotated[str, QueryParameter(description="An id, or how it begins.", max_length=MOST_TEXT + 64)] = "",
) -> Response[Any]:
    """What was found, or the one member that everything found belongs to; without a text, the latest members."""
    caller, served, text = caller_of(request), served_by(request), q.strip()
    members = readable_by(caller)
    if not text:
        recent = await recent_members(served, RECENT) if members is None and caller.has("members:read") else []
        return page(request, "find.html", text="", found=None, recent=recent, problem=None)
    if len(text) > MOST_TEXT:
        raise Problem("bad-request", f"an id has at most {MOST_TEXT} characters")
    if caller.may_read(text) and await served.readers.read(lambda ledger: is_member(ledger, text)):
        return _to_member(text)
    try:
        found = await found_by(served, caller, text, None)
    except Problem as error:
        problem = problem_of(error)
        return page(request, "find.html", status=problem.status, text=text, found=None, recent=[], problem=problem)
    owners = {hit.member for hit in found.hits}
    if len(owners) == 1 and not found.more and caller.may_read(owner := owners.pop()):
        return _to_member(owner)
    return page(request, "find.html", text=text, found=found, recent=[], problem=None, may_read=caller.may_read)


def _to_member(member: str) -> Redirect:
    return Redirect(f"/console/member?id={quote(member, safe='')}", status_code=303, headers=HEADERS)


HANDLERS = (get_find,)
