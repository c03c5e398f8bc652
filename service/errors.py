"""An error as an exit code and one line that says the way out; POINTS_DEBUG=1 adds a traceback.

0 done, 1 the answer is bad news, 2 wrong use, 3 bad input, 4 cannot run now (130: stopped by the user).
"""

import os
import re
import sys
import traceback

from ledger.errors import (
    BadInput,
    BadNews,
    CannotRunNow,
    ControlFlow,
    PointsLedgerError,
    WrongUse,
    causes,
    damage,
    may_pass,
)
from projections.answers.plain import plain, visible
from service.languages import told

BAD_NEWS, WRONG_USE, BAD_INPUT, CANNOT_NOW = (kind.exit_code for kind in (BadNews, WrongUse, BadInput, CannotRunNow))
STOPPED = 130
_ENDLESS = re.compile(r"(\S{120})\S{300,}(\S{40})")
_ENDS = r"\1…\2"
DRIVER = "'psycopg[binary]>=3.2,<4' 'psycopg-pool>=3.2,<4'"  # the extra `postgres`
# What the inbox and the decoders raise about stored bytes; by name, so that an error at the start imports neither.
_DAMAGE = {"sqlite3.DatabaseError", "msgspec.MsgspecError"}


def report(error: BaseException) -> int:
    """Print one line about an error on standard error and return the exit code."""
    if os.environ.get("POINTS_DEBUG"):
        traceback.print_exception(error)
    code, message = _judge(error)
    if message:
        say(message)
    return code


def say(message: str) -> None:
    """Print a line on standard error, in the terminal's language; of a word without an end, its two ends."""
    print(f"points: {_ENDLESS.sub(_ENDS, plain(told(message)))}", file=sys.stderr)


def print_plain(*lines: str) -> None:
    """Print lines for people in the terminal's language; what they got from outside is no more than text."""
    for line in lines:
        print(visible(told(line)))


def quiet_standard_output() -> None:
    """Send what is still to be flushed to the null device, since nobody reads it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def _judge(error: BaseException) -> tuple[int, str]:
    if isinstance(error, KeyboardInterrupt):
        return STOPPED, "stopped; what was decided is kept, the same command goes on from there"
    if isinstance(error, WrongUse | BadInput | BadNews | CannotRunNow):  # whatever the cause
        return error.exit_code, error.for_people()
    usage = getattr(error, "format_message", None)  # the command line library's own
    if usage is not None:
        message = usage()  # empty where the help was shown
        command = getattr(getattr(error, "ctx", None), "command_path", "points")
        return WRONG_USE, message and f"{message} (see {command} --help)"
    if may_pass(error) or any(isinstance(cause, CannotRunNow) for cause in causes(error)):
        return CANNOT_NOW, _sentence(error)
    if isinstance(error, PointsLedgerError) and not isinstance(error, ControlFlow):
        return error.exit_code, error.for_people()
    if _DAMAGE.intersection(f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__):
        return BAD_INPUT, damage(error)
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("psycopg"):
        return CANNOT_NOW, f"a ledger in a database needs its driver: pip install {DRIVER}"
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
