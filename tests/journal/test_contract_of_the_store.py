"""Each store against the library's own recorder cases and against our contract of a store."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from eventsourcing.persistence import StoredEvent
from eventsourcing.tests import persistence as library

from ledger.journal.port import JournalError
from ledger.journal.postgres import PostgresJournal, migrate_journal
from ledger.journal.postgres_server import Server
from ledger.journal.sqlite import SQLiteJournal
from tests.support.store_contract import StoreContract


class TestSQLiteKeepsOurContract(StoreContract):
    def open(self, place: Path) -> SQLiteJournal:
        return SQLiteJournal(place, create=True)


class OnSQLite:
    """How the library's cases make a recorder of ours; its members are text."""

    def setUp(self) -> None:
        self.folder = TemporaryDirectory()
        super().setUp()  # type: ignore[misc]

    def tearDown(self) -> None:
        super().tearDown()  # type: ignore[misc]
        self.folder.cleanup()

    def create_recorder(self) -> SQLiteJournal:
        return SQLiteJournal(Path(self.folder.name) / "journal", create=True)

    def new_originator_id(self) -> str:
        return str(uuid4())


class TestSQLiteIsAnApplicationRecorder(OnSQLite, library.ApplicationRecorderTestCase):
    pass


class TestSQLiteIsAProcessRecorder(OnSQLite, library.ProcessRecorderTestCase):
    pass


class TestSQLiteIsATrackingRecorder(OnSQLite, library.TrackingRecorderTestCase):
    pass


class TestSQLitesNotificationIdsDoNotInterleave(OnSQLite, library.NonInterleavingNotificationIDsBaseCase):
    def create_stack(self, originator: str) -> list[StoredEvent]:
        return [StoredEvent(originator, number, "topic", b"state") for number in range(self.insert_num)]


def journal_on(address: str, schema: str = "journal") -> PostgresJournal:
    """A partition's journal in a schema, made where there is none."""
    server = Server(address)
    server.open()
    with server.transaction() as c:
        migrate_journal(c, schema, schema)
    return PostgresJournal(server, schema)


class TestPostgresKeepsOurContract(StoreContract):
    @pytest.fixture
    def place(self, postgres: str) -> Iterator[str]:  # type: ignore[override]
        self.opened: list[PostgresJournal] = []
        yield postgres
        for journal in self.opened:
            journal.server.close()

    def open(self, place: str) -> PostgresJournal:  # type: ignore[override]
        self.opened.append(journal_on(place))
        return self.opened[-1]


class OnPostgres:
    """How the library's cases make a recorder of ours; its members are text."""

    @pytest.fixture(autouse=True)
    def _database(self, postgres: str) -> None:
        self.address = postgres

    def setUp(self) -> None:
        self.opened: list[PostgresJournal] = []
        super().setUp()  # type: ignore[misc]

    def tearDown(self) -> None:
        super().tearDown()  # type: ignore[misc]
        for journal in self.opened:
            journal.server.close()

    def create_recorder(self) -> PostgresJournal:
        self.opened.append(journal_on(self.address))
        return self.opened[-1]

    def new_originator_id(self) -> str:
        return str(uuid4())


class TestPostgresIsAnApplicationRecorder(OnPostgres, library.ApplicationRecorderTestCase):
    pass


class TestPostgresIsAProcessRecorder(OnPostgres, library.ProcessRecorderTestCase):
    pass


class TestPostgresIsATrackingRecorder(OnPostgres, library.TrackingRecorderTestCase):
    pass


class TestPostgresNotificationIdsDoNotInterleave(OnPostgres, library.NonInterleavingNotificationIDsBaseCase):
    def create_stack(self, originator: str) -> list[StoredEvent]:
        return [StoredEvent(originator, number, "topic", b"state") for number in range(self.insert_num)]


def test_a_file_that_is_no_journal_is_an_error_that_names_it(tmp_path: Path) -> None:
    place = tmp_path / "journal"
    place.write_bytes(b"this is a letter to my aunt, and no database at all" * 20)
    with pytest.raises(JournalError, match=r"journal.*not a journal of this ledger, or it is damaged"):
        SQLiteJournal(place)


def test_a_journal_is_made_only_when_asked(tmp_path: Path) -> None:
    with pytest.raises(JournalError):
        SQLiteJournal(tmp_path / "journal")
    assert list(tmp_path.iterdir()) == []


def test_a_journal_has_larger_pages_from_the_start_and_one_of_before_keeps_its_own(tmp_path: Path) -> None:
    SQLiteJournal(tmp_path / "new", create=True).close()
    with closing(sqlite3.connect(tmp_path / "before")) as before:
        before.execute("PRAGMA page_size = 4096")
        before.execute("PRAGMA journal_mode = WAL")
    for name, pages in (("new", 8_192), ("before", 4_096)):
        journal = SQLiteJournal(tmp_path / name, create=True)
        journal.insert_events([StoredEvent("m-1", 1, "topic", b"state")])
        journal.close()
        with closing(sqlite3.connect(tmp_path / name)) as found:
            assert found.execute("PRAGMA page_size").fetchone() == (pages,)
            assert found.execute("SELECT count(*) FROM stored_events").fetchone() == (1,)


def test_a_journal_of_another_format_is_refused(tmp_path: Path) -> None:
    journal = SQLiteJournal(tmp_path / "journal", create=True)
    with journal.datastore.transaction(commit=True) as c:
        c.execute("PRAGMA user_version = 99")
    journal.close()
    with pytest.raises(JournalError, match="format 99"):
        SQLiteJournal(tmp_path / "journal")


def test_what_was_answered_survives_a_power_cut(tmp_path: Path) -> None:
    journal = SQLiteJournal(tmp_path / "journal", create=True)
    assert journal._rows("PRAGMA journal_mode") == [("wal",)]
    assert journal._rows("PRAGMA synchronous") == [(2,)], "FULL"
