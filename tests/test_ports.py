"""The ports of the servers that tests start: two processes that run tests never get the same."""

import subprocess
import sys
from pathlib import Path

from tests.support.ports import free_port

# What a process gets that begins to look at a port.
OTHER = """
import sys
from itertools import count
from tests.support import ports
ports._next = count(ports._PORTS.index(int(sys.argv[1])))
print(ports.free_port())
"""


def test_a_port_that_was_given_away_is_not_given_again_though_nobody_listens_there_yet() -> None:
    port = free_port()
    root = Path(__file__).parents[1]
    told = subprocess.run(
        [sys.executable, "-c", OTHER, str(port)], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert int(told) != port
