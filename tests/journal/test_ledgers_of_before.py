"""What an older version stored is opened, verified, replayed and gone on with, and answers what it answered then.

Commit 73f7ae1 made what lies packed in `tests/data/before-the-house`: a ledger in a folder, one in PostgreSQL, an
archive, a backup, checkpoints and proofs, and its own answers; `make.py` there tells how. None of it is ever made anew.
Everything here is asked as a user does, by the command and over HTTP, so that it says nothing of how the code is laid
out. A later format of the tables is a reason to run `points store migrate` first, and none to change a pack.
"""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import httpx
import psycopg
import pytest

ROOT = Path(__file__).parents[2]
PACKS = ROOT / "tests" / "data" / "before-the-house"
VERIFIER = ROOT / "verifier" / "points_verify.py"
ODD = "会员/七 &<7>"  # the member of the inclusion proofs
# The book's `late_days` are 200, and by that a score of twelve months forgot months that it counts: it said too little
# of an instant to come. What it says now is compared with the oracle elsewhere.
MENDED = {
    "backtest draft.toml --as-of 2026-12-15",
    "explain m-2002 3 --as-of 2026-12-15",
    "export scores --as-of 2026-03-01",
    "export scores --as-of 2026-12-15",
    "show m-1014 --as-of 2026-03-01",
    "show m-2001 --as-of 2026-12-15",
    f"show {ODD} --as-of 2026-12-15",
}
# What a ledger made from an archive or a backup is asked: not what lies beside it, which it has not, and not all again.
OF_A_COPY = ("verify", "stats", "export", "show", "dead-letters", "programme", "ingest")
SET_HERE = [name for name in os.environ if name.startswith("POINTS_")]  # which no ledger of then may hear of
Answer = dict[str, Any]


class Ran(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: bytes
    err: str


class Shop:
    """A folder with the files of facts, and a ledger: in the folder, or in a database with a folder for the rest."""

    def __init__(self, folder: Path, ledger: str, beside: str = "") -> None:
        self.folder = folder
        self.ledger = ledger
        self.settings = {"POINTS_LEDGER": ledger} | ({"POINTS_FOLDER": beside} if beside else {})

    def run(self, *command: str) -> Ran:
        """Run a command in this process by its entry point."""
        out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, chdir(self.folder):
            for name in SET_HERE:
                patch.delenv(name, raising=False)
            for name, value in self.settings.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["points", *command])
            with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
                command_line()()
        assert isinstance(out.buffer, io.BytesIO)
        return Ran(int(ended.value.code or 0), out.buffer.getvalue(), err.getvalue())

    def points(self, *command: str, code: int = 0) -> Any:
        """What a command says in JSON, where it ends as it should."""
        ran = self.run(*command, "--json")
        assert ran.code == code, (command, ran.code, ran.err)
        return json.loads(ran.out) if ran.out else None

    def answers_as(self, expected: Sequence[Answer]) -> None:
        """Ask what was asked then, in the same order, and compare what is said."""
        assert expected
        for then in expected:
            ran = self.run(*then["asked"])
            lines = ran.out.splitlines() if "ndjson" in then["asked"] else [ran.out]
            assert ran.code == then["code"], (then["asked"], ran.err)
            is_alike = is_still([json.loads(line) for line in lines], then["said"])
            assert is_alike or any(" ".join(then["asked"]).startswith(known) for known in MENDED), then["asked"]

    def goes_on(self, then: Sequence[Answer]) -> None:
        """Do what was done then, in the same order: it ends as it ended, but the present engine decides what is new."""
        for one in then:
            ran = self.run(*one["asked"])
            assert ran.code == one["code"], (one["asked"], ran.err)

    def renew_views(self) -> None:
        """Build the views anew that are of an older version, as the command that meets them says."""
        told = self.run("views", "run")
        assert told.code == 4
        for view in re.findall(r"(\w+) \(live: version", told.err):
            self.points("views", "rebuild", view)
            self.points("views", "switch", view)

    @contextmanager
    def served(self) -> Iterator[str]:
        """The address of a server over the ledger, for as long as it is needed."""
        server = subprocess.Popen(
            [Path(sys.executable).with_name("points"), "serve", "--port", "0", "--no-views", "--json"],
            cwd=self.folder,
            env={name: value for name, value in os.environ.items() if name not in SET_HERE} | self.settings,
            stdout=subprocess.PIPE,
        )
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["url"]
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=60)
        assert server.returncode == 0


class Before(NamedTuple):
    """What is kept of a ledger: itself, its proofs' folder, and what it answered."""

    shop: Shop
    proofs: str
    answers: dict[str, Any]

    def answer(self, part: str, *asked: str) -> Any:
        """What it said to a command."""
        (found,) = [then["said"] for then in self.answers[part] if then["asked"] == [*asked, "--json"]]
        return found[0]


