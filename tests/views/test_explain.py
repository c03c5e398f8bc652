"""`points explain`: every point that came has its story, and every point that did not come has its reason."""

import io
import re
import sqlite3
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from random import Random
from string import Formatter
from typing import Any

import msgspec
import pytest
from rich.console import Console

from ledger.journal.ledger import Ledger
from ledger.journal.open import open_or_create
from ledger.rulebook.schema import shipped
from ledger.wire.entries import CHANGE_TYPES
from ledger.wire.entry_codec import decode_entry, encode_entry
from ledger.wire.facts import FACT_TYPES
from ledger.wire.follow_ups import source_of
from ledger.wire.murmur import partition_of
from ledger.wire.reasons import ENTRY, NOTE, REASONS, WITHHELD
from ledger.wire.times import DAY
from projections.answers.members import UnknownMember, account_of
from projections.answers.show import show_member
from projections.explaining.changes import EXPLAINERS
from projections.explaining.explain import explain, explain_entry, explain_lot
from projections.explaining.history import NothingToExplain
from projections.explaining.member import explain_member
from projections.explaining.words import phrases
from service.screens.explanation import print_explanation
from tests.support.histories import history
from tests.support.ledgers import SmallLedger
from tests.support.shop import YUAN, Shop, instant, moment

SEEDS = range(5)
LENGTH = 150
LATER = instant("2029-01-01")
Explanation = dict[str, Any]
Tells = Callable[..., Ledger]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Tells]:
    """A shop's story as a ledger on disk."""
    opened: list[SmallLedger] = []

    def tell(shop: Shop) -> Ledger:
        small = SmallLedger(tmp_path / f"ledger-{len(opened)}")
        opened.append(small)
        small.hears(entry.fact for entry in shop.entries)
        small.decides()
        return small.ledger

    yield tell
    for small in opened:
        small.close()


@pytest.fixture(scope="module", params=SEEDS)
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A member with a long random history: returns, reversals, late facts, expiry, cards, holds."""
    small = SmallLedger(tmp_path_factory.mktemp("lived") / "ledger")
    small.hears(history(Random(request.param), LENGTH))
    small.decides()
    yield small.ledger
    small.close()


@lru_cache(maxsize=1)
def explained(ledger: Ledger) -> list[Explanation]:
    """Every entry of the member, explained."""
    until = last_clock(ledger)
    entries = explain_member(ledger, "m-1")["entries"]
    return [explain_entry(ledger, "m-1", number, as_of=until) for number in range(1, entries + 1)]


def last_clock(ledger: Ledger) -> int:
    """The present of `explained`: the instant at which the member's last entry left her account."""
    return decode_entry(ledger.journal(ledger.partition_of("m-1")).entries_of("m-1")[-1].state).clock


def changes(explanations: list[Explanation], name: str) -> list[Explanation]:
    return [change for entry in explanations for change in entry["changes"] if change["change"] == name]


def printed(explanation: Explanation, width: int = 100) -> str:
    out = io.StringIO()
    print_explanation(Console(file=out, width=width), explanation)
    return out.getvalue()


def entry(ledger: Ledger, number: int) -> Explanation:
    return explain_entry(ledger, "m-1", number, as_of=LATER)


def why(explanation: Explanation, rule: str, line: str = "1") -> str:
    """Why a rule gave nothing for a line (or for the fact)."""
    [found] = [view for view in explanation["nothing"] if view["rule"] == rule and view.get("line", line) == line]
    return str(found["text"])


def says(explanation: Explanation, name: str) -> str:
    """The sentence of the only change of that name."""
    [found] = [view for view in explanation["changes"] if view["change"] == name]
    return str(found["text"])


# -- whatever happened -----------------------------------------------------------------------------------------------


def test_every_point_of_every_lot_is_followed_to_where_it_is_now(lived: Ledger) -> None:
    account = account_of(lived, "m-1", last_clock(lived))
    earned = changes(explained(lived), "earned")
    assert earned
    for change in earned:
        [lot] = change["lots"]
        assert lot["lot"] == change["lot"]
        went = sum(event["points"] for event in lot["went"])
        assert change["points"] == lot["earned"] == went + lot["left"] + lot["held"], lot["text"]
        assert lot["held"] >= 0 and lot["left"] >= 0
    left = sum(change["lots"][0]["left"] for change in earned)
    assert left == account.purse("beans").spendable() + account.purse("beans").pending()


def test_every_change_has_a_sentence_with_its_figure_and_the_version_that_decided(lived: Ledger) -> None:
    version = lived.book.versions[0]
    for view in explained(lived):
        for change in view["changes"]:
            assert change["text"].endswith(".") and len(change["text"]) > 10
            assert change["version"] == version.name and change["version_from"] == "2017-09-14"
            if change["change"] in ("earned", "scored"):
                assert f"{change['points']:,}" in change["text"]
                assert change["rule"] and change["rule_text"]
                assert isinstance(change["inputs"], dict) and isinstance(change["caps"], list)


def test_every_accepted_fact_that_moved_nothing_says_why(lived: Ledger) -> None:
    silent = ("counted", "marked", "withheld", "forgot", "resettled")
    found = 0
    for view in explained(lived):
        own = [change for change in view["changes"] if not change["due"] and change["change"] not in silent]
        if view["outcome"] == "accepted" and not own:
            found += 1
            assert view["nothing"], view["fact"]["text"]
            assert all(item["text"] for item in view["nothing"])
    assert found


