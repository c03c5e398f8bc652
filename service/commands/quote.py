"""What a cart would earn, and how many points may pay for it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.errors import BadInput
from service.commands.members import MemberArgument
from service.errors import plain
from service.shell import JsonOption, LedgerOption, Shell, instant, standard_output

if TYPE_CHECKING:
    from ledger.wire.answers import Quote
    from service.screens.names import Names

MOST_BYTES = 1 << 20


def quote(
    context: typer.Context,
    member: MemberArgument,
    cart: Annotated[
        str,
        typer.Argument(metavar="CART.json", help='A cart: {"lines": [...]} as in order.completed; - reads it here.'),
    ],
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="T", help="As if it completed at this instant. (default: now)", show_default=False
        ),
    ] = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """What this cart would earn, line by line with the rule, and the most this member may redeem on it.

    Nothing is written: it is a dry run of what would be decided.

    points quote m-17850 cart.json
    """
    from ledger.wire.fact_codec import BadFact
    from projections.what_if.quote import quote as dry_run

    shell = Shell(context, ledger, as_json)
    raw = _read(cart)
    with shell.reading() as opened:
        try:
            found = dry_run(opened, member, raw, instant(at, "--at", opened.book))
        except BadFact as bad:
            raise BadInput(f"{cart}: no cart: {bad.reason}: {bad.detail}") from None
        if shell.json:
            shell.emit(found)
            return
        from service.screens.names import Names

        with standard_output():
            _print(found, Names(opened.book))


def _read(cart: str) -> bytes:
    from consumers.files.feeder import standard_input

    try:
        with standard_input() if cart == "-" else Path(cart).open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{cart}: {error.strerror}; give a readable file") from None
    if len(raw) > MOST_BYTES:
        raise BadInput(f"{cart}: more than {MOST_BYTES:,} bytes; a cart has at most as many as a fact")
    return raw


def _print(found: "Quote", names: "Names") -> None:
    print(f"{plain(found.member)}{'' if found.known else ' (new here)'} at {found.at}")
    if found.reason:
        print(f"  would be {found.outcome}: {found.reason}")
    for line in found.earn.lines:
        where = f"line {plain(line.line)}" if line.line else "the order"
        for award in line.awards:
            what = f"{award['points']:+,}" if "points" in award else f"nothing ({award['why']})"
            unit = award.get("kind") or award.get("score") or ""
            print(f"  {where:<12} {what:>8} {unit:<10} {names.rule(award['rule'])}")
    for use in found.redeem:
        no_more = use.no_more
        figures = ", ".join(f"{name} {value}" for name, value in no_more.figures.items())
        why = no_more.reason + (f" ({plain(figures)})" if figures else "")
        print(f"  may redeem {use.most:,} {use.kind} for {use.use}; no more: {why}")
