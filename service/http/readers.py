"""Reading beside the writer: a few threads, each with connections of its own, and a bound on who may wait for them.

A thread takes several questions at once and answers them together: waking it and the event loop costs more than most
answers do.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError, Unavailable
from projections.ticking import Progress
from service.http.pending import Busy

T = TypeVar("T")
Ask = Callable[[Ledger], Any]
_Answer = tuple[asyncio.Future[Any], Any, Exception | None]

WAITING = 1_000  # questions
SECONDS = 15.0  # that an answer is waited for, where the question sets no other bound: the store may be away
WHY_SECONDS = 45.0  # that an explanation may take, of a member with very many entries
TOGETHER = 8


class Readers:
    """Threads that answer from the ledger. `generation` moves when the rule book may have, which is then read anew."""

    def __init__(
        self,
        open_ledger: Callable[[], Ledger],
        generation: Callable[[], int],
        threads: int,
        waiting: int = WAITING,
        together: int = TOGETHER,
    ) -> None:
        self._open = open_ledger
        self._generation = generation
        self._most = waiting
        self._together = together
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._asked: deque[tuple[Ask, asyncio.Future[Any]]] = deque()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, name=f"points-read-{n}", daemon=True) for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def read(self, ask: Callable[[Ledger], T]) -> T:
        """Ask the ledger in one of the threads. Raises what `ask` raises.

        Raises `Busy` where too many wait, and `Unavailable` where there is no answer in time.
        """
        return await self._ask(ask, SECONDS)

    async def _ask(self, ask: Callable[[Ledger], T], seconds: float) -> T:
        future: asyncio.Future[T] = self._loop.create_future()
        with self._wake:
            if len(self._asked) >= self._most:
                raise Busy(f"{len(self._asked):,} reads wait")
            self._asked.append((ask, future))
            self._wake.notify()
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            if future.cancelled():
                raise Unavailable(f"the ledger's store has not answered within {seconds:g} s") from None
            raise  # what was asked says so itself

    async def read_within(self, seconds: float, ask: Callable[[Ledger, Progress], T]) -> T:
        """Ask what may take long and tells its progress. Raises `TimeoutError` after so many seconds, and as `read`."""
        deadline = time.monotonic() + seconds

        def tick(_: int) -> None:
            if time.monotonic() > deadline:
                raise TimeoutError

        def within(ledger: Ledger) -> T:
            tick(0)  # it may have waited for its turn
            return ask(ledger, tick)

        return await self._ask(within, seconds + SECONDS)

    def close(self) -> None:
        """Wait for what is being read; what waits is not answered."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        ledger, opened_at = None, -1
        while asked := self._take():
            answers: list[_Answer] = []
            away: JournalError | None = None  # the ledger cannot be opened: whoever asked meanwhile need not wait, too
            for ask, future in asked:
                if future.cancelled():
                    continue
                if away is not None:
                    answers.append((future, None, away))
                    continue
                try:
                    generation = self._generation()
                    if ledger is None or opened_at != generation:
                        if ledger is not None:
                            ledger.close()
                            ledger = None
                        ledger, opened_at = self._open(), generation
                    answers.append((future, ask(ledger), None))
                except Exception as error:  # whatever it is: the handler of the request sees it
                    # a future takes no StopIteration, and would leave all of these unanswered
                    told = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
                    answers.append((future, None, told))
                    if ledger is None and isinstance(error, Unavailable):
                        away = error
                    if isinstance(error, JournalError) and ledger is not None:
                        ledger.close()
                        ledger = None  # opened anew: what is wrong with a file may be mended meanwhile
            self._loop.call_soon_threadsafe(_answer, answers)
        if ledger is not None:
            ledger.close()

    def _take(self) -> list[tuple[Ask, asyncio.Future[Any]]]:
        """The next questions; none at the end."""
        with self._wake:
            while not (self._asked or self._closing):
                self._wake.wait()
            if self._closing:
                return []
            return [self._asked.popleft() for _ in range(min(self._together, len(self._asked)))]


def _answer(answers: list[_Answer]) -> None:
    for future, value, error in answers:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)