def test_every_line_of_an_order_has_each_rule_either_given_or_with_the_reason_why_not(lived: Ledger) -> None:
    rules = [rule.name for rule in lived.book.versions[0].line_rules]
    for view in explained(lived):
        if view["type"] != "order.completed.v1" or view["outcome"] != "accepted":
            continue
        for line in view["fact"]["data"]["lines"]:
            given = [
                change["rule"]
                for change in view["changes"]
                if change["change"] in ("earned", "scored")
                and change["points"] > 0
                and change.get("line") == line["line"]
            ]
            not_given = [item["rule"] for item in view["nothing"] if item.get("line") == line["line"]]
            assert sorted(given + not_given) == sorted(rules)


def test_no_reason_why_nothing_came_is_unknown(lived: Ledger) -> None:
    for view in explained(lived):
        for item in view["nothing"]:
            assert "{" not in item["text"] and item["text"] != f"{item['why'].capitalize()}."


def test_every_refusal_says_what_was_needed_and_leaves_no_blank(lived: Ledger) -> None:
    for view in explained(lived):
        if view["reason"]:
            text = view["reason_text"]
            assert text and text != view["reason"] and "{" not in text and "  " not in text and "()" not in text
        if view["outcome"] == "refused":
            assert view["needed"]


def test_the_formula_of_every_claw_back_gives_what_was_kept(lived: Ledger) -> None:
    formula = re.compile(r"⌊([\d,]+) × \(¥([\d,.]+) − ¥([\d,.]+)\) / ¥([\d,.]+)⌋ = ([\d,]+)")
    fully = partly = 0
    for view in explained(lived):
        for back in view["clawbacks"]:
            assert back["claim"] == back["held_before"] - back["keep"]
            taken = 0
            for change in view["changes"]:
                if (change.get("rule"), change.get("line")) == (back["rule"], back["line"]):
                    taken += change["points"] if change["change"] == "clawed-back" else 0
                    taken -= min(change["points"], 0) if change["change"] == "scored" else 0
            assert back["taken"] == taken
            if "met" in back:
                assert sum(back["met"].values()) == back["claim"]
                assert min(back["met"].values()) >= 0
            if found := formula.search(back["formula"]):
                given, paid, refunded, by, kept = (int(re.sub("[,.]", "", figure)) for figure in found.groups())
                assert paid == by and kept == given * (paid - refunded) // paid
                assert back["keep"] == min(kept, back["held_before"])
                partly += 1
            else:
                fully += back["keep"] == 0
    assert fully or partly


def test_balances_before_an_entry_are_those_after_the_last(lived: Ledger) -> None:
    views = explained(lived)
    for before, after in pairwise(views):
        for kind, balance in after["balances"].items():
            if kind in before["balances"]:
                assert balance["before"] == before["balances"][kind]["after"]


def test_the_statement_runs_with_the_balance_and_its_effects_add_up(lived: Ledger) -> None:
    story = explain_member(lived, "m-1", as_of=last_clock(lived))
    assert len(story["statement"]) == story["entries"] >= LENGTH
    last = story["statement"][-1]
    assert last["spendable"]["beans"] == explained(lived)[-1]["balances"]["beans"]["after"]["spendable"]
    assert all(line["text"] and line["result"] and "\n" not in line["result"] for line in story["statement"])
    assert (
        story["points"]["beans"]["spendable"] == account_of(lived, "m-1", last_clock(lived)).purse("beans").spendable()
    )


def test_a_long_story_tells_its_last_lines_and_how_many_it_leaves_out(lived: Ledger) -> None:
    whole, last = (explain_member(lived, "m-1", as_of=LATER, lines=lines) for lines in (None, 10))
    assert whole["earlier"] == 0 and last["earlier"] == whole["entries"] - 10
    assert last["statement"] == whole["statement"][-10:]
    assert {**last, "earlier": 0, "statement": whole["statement"]} == whole
    assert f"{last['earlier']:,} earlier entries are left out" in printed(last)
    assert "left out" not in printed(whole)


def test_every_entry_derives_and_prints_at_any_width_and_is_json(lived: Ledger) -> None:
    for view in explained(lived):
        assert view["derives"]
        msgspec.json.encode(view)
        text = printed(view, 72)
        assert view["fact"]["text"].split()[0] in text and "…" not in text
    assert printed(explain_member(lived, "m-1")).count("\n") > LENGTH


def test_every_lot_can_be_asked_for_by_its_name(lived: Ledger) -> None:
    for change in changes(explained(lived), "earned")[:40]:
        lot = explain_lot(lived, "m-1", change["lot"], as_of=last_clock(lived))
        assert lot["earned"] == change["points"] and lot["opened_by"]["text"] == change["text"]
        assert f"lot {change['lot']}" in printed(lot)


def test_every_reason_of_an_entry_has_a_sentence() -> None:
    said = {code.removeprefix("reason.") for code in phrases("english") if code.startswith("reason.")}
    codes = {code for code, reason in REASONS.items() if {ENTRY, NOTE} & {reason.where, *reason.also}}
    assert {code.removeprefix("<kind>-") for code in codes} == said


