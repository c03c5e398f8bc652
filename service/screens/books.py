"""The books on a screen: where every point went, and that it adds up."""

from rich.console import Console, Group, RenderableType
from rich.text import Text

from ledger.wire.answers import Books, BooksOfKind
from service.languages import text
from service.screens.grid import grid
from service.screens.names import Names, number, short_time

_WHERE = (
    ("spendable", "spendable"),
    ("pending", "pending (frozen)"),
    ("held", "held"),
    ("redeemed", "redeemed, net of what came back"),
    ("expired", "expired"),
    ("clawed_back", "clawed back"),
    ("forfeited", "forfeited"),
    ("in_transit", "on the way between members"),
)


def print_stats(console: Console, stats: Books, names: Names) -> None:
    """Print the document of `points stats`."""
    console.print(render_stats(stats, names))


def render_stats(stats: Books, names: Names) -> RenderableType:
    """Return the books as one block."""
    outcomes = stats.entries
    head = Text.assemble(
        text("{members} members   {entries} entries: ", members=stats.members, entries=sum(outcomes.values())),
        (f"{outcomes['accepted']:,} {text('accepted')}", "green"),
        ", ",
        (f"{outcomes['refused']:,} {text('refused')}", "red" if outcomes["refused"] else "dim"),
        ", ",
        (f"{outcomes['ignored']:,} {text('ignored')}", "yellow" if outcomes["ignored"] else "dim"),
        "   ",
        (text("{count} dead letters", count=stats.parked), "yellow" if stats.parked else "dim"),
        (f"   {text('as of')} {short_time(stats.as_of)}", "dim"),
    )
    blocks: list[RenderableType] = [head]
    for outcome in ("refused", "ignored"):
        if stats.reasons[outcome]:
            blocks.append(_reasons(outcome, stats.reasons[outcome]))
    if stats.parked_reasons:
        blocks.append(_reasons("parked", stats.parked_reasons))
    for membership, states in stats.memberships.items():
        line = Text.assemble("  ", names.membership(membership), ": ")
        line.append(", ".join(f"{count:,} {text(state)}" for state, count in states.items() if count))
        blocks.append(line)
    for kind, figures in stats.points.items():
        blocks += [Text(), _kind(kind, figures, names)]
    return Group(*blocks)


def _reasons(outcome: str, reasons: dict[str, int]) -> Text:
    return Text(
        f"  {text(outcome)}{text(': ')}" + ", ".join(f"{count:,} {reason}" for reason, count in reasons.items()),
        style="dim",
    )


def _kind(kind: str, figures: BooksOfKind, names: Names) -> RenderableType:
    fen = names.fen(kind)
    table = grid("", right=("", ""), header=False)
    table.columns[0].min_width = 34
    table.columns[2].style = "dim"
    table.add_row(Text.assemble(names.kind(kind), f"  {text('issued')}"), Text(f"{figures.issued:,}", style="bold"), "")
    for name, where in _WHERE:
        points = getattr(figures, name)
        table.add_row(f"  {text(where)}", number(points), names.money(points * fen) if name == "spendable" else "")
    total = sum(getattr(figures, name) for name, _ in _WHERE)
    verdict = (
        Text(text("= issued ✓"), style="green") if figures.balanced else Text(text("≠ issued ✗"), style="bold red")
    )
    table.add_row(Text(f"  {text('together')}", style="bold"), Text(f"{total:,}", style="bold"), verdict)
    beside = [
        f"{getattr(figures, name):,} {text(what)}"
        for name, what in (("debt", "owed as debt"), ("written_off", "written off"))
        if getattr(figures, name)
    ]
    if figures.cash_shortfall_fen:
        beside.append(text("{money} kept from refunds", money=names.money(figures.cash_shortfall_fen)))
    return (
        Group(table, Text(f"  {text('beside that')}{text(': ')}" + ", ".join(beside), style="dim")) if beside else table
    )
