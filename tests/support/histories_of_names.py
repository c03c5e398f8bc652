"""What is told to members who merge and part, of all that stands under a name and is summed over names.

Beside what `histories_of_members` tells of merges: scores and their tiers, attributes, reviews, activities with their
penalties, holds, grants of points and of tiers, caps and marks, cards of their own, adjustments, whole returns.
"""

from datetime import timedelta
from random import Random
from typing import Any

from tests.support.histories_of_members import ABOUT, OPERATORS, _Maker, book_of_members

MORE = """
[uses.offset]
name = "抵扣"
kinds = ["beans"]
order = true
share = "1/2"
cap = [{ per = "month", points = 90 }]

[attributes.kind]
name = "身份"
values = ["person", "company"]

[attributes.birthday]
name = "生日"
type = "month-day"

[scores.value]
name = "价值"
window_months = 2
parts = { spent = "消费", said = "评价" }
tiers = [{ at_least = 20, name = "silver" }, { at_least = 90, name = "gold" }]

[scores.level]
name = "等级"
settle = "at-once"
window = "life"
parts = { spent = "消费", said = "评价" }
tiers = [{ at_least = 15, name = "bronze" }, { at_least = 60, name = "silver" }, { at_least = 150, name = "gold" }]

[[award]]
rule = "value.spent"
name = "消费分"
on = "order.completed"
each = "line"
score = "value"
part = "spent"
give = { points = 1, per_fen = 300 }

[[award]]
rule = "level.spent"
name = "消费分"
on = "order.completed"
each = "line"
score = "level"
part = "spent"
give = { points = 1, per_fen = 400 }

[[award]]
rule = "first"
name = "新品类"
on = "order.completed"
each = "line"
kind = "beans"
first = "category"
give = { points = 11 }

[[award]]
rule = "days"
name = "三日"
on = "order.completed"
score = "value"
part = "spent"
days_in_month = 3
give = { points = 13 }

[[award]]
rule = "gold"
name = "金卡"
on = "order.completed"
each = "line"
kind = "beans"
who = { tier = { level = { in = ["silver", "gold"] } } }
cap = [{ per = "day", points = 17 }, { per = "month", points = 40 }]
give = { points = 1, per_fen = 700 }

[[award]]
rule = "company"
name = "企业"
on = "order.completed"
kind = "beans"
who = { attribute = { kind = { in = ["company"] } } }
give = { points = 3 }

[[award]]
rule = "review"
name = "评价"
on = "review.posted"
kind = "beans"
within_days = 60
cap = [{ per = "month", points = 12 }]
give = { points = 5 }

[[award]]
rule = "level.review"
name = "评价分"
on = "review.posted"
score = "level"
part = "said"
give = { points = 4 }

[[award]]
rule = "once"
name = "首次"
on = "activity.done"
kind = "beans"
once = true
give = { points = 19 }

[[award]]
rule = "walk"
name = "步数"
on = "activity.done"
score = "value"
part = "said"
cap = [{ per = "month", points = 15 }]
give = { points = 6 }

[[award]]
rule = "signed"
name = "签到"
on = "member.signed-in"
kind = "beans"
cap = [{ per = "day", points = 2 }]
give = { points = 2 }

[[award]]
rule = "reached"
name = "升级"
on = "tier.reached"
kind = "beans"
when = { score = { in = ["level"] } }
give = { points = 7 }

[penalties.late]
name = "迟到"
on = "activity.done"
when = { activity = { in = ["late"] } }
points = 23
kind = "beans"
from_in_month = 2

[benefits.lounge]
name = "休息室"
quota = [{ who = { tier = { level = { in = ["gold"] } } }, times = 4 }, { times = 2 }]
per = "month"

[benefits.birthday]
name = "生日礼"
open = { month_of = "birthday" }
quota = 1
per = "year"
gives = [{ kind = "beans", points = 9 }]
"""
WEIGHTS = ABOUT["merges"] | {"merges": 20, "orders": 26, "spends": 18, "unspends": 6, "gives": 6, "recalls": 2}
WEIGHTS |= {"says": 24, "keeps": 14, "owns": 22, "operates": 6, "exchanges": 2, "sits": 3}


def book_of_names(random: Random) -> str:
    """Return the TOML of a book in which much is counted."""
    return book_of_members(random) + MORE


def facts_of_names(random: Random) -> list[dict[str, Any]]:
    """Return the facts of some members in the order of time."""
    return _Names(random).make(random.randint(50, 110))


