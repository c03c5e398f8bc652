"""One member: now, then or in time to come; the entries; and why."""

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Response
from litestar.params import PathParameter, QueryParameter

from ledger.journal.ledger import Ledger
from ledger.wire.answers import Balances, Entries, Entry, Lots, Member, MemberNames, Memberships, Outcome, Scores
from projections.answers.members import EntryFilter, entries_of, filtered_entries, members_after
from projections.answers.show import balances_of, show_member
from projections.explaining.explain import explain_entry, explain_lot
from projections.explaining.history import NothingToExplain
from projections.explaining.member import explain_member
from projections.ticking import Progress
from service.http.access import needs, needs_member
from service.http.answers import answer, instant, known_instant, known_types
from service.http.operations import AnyRequest, Subject
from service.http.readers import WHY_SECONDS
from service.http.state import served_by
from service.languages import accepted_language

MOST_ENTRIES = 1_000
ENTRIES = 100

AsOf = Annotated[
    str | None,
    QueryParameter(
        name="as_of",
        description="Answer for this instant: a date, a local time or RFC 3339; it may lie ahead. Now where left out.",
    ),
]
KnownAt = Annotated[
    str | None, QueryParameter(name="known_at", description="Only by what was recorded up to this instant.")
]
Number = Annotated[int, PathParameter(ge=1, le=1 << 53, description="The entry's number: 1, 2, 3 …")]
Token = Annotated[
    str,
    PathParameter(description="The member's token, the `subject` of the facts; a `/` in it is `%2F`.", max_length=128),
]
MEMBER = Subject("Members", needs_member)


@Subject("Members", needs("members:read")).get("/v1/members", "getMembers", "The members")
async def get_members(
    request: AnyRequest,
    after: Annotated[str, QueryParameter(description="The cursor: members behind this token.", max_length=128)] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=MOST_ENTRIES, description="At most so many.")] = ENTRIES,
) -> Response[MemberNames]:
    """Every member with an entry, by token, a page at a time; `next` leads to the next one."""
    found = await served_by(request).readers.read(lambda ledger: members_after(ledger, after, limit + 1))
    following = found[limit - 1] if len(found) > limit else None
    return answer(request, MemberNames(found[:limit], following))


@MEMBER.get("/v1/members/{member:str}", "getMember", "A member", "unknown-member")
async def get_member(
    request: AnyRequest, member: Token, as_of: AsOf = None, known_at: KnownAt = None
) -> Response[Member]:
    """What a member has: points in lots, scores by part, memberships with what is left of their quotas."""
    return answer(request, await _shown(request, member, as_of, known_at))


@MEMBER.get("/v1/members/{member:str}/balances", "getBalances", "Balances", "unknown-member")
async def get_balances(
    request: AnyRequest, member: Token, as_of: AsOf = None, known_at: KnownAt = None
) -> Response[Balances]:
    """How many points of each kind a member has."""
    return answer(request, balances_of(await _shown(request, member, as_of, known_at)))


@MEMBER.get("/v1/members/{member:str}/lots", "getLots", "Lots", "unknown-member")
async def get_lots(request: AnyRequest, member: Token, as_of: AsOf = None, known_at: KnownAt = None) -> Response[Lots]:
    """A member's open lots, the soonest to expire first."""
    found = await _shown(request, member, as_of, known_at)
    return answer(request, Lots(member, found.as_of, {kind: purse.lots for kind, purse in found.points.items()}))


@MEMBER.get("/v1/members/{member:str}/scores", "getScores", "Scores", "unknown-member")
async def get_scores(
    request: AnyRequest, member: Token, as_of: AsOf = None, known_at: KnownAt = None
) -> Response[Scores]:
    """A member's scores with their tiers and parts."""
    found = await _shown(request, member, as_of, known_at)
    return answer(request, Scores(member, found.as_of, found.scores))


@MEMBER.get("/v1/members/{member:str}/memberships", "getMemberships", "Memberships", "unknown-member")
async def get_memberships(
    request: AnyRequest, member: Token, as_of: AsOf = None, known_at: KnownAt = None
) -> Response[Memberships]:
    """A member's memberships: the term, and what is left of its quotas."""
    found = await _shown(request, member, as_of, known_at)
    return answer(request, Memberships(member, found.as_of, found.memberships, found.seats))


