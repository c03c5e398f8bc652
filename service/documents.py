"""Where a ledger's documents are kept: in the folder beside it, or in its database, where every server finds them."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from projections.answers.documents import Documents, FolderDocuments
from projections.answers.sidecar import AUDITS, CHECKPOINTS
from service.state_store import StateStore, sharing

PLACES = {AUDITS: Path(AUDITS), CHECKPOINTS: Path(AUDITS) / CHECKPOINTS}  # by sort of document, in the folder


class TableDocuments(Documents):
    """Documents of one sort in the ledger's database."""

    def __init__(self, state: StateStore, sort: str) -> None:
        self.place = f"{state.name}, table documents"
        self._state = state
        self._sort = sort

    def put(self, name: str, content: bytes) -> None:
        """As `Documents.put` says."""
        self._state.run(
            "INSERT INTO documents VALUES (?, ?, ?, ?) ON CONFLICT (sort, name)"
            " DO UPDATE SET content = excluded.content, stamp = excluded.stamp",
            *(self._sort, name, content, int.from_bytes(sha256(content).digest()[:7])),
        )

    def get(self, name: str, most: int) -> bytes | None:
        """As `Documents.get` says."""
        found = self._state.run("SELECT content FROM documents WHERE sort = ? AND name = ?", self._sort, name).first()
        return None if found is None else bytes(found[0][:most])

    def stamps(self) -> dict[str, int]:
        """As `Documents.stamps` says."""
        return dict(self._state.run("SELECT name, stamp FROM documents WHERE sort = ?", self._sort).rows)


def documents_of(state: StateStore | None, folder: Path | None, sort: str) -> Documents | None:
    """Return a ledger's documents of a sort: in its database, or in a folder; None where there is neither."""
    if state is not None:
        return TableDocuments(state, sort)
    return None if folder is None else FolderDocuments(folder / PLACES[sort])


@contextmanager
def kept_documents(place: str, folder: Path | None, sort: str) -> Iterator[Documents | None]:
    """Yield the documents of a sort that belong to the ledger at a place. Raises `JournalError`."""
    with sharing(place) as state:
        yield documents_of(state, folder, sort)
