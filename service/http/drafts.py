"""What is done about drafts, from the API and the console alike: kept, tried, handed in, approved, published.

Every step checks the draft's very bytes anew, and stands in the operators' log before it is done.
"""

import asyncio
import re
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from consumers.publishing import is_published, publication_of
from ledger.journal.ledger import Ledger
from ledger.rulebook.checks import parts_of
from ledger.rulebook.compiled import STORED, ProgrammeVersion
from ledger.rulebook.schema import BadProgramme
from ledger.rulebook.union import in_order
from ledger.wire.answers import DeadLettered, Fate
from ledger.wire.entry_codec import decode_head
from ledger.wire.facts import MAX_BYTES, MAX_ID, PROGRAMME_SUBJECT
from ledger.wire.times import to_instant, to_text
from projections.answers.programmes import next_version, warnings
from projections.ticking import Progress
from projections.what_if.reports import Report
from service.drafts.backtester import record
from service.drafts.records import ACCEPTED, DAYS, REFUSED, Draft
from service.drafts.store import BadDraft, DraftStore, Run, drafts_in
from service.http.access import Caller
from service.http.answers import instant
from service.http.handlers.facts import decided
from service.http.operator_lines import Action, DraftStep
from service.http.problems import Problem
from service.http.state import Served

MOST_BYTES = MAX_BYTES - 4_096  # of a draft as text of its fact, which has more
MOST_WHY = 500  # characters of a reason
MOST_FILE = 100  # characters of a file's name
COUNT_SECONDS = 10.0  # for which entries are counted
COUNT_EVERY = 1_000  # entries, between two looks at the time
DAY = 86_400 * 1_000_000
_FROM = re.compile(r"^(from[ \t]*=[ \t]*)\d{4}-\d{2}-\d{2}(?![\dT])", re.MULTILINE)
T = TypeVar("T")


class Checked(NamedTuple):
    """A draft that can be the ledger's next version: from when it decides, and beside which version it stands.

    `against` is the version that is in force now, `newest` the name of the one that was published last.
    """

    version: ProgrammeVersion
    since: int
    decides_from: str  # RFC 3339, with the book's offset
    against: ProgrammeVersion
    newest: str
    warned: list[str]

    @property
    def is_past(self) -> bool:
        """Return True if it would begin at once, for what occurred since."""
        return self.since <= now()

    @property
    def day(self) -> str:
        """The day or instant from which it decides, as its `from` says it."""
        return self.version.programme.from_.isoformat()


def checked(ledger: Ledger, toml: str, where: str) -> Checked:
    """Check a draft as a ledger's next version. Raises `BadProgramme`, which names the file, the table and the key."""
    version = next_version(ledger, in_order(parts_of(toml, where)), where)
    book = ledger.book
    since = book.stages_of(version, STORED)[0].since
    newest = list(book.by_name)[-1]
    return Checked(
        version, since, to_text(since, book.offset), book.nearest(now()), newest, warnings(version, ledger.book)
    )


async def kept(served: Served, caller: Caller, toml: str, file: str) -> Draft:
    """Keep a draft that can be the next version. Raises `BadProgramme` and `Problem`."""
    name = Path(file.replace("\\", "/")).name.strip() or "draft.toml"
    if len(name) > MOST_FILE or not name.isprintable():
        raise Problem("bad-request", f"file: give a name of 1 to {MOST_FILE} characters")
    found = await served.histories.read(lambda ledger: checked(ledger, toml, name))
    size = len(msgspec.json.encode(found.version.toml))
    if size > MOST_BYTES:
        raise Problem("too-large", f"the book is {size:,} bytes as a fact, of which {MOST_BYTES:,} are taken at most")
    if found.version.name in await served.readers.read(lambda ledger: frozenset(ledger.book.by_name)):
        raise Problem("already-done", f"version {found.version.name} is in the ledger already: nothing is to publish")
    return await asyncio.to_thread(_keep, served, caller, toml, name, found)


