"""CloudEvents in every mode, made by the official SDK: on Kafka each becomes the fact that its structured form is."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from consumers.cloudevents import BadData, assembled
from consumers.kafka.buffers import Buffer
from consumers.kafka.port import Headers, Start
from consumers.runtime.continuity import LastTaken, NotContinued, check_taken
from consumers.runtime.intake import Intake, Sources
from consumers.stream import Record
from ledger.journal.engines import native_module
from ledger.journal.ledger import Ledger
from ledger.journal.partitioning import Partitioner
from tests.support.ledgers import ingested
from tests.support.served import grant

WHEN = 1_800_000_000_000  # of the broker, in milliseconds


def event(data: dict[str, Any] | None, kind: str = "campaign.granted.v1", **more: Any) -> CloudEvent:
    """An event as a sender with the SDK makes it."""
    attributes = {
        "specversion": "1.0",
        "id": 'g-1 "积分" 100%',
        "source": "/shop/营销",
        "type": kind,
        "subject": "m-1",
        "partitionkey": "m-1",
        "time": datetime(2026, 11, 11, 0, 3, 12, tzinfo=UTC),
        "datacontenttype": "application/json",
        **more,
    }
    return CloudEvent(attributes, data)


GRANT = {"grant": 'G "1"', "campaign": "双十一", "points": 70}


def read(value: bytes | None, headers: Headers, *, takes_schema_ids: bool = False, key: bytes = b"m-1") -> Record:
    """The record that a value with headers comes in as."""
    buffer = Buffer(Start(), 1 << 20, False, takes_schema_ids=takes_schema_ids)
    buffer.add(0, WHEN, True, key, value, headers)
    (record,) = buffer.read(-1, 1, 1 << 20)
    return record


def sent(message: kafka.KafkaMessage) -> Record:
    """The record of a message of the SDK."""
    assert message.key is not None
    return read(message.value, list(message.headers.items()), key=str(message.key).encode())


def taken(record: Record) -> tuple[list[Any], list[Any]]:
    """The facts and dead letters of a record, by whichever engine is there."""
    intake = Intake(0, Partitioner(1), Sources())
    module = native_module()
    return (intake.with_native(module) if module else intake).take([record], {})


def fact_of(record: Record) -> bytes:
    """The canonical bytes of the fact that a record is."""
    (fact,), parked = taken(record)
    assert not parked
    return bytes(fact.canonical)


def test_binary_and_structured_are_the_same_fact() -> None:
    structured = fact_of(sent(kafka.to_structured(event(GRANT), JSONFormat())))
    assert fact_of(sent(kafka.to_binary(event(GRANT), JSONFormat()))) == structured
    assert json.loads(structured)["source"] == "/shop/营销"
    plain = event({"grant": "G1", "campaign": "c", "points": 70}, id="g-1", source="/shop/x")  # as most are
    binary, whole = (fact_of(sent(mode(plain, JSONFormat()))) for mode in (kafka.to_binary, kafka.to_structured))
    assert binary == whole


def test_a_binary_event_without_data_is_a_fact_that_needs_none() -> None:
    message = kafka.to_binary(event(None, "identity.verified.v1"), JSONFormat())
    assert json.loads(fact_of(sent(message)))["type"] == "identity.verified.v1"
    assert json.loads(fact_of(read(None, list(message.headers.items()))))["data"] == {}
    assert read(None, []).fault == "empty"


def test_a_mode_that_is_not_understood_is_named() -> None:
    for content_type, said in {
        "application/cloudevents+avro": "application/cloudevents+avro",
        "application/cloudevents-batch+json": "application/cloudevents-batch+json",
    }.items():
        facts, (letter,) = taken(read(b"Obj\x01", [("content-type", content_type.encode())]))
        assert not facts and letter.reason == "unknown-mode" and said in letter.detail
    message = kafka.to_binary(event(GRANT), JSONFormat())
    headers = {**message.headers, "content-type": b"application/x-protobuf"}
    facts, (letter,) = taken(read(b"\x08\x01", list(headers.items())))
    assert not facts and letter.reason == "unknown-mode" and "application/x-protobuf" in letter.detail
    assert letter.raw == b"\x08\x01"


@pytest.mark.parametrize("data", [b'{}, "id": "other"', b'{"a": 1', b"\xff", b'{"points": "\xff"}', b"{}{}"])
def test_data_that_is_no_json_becomes_no_attribute(data: bytes) -> None:
    with pytest.raises(BadData):
        assembled({"id": "1"}, data)
    headers = list(kafka.to_binary(event(GRANT), JSONFormat()).headers.items())
    facts, (letter,) = taken(read(data, headers))
    assert not facts and letter.reason == "not-json" and letter.raw == data


def test_a_header_that_is_no_utf8_is_dead_lettered() -> None:
    facts, (letter,) = taken(read(b"{}", [("ce_specversion", b"1.0"), ("ce_id", b"\xff")]))
    assert not facts and letter.reason == "not-utf8"


def test_the_framing_of_a_schema_registry_is_an_option() -> None:
    value = kafka.to_structured(event(GRANT), JSONFormat()).value
    framed = b"\0\0\0\0\x2a" + value
    facts, (letter,) = taken(read(framed, []))
    assert not facts and letter.reason == "unknown-mode" and "takes_schema_ids" in letter.detail
    assert fact_of(read(framed, [], takes_schema_ids=True)) == fact_of(read(value, []))
    assert fact_of(read(value, [], takes_schema_ids=True)) == fact_of(read(value, []))
    binary = kafka.to_binary(event(GRANT), JSONFormat())
    headers = list(binary.headers.items())
    assert fact_of(read(b"\0\0\0\0\x2a" + binary.value, headers, takes_schema_ids=True)) == fact_of(read(value, []))
    assert read(b"\0\0", [], takes_schema_ids=True).fault == "unknown-mode"


def test_a_setting_that_is_turned_on_later_still_finds_the_record_that_was_taken_last(tmp_path: Any) -> None:
    framed = b"\0\0\0\0\x2a" + kafka.to_structured(event(GRANT), JSONFormat()).value
    before, after = read(framed, []), read(framed, [], takes_schema_ids=True)
    ledger: Ledger = ingested(tmp_path, [grant("m-1", "g-1", 5)])
    dead = taken(before)[1][0]
    check_taken(ledger, 0, LastTaken(0, dead.sha256), after)
    with pytest.raises(NotContinued):
        check_taken(ledger, 0, LastTaken(0, b"\1" * 32), after)
