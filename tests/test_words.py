"""The texts of the command line and the API: each stands in the catalogue of each language, with the same figures.

A text that is missing is named with the line that `service/texts/zh.toml` needs.
"""

import ast
import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import typer
from litestar import Litestar

from service.cli import app, command_of
from service.commands import PANELS
from service.http.app import HANDLERS
from service.http.openapi import config, document_of
from service.http.problems import TYPES
from service.languages import text_in, texts, told
from tests.support.served import ROOT

ZH = texts("zh")
FIGURE = re.compile(r"\{(\w*)\}")
SAYERS = ("print_plain", "say", "Problem", "BadInput", "WrongUse", "CannotRunNow")
PROSE = re.compile(r"[A-Za-z]{2,} |[a-z], ")
EXAMPLE = re.compile(r"\{0\} (show|explain|programme) ")  # of a command


def missing(english: set[str]) -> list[str]:
    return [f"{json.dumps(one, ensure_ascii=False)} = …" for one in sorted(english - set(ZH))]


def are_in_chinese(english: set[str]) -> None:
    """Each text has its line in the catalogue."""
    absent = missing(english)
    assert not absent, "service/texts/zh.toml lacks:\n" + "\n".join(absent)


def help_of(command: Any) -> Iterator[str]:
    for paragraph in (command.help or "").split("\n\n"):
        yield " ".join(paragraph.split())
    yield command.epilog or ""
    yield getattr(command, "rich_help_panel", None) or ""
    for parameter in command.params:
        yield getattr(parameter, "help", None) or ""
        yield getattr(parameter, "rich_help_panel", None) or ""
    for one in getattr(command, "commands", {}).values():
        yield from help_of(one)


def is_prose(text: str) -> bool:
    """Return True for what is no example of a command."""
    return bool(text) and not text.startswith(("points ", "shop-export ", "duckdb "))


def written(call: str) -> Iterator[str]:
    """Yield the texts that the code of the service gives to a function as its first argument."""
    for path in sorted((ROOT / "service").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == call:
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


def templates(node: ast.expr) -> Iterator[str]:
    """Yield the texts of an expression, with numbers for the figures of an f-string."""
    match node:
        case ast.Constant(value=str(value)):
            yield value
        case ast.JoinedStr(values=parts):
            numbers = count()
            yield "".join(p.value if isinstance(p, ast.Constant) else f"{{{next(numbers)}}}" for p in parts)
        case ast.IfExp():
            yield from templates(node.body)
            yield from templates(node.orelse)


def raised() -> Iterator[str]:
    """Yield what the product raises or says, where it is prose: two words and more."""
    for room in ("ledger", "consumers", "projections", "service"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                    arguments = node.exc.args
                elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SAYERS:
                    arguments = node.args
                else:
                    continue
                for argument in arguments:
                    yield from (one for one in templates(argument) if PROSE.search(one) and not EXAMPLE.match(one))


def test_errors_are_in_chinese_too() -> None:
    are_in_chinese(set(raised()))


def test_each_title_of_a_problem_is_in_chinese_too() -> None:
    assert not missing({kind.title for kind in TYPES.values()})


def test_the_help_is_in_chinese_too() -> None:
    commands = [command_of(name) for named in PANELS.values() for name in named]
    found = {text for command in [typer.main.get_command(app), *commands] for text in help_of(command)}
    are_in_chinese({text for text in found | set(PANELS) if is_prose(text)})


def test_the_titles_of_the_reference_of_the_api_are_in_chinese_too() -> None:
    document = document_of(Litestar(HANDLERS, openapi_config=config("0")))
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    are_in_chinese({text for one in operations for text in (one["summary"], *one["tags"])})


def test_screens_are_in_chinese_too() -> None:
    are_in_chinese(set(written("text")))


def test_reports_are_in_chinese_too() -> None:
    pages = (path.read_text("utf-8") for path in (ROOT / "service" / "reports").glob("*.html"))
    found = {english for page in pages for english in re.findall(r'\bt\("([^"]+)"', page)}
    assert len(found) > 30
    are_in_chinese(found)


def test_each_text_has_the_figures_of_its_english_and_differs_from_it() -> None:
    for english, chinese in ZH.items():
        assert set(FIGURE.findall(chinese)) <= set(FIGURE.findall(english)), english
        assert chinese.strip() and chinese != english, english


def test_a_message_is_told_with_its_figures_and_an_unknown_one_as_it_is() -> None:
    assert (
        told("Missing argument 'FILE…'. (see points ingest --help)", "zh")
        == "缺少参数“FILE…”。（见 points ingest --help）"
    )
    assert told("nobody wrote this", "zh") == "nobody wrote this"
    assert told("Missing argument 'FILE…'.", "en") == "Missing argument 'FILE…'."
    assert text_in("zh", "Options") == "选项" and text_in("fr", "Options") == "Options"


def test_the_terminal_is_asked_in_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert told("Options") == "选项"
    monkeypatch.setenv("POINTS_LANGUAGE", "en")
    assert told("Options") == "Options"
    monkeypatch.setenv("POINTS_LANG", "zh")
    assert told("Options") == "选项"


def test_errors_are_told_with_the_errors_inside_them() -> None:
    nested = "facts.ndjson: No such file or directory; give a readable NDJSON file, .gz, .zst or - for standard input"
    assert told(nested, "zh").startswith("facts.ndjson：没有这个文件或文件夹；请给出可读的 NDJSON 文件")
    assert told('there is no table "x"; there are balances, lots', "zh") == "没有表“x”；可用的有 balances, lots"
