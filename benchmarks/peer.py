"""The peer: what a team writes in an afternoon. `json.loads`, a balance in a dictionary, and SQLite.

It is durable (WAL, `synchronous=FULL`), decides each fact once (a receipt by source and id), keeps every event and a
balance a member, in transactions of 4,000. It has one balance and no lots, so no expiry; no rule book, score, card or
hold; a return takes back by hand; nothing says why, nothing is chained, nothing can be derived again. What a ledger
costs above it is the price of all that.

    python -m benchmarks.peer FILE DATABASE
"""

import json
import sqlite3
import sys
from itertools import islice
from pathlib import Path
from typing import Any

BATCH = 4_000


def main() -> None:
    """Take a file in; with no database, only read and parse it."""
    path = Path(sys.argv[1])
    if len(sys.argv) == 2:
        with path.open("rb") as file:
            print(sum(1 for line in file if json.loads(line)["id"]))
        return
    database = sqlite3.connect(sys.argv[2], isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute(
        "CREATE TABLE events (source TEXT, id TEXT, member TEXT, body BLOB, PRIMARY KEY (source, id, member))"
    )
    database.execute("CREATE TABLE balances (member TEXT PRIMARY KEY, beans INTEGER)")
    balances: dict[str, int] = {}
    count = 0
    with path.open("rb") as file:
        while lines := list(islice(file, BATCH)):
            count += len(lines)
            _take(database, lines, balances)
    print(count)


def _take(database: sqlite3.Connection, lines: list[bytes], balances: dict[str, int]) -> None:
    database.execute("BEGIN")
    changed = set()
    for line in lines:
        fact = json.loads(line)
        member = fact["subject"]
        row = (fact["source"], fact["id"], member, line)
        if not database.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?)", row).rowcount:
            continue  # a duplicate
        change = _decide(fact, balances.get(member, 0))
        if change:
            balances[member] = balances.get(member, 0) + change
            changed.add(member)
    database.executemany("INSERT OR REPLACE INTO balances VALUES (?, ?)", [(m, balances[m]) for m in sorted(changed)])
    database.execute("COMMIT")


def _decide(fact: dict[str, Any], balance: int) -> int:
    data = fact.get("data", {})
    match fact["type"]:
        case "order.completed.v1":
            lines: list[dict[str, int]] = data["lines"]
            return sum(min(line["paid_fen"] // 1_000, 1_000) for line in lines if line["paid_fen"] >= 5_000)
        case "order.returned.v1":
            returned: list[dict[str, int]] = data["lines"]
            return -sum(line["refund_fen"] // 1_000 for line in returned)
        case "redemption.requested.v1":
            return -int(data["points"]) if data["points"] <= balance else 0
        case "campaign.granted.v1":
            return int(data["points"])
        case "member.signed-in.v1" | "shop.visited.v1":
            return 1
        case _:
            return 0


if __name__ == "__main__":
    main()
