"""One tree of errors: every class is below its root, in the docstring that draws it, and ends `points` by the table."""

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import errors
from ledger.errors import ControlFlow, PointsLedgerError
from service.errors import report

ROOT = Path(__file__).parent.parent
PACKAGES = ("ledger", "consumers", "projections", "service")
OF_THE_CLIENT = "service.client"  # a library that imports nothing of ours has a tree of its own
BRANCHES = [kind for kind in PointsLedgerError.__subclasses__() if kind is not ControlFlow]


def classes() -> Iterator[type[BaseException]]:
    """Every exception class that our packages define, without the client's."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if not re.search(r"^class ", text, flags=re.MULTILINE) or name.startswith(OF_THE_CLIENT):
                continue
            for found in vars(importlib.import_module(name)).values():
                if inspect.isclass(found) and issubclass(found, BaseException) and found.__module__ == name:
                    yield found


def test_every_error_is_below_the_one_root() -> None:
    assert {kind.__qualname__ for kind in classes() if not issubclass(kind, PointsLedgerError)} == set()


def test_the_docstring_draws_every_error_and_no_other() -> None:
    tree = (errors.__doc__ or "").split("\n\n")[1]
    assert set(re.findall(r"\b[A-Z]\w*[a-z]\w*", tree)) == {kind.__name__ for kind in classes()}


@pytest.mark.parametrize("branch", BRANCHES, ids=lambda kind: kind.__name__)
def test_a_branch_ends_points_with_its_code(
    branch: type[PointsLedgerError], capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(branch("what happened: the way out")) == branch.exit_code
    assert capsys.readouterr().err == "points: what happened: the way out\n"


def test_the_table_of_exit_codes_names_those_of_the_tree_and_no_other() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE)}
    assert codes == {0, 130} | {kind.exit_code for kind in PointsLedgerError.__subclasses__()}


def test_a_full_disk_below_an_unusable_file_is_a_matter_of_now(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.Unusable("a manifest cannot be written")
    error.__cause__ = OSError(28, "No space left on device")
    assert report(error) == errors.CannotRunNow.exit_code
    error = errors.BadInput("a file of the user's")
    error.__cause__ = OSError(13, "Permission denied")
    assert report(error) == errors.BadInput.exit_code
    assert "points: " in capsys.readouterr().err


def test_a_signal_that_escapes_is_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ControlFlow("nobody caught it")) == 4
    assert "a bug: ControlFlow: nobody caught it" in capsys.readouterr().err
