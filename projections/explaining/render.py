"""An explanation laid out for people: what happened, what came and went, what did not come, what there is now.

One shape throughout: an amount on the left, how it came on the right. The text of a rule is said once, at the end.
"""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from projections.explaining.words import count, yuan

_COLOURS = {"accepted": "green", "refused": "red", "ignored": "yellow"}
_BOOKKEEPING = ("counted", "marked", "forgot", "withheld")  # `withheld` stands under what gave nothing
_TAKEN = ("clawed-back", "indebted", "paid-in-cash", "written-off", "scored")
_SETS_OF_POINTS = (("spendable", ""), ("pending", "frozen"), ("held", "on hold"), ("debt", "owed"))

View = dict[str, Any]
Row = tuple[str, Text, str]  # amount, how, style of the amount


def render_explanation(data: View, console: Console) -> None:
    """Print what `explain_entry`, `explain_lot` or `explain_member` returned."""
    match data["explains"]:
        case "entry":
            _entry(data, console)
        case "lot":
            _lot(data, console)
        case _:
            _member(data, console)


# -- an entry --------------------------------------------------------------------------------------------------------


def _entry(data: View, console: Console) -> None:
    head = Text.assemble((_plain(data["member"]), "bold"), f"  entry {data['number']:,} of {data['entries']:,}  ")
    head.append(data["outcome"], style=f"bold {_COLOURS[data['outcome']]}")
    console.print(head)
    console.print(Text(_plain(data["fact"]["text"]), style="bold"))
    late = "" if data["occurred"] == data["clock"] else f", behind the account's clock, {data['clock']}"
    _facts(
        console,
        [
            ("occurred", data["occurred"] + late),
            ("recorded", f"{data['recorded']}, position {data['position']}"),
            ("fact", f"{data['type']}  {data['id']}  from {data['source']}"),
            ("decided by", _book(data)),
        ],
    )
    if not data["derives"]:
        _section(console, "Attention")
        _say(console, "Decided again, this entry comes out otherwise; `points replay` names what differs.")
    if data["reason"]:
        _section(console, "Why" if data["outcome"] != "accepted" else "Note")
        _say(console, f"{data['reason_text']} ({data['reason']})")
        if data["needed"]:
            _say(console, f"Needed: {data['needed']}.")
    shown = [view for view in data["changes"] if view["change"] not in _BOOKKEEPING]
    due = [view for view in shown if view["due"]]
    if due:
        _section(console, "First, by the passing of time")
        _rows(console, _given(due))
    _decided(data, [view for view in shown if not view["due"]], console)
    _balances(data["balances"], console)
    _rules([*shown, *data["clawbacks"], *data["nothing"]], data, console)


def _decided(data: View, shown: list[View], console: Console) -> None:
    """What the fact gave and did not give: line by line where it has lines, then the whole."""
    taken = {(view["rule"], view["line"]) for view in data["clawbacks"]}
    shown = [v for v in shown if not (_is_taken(v) and (v.get("rule"), v.get("line", "")) in taken)]
    nothing, clawbacks = data["nothing"], data["clawbacks"]
    lines = {line["line"]: line for line in data["fact"]["data"].get("lines", [])}
    if not any("paid_fen" in line for line in lines.values()) or data["outcome"] != "accepted":
        lines = {}
    for name, line in lines.items():
        own = [[view for view in views if view.get("line") == name] for views in (shown, clawbacks, nothing)]
        if any(own):
            category = f", {line['category']}" if line.get("category") else ""
            pieces = "" if line.get("quantity", 1) == 1 else f", {line['quantity']:,} pieces"
            _section(console, f"Line {name}{category}{pieces}, {yuan(line['paid_fen'])} paid")
            _rows(console, [*_given(own[0]), *map(_clawback, own[1]), *map(_nothing, own[2])])
    rest = [[view for view in views if view.get("line") not in lines] for views in (shown, clawbacks, nothing)]
    if any(rest):
        title = "What it did" if rest[0] or rest[1] else "Nothing came of it"
        _section(console, "The order as a whole" if len(rest[2]) < len(nothing) or lines else title)
        _rows(console, [*_given(rest[0]), *map(_clawback, rest[1]), *map(_nothing, rest[2])])


def _is_taken(view: View) -> bool:
    return view["change"] in _TAKEN and (view["change"] != "scored" or view["points"] < 0)


