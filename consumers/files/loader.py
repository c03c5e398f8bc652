"""Facts from files: NDJSON, plain or gzip or zstd or standard input, into the inbox, going on where it stopped."""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from io import BufferedIOBase
from pathlib import Path
from pkgutil import resolve_name
from typing import BinaryIO

import msgspec

from consumers import clock
from consumers.local.port import Inbox, InboxLine, SourceCursor
from consumers.runtime.intake import MAX_AHEAD
from consumers.stream import AHEAD, BACKLOG, OUTSIDE
from ledger.errors import BadInput
from ledger.journal.partitioning import Partitioner
from ledger.journal.port import KEPT_WHOLE
from ledger.wire.fact_codec import BadFact, decode
from ledger.wire.facts import LEDGER_SOURCE, MAX_BYTES, MAX_ID, PROGRAMME_SUBJECT, ProgrammePublished, Time
from ledger.wire.follow_ups import is_from_ledger
from ledger.wire.times import to_instant

CHUNK_LINES = 20_000
CHUNK_BYTES = 16 << 20
BLOCK = 1 << 20  # bytes read at once
BOM = b"\xef\xbb\xbf"  # which some editors put before the first line
_GO_ON = "what stands before is in: mend the file, run the same command again"


class BadFile(BadInput):
    """A file that cannot be read: which, why, and the way out."""


class _Envelope(msgspec.Struct, gc=False):
    subject: str = ""


class _TimedEnvelope(msgspec.Struct, gc=False):
    subject: str
    time: Time


_LEDGER = LEDGER_SOURCE.encode()
_envelope = msgspec.json.Decoder(_Envelope)
_timed_envelope = msgspec.json.Decoder(_TimedEnvelope)


class NdjsonLine(msgspec.Struct, frozen=True, gc=False):
    """A line without its end, and its number in its file, from 1.

    Of one that is too long, `value` is the beginning, and its whole length and SHA-256 stand beside it.
    """

    value: bytes
    whole_length: int = 0
    whole_sha256: bytes = b""
    number: int = 0


def standard_input() -> BinaryIO:
    """Standard input, which stays open when what is returned is closed. Raises `BadFile`."""
    if sys.stdin is None:
        raise BadFile("standard input (-) is closed; give a file, or something that writes to it")
    return open(sys.stdin.fileno(), "rb", BLOCK, closefd=False)


def open_facts(name: str) -> BinaryIO:
    """A file of facts, or standard input for ``-``, decompressed by its ending. Raises `BadFile`."""
    if name == "-":
        return standard_input()
    try:
        raw = Path(name).open("rb", BLOCK)  # noqa: SIM115 - the reader closes it
    except OSError as error:
        raise BadFile(
            f"{name}: {error.strerror}; give a readable NDJSON file, .gz, .zst or - for standard input"
        ) from None
    if name.endswith(".gz"):
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    if name.endswith((".zst", ".zstd")):
        return _Zstd(raw)  # type: ignore[return-value]
    return raw


class _Zstd(BufferedIOBase):
    """A zstd file through Arrow, which reports one that breaks off (zstandard's own reader takes that for the end)."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        pa = resolve_name("pyarrow")  # large: loaded where it is needed
        self._stream = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")

    def read1(self, size: int = -1) -> bytes:
        block: bytes = self._stream.read(min(size, 1 << 16))
        return block

    def close(self) -> None:
        self._raw.close()


class Peeked(BufferedIOBase):
    """A file whose beginning was read already, and is given out again first."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = head
        self._file = file

    def read1(self, size: int = -1) -> bytes:
        if self._head:
            block, self._head = self._head[:size], self._head[size:]
            return block
        return self._file.read1(size)  # type: ignore[attr-defined,no-any-return]

    def close(self) -> None:
        self._file.close()