class _Names(_Maker):
    def __init__(self, random: Random) -> None:
        super().__init__(random, "merges", has_peer=False)
        self.may_happen = [getattr(self, f"_{name}") for name in WEIGHTS]
        self.weights = list(WEIGHTS.values())
        self.members = self.members[:3]

    def _order(self, member: str) -> str:
        """One of the orders of a member, or of another of that id."""
        return f"{self.random.choice((member, member, member, self.members[0]))}-{self.random.randint(1, 5)}"

    def _orders(self, member: str) -> None:
        """An order as ever, or one that is paid, comes back whole, or is amended."""
        random, order = self.random, self._order(member)
        match random.choices(range(4), (10, 2, 5, 2))[0]:
            case 0:
                super()._orders(member)
            case 1:
                self._add(member, "order.paid", order=order, lines=[self._line(1)])
            case 2:
                back = {"line": "1", "quantity": 2, "refund_fen": 9_000, "points": random.choice((0, 10))}
                self._add(member, "order.returned", **{"return": f"W{len(self.facts)}"}, order=order, lines=[back])
            case _:
                self._add(member, "order.amended", order=order, lines=[self._line(1)])

    def _points(self) -> int:
        return self.random.choice((2, 5, 12, 40))  # few, so that much is spent whole, and then owed

    def _line(self, number: int) -> dict[str, Any]:
        return super()._line(number) | {"category": self.random.choice(("books", "tea", "shoes"))}

    def _says(self, member: str) -> None:
        """Something about a member that gives a score, a mark or an attribute."""
        random, number = self.random, len(self.facts)
        match random.choices(range(6), (6, 5, 6, 3, 4, 2))[0]:
            case 0:
                of = {"order": self._order(member), "line": "1", "characters": 20}
                self._add(member, "review.posted", review=f"V{random.randint(1, 20)}", **of)
            case 1:
                self._add(member, "review.removed", review=f"V{random.randint(1, 20)}")
            case 2:
                done = {
                    "done": f"{member}-D{random.randint(1, 8)}",
                    "activity": random.choice(("walk", "late", "late")),
                }
                self._add(member, "activity.done", **done)
            case 3:
                self._add(member, "activity.undone", done=f"{member}-D{random.randint(1, 8)}")
            case 4:
                told = {
                    "kind": random.choice(("person", "company", "", "cat")),
                    "birthday": random.choice(("03", "04-30")),
                }
                self._add(member, "member.described", attributes=told)
            case _:
                self._add(member, "member.signed-in", day="" if number % 2 else self.now.date().isoformat())

    def _keeps(self, member: str) -> None:
        """Points are held, spent on an order, granted, or adjusted."""
        random, number = self.random, len(self.facts)
        hold = f"{member}-H{random.randint(1, 4)}"
        match random.choices(range(6), (5, 4, 3, 5, 3, 3))[0]:
            case 0:
                until = (self.now + timedelta(days=random.choice((1, 9, 40)))).isoformat()
                self._add(member, "hold.requested", "/app", hold=hold, kind="beans", points=self._points(), until=until)
            case 1:
                self._add(member, random.choice(("hold.captured", "hold.released")), hold=hold)
            case 2:
                self._add(member, "redemption.reversed", redemption=hold)
            case 3:
                spent = {"redemption": f"R{number}", "points": random.choice((10, 30)), "use": "offset"}
                of = {"order": self._order(member), "settlement_fen": 9_000}
                self._add(member, "redemption.requested", "/app", kind="beans", **spent, **of)
            case 4:
                given = {"grant": f"{member}-P{random.randint(1, 4)}", "campaign": "c", "points": 40, "kind": "beans"}
                self._add(member, "campaign.granted", **given)
            case _:
                of = {"order": self._order(member), "line": "1"} if random.random() < 0.6 else None
                signed = {"by": "ann", "approved_by": "bob", "reason": "test", "adjustment": f"J{number}"}
                points = random.choice((-30, -8, 12))
                self._add(member, "points.adjusted", OPERATORS, kind="beans", points=points, of=of, **signed)

    def _owns(self, member: str) -> None:
        """A card of their own is bought, or given back, a tier is granted, or a benefit claimed."""
        random, number = self.random, len(self.facts)
        card = f"{member}-K{random.randint(1, 3)}"
        match random.choices(range(5), (6, 2, 2, 1, 6))[0]:
            case 0:
                product = random.choice(("club.single", "club.single", "club.year", "club.big"))
                self._add(member, "card.purchased", card=card, product=product, paid_fen=1)
            case 1:
                self._add(member, "card.refunded", card=card, refund_fen=1)
            case 2:
                until = (self.now + timedelta(days=random.choice((5, 40)))).isoformat()
                of = {"score": "level", "tier": random.choice(("silver", "gold")), "until": until}
                self._add(member, "tier.granted", OPERATORS, grant=f"T{number}", **of)
            case 3:
                self._add(member, "credit.scored", score=number)
            case _:
                claim = f"{member}-B{random.randint(1, 9)}"
                if random.random() < 0.7:
                    benefit = random.choice(("coupon", "monthly", "lounge", "birthday"))
                    self._add(member, "benefit.claimed", "/app", claim=claim, benefit=benefit)
                else:
                    self._add(member, "benefit.returned", "/app", claim=claim)
