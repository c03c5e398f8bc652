"""Every line that says what to install works today, in a clone or beside a wheel: the project is on no index yet."""

import io
import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from readme_renderer import markdown

from service.errors import DRIVER

ROOT = Path(__file__).resolve().parents[1]
LINE = re.compile(r"pip install ((?:'[^'\n]*'|\"[^\"\n]*\"|[^\s`'\",;)]+)(?: (?:'[^'\n]*'|\"[^\"\n]*\"))*)")


def project(folder: Path) -> Any:
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]


def install_lines() -> Iterator[tuple[str, str]]:
    """Where a line stands, and what it installs."""
    for pattern in ("*.md", "docs/**/*.md", "client/*.md", "service/**/*.py", "consumers/**/*.py", "ledger/**/*.py"):
        for path in sorted(ROOT.glob(pattern)):
            text = path.read_text("utf-8").replace("{DRIVER}", DRIVER)
            yield from ((str(path.relative_to(ROOT)), found[1]) for found in LINE.finditer(text))


@pytest.mark.parametrize(("place", "line"), list(install_lines()))
def test_what_a_line_installs_is_there(place: str, line: str) -> None:
    extras = project(ROOT)["optional-dependencies"]
    pinned = {requirement for requirements in extras.values() for requirement in requirements}
    for wanted in shlex.split(line):
        path, _, extra = wanted.partition("[")
        if path.startswith((".", "/")):
            named = extra.rstrip("]")
            known = project(ROOT / path).get("optional-dependencies", {})
            assert not named or named in known, f"{place}: {wanted}: there is no such extra"
        else:
            assert wanted in pinned, f"{place}: {wanted}: no extra has it, and the project itself is on no index"


def test_lines_are_found() -> None:
    places = {place for place, _ in install_lines()}
    assert {
        "docs/postgresql.md",
        "docs/kafka.md",
        "docs/http.md",
        "service/errors.py",
        "consumers/kafka/clients.py",
    } <= places


@pytest.mark.parametrize("folder", [ROOT, ROOT / "client"], ids=["points-ledger", "client"])
def test_the_metadata_is_whole(folder: Path) -> None:
    found = project(folder)
    assert found.keys() >= {"authors", "classifiers", "description", "keywords", "license", "requires-python"}
    assert "readme" in found or found["dynamic"] == ["readme"]
    assert "Typing :: Typed" in found["classifiers"]
    packages = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]
    for package in packages["wheel"]["packages"]:
        assert (folder / package / "py.typed").exists(), package


@pytest.mark.parametrize("folder", [ROOT, ROOT / "client"], ids=["points-ledger", "client"])
def test_the_readme_renders_as_a_packages_page_and_leads_nowhere_that_is_not_there(folder: Path) -> None:
    text = (folder / "README.md").read_text("utf-8")
    hook = runpy.run_path(str(ROOT / "hatch_build.py"))
    shown = hook["page"](text) if folder == ROOT else text
    complaints = io.StringIO()
    rendered = markdown.render(shown, stream=complaints)
    assert rendered is not None and not complaints.getvalue()
    assert len(re.findall("<h2[ >]", rendered)) == len(re.findall("^## ", shown, re.MULTILINE))
    assert folder != ROOT or ("<table>" in rendered and "京豆账本" in rendered)
    assert not re.findall(r'(?:href|src)="(?!https?:|#)[^"]*"', rendered)
