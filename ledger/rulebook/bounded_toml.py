"""TOML in a time that grows with its length: the library's own grows with the square of how many parts a key has."""

import re
import tomllib
from typing import Any

DEEPEST = 200  # parts of one dotted key: 30,000 of them, which are 60 KB, took 7.5 s
_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+"""
_TOO_DEEP = re.compile(rf"(?<![\w\\-])(?:{_PART}){{{DEEPEST}}}")


def read_toml(text: str) -> dict[str, Any]:
    """Return a TOML document. Raises `ValueError` and `RecursionError` (both in `UNREADABLE`) where it is none."""
    deep = _TOO_DEEP.search(text)
    if deep is not None:
        raise ValueError(f"line {1 + text.count(chr(10), 0, deep.start())}: a key of more than {DEEPEST} parts")
    return tomllib.loads(text)