@cache
def command_line() -> Callable[[], NoReturn]:
    """What the command `points` calls, wherever it is."""
    (points,) = entry_points(group="console_scripts", name="points")
    found: Callable[[], NoReturn] = points.load()
    return found


def is_still(now: Any, then: Any) -> bool:
    """Return True if all that was said then is said now; more may be said, and how long it took is left out."""
    if isinstance(then, dict) and isinstance(now, dict):
        return all(name == "seconds" or (name in now and is_still(now[name], then[name])) for name in then)
    if isinstance(then, list) and isinstance(now, list):
        return len(now) == len(then) and all(map(is_still, now, then))
    return bool(now == then)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that is kept, unpacked, to be copied and never written."""
    folder = tmp_path_factory.mktemp("before")
    for pack in sorted(PACKS.glob("*.tar.xz")):
        with tarfile.open(pack) as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)  # the first 3.11 lack it
            tar.extractall(folder)
    return folder


@pytest.fixture
def given(packs: Path, tmp_path: Path) -> Path:
    """A folder with the files that the ledgers were given, and the proofs."""
    for file in (*packs.glob("*.ndjson"), *packs.glob("*.toml"), packs / "cart.json", packs / "finance.csv"):
        shutil.copy(file, tmp_path)
    for proofs in ("of-the-folder", "of-the-database"):
        shutil.copytree(packs / proofs, tmp_path / proofs)
    return tmp_path


@pytest.fixture
def folder(packs: Path, given: Path) -> Before:
    """The ledger in a folder."""
    shutil.copytree(packs / "points-ledger", given / "points-ledger", symlinks=True)
    answers = json.loads((packs / "folder.json").read_bytes())
    return Before(migrated(Shop(given, "points-ledger")), "of-the-folder", answers)


@pytest.fixture(params=["folder", "postgres"])
def before(request: pytest.FixtureRequest, packs: Path, given: Path) -> Before:
    """The ledger in a folder, and the one in PostgreSQL."""
    if request.param == "folder":
        found: Before = request.getfixturevalue("folder")
        return found
    address: str = request.getfixturevalue("postgres")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute((packs / "ledger.sql").read_bytes())
    shutil.copytree(packs / "beside", given / "beside", symlinks=True)
    answers = json.loads((packs / "postgres.json").read_bytes())
    return Before(migrated(Shop(given, address, "beside")), "of-the-database", answers)


def migrated(shop: Shop) -> Shop:
    """A ledger that has this version's formats; until it has, it answers nothing."""
    asked = shop.run("stats")
    assert asked.code == 3 and "run `points store migrate`" in asked.err
    assert shop.run("store", "migrate").code == 0
    return shop


