"""Every spent, moved or given point can be reached (law 10), over made-up histories of all that members do together.

Members buy, return, redeem, review, exchange, give, hold, claim at a price (alone, of a stock, in a house), are
adjusted and fined, merge and part. Then all of it is undone, in any order, each under the name it was done under,
wherever that lives by now. What is there then is what was put in from outside, and nothing else: what orders gave is
taken back to the last point, and all that was spent is there again. No points expire here.
"""

from random import Random
from typing import Any

import pytest

from ledger.core.pages import TransferPage
from ledger.wire.entries import ClawedBack, DebtIncurred, Earned
from tests.core.test_laws_of_merges import is_current
from tests.support.bundles import problems_of_names
from tests.support.shop import OPERATORS
from tests.support.town import Town

BOOK = """
programme = "corner"
name = "街角"
from = 2025-01-01
utc_offset = "+08:00"

[kinds.beans]
name = "豆"
expiry = [{ from = 2025-01-01, days = 3_650 }]

[kinds.coins]
name = "币"
expiry = [{ from = 2025-01-01, days = 3_650 }]

[exchanges.swap]
name = "换币"
takes = "beans"
gives = "coins"
rate = [{ from = 2025-01-01, take = 1, give = 2 }]

[penalties.late]
name = "迟到"
on = "activity.done"
when = { activity = { in = ["late"] } }
points = 6
kind = "beans"

[uses.any]
name = "兑换"
kinds = ["beans"]

[uses.offset]
name = "抵扣"
kinds = ["beans"]
order = true

[transfers.gift]
name = "赠豆"
kind = "beans"
fee = "1/10"

[benefits.ticket]
name = "门票"
quota = 50
per = "ever"
price = [{ kind = "beans", points = 5 }]

[benefits.seat]
name = "座位"
quota = 50
per = "ever"
stock = 4
price = [{ kind = "beans", points = 7 }]

[memberships.club]
name = "会员卡"
[memberships.club.products]
"club.year" = { days = 3_000, on_refund = "claw-back", seats = 3 }
[memberships.club.benefits.lounge]
name = "休息室"
quota = 2
per = "term"
price = [{ kind = "beans", points = 9 }]

[[award]]
rule = "quiz"
name = "答题"
on = "activity.done"
kind = "beans"
when = { activity = { in = ["quiz"] } }
give = { points = 8 }

[[award]]
rule = "review"
name = "评价"
on = "review.posted"
kind = "beans"
give = { points = 3 }

[[award]]
rule = "rate"
name = "会员返豆"
on = "order.completed"
each = "line"
kind = "beans"
member = "club"
instead_of = "plain"
give = { points = 2, per_fen = 100 }

[[award]]
rule = "plain"
name = "返豆"
on = "order.completed"
each = "line"
kind = "beans"
give = { points = 1, per_fen = 100 }
"""
NAMES = ("A", "B", "C")
HOUSE = "house/lin"
GIVEN = {"lot.opened", "adjustment"}  # what comes from outside, and stays


