"""What operators do about a member: points given and taken, accounts frozen, benefits given back, members made one.

Each act has a reason.

An act has three steps: the form; what it would change, tried on a copy of the account; and the act itself. The second
gives it a name with its instant and a seal. The fact has that id and time, so a double click, the back button or a
request sent again is the same fact, and counts once.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import quote

import msgspec
from litestar import Response, get, post
from litestar.params import PathParameter, QueryParameter
from litestar.response import Redirect

from ledger.journal.ledger import Ledger
from ledger.wire.answers import AdjustmentRequest, Award, Decision
from ledger.wire.entries import ACCEPTED, OUTCOMES
from ledger.wire.fact_codec import BadFact, decode
from ledger.wire.facts import Fact
from ledger.wire.times import SECOND, to_text
from projections.answers.members import UnknownMember, require_member
from projections.what_if.merging import trial_of_merge, trial_of_unmerge
from projections.what_if.quote import Quoter
from service.console.pages import HEADERS, labels, page
from service.console.requests import AnyRequest, caller_of, form_of, needs, visitor_of
from service.console.sessions import Sessions
from service.console.signing import FORM_BYTES
from service.http.access import Caller, check_readable
from service.http.handlers.adjustments import approved, proposed, rejected
from service.http.handlers.facts import decided
from service.http.problems import Problem, problem_of
from service.http.repeated import decided_before
from service.http.state import Served, served_by
from service.keys import is_same_name

Kind = Literal["adjust", "goodwill", "freeze", "unfreeze", "give-back", "merge", "unmerge"]
TYPES: dict[Kind, str] = {
    "adjust": "points.adjusted",
    "goodwill": "campaign.granted",
    "freeze": "account.frozen",
    "unfreeze": "account.unfrozen",
    "give-back": "benefit.returned",
    "merge": "member.merged",
    "unmerge": "member.unmerged",
}
OF_NAMES = ("merge", "unmerge")  # acts that say the other name once more before they are done
GOODWILL_CAMPAIGN = "goodwill"
MOST_WHY = 128  # characters, as a reason of a fact has
MOST_POINTS = 1_000_000_000
MOST_ADJUSTMENTS = 200  # on the page
ACT_SECONDS = 3_600  # for which a form that was looked at can be sent
FIELDS = ("member", "kind", "why", "purse", "points", "claim", "order", "line", "grant", "lot", "other")  # of a form
_OPERATE: dict[str, Any] = {"guards": [needs("operate")]}
Id = Annotated[str, QueryParameter(description="The member's token.", max_length=128)]


class Asked(NamedTuple):
    """An act as its form says it; `of` is the award it is aimed at, `claim` the benefit's, `other` another name."""

    kind: Kind
    member: str
    why: str
    purse: str = ""
    points: int = 0
    claim: str = ""
    of: Award | None = None
    other: str = ""

    def data(self, name: str, by: str) -> dict[str, Any]:
        """Return the data of the fact, under a name; of an adjustment as if it were approved."""
        match self.kind:
            case "adjust":
                aim = {"of": self.of} if self.of else {}
                about = {"adjustment": name, "reason": self.why, "by": by, "approved_by": f"{by}?"}
                return {**about, "kind": self.purse, "points": self.points, **aim}
            case "goodwill":
                about = {"grant": name, "campaign": GOODWILL_CAMPAIGN}
                return {**about, "kind": self.purse, "points": self.points}
            case "give-back":
                return {"claim": self.claim}
            case "merge":
                return {"into": self.other}
            case "unmerge":
                return {"name": self.other}
        return {"reason": self.why}


@get("/acts", **_OPERATE)
async def get_acts(request: AnyRequest, id: Id) -> Response[bytes]:
    """What can be done about a member."""
    served = served_by(request)
    await served.readers.read(lambda ledger: require_member(ledger, id))
    return await _acts_page(request, id)


@post("/acts", request_max_body_size=FORM_BYTES, status_code=200, **_OPERATE)
async def post_act(request: AnyRequest) -> Response[Any]:
    """Say what an act would change, and once that is confirmed, do it."""
    form = await form_of(request)
    served, caller, member = served_by(request), caller_of(request), form.get("member", "")
    try:
        asked = _asked(form)
        await served.readers.read(lambda ledger: _check(ledger, asked))
        if "act" not in form:
            return await _confirmation(request, asked, form)
        if asked.kind in OF_NAMES and form.get("again", "").strip() != asked.other:
            raise Problem("bad-request", f"to do it, type {asked.other} once more; begin again")
        name, at = _opened(request, form["act"])
        if asked.kind == "adjust":
            await proposed(served, caller, _request_of(asked), name)
            return Redirect("/console/adjustments", status_code=303, headers=HEADERS)
        decision = await _given(served, caller, asked, name, at)
    except (BadFact, Problem) as error:
        problem = problem_of(error)
        return await _acts_page(request, member, status=problem.status, problem=problem, form=form)
    return await _acts_page(request, member, decision=decision, is_done=True, moves=asked.kind in OF_NAMES)


