"""The fuzzer: `make fuzz ARGS="--minutes 10"` runs each target in turn and tells what it found.

The corpus of the repository is where it begins. What a run adds stands in `.fuzz/`; `--pack` keeps the least of it that
reaches all that was reached.
"""

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from hashlib import sha256
from pathlib import Path

from tests.fuzz.targets import ROOT, TARGETS, Target

PACKS = Path(__file__).parent / "corpus"
CHUNK_SECONDS = 600  # after which a target begins with a new ledger
MOST_FILES, MOST_BYTES = 200, 400_000  # of a packed corpus, before it is compressed
_DONE = re.compile(r"stat::number_of_executed_units: (\d+)")


def main() -> int:
    """Run; returns 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="in all (default: 3)")
    parser.add_argument("--target", action="append", choices=[make.name for make in TARGETS], help="default: each")
    parser.add_argument("--folder", type=Path, default=ROOT / ".fuzz", help="what runs keep (default: .fuzz)")
    parser.add_argument("--pack", action="store_true", help="minimise what was reached into the repository's corpus")
    asked = parser.parse_args()
    makes = [make for make in TARGETS if not asked.target or make.name in asked.target]
    found = 0
    for make in makes:
        run = Run(make, asked.folder / make.name)
        if asked.pack:
            run.pack()
        else:
            found += run.fuzz(asked.minutes * 60 / len(makes))
    return 1 if found else 0


class Run:
    """A target's folder: corpus, what was found, and the dictionary."""

    def __init__(self, make: type[Target], folder: Path) -> None:
        self._make = make
        self._folder = folder
        self._corpus, self._found = folder / "corpus", folder / "found"
        for place in (self._corpus, self._found):
            place.mkdir(parents=True, exist_ok=True)

    def fuzz(self, seconds: float) -> int:
        """Fuzz for so long and tell what came of it; returns how many places broke a promise."""
        self._begin()
        before = {path.name for path in self._found.glob("*.bin")}
        began, done, ends = time.monotonic(), 0, 0
        while (left := seconds - (time.monotonic() - began)) > 1:
            log = self._engine(f"-max_total_time={int(min(left, CHUNK_SECONDS))}", "-timeout=20", str(self._corpus))
            units = _DONE.findall(log)
            if not units:  # out of memory, stuck, or it could not begin
                ends += 1
                print(log[-2_000:], file=sys.stderr)
                break
            done += int(units[-1])
        found = sorted({path.name for path in self._found.glob("*.bin")} - before)
        told = {
            "target": self._make.name,
            "seconds": round(time.monotonic() - began),
            "inputs": done,
            "corpus": len(list(self._corpus.iterdir())),
            "found": found,
            "broke_off": ends,
        }
        print(json.dumps(told), flush=True)
        return len(found) + ends

    def pack(self) -> None:
        """Keep the least of the corpus that reaches all it reaches, and whatever was found, smallest first."""
        least = self._folder / "least"
        subprocess.run(["rm", "-rf", str(least)], check=True)
        least.mkdir()
        self._engine("-merge=1", str(least), str(self._corpus))
        kept = sorted(self._found.glob("*.bin"), key=lambda path: path.stat().st_size)
        kept += sorted(least.iterdir(), key=lambda path: path.stat().st_size)
        inputs: list[bytes] = []
        for path in kept[:MOST_FILES]:
            data = path.read_bytes()
            if data not in inputs and sum(map(len, inputs)) + len(data) <= MOST_BYTES:
                inputs.append(data)
        PACKS.mkdir(exist_ok=True)
        write_pack(PACKS / f"{self._make.name}.tar.xz", inputs)
        print(json.dumps({"target": self._make.name, "least": len(list(least.iterdir())), "packed": len(inputs)}))

    def _begin(self) -> None:
        """Write where a fuzzer begins: the packed corpus, the seeds, and the dictionary."""
        target = self._make()
        for data in [*packed(self._make.name), *target.seeds()]:
            (self._corpus / sha256(data).hexdigest()[:40]).write_bytes(data)
        words = [word.encode() for word in sorted(target.words()) if 1 < len(word.encode()) <= 60]
        escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in words)
        (self._folder / "words").write_text("".join(f'"{word}"\n' for word in escaped))
        target.close()

    def _engine(self, *options: str) -> str:
        """Run the engine to its end; returns what it said."""
        command = [sys.executable, "-m", "tests.fuzz.engine", self._make.name, str(self._found)]
        command += [f"-max_len={self._make.most_bytes}", f"-dict={self._folder / 'words'}"]
        command += [f"-artifact_prefix={self._found}/", "-print_final_stats=1", "-rss_limit_mb=3000", *options]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'client'}"}
        with (self._folder / "log").open("w+") as log:
            subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=log, check=False)
            log.seek(0)
            return log.read()


def packed(name: str) -> list[bytes]:
    """The inputs of a target that the repository keeps."""
    path = PACKS / f"{name}.tar.xz"
    if not path.exists():
        return []
    with tarfile.open(path) as pack:
        files = [pack.extractfile(member) for member in pack.getmembers()]
        return [file.read() for file in files if file is not None]


def write_pack(path: Path, inputs: list[bytes]) -> None:
    """Write inputs as one file, which is the same whenever the inputs are."""
    with tarfile.open(path, "w:xz", preset=9) as pack:
        for number, data in enumerate(inputs):
            info = tarfile.TarInfo(f"{number:03}")
            info.size = len(data)
            pack.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    sys.exit(main())
