"""Each inbox against the contract of inboxes; and what only one that many processes feed has to do."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from consumers.feeding import fed
from consumers.local.open import open_inbox
from consumers.local.port import CannotAppend, SourceCursor
from consumers.publishing import is_published, publish
from consumers.runtime import shared
from consumers.runtime.ingest import CannotDecide, decide_all, ingest
from consumers.stream import Record
from ledger.journal.database import migrate
from ledger.journal.open import open_ledger, open_or_create
from ledger.journal.port import JournalError
from ledger.rulebook.schema import shipped, version_of
from projections.audit.replay import replay
from projections.audit.verify import verify
from service.cli import run
from tests.support.contents import contents
from tests.support.databases import OwnServer, Server
from tests.support.histories import LONG_AGO, encode
from tests.support.inbox_contract import PARTITIONS, InboxContract, line
from tests.support.ledgers import histories_of, write_facts


class TestSQLiteInbox(InboxContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        return tmp_path / "ledger"


FORMAT_1 = """
CREATE TABLE feeds (number INTEGER PRIMARY KEY, source TEXT NOT NULL, size INTEGER NOT NULL, lines INTEGER NOT NULL,
    digest BLOB NOT NULL);
CREATE TABLE spans (feed INTEGER NOT NULL, partition INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (feed, partition)) WITHOUT ROWID;
INSERT INTO feeds VALUES (1, 'f', 10, 3, x'AA');
INSERT INTO spans VALUES (1, 0, 1, 701);
PRAGMA user_version = 1;
"""


def test_an_inbox_with_a_row_a_record_is_brought_to_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "ledger"
    open_or_create(place).close()
    database = sqlite3.connect(place / "inbox.db")
    with database:
        database.executescript(FORMAT_1)
        for partition in range(PARTITIONS):
            database.execute(
                f"CREATE TABLE partition_{partition} (position INTEGER PRIMARY KEY, line INTEGER NOT NULL, recorded"
                " INTEGER NOT NULL, backlog INTEGER NOT NULL, feed INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT"
                " NULL, whole_length INTEGER NOT NULL, whole_sha256 BLOB NOT NULL)"
            )
        rows = [(n, n + 1, 50 + n, n % 2, int(1 <= n <= 701), f"m-{n}", b"%d" % n, 0, b"") for n in range(703)]
        rows[5] = (5, 6, 55, 0, 1, "", b"cut", 70_000, b"h" * 32)
        database.executemany("INSERT INTO partition_0 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    database.close()
    ledger = open_ledger(place)
    with pytest.raises(JournalError, match="run `points store migrate`"):
        open_inbox(ledger)
    assert run(["--ledger", str(place), "--json", "store", "migrate"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 1
    inbox = open_inbox(ledger)
    assert list(inbox.read(0, -1, 1_000)) == [
        Record(position, recorded, backlog, key, value, length, whole)
        for position, _, recorded, backlog, _, key, value, length, whole in rows
    ]
    assert [tuple(fed) for fed in inbox.records_of(1)] == [(row[1], 0, row[0], row[5]) for row in rows if row[4]]
    assert inbox.count_after(0, 300, 1) == 401 and inbox.feeds_of("f") == [SourceCursor(1, 10, 3, b"\xaa")]
    assert inbox.append([line(0, 1)]) == [(0, 703)] and inbox.last_recorded(0) == 752
    inbox.close()
    ledger.close()


@pytest.fixture(scope="module")
def databases(postgres_server: Server) -> Iterator[tuple[str, str]]:
    """Two databases, in which each test has schemas of its own: making one takes longer than most tests."""
    found = postgres_server.database(), postgres_server.database()
    yield found
    for address in found:
        postgres_server.drop(address)


def made(databases: tuple[str, str], *, second: str = "") -> str:
    """A ledger of four partitions, of which some may stand on the second server."""
    address, other = databases
    place = f"{address}{'&' if '?' in address else '?'}points_schema=ledger_{next(_ledgers)}"
    migrate(place, partitions=PARTITIONS, servers={second: other} if second else None)
    return place


_ledgers = count()


class TestPostgresInbox(InboxContract):
    @pytest.fixture
    def place(self, databases: tuple[str, str]) -> str:
        return made(databases)


class TestPostgresInboxOnTwoServers(InboxContract):
    @pytest.fixture
    def place(self, databases: tuple[str, str]) -> str:
        return made(databases, second="1-2")


@pytest.fixture
def place(databases: tuple[str, str]) -> str:
    return made(databases)


def test_many_append_at_once_and_positions_stay_dense(place: str) -> None:
    ledger = open_ledger(place)
    open_inbox(ledger, feeding=True)

    def append(number: int) -> list[tuple[tuple[int, int], bytes]]:
        inbox = open_inbox(ledger)
        found = []
        for n in range(30):
            order = (
                (0, 1, 2, 3) if (n + number) % 2 else (3, 1, 0, 2)
            )  # whichever order they come in: nobody waits for ever
            values = [b"%d-%d-%d" % (number, n, partition) for partition in order]
            lines = [line(p, 1_000 * n - number, value) for p, value in zip(order, values, strict=True)]
            found += zip(inbox.append(lines), values, strict=True)
        return found

    with ThreadPoolExecutor(4) as threads:
        told = [place for found in threads.map(append, range(4)) for place in found]
    inbox = open_inbox(ledger)
    for partition in range(PARTITIONS):
        records = inbox.read(partition, -1, 1_000)
        assert [record.offset for record in records] == list(range(120))
        assert [record.recorded for record in records] == sorted(record.recorded for record in records)
        assert {((partition, at.offset), at.value) for at in records} == {one for one in told if one[0][0] == partition}
    ledger.close()


def test_who_reads_sees_no_gap_while_others_append(place: str) -> None:
    ledger = open_ledger(place)
    open_inbox(ledger, feeding=True)
    is_done = threading.Event()

    def append(number: int) -> None:
        inbox = open_inbox(ledger)
        for n in range(60):
            inbox.append([line(0, n)] * (1 + (n + number) % 3))

    def look() -> int:
        inbox, position, looks = open_inbox(ledger), -1, 0
        while not is_done.is_set() or inbox.end(0) > position:
            for record in inbox.read(0, position, 100):
                assert record.offset == position + 1
                position = record.offset
            looks += 1
        return position

    with ThreadPoolExecutor(4) as threads:
        looking = threads.submit(look)
        list(threads.map(append, range(3)))
        is_done.set()
        assert looking.result() + 1 == sum(1 + (n + number) % 3 for n in range(60) for number in range(3))
    ledger.close()


def test_two_that_feed_one_file_are_told_apart(place: str) -> None:
    one, other = (open_inbox(open_ledger(place), feeding=True) for _ in range(2))
    feed = one.new_feed("f")
    assert other.feeds_of("f") == [feed]
    one.append([line(0, 1)], SourceCursor(feed.number, 10, 1, b"a"))
    with pytest.raises(CannotAppend, match="another process feeds the same file"):
        other.append([line(0, 1)], SourceCursor(feed.number, 10, 1, b"a"))
    assert one.end(0) == 0
    other.feeds_of("f")
    other.append([line(0, 2)], SourceCursor(feed.number, 20, 2, b"b"))


FACTS: list[Any] = histories_of(Random(31), members=8, length=60, start=LONG_AGO)
FACTS[100:100] = [b"{", b"not json", b'{"subject":"a\\u0000b"}']


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What these facts come to in a folder."""
    folder = tmp_path_factory.mktemp("undisturbed")
    ledger = open_or_create(folder / "ledger")
    with ledger.writing():
        ingest(ledger, [str(write_facts(folder / "facts.ndjson", FACTS))], backlog=True)
    found = contents(ledger)
    ledger.close()
    return found


