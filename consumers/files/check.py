"""Files of facts decoded and checked line by line, with nothing taken in."""

from collections.abc import Iterator

from consumers.files.loader import BadFile, Reader, is_stream, open_facts
from consumers.runtime.intake import check_admissible
from ledger.wire.fact_codec import BadFact, decode, too_long


def check_has_facts(name: str) -> None:
    """Raise `BadFile` where a file has lines, and none of them begins as a fact does: it was named by mistake.

    What comes through a pipe is not looked at, since it is there once.
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


def check_file(name: str, now: int) -> Iterator[tuple[int, BadFact | None]]:
    """Each line that is not blank, by its number from 1, and what is wrong with it. Raises `files.BadFile`.

    What is later than `now` (microseconds) is from the future; whose operators' facts count only a ledger knows.
    """
    with open_facts(name) as file:
        for line in Reader(file, name):
            try:
                if line.whole_length:
                    raise too_long(line.whole_length)
                fact, occurred = decode(line.value)
                check_admissible(fact, occurred, now, operators=(fact.source,))
            except BadFact as bad:
                yield line.number, bad
            else:
                yield line.number, None
