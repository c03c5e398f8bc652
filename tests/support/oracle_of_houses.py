"""The oracle of houses: who sits there, what a seat gives, and the quotas that all share (two-accounts.md D)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.support.oracle import Claim, Decision, Table, Term, instant
from tests.support.oracle_of_pools import NEVER, PRICE, Ask, Resident

MOST_TERMS = 4  # that a seat is told at once


def as_instant(value: str | datetime) -> datetime:
    """An instant that is written, or is one."""
    return value if isinstance(value, datetime) else instant(value)


@dataclass
class Seat:
    """What a member was told of a seat: by the house's entry `n`, which terms it has of a membership."""

    n: int
    membership: str
    terms: list[Term] = field(default_factory=list)


class Sitting(Resident):
    """An account that is a house, or sits in some."""

    def __init__(self, name: str, books: Any) -> None:
        super().__init__(name, books)
        self.seated: dict[str, str] = {}  # of a house: member -> membership
        self.seats: dict[tuple[str, str], Seat] = {}  # of a member, by the name that sits and the house
        self.answered: dict[tuple[str, str], tuple[Any, ...]] = {}  # of a house: (member, ask) -> what counts it

    @property
    def is_house(self) -> bool:
        return self.name.startswith("house/")

    # -- the house

    def decide(self, on: str, data: Table, at: datetime) -> Decision:
        """A house has no rules and no points; whatever moves its terms is told to each who sits there."""
        if not self.is_house:
            return super().decide(on, data, at)
        self.on, self.verdicts = on, {}
        before = {name: self._laid(name) for name in self.terms}
        was_closed = self.is_closed
        outcome, reason = self.handler(on)(data, at)
        for who, membership in self.seated.items():
            is_moved = self._laid(membership) != before.get(membership, []) or self.is_closed != was_closed
            if is_moved and outcome == "accepted" and not on.startswith("house."):
                self._tell_seat(who, membership, self._of_seats(membership), at)
        return outcome, reason or self.note

    def _laid(self, membership: str) -> list[tuple[str, datetime, datetime]]:
        return [(term.card, term.start, term.until) for term in self.terms[membership]]

    def _seats_of(self, term: Term) -> int:
        spec = self.book.product(term.product) if term.product in self.book.products else term.spec
        seats: int = spec.get("seats", 0)
        return seats

    def house_joined(self, data: Table, at: datetime) -> Decision:
        if self.name != "house/" + data["house"]:
            return "ignored", "not-a-house"
        who = data["member"]
        if who == "programme" or who.startswith(("pool/", "house/")):
            return "ignored", "not-a-member"
        if who in self.seated:
            return "ignored", "already"
        term = next((t for terms in self.terms.values() for t in terms if t.card == data["card"]), None)
        if term is None or term.until <= at:
            return "ignored", "unknown-card"
        if list(self.seated.values()).count(term.membership) >= self._seats_of(term):
            return "ignored", "seats-full"
        self.seated[who] = term.membership
        self._tell_seat(who, term.membership, self._of_seats(term.membership), at)
        return "accepted", ""

    def house_left(self, data: Table, at: datetime) -> Decision:
        if self.name != "house/" + data["house"]:
            return "ignored", "not-a-house"
        membership = self.seated.pop(data["member"], None)
        if membership is None:
            return "ignored", "no-seat"
        self._tell_seat(data["member"], membership, [], at)
        return "accepted", ""

    def _of_seats(self, membership: str) -> list[Term]:
        """The terms that seats have a part in, from the last that ended on."""
        assert self.clock is not None
        if self.is_closed:
            return []
        laid = [term for term in self.terms[membership] if term.start < term.until and self._seats_of(term)]
        ended = [term for term in laid if term.until <= self.clock]
        return [term for term in laid if term not in ended[:-1]][:MOST_TERMS]

    def _tell_seat(self, who: str, membership: str, terms: list[Term], at: datetime) -> None:
        told = [{"card": t.card, "product": t.product, "from": t.start, "until": t.until} for t in terms]
        told = told or [{"card": "", "product": "", "from": at, "until": at}]
        house = self.name.removeprefix("house/")
        later = told[1:]
        self.tell(who, "seat.changed", house=house, n=self.entries, membership=membership, **told[0], later=later)

    def pool_asked(self, data: Table, at: datetime) -> Decision:
        if not self.is_house:
            return super().pool_asked(data, at)
        why = self._why_not(data, at)
        self.tell(data["frm"], "pool.answered", ask=data["ask"], yes=not why, **({"reason": why} if why else {}))
        return "accepted", why

    def _why_not(self, data: Table, at: datetime) -> str:
        if self.is_closed or self.is_frozen:
            return "house-closed"
        membership = data["membership"]
        if self.seated.get(data["frm"]) != membership:
            return "no-seat"
        term = self.term_at(membership, at) or self.term_in_grace(membership, at)
        if term is None or not self._seats_of(term):
            return "no-membership"
        table = self.book.benefit(data["benefit"])[0]
        assert table is not None
        quota = table.get("quota")
        limit = quota.get(term.product, 0) if isinstance(quota, dict) else data["limit"]
        counted = self.counted_by(data["benefit"], table, term, at, "")
        if self.counts.get(counted, 0) >= limit:
            return "quota-used"
        self.count(*counted)
        term.claims += 1
        self.answered[data["frm"], data["ask"]] = counted
        return ""

    def pool_returned(self, data: Table, at: datetime) -> Decision:
        if not self.is_house:
            return super().pool_returned(data, at)
        counted = self.answered.pop((data["frm"], data["ask"]), None)
        if counted is None:
            return "ignored", "unknown-ask"
        self.counts[counted] -= 1
        return "accepted", ""

    # -- the member

    def seat_changed(self, data: Table, at: datetime) -> Decision:
        key = self.acting, data["frm"]
        known = self.seats.get(key)
        if known is not None and known.n >= data["n"]:
            return "ignored", "seat-older"
        seat = self.seats[key] = Seat(data["n"], data["membership"])
        for one in (data, *data["later"]):
            start, until = as_instant(one["from"]), as_instant(one["until"])
            if start < until:
                spec = self.book.product(one["product"])
                term = Term(one["card"], one["product"], data["membership"], spec, start, start=start, until=until)
                seat.terms.append(term)
        return "accepted", ""

    def _seat_terms(self, membership: str) -> list[tuple[tuple[str, str], Term]]:
        found = sorted(self.seats, key=lambda key: (key[1], key[0] != self.name, key[0]))
        seats = [(key, self.seats[key]) for key in found if self.seats[key].membership == membership]
        return [(key, term) for key, seat in seats for term in seat.terms]

    def card_of(self, membership: str, at: datetime) -> Term | None:
        own = self.term_at(membership, at)
        seats = (term for _, term in self._seat_terms(membership) if term.start <= at < term.until)
        return own or next(seats, None)

    def holder(self, name: str, table: Table, membership: str, at: datetime) -> tuple[Term | None, str]:
        """The own card goes first, and the seat where there is none or its quota is used up."""
        own = super().holder(name, table, membership, at)[0]
        seats = self._seat_terms(membership)
        running = [(term, key) for key, term in seats if term.start <= at < term.until]
        grace = [(term, key) for key, term in seats if term.until <= at < self._end_of_grace(term)]
        seat = (running or grace or [None])[0]
        if seat is None:
            return own, ""
        if own is not None:
            quota = self.offer(table | {"who": None}, own.product, at, "")[1]
            if quota is None or self.counts.get(self.counted_by(name, table, own, at, ""), 0) < quota:
                return own, ""
        term, (self.acting, house) = seat  # the claim is the one's who sits there
        return term, house

    def _end_of_grace(self, term: Term) -> datetime:
        return term.until + timedelta(days=term.spec.get("grace_days", 0))

    def settle_claim(
        self, data: Table, claim: Claim, table: Table, price: tuple[str, int] | None, at: datetime
    ) -> Decision:
        if not claim.house:
            return super().settle_claim(data, claim, table, price, at)
        if price is not None:
            slices = self.take_from_lots(*price)
            self.holds[PRICE + data["claim"]] = {"open": True, "until": NEVER, "slices": slices, "ended_by": ""}
        self.opened_lots += 1
        name, bucket = self.newest_name(), self.book.month(at) if table.get("per") == "month" else 0
        self.asks[name] = Ask(claim.house, 1, refill=True, claim=data)
        of = {"membership": self.book.benefit(data["benefit"])[1], "benefit": data["benefit"], "claim": data["claim"]}
        self.tell(claim.house, "pool.asked", ask=name, n=1, bucket=bucket, limit=claim.quota, **of)
        return "accepted", "asked"
