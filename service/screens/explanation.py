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
from projections.explaining.changes import BOOKKEEPING
from projections.explaining.speech import Speech, speech_of
from projections.explaining.words import money, phrases
from service.screens.grid import grid, pairs

_COLOURS = {"accepted": "green", "refused": "red", "ignored": "yellow"}
_TAKEN = ("clawed-back", "indebted", "paid-in-cash", "written-off", "scored")
_SETS_OF_POINTS = ("spendable", "pending", "held", "debt")

View = dict[str, Any]
Row = tuple[str, Text, str]  # amount, how, style of the amount


def print_explanation(console: Console, data: View) -> None:
    """Print what `explain_entry`, `explain_lot` or `explain_member` returned."""
    {"entry": _entry, "lot": _lot, "member": _member}[data["explains"]](data, console)


class _Titles:
    """The titles of an explanation in its language, and how that counts and ends sentences."""

    def __init__(self, data: View) -> None:
        self.speech: Speech = speech_of(data["language"])
        self._phrases = phrases(self.speech.phrases)

    def __call__(self, code: str, **values: Any) -> str:
        """The title of a code."""
        return self._phrases[f"title.{code}"].format(**values)


# -- an entry --------------------------------------------------------------------------------------------------------


def _entry(data: View, console: Console) -> None:
    say = _Titles(data)
    head = f"  {say('entry', number=data['number'], entries=data['entries'])}  "
    _head(console, data, head, (say(data["outcome"]), f"bold {_COLOURS[data['outcome']]}"))
    console.print(Text(plain(data["fact"]["text"]), style="bold"))
    late = "" if data["occurred"] == data["clock"] else say("late", clock=data["clock"])
    about = {
        say("occurred"): data["occurred"] + late,
        say("recorded"): data["recorded"] + say("position", position=data["position"]),
        say("fact"): f"{plain(data['type'])}  {plain(data['id'])}  {say('source', source=plain(data['source']))}",
        say("decided-by"): _book(data, say),
    }
    _facts(console, about.items())
    if not data["derives"]:
        _section(console, say("attention"))
        _say(console, say, say("differs"))
    if data["reason"]:
        _section(console, say("why" if data["outcome"] != "accepted" else "note"))
        _say(console, say, data["reason_text"] + say.speech.aside.format(data["reason"]))
        if data["needed"]:
            _say(console, say, say("needed", needed=data["needed"]))
    if "decided_at" in data:
        _say(console, say, plain(data["decided_at"]["text"]) + _to_explain(data["decided_at"]))
    if "came_from" in data:
        _section(console, say("came-from"))
        _say(console, say, plain(data["came_from"]["text"]) + _to_explain(data["came_from"]))
    shown = [view for view in data["changes"] if view["change"] not in BOOKKEEPING]
    due = [view for view in shown if view["due"]]
    if due:
        _section(console, say("by-time"))
        _rows(console, _given(due, say))
    _decided(data, [view for view in shown if not view["due"]], console, say)
    _balances(data["balances"], console, say)
    _rules([*shown, *data["clawbacks"], *data["nothing"]], data, console, say)


def _to_explain(place: View) -> str:
    """Return the command that explains the entry at a place; empty where there is none yet."""
    return f" (points explain {plain(place['member'])} {place['number']})" if place["member"] else ""


def _decided(data: View, shown: list[View], console: Console, say: _Titles) -> None:
    """What the fact gave and did not give: line by line where it has lines, then the whole."""
    told = {(view["rule"], view["line"]) for view in data["clawbacks"]}
    shown = [v for v in shown if not (_is_taken(v) and (v.get("rule"), v.get("line", "")) in told)]
    parts = shown, data["clawbacks"], data["nothing"]
    told = data["fact"]["data"]
    told = told["fact"]["data"] if "came_from" in data else told
    lines = {line["line"]: line for line in told.get("lines", [])}
    if not any("paid_fen" in line for line in lines.values()) or data["outcome"] != "accepted":
        lines = {}
    for name, line in lines.items():
        category = f"{say.speech.comma}{line['category']}" if line.get("category") else ""
        pieces = "" if line.get("quantity", 1) == 1 else say("pieces", quantity=line["quantity"])
        paid = money(line["paid_fen"], data["currency"])
        title = say("line", line=name, category=category, pieces=pieces, paid=paid)
        _part(console, say, title, *([view for view in part if view.get("line") == name] for part in parts))
    given, back, nothing = ([view for view in part if view.get("line") not in lines] for part in parts)
    title = say("did") if given or back else say("came-to-nothing")
    is_part = lines or len(nothing) < len(data["nothing"])
    _part(console, say, say("whole") if is_part else title, given, back, nothing)


