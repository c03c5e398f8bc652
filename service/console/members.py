"""A member on one page, as of any day: points, scores, cards, the statement, and why."""

import io
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pkgutil import resolve_name
from typing import Annotated, Any, Literal, NamedTuple

from litestar import Response, get
from litestar.params import QueryParameter

from ledger.core.account import Account
from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import HOUSE, ProgrammeVersion
from ledger.wire.answers import Lot
from ledger.wire.entry_codec import decode_entry
from ledger.wire.times import DAY, MAX_INSTANT, Zone, day_of, day_text, parse_instant
from projections.answers.export import write_table
from projections.answers.houses import seats_in
from projections.answers.members import UnknownMember, require_member
from projections.answers.savings import saves, savings
from projections.answers.shops import shops_of_member
from projections.answers.show import describe_account, score_months, together
from projections.answers.statement import Wanted, lines_of, table_of
from projections.answers.statement_pages import Statement, statement_of
from projections.audit.proof.prove import place_of
from projections.audit.proof.store import NoCheckpoint
from projections.explaining.changes import BOOKKEEPING
from projections.explaining.explain import explain_entry
from projections.ticking import Progress
from service.console.pages import HEADERS, Labels, page
from service.console.requests import AnyRequest, caller_of, needs, visitor_of
from service.http.access import check_readable
from service.http.handlers.checkpoints import checkpoint_store
from service.http.problems import Problem
from service.http.readers import WHY_SECONDS
from service.http.state import Served, served_by

SHORT = 1_000  # entries of a statement that is read at once; of a longer one marks are held
READ_SECONDS = 2.0  # that one request reads on in a long statement
MOST_EXPORTED = 100_000  # entries
MOST_LOTS = 200  # rows
MOST_AHEAD = 800  # days to come on the slider; the date may lie further ahead
MOST_CHANGES = 100  # of an entry that is explained

Id = Annotated[str, QueryParameter(description="The member's token.", max_length=128)]
Day = Annotated[
    str, QueryParameter(description="The day at whose end the member is shown; now where empty.", max_length=32)
]

Unit = Annotated[str, QueryParameter(description="A kind of points or a score that lines moved.", max_length=128)]
FactTypeName = Annotated[str, QueryParameter(description="A type of fact.", max_length=64)]
OutcomeName = Annotated[str, QueryParameter(description="accepted, refused or ignored.", max_length=16)]
Month = Annotated[str, QueryParameter(description="A month, such as 2025-12.", max_length=8)]
Form = Literal["csv", "json", "parquet"]
FORMS: dict[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}


class Asked(NamedTuple):
    """What of the statement is asked for: lines before a number (0: the newest), and which; whether all is read."""

    before: int
    wanted: Wanted
    is_whole: bool


@get("/member", guards=[needs("members:read")])
async def get_member(
    request: AnyRequest,
    id: Id = "",
    as_of: Day = "",
    before: Annotated[int, QueryParameter(ge=0, le=1 << 53, description="Entries before this number.")] = 0,
    kind: Unit = "",
    type: FactTypeName = "",
    outcome: OutcomeName = "",
    month: Month = "",
    whole: Annotated[bool, QueryParameter(description="Read on in a long statement, for the balances.")] = False,
) -> Response[bytes]:
    """Search, and the member that was found."""
    member = id.strip()
    if not member:
        return page(request, "member.html", member="", found=None)
    check_readable(caller_of(request), member)
    try:
        served = served_by(request)
        readers = served.histories if as_of.strip() else served.readers
        language = visitor_of(request).language
        asked = Asked(before, Wanted(kind.strip(), type.strip(), outcome.strip(), month.strip()), whole)
        found = await readers.read(lambda ledger: _found(ledger, member, as_of.strip(), asked, language))
        if found["statement"] is None:
            found["statement"] = await _long_statement(served, member, found["last"], asked)
    except UnknownMember:
        return page(request, "member.html", status=404, member=member, found=None)
    return page(request, "member.html", member=member, found=found, **found)


@get("/member/savings", guards=[needs("members:read")])
async def get_savings(request: AnyRequest, id: Id, as_of: Day = "") -> Response[bytes]:
    """What a member of many entries saved, by all of them: a part of the member's page, or a page of its own."""
    member = id.strip()
    check_readable(caller_of(request), member)
    language = visitor_of(request).language

    def saved(ledger: Ledger) -> dict[str, Any]:
        instant = end_of_day(as_of, ledger.book.offset) if as_of else time.time_ns() // 1000
        return {"saved": savings(ledger, member, instant), "names": Labels(ledger.book, language)}

    template = "savings.html" if "hx-request" in request.headers else "savings-page.html"
    return page(request, template, member=member, **await served_by(request).histories.read(saved))


