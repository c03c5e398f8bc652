"""Sessions of the console: who signed in with which key or with an issuer, short; and the tokens that forms carry.

A session names its key and keeps no secret of it, so revoking the key ends it at once. Sessions are kept beside the
keys, in a file or in the ledger's database, so that every server and the command line know them and may end them.

A sign-in with an issuer begins in one request and ends in another, which another site's page leads to. What has to be
the same in both is made of a random text that a cookie of its own holds under our seal, and is good for once.
"""

import hmac
import secrets
import sqlite3
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ledger.journal.port import JournalError
from service.state_store import FileState, Rows, StateStore, shared_state

FILE = "sessions.db"
IDLE_SECONDS = 30 * 60  # without a request
LONGEST_SECONDS = 8 * 60 * 60
USED_EVERY = 60  # seconds, how exactly the last request is kept
MOST_OF_ONE = 100  # sessions of a key or a person; beyond it the oldest of them ends
MOST = 1_000  # sessions; beyond it the oldest ends
SIGN_IN_SECONDS = 10 * 60  # that a sign-in with an issuer may take
MOST_SIGN_INS = 10_000  # that are remembered as finished; beyond it a code that was used is the issuer's to refuse
MOST_ID_TOKEN = 8 << 10  # bytes that are kept, to end the issuer's session by


_ALL = 1 << 62  # rows
_TABLES = (
    "CREATE TABLE IF NOT EXISTS secret (one INTEGER PRIMARY KEY, secret BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS sessions"
    " (token BLOB PRIMARY KEY, key TEXT NOT NULL, began REAL NOT NULL, used REAL NOT NULL, ends REAL NOT NULL,"
    " person BLOB)",
    "CREATE TABLE IF NOT EXISTS sign_ins (random TEXT PRIMARY KEY, began REAL NOT NULL)",
)


class SessionsDamaged(JournalError):
    """The sessions cannot be read; the message names the file and the way out."""


class Person(NamedTuple):
    """Who signed in with an issuer: an id for counting requests, a name for acts, scopes, and the ID token."""

    id: str
    name: str
    scopes: tuple[str, ...]
    id_token: str = ""


class SignIn(NamedTuple):
    """A sign-in with an issuer that has begun: the texts that OpenID Connect wants, and where to go on afterwards."""

    state: str
    nonce: str
    verifier: str
    back: str

    @property
    def challenge(self) -> str:
        """Return the verifier's S256 challenge (RFC 7636)."""
        return _text(sha256(self.verifier.encode()).digest())


class Opened(NamedTuple):
    """The sessions that one person, or one key, has open: how many, and the last request, in seconds since 1970."""

    sessions: int
    used: float


