"""Sessions of the console: who signed in with which key, short; and the tokens that forms carry.

A session names its key and keeps no secret of it, so revoking the key ends it at once. Sessions are kept in memory, or
where several processes serve in a file that lasts as long as the server: a restart ends all.
"""

import hmac
import secrets
import sqlite3
import time
from hashlib import sha256
from pathlib import Path

IDLE_SECONDS = 30 * 60  # without a request
LONGEST_SECONDS = 8 * 60 * 60
USED_EVERY = 60  # seconds, how exactly the last request is kept
MOST = 1_000  # sessions; beyond it the oldest ends
BUSY_SECONDS = 5  # that one process waits for another


class Sessions:
    """The sessions of a server: in a file that its processes share, or in memory. Used in the event loop only."""

    def __init__(self, path: Path | None = None) -> None:
        self._db = sqlite3.connect(
            path or ":memory:", isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")  # what is lost with the machine is no loss
        self._db.execute("CREATE TABLE IF NOT EXISTS secret (one INTEGER PRIMARY KEY, secret BLOB NOT NULL)")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS sessions"
            " (token BLOB PRIMARY KEY, key TEXT NOT NULL, began REAL NOT NULL, used REAL NOT NULL)"
        )
        self._db.execute("INSERT OR IGNORE INTO secret VALUES (1, ?)", (secrets.token_bytes(32),))
        self._secret: bytes = self._db.execute("SELECT secret FROM secret").fetchone()[0]

    def begin(self, key: str) -> str:
        """Begin a session of the key with an id; returns the text of its cookie."""
        token, now = secrets.token_urlsafe(32), time.monotonic()  # the same clock in every process of a machine
        self._db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", (_hash(token), key, now, now))
        self._db.execute(
            "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions ORDER BY rowid DESC LIMIT -1 OFFSET ?)",
            (MOST,),
        )
        return token

    def key_of(self, token: str, *, is_use: bool = True) -> str | None:
        """Return the id of the key of a session that holds; it goes on from now, unless a page asked by itself."""
        now = time.monotonic()
        found = self._db.execute("SELECT key, began, used FROM sessions WHERE token = ?", (_hash(token),)).fetchone()
        if found is None:
            return None
        key, began, used = found
        if now - used > IDLE_SECONDS or now - began > LONGEST_SECONDS:
            self.end(token)
            return None
        if is_use and now - used > USED_EVERY:
            self._db.execute("UPDATE sessions SET used = ? WHERE token = ?", (now, _hash(token)))
        return str(key)

    def end(self, token: str) -> None:
        """End a session, where there is one."""
        self._db.execute("DELETE FROM sessions WHERE token = ?", (_hash(token),))

    def form_token(self, token: str) -> str:
        """Return what every form of a session carries, or of nobody where `token` is empty."""
        return hmac.new(self._secret, token.encode(), sha256).hexdigest()

    def is_form_token(self, given: str, token: str) -> bool:
        """Return True if a form of this session sent it."""
        return hmac.compare_digest(given.encode(), self.form_token(token).encode())

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()
