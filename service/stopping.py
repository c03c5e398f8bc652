"""SIGTERM and SIGINT as a question, so that work comes to a good end first."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stopping(*, again_ends: bool) -> Iterator[Callable[[], bool]]:
    """Yield a function that returns True after SIGTERM or SIGINT; with `again_ends` a second one ends the process."""
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
