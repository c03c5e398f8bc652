"""An archive in S3-compatible storage grows, is restored and audited like one in a folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.archive.places import place_at
from service.archive.reading import Archive
from tests.journal.test_archive import ROOT, Shelf, tables
from tests.journal.test_archive_grows import feed
from tests.journal.test_archive_prunes import REST, WHY, answers, stubs

pytestmark = pytest.mark.lake
VERIFIER = ROOT / "verifier" / "points_verify.py"


def code_of(shelf: Shelf, failpoint: str, *words: str) -> int:
    """Return what a command in a process of its own ends with."""
    command = [sys.executable, "-m", "service.cli", "--ledger", shelf.ledger, *words]
    environment = {**os.environ, "POINTS_FAILPOINT": failpoint}
    ran = subprocess.run(list(map(str, command)), cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, timeout=120)
    return ran.returncode


def test_an_export_into_a_bucket_is_killed_goes_on_and_becomes_the_ledger(shelf: Shelf, storage: str) -> None:
    address = f"{storage}/killed"
    for failpoint in ("archive-begun", "archive-file:2", "archive-link", "archive-linked"):
        assert code_of(shelf, failpoint, "archive", "export", address) == -9
    appended = [shelf.points("archive", "export", address, "--json").json["appended"] for _ in range(2)]
    assert appended[0] > 0 and appended[1] == 0
    listed = {file.file for file in Archive(address).manifest.files}
    assert {name for name in place_at(address).names() if "partition" in name} == listed - {"book.toml"}
    shelf.points("archive", "import", address, ledger=shelf.restored)
    assert tables(shelf.restored) == tables(shelf.ledger)


def test_of_two_who_create_one_name_one_does(storage: str) -> None:
    place = place_at(f"{storage}/race")
    assert place.create("links/000001.json", b"first") and not place.create("links/000001.json", b"second")
    assert place.read("links/000001.json") == b"first" and place.read("links/000002.json") is None


def test_an_archive_in_a_bucket_is_audited(made: Shelf, storage: str) -> None:
    address = f"{storage}/audited"
    made.points("archive", "export", address)
    for question in (["verify"], ["replay"], ["stats", "--as-of", "2026-01-01"]):
        answers = [
            {**json.loads(made.points(*question, *more, "--json").out), "seconds": 0}
            for more in ([], ["--from-archive", address])
        ]
        assert answers[0] == answers[1]


def test_a_ledger_pruned_by_an_archive_in_a_bucket_is_audited_grows_and_proves_by_it(
    shelf: Shelf, storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{storage}/pruned"
    shelf.points("archive", "export", address)
    monkeypatch.setenv("POINTS_SIGNING_KEY", str(tmp_path / "key.pem"))
    shelf.points("signing-key", "new", "-o", tmp_path / "key.pem")
    shelf.points("checkpoint", "-o", tmp_path / "signed")
    before = answers(shelf)
    for failpoint in ("prune-rows", "prune-compacted"):
        assert code_of(shelf, failpoint, "archive", "prune", address, *WHY) == -9
    shelf.points("archive", "prune", address, *WHY)
    entries, pruned = stubs(shelf.ledger)
    assert entries // 5 < pruned < entries
    assert answers(shelf) == before
    for number in (1, 2):
        proof = tmp_path / f"{number}.proof"
        shelf.points("prove", "m-1", number, "--checkpoint", tmp_path / "signed", "-o", proof)
        checking = [sys.executable, VERIFIER, "--key", tmp_path / "key.pub.pem", "--member", "m-1", proof]
        checked = subprocess.run(checking, capture_output=True, text=True, timeout=60)
        assert checked.returncode == 0, checked.stdout + checked.stderr
    feed(shelf, REST, "rest")
    assert shelf.points("archive", "export", address, "--json").json["appended"] == len(REST)
    shelf.points("archive", "import", address, ledger=shelf.restored)
    assert stubs(shelf.restored)[1] == 0 and shelf.points("replay", "--json").json["differences"] == []
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert code_of(shelf, "", "replay") == 4, "it was read from the bucket"


def test_what_was_changed_or_lost_in_a_bucket_is_named(shelf: Shelf, storage: str, tmp_path: Path) -> None:
    address = f"{storage}/changed"
    shelf.points("archive", "export", address)
    place, name = place_at(address), Archive(address).manifest.months[0].file
    with place.drafts() as folder:
        (folder / "other").write_bytes(b"PAR1")
        place.put(name, folder / "other")
    assert f"{address}/{name}: has 4 bytes" in shelf.points("verify", "--from-archive", address, code=3).err
    place.remove(name)
    assert f"{address}/{name}: No such file" in shelf.points("replay", "--from-archive", address, code=3).err


def test_a_wrong_key_and_a_server_that_is_away_are_named(
    made: Shelf, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    ran = made.points("archive", "export", f"{storage}/wrong", code=4)
    assert f"{storage}/wrong/manifest.json" in ran.err and "AWS_" in ran.err
