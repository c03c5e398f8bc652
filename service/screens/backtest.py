"""A backtest on a screen: the books beside each other, then who and what moves."""

from rich.console import Console, RenderableType
from rich.text import Text

from projections.answers.plain import plain
from projections.what_if.reports import ChangedAnswer, Moves, Pair, Report, Rule, Tiers
from service.languages import text
from service.screens.grid import grid
from service.screens.names import Names, number, short_time

_FIGURES = (
    ("issued", "issued"),
    ("redeemed", "redeemed"),
    ("expired", "expired"),
    ("clawed_back", "clawed back"),
    ("outstanding", "outstanding"),
    ("debt", "owed as debt"),
)
_TIERS = "{score}: {up} members rise, {down} fall; rows: the tier that is"
RULES = 12  # listed on a screen
OUTCOMES = 10


def print_backtest(console: Console, found: Report, names: Names) -> None:
    """Print the document of a backtest."""
    decides = (
        text("from {at} on", at=short_time(found.decides_from))
        if found.decides_from
        else text("from the first fact on")
    )
    console.print(
        Text.assemble(
            (plain(found.draft.file), "bold"),
            text(" decides {decides}: ", decides=decides),
            (f"{found.entries:,}", "bold"),
            text(" entries of "),
            (f"{found.members:,}", "bold"),
            text(" members decided again"),
            (f"   {text('as of')} {short_time(found.as_of)}, {found.seconds:,.1f} {text('s')}", "dim"),
        )
    )
    if found.unreadable:
        console.print(
            Text(text("{count} entries cannot be read: run `points verify`", count=found.unreadable), style="red")
        )
    if found.unanswered:
        said = text(
            "{count} asks of a budget, stock or house have no answer in this history: those points stay pending",
            count=found.unanswered,
        )
        console.print(Text(said, style="yellow"))
    for kind, figures in found.points.items():
        console.print()
        console.print(_points(kind, figures, names))
        console.print(_rules([rule for rule in found.rules if rule.kind == kind], names))
        if kind in found.moves:
            _print_moves(console, found.moves[kind])
    for score, tiers in found.tiers.items():
        console.print()
        console.print(_tiers(score, tiers, names))
    if found.outcomes:
        console.print()
        console.print(_outcomes(found.outcomes))


def _compared(pair: Pair) -> tuple[Text, Text, Text]:
    """Return the cells of a figure: as it is, under the draft, and the difference."""
    change = pair.difference
    style = "bold" if change else "dim"  # more points are a gain for members, and a cost: neither green nor red
    return number(pair.actual), number(pair.draft), Text(f"{change:+,}" if change else "·", style=style)


def _points(kind: str, figures: dict[str, Pair], names: Names) -> RenderableType:
    fen = names.fen(kind)
    table = grid(str(names.kind(kind)), right=("as it is", "under the draft", "difference", "worth"))
    for name, figure in _FIGURES:
        pair = figures[name]
        worth = Text(names.money(pair.difference * fen) if pair.difference else "", style="dim")
        table.add_row(text(figure), *_compared(pair), worth)
    return table


def _rules(rules: list[Rule], names: Names) -> RenderableType:
    moved = sorted((rule for rule in rules if rule.difference), key=lambda rule: -abs(rule.difference))
    if not moved:
        return Text(text("no rule gives another sum"), style="dim")
    table = grid("issued by rule", right=("as it is", "under the draft", "difference"))
    for rule in moved[:RULES]:
        table.add_row(names.rule(rule.rule), *_compared(rule))
    return table


def _print_moves(console: Console, moves: Moves) -> None:
    console.print(
        Text.assemble(
            (text("{count} members gain", count=moves.gain), "green" if moves.gain else "dim"),
            text(" {points} points, ", points=moves.gained),
            (text("{count} lose", count=moves.lose), "red" if moves.lose else "dim"),
            text(" {points}, {count} see no difference", points=moves.lost, count=moves.same),
        )
    )
    table = grid("the largest", right=("has or has spent", "under the draft", "difference"))
    for member in [*moves.largest_gains, *moves.largest_losses]:
        table.add_row(plain(member.member), *_compared(member))
    if table.row_count:
        console.print(table)


def _tiers(score: str, found: Tiers, names: Names) -> RenderableType:
    tiers = [tier or text("none") for tier in found.tiers]
    title = text(_TIERS, score=names.score(score), up=found.up, down=found.down)
    table = grid(title, right=tuple(tiers))
    for row, (tier, counts) in enumerate(zip(tiers, found.matrix, strict=True)):
        cells = [
            Text(f"{n:,}" if n else "·", style="dim" if not n else "" if row == column else "bold")
            for column, n in enumerate(counts)
        ]
        table.add_row(tier, *cells)
    return table


def _outcomes(found: list[ChangedAnswer]) -> RenderableType:
    table = grid("facts with another answer", right=("facts",))
    for change in found[:OUTCOMES]:
        was, would = (
            f"{text(side.outcome)}{': ' + side.reason if side.reason else ''}" for side in (change.actual, change.draft)
        )
        table.add_row(f"{was}  →  {would}", number(change.facts))
    if len(found) > OUTCOMES:
        table.add_row(text("… {count} more; --json has them all", count=len(found) - OUTCOMES), "")
    return table
