"""From what went wrong to an exit code and one line that says the way out; a traceback only where asked for.

0 done, 1 the answer is bad news, 2 wrong use, 3 bad input, 4 cannot run now (130: stopped by the user).
"""

import os
import sqlite3
import sys
import traceback

BAD_NEWS, WRONG_USE, BAD_INPUT, CANNOT_NOW, STOPPED = 1, 2, 3, 4, 130


class WrongUse(Exception):
    """Options that do not go together, or a value that cannot be read."""


class BadInput(Exception):
    """Something given is missing or cannot be used."""


class CannotNow(Exception):
    """Something outside stands in the way: what, and the way out."""


def report(error: BaseException) -> int:
    """Say what went wrong in one line on standard error, and return the exit code."""
    if os.environ.get("POINTS_DEBUG"):
        traceback.print_exception(error)
    code, message = _judge(error)
    if message:
        say(message)
    return code


def say(message: str) -> None:
    """A line on standard error."""
    print(f"points: {plain(message)}", file=sys.stderr)


def quiet_standard_output() -> None:
    """Nobody reads any more: what is still to be flushed goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def plain(text: str) -> str:
    """Text from outside on one line, without the characters that move a terminal."""
    return "".join(c if c.isprintable() else "�" for c in " ".join(text.split()))


def _judge(error: BaseException) -> tuple[int, str]:
    if isinstance(error, KeyboardInterrupt):
        return STOPPED, "stopped; what was decided is kept, the same command goes on from there"
    if isinstance(error, WrongUse):
        return WRONG_USE, str(error)
    usage = getattr(error, "format_message", None)  # the command line library's own
    if usage is not None:
        message = usage()  # empty where the help was shown
        return WRONG_USE, message and f"{message} ({_help_of(error)})"
    return _judge_work(error)


def _judge_work(error: BaseException) -> tuple[int, str]:
    from msgspec import MsgspecError

    from consumers.dead_letters import BadPosition
    from consumers.files.feeder import BadFile
    from consumers.kafka.port import StreamError
    from consumers.kafka.settings import BadSettings
    from consumers.runtime.ingest import CannotDecide
    from ledger.journal.ledger import LedgerLocked, OtherStream
    from ledger.journal.opening import causes, may_pass
    from ledger.journal.port import Damaged, Fenced, JournalError, Unavailable
    from ledger.rulebook.schema import BadProgramme
    from projections.answers.members import UnknownMember
    from projections.archive import BadArchive
    from projections.audit.proof import BadProof, Refuted
    from projections.audit.reconcile import BadList
    from projections.explaining.history import NothingToExplain
    from projections.views.files import NotBuilt
    from projections.views.registry import BadView
    from projections.views.runner import Stale
    from service.archive.backup import BadBackup
    from service.keys import BadKey

    if isinstance(error, OtherStream):
        return WRONG_USE, str(error)
    if isinstance(error, Refuted):
        return BAD_NEWS, str(error)
    if isinstance(error, LedgerLocked):
        return CANNOT_NOW, f"{error}; wait for it to end, or stop it: it resumes where it was"
    if isinstance(error, BadFile | BadInput):  # which the user gave, whatever is the matter with it
        return BAD_INPUT, str(error)
    is_not_now = CannotDecide | CannotNow | Fenced | NotBuilt | Stale | StreamError | Unavailable
    if may_pass(error) or any(isinstance(cause, is_not_now) for cause in causes(error)):
        return CANNOT_NOW, _sentence(error)
    if isinstance(error, Damaged | sqlite3.DatabaseError | MsgspecError):  # sqlite3: the inbox
        return BAD_INPUT, f"the ledger is damaged ({error}): restore it from a copy, then `points verify`"
    given = BadInput | BadArchive | BadBackup | BadFile | BadKey | BadList | BadProgramme | BadProof | BadSettings
    if isinstance(error, given | BadView | UnknownMember | NothingToExplain | BadPosition | JournalError):
        return BAD_INPUT, str(error)
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("psycopg"):
        return CANNOT_NOW, "a ledger in a database needs its driver: pip install 'points-ledger[postgres]'"
    if isinstance(error, OSError):
        return BAD_INPUT, _sentence(error)
    if isinstance(error, MemoryError):
        return CANNOT_NOW, "out of memory"
    return CANNOT_NOW, (
        f"a bug: {type(error).__name__}: {error}; POINTS_DEBUG=1 shows where: please report it with that"
    )


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return str(error)


def _help_of(error: BaseException) -> str:
    context = getattr(error, "ctx", None)
    return f"see {getattr(context, 'command_path', 'points')} --help"
