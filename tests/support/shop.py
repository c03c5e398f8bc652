"""A shop and one of its members, told in the shop's words: each verb is a fact, decided in memory.

A verb answers with the outcome ("accepted", "refused: beans-short"). Times without an offset are Shanghai's, a fact
without a time happens when the last one did, and a line is (category, pieces, paid in fen), named "1", "2" and so on.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import cache
from hashlib import sha256
from typing import Any, ClassVar

import msgspec

from ledger.core.account import Account, Purse, decode_account, encode_account
from ledger.core.decide import Limits, Repetition, decide, run_to
from ledger.core.pages import COMPLETED, OPEN, PAID, OrderPage, PagesInMemory
from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import shipped
from ledger.wire.entries import ENGINE, OUTCOMES, Earned, Entry
from ledger.wire.fact_codec import canonical, decode
from ledger.wire.facts import MAX_INT
from ledger.wire.times import DAY, to_instant
from projections.answers.shops import shops_of
from projections.answers.show import describe_account

SHANGHAI = timezone(timedelta(hours=8))
YUAN = 100  # fen
PHONE = [("phone", 1, 359_900)]  # 359 beans, or 3,599 with PLUS
BOOK = [("books", 1, 10_000)]  # 10 beans, or 100 with PLUS

SHOP = "/shop"
OPERATORS = "/operators"


def moment(text: str) -> datetime:
    """An instant from `2025-11-11`, `2025-11-11 10:00` or RFC 3339; without an offset it is Shanghai's time."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=SHANGHAI)


def instant(text: str) -> int:
    """The same in microseconds."""
    return to_instant(moment(text))


@cache
def jd_book() -> Programme:
    """The shipped book, compiled once; nobody adds a version to it."""
    return Programme([shipped("jd")])


