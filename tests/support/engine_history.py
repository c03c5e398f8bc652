"""A history as an engine decided it, kept for ever: entries of some members and the rule book that decided them.

`python -m tests.engine_history` writes the one of the present engine, once: a fix that changes decisions raises
`ENGINE`, keeps the old branch, and adds a file; those that are there never change.
"""

import sys
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import zstandard

from ledger.journal.port import EntryRow
from ledger.wire.entries import ENGINE
from tests.support.histories import history
from tests.support.shop import Shop

DATA = Path(__file__).parents[1] / "data"
MEMBERS = 5
LENGTH = 120


def files() -> list[Path]:
    """The history of each engine there ever was."""
    return sorted(DATA.glob("engine-*.json.zst"))


def read(path: Path) -> tuple[str, dict[str, list[EntryRow]]]:
    """The rule book and the members' entries of a history."""
    whole: dict[str, Any] = msgspec.json.decode(zstandard.decompress(path.read_bytes()))
    rows = {
        member: [EntryRow(n, member, n, bytes.fromhex(state), b"") for n, state in enumerate(states, 1)]
        for member, states in whole["members"].items()
    }
    return whole["book"], rows


def write(path: Path) -> None:
    """Write the history of the present engine. Raises `FileExistsError`: what is there never changes."""
    from ledger.wire.entry_codec import encode_entry

    members = {}
    book = ""
    for seed in range(MEMBERS):
        shop = Shop()
        for fact in history(Random(2_000 + seed), LENGTH):
            shop.hears(fact)
        members[f"m-{seed}"] = [encode_entry(entry).hex() for entry in shop.entries]
        book = shop.book.versions[0].toml
    with path.open("xb") as file:
        file.write(zstandard.compress(msgspec.json.encode({"book": book, "members": members}), 19))


if __name__ == "__main__":
    write(DATA / f"engine-{ENGINE}.json.zst")
    sys.exit(0)
