"""All that a ledger's journals hold, table by table, whichever store they are in: two that are alike are equal."""

from typing import Any

from ledger.journal.ledger import Ledger
from ledger.journal.sql import Journal
from ledger.wire.times import DAY
from tests.support.accounts import alike

TABLES = {
    "entries": "SELECT {place}, originator_id, originator_version, state, link FROM {in}stored_events ORDER BY 1",
    "pages": "SELECT key, member, state FROM {in}pages ORDER BY 1, 2",
    "receipts": "SELECT name, id, member, place FROM {in}receipts JOIN {in}sources ON number = source ORDER BY 1, 2, 3",
    "parked": "SELECT * FROM {in}parked ORDER BY 1",
    "programmes": "SELECT * FROM {in}programmes ORDER BY 1",
    "head": "SELECT head, link, recorded FROM {in}shard",
    "position": "SELECT application_name, notification_id FROM {in}tracking ORDER BY 1",
}
Contents = dict[str, list[Any]]


def rows_of(journal: Journal, sql: str) -> list[tuple[Any, ...]]:
    """The answer to a question in SQL; ``{in}`` stands before a table, ``{place}`` is the entries' number."""
    return journal._rows(sql.replace("{in}", f"{journal.schema}.").replace("{place}", journal.entry_id))


def journals(ledger: Ledger) -> Contents:
    """Every table of every partition, snapshots excepted: when one is taken is chance."""
    return {
        f"{name} {partition}": [tuple(row) for row in rows_of(ledger.journal(partition), sql)]
        for partition in ledger.partitions
        for name, sql in TABLES.items()
    }


def accounts(ledger: Ledger) -> list[tuple[str, Any]]:
    """Every account a day after the last record, as all are streamed and as each is asked for."""
    at = max(ledger.journal(partition).head().recorded for partition in ledger.partitions) + DAY
    found = [(member, alike(account)) for member, account in ledger.accounts(at)]
    for member, account in found:
        asked = ledger.account(member, at)
        assert asked is not None and alike(asked) == account
    return found


def contents(ledger: Ledger) -> Contents:
    """The journals and the accounts."""
    return {**journals(ledger), "accounts": accounts(ledger)}
