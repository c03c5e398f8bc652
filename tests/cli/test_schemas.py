"""The schemas of what comes in and goes out: what is published fits them, and the AsyncAPI document holds together."""

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import jsonschema_rs

from ledger.wire.entry_json import change_schemas
from projections.answers.feed import page_of
from projections.answers.to_json import to_json
from tests.support.histories import LONG_AGO
from tests.support.kafka_shop import points
from tests.support.ledgers import histories_of, ingested


def test_every_decision_fits_the_schema_of_outcomes(tmp_path: Path) -> None:
    schema = json.loads(points(tmp_path, "schema", "--outcomes").stdout)
    validator = jsonschema_rs.validator_for(schema)
    ledger = ingested(tmp_path, histories_of(Random(5), members=40, length=60, start=LONG_AGO))
    told, cursor, changes = 0, "", set()
    while True:
        page = page_of(ledger, cursor, 500)
        for entry in page.told:
            document = json.loads(to_json(entry.entry))
            validator.validate(document)
            told += 1
            changes |= {change["change"] for change in document["changes"]}
        cursor = page.cursor
        if not page.has_more:
            break
    assert told > 1_000 and len(changes) > 15
    document["changes"] = [{"change": "no-such"}]
    assert not validator.is_valid(document)
    assert changes <= set(change_schemas())


def references_in(document: Any) -> set[str]:
    """Every reference in a document."""
    return set(re.findall(r'"\$ref":"([^"]+)"', json.dumps(document, separators=(",", ":"))))


def test_the_asyncapi_document_names_the_topics_and_holds_together(tmp_path: Path) -> None:
    config = tmp_path / "points.toml"
    config.write_text('[kafka]\nbootstrap_servers = "kafka-1:9092"\n[kafka.topics]\nfacts = "shop.facts"\n')
    document = json.loads(points(tmp_path, "schema", "--asyncapi", "--config", str(config)).stdout)
    assert document["asyncapi"] == "3.0.0" and document["channels"]["facts"]["address"] == "shop.facts"
    assert {operation["action"] for operation in document["operations"].values()} == {"send", "receive"}
    for reference in references_in(document):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    fact = {"$ref": "#/components/messages/fact/payload"} | {"components": document["components"]}
    example = document["components"]["messages"]["fact"]["examples"][0]["payload"]
    jsonschema_rs.validator_for(fact).validate(example)
    assert points(tmp_path, "schema", "--asyncapi", "--outcomes").returncode == 2
