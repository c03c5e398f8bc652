"""The folder of what the processes of a server share while it runs, and what is left of such folders after a kill."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from service.http.metrics import SHARED

PREFIX = "points-serve-"
LOCK = "lock"  # locked while the server's first process runs


@contextmanager
def shared_folder() -> Iterator[Path]:
    """A folder for the sockets of a server, and the metrics that its processes count.

    Those of servers whose first process was killed are removed.
    """
    _remove_left()
    with TemporaryDirectory(prefix=PREFIX) as made:
        folder = Path(made)
        with (folder / "lock.new").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / "lock.new").rename(folder / LOCK)  # from here on others know whose it is
            (folder / "metrics").mkdir()
            os.environ[SHARED] = str(folder / "metrics")
            yield folder


def _remove_left() -> None:
    """Remove this user's folders whose lock nobody holds; one without a lock is just being made."""
    for folder in Path(gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # it is held, of another user, or gone
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
