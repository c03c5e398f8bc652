"""An archive of a ledger that was split: it goes on behind the split, answers as the ledger does, and becomes it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ledger.journal.open import open_ledger
from service.archive.reading import Archive
from tests.journal.test_archive import Shelf
from tests.journal.test_archive_audits import DRAFT, QUESTIONS, asked
from tests.journal.test_archive_grows import FACTS, THIRD, content, export, feed, first_third, restores, second_third
from tests.support.ledgers import scratch

LATER = 2 * THIRD, len(FACTS) - 20  # what is decided between the two splits


@pytest.fixture(scope="module")
def made() -> Iterator[Shelf]:
    """A ledger that was split twice since it was archived, and its archive before and after that."""
    with scratch() as folder:
        shelf = first_third(folder)
        shelf.points("archive", "export", shelf.archive)
        shutil.copytree(shelf.archive, folder / "archive-before")
        shutil.copytree(shelf.ledger, folder / "ledger-before")
        second_third(shelf)
        shelf.points("split", "--times", 2)
        feed(shelf, FACTS[slice(*LATER)], "third")
        shelf.points("split", "--times", 2)
        feed(shelf, FACTS[LATER[1] :], "last")
        shelf.points("archive", "export", shelf.archive)
        (folder / "DRAFT").write_text(DRAFT, encoding="utf-8")
        yield shelf


@pytest.fixture
def shelf(made: Shelf, tmp_path: Path) -> Shelf:
    """A copy, to be changed."""
    shutil.copytree(made.folder, tmp_path / "shelf")
    return Shelf(tmp_path / "shelf")


def test_an_archive_of_before_goes_on_and_becomes_the_ledger(shelf: Shelf) -> None:
    before = content(shelf.folder / "archive-before")
    assert before.pop("head.json") and before.items() <= content(shelf.archive).items(), "what was there is as it was"
    again = shelf.points("archive", "export", shelf.archive, "--json").json
    with closing(open_ledger(shelf.ledger)) as ledger:
        assert (again["entries"], again["appended"]) == (ledger.count(), 0)
    restores(shelf)


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_it_answers_as_its_ledger_does(made: Shelf, question: list[str]) -> None:
    assert asked(made, question, "--from-archive", made.archive) == asked(made, question)


def test_an_archive_that_is_begun_after_the_split_is_whole(shelf: Shelf) -> None:
    shutil.rmtree(shelf.archive)
    shelf.points("archive", "export", shelf.archive)
    assert not list(shelf.archive.glob("links/*"))
    assert asked(shelf, ["replay"], "--from-archive", shelf.archive) == asked(shelf, ["replay"])


def test_a_kill_at_any_link_leaves_an_archive_and_the_same_command_goes_on(shelf: Shelf) -> None:
    shutil.rmtree(shelf.archive)
    shutil.copytree(shelf.folder / "archive-before", shelf.archive)
    known = [len(Archive(shelf.archive).manifest.partitions)]
    for failpoint in ("archive-linked", "archive-link", "archive-linked", "archive-file:2", "archive-linked"):
        assert export(shelf, failpoint) == -9
        known.append(len(Archive.checked(shelf.archive).manifest.partitions))
        assert asked(shelf, ["verify"], "--from-archive", shelf.archive)["broken"] == []
    assert known[0] < known[-1] and known == sorted(known)
    shelf.points("archive", "export", shelf.archive)
    restores(shelf)


def test_a_split_that_was_changed_or_is_of_another_state_is_refused(shelf: Shelf) -> None:
    earlier = shelf.points("archive", "export", shelf.archive, ledger=shelf.folder / "ledger-before", code=1)
    assert "an earlier state of this ledger" in earlier.err
    link = min(path for path in shelf.archive.glob("links/*") if '"split"' in path.read_text())
    told = json.loads(link.read_bytes())
    told["split"]["before"]["ends"][0]["entries"] += 1_000
    link.write_text(json.dumps(told))
    shelf.refuses("tells of a split that does not fit")
