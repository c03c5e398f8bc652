"""The feed of all entries: pages behind a cursor, filters, and server-sent events that go on where a client stopped."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger.journal.open import open_ledger
from projections.answers.feed import page_of
from service.http.server import GRACE_SECONDS
from tests.support.ledgers import scratch
from tests.support.served import NDJSON, Server, grant, ndjson, new_key, redemption, served

MEMBERS = [f"f-{n}" for n in range(12)]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch() as folder, served(folder / "ledger") as found:
        with found.client() as client:
            facts = [grant(member, f"{member}-{n}", 10 + n) for n in range(5) for member in MEMBERS]
            facts += [redemption(member, f"{member}-r", 1_000_000) for member in MEMBERS[:3]]
            told = client.post("/v1/facts:bulk?outcomes=true", content=ndjson(facts), headers=NDJSON, timeout=60)
            assert told.status_code == 200 and b'"reason":"bad' not in told.content
        yield found


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def all_of(http: httpx.Client, **params: Any) -> list[dict[str, Any]]:
    """Every entry of a feed, page by page."""
    found, after = list[dict[str, Any]](), ""
    for _ in range(1_000):
        page = http.get("/v1/entries", params={**params, "after": after}).raise_for_status().json()
        found += page["entries"]
        after = page["next"]
        if not page["more"]:
            return found
    raise AssertionError("it has no end")


def numbers_of(entries: list[dict[str, Any]]) -> dict[str, list[int]]:
    """The numbers of each member's entries, in the order they came."""
    found: dict[str, list[int]] = defaultdict(list)
    for entry in entries:
        found[entry["member"]].append(entry["number"])
    return dict(found)


@pytest.mark.parametrize("limit", [1, 3, 7, 1_000])
def test_pages_of_any_size_tell_every_entry_once_and_each_members_in_order(http: httpx.Client, limit: int) -> None:
    found = all_of(http, limit=limit)
    assert len({entry["position"] for entry in found}) == len(found) == 63
    expected = {member: list(range(1, 7 if member in MEMBERS[:3] else 6)) for member in MEMBERS}
    assert numbers_of(found) == expected


def test_a_cursor_goes_on_with_what_is_decided_later(http: httpx.Client) -> None:
    page = http.get("/v1/entries", params={"after": "now"}).json()
    assert page["entries"] == [] and not page["more"]
    http.post("/v1/facts", json=grant("late", "late-1", 5)).raise_for_status()
    found = http.get("/v1/entries", params={"after": page["next"]}).json()
    assert [entry["member"] for entry in found["entries"]] == ["late"]
    again = http.get("/v1/entries", params={"after": found["next"]}).json()
    assert again["entries"] == [] and again["next"] == found["next"]


def test_filters_leave_out_and_never_stop_the_cursor(http: httpx.Client) -> None:
    assert set(numbers_of(all_of(http, member="f-1", limit=2))) == {"f-1"}
    refused = all_of(http, outcome="refused", limit=2)
    assert numbers_of(refused) == {member: [6] for member in MEMBERS[:3]}
    assert all_of(http, type="redemption.requested.v1", limit=1) == refused
    both = all_of(http, type=["redemption.requested.v1", "campaign.granted.v1"], outcome=["refused", "accepted"])
    assert len(both) >= 63
    linked = http.get("/v1/entries?limit=2&outcome=accepted").links["next"]["url"]
    assert "outcome=accepted" in linked and http.get(f"/v1/entries{linked}").status_code == 200


def test_what_no_feed_gave_is_refused(http: httpx.Client) -> None:
    for params in ({"after": "x"}, {"after": "AAAA"}, {"after": "né"}, {"type": "no.such.v1"}, {"outcome": "parked"}):
        said = http.get("/v1/entries", params=params)
        assert said.status_code == 400 and next(iter(params)) in said.json()["detail"], said.text
    assert http.get("/v1/entries", params={"member": "programme"}).status_code == 400


def test_a_cursor_of_another_ledger_or_ahead_of_this_one_is_refused(http: httpx.Client, server: Server) -> None:
    with scratch() as folder, served(folder / "other") as other, other.client() as client:
        theirs = client.get("/v1/entries").json()["next"]
    assert "another ledger" in http.get("/v1/entries", params={"after": theirs}).json()["detail"]


def test_a_key_for_one_member_reads_that_members_feed_alone() -> None:
    with scratch() as folder, served(folder / "ledger") as server:
        one, everyone = new_key(server.folder, "one", "member:read:f-1"), new_key(server.folder, "all", "members:read")
        with server.client(one) as client:
            assert client.get("/v1/entries").status_code == 403
            assert client.get("/v1/entries?member=f-2").status_code == 403
            assert client.get("/v1/entries?member=f-1").status_code == 200
        with server.client(everyone) as client:
            assert client.get("/v1/entries").status_code == 200


def events_of(response: httpx.Response, count: int) -> list[tuple[str, dict[str, Any]]]:
    """The first events of a stream: each its id and its data."""
    found: list[tuple[str, dict[str, Any]]] = []
    held: dict[str, str] = {}
    for line in response.iter_lines():
        if not line and "data" in held:
            found.append((held["id"], json.loads(held["data"])))
        if not line:
            held = {}
            if len(found) == count:
                return found
        name, _, value = line.partition(": ")
        held[name] = value
    return found


def test_a_stream_tells_what_is_decided_and_goes_on_behind_the_last_event_id(server: Server) -> None:
    stream = {"Accept": "text/event-stream"}

    def give() -> None:
        with server.client() as client:
            for n in range(4):
                client.post("/v1/facts", json=grant("sse", f"sse-{n}", 5)).raise_for_status()

    giving = threading.Thread(target=give)
    with server.client() as http, http.stream("GET", "/v1/entries?after=now&member=sse", headers=stream) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        giving.start()
        first = events_of(response, 2)
    giving.join()
    assert [entry["number"] for _, entry in first] == [1, 2]
    behind = {**stream, "Last-Event-ID": first[-1][0]}
    with server.client() as http, http.stream("GET", "/v1/entries?after=now&member=sse", headers=behind) as response:
        assert [entry["number"] for _, entry in events_of(response, 2)] == [3, 4]


def test_a_server_that_stops_ends_its_streams_at_once() -> None:
    with scratch() as folder:
        server = Server(folder / "ledger")
        with server.client() as http:
            http.post("/v1/facts", json=grant("m", "g", 5)).raise_for_status()
            with http.stream("GET", "/v1/entries", headers={"Accept": "text/event-stream"}) as response:
                assert events_of(response, 1)
                began = time.monotonic()
                assert server.stop() == 0 and time.monotonic() - began < GRACE_SECONDS, "it did not wait for the stream"
                with closing(open_ledger(Path(server.folder))) as ledger:
                    assert len(page_of(ledger, "", 10).told) == 1
