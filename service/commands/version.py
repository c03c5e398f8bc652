"""What runs: version."""

from ledger.journal.engines import deciding
from ledger.wire.entries import ENGINE
from service.errors import print_plain
from service.installed import installed_version
from service.shell import Answer, Shell, command

_NAMES = {"native": "the native engine", "python": "Python"}


@command
def version(_shell: Shell) -> Answer:
    """Print the version of points, the number of the engine, and which program decides.

    points version --json
    """
    number, found = installed_version(), deciding()
    text = f"points {number} (engine {ENGINE}, decided by {_NAMES[found.decides]})"
    remark = f"{found.said_by} is {found.asked}, and {found.why_not}" if found.is_missing else ""
    return Answer({"version": number, "engine": ENGINE, **found._asdict()}, lambda: print_plain(text), remark=remark)
