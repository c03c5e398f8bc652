"""Facts beside any ledger: check, schema, traffic."""

import time
from collections import Counter
from typing import Annotated, Any

import typer

from consumers.files.check import check_file
from ledger.errors import WrongUse
from ledger.wire.fact_codec import json_schemas
from projections.answers.export import output_file
from service.commands.options import FilesArgument, OutOption
from service.demo.traffic import START
from service.demo.traffic import traffic as made_up
from service.errors import BAD_INPUT, plain, say
from service.shell import Answer, Shell, command, standard_output


@command
def check(shell: Shell, files: FilesArgument) -> Answer:
    """Decode and check files of facts without taking anything in; exit 3 where a line is no fact.

    points check facts.ndjson
    """
    bad: list[dict[str, Any]] = []
    facts = 0
    now = time.time_ns() // 1_000
    with shell.progress("checking") as tick:
        for name in files:
            for number, error in check_file(name, now):
                facts += 1
                if error is not None:
                    bad.append({"line": number, "reason": error.reason, "detail": error.detail, "file": name})
                if not facts % 1_000:
                    tick(facts)
    return Answer({"facts": facts, "bad": bad}, lambda: _print(facts, bad), exit_code=BAD_INPUT if bad else 0)


def _print(facts: int, bad: list[dict[str, Any]]) -> None:
    for found in bad:
        print(plain(f"{found['file']}:{found['line']}: {found['reason']}: {found['detail']}"))
    reasons = Counter(found["reason"] for found in bad)
    summary = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
    print(f"{facts:,} facts, {f'{len(bad):,} bad: {summary}' if bad else 'all good'}")


@command
def schema(shell: Shell) -> None:
    """Print the JSON Schema of the facts, a definition a type.

    points schema > facts.schema.json
    """
    shell.emit(json_schemas())


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
        for count, fact in enumerate(made_up(facts, members, seed, START, days, skew), 1):
            size += file.write(fact + b"\n")
            if not count % 5_000:
                tick(count)
    if out is None:
        return None
    seconds = round(time.monotonic() - started, 3)
    told = {"facts": facts, "members": members, "seed": seed, "bytes": size, "file": str(out), "seconds": seconds}
    return Answer(
        told, lambda: say(f"{facts:,} facts of up to {members:,} members in {out} ({size:,} bytes, {seconds:,.1f} s)")
    )
