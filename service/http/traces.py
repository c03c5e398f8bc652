"""Traces of requests by OpenTelemetry: the one file that needs the extra `traces`.

What is sent where is said by the OTEL_… variables, which the library reads.
"""

from collections.abc import Mapping

from litestar.types import HTTPScope
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator


class Traces:
    """Makes a span of each request."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("points-ledger")
        self._context = TraceContextTextMapPropagator()

    def begin(self, scope: HTTPScope, method: str) -> Span:
        """Return the span of a request, begun in the trace that its headers name."""
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {"http.request.method": method, "url.scheme": scope["scheme"]}
        return self._tracer.start_span(method, self._context.extract(carrier), SpanKind.SERVER, attributes)

    def end(self, span: Span, scope: HTTPScope, method: str, status: int) -> None:
        """End a request's span, by its route: neither the address nor the query is in it, which name a member."""
        route = str(scope.get("path_template") or "")
        span.update_name(f"{method} {route}".strip())
        span.set_attributes({"http.route": route, "http.response.status_code": status})
        span.end()


def exporting(environment: Mapping[str, str]) -> Traces:
    """Return what traces requests and sends their spans on, in the background."""
    name = environment.get("OTEL_SERVICE_NAME") or "points-ledger"
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider)
