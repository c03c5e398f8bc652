"""Drafts of rule books: pasted and checked, kept, backtested, handed in, approved by somebody else, and published."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import quote

from litestar import Response, get, post
from litestar.params import PathParameter, QueryParameter
from litestar.response import Redirect

from ledger.errors import BadInput
from ledger.journal.ledger import Ledger
from ledger.rulebook.schema import BadProgramme
from ledger.wire.facts import MAX_BYTES
from ledger.wire.times import Zone, to_instant, to_text
from projections.answers.programmes import differences
from projections.explaining.book import sentences
from service.console.language import Language
from service.console.pages import HEADERS, labels, page
from service.console.requests import LIVE, AnyRequest, caller_of, form_of, needs, visitor_of
from service.console.signing import FORM_BYTES
from service.drafts.store import GOING
from service.http import drafts
from service.http.access import Caller, lacks
from service.http.handlers.books import versions_of
from service.http.problems import Problem, problem_of
from service.http.state import Served, served_by
from service.keys import is_same_name

DRAFT_BYTES = 3 * MAX_BYTES + FORM_BYTES  # a field of a form has three characters for a byte at most
LISTED = 50  # drafts on the page of the rule books
What = Literal["date", "backtest", "cancellation", "handing-in", "approval", "rejection", "publication", "discard"]
_READ: dict[str, Any] = {"guards": [needs("books:read")]}
Name = Annotated[str, PathParameter(description="The draft's id.", max_length=64)]


@get("/programmes/draft", **_READ)
async def get_form(request: AnyRequest) -> Response[bytes]:
    """The form for a draft; it begins with the newest version's text."""
    newest = (await versions_of(served_by(request)))[-1]
    return page(request, "draft.html", toml=newest.toml, file="", wrong="", checked=None)


@post("/programmes/draft", status_code=200, request_max_body_size=DRAFT_BYTES, **_READ)
async def check_draft(request: AnyRequest) -> Response[Any]:
    """Say whether a draft can be the ledger's next version, what it says, and how it differs; keep it where asked."""
    form = await form_of(request)
    toml, file = form.get("toml", "").replace("\r\n", "\n"), form.get("file", "").strip()
    served, language = served_by(request), visitor_of(request).language
    shown: dict[str, Any] = {"toml": toml, "file": file}
    try:
        if form.get("do") == "keep":
            found = await drafts.kept(served, _operator(request), toml, file)
            return _to(_address(found.draft))
        name = file or "draft.toml"
        told = await served.histories.read(lambda ledger: _told(ledger, toml, name, language))
    except (BadProgramme, Problem) as error:
        problem = problem_of(error)
        return page(request, "draft.html", status=problem.status, wrong=problem.detail, checked=None, **shown)
    return page(request, "draft.html", wrong="", **shown, **told)


@get("/programmes/drafts/{name:str}", **_READ)
async def get_kept(request: AnyRequest, name: Name) -> Response[bytes]:
    """A draft that is kept: its check as of now, its backtest, what can be done, and every step."""
    return await _kept_page(request, name)


@get("/programmes/drafts/{name:str}/book", **_READ)
async def get_text(request: AnyRequest, name: Name) -> Response[bytes]:
    """The draft's text, the very bytes that were kept, to download."""
    served = served_by(request)
    found, toml = await drafts.draft_of(served, name), await drafts.text_of(served, name)
    said = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.file, safe='')}"}
    return Response(toml.encode(), media_type="application/toml", headers={**HEADERS, **said})


@get("/programmes/drafts/{name:str}/report", **_READ)
async def get_report(request: AnyRequest, name: Name) -> Response[bytes]:
    """The report of the last backtest of a draft."""
    served = served_by(request)
    found = await drafts.report_of(served, name)
    if found is None:
        raise Problem("not-found", "no backtest of this draft has ended well; its page says how it is")
    return page(request, "backtest.html", report=found, back=_address(name), names=await labels(request))


@get(f"{LIVE.removeprefix('/console')}/backtest", **_READ)
async def get_progress(
    request: AnyRequest, draft: Annotated[str, QueryParameter(description="The draft's id.", max_length=64)]
) -> Response[bytes]:
    """How far the backtest of a draft is, as a part of its page, which is read anew once it has ended."""
    run = await drafts.run_of(served_by(request), draft)
    headers = {} if run is not None and run.state in GOING else {"HX-Refresh": "true"}
    return page(request, "draft-progress.html", name=draft, run=run, headers=headers)


