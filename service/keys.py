"""API keys of a ledger: shown once, kept as a hash, with scopes, an expiry and when they were last used.

A key is 256 random bits. Nobody finds it by guessing, so its SHA-256 protects it as well as a slow hash would, which is
there for what people think up, and costs every request. Each row has a seal: a key whose row was changed by hand opens
nothing.
"""

import hmac
import re
import secrets
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Sequence
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ledger.errors import Unusable
from ledger.journal.ledger import is_address
from ledger.journal.opening import reading_of
from ledger.journal.port import JournalError
from ledger.wire.times import SECOND
from service.state_store import FileState, StateStore, Taken, put_aside, shared_state

FILE = "keys.db"
FORMAT = 1
PREFIX = "points"
BOOTSTRAP = "POINTS_BOOTSTRAP_KEY_FILE"  # names the file that has the first key
_LONGEST = 1_000  # bytes of it that are read
_TEXT = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{32,200}})")
_DIGEST = re.compile(r" [0-9a-f]{12}$")  # what stands behind a person's name that was taken
DEFAULT_RATE = 1_000  # requests a second
MAX_NAME = 64
LOCAL_NAME = "local"  # of whoever asks where there are no keys
FIRST_NAME = "bootstrap"  # of the key that a file brings
WATCH_SECONDS = 0.5  # between two looks at the keys in a database
USED_EVERY = 60 * SECOND  # how exactly the last use is kept
PLAIN_SCOPES = ("facts:write", "members:read", "books:read", "operate", "books:write")
NARROWED_SCOPES = ("facts:write:", "member:read:")
GOODWILL = "goodwill:"  # and how many points in 24 hours
MOST_GOODWILL = 1_000_000_000


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
    is_whole: bool = True  # its row is as it was written

    def is_live(self, instant: int) -> bool:
        """Return True if it opens anything at an instant."""
        return self.is_whole and self.revoked is None and (self.expires is None or instant < self.expires)


class Somebody(NamedTuple):
    """Who may sign in to the console: who did with an issuer, or has a live key, whose id is empty for the others.

    `name` is that of the acts. `since` is the first sign-in, or when the key was made, and `blocked` since when nobody
    signs in under the name, both in microseconds.
    """

    name: str
    issuer: str
    subject: str
    key: str
    since: int
    blocked: int | None


_TABLES = (
    "CREATE TABLE IF NOT EXISTS keys (id TEXT PRIMARY KEY, name TEXT NOT NULL, hash BLOB NOT NULL,"
    " scopes TEXT NOT NULL, rate INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER,"
    " last_used INTEGER, revoked INTEGER)",
    "CREATE UNIQUE INDEX IF NOT EXISTS live ON keys (name) WHERE revoked IS NULL",
    "CREATE TABLE IF NOT EXISTS people (issuer TEXT NOT NULL, subject TEXT NOT NULL,"
    " name TEXT NOT NULL UNIQUE, since INTEGER NOT NULL, PRIMARY KEY (issuer, subject))",
    "CREATE TABLE IF NOT EXISTS blocked (name TEXT PRIMARY KEY, since INTEGER NOT NULL)",
)


