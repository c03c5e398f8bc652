"""Traces: a request is a span of the trace that its client names, by its route and not by its address."""

import asyncio
import threading
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service.http.bounds import Bounds
from service.http.limits import Limits
from service.http.places import Who
from service.http.traces import Traces
from service.http.tracing import ENDPOINT, tracer_by

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_request_is_a_span_of_its_clients_trace() -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        scope["path_template"] = "/v1/members/{member}"
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def nothing(*_: object) -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    limits = Limits(app, lambda _: Who("k", True), Bounds(), tracer=Traces(provider))
    headers = [(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())]
    scope = {"type": "http", "path": "/v1/members/m-1", "method": "GET", "scheme": "http", "headers": headers}
    asyncio.run(limits(scope, nothing, nothing))  # type: ignore[arg-type]
    (span,) = kept.get_finished_spans()
    assert span.name == "GET /v1/members/{member}" and span.attributes is not None
    assert span.attributes["http.response.status_code"] == 404 and "m-1" not in str(dict(span.attributes))
    assert span.context is not None and span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)


def test_nothing_is_traced_unless_a_collector_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracer_by({}) is None
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    found = tracer_by()
    assert isinstance(found, Traces)
    found._tracer.span_processor.shutdown()  # and its thread, which would go on through other tests
    assert not [one for one in threading.enumerate() if "BatchSpan" in one.name]
