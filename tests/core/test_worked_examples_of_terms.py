"""Worked examples of a card's term: months and years by the calendar, renewals in grace, upgrades.

How to read them: test_worked_examples.py.
"""

import pytest

from ledger.core.benefits import next_end_of_grace
from ledger.rulebook.checks import parse_programme
from ledger.rulebook.schema import BadProgramme, shipped
from ledger.wire.times import to_text
from service.time_zones import with_transitions
from tests.support.shop import Shop, instant

CARDS = """
programme = "cards"
name = "c"
from = 2020-01-01
utc_offset = "+08:00"
[kinds.beans]
name = "b"
expiry = [{ from = 2020-01-01, never = true }]
[memberships.plus]
name = "PLUS"
[memberships.plus.products]
"plus.month" = { months = 1 }
"plus.year" = { years = 1 }
"plus.days" = { days = 30 }
"plus.grace" = { days = 30, grace_days = 7 }
"plus.trial" = { days = 30, trial = true }
[memberships.plus.benefits.shipping]
name = "s"
quota = { "plus.grace" = 2 }
[[award]]
rule = "purchase.plus"
name = "p"
on = "order.completed"
each = "line"
kind = "beans"
member = "plus"
give = { points = 1, per_fen = 100 }
"""


def terms(shop: Shop) -> list[tuple[str, str, str]]:
    """Each term with its card, start and end, by the clocks of the book."""
    zone = shop.book.offset
    return [
        (term.card, to_text(term.start, zone)[:16], to_text(term.until, zone)[:16])
        for term in shop.account.terms.get("plus", [])
    ]


# -- months and years --------------------------------------------------------------------------------------------------


def test_terms_of_a_month_keep_the_day_on_which_their_chain_began() -> None:
    shop = Shop(CARDS)
    for card, at in (("K1", "2025-01-31 12:00"), ("K2", "2025-02-20 12:00"), ("K3", "2025-03-20 12:00")):
        shop.buys("plus.month", at=at, card=card)
    assert terms(shop) == [
        ("K1", "2025-01-31T12:00", "2025-02-28T12:00"),
        ("K2", "2025-02-28T12:00", "2025-03-31T12:00"),
        ("K3", "2025-03-31T12:00", "2025-04-30T12:00"),
    ]


def test_terms_of_a_year_from_a_leap_day() -> None:
    """29 February 2024 → 28 February 2025 → 28 February 2026 … → 29 February 2028."""
    shop = Shop(CARDS)
    for year in range(2024, 2028):
        shop.buys(
            "plus.year", at=f"{year}-02-{29 if year == 2024 else 28} 11:00" if year > 2024 else "2024-02-29 12:00"
        )
    assert [until for _, _, until in terms(shop)] == [
        "2025-02-28T12:00",
        "2026-02-28T12:00",
        "2027-02-28T12:00",
        "2028-02-29T12:00",
    ]


def test_a_chain_goes_through_months_and_years_alike() -> None:
    shop = Shop(CARDS)
    shop.buys("plus.month", at="2025-01-31 12:00")
    shop.buys("plus.year", at="2025-02-01")
    assert terms(shop)[-1][1:] == ("2025-02-28T12:00", "2026-02-28T12:00")
    shop.buys("plus.month", at="2025-02-01")
    assert terms(shop)[-1][1:] == ("2026-02-28T12:00", "2026-03-31T12:00")


def test_a_term_of_days_begins_a_new_anchor() -> None:
    shop = Shop(CARDS)
    shop.buys("plus.month", at="2025-01-31 12:00")
    shop.buys("plus.days", at="2025-02-01")
    shop.buys("plus.month", at="2025-02-01")
    assert terms(shop)[1:] == [
        ("C-2", "2025-02-28T12:00", "2025-03-30T12:00"),
        ("C-3", "2025-03-30T12:00", "2025-04-30T12:00"),
    ]


def test_so_does_one_after_a_pause() -> None:
    shop = Shop(CARDS)
    shop.buys("plus.month", at="2025-01-31 12:00")
    shop.buys("plus.month", at="2025-02-28 12:01")
    assert terms(shop)[-1][1:] == ("2025-02-28T12:01", "2025-03-28T12:01")


def test_and_one_that_a_refund_laid_anew() -> None:
    shop = Shop(CARDS)
    shop.buys("plus.month", at="2025-01-31 12:00", card="K1")
    shop.buys("plus.month", at="2025-02-01", card="K2")
    shop.buys("plus.month", at="2025-02-01", card="K3")
    shop.refunds_card("K1", at="2025-02-10 09:00")
    assert terms(shop) == [
        ("K1", "2025-01-31T12:00", "2025-02-10T09:00"),
        ("K2", "2025-02-10T09:00", "2025-03-10T09:00"),
        ("K3", "2025-03-10T09:00", "2025-04-10T09:00"),
    ]
    shop.buys("plus.month", at="2025-04-01", card="K4")
    assert terms(shop)[-1][1:] == ("2025-04-10T09:00", "2025-05-10T09:00")


