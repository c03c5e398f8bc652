"""A disk that fails below SQLite: I/O errors, a full disk, short writes, kills and power cuts, at every change.

After each the command has said what failed, nothing is half-written, the same command without a fault ends as an
undisturbed one does, leaf by leaf, and the audits are green.
"""

import json
import re
import shutil
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from consumers.local.open import open_inbox
from ledger.journal.folder import FolderLedger
from projections.audit.replay import replay
from projections.audit.verify import verify
from service.archive.reading import Archive
from tests.faults.disk import ROOT, Disk, Ended, failing_disk
from tests.support.contents import contents as contents_of
from tests.support.histories import LONG_AGO, encode
from tests.support.ledgers import histories_of, scratch, write_facts
from tests.support.served import grant

KILLED = -9
AT = "2030-03-17T17:46:00+00:00"  # what a server is told, by its clock (`process.NOW`) a moment ago
SOME = 2  # of a scenario's changes, in `make test`
CHANGES = ("eio", "eio-always", "eio-then-lose", "full", "short", "kill", "lose", "tear")
CUTS = ("lose", "tear")  # of power
WHAT_FAILED = re.compile(
    r"unable to open database file|Input/output error|No space left|disk I/O error|disk is full|is malformed",
    re.IGNORECASE,
)


class Scenario:
    """A command, what is there before it, and what there is to be behind it."""

    name: str
    traces = False  # what fails is told with where
    makes = False  # a folder that is whole or not there
    refuses = 3  # the exit code of a command that makes it where it is there

    def __init__(self, disk: Disk, folder: Path) -> None:
        self.disk = disk
        self.files = folder
        self.ledger = disk.below / "ledger"
        self.target = disk.below / "target"
        self._before = folder / f"{self.name}-before"
        self._before.mkdir()
        self.prepare()
        if disk.below.exists():
            shutil.copytree(disk.below, self._before, dirs_exist_ok=True)

    def prepare(self) -> None:
        """Make what is there before."""

    def command(self) -> Sequence[object]:
        raise NotImplementedError

    def begin(self) -> None:
        """Put everything back as it was before."""
        shutil.rmtree(self.disk.below)
        shutil.copytree(self._before, self.disk.below)

    def meets(self, number: int = 0, what: str = "none", **more: Any) -> Ended:
        return self.disk.meets(self.command(), number, what, **more)

    def found(self) -> Any:
        """What there is now; nothing that time or chance decides. Raises where an audit is not green."""
        return whole(self.ledger)

    def did_all(self, ended: Ended) -> bool:
        """Return True if the run did all that an undisturbed one does."""
        return ended.code == 0

    def check_kept(self, ended: Ended) -> None:
        """Fail where what a run acknowledged before the fault is gone, or something is there in part."""
        if self.makes and self.target.exists():
            assert self.found() == self.undisturbed()

    @cache  # noqa: B019 - a scenario lives as long as its module's tests
    def undisturbed(self) -> Any:
        self.begin()
        ended = self.meets()
        assert ended.code == 0, ended.said
        return self.found()

    def run_again(self) -> None:
        """Run it without a fault."""
        is_made = self.makes and self.target.exists()
        ended = self.meets()
        assert ended.code == (self.refuses if is_made else 0), ended.said
        assert self.found() == self.undisturbed()

    @cache  # noqa: B019
    def changes(self) -> list[str]:
        """Each change that an undisturbed run makes, in order."""
        self.begin()
        return self.meets(told=True).log

    @cache  # noqa: B019
    def reads(self) -> int:
        self.begin()
        return self.meets(0, "eio-read").count


def whole(folder: Path, *, from_topic: bool = True) -> dict[str, Any]:
    """All that a ledger holds; its audits are green."""
    with closing(FolderLedger.at(folder)) as ledger:
        found = contents_of(ledger)
        assert verify(ledger)["broken"] == []
        if (folder / "inbox.db").exists():
            with closing(open_inbox(ledger)) as inbox:
                for partition in ledger.partitions:
                    found[f"inbox {partition}"] = list(inbox.read(partition, -1, 1 << 40))
        assert replay(ledger, from_topic=from_topic)["differences"] == []
        return found


