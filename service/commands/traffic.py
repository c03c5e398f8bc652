"""Facts made up: traffic."""

import time
from typing import Annotated

import typer

from ledger.errors import WrongUse
from projections.answers.output import output_file
from service.commands.options import OutOption
from service.demo.traffic import START
from service.demo.traffic import traffic as made_up_traffic
from service.errors import say
from service.shell import Answer, Shell, command, standard_output


@command
def traffic(
    shell: Shell,
    facts: Annotated[int, typer.Option(min=1, help="How many facts.")] = 100_000,
    members: Annotated[int, typer.Option(min=1, help="How many members; few of them do much.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 1,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days from 2025-01-01 that they fill.")] = 365,
    skew: Annotated[float, typer.Option(min=0.0, max=10.0, help="How much more the first members do (Zipf).")] = 0.8,
    out: OutOption = None,
) -> Answer | None:
    """Make up the traffic of a large shop: orders, returns, reviews, redemptions, cards, in order of time.

    points traffic --facts 1000000 --members 50000 --seed 7 -o year.ndjson
    """
    if shell.json and out is None:
        raise WrongUse("--json prints a summary: give -o FILE for the facts")
    started = time.monotonic()
    size = 0
    with standard_output(), output_file(out) as file, shell.progress("making up", facts) as tick:
        for count, fact in enumerate(made_up_traffic(facts, members, seed, START, days, skew), 1):
            size += file.write(fact + b"\n")
            tick(count)
    if out is None:
        return None
    seconds = round(time.monotonic() - started, 3)
    told = {"facts": facts, "members": members, "seed": seed, "bytes": size, "file": str(out), "seconds": seconds}
    return Answer(
        told, lambda: say(f"{facts:,} facts of up to {members:,} members in {out} ({size:,} bytes, {seconds:,.1f} s)")
    )