class Keys:
    """The keys of a ledger: in a file of a folder, or in its database. Several processes may use them at once."""

    def __init__(self, kept: Path | StateStore) -> None:
        """`kept` is a folder, or a store with the tables, which is closed with this. Raises `JournalError`."""
        if isinstance(kept, StateStore):
            self._db = kept
            return
        try:
            self._db = FileState(kept / FILE, _TABLES)  # durable: a key that was revoked stays revoked
            self._migrate()
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"{kept / FILE}: {error}") from error

    def _migrate(self) -> None:
        """Seal the rows that an older version of a file wrote, once."""
        if self._format() >= FORMAT:
            return
        with self._db.changing("keys") as db:
            if self._format() < FORMAT:
                db.run("ALTER TABLE keys ADD COLUMN seal BLOB")
                for row in db.run(f"SELECT {_COLUMNS}, hash FROM keys").rows:
                    db.run("UPDATE keys SET seal = ? WHERE id = ?", _seal(row), row[0])
                db.run(f"PRAGMA user_version = {FORMAT}")

    def _format(self) -> int:
        return int(self._db.run("PRAGMA user_version").first()[0])

    def exist(self) -> bool:
        """Return True if any key was ever made: revoking the last one opens nothing."""
        return self._db.run("SELECT 1 FROM keys LIMIT 1").first() is not None

    def new(
        self, name: str, scopes: Sequence[str], expires: int | None = None, rate: int = DEFAULT_RATE
    ) -> tuple[Key, str]:
        """Make a key; returns it and its text, which is kept nowhere. Raises `BadKey`."""
        _check_name(name)
        for scope in scopes or ("",):
            check_scope(scope)
        now = _now()
        if expires is not None and expires <= now:
            raise BadKey("it would have expired already; give an instant to come")
        id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        key = self._insert(Key(id, name, tuple(dict.fromkeys(scopes)), rate, now, expires, None, None), secret)
        return key, f"{PREFIX}_{key.id}_{secret}"

    def bootstrap(self, file: Path) -> Key | None:
        """Make the first key from the text of a file, with every scope; None where there are keys. Raises `BadKey`.

        It is named ``bootstrap``, with its id behind it where somebody who signed in has that name.
        """
        if self.exist():
            return None
        id, secret = first_key(file)
        name = f"{FIRST_NAME} {id}" if self._is_somebody(FIRST_NAME) else FIRST_NAME
        try:
            return self._insert(Key(id, name, PLAIN_SCOPES, DEFAULT_RATE, _now(), None, None, None), secret)
        except BadKey:
            if self.exist():
                return None  # another worker was first
            raise

    def _insert(self, key: Key, secret: str) -> Key:
        """Keep a key and its secret's hash. Raises `BadKey` where there is one of the name."""
        if self._is_somebody(key.name):
            raise BadKey(f'"{key.name}" is somebody who signed in to the console; give another name')
        row = (key.id, key.name, "\n".join(key.scopes), key.rate, key.created, key.expires, None, None, _hash(secret))
        try:
            self._db.run(_INSERT, *row, _seal(row))
        except Taken:
            raise BadKey(f'there is a key "{key.name}" already; revoke it first or give another name') from None
        return key

    def _is_somebody(self, name: str) -> bool:
        return self._db.run("SELECT 1 FROM people WHERE name = ?", name).first() is not None

    def all(self) -> list[Key]:
        """Return every key ever made, by age."""
        return [_key(row) for row in self._db.run(f"SELECT {_ROW} FROM keys ORDER BY created, id").rows]

    def revoke(self, name: str) -> Key:
        """End a key, by its name or id, at once. Raises `BadKey`.

        The times of one that was changed by hand are cleared.
        """
        query = f"SELECT {_ROW} FROM keys WHERE (id = ? OR name = ?) AND revoked IS NULL"
        with self._db.changing("keys") as db:
            row = db.run(query, name, name).first()
            if row is None:
                raise BadKey(f'there is no key "{name}" to revoke; `points keys list` shows them')
            now = _now()
            times = row[4:7] if _key(row).is_whole else (now, None, None)
            row = (*row[:4], *times, now, row[8])
            db.run(
                "UPDATE keys SET created = ?, expires = ?, last_used = ?, revoked = ?, seal = ? WHERE id = ?",
                *(*times, now, _seal(row), row[0]),
            )
        return _key((*row, _seal(row)))

    def find(self, text: str) -> Key | None:
        """Return the key of a text where it is a live one; the secret is compared in constant time."""
        prefix, _, rest = text.partition("_")
        name, _, secret = rest.partition("_")
        if prefix != PREFIX or not secret or not text.isascii():
            return None
        row = self._row(name)
        # One that nobody made is compared all the same, so that the time does not tell which ids there are.
        if not hmac.compare_digest(_hash(secret), _stored_hash(row)) or row is None:
            return None
        key, now = _key(row), _now()
        if not key.is_live(now):
            return None
        if key.last_used is None or key.last_used + USED_EVERY <= now:
            with suppress(sqlite3.OperationalError, JournalError):  # a full disk does not lock anybody out
                self._use(key.id, now)
        return key

    def _use(self, id: str, now: int) -> None:
        self._db.run("UPDATE keys SET last_used = ? WHERE id = ?", now, id)

    def _row(self, id: str) -> Any:
        """Return the row of a key, None where there is none."""
        return self._db.run(f"SELECT {_ROW} FROM keys WHERE id = ?", id).first()

    def live(self, id: str) -> Key | None:
        """Return the key of an id where it is a live one: for who showed its text before."""
        row = self._row(id)
        key = _key(row) if row else None
        return key if key is not None and key.is_live(_now()) else None

    def person(self, issuer: str, subject: str, name: str) -> str:
        """Return the name that a subject of an issuer acts under, which is for ever that of the first sign-in.

        It is `name`, with a digest of issuer and subject behind it where a key or somebody else ever had that: what is
        recorded under a name is one person's, and nobody approves what was proposed by the same person under another.
        """
        query = "SELECT name FROM people WHERE issuer = ? AND subject = ?"
        with self._db.changing("keys") as db:
            row = db.run(query, issuer, subject).first()
            if row is None:
                digest = sha256(msgspec.msgpack.encode([issuer, subject])).hexdigest()[:12]
                name = name[:MAX_NAME]
                taken = "SELECT 1 FROM people WHERE name = ? UNION ALL SELECT 1 FROM keys WHERE name = ?"
                if name in (LOCAL_NAME, FIRST_NAME) or db.run(taken, name, name).first() is not None:
                    name = f"{name[: MAX_NAME - 13]} {digest}"
                row = (name,)
                db.run("INSERT INTO people VALUES (?, ?, ?, ?)", issuer, subject, name, _now())
        return str(row[0])

    def people(self) -> list[Somebody]:
        """Return everybody who ever signed in with an issuer, and every live key, the oldest first."""
        blocked = dict(self._db.run("SELECT name, since FROM blocked").rows)
        signed_in = self._db.run("SELECT name, issuer, subject, since FROM people").rows
        found = [(name, issuer, subject, "", since) for name, issuer, subject, since in signed_in]
        found += [(key.name, "", "", key.id, key.created) for key in self.all() if key.is_live(_now())]
        found.sort(key=lambda one: (one[-1], one[0]))
        return [Somebody(*one, blocked.get(one[0])) for one in found]

    def somebody(self, name: str) -> Somebody:
        """Return who may sign in under a name. Raises `BadKey`."""
        found = next((one for one in self.people() if one.name == name), None)
        if found is None:
            raise BadKey(f'nobody signed in as "{name}", and no key has that name; `points people list` shows them')
        return found

    def block(self, name: str) -> Somebody:
        """End every session under a name at once, and let nobody begin one. Raises `BadKey`.

        What programs do with a key is not touched.
        """
        self.somebody(name)
        self._db.run("INSERT INTO blocked VALUES (?, ?) ON CONFLICT (name) DO NOTHING", name, _now())
        return self.somebody(name)

    def unblock(self, name: str) -> Somebody:
        """Let somebody sign in again. Raises `BadKey`."""
        self.somebody(name)
        self._db.run("DELETE FROM blocked WHERE name = ?", name)
        return self.somebody(name)

    def is_blocked(self, name: str) -> bool:
        """Return True if nobody signs in under a name."""
        return self._db.run("SELECT 1 FROM blocked WHERE name = ?", name).first() is not None

    def adopt(self, folder: Path) -> int:
        """Take in the keys and people of a folder's file, which is put aside then; returns how many keys it had.

        Raises `BadKey` where a key that is live has the name of another one that is live here.
        """
        if not (folder / FILE).is_file():
            return 0
        with closing(Keys(folder)) as old:
            rows = old._db.run(f"SELECT {_ROW} FROM keys").rows
            people = old._db.run("SELECT issuer, subject, name, since FROM people").rows
            blocked = old._db.run("SELECT name, since FROM blocked").rows
        with self._db.changing("keys") as db:
            for row in rows:
                try:
                    db.run(f"{_INSERT} ON CONFLICT (id) DO NOTHING", *row)
                except Taken:
                    raise BadKey(
                        f'{folder / FILE}: there is another key "{row[1]}" in {self._db.name}; revoke one of them'
                    ) from None
            for somebody in people:
                db.run("INSERT INTO people VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", *somebody)
            for one in blocked:
                db.run("INSERT INTO blocked VALUES (?, ?) ON CONFLICT DO NOTHING", *one)
        put_aside(folder / FILE)
        return len(rows)

    def close(self) -> None:
        """Close where they are kept."""
        self._db.close()