class Ingest(Scenario):
    """The ledger is made, its inbox and journals, and two files are taken in."""

    name = "ingest"

    def prepare(self) -> None:
        facts = histories_of(Random(3), members=5, length=12, start=LONG_AGO)
        self.given = [write_facts(self.files / f"{n}.ndjson", [*facts[n::2], b"{"]) for n in range(2)]

    def command(self) -> Sequence[object]:
        return ["--ledger", self.ledger, "ingest", "--backlog", "--jobs", "1", *self.given]


class OfALedger(Scenario):
    """A command over a ledger that is there."""

    def prepare(self) -> None:
        facts = histories_of(Random(4), members=4, length=10, start=LONG_AGO)
        given = write_facts(self.files / "facts.ndjson", [*facts, b"{"])
        made = self.disk.meets(["--ledger", self.ledger, "ingest", "--backlog", "--jobs", "1", given])
        assert made.code == 0, made.said


class Migrate(Scenario):
    """A ledger of an older version gets this version's formats, origins and inbox."""

    name = "migrate"

    def prepare(self) -> None:
        with tarfile.open(ROOT / "tests" / "data" / "before-the-house" / "folder.tar.xz") as pack:
            pack.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
            pack.extractall(self.files)
        for name in ("views", "audits"):
            shutil.rmtree(self.files / "points-ledger" / name, ignore_errors=True)
        shutil.copytree(self.files / "points-ledger", self.ledger)

    def command(self) -> Sequence[object]:
        return ["--ledger", self.ledger, "store", "migrate"]


class Backup(OfALedger):
    """A ledger is copied."""

    name = "backup"
    makes = True

    def command(self) -> Sequence[object]:
        return ["--ledger", self.ledger, "backup", self.target]

    def found(self) -> Any:
        return whole(self.target)


class Restore(OfALedger):
    """A ledger is made from a copy."""

    name = "restore"
    makes = True

    def prepare(self) -> None:
        super().prepare()
        assert self.disk.meets(["--ledger", self.ledger, "backup", self.disk.below / "backup"]).code == 0

    def command(self) -> Sequence[object]:
        return ["--ledger", self.target, "restore", self.disk.below / "backup"]

    def found(self) -> Any:
        return whole(self.target)


class Export(OfALedger):
    """A ledger is written as an archive."""

    name = "export"
    makes = True
    refuses = 0  # it appends what is new, which is nothing

    def command(self) -> Sequence[object]:
        return ["--ledger", self.ledger, "archive", "export", self.target]

    def found(self) -> Any:
        Archive(self.target).check()  # each file as the manifest says
        files = sorted(path for path in self.target.rglob("*") if path.is_file())
        return [(str(path.relative_to(self.target)), sha256(path.read_bytes()).digest()) for path in files]


class Grow(Export):
    """An archive gets what its ledger decided since."""

    name = "grow"
    makes = False

    def prepare(self) -> None:
        super().prepare()
        facts = histories_of(Random(5), members=4, length=6, start=LONG_AGO)
        more = write_facts(self.files / "more.ndjson", [*facts, b"{"])
        for command in (self.command(), ["--ledger", self.ledger, "ingest", "--backlog", "--jobs", "1", more]):
            ended = self.disk.meets(command)
            assert ended.code == 0, ended.said

    def found(self) -> Any:
        archive = Archive(self.target)
        archive.check()
        listed = {file.file for file in archive.manifest.files}
        files = [*self.target.glob("entries/*/*"), *self.target.glob("parked/*")]  # a power cut may leave drafts
        there = (path.relative_to(self.target).as_posix() for path in files)
        parts = archive.manifest.partitions
        return parts, {*there} - listed, [list(archive.records(part.partition)) for part in parts]