class Reader:
    """The lines of a file in bounded memory, and how much of it they are.

    `size` counts the bytes of the blocks given out so far, and `digest` is their SHA-256: a block ends with a line.
    A last line that has no end and is not whole JSON is given out, but does not count: the rest of it may be still to
    come, and then it is a line anew. `tail` is its SHA-256, and one that was given out before is not given out again.
    """

    def __init__(self, file: BinaryIO, name: str, way_out: str = "mend the file", tail: bytes = b"") -> None:
        self._file = file
        self._name = name
        self._way_out = way_out  # where the file is damaged
        self._rest = b""
        self._lines = 0  # given out so far, blank ones too
        self._known_tail = tail
        self.size = 0
        self.digest = sha256()
        self.tail = b""

    def skip(self, size: int) -> bool:
        """Read past the first `size` bytes; says whether there are so many."""
        while size:
            block = self._read(min(size, BLOCK))
            if not block:
                return False
            self._count(block)
            self._lines += block.count(b"\n")
            size -= len(block)
        return True

    def __iter__(self) -> Iterator[NdjsonLine]:
        """Yield the lines. Raises `BadFile` after what stands before the damage."""
        while (block := self.block()) is not None:
            yield from block

    def block(self) -> list[NdjsonLine] | None:
        """The next lines, blank ones left out; None at the end. Raises `BadFile`."""
        data = self._rest + self._read(BLOCK)
        if not data:
            return None
        cut = data.rfind(b"\n") + 1
        if cut:
            self._rest = data[cut:]
            data = data[:cut]
        elif len(data) <= MAX_BYTES:
            self._rest = b""
            more = self._read(BLOCK)
            if more:
                self._rest = data + more
                return []
            if not _is_json(data):
                return self._cut_off(data)
        else:
            return [self._long_line(data)]
        self._count(data)
        lines = data.removesuffix(b"\n").split(b"\n")
        first = self._lines + 1
        if first == 1:
            lines[0] = lines[0].removeprefix(BOM)
        self._lines += len(lines)
        if b"\r" in data:
            lines = [line.rstrip(b"\r") for line in lines]
        return [_raw_line(line, number) for number, line in enumerate(lines, first) if line and not line.isspace()]

    def _cut_off(self, data: bytes) -> list[NdjsonLine]:
        """A last line that has no end yet."""
        self.tail = sha256(data).digest()
        if self.tail == self._known_tail or data.isspace():
            return []
        return [_raw_line(data.rstrip(b"\r"), self._lines + 1)]

    def _long_line(self, data: bytes) -> NdjsonLine:
        """A line longer than a fact may be, read to its end without keeping it."""
        kept, length, digest = data[:KEPT_WHOLE], 0, sha256()
        while data:
            end = data.find(b"\n")
            part = data if end < 0 else data[:end]
            digest.update(part)
            length += len(part)
            self._count(data if end < 0 else data[: end + 1])
            if end >= 0:
                self._rest = data[end + 1 :]
                break
            data = self._rest = self._read(BLOCK)
        self._lines += 1
        return NdjsonLine(kept, length, digest.digest(), self._lines)

    def _count(self, data: bytes) -> None:
        self.size += len(data)
        self.digest.update(data)

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read1(size)  # type: ignore[attr-defined,no-any-return]  # what came before a damage is kept
        except (OSError, EOFError, zlib.error) as error:
            raise BadFile(f"{self._name}: damaged after line {self._lines:,}: {error}; {self._way_out}") from error


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line.removeprefix(BOM))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return False
    return True


def is_stream(name: str) -> bool:
    """Whether what stands under a name is gone once it was read: standard input, a pipe, a terminal."""
    return name == "-" or (Path(name).exists() and not Path(name).is_file() and not Path(name).is_dir())


def source_of(name: str) -> str:
    """The name of a file under which the inbox knows what was fed from it."""
    return name if name == "-" else str(Path(name).resolve())


def _raw_line(line: bytes, number: int) -> NdjsonLine:
    if len(line) <= MAX_BYTES:
        return NdjsonLine(line, 0, b"", number)
    return NdjsonLine(line[:KEPT_WHOLE], len(line), sha256(line).digest(), number)