class Sessions:
    """The sessions of a ledger: in a file of a folder, in the ledger's database, or in memory.

    Used in the event loop only. What is asked raises `SessionsDamaged` where the file is found to be damaged.
    """

    def __init__(self, kept: Path | StateStore | None = None) -> None:
        """`kept` is a folder, or a store with the tables; memory where it is left out. Raises `SessionsDamaged`."""
        if isinstance(kept, StateStore):
            self._db = kept
        else:
            file = kept / FILE if kept else None
            try:
                self._db = FileState(file, _TABLES)
            except (sqlite3.Error, OSError) as error:
                raise _damaged(str(file), error) from error
        self._run("INSERT INTO secret VALUES (1, ?) ON CONFLICT (one) DO NOTHING", secrets.token_bytes(32))
        self._secret: bytes = self._run("SELECT secret FROM secret").first()[0]

    def _run(self, sql: str, *values: Any) -> Rows:
        try:
            return self._db.run(sql, *values)
        except sqlite3.OperationalError:  # a full disk, or a file that another process holds
            raise
        except sqlite3.DatabaseError as error:
            raise _damaged(self._db.name, error) from error

    def begin(self, who: str | Person, seconds: float = LONGEST_SECONDS) -> str:
        """Begin a session of the key with an id, or of a person; returns the text of its cookie."""
        token, now = secrets.token_urlsafe(32), time.time()
        key, person = (who, None) if isinstance(who, str) else (who.id, msgspec.msgpack.encode(who))
        ends = now + min(seconds, LONGEST_SECONDS)
        self._run("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)", _hash(token), key, now, now, ends, person)
        for which, of, most in (("WHERE key = ?", (key,), MOST_OF_ONE), ("", (), MOST)):
            oldest = f"SELECT token FROM sessions {which} ORDER BY began DESC, token LIMIT ? OFFSET ?"
            self._run(f"DELETE FROM sessions WHERE token IN ({oldest})", *of, _ALL, most)
        return token

    def key_of(self, token: str, *, is_use: bool = True) -> str | Person | None:
        """Return the id of the key of a session that holds, or its person; it goes on from now.

        `is_use` is False where a page asked by itself, which keeps no session.
        """
        now = time.time()
        found = self._run("SELECT key, used, ends, person FROM sessions WHERE token = ?", _hash(token)).first()
        if found is None:
            return None
        key, used, ends, person = found
        if now - used > IDLE_SECONDS or now > ends:
            self.end(token)
            return None
        if is_use and now - used > USED_EVERY:
            with suppress(sqlite3.OperationalError):  # a full disk does not lock anybody out
                self._run("UPDATE sessions SET used = ? WHERE token = ?", now, _hash(token))
        return str(key) if person is None else msgspec.msgpack.decode(person, type=Person)

    def end(self, token: str) -> None:
        """End a session, where there is one."""
        self._run("DELETE FROM sessions WHERE token = ?", _hash(token))

    def opened(self) -> dict[str, Opened]:
        """Return by whom sessions are open: by the id of a key or of a `Person`."""
        now = time.time()
        query = "SELECT key, count(*), max(used) FROM sessions WHERE used >= ? AND ends >= ? GROUP BY key"
        return {key: Opened(*found) for key, *found in self._run(query, now - IDLE_SECONDS, now).rows}

    def end_all(self, who: str) -> None:
        """End every session of a key or a `Person`, by the id."""
        self._run("DELETE FROM sessions WHERE key = ?", who)

    def form_token(self, token: str) -> str:
        """Return what every form of a session carries, or of nobody where `token` is empty."""
        return hmac.new(self._secret, token.encode(), sha256).hexdigest()

    def is_form_token(self, given: str, token: str) -> bool:
        """Return True if a form of this session sent it."""
        return hmac.compare_digest(given.encode(), self.form_token(token).encode())

    def begin_sign_in(self, back: str) -> tuple[str, SignIn]:
        """Begin a sign-in with an issuer, to go on at an address; returns the text of its cookie, too."""
        name = f"{int(time.time())}.{secrets.token_urlsafe(24)}"
        value = f"{name}.{_text(back.encode())}"
        return f"{value}.{self._sealed('sign-in', value)}", self._sign_in(name, back)

    def finish_sign_in(self, cookie: str, state: str) -> SignIn | None:
        """Return the sign-in of a cookie of ours, once; None where it is another's, too old or was finished before."""
        value, _, seal = cookie.rpartition(".")
        if not _is_same(seal, self._sealed("sign-in", value)):
            return None
        began, random, back = value.split(".")
        found = self._sign_in(f"{began}.{random}", urlsafe_b64decode(f"{back}==").decode())
        if time.time() - int(began) > SIGN_IN_SECONDS or not _is_same(state, found.state):
            return None
        added = self._run("INSERT INTO sign_ins VALUES (?, ?) ON CONFLICT DO NOTHING", random, time.time()).changed
        oldest = "SELECT random FROM sign_ins ORDER BY began DESC, random LIMIT ? OFFSET ?"
        self._run(f"DELETE FROM sign_ins WHERE random IN ({oldest})", _ALL, MOST_SIGN_INS)
        return found if added else None

    def _sign_in(self, name: str, back: str) -> SignIn:
        return SignIn(self._sealed("state", name), self._sealed("nonce", name), self._sealed("verifier", name), back)

    def _sealed(self, what: str, text: str) -> str:
        """Return 43 characters that this server alone can make of a text."""
        return _text(hmac.new(self._secret, f"{what} {text}".encode(errors="replace"), sha256).digest())

    def close(self) -> None:
        """Let go of where they are kept."""
        self._db.close()


def _damaged(file: str, error: Exception) -> SessionsDamaged:
    return SessionsDamaged(f"{file}: {error}; stop the server and remove it, and people sign in again")


def sessions_of(place: str, folder: Path | None) -> Sessions:
    """Return the sessions of a ledger: in its database, or in a folder. Raises `JournalError`."""
    return Sessions(shared_state(place) or folder)


def person_id(name: str) -> str:
    """Return the id of a `Person`, by the name that the person's acts are recorded under."""
    return f"oidc {name}"


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _is_same(given: str, wanted: str) -> bool:
    """Return True if a text from outside is the one that is wanted, in constant time."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


def _text(data: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()
