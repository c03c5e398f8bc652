"""The laws, checked against what stands in the simulated files, by somebody beside the world whom nothing disturbs.

A partition's truth is its stream. What every record has to come to is derived from it here, in the order of the stream,
by `decide` alone: without batches, caches, receipts, snapshots, fences or retries. The journal has to hold exactly that
for exactly the records up to its position, and nothing that stood there once may change.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from consumers.runtime.intake import Intake, Sources, dead_lettered
from consumers.stream import Record
from ledger.core.account import Account, Purse, decode_account
from ledger.core.decide import Limits, Repetition
from ledger.core.evolve import evolve_entry
from ledger.core.pages import OrderPage, PagesInMemory, encode_page
from ledger.journal.gaps import gaps_of
from ledger.journal.ledger import Ledger
from ledger.journal.partition import FactRecord, decided_with_care, entry_from, publication
from ledger.journal.partitioning import Partitioner
from ledger.journal.port import DeadLetter
from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import shipped
from ledger.wire.entries import ACCEPTED, IGNORED, OUTCOMES
from ledger.wire.entry_codec import decode_entry, encode_entry, leaf_of, link_after
from ledger.wire.fact_codec import BadFact
from ledger.wire.facts import PROGRAMME_SUBJECT, ProgrammePublished
from ledger.wire.times import DAY, to_datetime
from projections.answers.show import show_member
from tests.core.test_against_the_oracle import NOTES
from tests.simulator.ledgers import Files
from tests.simulator.world import Violation
from tests.support.accounts import alike
from tests.support.histories_of_members import PROGRAMME
from tests.support.oracle import Oracle, parts_that_differ
from tests.support.oracle_of_members import OracleOfMembers

ASKED_EVERY = 5  # entries of a member, for what the oracle says of the account; of each entry it is asked
LOOKS = (0, 400 * DAY)  # after an account's clock: the books balance at any instant


class Told(NamedTuple):
    """What an entry has to be."""

    member: str
    number: int
    state: bytes
    link: bytes
    offset: int


@dataclass
class Member:
    """A member as the facts make it; `first` is by fact's name the number and canonical bytes of its first entry."""

    account: Account = field(default_factory=Account)
    pages: PagesInMemory = field(default_factory=PagesInMemory)
    first: dict[tuple[str, str], tuple[int, bytes]] = field(default_factory=dict)
    folded: Account = field(default_factory=Account)  # from the stored bytes alone


@lru_cache(maxsize=4)
def _read(book: str) -> Oracle:
    return Oracle(book)


def oracle_of(book: str, partitions: int, about: str) -> Oracle | None:
    """Return a new oracle of the jd book, which is read once, or of the book of members who know each other.

    None for another, whose kinds these facts do not name, and for members who merge, which the oracle has not learnt.
    """
    if about == "merges":
        return None
    if PROGRAMME in book:
        return OracleOfMembers(book, partitions=partitions)
    if book != shipped("jd"):
        return None
    oracle = copy(_read(book))
    oracle.members = {}
    return oracle


class PartitionTruth:
    """What one partition's stream comes to, as far as it was derived; `record_at` reads the stream itself.

    `oracle` says the same a second time, until a rule book is published.
    """

    def __init__(
        self,
        partition: int,
        ledger: Ledger,
        record_at: Callable[[int, int], Record | None],
        oracle: Oracle | None = None,
    ) -> None:
        settings = ledger.settings
        self.partition = partition
        self.offset = -1
        self.entries: list[Told] = []
        self.letters: dict[int, DeadLetter] = {}
        self.accepted: set[tuple[int, int]] = set()  # gaps that operators accepted: first offset, last
        self.gaps: dict[int, int] = {}  # and those of them that an owner passed: first offset -> last
        self.members: dict[str, Member] = {}
        self.recorded = 0
        self.facts: list[FactRecord] = []  # that made entries, in order
        self.record_at = record_at
        self._book: Programme = ledger.new_book()
        self._limits: Limits = ledger.limits
        self._intake = Intake(partition, Partitioner(settings.partitions), Sources.of(settings))
        self._link = bytes(32)
        self.oracle = oracle

    def derive_to(self, offset: int) -> set[str]:
        """Derive up to an offset; return the members that were decided on."""
        touched: set[str] = set()
        while self.offset < offset:
            at = self.offset + 1
            if at in self.gaps:  # where it is not passed, an owner had fetched its records before they were lost
                self.offset = self.gaps[at]
                continue
            self.offset = at
            record = self.record_at(at, self.recorded)
            if record is None:
                continue
            self.recorded = record.recorded
            try:
                item = self._intake.check(record, {})
            except BadFact as bad:
                self.letters[at] = dead_lettered(record, bad)
            else:
                touched.add(item.fact.subject)
                self.decide(item)
        return touched

    def decide(self, item: FactRecord) -> None:
        member = self.members.setdefault(item.fact.subject, Member())
        name = (item.fact.source, item.fact.id)
        number = member.account.number + 1
        first, canonical = member.first.setdefault(name, (number, item.canonical))
        repeats = None if first == number else Repetition(first, canonical == item.canonical)
        if repeats is None and type(item.fact) is ProgrammePublished:
            decision = publication(member.account, self._book, item.fact.data.toml, item.occurred)
            self.oracle = None if decision.outcome == ACCEPTED else self.oracle
        else:
            member.account, decision = decided_with_care(
                member.account, member.pages, item, self._book, self._limits, repeats
            )
        member.account.number = number
        state = encode_entry(entry_from(decision, item, number, self.partition))
        self._link = link_after(self._link, leaf_of(state))
        self.entries.append(Told(item.fact.subject, number, state, self._link, item.offset))
        self.facts.append(item)
        if self.oracle is not None and item.fact.subject != PROGRAMME_SUBJECT:
            self._ask_the_oracle(self.oracle, item, OUTCOMES[decision.outcome], decision.reason)
        if repeats is not None and decision.outcome != IGNORED:
            raise Violation("law 4", f"{name} of {item.fact.subject} is decided twice")

    def _ask_the_oracle(self, oracle: Oracle, item: FactRecord, outcome: str, reason: str) -> None:
        where = f"partition {self.partition}, offset {item.offset}"
        recorded = None if item.backlog else to_datetime(item.recorded - item.pushed)
        try:
            said = oracle.take(json.loads(item.canonical), recorded)
        except LookupError as error:  # what it never heard of
            raise Violation("oracle", f"{where}: it knows no {error}: {item.canonical!r}") from error
        is_note = outcome == "accepted" and reason not in NOTES
        if outcome != said[0] or (reason not in said[1].split("|") and not is_note):
            raise Violation("oracle", f"{where}: {outcome}: {reason}, and the oracle says {said}: {item.canonical!r}")