def _given(views: list[View]) -> list[Row]:
    """A row a change; lots that moved together, by the same cause, make one."""
    groups: dict[Any, list[View]] = {}
    for place, view in enumerate(views):
        groups.setdefault((view["change"], view.get("kind"), view.get("what", place)), []).append(view)
    return [_change(group[0]) if len(group) == 1 else _of_many_lots(group) for group in groups.values()]


def _change(view: View) -> Row:
    how = Text()
    if view["rule_name"] and view["change"] in ("earned", "scored", "scored-once"):
        how.append(f"{view['rule_name']} {view['rule']}\n", style="cyan")
    how.append(_plain(_sentence(view["how"])))
    if view["change"] == "earned":
        for lot in view["lots"]:
            how.append(f"\nLot {lot['lot']}, since then: ", style="dim")
            untouched = not lot["went"] and lot["left"] == lot["earned"]
            how.append("untouched." if untouched else _plain(lot["since"]), style="dim")
    return view["amount"], how, _style(view)


def _of_many_lots(group: list[View]) -> Row:
    first = group[0]
    sign = first["amount"][0] if first["amount"][:1] in "+-" else ""
    total = sum(view["points"] for view in group)
    order = f", {first['order']}" if first["order"] else ""
    how = Text(_plain(f"{_sentence(first['what']).rstrip('.')}. {len(group):,} lots{order}:"))
    for view in group:
        lot = view["lots"][0]
        how.append(f"\n{view['points']:>7,}  lot {lot['lot']}", style="dim")
        how.append(f"  {_plain(lot.get('origin', ''))}", style="dim")
    return f"{sign}{total:,} {first['kind']}", how, _style(first)


def _clawback(view: View) -> Row:
    how = Text(f"{view['rule_name']} {view['rule']}\n", style="cyan")
    how.append(_plain(view["how"]), style="")
    amount = f"{-view['taken']:,} {view['kind']}" if view["claim"] else "nothing"
    return amount, how, "bold" if view["taken"] else "dim"


def _nothing(view: View) -> Row:
    how = Text(style="dim")
    if view["rule"]:
        how.append(f"{view['rule_name']} {view['rule']}: ")
    how.append(_plain(view["text"]))
    return "nothing", how, "dim"


def _style(view: View) -> str:
    if view["amount"].startswith("-"):
        return "bold red"
    return "bold green" if view["amount"].startswith("+") else "bold"


def _balances(balances: dict[str, View], console: Console) -> None:
    if not balances:
        return
    _section(console, "Balance")
    rows = []
    for kind, view in balances.items():
        for name, label in _SETS_OF_POINTS:
            before, after = view["before"][name], view["after"][name]
            title = f"{_named(kind, view['name'])}{' ' + label if label else ''}"
            if before != after:
                rows.append((title, f"{before:,} → {after:,}"))
            elif not label:
                rows.append((title, f"{after:,}, unchanged"))
    _facts(console, rows)


def _rules(views: list[View], data: View, console: Console) -> None:
    said = {view["rule"]: view for view in views if view.get("rule_text")}
    if not said:
        return
    _section(console, f"The rules, in the version from {data['version_from']}")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold", style="dim")
    for rule, view in said.items():
        name = f"{view['rule_name']} {rule}" if view.get("rule_name") else rule
        table.add_row(name, _plain(view["rule_text"]))
    console.print(Padding(table, (0, 0, 0, 2), expand=False))


# -- a lot and a member ----------------------------------------------------------------------------------------------


def _lot(data: View, console: Console) -> None:
    head = Text.assemble((_plain(data["member"]), "bold"), f"  lot {data['lot']}  ")
    head.append(f"{data['earned']:,} {data['kind']}", style="bold green")
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
    opened = {**data["opened_by"], "lots": []}
    _rows(console, _given([opened]))
    _section(console, "Where it went")
    for event in data["went"]:
        at = f", {event['occurred']}" if event.get("occurred") else ""
        _say(console, f"{event['text']}{at}")
    left = f"{data['left']:,} left" if data["left"] or data["held"] else "nothing left"
    frozen = ", frozen until a card is bought" if data["pending"] else ""
    held = f", {data['held']:,} on hold" if data["held"] else ""
    _say(console, f"{left}{frozen}{held} at {data['as_of']}")
    _rules([opened], data, console)


