"""`points stats --engines`: what of a ledger the native engine decides, and what it leaves to Python and why."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from consumers.runtime.ingest import ingest
from ledger.journal.open import open_or_create
from service.screens.engines import LEFT
from tests.cli.test_cli import points
from tests.journal.test_every_table import LINES
from tests.support.ledgers import scratch, write_facts

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A ledger in which a rule book was published."""
    with scratch() as place:
        with closing(open_or_create(place / "ledger")) as ledger, ledger.writing():
            ingest(ledger, [str(write_facts(place / "facts.ndjson", LINES))], backlog=True)
        yield place / "ledger"


def test_all_but_a_published_book_is_the_native_engines(folder: Path, native: Any) -> None:
    del native
    found = json.loads(points("--ledger", folder, "stats", "--engines", "--json").out)
    assert found["handed_back"] == {"publication": found["python"]} and found["python"] > 0
    assert found["native"] + found["python"] == found["entries"] > 100
    assert (found["decides"], found["why_not"], found["difference_count"]) == ("native", "", 0)


def test_the_screen_says_why_in_the_terminals_language(
    folder: Path, native: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del native
    assert "a published programme" in points("--ledger", folder, "stats", "--engines").out
    monkeypatch.setenv("POINTS_LANG", "zh")
    assert "发布的规则手册" in points("--ledger", folder, "stats", "--engines").out


def test_without_the_engine_it_says_how_to_have_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.journal.engines.MODULE", "points_engine_that_nobody_has")
    ran = points("--ledger", folder, "stats", "--engines")
    assert ran.code == 3 and "`make engine` builds it" in ran.err


def test_it_stands_alone(folder: Path) -> None:
    for options in (
        ("--engines", "--by-shop"),
        ("--engines", "--as-of", "2025-01-01"),
        ("--engines", "--known-at", "2025-01-01"),
    ):
        ran = points("--ledger", folder, "stats", *options)
        assert ran.code == 2 and "--engines" in ran.err


def test_every_reason_of_the_crate_is_told() -> None:
    crate = (ROOT / "engine" / "src" / "handed_back.rs").read_text()
    names = {part.partition('"')[0] for part in crate.partition("pub fn name")[2].split('=> "')[1:]}
    assert names == set(LEFT)
