"""What runs: version."""

from ledger.wire.entries import ENGINE
from service.errors import print_plain
from service.installed import installed_version
from service.shell import Answer, Shell, command


@command
def version(_shell: Shell) -> Answer:
    """Print the version of points, and the engine that decides."""
    number = installed_version()
    return Answer({"version": number, "engine": ENGINE}, lambda: print_plain(f"points {number} (engine {ENGINE})"))
