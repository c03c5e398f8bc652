"""What ties the workers of one server together: what each tells the others, and which of them still append."""

import fcntl
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

BYTES = 1 << 14  # of news, at most: the numbers of all the partitions that a ledger may have
TOGETHER = 1_000  # news that are taken at once
LOOK_SECONDS = 0.02  # between two looks at whether others append


@dataclass(frozen=True, slots=True)
class Ties:
    """The ties of a worker: the socket on which it hears, by worker those on which it is heard, a file for locks.

    Who tells never waits: where a worker has too much to hear, news are lost.
    """

    ear: socket.socket
    mouths: tuple[socket.socket, ...]
    appenders: Path

    def tell(self, worker: int, news: str) -> None:
        """Tell a worker."""
        with suppress(OSError):  # it looks for itself
            self.mouths[worker].send(news.encode(), socket.MSG_DONTWAIT)

    def hear(self, seconds: float) -> list[str]:
        """What was told since the last time; waits so long for the first."""
        heard: list[str] = []
        self.ear.settimeout(seconds)
        with suppress(TimeoutError, BlockingIOError):
            while len(heard) < TOGETHER:
                heard.append(self.ear.recv(BYTES).decode())
                self.ear.settimeout(0)
        return heard


@contextmanager
def tied(workers: int, folder: Path) -> Iterator[list[Ties]]:
    """The ties of so many workers, for as long as they may be started again; `folder` is theirs."""
    with ExitStack() as stack:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(workers)]
        for end in (end for pair in pairs for end in pair):
            stack.enter_context(end)
        mouths = tuple(mouth for mouth, _ in pairs)
        yield [Ties(ear, mouths, folder / "appenders") for _, ear in pairs]


class Appending:
    """That this worker appends, which the others know by a lock that ends with its process."""

    def __init__(self, ties: Ties) -> None:
        self._file = ties.appenders.open("ab")
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def end(self, seconds: float) -> bool:
        """Append no more; whether nobody else does either, for which it waits so long."""
        deadline = time.monotonic() + seconds
        with self._file:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            while time.monotonic() < deadline:
                with suppress(BlockingIOError):
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return True
                time.sleep(LOOK_SECONDS)
        return False
