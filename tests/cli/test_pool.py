"""`points pool`: what a budget or stock that members share has left."""

import json
from pathlib import Path

from tests.cli.test_cli import points
from tests.core.test_worked_examples_of_pools import AWARD, CAMPAIGN, HEAD, STOCK
from tests.support.ledgers import write_facts

ORDER = {"order": "O1", "lines": [{"line": "1", "paid_fen": 1_000}]}


def test_a_budget_that_files_of_facts_drew_from_says_what_is_left(tmp_path: Path) -> None:
    book, folder = tmp_path / "book.toml", tmp_path / "ledger"
    book.write_text(HEAD + AWARD + CAMPAIGN + STOCK, encoding="utf-8")
    head = {"specversion": "1.0", "source": "/shop", "time": "2025-11-11T10:00:00+08:00"}
    facts = [
        head | {"id": f"f-{member}", "type": "order.completed.v1", "subject": member, "data": ORDER} for member in "ab"
    ]
    assert points("--ledger", folder, "init", "--book", book).code == 0
    assert points("--ledger", folder, "ingest", write_facts(tmp_path / "facts.ndjson", facts), "--backlog").code == 0
    (told,) = json.loads(points("--ledger", folder, "pool", "party", "--json").out)["pools"]
    assert (told["pool"], told["kind"], told["drawn"], told["left"]) == ("campaigns.party", "beans", 10, 5)
    told = json.loads(points("--ledger", folder, "pool", "--as-of", "2025-11-11", "--json").out)["pools"]
    assert [(one["pool"], one["drawn"]) for one in told] == [("campaigns.party", 0), ("benefits.ticket", 0)]
    assert points("--ledger", folder, "pool", "nothing").code == 3
