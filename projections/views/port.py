"""The port of the view stores: where the builds of a ledger's views are, and what is read and written of one.

A view is built beside the live build and switched to in one step; whoever reads the old build goes on reading it, and
whoever opens the view next reads the new one. `projections.views.files` keeps each build in a file of its own,
`projections.views.postgres` in a schema of a database. What a build keeps is asked in the same SQL
(`projections.views.sql`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, Protocol, Self

from ledger.errors import CannotRunNow
from ledger.journal.port import JournalError
from projections.views.sql import Batch
from projections.views.view import View


class NotBuilt(CannotRunNow, JournalError):
    """A view that has no build to read yet."""

    can_retry = False


class BuildName(NamedTuple):
    """A build in its store; `again` counts the builds of a version, from 1.

    `name` is for people, and `place` the file or the schema.
    """

    view: str
    version: int
    again: int
    name: str
    place: str


class Claim(Protocol):
    """The right to follow a view, as long as it is not closed."""

    def close(self) -> None:
        """Give it back."""


class Build(ABC):
    """A build of a view that is open. Raises `Unavailable`, and `JournalError` where it is damaged or of another view.

    `version` is the view's with which it was made.
    """

    view: View
    version: int
    name: str
    place: str

    @abstractmethod
    def writing(self) -> AbstractContextManager[Batch]:
        """One transaction; it waits for whoever else writes the build, and sees what was committed."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Batch]:
        """One consistent state of the build."""

    @abstractmethod
    def is_there(self) -> bool:
        """Return False where it was removed since it was opened, even if another has its name now."""


class ViewStore(ABC):
    """The builds of a ledger's views."""

    place: str  # for people, without a password
    is_for_sql = False  # whether others read it by SQL, so that views which are only for that are kept in it

    @abstractmethod
    def make(self) -> None:
        """Make what holds builds, where it is not there. Raises `JournalError`."""

    @abstractmethod
    def builds(self, view: str) -> list[BuildName]:
        """The builds of a view, the oldest first."""

    @abstractmethod
    def live_builds(self) -> dict[str, BuildName]:
        """The builds that readers get, by view; none of a view that was never built whole."""

    @abstractmethod
    def begin(self, view: View) -> BuildName:
        """Make an empty build of a view's version, whole or not at all."""

    @abstractmethod
    def opened(self, build: BuildName, view: View) -> AbstractContextManager[Build]:
        """A build, closed afterwards."""

    @abstractmethod
    def positions(self, build: BuildName) -> dict[int, int]:
        """Where a build of whatever version stands, by partition."""

    @abstractmethod
    def size(self, build: BuildName) -> int:
        """How many bytes a build takes."""

    @abstractmethod
    def switch(self, view: View, build: BuildName) -> None:
        """Let readers have another build from now on, in one step."""

    @abstractmethod
    def remove(self, build: BuildName) -> None:
        """Remove a build."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the store holds of this process: connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def claim(self, view: str) -> Claim | None:
        """The right to follow a view; None where another process has it."""

    def keeps(self, view: View) -> bool:
        """Return True for a view that is kept here where nobody names it."""
        return self.is_for_sql or not view.is_for_sql

    def live(self, view: str) -> BuildName | None:
        """The build that readers get; None where the view was never built whole."""
        return self.live_builds().get(view)

    def beside(self, view: str) -> BuildName | None:
        """The newest build, unless it is live: a rebuild that goes on or waits for the switch."""
        newest, live = max(self.builds(view), default=None), self.live(view)
        return newest if newest is not None and (live is None or live < newest) else None

    def drop_old(self, view: str) -> None:
        """Remove the builds that came before the live one; a reader that still has one open may go on."""
        live = self.live(view)
        for build in self.builds(view):
            if live is not None and build < live:
                self.remove(build)

    @contextmanager
    def open_live(self, view: View) -> Iterator[Build]:
        """The build that readers get. Raises `NotBuilt`."""
        live = self.live(view.name)
        if live is None:
            raise NotBuilt(f"the view {view.name} was not built yet: `points views run` builds and follows every view")
        with self.opened(live, view) as build:
            yield build

    def is_whole(self, build: BuildName, view: View) -> bool:
        """Return True if a build was built to where it was to be."""
        with self.opened(build, view) as opened, opened.reading() as batch:
            return batch.is_whole()

    def live_positions(self, view: str) -> dict[int, int]:
        """Where the live build of a view stands, of whatever version, by partition."""
        live = self.live(view)
        return {} if live is None else self.positions(live)
