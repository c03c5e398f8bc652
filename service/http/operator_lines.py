"""The lines of what operators did, as they stand in a folder, and what an audit finds wrong with them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, field

from ledger.journal.durable import sync
from ledger.wire.answers import AdjustmentRequest
from service.http.sealed_lines import Chain

FILE = "operators.ndjson"
HEAD = "operators.head"  # how many lines it has, and what they come to
WAY_OUT = (
    f"put a copy of it and of its head ({HEAD}, or the table operator_head) back, or empty both: then nothing is known"
    " of what operators did until now, and adjustments that wait have to be proposed again"
)
Action = Literal[
    "propose",
    "approve",
    "reject",
    "retry",
    "drop",
    "checkpoint",
    "give",
    "accept-gap",
    "accept-topic",
    "webhook",
    "sign-in",
    "sign-out",
    "block",
    "unblock",
    "prune",
    "draft-keep",
    "draft-backtest",
    "draft-hand-in",
    "draft-approve",
    "draft-reject",
    "draft-publish",
    "draft-published",
    "draft-discard",
]
OF_DRAFTS = "draft-"  # what the actions about drafts begin with


class GivenFact(Struct, frozen=True, omit_defaults=True):
    """An operators' fact as it was given, by which its entry is found."""

    type: str
    subject: str
    source: str
    points: int = 0  # of goodwill


class DraftStep(Struct, frozen=True, omit_defaults=True):
    """What a step of a draft stood on.

    Of the check: `file`, `sha256` and `bytes` of the draft, the `version` that it makes, from when it decides, the
    newest version that it was checked `against`, and how many `warnings` there were. Of the backtest: how it `ended`,
    the SHA-256 of its report, and what the draft costs more in fen. Of its publication: where it stands, and how it
    was decided.
    """

    file: str = ""
    sha256: str = ""
    bytes: int = 0
    version: str = ""
    from_: str = field(name="from", default="")
    against: str = ""
    warnings: int = 0
    ended: str = ""
    report: str = ""
    cost_fen: int = 0
    position: str = ""
    outcome: str = ""


class LogLine(Struct, omit_defaults=True):
    """An action: `by` is the name of the key, or of the person who signed in.

    `about` is a position, the name of an adjustment, checkpoint or draft, the id of a fact that was given, the
    positions of an accepted gap, the id of an accepted topic, the name of a webhook, the issuer and its subject who
    signed in, or the name of whose sessions are ended or who is blocked. `why` is the reason that was given for these,
    what was done with the webhook, and the roles that count.
    """

    at: str
    by: str
    action: Action
    about: str
    proposed: AdjustmentRequest | None = None
    mended: bool = False
    given: GivenFact | None = None
    why: str = ""
    draft: DraftStep | None = None


def problems_of(folder: Path) -> list[str]:
    """Return what is wrong with what operators did, as it stands in a folder: nothing where it is as it was written."""
    path, head = folder / FILE, folder / HEAD
    try:
        expected = head.read_text().strip() if head.is_file() else ""
        data = path.read_bytes() if path.is_file() else b""
    except (OSError, UnicodeDecodeError) as error:
        return [f"{path} cannot be read: {error}"]
    return problems_of_lines(str(path), head.name, data.split(b"\n")[:-1], expected)


def chain_of(lines: Iterable[bytes]) -> Chain:
    """Return what lines come to."""
    chain = Chain()
    for line in lines:
        chain.take(line)
    return chain


def problems_of_lines(name: str, head: str, lines: Iterable[bytes], expected: str) -> list[str]:
    """Return what is wrong with lines that are to come to what is `expected`, which stands in `head`."""
    chain, found, is_reached = Chain(), [], not expected
    for number, line in enumerate(lines, 1):
        chain.take(line)
        is_reached |= chain.head == expected
        try:
            msgspec.json.decode(line, type=LogLine)
        except msgspec.DecodeError as error:
            found.append(f"line {number} cannot be read ({cause_of(error)})")
    found += chain.problems
    if not found and not is_reached:
        found = [f"its lines are not those that {head} tells of: some are gone, or were made anew"]
    elif chain.is_sealed and not expected:
        found.append(f"{head} is gone, which says how many lines there are")
    return [f"{name}: {problem}; {WAY_OUT}" for problem in found]


def write_head(path: Path, head: str) -> None:
    """Write down, in one step, how many lines there are and what they come to."""
    made = path.with_suffix(".new")
    made.write_text(f"{head}\n")
    made.chmod(0o600)
    sync(made)
    made.replace(path)


def lines_of(head: Path) -> int:
    """Return how many lines there were when it was last written down; 0 where that is not known."""
    try:
        return lines_in(head.read_text())
    except (OSError, UnicodeDecodeError):
        return 0


def lines_in(head: str) -> int:
    """Return how many lines a head tells of, 0 where it tells of none."""
    count = head.split(" ")[0].strip()
    return int(count) if count.isdecimal() else 0


def cause_of(error: Exception) -> str:
    """Return why a line cannot be read."""
    return f"there is no adjustment or draft {error}" if isinstance(error, KeyError) else str(error)
