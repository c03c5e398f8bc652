"""The rule book: programme list, check, diff, publish, and the codes of rules and reasons."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.errors import BadInput, WrongUse
from service.commands.consume import ConfigOption
from service.commands.facts import read_text
from service.errors import plain, say
from service.shell import JsonOption, LedgerOption, Shell, standard_output

if TYPE_CHECKING:
    from ledger.journal.ledger import Ledger
    from ledger.rulebook.compiled import Version
    from ledger.wire.answers import Fate

MOST_BY = 128  # characters of a publisher's name
DECISION_SECONDS = 5.0  # that a consumer is waited for

app = typer.Typer(no_args_is_help=True, help="Rule books: what points are given for, as data.")

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A rule book in TOML.")]


@app.command("list")
def list_versions(context: typer.Context, ledger: LedgerOption = None, as_json: JsonOption = False) -> None:
    """The versions of the ledger's rule book: from when each decides, how it came in, how many entries it decided.

    points programme list
    """
    from projections.answers.programmes import versions
    from service.commands.books import entries_in

    shell = Shell(context, ledger, as_json)
    with shell.reading() as opened, shell.progress("counting", entries_in(opened)) as tick:
        found = versions(opened, tick)
    if shell.json:
        shell.emit(found)
        return
    from projections.explaining.words import count

    with standard_output():
        for one in found:
            how = one.published
            came = f"published {how.recorded} by {how.by or how.source}" if how else "from birth"
            until = f"until {one.until}" if one.until else "on"
            decided = count(one.entries, "entry", "entries")
            print(plain(f"{one.version}  from {one.from_} {until}: {decided}; {came}"))


@app.command("check")
def check_programme(
    context: typer.Context, file: FileArgument, ledger: LedgerOption = None, as_json: JsonOption = False
) -> None:
    """Check a rule book; exit 3 with the file, table and key where something is wrong. Warns of gaps and overlaps.

    Where there is a ledger, the book is checked as its next version too.

        points programme check jd.toml
    """
    from ledger.rulebook.compiled import Version
    from projections.answers.programmes import warnings

    shell = Shell(context, ledger, as_json)
    if shell.has_ledger:
        with shell.reading() as opened:
            version, warned = _checked(opened, file)
    else:
        version = Version(read_text(file), str(file))
        warned = warnings(version)
    programme = version.programme
    found = {
        "file": str(file),
        "programme": programme.programme,
        "name": programme.name,
        "version": version.name,
        "from": programme.from_.isoformat(),
        "kinds": list(programme.kinds),
        "scores": list(programme.scores),
        "memberships": list(programme.memberships),
        "rules": [award.rule for award in programme.award],
        "warnings": warned,
    }
    if shell.json:
        shell.emit(found)
        return
    with standard_output():
        print(
            f"{file}: good: {programme.name} {programme.programme}, version {version.name} from {programme.from_},"
            f" {len(programme.award)} rules"
        )
        for warning in warned:
            print(plain(f"{file}: warning: {warning}"))


@app.command()
def diff(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="A", help="A file, a version of the ledger, or the shipped jd.")],
    new: Annotated[str, typer.Argument(metavar="B", help="The same.")],
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say in words what differs between two rule books.

    points programme diff jd my.toml

    points programme diff e8a4b86a my.toml
    """
    from projections.answers.programmes import differences

    shell = Shell(context, ledger, as_json)
    before, after = _named_book(shell, old), _named_book(shell, new)
    found = differences(before.programme, after.programme)
    if shell.json:
        told = [{"from": v.programme.from_.isoformat(), "version": v.name} for v in (before, after)]
        changed = [{**one._asdict(), "text": one.text} for one in found]
        shell.emit({"old": told[0], "new": told[1], "differences": changed})
        return
    with standard_output():
        for one in found:
            print(plain(one.text))
        same = "the same" if before.name == after.name else "the same rules, in other words or another layout"
        print(f"{len(found):,} difference{'' if len(found) == 1 else 's'}" if found else same)


