"""The webhooks of a ledger: who is told, by which secret, and how far each was told, partition by partition.

They stand in a file beside the ledger for its owner's eyes only, since a secret has to be known to sign, or among the
state that servers share in its database. How far a webhook was told moves only behind what its receiver acknowledged:
the journal is the queue, and nothing else is kept.
"""

import secrets
import sqlite3
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ledger.errors import CannotRunNow, Unusable
from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.wire.answers import Outcome
from ledger.wire.fact_catalogue import CATALOGUE
from ledger.wire.times import SECOND
from service.state_store import FileState, Statements, StateStore, Taken, put_aside, sharing

FILE = "webhooks.db"
MOST = 32  # webhooks of a ledger
MOST_TYPES = 64
LONGEST_URL = 2_000
LONGEST_NAME = 64
LONGEST_WHY = 500
SECRET_BYTES = 32
FORMAT = 1
OLD_SECONDS = 86_400  # for which an old secret signs beside a new one
ONCE_SECONDS = 86_400  # for which the same request again is known
TYPES = frozenset(str(row.fact.__struct_config__.tag) for row in CATALOGUE)
OUTCOMES: tuple[Outcome, ...] = ("accepted", "refused", "ignored")


class BadWebhook(Unusable):
    """A webhook that cannot be made or found: why, and the way out."""


class NotDelivered(CannotRunNow):
    """A message that was not acknowledged: why. `is_gone` where its receiver wants no more."""

    def __init__(self, why: str, *, is_gone: bool = False) -> None:
        super().__init__(why)
        self.is_gone = is_gone


class Webhook(NamedTuple):
    """A webhook; instants in microseconds, None where there is none. What is empty of the filters leaves nothing out.

    `is_private` says that an operator of this host lets it reach addresses that are not public. `failing_since` is when
    the first of the failures came that no success has ended.
    """

    name: str
    url: str
    secret: str
    types: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    is_private: bool
    by: str
    created: int
    is_active: bool = True
    failing_since: int | None = None
    failures: int = 0
    why: str = ""  # the last failure, or why it was disabled
    delivered: int = 0  # entries
    delivered_at: int | None = None
    old_secret: str = ""  # that signs, too, until `old_until`
    old_until: int = 0
    once: str = ""  # the name of the request that made or rotated it last

    def secrets_at(self, instant: int) -> tuple[str, ...]:
        """Return the secrets that sign at an instant, the newest first."""
        return (self.secret, self.old_secret) if self.old_secret and instant < self.old_until else (self.secret,)


class Told(NamedTuple):
    """How many entries of a partition a webhook was told, and the chain's link at the last of them."""

    sequence: int
    link: bytes


_TABLES = (
    "CREATE TABLE IF NOT EXISTS webhooks (name TEXT PRIMARY KEY, url TEXT NOT NULL, secret TEXT NOT NULL,"
    " types TEXT NOT NULL, outcomes TEXT NOT NULL, is_private INTEGER NOT NULL, by TEXT NOT NULL,"
    " created INTEGER NOT NULL, is_active INTEGER NOT NULL, failing_since INTEGER,"
    " failures INTEGER NOT NULL, why TEXT NOT NULL, delivered INTEGER NOT NULL, delivered_at INTEGER) STRICT",
    "CREATE TABLE IF NOT EXISTS told (name TEXT NOT NULL, partition INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL, link BLOB NOT NULL, PRIMARY KEY (name, partition)) STRICT",
)
_LATER = (
    "old_secret TEXT NOT NULL DEFAULT ''",
    "old_until INTEGER NOT NULL DEFAULT 0",
    "once TEXT NOT NULL DEFAULT ''",
)