def test_every_fact_every_change_and_every_reason_why_nothing_came_has_a_phrase_of_its_own() -> None:
    assert {f"fact.{str(cls.__struct_config__.tag).removesuffix('.v1')}" for cls in FACT_TYPES} <= phrases(
        "english"
    ).keys()
    plain = {str(cls.__struct_config__.tag) for cls in CHANGE_TYPES if cls not in EXPLAINERS}
    assert {f"change.{name}" for name in plain} <= phrases("english").keys()
    withheld = {code for code, reason in REASONS.items() if WITHHELD in (reason.where, *reason.also)}
    assert {f"nothing.{code}" for code in withheld} <= phrases("english").keys()


def test_both_languages_have_the_same_phrases_with_the_same_figures() -> None:
    english, chinese = phrases("english"), phrases("chinese")
    assert english.keys() <= chinese.keys()
    own = {code for code in chinese.keys() - english.keys() if not code.startswith(("word.", "cause."))}
    assert own == set(), "single words and causes are said by their group in English"
    for code, text in english.items():
        grammar = {"were", "are", "more"} if code not in NAMED else {"use", "book"}  # of plurals
        assert _figures_of(text) - grammar <= _figures_of(chinese[code]) <= _figures_of(text), code


def test_no_sentence_begins_with_an_id_which_a_capital_letter_would_change() -> None:
    numbers = {"back", "by", "lines", "n", "points", "taken", "spendable", "used", "most", "asked", "day", "value"}
    in_words = {"what", "why", "reason", "counted", "name"}  # of those that begin so: what the condition is on
    for code, phrase in phrases("english").items():
        if code.partition(".")[0] in ("change", "nothing", "reason"):
            assert set(_first_of(phrase)) <= numbers | in_words, code


def _first_of(phrase: str) -> Iterator[str]:
    """The values that a phrase may begin with, as they are."""
    for text, name, how, _ in Formatter().parse(phrase):
        if text:
            return
        kind, _, rest = (how or "").partition(" ")
        if kind in ("if", "not"):
            yield from _first_of(rest)
        else:
            if name and not kind:
                yield name
            return


def _figures_of(phrase: str) -> set[str]:
    return set(re.findall(r"{(\w+)", phrase))


def test_a_reader_of_chinese_is_told_in_chinese(lived: Ledger) -> None:
    """Every sentence was English, whatever the reader's language."""
    for explanation in explained(lived)[::12]:
        view = explain_entry(lived, "m-1", explanation["number"], as_of=last_clock(lived), language="zh")
        assert view.keys() == explanation.keys() and view["effect"] == explanation["effect"]
        texts = [view["fact"]["text"], view["reason_text"], view["needed"], view["text"]]
        for name in ("changes", "clawbacks", "nothing"):
            texts += [one["text"] for one in view[name]]
        screen = printed(view).partition("规则，")[0]  # what the book itself says has its own language
        for text in (*texts, screen):
            assert _ENGLISH.search(text) is None, text
        assert view["fact"]["text"] in view["text"] and view["text"].endswith("。")
    story = explain_member(lived, "m-1", as_of=last_clock(lived), language="zh")
    assert _ENGLISH.search(printed(story)) is None
    lot = next(change["lot"] for change in changes(explained(lived), "earned"))
    lot_story = printed(explain_lot(lived, "m-1", lot, as_of=last_clock(lived), language="zh"))
    assert _ENGLISH.search(lot_story.partition("规则，")[0]) is None


NAMED = ("use", "title.book")  # what has a name needs no code beside it
_ENGLISH = re.compile(r"\b(the|was|were|is|are|of|by|and|from|until|entry)\b")


# -- why nothing came ------------------------------------------------------------------------------------------------


def test_a_line_below_the_threshold_names_both_figures(told: Tells) -> None:
    shop = Shop()
    shop.completes("O1", [("food", 1, 23 * YUAN)])
    view = entry(told(shop), 1)
    assert why(view, "purchase.beans") == "Paid ¥23.00; the rule needs ¥50.00."
    assert "The membership PLUS was not active at 2025-11-11T10:00:00+08:00: there was no card before" in why(
        view, "purchase.plus"
    )


def test_an_excluded_category_is_named(told: Tells) -> None:
    shop = Shop()
    shop.completes("O1", [("virtual", 1, 100 * YUAN)])
    text = why(entry(told(shop), 1), "purchase.beans")
    assert text == "Category virtual is excluded (as are investment-gold and car)."


def test_the_plus_rate_says_what_it_replaced_and_what_that_would_have_given(told: Tells) -> None:
    shop = Shop()
    shop.buys("plus.annual", card="K1")
    shop.completes("O1", [("phone", 1, 3_599 * YUAN)])
    view = entry(told(shop), 2)
    assert why(view, "purchase.beans") == "The rule PLUS购物返豆 (purchase.plus) gave 3,599 beans instead."
    [earned] = [change for change in view["changes"] if change["change"] == "earned"]
    assert earned["multipliers"][0]["ordinary_points"] == 359
    assert "The PLUS rate, as card K1 (plus.annual) was active" in earned["text"]
    assert "That makes 3,599 of at most 50,000 by this card" in earned["text"]


def test_an_order_told_after_its_card_was_refunded_whole_says_that_the_rate_counts_no_more(told: Tells) -> None:
    shop = Shop(now="2025-05-01 12:00")
    shop.buys("plus.annual", card="K", paid_fen=14_900)
    shop.refunds_card("K", at="2025-05-03", refund_fen=14_900)
    shop.completes("O1", [("phone", 1, 100_000)], at="2025-05-02")
    view = entry(told(shop), 3)
    assert why(view, "purchase.plus") == "Card K was refunded whole: nothing earns at its rate any more."


