"""What an audit reads, and what it runs on: the ledger or an archive of it; the processors here or a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import Annotated, Literal, NamedTuple

import typer

from ledger.errors import WrongUse
from ledger.journal.ledger import Ledger
from ledger.journal.partition_map import Jobs
from service.commands.options import option
from service.shell import Shell, entries_in, jobs_for

FromArchiveOption = Annotated[
    str | None,
    option("--from-archive", "DIR|URL", "Take entries and facts from an archive; no ledger is needed."),
]
OnOption = Annotated[
    Literal["spark"] | None,
    typer.Option("--on", help="Run on Apache Spark, partition by partition; needs --from-archive. (extra spark)"),
]


class Audited(NamedTuple):
    """A ledger or an archive that is open, how many entries it has, and what goes over its partitions."""

    ledger: Ledger
    entries: int
    jobs: Jobs


@contextmanager
def audited(shell: Shell, archive: str | None, on: Literal["spark"] | None, jobs: int | None) -> Iterator[Audited]:
    """Yield what an audit reads, opened. Raises `WrongUse` where options do not go together, `BadCopy`."""
    if archive is None:
        if on is not None:
            raise WrongUse("--on spark reads an archive: give --from-archive DIR|URL")
        with shell.reading() as opened:
            total = entries_in(opened)
            yield Audited(opened, total, jobs_for(jobs, total))
        return
    if on is not None and jobs is not None:
        raise WrongUse("--jobs is for this machine; on Spark its own settings say how many executors there are")
    ledger: Ledger = resolve_name("service.archive.ledger:ArchivedLedger.at")(archive)
    try:
        total = entries_in(ledger)
        if on is None:
            yield Audited(ledger, total, jobs_for(jobs, total))
        else:
            with resolve_name("service.spark.running:on_spark")() as spark:
                yield Audited(ledger, total, spark)
    finally:
        ledger.close()
