"""The laws between members: what an account left for another is taken once, and what is on its way is nowhere else.

Told from the streams: an entry leaves, under its own name, what its changes say; an entry of a follow-up takes. What
is left and not taken is on its way. Beside it pools are reckoned from the changes of their entries alone.
"""

import json
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from ledger.core.account import Account
from ledger.core.asks import DRAWN as ANSWERED_YES
from ledger.core.asks import WAITS
from ledger.core.claims import GRANT
from ledger.core.decisions.forwarding import KEPT
from ledger.core.evolve import DRAWN, OUT
from ledger.core.pages import AskPage, KeptFactPage
from ledger.journal.ledger import Ledger
from ledger.journal.partition import FactRecord
from ledger.wire.entries import ACCEPTED, Entry, Told
from ledger.wire.entry_codec import decode_entry
from ledger.wire.facts import PROGRAMME_SUBJECT, MemberForwarded, ProgrammePublished
from ledger.wire.follow_ups import FLOW
from ledger.wire.name_keys import named
from ledger.wire.times import to_instant
from tests.simulator.laws import PartitionTruth
from tests.support.bundles import problems_of_names

POOL, HOUSE = "pool/", "house/"
PARTS = "moved/"  # how the keys of pages begin that keep the parts of a move
OF_ACCOUNTS = ("account.", "member.merged", "member.unmerged")  # how types of facts begin that are not handed on
OF_LEASES = ("lease.answered.v1", "lease.returned.v1")
Law = Callable[[str, bool, str], None]
Values = Callable[[int, int], list[bytes]]


class _Data(msgspec.Struct):
    fact: msgspec.Raw = msgspec.Raw(b"")  # that is handed on
    points: int = 0
    n: int = 0
    bucket: int = 0
    era: int = 0
    name: str = ""
    back: bool = False


class _Name(msgspec.Struct):
    name: str


class _Moved(msgspec.Struct):
    era: int
    names: list[_Name] = []
    back: bool = False


class Way(NamedTuple):
    """A follow-up on its way: from an account to another, the points that it carries, and what a lease moves.

    The entry that left it stands at a sequence of a partition's journal.
    """

    frm: str
    to: str
    partition: int
    sequence: int
    type: str
    points: int
    moved: int
    bucket: int


_data = msgspec.json.Decoder(_Data)
_moved = msgspec.json.Decoder(_Moved)