def _keep(served: Served, caller: Caller, toml: str, name: str, found: Checked) -> Draft:
    drafts = served.operator_log.drafts()
    with drafts_in(served.state, served.folder) as store:
        store.drop_texts_but({one.sha256 for one in drafts if one.is_open}, now() - DAYS * DAY)
        sha256 = store.keep(toml)
    what = _what(found, file=name, sha256=sha256, bytes=len(toml.encode()))
    return served.operator_log.keep_draft(caller.name, what)


async def text_of(served: Served, name: str) -> str:
    """Return a draft's text, the very bytes that were kept. Raises `Problem`."""
    return await asyncio.to_thread(_text, served, name)


def _text(served: Served, name: str) -> str:
    found = served.operator_log.draft(name)
    return _stored(served, lambda store: store.text(found.sha256))


async def check_of(served: Served, name: str) -> tuple[Draft, Checked]:
    """Return a draft and its check, made anew over its bytes as they are. Raises `BadProgramme` and `Problem`."""
    found = await draft_of(served, name)
    toml = await text_of(served, name)
    check = await served.histories.read(lambda ledger: checked(ledger, toml, found.file))
    if check.version.name != found.version and found.state != "published":
        raise Problem("already-done", f"the books of other owners changed since {found.file} was kept; keep it again")
    return found, check


async def draft_of(served: Served, name: str) -> Draft:
    """Return a draft, and how far it is. Raises `Problem`."""
    found = await asyncio.to_thread(served.operator_log.draft, name)
    return (await _as_published(served, [found]))[0]


async def drafts_of(served: Served) -> list[Draft]:
    """Return every draft that was kept, the newest first."""
    return await _as_published(served, await asyncio.to_thread(served.operator_log.drafts))


async def _as_published(served: Served, drafts: list[Draft]) -> list[Draft]:
    """Return drafts, each as published where its version is in the ledger, whoever published it."""
    names = await served.readers.read(lambda ledger: frozenset(ledger.book.by_name))
    return [replace(one, state="published") if one.version in names else one for one in drafts]


async def _settle(served: Served) -> None:
    """Record as published what is in the ledger though nobody could say so: the server ended in between."""
    log = served.operator_log
    sent = [one for one in await asyncio.to_thread(log.drafts) if one.state == "publishing"]
    for one in await _as_published(served, sent):
        if one.state == "published":
            what = DraftStep(version=one.version, outcome=ACCEPTED)
            await asyncio.to_thread(log.step_draft, one.published_by, "draft-published", one.draft, what)


async def handed_in(served: Served, caller: Caller, name: str, reason: str) -> Draft:
    """Hand a draft in for another person's approval, with a reason. Raises `BadProgramme` and `Problem`."""
    why = _why(reason)
    _, check = await check_of(served, name)
    return await _step(served, caller, "draft-hand-in", name, check, why)


async def approved(served: Served, caller: Caller, name: str) -> Draft:
    """Approve what others handed in; nothing is published yet. Raises `BadProgramme` and `Problem`."""
    await _settle(served)
    found, check = await check_of(served, name)
    if found.state == "waiting":
        _check_newest(found, check)
    run = await run_of(served, name)
    report = run.report if run is not None and run.state == "done" else ""
    return await _step(served, caller, "draft-approve", name, check, report=report)


async def rejected(served: Served, caller: Caller, name: str, reason: str) -> Draft:
    """Reject what was handed in, or withdraw one's own. Raises `Problem`."""
    why = _why(reason)
    return await asyncio.to_thread(served.operator_log.step_draft, caller.name, "draft-reject", name, DraftStep(), why)


async def discarded(served: Served, caller: Caller, name: str) -> Draft:
    """Discard a draft that nobody needs any more; its record stays. Raises `Problem`."""
    await cancelled(served, caller, name)
    return await asyncio.to_thread(served.operator_log.step_draft, caller.name, "draft-discard", name, DraftStep())


