"""The books: stats."""

from projections.answers.stats import stats as stats_of
from service.commands.options import AsOfOption, ByShopOption, KnownAtOption
from service.errors import BAD_NEWS
from service.shell import Answer, Shell, command, entries_in, instant, known_instant


@command
def stats(
    shell: Shell, as_of: AsOfOption = None, known_at: KnownAtOption = None, by_shop: ByShopOption = False
) -> Answer:
    """The books: what was issued and where it is, entries by outcome, dead letters. Exit 1 if they don't balance.

    points stats --as-of 2025-12-31T23:59:59

    points stats --as-of 2025-12-31 --known-at 2026-01-05

    points stats --by-shop
    """
    with shell.reading() as opened:
        book = opened.book
        with shell.progress("summing", entries_in(opened)) as tick:
            known = known_instant(known_at, book)
            found = stats_of(opened, instant(as_of, "--as-of", book), tick, known_at=known, by_shop=by_shop)
    if found.balanced:
        return Answer(found, "books:print_stats", book)
    remark = "the books do not balance: run `points verify` and `points replay`"
    return Answer(found, "books:print_stats", book, BAD_NEWS, remark)