def test_an_ended_card_is_named_with_its_end(told: Tells) -> None:
    shop = Shop()
    shop.buys("plus.month", at="2025-09-01", card="K1")
    shop.completes("O1", [("food", 1, 60 * YUAN)], at="2025-11-11")
    text = why(entry(told(shop), 2), "purchase.plus")
    assert "the last, card K1 (plus.month), ended at 2025-10-01T00:00:00+08:00" in text


def test_a_full_card_says_how_much_it_gave_and_that_the_ordinary_rule_holds(told: Tells) -> None:
    shop = Shop()
    shop.buys("plus.month", card="K1")
    shop.completes("O1", [("phone", 1, 3_900 * YUAN), ("phone", 1, 200 * YUAN)])
    text = why(entry(told(shop), 2), "purchase.plus", "2")
    assert text == (
        "Card K1 (plus.month) has given 3,900 of at most 4,000, so 200 more do not fit; the ordinary rule holds."
    )


def test_the_cap_of_a_line_says_what_it_took(told: Tells) -> None:
    shop = Shop()
    shop.completes("O1", [("phone", 1, 35_990 * YUAN)])
    view = entry(told(shop), 1)
    assert "makes 3,599. The cap of 1,000 a line took 2,599 of 3,599" in says(view, "earned")


def test_a_full_month_says_so(told: Tells) -> None:
    shop = Shop()
    for _ in range(6):
        shop.shares()
    ledger = told(shop)
    assert "That makes 10 of at most 10 a month (2025-11)" in says(entry(ledger, 5), "scored")
    assert why(entry(ledger, 6), "activity.share") == "The 10 a month (2025-11) were given before, so 2 did not come."


def test_of_two_caps_the_one_with_the_smallest_room_is_told_with_its_own_figures(tmp_path: Path) -> None:
    caps = 'cap = [{ per = "day", points = 3 }, { per = "month", points = 2 }]'
    book = shipped("jd").replace('cap = [{ per = "month", points = 10 }]', caps)
    open_or_create(tmp_path / "ledger", book).close()
    small, shop = SmallLedger(tmp_path / "ledger"), Shop(book)
    shop.shares()
    shop.shares()
    small.hears(entry.fact for entry in shop.entries)
    small.decides()
    view = entry(small.ledger, 2)
    assert [change["text"] for change in view["changes"] if change["change"] == "withheld"] == [
        "The 2 a month (2025-11) were given before, so 2 did not come.",
    ]
    assert why(view, "activity.share") == "The 2 a month (2025-11) were given before, so 2 did not come."
    small.close()


def test_a_rule_is_asked_where_the_one_before_it_came_to_nothing(told: Tells) -> None:
    shop = Shop()
    shop.buys("plus.annual", card="K1")
    shop.completes("O1", [("phone", 1, 99)])
    text = why(entry(told(shop), 2), "purchase.beans")
    assert text == "Paid ¥0.99; the rule needs ¥50.00.", "a rule that came to nothing stands in for no other"


def test_reviews_say_that_they_are_short_or_late_or_of_a_returned_line(told: Tells) -> None:
    shop = Shop()
    shop.completes("O1", [("food", 1, 60 * YUAN), ("food", 1, 60 * YUAN), ("food", 1, 9 * YUAN)], at="2025-03-01")
    shop.reviews("O1", "1", at="2025-03-02", characters=9)
    shop.returns("O1", [("2", 1, 60 * YUAN)], at="2025-03-03")
    shop.reviews("O1", "2", at="2025-03-04")
    shop.reviews("O1", "3", at="2025-06-01", characters=12)
    ledger = told(shop)
    assert why(entry(ledger, 2), "review.beans") == "9 characters; the rule needs 10."
    assert why(entry(ledger, 4), "review.beans", "2") == "Every piece of line 2 has been returned."
    late = why(entry(ledger, 5), "review.beans", "3")
    assert late == ("Posted 92 days after the order was completed (2025-03-01T00:00:00+08:00); the rule takes 60 days.")


def test_a_cheap_line_gives_no_review_beans_and_says_from_where_they_begin(told: Tells) -> None:
    shop = Shop()
    shop.completes("O1", [("food", 1, 9 * YUAN)])
    shop.reviews("O1", "1")
    text = why(entry(told(shop), 2), "review.beans")
    assert text == "The line was paid ¥9.00; the rule begins at ¥20.00."


def test_a_category_bought_before_names_the_entry(told: Tells) -> None:
    shop = Shop()
    shop.completes("O1", [("food", 1, YUAN), ("food", 1, YUAN), ("", 1, YUAN)])
    shop.completes("O2", [("food", 1, YUAN)])
    ledger = told(shop)
    first, second = entry(ledger, 1), entry(ledger, 2)
    assert why(first, "purchase.new-category", "2") == "Category food was bought before: an earlier line of this order."
    assert why(first, "purchase.new-category", "3") == "The line names no category."
    assert "bought before: entry 1, 2025-11-11T10:00:00+08:00" in why(second, "purchase.new-category")


