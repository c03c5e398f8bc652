"""Named points at which a test has a process killed, by ``POINTS_FAILPOINT=name[:count]``: the count-th time there.

For tests only. The process gets SIGKILL, as in a power cut: nothing is flushed, closed or told to anybody.
"""

import os
import signal

_name, _, _count = os.environ.get("POINTS_FAILPOINT", "").partition(":")
_left = int(_count or 1)


def failpoint(name: str) -> None:
    """Die here, where that is asked for."""
    global _left
    if name == _name:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
