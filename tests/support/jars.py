"""Jars that tests run: Maven fetches those of a file once, and they are kept in a cache."""

import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache"


class NoJars(Exception):
    """Jars that cannot be fetched."""


def jars(pom: Path, name: str, *which: str) -> Path:
    """Return a folder of the cache with the jars of a Maven file, those that Maven's options say."""
    folder = CACHE / name
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        fetched = Path(tempfile.mkdtemp(prefix="fetched-", dir=CACHE))
        command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        done = subprocess.run(
            [*command, *which, f"-DoutputDirectory={fetched}"], capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode:
            shutil.rmtree(fetched)
            raise NoJars(f"Maven cannot fetch {name}: {done.stdout[-2_000:]}{done.stderr[-2_000:]}")
        with suppress(OSError):  # another run was faster
            fetched.rename(folder)
    return folder
