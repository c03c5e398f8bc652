"""The feed of all entries: page by page, or as server-sent events while they are decided."""

import time
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import urlencode

from litestar import Response
from litestar.params import QueryParameter
from litestar.response import Stream

from ledger.wire.answers import FeedPage, Outcome
from ledger.wire.facts import PROGRAMME_SUBJECT
from projections.answers.feed import Filter, Page, page_of
from projections.answers.to_json import to_json
from service.http.access import caller_of, check_readable
from service.http.answers import known_types, plain_answer
from service.http.operations import AnyRequest, Subject
from service.http.problems import Problem
from service.http.state import Served, served_by

EVENTS = "text/event-stream"
MOST = 1_000
AT_ONCE = 100  # entries of a stream that are read together
STREAM_SECONDS = 45.0  # of one stream, less than a request may take: its client goes on behind the last event's id
QUIET_SECONDS = 10.0  # until a stream without entries says that it lives

Cursor = Annotated[
    str,
    QueryParameter(
        description="Entries behind this cursor, as `next` or an event's id gave it; `now`: those decided from now on."
        " From the first one where left out.",
    ),
]


@Subject("Feed").get("/v1/entries", "getFeed", "The entries of all members")
async def get_feed(
    request: AnyRequest,
    after: Cursor = "",
    limit: Annotated[int, QueryParameter(ge=1, le=MOST, description="At most so many.")] = 100,
    member: Annotated[str, QueryParameter(description="Of this member alone.", max_length=128)] = "",
    type: Annotated[
        list[str] | None, QueryParameter(description="Of facts of these types alone, such as order.completed.v1.")
    ] = None,
    outcome: Annotated[list[Outcome] | None, QueryParameter(description="With these outcomes alone.")] = None,
) -> Response[FeedPage]:
    """Every decision about every member, behind a cursor: in each journal's order, so also in each member's.

    Keep `next` and ask again: nothing is left out and nothing comes twice. With `Accept: text/event-stream` it is a
    stream of server-sent events that goes on with what is decided: `data` is an entry, `id` its cursor, which a client
    that connects again sends as `Last-Event-ID`.
    """
    check_feed(request, member)
    wanted = Filter(member, known_types(type or []), frozenset(outcome or []))
    served = served_by(request)
    after = request.headers.get("last-event-id") or after
    page = await served.readers.read(lambda ledger: page_of(ledger, after, limit, wanted))
    if EVENTS in request.headers.get("accept", ""):
        events = served.feed.admit(_events(served, page, wanted))
        return Stream(events, media_type=EVENTS, headers={"X-Accel-Buffering": "no"})  # type: ignore[return-value]
    answer = plain_answer(FeedPage([told.entry for told in page.told], page.cursor, page.has_more))
    if page.has_more:
        answer.headers["Link"] = f'<{_following(request, page.cursor)}>; rel="next"'
    return answer


def check_feed(request: AnyRequest, member: str) -> None:
    """Raise `Problem` unless the caller may read every member, or the one that is asked for."""
    if member == PROGRAMME_SUBJECT:
        raise Problem("bad-request", f'member: "{member}" is the subject of published rule books and no member')
    check_readable(caller_of(request), member)


async def _events(served: Served, page: Page, wanted: Filter) -> AsyncIterator[bytes]:
    """Yield a page and what is decided after it, as server-sent events, until it is time to connect again."""
    until = time.monotonic() + STREAM_SECONDS
    yield b"retry: 1000\n\n"
    told_at = time.monotonic()
    while True:
        if page.told:
            yield b"".join(
                b"id: %s\nevent: entry\ndata: %s\n\n" % (told.cursor.encode(), to_json(told.entry))
                for told in page.told
            )
            told_at = time.monotonic()
        elif time.monotonic() - told_at > QUIET_SECONDS:
            # an id without data moves the client's place, past entries that its filter left out
            yield b"id: %s\n: nothing new\n\n" % page.cursor.encode()
            told_at = time.monotonic()
        if time.monotonic() > until or served.feed.is_stopping:
            return
        if not page.has_more:
            await served.feed.wait()
        cursor = page.cursor
        page = await served.readers.read(lambda ledger, cursor=cursor: page_of(ledger, cursor, AT_ONCE, wanted))  # type: ignore[misc]


def _following(request: AnyRequest, cursor: str) -> str:
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    return "?" + urlencode([*query, ("after", cursor)])


HANDLERS = (get_feed,)