def _part(console: Console, say: _Titles, title: str, given: list[View], back: list[View], nothing: list[View]) -> None:
    if given or back or nothing:
        _section(console, title)
        rows = _given(given, say)
        rows += [_clawback(view, say) for view in back]
        rows += [_nothing(view, say) for view in nothing]
        _rows(console, rows)


def _is_taken(view: View) -> bool:
    return view["change"] in _TAKEN and (view["change"] != "scored" or view["points"] < 0)


def _given(views: list[View], say: _Titles) -> list[Row]:
    """A row a change; lots that moved together, by the same cause, make one."""
    groups: dict[Any, list[View]] = {}
    for place, view in enumerate(views):
        groups.setdefault((view["change"], view.get("kind"), view.get("what", place)), []).append(view)
    return [_change(group[0], say) if len(group) == 1 else _of_many_lots(group, say) for group in groups.values()]


def _change(view: View, say: _Titles) -> Row:
    how = Text()
    if view["rule_name"] and view["change"] in ("earned", "scored", "scored-once"):
        how.append(f"{view['rule_name']} {view['rule']}\n", style="cyan")
    how.append(plain(say.speech.sentence(view["how"])))
    for lot in view["lots"] if view["change"] == "earned" else ():
        untouched = not lot["went"] and lot["left"] == lot["earned"]
        since = say("untouched") if untouched else plain(lot["since"])
        how.append("\n" + say("lot-since", lot=lot["lot"], since=since), style="dim")
    return view["amount"], how, _style(view)


def _of_many_lots(group: list[View], say: _Titles) -> Row:
    first = group[0]
    sign = first["amount"][0] if first["amount"][:1] in "+-" else ""
    order = f"{say.speech.comma}{first['order']}" if first["order"] else ""
    how = Text(plain(f"{say.speech.sentence(first['what'])} {say('lots', lots=len(group), order=order)}"))
    for view in group:
        lot = view["lots"][0]
        of_lot = say("lot", lot=lot["lot"])
        how.append(f"\n{view['points']:>7,}  {of_lot}  {plain(lot.get('origin', ''))}", style="dim")
    kind = first["amount"].partition(" ")[2] if say.speech.language != "en" else first["kind"]
    return f"{sign}{sum(view['points'] for view in group):,} {kind}", how, _style(first)


def _clawback(view: View, say: _Titles) -> Row:
    how = Text.assemble((f"{view['rule_name']} {view['rule']}\n", "cyan"), plain(view["how"]))
    amount = f"{-view['taken']:,} {view['unit']}" if view["claim"] else say("nothing")
    return amount, how, "bold" if view["taken"] else "dim"


def _nothing(view: View, say: _Titles) -> Row:
    rule = f"{view['rule_name']} {view['rule']}{say.speech.colon}" if view["rule"] else ""
    return say("nothing"), Text(rule + plain(view["text"]), style="dim"), "dim"


def _style(view: View) -> str:
    return {"-": "bold red", "+": "bold green"}.get(view["amount"][:1], "bold")


def _balances(balances: dict[str, View], console: Console, say: _Titles) -> None:
    rows = []
    for kind, view in balances.items():
        for name in _SETS_OF_POINTS:
            before, after = view["before"][name], view["after"][name]
            label = "" if name == "spendable" else say(name)
            title = f"{_named(kind, view['name'], say)} {label}".rstrip()
            if before != after:
                rows.append((title, f"{before:,} → {after:,}"))
            elif not label:
                rows.append((title, f"{after:,}{say('unchanged')}"))
    if rows:
        _section(console, say("balance"))
        _facts(console, rows)


def _rules(views: list[View], data: View, console: Console, say: _Titles) -> None:
    said = {view["rule"]: view for view in views if view.get("rule_text")}
    if said:
        _section(console, say("rules", day=data["version_from"]))
        names = (
            (f"{view.get('rule_name', '')} {rule}".lstrip(), plain(view["rule_text"])) for rule, view in said.items()
        )
        _facts(console, names, "dim")


# -- a lot and a member ----------------------------------------------------------------------------------------------


def _lot(data: View, console: Console) -> None:
    say = _Titles(data)
    kind = data["opened_by"]["amount"].partition(" ")[2] if data["language"] != "en" else data["kind"]
    _head(console, data, f"  {say('lot', lot=data['lot'])}  ", (f"{data['earned']:,} {kind}", "bold green"))
    about = {
        say("from"): plain(data["fact"]["text"]) + say("in-entry", number=data["entry"]),
        say("earned"): data["earned_at"],
        say("good-until"): f"{data['expires_at']} ({data['expiry']})",
        say("decided-by"): _book(data, say),
    }
    _facts(console, about.items())
    _section(console, say("came-from"))
    opened = {**data["opened_by"], "lots": []}
    _rows(console, _given([opened], say))
    _section(console, say("went"))
    for event in data["went"]:
        at = f", {event['occurred']}" if event.get("occurred") else ""
        _say(console, say, f"{event['text']}{at}")
    left = say("left", left=data["left"]) if data["left"] or data["held"] else say("gone")
    frozen = say("waits") if data["pending"] else ""
    held = say("on-hold", held=data["held"]) if data["held"] else ""
    _say(console, say, f"{left}{frozen}{held}{say('at', at=data['as_of'])}")
    _rules([opened], data, console, say)