@get("/why", guards=[needs("members:read")])
async def get_why(
    request: AnyRequest, id: Id, number: Annotated[int, QueryParameter(ge=1, le=1 << 53, description="The entry's.")]
) -> Response[bytes]:
    """Why an entry did what it did: a part of the statement, or a page of its own."""
    check_readable(caller_of(request), id)

    served, language = served_by(request), visitor_of(request).language

    def explained(ledger: Ledger, tick: Progress) -> dict[str, Any]:
        why = _readable(explain_entry(ledger, id, number, language=language, progress=tick))
        names = Labels(ledger.book, language)
        return {"why": why, "names": names, "provable": _is_provable(ledger, served, id, number)}

    template = "why.html" if "hx-request" in request.headers else "why-page.html"
    return page(request, template, member=id, **await served.histories.read_within(WHY_SECONDS, explained))


def _is_provable(ledger: Ledger, served: Served, member: str, number: int) -> bool:
    """Return True if a checkpoint that is kept covers an entry."""
    try:
        checkpoint_store(served).covering(*place_of(ledger, member, number))
    except NoCheckpoint:
        return False
    return True


def _found(ledger: Ledger, member: str, as_of: str, asked: Asked, language: str) -> dict[str, Any]:
    """Return all that the page shows of a member."""
    now = time.time_ns() // 1000
    offset = ledger.book.offset
    instant = end_of_day(as_of, offset) if as_of else now
    require_member(ledger, member)
    journal = ledger.journal(ledger.partition_of(member))
    first_day = day_of(decode_entry(journal.entries_of(member, 0, 1)[0].state).clock, offset)
    account = ledger.account(member, instant) or Account()  # before the first entry
    book = ledger.book_of(member)
    version = book.nearest(instant)
    shown = describe_account(member, account, book, instant, shops_of_member(ledger, member, version, instant))
    today, has_saved = day_of(now, offset), bool(account.number) and saves(ledger.book)
    return {
        "shown": shown,
        "sitting": seats_in(account, book, instant) if member.startswith(HOUSE) else {},
        "lots": {kind: _lots(purse.lots) for kind, purse in shown.points.items()},
        "months": (months := _score_months(version, account, instant)),
        "charted": [name for name, of in months.items() if any(any(parts.values()) for parts in of.values())],
        "last": account.number,
        "statement": _short_statement(ledger, member, account.number, asked),
        "days": {
            "first": first_day,
            "last": max(day_of(instant, offset), min(_last_expiry(account, offset), today + MOST_AHEAD), today),
            "shown": day_of(instant, offset),
            "text": day_text(day_of(instant, offset)),
            "is_now": not as_of,
        },
        "names": Labels(ledger.book, language),
        "saved": savings(ledger, member, instant) if has_saved and account.number <= SHORT else None,
        "saved_later": has_saved and account.number > SHORT,
    }


def end_of_day(text: str, offset: Zone) -> int:
    """Return the last instant of a day that is given as text. Raises `Problem`."""
    try:
        return parse_instant(date.fromisoformat(text).isoformat(), offset) + DAY - 1
    except (ValueError, OverflowError):
        raise Problem("bad-request", "the day is none of the years 1970 to 2999; give one such as 2025-12-01") from None


def _last_expiry(account: Account, offset: Zone) -> int:
    lots = [(purse, lot) for purse in account.purses.values() for lot in purse.lots.values() if lot.left]
    ends = [end for end in (purse.end_of(lot) for purse, lot in lots) if end < MAX_INSTANT]
    return day_of(max(ends, default=0), offset)


def _lots(lots: Sequence[Lot]) -> dict[str, Any]:
    """Return what expires when, by day; and the lots, those of an entry that go together as one row."""
    days: dict[str, int] = {}
    for lot in lots:
        if not lot.pending and lot.expires_at is not None:
            days[lot.expires_at] = days.get(lot.expires_at, 0) + lot.left
    rows = together(lots)
    listed = rows[:MOST_LOTS]
    return {"days": days, "rows": listed, "more": len(rows) - len(listed), "lots": len(lots)}


def _score_months(version: ProgrammeVersion, account: Account, instant: int) -> dict[str, dict[str, dict[str, int]]]:
    """By score: the months that count, with the points of each part; parts that never age are in none."""
    names = version.programme.scores.keys() - version.keyed_scores
    return {name: score_months(account, version, name, instant) for name in names}


