"""Named points at which a test has a process killed or stopped: ``POINTS_FAILPOINT=name[:count[:signal]]``.

For tests only. The count-th time it comes there the process sends itself the signal (KILL where none is named): nothing
is flushed, closed or told to anybody.
"""

import os
import signal

_name, _count, _signal, *_ = [*os.environ.get("POINTS_FAILPOINT", "").split(":"), "", ""]
_left = int(_count or 1)


def failpoint(name: str) -> None:
    """Send the signal that is asked for at this point, if any."""
    global _left
    if name == _name:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.Signals[f"SIG{_signal or 'KILL'}"])
