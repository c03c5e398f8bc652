"""Whether a consumer lives and is ready, asked over HTTP by whoever runs it: a thread that answers two addresses."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from consumers.runtime.events import Acquired, Event, Failed, Left, Recovered, Released
from ledger.errors import BadInput
from projections.answers.to_json import to_json

SECONDS = 10  # that a client has for its request


class ConsumerHealth:
    """A consumer's health by its events: it is ready while no stage is in trouble and no partition was left."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._partitions: set[int] = set()
        self._troubles: dict[str, str] = {}
        self._left: dict[int, str] = {}

    def observe(self, event: Event) -> None:
        """Take an event in."""
        with self._lock:
            match event:
                case Acquired(partition):
                    self._partitions.add(partition)
                    self._left.pop(partition, None)
                case Released(partition):
                    self._partitions.discard(partition)
                    self._left.pop(partition, None)
                case Left(partition, why):
                    self._left[partition] = why
                case Failed(stage, why):
                    self._troubles[stage] = why
                case Recovered(stage):
                    self._troubles.pop(stage, None)
                case _:
                    pass

    def is_ready(self) -> tuple[bool, dict[str, Any]]:
        """Return whether it is ready, and a document that says so: its partitions, and what stands in the way."""
        with self._lock:
            ready = not self._troubles and not self._left
            left = {str(partition): why for partition, why in sorted(self._left.items())}
            return ready, {
                "status": "ready" if ready else "troubled",
                "partitions": sorted(self._partitions),
                "troubles": dict(self._troubles),
                "left": left,
            }

    def serve(self, host: str, port: int) -> None:
        """Answer in other threads. Raises `BadInput` where the address is taken."""
        health = self

        class Handler(BaseHTTPRequestHandler):
            timeout = SECONDS

            def do_GET(self) -> None:
                """Answer one of the two addresses."""
                if self.path == "/health/live":
                    self._give(200, {"status": "live"})
                elif self.path == "/health/ready":
                    ready, document = health.is_ready()
                    self._give(200 if ready else 503, document)
                else:
                    self._give(404, {"status": "there are /health/live and /health/ready"})

            def _give(self, status: int, document: dict[str, Any]) -> None:
                body = to_json(document)
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Write nothing for each request."""

        try:
            server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise BadInput(f"--health {host}:{port}: {error.strerror or error}; give another address") from None
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="points-health", daemon=True).start()