def _short_statement(ledger: Ledger, member: str, last: int, asked: Asked) -> dict[str, Any] | None:
    """Return a page of a statement that is read at once, None of a longer one."""
    if last > SHORT:
        return None
    return _page_of(ledger, statement_of(ledger, member, last), asked)


async def _long_statement(served: Served, member: str, last: int, asked: Asked) -> dict[str, Any]:
    """Return a page of a long statement; of one that was not read yet, the newest entries and how far that has come.

    Where that is asked for it is read first, for a while: a piece at a time, so that others have their turns.
    """
    statements = served.statements
    ends = time.monotonic() + READ_SECONDS
    while asked.is_whole and time.monotonic() < ends:
        if not await served.histories.read(lambda ledger: statements.read_on(ledger, member, last)):
            break

    def made(ledger: Ledger) -> dict[str, Any]:
        statement = statements.of(ledger, member, last)
        if statement is not None:
            return _page_of(ledger, statement, asked)
        upto = min(last, asked.before - 1) if asked.before else last
        part = _page_of(ledger, statement_of(ledger, member, upto, SHORT), asked)
        older = part["page"].older or part["earlier"] + 1
        is_newest = upto == last
        newest = part["page"]._replace(older=older, is_newest=is_newest)
        return {**part, "page": newest, "last": last, "read": statements.read(member)}

    return await served.histories.read(made)


def _page_of(ledger: Ledger, statement: Statement, asked: Asked) -> dict[str, Any]:
    """Return a page of a statement, the newest first, and what it may be filtered by.

    `read` is None, or up to which entry the statement was read, whose newest entries these are.
    """
    return {
        "zone": ledger.book.offset,
        "page": statement.page(ledger, asked.before, asked.wanted),
        "before": asked.before,
        "last": statement.number,
        "read": None,
        "earlier": statement.earlier,
        "wanted": asked.wanted,
        "every_month": list(statement.months)[::-1],
        "types": statement.types(),
        "outcomes": statement.outcomes(),
        "units": statement.units(),
    }


@get("/member/statement", guards=[needs("members:read")])
async def get_statement(
    request: AnyRequest,
    id: Id,
    form: Form = "csv",
    as_of: Day = "",
    kind: Unit = "",
    type: FactTypeName = "",
    outcome: OutcomeName = "",
    month: Month = "",
) -> Response[bytes]:
    """The lines of a statement as a file, by the page's filters; CSV is safe, for a spreadsheet opens it."""
    member = id.strip()
    check_readable(caller_of(request), member)
    wanted = Wanted(kind, type, outcome, month)

    def written(ledger: Ledger) -> bytes:
        require_member(ledger, member)
        offset = ledger.book.offset
        account = ledger.account(member, end_of_day(as_of, offset) if as_of else time.time_ns() // 1000) or Account()
        if account.number > MOST_EXPORTED:
            raise Problem(
                "too-large",
                f"the member has {account.number:,} entries; a file of the console has {MOST_EXPORTED:,} at most:"
                " `points export entries` writes them all",
            )
        lines = filter(wanted.has, lines_of(ledger, member, account.number))
        table, out = table_of(member, lines, kind, offset), io.BytesIO()
        if form != "parquet":
            write_table(table, form, out, is_safe_csv=True)
        else:
            try:
                resolve_name("projections.answers.parquet:write_parquet")(table, out)
            except ImportError:
                raise Problem("bad-request", "this server writes no Parquet: it lacks the extra `parquet`") from None
        return out.getvalue()

    content = await served_by(request).histories.read(written)
    # A member's token may hold what a header may not, so the file is not named by it.
    named = {**HEADERS, "Content-Disposition": f'attachment; filename="statement.{form}"', "Cache-Control": "no-store"}
    return Response(content, media_type=FORMS[form], headers=named)


def _readable(why: Mapping[str, Any]) -> dict[str, Any]:
    """Return an explanation with the changes that a person would ask about, as many as a page takes."""
    # What a return takes back is told by its claw-back, with the formula; the change would only say it again.
    told = {(one["rule"], one["line"]) for one in why["clawbacks"]}
    changes = [
        change
        for change in why["changes"]
        if change["change"] not in BOOKKEEPING
        and not (change["amount"].startswith("-") and (change.get("rule"), change.get("line", "")) in told)
    ]
    rules = {one["rule"]: one for one in (*changes, *why["clawbacks"], *why["nothing"]) if one.get("rule_text")}
    return {
        **why,
        "changes": changes[:MOST_CHANGES],
        "more": max(0, len(changes) - MOST_CHANGES),
        "nothing": why["nothing"][:MOST_CHANGES],
        "rules": list(rules.values()),
    }


HANDLERS = (get_member, get_statement, get_savings, get_why)
