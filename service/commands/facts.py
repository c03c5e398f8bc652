"""Facts beside any ledger: check, schema."""

import time
from collections import Counter
from pkgutil import resolve_name
from typing import Annotated, Any

import typer

from consumers.files.check import check_file
from ledger.errors import WrongUse
from ledger.wire.fact_codec import json_schemas
from service.commands.options import ConfigOption, FilesArgument
from service.errors import BAD_INPUT, print_plain
from service.installed import installed_version
from service.shell import Answer, Shell, command


@command
def check(shell: Shell, files: FilesArgument) -> Answer:
    """Decode and check files of facts without taking anything in; exit 3 if a line is no valid fact.

    points check facts.ndjson
    """
    bad: list[dict[str, Any]] = []
    facts = 0
    now = time.time_ns() // 1_000
    with shell.progress("checking") as tick:
        for name in files:
            for number, error in check_file(name, now):
                facts += 1
                tick(facts)
                if error is not None:
                    bad.append({"line": number, "reason": error.reason, "detail": error.detail, "file": name})
    return Answer({"facts": facts, "bad": bad}, lambda: _print(facts, bad), exit_code=BAD_INPUT if bad else 0)


def _print(facts: int, bad: list[dict[str, Any]]) -> None:
    for found in bad:
        print_plain(f"{found['file']}:{found['line']}: {found['reason']}: {found['detail']}")
    reasons = Counter(found["reason"] for found in bad)
    summary = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
    print_plain(f"{facts:,} facts, {f'{len(bad):,} bad: {summary}' if bad else 'all good'}")


@command
def schema(
    shell: Shell,
    outcomes: Annotated[
        bool, typer.Option("--outcomes", help="That of a decision instead: on the outcomes topic, in the feed.")
    ] = False,
    asyncapi: Annotated[
        bool, typer.Option("--asyncapi", help="The AsyncAPI 3 document of the topics instead.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Print the JSON Schema of the facts, a definition a type.

    points schema > facts.schema.json

    points schema --asyncapi --config points.toml > asyncapi.json
    """
    if outcomes and asyncapi:
        raise WrongUse("--outcomes and --asyncapi are two documents: ask for one")
    if asyncapi:
        settings = resolve_name("consumers.kafka.settings:load")(config)
        shell.emit(resolve_name("service.asyncapi:asyncapi")(installed_version(), settings))
    elif outcomes:
        shell.emit(resolve_name("projections.answers.schemas:outcome_schema")())
    else:
        shell.emit(json_schemas())
