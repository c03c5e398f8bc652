"""What bad input gets, command by command: an exit code of the contract, one message with the way out, nothing lost.

Every argument and option of every command that takes a value is handed values that are wrong, empty, huge, deep,
binary, of another encoding, or a folder where a file is wanted. `make test` tries a few of each, the campaign all.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperCommand

from tests.cli.test_cli import Ran, points
from tests.support.command_page import every_command

EXAMPLES = Path(__file__).parents[2] / "examples" / "facts.ndjson"
BOOK = Path(__file__).parents[2] / "ledger" / "programmes" / "jd.toml"
ENDLESS = {
    "serve",
    "consume",
    "produce",
    "demo",
    "traffic",
}  # they run until they are stopped, or make up what is asked for
MOST = 2  # values of a command in `make test`
FILES = {
    "empty": b"",
    "binary": bytes(range(256)) * 40,
    "utf16": 'programme = "x"'.encode("utf-16"),
    "latin1": 'name = "café"\n'.encode("latin-1"),
    "deep.json": b"[" * 50_000 + b"]" * 50_000,
    "deep.toml": b"a = " + b"[" * 50_000,
    "endless": b"x" * 2_000_000,
    "odd.json": b'{"a": 1e999, "b": NaN}',
    "cut.gz": b"\x1f\x8b\x08\x00garbage",
    "cut.zst": b"\x28\xb5\x2f\xfdgarbage",
}
NAMES = ["nowhere", "folder", *FILES, "a\0b", "x" * 5_000, ""]
TEXTS = ["x" * 100_000, "\udc80", "../../etc", "-1", "0", "9" * 23, "1e3", "٣"]
TIMES = [
    "yesterday",
    "2025-13-45",
    "9999-12-31T23:59:59+14:00",
    "0001-01-01T00:00:00-12:00",
    "2025-01-01T00:00:00+99:00",
]
VALUES = [*NAMES, *TEXTS, *TIMES]
COMMANDS = {path.removeprefix("points "): command for path, command in every_command()}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a ledger of the example's facts, and files that nothing can be made of."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "folder").mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    ledger = ("--ledger", folder / "points-ledger")
    assert points(*ledger, "ingest", EXAMPLES).code == 0
    before = points(*ledger, "export", "entries", "--format", "ndjson").out
    yield folder
    assert points(*ledger, "verify").code == 0
    assert points(*ledger, "export", "entries", "--format", "ndjson").out == before, "nothing is lost"


def taken(command: TyperCommand, kind: str) -> list[Any]:
    """The arguments or options of a command that take a value."""
    return [one for one in command.params if one.param_type_name == kind and not getattr(one, "is_flag", False)]


def usual(name: str, command: str) -> str:
    """A value that an argument may well have."""
    if "member" in name:
        return "m-1001"
    if any(part in name for part in ("file", "path", "toml", "draft")):
        return str(BOOK if "programme" in command or command == "backtest" else EXAMPLES)
    return "1"


def calls(command: str) -> list[list[str]]:
    """Every way to call a command with one value that is wrong, in an order that mixes values and parameters."""
    own = COMMANDS[command]
    arguments = taken(own, "argument")
    found = []
    for place, value in enumerate(VALUES):
        for number, wrong in enumerate([*arguments, *taken(own, "option")]):
            given = [
                value if one is wrong else usual(one.name, command) for one in arguments if one.required or one is wrong
            ]
            told = [*command.split(), *([wrong.opts[0], value] if wrong not in arguments else []), "--", *given]
            found.append((place * 7 + number * 5, told))
    return [told for _, told in sorted(found)]


def is_well_said(ran: Ran) -> str:
    """Return what is wrong with an answer, empty where nothing is."""
    if ran.code not in range(5):
        return f"exit code {ran.code}"
    if ran.code >= 2 and (not ran.err.startswith("points: ") or len(ran.err.encode(errors="replace")) > 4_000):
        return f"said {ran.err[:500]!r}"
    return ""


def tries(desk: Path, monkeypatch: pytest.MonkeyPatch, told: list[list[str]]) -> None:
    monkeypatch.setenv("POINTS_LEDGER", str(desk / "points-ledger"))
    monkeypatch.delenv("POINTS_DEBUG", raising=False)
    monkeypatch.chdir(desk)
    for each in told:
        ran = points(*each)
        assert is_well_said(ran) == "", [one[:60] for one in each]
        assert [name for name in FILES if (desk / name).read_bytes() != FILES[name]] == [], each[:3]


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ENDLESS])
def test_a_few_wrong_values_of_each_command(command: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries(desk, monkeypatch, calls(command)[:MOST])


@pytest.mark.campaign
@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ENDLESS])
def test_every_wrong_value_of_each_command(command: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries(desk, monkeypatch, calls(command))


def test_what_cannot_be_read_is_not_taken_for_empty(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that its owner may not read; root may read any."""
    monkeypatch.chdir(desk)
    secret = desk / "secret"
    secret.write_bytes(EXAMPLES.read_bytes())
    secret.chmod(0)
    if os.access(secret, os.R_OK):
        pytest.skip("this user reads every file")
    for told in (("check", secret), ("ingest", secret), ("programme", "check", secret)):
        ran = points(*told)
        assert ran.code == 3 and "secret" in ran.err