class WatchedKeys(Keys):
    """The keys in a database as a server asks for them at every request: known by heart, and read again in a thread.

    A key that was made or revoked elsewhere is so here within `WATCH_SECONDS`. While the database is away the keys
    that are known stay.
    """

    def __init__(self, kept: StateStore) -> None:
        super().__init__(kept)
        self._known: dict[str, Any] = {}
        self._blocked: frozenset[str] = frozenset()
        self._used: dict[str, int] = {}
        self._read()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="points-keys", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        self._known = {row[0]: row for row in self._db.run(f"SELECT {_ROW} FROM keys").rows}
        self._blocked = frozenset(name for (name,) in self._db.run("SELECT name FROM blocked").rows)

    def _watch(self) -> None:
        while not self._stopping.wait(WATCH_SECONDS):
            with suppress(JournalError):
                while self._used:
                    id, now = self._used.popitem()
                    super()._use(id, now)
                self._read()

    def exist(self) -> bool:
        """As `Keys.exist` says."""
        return bool(self._known)

    def is_blocked(self, name: str) -> bool:
        """As `Keys.is_blocked` says."""
        return name in self._blocked

    def bootstrap(self, file: Path) -> Key | None:
        """As `Keys.bootstrap` says."""
        made = super().bootstrap(file)
        self._read()
        return made

    def _row(self, id: str) -> Any:
        return self._known.get(id)

    def _use(self, id: str, now: int) -> None:
        self._used[id] = now

    def close(self) -> None:
        """As `Keys.close` says."""
        self._stopping.set()
        self._thread.join()
        super().close()


