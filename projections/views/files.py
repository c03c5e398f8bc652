"""The folder of the views: one file per build, and a link `NAME.db` to the one that is live.

A view is rebuilt into a file of its own and switched by moving the link, in one step. Whoever reads the old file goes
on reading it; whoever opens the view next reads the new one.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ledger.errors import CannotRunNow
from ledger.journal.opening import reading_of
from ledger.journal.port import JournalError
from projections.views.store import Build, make, named, positions_in
from projections.views.view import View

_NAME = re.compile(r"^(?P<view>[a-z][a-z0-9-]*)-v(?P<version>\d+)(?:-(?P<again>\d+))?\.db$")


class NotBuilt(CannotRunNow, JournalError):
    """A view that has no build to read yet."""

    can_retry = False


class File(NamedTuple):
    """A build by its file's name; `again` counts the builds of a version, from 1."""

    version: int
    again: int
    path: Path


class Folder:
    """Where the builds of a ledger's views are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self, view: str) -> list[File]:
        """The builds of a view, the oldest first."""
        found = []
        for path in self.path.glob(f"{view}-v*.db"):
            name = _NAME.match(path.name)
            if name is not None and name["view"] == view:
                found.append(File(int(name["version"]), int(name["again"] or 1), path))
        return sorted(found)

    def claim(self, view: str) -> BinaryIO | None:
        """The right to follow a view, for as long as the file is open; None where another process has it."""
        file = (self.path / f".{view}.follows").open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        return file

    def live(self, view: str) -> Path | None:
        """The file that readers get; None where the view was never built whole."""
        link = self.path / f"{view}.db"
        if not link.is_symlink():
            return None
        target = self.path / os.readlink(link)
        return target if target.is_file() else None

    def beside(self, view: str) -> File | None:
        """The newest build that is not live: a rebuild that goes on or waits for the switch, or the one before it."""
        live = self.live(view)
        newer = [file for file in self.files(view) if file.path != live]
        if not newer:
            return None
        file = max(newer)
        return file if live is None or self._order(live) < file[:2] else None

    @staticmethod
    def _order(path: Path) -> tuple[int, int]:
        name = _NAME.match(path.name)
        return (int(name["version"]), int(name["again"] or 1)) if name else (0, 0)

    def next_path(self, view: View) -> Path:
        """The name of a further build of a view's version."""
        again = [file.again for file in self.files(view.name) if file.version == view.version]
        suffix = f"-{max(again) + 1}" if again else ""
        return self.path / f"{view.name}-v{view.version}{suffix}.db"

    def make(self) -> None:
        """Make the folder. Raises `JournalError`."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror or error}") from error

    def switch(self, view: str, path: Path) -> None:
        """Let readers have another build from now on: the link is replaced in one step."""
        link = self.path / f"{view}.db"
        temporary = self.path / f".{view}.{os.getpid()}.link"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(path.name)
        temporary.replace(link)

    def drop_old(self, view: str) -> None:
        """Remove the builds that came before the live one; a reader that still has one open may go on."""
        live = self.live(view)
        if live is None:
            return
        for file in self.files(view):
            if file[:2] < self._order(live):
                self.remove(file.path)

    @staticmethod
    def remove(path: Path) -> None:
        """Remove a build with what belongs to its file."""
        for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            with suppress(FileNotFoundError):
                name.unlink()

    @contextmanager
    def open_live(self, view: View) -> Iterator[Build]:
        """The build that readers get. Raises `NotBuilt`."""
        path = self.live(view.name)
        if path is None:
            raise NotBuilt(f"the view {view.name} was not built yet: `points views run` builds and follows every view")
        with opened(path, view) as build:
            yield build


@contextmanager
def opened(path: Path, view: View, *, create: bool = False) -> Iterator[Build]:
    """A build, closed afterwards."""
    if create and not path.exists():
        make(path, view)
    build = Build(path, view)
    try:
        yield build
    finally:
        build.close()


def version_of(path: Path) -> int:
    """The version of a build of whatever view."""
    with named(path), reading_of(path) as file:
        return int(file.execute("SELECT version FROM build").fetchone()[0])


def positions_of(path: Path) -> dict[int, int]:
    """Where a build of whatever view and version stands, by partition."""
    with named(path), reading_of(path) as file:
        return positions_in(file.cursor())
