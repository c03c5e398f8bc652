"""Runs under the shim: for each case that comes in, a process of its own meets it and ends, or is ended.

Everything is imported before, so that a case costs a fork and its own work.
"""

import ctypes
import json
import os
import sys
import time
from contextlib import closing, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow.parquet  # noqa: F401 - imported by archives when they need it

from consumers.local.open import open_inbox
from ledger.journal.folder import FolderLedger
from service.archive import backup, parquet, restore  # noqa: F401
from service.cli import run
from service.commands import archive, ingest, store  # noqa: F401
from service.console.sessions import Sessions
from service.errors import report
from service.http.app import make_app
from service.keys import Keys
from tests.support.asgi import InProcess

HEADERS = ((b"content-type", b"application/json"), (b"host", b"localhost"))
NOW = 1_900_000_000_000_000  # what time it is for a server: entries of two runs are the same


def main() -> None:
    """Meet cases, a line of JSON each, and answer each with how it ended."""
    with redirect_stderr(StringIO()):
        run(["--ledger", os.devnull, "stats"])  # imports what only a command does
    for line in sys.stdin:
        case = json.loads(line)
        child = os.fork()
        if not child:
            os._exit(_meet(case))
        _, status = os.waitpid(child, 0)
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)


def _meet(case: dict[str, Any]) -> int:
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(f"{case['aside']}/{name}", os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        os.dup2(file, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    shim = ctypes.CDLL(None)
    told = f"{case['aside']}/log" if case["told"] else ""
    given = (case["below"].encode(), case["aside"].encode(), case["number"], case["what"].encode(), case["seed"])
    assert shim.fault_arm(*given, told.encode()) == 0
    code = 70
    try:
        if case["command"][0] == "SERVE":
            code = _served(Path(case["command"][1]), case["facts"], f"{case['aside']}/answers")
        else:
            code = run(case["command"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        Path(case["aside"], "count").write_text(str(shim.fault_count()))
        shim.fault_end()
    return code


def _served(folder: Path, facts: list[str], answers: str) -> int:
    """Serve, and end as `points` does."""
    try:
        return _serve(folder, facts, answers)
    except Exception as error:
        return report(error)


def _serve(folder: Path, facts: list[str], answers: str) -> int:
    """Serve a ledger and post facts one by one, as a caller who keeps their order: none before the one before is taken.

    A fact that is answered 503 is posted once more. Its last answer is written down as soon as it is here.
    """
    time.time_ns = lambda: NOW * 1_000
    told = os.open(answers, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with closing(FolderLedger.at(folder)) as ledger, ledger.writing():
        open_inbox(ledger, feeding=True).close()
        with closing(Keys(folder)) as keys:
            app = make_app(ledger, folder, keys, Sessions(), 0.3, "0")
            with closing(InProcess(app)) as asked:
                for fact in facts:
                    for _ in range(2):
                        answer = asked.ask(b"POST", b"/v1/facts", HEADERS, fact.encode())
                        if answer.status != 503:
                            break
                    os.write(told, f"{answer.status}\n".encode())
                    if answer.status == 503:
                        break
    return 0


if __name__ == "__main__":
    main()
