"""The books against a list from outside: reconcile."""

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from ledger.errors import WrongUse
from projections.answers.output import output_file
from projections.answers.to_json import to_json
from projections.audit.reconcile import BALANCES, Reconciliation, balances_in
from projections.audit.reconcile import reconcile as reconcile_members
from service.commands.options import AsOfOption, FolderOption, named_file
from service.commands.results import LISTED, keep_result
from service.errors import BAD_NEWS, print_plain
from service.shell import Answer, Shell, command, instant

LISTED_IN_JSON = 1_000


@command
def reconcile(
    shell: Shell,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV or .parquet: member, kind, balance, and perhaps as_of.")
    ],
    as_of: AsOfOption = None,
    balance: Annotated[
        str, typer.Option(help="What the list calls a balance: spendable, net (less debt), total (with pending, held).")
    ] = "spendable",
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", parser=named_file, help="Write every difference, a line of JSON each."
        ),
    ] = None,
    folder: FolderOption = None,
) -> Answer:
    """Compare with an outside list of balances and explain each difference from the entries. Exit 1 on any.

    A list without as_of is compared at --as-of. A member in one of both only
    is a difference where the balance is not 0. What `points export balances`
    wrote is read as it is.

        points reconcile finance.csv --as-of 2025-12-01

        points reconcile finance.parquet --json -o differences.ndjson
    """
    if balance not in BALANCES:
        raise WrongUse(f'there is no balance "{balance}"; there are {", ".join(BALANCES)}')
    found = Reconciliation()
    first: list[dict[str, Any]] = []
    began = time.monotonic()
    with shell.reading() as opened, shell.progress("comparing") as tick:
        heads = opened.heads()
        writing = output_file(out) if out is not None else nullcontext()
        with balances_in(file, opened, balance) as listed, writing as lines:
            moment = instant(as_of, "--as-of", opened.book)
            for difference in reconcile_members(opened, listed, moment, balance, found, tick):
                if lines is not None:
                    lines.write(to_json(difference) + b"\n")
                if len(first) < LISTED_IN_JSON:
                    first.append(difference)
        count = found.differ + found.only_in_list + found.only_in_ledger
        keep_result(opened, folder, "reconcile", began, heads, count, file.name)
    document = {**msgspec.to_builtins(found), "difference_count": count, "differences": first}
    remark = "" if out is None else f"{count:,} differences in {out}"
    return Answer(document, lambda: _print(document), exit_code=BAD_NEWS if count else 0, remark=remark)


def _print(found: dict[str, Any]) -> None:
    for one in found["differences"][:LISTED]:
        where = {"list": "not in the ledger", "ledger": "not in the list"}.get(one["in"], "")
        figures = f"ledger {one['ledger'] or 0:,}, list {one['list'] or 0:,}, {one['difference']:+,}"
        why = "; ".join(text for text in (where, one.get("text", "")) if text)
        print_plain(f"{one['member']} {one['kind']}: {figures}: {why}")
    if found["difference_count"] > LISTED:
        print_plain(f"… {found['difference_count']:,} in all; -o FILE writes every one")
    total = ", ".join(f"{points:+,} {kind}" for kind, points in found["total"].items())
    print_plain(
        f"{found['compared']:,} balances compared: {found['agree']:,} agree, {found['differ']:,} differ,"
        f" {found['only_in_list']:,} only in the list, {found['only_in_ledger']:,} only in the ledger"
        + (f"; the ledger has {total}" if total else "")
    )
