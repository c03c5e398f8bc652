"""What is on its way between accounts: audit transit, transit resend, transit send."""

import time

import typer

from consumers.feeding import fed
from consumers.local.open import open_inbox
from consumers.runtime.follow_ups import send_again
from consumers.runtime.ingest import decide_all
from ledger.journal.ledger import KAFKA
from ledger.wire.answers import Transit
from projections.audit.transit import transit as paired
from service.commands.options import ConfigOption, FolderOption
from service.commands.results import LISTED, keep_result
from service.courier import say_troubles, send_once
from service.errors import BAD_NEWS, print_plain
from service.shell import Answer, Shell, command_in

audit = typer.Typer(no_args_is_help=True)
app = typer.Typer(no_args_is_help=True)


@command_in(audit)
def transit(shell: Shell, folder: FolderOption = None) -> Answer:
    """Pair what accounts told each other with what was taken. Exit 1 if something was taken that nobody left.

    What is on its way is listed, since when, and whether it was sent.

    points audit transit
    """
    began = time.monotonic()
    with shell.reading() as opened, shell.progress("pairing") as tick:
        heads = opened.heads()
        found = paired(opened, tick)
        keep_result(opened, folder, "transit", began, heads, len(found.faults))
    return Answer(found, lambda: _print(found), exit_code=BAD_NEWS if found.faults else 0)


@command_in(app)
def resend(shell: Shell, config: ConfigOption = None) -> Answer:
    """Send again what accounts were told and have not taken; what is on its way anyway counts once.

    It mends a stream that lost acknowledged records.

    points transit resend
    """
    with shell.writing() as opened:
        with fed(opened, config) as feeding:
            count = send_again(opened, feeding.append)
        if opened.settings.stream != KAFKA:
            decide_all(opened)
    return Answer({"sent": count}, lambda: print_plain(f"{count:,} sent again"))


@command_in(app)
def send(shell: Shell, config: ConfigOption = None) -> Answer:
    """Decide what waits, and send to other ledgers what their accounts were told. Exit 1 if one of them is away.

    `points serve` and `points consume` do so all the time, `points ingest` at its end. Where the other ledgers are,
    the settings' table `peers` says.

    points transit send
    """
    with shell.writing() as opened:
        if opened.settings.stream != KAFKA:
            open_inbox(opened, feeding=True).close()
            decide_all(opened)
        count, troubles = send_once(opened, config)
    say_troubles(troubles)
    document = {"sent": count, "away": troubles}
    return Answer(document, lambda: print_plain(f"{count:,} sent"), exit_code=BAD_NEWS if troubles else 0)


def _print(found: Transit) -> None:
    for one in found.waiting[:LISTED]:
        sent = "sent" if one.sent else "not sent yet"
        print_plain(f"{one.id} to {one.to}: {one.type}, {one.points:,} points, since {one.since}, {sent}")
    if found.on_its_way > LISTED:
        print_plain(f"… {found.on_its_way:,} in all")
    for kept in found.waits_there[:LISTED]:
        print_plain(f"{kept.member} entry {kept.number} waits: {kept.type}, {kept.points:,} points, since {kept.since}")
    for fault in found.faults[:LISTED]:
        print_plain(fault)
    print_plain(
        f"{found.told:,} told, {found.on_its_way:,} on their way with {found.points_on_their_way:,} points,"
        f" {found.points_waiting:,} points waiting where they came, {found.points_ahead:,} points ahead,"
        f" {len(found.faults):,} taken that nobody left"
    )
