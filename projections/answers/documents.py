"""Small documents that are kept beside a ledger by name: results of audits, and checkpoints."""

from abc import ABC, abstractmethod
from pathlib import Path

from projections.answers.output import output_file


class Documents(ABC):
    """Documents of one sort; `place` is where they are, for people."""

    place: str

    @abstractmethod
    def put(self, name: str, content: bytes) -> None:
        """Keep a document, whole or not at all, in place of one of its name. Raises `OSError` and `JournalError`."""

    @abstractmethod
    def get(self, name: str, most: int) -> bytes | None:
        """Return a document, of one that is longer its first `most` bytes; None where there is none.

        Raises `OSError` and `JournalError`.
        """

    @abstractmethod
    def stamps(self) -> dict[str, int]:
        """Return each document's name, with a number that changes with its content."""


class FolderDocuments(Documents):
    """Documents in a folder, a file each."""

    def __init__(self, folder: Path) -> None:
        self.place = str(folder)
        self._folder = folder

    def put(self, name: str, content: bytes) -> None:
        """As `Documents.put` says."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with output_file(self._folder / name) as file:
            file.write(content)

    def get(self, name: str, most: int) -> bytes | None:
        """As `Documents.get` says."""
        try:
            with (self._folder / name).open("rb") as file:
                return file.read(most)
        except FileNotFoundError:
            return None

    def stamps(self) -> dict[str, int]:
        """As `Documents.stamps` says: when each file was last written."""
        if not self._folder.is_dir():
            return {}
        return {path.name: path.stat().st_mtime_ns for path in self._folder.iterdir() if path.is_file()}
