"""What stays after a power cut."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """What was written to a file, or renamed in a folder, survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
