"""The rule book: programme list, check, diff, publish, and the codes of rules and reasons."""

from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any

import typer
from msgspec import Struct, field, to_builtins

from consumers.feeding import fed
from consumers.publishing import is_published
from consumers.publishing import publish as publish_it
from ledger.errors import BadInput, WrongUse
from ledger.journal.ledger import Ledger, is_address
from ledger.rulebook.checks import parts_of
from ledger.rulebook.compiled import STORED, Programme, ProgrammeVersion, checked_version
from ledger.rulebook.schema import BadProgramme, shipped, shipped_names
from ledger.rulebook.union import Part, in_order
from ledger.wire.answers import DeadLettered, Fate
from projections.answers.codes import codes as codes_of
from projections.answers.plain import plain
from projections.answers.programmes import VersionInUse, describe_version, differences, next_version, versions, warnings
from projections.explaining.book import LANGUAGES, sentences
from projections.explaining.speech import ENGLISH
from service.commands.options import ConfigOption, FolderOption, option
from service.drafts.records import drafts_in
from service.errors import print_plain, say
from service.languages import terminal_language
from service.shell import Answer, Shell, command, command_in, entries_in, read_named_books

MOST_BY = 128  # characters of a publisher's name
DECISION_SECONDS = 5.0  # that a consumer is waited for
LEAST_OF_A_VERSION = 4  # characters of a version's name that are taken for it

app = typer.Typer(no_args_is_help=True)

FilesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE…", help="A rule book in TOML; several make one version.")
]


@command_in(app, "list")
def list_versions(
    shell: Shell,
    is_of_shipped: Annotated[
        bool, typer.Option("--shipped", help="The rule books that come with points, instead.")
    ] = False,
) -> Answer:
    """The versions of the ledger's rule book: from when each decides, how it came in, how many entries it decided.

    points programme list

    points programme list --shipped
    """
    if is_of_shipped:
        books = [ShippedBook.of(name) for name in shipped_names()]
        return Answer(books, lambda: _print_shipped(books))
    with shell.reading() as opened, shell.progress("counting", entries_in(opened)) as tick:
        found = versions(opened, tick)
    return Answer(found, lambda: _print_versions(found))


@command_in(app, "drafts")
def list_drafts(
    shell: Shell,
    draft: Annotated[
        str | None, typer.Argument(metavar="DRAFT", help="A draft's id: every step of it, and on what grounds.")
    ] = None,
    folder: FolderOption = None,
) -> Answer:
    """The drafts of rule books that were kept over HTTP or in the console: how far each is, and by whom.

    points programme drafts

    points programme drafts d-0123456789ab --json
    """
    named_folder = shell.named_folder(folder)
    if is_address(shell.place):
        with closing(resolve_name("service.http.operator_log:operator_log_of")(shell.place, named_folder)) as log:
            found = log.drafts()
    else:
        found = drafts_in(named_folder or Path(shell.place))
    if draft is None:
        return Answer(found, "drafts:print_drafts")
    named = next((one for one in found if one.draft == draft), None)
    if named is None:
        raise BadInput(f'there is no draft "{draft}"; `points programme drafts` lists them')
    return Answer(named, "drafts:print_draft")


@command_in(app, "check")
def check_programme(shell: Shell, files: FilesArgument) -> Answer:
    """Check rule books; exit 3 with the file, table and key where something is wrong. Warns of gaps and overlaps.

    Several are checked together, as the owners of one ledger publish them: names are one space for all. Where there is
    a ledger, they are checked as its next version too, beside the books of other owners that it has.

        points programme check jd.toml

        points programme check mall.toml partner.toml
    """
    with shell.reading() if shell.has_ledger else nullcontext() as opened:
        version, warned = _checked(opened, files)
    found = {"file": _named(files), **to_builtins(describe_version(version)), "warnings": warned}
    return Answer(found, lambda: _print_checked(found))


@command_in(app)
def show(
    shell: Shell,
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME…", help="A file, a version of the ledger, or a shipped book; or several."),
    ],
    language: Annotated[str, typer.Option("--language", metavar="zh|en", help="The reader's.")] = "en",
) -> Answer:
    """Say a rule book as sentences, one for each of its tables: what it gives, to whom, how much at most.

    points programme show suning --language zh
    """
    if language not in LANGUAGES:
        raise WrongUse(f'--language "{language}": there are {" and ".join(LANGUAGES)}')
    version = _named_book(shell, names)
    told = sentences(version, language)
    document = {**to_builtins(describe_version(version)), "language": language, "sentences": told}
    return Answer(document, lambda: print_plain(*(one.text for one in told)))


