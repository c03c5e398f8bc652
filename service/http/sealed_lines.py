"""Lines of JSON, each sealed together with those before it, so that one changed, moved or taken out is found.

A line's seal is its last member: SHA-256 of the seal before it and of the line without its own. A line of an older
version has none and counts by its bytes, so the first one with a seal vouches for all before it.
"""

import re
from hashlib import sha256

_SEAL = re.compile(rb',"seal":"([0-9a-f]{64})"}$')


class Chain:
    """What the lines so far come to. `problems` says of each line that does not follow what is wrong with it.

    `is_sealed` says whether any has a seal.
    """

    def __init__(self) -> None:
        self.count = 0
        self.problems: list[str] = []
        self._last = bytes(32)
        self.is_sealed = False

    @property
    def head(self) -> str:
        """How many lines there are, and what they come to: a text of one line."""
        return f"{self.count} {self._last.hex()}"

    def sealed(self, line: bytes) -> bytes:
        """Return a line that is to come next with its seal."""
        return line[:-1] + b',"seal":"' + self._follows(line).hex().encode() + b'"}'

    def take(self, line: bytes) -> None:
        """Take the next line as it stands in the file."""
        self.count += 1
        found = _SEAL.search(line)
        if found is None:
            if self.is_sealed:
                self.problems.append(f"line {self.count} has no seal")
            self._last = self._follows(line)
            return
        self.is_sealed = True
        seal = bytes.fromhex(found[1].decode())
        if seal != self._follows(line[: found.start()] + b"}"):
            self.problems.append(f"line {self.count} does not follow from those before it")
        self._last = seal

    def _follows(self, line: bytes) -> bytes:
        return sha256(self._last + line).digest()
