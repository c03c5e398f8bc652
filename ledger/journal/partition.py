"""The one owner of a partition: facts in stream order become entries, a batch at a time, in one transaction.

Within a batch facts are decided member by member (members never touch each other), which keeps an account in the
processor's cache; entries are numbered and chained in the order of the stream all the same.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, repeat
from time import perf_counter

from msgspec import Struct

from ledger.core.account import Account, decode_account, encode_account
from ledger.core.decide import Decision, Limits, Repetition, decide, entry_of
from ledger.core.draft import OutOfRange, Trace
from ledger.core.page_keys import cards_ahead, pages_ahead
from ledger.core.pages import Page, Pages, TrialPages, earned_in, encode_page
from ledger.errors import ControlFlow
from ledger.journal.derived import page_keys
from ledger.journal.engines import native_module
from ledger.journal.failpoints import failpoint
from ledger.journal.native import NativeEngine
from ledger.journal.port import TOPIC, Damaged, DeadLetter, Snapshot, StoredRow
from ledger.journal.pruned import is_of_fact
from ledger.journal.snapshots import AccountCache, CachedAccount, folded
from ledger.journal.sql import Batch, Journal
from ledger.rulebook.compiled import STORED, Programme
from ledger.rulebook.schema import BadProgramme
from ledger.wire.entries import ACCEPTED, ENGINE, IGNORED, REFUSED, Change, Earned, Entry
from ledger.wire.entry_codec import decode_entry, encode_entry, links_after
from ledger.wire.fact_codec import decode_canonical
from ledger.wire.facts import Fact, ProgrammePublished

PAGES = 8_000
MEMBERS_AT_ONCE = 256  # accounts that are loaded before the first of them is decided on
UNCOUNTED = -1  # an outcome that stands in another partition, too


class FactRecord(Struct, frozen=True, gc=False):
    """A decoded fact where it stands in the stream; instants are microseconds since 1970 UTC.

    What the native engine has read itself is a record of its own, with these attributes and None as its `fact`.
    """

    offset: int
    recorded: int
    backlog: bool
    fact: Fact
    occurred: int
    canonical: bytes
    sha256: bytes  # of the bytes as they came
    engine: int = ENGINE  # that decides it: another where an archive is restored
    pushed: int = 0  # by how much `recorded` is later than the clock said

    @property
    def member(self) -> str:
        """Return the subject."""
        return self.fact.subject

    @property
    def source(self) -> str:
        """Return the source, which names the fact with its id and its member."""
        return self.fact.source

    @property
    def id(self) -> str:
        """Return the id of the fact within its source."""
        return self.fact.id


def with_fact(item: FactRecord) -> FactRecord:
    """Return a record with its fact, decoded where only the native engine has read it."""
    if type(item) is FactRecord:
        return item
    fact, occurred = decode_canonical(item.canonical)
    place = item.offset, item.recorded, item.backlog
    return FactRecord(*place, fact, occurred, item.canonical, item.sha256, item.engine, item.pushed)


@dataclass(slots=True)
class Tally:
    """What became of a batch."""

    accepted: int = 0
    refused: int = 0
    ignored: int = 0
    parked: int = 0
    reasons: Counter[str] = field(default_factory=Counter)  # of those that were dead-lettered
    handed_back: Counter[str] = field(default_factory=Counter)  # facts that the native engine left to Python, by why

    def count(self, outcomes: Sequence[int]) -> None:
        """Count entries."""
        self.accepted += outcomes.count(ACCEPTED)
        self.refused += outcomes.count(REFUSED)
        self.ignored += outcomes.count(IGNORED)

    def add(self, other: "Tally") -> None:
        """Count another batch."""
        self.accepted += other.accepted
        self.refused += other.refused
        self.ignored += other.ignored
        self.parked += other.parked
        self.reasons.update(other.reasons)
        self.handed_back.update(other.handed_back)


@dataclass(slots=True)
class _MemberPages:
    """One member's pages within a batch: what this batch wrote, what is in memory, then the store."""

    batch: Batch
    member: str
    cache: dict[tuple[str, str], Page]
    derived: Callable[[Batch, str], list[str]]  # the keys of the pages that the entries before this batch made
    written: dict[tuple[str, str], Page] = field(default_factory=dict)
    entered: dict[int, list[Change]] = field(default_factory=dict)  # in this batch
    before: list[str] | None = None  # what `derived` says, once it was asked: that takes a decision an entry

    def get(self, key: str) -> Page | None:
        name = (key, self.member)
        page = self.written.get(name) or self.cache.get(name)
        if page is None:
            page = self.batch.page(self.member, key)
            if page is not None:
                self.cache[name] = page
        return page

    def put(self, key: str, page: Page) -> None:
        self.written[(key, self.member)] = page

    def enter(self, number: int, changes: list[Change]) -> None:
        self.entered[number] = changes

    def opened(self, number: int) -> list[Earned]:
        if number in self.entered:
            return earned_in(self.entered[number])
        rows = self.batch.entries_of(self.member, number - 1, 1)
        return earned_in(decode_entry(rows[0].state).changes) if rows and rows[0].number == number else []

    def all_keys(self) -> list[str]:
        own = [key for key, member in self.written if member == self.member]
        if self.before is None:
            self.before = self.derived(self.batch, self.member)
        return sorted({*own, *self.before})


