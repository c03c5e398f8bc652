"""Views that are kept: list, status, run, rebuild, compare, switch, show, and the monthly close."""

import re
import time
from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any

import typer

from ledger.errors import PointsLedgerError, WrongUse
from ledger.journal.ledger import Ledger
from ledger.wire.times import month_start, to_text
from projections.answers.export import FORMATS, write_table
from projections.answers.output import terminal_output
from projections.answers.tables import Table
from projections.answers.to_json import to_json
from projections.views.builtin.attributes import Attributes, values_of
from projections.views.builtin.liability import Liability
from projections.views.builtin.liability import close as month_close
from projections.views.compare import compare as compare_builds
from projections.views.compare import switch as switch_build
from projections.views.grouped import attribute_to_group_by, by_attribute
from projections.views.port import ViewStore
from projections.views.registry import all_views, find_query
from projections.views.runner import Following
from projections.views.runner import rebuild as rebuild_view
from projections.views.snapshot import ViewSnapshot, of_member, snapshot
from projections.views.status import catalogue
from projections.views.status import status as status_of_views
from projections.views.view import Options, Query, View
from service.commands.export import format_of, write_out
from service.commands.options import (
    AsOfOption,
    ByShopOption,
    FolderOption,
    JobsOption,
    OutOption,
    SafeCsvOption,
    option,
)
from service.errors import BAD_NEWS, print_plain, say
from service.follower import say_troubles
from service.shell import Answer, Shell, command_in, entries_in, instant, processors, standard_output
from service.view_store import view_store

LISTED = 40  # rows of a table on a screen
NAMED = 10  # differences on a screen
FOLLOW_SECONDS = 1.0

app = typer.Typer(no_args_is_help=True)

MoreOption = Annotated[
    list[str] | None,
    option(
        "--views",
        "FILE|MODULE",
        "Views of your own beside the built-in ones: a Python file or a module with VIEWS.",
        envvar="POINTS_VIEWS",
    ),
]
NamesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[VIEW]...", help="Some views. (default: all of them)", show_default=False)
]
FormatOption = Annotated[
    str | None,
    option("--format", "table|" + "|".join(FORMATS), "(default: by FILE's ending, or else table)"),
]
ViewArgument = Annotated[str, typer.Argument(metavar="VIEW", help="A view; `points views list` names them.")]


@command_in(app, "list")
def list_views(shell: Shell, more: MoreOption = None) -> Answer:
    """Which views there are, and what each can be asked.

    points views list
    """
    return Answer(catalogue(all_views(more).values()), "views:print_catalogue")


@command_in(app)
def status(shell: Shell, more: MoreOption = None, folder: FolderOption = None) -> Answer:
    """Where each view stands: its builds, which one is live, how many entries it is behind.

    points views status
    """
    with shell.reading() as opened, views_of(opened, folder) as store:
        found = status_of_views(opened, store, all_views(more).values())
    return Answer(found, "views:print_status")


