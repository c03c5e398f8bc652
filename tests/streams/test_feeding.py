"""Files as they come: cut off and completed later, piped, named twice; and an inbox that is not that of its ledger."""

import json
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ledger.wire.fact_codec import BadFact, decode
from ledger.wire.times import parse_instant, to_instant
from service.cli import run
from tests.support.histories import LONG_AGO, encode
from tests.support.ledgers import histories_of

FACTS: list[bytes] = [encode(one) for one in histories_of(Random(3), members=3, length=8, start=LONG_AGO)]
TEXT = b"\n".join(FACTS) + b"\n"


class Points:
    """The command on one ledger."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *words: object, code: int = 0) -> Any:
        assert run(["--ledger", str(self.folder), "--json", *map(str, words)]) == code
        told = self._capsys.readouterr()
        return json.loads(told.out) if code == 0 else told.err

    def entries(self) -> list[bytes]:
        path = self.folder.parent / "entries.ndjson"
        self("export", "entries", "--format", "ndjson", "-o", path)
        kept = []
        for line in path.read_bytes().splitlines():
            entry = json.loads(line)
            kept.append(json.dumps({name: entry[name] for name in ("member", "number", "outcome", "id")}).encode())
        return kept


@pytest.fixture
def points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Points:
    return Points(tmp_path / "ledger", capsys)


@pytest.fixture
def whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[bytes]:
    """What the facts come to."""
    found = Points(tmp_path / "whole", capsys)
    (tmp_path / "whole.ndjson").write_bytes(TEXT)
    found("ingest", "--backlog", tmp_path / "whole.ndjson")
    return found.entries()


def test_a_file_that_grows_loses_no_fact_at_the_seams(points: Points, tmp_path: Path, whole: list[bytes]) -> None:
    file = tmp_path / "grows.ndjson"
    parked = 0
    ends = [300, 301, len(FACTS[0]), len(FACTS[0]) + 1, 2_000, len(TEXT) - 1, len(TEXT)]
    for end in ends:
        file.write_bytes(TEXT[:end])
        parked += points("ingest", "--backlog", file)["parked"]
        again = points("ingest", "--backlog", file)
        assert (again["entries"], again["parked"], again["facts"]) == (0, 0, again["skipped"])
    assert points.entries() == whole
    assert parked == 3, "a line that is cut off is no fact, and is parked as such"
    assert points("replay", "--from-topic")["differences"] == []


def test_a_file_that_was_cut_off_for_good_is_parked_once(points: Points, tmp_path: Path) -> None:
    file = tmp_path / "cut.ndjson"
    file.write_bytes(TEXT[:-20])
    first = points("ingest", "--backlog", file)
    assert (first["facts"], first["parked"]) == (len(FACTS), 1)
    again = points("ingest", "--backlog", file)
    assert (again["facts"], again["skipped"], again["parked"]) == (len(FACTS), len(FACTS), 0)


def test_a_byte_order_mark_is_no_part_of_a_fact(points: Points, tmp_path: Path, whole: list[bytes]) -> None:
    file = tmp_path / "bom.ndjson"
    file.write_bytes(b"\xef\xbb\xbf" + TEXT)
    assert points("ingest", "--backlog", file)["parked"] == 0
    assert points.entries() == whole


@pytest.mark.parametrize("runs", [1, 2])
def test_a_named_pipe_is_read_to_its_end(points: Points, tmp_path: Path, whole: list[bytes], runs: int) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for turn in range(runs):
        writer = threading.Thread(target=lambda: pipe.write_bytes(TEXT))
        writer.start()
        told = points("ingest", "--backlog", pipe)
        writer.join()
        assert told["ignored"] >= turn * len(FACTS) and told["facts"] == len(FACTS)
    if runs == 1:
        assert points.entries() == whole


def test_outcomes_are_not_written_over_facts(points: Points, tmp_path: Path) -> None:
    file = tmp_path / "facts.ndjson"
    file.write_bytes(TEXT)
    (tmp_path / "link.ndjson").symlink_to(file)
    for out in (file, tmp_path / "link.ndjson"):
        assert "one of the files of facts" in points("ingest", "--backlog", file, "--outcomes", out, code=2)
    assert "that is no file" in points("ingest", "--backlog", file, "--outcomes", tmp_path, code=2)
    assert file.read_bytes() == TEXT and not points.folder.exists()


@pytest.mark.parametrize("older", [False, True])
def test_an_inbox_that_lacks_what_was_decided_takes_nothing(points: Points, tmp_path: Path, older: bool) -> None:
    inbox = points.folder / "inbox.db"
    first, second = tmp_path / "first.ndjson", tmp_path / "second.ndjson"
    first.write_bytes(b"\n".join(FACTS[:12]) + b"\n")
    second.write_bytes(b"\n".join(FACTS[12:]) + b"\n")
    points("ingest", "--backlog", first)
    if older:
        shutil.copy(inbox, tmp_path / "older.db")
        points("ingest", "--backlog", second)
    else:
        second = first
    shutil.move(inbox, tmp_path / "newest.db")
    if older:
        shutil.copy(tmp_path / "older.db", inbox)
    more = tmp_path / "more.ndjson"
    more.write_bytes(TEXT)
    said = points("ingest", "--backlog", more, code=3)
    assert ("ends at" if older else "is gone") in said and "put the newest copy of it back" in said
    assert inbox.exists() == older
    shutil.move(tmp_path / "newest.db", inbox)
    assert points("ingest", "--backlog", second)["entries"] == 0
    assert points("replay", "--from-topic")["differences"] == []


def _signed_in(time: str, data: str = "{}") -> bytes:
    return (
        '{"specversion":"1.0","id":"i","source":"/s","type":"member.signed-in.v1","subject":"m",'
        f'"time":"{time}","data":{data}}}'
    ).encode()


def test_digits_behind_the_microseconds_are_cut_off() -> None:
    for digits in ("9999999", "999999999999", "9999995"):
        fact, occurred = decode(_signed_in(f"2025-12-31T23:59:59.{digits}+08:00"))
        assert occurred == parse_instant("2025-12-31T23:59:59.999999+08:00", 0) == to_instant(fact.time)
    named = _signed_in("2025-12-31T23:59:59.5+08:00").replace(b'"i"', b'"v1.1234567"')
    assert decode(named)[0].id == "v1.1234567"
    for bad in (b'"\\ud800"', b'"i', b"[" * 2_000):
        with pytest.raises(BadFact):
            decode(_signed_in("2025-12-31T23:59:59.1234567+08:00").replace(b'"i"', bad))


def test_of_duplicate_keys_the_last_holds_whatever_the_first_is() -> None:
    fact, _ = decode(_signed_in("2025-01-01T00:00:00+08:00").replace(b'"subject"', b'"subject":7,"subject"'))
    assert fact.subject == "m"
    with pytest.raises(BadFact, match="Expected `str`, got `int`"):
        decode(_signed_in("2025-01-01T00:00:00+08:00").replace(b'"subject":"m"', b'"subject":"m","subject":7'))


def test_a_fact_with_a_key_twice_is_decided_in_its_members_partition(points: Points, tmp_path: Path) -> None:
    file = tmp_path / "twice.ndjson"
    file.write_bytes(_signed_in("2025-01-01T00:00:00+08:00").replace(b'"subject"', b'"subject":7,"subject"') + b"\n")
    assert points("ingest", "--backlog", file)["accepted"] == 1


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "3000-01-01", "9999-12-31"])
def test_the_day_of_a_sign_in_has_the_bounds_of_time(day: str) -> None:
    with pytest.raises(BadFact, match="years 1970 to 2999"):
        decode(_signed_in("2025-01-01T00:00:00+08:00", f'{{"day":"{day}"}}'))
    decode(_signed_in("2025-01-01T00:00:00+08:00", '{"day":"2999-12-31"}'))


def test_what_was_kept_in_part_is_named_where_all_are_driven_again(
    points: Points, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "long.ndjson"
    file.write_bytes(b"x" * 100_000 + b"\n{\n")
    assert points("ingest", file)["parked"] == 2
    assert run(["--ledger", str(points.folder), "dead-letters", "retry", "--all"]) == 0
    told = capsys.readouterr()
    assert "1 more wait that were kept in part" in told.err and "no dead letters" not in told.out


NONSENSE = b"# Points Ledger\n\nA ledger of points.\n"


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Put bytes into standard input, as a pipe does."""

    def put(data: bytes) -> None:
        reading, writing = os.pipe()

        def write() -> None:
            with open(writing, "wb") as pipe, suppress(BrokenPipeError):
                pipe.write(data)

        threading.Thread(target=write, daemon=True).start()
        monkeypatch.setattr("sys.stdin", open(reading))  # noqa: SIM115 - read once, and closed with the test

    return put


