"""Files of facts decoded and checked line by line, with nothing taken in."""

from collections.abc import Iterator

from consumers.files import Reader, open_facts
from ledger.facts import BadFact, decode, too_long


def check_file(name: str) -> Iterator[tuple[int, BadFact | None]]:
    """Each line that is not blank, by its number from 1, and what is wrong with it. Raises `files.BadFile`."""
    with open_facts(name) as file:
        reader = Reader(file, name)
        while (block := reader.block()) is not None:
            for line in block:
                try:
                    if line.whole_length:
                        raise too_long(line.whole_length)
                    decode(line.value)
                except BadFact as bad:
                    yield line.number, bad
                else:
                    yield line.number, None