def keys_of(place: str, folder: Path | None, *, is_watched: bool = False) -> Keys:
    """Return the keys of a ledger: in its folder, or in its database, which adopts those of a folder that is named.

    `is_watched` is for a server, which asks at every request. Raises `JournalError` and `BadKey`.
    """
    shared = shared_state(place)
    if shared is None:
        assert folder is not None
        return Keys(folder)
    if folder is not None:
        Keys(shared).adopt(folder)
    return WatchedKeys(shared) if is_watched else Keys(shared)


def person_behind(name: str) -> str:
    """Return a name as every other of the same person comes to it: without case, width and the digest of `person`."""
    return unicodedata.normalize("NFKC", _DIGEST.sub("", name)).casefold()[: MAX_NAME - 13]


def is_same_name(one: str, other: str) -> bool:
    """Return True if two names may be one person's.

    Whoever has a key and signs in with an issuer has the second beside the first, and must not approve their own.
    """
    return person_behind(one) == person_behind(other)


_COLUMNS = "id, name, scopes, rate, created, expires, last_used, revoked"
_ROW = f"{_COLUMNS}, hash, seal"
_INSERT = f"INSERT INTO keys ({_ROW}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def first_key(file: Path) -> tuple[str, str]:
    """Return the id and the secret of the key that stands in a file. Raises `BadKey`."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_LONGEST).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadKey(f"{BOOTSTRAP}: {file} cannot be read: {error}; name a file with one key") from None
    found = _TEXT.fullmatch(text)
    if found is None:
        raise BadKey(
            f"{BOOTSTRAP}: {file} has no key: {PREFIX}_, 12 hexadecimal digits, _ and a secret of 32 or more letters,"
            f" digits, - and _; `echo {PREFIX}_$(openssl rand -hex 6)_$(openssl rand -hex 32)` makes one"
        )
    return found[1], found[2]


def problems_of(folder: Path) -> list[str]:
    """Return what is wrong with the keys in a folder, one text a key; nothing where there are none."""
    path = folder / FILE
    if not path.is_file() or not path.stat().st_size:
        return []
    try:
        with reading_of(path) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] < FORMAT:
                return []  # of an older version: sealed when they are next used
            keys = [_key(row) for row in db.execute(f"SELECT {_ROW} FROM keys ORDER BY created, id")]
    except (sqlite3.Error, JournalError) as error:
        return [f"{path} cannot be read: {error}"]
    return _changed(str(path), keys)


def shared_problems(place: str) -> list[str]:
    """Return what is wrong with the keys in the database of a ledger; nothing for one in a folder."""
    if not is_address(place):
        return []
    with closing(keys_of(place, None)) as keys:
        return _changed(keys._db.name, keys.all())


def _changed(where: str, keys: Sequence[Key]) -> list[str]:
    way_out = "it opens nothing: revoke it and make another"
    return [f"{where}: the key {key.id} was changed by hand; {way_out}" for key in keys if not key.is_whole]


def _key(row: Sequence[Any]) -> Key:
    """Return the key of a row, as `_ROW` names its columns."""
    id, name, scopes, rate, created, expires, last_used, revoked, _, seal = row
    listed = tuple(str(scopes).split("\n"))
    return Key(id, name, listed, rate, created, expires, last_used, revoked, seal == _seal(row))


def _seal(row: Sequence[Any]) -> bytes:
    """Return the SHA-256 of a MessagePack array of a row's columns as `_ROW` names them, the last use excepted."""
    return sha256(msgspec.msgpack.encode([*row[:6], row[7], row[8]])).digest()