@command_in(app)
def run(
    shell: Shell,
    names: NamesArgument = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until stopped, looking every second.")] = False,
    jobs: JobsOption = None,
    more: MoreOption = None,
    folder: FolderOption = None,
) -> Answer | None:
    """Bring views to where the ledger stands; one that was never built is built first.

    Interrupted, the same command goes on where it stopped. Anybody may read meanwhile, and facts may come in.

    A view that cannot be brought there is named, and why; the others are, and the exit code is not 0.

    points views run

    points views run liability --follow
    """
    if follow and shell.json:
        raise WrongUse("--json prints one document and --follow never ends: give one of them")
    known = all_views(more)
    with (
        shell.reading() as opened,
        views_of(opened, folder) as store,
        ExitStack() as anew,
    ):
        following = anew.enter_context(closing(Following(opened, store)))
        views = [_view(known, name) for name in names] if names else [one for one in known.values() if store.keeps(one)]
        started = time.monotonic()
        with shell.progress("folding") as tick:
            done, troubles = following.bring_up(views, tick, jobs=jobs or processors())
        if troubles and not done:
            raise next(iter(troubles.values()))
        seconds = round(time.monotonic() - started, 3)
        answer = Answer(
            {"views": done, "entries": entries_in(opened), "seconds": seconds}, lambda: _print_folded(done.items())
        )
        said = say_troubles(troubles, [])
        if not follow:
            return answer._replace(exit_code=max(map(_exit_code, troubles.values()), default=0))
        shell.give(answer)
        claims = [(view, claim) for view in views if (claim := store.claim(view.name)) is not None]
        ours = [view for view, _ in claims]
        if len(ours) < len(views):
            say(f"{', '.join(v.name for v in views if v not in ours)}: another process follows, and is let do so")
        while ours:
            time.sleep(FOLLOW_SECONDS)
            if opened.was_split():
                anew.close()
                opened = anew.enter_context(shell.reading())
                following = anew.enter_context(closing(Following(opened, store)))
            done, troubles = following.bring_up(ours)
            said = say_troubles(troubles, said)
            with standard_output():
                _print_folded(item for item in done.items() if item[1])
    return None


def _exit_code(error: Exception) -> int:
    return error.exit_code if isinstance(error, PointsLedgerError) else PointsLedgerError.exit_code


def _print_folded(done: Iterable[tuple[str, int]]) -> None:
    for name, entries in done:
        print_plain(f"{name:<12} {entries:>12,} entries folded")


@command_in(app)
def rebuild(
    shell: Shell, name: ViewArgument, jobs: JobsOption = None, more: MoreOption = None, folder: FolderOption = None
) -> Answer:
    """Build a view again beside the live one, from entry 1; compare it, then switch.

    Interrupted, the same command goes on where it stopped. Readers keep the live one meanwhile.

    points views rebuild liability && points views compare liability && points views switch liability
    """
    view = _view(all_views(more), name)
    with shell.reading() as opened, views_of(opened, folder) as store:
        started = time.monotonic()
        read = 0
        with shell.progress(f"building {view.name}") as tick:

            def count(entries: int, total: int) -> None:
                nonlocal read
                read = entries
                tick(entries, total)

            file = rebuild_view(opened, store, view, count, jobs=jobs or processors())
    seconds = round(time.monotonic() - started, 3)
    rate = f" ({read / seconds:,.0f}/s)" if seconds else ""
    return Answer(
        {"view": view.name, "version": file.version, "file": file.place, "entries": read, "seconds": seconds},
        lambda: print_plain(
            f"{view.name} version {file.version}: {read:,} entries in {seconds:,.1f} s{rate}, in {file.place}",
            f"next: points views compare {view.name}, then points views switch {view.name}",
        ),
    )


@command_in(app)
def compare(shell: Shell, name: ViewArgument, more: MoreOption = None, folder: FolderOption = None) -> Answer:
    """Compare a rebuilt view with the live one, row by row at the same position. Exit 1 if any row differs.

    points views compare liability
    """
    view = _view(all_views(more), name)
    with (
        shell.reading() as opened,
        views_of(opened, folder) as store,
        shell.progress(f"comparing {view.name}") as tick,
    ):
        found = compare_builds(opened, store, view, tick)
    return Answer(found, lambda: _print_compared(found), exit_code=BAD_NEWS if found["difference_count"] else 0)


def _print_compared(found: dict[str, Any]) -> None:
    live, rebuilt = found["live"], found["rebuilt"]
    print_plain(f"{live['file']} (live) beside {rebuilt['file']}: {found['rows']:,} rows")
    for difference in found["differences"][:NAMED]:
        key = " ".join(str(part) for part in difference["key"])
        print_plain(f"  {difference['table']} {key}: {difference['kept']} | {difference['rebuilt']}"[:300])
    count = found["difference_count"]
    print_plain(f"{count:,} rows differ (live | rebuilt)" if count else "no row differs")


