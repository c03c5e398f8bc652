"""Slow clients of a server, as many as asked for: `python -m tests.support.slow_clients URL KEY FORMS BODIES HEADS`.

Each sends the beginning of a request and then a byte now and then, until its connection is closed; then it begins anew.
"""

import asyncio
import sys
from contextlib import suppress
from urllib.parse import urlsplit

BYTE_SECONDS = 0.5
AGAIN_SECONDS = 0.2
FORM = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 8000\r\n\r\nf"
SLOW_SIGN_IN = b"POST /console/sign-in HTTP/1.1\r\nHost: localhost\r\n" + FORM
SLOW_LANGUAGE = b"POST /console/language HTTP/1.1\r\nHost: localhost\r\n" + FORM
HEAD = b"GET /v1/members/m-1 HTTP/1.1\r\nHost: localhost\r\nX: "


def slow_fact(key: str) -> bytes:
    """The beginning of a fact under a key."""
    head = "POST /v1/facts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Authorization: Bearer {key}\r\nContent-Length: 9000\r\n\r\n{{".encode()


async def slow_client(host: str, port: int, begin: bytes) -> None:
    """One of them, for ever."""
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(begin)
            while not reader.at_eof() and not writer.is_closing():
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1_000), BYTE_SECONDS)
                writer.write(b"x")
            writer.close()
        await asyncio.sleep(AGAIN_SECONDS)


async def main(url: str, key: str, forms: int, bodies: int, heads: int) -> None:
    """All of them, until the process is ended."""
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 0
    begins = [(SLOW_SIGN_IN, SLOW_LANGUAGE)[n % 2] for n in range(forms)] + [slow_fact(key)] * bodies + [HEAD] * heads
    await asyncio.gather(*(slow_client(host, port, begin) for begin in begins))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])))
