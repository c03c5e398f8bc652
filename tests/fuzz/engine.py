"""One target under atheris: `python -m tests.fuzz.engine TARGET FOLDER [option of libFuzzer …] [corpus …]`.

An input that breaks a promise is kept in FOLDER, once for each place that broke it, and the run goes on.
"""

import sys
import traceback
from hashlib import sha256
from pathlib import Path
from random import Random

import atheris  # of the dependency group `fuzz`

with atheris.instrument_imports(
    include=["ledger", "service.http", "service.console", "consumers.files", "tomllib", "json"],
):
    from tests.fuzz.targets import TARGETS, Target


class Finder:
    """Meets a target with inputs, and keeps those that break it."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target = target
        self._folder = folder
        self._known = {path.stem for path in folder.glob("*.txt")}

    def __call__(self, data: bytes) -> None:
        """Meet the target with an input."""
        try:
            self._target.check(data)
        except Exception as error:
            self._keep(data, error)

    def _keep(self, data: bytes, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        where = " ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:])
        name = f"{self._target.name}-{sha256(f'{type(error)} {where}'.encode()).hexdigest()[:12]}"
        if name not in self._known:
            self._known.add(name)
            (self._folder / f"{name}.bin").write_bytes(data)
            (self._folder / f"{name}.txt").write_text("".join(traceback.format_exception(error)))
            print(f"FOUND {name} {type(error).__name__}: {error}"[:300], file=sys.stderr, flush=True)


def main() -> None:
    """Run."""
    name, folder, *options = sys.argv[1:]
    (make,) = [make for make in TARGETS if make.name == name]
    target = make()

    def mutate(data: bytes, most_bytes: int, seed: int) -> bytes:
        changed: bytes = data
        if seed % 2:
            changed = target.mutated(data, Random(seed))
        if changed == data or seed % 3 == 0:
            changed = atheris.Mutate(changed, most_bytes)
        return changed[:most_bytes]

    itself = f"{sys.executable} -m tests.fuzz.engine {name} {folder}"  # which it starts anew to minimise
    atheris.Setup([itself, *options], Finder(target, Path(folder)), custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