class Story:
    """A made-up history. `undo` are the facts that undo what was done: the member, the type, its data and source."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.town = Town(BOOK, "2025-04-01 10:00")
        self.undo: list[tuple[str, str, dict[str, Any], str]] = []
        self.lots: list[tuple[str, str]] = []
        self.count = self.hours = 0
        for name in NAMES:
            self.town.opens(name, f"L{name}", 60, "2034-01-01")
        self.town.tells(HOUSE, "card.purchased", card="H1", product="club.year", paid_fen=9_900)

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def told(self, subject: str, type_: str, source: str = "/shop", /, **data: Any) -> None:
        self.hours += self.random.choice((0, 0, 1, 30))
        at = f"2025-{4 + self.hours // 720:02}-{1 + self.hours // 24 % 28:02} {self.hours % 24:02}:00"
        self.town.tells(subject, type_, at, source, **data)
        self.town.check()

    def undone_by(self, member: str, type_: str, source: str = "/shop", /, **data: Any) -> None:
        self.undo.append((member, type_, data, source))

    def orders(self, member: str) -> None:
        order = self.name("O")
        entry = len(self.town.member(member).entries) + 1
        lines = [{"line": "1", "paid_fen": self.random.randint(100, 9_000), "quantity": 2}]
        if self.random.random() < 0.4:
            redemption = self.name("R")
            of = {"redemption": redemption, "use": "offset", "order": order, "settlement_fen": 100_000}
            self.told(member, "redemption.requested", points=self.random.randint(1, 40), **of)
            entry += 1
        self.told(member, "order.completed", order=order, lines=lines)
        self.lots.append((member, f"{entry}.1"))
        back = {"return": self.name("T"), "order": order, "lines": [{"line": "1", "quantity": 2, "refund_fen": 1}]}
        self.undone_by(member, "order.returned", **back)
        if self.random.random() < 0.3:
            review = self.name("V")
            self.told(member, "review.posted", review=review, order=order, line="1", characters=30)
            self.undone_by(member, "review.removed", review=review)
        if self.random.random() < 0.5:
            part = {"line": "1", "quantity": 1, "refund_fen": self.random.randint(0, 3_000)}
            self.told(member, "order.returned", **{"return": self.name("T"), "order": order, "lines": [part]})

    def spends(self, member: str) -> None:
        ways = ("redeem", "hold", "capture", "ticket", "seat", "lounge", "gift", "ended", "exchange", "quiz", "late")
        what = self.random.choice(ways)
        name, points = self.name("S"), self.random.randint(1, 40)
        if what == "ended":
            of = {"redemption": name, "use": "offset", "order": f"E{name}", "settlement_fen": 100_000}
            self.told(member, "redemption.requested", points=points, **of)
            self.undone_by(member, "order.cancelled", order=f"E{name}")
        elif what == "exchange":
            self.told(member, "exchange.requested", request=name, exchange="swap", points=points)
            self.undone_by(member, "exchange.reversed", request=name)
        elif what in ("quiz", "late"):
            self.told(member, "activity.done", done=name, activity=what)
            self.undone_by(member, "activity.undone", done=name)
        elif what == "redeem":
            self.told(member, "redemption.requested", redemption=name, points=points, use="any")
            self.undone_by(member, "redemption.reversed", redemption=name)
        elif what in ("hold", "capture"):
            self.told(member, "hold.requested", hold=name, points=points, until="2030-01-01T00:00:00Z")
            if what == "capture":
                self.told(member, "hold.captured", hold=name, points=max(points // 2, 1))
            self.undone_by(member, "hold.released", hold=name)
            self.undone_by(member, "redemption.reversed", redemption=name)
        elif what == "gift":
            to = self.random.choice(NAMES)
            self.told(member, "transfer.requested", transfer=name, rule="gift", to=to, points=points)
            self.undone_by(member, "transfer.reversed", OPERATORS, transfer=name)
        else:
            self.told(member, "benefit.claimed", claim=name, benefit=what)
            for of in NAMES if what == "lounge" else (member,):  # it is under the name that has the seat
                self.undone_by(of, "benefit.returned", claim=name)

    def step(self) -> None:
        random, member = self.random, self.random.choice(NAMES)
        what = random.choice(("order", "order", "spend", "spend", "spend", "card", "seat", "adjust", "names"))
        if what == "order":
            self.orders(member)
        elif what == "spend":
            self.spends(member)
        elif what == "card":
            card = self.name("K")
            self.told(member, "card.purchased", card=card, product="club.year", paid_fen=5_000)
            self.undone_by(member, "card.refunded", card=card, refund_fen=5_000)
        elif what == "seat":
            kind = random.choice(("house.joined", "house.joined", "house.left"))
            self.told(HOUSE, kind, house="lin", member=member, card="H1")
        elif what == "adjust":
            about = {"adjustment": self.name("J"), "reason": "test", "by": "ann", "approved_by": "bob"}
            points = random.randint(-30, 20) or 1
            aimed = {}
            if points < 0 and self.lots and random.random() < 0.8:
                member, lot = random.choice(self.lots)
                aimed = {"of": {"lot": lot}}
            self.told(member, "points.adjusted", OPERATORS, points=points, **about, **aimed)
        else:
            self.meets_or_parts(member)

    def meets_or_parts(self, member: str) -> None:
        bundle = self.town.member(member).account.bundle
        names = list(bundle.names) if bundle is not None else []
        if names and self.random.random() < 0.6:
            self.told(member, "member.unmerged", OPERATORS, name=self.random.choice(names))
        else:
            self.told(member, "member.merged", OPERATORS, into=self.random.choice(NAMES))

    def delivers(self, share: float = 0.5) -> None:
        while self.town.post and self.random.random() < share:
            self.town.delivers(self.random.randrange(len(self.town.post)))
            self.town.check()

    def undoes_all(self) -> None:
        """Undo all in any order, while names still meet and part; again until nothing moves any more.

        What a receiver got back of a gift goes back the next time.
        """
        self.random.shuffle(self.undo)
        for member, type_, data, source in self.undo:
            self.told(member, type_, source, **data)
            if self.random.random() < 0.1:
                self.meets_or_parts(self.random.choice(NAMES))
            self.delivers()
        self.delivers(2)
        before = None
        while before != (before := self.figures()):
            for member, type_, data, source in self.undo:
                self.told(member, type_, source, **data)
                self.delivers()
            self.delivers(2)

    def figures(self) -> list[tuple[int, int, int, int]]:
        purses = [self.town.member(name).purse() for name in NAMES]
        return [(purse.spendable(), purse.redeemed, purse.held(), purse.debt) for purse in purses]

    def outside(self) -> int:
        """What came from outside, less what adjustments took that were aimed at nothing."""
        found = 0
        for name in NAMES:
            for change in (change for entry in self.town.member(name).entries for change in entry.changes):
                if isinstance(change, Earned) and change.rule in GIVEN:
                    found += change.points
                elif isinstance(change, ClawedBack | DebtIncurred) and change.origin == "adjustment":
                    found -= change.points
        return found

    def fees(self) -> int:
        """What of gifts is burned because their receivers have used them up otherwise."""
        pages = [
            page
            for name in NAMES
            for key, page in self.town.member(name).pages.items()
            if isinstance(page, TransferPage) and is_current(self.town, name, key)
        ]
        return sum(part.points - part.restored for page in pages for part in page.fee)


def run(seed: int, steps: int = 45) -> Story:
    story = Story(seed)
    for _ in range(steps):
        story.step()
        story.delivers()
    story.delivers(2)
    story.undoes_all()
    town, purses = story.town, [story.town.member(name).purse() for name in NAMES]
    assert town.in_transit == 0
    assert not any(purse.held() or purse.pending() or purse.expired for purse in purses)
    fees = story.fees()
    assert sum(purse.redeemed for purse in purses) == fees, "all that was spent is back"
    assert sum(purse.spendable() - purse.debt for purse in purses) == story.outside() - fees
    coins = [town.member(name).purse("coins") for name in NAMES]
    assert not any(purse.spendable() or purse.debt for purse in coins), "all that was exchanged is back"
    assert not list(problems_of_names({name: town.member(name).account for name in NAMES}))
    town.check_streams()
    return story


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(3, 300))]
)
def test_all_that_members_did_together_is_undone_wherever_it_lives(seed: int) -> None:
    run(seed)
