"""Two PostgreSQL servers: one is written, the other stands by and follows it, until they change places."""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.chaos.hosts import Host
from tests.chaos.processes import Process
from tests.support.databases import another_user

SETTINGS: Mapping[str, str] = {
    "hot_standby": "on",
    "wal_keep_size": "512MB",
    "wal_retrieve_retry_interval": "200ms",
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    "dynamic_shared_memory_type": "mmap",
}
START_SECONDS = 60.0
CAUGHT_UP_SECONDS = 20.0
_DATABASE = "points"


class Databases:
    """A primary and its standby; `is_synchronous` says that a commit waits for the standby."""

    def __init__(self, programs: Path, hosts: list[Host], folder: Path, logs: Path, *, is_synchronous: bool) -> None:
        self.is_synchronous = is_synchronous
        self._programs = programs
        self._user = another_user()
        self._folder = folder
        if self._user:
            shutil.chown(folder, *self._user)
        self._ports = {host.name: host.port(5432) for host in hosts}
        self.processes = [self._process(host, logs) for host in hosts]
        self._primary = 0

    @property
    def primary(self) -> Process:
        """The one that is written."""
        return self.processes[self._primary]

    @property
    def standby(self) -> Process:
        """The one that follows."""
        return self.processes[1 - self._primary]

    @property
    def address(self) -> str:
        """The ledger's address: whichever of the two can be written."""
        hosts = ",".join(f"{p.host.address}:{self._ports[p.host.name]}" for p in self.processes)
        return f"postgresql://points@{hosts}/{_DATABASE}?target_session_attrs=read-write"

    def make(self) -> None:
        """Make both, and the database; both run then."""
        first = self.primary
        data = self._data(first)
        self._run(first.host, "initdb", "-D", str(data), "-U", "points", "-A", "trust", "-E", "UTF8", "--locale=C")
        with (data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
        with (data / "pg_hba.conf").open("a") as file:
            file.write("host all all all trust\nhost replication all all trust\n")
        self.start(first)
        with closing(self.connect(first, "postgres")) as c:
            c.execute(f"CREATE DATABASE {_DATABASE} TEMPLATE template0 ENCODING 'UTF8'")
        self.follow()
        if self.is_synchronous:
            with closing(self.connect(first, "postgres")) as c:
                c.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                c.execute("SELECT pg_reload_conf()")

    def start(self, process: Process) -> None:
        """Start one, also after it was killed, and wait until it answers."""
        (self._data(process) / "postmaster.pid").unlink(missing_ok=True)
        process.start()
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.connect(process, "postgres").close()
            except psycopg.OperationalError as error:
                if process.exit_code is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{process.name} does not start: {error}; {process.said}") from error
                time.sleep(0.05)
            else:
                return

    def follow(self) -> None:
        """Make the standby anew from the primary, and start it."""
        data = self._data(self.standby)
        shutil.rmtree(data, ignore_errors=True)
        host, port = self.primary.host.address, self._ports[self.primary.host.name]
        source = ["-h", host, "-p", str(port), "-U", "points", "-X", "stream", "-R", "--checkpoint=fast", "--no-sync"]
        self._run(self.standby.host, "pg_basebackup", "-D", str(data), *source)
        self.start(self.standby)

    def is_followed(self) -> bool:
        """Return True if the standby has all that was committed, and what is committed from now on waits for it."""
        with suppress(psycopg.Error), closing(self.connect(self.primary, "postgres")) as c:
            wanted = "sync" if self.is_synchronous else "async"
            found = c.execute("SELECT state, sync_state FROM pg_stat_replication").fetchall()
            return found == [("streaming", wanted)]
        return False

    def wait_until_followed(self) -> bool:
        """Wait for that; False where it does not come about."""
        deadline = time.monotonic() + CAUGHT_UP_SECONDS
        while not (found := self.is_followed()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def fail_over(self) -> None:
        """Let the standby take the place of the primary, which is dead by now."""
        with closing(self.connect(self.standby, "postgres")) as c:
            c.execute("SELECT pg_promote(true, 60)")
        self._primary = 1 - self._primary

    def entries(self, partitions: int) -> int:
        """Return how many entries the primary's journals have. Raises `psycopg.Error`."""
        return sum(row[0] for row in self.of_each("SELECT head FROM points_{}.shard", partitions))

    def offsets(self, partitions: int, schema: str = "points") -> list[int]:
        """Return the offset up to which each partition of a ledger is decided. Raises `psycopg.Error`."""
        asked = f"SELECT notification_id - 1 FROM {schema}_{{}}.tracking WHERE application_name = 'facts'"
        return [row[0] for row in self.of_each(f"SELECT coalesce(({asked}), -1)", partitions)]

    def of_each(self, sql: str, partitions: int) -> list[Any]:
        """Return the row of each partition."""
        asked = " UNION ALL ".join(f"SELECT {p}, ({sql.format(p)})" for p in range(partitions))
        with closing(self.connect(self.primary, _DATABASE)) as c:
            return [row[1:] for row in sorted(c.execute(asked).fetchall())]

    def connect(self, process: Process, database: str = _DATABASE) -> "psycopg.Connection[Any]":
        """Return a connection to one of them. Raises `psycopg.OperationalError`."""
        port = self._ports[process.host.name]
        address = f"postgresql://points@{process.host.address}:{port}/{database}"
        return psycopg.connect(address, autocommit=True, connect_timeout=5, options="-c statement_timeout=10s")

    def _process(self, host: Host, logs: Path) -> Process:
        listening = ["-c", f"listen_addresses={host.address}", "-c", f"port={self._ports[host.name]}"]
        listening += ["-c", "unix_socket_directories="]
        command = [str(self._programs / "postgres"), "-D", str(self._folder / host.name), *listening]
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
        return Process(host, host.name, [*self._as_user, *command], logs / f"{host.name}.log", environment)

    def _data(self, process: Process) -> Path:
        return self._folder / process.host.name

    @property
    def _as_user(self) -> list[str]:
        """What a command begins with that root may not run."""
        if not self._user:
            return []
        user, group = self._user
        return ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--"]

    def _run(self, host: Host, program: str, *arguments: str) -> None:
        command = [*host.prefix, *self._as_user, str(self._programs / program), *arguments]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")
