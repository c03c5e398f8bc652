"""A store that cannot be read for a while, seen from outside: what is said, and that it goes on afterwards."""

import asyncio
import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from consumers.local.sqlite import SQLiteInbox
from ledger.journal.ledger import Ledger
from ledger.journal.port import Damaged, Unavailable
from ledger.journal.sqlite import SQLiteJournal
from service.console.sessions import Sessions
from service.http.app import make_app
from service.http.readers import Readers
from service.keys import Keys
from tests.support.asgi import InProcess
from tests.support.histories import encode
from tests.support.ledgers import ingested, scratch
from tests.support.served import grant, ndjson

JSON = [(b"host", b"localhost"), (b"content-type", b"application/json")]
NDJSON = [(b"host", b"localhost"), (b"content-type", b"application/x-ndjson")]
MALFORMED = "database disk image is malformed"  # what SQLite says where the disk fails to read, too


@pytest.fixture
def api() -> Iterator[InProcess]:
    with (
        scratch() as folder,
        closing(ingested(folder, [grant("m-1", "g-0", 5)])) as ledger,
        ledger.writing(),
        closing(Keys(folder / "ledger")) as keys,
        closing(InProcess(make_app(ledger, folder / "ledger", keys, Sessions(), 5.0, "0"))) as found,
    ):
        yield found


def test_facts_are_taken_again_once_the_inbox_can_be_read(api: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise sqlite3.DatabaseError(MALFORMED)

    with monkeypatch.context() as patch:
        patch.setattr(SQLiteInbox, "_end", fails)
        for n in (1, 2):
            answer = api.ask(b"POST", b"/v1/facts", JSON, encode(grant("m-1", f"g-{n}", 5)))
            assert answer.status == 503 and b"retry-after" in answer.headers
    assert api.ask(b"POST", b"/v1/facts", JSON, encode(grant("m-1", "g-2", 5))).status == 200


def test_receipts_that_cannot_be_read_turn_no_facts_away(api: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise Damaged(MALFORMED)

    facts = [grant(f"m-{n}", f"g-{n % 3}", 5) for n in range(3)]
    monkeypatch.setattr(SQLiteJournal, "received", fails)
    answer = api.ask(b"POST", b"/v1/facts:bulk?outcomes=true", NDJSON, ndjson(facts))
    assert answer.status == 200
    assert [json.loads(line)["outcome"] for line in answer.body.splitlines()] == ["accepted"] * 3
    assert api.ask(b"POST", b"/v1/facts", JSON, encode(facts[0])).status == 200


def test_a_store_that_cannot_be_read_is_no_bug(api: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise Damaged(MALFORMED)

    monkeypatch.setattr(SQLiteJournal, "head", fails)
    answer = api.ask(b"GET", b"/v1/positions", JSON)
    assert (answer.status, json.loads(answer.body)["type"]) == (503, "/problems/busy")


def test_facts_that_were_acknowledged_and_are_gone_are_named(
    api: InProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def post(name: str) -> int:
        return api.ask(b"POST", b"/v1/facts", JSON, encode(grant("m-1", name, 5))).status

    append, back = SQLiteInbox.append, [0]

    def earlier(*given: Any) -> list[tuple[int, int]]:
        return [(partition, offset - back[0]) for partition, offset in append(*given)]

    monkeypatch.setattr(SQLiteInbox, "append", earlier)
    assert [post(f"g-{n}") for n in range(1, 4)] == [200] * 3
    assert "gone" not in capsys.readouterr().err
    back[0] = 2
    post("g-4")  # stands where g-2 or g-3 was, as if an earlier state had been put back
    back[0] = 0
    said = capsys.readouterr().err
    assert re.search(r"facts at (\d:)2 to \1\d were acknowledged, and are gone", said), said
    assert post("g-5") == 200
    assert "gone" not in capsys.readouterr().err


def test_a_read_that_stops_early_is_answered_and_so_are_those_beside_it() -> None:
    async def ask(ledger: Ledger) -> list[Any]:
        readers = Readers(lambda: ledger, lambda: 0, 1)
        try:
            asked = (readers.read(lambda _: next(iter(()))), readers.read(lambda _: "here"))
            return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 60)
        finally:
            readers.close()

    with scratch() as folder:
        stopped, answered = asyncio.run(ask(ingested(folder, [])))
    assert isinstance(stopped, RuntimeError) and answered == "here"


def test_a_store_that_does_not_answer_keeps_a_reader_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.http.readers.SECONDS", 0.1)
    released = threading.Event()

    async def ask(ledger: Ledger) -> list[Any]:
        readers = Readers(lambda: ledger, lambda: 0, 1)
        try:
            stuck = await asyncio.gather(readers.read(lambda _: released.wait(60)), return_exceptions=True)
            released.set()
            monkeypatch.setattr("service.http.readers.SECONDS", 60)
            return [*stuck, await readers.read(lambda _: "here")]
        finally:
            released.set()
            readers.close()

    with scratch() as folder:
        stuck, answered = asyncio.run(ask(ingested(folder, [])))
    assert isinstance(stuck, Unavailable) and "has not answered within 0.1 s" in str(stuck) and answered == "here"


def test_those_who_asked_while_the_store_is_away_do_not_wait_one_after_another() -> None:
    opened: list[int] = []
    all_asked = threading.Event()

    def away() -> Ledger:
        opened.append(1)
        all_asked.wait(60)
        raise Unavailable("no route to the database")

    async def ask() -> list[Any]:
        readers = Readers(away, lambda: 0, 1)
        try:
            asked = [asyncio.ensure_future(readers.read(lambda _: "here")) for _ in range(8)]
            await asyncio.sleep(0)  # each of them has put its question
            all_asked.set()
            return await asyncio.gather(*asked, return_exceptions=True)
        finally:
            readers.close()

    errors = asyncio.run(ask())
    assert [str(error) for error in errors] == ["no route to the database"] * 8 and len(opened) <= 2
