"""A server whose ledger was stamped by a wrong clock takes requests, says so, and stamps nothing far in the future."""

import time
from contextlib import closing
from pathlib import Path

import pytest

from consumers import clock
from consumers.local.open import open_inbox
from consumers.local.port import InboxLine
from consumers.runtime.ingest import decide_all
from ledger.journal.folder import FolderLedger
from ledger.journal.ledger import Settings, new_id
from ledger.wire.times import DAY
from tests.support.histories import encode
from tests.support.served import grant, is_whole, new_key, redemption, served


def stamped(folder: Path, days: int) -> None:
    """Make a ledger whose one record was stamped so many days ahead of now, or (below 0) ago when it occurred."""
    ledger = FolderLedger.at_or_created(folder, settings=Settings(1, id=new_id()))
    with closing(ledger), ledger.writing(), closing(open_inbox(ledger, feeding=True)) as inbox:
        value = encode(grant("m-1", "g-1", 1_000, ago=max(1, -days * 86_400)))
        inbox.append([InboxLine(0, clock.now() + days * DAY, 0, "m-1", value)])
        decide_all(ledger)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_requests_are_taken_and_health_metrics_and_the_log_tell(tmp_path: Path, workers: str) -> None:
    folder = tmp_path / "ledger"
    stamped(folder, 400)
    key = new_key(folder, "shop", "facts:write", "members:read", "books:read")
    with served(folder, "--workers", workers) as server, server.client(key) as http:
        answer = http.post("/v1/facts", json=redemption("m-1", "r-1", 10))
        assert (answer.status_code, answer.json()["outcome"]) == (200, "accepted"), answer.text
        assert answer.json()["stamped"] < answer.json()["recorded"]
        until = time.monotonic() + 100
        while not (ahead := http.get("/health/ready").json().get("recorded_ahead")):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert 399 * 86_400 < ahead["0"] <= 400 * 86_400
        told = http.get("/metrics").text
        assert 'points_recorded_ahead_seconds{partition="0"} 3.4' in told
        assert 'points_follow_ups_unsent_seconds{partition="0",peer=""} 0.0' in told
    is_whole(folder).close()


def test_a_clock_that_the_facts_deny_takes_nothing_and_names_both(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    stamped(folder, -30)
    key = new_key(folder, "shop", "facts:write", "members:read")
    with served(folder) as server, server.client(key) as http:
        late = redemption("m-1", "r-1", 10)
        late["time"] = clock.says(clock.now() - 29 * DAY)
        refused = http.post("/v1/facts", json=late)
        assert refused.status_code == 503, refused.text
        assert "the server's clock is far ahead" in refused.json()["detail"]
        assert "this host's clock says" in server.log.read_text()
        assert http.get("/health/ready").status_code == 200
        assert http.post("/v1/facts", json=grant("m-1", "g-2", 1)).status_code == 200, "a fact that agrees is taken"