class Ways:
    """What is on its way between the accounts of a ledger, and how its pools stand.

    `values` reads what a partition's stream was given behind an offset, whatever became of it there.
    """

    def __init__(self, truths: Mapping[int, PartitionTruth], ledger: Ledger, book: str, values: Values) -> None:
        self.on_their_way: dict[str, Way] = {}
        self.was_any = False
        self.instants: set[int] = set()  # clocks of who took points by a fact that its giver's clock was ahead of
        self._truths = truths
        self._ledger = ledger
        self._values = values
        self._appended: set[str] = set()
        self._appended_upto = dict.fromkeys(truths, -1)
        self._read = dict.fromkeys(truths, 0)
        self._limits = Counter[str]()  # the highest that any version had
        self._words = Counter[tuple[str, str]]()  # by house and who sits there, the last entry that told of the seat
        self._moves = 0  # of names, that are finished,
        self._moved: dict[tuple[str, int, str], set[str]] = {}  # by whom, in which era and where to: the names
        self._hops = Counter[bytes]()  # and how often each fact was handed on
        self._learns(book)

    @property
    def points(self) -> int:
        """The points on their way."""
        return sum(way.points for way in self.on_their_way.values())

    def check(self, law: Law) -> None:
        """Take up what was decided since the last time, and check what holds at any time."""
        left: dict[str, Way] = {}
        taken: list[tuple[str, str]] = []
        pools: set[str] = set()
        for partition, truth in self._truths.items():
            read = self._read[partition]
            for place, (told, item) in enumerate(zip(truth.entries[read:], truth.facts[read:], strict=True), read + 1):
                entry = decode_entry(told.state)
                left.update(_left_by(entry, partition, place))
                self._follow_names(entry, item, law)
                if item.fact.source.startswith("ledger/") and entry.reason != "duplicate":
                    taken.append((item.fact.id, told.member))
                    if item.fact.data.at is not None and to_instant(item.fact.data.at) > item.occurred:
                        self.instants.add(truth.members[told.member].account.clock)
                if isinstance(item.fact, ProgrammePublished) and entry.outcome == ACCEPTED:
                    self._learns(item.fact.data.toml)
                if told.member.startswith(POOL):
                    pools.add(told.member.partition("@")[0])
            self._read[partition] = len(truth.entries)
        self.on_their_way |= left
        self.was_any = self.was_any or bool(left)
        for name, member in taken:
            way = self.on_their_way.pop(name, None)
            law(
                "between", way is not None and way.to == member, f"{member} takes {name}, which is not on its way to it"
            )
        gone = sum(
            purse.gone - purse.come for account in self._accounts().values() for purse in account.purses.values()
        )
        apart = self.points + self._waiting()
        law("between", gone == apart, f"{gone} points are with nobody, and {apart} on their way or waiting")
        for pool in pools:
            self._check_pool(pool, law)
        self._check_sent(law)

    def _follow_names(self, entry: Entry, item: FactRecord, law: Law) -> None:
        """What is handed on follows moves, or undoes one: it ends. Who means an account says so under its own name."""
        for told in entry.changes:
            if isinstance(told, Told) and told.fact == "seat.changed.v1":
                self._words[entry.member, told.to] = entry.number
            elif isinstance(told, Told) and told.fact == "member.moved.v1":
                self._moves += 1
                moved = _moved.decode(told.data)
                if not moved.back:
                    names = self._moved.setdefault((entry.member, moved.era, told.to), set())
                    names.update(one.name for one in moved.names)
            elif isinstance(told, Told) and told.fact == "member.forwarded.v1":
                data = _data.decode(told.data)
                fact = bytes(data.fact)
                self._hops[fact] += 1
                hops, of = self._hops[fact], json.loads(fact)
                law("names", hops <= 2 * self._moves + 2, f"{of} was handed on {hops} times, by {self._moves} moves")
                is_back = isinstance(item.fact, MemberForwarded) and item.fact.data.back
                goes_there = is_back and (item.fact.data.frm, item.fact.data.era) == (told.to, data.era)
                names = self._moved.get((entry.member, data.era, told.to), set())
                follows = data.back or not data.era or data.name in names
                where = f"{entry.member} hands {of} on to {told.to}"
                law("names", follows, f"{where}, where {data.name} did not move with it")
                law("names", not goes_there, f"{where}, which handed it back")
                law("names", not of["type"].startswith(OF_ACCOUNTS), f"{entry.member} hands on {of}")

    def _waiting(self) -> int:
        """The points of what came to members who merge, and waits for something else that is on its way."""
        found = 0
        for truth in self._truths.values():
            for member in truth.members.values():
                bundle = member.account.bundle
                if bundle is not None:
                    pages = [member.pages[f"{KEPT}{number}"] for number in bundle.delayed]
                    if bundle.awaited or bundle.alias is not None:
                        pages += [page for key, page in member.pages.items() if key.startswith(PARTS)]
                    found += sum(_data.decode(page.data).points for page in pages if isinstance(page, KeptFactPage))
        return found

    def _check_sent(self, law: Law) -> None:
        """Of what is remembered as sent, each stands in its account's stream."""
        for partition in {way.partition for way in self.on_their_way.values()}:
            upto = self._ledger.journal(partition).published_upto(FLOW)
            for name, way in self.on_their_way.items():
                if way.partition == partition and way.sequence <= upto and name not in self._appended:
                    self._look_at_streams()
                    law("between", name in self._appended, f"{name} to {way.to} counts as sent, and was not")

    def _look_at_streams(self) -> None:
        for partition, after in self._appended_upto.items():
            values = self._values(partition, after)
            self._appended.update(json.loads(value)["id"] for value in values if b'"source":"ledger/' in value)
            self._appended_upto[partition] += len(values)

    def _check_pool(self, pool: str, law: Law) -> None:
        """Never more than there is was drawn, and a pool and its leases agree, but for what is on its way."""
        accounts = self._accounts()
        root = accounts.get(pool, Account())
        for bucket, counts in root.counts.items():
            out = {name.removeprefix(OUT): count for name, count in counts.items() if name.startswith(OUT)}
            used = counts.get(DRAWN, 0) + sum(out.values())
            where = f"{pool} of {bucket}"
            law("pools", used <= self._limits[pool], f"{where} has given {used} of {self._limits[pool]}")
            for lease, count in out.items():
                theirs = accounts.get(lease, Account()).counts.get(bucket, {})
                has, drawn = theirs.get(f"{OUT}{lease}", 0), theirs.get(DRAWN, 0)
                moved = sum(way.moved for way in self.on_their_way.values() if _moves(way, lease, bucket))
                law("pools", has + moved == count, f"{where}: {lease} has {has} and {moved} on its way, of {count}")
                law("pools", 0 <= drawn <= has, f"{where}: {lease} has given {drawn} of {has}")

    def check_at_rest(self, law: Law) -> None:
        """What holds once nothing is on its way."""
        law("between", not self.on_their_way, f"on its way for ever: {list(self.on_their_way.items())[:3]}")
        confirmed, drawn = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
        given, counted = Counter[str](), Counter[str]()  # by house: claims that members were given, and its quotas used
        for truth in self._truths.values():
            for name, member in truth.members.items():
                held = [hold for hold in member.account.holds if named(hold)[1].startswith(GRANT)]
                law("between", not held, f"{name} holds the price of {held} for ever")
                for key, page in member.pages.items():
                    if isinstance(page, AskPage) and _lives_here(member.account, key):
                        law("pools", page.state != WAITS, f"{name} waits for ever for {key}")
                        if page.state == ANSWERED_YES and page.pool.startswith(HOUSE):
                            given[page.pool] += page.n - page.back
                        elif page.state == ANSWERED_YES:
                            confirmed[page.pool.partition("@")[0], page.bucket] += page.n - page.back
                if name.startswith(POOL):
                    for bucket, counts in member.account.counts.items():
                        drawn[name.partition("@")[0], bucket] += counts.get(DRAWN, 0)
                if name.startswith(HOUSE):
                    terms = (term for terms in member.account.terms.values() for term in terms)
                    counted[name] = sum(sum(term.used.values()) for term in terms)
        law("pools", +confirmed == +drawn, f"confirmed {dict(confirmed)}, drawn {dict(drawn)}")
        accounts = self._accounts()
        for (house, member), n in self._words.items():
            account = accounts[member]
            if account.bundle is None:
                known = account.seats[house].n
                law("houses", known == n, f"{member} believes word {known} of {house}, which told {n} later")
        for problem in problems_of_names(accounts):
            law("names", False, problem)
        law("houses", +given == +counted, f"given by seats {dict(given)}, counted by houses {dict(counted)}")

    def _accounts(self) -> dict[str, Account]:
        return {
            name: member.account
            for truth in self._truths.values()
            for name, member in truth.members.items()
            if name != PROGRAMME_SUBJECT
        }

    def _learns(self, toml: str) -> None:
        book = tomllib.loads(toml)
        limits = {f"{POOL}campaigns.{name}": table["budget"] for name, table in book.get("campaigns", {}).items()}
        limits |= {f"{POOL}benefits.{name}": table.get("stock", 0) for name, table in book.get("benefits", {}).items()}
        self._limits |= Counter(limits)


def _left_by(entry: Entry, partition: int, sequence: int) -> dict[str, Way]:
    """What an entry left, by the name that the contract gives it: `account:number.k`."""
    found = {}
    for told in entry.changes:
        if isinstance(told, Told):
            data = _data.decode(told.data)
            points, moved = data.points if told.at else 0, data.n if told.fact in OF_LEASES else 0
            name = f"{entry.member}:{entry.number}.{told.k}"
            found[name] = Way(entry.member, told.to, partition, sequence, told.fact, points, moved, data.bucket)
    return found


def _lives_here(account: Account, key: str) -> bool:
    """Return True if a page is of a name that lives in an account: what moved away leaves its pages behind."""
    name, bundle = named(key)[0], account.bundle
    if bundle is None:
        return True
    return name in bundle.names if name else bundle.alias is None


def _moves(way: Way, lease: str, bucket: int) -> bool:
    return way.type in OF_LEASES and lease in (way.frm, way.to) and way.bucket == bucket