class Webhooks:
    """The webhooks of a ledger: in a file of a folder, or in its database. Several processes may use them at once."""

    def __init__(self, kept: StateStore) -> None:
        self._state = kept
        self._db: Statements = kept

    @classmethod
    def at(cls, folder: Path) -> "Webhooks":
        """Return those in a folder's file, which is made where there is none. Raises `JournalError`."""
        path = folder / FILE
        try:
            found = cls(FileState(path, _TABLES))
            found._migrate()
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"{path}: {error}") from error
        return found

    def _migrate(self) -> None:
        """Add the columns that a file of an older version has not, once."""
        if self._format() >= FORMAT:
            return
        with self._changing():
            if self._format() < FORMAT:
                for column in _LATER:
                    self._db.run(f"ALTER TABLE webhooks ADD COLUMN {column}")
                self._db.run(f"PRAGMA user_version = {FORMAT}")

    def _format(self) -> int:
        return int(self._db.run("PRAGMA user_version").first()[0])

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Have what is done within be done all at once, or not at all."""
        with self._state.changing("webhooks") as db:
            self._db = db
            try:
                yield
            finally:
                self._db = self._state

    def adopt(self, folder: Path) -> None:
        """Take in the webhooks of a folder's file, which is put aside then. Raises `BadWebhook`.

        One that is here already, as another server's folder had it, is another one: its receiver knows one secret.
        """
        if not are_in(folder):
            return
        with closing(Webhooks.at(folder)) as old:
            found = [(webhook, old.told(webhook.name)) for webhook in old.all()]
        with self._changing():
            there = {webhook.name: webhook for webhook in self.all()}
            for webhook, told in found:
                if webhook.name not in there:
                    self._insert(webhook, told)
                elif webhook.secret != there[webhook.name].secret:
                    raise BadWebhook(
                        f'{folder / FILE}: there is another webhook "{webhook.name}" in {self._state.name}; remove one'
                    )
        put_aside(folder / FILE)

    def all(self) -> list[Webhook]:
        """Return every webhook, by name."""
        return [_webhook(row) for row in self._db.run(f"SELECT {_COLUMNS} FROM webhooks ORDER BY name").rows]

    def named(self, name: str) -> Webhook:
        """Return a webhook. Raises `BadWebhook`."""
        row = self._db.run(f"SELECT {_COLUMNS} FROM webhooks WHERE name = ?", name).first()
        if row is None:
            raise BadWebhook(f'there is no webhook "{name[:LONGEST_NAME]}"; `points webhooks list` shows them')
        return _webhook(row)

    def add(
        self,
        ledger: Ledger,
        name: str,
        url: str,
        by: str,
        *,
        types: Sequence[str] = (),
        outcomes: Sequence[str] = (),
        is_private: bool = False,
        from_beginning: bool = False,
        once: str = "",
    ) -> Webhook:
        """Make a webhook, told what is decided from now on, or all there ever was. Raises `BadWebhook`.

        The same again with the same `once`, within a day, returns the one that was made.
        """
        check_request(name, url, types, outcomes, is_private=is_private)
        secret = _new_secret()
        told = tuple(outcome for outcome in OUTCOMES if outcome in outcomes)
        found = Webhook(name, url, secret, tuple(dict.fromkeys(types)), told, is_private, by, _now())
        found = found._replace(once=once)
        starts = {p: branch_of(ledger, p) if from_beginning else end_of(ledger, p) for p in ledger.partitions}
        try:
            with self._changing():
                if self._db.run("SELECT count(*) FROM webhooks").first()[0] >= MOST:
                    raise BadWebhook(f"there are {MOST} webhooks, as many as may be; remove one first")
                self._insert(found, starts)
        except Taken:
            there = self.named(name)
            if there.once == once != "" and _now() < there.created + ONCE_SECONDS * SECOND and _is_alike(there, found):
                return there
            raise BadWebhook(f'there is a webhook "{name}" already; remove it or give another name') from None
        return found

    def remove(self, name: str) -> Webhook:
        """Take a webhook away: nobody is told by it any more. Raises `BadWebhook`."""
        found = self.named(name)
        with self._changing():
            self._db.run("DELETE FROM told WHERE name = ?", name)
            self._db.run("DELETE FROM webhooks WHERE name = ?", name)
        return found

    def enable(self, ledger: Ledger, name: str, *, from_now: bool = False) -> Webhook:
        """Begin again with one that was disabled, from where it stopped or from now. Raises `BadWebhook`."""
        found = self.named(name)
        with self._changing():
            if from_now:
                self._start(name, {partition: end_of(ledger, partition) for partition in ledger.partitions})
            self._db.run(
                "UPDATE webhooks SET is_active = 1, failing_since = NULL, failures = 0, why = '' WHERE name = ?", name
            )
        return found._replace(is_active=True, failing_since=None, failures=0, why="")

    def rotate(self, name: str, *, at_once: bool = False, once: str = "") -> Webhook:
        """Give it a new secret; the old one signs beside it for a day, or no more `at_once`. Raises `BadWebhook`.

        The same again with the same `once`, while the old one signs, returns what it gave then; never `at_once`, after
        which the old one must sign no more.
        """
        with self._changing():
            found, now = self.named(name), _now()
            if at_once or not (found.once == once != "" and now < found.old_until):
                found = found._replace(
                    secret=_new_secret(),
                    old_secret="" if at_once else found.secret,
                    old_until=0 if at_once else now + OLD_SECONDS * SECOND,
                    once=once,
                )
                self._db.run(
                    "UPDATE webhooks SET secret = ?, old_secret = ?, old_until = ?, once = ? WHERE name = ?",
                    *(found.secret, found.old_secret, found.old_until, once, name),
                )
        return found

    def told(self, name: str) -> dict[int, Told]:
        """Return how far a webhook was told, by partition."""
        rows = self._db.run("SELECT partition, sequence, link FROM told WHERE name = ?", name).rows
        return {partition: Told(sequence, bytes(link)) for partition, sequence, link in rows}

    def grow(self, ledger: Ledger, name: str) -> None:
        """Begin to tell of the partitions that a ledger has got since, behind what their parents tell of."""
        told = self.told(name)
        if told and len(told) < len(ledger.partitions):
            with self._changing():
                self._start(name, {p: told.get(p) or branch_of(ledger, p) for p in ledger.partitions})

    def tell(self, name: str, partition: int, told: Told, entries: int) -> None:
        """Move on how far a webhook was told, by so many entries that its receiver acknowledged (0: left out)."""
        with self._changing():
            self._db.run(
                "UPDATE told SET sequence = ?, link = ? WHERE name = ? AND partition = ?", *told, name, partition
            )
            if entries:
                self._db.run(
                    "UPDATE webhooks SET delivered = delivered + ?, delivered_at = ?, failing_since = NULL,"
                    " failures = 0, why = '' WHERE name = ? AND is_active = 1",
                    *(entries, _now(), name),
                )

    def fail(self, name: str, why: str) -> Webhook | None:
        """Keep that its receiver did not acknowledge; return it as it is now, None where it was removed."""
        self._db.run(
            "UPDATE webhooks SET failing_since = coalesce(failing_since, ?), failures = failures + 1, why = ?"
            " WHERE name = ? AND is_active = 1",
            *(_now(), why[:LONGEST_WHY], name),
        )
        with suppress(BadWebhook):
            return self.named(name)
        return None

    def disable(self, name: str, why: str) -> None:
        """Tell it nothing more until an operator enables it."""
        self._db.run("UPDATE webhooks SET is_active = 0, why = ? WHERE name = ?", why[:LONGEST_WHY], name)

    def delivering(self) -> AbstractContextManager[Callable[[], None]]:
        """Wait until no other process delivers, as `StateStore.alone` says."""
        return self._state.alone("webhooks")

    def close(self) -> None:
        """Close what they are in."""
        self._state.close()

    def _insert(self, webhook: Webhook, told: Mapping[int, Told]) -> None:
        self._db.run(f"INSERT INTO webhooks ({_COLUMNS}) VALUES ({', '.join('?' * 17)})", *_row(webhook))
        self._start(webhook.name, told)

    def _start(self, name: str, starts: Mapping[int, Told]) -> None:
        self._db.run("DELETE FROM told WHERE name = ?", name)
        for partition, told in starts.items():
            self._db.run(
                "INSERT INTO told (name, partition, sequence, link) VALUES (?, ?, ?, ?)", name, partition, *told
            )


_COLUMNS = (
    "name, url, secret, types, outcomes, is_private, by, created, is_active, failing_since, failures, why, delivered,"
    " delivered_at, old_secret, old_until, once"
)


def are_in(folder: Path) -> bool:
    """Return True if a folder may have webhooks."""
    return (folder / FILE).is_file()


def are_any(state: StateStore | None, folder: Path) -> bool:
    """Return True if a ledger may have webhooks, by its shared state or, where there is none, its folder."""
    if state is None:
        return are_in(folder)
    return state.run("SELECT 1 FROM webhooks LIMIT 1").first() is not None


@contextmanager
def webhooks_in(state: StateStore | None, folder: Path | None) -> Iterator[Webhooks]:
    """Yield the webhooks in shared state, which stays open, or those of a folder. Raises `JournalError`."""
    if state is not None:
        yield Webhooks(state)
        return
    assert folder is not None
    with closing(Webhooks.at(folder)) as found:
        yield found


@contextmanager
def webhooks_of(place: str, folder: Path | None) -> Iterator[Webhooks]:
    """Yield the webhooks of a ledger: in its folder, or in its database, which adopts those of a folder that is named.

    Raises `JournalError` and `BadWebhook`.
    """
    with sharing(place) as state, webhooks_in(state, folder) as found:
        if state is not None and folder is not None:
            found.adopt(folder)
        yield found


def branch_of(ledger: Ledger, partition: int) -> Told:
    """Return where the own entries of a partition's journal begin."""
    branch = ledger.branch(partition)
    return Told(branch.entries, bytes.fromhex(branch.link) if branch.entries else b"")