@pytest.mark.parametrize(
    ("bought", "until"),
    [("2025-02-28T02:30", "2025-03-28T02:30"), ("2025-03-15T12:00", "2025-04-15T12:00")],
)
def test_a_month_ends_by_the_clocks_of_the_books_zone(bought: str, until: str) -> None:
    shop = Shop(with_transitions(CARDS.replace('utc_offset = "+08:00"', 'time_zone = "Europe/Berlin"')))
    shop.buys("plus.month", at=f"{bought}:00+01:00")
    assert terms(shop)[0][2] == until


def test_a_time_that_the_clocks_skip_ends_the_term_behind_the_gap() -> None:
    """On 30 March 2025 the clocks go from 02:00 to 03:00; the next term has its anchor's time again."""
    shop = Shop(with_transitions(CARDS.replace('utc_offset = "+08:00"', 'time_zone = "Europe/Berlin"')))
    shop.buys("plus.month", at="2025-01-30T02:30:00+01:00")
    shop.buys("plus.month", at="2025-02-01")
    shop.buys("plus.month", at="2025-02-01")
    assert [until for _, _, until in terms(shop)] == ["2025-02-28T02:30", "2025-03-30T03:00", "2025-04-30T02:30"]


# -- grace -------------------------------------------------------------------------------------------------------------


def in_grace() -> Shop:
    shop = Shop(CARDS, now="2025-05-01")
    shop.buys("plus.grace", at="2025-05-02 08:00", card="K1")
    return shop  # it ends on 1 June at 08:00


@pytest.mark.parametrize(
    ("renewed", "begins"),
    [
        ("2025-06-07 09:00", "2025-06-01T08:00"),
        ("2025-06-08 07:59:59", "2025-06-01T08:00"),
        ("2025-06-08 08:00", "2025-06-08T08:00"),
        ("2025-06-09", "2025-06-09T00:00"),
    ],
)
def test_a_renewal_in_grace_begins_where_the_last_term_ended(renewed: str, begins: str) -> None:
    shop = in_grace()
    shop.buys("plus.grace", at=renewed)
    assert terms(shop)[1][1] == begins


def test_benefits_hold_in_grace_and_the_rate_does_not() -> None:
    shop = in_grace()
    assert shop.claims(at="2025-06-02") == "accepted"
    assert shop.plus["state"] == "grace" and shop.plus["quotas"] == {"shipping": 1}
    shop.completes("O", [("phone", 1, 10_000)], at="2025-06-03")
    assert shop.beans == 0
    assert shop.claims(at="2025-06-04") == "accepted"
    assert shop.claims(at="2025-06-05") == "refused: quota-used", "they count on the last term"
    late = shop.on("2025-06-08 08:00")
    assert (late.plus["state"], late.plus["quotas"]) == ("ended", {})
    assert shop.claims(at="2025-06-08 08:00") == "refused: no-membership"


def test_what_was_claimed_in_grace_and_is_told_after_another_card_was_bought_stands() -> None:
    shop = in_grace()
    shop.buys("plus.grace", at="2025-06-20", card="K2")
    assert shop.claims(at="2025-06-03") == "accepted"
    assert shop.claims(at="2025-06-09") == "refused: no-membership", "between the grace of one and the other's term"


def test_what_was_lived_in_grace_counts_at_the_rate_once_it_is_renewed() -> None:
    shop = in_grace()
    shop.buys("plus.grace", at="2025-06-07 09:00")
    shop.completes("O", [("phone", 1, 10_000)], at="2025-06-03")
    assert shop.beans == 100


def test_a_refunded_card_and_a_trial_have_no_grace() -> None:
    shop = in_grace()
    shop.refunds_card("K1", at="2025-05-20")
    assert shop.plus["state"] == "ended" and shop.claims() == "refused: no-membership"
    shop.buys("plus.grace", at="2025-05-21")
    assert terms(shop)[1][1] == "2025-05-21T00:00"


def test_a_card_that_a_better_one_ended_has_its_grace() -> None:
    """Of its product, from where its own term ended: it was not given back, whatever became of the other two."""
    shop = Shop(CARDS.replace('"plus.year" = { years = 1 }', '"plus.year" = { years = 1, upgrades = ["plus.grace"] }'))
    shop.buys("plus.grace", at="2025-05-02 08:00", card="K1")
    shop.buys("plus.grace", at="2025-05-02 08:00", card="K2")
    shop.buys("plus.year", at="2025-06-20 08:00", card="A")  # K2 began on 1 June, and ends here
    assert shop.refunds_card("K1", at="2025-05-02 09:00") == "accepted"  # told late: K2 ended on 1 June, and A stays
    assert [start for _, start, _ in terms(shop)] == ["2025-05-02T08:00", "2025-05-02T09:00", "2025-06-20T08:00"]
    assert shop.claims(at="2025-06-03") == "accepted"
    assert shop.refunds_card("A", at="2025-06-05") == "accepted"
    assert shop.refunds_card("K2", at="2025-05-20") == "accepted"
    assert shop.claims(at="2025-05-21") == "refused: no-membership", "it was given back"


