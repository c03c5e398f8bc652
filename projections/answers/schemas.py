"""JSON Schema of what flows out: decisions with their changes, each change by its name."""

from typing import Any

import msgspec

from ledger.wire.answers import PublishedDecision
from ledger.wire.entry_json import change_schemas

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def change_schema(ref: str) -> dict[str, Any]:
    """Return the schema of any change; `ref` is where each stands, with ``{name}`` in it."""
    mapping = {name: ref.format(name=f"Change.{name}") for name in change_schemas()}
    return {
        "oneOf": [{"$ref": at} for at in mapping.values()],
        "discriminator": {"propertyName": "change", "mapping": mapping},
    }


def with_changes(schemas: dict[str, Any], ref: str) -> None:
    """Give every schema that has a list of changes the schema of its items, and add that of each change."""
    for schema in schemas.values():
        changes = schema.get("properties", {}).get("changes")
        if changes is not None:
            changes["items"] = change_schema(ref)
    schemas.update({f"Change.{name}": schema for name, schema in change_schemas().items()})


def outcome_schema(ref: str = "#/$defs/{name}") -> dict[str, Any]:
    """Return the JSON Schema 2020-12 of a decision on the outcomes topic, in the feed and in webhooks."""
    (schema,), components = msgspec.json.schema_components([PublishedDecision], ref_template=ref)
    with_changes(components, ref)
    return {"$schema": DIALECT, **schema, "$defs": components}
