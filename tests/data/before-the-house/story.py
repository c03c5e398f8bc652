"""The facts of the ledgers that are kept here: some 40 members, every type of fact, every outcome, nearly every reason.

Most are histories of `tests/histories.py`, whose seeds were looked for so that together they meet nearly every reason
and every change there is. What no history meets is told by hand. A fact has a time at which it is told, which is later
than when it occurred where it is late; by that time the stories of all members are merged into one stream.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from tests.histories import history

Fact = dict[str, Any]
# Seeds whose fourteen facts or so meet, together, nearly all that can be decided under the shipped book.
EARLY_SEEDS = (17837, 5077, 8034, 2050, 11765, 19351, 12378, 2071, 2096, 15998, 619, 700, 1244)
LATE_SEEDS = (
    *(5004, 5012, 5018, 5025, 5032, 5034, 5037, 5040, 5042, 5046, 5049),
    *(5053, 5055, 5067, 5068, 5069, 5074, 5075, 5079, 5084, 5086, 5092),
)
LONG_SEED = 579  # of a member who has so many entries that a snapshot of her account is kept
EARLY, LATE = datetime(2025, 3, 1, 1, tzinfo=UTC), datetime(2026, 1, 20, 1, tzinfo=UTC)
TURN = datetime(2026, 1, 1, tzinfo=UTC)  # between the two files
LAST = datetime(2026, 11, 20, tzinfo=UTC)  # nothing that is told here occurred later
LONG, SHORT, MORE = 75, 10, 3  # facts of a history, and those of it that come when all else was kept

# Told by hand; with a name that has to be escaped; on trial when the ledgers are made; of the long history.
HAND, ODD, NEW, BUSY = "m-2001", "会员/七 &<7>", "m-2002", "m-1014"
SHOP, OPERATORS = "/shop/orders", "/operators"
MOST = (1 << 53) - 1
TOO_LONG = (1 << 20) + 1


def fact(kind: str, name: str, time: str, member: str = HAND, source: str = SHOP, /, **data: Any) -> Fact:
    """A fact; a time without an offset is Shanghai's."""
    when = datetime.fromisoformat(time)
    when = when if when.tzinfo else datetime.fromisoformat(f"{time}+08:00")
    whole = {"specversion": "1.0", "id": name, "source": source, "type": f"{kind}.v1", "subject": member}
    return {**whole, "time": when.isoformat(), "data": data}


def second_book(shipped: str) -> str:
    """The second version of the book, from November 2025: another kind of points, rates, and debt in place of cash."""
    changes = {
        "from = 2017-09-14\nutc": "from = 2025-11-01\nutc",
        "late_days = 400 ": "late_days = 200 ",
        'shortfall = "cash" ': 'shortfall = "debt" ',
        "# rates = { phone = 50 }": "rates = { phone = 50 }",
        "give = { points = 10, per_fen = 10_000, floor_fen = 1_000 }": "give = { points = 12, per_fen = 10_000 }",
        "\n# -- score ": f"\n{_COINS}\n# -- score ",
        "\n# -- uses": f"\n{_AWARDS}\n# -- uses",
        "\n# -- penalties": f"\n{_USE}\n# -- penalties",
    }
    for old, new in changes.items():
        assert shipped.count(old) == 1, old
        shipped = shipped.replace(old, new)
    return shipped


_COINS = """[kinds.coins]
name = "金币"
fen = 10
burn = "oldest"
shortfall = "clamp"
expiry = [{ from = 2025-11-01, days = 90 }]
"""
_AWARDS = """[[award]]
rule = "purchase.coins"
name = "购物返金币"
text = "1 coin for each ¥50 paid"
on = "order.completed"
each = "line"
kind = "coins"
when = { tags = { has = "coins" } }
give = { points = 1, per_fen = 5_000 }

[[award]]
rule = "jackpot"
name = "头奖"
text = "a million coins for each fen paid"
on = "order.completed"
each = "line"
kind = "coins"
when = { tags = { has = "jackpot" } }
give = { points = 1_000_000, per_fen = 1 }
"""
_USE = """[uses.toy]
name = "换玩具"
kinds = ["coins"]
"""


