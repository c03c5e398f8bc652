"""Every error of this program, in one tree: what it means for the exit code, and whether trying again can help.

    PointsLedgerError              exit code 4
    ├── WrongUse                   2  options that do not go together, or a command for another kind of ledger
    │   └── OtherStream ── NotGrownYet
    ├── BadInput                   3  what the user named is missing or cannot be used, whatever the cause
    │   └── BadFile, BadFact, UnknownMode, BadData, BadCursor
    ├── NotFound                   3  the ledger has no such thing
    │   └── UnknownMember, UnknownPool, UnknownHouse, NothingToExplain, BadPosition, NoCheckpoint
    ├── Unusable                   3  a file, key or rule book that is damaged or does not fit; 4 where the disk is full
    │   ├── BadCopy, BadDraft, BadKey, BadList, BadProgramme, BadSettings, BadView, BadWebhook, NoEngine
    │   ├── BadProof ── NoEntry, NotCovered
    │   └── JournalError ── Damaged, NothingThere, OfAnotherLedger, NothingBeside, Past, SessionsDamaged
    ├── CannotRunNow               4  something outside stands in the way
    │   ├── LedgerLocked, Fenced, CannotDecide, Busy, Full, NotDelivered, IssuerAway, SignInRefused,
    │   ├── PeerAway, Unreachable (NothingDone)
    │   ├── Unavailable (WentBack, BeingSplit, Elsewhere), CannotAppend (ClockAhead, IsMoving), NotBuilt, NotContinued
    │   │   (each also a JournalError), Stale
    │   └── StreamError ── BrokerAway, Denied, StreamBroken
    ├── BadNews                    1  the answer is bad news
    │   └── Refuted
    └── ControlFlow                raised to be caught within the program: one that escapes is a bug
        └── Decline, OutOfRange, Undecidable, Problem, SignIn, OtherJournal, Stopped, BadToken, UnknownKey,
            CutOff, Gone, Taken

A message says what happened, then the way out.
"""

import errno
from collections.abc import Iterator
from typing import ClassVar


class PointsLedgerError(Exception):
    """The root. `exit_code` is what `points` ends with; `can_retry` says whether the same call can work later."""

    exit_code: ClassVar[int] = 4
    can_retry: ClassVar[bool] = False

    def for_people(self) -> str:
        """Return the message as `points` prints it."""
        return str(self)


class WrongUse(PointsLedgerError):
    """Options that do not go together, or a value that cannot be read."""

    exit_code = 2


class BadInput(PointsLedgerError):
    """Something given is missing or cannot be used."""

    exit_code = 3


class NotFound(PointsLedgerError):
    """The ledger has no such member, entry, lot, offset or checkpoint."""

    exit_code = 3


class Unusable(PointsLedgerError):
    """Something stored or configured is damaged or does not fit."""

    exit_code = 3


class CannotRunNow(PointsLedgerError):
    """Something outside stands in the way: what, and the way out."""

    exit_code = 4  # said again: beside `JournalError` it comes first
    can_retry = True


class BadNews(PointsLedgerError):
    """A check failed."""

    exit_code = 1


class ControlFlow(PointsLedgerError):
    """A signal between two places of the program."""


def damage(error: BaseException) -> str:
    """Return the message about a ledger whose stored bytes cannot be read."""
    if any((getattr(cause, "sqlite_errorname", None) or "").startswith("SQLITE_CORRUPT") for cause in causes(error)):
        return (
            f"the ledger is damaged, or the disk could not read it, of which SQLite says the same ({error}): run the"
            " same command again; where that stays so, restore the ledger from a copy, then `points verify`"
        )
    return f"the ledger is damaged ({error}): restore it from a copy, then `points verify`"


# What may be different later, or with more room or rights; anything else that SQLite says is damage.
_SQLITE_TRANSIENT = tuple(
    f"SQLITE_{name}" for name in ("FULL", "BUSY", "LOCKED", "IOERR", "READONLY", "PERM", "AUTH", "CANTOPEN")
)
_OS_TRANSIENT = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO", "EMFILE", "ENFILE", "EACCES", "EPERM")
)


def may_pass(error: BaseException) -> bool:
    """Return True if trying again later, or with more room or rights, can help, by any cause of an error."""
    return any(
        cause.errno in _OS_TRANSIENT
        if isinstance(cause, OSError)
        else (getattr(cause, "sqlite_errorname", None) or "").startswith(_SQLITE_TRANSIENT)
        for cause in causes(error)
    )


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, its cause, the cause of that, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
