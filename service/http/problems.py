"""Errors as RFC 9457 problem details: each type with its status and title, and what is raised as which."""

import sqlite3
import traceback
from collections.abc import Mapping
from typing import Any, NamedTuple

from litestar import Request, Response
from litestar.exceptions import HTTPException

from consumers.dead_letters import BadPosition
from ledger.errors import ControlFlow
from ledger.journal.port import JournalError
from ledger.journal.pruned import Elsewhere
from ledger.rulebook.schema import BadProgramme
from ledger.wire.fact_codec import BadFact
from projections.answers.feed import BadCursor
from projections.answers.houses import UnknownHouse
from projections.answers.members import UnknownMember
from projections.answers.pools import UnknownPool
from projections.answers.to_json import to_json
from projections.audit.proof import BadProof, Refuted
from projections.audit.proof.prove import NoEntry, NotCovered
from projections.audit.proof.store import Full, NoCheckpoint
from projections.explaining.history import NothingToExplain
from service.errors import say
from service.http.pending import Busy
from service.languages import told, wanted_language

MEDIA_TYPE = "application/problem+json"
BASE = "/problems/"  # what a type begins with; docs/http.md has a row for each


class Type(NamedTuple):
    """A type of problem."""

    status: int
    title: str


TYPES: dict[str, Type] = {
    "bad-request": Type(400, "The request cannot be read"),
    "no-key": Type(401, "A valid API key is needed"),
    "wrong-scope": Type(403, "The key may not do this"),
    "wrong-origin": Type(403, "The request comes from another site"),
    "approval-needed": Type(403, "It needs the approval of another key"),
    "not-found": Type(404, "There is nothing at this address"),
    "unknown-house": Type(404, "The ledger has no such house"),
    "unknown-pool": Type(404, "The rule book has no such budget or stock"),
    "unknown-member": Type(404, "Nobody knows this member"),
    "unknown-entry": Type(404, "There is no such entry or lot"),
    "unknown-position": Type(404, "There is nothing at this position"),
    "unknown-version": Type(404, "There is no such version of the rule book"),
    "unknown-checkpoint": Type(404, "There is no such checkpoint"),
    "unknown-webhook": Type(404, "There is no such webhook"),
    "unknown-adjustment": Type(404, "There is no such adjustment"),
    "unknown-person": Type(404, "Nobody signs in under this name"),
    "unknown-draft": Type(404, "There is no such draft of a rule book"),
    "method-not-allowed": Type(405, "This address does not take that method"),
    "too-slow": Type(408, "The request took too long to arrive"),
    "refused": Type(409, "The request was decided, and refused"),
    "conflict": Type(409, "A fact of the same source and id came before with other content"),
    "not-as-signed": Type(409, "The ledger is not what the checkpoint signed"),
    "no-room": Type(409, "As many are kept as may be"),
    "already-done": Type(409, "That was done before"),
    "too-large": Type(413, "The body is too large"),
    "address-too-long": Type(414, "The address is too long"),
    "wrong-media-type": Type(415, "The body has a media type that is not taken here"),
    "bad-checkpoint": Type(422, "The body is no checkpoint of this ledger"),
    "bad-webhook": Type(422, "The webhook cannot be made"),
    "bad-programme": Type(422, "The rule book cannot be used"),
    "bad-fact": Type(422, "The body is no fact that can be taken"),
    "too-many-requests": Type(429, "The key makes too many requests"),
    "headers-too-large": Type(431, "The headers are too large"),
    "internal": Type(500, "A bug"),
    "not-delivered": Type(502, "The receiver did not acknowledge"),
    "busy": Type(503, "It cannot be done now"),
    "took-too-long": Type(503, "The answer took too long to make"),
}
_BY_STATUS = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "wrong-media-type",
}
_BY_ERROR: dict[type[Exception], str] = {
    UnknownHouse: "unknown-house",
    NothingToExplain: "unknown-entry",
    NoEntry: "unknown-entry",
    NoCheckpoint: "unknown-checkpoint",
    NotCovered: "unknown-checkpoint",
    BadProof: "bad-checkpoint",
    Refuted: "not-as-signed",
    Full: "no-room",
    BadPosition: "unknown-position",
    BadProgramme: "bad-programme",
}
RETRY_SECONDS = "1"


def described(name: str) -> dict[str, Any]:
    """Return a type of problem as a document."""
    kind = TYPES[name]
    return {"type": BASE + name, "title": kind.title, "status": kind.status}


class Problem(ControlFlow):
    """An answer that is an error: its type, what happened and the way out, and more members of the document."""

    def __init__(self, name: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.status = TYPES[name].status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = {name: value for name, value in more.items() if value is not None}
        if self.status in (413, 408):
            self.headers["Connection"] = "close"  # the rest of the body is not worth reading
        if self.status == 503:
            self.headers.setdefault("Retry-After", RETRY_SECONDS)

    def body(self, language: str = "") -> bytes:
        """Return the document, its title and detail in a language by two letters, else in English."""
        kind = TYPES[self.name]
        title, detail = told(kind.title, language), told(self.detail, language)
        return to_json({"type": BASE + self.name, "title": title, "status": kind.status, "detail": detail, **self.more})


def problem_of(error: Exception) -> Problem:
    """Whatever was raised as a problem; what nobody foresaw is a bug, and its details stay here."""
    for kind, name in _BY_ERROR.items():
        if isinstance(error, kind):
            return Problem(name, str(error))
    match error:
        case Problem():
            return error
        case BadCursor():
            return Problem("bad-request", f"after: {error}")
        case BadFact():
            return Problem("bad-fact", error.detail, reason=error.reason)
        case UnknownPool():
            return Problem("unknown-pool", str(error))
        case UnknownMember():
            return Problem("unknown-member", "the ledger has no entry of this member")
        case Busy():
            return Problem("busy", f"{error}; ask again: a fact counts once", partition=error.partition)
        case TimeoutError():
            return Problem("took-too-long", "the answer took too long to make; ask for less, or the command line")
        case Elsewhere():
            say(str(error))
            said = f"entries of {error.month} are in an archive that cannot be read now; the server's log says where"
            return Problem("busy", said)
        case HTTPException() if error.status_code in _BY_STATUS:
            return Problem(_BY_STATUS[error.status_code], _detail_of(error), error.headers)
    say(f"{type(error).__name__} while answering")
    traceback.print_exception(error)
    if isinstance(error, JournalError | sqlite3.Error):
        return Problem("busy", "the ledger's store cannot be used now; the server's log says why")
    return Problem("internal", "the server's log says more: please report it with that")


def _detail_of(error: HTTPException) -> str:
    wrong = error.extra if isinstance(error.extra, list) else []
    named = [f"{one.get('key', '')}: {one.get('message', '')}" for one in wrong if isinstance(one, dict)]
    if error.status_code == 413:
        return "the body has more bytes than are taken here; send it in pieces: what is sent again counts once"
    return "; ".join(named) or error.detail.split(" for http", 1)[0]


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The handler of every error. One of the store that meets a member is that of the member's partition alone."""
    problem = problem_of(error)
    is_of_partition = isinstance(error, JournalError) and not isinstance(error, Elsewhere)
    if is_of_partition and "member" in request.path_params:
        partition = request.app.state.served.ledger.partition_of(str(request.path_params["member"]))
        detail = f"partition {partition} cannot be read now; the server's log says why. Other members are answered"
        problem = Problem("busy", detail, partition=partition)
    language = wanted_language(request.headers.get("accept-language", ""))
    headers = {**problem.headers, "Content-Language": language or "en", "Vary": "Accept-Language"}
    return Response(problem.body(language), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)
