"""Made-up histories of one member, dense in what is hard: returns, reversals, late facts, expiry, cards, holds."""

import json
import tomllib
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, ClassVar

START = datetime(2025, 3, 1, 1, 0, tzinfo=UTC)
LONG_AGO = datetime(2018, 3, 1, 1, 0, tzinfo=UTC)  # for those that a clock on the wall must not call the future
# On it orders draw from the shipped book's one shared budget. Who comes first there is decided between members: two
# runs over the same files may differ, so made-up histories leave the day out. The tests of pools have their own.
_PLUS_DAY = datetime(2020, 1, 7, 16, 0, tzinfo=UTC)
_STEPS = (0, 1, 3_600, 80_000, 86_400, 3 * 86_400, 12 * 86_400, 40 * 86_400, 190 * 86_400)
_STEP_WEIGHTS = (6, 10, 16, 20, 16, 14, 10, 5, 1)
_PRICES = (0, 99, 1_999, 2_000, 4_999, 5_000, 9_999, 10_000, 12_345, 77_777, 359_900, 400_000, 1_500_000)
_CATEGORIES = ("", "phone", "food", "virtual", "car", "books")
_PRODUCTS = ("plus.annual", "plus.quarter", "plus.month", "plus.month")
_KINDS_OF_FACT = {
    "completed": 22,
    "paid": 6,
    "cancelled": 3,
    "rejected": 5,
    "returned": 14,
    "review": 8,
    "review_removed": 4,
    "answer": 2,
    "share": 3,
    "sign_in": 4,
    "visit": 6,
    "grant": 7,
    "verified": 2,
    "rated": 2,
    "redeem_order": 8,
    "redeem": 8,
    "reverse": 4,
    "hold": 6,
    "capture": 4,
    "release": 3,
    "card": 4,
    "code": 1,
    "trial": 2,
    "card_refund": 3,
    "claim": 4,
    "adjust": 4,
    "freeze": 1,
    "unfreeze": 2,
    "open_lot": 2,
    "again": 4,
    # several facts that belong together
    "trial_story": 3,
    "cards_story": 3,
    "hold_story": 5,
    "return_story": 5,
    "order_paid_in_points": 5,
    "rejected_often": 1,
    "busy_month": 1,
}


def history(random: Random, length: int, member: str = "m-1", start: datetime = START) -> list[dict[str, Any]]:
    """Facts of one member in stream order, most of them in order of time, some late."""
    return _Maker(random, member, start).make(length)


def changed_history(random: Random, length: int, member: str = "m-1") -> list[dict[str, Any]]:
    """The same, dense in what shops do to orders afterwards, and with accounts that are closed and opened again."""
    return _OrdersMaker(random, member, START).make(length)


def amended_history(random: Random, length: int) -> list[dict[str, Any]]:
    """The same with amendments of orders, and adjustments that are aimed at what orders and grants gave."""
    return _AmendedMaker(random, "m-1", START).make(length)


def book_history(random: Random, length: int, toml: str, member: str = "m-1") -> list[dict[str, Any]]:
    """All types of facts, about what a rule book has."""
    return _BookMaker(random, toml, member).make(length)


def encode(fact: dict[str, Any]) -> bytes:
    """A fact as it stands in a file."""
    return json.dumps(fact).encode()


