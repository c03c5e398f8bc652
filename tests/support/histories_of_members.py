"""What is told to a simulated ledger whose members do things with each other.

They give each other points, draw from shared budgets and stocks, sit in houses, exchange with other ledgers, become one
and part. Many a book hands budgets out in leases. Operators recall gifts, freeze and close accounts, pools and houses
among them. A history is about some of these more than about others.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

OPERATORS = "/operators"
START = datetime(2025, 3, 1, 1, 0, tzinfo=UTC)
STEPS = (0, 1, 60, 3_600, 40_000, 86_400, 6 * 86_400, 30 * 86_400)  # seconds from a fact to the next
STEP_WEIGHTS = (6, 10, 16, 16, 16, 14, 5, 1)
LATE = (60, 3_600, 40_000, 40 * 86_400)  # seconds by which some facts come after others of their members
POOLS = ("pool/campaigns.party", "pool/benefits.ticket")
PROGRAMME = 'programme = "together"'
BOOK = """
programme = "together"
name = "一起"
from = 2020-01-01
utc_offset = "+08:00"

[kinds.beans]
name = "豆"
expiry = [{ from = 2020-01-01, days = 60 }]

[uses.any]
name = "兑换"
kinds = ["beans"]

[transfers.gift]
name = "赠豆"
kind = "beans"
fee = "1/10"

[transfers.short]
name = "限时赠豆"
kind = "beans"
keeps_expiry = false
cap = [{ per = "month", points = 300 }]

[[award]]
rule = "plain"
name = "返豆"
on = "order.completed"
each = "line"
kind = "beans"
give = { points = 1, per_fen = 1_000 }

[[award]]
rule = "double"
name = "双倍"
on = "order.completed"
each = "line"
kind = "beans"
campaign = "party"
give = { points = 1, per_fen = 100 }

[campaigns.party]
name = "派对"
kind = "beans"
budget = %(budget)d
each_member = %(each_member)d
refill = %(refill)s
%(budget_lease)s

[benefits.ticket]
name = "门票"
quota = 2
per = "month"
price = [{ kind = "beans", points = 3 }]
gives = [{ kind = "beans", points = 4 }]
stock = %(stock)d
stock_per = "%(stock_per)s"
refill = %(refill)s
returns_with_order = true
%(stock_lease)s

[exchanges.miles]
name = "换里程"
takes = "beans"
gives = "miles"
rate = [{ from = 2020-01-01, take = 3, give = 1 }]
cap = [{ per = "month", points = 400 }]
ledger = "airline"
answer_within = 6

[exchanges.there]
name = "换那边的豆"
takes = "beans"
gives = "beans"
rate = [{ from = 2020-01-01, take = 4, give = 3 }]
ledger = "there"

[[award]]
rule = "seated"
name = "会员返豆"
on = "order.completed"
each = "line"
kind = "beans"
who = { card = { club = { in = ["club.year", "club.big"] } } }
give = { points = 1, per_fen = 500 }

[memberships.club]
name = "会员卡"
[memberships.club.products]
"club.year" = { days = 40, seats = 2, grace_days = 5 }
"club.big" = { days = 25, seats = 3, upgrades = ["club.year"] }
"club.single" = { days = 30 }

[memberships.club.benefits.coupon]
name = "券"
quota = { "club.year" = 4, "club.big" = 6, "club.single" = 1 }
per = "term"