def third_book(second: str) -> str:
    """The third version, which is published by hand on the day the ledgers are made: dearer sign-ins."""
    return second.replace("from = 2025-11-01\nutc", "from = 2026-11-01\nutc").replace(
        'on = "member.signed-in"\nkind = "beans"\ngive = { points = 1 }\ncap = [{ per = "day", points = 1 }]',
        'on = "member.signed-in"\nkind = "beans"\ngive = { points = 2 }\ncap = [{ per = "day", points = 2 }]',
    )


def draft(second: str) -> str:
    """A draft to be tried on the history."""
    return second.replace("points = 12, per_fen = 10_000", "points = 20, per_fen = 10_000")


def files(shipped: str) -> dict[str, bytes]:
    """The files of facts: two that are taken in first, and what comes when all else was kept."""
    told = sorted(_told(shipped), key=lambda pair: pair[0])
    first = [_line(fact) for when, fact in told if when < TURN]
    second = [_line(fact) for when, fact in told if when >= TURN]
    for place, line in enumerate(no_facts(), 1):
        second.insert(place * 12, line)
    again = [first[0], first[9], first[40], _line({**json.loads(first[5]), "time": "2026-10-01T12:00:00+08:00"})]
    cut_off = b'{"specversion":"1.0","id":"cut-off","source":"/shop/orders","type":"member.sig'
    return {
        "facts-2025.ndjson": b"".join(line + b"\n" for line in first),
        "facts-2026.ndjson": b"".join(line + b"\n" for line in second + again) + cut_off,
        "next.ndjson": b"".join(_line(fact) + b"\n" for fact in _next()),
    }


def no_facts() -> list[bytes]:
    """Lines that are no facts, each for a reason of its own."""
    start = b'{"specversion":"1.0","id":"p","source":"/shop/orders","subject":"m-2001","time":"2026-02-01T00:00:00Z"'
    return [
        b"{",
        b'{"specversion":"1.0","id":"\xff"}',
        start + b',"type":"order.paid.v1","data":{"order":"O"}}',
        start + b',"type":"order.lost.v1","data":{}}',
        start + b',"type":"member.signed-in.v1","data":{"day":' + b"[" * 20 + b"]" * 20 + b"}}",
        start + b',"type":"account.frozen.v1","data":{}}',
        start.replace(b"2026-02-01", b"2999-02-01") + b',"type":"member.signed-in.v1"}',
        start + b',"type":"member.signed-in.v1","padding":"' + b"x" * TOO_LONG + b'"}',
    ]


def _line(fact: Fact) -> bytes:
    return json.dumps(fact, ensure_ascii=False, separators=(",", ":")).encode()


def _histories() -> Iterator[tuple[str, list[Fact], int]]:
    """Each member's history with what comes later, and how much of it comes first."""
    number = 1_001
    for seed in EARLY_SEEDS:
        length = len(history(Random(seed), 14, f"m-{number}", EARLY))
        yield f"m-{number}", history(Random(seed), length + MORE, f"m-{number}", EARLY), length
        number += 1
    yield BUSY, history(Random(LONG_SEED), LONG + MORE, BUSY, EARLY), LONG
    number += 1
    for seed in LATE_SEEDS:
        yield f"m-{number}", history(Random(seed), SHORT + MORE, f"m-{number}", LATE), SHORT
        number += 1


def _told(shipped: str) -> Iterator[tuple[datetime, Fact]]:
    """Facts with when they are told."""
    for _, facts, length in _histories():
        yield from _in_order(facts[:length])
    yield from _in_order(_by_hand())
    yield from _in_order(_odd())
    yield from _in_order(_new())
    yield from _in_order(_programmes(shipped))


def _in_order(facts: list[Fact]) -> Iterator[tuple[datetime, Fact]]:
    latest = datetime(1970, 1, 1, tzinfo=UTC)
    for fact in facts:
        occurred = datetime.fromisoformat(fact["time"]).astimezone(UTC)
        latest = max(latest, occurred)
        if latest < LAST:
            yield latest, fact


