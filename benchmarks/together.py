"""What needs two accounts, over HTTP: claims of one stock that is handed out in leases, and gifts from end to end.

The load comes from the same machine.
"""

import http.client
import json
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from benchmarks.http import figures, load, server
from benchmarks.measure import Failed, Figures, points, say
from benchmarks.work import Work
from ledger.journal.open import open_or_create

RATE = 1_000  # claims a second
SECONDS = 8.0
STOCK = 5_000  # of 8,000 that are asked for
GIFTS = 200
WORKERS = 2
PATIENCE_SECONDS = 30.0
BOOK = f"""
programme = "together"
name = "一起"
from = 2025-01-01
utc_offset = "+08:00"

[kinds.beans]
name = "豆"
expiry = [{{ from = 2025-01-01, days = 365 }}]

[transfers.gift]
name = "赠豆"
kind = "beans"

[benefits.ticket]
name = "门票"
quota = 1
per = "ever"
stock = {STOCK}
lease = 100
"""


def together(work: Work) -> Figures:
    """The figures of claims at a rate, with what of the stock was given, and of gifts one after the other."""
    with work.ledger() as folder:
        open_or_create(folder, BOOK).close()
        with server(folder, WORKERS) as (url, _):
            say(f"{RATE:,} claims a second of {STOCK:,} pieces")
            claims = figures(load(url, "claim", int(RATE * SECONDS), SECONDS, str(RATE)))
            given = _given(url)
            say(f"{GIFTS} gifts, one after the other")
            gifts = figures(_gifts(url))
        audit = subprocess.run(points("--ledger", str(folder), "audit", "transit"), capture_output=True, check=False)
        if audit.returncode:
            raise Failed(f"points audit transit: {audit.stdout.decode()}")
    return {"rate": RATE, "stock": STOCK, "given": given, "workers": WORKERS, "claims": claims, "gifts": gifts}


def _given(url: str) -> int:
    """What was given of the stock once every claim has its answer. Raises `Failed` where it is more than there was."""
    connection = _connection(url)
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        pool = _asked(connection, "GET", "/v1/pools/benefits.ticket")
        if pool["drawn"] == STOCK or time.monotonic() > until:
            break
        time.sleep(0.1)
    if pool["drawn"] > STOCK:
        raise Failed(f"{pool['drawn']:,} pieces were given of {STOCK:,}")
    return int(pool["drawn"])


def _gifts(url: str) -> Figures:
    """Give, and look at the receiver until the points are there: from the request until they are seen."""
    connection = _connection(url)
    earned = datetime.now(UTC) - timedelta(days=1)
    lot = {"lot": "L", "kind": "beans", "points": 10 * GIFTS, "earned_at": earned.isoformat()}
    _tell(connection, "lot.opened", "giver", "L", lot | {"expires_at": (earned + timedelta(days=300)).isoformat()})
    millis = []
    began = time.perf_counter()
    for number in range(GIFTS):
        to, due = f"receiver-{number}", time.perf_counter()
        data = {"transfer": f"G{number}", "rule": "gift", "to": to, "kind": "beans", "points": 10}
        _tell(connection, "transfer.requested", "giver", f"G{number}", data)
        while not _has_come(connection, to):
            if time.perf_counter() > due + PATIENCE_SECONDS:
                raise Failed(f"gift {number} does not arrive")
        millis.append((time.perf_counter() - due) * 1_000)
    return {"requests": GIFTS, "seconds": time.perf_counter() - began, "millis": millis, "statuses": {}}


def _has_come(connection: http.client.HTTPConnection, member: str) -> bool:
    found = _asked(connection, "GET", f"/v1/members/{member}")
    return bool(found.get("points", {}).get("beans", {}).get("spendable"))


def _tell(connection: http.client.HTTPConnection, type_: str, subject: str, name: str, data: dict[str, Any]) -> None:
    source = "/operators" if type_ == "lot.opened" else "/load"
    head = {"specversion": "1.0", "id": name, "source": source, "type": f"{type_}.v1", "subject": subject}
    found = _asked(connection, "POST", "/v1/facts", head | {"time": datetime.now(UTC).isoformat(), "data": data})
    if found.get("outcome") != "accepted":
        raise Failed(f"{type_} {name}: {found}")


def _connection(url: str) -> http.client.HTTPConnection:
    at = urlsplit(url)
    return http.client.HTTPConnection(at.hostname or "", at.port, timeout=PATIENCE_SECONDS)


def _asked(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> Any:
    headers = {"Content-Type": "application/json", "Prefer": "wait=30"} if body is not None else {}
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    return json.loads(connection.getresponse().read())
