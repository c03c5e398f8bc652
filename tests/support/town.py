"""Several members of one ledger in memory: each decides in a stream of its own, and what they tell each other is post.

Post waits until it is delivered, in any order and as often as one likes; `check` holds the laws over all of them.
"""

import json
from datetime import date, timedelta
from typing import Any, NamedTuple

import msgspec

from ledger.core.account import Account, Purse, decode_account, encode_account
from ledger.core.decide import Limits, Repetition, entry_of, run_to
from ledger.core.decisions.forwarding import KEPT
from ledger.core.evolve import evolve_entry
from ledger.core.pages import PagesInMemory
from ledger.journal.partition import FactRecord, decided
from ledger.journal.partitioning import Partitioner
from ledger.rulebook.compiled import Programme
from ledger.wire.entries import OUTCOMES, Entry, Told
from ledger.wire.entry_codec import decode_entry, encode_entry
from ledger.wire.fact_codec import canonical, decode
from ledger.wire.facts import Forwarded, Moved
from ledger.wire.follow_ups import fact_of, told_in
from ledger.wire.times import DAY, to_datetime, to_instant
from tests.support.shop import OPERATORS, SHOP, moment

PARTITIONS = Partitioner(4)
decode_forwarded = msgspec.json.Decoder(Forwarded).decode
decode_moved = msgspec.json.Decoder(Moved).decode


class Letter(NamedTuple):
    """A follow-up on its way: to whom, and its bytes."""

    to: str
    kind: str
    raw: bytes


class Member:
    """One account with its pages and its entries."""

    def __init__(self, name: str, book: Programme) -> None:
        self.name = name
        self.book = book
        self.account = Account()
        self.pages = PagesInMemory()
        self.entries: list[Entry] = []
        self.facts: list[bytes] = []
        self._seen: dict[tuple[str, str], tuple[int, bytes]] = {}

    @property
    def last(self) -> Entry:
        return self.entries[-1]

    def purse(self, kind: str = "beans") -> Purse:
        return self.account.purse(kind)

    def hears(self, raw: bytes) -> str:
        """Decide a fact; answers with the outcome and the reason."""
        self.facts.append(raw)
        fact, occurred = decode(raw)
        kept = canonical(fact)
        number = len(self.entries) + 1
        first = self._seen.setdefault((fact.source, fact.id), (number, kept))
        repeats = Repetition(first[0], first[1] == kept) if first[0] < number else None
        recorded = max(occurred, self.account.clock)
        item = FactRecord(number, recorded, True, fact, occurred, kept, b"")
        decision = decided(self.account, self.pages, item, self.book, Limits(DAY), repeats)
        entry = entry_of(
            decision,
            member=self.name,
            number=number,
            partition=PARTITIONS(self.name),
            offset=number,
            occurred=occurred,
            recorded=recorded,
            backlog=True,
            fact=kept,
            received=b"",
        )
        self.account.number = number
        self.entries.append(decode_entry(encode_entry(entry)))
        outcome = OUTCOMES[entry.outcome]
        return f"{outcome}: {entry.reason}" if entry.reason else outcome