class _Maker:
    kinds: ClassVar[dict[str, int]] = _KINDS_OF_FACT

    def __init__(self, random: Random, member: str, start: datetime) -> None:
        self.random = random
        self.member = member
        self.now = start
        self.facts: list[dict[str, Any]] = []
        self.orders = 0
        self.ids: dict[str, int] = {}
        self.frozen = False
        self.lines: dict[str, list[dict[str, Any]]] = {}
        self.tendered: dict[str, int] = {}

    def make(self, length: int) -> list[dict[str, Any]]:
        names, weights = list(self.kinds), list(self.kinds.values())
        while len(self.facts) < length:
            self.now += timedelta(seconds=self.random.choices(_STEPS, _STEP_WEIGHTS)[0])
            name = self.random.choices(names, weights)[0]
            getattr(self, f"_{name}")()
            if self.frozen and self.random.random() < 0.2:
                self._unfreeze()
        return self.facts

    def _wait(self, *days: float) -> None:
        self.now += timedelta(seconds=round(self._pick(*days) * 86_400))

    def _add(self, type_: str, source: str = "/shop", *, late: float = 0.06, **data: Any) -> None:
        time = self.now
        if self.random.random() < late:
            time -= timedelta(seconds=self.random.choice((10, 86_400, 35 * 86_400, 420 * 86_400)))
        if _PLUS_DAY <= time < _PLUS_DAY + timedelta(days=1):
            time += timedelta(days=1)
        fact = {
            "specversion": "1.0",
            "id": f"f{len(self.facts)}",
            "source": source,
            "type": f"{type_}.v1",
            "subject": self.member,
            "time": time.isoformat(),
        }
        if data:
            fact["data"] = data
        self.facts.append(fact)

    def _pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def _order(self) -> str:
        return f"O{self.random.randint(max(1, self.orders - 4), self.orders + 1)}"

    def _new(self, letter: str) -> str:
        """Mostly a new id, sometimes one that was used."""
        if self.random.random() < 0.06:
            return self._known(letter)
        self.ids[letter] = self.ids.get(letter, 0) + 1
        return f"{letter}{self.ids[letter]}"

    def _known(self, letter: str) -> str:
        """Mostly one of the last ids given out, sometimes one to come."""
        last = self.ids.get(letter, 0)
        return f"{letter}{max(1, last + 1 - self.random.choices(range(6), (1, 9, 4, 2, 1, 1))[0])}"

    def _lines_of(self, order: str) -> list[dict[str, Any]]:
        if order not in self.lines:
            self.orders = max(self.orders, int(order[1:]))
            self.lines[order] = [
                {
                    "line": str(n + 1),
                    "sku": "s",
                    "category": self._pick(*_CATEGORIES),
                    "quantity": self.random.randint(1, 3),
                    "paid_fen": self._pick(*_PRICES),
                }
                for n in range(self.random.randint(1, 3))
            ]
        return self.lines[order]

    def _completed(self, order: str = "") -> str:
        order = order or (self._new_order() if self.random.random() < 0.6 else self._order())
        self._add("order.completed", order=order, lines=self._lines_of(order), pay=self._pick("", "jd-pay"))
        return order

    def _new_order(self) -> str:
        return f"O{self.orders + 1}"

    def _paid(self) -> None:
        order = self._order()
        self._add("order.paid", order=order, lines=self._lines_of(order))

    def _cancelled(self, order: str = "") -> None:
        self._add("order.cancelled", order=order or self._order())

    def _rejected(self, order: str = "") -> None:
        self._add("order.rejected", order=order or self._order())

    def _returned(self, order: str = "") -> None:
        order = order or self._order()
        lines = []
        for line in self._lines_of(order):
            if self.random.random() < 0.3:
                continue
            quantity = self.random.randint(0, line["quantity"])
            refund = self._pick(0, line["paid_fen"] // 3, line["paid_fen"] // 2, line["paid_fen"])
            if quantity or refund:
                points = self._pick(0, 0, 100, 700)
                lines.append({"line": line["line"], "quantity": quantity, "refund_fen": refund, "points": points})
        if self.random.random() < 0.05:
            lines.append({"line": "99", "quantity": 1, "refund_fen": 100})
        if lines:
            self._add("order.returned", **{"order": order, "return": self._new("T"), "lines": lines})

    def _review(self) -> None:
        self._add(
            "review.posted",
            review=self._new("V"),
            order=self._order(),
            line=self._pick("1", "1", "2", "3"),
            characters=self._pick(0, 9, 10, 50),
            images=self._pick(0, 1),
        )

    def _review_removed(self) -> None:
        self._add("review.removed", review=self._known("V"))

    def _answer(self) -> None:
        self._add("question.answered", answer=self._new("A"))

    def _share(self) -> None:
        self._add("item.shared", share=self._new("S"), sku="s")

    def _sign_in(self) -> None:
        self._add("member.signed-in")

    def _visit(self) -> None:
        for _ in range(self.random.randint(1, 4)):
            self._add("shop.visited", shop=f"shop{self.random.randint(1, 7)}")

    def _grant(self) -> None:
        data = {"grant": self._new("G"), "campaign": "618", "points": self._pick(1, 500, 1_000, 2_500)}
        if self.random.random() < 0.4:
            days = self._pick(-1, 1, 20, 180)
            data["expires"] = (self.now + timedelta(days=days)).isoformat()
        self._add("campaign.granted", **data)

    def _verified(self) -> None:
        self._add(self._pick("identity.verified", "wechat.bound", "qq.bound", "profile.completed"))

    def _rated(self) -> None:
        self._add("reputation.rated", stars=self._pick(1, 3, 5))

    def _redeem_order(self, order: str = "") -> None:
        self._add(
            "redemption.requested",
            redemption=self._new("R"),
            points=self._pick(1_000, 1_000, 2_000, 500, 300),
            use=self._pick("offset", "offset", "top-up", "coupon"),
            order=order or self._order(),
            settlement_fen=self._pick(0, 1_999, 4_000, 10_000, 50_000),
        )

    def _redeem(self) -> None:
        self._add(
            "redemption.requested",
            redemption=self._new("R"),
            points=self._pick(1, 20, 20, 300, 999),
            use=self._pick("coupon", "draw", "data", "service"),
        )

    def _reverse(self) -> None:
        data = {"redemption": self._known("R")}
        self._add("redemption.reversed", **data, **self._pick({}, {"points": 100}, {"points": 5_000}))

    def _hold(self) -> None:
        until = (self.now + timedelta(days=self._pick(1, 5, 100, 400))).isoformat()
        self._add("hold.requested", hold=self._new("H"), kind="beans", points=self._pick(1, 100, 600), until=until)

    def _capture(self) -> None:
        self._add("hold.captured", hold=self._known("H"), points=self._pick(1, 100, 400, 1_000))

    def _release(self) -> None:
        self._add("hold.released", hold=self._known("H"))

    def _card(self) -> None:
        self._add("card.purchased", late=0.15, card=self._new("C"), product=self._pick(*_PRODUCTS), paid_fen=14_900)

    def _code(self) -> None:
        self._add("card.code-redeemed", card=self._new("C"), product="plus.month", code="x")

    def _trial(self) -> None:
        self._add("card.trial-started", card=self._new("C"), product="plus.trial")

    def _card_refund(self) -> None:
        self._add("card.refunded", late=0.3, card=self._known("C"), refund_fen=14_900)

    def _claim(self) -> None:
        self._add("benefit.claimed", claim=self._new("B"), benefit="shipping")

    def _adjust(self) -> None:
        points = self._pick(50, 400, -50, -700, -5_000)
        approved = self._pick("boss", "boss", "boss", "me", "")
        self._add(
            "points.adjusted",
            "/operators",
            adjustment=self._new("J"),
            kind="beans",
            points=points,
            reason="goodwill",
            by="me",
            approved_by=approved,
        )

    def _freeze(self) -> None:
        self.frozen = True
        self._add("account.frozen", "/operators", reason="fraud")

    def _unfreeze(self) -> None:
        self.frozen = False
        self._add("account.unfrozen", "/operators", reason="cleared")

    def _open_lot(self) -> None:
        self._add(
            "lot.opened",
            "/operators",
            lot=self._new("L"),
            kind="beans",
            points=self._pick(10, 800),
            earned_at=(self.now - timedelta(days=100)).isoformat(),
            expires_at=(self.now + timedelta(days=self._pick(-1, 10, 300))).isoformat(),
        )

    def _trial_story(self) -> None:
        """Orders in a trial, and then a card in time, a card too late, money back, or nothing."""
        self._trial()
        for _ in range(self.random.randint(1, 3)):
            self._wait(0, 0.2, 5, 20)
            self._completed(self._new_order())
        self._wait(0, 10, 29, 31, 58, 62)
        self._pick(self._card, self._card, self._card_refund, self._returned)()

    def _cards_story(self) -> None:
        """Cards one behind the other, benefits until a quota is used, orders, and perhaps money back for a card."""
        for _ in range(self.random.randint(1, 3)):
            self._pick(self._card, self._card, self._code)()
            self._wait(0, 0, 2)
        for _ in range(self._pick(0, 2, 7)):
            self._claim()
        self._completed(self._new_order())
        self._wait(1, 10, 40)
        for _ in range(self._pick(0, 1, 1, 2)):
            self._card_refund()

    def _hold_story(self) -> None:
        self._grant()
        self._hold()
        self._wait(0, 0.5, 3, 30)
        self._pick(self._capture, self._capture, self._release, self._redeem)()

    def _return_story(self) -> None:
        """What an order earned is spent, and the order comes back bit by bit."""
        order = self._completed(self._new_order())
        self._wait(0, 3)
        self._pick(self._redeem, self._redeem_order, self._hold, self._adjust)()
        for _ in range(self.random.randint(1, 3)):
            self._wait(0, 1, 90, 200)
            self._returned(order)

    def _order_paid_in_points(self) -> None:
        """Points for an order, which then completes, comes back before that, or comes to nothing."""
        self._add("campaign.granted", grant=self._new("G"), campaign="11.11", points=2_000)
        order = self._new_order()
        for _ in range(self.random.randint(1, 2)):
            self._redeem_order(order)
        self._pick(self._paid, self._sign_in)()
        self._wait(0, 2, 30)
        last = (self._completed, self._completed, self._returned)
        self._pick(*last)(order)
        self._wait(0, 4, 185)
        self._pick(self._returned, self._cancelled, self._rejected, self._completed)(order)

    def _rejected_often(self) -> None:
        for _ in range(self.random.randint(3, 7)):
            self._rejected(self._new_order())
            self.orders += 1
            self._wait(0, 1, 9)

    def _busy_month(self) -> None:
        """More of everything than a month's caps take."""
        for _ in range(7):
            self._share()
        for _ in range(self.random.randint(3, 12)):
            order = self._completed(self._new_order())
            self._add("review.posted", review=self._new("V"), order=order, line="1", characters=20, images=1)
            self._wait(0, 0.1, 1)

    def _again(self) -> None:
        """A fact that came before, as a retry sends it, or with other content under the same name."""
        if not self.facts:
            return
        fact = dict(self._pick(*self.facts))
        if self.random.random() < 0.3:
            fact["time"] = self.now.isoformat()
        self.facts.append(fact)


class _OrdersMaker(_Maker):
    kinds: ClassVar[dict[str, int]] = {
        **_KINDS_OF_FACT,
        "parcels": 10,
        "exchanged": 5,
        "early_story": 8,
        "reopened_story": 8,
        "claimed_for_an_order": 5,
        "claim_back": 4,
        "captured_story": 4,
        "closed_story": 1,
    }

    def _in_parcels(self) -> str:
        """An order whose lines complete one by one; the last one, or not, says that no more follow."""
        order = self._new_order()
        lines = self._lines_of(order)
        for place, line in enumerate(lines):
            again = lines[: self._pick(0, 0, place)]
            more = place < len(lines) - 1 or self.random.random() < 0.2
            self._add("order.completed", order=order, lines=[*again, line], **({"more": True} if more else {}))
            self._wait(0, 0.1, 2)
            if self.random.random() < 0.3:
                self._returned(order)
        return order

    def _parcels(self) -> None:
        order = self._pick(self._new_order(), "")
        if order:
            self._grant()
            self._redeem_order(order)
        order = self._in_parcels()
        self._pick(self._cancelled, self._returned, self._redeem_order, self._paid_again)(order)
        self._returned(order)

    def _paid_again(self, order: str) -> None:
        self._add("order.paid", order=order, lines=self._lines_of(order))

    def _exchanged(self) -> None:
        order = self._order()
        lines = [
            {"line": line["line"], "quantity": 1, "refund_fen": self._pick(0, 500), "points": self._pick(0, 300)}
            | ({"exchange": True} if self.random.random() < 0.7 else {})
            for line in self._lines_of(order)
        ]
        self._add("order.returned", **{"order": order, "return": self._new("T"), "lines": lines})

    def _early_story(self) -> None:
        """Returns come first, then perhaps a payment, points spent, and the completion."""
        order = self._new_order()
        self._grant()
        for _ in range(self.random.randint(1, 3)):
            self._pick(self._returned, self._returned, self._redeem_order, self._paid_again)(order)
        self._pick(self._completed, self._completed, self._cancelled)(order)
        self._returned(order)

    def _reopened_story(self) -> None:
        order = self._new_order()
        self._grant()
        self._pick(self._paid_again, self._redeem_order, self._returned)(order)
        self._pick(self._cancelled, self._cancelled, self._rejected)(order)
        for _ in range(self.random.randint(1, 3)):
            self._wait(0, 0.5, -1)
            self._pick(self._paid_again, self._completed, self._redeem_order, self._cancelled)(order)
        self._returned(order)

    def _claimed_for_an_order(self) -> None:
        self._add("benefit.claimed", claim=self._new("B"), benefit="shipping", order=self._order())

    def _claim_back(self) -> None:
        self._add("benefit.returned", claim=self._known("B"))

    def _captured_story(self) -> None:
        self._grant()
        self._hold()
        self._capture()
        self._add("redemption.reversed", redemption=self._known("H"), **self._pick({}, {"points": 50}))

    def _closed_story(self) -> None:
        self._add("account.closed", "/operators", reason="left")
        for _ in range(self.random.randint(0, 4)):
            self._pick(self._returned, self._redeem, self._grant, self._completed)()
        self._add("account.reopened", "/operators", reason="back")


class _AmendedMaker(_OrdersMaker):
    kinds: ClassVar[dict[str, int]] = {**_OrdersMaker.kinds, "amended": 20, "aimed": 10}

    def _amended(self) -> None:
        order = self._order()
        all_lines = self._lines_of(order)
        kept = [line for line in all_lines if self.random.random() < 0.9]
        lines = [dict(line) for line in kept or all_lines]
        for line in lines:
            line["paid_fen"] = self._pick(line["paid_fen"], *_PRICES)
            line["quantity"] = self._pick(line["quantity"], 1, 2, 5)
            line["category"] = self._pick(line["category"], line["category"], *_CATEGORIES)
        if self.random.random() < 0.2:
            lines.append({"line": "8", "sku": "s", "category": "books", "quantity": 2, "paid_fen": 20_000})
        self._add("order.amended", order=order, lines=lines, refund_fen=self._pick(0, 0, 100, 5_000))

    def _aimed(self) -> None:
        of = self._pick(
            {"order": self._order(), "line": self._pick("1", "2")},
            {"grant": self._known("G")},
            {"lot": f"{self.random.randint(1, max(1, len(self.facts)))}.1"},
        )
        self._add(
            "points.adjusted",
            "/operators",
            adjustment=self._new("J"),
            points=self._pick(-1, -10, -400, -9_999),
            reason="error",
            by="me",
            approved_by="boss",
            of=of,
        )


class _BookMaker(_AmendedMaker):
    """Facts about the kinds, uses, cards, benefits, scores and attributes of one book."""

    kinds: ClassVar[dict[str, int]] = {
        **_AmendedMaker.kinds,
        "busy_month": 0,
        "trial_story": 2,
        "described": 6,
        "joined": 4,
        "activity": 14,
        "undone": 5,
        "credit": 2,
        "grant_tier": 5,
        "withdraw_tier": 3,
        "exchange": 6,
        "exchange_back": 4,
        "claim_points": 5,
        "claim": 12,
        "claim_back": 5,
        "claim_right": 6,
        "late_order": 4,
    }

    def __init__(self, random: Random, toml: str, member: str) -> None:
        super().__init__(random, member, START)
        self.book = tomllib.loads(toml)
        cards = {
            p: card for table in self.book.get("memberships", {}).values() for p, card in table["products"].items()
        }
        self.products = list(cards)
        self.trials = [product for product, card in cards.items() if card.get("trial")]
        self.uses = self.book.get("uses", {})
        self.activities = ["ride", "post", "violation"]
        for rule in self.book.get("award", []):
            self.activities += rule.get("when", {}).get("activity", {}).get("in", [])
        self.of_orders: dict[str, dict[str, Any]] = {}
        benefits = dict(self.book.get("benefits", {}))
        for table in self.book.get("memberships", {}).values():
            benefits |= table.get("benefits", {})
        self.benefits = list(benefits)
        self.rights = [name for name, table in benefits.items() if table.get("of") == "line"]

    def _shop(self) -> str:
        return str(self._pick("self", "shop-a", "shop-a", "shop-b"))

    def _of_kind(self) -> dict[str, Any]:
        """A kind of the book, with the shop that it is kept for."""
        kind = self._pick(*self.book["kinds"], *([] if self.book["kinds"] else ["beans"]))
        if self.random.random() < 0.03:
            return {"kind": "nuggets"}
        if self.book["kinds"].get(kind, {}).get("each"):
            return {"kind": kind} | ({"shop": self._shop()} if self.random.random() < 0.9 else {})
        return {} if kind == self.book.get("default_kind", "beans") and self.random.random() < 0.5 else {"kind": kind}

    def _order_fields(self, order: str) -> dict[str, Any]:
        if order not in self.of_orders:
            fields = {"shop": self._shop(), "channel": self._pick("app", "counter"), "pay": self._pick("", "jd-pay")}
            fields |= {"tags": self._pick([], ["gift"]), "self_operated": self._pick(True, True, False)}
            self.of_orders[order] = fields
        return self.of_orders[order]

    def _lines_of(self, order: str) -> list[dict[str, Any]]:
        if order not in self.lines:
            for line in super()._lines_of(order):
                line["sku"] = self._pick("s", "s", "t")
                if self.random.random() < 0.3:
                    line["tags"] = self._pick(["own"], ["gift"], ["own", "gift"])
        return self.lines[order]

    def _completed(self, order: str = "") -> str:
        order = order or (self._new_order() if self.random.random() < 0.6 else self._order())
        self._add("order.completed", order=order, lines=self._lines_of(order), **self._order_fields(order))
        return order

    def _late_order(self) -> None:
        order = self._new_order()
        self._add("order.completed", late=0.8, order=order, lines=self._lines_of(order), **self._order_fields(order))

    def _paid(self) -> None:
        self._paid_again(self._order())

    def _paid_again(self, order: str) -> None:
        self._add("order.paid", order=order, lines=self._lines_of(order), **self._order_fields(order))

    def _in_parcels(self) -> str:
        order = self._new_order()
        lines = self._lines_of(order)
        for place, line in enumerate(lines):
            more = place < len(lines) - 1 or self.random.random() < 0.2
            data = self._order_fields(order) | ({"more": True} if more else {})
            self._add("order.completed", order=order, lines=[*lines[: self._pick(0, place)], line], **data)
            self._wait(0, 0.1, 2)
            if self.random.random() < 0.3:
                self._returned(order)
        return order

    def _amended(self) -> None:
        super()._amended()
        data = self.facts[-1]["data"]
        data.update(self._order_fields(data["order"]))

    def _grant(self) -> None:
        data = {"grant": self._new("G"), "campaign": "618", "points": self._pick(1, 50, 500, 2_500), **self._of_kind()}
        if self.random.random() < 0.3:
            data["expires"] = (self.now + timedelta(days=self._pick(-1, 1, 20, 180))).isoformat()
        self._add("campaign.granted", **data)

    def _redeem_order(self, order: str = "") -> None:
        use = self._pick(*(name for name, use in self.uses.items() if use.get("order")), "coupon")
        self._ask_points(use, order=order or self._order(), settlement_fen=self._pick(0, 1_999, 10_000, 50_000))

    def _redeem(self) -> None:
        self._ask_points(self._pick(*self.uses, "coupon", "nothing"))

    def _ask_points(self, use: str, **more: Any) -> None:
        kinds = self.uses.get(use, {"kinds": ["beans"]})["kinds"]
        data: dict[str, Any] = {"kind": self._pick(*kinds, "")}
        if self.random.random() < 0.05:
            data = self._of_kind()
        if self.book["kinds"].get(data.get("kind") or kinds[0], {}).get("each"):
            data |= {"shop": self._shop()}
        points = self._pick(1, 5, 20, 20, 100, 100, 300, 1_000)
        self._add("redemption.requested", redemption=self._new("R"), points=points, use=use, **data, **more)

    def _hold(self) -> None:
        until = (self.now + timedelta(days=self._pick(1, 5, 100, 400))).isoformat()
        self._add("hold.requested", hold=self._new("H"), points=self._pick(1, 10, 100), until=until, **self._of_kind())

    def _card(self) -> None:
        product = self._pick(*self.products, *(p for p in self.products if p not in self.trials), "gold")
        paid = self._pick(0, 4_900, 9_900, 14_900, 14_900)
        self._add("card.purchased", late=0.15, card=self._new("C"), product=product, paid_fen=paid)

    def _code(self) -> None:
        self._add("card.code-redeemed", card=self._new("C"), product=self._pick(*self.products, "gold"), code="x")

    def _trial(self) -> None:
        self._add(
            "card.trial-started", card=self._new("C"), product=self._pick("club.trial", "club.trial", "club.year")
        )

    def _claim(self) -> None:
        data = {"claim": self._new("B"), "benefit": self._pick(*self.benefits, "nothing")}
        if self.random.random() < 0.6:
            data["shop"] = self._shop()
        if self.random.random() < 0.3:
            data |= {"order": self._order(), "line": self._pick("1", "2")}
        self._add("benefit.claimed", **data)

    def _claim_right(self) -> None:
        data = {
            "benefit": self._pick(*self.rights, "nothing"),
            "order": self._order(),
            "line": self._pick("1", "1", "2"),
        }
        self._add("benefit.claimed", claim=self._new("B"), **data)

    def _claimed_for_an_order(self) -> None:
        benefit = self._pick(*self.benefits, "nothing")
        self._add("benefit.claimed", claim=self._new("B"), benefit=benefit, order=self._order())

    def _adjust(self) -> None:
        data = {"points": self._pick(50, 400, -50, -700), **self._of_kind(), "reason": "goodwill"}
        approved = self._pick("boss", "boss", "boss", "me", "")
        data |= {"adjustment": self._new("J"), "by": "me", "approved_by": approved}
        self._add("points.adjusted", "/operators", **data)

    def _aimed(self) -> None:
        super()._aimed()
        self.facts[-1]["data"].update(self._of_kind())

    def _open_lot(self) -> None:
        times = {"earned_at": self.now - timedelta(days=100)}
        times["expires_at"] = self.now + timedelta(days=self._pick(-1, 10, 300))
        data = {name: time.isoformat() for name, time in times.items()}
        self._add("lot.opened", "/operators", lot=self._new("L"), points=self._pick(10, 800), **self._of_kind(), **data)

    def _described(self) -> None:
        told = {
            "customer": self._pick("person", "person", "enterprise", "robot", ""),
            "region": self._pick("north", "south", ""),
            "rating": self._pick(90, 120, "many"),
            "birthday": self._pick("08-08", "04-10", "05", "02-29", "13-01"),
            "colour": "red",
        }
        names = self.random.sample(sorted(told), self._pick(1, 1, 3))
        self._add("member.described", late=0.2, attributes={name: told[name] for name in names})

    def _joined(self) -> None:
        self._add("member.joined", shop=self._shop())

    def _activity(self) -> None:
        data = {"done": self._new("D"), "activity": self._pick(*self.activities), "count": self._pick(1, 3)}
        data |= {"amount_fen": self._pick(0, 999, 26_700), "sku": self._pick("", "s"), "channel": "app"}
        if self.random.random() < 0.8:
            data["shop"] = self._shop()
        self._add("activity.done", **data)

    def _undone(self) -> None:
        self._add("activity.undone", done=self._known("D"))

    def _credit(self) -> None:
        self._add("credit.scored", score=self._pick(0, 29, 30, 90))

    def _grant_tier(self) -> None:
        scores = self.book.get("scores", {})
        score = self._pick(*scores, "nothing")
        tiers = [tier["name"] for tier in scores[score]["tiers"]] if score in scores else []
        until = (self.now + timedelta(days=self._pick(-1, 3, 30, 200))).isoformat()
        data = {"grant": self._new("X"), "score": score, "tier": self._pick(*tiers, *tiers, "nothing"), "until": until}
        self._add("tier.granted", "/operators", **data)

    def _withdraw_tier(self) -> None:
        self._add("tier.withdrawn", "/operators", grant=self._pick(self._known("X"), "claim/" + self._known("B")))

    def _exchange(self) -> None:
        data = {
            "exchange": self._pick(*self.book.get("exchanges", {}), "swap"),
            "points": self._pick(1, 7, 10, 70, 100, 500),
        }
        self._add("exchange.requested", request=self._new("E"), **data)

    def _exchange_back(self) -> None:
        self._add("exchange.reversed", request=self._known("E"))

    def _claim_points(self) -> None:
        of = self._pick(
            {"order": self._order(), "line": self._pick("1", "2")},
            {"grant": self._known("G")},
            {"lot": f"{self.random.randint(1, max(1, len(self.facts)))}.1"},
            {"lot": f"{max(1, len(self.facts) - self._pick(0, 1, 2))}.1"},
        )
        self._add("points.claimed", of=of)
