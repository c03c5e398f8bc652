"""API keys of a ledger: shown once, kept as a hash, with scopes, an expiry and when they were last used.

A key is 256 random bits. Nobody finds it by guessing, so its SHA-256 protects it as well as a slow hash would, which is
there for what people think up, and costs every request.
"""

import hmac
import os
import secrets
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from ledger.errors import Unusable
from ledger.journal.port import JournalError
from ledger.wire.times import SECOND

FILE = "keys.db"
PREFIX = "points"
DEFAULT_RATE = 1_000  # requests a second
MAX_NAME = 64
BUSY_SECONDS = 5  # that one process waits for another
USED_EVERY = 60 * SECOND  # how exactly the last use is kept
PLAIN_SCOPES = ("facts:write", "members:read", "books:read", "operate")
NARROWED_SCOPES = ("facts:write:", "member:read:")


class BadKey(Unusable):
    """A key that cannot be made or found: why, and the way out."""


class Key(NamedTuple):
    """A key without its secret: instants in microseconds, None where there is none; `rate` in requests a second."""

    id: str
    name: str
    scopes: tuple[str, ...]
    rate: int
    created: int
    expires: int | None
    last_used: int | None
    revoked: int | None

    def is_live(self, instant: int) -> bool:
        """Return True if it opens anything at an instant."""
        return self.revoked is None and (self.expires is None or instant < self.expires)


class Keys:
    """The keys in a ledger's folder, in a file for its owner's eyes only. Several processes may use them at once."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its other files the same rights
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")  # a key that was revoked stays revoked
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS keys (id TEXT PRIMARY KEY, name TEXT NOT NULL, hash BLOB NOT NULL,"
                " scopes TEXT NOT NULL, rate INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER,"
                " last_used INTEGER, revoked INTEGER)"
            )
            self._db.execute("CREATE UNIQUE INDEX IF NOT EXISTS live ON keys (name) WHERE revoked IS NULL")
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"{self.path}: {error}") from error

    def exist(self) -> bool:
        """Return True if any key was ever made: revoking the last one opens nothing."""
        return self._db.execute("SELECT 1 FROM keys LIMIT 1").fetchone() is not None

    def new(
        self, name: str, scopes: Sequence[str], expires: int | None = None, rate: int = DEFAULT_RATE
    ) -> tuple[Key, str]:
        """Make a key; returns it and its text, which is kept nowhere. Raises `BadKey`."""
        _check_name(name)
        for scope in scopes or ("",):
            _check_scope(scope)
        now = _now()
        if expires is not None and expires <= now:
            raise BadKey("it would have expired already; give an instant to come")
        key = Key(secrets.token_hex(6), name, tuple(dict.fromkeys(scopes)), rate, now, expires, None, None)
        secret = secrets.token_urlsafe(32)
        try:
            self._db.execute(
                "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
                (key.id, name, _hash(secret), "\n".join(key.scopes), rate, now, expires),
            )
        except sqlite3.IntegrityError:
            raise BadKey(f'there is a key "{name}" already; revoke it first or give another name') from None
        return key, f"{PREFIX}_{key.id}_{secret}"

    def all(self) -> list[Key]:
        """Return every key ever made, by age."""
        return [_key(row) for row in self._db.execute(f"SELECT {_COLUMNS} FROM keys ORDER BY created, id")]

    def revoke(self, name: str) -> Key:
        """End a key, by its name or id, at once. Raises `BadKey`."""
        row = self._db.execute(
            f"UPDATE keys SET revoked = ? WHERE (id = ? OR name = ?) AND revoked IS NULL RETURNING {_COLUMNS}",
            (_now(), name, name),
        ).fetchone()
        if row is None:
            raise BadKey(f'there is no key "{name}" to revoke; `points keys list` shows them')
        return _key(row)

    def find(self, text: str) -> Key | None:
        """Return the key of a text where it is a live one; the secret is compared in constant time."""
        prefix, _, rest = text.partition("_")
        name, _, secret = rest.partition("_")
        if prefix != PREFIX or not secret or not text.isascii():
            return None
        row = self._db.execute(f"SELECT {_COLUMNS}, hash FROM keys WHERE id = ?", (name,)).fetchone()
        # One that nobody made is compared all the same, so that the time does not tell which ids there are.
        if not hmac.compare_digest(_hash(secret), row[-1] if row else bytes(32)) or row is None:
            return None
        key, now = _key(row[:-1]), _now()
        if not key.is_live(now):
            return None
        if key.last_used is None or key.last_used + USED_EVERY <= now:
            with suppress(sqlite3.OperationalError):  # a full disk does not lock anybody out
                self._db.execute("UPDATE keys SET last_used = ? WHERE id = ?", (now, key.id))
        return key

    def live(self, id: str) -> Key | None:
        """Return the key of an id where it is a live one: for who showed its text before."""
        row = self._db.execute(f"SELECT {_COLUMNS} FROM keys WHERE id = ?", (id,)).fetchone()
        key = _key(row) if row else None
        return key if key is not None and key.is_live(_now()) else None

    def close(self) -> None:
        """Close the file."""
        self._db.close()


_COLUMNS = "id, name, scopes, rate, created, expires, last_used, revoked"


def _key(row: tuple[str, str, str, int, int, int | None, int | None, int | None]) -> Key:
    return Key(row[0], row[1], tuple(row[2].split("\n")), *row[3:])


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _now() -> int:
    return time.time_ns() // 1000


def _check_name(name: str) -> None:
    if not (0 < len(name) <= MAX_NAME and name.isprintable() and name == name.strip()):
        raise BadKey(f'"{name[:MAX_NAME]}" is no name; give 1 to {MAX_NAME} printable characters')


def _check_scope(scope: str) -> None:
    narrowed = any(scope.startswith(s) and len(scope) > len(s) and scope.isprintable() for s in NARROWED_SCOPES)
    if scope not in PLAIN_SCOPES and not narrowed:
        raise BadKey(
            f'there is no scope "{scope}"; there are facts:write, facts:write:SOURCE-PREFIX, members:read,'
            " member:read:MEMBER, books:read, operate"
        )
