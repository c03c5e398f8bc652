"""Reading beside the writer: a few threads, each with connections of its own, and a bound on who may wait for them."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ledger.journal.ledger import Ledger
from service.http.writer import Busy

T = TypeVar("T")

WAITING = 1_000  # reads


class Readers:
    """Threads that answer from the ledger. `generation` moves when the rule book may have, which is then read anew."""

    def __init__(
        self, open_ledger: Callable[[], Ledger], generation: Callable[[], int], threads: int, waiting: int = WAITING
    ) -> None:
        self._open = open_ledger
        self._generation = generation
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="points-read")
        self._own = threading.local()
        self._opened: list[Ledger] = []
        self._waiting = 0
        self._most = waiting

    async def read(self, ask: Callable[[Ledger], T]) -> T:
        """Ask the ledger in one of the threads. Raises `Busy` where too many wait, and what `ask` raises."""
        if self._waiting >= self._most:
            raise Busy(f"{self._waiting:,} reads wait")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, ask)
        finally:
            self._waiting -= 1

    def _ask(self, ask: Callable[[Ledger], T]) -> T:
        generation = self._generation()
        if getattr(self._own, "generation", None) != generation:
            self._own.ledger = self._open()
            self._opened.append(self._own.ledger)
            self._own.generation = generation
        return ask(self._own.ledger)

    def close(self) -> None:
        """Wait for the reads that run, and close every connection."""
        self._pool.shutdown(cancel_futures=True)
        for ledger in self._opened:
            ledger.close()
