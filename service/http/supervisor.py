"""The process that follows the journals beside a server: begun and ended with it, and begun again where it dies."""

import json
import subprocess
import sys
import threading
from pathlib import Path

from service.errors import say

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds until it is started again
GRACE_SECONDS = 5.0


class Follower:
    """Keeps `service.follower` running."""

    def __init__(self, ledger: str, views: Path, trees: Path) -> None:
        asked = {"ledger": ledger, "views": str(views), "trees": str(trees)}
        self._asked = json.dumps(asked).encode() + b"\n"  # not as arguments: an address may hold a password
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="points-follower", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the process."""
        self._stopping.set()
        process = self._process
        if process is not None:
            process.terminate()
        self._thread.join(GRACE_SECONDS)

    def _run(self) -> None:
        wait = FIRST_WAIT
        while not self._stopping.is_set():
            code = self._follow()
            if self._stopping.is_set():
                return
            say(f"views are not followed now (its process ended with {code}); again in {wait:g} s")
            self._stopping.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _follow(self) -> int:
        with subprocess.Popen(
            [sys.executable, "-m", "service.follower"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as process:
            self._process = process
            assert process.stdin is not None
            try:
                process.stdin.write(self._asked)
                process.stdin.flush()
            except BrokenPipeError:
                pass  # it ended already, and has said why
            return process.wait()
