"""`points explain` of a fact that another name's account decides: where it was decided, and where one came from."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ledger.journal.ledger import Ledger
from ledger.journal.open import open_or_create
from ledger.wire.entries import lot_text
from projections.answers import tables
from projections.answers.members import entries_of
from projections.answers.show import show_member
from projections.explaining.explain import explain, explain_entry
from projections.explaining.history import History, NothingToExplain
from service.screens.explanation import print_explanation
from tests.core.test_worked_examples_of_gifts import BOOK
from tests.streams.test_follow_ups import fact
from tests.streams.test_names_that_move import HEAD, OLD, later, line, story, takes
from tests.support.shop import instant


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    folder: Path = tmp_path_factory.mktemp("names")
    ledger = open_or_create(folder / "ledger", BOOK)
    takes(ledger, folder, story())
    late = fact("order.completed", OLD, "late", 6, {"order": "N", "lines": [line(paid_fen=30_00)]})
    takes(ledger, folder, [*later(), late])
    return ledger


def of_type(ledger: Ledger, member: str, kind: str) -> list[dict[str, Any]]:
    """The lines of a member's story whose fact is of a type."""
    return [line for line in explain(ledger, member)["statement"] if line["type"] == f"{kind}.v1"]


def printed(data: dict[str, Any]) -> str:
    out = io.StringIO()
    print_explanation(Console(file=out, width=160), data)
    return out.getvalue()


def test_a_fact_that_was_handed_on_says_where_it_was_decided(ledger: Ledger) -> None:
    number = of_type(ledger, OLD, "order.returned")[0]["number"]
    why = explain_entry(ledger, OLD, number)
    there = why["decided_at"]
    assert (why["reason"], why["nothing"], there["member"], there["outcome"]) == ("forwarded", [], HEAD, "accepted")
    assert f"decided at {HEAD}, entry {there['number']}: accepted" in there["text"]
    assert f"points explain {HEAD} {there['number']}" in printed(why)
    in_chinese = explain_entry(ledger, OLD, number, language="zh")["decided_at"]["text"]
    assert in_chinese == f"在 {HEAD} 的第 {there['number']} 条记账：接受"
    back = explain_entry(ledger, HEAD, there["number"])
    assert back["came_from"] == {
        "member": OLD,
        "number": number,
        "text": f"it was sent to {OLD}, entry {number}",
    }
    assert back["fact"]["text"] == f"{why['fact']['text']} (sent to the name {OLD})"
    assert f"points explain {OLD} {number}" in printed(back)


def test_what_was_decided_for_another_name_is_explained_by_the_fact_within(ledger: Ledger) -> None:
    returned, late = (
        explain_entry(ledger, HEAD, explain_entry(ledger, OLD, found[0]["number"])["decided_at"]["number"])
        for found in (of_type(ledger, OLD, "order.returned"), of_type(ledger, OLD, "order.completed")[-1:])
    )
    (claim,) = returned["clawbacks"]
    assert (claim["line"], claim["claim"], claim["keep"], claim["paid_fen"]) == ("1", 20, 0, 20_00)
    earned = next(change for change in late["changes"] if change["change"] == "earned")
    assert earned["inputs"]["paid_fen"] == 30_00 and late["nothing"] == []
    assert returned["derives"] and late["derives"]
    assert "Line 1" in printed(late)


def test_a_lot_of_another_name_names_the_account_that_opened_it_and_has_its_story(ledger: Ledger) -> None:
    lots = show_member(ledger, HEAD, instant("2025-04-10 20:00")).points["beans"].lots
    assert [(lot.account, lot.entry) for lot in lots if lot.rule == "lot.opened"] == [("", 1), (OLD, 1), (OLD, 5)]
    story = explain(ledger, HEAD, "1.1~1.1")
    assert (story["opened_by"]["change"], story["earned"]) == ("moved-in", 400)
    with pytest.raises(NothingToExplain, match="has no lot"):
        explain(ledger, HEAD, "1.1~1.9")
    rows = [row for row in tables.lots(ledger, instant("2025-04-10 20:00"), None).rows if row[0] == HEAD]
    assert [row[9] for row in rows if row[3] == "lot.opened"] == [None, OLD, OLD]


def test_a_story_says_of_each_line_what_became_of_its_fact(ledger: Ledger) -> None:
    (returned,) = of_type(ledger, OLD, "order.returned")
    assert returned["result"] == f"it was handed on to {HEAD}"
    texts = [line["text"] for line in of_type(ledger, HEAD, "member.forwarded")]
    assert len(texts) >= 3 and all(text.endswith(f" (sent to the name {OLD})") for text in texts)


def test_the_life_of_each_lot_that_moved_and_moved_back_adds_up(tmp_path: Path) -> None:
    """A hold of one name keeps points of the other as they part, and both names' points went and came back."""
    ledger = open_or_create(tmp_path / "ledger", BOOK)
    held = {"hold": "H", "kind": "beans", "points": 700, "until": "2025-05-01T00:00:00Z"}
    parted = fact("member.unmerged", HEAD, "u", 8, {"name": OLD}, "/operators")
    for facts in (story(), [fact("hold.requested", OLD, "h", 5, held)], [parted]):
        takes(ledger, tmp_path, facts)
    changes = set[str]()
    for member in (OLD, HEAD):
        history = History(ledger, member)
        for key in history.lots:
            lot = explain(ledger, member, lot_text(key), as_of=instant("2025-04-10 20:00"))
            gone = sum(event["points"] for event in lot["went"])
            assert lot["earned"] - gone == lot["left"] + lot["held"], lot["text"]
            changes |= {event["what"] for event in lot["went"]}
        for step in history.steps:
            for language in ("en", "zh"):
                assert "\n" not in explain_entry(ledger, member, step.entry.number, language=language)["text"]
    assert {"moved-out", "moved-in", "hold-shifted"} <= changes
    told = [dict(one) for entry in entries_of(ledger, HEAD) for one in entry.changes if one.get("hold")]
    assert {(one["hold"], one["under"]) for one in told} == {("H", OLD)}, "and nowhere the key that the account has"
    told = [dict(one) for entry in entries_of(ledger, OLD) for one in entry.changes if one.get("hold")]
    assert {(one["hold"], one.get("under")) for one in told} == {("H", None)}
    ledger.close()
