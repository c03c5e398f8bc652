"""`points explain` of what members have from shared budgets, and ask of other ledgers."""

from pathlib import Path
from random import Random

from ledger.journal.open import open_or_create
from projections.explaining.explain import explain, explain_entry
from tests.streams.test_follow_ups import fact
from tests.streams.test_names_that_move import line, takes
from tests.support.histories_of_members import book_of_members
from tests.support.shop import instant

MEMBER = "m-1"


def test_points_that_a_budget_gave_are_said_to_come_from_it(tmp_path: Path) -> None:
    ledger = open_or_create(tmp_path / "ledger", book_of_members(Random(0)))
    takes(ledger, tmp_path, [fact("order.completed", MEMBER, "o", 1, {"order": "O", "lines": [line(paid_fen=9_00)]})])
    (answered,) = (line for line in explain(ledger, MEMBER)["statement"] if line["type"] == "pool.answered.v1")
    (given,) = explain_entry(ledger, MEMBER, answered["number"])["changes"]
    assert given["text"].startswith("+9 beans: frozen no more, as the budget gave them, in lot ")
    (in_chinese,) = explain_entry(ledger, MEMBER, answered["number"], language="zh")["changes"]
    assert "转为可用，因为预算已同意" in in_chinese["text"]
    (event,) = explain(ledger, MEMBER, given["lots"][0]["lot"], as_of=instant("2025-04-11"))["went"]
    assert event["text"] == f"9 became spendable in entry {answered['number']}, when the budget gave them"
    ledger.close()


def test_an_exchange_that_nobody_could_answer_in_time_is_refused_for_that(tmp_path: Path) -> None:
    ledger = open_or_create(tmp_path / "ledger", book_of_members(Random(0)))
    late = fact("exchange.requested", MEMBER, "x", 2, {"request": "X", "exchange": "miles", "points": 9})
    lines = [line(paid_fen=900_00)]
    paid = fact("order.completed", MEMBER, "o", 1, {"order": "O", "lines": lines})
    takes(ledger, tmp_path, [paid, late | {"time": "2025-03-10T00:00:00Z"}])
    (number,) = (line["number"] for line in explain(ledger, MEMBER)["statement"] if line["reason"] == "hold-over")
    assert "the days in which an answer counts were already over" in explain_entry(ledger, MEMBER, number)["text"]
    assert "等待答复的天数已过" in explain_entry(ledger, MEMBER, number, language="zh")["text"]
    ledger.close()
