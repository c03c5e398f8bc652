"""Files of facts decoded and checked line by line, with nothing taken in."""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from consumers.files.loader import BOM, BadFile, Peeked, Reader, is_stream, open_facts
from consumers.runtime.intake import Sources, check_admissible
from ledger.wire.fact_codec import BadFact, decode, too_long

PEEKED = 1 << 20  # bytes of a stream that are looked at before a ledger is made for it


def check_has_facts(name: str) -> None:
    """Raise `BadFile` where a file has lines, and none of them begins as a fact does: it was named by mistake.

    What comes through a pipe is there once, and is looked at by `open_with_facts`.
    """
    if is_stream(name):
        return
    lines = 0
    with open_facts(name) as file:
        for line in Reader(file, name):
            lines += 1
            if line.whole_length or line.value.lstrip().startswith(b"{"):
                return
    if lines:
        why = f"none of its {lines:,} lines begins as a fact does, with {{"
        raise BadFile(f"{name}: {why}: nothing was taken in; `points check` says what is wrong with each")


def open_with_facts(name: str) -> BinaryIO:
    """Return a stream, opened to be read once, of whose first lines one begins as a fact does, or that has none.

    Raises `BadFile` where lines come, and none of the first mebibyte begins so: it was sent by mistake.
    """
    file = open_facts(name)
    head, line = bytearray(), b""
    try:
        while len(head) < PEEKED and (block := file.read1(PEEKED)):  # type: ignore[attr-defined]
            head += block
            *lines, line = (line + block).split(b"\n")
            if any(one.removeprefix(BOM).lstrip().startswith(b"{") for one in (*lines, line)):
                return Peeked(bytes(head), file)  # type: ignore[return-value]
    except (OSError, EOFError, zlib.error) as error:
        raise BadFile(f"{name}: damaged before its first fact: {error}; nothing was taken in") from error
    if not head.strip():
        return Peeked(bytes(head), file)  # type: ignore[return-value]
    file.close()
    raise BadFile(
        f"{name}: none of its first lines begins as a fact does, with {{: no ledger was made, and nothing was taken in"
    )


def check_file(name: str, now: int) -> Iterator[tuple[int, BadFact | None]]:
    """Each line that is not blank, by its number from 1, and what is wrong with it. Raises `files.BadFile`.

    What is later than `now` (microseconds) is from the future; whose word counts only a ledger knows.
    """
    with open_facts(name) as file:
        for line in Reader(file, name):
            try:
                if line.whole_length:
                    raise too_long(line.whole_length)
                fact, occurred = decode(line.value)
                own = frozenset({fact.source})
                check_admissible(fact, occurred, now, Sources(operators=own, partners=own))
            except BadFact as bad:
                yield line.number, bad
            else:
                yield line.number, None
