"""What one process of a server holds at once, and how long it waits for a client. `points serve --help` names each."""

from dataclasses import dataclass

IDLE_SECONDS = 30.0  # that a connection stays open between two requests
SLOW_SECONDS = 15.0  # that a body or an answer may be behind the least rate
REQUEST_SECONDS = 60.0
BULK_SECONDS = 600.0
HEAD_BYTES = 32 << 10  # of a request line and its headers
URL_BYTES = 8 << 10
HEADER_COUNT = 100
PIPELINED = 16  # requests on one connection that are not answered yet
OWN_REQUESTS = 8  # that each key may have running, however many the others have
UNKNOWN_REQUESTS = 64  # of all callers without a key together


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds that an operator sets.

    `connections` and `requests` are those of a process, `key_requests` those of one key, `unknown_requests` those of
    one address without a key. `header_seconds` run from a connection, or the first byte of its next request, to the
    end of the headers. `least_rate` is in bytes a second, of bodies and of answers. `proxies` are the addresses
    whose `X-Forwarded-For` is believed. `access_log` writes a line of JSON for each request.
    """

    connections: int = 2_048
    requests: int = 512
    key_requests: int = 384
    unknown_requests: int = 16
    header_seconds: float = 15.0
    least_rate: int = 4_096
    proxies: frozenset[str] = frozenset()
    access_log: bool = False