def end_of(ledger: Ledger, partition: int) -> Told:
    """Return where a partition's journal ends."""
    journal = ledger.journal(partition)
    head = journal.head().entries
    return Told(head, journal.link_at(head))


def check_request(
    name: str, url: str, types: Sequence[str], outcomes: Sequence[str], *, is_private: bool = False
) -> None:
    """Raise `BadWebhook` for what cannot be a webhook."""
    if not (0 < len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip() and "/" not in name):
        raise BadWebhook(f"a name has 1 to {LONGEST_NAME} printable characters, and no slash")
    try:
        parts = urlsplit(url)
        is_address = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        raise BadWebhook("the url is no address; give one such as https://shop.example/hooks/points") from None
    if not is_address or len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise BadWebhook(
            f"the url is no address of at most {LONGEST_URL:,} characters; give one such as"
            " https://shop.example/hooks/points"
        )
    if parts.scheme not in (("https", "http") if is_private else ("https",)):
        raise BadWebhook(
            "the url does not begin with https://; plain http is for hosts of your own network: `points webhooks add"
            " --private` on the ledger's host"
        )
    if parts.username is not None or parts.fragment:
        raise BadWebhook("the url has a user, a password or a fragment; the signature says who sends")
    for kind in types:
        if kind not in TYPES:
            raise BadWebhook(f'there are no facts of type "{kind[:128]}"; `points schema` lists them')
    for outcome in outcomes:
        if outcome not in OUTCOMES:
            raise BadWebhook(f'there is no outcome "{outcome[:128]}"; there are {", ".join(OUTCOMES)}')
    if len(types) > MOST_TYPES or len(outcomes) > len(OUTCOMES):
        raise BadWebhook("as many types or outcomes are none of a filter; leave it out to be told all")


def _webhook(row: Sequence[Any]) -> Webhook:
    name, url, secret, types, outcomes, is_private, by, created, is_active, *more = row
    told = tuple(outcome for outcome in OUTCOMES if outcome in _split(outcomes))
    return Webhook(name, url, secret, _split(types), told, bool(is_private), by, created, bool(is_active), *more)


def _row(webhook: Webhook) -> tuple[Any, ...]:
    return (*webhook[:3], "\n".join(webhook.types), "\n".join(webhook.outcomes), *map(_plain, webhook[5:]))


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def _new_secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _is_alike(one: Webhook, other: Webhook) -> bool:
    """Return True if two webhooks were asked for alike."""
    return one[:2] == other[:2] and one[3:7] == other[3:7]


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()


def _now() -> int:
    return time.time_ns() // 1000