@dataclass(slots=True)
class _Work:
    """The facts of a batch, and by their place in it what they come to."""

    batch: Batch
    facts: list[FactRecord]
    repeated: dict[int, int]  # sequence -> sequence of the entry that it repeats
    first: int  # sequence
    numbers: list[int]
    states: list[bytes]
    outcomes: list[int]
    written: dict[tuple[str, str], Page] = field(default_factory=dict)
    pages: list[tuple[str, str, bytes]] = field(default_factory=list)  # that the native engine wrote
    snapshots: list[Snapshot] = field(default_factory=list)  # and its snapshots


# What deciding and encoding raise where they are wrong themselves; a store that fails raises others.
_BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class Undecidable(ControlFlow):
    """Deciding the fact at an offset failed, which is a bug. Nothing of its batch was written but what `tally` counts.

    Whoever has its record dead-letters it, and commits the rest again: one fact is not to stop a partition.
    """

    def __init__(self, offset: int, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.offset = offset
        self.tally = Tally()


class PartitionWriter:
    """A partition's journal with its accounts and rule book; after any error of `commit` it must be made anew."""

    def __init__(
        self,
        journal: Journal,
        partition: int,
        book: Programme,
        limits: Limits,
        *,
        counts_programme: bool = True,
        share: float = 1.0,
    ) -> None:
        self._counts_programme = counts_programme  # a published book stands in every partition and counts in one
        self.journal = journal
        self.partition = partition
        self.book = book
        self.limits = limits
        self.token = journal.acquire()  # first: from here on no earlier owner adds anything
        for published in journal.published():
            book.add(published.toml, engine=STORED)
        self.offset = journal.head().offset
        self._accounts = AccountCache(share)
        self._most_pages = max(1, int(PAGES * share))
        self._pages: dict[tuple[str, str], Page] = {}
        module = native_module()
        self.native = None if module is None else NativeEngine(module, partition, book, limits, share)
        self._is_strict = False  # once a batch could not be written: each account is then seen to be one that can be
        # Called after each commit with its facts and, as they are stored, their entries.
        self.on_entries: Callable[[Sequence[FactRecord], Sequence[StoredRow]], None] | None = None
        self.committing = 0.0  # seconds spent in `commit` so far,
        self.deciding = 0.0  # and of them those in which facts were decided

    def commit(self, facts: Sequence[FactRecord], parked: Sequence[DeadLetter], offset: int, recorded: int) -> Tally:
        """Decide facts in stream order; write them, dead letters and the stream's offset in one transaction.

        Raises `Fenced` where another owner has taken over, and `Undecidable`. Nothing is written where anything is
        raised, unless it says so.
        """
        tally = Tally()
        try:
            for part in _around_books(facts, parked, offset, recorded):
                try:
                    tally.add(self._commit(*part))
                except _BUGS as error:  # beside deciding: of an account, a page, a row
                    self._isolate(error, *part, tally)
        except Undecidable as bad:
            bad.tally.add(tally)
            raise
        return tally

    def bind(self, stream: str) -> None:
        """Keep the id of the topic in which the offset means something. Raises `Fenced`."""
        with self.journal.transaction(0, self.token) as batch:
            batch.bind(stream)

    def _isolate(
        self,
        error: Exception,
        facts: Sequence[FactRecord],
        parked: Sequence[DeadLetter],
        offset: int,
        recorded: int,
        tally: Tally,
    ) -> None:
        """Commit what failed by halves, and count it, until a single fact is left to blame. Raises `Undecidable`."""
        if not facts or self.offset >= offset:  # nothing to blame, or it was committed
            raise error
        self._is_strict = True
        if len(facts) == 1:
            raise Undecidable(facts[0].offset, error) from error
        middle = len(facts) // 2
        last = facts[middle - 1]
        first = [letter for letter in parked if letter.offset < last.offset]
        halves: tuple[_Part, _Part] = (
            (facts[:middle], first, last.offset, last.recorded),
            (facts[middle:], parked[len(first) :], offset, recorded),
        )
        for half in halves:
            try:
                tally.add(self._commit(*half))
            except _BUGS as still:
                self._isolate(still, *half, tally)

    def _commit(self, facts: Sequence[FactRecord], parked: Sequence[DeadLetter], offset: int, recorded: int) -> Tally:
        began = perf_counter()
        tally = Tally(parked=len(parked), reasons=Counter(letter.reason for letter in parked))
        try:
            failpoint("before-fence")
            with self.journal.transaction(len(facts), self.token) as batch:
                failpoint("after-fence")
                self._prefetch(batch, facts)
                rows = self._write(batch, facts, tally)
                failpoint("after-entries")
                batch.park(parked)
                batch.finish(batch.link, offset, recorded)
                failpoint("before-commit")
            failpoint("after-commit")
        except BaseException:
            self._forget()
            if self.native is not None:
                self.native.clear()
            raise
        if self.native is not None:
            tally.handed_back.update(self.native.take_handed_back())
        self.offset = offset
        self.committing += perf_counter() - began
        if self.on_entries is not None:
            self.on_entries(facts, rows)
        return tally

    def _forget(self) -> None:
        """Forget accounts and pages: some may be half changed, or decided about by the native engine."""
        self._accounts.clear()
        self._pages.clear()

    def _prefetch(self, batch: Batch, facts: Sequence[FactRecord]) -> None:
        """Name what the batch will read, for stores that fetch it ahead; the native engine asks for pages itself."""
        members = dict.fromkeys([item.member for item in facts])
        if self.native is not None:
            # A list: the engine is asked now; it cannot be while it decides, when the store fetches what is named here.
            batch.prefetch([member for member in members if not self.native.has(member)], ())
            return
        batch.prefetch(
            (member for member in members if member not in self._accounts),
            (
                (key, item.member)
                for item in facts
                for key in pages_ahead(item.fact, item.occurred, self.book)
                if (key, item.member) not in self._pages
            ),
        )

    def _taken(
        self, batch: Batch, facts: Sequence[FactRecord], by_member: dict[str, list[int]]
    ) -> Iterator[tuple[str, list[int], CachedAccount]]:
        """Yield each member with the indexes of the member's facts and the account, taken from the cache.

        Accounts are taken some at a time: only they tell which cards' pages will be read.
        """
        members = iter(by_member.items())
        while some := list(islice(members, MEMBERS_AT_ONCE)):
            taken = [(member, indexes, self._accounts.take(batch, member)) for member, indexes in some]
            batch.prefetch_pages(
                (key, member)
                for member, indexes, cached in taken
                for i in indexes
                for key in cards_ahead(facts[i].fact, facts[i].occurred, self.book, cached.account)
                if (key, member) not in self._pages
            )
            yield from taken

    def _write(self, batch: Batch, facts: Sequence[FactRecord], tally: Tally) -> list[StoredRow]:
        """Decide and append; returns each fact's entry as it is stored."""
        first, count = batch.before + 1, len(facts)
        members, sources = [item.member for item in facts], [item.source for item in facts]
        numbers = {name: batch.source(name) for name in dict.fromkeys(sources)}
        sequences = range(first, first + count)
        receipts = zip(map(numbers.__getitem__, sources), [item.id for item in facts], members, sequences, strict=True)
        repeated = batch.receive(list(receipts))
        work = _Work(batch, list(facts), repeated, first, [0] * count, [b""] * count, [UNCOUNTED] * count)
        snapshots: list[Snapshot] = []
        began = perf_counter()
        left = None if self.native is None else self._decide_natively(self.native, work)
        by_member: dict[str, list[int]] = {}
        for i, member in enumerate(members) if left is None or left else ():
            if left is None or member in left:
                by_member.setdefault(member, []).append(i)
        for member, indexes, cached in self._taken(batch, work.facts, by_member):
            try:
                pages = _MemberPages(batch, member, self._pages, self._page_keys, work.written)
                self._decide_member(work, cached.account, pages, indexes)
            except OutOfRange:
                cached = self._decide_with_care(work, member, indexes)
            if self._is_strict:
                encode_account(cached.account)
            snapshots += self._accounts.put(member, cached)
        self.deciding += perf_counter() - began
        tally.count(work.outcomes)
        links = (links_after if self.native is None else self.native.links_after)(batch.link, work.states)
        rows = list(zip(sequences, members, work.numbers, work.states, links, repeat(TOPIC, count), strict=True))
        batch.append(rows)
        batch.link = links[-1] if links else batch.link
        self._keep_pages(batch, work)
        snapshots += work.snapshots
        if snapshots:
            snapshots.sort()
            batch.put_accounts(snapshots)
        return rows

    def _decide_natively(self, native: NativeEngine, work: _Work) -> set[str]:
        """Let the native engine decide; return the members who are left to Python."""
        facts = work.facts
        repeats = {at - work.first: self._repeated_natively(work, at - work.first) for at in work.repeated}
        found = native.decide(work.batch, facts, repeats)
        work.numbers, work.outcomes, work.states = found.numbers, found.outcomes, found.states
        work.pages, work.snapshots = found.pages, found.snapshots
        for i, item in enumerate(facts) if found.handed_back else ():
            if item.member in found.handed_back:
                facts[i], work.outcomes[i] = with_fact(item), UNCOUNTED
        return found.handed_back

    def _repeated_natively(self, work: _Work, index: int) -> tuple[int, bool]:
        """Return what a receipt points at, as the native engine is told it."""
        item, sequence = work.facts[index], work.repeated[work.first + index]
        if sequence >= work.first:
            at = sequence - work.first
            return -1 - at, work.facts[at].canonical == item.canonical
        stored = self._stored_repetition(work, sequence, item)
        return stored.first, stored.is_same

    def _decide_member(
        self, work: _Work, account: Account, pages: Pages, indexes: Sequence[int], *, with_care: bool = False
    ) -> Account:
        """Decide facts of one member; return the account.

        Raises `OutOfRange` unless it is done with care: the account and pages are half changed then.
        """
        for i in indexes:
            item, first = work.facts[i], work.repeated.get(work.first + i)
            try:
                if first is None and type(item.fact) is ProgrammePublished:
                    decision = self._publish(work, account, item.fact, item)
                else:
                    repeats = None if first is None else self._repetition(work, account.number, first, item)
                    if with_care:
                        account, decision = decided_with_care(account, pages, item, self.book, self.limits, repeats)
                    else:
                        decision = decided(account, pages, item, self.book, self.limits, repeats)
                account.number += 1
                work.numbers[i] = account.number
                work.states[i] = encode_entry(entry_from(decision, item, account.number, self.partition))
                if self._counts_programme or type(item.fact) is not ProgrammePublished:
                    work.outcomes[i] = decision.outcome
            except _BUGS as error:
                raise Undecidable(item.offset, error) from error
        return account

    def _decide_with_care(self, work: _Work, member: str, indexes: Sequence[int]) -> CachedAccount:
        """Decide a member's facts anew, as before the batch: one that passes a bound changes nothing but the clock."""
        for pages in (self._pages, work.written):
            for name in [name for name in pages if name[1] == member]:
                del pages[name]
        cached = folded(work.batch, member)
        member_pages = _MemberPages(work.batch, member, self._pages, self._page_keys, work.written)
        cached.account = self._decide_member(work, cached.account, member_pages, indexes, with_care=True)
        return cached

    def _page_keys(self, batch: Batch, member: str) -> list[str]:
        """Return the keys of all pages of a member as the store has them."""
        if batch.has_pruned(member):  # no archive is read to decide
            return batch.page_keys(member)
        return page_keys(batch.entries_of(member), self.book, self.journal.published(), self.limits)

    def _repetition(self, work: _Work, decided: int, sequence: int, item: FactRecord) -> Repetition:
        """Return what a receipt points at: an entry of this batch or before, by its number within its member."""
        if sequence >= work.first:
            facts, at = work.facts, sequence - work.first
            number = sum(1 for f in facts[: at + 1] if f.member == item.member)
            before = sum(1 for f in facts if f.member == item.member and f.offset < item.offset)
            return Repetition(decided - before + number, facts[at].canonical == item.canonical)
        return self._stored_repetition(work, sequence, item)

    def _stored_repetition(self, work: _Work, sequence: int, item: FactRecord) -> Repetition:
        """Return what a receipt points at in an earlier batch."""
        first = work.batch.entry_at(sequence)
        if first is None:
            raise Damaged(f"a receipt of {item.id} points at entry {sequence}, which is not there")
        number, state = first
        return Repetition(number, is_of_fact(state, item.canonical))

    def _publish(self, work: _Work, account: Account, fact: ProgrammePublished, item: FactRecord) -> Decision:
        decision = publication(account, self.book, fact.data.toml, item.occurred, item.engine)
        if decision.outcome == ACCEPTED:  # it is alone in its batch
            work.batch.put_programme(work.first, str(decision.figures["version"]), fact.data.toml)
        return decision

    def _keep_pages(self, batch: Batch, work: _Work) -> None:
        written = work.written
        rows = work.pages  # in their order, as are all that Python decided
        if written:
            rows = sorted([*rows, *((*name, encode_page(page)) for name, page in written.items())])
        if rows:
            batch.put_pages(rows)
        if self.native is not None:
            self._forget()  # a member that was handed back once may be the engine's in the next batch
            return
        self._pages.update(written)
        if len(self._pages) > self._most_pages:
            for name in list(self._pages)[: len(self._pages) - self._most_pages // 2]:
                del self._pages[name]


_Part = tuple[Sequence[FactRecord], Sequence[DeadLetter], int, int]  # of a batch, as `commit` takes it


def _around_books(
    facts: Sequence[FactRecord], parked: Sequence[DeadLetter], offset: int, recorded: int
) -> Iterator[_Part]:
    """Yield a batch in parts: a published book, which decides what stands behind it, is a part by itself."""
    done, last = 0, -1
    for index, item in enumerate(facts):
        if type(item.fact) is ProgrammePublished:
            before = [letter for letter in parked if last < letter.offset < item.offset]
            if before or done < index:
                told = facts[done:index]
                latest = max([fact.recorded for fact in told[-1:]] + [letter.recorded for letter in before[-1:]])
                yield told, before, item.offset - 1, latest
            yield [item], [], item.offset, item.recorded
            done, last = index + 1, item.offset
    if last < offset:
        yield facts[done:], [letter for letter in parked if last < letter.offset], offset, recorded


def decided(
    account: Account,
    pages: Pages,
    item: FactRecord,
    book: Programme,
    limits: Limits,
    repeats: Repetition | None,
    trace: Trace | None = None,
) -> Decision:
    """Return the decision about a fact, which changes the account and its pages. Raises `OutOfRange`."""
    return decide(
        account,
        pages,
        item.fact,
        item.occurred,
        book,
        recorded=item.recorded,
        pushed=item.pushed,
        backlog=item.backlog,
        limits=limits,
        repeats=repeats,
        trace=trace,
        engine=item.engine,
    )


def decided_with_care(
    account: Account, pages: Pages, item: FactRecord, book: Programme, limits: Limits, repeats: Repetition | None
) -> tuple[Account, Decision]:
    """Return the account and the decision; a fact that passes the account's bounds changes nothing but the clock."""
    before, tried = encode_account(account), TrialPages(pages)
    try:
        decision = decided(account, tried, item, book, limits, repeats)
    except OutOfRange:
        account = decode_account(before)
        account.clock = max(account.clock, item.occurred)
        return account, Decision(IGNORED, "out-of-range", {}, [], account.clock, "", item.engine)
    tried.keep()
    return account, decision


def entry_from(decision: Decision, item: FactRecord, number: int, partition: int) -> Entry:
    """Return the entry that writes a decision down: the owner's, and a replay's to compare with it."""
    return entry_of(
        decision,
        member=item.member,
        number=number,
        partition=partition,
        offset=item.offset,
        occurred=item.occurred,
        recorded=item.recorded,
        backlog=item.backlog,
        fact=item.canonical,
        received=item.sha256,
        pushed=item.pushed,
    )


def publication(account: Account, book: Programme, toml: str, occurred: int, engine: int = ENGINE) -> Decision:
    """Return the decision about a published rule book, which joins the book where it can be used."""
    account.clock = max(account.clock, occurred)
    known = len(book.versions)
    try:
        version = book.add(toml, "programme.published", engine)
    except BadProgramme as error:
        return Decision(IGNORED, "bad-programme", {"problem": str(error)[:1000]}, [], account.clock, "", engine)
    figures: dict[str, int | str] = {"version": version.name, "from": version.programme.from_.isoformat()}
    outcome = ACCEPTED if len(book.versions) > known else IGNORED
    reason = "" if outcome == ACCEPTED else "already"
    return Decision(outcome, reason, figures, [], account.clock, version.name, engine)