class Laws:
    """Everything that was checked of a ledger's files, and how often each law was."""

    def __init__(self, files: Files, ledger: Ledger, truths: dict[int, PartitionTruth]) -> None:
        self.checked: Counter[str] = Counter()
        self.truths = truths
        self.files = files
        self.ledger = ledger  # of somebody whom nothing disturbs
        self._commits = dict.fromkeys(truths, -1)
        self._read = dict.fromkeys(truths, 0)  # entries that were compared
        self._epochs = dict.fromkeys(truths, 0)

    def check(self) -> set[int]:
        """Check every partition in which something was committed since the last time; return which they are."""
        changed = set()
        for partition, truth in self.truths.items():
            disk = self.files.journals[partition]
            if disk.commits != self._commits[partition]:
                self._commits[partition] = disk.commits
                self._check(partition, truth)
                changed.add(partition)
        return changed

    def _check(self, partition: int, truth: PartitionTruth) -> None:
        disk = self.files.journals[partition]
        journal = self.ledger.journal(partition)
        state = journal.state()
        where = f"partition {partition}"
        self.law("law 8", state.is_sealed(), f"{where}: the seal does not fit")
        self.law("law 5", state.epoch >= self._epochs[partition], f"{where}: the fencing token ran back")
        self._epochs[partition] = state.epoch
        position = state.position - 1
        self.law("law 5", position >= truth.offset, f"{where}: the position ran back to {position}")
        truth.gaps = {gap.first: gap.last for _, gap in gaps_of(journal) if gap is not None}
        passed = set(truth.gaps.items())
        self.law("law 5", passed <= truth.accepted, f"{where}: gaps {passed - truth.accepted} were not accepted")
        touched = truth.derive_to(position)
        self.law("law 5", truth.offset == position, f"{where}: a gap beyond position {position}")

        # Law 5, and of law 1 the leaves: exactly the records up to the position, each once, in order.
        rows = list(journal.scan(self._read[partition]))
        self.law(
            "law 5",
            state.head == len(truth.entries),
            f"{where}: {state.head} entries up to position {position}, and the stream has {len(truth.entries)} facts",
        )
        for row, told in zip(rows, truth.entries[self._read[partition] :], strict=False):
            where_ = f"{where}, entry {row.sequence}"
            self.law("law 1", (row.member, row.number) == told[:2], f"{where_} is {row[1:3]}, derived {told[:2]}")
            self.law("law 1", row.state == told.state, f"{where_}: {_differs(row.state, told.state)}")
            self.law("law 8", row.link == told.link, f"{where_}: another link")
            evolve_entry(truth.members[row.member].folded, decode_entry(row.state))
        self._read[partition] = len(truth.entries)
        self.law("law 5", state.last == state.head, f"{where}: entry {state.last} stands behind the head")
        self._check_letters(partition, truth, position)

        # What decides the next fact: receipts, pages, snapshots.
        count = sum(len(member.first) for member in truth.members.values())
        ((receipts,),) = disk.rows("SELECT count(*) FROM receipts")
        self.law("law 4", receipts == count, f"{where}: {receipts} receipts of {count} facts")
        for name in sorted(touched - {PROGRAMME_SUBJECT}):
            self._check_member(partition, name, truth.members[name])

    def _check_letters(self, partition: int, truth: PartitionTruth, position: int) -> None:
        stored = {letter.offset: letter for letter in self.ledger.journal(partition).parked(retried=True)}
        wanted = {at: letter for at, letter in truth.letters.items() if at <= position}
        where = f"partition {partition}"
        for last in truth.gaps.values():
            del stored[last]
        self.law(
            "law 5",
            stored.keys() == wanted.keys(),
            f"{where}: dead letters at {sorted(stored)}, and at {sorted(wanted)} there are no facts",
        )
        for at, letter in wanted.items():
            self.law("law 5", stored[at]._replace(is_done=False) == letter, f"{where}: another dead letter at {at}")

    def _check_member(self, partition: int, name: str, member: Member) -> None:
        account, ledger = member.account, self.ledger
        where = f"partition {partition}, {name}"
        disk = self.files.journals[partition]
        self.law("law 1", alike(member.folded) == alike(account), f"{where}: the fold of the entries is another")
        pages = dict(disk.rows("SELECT key, state FROM pages WHERE member = ?", name))
        wanted = {key: encode_page(page) for key, page in member.pages.items()}
        self.law("law 1", pages == wanted, f"{where}: pages {_apart(pages, wanted)} differ")
        for number, state in disk.rows("SELECT number, state FROM accounts WHERE member = ?", name):
            self.law("law 1", number <= account.number, f"{where}: a snapshot at {number} of {account.number}")
            if number == account.number:
                self.law("law 1", alike(decode_account(state)) == alike(account), f"{where}: another snapshot")
        ledger.forget_book()
        for wait in LOOKS:
            seen = ledger.account(name, account.clock + wait)
            assert seen is not None
            if not wait:
                self.law("law 1", seen.number == account.number, f"{where}: a reader sees entry {seen.number}")
                if account.number % ASKED_EVERY == 0:
                    self.compare_with_the_oracle(partition, name)
            for problem in problems_of(seen):
                self.law("law 2", False, f"{where}: {problem} after {wait // DAY} days")
            self.checked["law 2"] += 1
        for problem in problems_of_pages(member.pages):
            self.law("law 3", False, f"{where}: {problem}")
        self.checked["law 3"] += 1

    def compare_with_the_oracle(self, partition: int, name: str) -> None:
        """What a reader sees of a member is what the oracle says."""
        truth = self.truths[partition]
        clock = truth.members[name].account.clock
        if truth.oracle is None:
            return
        shown: dict[str, Any] = msgspec.to_builtins(show_member(self.ledger, name, clock))
        said = truth.oracle.show(name, to_datetime(clock))
        where = f"partition {partition}, {name}"
        differ = parts_that_differ(shown, said)
        parts = (f"{part} {shown[part]}, the oracle {said[part]}" for part in differ)
        self.law("oracle", not differ, f"{where}: {'; '.join(parts)}")

    def law(self, law: str, holds: bool, what: str) -> None:
        """Count a check of a law. Raises `Violation` unless it holds."""
        self.checked[law] += 1
        if not holds:
            raise Violation(law, what)