def test_a_pipe_of_nonsense_makes_no_ledger(points: Points, piped: Callable[[bytes], None]) -> None:
    for nonsense in (NONSENSE, b"x" * 3_000_000, b"\n" + b"y\n" * 800_000):
        piped(nonsense)
        assert "none of its first lines begins as a fact does" in points("ingest", "-", code=3)
        assert not points.folder.exists()


def test_a_pipe_of_nonsense_is_parked_in_a_ledger_that_is_there(
    points: Points, piped: Callable[[bytes], None], tmp_path: Path
) -> None:
    piped(NONSENSE + TEXT)
    first = points("ingest", "--backlog", "-")
    assert (first["facts"], first["parked"]) == (len(FACTS) + 2, 2)
    piped(NONSENSE)
    assert points("ingest", "-")["parked"] == 2


def test_a_pipe_of_facts_makes_the_ledger_that_a_file_does(
    points: Points, piped: Callable[[bytes], None], whole: list[bytes]
) -> None:
    piped(b"\xef\xbb\xbf" + TEXT)
    points("ingest", "--backlog", "-")
    assert points.entries() == whole


def test_an_empty_pipe_makes_an_empty_ledger(points: Points, piped: Callable[[bytes], None]) -> None:
    piped(b"")
    assert points("ingest", "-")["facts"] == 0