def _next() -> Iterator[Fact]:
    """What comes when all else was kept: it names orders, holds, cards and redemptions of before, and comes again."""
    for _, facts, length in _histories():
        # Of members with a history the clock may stand later than these; such facts are late then.
        yield from (fact for _, fact in _in_order(facts[length : length + MORE]))
    more = {"order": "O1", "return": "T9", "lines": [{"line": "1", "quantity": 1, "refund_fen": 359_900}]}
    yield fact("order.returned", "o1-back-again", "2026-11-10T09:00:00", ODD, **more)
    yield fact("hold.captured", "h1-captured", "2026-11-10T10:00:00", ODD, hold="H1")
    yield fact("redemption.reversed", "r1-reversed", "2026-11-10T11:00:00", ODD, redemption="R1")
    yield fact("benefit.claimed", "b2", "2026-11-10T12:00:00", ODD, claim="B2", benefit="shipping")
    yield fact("member.signed-in", "s-1", "2025-12-20T09:00:00", ODD)  # as it came before
    yield fact("member.signed-in", "s-1", "2026-11-11T09:00:00", ODD)  # and otherwise
    yield fact("card.purchased", "c2", "2026-11-11T10:00:00", NEW, card="C2", product="plus.month", paid_fen=1_990)
    yield fact("member.signed-in", "new", "2026-11-12T09:00:00", "m-9999")


def _by_hand() -> list[Fact]:
    """What the histories do not meet."""
    order = {"order": "O1", "lines": [bought("1", 100_000, "books")], "tags": ["coins"]}
    odd_order = {"order": "O9", "lines": [bought("1", 5_000, "food")], "pay": "jd-pay", "channel": "mini", "shop": "s"}
    back = {"return": "T1", "order": "O1", "lines": [{"line": "1", "quantity": 1, "refund_fen": 100_000}]}
    asked = {"points": 100, "use": "coupon"}
    return [
        fact("member.signed-in", "too-early", "2016-05-01T09:00:00"),
        fact("credit.scored", "credit", "2025-11-02T09:00:00", score=77),
        fact("reputation.rated", "one-star", "2025-11-02T10:00:00", stars=1),
        fact("profile.completed", "profile", "2025-11-02T10:30:00"),
        fact("order.completed", "O1-done", "2025-11-03T10:00:00", **order),
        fact(
            "redemption.requested", "toy", "2025-11-04T10:00:00", redemption="toy", points=15, use="toy", kind="coins"
        ),
        fact("order.returned", "T1", "2025-11-05T10:00:00", **back),
        fact("redemption.requested", "r-1", "2025-11-05T11:00:00", redemption="r-1", kind="coins", **asked),
        fact("redemption.requested", "r-2", "2025-11-05T12:00:00", redemption="r-2", kind="stars", **asked),
        fact("redemption.requested", "r-3", "2025-11-05T13:00:00", redemption="r-3", points=1, use="barter"),
        fact("redemption.requested", "r-4", "2025-11-05T14:00:00", redemption="r-4", points=1_000, use="offset"),
        fact("redemption.requested", "r-5", "2025-11-05T15:00:00", redemption="r-5", points=900_000, use="coupon"),
        fact("card.purchased", "c-1", "2025-11-06T09:00:00", card="c-1", product="plus.trial", paid_fen=0),
        fact("card.trial-started", "c-2", "2025-11-06T10:00:00", card="c-2", product="plus.annual"),
        fact("card.purchased", "c-3", "2025-11-06T11:00:00", card="c-3", product="gold", paid_fen=1),
        fact("card.code-redeemed", "c-4", "2025-11-06T12:00:00", card="c-4", product="plus.month", code="x"),
        fact("benefit.claimed", "b-1", "2025-11-07T09:00:00", claim="b-1", benefit="iqiyi"),
        fact("benefit.claimed", "b-2", "2025-11-07T10:00:00", claim="b-2", benefit="sauna"),
        fact("hold.requested", "h-1", "2025-11-08T09:00:00", hold="h-1", points=1, until="2025-11-07T09:00:00+08:00"),
        fact(
            "order.completed",
            "jackpot",
            "2025-11-09T09:00:00",
            order="J",
            lines=[bought(str(n), MOST, "books") for n in range(1, 4)],
            tags=["jackpot"],
        ),
        fact("account.frozen", "frozen", "2025-11-10T09:00:00", HAND, OPERATORS, reason="fraud"),
        fact("redemption.requested", "r-6", "2025-11-10T10:00:00", redemption="r-6", points=1, use="coupon"),
        fact("account.unfrozen", "thawed", "2025-12-10T11:00:00", HAND, OPERATORS),
        fact("account.frozen", "frozen-again", "2025-12-11T11:00:00", HAND, OPERATORS, reason="fraud"),
        fact("order.completed", "O9-done", "2026-03-03T10:00:00.123456", **odd_order),
    ]


