"""A server of several processes: front ends check, append and wait; this process decides, and starts them again.

Front ends are alike. The one that answers a request need not know which partition it concerns: what it appends is
decided by the owners here, and the decision comes back by its channel.
"""

import signal
import socket
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from consumers.kafka.settings import KafkaSettings
from ledger.errors import CannotRunNow
from ledger.journal.folder import Lock
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from ledger.journal.partition import Tally
from ledger.journal.processes import end_worker, start_worker
from service.console.sessions import Sessions
from service.errors import report, say
from service.http.app import make_app
from service.http.channels import BEAT, STARTED, FrontEndChannel, OwnersChannel
from service.http.dispatcher import Dispatcher, connection_pair, pass_on
from service.http.owner_processes import OwnerProcesses
from service.http.owners import Owners
from service.http.pending import Message
from service.http.server import GRACE_SECONDS, serve_inside
from service.http.state import owners_of
from service.keys import Keys
from service.stopping import stopping

LOOK_SECONDS = 1.0  # between two looks at the front ends, and until one that died is started again
AGAIN_SECONDS = 0.05  # until it is tried again where nobody takes a connection
HUNG_SECONDS = 30.0  # after which a front end that was not heard of is killed, and
START_SECONDS = 120.0  # one that does not come to serve
END_SECONDS = GRACE_SECONDS + 10.0  # for a front end to end by itself


@dataclass(frozen=True, slots=True)
class Job:
    """What the front ends of a server have in common. `shared` is a folder that lasts as long as the server.

    `lock` is there where the server is the one writer of a folder: it is theirs too, and held until the last has ended.
    """

    place: str
    folder: Path
    shared: Path
    wait: float
    version: str
    kafka: KafkaSettings | None
    workers: int
    lock: Lock | None = None


def supervise(job: Job, ledger: Ledger, listening: socket.socket, on_start: Callable[[list[int]], None]) -> None:
    """Serve with front ends until SIGINT or SIGTERM; `on_start` is called with their ids once all of them serve.

    Raises `CannotRunNow` where one cannot start at first; later it is tried again.
    """
    _ = ledger.book  # its types are laid out before there are threads
    with stopping(again_ends=False) as is_stopped:
        server = _Server(job, ledger)
        try:
            server.start()
            while not is_stopped() and not server.is_serving:
                server.receive()
                if not all(front_end.is_alive() for front_end in server.front_ends):
                    raise CannotRunNow("a worker could not start; what it said stands above")
            if not is_stopped():
                on_start([front_end.pid for front_end in server.front_ends])
            dispatcher = Dispatcher(listening, [front_end.take for front_end in server.front_ends])
            while not is_stopped():
                server.receive(dispatcher)
                for front_end in server.front_ends:
                    if not front_end.is_alive():
                        front_end.revive()
        finally:
            server.stop()