@MEMBER.get("/v1/members/{member:str}/entries", "getEntries", "Entries", "unknown-member")
async def get_entries(
    request: AnyRequest,
    member: Token,
    after: Annotated[int, QueryParameter(ge=0, le=1 << 53, description="The cursor: entries behind this number.")] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=MOST_ENTRIES, description="At most so many.")] = ENTRIES,
    kind: Annotated[
        str, QueryParameter(description="That moved this kind of points or this score alone.", max_length=128)
    ] = "",
    type: Annotated[
        list[str] | None, QueryParameter(description="Of facts of these types alone, such as order.completed.v1.")
    ] = None,
    outcome: Annotated[list[Outcome] | None, QueryParameter(description="With these outcomes alone.")] = None,
    since: Annotated[
        str | None, QueryParameter(name="from", description="Of facts that occurred at this instant or later.")
    ] = None,
    until: Annotated[str | None, QueryParameter(description="Of facts that occurred before this instant.")] = None,
) -> Response[Entries]:
    """Every decision about a member, in order, a page at a time; `next` and the `Link` header lead to the next one.

    With a filter a page may have less than `limit` entries though more follow: go on while there is `next`.
    """

    def page(ledger: Ledger) -> tuple[list[Entry], int | None]:
        wanted = EntryFilter(
            kind,
            known_types(type or []),
            frozenset(outcome or []),
            None if since is None else instant(since, "from", ledger.book),
            None if until is None else instant(until, "until", ledger.book),
        )
        return filtered_entries(ledger, member, after, limit, wanted)

    found, following = await served_by(request).readers.read(page)
    response = answer(request, Entries(member, found, following))
    if following is not None:
        query = [(name, value) for name, value in request.query_params.multi_items() if name not in ("after", "limit")]
        response.headers["Link"] = f'<?{urlencode([("after", following), ("limit", limit), *query])}>; rel="next"'
    return response


@MEMBER.get("/v1/members/{member:str}/entries/{number:int}", "getEntry", "An entry", "unknown-member", "unknown-entry")
async def get_entry(request: AnyRequest, member: Token, number: Number) -> Response[Entry]:
    """One decision about a member."""
    found = await served_by(request).readers.read(lambda ledger: list(entries_of(ledger, member, number - 1, 1)))
    if not found:
        raise NothingToExplain(f"there is no entry {number} of this member")
    return answer(request, found[0])


@MEMBER.get("/v1/members/{member:str}/explain", "explainMember", "Why", "unknown-member")
async def explain_all(request: AnyRequest, member: Token, as_of: AsOf = None) -> Response[dict[str, Any]]:
    """A member's story: each entry in plain words, with what it moved, and what fell due since."""
    return await _explained(request, as_of, explain_member, member)


@MEMBER.get(
    "/v1/members/{member:str}/entries/{number:int}/explain",
    "explainEntry",
    "Why an entry did what it did",
    "unknown-member",
    "unknown-entry",
)
async def explain_one(
    request: AnyRequest, member: Token, number: Number, as_of: AsOf = None
) -> Response[dict[str, Any]]:
    """Each change of an entry: by which rule of which version, from which figures and caps; or why nothing came."""
    return await _explained(request, as_of, explain_entry, member, number)


@MEMBER.get(
    "/v1/members/{member:str}/lots/{lot:str}/explain",
    "explainLot",
    "The life of a lot",
    "unknown-member",
    "unknown-entry",
)
async def explain_the_lot(
    request: AnyRequest,
    member: Token,
    lot: Annotated[str, PathParameter(description="The lot's name, entry.place, such as 3.1.", max_length=32)],
    as_of: AsOf = None,
) -> Response[dict[str, Any]]:
    """Where the points of a lot came from and went."""
    return await _explained(request, as_of, explain_lot, member, lot)


async def _shown(request: AnyRequest, member: str, as_of: str | None, known_at: str | None) -> Member:
    def show(ledger: Ledger) -> Member:
        book = ledger.book
        return show_member(ledger, member, instant(as_of, "as_of", book), known_instant(known_at, book))

    served = served_by(request)
    return await (served.histories if as_of or known_at else served.readers).read(show)


async def _explained(
    request: AnyRequest, as_of: str | None, explain: Callable[..., dict[str, Any]], *what: Any
) -> Response[dict[str, Any]]:
    asked = accepted_language(request.headers.get("accept-language", ""))

    def explained(ledger: Ledger, tick: Progress) -> dict[str, Any]:
        at = None if as_of is None else instant(as_of, "as_of", ledger.book)
        return explain(ledger, *what, as_of=at, language=asked, progress=tick)

    return answer(request, await served_by(request).histories.read_within(WHY_SECONDS, explained))


HANDLERS = (
    get_members,
    get_member,
    get_balances,
    get_lots,
    get_scores,
    get_memberships,
    get_entries,
    get_entry,
    explain_all,
    explain_one,
    explain_the_lot,
)
