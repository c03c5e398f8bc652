"""Reasons and rules on a screen."""

from rich.console import Console
from rich.text import Text

from projections.answers.codes import Codes
from service.languages import text
from service.screens.grid import pairs

_WHERE = {
    "entry": "why a fact was refused or ignored",
    "note": "said of an accepted fact",
    "withheld": "why a rule gave less, or nothing",
    "term": "why a card's term was moved",
    "parked": "why something is no fact, and is parked",
}


def print_codes(console: Console, codes: Codes) -> None:
    """Print the document of `points codes`."""
    width = max(len(reason.code) for reason in codes.reasons)
    for where, title in _WHERE.items():
        rows = [(Text(r.code, style="cyan"), Text(r.text)) for r in codes.reasons if r.where == where]
        _section(console, text(title), rows, width)
    rules = [
        (Text(rule.rule, style="cyan"), Text.assemble((rule.name, "bold"), "  ", rule.text)) for rule in codes.rules
    ]
    _section(console, text("rules"), rules, width)


def _section(console: Console, title: str, rows: list[tuple[Text, Text]], width: int) -> None:
    table = pairs(width)
    for code, said in rows:
        table.add_row(code, said)
    console.print(Text(title, style="bold"))
    console.print(table)
    console.print()
