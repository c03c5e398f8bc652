"""One member on a screen: points in lots, what ranks the member, and what the cards still give."""

from collections import Counter
from collections.abc import Iterator

from msgspec import UnsetType
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ledger.wire.answers import Benefit, Lot, Member, Membership, Purse, Score, Seat
from projections.answers.plain import plain
from projections.answers.show import together
from projections.explaining.speech import speech_of
from service.languages import terminal_language, text
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
        blocks += [Text(), membership_block(name, term, names)]
    if member.seats:
        blocks += [Text(), *(_seat(house, seat, names) for house, seat in member.seats.items())]
    if member.benefits:
        blocks += [Text(), *(_benefit(name, benefit, names) for name, benefit in member.benefits.items())]
    return Group(*blocks)


def _head(member: Member) -> Text:
    entries = member.entries
    head = Text.assemble(
        (plain(member.member), "bold cyan"),
        (f"   {text('as of')} ", "dim"),
        short_time(member.as_of),
        ("   ", ""),
        (text("{count} entry" if entries == 1 else "{count} entries", count=entries), "dim"),
    )
    if member.frozen:
        head.append(f"   {text('frozen')}", style="bold red")
    if member.closed:
        head.append(f"   {text('closed')}", style="bold red")
    if member.alias_of:
        head.append(f"   {text('another name of {member}', member=plain(member.alias_of))}", style="bold yellow")
    if member.names:
        head.append(f"   {text('also {names}', names=plain(', '.join(member.names)))}", style="yellow")
    return head


def _purse(kind: str, purse: Purse, names: Names) -> Text:
    worth = purse.spendable * names.fen(kind)
    line = Text.assemble(names.kind(kind), "   ", (f"{purse.spendable:,}", "bold green"), f" {text('spendable')}")
    line.append(f" ({names.money(worth)})", style="dim")
    for name in ("pending", "held", "debt"):
        if points := getattr(purse, name):
            line.append(f"   {points:,} {text(name)}", style="red" if name == "debt" else "yellow")
    return line