@command_in(app)
def switch(shell: Shell, name: ViewArgument, more: MoreOption = None, folder: FolderOption = None) -> Answer:
    """Let readers have the rebuilt view from now on, in one step. The old build stays until the next rebuild.

    points views switch liability
    """
    view = _view(all_views(more), name)
    with shell.reading() as opened, views_of(opened, folder) as store:
        file = switch_build(opened, store, view)
    return Answer(
        {"view": view.name, "version": file.version, "file": file.place},
        lambda: print_plain(f"{view.name}: {file.name} is live (version {file.version})"),
    )


@command_in(app)
def show(
    shell: Shell,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to ask: a query of `points views list`.")],
    as_of: AsOfOption = None,
    member: Annotated[str | None, option("--member", "MEMBER", "One member, by the very last entry.")] = None,
    month: Annotated[str | None, option("--month", "YYYY-MM", "One month, of statement and activity.")] = None,
    days: Annotated[
        int | None,
        typer.Option("--days", min=1, max=40_000, help="How far to look ahead, of expiring and tiers. (default: 30)"),
    ] = None,
    score: Annotated[str | None, option("--score", "SCORE", "One score, of scores.")] = None,
    by_shop: ByShopOption = False,
    by: Annotated[
        str | None, option("--by", "ATTRIBUTE", "Sums and averages over members, by what is known of them.")
    ] = None,
    form: FormatOption = None,
    safe_csv: SafeCsvOption = None,
    out: OutOption = None,
    more: MoreOption = None,
    folder: FolderOption = None,
) -> None:
    """What a view says at an instant, with what falls due by then; it says so if it stands behind the ledger.

    points views show liability

    points views show expiring --days 14 --format csv > reminders.csv

    points views show statement --member m-17850 --month 2025-11

    points views show balances --as-of 2025-12-01 -o balances.parquet

    points views show scores --score taoqi --by region
    """
    options = Options(month=month, days=days, score=score, by_shop=by_shop or None)
    form = format_of(form, out, shell.json, "table")
    view, query = _query(all_views(more), name)
    if month is not None:
        _month_number(month)
    _check_options(query, options, member, by)
    with shell.reading() as opened, ExitStack() as stack:
        at = instant(as_of, "--as-of", opened.book)
        if member is not None:
            taken = of_member(opened, view, member, at)
        else:
            store = stack.enter_context(views_of(opened, folder))
            taken = stack.enter_context(snapshot(opened, store, view, None if as_of is None else at))
        table, about = query.rows(taken, options), {}
        if by is not None:
            name = attribute_to_group_by(opened.book.nearest(taken.as_of), by)
            store = stack.enter_context(views_of(opened, folder))
            known = stack.enter_context(snapshot(opened, store, Attributes(), taken.as_of))
            table, about = by_attribute(table, query.keys, values_of(known, name), name), {"by": name}
            _say_behind(known)
        _write(shell, query.name, taken, table, form, out, safe_csv, about)


@command_in(app)
def close(
    shell: Shell,
    month: Annotated[str, typer.Argument(metavar="YYYY-MM", help="A month of the ledger's zone.")],
    form: FormatOption = None,
    safe_csv: SafeCsvOption = None,
    out: OutOption = None,
    folder: FolderOption = None,
) -> None:
    """A month's close of the liability, to be booked: opening + movements = closing, by kind, in points and fen.

    A month that every partition has passed never changes: what is late is in a later month's movements, with how
    much of them belongs to earlier months. Exit 1 while the month may still change.

    points views close 2025-11 --format csv
    """
    form = format_of(form, out, shell.json, "table")
    number = _month_number(month)
    with shell.reading() as opened:
        end = month_start(number + 1, opened.book.offset)
        at = min(end, instant(None, "", opened.book))
        open_partitions = [p for p in opened.partitions if opened.journal(p).head().recorded < end]
        with views_of(opened, folder) as store, snapshot(opened, store, Liability(), at) as taken:
            is_final = not open_partitions and taken.standing is not None and not taken.standing.behind
            more = {"month": month, "until": to_text(end, opened.book.offset), "final": is_final}
            _write(shell, "close", taken, month_close(taken, number), form, out, safe_csv, more)
    if is_final:
        return
    if open_partitions:
        named = ", ".join(map(str, open_partitions[:NAMED]))
        say(f"{month} may still change: nothing was recorded after its end yet in partition {named}")
    raise typer.Exit(BAD_NEWS)


