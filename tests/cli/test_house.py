"""`points house`: who sits in a house, and what is left; and what a member's seat is to the member."""

import json
from pathlib import Path

import pytest

from tests.cli.test_cli import points
from tests.core.test_worked_examples_of_houses import BOOK
from tests.support.ledgers import write_facts

HEAD = {"specversion": "1.0", "source": "/shop"}


def test_a_house_and_who_sits_there_are_shown_from_a_file_of_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, folder = tmp_path / "book.toml", tmp_path / "ledger"
    book.write_text(BOOK, encoding="utf-8")
    told = [
        ("card.purchased", "house/lin", "2025-06-01", {"card": "C1", "product": "club.year", "paid_fen": 9_900}),
        ("house.joined", "house/lin", "2025-06-02", {"house": "lin", "card": "C1", "member": "a"}),
        ("benefit.claimed", "a", "2025-06-03", {"claim": "c1", "benefit": "coupon"}),
    ]
    for number, (kind, subject, day, data) in enumerate(told):
        one = {"id": f"f{number}", "type": f"{kind}.v1", "subject": subject, "time": f"{day}T10:00:00+08:00"}
        file = write_facts(tmp_path / f"{number}.ndjson", [HEAD | one | {"data": data}])
        if not number:
            assert points("--ledger", folder, "init", "--book", book).code == 0
        assert points("--ledger", folder, "ingest", file, "--backlog").code == 0
    shown = json.loads(points("--ledger", folder, "house", "lin", "--json", "--as-of", "2025-06-04").out)
    assert shown["seats"] == {"club": {"most": 2, "members": ["a"]}}
    assert shown["memberships"]["club"]["quotas"] == {"coupon": 4, "monthly": 1}
    assert (
        json.loads(points("--ledger", folder, "house", "house/lin", "--json", "--as-of", "2025-06-02").out)["seats"][
            "club"
        ]["members"]
        == []
    )
    screen = points("--ledger", folder, "house", "lin", "--as-of", "2025-06-04").out
    assert "1 of 2 seats taken: a" in screen
    member = points("--ledger", folder, "show", "a", "--as-of", "2025-06-04").out
    assert "seat in house/lin" in member
    assert points("--ledger", folder, "house", "nobody").code == 3
    assert "house/" not in points("--ledger", folder, "export", "balances").out
    for language in ("en", "zh"):
        monkeypatch.setenv("POINTS_LANG", language)
        for who in ("a", "house/lin"):
            told = points("--ledger", folder, "explain", who)
            assert told.code == 0 and "{" not in told.out, told.out
