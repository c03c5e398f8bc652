"""Writes docs/commands.md, the reference of the command line, from the commands themselves.

After a change that is meant, `python -m tests.support.command_page` writes the page anew.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperCommand, TyperGroup

from service.cli import app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"
HEAD = """# Commands

Every command of `points` with its arguments and options, as `points COMMAND --help` prints them. `--ledger` and
`--json` may stand before or after a command. Exit codes are in [operations](operations.md#exit-codes), the words in the
[glossary](glossary.md).
"""
# Said once in the head of the page, or the same for every command line.
EVERYWHERE = {"--help", "--ledger", "--json", "--install-completion", "--show-completion"}
EXAMPLES = ("    ", "points ", "duckdb ", "shop-export ")  # with what a paragraph begins that is one
MARKUP = re.compile(r"\[/?[a-z ]*\]")


def commands(group: TyperGroup, context: typer.Context, path: str = "points") -> Iterator[tuple[str, TyperCommand]]:
    """Every command below a group, with the words that call it, in the order of the help."""
    for name in group.list_commands(context):
        command = group.resolve_command(context, [name])[1]
        if isinstance(command, TyperGroup):
            yield from commands(command, typer.Context(command, parent=context, info_name=name), f"{path} {name}")
        else:
            assert isinstance(command, TyperCommand)
            yield f"{path} {name}", command


def every_command() -> list[tuple[str, TyperCommand]]:
    """Every command of `points`."""
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    return list(commands(root, typer.Context(root, info_name="points")))


def sentence(text: str | None) -> str:
    """A help text in one line, without the markup of the terminal."""
    return MARKUP.sub("", " ".join((text or "").split()))


def prose(text: str | None) -> str:
    """A command's help: its paragraphs, then its examples as one block."""
    parts = (text or "").split("\n\n")
    paragraphs = [sentence(part) for part in parts if not part.startswith(EXAMPLES)]
    examples = [
        f"    {line.strip()}" for part in parts if part.startswith(EXAMPLES) for line in part.strip().split("\n")
    ]
    return "\n\n".join([*paragraphs, *(["\n".join(examples)] if examples else [])])


def section(path: str, command: TyperCommand) -> str:
    """One command as a section of the page."""
    context = typer.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    records = [p.get_help_record(context) for p in command.params if not EVERYWHERE & set(p.opts)]
    cells = [[sentence(text).replace("|", "\\|") for text in record] for record in records if record]
    rows = [f"| `{name}` | {text} |\n" for name, text in cells]
    table = "".join(["\n| | |\n|---|---|\n", *rows]) if rows else ""
    return f"\n## `{path}`\n\n    {usage}\n\n{prose(command.help)}\n{table}"


def page() -> str:
    """The whole page."""
    return HEAD + "".join(section(path, command) for path, command in every_command())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
