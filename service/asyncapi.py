"""The AsyncAPI 3 document of the topics: what is taken from one, and what is published to the others."""

from typing import Any

import msgspec

from consumers.kafka.settings import KafkaSettings
from ledger.wire.answers import DeadLetter, PublishedDecision
from ledger.wire.facts import Fact
from projections.answers.schemas import with_changes

_REF = "#/components/schemas/{name}"
_HEADERS = {
    "type": "object",
    "properties": {
        "content-type": {"type": "string"},
        **{f"ce_{name}": {"type": "string"} for name in ("specversion", "id", "source", "type", "subject", "time")},
    },
    "description": "Of CloudEvents in binary mode; a structured event needs none.",
}
_FACT = {
    "specversion": "1.0",
    "id": "o-123-done",
    "source": "/shop/orders",
    "type": "order.completed.v1",
    "subject": "m-17850",
    "time": "2025-11-11T00:03:12+08:00",
    "data": {"order": "O1", "lines": [{"line": "1", "sku": "100012", "quantity": 2, "paid_fen": 359_900}]},
}


def asyncapi(version: str, settings: KafkaSettings) -> dict[str, Any]:
    """Return the document, with the topics and brokers of the settings; secrets are not in it."""
    (fact, decision, letter), schemas = msgspec.json.schema_components(
        [Fact, PublishedDecision, DeadLetter], ref_template=_REF
    )
    with_changes(schemas, _REF)
    topics = settings.topics
    protocol = "kafka-secure" if settings.security.protocol.endswith("SSL") else "kafka"
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Points Ledger 京豆账本",
            "version": version,
            "description": "Facts come in as CloudEvents, keyed by their subject; decisions and dead letters go out.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": settings.bootstrap_servers, "protocol": protocol}},
        "channels": {
            "facts": _channel(topics.facts, "Facts, at most 1 MiB each, in the partition of their subject.", "fact"),
            "outcomes": _channel(topics.outcomes, "Every decision, in order, at least once.", "outcome"),
            "deadLetters": _channel(topics.dead_letters, "Records that are no facts, at least once.", "deadLetter"),
        },
        "operations": {
            "takeFact": _operation("receive", "facts", "fact", "Decide a fact, once for ever."),
            "publishOutcome": _operation("send", "outcomes", "outcome", "Publish what was decided."),
            "publishDeadLetter": _operation("send", "deadLetters", "deadLetter", "Publish what could not be taken."),
        },
        "components": {
            "messages": {
                "fact": _message("A fact", fact, "The subject: the member's token.")
                | {"examples": [{"payload": _FACT}]},
                "outcome": _message("A decision", decision, "The member's token."),
                "deadLetter": _message("A dead letter", letter, "Its position, partition:offset."),
            },
            "schemas": schemas,
        },
    }


def _channel(topic: str, description: str, message: str) -> dict[str, Any]:
    return {
        "address": topic,
        "description": description,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def _operation(action: str, channel: str, message: str, summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
    }


def _message(title: str, payload: dict[str, Any], key: str) -> dict[str, Any]:
    kafka = {"kafka": {"key": {"type": "string", "description": key}}}
    return {
        "title": title,
        "contentType": "application/json",
        "headers": _HEADERS,
        "payload": payload,
        "bindings": kafka,
    }
