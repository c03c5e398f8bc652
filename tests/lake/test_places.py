"""An archive in a folder, in S3-compatible storage and in HDFS: it grows, is restored and audited alike."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger.errors import CannotRunNow
from ledger.journal.open import open_ledger
from service.archive.files import BadCopy
from service.archive.growing import begin, grow
from service.archive.places import place_at
from service.archive.reading import Archive
from tests.journal.test_archive import ROOT, Shelf, tables
from tests.journal.test_archive_grows import feed
from tests.journal.test_archive_prunes import REST, WHY, answers, stubs
from tests.lake.clusters import Hadoop

pytestmark = [pytest.mark.lake, pytest.mark.timeout(900)]  # Java starts slowly on a busy machine

VERIFIER = ROOT / "verifier" / "points_verify.py"
KILLED = ("archive-begun", "archive-file:2", "archive-link", "archive-linked")


def code_of(shelf: Shelf, failpoint: str, *words: str) -> int:
    """Return what a command in a process of its own ends with."""
    command = [sys.executable, "-m", "service.cli", "--ledger", shelf.ledger, *words]
    environment = {**os.environ, "POINTS_FAILPOINT": failpoint}
    ran = subprocess.run(list(map(str, command)), cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, timeout=600)
    return ran.returncode


def becomes_the_ledger(shelf: Shelf, address: str) -> None:
    """What the archive holds is listed, all of it, and is the ledger."""
    listed = {file.file for file in Archive(address).manifest.files}
    names = place_at(address).names()
    assert {name for name in names if name.startswith(("entries", "parked", "."))} == listed - {"book.toml"}
    shelf.points("archive", "import", address, ledger=shelf.restored)
    assert tables(shelf.restored) == tables(shelf.ledger)


@pytest.mark.parametrize(
    ("home", "failpoints"),
    [("s3", KILLED), ("hdfs", ("archive-sent", "archive-begun", *KILLED[1:], "archive-sent:3"))],
    indirect=["home"],
)
def test_an_export_is_killed_goes_on_and_becomes_the_ledger(
    shelf: Shelf, home: str, failpoints: tuple[str, ...]
) -> None:
    for failpoint in failpoints:
        assert code_of(shelf, failpoint, "archive", "export", home) == -9
    appended = [shelf.points("archive", "export", home, "--json").json["appended"] for _ in range(2)]
    assert appended[0] > 0 and appended[1] == 0
    becomes_the_ledger(shelf, home)


def test_of_many_who_create_one_name_one_does(home: str) -> None:
    Path(home).mkdir(exist_ok=True) if home.startswith("/") else None
    contents = [f"of {number}".encode() * 10_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda content: place_at(home).create("links/000001.json", content), contents))
    place = place_at(home)
    assert created.count(True) == 1 and place.read("links/000001.json") == contents[created.index(True)]
    assert not place.create("links/000001.json", b"late")
    assert place.names() == place.names("links") == ["links/000001.json"]


def test_what_is_put_replaces_what_is_removed_is_gone(home: str) -> None:
    place = place_at(home)
    assert place.read("manifest.json") is None
    place.begin({"book.toml": b"a book", "manifest.json": b"{}"})
    with pytest.raises(BadCopy, match="is there already"):
        place.begin({"book.toml": b"a book", "manifest.json": b"{}"})
    for content in (b"", b"PAR1" * 5_000_000, b"shorter"):
        with place.drafts() as folder:
            (folder / "draft").write_bytes(content)
            place.put("entries/partition-0/2025-01.parquet", folder / "draft")
        with place.near("entries/partition-0/2025-01.parquet") as path:
            assert path.read_bytes() == content
    assert place.create("links/000001.json", b"1") and place.names("links") == ["links/000001.json"]
    assert len(place.names()) == 4
    for _ in range(2):
        place.remove("entries/partition-0/2025-01.parquet")
    assert place.names() == ["book.toml", "links/000001.json", "manifest.json"] and place.names("parked") == []


def test_an_archive_is_audited(made: Shelf, home: str) -> None:
    made.points("archive", "export", home)
    for question in (["verify"], ["replay"], ["stats", "--as-of", "2026-01-01"]):
        answers = [
            {**json.loads(made.points(*question, *more, "--json").out), "seconds": 0}
            for more in ([], ["--from-archive", home])
        ]
        assert answers[0] == answers[1]


def test_of_two_exports_at_once_one_appends(shelf: Shelf, home: str) -> None:
    ledger, place, done = open_ledger(shelf.ledger), place_at(home), list[int]()

    def other(entries: int) -> None:
        if not done:
            done.append(entries)
            grow(ledger, place_at(home))

    begin(ledger, place)
    with pytest.raises(CannotRunNow, match="another export"):
        grow(ledger, place, other)
    assert grow(ledger, place)[1] == 0
    ledger.close()
    becomes_the_ledger(shelf, home)


@pytest.mark.parametrize("home", ["s3"], indirect=True)
def test_a_ledger_pruned_by_an_archive_in_a_bucket_is_audited_grows_and_proves_by_it(
    shelf: Shelf, home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.points("archive", "export", home)
    monkeypatch.setenv("POINTS_SIGNING_KEY", str(tmp_path / "key.pem"))
    shelf.points("signing-key", "new", "-o", tmp_path / "key.pem")
    shelf.points("checkpoint", "-o", tmp_path / "signed")
    before = answers(shelf)
    for failpoint in ("prune-rows", "prune-compacted"):
        assert code_of(shelf, failpoint, "archive", "prune", home, *WHY) == -9
    shelf.points("archive", "prune", home, *WHY)
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
    assert shelf.points("archive", "export", home, "--json").json["appended"] == len(REST)
    shelf.points("archive", "import", home, ledger=shelf.restored)
    assert stubs(shelf.restored)[1] == 0 and shelf.points("replay", "--json").json["differences"] == []
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert code_of(shelf, "", "replay") == 4, "it was read from the bucket"


def test_what_was_changed_or_lost_is_named(shelf: Shelf, home: str) -> None:
    shelf.points("archive", "export", home)
    place, name = place_at(home), Archive(home).manifest.months[0].file
    with place.drafts() as folder:
        (folder / "other").write_bytes(b"PAR1")
        place.put(name, folder / "other")
    assert f"{home}/{name}: has 4 bytes" in shelf.points("verify", "--from-archive", home, code=3).err
    place.remove(name)
    assert f"{home}/{name}: No such file" in shelf.points("replay", "--from-archive", home, code=3).err


def test_a_wrong_key_is_named(made: Shelf, storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    ran = made.points("archive", "export", f"{storage}/wrong", code=4)
    assert f"{storage}/wrong/manifest.json" in ran.err and "AWS_" in ran.err


@pytest.mark.parametrize("home", ["hdfs"], indirect=True)
def test_hdfs_writes_to_its_disks_and_speaks_tls(hadoop: Hadoop, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place_at(home).create("links/000001.json", b"1")
    blocks, synced = hadoop.written()
    assert synced >= blocks > 0
    secret = home.replace(f"webhdfs://{hadoop.http}", f"swebhdfs://{hadoop.tls}")
    with pytest.raises(CannotRunNow, match=r"CERTIFICATE_VERIFY_FAILED.*SSL_CERT_FILE"):
        place_at(secret).read("links/000001.json")
    monkeypatch.setenv("SSL_CERT_FILE", str(hadoop.certificate))
    assert place_at(secret).read("links/000001.json") == b"1" and not place_at(secret).create("links/000001.json", b"2")


@pytest.mark.parametrize("home", ["hdfs"], indirect=True)
def test_where_hdfs_is_not_and_who_may_not_write_is_named(
    made: Shelf, hadoop: Hadoop, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home.rpartition("/")[2]
    said = {
        "127.0.0.1:1": "Connection refused; see that it runs",
        hadoop.rpc: "not the correct port",
        hadoop.data_http: "see what its log says",
    }
    for host, why in said.items():
        ran = made.points("archive", "export", f"webhdfs://{host}/{path}", code=4)
        for part in (f"webhdfs://{host}/{path}/manifest.json: ", f" {host} ", why):
            assert part in ran.err
    for wrong in ("hdfs://namenode:8020/beans", "webhdfs:///beans", "webhdfs://host:port/beans"):
        assert "webhdfs://HOST:9870/PATH" in made.points("archive", "export", wrong, code=2).err
    standing_by = place_at(f"webhdfs://127.0.0.1:1,{hadoop.http}/{path}")
    assert standing_by.create("links/000001.json", b"1") and standing_by.names() == ["links/000001.json"]
    monkeypatch.setenv("HADOOP_USER_NAME", "guest")
    assert place_at(home).read("links/000001.json") == b"1"
    ran = made.points("archive", "export", home, code=4)
    assert "Permission denied: user=guest" in ran.err and "HADOOP_USER_NAME" in ran.err


@pytest.mark.parametrize("home", ["hdfs"], indirect=True)
def test_hdfs_goes_away_in_the_middle_and_the_same_export_goes_on(shelf: Shelf, hadoop: Hadoop, home: str) -> None:
    ledger, running = open_ledger(shelf.ledger), ["namenode", "datanode"]

    def away(entries: int) -> None:
        while running:
            hadoop.kill(running.pop())

    begin(ledger, place_at(home))
    with pytest.raises(CannotRunNow, match="is not reached"):
        grow(ledger, place_at(home), away)
    ledger.close()
    hadoop.start("namenode")
    said = "wait until HDFS has left its safe mode"
    hadoop.wait_until(said)  # there are blocks, and nobody who has them
    assert said in shelf.points("archive", "export", home, code=4).err
    hadoop.start("datanode")
    hadoop.wait_until("")
    shelf.points("archive", "export", home)
    becomes_the_ledger(shelf, home)
