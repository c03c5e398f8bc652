"""What is told to a simulated ledger whose members give each other points and draw from shared budgets and stocks.

Each third book hands them out in leases. Operators recall gifts, freeze and close accounts, pools among them.
"""

from datetime import UTC, datetime, timedelta
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
"""
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


def facts_of_members(random: Random) -> list[dict[str, Any]]:
    """Return the facts of some members in the order of time, those of members that belong together among each other."""
    return _Maker(random).make(random.randint(40, 110))


class _Maker:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.members = [f"m-{number}" for number in range(random.randint(2, 6))]
        self.now = START
        self.facts: list[dict[str, Any]] = []
        self.gifts: list[tuple[str, str]] = []
        self.spent: list[tuple[str, str]] = []

    def make(self, length: int) -> list[dict[str, Any]]:
        for member in self.members:
            self._opens_lot(member)
        while len(self.facts) < length:
            self.now += timedelta(seconds=self.random.choices(STEPS, STEP_WEIGHTS)[0])
            self._something(self.random.choice(self.members))
        return self.facts

    def _add(self, subject: str, type_: str, source: str = "/shop", **data: Any) -> None:
        head = {"specversion": "1.0", "id": f"t{len(self.facts)}", "source": source, "type": f"{type_}.v1"}
        is_late = self.random.random() < (0.3 if type_.startswith("transfer.") else 0.08)
        late = timedelta(seconds=self.random.choice(LATE) if is_late else 0)
        self.facts.append(head | {"subject": subject, "time": (self.now - late).isoformat(), "data": data})

    def _something(self, member: str) -> None:
        random, number = self.random, len(self.facts)
        order, claim = f"{member}-{random.randint(1, 5)}", f"{member}-C{random.randint(1, 6)}"
        match random.choices(range(10), (14, 7, 3, 18, 7, 7, 5, 16, 6, 12))[0]:
            case 0:
                lines = [self._line(n + 1) for n in range(random.randint(1, 2))]
                self._add(member, "order.completed", order=order, lines=lines)
            case 1:
                back = {"line": random.choice("12"), "quantity": random.randint(0, 2), "refund_fen": 1_500}
                self._add(member, "order.returned", **{"return": f"T{number}"}, order=order, lines=[back])
            case 2:
                self._add(member, "order.cancelled", order=order)
            case 3:
                self.gifts.append((member, f"G{number}"))
                given = {"transfer": f"G{number}", "rule": random.choice(("gift", "short")), "points": self._points()}
                self._add(member, "transfer.requested", "/app", to=random.choice(self.members), kind="beans", **given)
            case 4 if self.gifts:
                giver, transfer = random.choice(self.gifts[-8:])
                self._add(giver, "transfer.reversed", OPERATORS, transfer=transfer)
            case 5:
                self.spent.append((member, f"R{number}"))
                self._add(
                    member, "redemption.requested", "/app", redemption=f"R{number}", points=self._points(), use="any"
                )
            case 6 if self.spent:
                spender, redemption = random.choice(self.spent[-6:])
                self._add(spender, "redemption.reversed", redemption=redemption)
            case 7:
                self._add(member, "benefit.claimed", "/app", claim=claim, benefit="ticket", order=order)
            case 8:
                self._add(member, "benefit.returned", "/app", claim=claim)
            case _:
                self._operates(member)

    def _operates(self, member: str) -> None:
        """An operator opens a lot, or freezes or closes an account, perhaps a pool, mostly to open it again soon."""
        random = self.random
        if random.random() < 0.3:
            self._opens_lot(member)
            return
        subject = random.choice((member, member, *POOLS))
        what, undone = random.choice((("frozen", "unfrozen"), ("closed", "reopened")))
        self._add(subject, f"account.{what}", OPERATORS, reason="asked")
        if random.random() < 0.8:
            for _ in range(random.randint(0, 8)):
                self._something(random.choice(self.members))
            self._add(subject, f"account.{undone}", OPERATORS, reason="asked")

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
