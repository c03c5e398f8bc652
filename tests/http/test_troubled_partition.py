"""One partition's trouble is that partition's alone; health and metrics tell of it, and of gaps that were accepted."""

import asyncio
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

from ledger.journal.folder import FolderLedger
from ledger.journal.gaps import Gap, letter_of
from ledger.journal.ledger import Ledger, Settings, new_id
from ledger.journal.open import open_or_create
from service.http import metrics
from service.http.gaps import AcceptedGaps
from tests.support.served import Server, grant, is_whole, new_key, redemption, served

PARTITIONS = 2


def member_in(ledger: FolderLedger, partition: int) -> str:
    return next(f"m-{n}" for n in range(100) if ledger.partition_of(f"m-{n}") == partition)


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 100
    while not is_so():
        assert time.monotonic() < until, f"not within 100 s: {what}"
        time.sleep(0.1)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_damaged_journal_turns_away_its_members_alone_and_comes_back_once_it_is_mended(
    tmp_path: Path, workers: str
) -> None:
    folder = tmp_path / "ledger"
    ledger = FolderLedger.at_or_created(folder, settings=Settings(PARTITIONS, id=new_id()))
    well, ill = member_in(ledger, 0), member_in(ledger, 1)
    ledger.close()
    key = new_key(folder, "shop", "facts:write", "members:read", "books:read")
    with served(folder, "--workers", workers) as server, server.client(key) as http:
        for member in (well, ill):
            assert http.post("/v1/facts", json=grant(member, f"g-{member}", 1_000)).status_code == 200
    file = folder / "partition-1.db"
    whole = file.read_bytes()
    file.write_bytes(b"not a journal any more" * 1_000)
    with served(folder, "--workers", workers) as server, server.client(key) as http:
        wait_until(lambda: bool(http.get("/health/ready").json().get("troubled")), "the trouble is told")
        ready = http.get("/health/ready")
        assert (ready.status_code, list(ready.json()["troubled"])) == (200, ["1"])
        assert "partition-1.db" in ready.json()["troubled"]["1"]
        for secret in (None, new_key(folder, f"other-{workers}", "facts:write")):
            with server.client(secret) as other:  # who may not read the books learns of no path
                assert list(other.get("/health/ready").json()["troubled"]) == ["1"]
                asked = other.get("/health/ready"), other.post("/v1/facts", json=grant(ill, "g-9", 1))
                assert not any("partition-1.db" in answer.text for answer in asked)
        metrics = http.get("/metrics").text
        assert 'points_partition_troubled{partition="1",why=' in metrics and 'partition="0",why=' not in metrics
        assert 'points_position{partition="0"}' in metrics
        _is_served(http, well, 1_000, "r-1")
        for turned_away in (
            http.post("/v1/redemptions", json=redemption(ill, "r-2", 100)),
            http.get(f"/v1/members/{ill}"),
            http.get(f"/v1/members/{ill}/entries"),
        ):
            assert turned_away.status_code == 503 and int(turned_away.headers["Retry-After"]) >= 1
            assert turned_away.json()["partition"] == 1
        file.write_bytes(whole)
        wait_until(lambda: not http.get("/health/ready").json().get("troubled"), "it comes back by itself")
        _is_served(http, ill, 1_000, "r-3")
        _is_served(http, well, 900, "r-4")
        assert _log_names_it(server)
    is_whole(folder).close()


def _is_served(http: httpx.Client, member: str, points: int, name: str) -> None:
    assert http.get(f"/v1/members/{member}").json()["points"]["beans"]["spendable"] == points
    assert http.post("/v1/redemptions", json=redemption(member, name, 100)).json()["outcome"] == "accepted"


def _log_names_it(server: Server) -> bool:
    return "partition 1 cannot be decided" in server.log.read_text()


# -- gaps that operators accepted ------------------------------------------------------------------------------------


def test_gaps_that_operators_accepted_are_told_by_health_and_metrics(tmp_path: Path) -> None:
    with closing(open_or_create(tmp_path / "ledger", settings=Settings(2))) as ledger, ledger.writing():
        gaps = AcceptedGaps()

        def accept(partition: int, first: int, last: int) -> None:
            gap = Gap(first, last, "ann", "2026-11-29T00:00:00+00:00", "retention")
            ledger.writer(partition).commit([], [letter_of(gap, 1)], last, 1)

        async def look() -> None:
            """Once."""

            async def read(ask: Callable[[Ledger], None]) -> None:
                ask(ledger)
                raise asyncio.CancelledError

            with suppress(asyncio.CancelledError):
                await gaps.run(read)

        asyncio.run(look())
        assert gaps.by_partition == {}
        accept(1, 0, 4)
        asyncio.run(look())
        accept(1, 5, 5)
        for _ in range(2):
            asyncio.run(look())
        assert gaps.by_partition == {1: 2}
    told = metrics.text(metrics.Standing(True, {}, {}, gaps.by_partition)).decode()
    assert 'points_accepted_gaps{partition="1"} 2.0' in told and 'accepted_gaps{partition="0"}' not in told
