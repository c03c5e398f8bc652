"""A ledger in PostgreSQL: the same answers as one in a folder, leaf by leaf, and how it is made, opened and refused."""

import json
import os
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from consumers.dead_letters import dead_letter_at, dead_letters_of, drop
from ledger.journal.database import LEDGER_STEPS, migrate
from ledger.journal.ledger import INBOX, KAFKA, Ledger, OtherStream
from ledger.journal.migrations import pending
from ledger.journal.open import open_ledger, open_or_create
from ledger.journal.port import Fenced, JournalError, Unavailable
from ledger.journal.postgres import JOURNAL_STEPS
from ledger.journal.postgres_server import PASSWORD_FILE, name_of, password_said
from ledger.journal.postgres_server import Server as Connections
from ledger.rulebook.schema import shipped
from ledger.wire.entry_codec import decode_entry
from ledger.wire.times import DAY
from projections.answers.codes import codes
from projections.answers.export import write_table
from projections.answers.members import UnknownMember, entries_of
from projections.answers.show import show_member
from projections.answers.stats import stats
from projections.answers.tables import TABLES
from projections.audit.replay import replay
from projections.audit.verify import verify
from projections.explaining.explain import explain
from projections.views import runner
from projections.views.files import Folder
from projections.views.registry import BUILT_IN
from projections.views.snapshot import snapshot
from projections.views.view import Options
from projections.what_if.backtest import backtest
from service import errors
from service.cli import run
from tests.support.contents import contents
from tests.support.databases import OwnServer, Server, missing
from tests.support.histories import history
from tests.support.ledgers import SmallLedger, histories_of

NO_FACTS = (b"{", b"\xff", b'{"specversion":"1.0"}')
ALMOST_NOTHING = 1e-9  # of an owner's memory: every account and page comes from the store each time
LATER_BOOK = shipped("jd").replace("from = 2017-09-14", "from = 2025-06-01", 1)


def published(toml: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "book-2",
        "source": "/operators",
        "type": "programme.published.v1",
        "subject": "programme",
        "time": "2025-05-01T00:00:00+08:00",
        "data": {"toml": toml},
    }


