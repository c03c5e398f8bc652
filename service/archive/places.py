"""Where an archive is kept: a folder, a bucket of S3-compatible storage, or HDFS, behind the same few questions.

A file is written once and never changed. What makes an archive grow safely is `create`: of all who create a name, one
does.
"""

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from pkgutil import resolve_name
from tempfile import TemporaryDirectory, mkdtemp

from ledger.errors import CannotRunNow, WrongUse
from ledger.journal.durable import sync
from ledger.journal.failpoints import failpoint
from projections.answers.output import output_file, output_folder
from service.archive.files import MOST_BYTES, BadCopy, check_new

MISSING = "No such file or directory"
DRAFTS = ".points-part-"  # begins the names, in an archive, of what is still being written
_HDFS = "service.archive.hdfs:Hdfs"
_REMOTE = {"s3": "service.archive.bucket:Bucket", "webhdfs": _HDFS, "swebhdfs": _HDFS}  # by scheme, loaded when asked


class Unreachable(CannotRunNow):
    """Storage that cannot be reached, or refuses: what it said, and the way out."""


class Place(ABC):
    """A place for files by name. Raises `BadCopy`, `CannotRunNow`, and `OSError` where a folder cannot be written."""

    name: str  # for people, and by which it is opened again
    is_near: bool  # True where reading a file costs no way

    def at(self, name: str) -> str:
        """Return where a file is, for people."""
        return f"{self.name}/{name}"

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return the beginning of a file, up to 64 MiB; None where there is none."""

    @abstractmethod
    def begin(self, files: Mapping[str, bytes]) -> None:
        """Write the first files, of which the last one says that all are there. Raises `BadCopy` where something is."""

    @abstractmethod
    def create(self, name: str, content: bytes) -> bool:
        """Write a file whole where there is none of its name; return False where there is."""

    @abstractmethod
    def put(self, name: str, file: Path) -> None:
        """Move a file of `drafts` here, whole or not at all; in place of one of the same name."""

    @abstractmethod
    def names(self, below: str = "") -> list[str]:
        """Return the names that begin with a folder's, of files that are there and of drafts that were left."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove one of `names`, which may be gone already."""

    @abstractmethod
    def near(self, name: str) -> AbstractContextManager[Path]:
        """Return a file of this machine with the content of another, for as long as the context lasts."""

    @abstractmethod
    def drafts(self) -> AbstractContextManager[Path]:
        """Return a folder for files that are still being written."""


def place_at(address: str | Path) -> Place:
    """Return the place with an address: a folder, ``s3://BUCKET/PREFIX``, or ``webhdfs://HOST:PORT/PATH``.

    Raises `WrongUse` for another scheme.
    """
    text = str(address)
    scheme, is_remote, _ = text.partition("://")
    if not is_remote:
        return Folder(Path(address))
    if scheme not in _REMOTE:
        raise WrongUse(
            f"{scheme}://: an archive is kept in a folder, in a bucket (s3://BUCKET/PREFIX), or in HDFS, which is"
            " reached by its HTTP port (webhdfs://HOST:9870/PATH, or swebhdfs:// with TLS)"
        )
    try:
        place: Place = resolve_name(_REMOTE[scheme])(text)
    except ImportError:
        raise WrongUse(f'{text}: what reads and writes it is an extra: pip install "obstore>=0.9,<1"') from None
    return place


class Folder(Place):
    """A folder, which may still have to be made."""

    is_near = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def read(self, name: str) -> bytes | None:
        """Return the beginning of a file, up to 64 MiB; None where there is none."""
        try:
            with (self.path / name).open("rb") as file:
                return file.read(MOST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadCopy(f"{self.at(name)}: {error.strerror}; take another copy of it") from None

    def begin(self, files: Mapping[str, bytes]) -> None:
        """Write the first files into the folder, which takes its name when they are there."""
        check_new(self.path)
        with output_folder(self.path) as making:
            for name, content in files.items():
                with output_file(making / name) as out:
                    out.write(content)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file whole where there is none of its name; return False where there is."""
        target = self._target(name)
        with self.drafts() as folder:
            draft = folder / target.name
            draft.write_bytes(content)
            sync(draft)
            try:
                os.link(draft, target)
            except FileExistsError:
                return False
        sync(target.parent)
        return True

    def put(self, name: str, file: Path) -> None:
        """Move a file of `drafts` here, whole or not at all; in place of one of the same name."""
        target = self._target(name)
        sync(file)
        file.replace(target)
        sync(target.parent)

    def _target(self, name: str) -> Path:
        target = self.path / name
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            sync(target.parent.parent)
        return target

    def names(self, below: str = "") -> list[str]:
        """Return the names that begin with a folder's, of files that are there and of drafts that were left."""
        found = (path.relative_to(self.path).as_posix() for path in (self.path / below).rglob("*") if path.is_file())
        left = (path.name for path in self.path.glob(f"{DRAFTS}*") if not below)
        return sorted({*(name for name in found if not name.startswith(DRAFTS)), *left})

    def remove(self, name: str) -> None:
        """Remove one of `names`, which may be gone already."""
        if name.startswith(DRAFTS):
            shutil.rmtree(self.path / name, ignore_errors=True)
        else:
            (self.path / name).unlink(missing_ok=True)

    def near(self, name: str) -> AbstractContextManager[Path]:
        """Return the file itself."""
        return nullcontext(self.path / name)

    @contextmanager
    def drafts(self) -> Iterator[Path]:
        """Return a folder in this one, by which a file is moved and not copied."""
        folder = Path(mkdtemp(prefix=DRAFTS, dir=self.path))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class Remote(Place):
    """A place on other machines, to which files are sent, and from which they are fetched."""

    is_near = False

    @abstractmethod
    def fetch(self, name: str, path: Path) -> None:
        """Copy a file to this machine. Raises `FileNotFoundError`."""

    def begin(self, files: Mapping[str, bytes]) -> None:
        """Write the first files, the last one only where none is of its name."""
        *before, (last, end) = files.items()
        with self.drafts() as folder:
            for name, content in before:
                draft = folder / name
                draft.write_bytes(content)
                self.put(name, draft)
        failpoint("archive-begun")
        if not self.create(last, end):
            raise BadCopy(f"{self.name} is there already; name a folder that is to be made")

    @contextmanager
    def near(self, name: str) -> Iterator[Path]:
        """Return a copy of a file, which goes with the context."""
        with self.drafts() as folder:
            path = folder / name.rpartition("/")[2]
            try:
                self.fetch(name, path)
            except FileNotFoundError:
                raise BadCopy(f"{self.at(name)}: {MISSING}; take another copy of it") from None
            yield path

    @contextmanager
    def drafts(self) -> Iterator[Path]:
        """Return a temporary folder."""
        with TemporaryDirectory(prefix="points-archive-") as folder:
            yield Path(folder)
