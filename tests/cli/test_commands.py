"""Commands are imported when they are called: the table that lists them agrees with them, and names what is there."""

import os
import re
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

from service.cli import command_of
from service.commands import PANELS, reference_of

ROOT = Path(__file__).parents[2]
TEXTS = {name: text for texts in PANELS.values() for name, text in texts.items()}
COMMANDS = ROOT / "service" / "commands"


@pytest.mark.parametrize("name", TEXTS)
def test_the_help_lists_a_command_with_the_first_paragraph_of_its_own(name: str) -> None:
    paragraph = (command_of(name).help or "").split("\n\n")[0]
    assert " ".join(paragraph.split()) == TEXTS[name]


def test_every_reference_to_code_that_is_imported_late_names_code_that_is_there() -> None:
    references = {reference_of(name) for name in TEXTS}
    for path in (*(ROOT / "service").rglob("*.py"),):
        text = path.read_text(encoding="utf-8")
        references |= set(re.findall(r'resolve_name\("([\w.]+:\w+)"\)', text))
        references |= {f"service.screens.{name}" for name in re.findall(r'"(\w+:print_\w+)"', text)}
    assert len(references) > len(TEXTS) + 15
    for reference in references:
        assert callable(resolve_name(reference)), reference


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["--bogus"], "completion"], ids=str)
def test_no_command_is_imported_before_it_is_called(arguments: list[str] | str) -> None:
    code = "import sys; from service.cli import run\ntry:\n    run({})\nfinally:\n    print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if arguments == "completion":
        environment |= {"_POINTS_COMPLETE": "complete_bash", "COMP_WORDS": "points sh", "COMP_CWORD": "1"}
    command = [sys.executable, "-c", code.format([] if arguments == "completion" else arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    loaded = set(ran.stdout.split())
    assert "service.cli" in loaded
    assert {name for name in loaded if name.startswith("service.commands.")} == {"service.commands.options"}
