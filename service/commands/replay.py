"""Every decision derived again: replay."""

import time
from pkgutil import resolve_name
from typing import Annotated, Any

import typer

from ledger.errors import WrongUse
from ledger.journal.ledger import KAFKA
from projections.audit.differences import MAX_DIFFERENCES
from projections.audit.replay import replay as replay_ledger
from service.commands.audited import FromArchiveOption, OnOption, audited
from service.commands.options import ByOption, ConfigOption, FolderOption, JobsOption
from service.commands.results import keep_result, print_found
from service.errors import BAD_NEWS, print_plain
from service.shell import Answer, Shell, command


@command
def replay(
    shell: Shell,
    from_topic: Annotated[
        bool, typer.Option("--from-topic", help="Take the facts from the stream itself, not from the journal's copy.")
    ] = False,
    from_archive: FromArchiveOption = None,
    on: OnOption = None,
    by: ByOption = None,
    jobs: JobsOption = None,
    config: ConfigOption = None,
    folder: FolderOption = None,
) -> Answer:
    """Derive every decision again from the facts and compare, leaf by leaf. Exit 1 if any differs.

    points replay

    points replay --by python

    points replay --from-topic --json

    points replay --from-archive beans.archive

    points replay --from-archive s3://archives/beans --on spark
    """
    if from_archive is not None and from_topic:
        raise WrongUse("--from-topic and --from-archive: give one of them")
    began = time.monotonic()
    with audited(shell, from_archive, on, jobs) as (opened, total, shared):
        heads = opened.heads()
        is_kafka = from_topic and opened.settings.stream == KAFKA
        differences, count = [], 0
        if is_kafka:
            differences, count = resolve_name("service.commands.topic:compare_with_topic")(shell, opened, config)
        with shell.progress("replaying", total) as tick:
            found = replay_ledger(opened, jobs=shared, from_topic=from_topic and not is_kafka, by=by, progress=tick)
        found["difference_count"] += count
        found["differences"] = [*differences, *found["differences"]][:MAX_DIFFERENCES]
        note = "with the stream's own records" if from_topic else "of an archive" if opened.is_archived else ""
        keep_result(opened, folder, "replay", began, heads, found["difference_count"], note)
    return Answer(found, lambda: _print(found), exit_code=BAD_NEWS if found["differences"] else 0)


def _print(found: dict[str, Any]) -> None:
    seconds = found["seconds"]
    rate = f" ({found['entries'] / seconds:,.0f}/s)" if seconds else ""
    print_plain(
        f"{found['entries']:,} entries of {found['accounts']:,} accounts derived again in {seconds:,.1f} s{rate}"
    )
    print_found("difference", found["differences"], found.get("difference_count"))
