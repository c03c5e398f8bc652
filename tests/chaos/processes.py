"""Processes on hosts, that are killed, stopped, and where a supervisor would do so, started again."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.chaos.hosts import Host

ROOT = Path(__file__).resolve().parents[2]
AGAIN_SECONDS = 1.0  # until a process that ended is started again
TAIL = 4_000  # characters of what it said last


class Process:
    """A command on a host, in a session of its own; its output is appended to a log."""

    def __init__(
        self, host: Host, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.host = host
        self.name = name
        self.log = log
        self._command = [*host.prefix, *command]
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._from = 0  # where in the log this run began
        self._is_asleep = False

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._from = log.tell()
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def said(self) -> str:
        """The end of what this run wrote."""
        with self.log.open("rb") as log:
            log.seek(self._from)
            return log.read().decode(errors="replace")[-TAIL:]

    def kill(self, *, only_first: bool = False) -> None:
        """kill -9 of the process and all that it began, or of itself alone."""
        if self._process is not None:
            if only_first:
                self._process.kill()
            else:
                self._signal_all(signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """SIGSTOP of the process and all that it began."""
        self._is_asleep = True
        self._signal_all(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        self._is_asleep = False
        self._signal_all(signal.SIGCONT)

    def end(self, seconds: float = 60.0) -> int:
        """End it as an operator does, by SIGTERM; returns the exit code. One that does not end is killed."""
        assert self._process is not None
        if self._is_asleep:
            self.wake()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        code = self._process.wait()
        self._signal_all(signal.SIGKILL)  # whatever it left behind
        return code

    def _signal_all(self, number: int) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


class Ended(NamedTuple):
    """A supervised process that ended: which, how, and the end of what it said."""

    name: str
    code: int
    said: str


class Supervisor:
    """Starts processes again that ended, as a service manager does, and tells how each ended."""

    def __init__(self, processes: Sequence[Process], on_end: Callable[[Ended], None]) -> None:
        self.processes = processes
        self.restarts = 0
        self._on_end = on_end
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start all of them, and watch."""
        for process in self.processes:
            process.start()
        self._thread.start()

    def let_go(self) -> None:
        """Start nothing again from here on."""
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        due: dict[str, float] = {}
        while not self._is_over.wait(0.1):
            for process in self.processes:
                code = process.exit_code
                if code is None:
                    continue
                if process.name not in due:
                    due[process.name] = time.monotonic() + AGAIN_SECONDS
                    self._on_end(Ended(process.name, code, process.said))
                elif time.monotonic() >= due[process.name]:
                    del due[process.name]
                    self.restarts += 1
                    process.start()