@pytest.mark.parametrize("jobs", [1, 2])
def test_files_give_the_same_ledger_in_both_stores(
    jobs: int, place: str, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    ledger = open_ledger(place)
    file = str(write_facts(tmp_path / "facts.ndjson", FACTS))
    first = ingest(ledger, [file], backlog=True, jobs=jobs)
    again = ingest(ledger, [file], backlog=True, jobs=jobs)
    assert (first.facts, first.entries + first.tally.parked) == (len(FACTS), len(FACTS))
    assert (again.facts, again.skipped, again.entries) == (len(FACTS), len(FACTS), 0)
    assert contents(ledger) == undisturbed
    assert replay(ledger, from_topic=True)["differences"] == []
    ledger.close()


# Feeds a file to a ledger; it is killed before its n-th commit.
FEEDER = """
import os, signal, sys
import psycopg
from consumers.runtime.ingest import ingest
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger, open_or_create
from ledger.journal.port import JournalError

left = int(sys.argv[3])
leave = psycopg.Transaction.__exit__

def leave_or_die(self, *about):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return leave(self, *about)

psycopg.Transaction.__exit__ = leave_or_die
import consumers.files.loader
consumers.files.loader.CHUNK_LINES = 50
consumers.files.loader.BLOCK = 4_000
ingest(open_ledger(sys.argv[1]), [sys.argv[2]], backlog=True)
"""


def fed_and_killed(place: str, file: Path) -> int:
    """Feed a file until it is in, killed each time at a later commit; returns how often it was killed."""
    for killed, step in enumerate(range(5, 1_000, 8)):
        ran = subprocess.run(
            [sys.executable, "-c", FEEDER, place, str(file), str(step)], capture_output=True, check=False, timeout=120
        )
        if ran.returncode == 0:
            return killed
        assert ran.returncode == -signal.SIGKILL, ran.stderr.decode()
    raise AssertionError("it never came to an end")


def test_a_feeder_that_is_killed_goes_on_exactly_where_it_stood(
    place: str, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    assert fed_and_killed(place, write_facts(tmp_path / "facts.ndjson", FACTS)) >= 3
    ledger = open_ledger(place)
    assert contents(ledger) == undisturbed
    ledger.close()


def test_killed_between_two_servers_nothing_is_lost_and_what_is_fed_again_is_a_duplicate(
    databases: tuple[str, str], tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    place = made(databases, second="2-3")
    assert fed_and_killed(place, write_facts(tmp_path / "facts.ndjson", FACTS)) >= 3
    ledger = open_ledger(place)
    assert verify(ledger)["broken"] == [] and replay(ledger, from_topic=True)["differences"] == []
    found = contents(ledger)
    for partition in range(PARTITIONS):
        name = f"receipts {partition}"
        assert {row[:3] for row in found[name]} == {row[:3] for row in undisturbed[name]}
    again = sum(len(found[f"entries {p}"]) - len(undisturbed[f"entries {p}"]) for p in range(PARTITIONS))
    assert again > 0, "it was never killed between the two"
    totals = [
        {m: (account.purse("beans").issued, account.purse("beans").redeemed) for m, account in accounts}
        for accounts in (found["accounts"], undisturbed["accounts"])
    ]
    assert totals[0] == totals[1] and len(totals[0]) == 8
    ledger.close()


def test_a_server_that_is_away_takes_nothing_and_says_so(own_postgres: OwnServer) -> None:
    migrate(own_postgres.address, partitions=1)
    ledger = open_ledger(own_postgres.address)
    inbox = open_inbox(ledger, feeding=True)
    inbox.append([line(0, 1)])
    own_postgres.kill()
    with pytest.raises(CannotAppend, match="counts once if it is sent again"):
        inbox.append([line(0, 2)])
    own_postgres.start()
    assert inbox.append([line(0, 3)]) == [(0, 1)]
    ledger.close()


def test_who_appends_to_other_partitions_does_not_wait(place: str, databases: tuple[str, str]) -> None:
    ledger = open_ledger(place)
    inbox = open_inbox(ledger, feeding=True)
    with psycopg.connect(databases[0]) as other:
        other.execute(f"SELECT * FROM {place.rpartition('=')[2]}_0.inbox_end FOR UPDATE")
        assert inbox.append([line(1, 1)]) == [(1, 0)], "other partitions are free"
    assert inbox.append([line(0, 1)]) == [(0, 0)]
    ledger.close()


def test_what_works_on_an_inbox_works_on_one_in_a_database(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def on(*command: object) -> Any:
        assert run(["--ledger", place, "--json", *map(str, command)]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    good = histories_of(Random(5), members=1, length=12, start=LONG_AGO)
    facts = write_facts(tmp_path / "facts.ndjson", [*good[:9], b"{", b"[]"])
    outcomes = tmp_path / "outcomes.ndjson"
    assert on("ingest", facts, "--backlog", "--outcomes", outcomes)["parked"] == 2
    assert [json.loads(told)["outcome"] for told in outcomes.read_bytes().splitlines()][-2:] == ["parked", "parked"]
    first, second = (letter["position"] for letter in on("dead-letters", "list"))
    mended = write_facts(tmp_path / "mended.json", good[9:10])
    assert on("dead-letters", "retry", first, "--with", mended)[0]["outcome"] in ("accepted", "ignored", "refused")
    on("dead-letters", "drop", second)
    assert on("dead-letters", "list") == []
    assert on("replay", "--from-topic")["differences"] == [] and on("verify")["broken"] == []
    book = tmp_path / "book.toml"
    book.write_text(shipped("jd").replace("from = 2017-09-14", "from = 2026-01-01", 1), encoding="utf-8")
    assert on("programme", "publish", book, "--by", "li")["published"]
    assert not on("programme", "publish", book, "--by", "li")["published"], "it is there already"
    assert len(on("programme", "list")) == 2
    assert on("replay", "--from-topic")["differences"] == []


def test_a_book_that_reached_only_some_partitions_is_published_to_the_rest(place: str) -> None:
    ledger = open_ledger(place)
    inbox = open_inbox(ledger, feeding=True)
    toml = shipped("jd").replace("from = 2017-09-14", "from = 2026-01-01", 1)
    fact = {
        "specversion": "1.0",
        "id": "book",
        "source": "/operators",
        "type": "programme.published.v1",
        "subject": "programme",
        "time": "2025-05-01T00:00:00+08:00",
        "data": {"toml": toml},
    }
    inbox.append(
        [line(2, 1_750_000_000_000_000, encode(fact), "programme")]
    )  # as a crash between two servers leaves it
    decide_all(ledger)
    version = version_of(toml)
    assert not is_published(ledger, version)
    with fed(ledger, None) as feeding:
        publish(ledger, toml, "li", feeding)
    assert is_published(ledger, version)
    assert [len(ledger.journal(partition).published()) for partition in ledger.partitions] == [1, 1, 1, 1]
    entries = [list(ledger.journal(partition).scan()) for partition in ledger.partitions]
    assert [len(found) for found in entries] == [1, 1, 2, 1], "there it is a duplicate"
    ledger.close()


def test_who_feeds_waits_for_the_process_that_claimed_a_partition_with_a_bound(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "PATIENCE_SECONDS", 0.2)
    ledger, other = open_ledger(place), open_ledger(place)
    claims = other.claims()
    assert claims.take(list(other.partitions)) == set(other.partitions)
    file = str(write_facts(tmp_path / "facts.ndjson", FACTS[:40]))
    with pytest.raises(CannotDecide, match="another process has claimed partition 0 and decides nothing of it"):
        ingest(ledger, [file], backlog=True)
    claims.close()
    summary = ingest(ledger, [file], backlog=True)
    assert (summary.facts, summary.skipped, summary.entries) == (40, 0, 40)
    ledger.close()
    other.close()