def test_the_days_of_a_month_are_counted_aloud(told: Tells) -> None:
    shop = Shop()
    for order, day in enumerate(("01", "01", "02", "03", "04")):
        shop.completes(f"O{order}", [("food", 1, YUAN)], at=f"2025-11-{day}")
    ledger = told(shop)
    texts = [why(entry(ledger, number), "purchase.three-days") for number in (1, 2, 3, 5)]
    assert texts == [
        "The 1st of 3 different days in 2025-11 (2025-11-01).",
        "2025-11-01 was counted before; 1 of 3 different days in 2025-11 (2025-11-01).",
        "The 2nd of 3 different days in 2025-11 (2025-11-01 and 2025-11-02).",
        "2025-11 had its 3 different days before: entry 4.",
    ]
    assert "the 3rd different day with a completed order" in "".join(c["text"] for c in entry(ledger, 4)["changes"])


def test_a_second_sign_in_and_a_shop_seen_twice_say_already(told: Tells) -> None:
    shop = Shop()
    shop.signs_in()
    shop.signs_in()
    shop.visits("tea")
    shop.visits("tea")
    ledger = told(shop)
    assert why(entry(ledger, 2), "sign-in") == "The 1 a day (2025-11-11) was given before, so 1 did not come."
    text = why(entry(ledger, 4), "shop-visit")
    assert text == "It was counted for tea on this day already: entry 3; it is counted once a day."


def test_what_is_given_once_names_the_entry_that_gave_it(told: Tells) -> None:
    shop = Shop()
    shop.verifies_identity()
    shop.verifies_identity()
    assert why(entry(told(shop), 2), "account.identity") == "It was given before: entry 1, and is given once."


def test_a_fact_no_rule_stands_on_says_so(told: Tells) -> None:
    shop = Shop()
    shop.pays("O1", [("food", 1, YUAN)])
    shop.refuses_at_the_door("O1")
    shop._tell("profile.completed", "", {})
    ledger = told(shop)
    texts = [item["text"] for number in (1, 2, 3) for item in entry(ledger, number)["nothing"]]
    assert texts == [
        "Points come when the order completes.",
        "The 1st this month and the 1st this year; 500 beans are taken from the 2nd in a month or the 4th in a year.",
        "No rule of the book 京东会员 stands on profile.completed.",
    ]


# -- refusals and repetitions ----------------------------------------------------------------------------------------


def test_a_refusal_says_what_was_asked_what_there_was_and_what_would_have_been_granted(told: Tells) -> None:
    shop = Shop()
    shop.is_granted(1_200)
    assert shop.redeems(3_000, "offset", order="O1", settlement_fen=100 * YUAN) == "refused: beans-short"
    view = entry(told(shop), 2)
    assert view["reason_text"] == "asked 3,000 beans, 1,200 spendable"
    assert view["needed"] == "1,800 beans more; 1,000 beans would have been granted"
    assert "Needed: 1,800 beans more" in printed(view)


@pytest.mark.parametrize(
    ("balance", "asked", "use", "settlement"),
    [(1_200, 3_000, "offset", 100), (5_000, 3_000, "offset", 59), (2_600, 1_500, "offset", 80), (90, 100, "coupon", 0)],
)
def test_what_would_have_been_granted_is_granted(
    told: Tells, balance: int, asked: int, use: str, settlement: int
) -> None:
    shop, again = Shop(), Shop()
    for story in (shop, again):
        story.is_granted(balance)
    assert shop.redeems(asked, use, order="O1", settlement_fen=settlement * YUAN).startswith("refused")
    offer = re.search(r"([\d,]+) beans would have been granted", entry(told(shop), 2)["needed"])
    assert offer
    points = int(offer[1].replace(",", ""))
    assert again.redeems(points, use, order="O1", settlement_fen=settlement * YUAN) == "accepted"


def test_nothing_is_offered_that_would_have_been_refused_too(told: Tells) -> None:
    shop = Shop()
    shop.is_granted(400)
    shop.redeems(1_500, "offset", order="O1", settlement_fen=100 * YUAN)
    assert entry(told(shop), 2)["needed"] == "a multiple of 1,000"


def test_a_share_that_is_too_large_names_the_order_it_needs(told: Tells) -> None:
    shop = Shop()
    shop.is_granted(5_000)
    shop.redeems(3_000, "offset", order="O1", settlement_fen=59 * YUAN)
    view = entry(told(shop), 2)
    assert view["reason"] == "above-share"
    assert view["reason_text"] == "asked 3,000 beans, 0 used on the order before; points may pay ¥29.50 of it"
    assert view["needed"] == "an order of ¥60.00 or more before points (1/2 of it); 2,000 beans would have been granted"


def test_frozen_and_held_points_are_named_where_they_are_missed(told: Tells) -> None:
    shop = Shop()
    shop.tries_plus(card="K1")
    shop.completes("O1", [("phone", 1, 900 * YUAN)])
    shop.is_granted(300)
    shop.holds("H1", 100, until="2025-12-01")
    shop.redeems(600)
    view = entry(told(shop), 5)
    assert view["reason_text"] == (
        "asked 600 beans, 200 spendable; 900 beans are frozen until a card is bought and 100 beans are on hold"
    )