@post("/programmes/drafts/{name:str}/{what:str}", request_max_body_size=FORM_BYTES, status_code=200, **_READ)
async def act(
    request: AnyRequest,
    name: Name,
    what: Annotated[What, PathParameter(description="The step.")],
) -> Response[Any]:
    """Do a step of a draft, and go back to its page; publishing is asked for once more."""
    form, served, caller = await form_of(request), served_by(request), _operator(request)
    try:
        if what == "publication" and "sure" not in form:
            return await _confirmation(request, name, form.get("from", ""))
        went = await _done(served, caller, name, what, form)
    except (BadInput, BadProgramme, Problem) as error:
        problem = problem_of(error)
        return await _kept_page(request, name, status=problem.status, problem=problem)
    return _to("/console/programmes" if what == "discard" else _address(went))


async def _done(served: Served, caller: Caller, name: str, what: What, form: dict[str, str]) -> str:
    """Do a step; return the id of the draft to go to. Raises `BadProgramme` and `Problem`."""
    match what:
        case "date":
            return (await drafts.dated(served, caller, name, form.get("from", ""))).draft
        case "backtest":
            await drafts.started(served, caller, name, await drafts.since_of(served, form.get("since", "")))
        case "cancellation":
            await drafts.cancelled(served, caller, name)
        case "handing-in":
            await drafts.handed_in(served, caller, name, form.get("why", ""))
        case "approval":
            await drafts.approved(served, caller, name)
        case "rejection":
            await drafts.rejected(served, caller, name, form.get("why", ""))
        case "publication":
            await drafts.published(served, caller, name, form.get("from", ""), is_past_meant="past" in form)
        case "discard":
            await drafts.discarded(served, caller, name)
    return name


async def _confirmation(request: AnyRequest, name: str, day: str) -> Response[bytes]:
    """Return the page that says what publishing decides, and what it leaves as it is. Raises `Problem`."""
    served = served_by(request)
    found, check = await drafts.check_of(served, name)
    drafts.check_day(check, day)
    return page(
        request,
        "draft-publish.html",
        address=_address(name),
        draft=found,
        check=check,
        begins=begins,
        until=next((one for one in await versions_of(served) if one.since > check.since), None),
        decided=await drafts.decided_since(served, check.since) if check.is_past else 0,
        run=await drafts.run_of(served, name),
    )


async def _kept_page(
    request: AnyRequest, name: str, *, status: int = 200, problem: Problem | None = None
) -> Response[bytes]:
    """Return the page of a draft; where it can no longer be the next version it says why."""
    served, visitor = served_by(request), visitor_of(request)
    found = await drafts.draft_of(served, name)
    told: dict[str, Any] = {"checked": None}
    wrong = ""
    if found.is_open:
        try:
            toml = await drafts.text_of(served, name)
            language = visitor.language
            told = await served.histories.read(lambda ledger: _told(ledger, toml, found.file, language))
        except (BadProgramme, Problem) as error:
            wrong = problem_of(error).detail
    me = caller_of(request).name
    run = await drafts.run_of(served, name)
    return page(
        request,
        "draft-kept.html",
        status=status,
        address=_address(name),
        name=name,
        draft=found,
        wrong=wrong,
        problem=problem,
        me=me,
        is_own=any(is_same_name(me, name) for name in (found.by, found.handed_in_by)),
        run=run,
        is_going=run is not None and run.state in GOING,
        report=await drafts.report_of(served, name),
        names=await labels(request),
        local=await local_times(served),
        begins=begins,
        **told,
    )


async def local_times(served: Served) -> Callable[[str], str]:
    """Return what says an instant of the operators' log in the book's zone."""
    return partial(_local, await served.readers.read(lambda ledger: ledger.book.offset))


def _local(zone: Zone, at: str) -> str:
    return to_text(to_instant(datetime.fromisoformat(at)), zone)


def begins(at: str) -> str:
    """Return an instant of RFC 3339 as a day, the time of the day and the offset, also where that is midnight."""
    moment = datetime.fromisoformat(at)
    return f"{moment:%Y-%m-%d %H:%M} {at[-6:]}"


def _told(ledger: Ledger, toml: str, file: str, language: Language) -> dict[str, Any]:
    """Return what a page says of a draft. Raises `BadProgramme`."""
    check = drafts.checked(ledger, toml, file)
    return {
        "checked": check,
        "differences": differences(check.against.programme, check.version.programme),
        "told": sentences(check.version, language),
    }


def _operator(request: AnyRequest) -> Caller:
    """Return who is signed in, who must hold the scope to operate. Raises `Problem`."""
    caller = caller_of(request)
    if not caller.has("operate"):
        raise lacks("operate")
    return caller


def _address(name: str) -> str:
    return f"/console/programmes/drafts/{quote(name, safe='')}"


def _to(address: str) -> Redirect:
    return Redirect(address, status_code=303, headers=HEADERS)


HANDLERS = (get_form, check_draft, get_kept, get_text, get_report, get_progress, act)
