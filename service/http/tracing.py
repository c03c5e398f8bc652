"""Whether requests are traced: OpenTelemetry is an extra, loaded where a collector is set."""

import os
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any, Protocol

from litestar.types import HTTPScope

from ledger.errors import CannotRunNow

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Tracer(Protocol):
    """What makes a span of each request."""

    def begin(self, scope: HTTPScope, method: str) -> Any:
        """Return the span of a request, begun in the trace that its headers name."""
        ...

    def end(self, span: Any, scope: HTTPScope, method: str, status: int) -> None:
        """End a request's span."""
        ...


def tracer_by(environment: Mapping[str, str] = os.environ) -> Tracer | None:
    """Return what traces requests, None where no collector is set. Raises `CannotRunNow` without the extra."""
    if not environment.get(ENDPOINT):
        return None
    try:
        found: Tracer = resolve_name("service.http.traces:exporting")(environment)
    except ImportError:
        raise CannotRunNow(
            f"{ENDPOINT} is set, and OpenTelemetry is not installed: unset it, or"
            ' pip install "opentelemetry-sdk>=1.30,<2" "opentelemetry-exporter-otlp-proto-http>=1.30,<2"'
        ) from None
    return found
