"""The open streams of the feed: how many there are, and when it is worth looking for more entries."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any

from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from service.http.pending import Busy

MOST_STREAMS = 100  # of a process
LOOK_SECONDS = 0.25  # between two looks at how many entries there are, while a stream is open

Read = Callable[[Callable[[Ledger], dict[int, int]]], Coroutine[Any, Any, dict[int, int]]]


class Feeds:
    """The streams of a process; one task looks at the journals for all of them, while there are any."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._open = 0
        self._news = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self.is_stopping = False

    def admit(self, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Return a stream that is counted while it is open. Raises `Busy` where as many are open as may be."""
        if self._open >= MOST_STREAMS:
            raise Busy(f"{MOST_STREAMS} streams of the feed are open; ask for pages instead")
        return self._counted(events)

    async def _counted(self, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self._open += 1
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())
        try:
            async for event in events:
                yield event
        finally:
            self._open -= 1

    async def wait(self) -> None:
        """Wait until more was decided, or a second."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._news.wait()

    async def _look(self) -> None:
        known: dict[int, int] = {}
        try:
            while self._open and not self.is_stopping:
                with suppress(Busy, JournalError):  # the stream itself meets it, too
                    found = await self._read(lambda ledger: ledger.heads())
                    if found != known:
                        known = found
                        self._tell()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._looking = None

    def stop(self) -> None:
        """Let every stream end: the server does."""
        self.is_stopping = True
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
