"""How this program is installed: its version, and what it is called from here."""

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def installed_version() -> str:
    """Return the version of points that runs."""
    try:
        return version("points-ledger")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0.1.0+checkout"


def program_name() -> str:
    """Return how this program is called: ``points`` where the shell finds it, else its path."""
    called = Path(sys.argv[0])
    found = shutil.which("points")
    if called.name != "points" or (found and Path(found).resolve() == called.resolve()):
        return "points"
    return os.path.relpath(called) if called.is_absolute() else str(called)
