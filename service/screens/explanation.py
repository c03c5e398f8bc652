"""An explanation laid out for people: what happened, what came and went, what did not come, what there is now.

One shape throughout: an amount on the left, how it came on the right. The text of a rule is said once, at the end.
"""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from projections.answers.plain import plain, visible
from projections.explaining.words import count, money, sentence
from service.screens.grid import grid

_COLOURS = {"accepted": "green", "refused": "red", "ignored": "yellow"}
_BOOKKEEPING = ("counted", "marked", "forgot", "withheld")  # `withheld` stands under what gave nothing
_TAKEN = ("clawed-back", "indebted", "paid-in-cash", "written-off", "scored")
_SETS_OF_POINTS = (("spendable", ""), ("pending", "frozen"), ("held", "on hold"), ("debt", "owed"))

View = dict[str, Any]
Row = tuple[str, Text, str]  # amount, how, style of the amount


def print_explanation(console: Console, data: View) -> None:
    """Print what `explain_entry`, `explain_lot` or `explain_member` returned."""
    {"entry": _entry, "lot": _lot, "member": _member}[data["explains"]](data, console)


# -- an entry --------------------------------------------------------------------------------------------------------


def _entry(data: View, console: Console) -> None:
    head = f"  entry {data['number']:,} of {data['entries']:,}  "
    _head(console, data, head, (data["outcome"], f"bold {_COLOURS[data['outcome']]}"))
    console.print(Text(plain(data["fact"]["text"]), style="bold"))
    late = "" if data["occurred"] == data["clock"] else f", behind the account's clock, {data['clock']}"
    about = {
        "occurred": data["occurred"] + late,
        "recorded": f"{data['recorded']}, position {data['position']}",
        "fact": f"{plain(data['type'])}  {plain(data['id'])}  from {plain(data['source'])}",
        "decided by": _book(data),
    }
    _facts(console, about.items())
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
    told = {(view["rule"], view["line"]) for view in data["clawbacks"]}
    shown = [v for v in shown if not (_is_taken(v) and (v.get("rule"), v.get("line", "")) in told)]
    parts = shown, data["clawbacks"], data["nothing"]
    lines = {line["line"]: line for line in data["fact"]["data"].get("lines", [])}
    if not any("paid_fen" in line for line in lines.values()) or data["outcome"] != "accepted":
        lines = {}
    for name, line in lines.items():
        category = f", {line['category']}" if line.get("category") else ""
        pieces = "" if line.get("quantity", 1) == 1 else f", {line['quantity']:,} pieces"
        title = f"Line {name}{category}{pieces}, {money(line['paid_fen'], data['currency'])} paid"
        _part(console, title, *([view for view in part if view.get("line") == name] for part in parts))
    given, back, nothing = ([view for view in part if view.get("line") not in lines] for part in parts)
    title = "What it did" if given or back else "Nothing came of it"
    is_part = lines or len(nothing) < len(data["nothing"])
    _part(console, "The order as a whole" if is_part else title, given, back, nothing)


def _part(console: Console, title: str, given: list[View], back: list[View], nothing: list[View]) -> None:
    if given or back or nothing:
        _section(console, title)
        _rows(console, [*_given(given), *map(_clawback, back), *map(_nothing, nothing)])


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
    how.append(plain(sentence(view["how"])))
    for lot in view["lots"] if view["change"] == "earned" else ():
        untouched = not lot["went"] and lot["left"] == lot["earned"]
        since = "untouched." if untouched else plain(lot["since"])
        how.append(f"\nLot {lot['lot']}, since then: {since}", style="dim")
    return view["amount"], how, _style(view)


def _of_many_lots(group: list[View]) -> Row:
    first = group[0]
    sign = first["amount"][0] if first["amount"][:1] in "+-" else ""
    order = f", {first['order']}" if first["order"] else ""
    how = Text(plain(f"{sentence(first['what'])} {len(group):,} lots{order}:"))
    for view in group:
        lot = view["lots"][0]
        how.append(f"\n{view['points']:>7,}  lot {lot['lot']}  {plain(lot.get('origin', ''))}", style="dim")
    return f"{sign}{sum(view['points'] for view in group):,} {first['kind']}", how, _style(first)


def _clawback(view: View) -> Row:
    how = Text.assemble((f"{view['rule_name']} {view['rule']}\n", "cyan"), plain(view["how"]))
    amount = f"{-view['taken']:,} {view['kind']}" if view["claim"] else "nothing"
    return amount, how, "bold" if view["taken"] else "dim"


def _nothing(view: View) -> Row:
    rule = f"{view['rule_name']} {view['rule']}: " if view["rule"] else ""
    return "nothing", Text(rule + plain(view["text"]), style="dim"), "dim"


def _style(view: View) -> str:
    return {"-": "bold red", "+": "bold green"}.get(view["amount"][:1], "bold")