class Town:
    """Members by name, made as they are met, and the post between them."""

    def __init__(self, book: str, now: str = "2025-03-01 10:00") -> None:
        self.book = Programme([book])
        self.members: dict[str, Member] = {}
        self.post: list[Letter] = []
        self.sent: list[Letter] = []
        self.now = moment(now)
        self._count = 0

    def member(self, name: str) -> Member:
        return self.members.setdefault(name, Member(name, self.book))

    def tells(self, name: str, type_: str, /, at: str = "", source: str = SHOP, **data: Any) -> str:
        """A fact of a member from outside; what its entry leaves for others is post."""
        self.now = moment(at) if at else self.now
        self._count += 1
        head = {"specversion": "1.0", "id": f"f-{self._count}", "source": source, "type": f"{type_}.v1"}
        fact = head | {"subject": name, "time": self.now.isoformat(), "data": data}
        return self.hears(name, json.dumps(fact).encode())

    def hears(self, name: str, raw: bytes) -> str:
        member = self.member(name)
        answer = member.hears(raw)
        for told in told_in(member.last):
            letter = Letter(told.to, told.fact, fact_of(member.last, told, PARTITIONS(name)))
            self.post.append(letter)
            self.sent.append(letter)
        return answer

    def delivers(self, place: int = 0) -> str:
        """Deliver a letter that waits: the first one unless said."""
        letter = self.post.pop(place)
        return self.hears(letter.to, letter.raw)

    def delivers_all(self) -> list[str]:
        """Deliver until nothing waits; answers with what became of each letter."""
        answers = []
        while self.post:
            answers.append(self.delivers())
        return answers

    # -- in the words of a shop --------------------------------------------------------------------------------------

    def opens(self, name: str, lot: str, points: int, expires: str, at: str = "") -> str:
        data = {"lot": lot, "kind": "beans", "points": points, "earned_at": "2025-01-01T00:00:00+08:00"}
        expires = moment(expires).isoformat()
        return self.tells(name, "lot.opened", at, OPERATORS, **data, expires_at=expires)

    def gives(self, name: str, to: str, points: int, transfer: str, rule: str = "gift", at: str = "") -> str:
        return self.tells(name, "transfer.requested", at, transfer=transfer, rule=rule, to=to, points=points)

    def reverses(self, name: str, transfer: str, at: str = "") -> str:
        return self.tells(name, "transfer.reversed", at, OPERATORS, transfer=transfer)

    def spends(self, name: str, points: int, redemption: str, at: str = "") -> str:
        return self.tells(name, "redemption.requested", at, redemption=redemption, points=points, use="any")

    def lots(self, name: str) -> list[tuple[int, str]]:
        """What is left in each lot now, and the day it ends, the soonest first."""
        account = decode_account(encode_account(self.member(name).account))
        run_to(account, self.book, to_instant(self.now), PagesInMemory())
        zone = self.now.tzinfo
        found = [(lot.expires_at, lot.left) for lot in account.purse("beans").lots.values() if lot.left]
        return [(left, str(_day(end, zone))) for end, left in sorted(found)]

    # -- the laws ----------------------------------------------------------------------------------------------------

    @property
    def in_transit(self) -> int:
        purses = [purse for member in self.members.values() for purse in member.account.purses.values()]
        return sum(purse.gone - purse.come for purse in purses)

    def on_its_way(self) -> int:
        """The points of the letters that wait, and of those that came and wait for something else."""
        facts = [decode(letter.raw)[0].data for letter in self.post]
        for member in self.members.values():
            bundle = member.account.bundle
            numbers = bundle.delayed if bundle is not None else []
            facts += [decode_forwarded(member.pages[f"{KEPT}{number}"].data) for number in numbers]
            parts = [page for key, page in member.pages.items() if key.startswith("moved/")]
            facts += [decode_moved(page.data) for page in parts if bundle.awaited or bundle.alias]
        return sum(getattr(fact, "points", 0) for fact in facts)

    def check(self) -> None:
        """Laws 1, 2 and 3 of every member, law 2 over all of them, and law 6 of every stream by itself."""
        for member in self.members.values():
            folded = Account()
            for entry in member.entries:
                evolve_entry(folded, entry)
            assert folded.purses == member.account.purses and folded.bundle == member.account.bundle
            for kind, purse in member.account.purses.items():
                balances(kind, purse)
        assert self.in_transit == self.on_its_way() >= 0

    def check_streams(self) -> None:
        """Each account alone makes the same entries of its own stream, and leaves the same follow-ups."""
        for member in self.members.values():
            alone = Member(member.name, self.book)
            for raw in member.facts:
                alone.hears(raw)
            assert alone.entries == member.entries
            assert encode_account(alone.account) == encode_account(member.account)

    def told_by(self, name: str) -> list[Told]:
        return [told for entry in self.member(name).entries for told in told_in(entry)]


def balances(kind: str, purse: Purse) -> None:
    """Law 2 of one purse, and law 3."""
    at_hand = purse.spendable() + purse.pending() + purse.held()
    ended = purse.redeemed + purse.expired + purse.clawed_back + purse.forfeited
    assert purse.issued + purse.come == at_hand + ended + purse.gone, kind
    assert all(0 <= lot.left <= lot.earned for lot in purse.lots.values()) and purse.debt >= 0


def _day(instant: int, zone: Any) -> date:
    return (to_datetime(instant).astimezone(zone) - timedelta(microseconds=1)).date()