def test_a_used_up_quota_says_when_there_is_room_again(told: Tells) -> None:
    shop = Shop()
    shop.tries_plus(card="K1")
    shop.claims()
    shop.claims()
    ledger = told(shop)
    assert "the 1st of 1 a term, by card K1 (plus.trial)" in says(entry(ledger, 2), "benefit-used")
    view = entry(ledger, 3)
    assert view["reason_text"] == "1 of 1 shipping were used already"
    assert view["needed"] == ("a new card after 2025-12-11T10:00:00+08:00: card K1 (plus.trial) has 1 a term, all used")


def test_repetitions_point_at_the_first(told: Tells) -> None:
    shop = Shop()
    shop.is_granted(10, grant="G1")
    shop.signs_in()
    shop.hears_again(1)
    shop.hears_again(1, points=20)
    shop.is_granted(10, grant="G1", at="2025-11-12")
    ledger = told(shop)
    for number, reason in ((3, "duplicate"), (4, "conflict"), (5, "already")):
        view = entry(ledger, number)
        assert view["reason"] == reason
        assert view["first"] == {"entry": 1, "occurred": "2025-11-11T10:00:00+08:00"}
        assert "entry 1" in view["reason_text"]


# -- what came back, and what time did -------------------------------------------------------------------------------


def test_a_part_return_shows_its_arithmetic_and_where_the_beans_were_taken_from(told: Tells) -> None:
    shop = Shop()
    shop.completes("O1", [("phone", 3, 359 * YUAN)])
    shop.returns("O1", [("1", 1, 120 * YUAN)], back="T1")
    view = entry(told(shop), 2)
    beans = next(back for back in view["clawbacks"] if back["rule"] == "purchase.beans")
    assert beans["formula"] == ("It keeps K = ⌊A × (P − min(F, P)) / P⌋ = ⌊35 × (¥359.00 − ¥120.00) / ¥359.00⌋ = 23")
    assert "it held 35, so 12 are taken back: 12 from its own lot 1.1" in beans["text"]
    assert "taken back by return T1 of order O1" in says(view, "clawed-back")


def test_a_claw_back_of_spent_beans_names_the_other_lots_the_cash_and_the_debt(told: Tells) -> None:
    shop = Shop()
    shop.completes("O1", [("phone", 1, 3_000 * YUAN)])
    shop.redeems(300)
    shop.is_granted(40)
    shop.returns("O1", [("1", 1, 1 * YUAN)])
    back = next(b for b in entry(told(shop), 4)["clawbacks"] if b["rule"] == "purchase.beans")
    assert back["met"] == {"own_lot": 0, "expired": 0, "other_lots": 40, "cash": 100, "debt": 160, "written_off": 0}
    assert "so 300 are claimed: 40 from other lots, as its own were spent (40 of 3.1)" in back["text"]
    assert (back["claim"], back["taken"]) == (300, 40)


def test_what_expired_before_a_claim_is_told_and_is_no_movement(told: Tells) -> None:
    shop = Shop(now="2025-11-11")
    shop.completes("O1", [("phone", 1, 1_000 * YUAN)])
    shop.redeems(60)
    shop.is_granted(300, at="2027-01-05", expires="2028-01-05")
    shop.returns("O1", [("1", 0, 300 * YUAN)], at="2027-01-06")
    view = entry(told(shop), 4)
    back = next(back for back in view["clawbacks"] if back["rule"] == "purchase.beans")
    assert (back["claim"], back["taken"], back["met"]["expired"]) == (30, 0, 30)
    assert "so 30 are claimed: 30 expired meanwhile and are not asked for again" in back["text"]
    text = printed(view)
    assert "  0 beans " in text and "-30 beans" not in text and "300, unchanged" in text


def test_a_lot_tells_where_its_points_came_from_and_went(told: Tells) -> None:
    shop = Shop(now="2025-03-01")
    shop.completes("O1", [("phone", 1, 3_000 * YUAN)])
    shop.redeems(100, redemption="R1")
    shop.gives_back("R1", 30)
    shop.returns("O1", [("1", 0, 300 * YUAN)], back="T1")
    lot = explain_lot(told(shop), "m-1", "1.1", as_of=LATER)
    assert [(event["what"], event["points"], event["entry"]) for event in lot["went"]] == [
        ("spent", 100, 2),
        ("restored", -30, 3),
        ("clawed-back", 30, 4),
        ("expired", 200, None),
    ]
    assert lot["origin"] == "购物返豆 for line 1 of order O1"
    assert lot["expiry"] == "the end of the year after"
    assert "200 expired at 2027-01-01T00:00:00+08:00" in lot["text"]
    assert explain(told(shop), "m-1", "1.1", as_of=LATER)["lot"] == "1.1"


def test_a_lot_that_was_given_tells_who_gave_it_and_where_it_went(told: Tells) -> None:
    shop = Shop(now="2025-03-01")
    shop.is_granted(1)
    given = [{"points": 40, "earned_at": "2025-01-01T00:00:00Z", "rule": "campaign"}]
    data = {"frm": "m-2", "transfer": "G1", "rule": "gift", "kind": "beans", "lots": given, "points": 40}
    head = {"specversion": "1.0", "id": "m-2:1.0", "type": "transfer.arrived.v1"}
    head["source"] = source_of(partition_of("m-2", 4))
    at = "2025-03-01T00:00:00+08:00"
    shop.hears({**head, "subject": "m-1", "time": at, "data": data | {"at": at}})
    shop.redeems(30, redemption="R1")
    lot = explain_lot(told(shop), "m-1", "2.1", as_of=LATER)
    assert lot["opened_by"]["change"] == "received" and "m-2" in lot["origin"]
    assert [(event["what"], event["points"]) for event in lot["went"]] == [("spent", 29)]
    assert "m-2" in printed(lot)


