"""Jars for the tests of a lake: Maven fetches them once, and they are kept beside those of the broker."""

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

POM = Path(__file__).with_name("pom.xml")
CACHE = POM.parents[2] / ".cache"


def jars(name: str, *which: str) -> Path:
    """Return a folder of the cache with jars of the Maven file, those that Maven's options say."""
    folder = CACHE / name
    if not folder.is_dir():
        CACHE.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=CACHE) as fetched:
            copy = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
            subprocess.run([*copy, *which, f"-DoutputDirectory={fetched}/jars"], check=True, timeout=280)
            (Path(fetched) / "jars").rename(folder)
    return folder