@command_in(app)
def diff(
    shell: Shell,
    old: Annotated[
        str,
        typer.Argument(
            metavar="A", help="A file, a version of the ledger, or a shipped book; or several: a.toml+b.toml."
        ),
    ],
    new: Annotated[str, typer.Argument(metavar="B", help="The same.")],
) -> Answer:
    """Say in words what differs between two rule books.

    Where A is a version of several owners' books, B may be the book of one: the others are as they were.

    points programme diff jd my.toml

    points programme diff e8a4b86a my.toml
    """
    before, after = _named_book(shell, _names_in(old)), _named_book(shell, _names_in(new), beside=_names_in(old))
    found = differences(before.programme, after.programme)
    told = [{"from": v.programme.from_.isoformat(), "version": v.name} for v in (before, after)]
    changed = [{**one._asdict(), "text": one.text} for one in found]
    document = {"old": told[0], "new": told[1], "differences": changed}
    return Answer(document, lambda: _print_differences(document))


@command_in(app)
def publish(
    shell: Shell,
    files: FilesArgument,
    by: Annotated[str, typer.Option(metavar="WHO", help="Who publishes it; kept with it for ever.")],
    config: ConfigOption = None,
) -> Answer:
    """Publish rule books as the ledger's next version, for what occurs from their `from` on. It cannot be taken back.

    They are checked first, beside the books of other owners that the ledger has,
    which stay as they are. Entries already made stay as they are. Where Kafka
    feeds the ledger, it is sent to the topic, and `points consume` decides it.

        points programme publish jd-2026.toml --by li.wei

        points programme publish mall.toml partner.toml --by li.wei
    """
    if not 0 < len(by) <= MOST_BY:
        raise WrongUse(f"--by: a name of 1 to {MOST_BY} characters is needed")
    with shell.operating() as opened:
        version, warned = _checked(opened, files)
        decides_from = opened.book.stages_of(version, STORED)[0].programme.from_.isoformat()
        is_new = version.name not in opened.new_book().by_name and not is_published(opened, version.name)
        position: str | None = None
        fate: Fate | None = None
        if is_new:
            with fed(opened, config) as feeding:
                position, fate = publish_it(opened, version.toml, by, feeding, DECISION_SECONDS)
    file = _named(files)
    for warning in warned:
        say(f"{file}: warning: {warning}")
    if fate is not None and fate.outcome != "accepted" and fate.reason != "duplicate":
        detail = fate.detail if isinstance(fate, DeadLettered) else ""
        raise BadInput(f"{file}: was not taken: {fate.outcome} {fate.reason}: {detail}")
    document = {
        "version": version.name,
        "from": version.programme.from_.isoformat(),
        "decides_from": decides_from,
        "by": by,
        "published": is_new,
        "position": position,
        "warnings": warned,
    }
    what = "published" if fate is not None else "sent, and not decided yet: published"
    line = plain(f"version {version.name} from {decides_from}, {what} by {by} at {document['position']}")
    return Answer(document, lambda: print_plain(line) if is_new else None)


def _checked(ledger: Ledger | None, files: Sequence[Path]) -> tuple[ProgrammeVersion, list[str]]:
    """Return a version that can be a ledger's next, and the warnings about its dates. Raises `BadProgramme`."""
    parts = read_named_books([str(file) for file in files])
    if ledger is None:
        version = checked_version(parts)
        return version, warnings(version)
    version = next_version(ledger, parts, _named(files))
    return version, warnings(version, ledger.book)


def _named(files: Sequence[Path]) -> str:
    """Return the names of files as one."""
    return ", ".join(map(str, files))


def _names_in(text: str) -> list[str]:
    """Return the books that an argument names: a file of that name, or several with + between."""
    return [text] if Path(text).is_file() else text.split("+")


