"""Drafts of rule books: kept, backtested, handed in, approved by another key, and published."""

from typing import Annotated

from litestar import Response
from litestar.params import PathParameter
from msgspec import Struct, field

from ledger.wire.facts import MAX_BYTES
from projections.what_if.reports import Report
from service.drafts.records import Draft, Drafts
from service.drafts.store import Run
from service.http import drafts
from service.http.access import caller_of, needs
from service.http.answers import answer, plain_answer
from service.http.operations import AnyRequest, Subject
from service.http.problems import Problem
from service.http.state import served_by

BYTES = 16 << 10  # of what is asked of a draft
LISTED = 200  # drafts, the newest
KEPT_BYTES = 2 * MAX_BYTES  # of a draft as JSON
READERS = Subject("Drafts", needs("books:read"))
OPERATORS = Subject("Drafts", needs("operate"))
_ERRORS = ("unknown-draft", "already-done", "bad-programme", "wrong-media-type", "too-large")
Name = Annotated[str, PathParameter(description="The draft's id.", max_length=64)]


class DraftRequest(Struct, frozen=True):
    """A draft that is to be kept: the whole TOML of a rule book, and the name of its file."""

    toml: str
    file: str = "draft.toml"


class BacktestRequest(Struct, frozen=True):
    """From when the draft is to decide in its backtest: a date or an instant; left out, from the first fact on."""

    from_: str | None = field(name="from", default=None)


class ReasonRequest(Struct, frozen=True):
    """Why a draft is handed in or rejected."""

    reason: str


class PublicationRequest(Struct, frozen=True):
    """The date of the draft's `from` once more; `past` says that a past one is meant."""

    from_: str = field(name="from")
    past: bool = False


class Backtest(Struct, frozen=True):
    """The last backtest of a draft: how far it is or how it ended, and what it found."""

    run: Run | None
    report: Report | None


@READERS.get("/v1/drafts", "getDrafts", "Drafts")
async def get_drafts(request: AnyRequest) -> Response[Drafts]:
    """The newest two hundred drafts that were kept here, each with every step of it."""
    return answer(request, Drafts((await drafts.drafts_of(served_by(request)))[:LISTED]))


@OPERATORS.post("/v1/drafts", "keepDraft", "Keep a draft", "no-room", *_ERRORS, most_bytes=KEPT_BYTES, status=201)
async def keep(request: AnyRequest, data: DraftRequest) -> Response[Draft]:
    """Keep a draft that can be the ledger's next version; the same bytes again are the draft there is.

    What is wrong with one is named by file, table and key (`bad-programme`), and nothing is kept.
    """
    found = await drafts.kept(served_by(request), caller_of(request), data.toml, data.file)
    return plain_answer(found, 201, {"Location": f"/v1/drafts/{found.draft}"})


@READERS.get("/v1/drafts/{draft:str}", "getDraft", "A draft", *_ERRORS)
async def get_draft(request: AnyRequest, draft: Name) -> Response[Draft]:
    """A draft, how far it is, and every step: who did it when, and what it stood on."""
    return answer(request, await drafts.draft_of(served_by(request), draft))


@READERS.get("/v1/drafts/{draft:str}/book", "getDraftBook", "A draft's text", *_ERRORS, media_type="application/toml")
async def get_book(request: AnyRequest, draft: Name) -> Response[bytes]:
    """The TOML of a draft, the very bytes that were kept."""
    toml = await drafts.text_of(served_by(request), draft)
    return Response(toml.encode(), media_type="application/toml")


@OPERATORS.delete("/v1/drafts/{draft:str}", "discardDraft", "Discard a draft", *_ERRORS)
async def discard(request: AnyRequest, draft: Name) -> Response[Draft]:
    """Discard a draft that nobody needs any more. Its record stays."""
    return plain_answer(await drafts.discarded(served_by(request), caller_of(request), draft))


@OPERATORS.post(
    "/v1/drafts/{draft:str}/backtest",
    "startDraftBacktest",
    "Backtest a draft",
    *_ERRORS,
    most_bytes=BYTES,
    status=202,
)
async def start(request: AnyRequest, draft: Name, data: BacktestRequest) -> Response[Run]:
    """Decide the whole history again under a draft, beside the server; one backtest runs at a time."""
    served = served_by(request)
    since = await drafts.since_of(served, data.from_ or "")
    run = await drafts.started(served, caller_of(request), draft, since)
    return plain_answer(run, 202, {"Location": f"/v1/drafts/{draft}/backtest", "Retry-After": "1"})


@READERS.get("/v1/drafts/{draft:str}/backtest", "getDraftBacktest", "A draft's backtest", *_ERRORS)
async def get_backtest(request: AnyRequest, draft: Name) -> Response[Backtest]:
    """How far the last backtest of a draft is or how it ended, and what it found. Instants are in microseconds."""
    served = served_by(request)
    report = await drafts.report_of(served, draft)
    return answer(request, Backtest(await drafts.run_of(served, draft), report))


@OPERATORS.delete("/v1/drafts/{draft:str}/backtest", "cancelDraftBacktest", "Cancel a backtest", *_ERRORS)
async def cancel(request: AnyRequest, draft: Name) -> Response[Run]:
    """Cancel the backtest of a draft; one that has ended stays as it is."""
    run = await drafts.cancelled(served_by(request), caller_of(request), draft)
    if run is None:
        raise Problem("unknown-draft", "no backtest of this draft was run")
    return plain_answer(run)


@OPERATORS.post("/v1/drafts/{draft:str}/handing-in", "handInDraft", "Hand in a draft", *_ERRORS, most_bytes=BYTES)
async def hand_in(request: AnyRequest, draft: Name, data: ReasonRequest) -> Response[Draft]:
    """Hand a draft in for the approval of another key, with a reason."""
    return plain_answer(await drafts.handed_in(served_by(request), caller_of(request), draft, data.reason))


@OPERATORS.post(
    "/v1/drafts/{draft:str}/approval",
    "approveDraft",
    "Approve a draft",
    "approval-needed",
    *_ERRORS,
    most_bytes=BYTES,
)
async def approve(request: AnyRequest, draft: Name) -> Response[Draft]:
    """Approve a draft that another key kept and handed in. Nothing is published yet."""
    return plain_answer(await drafts.approved(served_by(request), caller_of(request), draft))


@OPERATORS.post("/v1/drafts/{draft:str}/rejection", "rejectDraft", "Reject a draft", *_ERRORS, most_bytes=BYTES)
async def reject(request: AnyRequest, draft: Name, data: ReasonRequest) -> Response[Draft]:
    """Reject a draft, or withdraw one's own. It can be handed in again."""
    return plain_answer(await drafts.rejected(served_by(request), caller_of(request), draft, data.reason))


@OPERATORS.post("/v1/drafts/{draft:str}/publication", "publishDraft", "Publish a draft", *_ERRORS, most_bytes=BYTES)
async def publish(request: AnyRequest, draft: Name, data: PublicationRequest) -> Response[Draft]:
    """Publish an approved draft for what occurs from its `from` on, which is given once more. It cannot be taken back.

    Entries already made stay as they are. With a past `from` facts since then that are still to come are decided by it,
    so `past` has to be true.
    """
    found = await drafts.published(served_by(request), caller_of(request), draft, data.from_, is_past_meant=data.past)
    return plain_answer(found)


HANDLERS = (
    get_drafts,
    keep,
    get_draft,
    get_book,
    discard,
    start,
    get_backtest,
    cancel,
    hand_in,
    approve,
    reject,
    publish,
)
