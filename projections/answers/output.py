"""What is written is there whole or not at all: a file, or a folder of files."""

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ENOENT
from pathlib import Path
from typing import BinaryIO, cast

from ledger.journal.durable import sync
from projections.answers.plain import TerminalWriter


@contextmanager
def output_file(path: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that takes its name only when all of it is written."""
    if path is None:
        with terminal_output() as out:
            yield out
        return
    target = path.resolve()
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(target.stat().st_mode) and not target.is_dir():
            with target.open("wb") as device:  # a pipe or a device keeps its name
                yield device
            return
    if not target.parent.is_dir():
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), str(target.parent))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def is_piped() -> bool:
    """Return True if standard output is neither a terminal nor a file: a program reads it."""
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (OSError, ValueError):
        return not sys.stdout.isatty()
    return not (sys.stdout.isatty() or stat.S_ISREG(mode))


@contextmanager
def terminal_output() -> Iterator[BinaryIO]:
    """Standard output; where that is a terminal, what nobody sees is written as its escape."""
    out = sys.stdout.buffer
    if not sys.stdout.isatty():
        yield out
        out.flush()
        return
    shown = TerminalWriter(out)
    yield cast("BinaryIO", shown)
    shown.finish()


def unfinished(folder: Path) -> Path:
    """The folder beside another, in which that one is made until it is whole."""
    return folder.with_name(f".{folder.name}.points-part")


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """A new folder that takes its name when all in it is written; what an interrupted run left is removed."""
    making = unfinished(folder)
    if making.exists():
        shutil.rmtree(making)
    making.mkdir(parents=True)
    try:
        yield making
        sync(making)
        making.rename(folder)
        sync(folder.absolute().parent)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