class Import(OfALedger):
    """A ledger is made from an archive, by deciding again."""

    name = "import"
    makes = True

    def prepare(self) -> None:
        super().prepare()
        assert self.disk.meets(["--ledger", self.ledger, "archive", "export", self.disk.below / "archive"]).code == 0

    def command(self) -> Sequence[object]:
        return ["--ledger", self.target, "archive", "import", self.disk.below / "archive"]

    def found(self) -> Any:
        return whole(self.target, from_topic=False)


class Serve(OfALedger):
    """A server takes facts one by one and decides them; what it answered 200 or 202 to is there."""

    name = "serve"
    traces = True
    facts = tuple(encode(grant(f"m-{n % 3}", f"g-{n}", 100 + n) | {"time": AT}).decode() for n in range(4))

    def command(self) -> Sequence[object]:
        return ["SERVE", self.ledger]

    def meets(self, number: int = 0, what: str = "none", **more: Any) -> Ended:
        ended = super().meets(number, what, facts=self.facts, **more)
        assert number or {200, 202}.issuperset(ended.answers), "undisturbed it takes every fact"
        return ended

    def did_all(self, ended: Ended) -> bool:
        return ended.code == 0 and ended.answers == [200] * len(self.facts)  # 202 is decided when it runs again

    def check_kept(self, ended: Ended) -> None:
        restarted = self.disk.meets(["SERVE", self.ledger])
        assert restarted.code == 0, restarted.said
        with closing(FolderLedger.at(self.ledger)) as ledger:
            entries = b"".join(row.state for partition in ledger.partitions for row in ledger.journal(partition).scan())
        for n, status in enumerate(ended.answers):
            assert status in (200, 202, 503), status
            assert status == 503 or f'"g-{n}"'.encode() in entries, (n, status)


SCENARIOS: tuple[type[Scenario], ...] = (Ingest, Migrate, Backup, Restore, Export, Import, Serve, Grow)


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    with scratch() as folder, failing_disk(folder) as found:
        yield found


@pytest.fixture(scope="module", params=SCENARIOS, ids=lambda kind: kind.name)
def scenario(request: pytest.FixtureRequest, disk: Disk) -> Iterator[Scenario]:
    with scratch() as folder:
        if disk.below.exists():
            shutil.rmtree(disk.below)
        disk.below.mkdir()
        yield request.param(disk, folder)


def disturbed(scenario: Scenario, number: int, what: str, seed: int = 1) -> Ended:
    """Something happens at the number-th change; then the same command runs without."""
    expected = scenario.undisturbed()  # known before: to make it puts everything back
    scenario.begin()
    ended = scenario.meets(number, what, seed=seed)
    if ended.code == KILLED:
        assert what in ("kill", *CUTS)
    elif ended.code != 0:
        assert ended.code == 4 or (ended.code, what) == (3, "eio-read"), ended  # SQLite says "damaged" of a read
        assert WHAT_FAILED.search(ended.said) and " a bug" not in ended.said, ended.said
        assert scenario.traces or "Traceback" not in ended.said, ended.said
    elif scenario.did_all(ended) and what in (*CUTS, "eio-then-lose"):  # the power went behind the end
        assert scenario.found() == expected
    scenario.check_kept(ended)
    scenario.run_again()
    return ended