def told(ledger: SmallLedger, seed: int, batch: int, members: int = 4, length: int = 60) -> SmallLedger:
    """Histories, lines that are no facts, and a book that is published among them, decided."""
    random = Random(seed)
    facts: list[Any] = histories_of(random, members, length)
    for line in NO_FACTS:
        facts.insert(random.randrange(len(facts)), line)
    ledger.hears(facts[: len(facts) // 2])
    ledger.publishes(published(LATER_BOOK))
    ledger.hears(facts[len(facts) // 2 :])
    ledger.hears(facts[:20])  # once more: duplicates, in a later batch
    ledger.decides(batch)
    return ledger


@pytest.fixture
def place(postgres: str) -> str:
    """The address of a ledger of four partitions, like an embedded one."""
    migrate(postgres, partitions=4)
    return postgres


@pytest.fixture
def two(place: str, tmp_path: Path) -> Iterator[tuple[Ledger, Ledger]]:
    """The same facts in a folder and in a database."""
    folder, database = SmallLedger(tmp_path / "ledger"), SmallLedger(place)
    yield told(folder, 1, 4_000).ledger, told(database, 1, 4_000).ledger
    folder.close()
    database.close()


def last_instant(ledger: Ledger) -> int:
    return max(ledger.journal(partition).head().recorded for partition in ledger.partitions)


# -- the same ledger -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch", "share"), [(4_000, 1.0), (7, ALMOST_NOTHING), (1, 1.0)])
def test_both_stores_keep_the_same_however_the_stream_is_cut(
    batch: int, share: float, place: str, tmp_path: Path
) -> None:
    folder, database = SmallLedger(tmp_path / "ledger"), SmallLedger(place, share)
    assert contents(told(folder, 2, 4_000).ledger) == contents(told(database, 2, batch).ledger)
    folder.close()
    database.close()


def test_every_answer_is_the_same(two: tuple[Ledger, Ledger]) -> None:
    folder, database = two
    now = last_instant(folder) + DAY
    early = now - 200 * DAY

    def answers(ledger: Ledger) -> dict[str, Any]:
        found: dict[str, Any] = {"codes": codes(ledger.book), "verify": verify(ledger)}
        for at in (early, now):
            found[f"stats {at}"] = stats(ledger, at)
            for name, table in TABLES.items():
                out = BytesIO()
                write_table(table(ledger, at, None), "ndjson", out)
                found[f"{name} {at}"] = out.getvalue()
        for number in range(4):
            member = f"m-{number}"
            found[f"show {member}"] = [show_member(ledger, member, now), show_member(ledger, member, now, early)]
            found[f"entries {member}"] = list(entries_of(ledger, member))
            found[f"explain {member}"] = [explain(ledger, member, what, as_of=now) for what in (None, "1", "7")]
        found["letters"] = [letter.described(0) for letter in dead_letters_of(ledger)]
        return found

    ours, theirs = answers(folder), answers(database)
    assert len(ours["entries m-1"]) > 30 and ours["letters"]
    for question, answer in ours.items():
        assert theirs[question] == answer, question
    for jobs in (1, 2):
        again = replay(database, jobs=jobs)
        assert again["differences"] == [] and again["entries"] == replay(folder)["entries"]
    with pytest.raises(UnknownMember, match="nobody"):
        show_member(database, "nobody", now)


def test_views_and_backtests_of_both_are_the_same(two: tuple[Ledger, Ledger], tmp_path: Path) -> None:
    now = last_instant(two[0]) + DAY
    doubled = shipped("jd").replace("per_fen = 10_000, floor_fen = 1_000", "per_fen = 5_000, floor_fen = 1_000")
    seen: list[list[Any]] = []
    for name, ledger in zip(("folder", "database"), two, strict=True):
        kept = Folder(tmp_path / f"views of {name}")
        runner.run(ledger, kept, BUILT_IN)
        answers: list[Any] = []
        for view in BUILT_IN:
            with snapshot(ledger, kept, view, now) as taken:
                answers += [list(reading.rows(taken, Options()).rows) for reading in view.queries]
        for jobs in (1, 2):
            answers.append(replace(backtest(ledger, doubled, "draft", now, jobs=jobs), seconds=0))
        seen.append(answers)
    assert seen[0] == seen[1]
    assert seen[0][-1].points["beans"]["issued"].difference > 0


def test_a_changed_byte_is_named_by_verify_and_replay(place: str) -> None:
    small = SmallLedger(place)
    ledger = told(small, 3, 4_000).ledger
    with psycopg.connect(place) as connection:
        connection.execute(
            "UPDATE points_1.stored_events SET state = set_byte(state, 60, get_byte(state, 60) # 1)"
            " WHERE notification_id = 5"
        )
    assert {(at["partition"], at["place"]) for at in verify(ledger)["broken"]} == {(1, 5)}
    assert any(at["place"] == 5 for at in replay(ledger)["differences"])
    small.close()


def test_a_reader_sees_one_state_while_an_owner_writes(place: str) -> None:
    small = SmallLedger(place)
    facts = history(Random(4), 60)
    small.hears(facts[:30])
    small.decides()
    partition = small.ledger.partition_of("m-1")
    rows = small.ledger.journal(partition).scan_by_member()
    first = next(rows)
    small.hears(facts[30:])
    small.decides()
    assert 1 + len(list(rows)) == 30 and first.number == 1
    small.close()


def test_parked_bytes_are_dropped_in_the_database_too(place: str) -> None:
    small = SmallLedger(place)
    small.stream.append(b"{", partition=2)
    small.decides()
    (letter,) = dead_letters_of(small.ledger)
    drop(small.ledger, [letter])
    assert dead_letters_of(small.ledger) == [] and dead_letter_at(small.ledger, "2:0").state == "dropped"
    small.close()


def test_the_stored_position_is_exactly_the_prefix_applied(place: str) -> None:
    small = SmallLedger(place)
    for number, fact in enumerate(histories_of(Random(7), members=2, length=25)):
        small.stream.append(fact)
        if number % 9 == 0:
            small.stream.append(NO_FACTS[number % 3], partition=number % 4)
    for partition in small.ledger.partitions:
        owner = small.owner(partition, batch=6)
        journal = small.ledger.journal(partition)
        while owner.step() is not None:
            head = journal.head()
            assert head.offset + 1 == head.entries + journal.count_parked()
            offsets = {decode_entry(row.state).offset for row in journal.scan()}
            assert offsets | {parked.offset for parked in journal.parked()} == set(range(head.offset + 1))
            owner = small.owner(partition, batch=6)  # another owner goes on exactly there
            assert owner.position == head.offset
        assert owner.position == small.stream.end(partition)
    small.close()


# -- owners ----------------------------------------------------------------------------------------------------------


def test_an_owner_is_fenced_by_the_next_whichever_process_it_is_in(place: str) -> None:
    small, other = SmallLedger(place), SmallLedger(place)
    small.hears(history(Random(5), 40))
    partition = small.ledger.partition_of("m-1")
    dead = small.owner(partition, batch=10)
    dead.step()
    other.stream = small.stream
    living = other.owner(partition, batch=10)
    with pytest.raises(Fenced):
        dead.step()
    while living.step() is not None:
        pass
    assert living.position == small.stream.end(partition)
    small.close()
    other.close()


def test_no_lock_is_held_by_who_writes(place: str) -> None:
    one, other = open_ledger(place), open_ledger(place)
    with one.writing(), other.writing():
        assert one.is_shared and other.is_shared
    one.close()
    other.close()


def test_a_process_takes_no_more_connections_than_its_address_says(place: str) -> None:
    small = SmallLedger(f"{place}{'&' if '?' in place else '?'}points_connections=2")
    told(small, 6, 50)
    list(small.ledger.accounts(last_instant(small.ledger)))  # all partitions at once
    with psycopg.connect(place) as connection:
        asked = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'points' AND datname = current_database()"
        )
        ((count,),) = connection.execute(asked).fetchall()
    assert 1 <= count <= 2
    small.close()


def test_every_connection_waits_for_a_commit_to_be_durable(place: str) -> None:
    with psycopg.connect(place, autocommit=True) as connection:
        connection.execute(
            f"ALTER DATABASE {connection.info.dbname} SET synchronous_commit = off",
        )
    ledger = open_ledger(place)
    journal: Any = ledger.journal(0)
    assert journal._rows("SELECT current_setting('synchronous_commit')") == [("on",)]
    assert journal._rows("SELECT current_setting('idle_in_transaction_session_timeout')") == [("10s",)]
    ledger.close()


def test_a_server_that_forgets_what_it_answered_gets_no_owner(own_postgres: OwnServer) -> None:
    migrate(own_postgres.address, partitions=1)
    ledger = open_ledger(own_postgres.address)
    before = ledger.journal(0).head()
    with psycopg.connect(own_postgres.address, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
        while connection.execute("SHOW fsync").fetchone() != ("off",):
            pass
    with pytest.raises(JournalError, match="fsync = off: a power cut would lose"):
        ledger.writer(0)
    assert ledger.journal(0).head() == before
    ledger.close()


# -- made, opened, refused -------------------------------------------------------------------------------------------


def test_migrate_makes_a_ledger_from_nothing_and_again_does_nothing(postgres: str) -> None:
    with pytest.raises(JournalError, match=r"no ledger in .*`points store migrate` makes one"):
        open_ledger(postgres)
    assert migrate(postgres, partitions=3).steps == 3 * len(JOURNAL_STEPS) + len(LEDGER_STEPS)
    assert migrate(postgres).steps == 0
    ledger = open_ledger(postgres)
    assert list(ledger.partitions) == [0, 1, 2]
    ledger.close()


def test_a_migration_that_was_interrupted_is_made_whole(postgres: str) -> None:
    migrate(postgres, partitions=3)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA points CASCADE")
        connection.execute("DROP SCHEMA points_2 CASCADE")
    with pytest.raises(JournalError, match="there is no ledger"):
        open_ledger(postgres)
    assert migrate(postgres, partitions=3).steps == len(JOURNAL_STEPS) + len(LEDGER_STEPS)


def test_what_a_ledger_was_born_with_stays(postgres: str) -> None:
    migrate(postgres, partitions=2, topic="points.facts.v1")
    with pytest.raises(JournalError, match="has 2 partitions, fixed at its birth, and not 4"):
        migrate(postgres, partitions=4)
    with pytest.raises(JournalError, match="has its book already"):
        migrate(postgres, book=LATER_BOOK)
    with pytest.raises(JournalError, match=r"from the topic points\.facts\.v1, for life, and not from the topic oth"):
        migrate(postgres, topic="other")
    migrate(postgres, partitions=2, book=shipped("jd"))


def test_an_older_format_says_the_way_out_and_opens_after_it(place: str) -> None:
    step = ("ALTER TABLE {schema}.parked ADD COLUMN colour text",)
    newer, now = (*JOURNAL_STEPS, step), len(JOURNAL_STEPS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ledger.journal.postgres.JOURNAL_STEPS", newer)
        ledger = open_ledger(place)
        with pytest.raises(JournalError, match=rf"has format {now}, .*reads format {now + 1}: run `points store mig"):
            ledger.journal(0)
        assert migrate(place).steps == 4
        assert ledger.journal(0).head().entries == 0
        ledger.close()
    ledger = open_ledger(place)
    with pytest.raises(JournalError, match=f"has format {now + 1}, this .* reads format {now}: install a newer"):
        ledger.journal(0)
    ledger.close()


def test_a_migration_ends_whoever_owns_a_partition(place: str) -> None:
    small = SmallLedger(place)
    small.hears(history(Random(8), 20))
    owner = small.owner(small.ledger.partition_of("m-1"), batch=5)
    owner.step()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ledger.journal.postgres.JOURNAL_STEPS", (*JOURNAL_STEPS, ()))
        migrate(place)
    with pytest.raises(Fenced):
        owner.step()
    with pytest.raises(JournalError, match="install a newer points"):
        small.owner(small.ledger.partition_of("m-1"))
    small.close()


def test_formats_are_told_apart() -> None:
    steps = (("one",), ("two",))
    assert pending(steps, 2, "it") == ()
    assert pending(steps, 0, "it", may_migrate=True) == steps
    with pytest.raises(JournalError, match="it is not made yet"):
        pending(steps, 0, "it")
    for may_migrate in (False, True):
        with pytest.raises(JournalError, match=r"it has format 3, .* install a newer points"):
            pending(steps, 3, "it", may_migrate=may_migrate)


def test_two_ledgers_stand_side_by_side_in_one_database(postgres: str) -> None:
    mark = "&" if "?" in postgres else "?"
    places = [f"{postgres}{mark}points_schema={name}" for name in ("jd", "vip")]
    for place in places:
        migrate(place, partitions=4)
    one, other = SmallLedger(places[0]), SmallLedger(places[1])
    told(one, 9, 4_000)
    assert sum(len(rows) for rows in one.journal) > 100 and other.journal == [[], [], [], []]
    one.close()
    other.close()


def test_partitions_are_spread_over_servers(postgres: str, postgres_server: Server, tmp_path: Path) -> None:
    second = postgres_server.database()
    try:
        migrate(postgres, partitions=4, servers={"2-3": second})
        database, folder = SmallLedger(postgres), SmallLedger(tmp_path / "ledger")
        assert contents(told(database, 10, 4_000).ledger) == contents(told(folder, 10, 4_000).ledger)
        database.close()
        folder.close()
        for address, there in (
            (postgres, {"points", "points_0", "points_1", "points_state"}),
            (second, {"points_2", "points_3"}),
        ):
            with psycopg.connect(address) as connection:
                asked = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'points%'"
                assert {name for (name,) in connection.execute(asked).fetchall()} == there
    finally:
        postgres_server.drop(second)


@pytest.mark.parametrize(
    ("servers", "why"),
    [
        ({"4-5": "postgresql://h/d"}, "is no span of the partitions 0-3"),
        ({"all": "postgresql://h/d"}, "is no span of partitions such as"),
        ({"0-2": "postgresql://h/d", "2-3": "postgresql://h/e"}, "given twice"),
        ({"0-2": "postgresql://u:secret@h/d"}, "leave the password out"),
    ],
)
def test_partitions_that_cannot_be_spread_so_are_refused(servers: dict[str, str], why: str, postgres: str) -> None:
    with pytest.raises(JournalError, match=why) as refused:
        migrate(postgres, partitions=4, servers=servers)
    assert "secret" not in str(refused.value)


def test_a_password_is_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("se cret:1\n")
    assert password_said({PASSWORD_FILE: str(file)}) == {"password": "se cret:1"}
    assert password_said({PASSWORD_FILE: ""}) == {}
    for text in ("", "two\nlines", "x" * 1_001):
        file.write_text(text)
        with pytest.raises(Unavailable, match="has no password"):
            password_said({PASSWORD_FILE: str(file)})
    with pytest.raises(Unavailable, match="cannot be read"):
        password_said({PASSWORD_FILE: str(tmp_path / "gone")})


def test_the_address_wins_over_the_file_of_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "password"
    file.write_text("of the file")
    monkeypatch.setenv(PASSWORD_FILE, str(file))
    assert Connections("postgresql://u@h/d").pool.conninfo.count("password='of the file'") == 1
    assert "of the file" not in str(Connections("postgresql://u:its-own@h/d").pool.conninfo)


def test_the_name_of_a_ledger_leaves_out_its_password_and_what_only_we_read() -> None:
    address = "postgresql://u:secret@h:1/d?points_schema=vip&target_session_attrs=read-write&points_connections=3"
    assert name_of(address) == "postgresql://u@h:1/d"


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:secret@127.0.0.1:1/d",
        "postgresql://u:secret@127.0.0.1:1/d?colour=red",
        "postgresql://u:secret@[127.0.0.1:1/d",
        "postgresql://u:secret@127.0.0.1:1/d?points_schema=Robert'; --",
        "postgresql://u:secret@127.0.0.1:1/d?points_connections=many",
        "postgresql://127.0.0.1:1/d?user=u&password=secret",
    ],
)
def test_an_address_that_will_not_do_is_one_line_without_its_password(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--ledger", address, "stats"]) in (errors.BAD_INPUT, errors.CANNOT_NOW)
    said = capsys.readouterr().err
    assert said.startswith("points: ") and len(said.splitlines()) == 1
    assert "secret" not in said and "Traceback" not in said


def test_a_database_that_cannot_be_reached_is_exit_4(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--ledger", "postgresql://points@127.0.0.1:1/points", "stats"]) == errors.CANNOT_NOW
    assert "postgresql://points@127.0.0.1:1/points: " in capsys.readouterr().err


def test_without_its_driver_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ledger.journal.database", "ledger.journal.postgres", "ledger.journal.postgres_server"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert run(["--ledger", "postgresql://points@db/points", "stats"]) == errors.CANNOT_NOW
    assert "pip install 'psycopg[binary]" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["ingest", "facts.ndjson"], ["demo"]], ids=lambda command: command[0])
def test_what_needs_an_inbox_says_what_to_do_instead(
    command: list[str],
    postgres: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    migrate(postgres, partitions=1, topic="shop.facts")
    monkeypatch.setenv("POINTS_FOLDER", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "facts.ndjson").write_text("{}\n", "utf-8")
    assert run(["--ledger", postgres, *command]) == errors.WRONG_USE
    said = capsys.readouterr().err
    assert "from the Kafka topic shop.facts, for life: send them there (`points produce FILE`)" in said


def test_what_first_feeds_a_ledger_settles_its_stream(place: str) -> None:
    one, other, third = (open_ledger(place) for _ in range(3))
    before = one.genesis
    with pytest.raises(OtherStream, match=r"nothing feeds .* yet"):
        one.check_stream(INBOX)
    one.bind_stream(INBOX)
    other.bind_stream(INBOX)  # opened while it was open still
    with pytest.raises(OtherStream, match="from its own inbox, for life"):
        third.bind_stream(KAFKA, "points.facts.v1")
    with pytest.raises(JournalError, match="from its own inbox, for life, and not from the topic t"):
        migrate(place, topic="t")
    assert open_ledger(place).settings.stream == INBOX and one.genesis == before
    for ledger in (one, other, third):
        ledger.close()


def test_a_topic_settles_an_open_stream_too(place: str) -> None:
    migrate(place, topic="shop.facts")
    ledger = open_ledger(place)
    assert (ledger.settings.stream, ledger.settings.topic) == (KAFKA, "shop.facts")
    ledger.close()


def test_a_ledger_made_before_there_was_an_inbox_goes_on_after_its_migration(postgres: str) -> None:
    migrate(postgres, partitions=2, topic="points.facts.v1")  # which was the default then
    before = open_ledger(postgres)
    identity = before.identity
    before.close()
    with psycopg.connect(postgres, autocommit=True) as connection:
        for schema in ("points_0", "points_1"):
            for table in ("origin", "inbox", "inbox_end", "inbox_spans", "pruned"):
                connection.execute(f"DROP TABLE {schema}.{table}")
            connection.execute(f"ALTER TABLE {schema}.parked DROP COLUMN seal")
            connection.execute(f"ALTER TABLE {schema}.shard DROP COLUMN seal, DROP COLUMN stream")
            connection.execute(f"UPDATE {schema}.shard SET format = 1")
        connection.execute("DROP TABLE points.feeds")
        connection.execute("UPDATE points.ledger SET format = 1")
    with pytest.raises(JournalError, match=r"has format 1, .*run `points store migrate`"):
        open_ledger(postgres)
    assert migrate(postgres).steps == 2 * (len(JOURNAL_STEPS) - 1) + len(LEDGER_STEPS) - 1
    ledger = open_ledger(postgres)
    assert ledger.settings.stream == KAFKA and ledger.identity == identity
    ledger.close()


def test_migrate_on_the_command_line(postgres: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--ledger", postgres, "--json", "store", "migrate", "--partitions", "2"]) == 0
    made = json.loads(capsys.readouterr().out)
    steps = 2 * len(JOURNAL_STEPS) + len(LEDGER_STEPS)
    assert (made["partitions"], made["steps"]) == (2, steps) and made["ledger"].startswith("postgresql://")
    assert run(["--ledger", postgres, "store", "migrate"]) == 0
    assert "2 partitions, nothing was to be done" in capsys.readouterr().out
    open_or_create(tmp_path / "ledger").close()
    assert run(["--ledger", str(tmp_path / "ledger"), "store", "migrate"]) == 0
    assert "4 partitions, nothing was to be done" in capsys.readouterr().out
    assert run(["--ledger", str(tmp_path / "ledger"), "store", "migrate", "--partitions", "8"]) == errors.WRONG_USE
    assert run(["--ledger", str(tmp_path / "none"), "store", "migrate"]) == errors.BAD_INPUT
    assert not os.path.exists(tmp_path / "none")


def test_an_older_embedded_ledger_opens_after_its_migration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ledger.journal.sqlite import STEPS

    small = SmallLedger(tmp_path / "ledger")
    told(small, 11, 4_000)
    before = contents(small.ledger)
    small.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ledger.journal.sqlite.STEPS", (*STEPS, ("CREATE TABLE colours (name TEXT)",)))
        assert run(["--ledger", str(tmp_path / "ledger"), "stats"]) == errors.BAD_INPUT
        formats = f"has format {len(STEPS)}, this version of points reads format {len(STEPS) + 1}"
        assert f"{formats}: run `points store mig" in capsys.readouterr().err
        assert run(["--ledger", str(tmp_path / "ledger"), "store", "migrate"]) == 0
        ledger = open_ledger(tmp_path / "ledger")
        assert contents(ledger) == before
        ledger.close()
    assert run(["--ledger", str(tmp_path / "ledger"), "stats"]) == errors.BAD_INPUT
    assert "install a newer points" in capsys.readouterr().err


def test_a_server_that_is_gone_is_unavailable_and_back_again_is_used(own_postgres: OwnServer) -> None:
    migrate(own_postgres.address, partitions=4)
    small = SmallLedger(own_postgres.address)
    small.hears(history(Random(12), 30))
    small.decides(batch=10)
    before = small.journal
    own_postgres.kill()
    with pytest.raises(Unavailable, match="Connection refused"):
        small.ledger.journal(0).head()
    own_postgres.start()
    assert small.journal == before
    small.close()


@pytest.mark.parametrize(("ci", "ends"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_database_fails_ci_and_skips_elsewhere(
    ci: str, ends: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(ends, match="set POINTS_TEST_POSTGRES to the address"):
        missing("no PostgreSQL is to be had")
