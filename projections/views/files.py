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
from typing import BinaryIO

from ledger.journal.opening import reading_of
from ledger.journal.port import JournalError
from projections.views.port import BuildName, ViewStore
from projections.views.sql import POSITION, POSITIONS, positions_of
from projections.views.store import FileBuild, make, named
from projections.views.view import View

_NAME = re.compile(r"^(?P<view>[a-z][a-z0-9-]*)-v(?P<version>\d+)(?:-(?P<again>\d+))?\.db$")


def _named(path: Path) -> BuildName | None:
    name = _NAME.match(path.name)
    return (
        BuildName(name["view"], int(name["version"]), int(name["again"] or 1), path.name, str(path)) if name else None
    )


class Folder(ViewStore):
    """Where the builds of a ledger's views are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = str(path)

    def builds(self, view: str) -> list[BuildName]:
        """As `ViewStore.builds` says."""
        found = (_named(path) for path in self.path.glob(f"{view}-v*.db"))
        return sorted(build for build in found if build is not None and build.view == view)

    def claim(self, view: str) -> BinaryIO | None:
        """As `ViewStore.claim` says: a lock, for as long as the file is open."""
        file = (self.path / f".{view}.follows").open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        return file

    def live_builds(self) -> dict[str, BuildName]:
        """As `ViewStore.live_builds` says."""
        links = [link for link in self.path.glob("*.db") if link.is_symlink()]
        targets = ((link.stem, self.path / os.readlink(link)) for link in links)
        found = ((view, _named(target)) for view, target in targets if target.is_file())
        return {view: build for view, build in found if build is not None}

    def begin(self, view: View) -> BuildName:
        """As `ViewStore.begin` says; what another process made of that name meanwhile stays."""
        again = 1 + max((build.again for build in self.builds(view.name) if build.version == view.version), default=0)
        path = self.path / f"{view.name}-v{view.version}{f'-{again}' if again > 1 else ''}.db"
        make(path, view)
        return BuildName(view.name, view.version, again, path.name, str(path))

    def make(self) -> None:
        """Make the folder. Raises `JournalError`."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror or error}") from error

    def switch(self, view: View, build: BuildName) -> None:
        """As `ViewStore.switch` says: the link is replaced."""
        link = self.path / f"{view.name}.db"
        temporary = self.path / f".{view.name}.{os.getpid()}.link"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(build.name)
        temporary.replace(link)

    def remove(self, build: BuildName) -> None:
        """As `ViewStore.remove` says, with what belongs to the file."""
        for end in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(build.place + end).unlink()

    @contextmanager
    def opened(self, build: BuildName, view: View) -> Iterator[FileBuild]:
        """As `ViewStore.opened` says."""
        found = FileBuild(Path(build.place), view)
        try:
            yield found
        finally:
            found.close()

    def positions(self, build: BuildName) -> dict[int, int]:
        """As `ViewStore.positions` says."""
        path = Path(build.place)
        with named(path), reading_of(path) as file:
            return positions_of(file.execute(POSITIONS, (f"{POSITION}%",)).fetchall())

    def close(self) -> None:
        """As `ViewStore.close` says: a folder holds nothing."""

    def size(self, build: BuildName) -> int:
        """As `ViewStore.size` says."""
        return Path(build.place).stat().st_size