class _Server:
    """The owners in this process, and the front ends that append for them."""

    def __init__(self, job: Job, ledger: Ledger) -> None:
        self.front_ends: list[_FrontEnd] = []
        self._owners: Owners | OwnerProcesses | None = None
        if job.lock is not None:
            count = min(job.workers, len(ledger.partitions))
            shares = [ledger.partitions[n::count] for n in range(count)]
            self._owners = OwnerProcesses(job.place, shares, job.lock, self._count, self._send_state)
        elif not job.kafka:
            self._owners = owners_of(ledger, self._count, self._send_state)
        self.front_ends.extend(_FrontEnd(job, self._owners) for _ in range(job.workers))

    @property
    def is_serving(self) -> bool:
        return all(front_end.channel.is_serving for front_end in self.front_ends)

    def start(self) -> None:
        """Begin to decide."""
        if self._owners:
            self._owners.start(self._send_all)

    def receive(self, dispatcher: Dispatcher | None = None) -> None:
        """Take what front ends send, and dispatch connections; wait a moment for either."""
        channels = [front_end.channel for front_end in self.front_ends if front_end.channel.is_connected]
        waited: list[Any] = [channel.pipe for channel in channels]
        seconds = LOOK_SECONDS
        if dispatcher and dispatcher.dispatch():
            waited.append(dispatcher)
        elif dispatcher:
            seconds = AGAIN_SECONDS
        if isinstance(self._owners, OwnerProcesses):
            waited.extend(self._owners.pipes)
        wait(waited, seconds)
        if isinstance(self._owners, OwnerProcesses):
            self._owners.receive()
        for channel in channels:
            channel.receive()
        self._send_state()

    def stop(self) -> None:
        """Have the front ends answer what they are asked now, and end; then decide what they took."""
        for front_end in self.front_ends:
            front_end.terminate()
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline and any(front_end.is_alive() for front_end in self.front_ends):
            self.receive()
        for front_end in self.front_ends:
            front_end.end()
        if self._owners:
            self._owners.stop()

    def _count(self, tally: Tally) -> None:
        """Have a front end count a batch: metrics are added up over the front ends."""
        serving = (front_end for front_end in self.front_ends if front_end.channel.is_serving)
        next(serving, self.front_ends[0]).channel.send(tally)

    def _send_all(self, message: Message) -> None:
        for front_end in self.front_ends:
            front_end.channel.send(message)

    def _send_state(self) -> None:
        for front_end in self.front_ends:
            front_end.channel.send_state()


class _FrontEnd:
    """A process that serves, the channel to it, and the way by which it is passed connections."""

    def __init__(self, job: Job, owners: Owners | OwnerProcesses | None) -> None:
        self._job = job
        self._owners = owners
        self._start()

    def _start(self) -> None:
        self._outside, inside = connection_pair()
        self._process, pipe = start_worker(_work, self._job, inside, daemon=False)
        inside.close()
        self._revive_at = 0.0
        self.channel = FrontEndChannel(pipe, self._owners)
        self.channel.send_state()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def is_alive(self) -> bool:
        """Return True if it runs; one that hangs is killed."""
        if time.monotonic() > self.channel.heard_at + (HUNG_SECONDS if self.channel.is_serving else START_SECONDS):
            self._process.kill()
            self._process.join()
        return self._process.is_alive()

    def take(self, connection: socket.socket) -> bool:
        """Serve a connection; False where it does not serve now, or has too many to take in."""
        return self.channel.is_serving and pass_on(self._outside, connection)

    def revive(self) -> None:
        """Start it again a moment after it ended, and say how that was."""
        if not self._revive_at:
            self._revive_at = time.monotonic() + LOOK_SECONDS
            code = self._process.exitcode or 0
            say(f"worker {self.pid} ended ({f'signal {-code}' if code < 0 else f'exit {code}'}) and is started again")
        elif time.monotonic() >= self._revive_at:
            self.end()
            self._start()

    def terminate(self) -> None:
        """Tell it to answer what it is asked now, and end."""
        if self._process.is_alive():
            self._process.terminate()

    def end(self) -> None:
        """End it, if it has not ended by itself."""
        end_worker(self._process, 0)
        mark_process_dead(self.pid)  # type: ignore[no-untyped-call]  # what it had running counts no more
        self.channel.close()
        self._outside.close()


def _work(pipe: Connection, job: Job, inside: socket.socket) -> None:
    """A front end: serve until told to end, or until the server's first process has ended."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # which tells it to end
    channel = OwnersChannel(pipe)

    def beat() -> bool:
        channel.send(BEAT)
        return channel.is_connected

    try:
        with (
            closing(open_ledger(job.place)) as ledger,
            closing(Keys(job.folder)) as keys,
            closing(Sessions(job.shared / "sessions.db")) as sessions,
        ):
            app = make_app(ledger, job.folder, keys, sessions, job.wait, job.version, job.kafka, channel, job.workers)
            serve_inside(app, inside, lambda: channel.send(STARTED), beat)
    except Exception as error:
        raise SystemExit(report(error)) from None