@app.command()
def publish(
    context: typer.Context,
    file: FileArgument,
    by: Annotated[str, typer.Option(metavar="WHO", help="Who publishes it; kept with it for ever.")],
    config: ConfigOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish a rule book as the ledger's next version, for what occurs from its `from` on. It cannot be taken back.

    It is checked first. Entries already made stay as they are. Where Kafka
    feeds the ledger, it is sent to the topic, and `points consume` decides it.

        points programme publish jd-2026.toml --by li.wei
    """
    from consumers.publishing import is_published
    from ledger.wire.answers import DeadLettered

    shell = Shell(context, ledger, as_json)
    if not 0 < len(by) <= MOST_BY:
        raise WrongUse(f"--by: a name of 1 to {MOST_BY} characters is needed")
    with shell.operating() as opened:
        version, warned = _checked(opened, file)
        is_new = version.name not in opened.new_book().by_name and not is_published(opened, version.name)
        position, fate = _publish(opened, version.toml, by, config) if is_new else (None, None)
    for warning in warned:
        say(f"{file}: warning: {warning}")
    if fate is not None and fate.outcome != "accepted" and fate.reason != "duplicate":
        detail = fate.detail if isinstance(fate, DeadLettered) else ""
        raise BadInput(f"{file}: was not taken: {fate.outcome} {fate.reason}: {detail}")
    document: dict[str, Any] = {"version": version.name, "from": version.programme.from_.isoformat(), "by": by}
    if shell.json:
        shell.emit({**document, "published": is_new, "position": position, "warnings": warned})
    elif is_new:
        what = "published" if fate is not None else "sent, and not decided yet: published"
        with standard_output():
            print(plain(f"version {version.name} from {document['from']}, {what} by {by} at {position}"))


def _publish(ledger: "Ledger", toml: str, by: str, config: Path | None) -> "tuple[str, Fate | None]":
    """Publish a rule book through the ledger's own stream: its position, and what became of it where that is known."""
    from ledger.journal.ledger import KAFKA
    from ledger.wire.entry_json import position_text

    if ledger.settings.stream != KAFKA:
        from consumers.publishing import publish as publish_here

        fate = publish_here(ledger, toml, by)
        return fate.position, fate
    from consumers.kafka.appending import TopicAppender
    from consumers.kafka.settings import load
    from consumers.publishing import send

    appender = TopicAppender(load(config), ledger.settings.topic)
    try:
        place, told = send(ledger, appender.append, toml, by, DECISION_SECONDS)
    finally:
        appender.close()
    return position_text(*place), told


def _checked(ledger: "Ledger", file: Path) -> "tuple[Version, list[str]]":
    """A book that can be a ledger's next version, and what is to be said of its dates. Raises `BadProgramme`."""
    from ledger.rulebook.compiled import Book
    from projections.answers.programmes import warnings

    version = Book([known.toml for known in ledger.book.versions]).add(read_text(file), str(file))
    return version, warnings(version, ledger.book)


def _named_book(shell: Shell, name: str) -> "Version":
    """A rule book by its file, by the beginning of its version in the ledger, or a shipped one."""
    from ledger.rulebook.compiled import Version
    from ledger.rulebook.schema import BadProgramme, shipped

    if Path(name).is_file():
        return Version(read_text(Path(name)), name)
    if shell.has_ledger:
        with shell.reading() as opened:
            found = [version for version in opened.book.versions if len(name) >= 4 and version.name.startswith(name)]
        if len(found) == 1:
            return found[0]
    try:
        return Version(shipped(name), name)
    except BadProgramme:
        raise BadInput(
            f'"{name}": no such file, and no version of the ledger begins so; `points programme list` shows them'
        ) from None


def codes(context: typer.Context, ledger: LedgerOption = None, as_json: JsonOption = False) -> None:
    """Every reason code and every rule, each with a sentence; of the shipped book where there is no ledger.

    points codes
    """
    from ledger.rulebook.compiled import Book
    from ledger.rulebook.schema import shipped
    from projections.answers.codes import codes as of_book

    shell = Shell(context, ledger, as_json)
    if shell.has_ledger:
        with shell.reading() as opened:
            found = of_book(opened.book)
    else:
        found = of_book(Book([shipped("jd")]))
    if shell.json:
        shell.emit(found)
        return
    from service.screens.codes import print_codes

    with standard_output():
        print_codes(shell.console, found)
