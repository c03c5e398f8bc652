"""What an engine once decided, every later version of points still derives, leaf by leaf."""

from pathlib import Path

import pytest

from ledger.core.decide import Limits
from ledger.journal.partition import entry_from
from ledger.journal.port import EntryRow
from ledger.rulebook.compiled import Programme
from ledger.wire.entries import ENGINE
from ledger.wire.entry_codec import decode_entry, encode_entry
from projections.audit.derive import Derived, derive
from tests.support.engine_history import DATA, files, read


class _Rows:
    """A journal that has nothing but a member's entries."""

    def __init__(self, rows: list[EntryRow]) -> None:
        self._rows = rows

    def entries_of(self, member: str, after: int = 0) -> list[EntryRow]:
        return self._rows


def test_there_is_a_history_of_each_engine_before_the_present_one() -> None:
    assert [path.name for path in files()] == [f"engine-{number}.json.zst" for number in range(1, ENGINE)]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_an_old_history_still_derives(path: Path) -> None:
    toml, members = read(path)
    book = Programme([toml])
    derived = 0
    for member, rows in members.items():
        for found in derive(_Rows(rows), member, rows, lambda _: book, Limits()):  # type: ignore[arg-type]
            assert isinstance(found, Derived)
            stored = decode_entry(found.row.state)
            again = entry_from(found.decision, found.item, stored.number, stored.partition)
            assert encode_entry(again) == found.row.state, (member, stored.number)
            derived += 1
    assert derived > 500


def test_a_history_that_is_there_is_never_written_again() -> None:
    from tests.support.engine_history import write

    with pytest.raises(FileExistsError):
        write(DATA / "engine-1.json.zst")