def _named_book(shell: Shell, names: Sequence[str], beside: Sequence[str] = ()) -> ProgrammeVersion:
    """Return the version of rule books: each a file, the beginning of a version in the ledger, or a shipped one.

    Of a version of several owners' books that `beside` names, those that are not given are taken too.
    """
    known = _of_the_ledger(shell, names[0]) if len(names) == 1 else None
    if known is not None:
        return known  # it met the checks of its day
    parts = [part for name in names for part in _named_parts(shell, name)]
    own = {part.tables.programme for part in parts}
    before = _of_the_ledger(shell, beside[0]) if len(beside) == 1 else None
    if before is not None and not own.isdisjoint(part.tables.programme for part in before.parts):
        parts += [part for part in before.parts if part.tables.programme not in own]
    return checked_version(in_order(parts))


def _of_the_ledger(shell: Shell, name: str) -> ProgrammeVersion | None:
    """Return the version of the ledger that begins so; None where a file has the name, or not one version."""
    if Path(name).is_file() or len(name) < LEAST_OF_A_VERSION or not shell.has_ledger:
        return None
    with shell.reading() as opened:
        found = [version for begin, version in opened.book.by_name.items() if begin.startswith(name)]
    return found[0] if len(found) == 1 else None


def _named_parts(shell: Shell, name: str) -> tuple[Part, ...]:
    """Return the books of a file, of a version of the ledger, or the shipped one of a name."""
    known = _of_the_ledger(shell, name)
    if known is not None:
        return known.parts
    if Path(name).is_file():
        return read_named_books([name])
    try:
        return parts_of(shipped(name), name)
    except BadProgramme:
        raise BadInput(
            f'"{name}": no such file, and no version of the ledger begins so; `points programme list` shows them'
        ) from None


@command
def codes(
    shell: Shell,
    language: Annotated[
        str | None, option("--language", "zh|en", "The reader's. (default: as the terminal's locale says)")
    ] = None,
) -> Answer:
    """Every reason code and every rule, each with a sentence; of the shipped book where there is no ledger.

    points codes

    points codes --language zh
    """
    if language is not None and language not in LANGUAGES:
        raise WrongUse(f'--language "{language}": there are {" and ".join(LANGUAGES)}')
    asked = terminal_language() if language is None else language
    with shell.reading() if shell.has_ledger else nullcontext() as opened:
        return Answer(codes_of(opened.book if opened else Programme([shipped("jd")]), asked), "codes:print_codes")


class ShippedBook(Struct, frozen=True):
    """A rule book that comes with the package."""

    book: str  # as --book and `programme show` take it
    programme: str
    name: str
    from_: str = field(name="from")
    version: str
    rules: int
    benefits: int

    @classmethod
    def of(cls, book: str) -> "ShippedBook":
        """Return a shipped book by its name."""
        version = ProgrammeVersion(shipped(book), book)
        tables = version.programme
        begins = tables.from_.isoformat()
        return cls(book, tables.programme, tables.name, begins, version.name, len(version.rules), len(version.benefits))


def _print_shipped(books: list[ShippedBook]) -> None:
    """Print each shipped book: its name, whose it is, and what it has."""
    width = max(len(one.book) for one in books)
    for one in books:
        has = f"{ENGLISH.count(one.rules, 'rule')}, {ENGLISH.count(one.benefits, 'benefit')}"
        print_plain(f"{one.book:{width}}  {one.name}, from {one.from_}: {has}")


def _print_versions(versions: list[VersionInUse]) -> None:
    """Print each version: from when it decides, how it came in, how many entries it decided."""
    for one in versions:
        how = one.published
        came = f"published {how.recorded} by {how.by or how.source}" if how else "from birth"
        until = f"until {one.until}" if one.until else "on"
        decided = ENGLISH.count(one.entries, "entry", "entries")
        print_plain(f"{one.version} from {one.from_} {until}: {decided}; {came}")


def _print_checked(found: dict[str, Any]) -> None:
    """Print what a rule book that was checked is, and its warnings."""
    print_plain(
        f"{found['file']}: good: {found['name']} {found['programme']}, version {found['version']} from {found['from']},"
        f" {len(found['rules'])} rules"
    )
    for warning in found["warnings"]:
        print_plain(f"{found['file']}: warning: {warning}")


def _print_differences(found: dict[str, Any]) -> None:
    """Print what differs between two rule books, a line each."""
    differences = found["differences"]
    for one in differences:
        print_plain(one["text"])
    is_same = found["old"]["version"] == found["new"]["version"]
    same = "the same" if is_same else "the same rules, in other words or another layout"
    print_plain(ENGLISH.count(len(differences), "difference") if differences else same)
