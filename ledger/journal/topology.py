"""Where the partitions of a ledger in PostgreSQL stand: its servers, and a schema per partition."""

import re
from collections.abc import Mapping

from ledger.journal.port import JournalError
from ledger.journal.postgres_server import CONNECTIONS, Server, has_password, name_of, split

SCHEMA = "points"
MAIN = "main"  # the server that keeps what belongs to no partition
_SCHEMA = re.compile("[a-z][a-z0-9_]{0,47}")
_SPAN = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")


class Topology:
    """The servers of a ledger, a pool of connections each, and its schemas.

    `main` and `schema` keep what belongs to no partition. Partitions stand on `main` unless `spread` says otherwise.
    """

    def __init__(self, address: str) -> None:
        """Open the main server. Raises `JournalError` where it will not do or the address cannot be read."""
        self.address = address
        theirs, self.schema, self._connections = schema_named(address)
        self._born = 1
        self._spans: list[tuple[range, str]] = []
        self.moved: Mapping[str, str] = {}  # where partitions stand that were moved, by number
        self._others: dict[str, Server] = {}
        self.main = self._opened(theirs)

    def spread(self, partitions: int, servers: Mapping[str, str], moved: Mapping[str, str]) -> None:
        """Put spans of partitions (such as "32-63") on other servers, by address. Raises `JournalError`.

        `partitions` is how many the ledger was born with: one that branched off since stands where its parent does.
        `moved` are those that were moved since, by number.
        """
        self.moved = moved
        self._born = partitions
        taken: set[int] = set()
        for text, address in servers.items():
            span = _span(text, partitions)
            if not taken.isdisjoint(span):
                raise JournalError(f"partitions {text} are given twice")
            if has_password(address):
                raise JournalError(f"{name_of(address)}: leave the password out, it would be kept: use a passfile")
            taken.update(span)
            self._spans.append((span, address))

    def schema_of(self, partition: int) -> str:
        """Return the schema of a partition."""
        return f"{self.schema}_{partition}"

    def making_of(self, partition: int) -> str:
        """Return the schema in which a split makes a partition, until it is whole."""
        return f"{self.schema_of(partition)}_new"

    def server_of(self, partition: int) -> Server:
        """Return the server of a partition, opened when it is first needed. Raises `JournalError`."""
        return self.server_at(self.address_of(partition))

    def address_of(self, partition: int) -> str:
        """Return the address of a partition's server, `MAIN` for the main one."""
        spread = (address for span, address in self._spans if partition % self._born in span)
        return self.moved.get(str(partition)) or next(spread, MAIN)

    def move(self, moved: Mapping[str, str]) -> None:
        """Know where partitions stand that were moved, by number."""
        self.moved = moved

    @property
    def growing_lock(self) -> str:
        """The name of the lock of who splits or moves partitions: one at a time."""
        return f"points split {self.schema}"

    def server_at(self, address: str) -> Server:
        """Return the server at an address, opened when it is first needed. Raises `JournalError`."""
        if address == MAIN:
            return self.main
        if address not in self._others:
            self._others[address] = self._opened(address)
        return self._others[address]

    def close(self) -> None:
        """End all connections."""
        for server in (self.main, *self._others.values()):
            server.close()

    def _opened(self, address: str) -> Server:
        server = Server(address, self._connections)
        server.open()
        return server


def schema_named(address: str) -> tuple[str, str, int]:
    """Return an address as libpq reads it, and of ours its schema and how many connections. Raises `JournalError`."""
    theirs, ours = split(address)
    schema, most = ours.get("points_schema", SCHEMA), ours.get("points_connections", str(CONNECTIONS))
    if not _SCHEMA.fullmatch(schema):
        raise JournalError(f'points_schema="{schema}" is no name of a schema: a-z, 0-9 and _, a letter first')
    if schema.startswith("pg_"):
        raise JournalError(
            f'points_schema="{schema}": PostgreSQL keeps names that begin with pg_ for itself; give another'
        )
    if not (most.isascii() and most.isdecimal() and 1 <= int(most) <= 1_000):
        raise JournalError(f'points_connections="{most}" is no number from 1 to 1000')
    return theirs, schema, int(most)


def _span(text: str, partitions: int) -> range:
    """Return the partitions that are written "7" or "32-63"."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise JournalError(f'"{text}" is no span of partitions such as 32-63')
    first, last = int(found[1]), int(found[2] or found[1])
    if not first <= last < partitions:
        raise JournalError(f'"{text}" is no span of the partitions 0-{partitions - 1}')
    return range(first, last + 1)