def problems_of(account: Account) -> Iterator[str]:
    """Yield what is wrong with an account: laws 2 and 3."""
    for kind, purse in account.purses.items():
        if not balances(purse):
            yield f"the books of {kind} do not balance"
        figures = (
            *(purse.spendable(), purse.pending(), purse.held(), purse.debt, purse.issued),
            *(purse.expired, purse.forfeited, purse.cash_shortfall_fen, purse.written_off, purse.gone, purse.come),
        )
        if account.bundle is None:  # else what one name spent may come back at another
            figures = (*figures, purse.redeemed, purse.clawed_back)
        if account.closed and purse.spendable() + purse.pending():
            yield f"a closed account has {kind}"
        if min(figures) < 0:
            yield f"a figure of {kind} is below zero: {figures}"
        for key, lot in purse.lots.items():
            if not (lot.left >= 0 and lot.held >= 0 and 0 < lot.left + lot.held <= lot.earned):
                yield f"lot {key} of {kind} has {lot.left} left and {lot.held} held of {lot.earned}"


def balances(purse: Purse) -> bool:
    """Law 2: what was issued, or came from others, is somewhere."""
    at_hand = purse.spendable() + purse.pending() + purse.held()
    ended = purse.redeemed + purse.expired + purse.clawed_back + purse.forfeited
    return purse.issued + purse.come == at_hand + ended + purse.gone


def problems_of_pages(pages: PagesInMemory) -> Iterator[str]:
    """Yield awards that hold more than was earned: reversed ≤ earned."""
    for key, page in pages.items():
        for line in page.lines if isinstance(page, OrderPage) else ():
            for award in line.awards:
                if award.held and not 0 <= award.held <= award.counted:
                    yield f"{key}, line {line.line}: holds {award.held} of {award.counted}"


def _apart(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def _differs(stored: bytes, derived: bytes) -> str:
    one, other = decode_entry(stored), decode_entry(derived)
    names = [name for name in one.__struct_fields__ if getattr(one, name) != getattr(other, name)]
    return "; ".join(f"{name} {getattr(one, name)!r} / {getattr(other, name)!r}"[:300] for name in names)


def digest_of(rows: list[Any]) -> str:
    """Return a short hash of rows, for the trace."""
    return sha256(repr(rows).encode()).hexdigest()[:16]
