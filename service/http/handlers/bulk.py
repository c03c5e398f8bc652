"""Many facts in one request: lines are taken while the body is read, in pieces, and told once all are durable."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

import msgspec

from ledger.wire.answers import BulkLine, DeadLettered, Decision, Fate
from ledger.wire.entry_json import position_text
from ledger.wire.fact_codec import BadFact, too_long
from ledger.wire.facts import MAX_BYTES, Fact
from projections.answers.to_json import to_json
from service.http.ended import ended
from service.http.pending import Pending
from service.http.problems import Problem
from service.http.repeated import decided_before
from service.http.state import Served

NDJSON = "application/x-ndjson"
BULK_BYTES = 64 << 20  # of a body, and
BULK_LINES = 100_000  # of its lines, at most: what is told of them is held until the body ends
PIECE_LINES = 1_000  # taken together, or
PIECE_BYTES = 1 << 20
PIECES_AHEAD = 4  # taken while earlier ones are written
Admit = Callable[[bytes], Fact]
Record = Callable[[Sequence[Fact]], None]  # of facts that are about to be taken, before they are


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line that is not blank, and its number, from 1; `value` is None where it is longer than a fact may be."""

    number: int
    value: bytes | None
    length: int


class Lines:
    """Cuts a stream of bytes into lines in bounded memory."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._dropped = 0  # bytes of a line that is too long
        self._number = 0

    def feed(self, data: bytes) -> list[Line]:
        """Return the lines that end in what came."""
        *ended, rest = data.split(b"\n")
        found = []
        for part in ended:
            self._hold(part)
            found.extend(self.end())
        self._hold(rest)
        return found

    def end(self) -> list[Line]:
        """Return the line held by now, which ends here; none where it is blank."""
        self._number += 1
        value, dropped = bytes(self._rest).removesuffix(b"\r"), self._dropped
        self._rest.clear()
        self._dropped = 0
        if dropped or len(value) > MAX_BYTES:
            return [Line(self._number, None, dropped + len(value))]
        return [Line(self._number, value, len(value))] if value and not value.isspace() else []

    def _hold(self, part: bytes) -> None:
        if self._dropped or len(self._rest) + len(part) > MAX_BYTES + 1:
            self._dropped += len(self._rest) + len(part)
            self._rest.clear()
        else:
            self._rest += part


class _Piece(NamedTuple):
    """Lines that were taken together: what was told of each at once, or None for those in `pending`, in their order."""

    lines: list[tuple[int, BulkLine | None]]
    pending: Pending | None


async def take_bulk(body: AsyncIterator[bytes], served: Served, admit: Admit, record: Record, *, wait: bool) -> bytes:
    """Take the lines of a body; returns a line of NDJSON for each. With `wait` the decisions are waited for.

    Raises `Problem` and `Busy`; what was taken before stays taken.
    """
    lines, held, size, count = Lines(), list[Line](), 0, 0
    pieces: deque[_Piece] = deque()
    told: list[bytes] = []
    async for data in body:
        for line in lines.feed(data):
            held.append(line)
            size += line.length
            if len(held) >= PIECE_LINES or size >= PIECE_BYTES:
                count = _count(count, held)
                pieces.append(await _take(held, served, admit, record, wait=wait))
                held, size = [], 0
                if len(pieces) > PIECES_AHEAD:
                    told.extend(await _tell(pieces.popleft(), served))
    held.extend(lines.end())
    _count(count, held)
    if held:
        pieces.append(await _take(held, served, admit, record, wait=wait))
    for piece in pieces:
        told.extend(await _tell(piece, served))
    return b"".join(told)


def _count(count: int, held: list[Line]) -> int:
    count += len(held)
    if count > BULK_LINES:
        raise Problem(
            "too-large", f"more than {BULK_LINES:,} lines; send them in pieces: what is sent again counts once"
        )
    return count


async def _take(held: list[Line], served: Served, admit: Admit, record: Record, *, wait: bool) -> _Piece:
    """Check lines, and give those that are facts to the writer, once it has room."""
    checked = await asyncio.get_running_loop().run_in_executor(served.checkers, _check, held, admit, record)
    given = [(place, fact) for place, (_, fact) in enumerate(checked) if not isinstance(fact, BulkLine)]
    before = await served.readers.read(lambda ledger: decided_before(ledger, [fact for _, fact in given]))
    for index, decision in before.items():
        place = given[index][0]
        line = checked[place][0]
        checked[place] = (line, _taken(line.number, decision.position, await ended(served, decision, 0)))
    values = [line.value for line, fact in checked if not isinstance(fact, BulkLine) and line.value is not None]
    facts = [fact for _, fact in checked if not isinstance(fact, BulkLine)]
    pending = None
    if values:
        await served.appender.room_for(len(values), sum(map(len, values)))
        pending = served.appender.submit(values, facts, waits=wait, is_bulk=True)
    return _Piece([(line.number, fact if isinstance(fact, BulkLine) else None) for line, fact in checked], pending)


def _check(held: list[Line], admit: Admit, record: Record) -> list[tuple[Line, Fact | BulkLine]]:
    """Lines with their facts, which are on record then, or why they are not taken."""
    found = [(line, _admitted(line, admit)) for line in held]
    record([fact for _, fact in found if not isinstance(fact, BulkLine)])
    return found


def _admitted(line: Line, admit: Admit) -> Fact | BulkLine:
    """Return the fact of a line, or why it is not taken."""
    try:
        if line.value is None:
            raise too_long(line.length)
        return admit(line.value)
    except BadFact as bad:
        return BulkLine(line.number, reason=bad.reason, detail=bad.detail)
    except Problem as problem:
        return BulkLine(line.number, reason=problem.name, detail=problem.detail)


async def _tell(piece: _Piece, served: Served) -> list[bytes]:
    """Return what became of the lines of a piece, once that is known."""
    if piece.pending is None:
        return [to_json(fault) + b"\n" for _, fault in piece.lines]
    places = iter(await piece.pending.places)
    told: list[Fate] | None = await piece.pending.outcomes if piece.pending.outcomes is not None else None
    outcomes = iter(await _ended(told or (), served))
    found = []
    for number, fault in piece.lines:
        if fault is None:
            fault = _taken(number, position_text(*next(places)), next(outcomes, None))
        found.append(to_json(fault) + b"\n")
    return found


async def _ended(told: Sequence[Fate], served: Served) -> list[Fate | None]:
    """Return what became of facts in the end; None of one that another account has not decided within the wait."""
    until = time.monotonic() + served.wait
    return [
        await ended(served, fate, until - time.monotonic()) if isinstance(fate, Decision) else fate for fate in told
    ]


def _taken(number: int, position: str, fate: Fate | None) -> BulkLine:
    if fate is None:
        return BulkLine(number, position)
    figures = msgspec.UNSET if isinstance(fate, DeadLettered) else fate.figures
    return BulkLine(number, position, fate.outcome, fate.reason, figures)
