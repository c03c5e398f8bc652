"""Facts from files: NDJSON, plain or gzip or zstd or standard input, into the inbox, going on where it stopped."""

import gzip
import io
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import zstandard

from consumers.inbox import Feed, Inbox, Line
from consumers.intake import KEPT_WHOLE, MAX_AHEAD
from ledger.facts import MAX_BYTES, MAX_ID, PROGRAMME_SUBJECT, BadFact, ProgrammePublished, Time, decode
from ledger.journal.partitioning import Partitioner
from ledger.times import to_instant

CHUNK_LINES = 20_000
CHUNK_BYTES = 16 << 20


class BadFile(Exception):
    """A file that cannot be read: which, why, and the way out."""


class _Envelope(msgspec.Struct, gc=False):
    subject: str = ""


class _TimedEnvelope(msgspec.Struct, gc=False):
    subject: str
    time: Time


_envelope = msgspec.json.Decoder(_Envelope)
_timed_envelope = msgspec.json.Decoder(_TimedEnvelope)


@dataclass(slots=True)
class RawLine:
    """A line without its end; of one that is too long, its beginning, its whole length and its SHA-256."""

    value: bytes
    size: int  # bytes read for it, its end included
    whole_length: int = 0
    whole_sha256: bytes = b""


def open_facts(name: str) -> BinaryIO:
    """A file of facts, or standard input for ``-``, decompressed by its ending. Raises `BadFile`."""
    if name == "-":
        return sys.stdin.buffer
    try:
        raw = Path(name).open("rb")  # noqa: SIM115 - the reader closes it
    except OSError as error:
        raise BadFile(f"{name}: {error.strerror}; give a readable NDJSON file, .gz, .zst or - for standard input") from None
    if name.endswith(".gz"):
        return io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 20)  # type: ignore[arg-type]
    if name.endswith((".zst", ".zstd")):
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=True)
        return io.BufferedReader(reader, 1 << 20)
    return raw


def read_lines(file: BinaryIO, name: str) -> Iterator[RawLine]:
    """Lines in bounded memory: of one longer than a fact may be only the beginning is kept. Raises `BadFile`."""
    try:
        while line := file.readline(MAX_BYTES + 2):
            if line[-1:] == b"\n":
                yield RawLine(line.rstrip(b"\r\n"), len(line))
            elif len(line) <= MAX_BYTES:
                yield RawLine(line, len(line))  # the last line, without an end
            else:
                yield _long_line(file, line)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise BadFile(
            f"{name}: damaged: {error}; what stands before is in, mend the file and run the same command again"
        ) from error


def _long_line(file: BinaryIO, line: bytes) -> RawLine:
    kept, size, digest = line[:KEPT_WHOLE], 0, sha256()
    while line:
        size += len(line)
        ended = line[-1:] == b"\n"
        digest.update(line.rstrip(b"\r\n") if ended else line)
        if ended:
            break
        line = file.readline(MAX_BYTES)
    return RawLine(kept, size, size - ended, digest.digest())


class Feeder:
    """Appends the lines of files to the inbox, each under its member's partition.

    `backlog` declares recorded = max(occurred, the partition's last recorded); otherwise it is the present instant.
    """

    def __init__(
        self, inbox: Inbox, operators: Sequence[str], *, backlog: bool, now: Callable[[], int] | None = None
    ) -> None:
        self._inbox = inbox
        self._operators = frozenset(operators)
        self._backlog = backlog
        self._now = now or (lambda: time.time_ns() // 1000)
        self._partitioner = Partitioner(inbox.partitions)

    def feed(self, name: str) -> Iterator[tuple[int, Feed, bool]]:
        """Feed a file; yields (lines, feed, skipped) after each chunk: appended ones, or those of an earlier run."""
        source = name if name == "-" else str(Path(name).resolve())
        with open_facts(name) as file:
            lines = read_lines(file, name)
            feed, digest, skipped = self._resume(source, name, lines)
            if feed is None:
                with open_facts(name) as again:
                    yield from self._append(read_lines(again, name), self._inbox.new_feed(source), sha256())
                return
            if skipped:
                yield skipped, feed, True
            yield from self._append(lines, feed, digest)

    def _resume(self, source: str, name: str, lines: Iterator[RawLine]) -> tuple[Feed | None, Any, int]:
        """Read past what is in already. None for the feed where the file is not the one that was fed."""
        known = self._inbox.feeds_of(source) if name != "-" else []
        digest = sha256()
        if not known or not known[0].size:
            return (known[0] if known else self._inbox.new_feed(source)), digest, 0
        feed, size, count = known[0], 0, 0
        while size < feed.size:
            line = next(lines, None)
            if line is None:
                return None, digest, 0
            size += line.size
            _digest_line(digest, line)
            count += bool(line.value.strip() or line.whole_length)
        if size != feed.size or digest.digest() != feed.digest:
            return None, digest, 0
        return feed, digest, count

    def _append(self, lines: Iterator[RawLine], feed: Feed, digest: Any) -> Iterator[tuple[int, Feed, bool]]:
        batch: list[Line] = []
        held = count = 0
        size, total = feed.size, feed.lines
        bad: BadFile | None = None
        while True:
            try:
                line = next(lines, None)
            except BadFile as error:
                line, bad = None, error
            if line is not None:
                size += line.size
                _digest_line(digest, line)
                held += len(line.value)
                if line.value.strip() or line.whole_length:
                    count += 1
                    self._route(line, batch)
            if line is None or count >= CHUNK_LINES or held >= CHUNK_BYTES:
                total += count
                feed = Feed(feed.number, size, total, digest.digest())
                self._inbox.append(batch, feed)
                if count:
                    yield count, feed, False
                batch, held, count = [], 0, 0
                if bad is not None:
                    raise bad
                if line is None:
                    return

    def _route(self, line: RawLine, batch: list[Line]) -> None:
        """Put a line under its member's partition; one whose subject cannot be read goes to the first."""
        subject, recorded = ("", 0) if line.whole_length else self._subject_and_recorded(line.value)
        if subject == PROGRAMME_SUBJECT and self._is_published(line.value):
            last = max(self._inbox.last_recorded(p) for p in range(self._inbox.partitions))
            for p in range(self._inbox.partitions):
                batch.append(Line(p, max(last, recorded), self._backlog, subject, line.value))
            return
        partition = self._partitioner(subject) if subject else 0
        batch.append(
            Line(partition, recorded, self._backlog, subject, line.value, line.whole_length, line.whole_sha256)
        )

    def _subject_and_recorded(self, value: bytes) -> tuple[str, int]:
        """The key of a line, and what it declares as recorded (0: the latest that its partition has seen)."""
        try:
            if self._backlog:
                timed = _timed_envelope.decode(value)
                occurred = to_instant(timed.time)
                recorded = 0 if occurred > self._now() + MAX_AHEAD else occurred  # still to come: to be parked
                subject = timed.subject
            else:
                recorded, subject = self._now(), _envelope.decode(value).subject
            if len(subject) <= MAX_ID:
                return subject, recorded
        except (msgspec.DecodeError, RecursionError, UnicodeError, OverflowError):
            pass
        return "", 0 if self._backlog else self._now()

    def _is_published(self, value: bytes) -> bool:
        try:
            fact = decode(value)[0]
        except BadFact:
            return False
        return isinstance(fact, ProgrammePublished) and fact.source in self._operators


def _digest_line(digest: Any, line: RawLine) -> None:
    digest.update(line.whole_sha256 or line.value)
    digest.update(b"\n")

