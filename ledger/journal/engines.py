"""Which program decides: the native engine where it is installed, or Python.

`POINTS_ENGINE` says it, or else `engine` in the TOML file that `POINTS_CONFIG` names: ``auto`` (the native engine where
there is one), ``python`` or ``native``. Both come to the same bytes.
"""

import os
import tomllib
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

from ledger.errors import Unusable
from ledger.wire.unreadable import UNREADABLE

VARIABLE: Final = "POINTS_ENGINE"
CONFIG: Final = "POINTS_CONFIG"
MODULE: Final = "points_engine"
# The code that says what is decided and how it is written: an engine made beside other code might decide otherwise.
CODE: Final = ("core", "rulebook", "wire")

# The number of what is called of the engine, and with what: `engine/src/python.rs` has the same.
CALLS: Final = 3

# What the engine lets go of it needs again with the next batch: its allocator, which looks here once, keeps it.
# Memory that the system gives anew has to be cleared.
KEEPS_MEMORY: Final = ("MIMALLOC_PURGE_DELAY", "-1")

Engine = Literal["auto", "python", "native"]


class NoEngine(Unusable):
    """The engine that was asked for is not there."""


class Choice(NamedTuple):
    """The engine that is asked for, and where that was said: the variable, the file, or nowhere."""

    engine: Engine
    said_by: str


class Deciding(NamedTuple):
    """The program that decides: ``python`` or ``native``, the choice behind it, and why it is not the native one.

    `why_not` is empty where the native engine decides, or where Python was asked for.
    """

    decides: Literal["python", "native"]
    asked: Engine
    said_by: str
    why_not: str

    @property
    def is_missing(self) -> bool:
        """Return True if the native engine was asked for by name and is not there: then nothing is decided."""
        return self.asked == "native" and bool(self.why_not)


def chosen_engine(environment: Mapping[str, str] = os.environ) -> Choice:
    """Return the engine that is asked for, ``auto`` where nothing says it. Raises `NoEngine`."""
    if environment.get(VARIABLE):
        return _choice(environment[VARIABLE], VARIABLE)
    path = environment.get(CONFIG)
    if path:
        try:
            with open(path, "rb") as file:
                found = tomllib.load(file)
        except OSError as error:
            raise NoEngine(f"{path}: {error.strerror}; give a readable TOML file") from None
        except UNREADABLE as error:
            raise NoEngine(f"{path}: not TOML: {error}") from None
        if "engine" in found:
            return _choice(found["engine"], f"{path}: engine")
    return Choice("auto", "the default")


def _choice(engine: Any, said_by: str) -> Choice:
    if engine not in get_args(Engine):
        raise NoEngine(f"{said_by} is {engine!r}; it is auto, python or native")
    return Choice(engine, said_by)


def native_module(engine: str | None = None) -> Any | None:
    """Return the native engine's module, None where Python decides.

    `engine` is the one that is asked for, by default that of `chosen_engine`. Raises `NoEngine`.
    """
    choice = chosen_engine() if engine in (None, "auto") else _choice(engine, "the engine")
    if choice.engine == "python":
        return None
    module, why = _installed()
    if module is None and choice.engine == "native":
        raise NoEngine(f"{choice.said_by} is native, and {why}")
    return module


def _installed() -> tuple[Any | None, str]:
    """Return the native engine's module; where there is none that may decide here, None and why."""
    os.environ.setdefault(*KEEPS_MEMORY)
    try:
        module = import_module(MODULE)
    except ImportError:
        return None, "the native engine is not installed; `make engine` builds it from a clone"
    if getattr(module, "CODE", None) != code():
        return None, "the native engine was built beside other code than this; `make engine` builds it anew"
    if getattr(module, "CALLS", None) != CALLS:
        return None, "the native engine has other calls than are made here; `make engine` builds it anew"
    return module, ""


@cache
def code() -> str:
    """Return the SHA-256 of the code that decides here, as hex: the `CODE` of an engine that was made beside it."""
    ledger = Path(__file__).resolve().parents[1]
    files = {file.relative_to(ledger).as_posix(): file for folder in CODE for file in (ledger / folder).rglob("*.py")}
    found = sha256()
    for name, file in sorted(files.items()):
        text = file.read_bytes()
        found.update(f"{name} {len(text)}\n".encode())
        found.update(text)
    return found.hexdigest()


def deciding() -> Deciding:
    """Return which program decides in this process, and why."""
    choice = chosen_engine()
    module, why = (None, "") if choice.engine == "python" else _installed()
    return Deciding("python" if module is None else "native", choice.engine, choice.said_by, why)
