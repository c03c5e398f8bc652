"""Files of facts decoded and checked line by line, with nothing taken in."""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

import zstandard

from consumers.files import BadFile, open_facts
from ledger.facts import MAX_BYTES, BadFact, decode


def check_file(name: str) -> Iterator[tuple[int, BadFact | None]]:
    """Each line that is not blank, by its number from 1, and what is wrong with it. Raises `BadFile`."""
    with open_facts(name) as file:
        for number, line, length in _lines(file, name):
            try:
                if length > MAX_BYTES:
                    raise BadFact("too-long", f"{length:,} bytes; a fact has at most {MAX_BYTES:,}")
                decode(line)
            except BadFact as bad:
                yield number, bad
            else:
                yield number, None


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[int, bytes, int]]:
    """Number, beginning and length of each line in bounded memory."""
    number = 0
    try:
        while line := file.readline(MAX_BYTES + 2):
            number += 1
            length, part = len(line), line
            while part[-1:] != b"\n" and (part := file.readline(MAX_BYTES)):
                length += len(part)
            length -= part[-1:] == b"\n"
            line = line.rstrip(b"\r\n")
            if line and not line.isspace():
                yield number, line, max(len(line), length if length > MAX_BYTES + 1 else 0)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise BadFile(f"{name}: damaged after line {number:,}: {error}; mend the file") from error
