"""Keeps its own copy of every member's spendable points from the outcomes topic, in a SQLite file.

    python balances_from_outcomes.py localhost:9092 balances.db

The entries of a partition come in order, each with its `place`: 1, 2, 3 … After a crash of their sender some come
again. So take the next place and nothing else: a smaller one came before, a larger one comes again behind what it
skipped. The balances and how far we read are one transaction, so this may be killed at any instant, too. A balance is
as of the member's last entry: what has expired since then stands in her next one.
"""

import argparse
import json
import sqlite3
import sys
from typing import Any

from kafka import KafkaConsumer, TopicPartition

TABLES = """
CREATE TABLE IF NOT EXISTS read (partition INTEGER PRIMARY KEY, place INTEGER NOT NULL, offset INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS balances (
    member TEXT, kind TEXT, spendable INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (member, kind));
CREATE TABLE IF NOT EXISTS pending (member TEXT, lot TEXT, PRIMARY KEY (member, lot));
"""
ADDS, TAKES = {"restored", "released"}, {"spent", "held", "repaid", "expired", "clawed-back"}


def apply(db: sqlite3.Connection, outcome: dict[str, Any]) -> None:
    """Count what an entry changed. Points of a pending lot are not spendable before they are confirmed."""
    member = outcome["member"]
    for change in outcome["changes"]:
        name, lot = change["change"], (member, change.get("lot"))
        points = 0
        if name == "earned" and "pending_until" in change:
            db.execute("INSERT INTO pending VALUES (?, ?)", lot)
        elif name == "earned" or name in ADDS:
            points = change["points"]
        elif name == "confirmed":
            db.execute("DELETE FROM pending WHERE member = ? AND lot = ?", lot)
            points = change["points"]
        elif name in TAKES and not db.execute("SELECT 1 FROM pending WHERE member = ? AND lot = ?", lot).fetchone():
            points = -change["points"]
        if points:
            db.execute(
                "INSERT INTO balances VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET spendable = spendable + excluded.spendable",
                (member, change["kind"], points),
            )


def main() -> None:
    """Read until stopped, or with --until-end until all that stands in the topic is read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("broker", help="host:port")
    parser.add_argument("file", help="the SQLite file of the copy")
    parser.add_argument("--topic", default="points.outcomes.v1")
    parser.add_argument("--until-end", action="store_true")
    options = parser.parse_args()
    db = sqlite3.connect(options.file, isolation_level=None)
    db.executescript(TABLES)
    consumer = KafkaConsumer(
        bootstrap_servers=options.broker,
        enable_auto_commit=False,  # how far we read stands beside the balances
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    partitions = [TopicPartition(options.topic, p) for p in consumer.partitions_for_topic(options.topic) or ()]
    consumer.assign(partitions)
    next_place, last_seen = {}, {}
    for tp in partitions:
        row = db.execute("SELECT place, offset FROM read WHERE partition = ?", (tp.partition,)).fetchone()
        place, offset = row or (0, -1)
        next_place[tp.partition] = place + 1
        last_seen[tp.partition] = place
        consumer.seek(tp, offset + 1)
    ends = consumer.end_offsets(partitions)
    while not options.until_end or any(consumer.position(tp) < ends[tp] for tp in partitions):
        for tp, records in consumer.poll(timeout_ms=500).items():
            db.execute("BEGIN")
            for record in records:
                outcome = json.loads(record.value)
                last_seen[tp.partition] = outcome["place"]
                if outcome["place"] == next_place[tp.partition]:
                    apply(db, outcome)
                    next_place[tp.partition] += 1
            db.execute(
                "INSERT OR REPLACE INTO read VALUES (?, ?, ?)",
                (tp.partition, next_place[tp.partition] - 1, records[-1].offset),
            )
            db.execute("COMMIT")
    consumer.close()
    db.close()
    gaps = [p for p, place in last_seen.items() if place >= next_place[p]]
    if gaps:
        sys.exit(f"entries are missing: {', '.join(f'{p}:{next_place[p]}' for p in gaps)}")


if __name__ == "__main__":
    main()
