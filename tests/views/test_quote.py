"""A quote says what is then decided: the same awards, and the most that a redemption gets."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ledger.journal.ledger import Ledger
from ledger.journal.open import open_or_create
from ledger.rulebook.schema import shipped
from ledger.wire.entries import ACCEPTED, REFUSED, Earned, Scored, Withheld
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import change_to_dict
from ledger.wire.fact_codec import BadFact
from ledger.wire.facts import MAX_INT
from ledger.wire.times import DAY, SECOND, to_datetime
from projections.what_if.quote import products, quote
from service.cli import run
from tests.support.ledgers import Fact, SmallLedger, histories_of, ingested, scratch
from tests.support.shop import instant

CART = {
    "lines": [
        {"line": "1", "sku": "a", "category": "phone", "quantity": 1, "paid_fen": 359_900},
        {"line": "2", "sku": "b", "category": "garden", "quantity": 2, "paid_fen": 4_000},
    ],
    "pay": "jd-pay",
}


def fact(kind: str, name: str, member: str, at: int, **data: Any) -> Fact:
    head = {"specversion": "1.0", "id": name, "source": "/shop", "type": f"{kind}.v1", "subject": member}
    return {**head, "time": to_datetime(at).isoformat(), "data": data}


def last_entry(ledger: Ledger, member: str) -> Any:
    return decode_entry(ledger.journal(ledger.partition_of(member)).entries_of(member)[-1].state)


@pytest.mark.parametrize("seed", range(6))
def test_a_quote_is_what_is_then_decided(seed: int) -> None:
    with scratch() as place:
        small = SmallLedger(place / "ledger")
        small.hears(histories_of(Random(seed), members=6, length=60))
        small.decides()
        ledger = small.ledger
        at = max(small.ledger.journal(p).head().recorded for p in ledger.partitions) + SECOND
        for member in [f"m-{n}" for n in range(6)]:
            quoted = quote(ledger, member, json.dumps(CART).encode(), at)
            assert quoted.known
            small.hears([fact("order.completed", "the-cart", member, at, order="quote", **CART)])
            small.decides()
            entry = last_entry(ledger, member)
            awards = [
                change_to_dict(change, ledger.book.offset)
                for change in entry.changes
                if isinstance(change, Earned | Scored | Withheld)
            ]
            told = [award for line in quoted.earn.lines for award in line.awards]
            assert sorted(map(str, told)) == sorted(map(str, awards))
        small.close()


@pytest.mark.parametrize("seed", range(6))
def test_the_most_that_may_be_redeemed_is_granted_and_the_next_step_is_refused_as_told(seed: int) -> None:
    with scratch() as place:
        small = SmallLedger(place / "ledger")
        small.hears(histories_of(Random(seed), members=6, length=60))
        small.decides()
        ledger = small.ledger
        at = max(small.ledger.journal(p).head().recorded for p in ledger.partitions) + SECOND
        granted = 0
        for member in [f"m-{n}" for n in range(6)]:
            for use in quote(ledger, member, json.dumps(CART).encode(), at).redeem:
                asked = {"use": use.use, "order": "C1", "settlement_fen": 363_900}
                step = 1_000 if use.use == "offset" else 1
                more = {**asked, "points": use.most + step}
                small.hears([fact("redemption.requested", f"more-{use.use}", member, at, redemption="R+", **more)])
                small.decides()
                entry = last_entry(ledger, member)
                assert (entry.outcome, entry.reason, entry.figures) == (
                    REFUSED,
                    use.no_more.reason,
                    use.no_more.figures,
                )
                if use.most and not granted:
                    most = {**asked, "points": use.most}
                    small.hears([fact("redemption.requested", "most", member, at, redemption="R=", **most)])
                    small.decides()
                    assert last_entry(ledger, member).outcome == ACCEPTED
                    granted = use.most
                    break
        small.close()
        assert granted or seed, "a history in which nobody has anything shows little"


def test_a_quote_changes_nothing_and_names_may_be_used_that_it_used() -> None:
    at = instant("2025-11-11 10:00")
    with scratch() as place:
        ledger = ingested(place, [fact("order.completed", "f1", "m-1", at, order="quote", **CART)])
        heads = [ledger.journal(p).head() for p in ledger.partitions]
        quoted = quote(ledger, "m-1", json.dumps(CART).encode(), at)
        assert (quoted.outcome, quoted.earn.points) == ("accepted", {"beans": 359})
        named = quote(ledger, "m-1", json.dumps({**CART, "order": "quote"}).encode(), at)
        assert named.earn.points == {"beans": 359}
        assert [ledger.journal(p).head() for p in ledger.partitions] == heads
        again = quote(ledger, "m-9", json.dumps(CART).encode(), at)
        assert not again.known and again.earn.points == {"beans": 359}
        ledger.close()


def test_an_order_that_was_redeemed_for_beyond_its_share_takes_no_more() -> None:
    at = instant("2025-11-11 10:00")
    redeemed = {"redemption": "R1", "points": 1_000, "use": "offset", "order": "O1", "settlement_fen": 4_000}
    with scratch() as place:
        small = SmallLedger(place / "ledger")
        small.hears(
            [
                fact("campaign.granted", "f1", "m-1", at, grant="G1", campaign="618", points=5_000),
                fact("redemption.requested", "f2", "m-1", at, **redeemed),
            ]
        )
        small.decides()
        assert last_entry(small.ledger, "m-1").outcome == ACCEPTED
        cart = {"order": "O1", "lines": [{"line": "1", "paid_fen": 1_900}]}
        quoted = quote(small.ledger, "m-1", json.dumps(cart).encode(), at)
        told = {use.use: (use.most, use.no_more.reason) for use in quoted.redeem}
        assert told == {"offset": (0, "above-share"), "top-up": (0, "settlement-too-small")}
        small.close()


@pytest.mark.parametrize(
    "cart",
    [
        b"{",
        b"[]",
        b"[" * 10_000,
        b'{"lines": []}',
        b'{"lines": [{"line": "1", "paid_fen": 1.5}]}',
        b'{"lines": [{"line": "1", "paid_fen": 100}], "settlement_fen": "1"}',
        b'{"lines": [{"line": "1", "paid_fen": 100}], "settlement_fen": -1}',
    ],
)
def test_what_is_no_cart_is_said_so(cart: bytes) -> None:
    with scratch() as place:
        ledger = ingested(place, [])
        with pytest.raises(BadFact):
            quote(ledger, "m-1", cart, instant("2025-11-11"))
        ledger.close()


def test_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cart.json"
    file.write_text(json.dumps(CART), encoding="utf-8")
    with scratch() as place:
        ledger = ingested(place, [fact("order.completed", "f1", "m-1", instant("2025-11-11"), order="O1", **CART)])
        ledger.close()
        common = ["--ledger", str(ledger.place), "quote", "m-1", str(file), "--at", "2025-11-12"]
        assert run(common) == 0
        shown = capfd.readouterr().out
        assert "line 1           +359 beans" in shown and "no more: balance-too-small" in shown
        assert run([*common, "--json"]) == 0
        assert json.loads(capfd.readouterr().out)["redeem"][0]["use"] == "offset"
        file.write_text("{}", encoding="utf-8")
        assert run(common) == 3
        assert "no cart: bad-fact" in capfd.readouterr().err


def test_cards_are_offered_at_the_price_that_a_purchase_is_then_judged_by(tmp_path: Path) -> None:
    month = '"plus.month" = { '
    toml = shipped("jd").replace(month, month + "who = { attribute = { credit = { at_least = 30 } } }, ")
    ledger = open_or_create(tmp_path / "ledger", toml)
    offers = {card.product: card for card in products(ledger, "m", instant("2025-11-11")).products}
    why = "none of: attribute.credit, is unknown; score.jd-value, is 0"
    assert (offers["plus.annual"].price_fen, offers["plus.annual"].why) == (14_900, why)
    assert (offers["plus.quarter"].price_fen, offers["plus.quarter"].eligible) == (None, True)
    assert (offers["plus.month"].price_fen, offers["plus.month"].why) == (None, "attribute.credit, is unknown")
    assert offers["plus.trial"].trial and offers["plus.trial"].eligible


def test_points_of_a_shop_are_offered_for_a_cart_of_that_shop() -> None:
    lines = [{"line": "1", "sku": "s", "quantity": 1, "paid_fen": 100_000}]
    at = instant("2025-07-03")
    with scratch() as folder:
        small = SmallLedger(folder / "ledger", book=shipped("enterprise-shop"))
        small.hears(
            [
                fact("member.joined", "j", "m", at - 2 * SECOND, shop="a"),
                fact("order.completed", "o", "m", at - SECOND, order="O1", shop="a", lines=lines),
            ]
        )
        small.decides()
        for shop, most in (("a", 500), ("b", 0)):
            cart = json.dumps({"lines": lines, "shop": shop, "settlement_fen": 1_000}).encode()
            [offered] = quote(small.ledger, "m", cart, at).redeem
            assert (offered.kind, offered.most, offered.worth_fen) == ("shop-points", most, most)
        small.close()


def test_a_cart_that_would_pass_what_a_store_holds_is_quoted_as_it_would_be_decided(tmp_path: Path) -> None:
    small = SmallLedger(tmp_path / "ledger")
    at = instant("2026-03-01")
    most = {"campaign": "c", "points": MAX_INT}
    small.hears(fact("campaign.granted", f"f{n}", "m-1", at, grant=f"G{n}", **most) for n in range(512))
    small.decides()
    quoted = quote(small.ledger, "m-1", json.dumps(CART).encode(), at + SECOND)
    small.hears([fact("order.completed", "o", "m-1", at + SECOND, order="O1", **CART)])
    small.decides()
    decided = last_entry(small.ledger, "m-1")
    assert (decided.reason, decided.changes) == ("out-of-range", [])
    assert (quoted.outcome, quoted.reason) == ("ignored", "out-of-range")
    assert small.ledger.account("m-1", at + 800 * DAY), "what falls due is told, whatever it comes to"
    small.close()