def _stored_hash(row: Sequence[Any] | None) -> bytes:
    return row[8] if row is not None and isinstance(row[8], bytes) else bytes(32)


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _now() -> int:
    return time.time_ns() // 1000


def _check_name(name: str) -> None:
    if not (0 < len(name) <= MAX_NAME and name.isprintable() and name == name.strip()):
        raise BadKey(f'"{name[:MAX_NAME]}" is no name; give 1 to {MAX_NAME} printable characters')


def check_scope(scope: str) -> None:
    """Raise `BadKey` for a scope that there is not."""
    if scope.startswith(GOODWILL):
        limit = scope.removeprefix(GOODWILL)
        if not (limit.isascii() and limit.isdigit() and 0 < int(limit[:12]) <= MOST_GOODWILL and limit[0] != "0"):
            raise BadKey(f'"{scope[:40]}" is no limit: goodwill:POINTS, 1 to {MOST_GOODWILL}')
        return
    narrowed = any(scope.startswith(s) and len(scope) > len(s) and scope.isprintable() for s in NARROWED_SCOPES)
    if scope not in PLAIN_SCOPES and not narrowed:
        raise BadKey(
            f'there is no scope "{scope}"; there are facts:write, facts:write:SOURCE-PREFIX, members:read,'
            " member:read:MEMBER, books:read, books:write, operate, goodwill:POINTS"
        )
