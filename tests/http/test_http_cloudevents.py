"""CloudEvents of the official SDK over HTTP: binary, structured, in batches; and what is told of any other mode."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cloudevents.core.bindings import http as binding
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from tests.support.ledgers import scratch
from tests.support.served import grant, served

BATCH = {"Content-Type": "application/cloudevents-batch+json"}


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with scratch() as folder, served(folder / "ledger") as server, server.client() as client:
        yield client


def event(name: str, member: str, points: int = 70, **more: str) -> CloudEvent:
    """A grant as a sender with the SDK makes it."""
    attributes = {
        "specversion": "1.0",
        "id": name,
        "source": "/shop/营销",
        "type": "campaign.granted.v1",
        "subject": member,
        "time": datetime.now(UTC) - timedelta(seconds=2),
        "datacontenttype": "application/json",
        **more,
    }
    return CloudEvent(attributes, {"grant": name, "campaign": "双十一", "points": points})


def test_every_mode_gives_the_same_fact(http: httpx.Client) -> None:
    given = event("积分 100%", "m-1")
    binary = binding.to_binary(given, JSONFormat())
    assert binary.headers["ce-source"] == "/shop/%E8%90%A5%E9%94%80"
    first = http.post("/v1/facts", content=binary.body, headers=binary.headers).json()
    assert (first["outcome"], first["id"], first["source"]) == ("accepted", "积分 100%", "/shop/营销")
    structured = binding.to_structured(given, JSONFormat())
    again = http.post("/v1/facts", content=structured.body, headers=structured.headers).json()
    assert again["repeated"] and again["position"] == first["position"]
    batch = http.post("/v1/facts:bulk", content=b"[ " + structured.body + b"\n]", headers=BATCH)
    assert batch.headers["content-type"] == "application/json"
    assert [line["position"] for line in batch.json()] == [first["position"]]


def test_a_batch_is_told_event_by_event(http: httpx.Client) -> None:
    events = [grant("m-2", f"b-{n}", 10) for n in range(3)]
    events[1]["type"] = "no.such.v1"
    told = http.post("/v1/facts:bulk?outcomes=true", content=json.dumps(events, indent=2), headers=BATCH).json()
    assert [line.get("outcome", line.get("reason")) for line in told] == ["accepted", "unknown-type", "accepted"]
    assert http.post("/v1/facts:bulk", content=b"[]", headers=BATCH).json() == []
    for wrong in (b"{}", b"[1", b"", b"[\xff]"):
        assert http.post("/v1/facts:bulk", content=wrong, headers=BATCH).status_code == 400, wrong


def test_a_mode_that_is_not_understood_is_named_with_what_is_taken(http: httpx.Client) -> None:
    for kind in ("application/cloudevents+avro", "application/cloudevents-batch+json", "text/plain"):
        said = http.post("/v1/facts", content=b"[]", headers={"Content-Type": kind})
        assert said.status_code == 415 and said.json()["type"] == "/problems/wrong-media-type", said.text
        assert "batch" in said.json()["detail"] if "batch" in kind else kind in said.json()["detail"]
    binary = binding.to_binary(event("x", "m-3", datacontenttype="text/xml"), JSONFormat())
    said = http.post("/v1/facts", content=b"<a/>", headers=binary.headers)
    assert said.status_code == 415 and "text/xml" in said.json()["detail"]


def test_binary_events_that_are_no_facts_are_refused(http: httpx.Client) -> None:
    headers = binding.to_binary(event("y", "m-3"), JSONFormat()).headers
    said = http.post("/v1/facts", content=b'{}, "subject": "m-4"', headers=headers)
    assert said.status_code == 422 and said.json()["reason"] == "not-json"
    said = http.post("/v1/facts", content=b"{}", headers=[*headers.items(), ("ce-id", "again")])
    assert said.status_code == 400 and "ce-id" in said.json()["detail"]
    without = {name: value for name, value in headers.items() if name != "ce-subject"}
    said = http.post("/v1/facts", content=b'{"grant":"g","campaign":"c","points":5}', headers=without)
    assert said.status_code == 422 and "subject" in said.json()["detail"]
    assert http.get("/v1/members/m-4").status_code == 404
