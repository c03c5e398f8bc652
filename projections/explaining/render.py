"""An explanation laid out for people: what happened, what came and went, what did not come, and what is there now."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_COLOURS = {"accepted": "green", "refused": "red", "ignored": "yellow"}
_HIDDEN = ("counted", "marked", "withheld", "forgot")


def render_explanation(data: dict[str, Any], console: Console) -> None:
    """Print what `explain_entry`, `explain_lot` or `explain_member` returned."""
    match data["explains"]:
        case "entry":
            _entry(data, console)
        case "lot":
            _lot(data, console)
        case _:
            _member(data, console)


# -- an entry --------------------------------------------------------------------------------------------------------


def _entry(data: dict[str, Any], console: Console) -> None:
    head = Text()
    head.append(f"{data['member']}", style="bold")
    head.append(f"  entry {data['number']:,} of {data['entries']:,}  ")
    head.append(data["outcome"], style=f"bold {_COLOURS[data['outcome']]}")
    console.print(head)
    console.print(Text(data["fact"]["text"], style="bold"))
    late = "" if data["occurred"] == data["clock"] else f", late: the account's clock was at {data['clock']}"
    _facts(
        console,
        [
            ("occurred", data["occurred"] + late),
            ("recorded", f"{data['recorded']}, position {data['position']}"),
            ("fact", f"{data['type']}  {data['id']}  from {data['source']}"),
            ("decided by", _book(data)),
        ],
    )
    if data["reason_text"]:
        label = "Why" if data["outcome"] != "accepted" else "Note"
        _section(console, label)
        _item(console, _sentence(data["reason_text"]), f"reason {data['reason']}")
        if data.get("needed"):
            _item(console, f"Needed: {data['needed']}.")
    if not data["derives"]:
        _section(console, "Attention")
        _item(
            console,
            "Decided again from its fact, this entry comes out otherwise; `points replay` names the difference.",
        )
    _due(data, console)
    _what_happened(data, console)
    if data["clawbacks"]:
        _section(console, "What the return takes back")
        for view in data["clawbacks"]:
            _item(console, view["text"])
    moved = {kind: view for kind, view in data["spendable"].items() if view["before"] != view["after"]}
    if data["spendable"]:
        _section(console, "Spendable")
        shown = moved or data["spendable"]
        for kind, view in shown.items():
            _item(console, f"{_named(kind, view['name'])}: {view['before']:,} → {view['after']:,}")


def _due(data: dict[str, Any], console: Console) -> None:
    due = [view for view in data["changes"] if view["due"] and view["change"] not in _HIDDEN]
    if due:
        _section(console, "First, by the passing of time")
        for view in due:
            _item(console, view["text"])


def _what_happened(data: dict[str, Any], console: Console) -> None:
    """What the fact gave and did not give: line by line where it has lines, then the whole."""
    shown = [view for view in data["changes"] if not view["due"] and view["change"] not in _HIDDEN]
    lines = (
        {line["line"]: line for line in data["fact"]["data"].get("lines", [])}
        if "completed" in data["type"]
        else {}
    )
    for name, line in lines.items():
        category = f", {line['category']}" if line.get("category") else ""
        pieces = "" if line["quantity"] == 1 else f", {line['quantity']:,} pieces"
        _section(console, f"Line {name}{category}{pieces}, {_yuan(line['paid_fen'])} paid")
        _gave(console, [view for view in shown if view.get("line") == name])
        _gave_nothing(console, [view for view in data["nothing"] if view.get("line") == name])
    rest = [view for view in shown if view.get("line") not in lines]
    nothing = [view for view in data["nothing"] if view.get("line") not in lines]
    if rest or nothing:
        _section(console, "The whole order" if lines else "What it did" if rest else "Nothing came of it")
        _gave(console, rest)
        _gave_nothing(console, nothing)


def _gave(console: Console, views: list[dict[str, Any]]) -> None:
    for view in views:
        _item(console, view["text"], _rule(view))
        if view["change"] == "earned":
            for lot in view["lots"]:
                _item(console, _after_origin(lot), indent=4, style="cyan")


def _after_origin(lot: dict[str, Any]) -> str:
    if not lot["went"] and lot["left"] == lot["earned"]:
        return "Since then: untouched."
    return f"Since then: {lot['text'].partition(': ')[2]}"


def _gave_nothing(console: Console, views: list[dict[str, Any]]) -> None:
    for view in views:
        name = f"{view['rule_name']} {view['rule']}: " if view["rule"] else ""
        _item(console, f"{name}{view['text']}", mark="–", style="dim")


# -- a lot and a member ----------------------------------------------------------------------------------------------


def _lot(data: dict[str, Any], console: Console) -> None:
    head = Text()
    head.append(data["member"], style="bold")
    head.append(f"  lot {data['lot']}  ")
    head.append(f"{data['earned']:,} {data['kind']}", style="bold")
    console.print(head)
    _facts(
        console,
        [
            ("from", f"{data['fact']['text']} (entry {data['entry']:,})"),
            ("earned", data["earned_at"]),
            ("good until", f"{data['expires_at']} ({data['expiry']})"),
            ("decided by", _book(data)),
        ],
    )
    _section(console, "Where it came from")
    _item(console, data["opened_by"]["text"], _rule(data["opened_by"]))
    _section(console, "Where it went")
    for event in data["went"]:
        at = f"  {event['occurred']}" if event.get("occurred") else ""
        _item(console, _sentence(event["text"]) + at)
    left = f"{data['left']:,} left" if data["left"] or data["held"] else "Nothing is left"
    frozen = ", frozen until a card is bought" if data["pending"] else ""
    held = f", {data['held']:,} on hold" if data["held"] else ""
    _item(console, f"{left}{frozen}{held} at {data['as_of']}.")


def _member(data: dict[str, Any], console: Console) -> None:
    head = Text()
    head.append(data["member"], style="bold")
    head.append(f"  {data['entries']:,} entries, at {data['as_of']}")
    if data["frozen"]:
        head.append("  frozen", style="bold red")
    console.print(head)
    rows = []
    for kind, purse in data["points"].items():
        extra = [
            f"{purse[name]:,} {label}"
            for name, label in (("pending", "frozen"), ("held", "on hold"), ("debt", "owed"))
            if purse[name]
        ]
        rows.append((_named(kind, purse["name"]), ", ".join([f"{purse['spendable']:,} spendable", *extra])))
    for name, score in data["scores"].items():
        parts = ", ".join(f"{part} {value:,}" for part, value in score["parts"].items() if value)
        tier = f", tier {score['tier']}" if score["tier"] else ""
        rows.append(
            (_named(name, score["name"]), f"{score['value']:,}{tier}" + (f" ({parts})" if parts else ""))
        )
    for name, term in data["memberships"].items():
        rows.append(
            (
                _named(name, term["name"]),
                f"{term['state']}, card {term['card']} ({term['product']}) until {term['until']}",
            )
        )
    _facts(console, rows)
    for kind, purse in data["points"].items():
        if purse["lots"]:
            _section(console, f"Lots of {_named(kind, purse['name'])}")
            console.print(Padding(_lots(purse["lots"]), (0, 0, 0, 2)))
    _section(console, "Statement")
    console.print(Padding(_statement(data["statement"]), (0, 0, 0, 2)))
    _section(console, "Since then")
    _item(console, _sentence(data["since"]["text"]))


def _lots(lots: list[dict[str, Any]]) -> Table:
    table = _table()
    table.add_column("lot")
    table.add_column("left", justify="right")
    table.add_column("of", justify="right")
    table.add_column("good until", no_wrap=True)
    table.add_column("came from")
    for lot in lots:
        state = " (frozen)" if lot["pending"] else f" ({lot['held']:,} on hold)" if lot["held"] else ""
        table.add_row(
            lot["lot"],
            f"{lot['left']:,}{state}",
            f"{lot['earned']:,}",
            lot["expires_at"],
            f"{lot['origin']}, entry {lot['entry']:,}",
        )
    return table


def _statement(lines: list[dict[str, Any]]) -> Table:
    kinds = list(dict.fromkeys(kind for line in lines for kind in line["spendable"]))
    table = _table()
    table.add_column("entry", justify="right")
    table.add_column("occurred", no_wrap=True)
    table.add_column("what happened and what came of it", ratio=1)
    for kind in kinds:
        table.add_column(kind, justify="right")
    for line in lines:
        text = Text(line["text"])
        text.append("\n")
        text.append(line["result"], style=_style_of(line))
        table.add_row(
            f"{line['number']:,}",
            line["occurred"],
            text,
            *(f"{line['spendable'].get(k, 0):,}" for k in kinds),
        )
    return table


def _style_of(line: dict[str, Any]) -> str:
    if line["outcome"] != "accepted":
        return _COLOURS[line["outcome"]]
    return "cyan" if line["effect"] else "dim"


# -- the parts -------------------------------------------------------------------------------------------------------


def _facts(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, text in rows:
        table.add_row(name, Text(text))
    console.print(Padding(table, (0, 0, 0, 2)))


def _section(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold"))


def _item(
    console: Console, text: str, under: str = "", *, mark: str = "•", indent: int = 2, style: str = ""
) -> None:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column()
    body = Text(text, style=style)
    if under:
        body.append(f"\n{under}", style="dim")
    grid.add_row(Text(mark, style="dim"), body)
    console.print(Padding(grid, (0, 0, 0, indent)))


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")


def _rule(view: dict[str, Any]) -> str:
    if not view.get("rule_text"):
        return ""
    name = f"{view['rule_name']} {view['rule']}" if view.get("rule_name") else view["rule"]
    return f"{name}: {view['rule_text']}"


def _book(data: dict[str, Any]) -> str:
    if not data["version"]:
        return "no version of the book: it did not come to that"
    return f"book {data['book']} {data['book_name']}, version {data['version']}, from {data['version_from']}"


def _named(label: str, name: str) -> str:
    return f"{label} {name}" if name and name.lower() != label else name or label


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _yuan(fen: int) -> str:
    return f"¥{fen // 100:,}.{fen % 100:02d}"
