"""Owners in processes of their own, each of some partitions of a folder."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from ledger.errors import CannotRunNow
from ledger.journal.folder import Lock
from ledger.journal.open import open_ledger
from ledger.journal.partition import Tally
from ledger.journal.processes import end_worker, start_worker
from service.errors import report, say
from service.http.owners import Decoded, Owners, OwnersState
from service.http.pending import Message, Notify, Offsets

END_SECONDS = 60.0  # for a process to decide what was appended, at the end


class _Expected(NamedTuple):
    """Who waits, by a number, for which offsets."""

    waiting: int
    offsets: Offsets


class _Told(NamedTuple):
    """What is said to who waits, by its number."""

    waiting: int
    message: Message


class OwnerProcesses:
    """The processes; the loop that hears the front ends hears them, too. One that dies is started again."""

    def __init__(
        self,
        place: str,
        shares: Sequence[Sequence[int]],
        lock: Lock | None,
        count: Callable[[Tally], None],
        on_change: Callable[[], None],
    ) -> None:
        self._place = place
        self._shares = shares
        self._lock = lock
        self._count = count
        self._on_change = on_change
        self._waiting: list[Notify] = []
        self._states = [OwnersState() for _ in shares]
        self._processes = [self._start(share) for share in shares]

    def _start(self, share: Sequence[int]) -> tuple[BaseProcess, Connection]:
        return start_worker(_own, self._place, share, self._lock)

    @property
    def pipes(self) -> list[Connection]:
        """On which the processes are heard."""
        return [pipe for _, pipe in self._processes]

    @property
    def state(self) -> OwnersState:
        """As it is now."""
        states = self._states
        error = next(filter(None, (state.last_error for state in states)), "")
        return OwnersState(
            sum(state.programmes for state in states), error, all(state.is_caught_up for state in states)
        )

    def start(self, notify: Notify) -> None:
        """They began when they were made."""

    def expect(self, notify: Notify, offsets: Offsets, decoded: Mapping[int, Decoded]) -> None:
        """Have decided what was appended to partitions; what becomes of it at these offsets is told to `notify`."""
        if notify not in self._waiting:
            self._waiting.append(notify)
        waiting = self._waiting.index(notify)
        for share, (_, pipe) in zip(self._shares, self._processes, strict=True):
            its = {partition: wanted for partition, wanted in offsets.items() if partition in share}
            if its:
                with suppress(OSError):  # it is started again, and looks for itself
                    pipe.send(_Expected(waiting, its))

    def receive(self) -> None:
        """Take what the processes said."""
        for at, (_, pipe) in enumerate(self._processes):
            try:
                while pipe.poll():
                    self._take(at, pipe.recv())
            except (EOFError, OSError):
                self._revive(at)

    def _take(self, at: int, message: object) -> None:
        match message:
            case _Told(waiting, its):
                self._waiting[waiting](its)
            case Tally() as tally:
                self._count(tally)
            case OwnersState() as state:
                self._states[at] = state
                self._on_change()

    def _revive(self, at: int) -> None:
        process, pipe = self._processes[at]
        end_worker(process, 0)
        if self._states[at] == OwnersState():
            raise CannotRunNow("a process that decides could not start; what it said stands above")
        pipe.close()
        say(f"process {process.pid}, which decides, ended (exit {process.exitcode}) and is started again")
        self._processes[at] = self._start(self._shares[at])

    def stop(self) -> None:
        """Have all decided that was appended, and end."""
        for _, pipe in self._processes:
            with suppress(OSError):
                pipe.send(None)
        for process, pipe in self._processes:
            with suppress(EOFError, OSError):  # what it still says fills no pipe
                while process.is_alive():
                    if pipe.poll(0.05):
                        pipe.recv()
            end_worker(process, END_SECONDS)
            pipe.close()


def _own(pipe: Connection, place: str, partitions: Sequence[int], lock: Lock | None) -> None:
    """Decide some partitions until told to end, or until the server's first process has ended."""
    sending = threading.Lock()
    known: dict[int, Notify] = {}

    def send(message: object) -> None:
        with sending:
            pipe.send(message)

    def notify_of(waiting: int) -> Notify:
        if waiting not in known:
            known[waiting] = lambda message: send(_Told(waiting, message))
        return known[waiting]

    try:
        ledger = open_ledger(place)
        _ = ledger.book  # its types are laid out before there are threads
        owners = Owners(ledger, None, send, lambda: send(owners.state), partitions)
        owners.start(lambda _: None)
    except Exception as error:
        raise SystemExit(report(error)) from None
    while (message := pipe.recv()) is not None:
        owners.expect(notify_of(message.waiting), message.offsets, {})
    owners.stop()
