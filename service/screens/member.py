"""One member on a screen: points in lots, what ranks the member, and what the cards still give."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ledger.wire.answers import Benefit, Lot, Member, Membership, Purse, Score
from projections.answers.plain import plain
from service.screens.grid import grid
from service.screens.names import Names, number, short_time

LOTS_SHOWN = 6  # rows
MONTHS_SHOWN = 4


def print_member(console: Console, member: Member, names: Names) -> None:
    """Print the document of `points show`; lots that were earned and expire together share a row."""
    console.print(render_member(member, names))


def print_every_lot(console: Console, member: Member, names: Names) -> None:
    """Print the document of `points show` with a row for each lot."""
    console.print(render_member(member, names, every_lot=True))


def render_member(member: Member, names: Names, *, every_lot: bool = False) -> RenderableType:
    """Return a member as one block."""
    blocks: list[RenderableType] = [_head(member)]
    for kind, purse in member.points.items():
        blocks += [Text(), _purse(kind, purse, names)]
        if purse.lots:
            blocks.append(Padding(_lots(purse.lots, names, every_lot), (0, 0, 0, 2)))
    for name, score in member.scores.items():
        blocks += [Text(), _score(name, score, names)]
    for name, term in member.memberships.items():
        blocks += [Text(), _membership(name, term, names)]
    if member.benefits:
        blocks += [Text(), *(_benefit(name, benefit, names) for name, benefit in member.benefits.items())]
    return Group(*blocks)


def _head(member: Member) -> Text:
    entries = member.entries
    head = Text.assemble(
        (plain(member.member), "bold cyan"),
        ("   as of ", "dim"),
        short_time(member.as_of),
        ("   ", ""),
        (f"{entries:,} {'entry' if entries == 1 else 'entries'}", "dim"),
    )
    if member.frozen:
        head.append("   frozen 冻结", style="bold red")
    if member.closed:
        head.append("   closed 已关闭", style="bold red")
    return head


def _purse(kind: str, purse: Purse, names: Names) -> Text:
    worth = purse.spendable * names.fen(kind)
    line = Text.assemble(names.kind(kind), "   ", (f"{purse.spendable:,}", "bold green"), " spendable")
    line.append(f" ({names.money(worth)})", style="dim")
    for name in ("pending", "held", "debt"):
        if points := getattr(purse, name):
            line.append(f"   {points:,} {name}", style="red" if name == "debt" else "yellow")
    return line


def _lots(lots: list[Lot], names: Names, every: bool) -> RenderableType:
    table = grid("entry", "earned on", "rule", right=("lots", "earned", "left"))
    table.columns[0].justify = "right"
    table.add_column("gone from")
    for name in (0, 1, -1):  # all but the rule, which is folded where the screen is narrow
        table.columns[name].no_wrap = True
    rows = [[lot] for lot in lots] if every else together(lots)
    shown = rows if every or len(rows) <= LOTS_SHOWN + 1 else rows[:LOTS_SHOWN]
    for row in shown:
        lot = row[0]
        gone = Text(short_time(lot.expires_at)[:10] if lot.expires_at else "never")
        if lot.pending_until:
            gone = Text.assemble(("pending until ", "yellow"), short_time(lot.pending_until)[:10])
        table.add_row(
            f"#{lot.entry}",
            short_time(lot.earned_at)[:10],
            names.rule(lot.rule),
            f"{len(row):,}",
            f"{sum(lot.earned for lot in row):,}",
            Text(f"{sum(lot.left for lot in row):,}", style="bold"),
            gone,
        )
    if len(shown) == len(rows):
        return table
    rest = Counter[str]()
    for lot in (lot for row in rows[len(shown) :] for lot in row):
        rest[short_time(lot.expires_at)[:7] if lot.expires_at else "never"] += lot.left
    months = [f"{left:,} gone {'' if month == 'never' else 'in '}{month}" for month, left in sorted(rest.items())]
    more = ", ".join(months[:MONTHS_SHOWN]) + (" and later" if len(months) > MONTHS_SHOWN else "")
    return Group(table, Text(f"… and later lots: {more} (--lots shows each)", style="dim"))


def together(lots: Sequence[Lot]) -> list[list[Lot]]:
    """Return lots in rows: those that an entry opened by one rule and that expire together share one."""
    rows: dict[tuple[Any, ...], list[Lot]] = {}
    for lot in lots:
        rows.setdefault((lot.entry, lot.rule, lot.expires_at, lot.pending_until), []).append(lot)
    return list(rows.values())


def _score(name: str, score: Score, names: Names) -> RenderableType:
    head = Text.assemble(names.score(name), "   ", (f"{score.value:,}", "bold green"))
    head.append(f"   tier {plain(score.tier)}" if score.tier else "   below every tier", style="magenta")
    if score.held_until:
        head.append(f"   held until {short_time(score.held_until)}", style="yellow")
    if score.granted_until:
        head.append(f"   granted until {short_time(score.granted_until)}", style="yellow")
    head.append(f"   {score.month}", style="dim")
    parts = _figures("", [(names.part(name, part), points) for part, points in score.parts.items()])
    standing = "; ".join(_standing(score))
    return Group(head, parts, Padding(Text(standing, style="dim"), (0, 0, 0, 2))) if standing else Group(head, parts)


_BECAUSE = {"held": "held though the value has fallen below it", "granted": "granted, and not reached by the value"}


def _standing(score: Score) -> Iterator[str]:
    """Yield why the member has the tier, how it moves by time alone, and what the tier above needs."""
    if because := _BECAUSE.get(score.because or ""):
        yield because
    if score.until:
        to = f"tier {plain(score.then)}" if score.then else "below every tier"
        yield f"{to} from {short_time(score.until)} on if nothing comes"
    if above := score.next:
        more = [f"{above.missing:,} more"] if above.missing else []
        more += ["an invitation"] if above.invited else []
        yield f"tier {plain(above.tier)} needs {' and '.join(more)} (from {above.at_least:,})"


def _membership(name: str, term: Membership, names: Names) -> RenderableType:
    style = {"active": "bold green", "trial": "bold yellow", "grace": "bold yellow"}.get(term.state, "dim")
    head = Text.assemble(
        names.membership(name),
        "   ",
        (term.state, style),
        f"   {plain(term.product)}",
        (f"   {short_time(term.from_)} → {short_time(term.until)}", "dim"),
    )
    blocks: list[RenderableType] = [head]
    if term.quotas:
        lefts = [(names.benefit(benefit), left) for benefit, left in term.quotas.items()]
        blocks.append(_figures("left: ", lefts))
    told = [(benefit, of) for benefit, of in term.benefits.items() if not of.entitled or not of.is_open or of.again_at]
    blocks += [Padding(_benefit(benefit, of, names), (0, 0, 0, 2)) for benefit, of in told]
    return Group(*blocks)


def _benefit(name: str, benefit: Benefit, names: Names) -> RenderableType:
    line = Text.assemble(names.benefit(name), "   ")
    if not benefit.entitled:
        needs = plain(names.needs(name))
        found = plain(benefit.why or "")
        return line.append(f"not for this member: {found}{f' (for members: {needs})' if needs else ''}", style="dim")
    line.append("without a limit" if benefit.left is None else f"{benefit.left:,} left", style="bold")
    if benefit.again_at:
        line.append(f"   again from {short_time(benefit.again_at)}", style="yellow")
    if benefit.closes_at:
        line.append(f"   open until {short_time(benefit.closes_at)}", style="dim")
    if not benefit.is_open:
        when = f", opens {short_time(benefit.opens_at)}" if benefit.opens_at else ""
        line.append(f"   not open now{when}", style="yellow")
    return line


def _figures(title: str, figures: list[tuple[Text, int]]) -> RenderableType:
    """Return labels with their figures on one line, a little to the right."""
    texts = [Text.assemble(label, " ", number(value)) for label, value in figures]
    return Padding(Text.assemble((title, "dim"), Text("  ·  ", style="dim").join(texts)), (0, 0, 0, 2))
