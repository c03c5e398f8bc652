"""Kafka's topics: create, check."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.consume import ConfigOption
from service.errors import BAD_NEWS
from service.shell import JsonOption, LedgerOption, Shell, standard_output

if TYPE_CHECKING:
    from consumers.kafka.topics import Difference

app = typer.Typer(no_args_is_help=True, help="Kafka's topics: made as they have to be, and checked.")


@app.command()
def create(
    context: typer.Context,
    config: ConfigOption = None,
    partitions: Annotated[
        int, typer.Option(min=1, max=1024, help="Of each topic, for the ledger's whole life: choose generously.")
    ] = 64,
    replication: Annotated[
        int | None, typer.Option(min=1, max=100, help="Copies of each record. (default: 3, or the brokers)")
    ] = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the topics that are not there; exit 1 where one that is there differs from what it has to be.

    points topics create --config points.toml --partitions 64
    """
    from consumers.kafka.kafka_python import Admin
    from consumers.kafka.settings import load
    from consumers.kafka.topics import create_topics, differences

    shell = Shell(context, ledger, as_json)
    settings = load(config)
    admin = Admin(settings)
    try:
        made = create_topics(admin, settings.topics, partitions, replication)
        found = list(differences(admin, settings.topics, partitions))
    finally:
        admin.close()
    if not shell.json:
        with standard_output():
            for name, is_new in made:
                print(f"{name}: {f'made, {partitions} partitions' if is_new else 'is there already'}")
    _tell(shell, {"topics": [{"topic": name, "created": is_new} for name, is_new in made]}, found)


@app.command()
def check(
    context: typer.Context,
    config: ConfigOption = None,
    partitions: Annotated[
        int | None, typer.Option(min=1, max=1024, help="How many the ledger has.", show_default=False)
    ] = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with the topics and why it matters; exit 1 where anything is.

    points topics check --config points.toml
    """
    from consumers.kafka.kafka_python import Admin
    from consumers.kafka.settings import load
    from consumers.kafka.topics import differences

    shell = Shell(context, ledger, as_json)
    settings = load(config)
    names = settings.topics
    admin = Admin(settings)
    try:
        found = list(differences(admin, names, partitions))
    finally:
        admin.close()
    if not found and not shell.json:
        with standard_output():
            print(f"{names.facts}, {names.outcomes}, {names.dead_letters}: as they have to be")
    _tell(shell, {"topics": [{"topic": name} for name in (names.facts, names.outcomes, names.dead_letters)]}, found)


def _tell(shell: Shell, document: dict[str, Any], found: "list[Difference]") -> None:
    if shell.json:
        shell.emit({**document, "differences": [_to_dict(difference) for difference in found]})
    else:
        with standard_output():
            for difference in found:
                topic, setting, is_now, wanted, why = difference
                print(f"{topic}: {setting} is {is_now}, has to be {wanted}: {why}")
    if found:
        raise typer.Exit(BAD_NEWS)


def _to_dict(difference: "Difference") -> dict[str, Any]:
    return difference._asdict()