def spread(total: int, some: int) -> list[int]:
    """So many numbers of 1 to total, evenly."""
    return [1 + total * (2 * n + 1) // (2 * some) for n in range(some)]


def test_a_disk_that_fails_at_some_changes(scenario: Scenario) -> None:
    at = SCENARIOS.index(type(scenario))
    kinds = [CHANGES[(at + n) % len(CHANGES)] for n in range(SOME)]  # of each scenario others
    total = len(scenario.changes())
    for number, what in zip(spread(total, SOME), kinds, strict=True):
        disturbed(scenario, number, what)
    assert disturbed(scenario, 2 * total + 100, CUTS[at % 2]).code == 0  # behind the end: a server's threads vary


def test_a_disk_that_fails_at_a_read(scenario: Scenario) -> None:
    disturbed(scenario, scenario.reads() // 2, "eio-read")


def test_an_inbox_whose_making_was_interrupted_is_made_anew(disk: Disk) -> None:
    with scratch() as folder:
        shutil.rmtree(disk.below, ignore_errors=True)
        disk.below.mkdir()
        scenario = Ingest(disk, folder)
        made = scenario.changes().index("create /ledger/inbox.db 0") + 1
        for number in (made + 1, made + 6, made + 12):
            assert disturbed(scenario, number, "kill").code == KILLED


DONE = """
import ctypes, os, sys
below, aside, number, what, seed = [*sys.argv[1:], "7"][:5]
folder = os.open(below, os.O_RDONLY)
shim = ctypes.CDLL(None)
assert shim.fault_arm(below.encode(), aside.encode(), int(number), what.encode(), int(seed), b"") == 0
os.chdir(below)
with open("a", "wb", 0) as a:                   # changes 1 and 2 with what is written
    a.write(b"first")
    os.fsync(a)                                 # 3
    os.fsync(folder)                            # 4
    a.write(b", second")                        # 5
    os.rename("a", "b")                         # 6
    os.ftruncate(a.fileno(), 3)                 # 7
    os.unlink("b")                              # 8
shim.fault_end()
"""


@pytest.mark.parametrize(
    ("number", "what", "code", "left"),
    [
        (9, "none", 0, {}),
        (9, "lose", 0, {"a": b"first"}),
        (6, "lose", KILLED, {"a": b"first"}),
        (4, "lose", KILLED, {}),
        (8, "kill", KILLED, {"b": b"fir"}),
        (5, "kill", KILLED, {"a": b"first"}),
        (2, "eio", 1, {"a": b""}),
        (3, "eio", 1, {"a": b"first"}),
        (5, "full", 1, {"a": b"first"}),
        (5, "short", 0, {}),
        (8, "eio-always", 1, {"b": b"fir"}),
    ],
)
def test_the_disk_fails_as_it_is_told(disk: Disk, number: int, what: str, code: int, left: dict[str, bytes]) -> None:
    with scratch() as folder, scratch() as aside:
        ran = disk.runs([sys.executable, "-c", DONE, str(folder), str(aside), str(number), what])
        assert (ran, {path.name: path.read_bytes() for path in folder.iterdir()}) == (code, left)


def test_a_power_cut_keeps_a_part_of_what_was_not_brought_to_the_disk(disk: Disk) -> None:
    found = set()
    for seed in range(12):
        with scratch() as folder, scratch() as aside:
            disk.runs([sys.executable, "-c", DONE, str(folder), str(aside), "7", "tear", str(seed)])
            found |= {(path.name, path.read_bytes()) for path in folder.iterdir()}
    names, contents = {name for name, _ in found}, {content for _, content in found}
    assert names == {"a", "b"} and contents == {b"first", b"first, second"}


def disturbed_at_each(scenario: Scenario, what: str, numbers: Sequence[int]) -> None:
    """Something happens at each of these changes; prints how many runs ended how, which `pytest -rP` shows."""
    ended: Counter[str] = Counter()
    broken = []
    for number in numbers:
        try:
            code = disturbed(scenario, number, what, seed=number).code
            ended["killed" if code == KILLED else f"exit {code}"] += 1
        except AssertionError as error:
            broken.append((number, str(error)[:600]))
    print(json.dumps({"command": scenario.name, "what": what, "runs": len(numbers), **ended, "broken": len(broken)}))
    assert broken == []


@pytest.mark.campaign
@pytest.mark.parametrize("what", CHANGES)
def test_a_disk_that_fails_at_every_change(scenario: Scenario, what: str) -> None:
    behind = 1 if what in CUTS else 0  # the power may go behind the end, too
    disturbed_at_each(scenario, what, range(1, len(scenario.changes()) + 1 + behind))


@pytest.mark.campaign
def test_a_disk_that_fails_at_every_read(scenario: Scenario) -> None:
    disturbed_at_each(scenario, "eio-read", range(1, scenario.reads() + 1))