# -- upgrades ----------------------------------------------------------------------------------------------------------

ANNUAL = '[memberships.plus.products."plus.annual"]\n'
UPGRADES = shipped("jd").replace(ANNUAL, ANNUAL + 'upgrades = ["plus.month"]\n')


def test_an_upgrade_ends_the_running_card_and_begins_now() -> None:
    """H6: the month card of ¥19.80 was used up; the annual card earns from the next day on."""
    shop = Shop(UPGRADES)
    shop.has_credit(30, at="2025-05-01 12:00")
    shop.buys("plus.month", at="2025-05-01 12:00", card="K", paid_fen=1_980)
    shop.completes("O0", [("phone", 1, 390_000)], at="2025-05-02 12:00")
    shop.buys("plus.annual", at="2025-05-03 12:00", card="K2", paid_fen=14_900)
    assert shop.last.figures == {"upgraded": "K", "unused_days": 28, "unused_fen": 1_980 * 28 // 30}
    shop.completes("O1", [("phone", 1, 100_000)], at="2025-05-04 12:00")
    assert shop.awarded[-1] == 1_000
    assert shop.refunds_card("K", at="2025-05-05 12:00") == "ignored: card-ended"
    shop.completes("O2", [("phone", 1, 100_000)], at="2025-05-06 12:00")
    assert shop.awarded[-1] == 1_000
    assert terms(shop) == [
        ("K", "2025-05-01T12:00", "2025-05-03T12:00"),
        ("K2", "2025-05-03T12:00", "2026-05-03T12:00"),
    ]


def test_terms_that_have_not_begun_are_laid_behind_the_upgrade() -> None:
    shop = Shop(UPGRADES)
    shop.buys("plus.month", at="2025-05-01 12:00", card="K1")
    shop.buys("plus.month", at="2025-05-01 12:00", card="K2")
    shop.buys("plus.annual", at="2025-05-11 12:00", card="A")
    assert terms(shop) == [
        ("K1", "2025-05-01T12:00", "2025-05-11T12:00"),
        ("A", "2025-05-11T12:00", "2026-05-11T12:00"),
        ("K2", "2026-05-11T12:00", "2026-06-10T12:00"),
    ]
    assert shop.on("2026-06-01").plus["product"] == "plus.month"


def test_an_upgrade_that_is_heard_of_late_lays_a_term_behind_it_that_was_over() -> None:
    shop = Shop(UPGRADES)
    shop.buys("plus.month", at="2025-05-01 12:00", card="K1")
    shop.buys("plus.month", at="2025-05-01 12:00", card="K2")
    shop.signs_in(at="2025-07-15")
    shop.buys("plus.annual", at="2025-05-11 12:00", card="A")
    assert terms(shop)[2] == ("K2", "2026-05-11T12:00", "2026-06-10T12:00")
    plus = shop.on("2026-05-12").plus
    assert (plus["state"], plus["product"]) == ("active", "plus.month")
    assert (plus["from"], plus["until"]) == ("2026-05-11T12:00:00+08:00", "2026-06-10T12:00:00+08:00")
    assert plus["quotas"] == {"shipping": 5, "check-up": 1}
    later = shop.on("2026-06-11")
    assert later.plus["state"] == "ended" and all(term.ended for term in later.account.terms["plus"])


def test_a_product_without_the_key_is_laid_behind_as_ever() -> None:
    shop = Shop()
    shop.has_credit(30, at="2025-05-01 12:00")
    shop.buys("plus.month", at="2025-05-01 12:00", card="K")
    shop.buys("plus.annual", at="2025-05-03 12:00", card="K2", paid_fen=14_900)
    assert terms(shop)[1][1] == "2025-05-31T12:00" and shop.last.figures == {}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{ months = 1 }", "{ months = 1, days = 3 }", "plus.month: give either days, months or years"),
        ("{ months = 1 }", "{ cap = 5 }", "plus.month: give either days, months or years"),
        ("{ months = 1 }", '{ months = 1, upgrades = ["x"] }', 'upgrades: no product "x"'),
        ("days = 30, trial", "days = 30, grace_days = 3, trial", "a trial has no grace_days"),
    ],
)
def test_a_book_says_one_length_of_each_card(old: str, new: str, said: str) -> None:
    with pytest.raises(BadProgramme, match=said):
        parse_programme(CARDS.replace(old, new))


def test_a_view_that_counts_knows_when_a_grace_ends() -> None:
    shop = in_grace()
    assert next_end_of_grace(shop.account, shop.book.versions[0], instant("2025-06-02")) == instant("2025-06-08 08:00")
