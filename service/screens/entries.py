"""A member's entries on a screen: one line per entry, with what it changed."""

from collections import Counter
from typing import Any

from rich.console import Console
from rich.text import Text

from ledger.wire.answers import Entry
from projections.answers.plain import plain
from service.languages import terminal_language, text
from service.screens.grid import grid
from service.screens.names import Names, short_time

_GIVES = {"earned", "confirmed", "restored", "released"}
_TAKES = {"spent", "expired", "clawed-back", "repaid", "held", "captured"}
_OUTCOME_STYLES = {"accepted": "green", "refused": "red", "ignored": "yellow"}


def print_entries(console: Console, entries: list[Entry], names: Names) -> None:
    """Print the document of `points entries`."""
    table = grid("#", "occurred", "fact", "outcome")
    table.columns[0].justify = "right"
    table.columns[1].no_wrap = table.columns[2].no_wrap = True
    table.add_column(text("what changed"), overflow="fold")
    for entry in entries:
        table.add_row(
            str(entry.number),
            short_time(entry.occurred),
            plain(entry.type.removesuffix(".v1")),
            _outcome(entry),
            _changes(entry.changes, names),
        )
    console.print(table)


def _outcome(entry: Entry) -> Text:
    said = Text(text(entry.outcome), style=_OUTCOME_STYLES[entry.outcome])
    if entry.reason:
        said.append(f" {plain(entry.reason)}", style="dim")
    return said


def _changes(changes: list[dict[str, Any]], names: Names) -> Text:
    """Return points and score items summed by change, kind and rule, then the other changes by name."""
    sums = Counter[tuple[str, str, str]]()
    others = Counter[str]()
    for change in changes:
        name, points = change["change"], change.get("points", 0)
        if name == "scored":
            sums[name, change["score"], change["rule"]] += points
        elif name == "scored-once":
            sums[name, change["score"], change["rule"]] = points
        elif "kind" in change:
            sums[name, change["kind"], change.get("rule", "")] += points
        elif name not in ("counted", "marked", "forgot"):
            others[name] += 1
    texts = []
    for (name, of, rule), points in sums.items():
        by = (" ", names.rule(rule)) if rule and name in ("earned", "scored", "scored-once") else ()
        texts.append(Text.assemble(_sum(name, _unit(name, of, names), points), *by))
    texts += [
        Text(f"{text(name)} ×{count}" if count > 1 else text(name), style="dim") for name, count in others.items()
    ]
    return Text(", ").join(texts)


def _unit(name: str, of: str, names: Names) -> str:
    """Return the name of a kind or score where a language is asked for, otherwise its code."""
    if not terminal_language():
        return of
    return (names.score(of) if name in ("scored", "scored-once") else names.kind(of)).plain


def _sum(name: str, of: str, points: int) -> Text:
    if name in ("scored", "scored-once"):
        return Text(f"{points:+,} {plain(of)}", style="magenta")
    sign, style = ("+", "green") if name in _GIVES else ("-", "red") if name in _TAKES else ("", "yellow")
    return Text.assemble((f"{sign}{points:,} {plain(of)}", style), f" {text(name)}")
