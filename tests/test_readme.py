"""README and tour are run: each console block's commands on the shipped examples have to print what it shows.

A line `…` in a block stands for any lines. Seconds and rates differ from run to run and are not compared. After a
change that is meant, `python -m tests.test_readme` writes the output of the blocks anew.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
IN_DOCS = ("tour.md", "tour.zh-CN.md", "several-books.md")
PAGES = (ROOT / "README.md", ROOT / "README.zh-CN.md", *(ROOT / "docs" / name for name in IN_DOCS))
WIDTH = 96  # columns of the blocks
ANY = "…"
LINK = re.compile(r"\]\((docs/[^)#]*)")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
Command = tuple[str, str]  # and the output shown


def commands(block: str) -> list[Command]:
    """A block as commands with the output shown."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
    assert not parts[0], f"a block begins with its command: {parts[0]!r}"
    return list(zip(parts[1::2], parts[2::2], strict=True))


class Terminal:
    """A shell in a folder that has the examples; knows `points`, `make demo`, `export` and `echo $?`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._code = 0
        kept = {name: value for name, value in os.environ.items() if not name.startswith("POINTS_")}
        self._environment = {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": str(WIDTH), "PYTHONUTF8": "1"}
        shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("points-ledger"))

    def run(self, command: str) -> str:
        if command == "echo $?":
            return f"{self._code}\n"
        words = shlex.split(command, comments=True)
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self._environment[name] = value
            return ""
        if words[:2] == ["make", "demo"]:
            words = ["points", "demo", *(" ".join(words[2:]).removeprefix("ARGS=").split())]
        assert words[0] == "points", f"only points is run here: {command}"
        done = subprocess.run(
            [sys.executable, "-m", "service.cli", *words[1:]],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        self._code = done.returncode
        return done.stdout


def normal(text: str) -> list[str]:
    """Lines without what differs from run to run."""
    text = re.sub(r"[\d,]+(?= (?:facts|lines)/s\b|/s\b)", "N", text)
    text = re.sub(r"\b\d[\d,.]* s\b", "N s", text)
    text = re.sub(r"每秒 [\d,]+|用时 [\d,.]+ 秒", "N", text)
    return [line.rstrip() for line in text.rstrip().splitlines()]


def agrees(shown: list[str], printed: list[str]) -> bool:
    """Whether what is shown is what was printed, `…` standing for any lines."""
    if ANY not in shown:
        return shown == printed
    pattern = "".join("(?:.*\n)*" if line.strip() == ANY else re.escape(line) + "\n" for line in shown)
    return re.fullmatch(pattern, "".join(line + "\n" for line in printed)) is not None


@pytest.mark.timeout(300)  # the demo is among them
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_prints_what_it_shows(tmp_path: Path, page: Path) -> None:
    terminal = Terminal(tmp_path)
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert blocks
    for block in blocks:
        for command, shown in commands(block):
            printed = terminal.run(command)
            assert agrees(normal(shown), normal(printed)), f"$ {command}\n{printed}\nis not what {page.name} shows"


def test_the_chinese_readme_has_the_sections_and_commands_of_the_english_one() -> None:
    english, chinese = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))
    asked = [[c for block in BLOCK.findall(text) for c, _ in commands(block)] for text in (english, chinese)]
    in_both = [
        command for command in asked[0] if not command.startswith("make demo")
    ]  # once is enough of half a minute
    assert [command for command in asked[1] if command != "export POINTS_LANG=zh"] == in_both
    for mark in (r"^## ", r"^    make ", r"^\| "):
        found = [re.findall(mark, text, re.MULTILINE) for text in (english, chinese)]
        assert len(found[0]) == len(found[1]), mark
    linked = [{name.replace(".zh-CN", "") for name in LINK.findall(text)} for text in (english, chinese)]
    assert linked[0] == linked[1]


def test_the_chinese_tour_asks_what_the_english_one_asks() -> None:
    english, chinese = ((ROOT / "docs" / name).read_text("utf-8") for name in ("tour.md", "tour.zh-CN.md"))
    asked = [[c for block in BLOCK.findall(text) for c, _ in commands(block)] for text in (english, chinese)]
    assert [command for command in asked[1] if command != "export POINTS_LANG=zh"] == asked[0]
    linked = [re.findall(r"\]\((\w[^)#]*)\)", text) for text in (english, chinese)]
    assert [name for name in linked[1] if name != "tour.md"] == [name for name in linked[0] if name != "tour.zh-CN.md"]


def test_what_is_left_out_may_be_anything_and_the_rest_may_not() -> None:
    assert agrees(["a", ANY, "d"], ["a", "b", "c", "d"])
    assert agrees(["a", ANY], ["a"])
    assert not agrees(["a", ANY, "d"], ["a", "b", "c"])
    assert not agrees(["a"], ["a", "b"])
    assert normal("26 facts in 0.2 s  (1,150 facts/s)") == normal("26 facts in 11.8 s  (3 facts/s)")
    assert normal("26 facts in 0.2 s") != normal("27 facts in 0.2 s")


def rewrite(page: Path) -> None:
    """Put what the commands print now into a page; blocks with something left out stay as they are."""
    with tempfile.TemporaryDirectory() as folder:
        terminal = Terminal(Path(folder))

        def anew(block: re.Match[str]) -> str:
            told = ""
            for command, shown in commands(block[1]):
                printed = terminal.run(command)
                assert "Traceback" not in printed, f"$ {command}\n{printed}"
                lines = [line.rstrip() for line in printed.rstrip().splitlines()]
                same = agrees(normal(shown), normal(printed)) or ANY in normal(shown)
                told += f"$ {command}\n" + (shown if same else "".join(line + "\n" for line in lines))
            return f"```console\n{told}```"

        text = page.read_text(encoding="utf-8")
        page.write_text(BLOCK.sub(anew, text), encoding="utf-8")


if __name__ == "__main__":
    for each in PAGES:
        rewrite(each)