async def published(served: Served, caller: Caller, name: str, day: str, *, is_past_meant: bool) -> Draft:
    """Publish an approved draft with the date that its `from` says, given once more; the same again changes nothing.

    One whose date is past has to be meant. Raises `BadProgramme` and `Problem`.
    """
    is_sent = (await asyncio.to_thread(served.operator_log.draft, name)).state == "publishing"
    try:
        found, check = await check_of(served, name)
    except BadProgramme as error:
        if is_sent:  # it cannot be sent again, and must not stand in the way of others
            what = DraftStep(outcome=REFUSED)
            log = served.operator_log
            await asyncio.to_thread(log.step_draft, caller.name, "draft-published", name, what, str(error)[:MOST_WHY])
        raise
    if found.state == "published" and not is_sent:
        return found
    check_day(check, day)
    if check.is_past and not is_past_meant:
        raise Problem(
            "bad-request",
            f"{check.day} is past: facts since then that are still to come are decided by it; say that it is meant",
        )
    if not is_sent:
        await _settle(served)
        _check_newest(found, check)
    found = await _step(served, caller, "draft-publish", name, check)
    at = to_instant(datetime.fromisoformat(found.published))
    raw = await served.histories.read(lambda ledger: publication_of(ledger, check.version.toml, _by(found), at))
    position, fate = await decided(served, raw, served.wait)
    if fate is None:
        return replace(found, position=position)
    is_in = not isinstance(fate, DeadLettered) and (fate.outcome == ACCEPTED or fate.reason == "duplicate")
    is_in = is_in or await served.histories.read(lambda ledger: is_published(ledger, check.version.name))
    why = "" if is_in else _said(fate)
    what = DraftStep(version=check.version.name, position=position, outcome=ACCEPTED if is_in else fate.outcome)
    return await asyncio.to_thread(
        served.operator_log.step_draft, found.published_by, "draft-published", name, what, why
    )


def check_day(check: Checked, day: str) -> None:
    """Raise `Problem` where a date is not the one from which a draft decides."""
    if day.strip() != check.day:
        raise Problem("bad-request", f"from: the draft begins on {check.day}; give that date, or keep one with another")


async def dated(served: Served, caller: Caller, name: str, day: str) -> Draft:
    """Keep a draft with the same words and another `from`, as a draft of its own. Raises `BadProgramme`, `Problem`."""
    found = await draft_of(served, name)
    toml = await text_of(served, name)
    return await kept(served, caller, with_date(toml, day.strip(), found.file), found.file)


def with_date(toml: str, day: str, where: str) -> str:
    """Return a book's text with another `from` at its top, and not a byte changed beside it. Raises `Problem`."""
    try:
        begins = date.fromisoformat(day)
    except ValueError:
        raise Problem("bad-request", f"from: {day[:40]} is no date such as 2027-01-01") from None
    head, table, rest = toml.partition("\n[")
    changed, count = _FROM.subn(rf"\g<1>{begins.isoformat()}", head)
    dated = changed + table + rest
    before, after = parts_of(toml, where), parts_of(dated, where)
    if count != 1 or len(after) != 1 or replace(before[0].tables, from_=begins) != after[0].tables:
        raise Problem("bad-request", f"{where}: its `from` stands in a way that is not changed here; change the file")
    return dated


async def since_of(served: Served, text: str) -> int | None:
    """Return the instant from which a backtest is asked for; None for the first fact on. Raises `Problem`."""
    if not text.strip():
        return None
    return await served.readers.read(lambda ledger: instant(text, "from", ledger.book))


async def started(served: Served, caller: Caller, name: str, since: int | None) -> Run:
    """Ask for a backtest of a draft, which decides from an instant. Raises `Problem`: another runs, or too many did."""
    found = await asyncio.to_thread(served.operator_log.draft, name)
    await text_of(served, name)
    return await asyncio.to_thread(_start, served, found, caller.name, since)


