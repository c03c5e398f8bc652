"""A quote on a screen."""

from rich.console import Console

from ledger.wire.answers import Products, Quote
from projections.answers.codes import reason_text
from projections.explaining.speech import speech_of
from service.errors import print_plain
from service.languages import terminal_language, text
from service.screens.names import Names


def print_quote(_console: Console, found: Quote, names: Names) -> None:
    """Print what each line would earn by which rule, and the most that may be redeemed."""
    _print_head(found.member, found.known, found.at)
    if found.reason:
        print_plain(text("  would be {outcome}: {reason}", outcome=text(found.outcome), reason=found.reason))
    language = terminal_language()
    speech = speech_of(language)
    for line in found.earn.lines:
        where = text("line {line}", line=line.line) if line.line else text("the order")
        for award in line.awards:
            what = f"{award['points']:+,}" if "points" in award else text("nothing ({why})", why=award["why"])
            kind, score = award.get("kind", ""), award.get("score", "")
            unit = (names.kind(kind) if kind else names.score(score)).plain if language else kind or score
            waits = award.get("waits_for", "")
            frozen = text(" (frozen until the budget {pool} answers)", pool=waits) if waits else ""
            print_plain(f"  {where:<12} {what:>8} {unit:<10} {names.rule(award['rule'])}{frozen}")
    for use in found.redeem:
        reason, figures = use.no_more.reason, use.no_more.figures
        told = [_figure(name.replace("_", " "), value) for name, value in figures.items()]
        why = reason + (speech.aside.format(speech.comma.join(told)) if told else "")
        why += speech.colon + speech.inner(reason_text(reason, language))
        kind, name = (names.kind(use.kind).plain, names.use(use.use).plain) if language else (use.kind, use.use)
        said = "  may redeem {most} {kind} for {use}; no more: {why}"
        print_plain(text(said, most=use.most, kind=kind, use=name, why=why))


def print_products(_console: Console, found: Products, names: Names) -> None:
    """Print what each card costs the member, and why the member may not open it."""
    _print_head(found.member, found.known, found.at)
    for card in found.products:
        price = text("no price") if card.price_fen is None else names.money(card.price_fen)
        needs = names.opened_by(card.product, terminal_language() or "en")
        whom = text(" (for members: {who})", who=needs) if needs else ""
        why = text("not for this member: {why}", why=speech_of(terminal_language()).failing(card.why or ""))
        may = text("may be opened") if card.eligible else why + whom
        print_plain(f"  {card.membership:<12} {card.product:<20} {price:>12}  {may}")


def _print_head(member: str, known: bool, at: str) -> None:
    said = "{member} at {at}" if known else "{member} (new here) at {at}"
    print_plain(text(said, member=member, at=at))


def _figure(name: str, value: object) -> str:
    return f"{text(name)} {value:,}" if isinstance(value, int) else f"{text(name)} {value}"