def _balances(balances: dict[str, View], console: Console) -> None:
    rows = []
    for kind, view in balances.items():
        for name, label in _SETS_OF_POINTS:
            before, after = view["before"][name], view["after"][name]
            title = f"{_named(kind, view['name'])} {label}".rstrip()
            if before != after:
                rows.append((title, f"{before:,} → {after:,}"))
            elif not label:
                rows.append((title, f"{after:,}, unchanged"))
    if rows:
        _section(console, "Balance")
        _facts(console, rows)


def _rules(views: list[View], data: View, console: Console) -> None:
    said = {view["rule"]: view for view in views if view.get("rule_text")}
    if said:
        _section(console, f"The rules, in the version from {data['version_from']}")
        names = (
            (f"{view.get('rule_name', '')} {rule}".lstrip(), plain(view["rule_text"])) for rule, view in said.items()
        )
        _facts(console, names, "dim")


# -- a lot and a member ----------------------------------------------------------------------------------------------


def _lot(data: View, console: Console) -> None:
    _head(console, data, f"  lot {data['lot']}  ", (f"{data['earned']:,} {data['kind']}", "bold green"))
    about = {
        "from": f"{plain(data['fact']['text'])} (entry {data['entry']:,})",
        "earned": data["earned_at"],
        "good until": f"{data['expires_at']} ({data['expiry']})",
        "decided by": _book(data),
    }
    _facts(console, about.items())
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
    head = f"  {count(data['entries'], 'entry', 'entries')}, at {data['as_of']}"
    _head(console, data, head, ("  frozen", "bold red") if data["frozen"] else "")
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
            _print(console, _lots(purse["lots"]))
    _section(console, "Statement")
    if data["earlier"]:
        earlier = count(data["earlier"], "earlier entry is", "earlier entries are")
        _say(console, f"{earlier} left out: --all has them, or explain one by its number")
    _print(console, _statement(data["statement"]))
    _section(console, "Since then")
    for text in data["since"]["texts"] or ["nothing fell due"]:
        _say(console, text)


def _lots(lots: list[View]) -> Table:
    table = grid(right=("lot", "left", "of"))
    table.add_column("good until", no_wrap=True)
    table.add_column("came from", overflow="fold")
    for lot in lots:
        state = " frozen" if lot["pending"] else f" ({lot['held']:,} on hold)" if lot["held"] else ""
        origin = plain(f"{lot['origin']}, entry {lot['entry']:,}")
        table.add_row(lot["lot"], f"{lot['left']:,}{state}", f"{lot['earned']:,}", lot["expires_at"], origin)
    return table


def _statement(lines: list[View]) -> Table:
    kinds = list(dict.fromkeys(kind for line in lines for kind in line["spendable"]))
    table = grid(right=("entry",))
    table.add_column("occurred", no_wrap=True)
    table.add_column("what happened, and what came of it", ratio=1, overflow="fold")
    for kind in kinds:
        table.add_column(plain(kind), justify="right", no_wrap=True)
    for line in lines:
        style = _COLOURS[line["outcome"]] if line["outcome"] != "accepted" else "cyan" if line["effect"] else "dim"
        text = Text.assemble(plain(line["text"]), (f"\n{plain(line['result'])}", style))
        balances = (f"{line['spendable'].get(kind, 0):,}" for kind in kinds)
        table.add_row(f"{line['number']:,}", line["occurred"], text, *balances)
    return table


# -- the parts -------------------------------------------------------------------------------------------------------


def _head(console: Console, data: View, text: str, state: tuple[str, str] | str) -> None:
    console.print(Text.assemble((plain(data["member"]), "bold"), text, state))


def _facts(console: Console, rows: Iterable[tuple[str, str]], style: str = "") -> None:
    _grid(console, ((Text(plain(name), style="dim"), Text(visible(text), style=style)) for name, text in rows))


def _rows(console: Console, rows: Iterable[Row]) -> None:
    ordered = sorted(rows, key=lambda row: not row[0])  # what moved no amount comes last
    _grid(console, ((Text(plain(amount), style=style), how) for amount, how, style in ordered), 12)


def _grid(console: Console, rows: Iterable[tuple[Text, Text]], width: int | None = None) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=width)
    table.add_column(overflow="fold")  # with the default, rich cuts a line of Chinese one word short
    for row in rows:
        table.add_row(*row)
    _print(console, table)


def _print(console: Console, what: RenderableType) -> None:
    console.print(Padding(what, (0, 0, 0, 2), expand=False))


def _section(console: Console, title: str) -> None:
    console.print()
    console.print(Text(plain(title), style="bold"))


def _say(console: Console, text: str) -> None:
    _print(console, Text(plain(sentence(text)), overflow="fold"))


def _book(data: View) -> str:
    if not data["version"]:
        return "no version of the book"
    return f"book {data['book']} {data['book_name']}, version {data['version']}, from {data['version_from']}"


def _named(label: str, name: str) -> str:
    return f"{label} {name}" if name and name.casefold() != label.casefold() else name or label