[memberships.club.benefits.monthly]
name = "月券"
quota = 2
per = "month"
price = [{ kind = "beans", points = 3 }]
gives = [{ kind = "beans", points = 7 }]
returns_with_order = true
"""
HOUSES = ("house/lin", "house/zhao")
PARTNER = "/partners/airline"
MOVES_WITHIN = 12  # facts, most likely
# What a history is about: how often what happens, by the names of `_Maker`'s methods.
ABOUT: dict[str, dict[str, int]] = {
    "gifts": {"gives": 30, "recalls": 12, "spends": 10, "unspends": 7, "orders": 12, "operates": 12},
    "pools": {"gives": 4, "spends": 4, "orders": 34, "claims": 26, "operates": 10},
    "houses": {"sits": 60, "gives": 3, "spends": 4, "orders": 12, "claims": 6, "operates": 8},
    "exchanges": {"exchanges": 45, "gives": 4, "spends": 10, "unspends": 4, "orders": 8, "operates": 14},
    "all": {"gives": 14, "recalls": 5, "spends": 7, "unspends": 4, "orders": 18, "claims": 12, "sits": 16}
    | {"exchanges": 14, "operates": 10},
    "merges": {"merges": 30, "gives": 14, "recalls": 5, "spends": 14, "unspends": 12, "orders": 16, "claims": 8}
    | {"sits": 6, "exchanges": 4, "operates": 14},
}
# A later version may say otherwise.
CHANGES = (
    ("budget = ", "budget = 45  # instead of "),
    ("stock = ", "stock = 3  # instead of "),
    ("lease = ", "# no lease any more: "),
    ("refill = true", "refill = false"),
    ('fee = "1/10"', 'fee = "1/4"'),
    ("keeps_expiry = false", "keeps_expiry = true"),
)


def book_of_members(random: Random) -> str:
    """Return the TOML of a book whose budget and stock are soon used up."""
    is_leased = random.random() < 0.6
    return BOOK % {
        "budget": random.choice((45, 60, 150)),
        "each_member": random.choice((30, 45)),
        "stock": random.choice((3, 4, 9)),
        "stock_per": random.choice(("ever", "month")),
        "refill": random.choice(("true", "false")),
        "budget_lease": f"lease = {random.randint(1, 40)}" if is_leased else "",
        "stock_lease": f"lease = {random.randint(1, 3)}" if is_leased else "",
    }


def facts_of_members(random: Random, about: str, *, has_peer: bool = False) -> list[dict[str, Any]]:
    """Return the facts of some members in the order of time, those of members that belong together among each other.

    With a peer they exchange with another ledger of ours, too.
    """
    return _Maker(random, about, has_peer=has_peer).make(random.randint(40, 110))


class _Maker:
    def __init__(self, random: Random, about: str, *, has_peer: bool) -> None:
        self.random = random
        self.members = [f"m-{number}" for number in range(random.randint(2, 6))]
        self.now = START
        self.facts: list[dict[str, Any]] = []
        self.gifts: list[tuple[str, str]] = []
        self.spent: list[tuple[str, str]] = []
        self.claimed: list[tuple[str, str]] = []
        self.cards: list[tuple[str, str]] = []  # house, card
        self.seated: list[tuple[str, str]] = []  # house, member
        self.exchanged: list[tuple[str, str]] = []
        self.head_of: dict[str, tuple[str, int]] = {}  # and at which fact; it may be refused
        self.moving = ""  # the name that merged or parted last, which does more than others for a while
        self.due: list[tuple[int, Callable[[], None]]] = []  # by number of facts, what follows a parting
        self.exchanges = ("miles", "there", "there") if has_peer else ("miles",)
        weights = ABOUT[about]
        self.may_happen = [getattr(self, f"_{name}") for name in weights]
        self.weights = list(weights.values())
        self.has_houses = "sits" in weights

    def make(self, length: int) -> list[dict[str, Any]]:
        for member in self.members:
            self._opens_lot(member)
        for house in HOUSES if self.has_houses else ():
            self._buys(house, f"{house}-1", "club.year")
            for member in self.members[:2]:
                self._joins(house, member)
        while len(self.facts) < length:
            self.now += timedelta(seconds=self.random.choices(STEPS, STEP_WEIGHTS)[0])
            self._something()
        return self.facts

    def _add(self, subject: str, type_: str, source: str = "/shop", **data: Any) -> None:
        head = {"specversion": "1.0", "id": f"t{len(self.facts)}", "source": source, "type": f"{type_}.v1"}
        is_late = self.random.random() < (0.3 if type_.startswith("transfer.") else 0.08)
        late = timedelta(seconds=self.random.choice(LATE) if is_late else 0)
        self.facts.append(head | {"subject": subject, "time": (self.now - late).isoformat(), "data": data})

    def _something(self) -> None:
        is_moving = self.moving and self.random.random() < 0.4
        member = self.moving if is_moving else self.random.choice(self.members)
        self.random.choices(self.may_happen, self.weights)[0](member)

    def _orders(self, member: str) -> None:
        """An order is completed, comes back in part, or is cancelled."""
        random, order = self.random, f"{member}-{self.random.randint(1, 5)}"
        match random.choices(range(3), (14, 7, 3))[0]:
            case 0:
                lines = [self._line(n + 1) for n in range(random.randint(1, 2))]
                self._add(member, "order.completed", order=order, lines=lines)
            case 1:
                back = {"line": random.choice("12"), "quantity": random.randint(0, 2), "refund_fen": 1_500}
                self._add(member, "order.returned", **{"return": f"T{len(self.facts)}"}, order=order, lines=[back])
            case _:
                self._add(member, "order.cancelled", order=order)

    def _gives(self, member: str) -> None:
        name, rule = f"G{len(self.facts)}", self.random.choice(("gift", "short"))
        self.gifts.append((member, name))
        given = {"transfer": name, "rule": rule, "points": self._points(), "kind": "beans"}
        self._add(member, "transfer.requested", "/app", to=self.random.choice(self.members), **given)

    def _recalls(self, _member: str) -> None:
        if self.gifts:
            giver, transfer = self.random.choice(self.gifts[-8:])
            self._add(giver, "transfer.reversed", OPERATORS, transfer=transfer)

    def _spends(self, member: str, points: int = 0) -> None:
        name, points = f"R{len(self.facts)}", points or self._points()
        self.spent.append((member, name))
        self._add(member, "redemption.requested", "/app", redemption=name, points=points, use="any")

    def _unspends(self, _member: str) -> None:
        if self.spent:
            spender, redemption = self.random.choice(self.spent[-6:])
            self._add(spender, "redemption.reversed", redemption=redemption)

    def _claims(self, member: str) -> None:
        claim, order = f"{member}-C{self.random.randint(1, 6)}", f"{member}-{self.random.randint(1, 5)}"
        if self.random.random() < 0.75:
            self._add(member, "benefit.claimed", "/app", claim=claim, benefit="ticket", order=order)
        else:
            self._add(member, "benefit.returned", "/app", claim=claim)

    def _operates(self, member: str) -> None:
        """An operator opens a lot, or freezes or closes an account, perhaps a pool, mostly to open it again soon."""
        random = self.random
        if random.random() < 0.3:
            self._opens_lot(member)
            return
        subject = random.choice((member, member, *POOLS, *(HOUSES if self.has_houses else ())))
        what, undone = random.choice((("frozen", "unfrozen"), ("closed", "reopened")))
        self._add(subject, f"account.{what}", OPERATORS, reason="asked")
        if random.random() < 0.8:
            for _ in range(random.randint(0, 8)):
                self._something()
            self._add(subject, f"account.{undone}", OPERATORS, reason="asked")

    def _sits(self, member: str) -> None:
        """Somebody joins or leaves a house, claims by a seat, or a card is bought or given back."""
        random, house = self.random, self.random.choice(HOUSES)
        card, claim = f"{house}-{random.randint(1, 4)}", f"{member}-C{random.randint(1, 9)}"
        product = random.choice(("club.year", "club.big", "club.single"))
        match random.choices(range(7), (4, 2, 6, 5, 16, 6, 1))[0]:
            case 0:
                self._buys(house, card, product)
            case 1:
                house, card = random.choice(self.cards[-3:])
                self._add(house, "card.refunded", card=card, refund_fen=1)
            case 2:
                self._joins(house, member)
            case 3:
                house, member = random.choice(self.seated[-4:])
                self._add(house, "house.left", house=house.removeprefix("house/"), member=member)
            case 4:
                self.claimed.append((member, claim))
                of = {"claim": claim, "benefit": random.choice(("coupon", "monthly")), "order": f"{member}-1"}
                self._add(member, "benefit.claimed", "/app", **of)
            case 5:
                member, claim = random.choice(self.claimed[-5:] or [(member, claim)])
                self._add(member, "benefit.returned", "/app", claim=claim)
            case _:
                self._add(member, "card.purchased", card=f"{member}-own", product="club.single", paid_fen=1)

    def _merges(self, _member: str) -> None:
        """Two members become one, or those who did a while ago are parted, and their head becomes another's name."""
        random, now = self.random, len(self.facts)
        apart = [name for name in self.members if name not in self.head_of]
        while self.due and now >= self.due[0][0]:
            self.due.pop(0)[1]()
        done = [name for name, (head, at) in self.head_of.items() if now > at + MOVES_WITHIN and head in apart]
        if not done:
            if len(apart) > 1 and not self.due:
                self._becomes(*random.sample(apart, 2))
            return
        name = random.choice(done)
        head, _ = self.head_of.pop(name)
        self._spends(head, random.choice((60, 120, 250)))  # perhaps of what parts from it
        redemption = self.spent[-1][1]
        self._add(head, "member.unmerged", OPERATORS, name=name)
        self._orders(name)
        others = [other for other in apart if other != head]
        if others and random.random() < 0.8:
            self._becomes(head, random.choice(others))
        self.moving = name
        self.due.append((now + MOVES_WITHIN, partial(self._add, head, "redemption.reversed", redemption=redemption)))

    def _becomes(self, name: str, head: str) -> None:
        """One becomes a name of another, which is closed meanwhile now and then, or asks the same at the same time."""
        self.moving, is_closed = name, self.random.random() < 0.1
        if is_closed:
            self._add(head, "account.closed", OPERATORS, reason="asked")
        else:
            self.head_of[name] = head, len(self.facts)
        self._add(name, "member.merged", OPERATORS, into=head)
        if self.random.random() < 0.2:
            self._add(head, "member.merged", OPERATORS, into=name)
        if is_closed:
            self._add(head, "account.reopened", OPERATORS, reason="asked")

    def _buys(self, house: str, card: str, product: str) -> None:
        self.cards.append((house, card))
        self._add(house, "card.purchased", card=card, product=product, paid_fen=1)

    def _joins(self, house: str, member: str) -> None:
        self.seated.append((house, member))
        card = self.random.choice([card for of, card in self.cards if of == house][-2:])
        self._add(house, "house.joined", house=house.removeprefix("house/"), card=card, member=member)

    def _exchanges(self, member: str) -> None:
        """Somebody exchanges; a partner answers, in time or not; an exchange is to be undone."""
        random, number = self.random, len(self.facts)
        asker, request = random.choice(self.exchanged[-6:] or [(member, "X")])
        match random.choices(range(4), (10, 8, 4, 5))[0]:
            case 0:
                self.exchanged.append((member, f"X{number}"))
                asked = {"request": f"X{number}", "exchange": random.choice(self.exchanges)}
                self._add(member, "exchange.requested", "/app", **asked, points=random.choice((12, 60, 120)))
            case 1:
                self._add(asker, "exchange.confirmed", PARTNER, request=request)
            case 2:
                self._add(asker, "exchange.failed", PARTNER, request=request, reason="full")
            case _:
                self._add(asker, "exchange.reversed", "/app", request=request)

    def _opens_lot(self, member: str) -> None:
        earned = self.now - timedelta(days=self.random.choice((0, 20, 50)))
        data = {
            "lot": f"L{len(self.facts)}",
            "kind": "beans",
            "points": self._points() * 4,
            "earned_at": earned.isoformat(),
        }
        self._add(member, "lot.opened", OPERATORS, **data, expires_at=(earned + timedelta(days=60)).isoformat())

    def _line(self, number: int) -> dict[str, Any]:
        fen = self.random.choice((400, 1_500, 3_000, 9_000))
        return {"line": str(number), "sku": "s", "category": "books", "quantity": 2, "paid_fen": fen}

    def _points(self) -> int:
        return self.random.choice((5, 12, 60, 250))
