"""Kafka's topics: create, check."""

from contextlib import closing
from typing import Annotated, Any

import typer

from consumers.kafka.clients import open_admin
from consumers.kafka.settings import load as load_settings
from consumers.kafka.topics import Difference, create_topics, differences
from service.commands.options import ConfigOption
from service.errors import BAD_NEWS, print_plain
from service.shell import Answer, Shell, command_in

app = typer.Typer(no_args_is_help=True)


@command_in(app)
def create(
    shell: Shell,
    config: ConfigOption = None,
    partitions: Annotated[
        int, typer.Option(min=1, max=1024, help="Of each topic, for the ledger's whole life: choose generously.")
    ] = 64,
    replication: Annotated[
        int | None, typer.Option(min=1, max=100, help="Copies of each record. (default: 3, or the brokers)")
    ] = None,
) -> Answer:
    """Make the topics that are not there; exit 1 where one that is there differs from what it has to be.

    points topics create --config points.toml --partitions 64
    """
    settings = load_settings(config)
    with closing(open_admin(settings)) as admin:
        made = create_topics(admin, settings.topics, partitions, replication)
        found = list(differences(admin, settings.topics, partitions))
    lines = [f"{name}: {f'made, {partitions} partitions' if is_new else 'is there already'}" for name, is_new in made]
    return _answer([{"topic": name, "created": is_new} for name, is_new in made], found, lines)


@command_in(app)
def check(
    shell: Shell,
    config: ConfigOption = None,
    partitions: Annotated[
        int | None, typer.Option(min=1, max=1024, help="How many the ledger has.", show_default=False)
    ] = None,
) -> Answer:
    """Say what is wrong with the topics and why it matters; exit 1 where anything is.

    points topics check --config points.toml
    """
    settings = load_settings(config)
    names = settings.topics
    with closing(open_admin(settings)) as admin:
        found = list(differences(admin, names, partitions))
    all_topics = (names.facts, names.outcomes, names.dead_letters)
    good = [] if found else [f"{', '.join(all_topics)}: as they have to be"]
    return _answer([{"topic": name} for name in all_topics], found, good)


def _answer(topics: list[dict[str, Any]], found: list[Difference], lines: list[str]) -> Answer:
    wrong = [f"{topic}: {setting} is {now}, has to be {wanted}: {why}" for topic, setting, now, wanted, why in found]
    document = {"topics": topics, "differences": [difference._asdict() for difference in found]}
    return Answer(document, lambda: print_plain(*lines, *wrong), exit_code=BAD_NEWS if found else 0)
