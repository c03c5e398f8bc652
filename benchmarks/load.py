"""A load generator for the HTTP API, in a process of its own: raw requests over connections that stay open.

Prints one JSON document: how many requests, in how many seconds, and the milliseconds of each from when it was due.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

UPLOADS = 2  # connections of an upload in bulk
Make = Callable[[int], bytes]  # the request of a number


class Connection:
    """A connection that stays open."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    async def open(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """The status and body of an answer."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return int(head[9:12]), await self._reader.readexactly(length)


async def paced(place: tuple[str, int], make: Make, rate: int, seconds: float, connections: int) -> dict[str, object]:
    """So many requests a second, whether or not earlier ones were answered; a late start counts as waiting."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await Connection(*place).open())
    millis: list[float] = []
    statuses: dict[int, int] = {}

    async def one(number: int, due: float) -> None:
        connection = await free.get()
        status, _ = await connection.ask(make(number))
        free.put_nowait(connection)
        millis.append((time.perf_counter() - due) * 1_000)
        statuses[status] = statuses.get(status, 0) + 1

    began = time.perf_counter()
    asked = []
    for number in range(int(rate * seconds)):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asked.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*asked)
    return {"requests": len(millis), "seconds": time.perf_counter() - began, "millis": millis, "statuses": statuses}


async def closed(place: tuple[str, int], make: Make, seconds: float, connections: int) -> dict[str, object]:
    """As many requests as are answered, one after the other on each connection."""
    millis: list[float] = []
    statuses: dict[int, int] = {}
    began = time.perf_counter()

    async def one(worker: int) -> None:
        connection = await Connection(*place).open()
        number = worker
        while (due := time.perf_counter()) < began + seconds:
            status, _ = await connection.ask(make(number))
            millis.append((time.perf_counter() - due) * 1_000)
            statuses[status] = statuses.get(status, 0) + 1
            number += connections

    await asyncio.gather(*(one(worker) for worker in range(connections)))
    return {"requests": len(millis), "seconds": time.perf_counter() - began, "millis": millis, "statuses": statuses}


def request(method: str, path: str, body: bytes = b"", media_type: str = "application/json", prefer: str = "") -> bytes:
    """A request as it goes over the wire; `prefer` says how long it waits."""
    about = f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n" if body else ""
    about += f"Prefer: {prefer}\r\n" if prefer else ""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{about}\r\n".encode() + body


def redemption(number: int, members: int) -> bytes:
    """A request to redeem one bean."""
    name = f"load-{number}"
    fact = {
        "specversion": "1.0",
        "id": name,
        "source": "/load",
        "type": "redemption.requested.v1",
        "subject": f"m-{number % members}",
        "time": datetime.now(UTC).isoformat(),
        "data": {"redemption": name, "points": 1, "use": "coupon"},
    }
    return request("POST", "/v1/redemptions", json.dumps(fact).encode())


def claim(number: int, members: int) -> bytes:
    """A request to claim a piece of a stock that members share."""
    name = f"claim-{number}"
    fact = {
        "specversion": "1.0",
        "id": name,
        "source": "/load",
        "type": "benefit.claimed.v1",
        "subject": f"m-{number % members}",
        "time": datetime.now(UTC).isoformat(),
        "data": {"claim": name, "benefit": "ticket"},
    }
    return request("POST", "/v1/facts", json.dumps(fact).encode(), prefer="wait=30")


def main(url: str, what: str, members: int, seconds: float, more: str) -> None:
    """Make the load that is asked for; `more` is a rate, a number of connections, or a file."""
    at = urlsplit(url)
    place = (at.hostname or "", at.port or 80)
    match what:
        case "redeem":
            found = asyncio.run(paced(place, lambda n: redemption(n, members), int(more), seconds, 64))
        case "claim":
            found = asyncio.run(paced(place, lambda n: claim(n, members), int(more), seconds, 256))
        case "read":
            found = asyncio.run(
                closed(place, lambda n: request("GET", f"/v1/members/m-{n * 7 % members}"), seconds, int(more))
            )
        case _:
            lines = Path(more).read_bytes().splitlines(keepends=True)
            pieces = [b"".join(lines[at : at + 5_000]) for at in range(0, len(lines), 5_000)]
            found = asyncio.run(_upload(place, pieces))
    print(json.dumps(found))


async def _upload(place: tuple[str, int], pieces: list[bytes]) -> dict[str, object]:
    left = iter(pieces)
    millis: list[float] = []
    lines = 0

    async def one() -> None:
        nonlocal lines
        connection = await Connection(*place).open()
        for piece in left:
            due = time.perf_counter()
            status, body = await connection.ask(request("POST", "/v1/facts:bulk", piece, "application/x-ndjson"))
            assert status == 200, body
            lines += body.count(b'"position"')
            millis.append((time.perf_counter() - due) * 1_000)

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(UPLOADS)))
    return {"requests": lines, "seconds": time.perf_counter() - began, "millis": millis, "statuses": {200: len(pieces)}}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])
