"""The books: stats."""

from typing import Annotated

import typer

from ledger.errors import WrongUse
from ledger.journal.ledger import Ledger
from ledger.journal.partition_map import Jobs
from projections.answers.stats import stats as stats_of
from projections.audit.engines import engines as engines_of
from service.commands.audited import FromArchiveOption, OnOption, audited
from service.commands.options import AsOfOption, ByShopOption, JobsOption, KnownAtOption
from service.errors import BAD_NEWS
from service.shell import Answer, Shell, command, instant, known_instant


@command
def stats(
    shell: Shell,
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    by_shop: ByShopOption = False,
    engines: Annotated[
        bool,
        typer.Option(
            "--engines",
            help="Instead: how many facts the native engine decides, how many it leaves to Python, and why."
            " All are decided again.",
        ),
    ] = False,
    from_archive: FromArchiveOption = None,
    on: OnOption = None,
    jobs: JobsOption = None,
) -> Answer:
    """The books: what was issued and where it is, entries by outcome, dead letters. Exit 1 if they don't balance.

    points stats --as-of 2025-12-31T23:59:59

    points stats --as-of 2025-12-31 --known-at 2026-01-05

    points stats --by-shop

    points stats --engines

    points stats --from-archive s3://archives/beans --on spark
    """
    if engines:
        if as_of is not None or known_at is not None or by_shop:
            raise WrongUse("--engines is about the whole history: give it alone, with --jobs, or of an archive")
        with audited(shell, from_archive, on, jobs) as (opened, total, shared):
            return _engines(shell, opened, total, shared)
    with audited(shell, from_archive, on, jobs) as (opened, total, shared):
        book, known = opened.book, known_instant(known_at, opened.book)
        at = instant(as_of, "--as-of", book)
        with shell.progress("summing", total) as tick:
            found = stats_of(opened, at, tick, known_at=known, by_shop=by_shop, jobs=shared)
    if found.balanced:
        return Answer(found, "books:print_stats", book)
    remark = "the books do not balance: run `points verify` and `points replay`"
    return Answer(found, "books:print_stats", book, BAD_NEWS, remark)


def _engines(shell: Shell, opened: Ledger, total: int, jobs: Jobs) -> Answer:
    with shell.progress("replaying", total) as tick:
        found = engines_of(opened, jobs=jobs, progress=tick)
    if not found["difference_count"]:
        return Answer(found, "engines:print_engines", opened.book)
    return Answer(found, "engines:print_engines", opened.book, BAD_NEWS, "what is derived differs: run `points replay`")
