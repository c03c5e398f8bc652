"""A progress bar on standard error."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from service.languages import text


class _Rate(ProgressColumn):
    """The rate per second over the whole run."""

    def render(self, task: Task) -> Text:
        """Return the count and the rate."""
        seconds = task.elapsed or 0.0
        rate = f"{task.completed / seconds:,.0f}/s" if seconds > 0.2 else ""
        return Text(f"{task.completed:,.0f}  {rate}", style="cyan")


@contextmanager
def bar(label: str, total: int | None) -> Iterator[Callable[..., None]]:
    """Show a bar; yield a function to call with how much is done, and of how much where that is known."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _Rate(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text(label), total=total)
        last = 0.0

        def tick(done: int, of: int | None = None) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last > 0.05:
                last = now
                end = of if of is not None else total
                progress.update(task, completed=done, total=None if end is None else max(end, done))

        yield tick
