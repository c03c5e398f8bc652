"""Several processes that serve one ledger: they are handed connections, and started again when they die."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from prometheus_client.multiprocess import mark_process_dead

from ledger.errors import CannotRunNow
from ledger.journal.folder import Lock
from ledger.journal.open import open_ledger
from service.console.sessions import Sessions
from service.errors import report, say
from service.http import metrics
from service.http.app import make_app
from service.http.deciders import Part
from service.http.doorman import Door, Doorman
from service.http.server import GRACE_SECONDS, serve_inside
from service.http.ties import tied
from service.keys import Keys
from service.stopping import stopping

if TYPE_CHECKING:
    from consumers.kafka.settings import KafkaSettings

LOOK_SECONDS = 1.0  # between two looks at the workers, and until one that died is started again
HUNG_SECONDS = 30.0  # after which a worker that was not heard of is killed, and
START_SECONDS = 120.0  # one that does not come to serve
END_SECONDS = GRACE_SECONDS + 10.0  # for a worker to end by itself
_STARTED, _BEAT = "started", "beat"


@dataclass(frozen=True, slots=True)
class Job:
    """What the workers of a server have in common. `shared` is a folder that lasts as long as the server.

    `lock` is there where they are the one writer of a folder: it is theirs too, and held until the last of them ends.
    """

    place: str
    folder: Path
    shared: Path
    wait: float
    version: str
    kafka: "KafkaSettings | None"
    follows: bool
    lock: Lock | None = None


@contextmanager
def shared_folder() -> Iterator[Path]:
    """A folder for what the workers of a server share while it runs: sessions, and the metrics they count."""
    with TemporaryDirectory(prefix="points-serve-") as made:
        folder = Path(made)
        (folder / "metrics").mkdir()
        os.environ[metrics.SHARED] = str(folder / "metrics")
        yield folder


def supervise(job: Job, workers: int, listening: socket.socket, on_start: Callable[[list[int]], None]) -> None:
    """Serve with so many processes until SIGINT or SIGTERM; `on_start` hears their ids once all of them serve.

    Raises `CannotRunNow` where one cannot start at first; later it is tried again.
    """
    with stopping(again_ends=False) as is_stopped, _parts(job, workers) as parts:
        running = [_Worker(job, part) for part in parts]
        doorman = Doorman(listening, running)
        has_started = False
        try:
            while not is_stopped():
                wait([worker.pipe for worker in running], LOOK_SECONDS)
                for worker in running:
                    worker.hear()
                if not has_started and all(worker.is_serving for worker in running):
                    has_started = True
                    doorman.start()
                    on_start([worker.pid for worker in running])
                for worker in running:
                    if not worker.is_alive and not is_stopped():
                        if not has_started:
                            raise CannotRunNow("a worker could not start; what it said stands above")
                        worker.revive()
        finally:
            doorman.stop()
            for worker in running:
                worker.stop()
            for worker in running:
                worker.end()


@contextmanager
def _parts(job: Job, workers: int) -> Iterator[list[Part]]:
    """Who the workers are, and what ties those of a folder together."""
    if job.lock is None:
        yield [Part(number, workers) for number in range(workers)]
        return
    with tied(workers, job.shared) as ties:
        yield [Part(number, workers, its) for number, its in enumerate(ties)]


class _Worker:
    """A process that serves, the pipe on which it is heard of, and the door by which it is handed connections."""

    pipe: Connection
    is_serving: bool

    def __init__(self, job: Job, part: Part) -> None:
        self._about = (job, part)
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe(duplex=False)
        self.is_serving = False
        self._door = Door()
        self._heard_at = time.monotonic()
        self._process: BaseProcess = context.Process(target=_work, args=(*self._about, self._door.inside, theirs))
        self._process.start()
        theirs.close()
        self._door.inside.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs; one that hangs is killed."""
        if time.monotonic() > self._heard_at + (HUNG_SECONDS if self.is_serving else START_SECONDS):
            self._process.kill()
            self._process.join()
        return self._process.is_alive()

    def take(self, connection: socket.socket) -> bool:
        """Serve a connection; False where it does not serve now, or has too many to take in."""
        return self.is_serving and self._door.pass_in(connection)

    def hear(self) -> None:
        """Take what it said."""
        with suppress(EOFError, OSError):  # one that died shows by that
            while self.pipe.poll():
                self.is_serving |= self.pipe.recv() == _STARTED
                self._heard_at = time.monotonic()

    def revive(self) -> None:
        """Start it again after it ended, and say how that was."""
        code = self._process.exitcode or 0
        say(f"worker {self.pid} ended ({f'signal {-code}' if code < 0 else f'exit {code}'}) and is started again")
        self.end()
        time.sleep(LOOK_SECONDS)
        self._start()

    def stop(self) -> None:
        """Tell it to answer what it is asked now, and end."""
        if self._process.is_alive():
            self._process.terminate()

    def end(self) -> None:
        """Wait for its end."""
        self.is_serving = False
        self._process.join(END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        mark_process_dead(self.pid)  # type: ignore[no-untyped-call]  # what it had running counts no more
        self.pipe.close()
        self._door.outside.close()


def _work(job: Job, part: Part, inside: socket.socket, pipe: Connection) -> None:
    """A worker: serve until told to end, or until nobody listens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it, and tells us

    def say_beat() -> bool:
        try:
            pipe.send(_BEAT)
        except OSError:
            return False
        return True

    try:
        with (
            closing(open_ledger(job.place)) as ledger,
            closing(Keys(job.folder)) as keys,
            closing(Sessions(job.shared / "sessions.db")) as sessions,
        ):
            app = make_app(
                ledger, job.folder, keys, sessions, job.wait, job.version, part, job.kafka, follows=job.follows
            )
            serve_inside(app, inside, lambda: pipe.send(_STARTED), say_beat)
    except Exception as error:
        raise SystemExit(report(error)) from None