def _member(data: View, console: Console) -> None:
    say = _Titles(data)
    entries = say.speech.count(data["entries"], say("one-entry"), say("entries"))
    _head(console, data, f"  {say('story', entries=entries, at=data['as_of'])}", _frozen(data, say))
    rows = []
    for kind, purse in data["points"].items():
        sums = [f"{purse[name]:,} {say(name)}" for name in _SETS_OF_POINTS if purse[name] or name == "spendable"]
        rows.append((_named(kind, purse["name"], say), say.speech.comma.join(sums)))
    for name, score in data["scores"].items():
        called = score["part_names"] if say.speech.language != "en" else {}
        parts = say.speech.comma.join(
            f"{called.get(part) or part} {value:,}" for part, value in score["parts"].items() if value
        )
        tier = say("tier", tier=score["tier"]) if score["tier"] else ""
        rows.append(
            (
                _named(name, score["name"], say),
                f"{score['value']:,}{tier}" + (say.speech.aside.format(parts) if parts else ""),
            )
        )
    for name, term in data["memberships"].items():
        told = {key: term[key] for key in ("card", "product", "until")}
        rows.append((_named(name, term["name"], say), say("card", state=say(f"state.{term['state']}"), **told)))
    _facts(console, rows)
    for kind, purse in data["points"].items():
        if purse["lots"]:
            _section(console, say("lots-of", kind=_named(kind, purse["name"], say)))
            _print(console, _lots(purse["lots"], say))
    _section(console, say("statement"))
    if data["earlier"]:
        earlier = say.speech.count(data["earlier"], say("earlier-one"), say("earlier"))
        _say(console, say, say("left-out", earlier=earlier))
    _print(console, _statement(data["statement"], data["points"], say))
    _section(console, say("since"))
    for text in data["since"]["texts"] or [say("nothing-due")]:
        _say(console, say, text)


def _frozen(data: View, say: _Titles) -> tuple[str, str] | str:
    return (f"  {say('frozen')}", "bold red") if data["frozen"] else ""


def _lots(lots: list[View], say: _Titles) -> Table:
    table = grid(right=(say("column.lot"), say("column.left"), say("column.of")))
    table.add_column(say("good-until"), no_wrap=True)
    table.add_column(say("column.from"), overflow="fold")
    for lot in lots:
        held = f" ({lot['held']:,} {say('held')})" if lot["held"] else ""
        state = f" {say('frozen')}" if lot["pending"] else held
        origin = plain(f"{lot['origin']}, {say('of-entry', number=lot['entry'])}")
        table.add_row(lot["lot"], f"{lot['left']:,}{state}", f"{lot['earned']:,}", lot["expires_at"], origin)
    return table


def _statement(lines: list[View], points: View, say: _Titles) -> Table:
    kinds = list(dict.fromkeys(kind for line in lines for kind in line["spendable"]))
    table = grid(right=(say("column.entry"),))
    table.add_column(say("occurred"), no_wrap=True)
    table.add_column(say("column.what"), ratio=1, overflow="fold")
    for kind in kinds:
        name = points[kind]["name"] if kind in points and say.speech.language != "en" else ""
        table.add_column(plain(name or kind), justify="right", no_wrap=True)
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
    table = pairs(width)
    for row in rows:
        table.add_row(*row)
    _print(console, table)


def _print(console: Console, what: RenderableType) -> None:
    console.print(Padding(what, (0, 0, 0, 2), expand=False))


def _section(console: Console, title: str) -> None:
    console.print()
    console.print(Text(plain(title), style="bold"))


def _say(console: Console, say: _Titles, text: str) -> None:
    _print(console, Text(plain(say.speech.sentence(text)), overflow="fold"))


def _book(data: View, say: _Titles) -> str:
    if not data["version"]:
        return say("no-version")
    return say("book", **{name: data[name] for name in ("book", "book_name", "version", "version_from")})


def _named(label: str, name: str, say: _Titles) -> str:
    if say.speech.language != "en":
        return name or label
    return f"{label} {name}" if name and name.casefold() != label.casefold() else name or label
