"""A new ledger, with the rule book that it is born with."""

from typing import Annotated

from ledger.errors import WrongUse
from ledger.journal.ledger import is_address
from ledger.rulebook.compiled import ProgrammeVersion
from projections.answers.programmes import describe_version
from service.commands.options import option
from service.errors import print_plain
from service.shell import Answer, Shell, command, read_version


@command
def init(
    shell: Shell,
    book: Annotated[
        list[str] | None,
        option("--book", "NAME|TOML", "A shipped rule book by its name, or a file; or several. (default: jd)"),
    ] = None,
) -> Answer:
    """Make a ledger that has no facts yet, with the rule book that it is born with.

    `points programme list --shipped` names the books that are shipped. A later
    version of the book comes by `points programme publish`.

        points init --book suning

        points init --book mall.toml --book partner.toml
    """
    if is_address(shell.place):
        raise WrongUse("a ledger in a database is made by `points store migrate --book FILE`")
    if shell.has_ledger:
        raise WrongUse(f"there is a ledger in {shell.place} already; give another --ledger")
    version = read_version(book or ["jd"])
    with shell.writing(version.toml, create=True) as opened:
        document = {"ledger": shell.place, "partitions": opened.settings.partitions, **_described(version)}
    return Answer(
        document,
        lambda: print_plain(
            f"{shell.place}: a new ledger by {version.programme.name}, version {version.name}, no facts yet"
        ),
    )


def _described(version: ProgrammeVersion) -> dict[str, str]:
    """Return what names a version."""
    described = describe_version(version)
    return {"version": described.version, "programme": described.programme, "name": described.name}