def verified(shop: Shop, proofs: str, *files: str, also: Sequence[str] = ()) -> str:
    """What the standalone verifier says of checkpoints and proofs, all of which hold."""
    command = [sys.executable, str(VERIFIER), "--key", f"{proofs}/signing-key.pub.pem", *also]
    command += [f"{proofs}/{name}" for name in files]
    ran = subprocess.run(command, cwd=shop.folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


# -- a ledger as it was left -------------------------------------------------------------------------------------------


def test_every_answer_is_what_it_was(before: Before) -> None:
    before.shop.answers_as([one for one in before.answers["asked"] if one["asked"][0] != "views"])


def test_what_was_signed_holds(before: Before) -> None:
    shop, proofs = before.shop, before.proofs
    public = f"{proofs}/signing-key.pub.pem"
    signed = [part for name in ("first", "second") for part in ("--checkpoint", f"{proofs}/{name}.checkpoint")]
    found = shop.points("verify", *signed, "--key", public)
    assert found["broken"] == [] and len(found["checkpoints"]) == 2
    assert found["partitions"] == before.answer("asked", "verify")["partitions"]

    told = verified(shop, proofs, "entry.proof", also=("--member", ODD, "--number", "3"))
    assert ODD in told
    verified(shop, proofs, "first.checkpoint", "second.checkpoint", "later.proof")


def test_a_proof_made_now_is_the_proof_made_then(before: Before) -> None:
    shop, proofs = before.shop, before.proofs
    first, second = (f"{proofs}/{name}.checkpoint" for name in ("first", "second"))
    shop.points("prove", ODD, "3", "--checkpoint", second, "-o", "entry.proof")
    shop.points("prove", "--consistency", first, second, "-o", "later.proof")
    for name in ("entry.proof", "later.proof"):
        assert (shop.folder / name).read_bytes() == (shop.folder / proofs / name).read_bytes()


def test_it_goes_on_as_it_would_have_gone_on(before: Before) -> None:
    shop, proofs = before.shop, before.proofs
    assert shop.run("store", "migrate").code == 0
    assert shop.points("verify") == before.answer("asked", "verify")
    shop.goes_on([one for one in before.answers["then"] if one["asked"][0] != "views"])
    for more in ((), ("--from-topic",)):
        assert shop.points("replay", *more)["differences"] == []

    second, third, proof = (f"{proofs}/{name}" for name in ("second.checkpoint", "third.checkpoint", "month.proof"))
    shop.points("checkpoint", "--key", f"{proofs}/signing-key.pem", "--after", second, "-o", third)
    shop.points("prove", "--consistency", second, third, "-o", proof)
    verified(shop, proofs, "third.checkpoint", "month.proof")


def test_views_that_were_kept_are_those_built_anew(before: Before) -> None:
    shop = before.shop
    shop.renew_views()
    shop.points("views", "run")
    kept = {build["view"] for build in shop.points("views", "status")}
    assert {"balances", "books", "liability", "statement"} <= kept
    for view in sorted(kept):
        shop.points("views", "rebuild", view)
        found = shop.points("views", "compare", view)
        assert found["rows"] > 0 and found["differences"] == []


def test_a_byte_that_changed_since_is_found(folder: Before) -> None:
    journal = folder.shop.folder / "points-ledger" / "partition-2.db"
    content = bytearray(journal.read_bytes())
    place = content.index(b"R1", content.index(b"redemption.requested.v1"))
    content[place] ^= 1
    journal.write_bytes(content)
    broken = folder.shop.points("verify", code=1)["broken"]
    assert {place["partition"] for place in broken} == {2}


# -- an archive and a backup of it -------------------------------------------------------------------------------------


def is_the_same_ledger(shop: Shop, before: Before) -> None:
    """It answers as the ledger that it was made from, and goes on."""
    of_a_copy = {
        part: [one for one in before.answers[part] if one["asked"][0] in OF_A_COPY] for part in ("asked", "then")
    }
    shop.answers_as(of_a_copy["asked"])
    shop.goes_on(of_a_copy["then"])
    assert shop.points("replay")["differences"] == []


def test_an_archive_becomes_the_ledger_again(packs: Path, folder: Before) -> None:
    shop = Shop(folder.shop.folder, "imported")
    archive = str(packs / "archive")
    assert shop.points("replay", "--from-archive", archive)["differences"] == []
    shop.points("archive", "import", archive)
    is_the_same_ledger(shop, folder)


def test_a_backup_is_read_and_becomes_the_ledger_again(packs: Path, folder: Before) -> None:
    backup = folder.shop.folder / "backup"
    shutil.copytree(packs / "backup", backup)
    shop = Shop(folder.shop.folder, "restored")
    shop.points("restore", "backup")
    is_the_same_ledger(migrated(shop), folder)
    assert migrated(Shop(folder.shop.folder, "backup")).points("verify") == folder.answer("asked", "verify")


# -- what lies beside it -----------------------------------------------------------------------------------------------


def test_keys_operators_and_audits_are_served_as_they_were_left(packs: Path, folder: Before) -> None:
    keys: dict[str, str] = json.loads((packs / "keys.json").read_text())
    with folder.shop.served() as url:

        def ask(who: str, path: str, method: str = "GET") -> httpx.Response:
            return httpx.request(method, f"{url}{path}", headers={"Authorization": f"Bearer {keys[who]}"}, timeout=60)

        for then in folder.answers["served"]:
            answer = ask(then["by"], then["path"])
            assert answer.status_code == 200 and is_still(answer.json(), then["said"]), then["path"]
        assert ask("gone", "/v1/members/m-1014").status_code == 401
        assert [ask("guest", f"/v1/members/{member}").status_code for member in ("m-1014", "m-1001")] == [200, 403]

        (waiting,) = [a for a in ask("bob", "/v1/adjustments").json()["adjustments"] if a["state"] == "waiting"]
        approval = f"/v1/adjustments/{waiting['adjustment']}/approval"
        assert ask("ann", approval, "POST").status_code == 403
        assert ask("bob", approval, "POST").json()["outcome"] == "accepted"
        assert "draft.toml" in backtest_page(url, keys["support"])
    assert folder.shop.points("verify")["broken"] == []


def backtest_page(url: str, key: str) -> str:
    """The page of the one backtest that is kept, as the console shows it to the holder of a key."""
    with httpx.Client(base_url=url, follow_redirects=True, timeout=30) as browser:
        form = re.search(r'name="form_token" value="([^"]+)"', browser.get("/console/sign-in").text)
        assert form is not None
        programmes = {"form_token": form[1], "back": "/console/programmes", "key": key}
        listed = browser.post("/console/sign-in", data=programmes).text
        (address,) = re.findall(r'href="(/console/programmes/backtest\?name=[^"]+)"', listed)
        shown = browser.get(address)
        assert shown.status_code == 200
        return shown.text