class Router:
    """Puts lines under their members' partitions, and says what each declares as recorded.

    A published programme goes to every partition, where its source is one of `operators` (None: whatever it is).
    `backlog` declares recorded = max(occurred, the partition's last recorded); otherwise it is the present instant.
    `latest` is the last recorded of all partitions so far. What comes from outside (`is_outside`) is no follow-up.
    """

    def __init__(
        self,
        partitions: int,
        operators: Sequence[str] | None,
        *,
        backlog: bool,
        latest: int = 0,
        now: Callable[[], int] | None = None,
        is_outside: bool = False,
    ) -> None:
        self._is_outside = is_outside
        self._partitions = partitions
        self._operators = None if operators is None else frozenset(operators)
        self._backlog = backlog
        self._latest = latest
        self._now = now or clock.now
        self._past = 0  # an instant that has come
        self._partitioner = Partitioner(partitions)

    def route(self, line: NdjsonLine, batch: list[InboxLine]) -> None:
        """Put a line under its member's partition; one whose subject cannot be read goes to the first."""
        declared = BACKLOG if self._backlog else 0
        subject, recorded = ("", 0) if line.whole_length else self._subject_and_recorded(line.value)
        if recorded is None:
            declared, recorded = BACKLOG | AHEAD, 0
        if self._is_outside and is_of_a_ledger(line.value):
            declared |= OUTSIDE
        if recorded > self._latest:
            self._latest = recorded
        if subject == PROGRAMME_SUBJECT and self._is_published(line.value):
            batch.extend(InboxLine(p, self._latest, declared, subject, line.value) for p in range(self._partitions))
            return
        partition = self._partitioner(subject) if subject else 0
        batch.append(
            InboxLine(partition, recorded, declared, subject, line.value, line.whole_length, line.whole_sha256)
        )

    def routed(self, value: bytes) -> list[InboxLine]:
        """Return a fact under its member's partition, or a published programme under all."""
        batch: list[InboxLine] = []
        self.route(NdjsonLine(value), batch)
        return batch

    def _subject_and_recorded(self, value: bytes) -> tuple[str, int | None]:
        """The key of a line, and what it declares as recorded.

        0 stands for the latest that its partition has seen; None says that it is still to come, which parks it.
        """
        recorded: int | None = 0 if self._backlog else self._now()
        try:
            if self._backlog:
                timed = _timed_envelope.decode(value)
                subject = timed.subject
                occurred = to_instant(timed.time)
                recorded = None if self._is_ahead(occurred) else occurred
            else:
                subject = _envelope.decode(value).subject
            return (subject if len(subject) <= MAX_ID else ""), recorded
        except msgspec.ValidationError:
            return self._as_decoded(value, recorded)
        except (msgspec.DecodeError, RecursionError, UnicodeError, OverflowError):
            return "", 0 if self._backlog else recorded

    def _as_decoded(self, value: bytes, recorded: int | None) -> tuple[str, int | None]:
        """The same of a line that only `decode` can read, such as one with a key twice; "" where that cannot either."""
        try:
            fact, occurred = decode(value)
        except BadFact:
            return "", 0 if self._backlog else recorded
        if self._backlog:
            recorded = None if self._is_ahead(occurred) else occurred
        return fact.subject, recorded

    def _is_ahead(self, occurred: int) -> bool:
        if occurred > self._past + MAX_AHEAD:  # the clock is asked only where what is known does not say it
            self._past = self._now()
        return occurred > self._past + MAX_AHEAD

    def _is_published(self, value: bytes) -> bool:
        try:
            fact = decode(value)[0]
        except BadFact:
            return False
        return isinstance(fact, ProgrammePublished) and (self._operators is None or fact.source in self._operators)


def is_of_a_ledger(value: bytes) -> bool:
    """Return True if the source of a fact says that an account of a ledger left it."""
    if _LEDGER not in value and b"\\" not in value:  # a text may be escaped
        return False
    try:
        return is_from_ledger(decode(value)[0])
    except BadFact:
        return False


def router_into(inbox: Inbox, operators: Sequence[str], *, backlog: bool, is_outside: bool = False) -> Router:
    """Return a router of lines that go on behind those of an inbox; `is_outside` as of a `Router`."""
    latest = max(inbox.last_recorded(p) for p in range(inbox.partitions))
    return Router(inbox.partitions, operators, backlog=backlog, latest=latest, is_outside=is_outside)


class FileLoader:
    """Appends the lines of files to the inbox, each under its member's partition.

    `opened` are streams by their name that somebody has opened already.
    """

    def __init__(self, inbox: Inbox, router: Router, opened: Mapping[str, BinaryIO] | None = None) -> None:
        self._inbox = inbox
        self._router = router
        self._opened = opened or {}

    def feed(self, name: str) -> Iterator[tuple[int, SourceCursor, bool]]:
        """Feed a file; yields (lines, feed, skipped) after each chunk: appended ones, or those of an earlier run."""
        source = source_of(name)
        for known in self._inbox.feeds_of(source)[:1] if not is_stream(name) else ():
            with open_facts(name) as file:
                reader = Reader(file, name, _GO_ON, known.tail)
                if reader.skip(known.size) and reader.digest.digest() == known.digest:
                    if known.lines:
                        yield known.lines, known, True
                    yield from self._append(reader, known)
                    return
        # A new file, or one that is not what was fed under its name.
        with self._opened.get(name) or open_facts(name) as file:
            yield from self._append(Reader(file, name, _GO_ON), self._inbox.new_feed(source))

    def _append(self, reader: Reader, feed: SourceCursor) -> Iterator[tuple[int, SourceCursor, bool]]:
        batch: list[InboxLine] = []
        held = count = 0
        total = feed.lines
        bad: BadFile | None = None
        route = self._router.route
        while True:
            try:
                block = reader.block()
            except BadFile as error:
                block, bad = None, error
            for line in block or ():
                held += len(line.value)
                route(line, batch)
            count += len(block or ())
            if block is None or count >= CHUNK_LINES or held >= CHUNK_BYTES:
                total += count
                feed = SourceCursor(feed.number, reader.size, total, reader.digest.digest(), reader.tail)
                self._inbox.append(batch, feed)
                if count:
                    yield count, feed, False
                batch, held, count = [], 0, 0
                if bad is not None:
                    raise bad
                if block is None:
                    return
