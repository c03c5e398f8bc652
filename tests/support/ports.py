"""Ports for the servers that tests start."""

import random
import socket
from contextlib import closing
from itertools import count

# Below what systems give to connections (32768 on Linux, 49152 on macOS): none takes a port between choice and use.
_PORTS = range(20_000, 32_000)
_next = count(random.SystemRandom().randrange(len(_PORTS)))
_ours: list[socket.socket] = []  # of UDP, at each port that was given away: other test processes see that it is taken


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port of this machine that nobody listens at, and that no connection will be given.

    No process gets it from here again while this one lives, also where its server has not started yet or was killed.
    """
    for _ in _PORTS:
        port = _PORTS[next(_next) % len(_PORTS)]
        ours = socket.socket(type=socket.SOCK_DGRAM)
        with closing(socket.socket()) as free:
            try:
                ours.bind((address, port))
                free.bind((address, port))
            except OSError:
                ours.close()
                continue
            _ours.append(ours)
            return port
    raise OSError(f"no port of {_PORTS} is free at {address}")
