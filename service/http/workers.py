"""A server of several processes: front ends check, append and wait; owners decide; this process starts them again.

Front ends are alike. The one that answers a request need not know which partition it concerns: what it appends is
decided by the owners, and the decision comes back by the channel to them. Every process but this one may die or hang
alone: nobody waits for it longer than for its decisions, and it is started again.
"""

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from consumers.kafka.settings import KafkaSettings, OidcSettings
from ledger.errors import CannotRunNow
from ledger.journal.folder import Lock
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from service.console.sessions import sessions_of
from service.errors import report
from service.http.app import make_app
from service.http.bounds import Bounds
from service.http.channels import RemoteOwners, Share
from service.http.dispatcher import Dispatcher, connection_pair, pass_on
from service.http.owner_process import own
from service.http.server import GRACE_SECONDS, serve_inside
from service.http.supervised import BEAT, STARTED, Supervised
from service.keys import keys_of
from service.stopping import stopping

LOOK_SECONDS = 1.0  # between two looks at the processes
AGAIN_SECONDS = 0.05  # until it is tried again where nobody takes a connection
END_SECONDS = GRACE_SECONDS + 10.0  # for a front end to end by itself,
DECIDE_SECONDS = 60.0  # and for an owner to decide what was appended
SOCKET_BYTES = 100  # of the path of a Unix socket, at most


@dataclass(frozen=True, slots=True)
class Job:
    """What the processes of a server have in common. `shared` is a folder that lasts as long as the server.

    `lock` is there where the server is the one writer of a folder: it is theirs too, and held until the last has ended.
    `shares` are those of its owners; none where Kafka feeds the ledger and consumers decide.
    """

    place: str
    folder: Path
    shared: Path
    wait: float
    version: str
    kafka: KafkaSettings | None
    workers: int
    shares: list[Share]
    bounds: Bounds
    oidc: OidcSettings | None = None
    lock: Lock | None = None


def shares_of(ledger: Ledger, shared: Path, workers: int) -> list[Share]:
    """Return the shares of as many owners as there are workers, each of every n-th partition. Raises `CannotRunNow`."""
    count = min(workers, len(ledger.partitions))
    found = [Share(shared / f"owner-{n}", ledger.partitions[n::count]) for n in range(count)]
    if len(os.fsencode(found[-1].socket)) > SOCKET_BYTES:
        raise CannotRunNow(f"{shared} is too long a path for a socket in it; set TMPDIR to a shorter folder")
    return found


def supervise(
    job: Job, listening: socket.socket, on_start: Callable[[list[int]], None], is_split: Callable[[], bool]
) -> bool:
    """Serve with front ends until SIGINT or SIGTERM, or (True) until the ledger was split.

    `on_start` is called with their ids once all of them serve. Raises `CannotRunNow` where a process cannot start at
    first; later it is tried again.
    """
    with stopping(again_ends=False) as is_stopped:
        server = _Server(job)
        try:
            while not is_stopped() and not all(process.is_serving for process in server.processes):
                server.receive()
                if not all(process.is_alive() for process in server.processes):
                    raise CannotRunNow("a worker could not start; what it said stands above")
            if not is_stopped():
                on_start([front_end.pid for front_end in server.front_ends])
            dispatcher = Dispatcher(listening, [front_end.take for front_end in server.front_ends])
            while not (is_stopped() or is_split()):
                server.receive(dispatcher)
                for process in server.processes:
                    process.keep_alive()
        finally:
            server.stop()
        return not is_stopped()


class _Server:
    """The owners and the front ends."""

    def __init__(self, job: Job) -> None:
        self._owners = [
            Supervised("the process that decides,", own, job.place, share, _others(job.shares, share), job.lock)
            for share in job.shares
        ]
        self.front_ends = [_FrontEnd("worker", _serve, job) for _ in range(job.workers)]
        self.processes: list[Supervised] = [*self._owners, *self.front_ends]

    def receive(self, dispatcher: Dispatcher | None = None) -> None:
        """Take what processes send, and dispatch connections; wait a moment for either."""
        waited: list[Any] = [process.pipe for process in self.processes if process.is_heard]
        seconds = LOOK_SECONDS
        if dispatcher and dispatcher.dispatch():
            waited.append(dispatcher)
        elif dispatcher:
            seconds = AGAIN_SECONDS
        wait(waited, seconds)
        for process in self.processes:
            process.receive()

    def stop(self) -> None:
        """Have the front ends answer what they are asked now, and end; then have decided what they took."""
        for front_end in self.front_ends:
            front_end.terminate()
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline and any(front_end.is_alive() for front_end in self.front_ends):
            self.receive()
        for front_end in self.front_ends:
            front_end.end(0)
        for owner in self._owners:
            owner.tell_to_end()
        for owner in self._owners:
            owner.end(DECIDE_SECONDS)


def _others(shares: list[Share], share: Share) -> list[Share]:
    return [other for other in shares if other is not share]


class _FrontEnd(Supervised):
    """A process that serves, and the way by which it is passed connections."""

    def start(self, *more: Any) -> None:
        self._outside, inside = connection_pair()
        super().start(inside)
        inside.close()

    def take(self, connection: socket.socket) -> bool:
        """Serve a connection; False where it does not serve now, or has too many to take in."""
        return self.is_serving and pass_on(self._outside, connection)

    def terminate(self) -> None:
        """Tell it to answer what it is asked now, and end."""
        if self._process.is_alive():
            self._process.terminate()

    def end(self, seconds: float) -> None:
        super().end(seconds)
        self._outside.close()


def _serve(pipe: Connection, job: Job, inside: socket.socket) -> None:
    """A front end: serve until told to end, or until the server's first process has ended."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # which tells it to end

    def beat() -> bool:
        try:
            pipe.send(BEAT)
        except OSError:
            return False
        return True

    owners = None if job.kafka else RemoteOwners(job.shares)
    try:
        with (
            closing(open_ledger(job.place)) as ledger,
            closing(keys_of(job.place, job.folder, is_watched=True)) as keys,
            closing(sessions_of(job.place, job.folder)) as sessions,
        ):
            shared = job.wait, job.version, job.kafka
            app = make_app(ledger, job.folder, keys, sessions, *shared, owners, job.workers, job.oidc)
            serve_inside(app, job.bounds, inside, lambda: pipe.send(STARTED), beat)
    except Exception as error:
        raise SystemExit(report(error)) from None
