"""Text from outside as text: the one place that decides which characters a screen, a page or a log may get.

A member's token, an id, a name or a line that is no fact may hold control characters, sequences that move a terminal
or write a link, marks that turn the direction of writing, and characters that nobody sees. None of them is passed on.
"""

import re
from io import BufferedIOBase
from typing import Any, BinaryIO

MARK = "\N{REPLACEMENT CHARACTER}"
# What `str.isprintable` calls printable and nobody sees: fillers, joiners, and selectors of variants.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def is_visible(text: str) -> bool:
    """Return True if every character of a text is one that a reader sees, or a space."""
    return text.isprintable() and _UNSEEN.search(text) is None


def visible(text: str, keeps: str = "") -> str:
    """Return a text whose other blanks are spaces and whose unseen characters are marks, but for those of `keeps`."""
    if is_visible(text):
        return text
    return "".join(c if is_visible(c) or c in keeps else " " if c.isspace() else MARK for c in text)


def plain(text: str) -> str:
    """Return a text on one line, blanks together, with a mark for each character that is not seen."""
    return visible(" ".join(text.split()))


def escaped(text: str) -> str:
    """Return a text with the JSON escape of each character that is not seen (``\\u202e``), but for ends of lines.

    JSON that is treated so has the same value.
    """
    if is_visible(text):
        return text
    return "".join(c if is_visible(c) or c == "\n" else _escape(c) for c in text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


class TerminalWriter(BufferedIOBase):
    """Bytes of UTF-8 for a terminal, with escapes for what is not seen. It is written by whole lines."""

    def __init__(self, out: BinaryIO) -> None:
        super().__init__()
        self._out = out
        self._rest = b""

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Write what ends with a line, and keep the rest for later; return how many bytes were taken."""
        whole, end, rest = bytes(data).rpartition(b"\n")
        if end:
            self._show(self._rest + whole + end)
            self._rest = rest
        else:
            self._rest += rest
        return len(data)

    def finish(self) -> None:
        """Write what has no end of a line."""
        self._show(self._rest)
        self._rest = b""
        self._out.flush()

    def _show(self, data: bytes) -> None:
        self._out.write(escaped(data.decode("utf-8", "replace")).encode())
