"""Ports for the servers that tests start."""

import random
import socket
from contextlib import closing
from itertools import count

# Below what systems give to connections (32768 on Linux, 49152 on macOS): none takes a port between choice and use.
_PORTS = range(20_000, 32_000)
_next = count(random.SystemRandom().randrange(len(_PORTS)))


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port of this machine that nobody listens at, and that no connection will be given."""
    for _ in _PORTS:
        port = _PORTS[next(_next) % len(_PORTS)]
        with closing(socket.socket()) as free:
            try:
                free.bind((address, port))
            except OSError:
                continue
            return port
    raise OSError(f"no port of {_PORTS} is free at {address}")
