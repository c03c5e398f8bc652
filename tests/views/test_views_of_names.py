"""Views of members who become one and are parted: they go on, and say what the accounts say."""

from collections import Counter
from pathlib import Path
from typing import Any

from ledger.journal.open import open_or_create
from projections.answers import tables
from projections.answers.stats import stats
from projections.views import runner
from projections.views.registry import BUILT_IN
from tests.core.test_worked_examples_of_benefits import AT_SHOPS
from tests.core.test_worked_examples_of_houses import BOOK as HOUSES
from tests.core.test_worked_examples_of_tiers import HEAD as SCORED
from tests.streams.test_follow_ups import fact
from tests.streams.test_names_that_move import takes
from tests.support.shop import instant
from tests.views.test_views import rows_of, views_of

SCORE = SCORED[SCORED.index("[[award]]") :].partition('[[award]]\nrule = "known"')[0]
LEVELS = """
[scores.level]
name = "等级"
parts = { purchase = "消费" }
settle = "at-once"
window = "life"
tiers = [{ at_least = 10, name = "silver" }, { at_least = 250, name = "gold" }]

[attributes.region]
name = "地区"
"""
OLD, HEAD, OPERATORS = "m-1", "m-2", "/operators"
AT = instant("2025-04-10 23:00")


def story() -> list[list[dict[str, Any]]]:
    """Both have orders, cards and claims; they become one, what was the old name's comes back there, and they part."""
    first = []
    for name, fen in ((OLD, 100_00), (HEAD, 200_00)):
        lines = [{"line": "1", "quantity": 1, "paid_fen": fen}]
        card = {"card": f"C-{name}", "product": "club.year", "paid_fen": 99_00}
        first += [
            fact("order.completed", name, f"o-{name}", 1, {"order": "O", "shop": "shop-a", "lines": lines}),
            fact("card.purchased", name, f"c-{name}", 2, card),
            fact("benefit.claimed", name, f"b-{name}", 3, {"claim": f"B-{name}", "benefit": "monthly"}),
            fact("benefit.claimed", name, f"q-{name}", 3, {"claim": f"Q-{name}", "benefit": "coupon"}),
        ]
    first.append(fact("member.described", OLD, "d", 3, {"attributes": {"region": "north"}}))
    first.append(fact("member.merged", OLD, "m", 4, {"into": HEAD}, OPERATORS))
    lines = [{"line": "1", "quantity": 1, "refund_fen": 100_00}]
    then = [
        fact("benefit.returned", OLD, "r", 5, {"claim": f"B-{OLD}"}),
        fact("benefit.returned", OLD, "rq", 5, {"claim": f"Q-{OLD}"}),
        fact("order.returned", OLD, "t", 5, {"return": "T", "order": "O", "lines": lines}),
        fact("card.refunded", OLD, "f", 6, {"card": f"C-{OLD}", "refund_fen": 99_00}),
    ]
    last = [fact("member.unmerged", HEAD, "u", 7, {"name": OLD}, OPERATORS)]
    return [first, then, last, [fact("member.described", OLD, "e", 8, {"attributes": {"region": "south"}})]]


def test_views_go_on_over_a_merge_and_say_what_the_accounts_say(tmp_path: Path) -> None:
    ledger = open_or_create(tmp_path / "ledger", HOUSES + SCORE + LEVELS + AT_SHOPS)
    known, tiers, stars = [], [], []
    for facts in story():
        takes(ledger, tmp_path, facts)
        runner.run(ledger, views_of(ledger), BUILT_IN)
        for name in ("balances", "lots", "scores", "memberships"):
            assert rows_of(ledger, name, AT) == list(tables.TABLES[name](ledger, AT, None).rows), name
        rows = rows_of(ledger, "scores", AT)
        stars.append([(member, value, tier) for member, name, value, tier, *_ in rows if name == "stars@shop-a"])
        known.append(rows_of(ledger, "attributes", AT))
        tiers.append({tier: members for _, tier, members in rows_of(ledger, "overview-tiers", None)})
    assert known == [
        [(HEAD, "region", "north")],
        [(HEAD, "region", "north")],
        [(OLD, "region", "north")],
        [(OLD, "region", "south")],
    ]
    parted = [(OLD, 0, ""), (HEAD, 200, "2-star")]
    assert stars == [[(HEAD, 300, "2-star")], [(HEAD, 200, "2-star")], parted, parted]
    alone = {"": 1, "silver": 1}
    assert tiers == [{"gold": 1}, {"silver": 1}, alone, alone], "another's name is no member"
    ledger.close()


def test_each_figure_over_the_whole_ledger_is_counted_once(tmp_path: Path) -> None:
    ledger = open_or_create(tmp_path / "ledger", HOUSES + SCORE + LEVELS + AT_SHOPS)
    lines = [{"line": "1", "quantity": 1, "paid_fen": 30_00}]
    first, then, *rest = story()
    then.append(fact("order.completed", OLD, "late", 6, {"order": "N", "lines": lines}))
    members, spent = [], []
    for facts in (first, then, *rest):
        takes(ledger, tmp_path, facts)
        runner.run(ledger, views_of(ledger), BUILT_IN)
        books = stats(ledger, AT)
        assert books.balanced
        members.append(books.members)
        for kind, of in books.points.items():
            owned = of.spendable + of.pending + of.held
            closing = {row[0]: row[9] for row in rows_of(ledger, "statement", AT) if row[1] == kind}
            listed = [row for row in tables.balances(ledger, AT, None).rows if row[1] == kind]
            outstanding = [row for row in rows_of(ledger, "liability", AT) if row[0] == kind]
            assert sum(closing.values()) == owned == sum(sum(row[2:5]) for row in listed) == outstanding[0][5]
            assert of.in_transit == 0
        spent.append([row[1:] for row in rows_of(ledger, "overview-spending", None)])
        in_tiers = Counter(row[1] for row in rows_of(ledger, "scores", AT) if "@" not in row[1])
        assert set(in_tiers.values()) == {members[-1]}, "another's name has no tier"
    assert members == [1, 1, 2, 2]
    both = [("", 2, 2, 300_00), ("club", 1, 1, 30_00)]
    assert spent == [both[:1], both, both, both], "the head has a card, under whichever name it orders"
    ledger.close()


def test_who_is_active_is_a_member_and_no_house_pool_or_other_name(tmp_path: Path) -> None:
    ledger = open_or_create(tmp_path / "ledger", HOUSES)
    card = {"card": "H", "product": "club.year", "paid_fen": 99_00}
    seat = {"house": "lin", "card": "H", "member": HEAD}
    house = [fact("card.purchased", "house/lin", "h", 1, card), fact("house.joined", "house/lin", "j", 2, seat)]
    takes(ledger, tmp_path, [*house, fact("member.merged", OLD, "m", 4, {"into": HEAD}, OPERATORS)])
    late = fact("benefit.returned", OLD, "late", 5, {"claim": "none"})
    takes(ledger, tmp_path, [late | {"time": "2025-04-11T10:00:00+08:00"}])
    runner.run(ledger, views_of(ledger), BUILT_IN)
    assert dict(rows_of(ledger, "active", None)) == {"2025-04": 2, "2025-04-10": 2, "2025-04-11": 1}
    ledger.close()
