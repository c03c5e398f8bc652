"""The console for people: it ends quietly where nobody reads on."""

from typing import NoReturn

import typer
from rich.console import Console

from service.errors import quiet_standard_output


class OutputConsole(Console):
    """Standard output for people."""

    def on_broken_pipe(self) -> NoReturn:
        """A reader that has enough is no bad news, which the library's exit code 1 would say."""
        quiet_standard_output()
        raise typer.Exit(0)
