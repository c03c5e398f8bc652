"""The OpenAPI 3.1 document: what Litestar finds in the handlers, with the facts' schemas and examples."""

from functools import cache
from importlib import resources
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme, Tag

from consumers.cloudevents import BATCH
from ledger.wire.facts import Fact, RedemptionRequested
from projections.answers.schemas import with_changes
from projections.answers.to_json import to_json
from service.http.handlers.bulk import NDJSON

_PREFIX = "#/components/schemas/Fact."
_DESCRIPTION = """A ledger of loyalty points that can say how many, why, and prove it.

Facts are CloudEvents 1.0. A fact is durable before it is answered, and decided once for ever: the same (subject,
source, id) again answers with the first decision, so a client may retry anything. Money is integer fen, points are
integers, times are RFC 3339 with an offset. Every error is `application/problem+json` with a stable `type`.
"""
_BODIES = {
    "proposeAdjustment": {"member": "m-17850", "kind": "beans", "points": 500, "reason": "goodwill"},
    "keepDraft": {"file": "jd-2027.toml", "toml": 'programme = "jd"\nname = "京豆"\nfrom = 2027-01-01\n…'},
    "startDraftBacktest": {"from": "2026-01-01"},
    "handInDraft": {"reason": "double beans for phones in spring"},
    "rejectDraft": {"reason": "it costs more than the budget"},
    "publishDraft": {"from": "2027-01-01", "past": False},
    "addWebhook": {"name": "crm", "url": "https://crm.example/hooks/points", "outcomes": ["accepted"]},
}
_REDEMPTION = {
    "specversion": "1.0",
    "id": "r-123",
    "source": "/shop/members",
    "type": "redemption.requested.v1",
    "subject": "m-17850",
    "time": "2025-11-11T00:05:00+08:00",
    "data": {"redemption": "R123", "points": 2_000, "use": "offset", "order": "O2", "settlement_fen": 10_000},
}
_CART = {
    "member": "m-17850",
    "lines": [{"line": "1", "sku": "100012", "category": "phone", "quantity": 2, "paid_fen": 359_900}],
    "settlement_fen": 359_900,
}
_ORDER = {
    "specversion": "1.0",
    "id": "o-123-done",
    "source": "/shop/orders",
    "type": "order.completed.v1",
    "subject": "m-17850",
    "time": "2025-11-11T00:03:12+08:00",
    "data": {
        "order": "O1",
        "lines": [{"line": "1", "sku": "100012", "category": "phone", "quantity": 2, "paid_fen": 359_900}],
    },
}


def config(version: str) -> OpenAPIConfig:
    """Return the document, served at /schema/openapi.json."""
    scheme = SecurityScheme(
        type="http", scheme="bearer", description="A key that `points keys new` made; none where there are no keys yet."
    )
    return OpenAPIConfig(
        title="Points Ledger 京豆账本",
        version=version,
        description=_DESCRIPTION,
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        components=Components(security_schemes={"key": scheme}),
        security=[{"key": []}, {}],
        tags=[
            Tag(name)
            for name in (
                "Facts",
                "Members",
                "Feed",
                "All members",
                "Proof",
                "Operators",
                "Drafts",
                "Webhooks",
                "Health",
                "About",
            )
        ],
        render_plugins=[_Document(media_type=MediaType.JSON)],
        path="/schema",
        use_handler_docstrings=True,
    )


def document_of(app: Litestar) -> dict[str, Any]:
    """Return the document of an application."""
    found: dict[str, Any] = msgspec.json.decode(_document(app.openapi_schema.to_schema()))
    return found


class _Document(JsonRenderPlugin):
    """Serves the document, which is made once."""

    _made = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        self._made = self._made or _document(openapi_schema)
        return self._made


def _document(found: dict[str, Any]) -> bytes:
    schemas = found["components"]["schemas"]
    (any_fact, redemption), parts = msgspec.json.schema_components(
        [Fact, RedemptionRequested], ref_template=_PREFIX + "{name}"
    )
    schemas.update({f"Fact.{name}": part for name, part in parts.items()})
    with_changes(schemas, "#/components/schemas/{name}")
    facts = {"order": {"summary": "An order that was completed", "value": _ORDER}}
    redemptions = {"offset": {"summary": "Points for a part of an order", "value": _REDEMPTION}}
    for path in found["paths"].values():
        for operation in path.values():
            match operation["operationId"]:
                case "postFact":
                    operation["requestBody"] = _body(any_fact, facts | redemptions)
                case "redeem":
                    operation["requestBody"] = _body(redemption, redemptions)
                case "postFacts":
                    lines = "".join(to_json(fact).decode() + "\n" for fact in (_ORDER, _REDEMPTION))
                    schema = {"type": "string", "description": "A CloudEvent a line."}
                    operation["requestBody"] = {
                        "required": True,
                        "content": {
                            NDJSON: {"schema": schema, "example": lines},
                            BATCH: {"schema": {"type": "array", "items": any_fact}, "example": [_ORDER, _REDEMPTION]},
                        },
                    }
                    told = {"type": "array", "items": {"type": "object"}, "description": "What is told of each event."}
                    operation["responses"]["200"]["content"]["application/json"] = {"schema": told}
                case "getFeed":
                    events = {
                        "type": "string",
                        "description": "Server-sent events: `data` an entry, `id` its cursor.",
                    }
                    operation["responses"]["200"]["content"]["text/event-stream"] = {"schema": events}
                case "quote":
                    cart = {"type": "object", "required": ["member", "lines"]}
                    examples = {"cart": {"summary": "A cart of one line", "value": _CART}}
                    operation["requestBody"] = _body(cart, examples)
                case "retryDeadLetter":
                    operation["requestBody"] = {**_body(any_fact, facts), "required": False}
                case name if name in _BODIES:
                    content = operation["requestBody"]["content"]["application/json"]
                    content["examples"] = {"one": {"summary": operation["summary"], "value": _BODIES[name]}}
                case "isLive" | "isReady":
                    operation["security"] = [{}]
            _add_answers(operation)
    return to_json(found)


def _add_answers(operation: dict[str, Any]) -> None:
    """Add what a real server answered to an operation; a batch answers as an array what lines answer one by one."""
    for status, example in _answers().get(operation["operationId"], {}).items():
        for kind, content in operation["responses"].get(status, {}).get("content", {}).items():
            is_json, is_text = kind == "application/json", isinstance(example, str)
            if is_json and is_text:
                content["example"] = [msgspec.json.decode(line) for line in example.splitlines()]
            elif is_json or is_text:
                content["example"] = example


@cache
def _answers() -> dict[str, dict[str, Any]]:
    """Return answers by operation and status, as `tests/support/api_examples.py` wrote them down."""
    text = resources.files("service.http").joinpath("examples.json").read_bytes()
    found: dict[str, dict[str, Any]] = msgspec.json.decode(text)
    return found


def _body(schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema, "examples": examples}}}