def _member(data: View, console: Console) -> None:
    head = Text.assemble(
        (_plain(data["member"]), "bold"), f"  {count(data['entries'], 'entry', 'entries')}, at {data['as_of']}"
    )
    if data["frozen"]:
        head.append("  frozen", style="bold red")
    console.print(head)
    rows = []
    for kind, purse in data["points"].items():
        sums = [f"{purse[name]:,} {label or name}" for name, label in _SETS_OF_POINTS if purse[name] or not label]
        rows.append((_named(kind, purse["name"]), ", ".join(sums)))
    for name, score in data["scores"].items():
        parts = ", ".join(f"{part} {value:,}" for part, value in score["parts"].items() if value)
        tier = f", tier {score['tier']}" if score["tier"] else ""
        rows.append((_named(name, score["name"]), f"{score['value']:,}{tier}" + (f" ({parts})" if parts else "")))
    for name, term in data["memberships"].items():
        card = f"{term['state']}, card {term['card']} ({term['product']}) until {term['until']}"
        rows.append((_named(name, term["name"]), card))
    _facts(console, rows)
    for kind, purse in data["points"].items():
        if purse["lots"]:
            _section(console, f"Lots of {_named(kind, purse['name'])}")
            console.print(Padding(_lots(purse["lots"]), (0, 0, 0, 2), expand=False))
    _section(console, "Statement")
    if data["earlier"]:
        earlier = count(data["earlier"], "earlier entry is", "earlier entries are")
        _say(console, f"{earlier} left out: --all has them, or explain one by its number")
    console.print(Padding(_statement(data["statement"]), (0, 0, 0, 2), expand=False))
    _section(console, "Since then")
    for text in data["since"]["texts"] or ["nothing fell due"]:
        _say(console, text)


def _lots(lots: list[View]) -> Table:
    table = _table()
    for name in ("lot", "left", "of"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("good until", no_wrap=True)
    table.add_column("came from", overflow="fold")
    for lot in lots:
        state = " frozen" if lot["pending"] else f" ({lot['held']:,} on hold)" if lot["held"] else ""
        origin = _plain(f"{lot['origin']}, entry {lot['entry']:,}")
        table.add_row(lot["lot"], f"{lot['left']:,}{state}", f"{lot['earned']:,}", lot["expires_at"], origin)
    return table


def _statement(lines: list[View]) -> Table:
    kinds = list(dict.fromkeys(kind for line in lines for kind in line["spendable"]))
    table = _table()
    table.add_column("entry", justify="right", no_wrap=True)
    table.add_column("occurred", no_wrap=True)
    table.add_column("what happened, and what came of it", ratio=1, overflow="fold")
    for kind in kinds:
        table.add_column(_plain(kind), justify="right", no_wrap=True)
    for line in lines:
        text = Text(_plain(line["text"]))
        text.append(f"\n{_plain(line['result'])}", style=_style_of_line(line))
        balances = (f"{line['spendable'].get(kind, 0):,}" for kind in kinds)
        table.add_row(f"{line['number']:,}", line["occurred"], text, *balances)
    return table


def _style_of_line(line: View) -> str:
    if line["outcome"] != "accepted":
        return _COLOURS[line["outcome"]]
    return "cyan" if line["effect"] else "dim"


# -- the parts -------------------------------------------------------------------------------------------------------


def _facts(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(_plain(name), Text(_plain(text)))
    console.print(Padding(table, (0, 0, 0, 2), expand=False))


def _rows(console: Console, rows: Iterable[Row]) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=12)
    table.add_column(overflow="fold")  # with the default, rich cuts a line of Chinese one word short
    for amount, how, style in sorted(rows, key=lambda row: not row[0]):  # what moved no amount comes last
        table.add_row(Text(_plain(amount), style=style), how)
    console.print(Padding(table, (0, 0, 0, 2), expand=False))


def _section(console: Console, title: str) -> None:
    console.print()
    console.print(Text(_plain(title), style="bold"))


def _say(console: Console, text: str) -> None:
    console.print(Padding(Text(_plain(_sentence(text)), overflow="fold"), (0, 0, 0, 2), expand=False))


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")


def _book(data: View) -> str:
    if not data["version"]:
        return "no version of the book"
    return f"book {data['book']} {data['book_name']}, version {data['version']}, from {data['version_from']}"


def _named(label: str, name: str) -> str:
    return f"{label} {name}" if name and name.casefold() != label.casefold() else name or label


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _plain(text: str) -> str:
    """Ids come from outside: without the characters that move a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)