def _start(served: Served, found: Draft, by: str, since: int | None) -> Run:
    served.operator_log.check_pace(by)
    with drafts_in(served.state, served.folder) as store:
        try:
            left = store.start(found.draft, found.sha256, found.file, by, since)
        except BadDraft as error:
            raise Problem("busy", str(error), {"Retry-After": "10"}) from None
        run = store.run(found.draft)
    for one in left:
        record(served.operator_log, one)
    if run is None:
        raise Problem("busy", "the backtest is gone; begin it again")
    return run


async def cancelled(served: Served, caller: Caller, name: str) -> Run | None:
    """Cancel the backtest of a draft, if one waits or runs; return it as it is then. Raises `Problem`."""
    await asyncio.to_thread(served.operator_log.draft, name)
    return await asyncio.to_thread(_cancel, served, name, caller.name)


def _cancel(served: Served, name: str, by: str) -> Run | None:
    with drafts_in(served.state, served.folder) as store, store.at_once():
        is_cancelled = store.cancel(name, by)
        run = store.run(name)
        if is_cancelled and run is not None:
            record(served.operator_log, run)
    return run


async def run_of(served: Served, name: str) -> Run | None:
    """Return the last backtest of a draft; None where there was none."""
    return await asyncio.to_thread(_stored, served, lambda store: store.run(name))


async def report_of(served: Served, name: str) -> Report | None:
    """Return what the last backtest of a draft found; None where none has ended well. Raises `Problem`."""
    await asyncio.to_thread(served.operator_log.draft, name)
    return await asyncio.to_thread(_stored, served, lambda store: store.report(name))


async def decided_since(served: Served, since: int) -> int | None:
    """Return how many facts that occurred from an instant on are decided already; None where that takes too long."""
    try:
        return await served.books.read_within(COUNT_SECONDS, lambda ledger, tick: _decided_since(ledger, since, tick))
    except TimeoutError:
        return None


def _decided_since(ledger: Ledger, since: int, tick: Progress) -> int:
    found = 0
    for partition in ledger.partitions:
        for number, row in enumerate(ledger.journal(partition).scan(ledger.branch(partition).entries)):
            if number % COUNT_EVERY == 0:
                tick(number)
            found += row.member != PROGRAMME_SUBJECT and decode_head(row.state).occurred >= since
    return found


async def _step(
    served: Served, caller: Caller, action: Action, name: str, check: Checked, why: str = "", **more: str
) -> Draft:
    return await asyncio.to_thread(served.operator_log.step_draft, caller.name, action, name, _what(check, **more), why)


def _what(check: Checked, **more: str | int) -> DraftStep:
    """Return what a step stood on."""
    found = DraftStep(
        version=check.version.name, from_=check.decides_from, against=check.newest, warnings=len(check.warned)
    )
    return replace(found, **more)


def _check_newest(found: Draft, check: Checked) -> None:
    """Raise `Problem` where another version was published since a draft was handed in or approved."""
    if check.newest != found.against:
        raise Problem(
            "already-done", f"version {check.newest} was published since the draft was looked at; hand it in again"
        )


def _stored(served: Served, ask: Callable[[DraftStore], T]) -> T:
    try:
        with drafts_in(served.state, served.folder) as store:
            return ask(store)
    except BadDraft as error:
        raise Problem("unknown-draft", str(error)) from None


def _why(reason: str) -> str:
    why = reason.strip()
    if not 0 < len(why) <= MOST_WHY:
        raise Problem("bad-request", f"reason: say why, in 1 to {MOST_WHY} characters")
    return why


def _by(found: Draft) -> str:
    """Return whom the published book names: who handed it in and who approved it, as far as there is room."""
    by = f"{found.handed_in_by}, approved by {found.decided_by}"
    return by if len(by) <= MAX_ID else found.decided_by[:MAX_ID]


def _said(fate: Fate) -> str:
    """Return why a published book was not taken."""
    detail = fate.detail if isinstance(fate, DeadLettered) else fate.figures.get("problem", "")
    return f"{fate.outcome} {fate.reason}: {detail}"


def now() -> int:
    """Return the present in microseconds."""
    return time.time_ns() // 1000
