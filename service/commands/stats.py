"""The books: stats."""

from typing import Annotated

import typer

from ledger.errors import WrongUse
from projections.answers.stats import stats as stats_of
from projections.audit.engines import engines as engines_of
from service.commands.options import AsOfOption, ByShopOption, JobsOption, KnownAtOption
from service.errors import BAD_NEWS
from service.shell import Answer, Shell, command, entries_in, instant, jobs_for, known_instant


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
    jobs: JobsOption = None,
) -> Answer:
    """The books: what was issued and where it is, entries by outcome, dead letters. Exit 1 if they don't balance.

    points stats --as-of 2025-12-31T23:59:59

    points stats --as-of 2025-12-31 --known-at 2026-01-05

    points stats --by-shop

    points stats --engines
    """
    if engines:
        if as_of is not None or known_at is not None or by_shop:
            raise WrongUse("--engines is about the whole history: give it alone, or with --jobs")
        return _engines(shell, jobs)
    if jobs is not None:
        raise WrongUse("--jobs is for --engines; the books are summed by one process")
    with shell.reading() as opened:
        book = opened.book
        with shell.progress("summing", entries_in(opened)) as tick:
            known = known_instant(known_at, book)
            found = stats_of(opened, instant(as_of, "--as-of", book), tick, known_at=known, by_shop=by_shop)
    if found.balanced:
        return Answer(found, "books:print_stats", book)
    remark = "the books do not balance: run `points verify` and `points replay`"
    return Answer(found, "books:print_stats", book, BAD_NEWS, remark)


def _engines(shell: Shell, jobs: int | None) -> Answer:
    with shell.reading() as opened:
        total = entries_in(opened)
        with shell.progress("replaying", total) as tick:
            found = engines_of(opened, jobs=jobs_for(jobs, total), progress=tick)
    if not found["difference_count"]:
        return Answer(found, "engines:print_engines", opened.book)
    return Answer(found, "engines:print_engines", opened.book, BAD_NEWS, "what is derived differs: run `points replay`")
