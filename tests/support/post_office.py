"""Several accounts of one ledger in memory, and the follow-ups on their way between them.

Each account is a `Shop` of its own. What its entries leave for others waits here until a test delivers it: in any
order, late, and twice.
"""

import json
from random import Random
from typing import Any

from msgspec import Struct

from ledger.core.decide import Limits
from ledger.wire.entries import Told
from ledger.wire.follow_ups import fact_of, peer_of
from ledger.wire.murmur import partition_of
from tests.support.shop import Shop


class Letter(Struct):
    """A follow-up on its way: from whom to whom, of which type (without the version), and the fact itself.

    `ledger` is the other ledger that it is for, empty for one of the same.
    """

    frm: str
    to: str
    type: str
    fact: dict[str, Any]
    ledger: str = ""


class Resident(Shop):
    """An account of a ledger that has others."""

    def __init__(self, office: "PostOffice", name: str) -> None:
        super().__init__(*office.books, now=office.now)
        self.name, self.office = name, office
        self.limits = Limits(partitions=office.partitions)
        self.is_plain = False  # the native engine is told of no other accounts

    def hears(self, fact: dict[str, Any], recorded: int | None = None) -> str:
        """Decide a fact; what its entry leaves for others is on its way."""
        outcome = super().hears(fact, recorded)
        self.office.post(self)
        return outcome


class PostOffice:
    """A ledger of several accounts: `at(name)` is one of them, `waiting` are the follow-ups that nobody has got yet.

    `called` is the name by which other ledgers know it, and `others` are those that it knows, by their names.
    """

    def __init__(self, *books: str, now: str = "2025-11-11 10:00", partitions: int = 1, called: str = "") -> None:
        self.books, self.now, self.partitions, self.called = books, now, partitions, called
        self.others: dict[str, PostOffice] = {}
        self.residents: dict[str, Resident] = {}
        self.waiting: list[Letter] = []
        self.delivered: list[Letter] = []

    def at(self, name: str) -> Resident:
        """The account of a name, which begins where it is new."""
        if name not in self.residents:
            self.residents[name] = Resident(self, name)
        return self.residents[name]

    def post(self, resident: Resident) -> None:
        """Take what the last entry of an account left for others."""
        entry = resident.last
        for told in entry.changes:
            if isinstance(told, Told):
                raw = fact_of(entry, told, partition_of(resident.name, self.partitions), self.called)
                type_, fact = told.fact.removesuffix(".v1"), json.loads(raw)
                self.waiting.append(Letter(resident.name, fact["subject"], type_, fact, peer_of(told)))

    def delivers(self, type_: str = "", to: str = "", frm: str = "") -> str:
        """Deliver the first follow-up of a type, and to or from an account; answers what became of it."""
        for place, letter in enumerate(self.waiting):
            if type_ in ("", letter.type) and to in ("", letter.to) and frm in ("", letter.frm):
                return self._deliver(self.waiting.pop(place))
        raise AssertionError(f"no {type_ or 'follow-up'} to {to or 'anybody'} is on its way")

    def delivers_any(self, random: Random) -> str:
        """Deliver one of those that are on their way, whichever."""
        return self._deliver(self.waiting.pop(random.randrange(len(self.waiting))))

    def delivers_again(self, place: int = -1) -> str:
        """Deliver one that was delivered before."""
        return self._deliver(self.delivered[place])

    def delivers_all(self, random: Random | None = None, twice: float = 0.0) -> None:
        """Deliver all that waits and what comes of it, in order or at random; so large a share of it comes twice."""
        while self.waiting:
            self.delivers_any(random) if random is not None else self.delivers()
            if random is not None and random.random() < twice:
                self.delivers_again(random.randrange(len(self.delivered)))

    def _deliver(self, letter: Letter) -> str:
        self.delivered.append(letter)
        office = self.others[letter.ledger] if letter.ledger else self
        return office.at(letter.to).hears(letter.fact)
