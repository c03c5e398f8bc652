"""The outbox example: the records that Debezium's event router makes of its rows, by its settings, are facts."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from consumers.kafka.buffers import Buffer
from consumers.kafka.port import Start
from consumers.runtime.intake import Intake, Sources
from ledger.journal.partitioning import Partitioner

EXAMPLE = Path(__file__).parents[2] / "examples" / "outbox"
SETTINGS = json.loads((EXAMPLE / "connector.json").read_text())["config"]
PREFIX = "transforms.outbox."


def routed(row: dict[str, Any]) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of a row, as the router's settings say (Debezium's page "Outbox Event Router")."""
    payload = json.loads(row[SETTINGS[PREFIX + "table.field.event.payload"]])
    headers = [("id", str(row[SETTINGS[PREFIX + "table.field.event.id"]]).encode())]  # the router always adds it
    for placed in SETTINGS[PREFIX + "table.fields.additional.placement"].split(","):
        column, where, name = placed.split(":")
        assert where == "header"
        headers.append((name, str(row[column]).encode()))
    value = json.dumps(payload).encode() if payload else b"{}"
    return row[SETTINGS[PREFIX + "table.field.event.key"]].encode(), value, headers


def test_rows_of_the_outbox_become_facts() -> None:
    db = sqlite3.connect(":memory:")
    db.row_factory = sqlite3.Row
    db.executescript((EXAMPLE / "outbox.sql").read_text())
    buffer = Buffer(Start(), 1 << 20, False)
    rows = [dict(row) for row in db.execute("SELECT * FROM outbox ORDER BY occurred")]
    for offset, row in enumerate(rows):
        key, value, headers = routed(row)
        buffer.add(offset, 1_800_000_000_000, True, key, value, headers)
    facts, parked = Intake(0, Partitioner(1), Sources()).take(buffer.read(-1, 10, 1 << 20), {})
    assert not parked and len(facts) == len(rows) == 2
    first = json.loads(facts[0].canonical)
    assert (first["id"], first["type"], first["subject"]) == ("o-123-done", "order.completed.v1", "m-17850")
    assert first["time"] == "2025-11-10T16:03:12Z" and first["data"]["lines"][0]["paid_fen"] == 359_900
    assert SETTINGS[PREFIX + "route.topic.replacement"] == "points.facts.v1"