def test_expiry_says_its_date_and_the_rule_of_the_book(told: Tells) -> None:
    shop = Shop(now="2026-02-01")
    shop.signs_in()
    shop.signs_in(at="2026-12-01")
    view = entry(told(shop), 2)
    expired = next(change for change in view["changes"] if change["change"] == "expired")
    assert expired["due"]
    assert expired["text"].startswith(
        "-1 bean: expired at 2026-07-31T00:00:00+08:00 (180 days after they were earned), in lot 1.1 (签到)"
    )
    assert "First, by the passing of time" in printed(view)


def test_a_tier_says_its_score_and_what_it_needs(told: Tells) -> None:
    shop = Shop(now="2025-10-20")
    shop.completes("O1", [("phone", 1, 3_000 * YUAN)])
    shop.signs_in(at="2025-11-02")
    text = says(entry(told(shop), 2), "tier-moved")
    assert text.startswith("tier 201: jd-value 京享值 was in no tier until 2025-11-01T00:00:00+08:00")
    assert "counts 2024-11 to 2025-10 and is 3,010, and tier 201 needs 201" in text


def test_what_fell_due_since_the_last_entry_is_told_though_nothing_is_stored(told: Tells) -> None:
    shop = Shop(now="2026-02-01")
    shop.buys("plus.month", card="K1")
    shop.signs_in()
    story = explain_member(told(shop), "m-1", as_of=instant("2026-12-01"))
    assert story["since"]["texts"] == [
        "1 bean expired at 2026-07-31T00:00:00+08:00",
        "PLUS by card K1 ended at 2026-03-03T00:00:00+08:00",
    ]
    assert story["points"]["beans"]["spendable"] == 0 and story["memberships"]["plus"]["state"] == "ended"


