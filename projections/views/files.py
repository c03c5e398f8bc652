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

    view: str
    version: int
    again: int
    path: Path


def _file(path: Path) -> File | None:
    name = _NAME.match(path.name)
    return File(name["view"], int(name["version"]), int(name["again"] or 1), path) if name else None


class Folder:
    """Where the builds of a ledger's views are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self, view: str) -> list[File]:
        """The builds of a view, the oldest first."""
        found = (_file(path) for path in self.path.glob(f"{view}-v*.db"))
        return sorted(file for file in found if file is not None and file.view == view)

    def claim(self, view: str) -> BinaryIO | None:
        """The right to follow a view, for as long as the file is open; None where another process has it."""
        file = (self.path / f".{view}.follows").open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        return file

    def live(self, view: str) -> File | None:
        """The build that readers get; None where the view was never built whole."""
        link = self.path / f"{view}.db"
        target = self.path / os.readlink(link) if link.is_symlink() else None
        return _file(target) if target is not None and target.is_file() else None

    def beside(self, view: str) -> File | None:
        """The newest build, unless it is live: a rebuild that goes on or waits for the switch."""
        newest, live = max(self.files(view), default=None), self.live(view)
        return newest if newest is not None and (live is None or live < newest) else None

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
        for file in self.files(view):
            if live is not None and file < live:
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
        live = self.live(view.name)
        if live is None:
            raise NotBuilt(f"the view {view.name} was not built yet: `points views run` builds and follows every view")
        with opened(live.path, view) as build:
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


def is_whole(file: File, view: View) -> bool:
    """Return True if a build was built to where it was to be."""
    with opened(file.path, view) as build, build.reading() as batch:
        return batch.is_whole()


def positions_of(folder: Folder, view: View) -> dict[int, int]:
    """Where the live build of a view stands, of whatever version, by partition."""
    live = folder.live(view.name)
    if live is None:
        return {}
    with named(live.path), reading_of(live.path) as file:
        return positions_in(file.cursor())
