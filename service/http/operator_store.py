"""Where the lines of what operators did are: in a file of the ledger's folder, or in the ledger's database.

Whoever writes holds them meanwhile: nobody else adds a line between what was read and what is added.
"""

import fcntl
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

from ledger.errors import ControlFlow
from ledger.journal.port import JournalError
from service.http.operator_lines import FILE, HEAD, chain_of, lines_in, lines_of, problems_of_lines, write_head
from service.state_store import Statements, StateStore, put_aside, shared_state


class CutOff(ControlFlow):
    """The last line has no end though it was whole before; `number` counts it from the lines known."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Gone(ControlFlow):
    """Lines that were known are there no more."""


class LineStore(ABC):
    """Lines in their order; `name` is for people."""

    name: str

    @abstractmethod
    def held(self) -> AbstractContextManager[None]:
        """Keep the others from writing. Raises `JournalError`."""

    @abstractmethod
    def added(self, known: int) -> list[bytes]:
        """Return the lines behind the first `known`, without their ends. Raises `JournalError` and `CutOff`.

        It raises `Gone` where those that were known are not all there.
        """

    @abstractmethod
    def expected(self) -> int:
        """Return how many lines there are at least, as is kept beside them. Raises `JournalError`."""

    @abstractmethod
    def append(self, known: int, lines: Sequence[bytes], head: str) -> None:
        """Add lines behind the first `known`: durable, all or none. `head` is what all of them come to then."""

    @abstractmethod
    def forget(self) -> None:
        """Read from the first line again."""

    @abstractmethod
    def close(self) -> None:
        """Let go of them."""


class FileLines(LineStore):
    """The file of a folder, and one beside it that says how many lines there are. Raises `JournalError`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.name = str(self.path)
        self._head = folder / HEAD
        self._known = 0  # bytes
        try:
            self._file = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        except OSError as error:
            raise JournalError(f"{self.path}: {error}") from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """As `LineStore.held` says."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def added(self, known: int) -> list[bytes]:
        """As `LineStore.added` says."""
        try:
            size = os.fstat(self._file).st_size
            if size < self._known:
                raise Gone
            added = os.pread(self._file, size - self._known, self._known)
            whole = added.rfind(b"\n") + 1
            lines = added[:whole].split(b"\n")[:-1]
            if whole < len(added):
                if known + len(lines) < lines_of(self._head):
                    raise CutOff(len(lines) + 1)
                os.ftruncate(self._file, self._known + whole)  # a line cut off by a crash: its action was not done
        except OSError as error:
            raise JournalError(f"{self.path}: {error}") from error
        self._known += whole
        return lines

    def expected(self) -> int:
        """As `LineStore.expected` says; what the file says may be behind the lines."""
        return lines_of(self._head)

    def append(self, known: int, lines: Sequence[bytes], head: str) -> None:
        """As `LineStore.append` says. Raises `OSError`."""
        data = b"".join(line + b"\n" for line in lines)
        try:
            if os.write(self._file, data) != len(data):
                raise OSError("the lines were written in part")
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._known)  # a full disk: nothing of it stays
            raise
        self._known += len(data)
        with suppress(OSError):  # one that is behind the lines is right, too
            write_head(self._head, head)

    def forget(self) -> None:
        """As `LineStore.forget` says."""
        self._known = 0

    def close(self) -> None:
        """As `LineStore.close` says."""
        os.close(self._file)


class TableLines(LineStore):
    """Lines in the ledger's database, which any number of servers add to."""

    def __init__(self, state: StateStore) -> None:
        self.name = f"{state.name}, table operator_lines"
        self._state = state
        self._db: Statements = state

    @contextmanager
    def held(self) -> Iterator[None]:
        """As `LineStore.held` says: in one transaction."""
        with self._state.changing("operators") as db:
            self._db = db
            try:
                yield
            finally:
                self._db = self._state

    def added(self, known: int) -> list[bytes]:
        """As `LineStore.added` says."""
        rows = self._from(known)
        numbers = [number for number, _ in rows]
        if (known and known not in numbers[:1]) or numbers != list(range(known or 1, (known or 1) + len(rows))):
            raise Gone
        return [line for number, line in rows if number > known]

    def _from(self, number: int) -> list[tuple[int, bytes]]:
        rows = self._db.run("SELECT number, line FROM operator_lines WHERE number >= ? ORDER BY number", number).rows
        return [(number, bytes(line)) for number, line in rows]

    def expected(self) -> int:
        """As `LineStore.expected` says."""
        head = self._db.run("SELECT head FROM operator_head").first()
        return lines_in(head[0]) if head else 0

    def append(self, known: int, lines: Sequence[bytes], head: str) -> None:
        """As `LineStore.append` says; they are durable when the transaction is."""
        for number, line in enumerate(lines, known + 1):
            self._db.run("INSERT INTO operator_lines VALUES (?, ?)", number, line)
        upsert = "INSERT INTO operator_head VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET head = excluded.head"
        self._db.run(upsert, head)

    def forget(self) -> None:
        """As `LineStore.forget` says: nothing is remembered here."""

    def adopt(self, folder: Path) -> None:
        """Take in the lines of a folder where there are none yet; its files are put aside then."""
        path = folder / FILE
        if not path.is_file():
            return
        with self.held():
            if self._from(0):
                return
            lines = path.read_bytes().split(b"\n")[:-1]
            self.append(0, lines, chain_of(lines).head)
        for name in (FILE, HEAD):
            put_aside(folder / name)

    def problems(self) -> list[str]:
        """Return what is wrong with the lines: nothing where they are as they were written."""
        with self.held():
            head = self._db.run("SELECT head FROM operator_head").first()
            lines = [line for _, line in self._from(0)]
        return problems_of_lines(self.name, "operator_head", lines, head[0] if head else "")

    def close(self) -> None:
        """As `LineStore.close` says."""
        self._state.close()


def lines_kept(place: str, folder: Path | None) -> LineStore:
    """Return where the lines of a ledger are: in its folder, or in its database, which adopts those of a folder."""
    state = shared_state(place)
    if state is None:
        assert folder is not None
        return FileLines(folder)
    lines = TableLines(state)
    if folder is not None:
        lines.adopt(folder)
    return lines


def problems_kept(place: str) -> list[str]:
    """Return what is wrong with what operators did, in the database of a ledger; nothing for one in a folder."""
    state = shared_state(place)
    if state is None:
        return []
    with closing(TableLines(state)) as lines:
        return lines.problems()
