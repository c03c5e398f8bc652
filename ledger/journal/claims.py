"""Which process decides a partition of a ledger in PostgreSQL, and how the processes notify each other.

A claim is an advisory lock of a session: it ends with its process, and somebody else may take it at once.
"""

from collections.abc import Sequence

from ledger.journal.port import Claims, JournalError
from ledger.journal.postgres_server import Server

# Of the server's own end of the session: claims of a machine that is gone are free after half a minute.
KEEPALIVE = """SELECT NULL AS partition, set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false), set_config('tcp_keepalives_count', '3', false)"""


def channel_of(schema: str) -> str:
    """Return the channel on which the processes of a ledger notify each other."""
    return f"{schema}_news"


class PostgresClaims(Claims):
    """The claims of this process, held by one of its connections. Used by one thread."""

    def __init__(self, server: Server, schema: str) -> None:
        self._server = server
        self._name = f"points partitions {schema}"
        self._channel = channel_of(schema)
        self._held: set[int] = set()
        self._listens = False
        with server.errors():
            self._connection = server.pool.getconn()
        try:
            self._partitions(KEEPALIVE)
        except JournalError:
            self.close()
            raise

    def take(self, partitions: Sequence[int]) -> set[int]:
        """Claim partitions; returns those that are this process's now. Raises `Unavailable`: then none is any more."""
        wanted = [partition for partition in partitions if partition not in self._held]
        if wanted:
            self._held |= self._partitions(
                "SELECT p AS partition FROM unnest(%s::integer[]) AS p WHERE pg_try_advisory_lock(hashtext(%s), p)",
                wanted,
                self._name,
            )
        return self._held & set(partitions)

    def taken(self) -> set[int]:
        """Return the partitions that any process has claimed. Raises `Unavailable`."""
        return self._partitions(
            "SELECT objid::integer AS partition FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2"
            " AND classid = hashtext(%s)::oid"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            self._name,
        )

    def release(self, partitions: Sequence[int]) -> None:
        """Leave partitions to others. Raises `Unavailable`."""
        left = self._held & set(partitions)
        self._held -= left
        if left:
            self._partitions(
                "SELECT p AS partition FROM unnest(%s::integer[]) AS p WHERE pg_advisory_unlock(hashtext(%s), p)",
                list(left),
                self._name,
            )

    def notifications(self, seconds: float) -> list[str]:
        """Return the messages since the last time; waits so long for the first. Raises `Unavailable`."""
        with self._server.errors():
            if not self._listens:
                self._connection.execute(f"LISTEN {self._channel}")
                self._listens = True
            return [notified.payload for notified in self._connection.notifies(timeout=seconds, stop_after=1)]

    def close(self) -> None:
        """Leave all."""
        self._connection.close()
        self._server.pool.putconn(self._connection)

    def _partitions(self, sql: str, *parameters: object) -> set[int]:
        with self._server.errors():
            return {row["partition"] for row in self._connection.execute(sql, parameters)}
