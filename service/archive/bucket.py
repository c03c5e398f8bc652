"""An archive in a bucket of S3-compatible storage, through `obstore`, which is an extra.

Of the clients of S3 it is the small one, and it creates a name only where there is none, as the chain of manifests
needs it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from service.archive.files import MOST_BYTES
from service.archive.places import Remote, Unreachable


class Bucket(Remote):
    """A bucket of S3-compatible storage, and what all names in it begin with.

    Keys, region and endpoint are those of the variables that every client of S3 knows: AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL.
    """

    def __init__(self, address: str) -> None:
        self.name = address.rstrip("/")
        is_plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
        with self._errors(""):
            self._store = S3Store.from_url(self.name, client_options={"allow_http": is_plain})

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError, ValueError) as error:
            said = " ".join(str(error).split())[:300]
            where = self.at(name) if name else self.name
            raise Unreachable(f"{where}: {said}; see to the AWS_… variables, and run it again") from None

    def read(self, name: str) -> bytes | None:
        """Return the beginning of a file, up to 64 MiB; None where there is none."""
        found = self._get(name)
        with self._errors(name):
            return None if found is None else bytes(found.bytes())[:MOST_BYTES]

    def _get(self, name: str) -> Any:
        with self._errors(name):
            try:
                return obstore.get(self._store, name)
            except FileNotFoundError:
                return None

    def create(self, name: str, content: bytes) -> bool:
        """Write a file whole where there is none of its name; return False where there is."""
        with self._errors(name):
            try:
                obstore.put(self._store, name, content, mode="create")
            except AlreadyExistsError:
                return False
            return True

    def put(self, name: str, file: Path) -> None:
        """Move a file of `drafts` here, whole or not at all; in place of one of the same name."""
        with self._errors(name):
            obstore.put(self._store, name, file)
        file.unlink()

    def names(self, below: str = "") -> list[str]:
        """Return the names that begin with a folder's."""
        with self._errors(below):
            pages = obstore.list(self._store, below or None)
            return sorted(one["path"] for page in pages for one in page)

    def remove(self, name: str) -> None:
        """Remove one of `names`, which may be gone already."""
        with self._errors(name), suppress(FileNotFoundError):
            obstore.delete(self._store, name)

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file to this machine. Raises `FileNotFoundError`."""
        found = self._get(name)
        if found is None:
            raise FileNotFoundError(name)
        with self._errors(name), path.open("wb") as file:
            for part in found.stream(min_chunk_size=8 << 20):
                file.write(part)
