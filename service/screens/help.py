"""The help of the command line for a language without spaces: a text that is too long goes on in the next line."""

from typing import Any

from rich.table import Table
from rich.text import Text
from typer import rich_utils

from service.languages import told

_WORDS = ("DEFAULT_STRING", "ENVVAR_STRING", "REQUIRED_LONG_STRING", "ERRORS_PANEL_TITLE", "RICH_HELP")


class _FoldingTable(Table):
    def add_row(self, *cells: Any, **style: Any) -> None:
        super().add_row(*cells, **style)
        for column in self.columns:
            column.overflow = "fold"


def _as_one_text(parts: list[Text]) -> Text:
    whole = Text(" ").join(parts)
    whole.overflow = "fold"
    return whole


def fold_long_texts(language: str) -> None:
    """Have typer fold the texts of its help, which it cuts at a table's edge, and say its own words in a language."""
    layout: Any = rich_utils
    layout.Table, layout.Columns = _FoldingTable, _as_one_text
    for name in _WORDS:
        setattr(layout, name, told(getattr(layout, name), language))