class Shop:
    """One member's story. `beans` is what she can spend now; `on(day)` is the same shop at a later instant."""

    name = "m-1"
    opened: ClassVar[list["Shop"]] = []  # those that a test told, for the native engine to hear them too

    def __init__(self, *books: str, now: str = "2025-11-11 10:00", request_max_age_days: int = 1) -> None:
        self.book = Programme(list(books)) if books else jd_book()
        self.limits = Limits(request_max_age_days * DAY)
        self.account = Account()
        self.pages = PagesInMemory()
        self.entries: list[Entry] = []
        self.now = moment(now)
        self._seen: dict[tuple[str, str], tuple[int, bytes]] = {}
        self.heard: list[dict[str, Any]] = []
        self.is_plain = request_max_age_days == 1  # every fact is recorded as it occurs, under the limits of a ledger
        self.versions = len(self.book.versions)
        Shop.opened.append(self)

    # -- what happens ------------------------------------------------------------------------------------------------

    def completes(
        self,
        order: str,
        lines: Sequence[tuple | dict],
        at: str = "",
        pay: str = "",
        tags: Sequence[str] = (),
        **more: Any,
    ) -> str:
        """A line may be a tuple or its fields by name; `more` are other fields of the order, such as its `shop`."""
        data = {"order": order, "lines": _lines(lines), "pay": pay, "tags": list(tags)} | more
        return self._tell("order.completed", at, data)

    def amends(self, order: str, lines: Sequence[tuple | dict], at: str = "", refund_fen: int = 0, **more: Any) -> str:
        """The lines of an order as they are now."""
        return self._tell(
            "order.amended", at, {"order": order, "lines": _lines(lines), "refund_fen": refund_fen} | more
        )

    def exchanges(self, order: str, lines: Sequence[tuple], at: str = "", back: str = "") -> str:
        """A return whose lines are replaced: (line, pieces, refund in fen[, points tendered])."""
        names = ("line", "quantity", "refund_fen", "points")
        told = [_named(names, line) | {"exchange": True} for line in lines]
        return self._tell("order.returned", at, {"order": order, "return": self._name(back, "T"), "lines": told})

    def pays(self, order: str, lines: Sequence[tuple | dict], at: str = "", **more: Any) -> str:
        return self._tell("order.paid", at, {"order": order, "lines": _lines(lines)} | more)

    def cancels(self, order: str, at: str = "") -> str:
        return self._tell("order.cancelled", at, {"order": order})

    def refuses_at_the_door(self, order: str, at: str = "") -> str:
        return self._tell("order.rejected", at, {"order": order})

    def returns(self, order: str, lines: Sequence[tuple], at: str = "", back: str = "") -> str:
        """Lines of a return are (line, pieces, refund in fen) or, with points tendered, (…, points)."""
        names = ("line", "quantity", "refund_fen", "points")
        data = {"order": order, "return": self._name(back, "T"), "lines": [_named(names, line) for line in lines]}
        return self._tell("order.returned", at, data)

    def reviews(
        self, order: str, line: str = "1", at: str = "", characters: int = 50, images: int = 0, review: str = ""
    ) -> str:
        data = {"order": order, "line": line, "characters": characters, "images": images}
        return self._tell("review.posted", at, {"review": self._name(review, "V"), **data})

    def takes_review_down(self, review: str, at: str = "") -> str:
        return self._tell("review.removed", at, {"review": review})

    def answers(self, at: str = "", answer: str = "") -> str:
        return self._tell("question.answered", at, {"answer": self._name(answer, "A")})

    def shares(self, at: str = "", share: str = "") -> str:
        return self._tell("item.shared", at, {"share": self._name(share, "S"), "sku": "s"})

    def signs_in(self, at: str = "", day: str = "") -> str:
        return self._tell("member.signed-in", at, {"day": day} if day else {})

    def visits(self, shop: str, at: str = "") -> str:
        return self._tell("shop.visited", at, {"shop": shop})

    def is_granted(self, points: int, at: str = "", expires: str = "", grant: str = "") -> str:
        data: dict[str, Any] = {"grant": self._name(grant, "G"), "campaign": "618", "points": points}
        if expires:
            data["expires"] = moment(expires).isoformat()
        return self._tell("campaign.granted", at, data)

    def verifies_identity(self, at: str = "") -> str:
        return self._tell("identity.verified", at, {})

    def binds_wechat(self, at: str = "") -> str:
        return self._tell("wechat.bound", at, {})

    def binds_qq(self, at: str = "") -> str:
        return self._tell("qq.bound", at, {})

    def is_rated(self, stars: int, at: str = "") -> str:
        return self._tell("reputation.rated", at, {"stars": stars})

    def has_credit(self, score: int, at: str = "") -> str:
        return self._tell("credit.scored", at, {"score": score})

    def redeems(
        self,
        points: int,
        use: str = "coupon",
        at: str = "",
        order: str = "",
        settlement_fen: int = 0,
        redemption: str = "",
        **more: Any,
    ) -> str:
        data: dict[str, Any] = {"redemption": self._name(redemption, "R"), "points": points, "use": use}
        if order:
            data |= {"order": order, "settlement_fen": settlement_fen}
        return self._tell("redemption.requested", at, data, **more)

    def gives_back(self, redemption: str, points: int | None = None, at: str = "") -> str:
        data = {"redemption": redemption} | ({"points": points} if points else {})
        return self._tell("redemption.reversed", at, data)

    def holds(self, hold: str, points: int, until: str, at: str = "") -> str:
        data = {"hold": hold, "kind": "beans", "points": points, "until": moment(until).isoformat()}
        return self._tell("hold.requested", at, data)

    def captures(self, hold: str, points: int, at: str = "") -> str:
        return self._tell("hold.captured", at, {"hold": hold, "points": points})

    def releases(self, hold: str, at: str = "") -> str:
        return self._tell("hold.released", at, {"hold": hold})

    def buys(self, product: str, at: str = "", card: str = "", paid_fen: int = 9_900) -> str:
        data = {"card": self._name(card, "C"), "product": product, "paid_fen": paid_fen}
        return self._tell("card.purchased", at, data)

    def redeems_code(self, product: str, at: str = "", card: str = "") -> str:
        return self._tell("card.code-redeemed", at, {"card": self._name(card, "C"), "product": product, "code": "x"})

    def tries_plus(self, at: str = "", card: str = "") -> str:
        return self._tell("card.trial-started", at, {"card": self._name(card, "C"), "product": "plus.trial"})

    def refunds_card(self, card: str, at: str = "", refund_fen: int = 9_900) -> str:
        return self._tell("card.refunded", at, {"card": card, "refund_fen": refund_fen})

    def claims(self, benefit: str = "shipping", at: str = "", claim: str = "", **more: Any) -> str:
        return self._tell("benefit.claimed", at, {"claim": self._name(claim, "B"), "benefit": benefit} | more)

    def gives_claim_back(self, claim: str, at: str = "") -> str:
        return self._tell("benefit.returned", at, {"claim": claim})

    def is_adjusted(self, points: int, at: str = "", by: str = "ann", approved_by: str = "bob", **more: Any) -> str:
        data = {"adjustment": self._name("", "J"), "kind": "beans", "points": points, "reason": "goodwill", "by": by}
        return self._tell("points.adjusted", at, data | {"approved_by": approved_by}, source=OPERATORS, **more)

    def is_adjusted_of(self, points: int, at: str = "", kind: str = "beans", **of: str) -> str:
        """An adjustment aimed at an award: `order` and `line`, `grant`, or `lot`."""
        data = {"adjustment": self._name("", "J"), "kind": kind, "points": points, "reason": "error", "of": of}
        return self._tell("points.adjusted", at, data | {"by": "ann", "approved_by": "bob"}, source=OPERATORS)

    def is_closed(self, at: str = "") -> str:
        return self._tell("account.closed", at, {"reason": "left"}, source=OPERATORS)

    def is_reopened(self, at: str = "") -> str:
        return self._tell("account.reopened", at, {"reason": "back"}, source=OPERATORS)

    def is_frozen(self, at: str = "") -> str:
        return self._tell("account.frozen", at, {"reason": "fraud"}, source=OPERATORS)

    def is_unfrozen(self, at: str = "") -> str:
        return self._tell("account.unfrozen", at, {"reason": "cleared"}, source=OPERATORS)

    def opens_with(self, points: int, expires: str, at: str = "", earned: str = "2024-06-18", lot: str = "") -> str:
        data = {"lot": self._name(lot, "L"), "kind": "beans", "points": points}
        data |= {"earned_at": moment(earned).isoformat(), "expires_at": moment(expires).isoformat()}
        return self._tell("lot.opened", at, data, source=OPERATORS)

    def hears_again(self, number: int = 0, **changed: Any) -> str:
        """The fact of an entry comes once more (the last one, where no number is given), perhaps with other data."""
        fact = json.loads(self.entries[number - 1].fact)
        fact.setdefault("data", {}).update(changed)
        return self.hears(fact)

    def tells(self, type_: str, at: str = "", **data: Any) -> str:
        """Any other fact, by its type without the version."""
        return self._tell(type_, at, data)

    def brings_back_all_that_can_be(self) -> None:
        """Every order ends or comes back whole, and every other redemption is reversed: what law 10 walks."""
        for key, page in list(self.pages.items()):
            name = key.partition("/")[2]
            if isinstance(page, OrderPage):
                if page.status in (OPEN, PAID) or page.more:
                    self.cancels(name)
                if page.status == COMPLETED:
                    self.returns(name, [(line.line, MAX_INT, 0) for line in page.lines])
            elif key.startswith(("redemption/", "captured/")):
                self.gives_back(name)

    # -- what she has ------------------------------------------------------------------------------------------------

    @property
    def purse(self) -> Purse:
        return self.account.purse("beans")

    @property
    def beans(self) -> int:
        return self.purse.spendable()

    @property
    def debt(self) -> int:
        return self.purse.debt

    @property
    def pending(self) -> int:
        return self.purse.pending()

    @property
    def lots(self) -> list[int]:
        """What is left in each lot, the soonest to go first."""
        return [lot["left"] for lot in self.shown["points"]["beans"]["lots"]]

    @property
    def awarded(self) -> list[int]:
        """The points of every lot that was opened, in order."""
        return [c.points for entry in self.entries for c in entry.changes if isinstance(c, Earned)]

    @property
    def shown(self) -> dict[str, Any]:
        """What `points show` says of her."""
        now = to_instant(self.now)
        shown: dict[str, Any] = msgspec.to_builtins(
            describe_account(self.name, self.account, self.book, now, shops_of(self.entries))
        )
        del shown["member"]
        return shown

    @property
    def score(self) -> dict[str, Any]:
        shown: dict[str, Any] = self.shown["scores"]["jd-value"]
        return shown

    @property
    def plus(self) -> dict[str, Any]:
        shown: dict[str, Any] = self.shown["memberships"].get("plus", {})
        return shown

    @property
    def last(self) -> Entry:
        return self.entries[-1]

    def on(self, at: str | datetime) -> "Shop":
        """The same member at a later instant, without any fact in between."""
        later = Shop.__new__(Shop)
        later.__dict__ = dict(self.__dict__)
        later.now = moment(at) if isinstance(at, str) else at
        later.account = decode_account(encode_account(self.account))
        run_to(later.account, self.book, to_instant(later.now), PagesInMemory())
        return later

    # -- how it is decided -------------------------------------------------------------------------------------------

    def hears(self, fact: dict[str, Any], recorded: int | None = None) -> str:
        """Decide a fact as it would stand in a file; `recorded` is when it occurred unless given."""
        raw = json.dumps(fact).encode()
        decoded, occurred = decode(raw)
        self.heard.append(fact)
        kept = canonical(decoded)
        self.is_plain = self.is_plain and recorded in (None, occurred)
        recorded = occurred if recorded is None else recorded
        first = self._seen.setdefault((decoded.source, decoded.id), (len(self.entries) + 1, kept))
        repeats = None if first[0] > len(self.entries) else Repetition(first[0], first[1] == kept)
        found = decide(
            self.account,
            self.pages,
            decoded,
            occurred,
            self.book,
            recorded=recorded,
            limits=self.limits,
            repeats=repeats,
        )
        self.account.number += 1
        self.entries.append(
            Entry(
                decoded.subject,
                self.account.number,
                0,
                len(self.entries),
                occurred,
                recorded,
                found.clock,
                False,
                found.version,
                ENGINE,
                found.outcome,
                found.reason,
                found.figures,
                found.changes,
                kept,
                sha256(raw).digest(),
            )
        )
        outcome = OUTCOMES[found.outcome]
        return f"{outcome}: {found.reason}" if found.reason else outcome

    def _tell(
        self, type_: str, at: str, data: dict[str, Any], *, source: str = SHOP, id: str = "", recorded: str = ""
    ) -> str:
        when = moment(at) if at else self.now
        self.now = max(self.now, when)
        fact = {
            "specversion": "1.0",
            "id": id or f"f{len(self.entries) + 1}",
            "source": source,
            "type": f"{type_}.v1",
            "subject": self.name,
            "time": when.isoformat(),
            "data": data,
        }
        return self.hears(fact, instant(recorded) if recorded else None)

    def _name(self, given: str, letter: str) -> str:
        """A business id of its own unless one is given."""
        return given or f"{letter}-{len(self.entries) + 1}"


def shop_with(beans: int, **more: str) -> Shop:
    """A member who has beans until the end of 2026."""
    shop = Shop(**more)
    shop.is_granted(beans, expires="2027-01-01")
    return shop


def _lines(lines: Sequence[tuple | dict]) -> list[dict[str, Any]]:
    names = ("category", "quantity", "paid_fen", "points")
    return [
        {"line": str(number), "sku": "s"} | (line if isinstance(line, dict) else _named(names, line))
        for number, line in enumerate(lines, 1)
    ]


def _named(names: Sequence[str], values: tuple) -> dict[str, Any]:
    return dict(zip(names, values, strict=False))