def test_a_story_as_of_an_instant_is_told_by_the_entries_up_to_it(lived: Ledger) -> None:
    clocks = [decode_entry(row.state).clock for row in lived.journal(lived.partition_of("m-1")).entries_of("m-1")]
    for until in (clocks[0], clocks[LENGTH // 3] + DAY, clocks[LENGTH // 2] - 1, clocks[-1]):
        story, shown = explain_member(lived, "m-1", as_of=until), show_member(lived, "m-1", until)
        assert (story["as_of"], story["entries"]) == (shown.as_of, shown.entries)
        assert len(story["statement"]) == sum(clock <= until for clock in clocks)
        purse, beans = story["points"].get("beans", {}), shown.points["beans"]
        assert {name: purse.get(name, 0) for name in ("spendable", "pending", "held", "debt")} == {
            name: getattr(beans, name) for name in ("spendable", "pending", "held", "debt")
        }


def test_what_happened_later_is_not_told_of_an_earlier_instant(told: Tells) -> None:
    shop = Shop(now="2025-03-01")
    shop.is_granted(100)
    shop.redeems(30, at="2025-04-01")
    ledger = told(shop)
    before, then = instant("2025-02-01"), instant("2025-03-15")
    story = explain_member(ledger, "m-1", as_of=then)
    assert story["entries"] == 1 and story["points"]["beans"]["spendable"] == 100
    assert explain_lot(ledger, "m-1", "1.1", as_of=then)["went"] == []
    with pytest.raises(NothingToExplain, match=r'"m-1" has 1 entry as of 2025-03-15T00:00:00\+08:00; .* no entry 2$'):
        explain_entry(ledger, "m-1", 2, as_of=then)
    for what in ("1", "1.1"):
        with pytest.raises(NothingToExplain, match=r'"m-1" has 0 entries as of 2025-02-01T.*; there is no entry 1$'):
            explain(ledger, "m-1", what, as_of=before)
    nothing = explain_member(ledger, "m-1", as_of=before)
    assert (nothing["entries"], nothing["points"], nothing["statement"]) == (0, {}, [])
    assert "0 entries, at 2025-02-01" in printed(nothing)
    assert "1 entry, at 2025-03-15" in printed(story)


def test_without_an_instant_an_entry_ahead_of_the_wall_clock_is_told_too(told: Tells) -> None:
    shop = Shop(now="2999-01-01")
    shop.is_granted(100)
    story = explain_member(told(shop), "m-1")
    assert (story["as_of"], story["entries"]) == ("2999-01-01T00:00:00+08:00", 1)


# -- versions, damage, and what is not there -------------------------------------------------------------------------


def test_an_entry_is_explained_by_the_version_that_decided_it(tmp_path: Path) -> None:
    newer = shipped("jd").replace("at_least = 5_000", "at_least = 2_000").replace("2017-09-14", "2025-06-01", 1)
    small = SmallLedger(tmp_path / "ledger")
    shop = Shop()
    shop.completes("O1", [("food", 1, 23 * YUAN)], at="2025-05-01")
    shop.completes("O2", [("food", 1, 23 * YUAN)], at="2025-07-01")
    shop.completes("O3", [("food", 1, 23 * YUAN)], at="2025-07-02")
    facts = [entry.fact for entry in shop.entries]
    small.hears(facts[:2])
    publication = {
        "specversion": "1.0",
        "id": "book-2",
        "source": "/operators",
        "type": "programme.published.v1",
        "subject": "programme",
        "time": moment("2025-07-01").isoformat(),
        "data": {"toml": newer},
    }
    small.publishes(publication)
    small.hears(facts[2:])
    small.decides()
    old, still_old, new = (entry(small.ledger, number) for number in (1, 2, 3))
    assert [view["version_from"] for view in (old, still_old, new)] == ["2017-09-14", "2017-09-14", "2025-06-01"]
    assert why(still_old, "purchase.beans") == "Paid ¥23.00; the rule needs ¥50.00."
    assert says(new, "earned").startswith("+2 beans: ¥23.00 at 10 for every ¥100.00")
    assert all(view["derives"] for view in (old, still_old, new))
    small.close()


def test_rates_by_category_and_caps_by_year_are_explained_though_jd_has_none(tmp_path: Path) -> None:
    book = shipped("jd").replace("# rates = { phone = 50 }", "rates = { phone = 50 }")
    book = book.replace('cap = [{ per = "month", points = 10 }]', 'cap = [{ per = "year", points = 3 }]')
    ledger = open_or_create(tmp_path / "ledger", book)
    ledger.close()
    small = SmallLedger(tmp_path / "ledger")
    shop = Shop(book)
    shop.buys("plus.annual", card="K1")
    shop.completes("O1", [("phone", 1, 3_599 * YUAN)])
    shop.shares()
    shop.shares()
    shop.shares()
    small.hears(entry.fact for entry in shop.entries)
    small.decides()
    order, second, third = (entry(small.ledger, number) for number in (2, 4, 5))
    assert says(order, "earned").startswith("+1,799 beans: ¥3,599.00 at 0.5 % (the rate of phone) makes 1,799")
    assert "The cap of 3 a year took 1 of 2" in says(second, "scored")
    assert says(second, "withheld") == "Only 1 of 3 a year (2025) was left, so 1 did not come."
    assert why(third, "activity.share") == "The 3 a year (2025) were given before, so 2 did not come."
    small.close()


def test_an_entry_that_does_not_derive_is_explained_as_it_stands_with_a_warning(told: Tells) -> None:
    shop = Shop()
    shop.is_granted(100)
    shop.signs_in()
    ledger = told(shop)
    partition = ledger.partition_of("m-1")
    [row, _] = ledger.journal(partition).entries_of("m-1")
    kept = decode_entry(row.state)
    forged = msgspec.structs.replace(kept, changes=[msgspec.structs.replace(kept.changes[0], points=900)])
    with sqlite3.connect(Path(ledger.place) / f"partition-{partition}.db") as database:
        database.execute("UPDATE stored_events SET state = ? WHERE rowid = ?", (encode_entry(forged), row.sequence))
    view, following = entry(ledger, 1), entry(ledger, 2)
    assert not view["derives"] and following["derives"]
    assert "`points replay`" in printed(view)
    assert following["balances"]["beans"]["before"]["spendable"] == 900


def test_a_hold_captured_without_a_figure_is_all_of_it(told: Tells) -> None:
    shop = Shop()
    shop.is_granted(300)
    shop.holds("H1", 120, until="2025-12-01")
    shop._tell("hold.captured", "", {"hold": "H1"})
    view = entry(told(shop), 3)
    assert view["fact"]["text"].startswith("Hold H1 captured: all")
    assert says(view, "captured") == "120 beans: taken by hold H1, from lot 1.1 (campaign 618)."


def test_what_is_not_there_is_said_with_what_there_is(told: Tells) -> None:
    shop = Shop()
    shop.is_granted(100)
    ledger = told(shop)
    with pytest.raises(UnknownMember):
        explain_member(ledger, "m-2")
    with pytest.raises(UnknownMember):
        explain_member(ledger, "programme")
    with pytest.raises(NothingToExplain, match=r'"m-1" has 1 entry; there is no entry 2$'):
        explain(ledger, "m-1", "2")
    with pytest.raises(NothingToExplain, match="no lot"):
        explain(ledger, "m-1", "1.2")
    for nonsense in ("x", "1.", "1.x", "-1", "1.0", "²", "1.99999999999999999999"):
        with pytest.raises(NothingToExplain):
            explain(ledger, "m-1", nonsense)


def test_ids_from_outside_cannot_move_the_terminal(told: Tells) -> None:
    shop = Shop()
    shop.is_granted(100, grant="G\x1b[31m\x07")
    shop.completes("[bold]O1[/bold]\x1b]0;x\x07", [("food\x1b[2J", 1, 100 * YUAN)])
    ledger = told(shop)
    for view in (entry(ledger, 1), entry(ledger, 2), explain_member(ledger, "m-1"), explain_lot(ledger, "m-1", "1.1")):
        text = printed(view)
        assert "\x1b" not in text and "\x07" not in text
    assert "[bold]O1[/bold]" in printed(entry(ledger, 2))


def test_explaining_writes_nothing(told: Tells) -> None:
    shop = Shop()
    shop.completes("O1", [("phone", 1, 3_000 * YUAN)])
    shop.redeems(5_000)
    ledger = told(shop)
    before = account_of(ledger, "m-1", shop.last.clock + DAY)
    entry(ledger, 2)
    explain_member(ledger, "m-1")
    assert account_of(ledger, "m-1", shop.last.clock + DAY) == before
