"""What an archive keeps of entries that were pruned: each is found by its place, in a copy that is fast to read.

A file of an archive is packed, and read as a whole: it is unpacked into a temporary file when it is first asked. Those
of the partitions that were asked last stay until the process ends.
"""

import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from service.archive.manifests import Month
from service.archive.reading import Archive

PARTITIONS = 4  # whose unpacked files stay

_opened: dict[str, "KeptEntries"] = {}
_opening = Lock()


def kept_at(address: str) -> "KeptEntries":
    """Return the archive at an address, opened once in a process. Raises `BadCopy`, and `Unreachable`."""
    with _opening:
        if address not in _opened:
            _opened[address] = KeptEntries(address)
        return _opened[address]


class KeptEntries:
    """An archive that is asked for entries; any thread may ask."""

    def __init__(self, address: str) -> None:
        self._archive = Archive(address)
        self._folder = TemporaryDirectory(prefix="points-archive-")
        self._unpacked: dict[int, dict[str, _Unpacked]] = {}  # by partition, the one asked last at the end
        self._lock = Lock()

    def states(self, partition: int, sequences: Sequence[int]) -> dict[int, bytes]:
        """Return the bytes of those that the archive has of some entries, by sequence. Raises as `kept_at`."""
        with self._lock:
            known = {part.partition: part.entries for part in self._archive.manifest.partitions}
            if max(sequences) > known.get(partition, 0):
                self._archive = Archive(self._archive.place)  # it has grown
            found = {}
            for month in self._archive.months(partition):
                wanted = [place for place in sequences if month.first <= place <= month.last]
                if wanted:
                    unpacked = self._of(month)
                    found.update({place: unpacked.state(place) for place in wanted})
            return found

    def _of(self, month: Month) -> "_Unpacked":
        files = self._unpacked.pop(month.partition, {})
        self._unpacked[month.partition] = files
        if month.file not in files:
            path = Path(self._folder.name) / f"{month.partition}-{month.first}"
            files[month.file] = _Unpacked(self._archive, month, path)
        while len(self._unpacked) > PARTITIONS:
            for one in self._unpacked.pop(next(iter(self._unpacked))).values():
                one.close()
        return files[month.file]


class _Unpacked:
    """The entries of a file one behind the other, and where each begins."""

    def __init__(self, archive: Archive, month: Month, path: Path) -> None:
        self._first = month.first
        self._ends = array("Q", [0])
        with path.open("wb") as file:
            for (state,) in archive.rows(month, ("entry",)):
                file.write(state)
                self._ends.append(self._ends[-1] + len(state))
        self._file = os.open(path, os.O_RDONLY)
        path.unlink()

    def state(self, place: int) -> bytes:
        """Return the entry at a place."""
        begin, end = self._ends[place - self._first], self._ends[place - self._first + 1]
        return os.pread(self._file, end - begin, begin)

    def close(self) -> None:
        """Let go of the file, which is gone with that."""
        os.close(self._file)