@get("/adjustments", **_OPERATE)
async def get_adjustments(request: AnyRequest) -> Response[bytes]:
    """Adjustments that were proposed, the newest first; those that wait can be approved by another key."""
    return await _adjustments_page(request)


@post("/adjustments/{name:str}/{what:str}", request_max_body_size=FORM_BYTES, status_code=200, **_OPERATE)
async def decide_adjustment(
    request: AnyRequest,
    name: Annotated[str, PathParameter(description="The adjustment's id.", max_length=128)],
    what: Annotated[Literal["approval", "rejection"], PathParameter(description="What is decided.")],
) -> Response[Any]:
    """Approve or reject an adjustment; the same again changes nothing."""
    await form_of(request)
    try:
        await (approved if what == "approval" else rejected)(served_by(request), caller_of(request), name)
    except (BadFact, Problem) as error:
        problem = problem_of(error)
        return await _adjustments_page(request, status=problem.status, problem=problem)
    return Redirect("/console/adjustments", status_code=303, headers=HEADERS)


def _asked(form: Mapping[str, str]) -> Asked:
    """Return the act that a form asks for. Raises `Problem`."""
    member, why, kind = form.get("member", ""), form.get("why", "").strip(), form.get("kind", "")
    if kind not in TYPES:
        raise Problem("bad-request", "there is no such act; go back and reload the page")
    if not 0 < len(why) <= MOST_WHY:
        raise Problem("bad-request", f"say why, in 1 to {MOST_WHY} characters")
    points = form.get("points", "").strip()
    award = Award(*(form.get(name, "").strip() for name in ("order", "line", "grant", "lot")))
    amount = 0
    if kind in ("adjust", "goodwill"):
        digits = points.removeprefix("-") if kind == "adjust" else points
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and 0 < int(digits) <= MOST_POINTS):
            raise Problem("bad-request", f"points are a whole number, 1 to {MOST_POINTS:,}; less than 0 takes points")
        amount = int(points)
    return Asked(
        kind,
        member,
        why,
        form.get("purse", ""),
        amount,
        form.get("claim", "").strip(),
        award if award != Award() and kind == "adjust" else None,
        form.get("other", "").strip() if kind in OF_NAMES else "",
    )


def _check(ledger: Ledger, asked: Asked) -> None:
    """Raise `UnknownMember`, and `Problem` for a kind of points or another member that there is not."""
    require_member(ledger, asked.member)
    if asked.kind == "merge":
        try:
            require_member(ledger, asked.other)
        except UnknownMember as error:
            raise Problem("unknown-member", str(error)) from None
    if asked.points and asked.purse not in _kinds(ledger, asked.member):
        raise Problem("bad-request", "the member's book has no such kind of points; go back and reload the page")


def _kinds(ledger: Ledger, member: str) -> list[str]:
    """Return the kinds of points that a member's book has now."""
    return list(ledger.book_of(member).nearest(_now()).programme.kinds)


def _can_part(ledger: Ledger, member: str) -> list[str]:
    """Return the names of a member that can be parted: those that did not come with another."""
    account = ledger.account(member, _now())
    bundle = account.bundle if account is not None else None
    return [name for name, taken in bundle.names.items() if not taken.through] if bundle is not None else []


def _request_of(asked: Asked) -> AdjustmentRequest:
    return AdjustmentRequest(asked.member, asked.points, asked.why, asked.purse, asked.of)


async def _confirmation(request: AnyRequest, asked: Asked, form: Mapping[str, str]) -> Response[bytes]:
    """Return the page that says what an act would change; what is beyond a limit becomes an adjustment."""
    served, caller = served_by(request), caller_of(request)
    if asked.kind in OF_NAMES:
        return await _move_confirmation(request, asked, form)
    left = 0
    if asked.kind == "goodwill":
        left = await asyncio.to_thread(served.operator_log.goodwill_left, caller.name, caller.goodwill)
        if asked.points > left:
            asked = asked._replace(kind="adjust")

    def tried(ledger: Ledger) -> dict[str, Any]:
        quoter = Quoter(ledger, asked.member, _now())
        decision, after = quoter.tried(TYPES[asked.kind], asked.data("trial", caller.name), _source(served))
        kinds = {*quoter.account.purses, *after.purses}
        before = quoter.account
        is_same = asked.kind in ("freeze", "unfreeze") and before.frozen == after.frozen
        changes = [(kind, before.purse(kind), after.purse(kind)) for kind in sorted(kinds)]
        return {
            "outcome": OUTCOMES[decision.outcome],
            "reason_code": "already" if is_same else decision.reason,
            "is_taken": decision.outcome == ACCEPTED and not is_same,
            "changes": [
                (kind, old.spendable(), new.spendable(), old.debt, new.debt)
                for kind, old, new in changes
                if (old.spendable(), old.debt) != (new.spendable(), new.debt) or kind == asked.purse
            ],
            "frozen": (before.frozen, after.frozen),
        }

    return page(
        request,
        "act.html",
        above_limit=form.get("kind") == "goodwill" and asked.kind == "adjust",
        left=left,
        **await _of_confirmation(request, asked, form),
        **await served.readers.read(tried),
    )