def views_of(ledger: Ledger, named: Path | None) -> ViewStore:
    """Return where the views of a ledger are kept. Raises `WrongUse` where that is not said."""
    return view_store(ledger.place, named or ledger.folder)


def _view(views: dict[str, View], name: str) -> View:
    if name in views:
        return views[name]
    found = find_query(views, name)
    if found is not None:
        say(f"{name} is read from the view {found[0].name}")
        return found[0]
    raise WrongUse(f'there is no view "{name}"; there are {", ".join(views)}')


def _query(views: dict[str, View], name: str) -> tuple[View, Query]:
    found = find_query(views, name)
    if found is None:
        names = [query.name for view in views.values() for query in view.queries]
        raise WrongUse(f'there is no query "{name}"; there are {", ".join(names)}')
    return found


def _check_options(query: Query, options: Options, member: str | None, by: str | None) -> None:
    for name in ("month", "days", "score", "by_shop"):
        if getattr(options, name) is not None and name not in query.options:
            raise WrongUse(f"--{name.replace('_', '-')} is not for {query.name}")
    if member is not None and not query.is_by_member:
        raise WrongUse(f"--member: {query.name} is about all members together")
    if by is not None and (member is not None or not query.keys):
        whole = "one member" if member is not None else f"{query.name}, which is not summed over members"
        raise WrongUse(f"--by is not for {whole}")


def _month_number(text: str) -> int:
    if not re.fullmatch(r"(19[7-9]\d|2\d\d\d)-(0[1-9]|1[0-2])", text):
        raise WrongUse(f'"{text}" is no month of the years 1970 to 2999; give it as 2025-11')
    return int(text[:4]) * 12 + int(text[5:]) - 1


def _say_behind(taken: ViewSnapshot) -> None:
    standing, view = taken.standing, taken.view.name
    if standing is not None and standing.behind:
        say(f"{view} is {standing.behind:,} entries behind the ledger: `points views run` brings it up to date")


def _write(
    shell: Shell,
    name: str,
    taken: ViewSnapshot,
    table: Table,
    form: str,
    out: Path | None,
    safe_csv: bool | None,
    more: dict[str, Any] | None = None,
) -> None:
    """Write what a query says, and on standard error how far the view is behind."""
    view = taken.view.name
    about: dict[str, Any] = {"view": view, "reading": name, "as_of": to_text(taken.as_of, table.offset)}
    if (standing := taken.standing) is not None:
        positions = {str(partition): place for partition, place in sorted(standing.positions.items())}
        about |= {"version": standing.version, "position": positions, "behind": standing.behind}
        _say_behind(taken)
    about |= more or {}
    if form == "json":
        with standard_output(), terminal_output() as file:
            file.write(to_json(about)[:-1] + b',"rows":')
            write_table(table, "json", file)
            file.write(b"}\n")
    elif form == "table":
        with standard_output():
            resolve_name("service.screens.views:print_table")(shell.console, table, about, LISTED)
    else:
        rows = write_out(shell, table, form, out, f"writing {name}", safe_csv)
        if out is not None:
            written = {**about, "rows": rows, "format": form, "file": str(out)}
            shell.give(Answer(written, lambda: say(f"{rows:,} rows in {out}")))