def _odd() -> list[Fact]:
    """A member with an odd name, who goes on later with what she has open."""
    member, order = ODD, {"order": "O1", "lines": [bought("1", 719_800, "phone", 2), bought("2", 9_900, "food")]}
    opening = {"lot": "L1", "points": 500, "earned_at": "2024-06-18T00:00:00Z", "expires_at": "2027-06-18T00:00:00Z"}
    one_back = {"order": "O1", "return": "T1", "lines": [{"line": "1", "quantity": 1, "refund_fen": 359_900}]}
    return [
        fact("lot.opened", "L1", "2025-12-18T00:00:00", member, OPERATORS, **opening),
        fact("card.purchased", "C1", "2025-12-18T09:00:00", member, card="C1", product="plus.annual", paid_fen=19_900),
        fact("order.completed", "O1-done", "2025-12-19T09:00:00", member, **order),
        fact("member.signed-in", "s-1", "2025-12-20T09:00:00", member),
        fact("review.posted", "V1", "2025-12-21T09:00:00", member, review="V1", order="O1", line="2", characters=20),
        fact("order.returned", "T1", "2025-12-22T09:00:00", member, **one_back),
        fact("benefit.claimed", "b1", "2025-12-23T09:00:00", member, claim="B1", benefit="check-up", order="O1"),
        fact("redemption.requested", "R1", "2025-12-24T09:00:00", member, redemption="R1", points=300, use="coupon"),
        fact(
            "hold.requested",
            "H1",
            "2026-10-25T09:00:00",
            member,
            hold="H1",
            points=200,
            until="2027-12-25T09:00:00+08:00",
        ),
        fact("item.shared", "S1", "2026-10-26T09:00:00", member, share="S1", sku="1", via="wechat"),
    ]


def _new() -> list[Fact]:
    """A member who gave back in cash what a return could not find, and is on trial when the ledgers are made."""
    first = {"order": "O1", "lines": [bought("1", 500_000, "phone")]}
    second = {"order": "O2", "lines": [bought("1", 359_900, "phone")], "tags": ["coins"]}
    back = {"order": "O1", "return": "T1", "lines": [{"line": "1", "quantity": 1, "refund_fen": 500_000}]}
    return [
        fact("order.completed", "O1-done", "2025-04-01T09:00:00", NEW, **first),
        fact("redemption.requested", "R1", "2025-04-02T09:00:00", NEW, redemption="R1", points=400, use="coupon"),
        fact("order.returned", "T1", "2025-04-10T09:00:00", NEW, **back),
        fact("card.trial-started", "C1", "2026-11-05T09:00:00", NEW, card="C1", product="plus.trial"),
        fact("order.completed", "O2-done", "2026-11-06T09:00:00", NEW, **second),
    ]


def _programmes(shipped: str) -> list[Fact]:
    """Two books that are published: one that can be used, and one that cannot."""
    text = {"toml": second_book(shipped), "by": "li.wei"}
    return [
        fact("programme.published", "book-2", "2025-04-15T09:00:00", "programme", OPERATORS, **text),
        fact("programme.published", "book-x", "2026-02-15T09:00:00", "programme", OPERATORS, toml="nonsense"),
    ]


def bought(line: str, paid_fen: int, category: str, quantity: int = 1) -> dict[str, Any]:
    return {"line": line, "sku": f"sku-{line}", "category": category, "quantity": quantity, "paid_fen": paid_fen}


def live(now: datetime) -> bytes:
    """Facts of the present, which have an age: a request that is too old, one in time, and what they need."""
    stale, soon = now - timedelta(days=3), now + timedelta(days=30)
    facts = [
        fact("campaign.granted", "live-1", now.isoformat(), BUSY, grant="g-live", campaign="11.11", points=700),
        fact("redemption.requested", "live-2", stale.isoformat(), BUSY, redemption="r-live", points=20, use="draw"),
        fact("redemption.requested", "live-3", now.isoformat(), BUSY, redemption="r-live", points=20, use="draw"),
        fact("hold.requested", "live-4", now.isoformat(), BUSY, hold="h-live", points=30, until=soon.isoformat()),
        fact("member.signed-in", "live-5", now.isoformat(), ODD),
    ]
    return b"".join(_line(one) + b"\n" for one in facts)


def write(folder: Path, shipped: str) -> None:
    """Write the files of facts into a folder."""
    for name, content in files(shipped).items():
        (folder / name).write_bytes(content)