async def _of_confirmation(request: AnyRequest, asked: Asked, form: Mapping[str, str]) -> dict[str, Any]:
    """Return what every page that says what an act would change shows."""
    return {
        "address": _address(asked.member),
        "asked": asked,
        "form": {name: form[name] for name in FIELDS if name in form and name != "kind"},
        "act": _sealed(request),
        "names": await labels(request),
    }


async def _move_confirmation(request: AnyRequest, asked: Asked, form: Mapping[str, str]) -> Response[bytes]:
    """Return the page that says what would move if members became one, or were parted."""
    served = served_by(request)
    check_readable(caller_of(request), asked.other)
    trial = trial_of_merge if asked.kind == "merge" else trial_of_unmerge
    found = await served.readers.read(lambda ledger: trial(ledger, asked.member, asked.other, _now(), _source(served)))
    return page(request, "act-move.html", trial=found, **await _of_confirmation(request, asked, form))


async def _given(served: Served, caller: Caller, asked: Asked, name: str, at: int) -> Decision:
    """Have the fact of an act decided. Raises `BadFact` and `Problem`."""
    raw = msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": name,
            "source": _source(served),
            "type": f"{TYPES[asked.kind]}.v1",
            "subject": asked.member,
            "time": to_text(at, 0),
            "data": asked.data(name, caller.name),
        }
    )
    fact, _ = decode(raw)
    served.check_partition_of(asked.member)
    before = await served.readers.read(lambda ledger: decided_before(ledger, [fact]))
    if before:
        return before[0]
    await asyncio.to_thread(_record, served, caller, asked, fact)
    _, fate = await decided(served, raw, served.wait, fact)
    if not isinstance(fate, Decision):
        raise Problem("busy", "it is taken and not decided yet; send the form again to see what became of it")
    if fate.reason == "conflict":
        raise Problem("already-done", "this form was sent before with other figures; begin again")
    return fate


def _record(served: Served, caller: Caller, asked: Asked, fact: Fact) -> None:
    """Record who does an act and why, before it is done. Raises `Problem` beyond the caller's limit."""
    if asked.kind == "goodwill":
        served.operator_log.record_goodwill(caller.name, fact, asked.points, asked.why, caller.goodwill)
    else:
        served.operator_log.record_given(caller.name, [fact], asked.why)


def _source(served: Served) -> str:
    source = min(served.sources.operators, default="")
    if not source:
        raise Problem("wrong-scope", "the ledger has no `operators` source, so nobody may act")
    return source


def _sealed(request: AnyRequest) -> str:
    """Return the name of a new act, ``act-MICROSECONDS-RANDOM``, and behind a dot the session's seal of it."""
    name = f"act-{_now()}-{secrets.token_hex(8)}"
    return f"{name}.{_seal(request, name)}"


def _opened(request: AnyRequest, sealed: str) -> tuple[str, int]:
    """Return the name and instant of an act that this session sealed. Raises `Problem`."""
    name, _, seal = sealed.rpartition(".")
    if not name or not secrets.compare_digest(seal.encode(), _seal(request, name).encode()):
        raise Problem("wrong-origin", "the form is not of this session; begin again")
    at = int(name.split("-")[1])
    if _now() - at > ACT_SECONDS * SECOND:
        raise Problem("bad-request", "the form is older than an hour; begin again")
    return name, at


def _seal(request: AnyRequest, name: str) -> str:
    sessions: Sessions = request.app.state.sessions
    return sessions.form_token(f"{visitor_of(request).token} {name}")


def _address(member: str) -> str:
    return f"/console/acts?id={quote(member, safe='')}"


async def _acts_page(
    request: AnyRequest, member: str, *, status: int = 200, form: Mapping[str, str] | None = None, **values: Any
) -> Response[bytes]:
    served, caller = served_by(request), caller_of(request)
    left = await asyncio.to_thread(served.operator_log.goodwill_left, caller.name, caller.goodwill)
    shown: dict[str, Any] = {"problem": None, "decision": None, "is_done": False, "moves": False}
    kinds, parted = await served.readers.read(lambda ledger: (_kinds(ledger, member), _can_part(ledger, member)))
    return page(
        request,
        "acts.html",
        status=status,
        address=_address(member),
        member=member,
        kinds=kinds,
        parted=parted,
        form={name: (form or {}).get(name, "") for name in FIELDS},
        left=left,
        names=await labels(request),
        **{**shown, **values},
    )


async def _adjustments_page(
    request: AnyRequest, *, status: int = 200, problem: Problem | None = None
) -> Response[bytes]:
    found = await asyncio.to_thread(served_by(request).operator_log.adjustments)
    me = caller_of(request).name
    return page(
        request,
        "adjustments.html",
        status=status,
        address="/console/adjustments",
        adjustments=found[:MOST_ADJUSTMENTS],
        own={one.adjustment for one in found[:MOST_ADJUSTMENTS] if is_same_name(one.by, me)},
        names=await labels(request),
        problem=problem,
    )


def _now() -> int:
    """Return the present in microseconds."""
    return time.time_ns() // 1000


HANDLERS = (get_acts, post_act, get_adjustments, decide_adjustment)
