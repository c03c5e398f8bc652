"""The console for people: it ends quietly where nobody reads on."""

from typing import NoReturn

import typer
from rich.console import Console

from service.errors import quiet_standard_output


class OutputConsole(Console):
    """Standard output for people."""

    def on_broken_pipe(self) -> NoReturn:
        """End with exit code 0, where the library would end with 1, bad news."""
        quiet_standard_output()
        raise typer.Exit(0)
