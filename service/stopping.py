"""Being told to stop by a signal, where work has to come to a good end first."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stopping(*, again_ends: bool) -> Iterator[Callable[[], bool]]:
    """What says whether SIGTERM or SIGINT has come; with `again_ends` a second one ends the process at once."""
    stopped = False

    def stop(number: int, _frame: Any) -> None:
        nonlocal stopped
        stopped = True
        if again_ends:
            signal.signal(number, handlers[signal.Signals(number)])

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: stopped
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
