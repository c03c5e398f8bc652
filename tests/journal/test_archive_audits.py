"""An archive is audited like the ledger that it is of: the same answers, and what was planted in it is named."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ledger.rulebook.schema import shipped
from tests.journal.test_archive import Shelf, rewrite_months
from tests.journal.test_archive_grows import FACTS, first_third, second_third
from tests.support.ledgers import scratch

DRAFT = shipped("jd").replace("points_per_yuan = 1", "points_per_yuan = 2", 1)
QUESTIONS = (
    ["verify"],
    ["replay"],
    ["replay", "--by", "python"],
    ["stats", "--as-of", "2026-01-01"],
    ["stats", "--as-of", "2026-01-01", "--known-at", FACTS[len(FACTS) // 2]["time"]],
    ["backtest", "DRAFT", "--as-of", "2026-01-01"],
)


@contextmanager
def grown() -> Iterator[Shelf]:
    """A ledger whose archive began whole and has grown: a rule book in the link, and dead letters in both."""
    with scratch() as folder:
        shelf = first_third(folder)
        shelf.points("archive", "export", shelf.archive)
        second_third(shelf)
        shelf.points("archive", "export", shelf.archive)
        (folder / "DRAFT").write_text(DRAFT, encoding="utf-8")
        yield shelf


@pytest.fixture(scope="module")
def made() -> Iterator[Shelf]:
    """A ledger whose archive has grown, not to be changed."""
    with grown() as shelf:
        yield shelf


@pytest.fixture
def shelf(made: Shelf, tmp_path: Path) -> Shelf:
    """A copy, to be changed."""
    shutil.copytree(made.folder, tmp_path / "shelf")
    return Shelf(tmp_path / "shelf")


def asked(shelf: Shelf, question: list[str], *more: object, code: int = 0) -> Any:
    """The answer of a ledger or, by `--from-archive`, of its archive; how long it took is no part of it."""
    words = [shelf.folder / "DRAFT" if word == "DRAFT" else word for word in question]
    ran = shelf.points(*words, *more, "--json", ledger=None if not more else shelf.folder / "none", code=code)
    return {**json.loads(ran.out), "seconds": 0}


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_an_archive_answers_as_its_ledger_does(made: Shelf, question: list[str]) -> None:
    of_ledger = asked(made, question)
    assert asked(made, question, "--from-archive", made.archive) == of_ledger
    assert not (made.folder / "none").exists()


def test_several_processes_share_an_archive(made: Shelf) -> None:
    for question in (["verify"], ["stats", "--as-of", "2026-01-01"]):
        one, two = (asked(made, question, "--from-archive", made.archive, "--jobs", jobs) for jobs in (1, 2))
        assert one == two


def whole(shelf: Shelf) -> Callable[[Callable[[bytes], bytes]], None]:
    """An archive without links, whose entries a forger changes with all that has to fit them."""
    shutil.rmtree(shelf.archive)
    shelf.points("archive", "export", shelf.archive)
    return lambda change: rewrite_months(shelf.archive, change)


def test_what_cannot_be_read_is_named(shelf: Shelf) -> None:
    count = 0

    def cut(state: bytes) -> bytes:
        nonlocal count
        count += 1
        return state[:-1] if count == 4 else state

    whole(shelf)(cut)
    found = asked(shelf, ["replay"], "--from-archive", shelf.archive, code=1)["differences"]
    assert (found[0]["partition"], found[0]["place"], found[0]["field"]) == (1, 4, "bytes")
    broken = asked(shelf, ["verify"], "--from-archive", shelf.archive, code=1)["broken"]
    assert [(at["partition"], at["place"], at["problem"]) for at in broken] == [
        (1, 4, "the entry's bytes cannot be read")
    ]


@pytest.mark.parametrize("question", QUESTIONS[:2] + QUESTIONS[3:4], ids=" ".join)
def test_a_file_that_was_changed_is_named_by_every_audit(shelf: Shelf, question: list[str]) -> None:
    path = sorted((shelf.archive / "entries").glob("*/*.parquet"))[-1]
    path.write_bytes(path.read_bytes()[:-1])
    ran = shelf.points(*question, "--from-archive", shelf.archive, code=3)
    assert f"{path}: has " in ran.err


def test_what_does_not_go_together_is_refused(made: Shelf) -> None:
    for words in (
        ["--from-archive", made.archive, "--from-topic"],
        ["--on", "spark"],
        ["--from-archive", made.archive, "--on", "spark", "--jobs", 2],
        ["--from-archive", "ftp://there"],
    ):
        made.points("replay", *words, code=2)
    made.points("replay", "--from-archive", made.folder, code=3)
