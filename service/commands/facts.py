"""Facts beside any ledger: check, schema."""

import time
from collections import Counter
from typing import Any

from consumers.files.check import check_file
from ledger.wire.fact_codec import json_schemas
from service.commands.options import FilesArgument
from service.errors import BAD_INPUT, print_plain
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
def schema(shell: Shell) -> None:
    """Print the JSON Schema of the facts, a definition a type.

    points schema > facts.schema.json
    """
    shell.emit(json_schemas())