def _lots(lots: list[Lot], names: Names, every: bool) -> RenderableType:
    table = grid("entry", "earned on", "rule", right=("lots", "earned", "left"))
    table.columns[0].justify = "right"
    table.add_column(text("gone from"))
    for name in (0, 1, -1):  # all but the rule, which is folded where the screen is narrow
        table.columns[name].no_wrap = True
    rows = [[lot] for lot in lots] if every else together(lots)
    shown = rows if every or len(rows) <= LOTS_SHOWN + 1 else rows[:LOTS_SHOWN]
    for row in shown:
        lot = row[0]
        gone = Text(short_time(lot.expires_at)[:10] if lot.expires_at else text("never"))
        if lot.pending_until:
            gone = Text.assemble((f"{text('pending until')} ", "yellow"), short_time(lot.pending_until)[:10])
        elif lot.pending:
            gone = Text(text("waits for its budget"), style="yellow")
        table.add_row(
            f"{plain(lot.account)} #{lot.entry}" if lot.account else f"#{lot.entry}",
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
    months = [_gone(left, month) for month, left in sorted(rest.items())]
    more = ", ".join(months[:MONTHS_SHOWN]) + (text(" and later") if len(months) > MONTHS_SHOWN else "")
    return Group(table, Text(text("… and later lots: {more} (--lots shows each)", more=more), style="dim"))


def _gone(left: int, month: str) -> str:
    return text("{left} gone never", left=left) if month == "never" else text("{left} gone in {m}", left=left, m=month)


def _score(name: str, score: Score, names: Names) -> RenderableType:
    head = Text.assemble(names.score(name), "   ", (f"{score.value:,}", "bold green"))
    head.append(f"   {_tier(score.tier)}", style="magenta")
    if score.held_until:
        head.append(f"   {text('held until {at}', at=short_time(score.held_until))}", style="yellow")
    if score.granted_until:
        head.append(f"   {text('granted until {at}', at=short_time(score.granted_until))}", style="yellow")
    head.append(f"   {score.month}", style="dim")
    parts = _figures("", [(names.part(name, part), points) for part, points in score.parts.items()])
    standing = "; ".join(_standing(score))
    return Group(head, parts, Padding(Text(standing, style="dim"), (0, 0, 0, 2))) if standing else Group(head, parts)


_BECAUSE = {"held": "held though the value has fallen below it", "granted": "granted, and not reached by the value"}


def _standing(score: Score) -> Iterator[str]:
    """Yield why the member has the tier, how it moves by time alone, and what the tier above needs."""
    if because := _BECAUSE.get(score.because or ""):
        yield text(because)
    if score.until:
        yield text("{tier} from {at} on if nothing comes", tier=_tier(score.then), at=short_time(score.until))
    if above := score.next:
        more = [text("{points} more", points=above.missing)] if above.missing else []
        more += [text("an invitation")] if above.invited else []
        need = text(" and ").join(more)
        yield text("{tier} needs {need} (from {least})", tier=_tier(above.tier), need=need, least=above.at_least)


def _tier(tier: str | UnsetType | None) -> str:
    return text("tier {tier}", tier=plain(tier)) if tier else text("below every tier")


def _term(head: Text, term: Membership | Seat) -> Text:
    """Return what is said of a card behind its name: how it stands, its product, from when until when."""
    style = {"active": "bold green", "trial": "bold yellow", "grace": "bold yellow"}.get(term.state, "dim")
    head.append("   ").append(text(term.state), style=style).append(f"   {plain(term.product)}")
    return head.append(f"   {short_time(term.from_)} → {short_time(term.until)}", style="dim")


def _seat(house: str, seat: Seat, names: Names) -> Text:
    head = Text.assemble(text("seat in {house}", house=plain(house)), "   ", names.membership(seat.membership))
    return _term(head, seat)


def membership_block(name: str, term: Membership, names: Names) -> RenderableType:
    """Return a membership as one block: its card, what is left of its quotas, its benefits."""
    blocks: list[RenderableType] = [_term(Text.assemble(names.membership(name)), term)]
    if term.quotas:
        lefts = [(names.benefit(benefit), left) for benefit, left in term.quotas.items()]
        blocks.append(_figures(text("left: "), lefts))
    told = [(benefit, of) for benefit, of in term.benefits.items() if not of.entitled or not of.is_open or of.again_at]
    blocks += [Padding(_benefit(benefit, of, names), (0, 0, 0, 2)) for benefit, of in told]
    return Group(*blocks)


def _benefit(name: str, benefit: Benefit, names: Names) -> RenderableType:
    line = Text.assemble(names.benefit(name), "   ")
    if not benefit.entitled:
        needs = plain(names.needs(name, terminal_language() or "en"))
        found = plain(speech_of(terminal_language()).failing(benefit.why or ""))
        said = text("not for this member: {why}", why=found)
        return line.append(said + (text(" (for members: {who})", who=needs) if needs else ""), style="dim")
    line.append(
        text("without a limit") if benefit.left is None else text("{count} left", count=benefit.left), style="bold"
    )
    if benefit.again_at:
        line.append(f"   {text('again from {at}', at=short_time(benefit.again_at))}", style="yellow")
    if benefit.closes_at:
        line.append(f"   {text('open until {at}', at=short_time(benefit.closes_at))}", style="dim")
    if not benefit.is_open:
        when = text(", opens {at}", at=short_time(benefit.opens_at)) if benefit.opens_at else ""
        line.append(f"   {text('not open now')}{when}", style="yellow")
    return line


def _figures(title: str, figures: list[tuple[Text, int]]) -> RenderableType:
    """Return labels with their figures on one line, a little to the right."""
    texts = [Text.assemble(label, " ", number(value)) for label, value in figures]
    return Padding(Text.assemble((title, "dim"), Text("  ·  ", style="dim").join(texts)), (0, 0, 0, 2))
