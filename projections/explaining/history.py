"""One member's history as the engine saw it: each fact is decided again by the engine, up to the entry asked for.

So the account and the pages that a decision stood on are known exactly, and no rule is written a second time here.
The entry, not the derivation, is what is explained; where the two differ, `derives` is False and the reader is told.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ledger.core.account import Account, decode_account, encode_account
from ledger.core.decide import Limits, Repetition, decide
from ledger.core.draft import Draft, OutOfRange, fall_due
from ledger.core.evolve import evolve_entry
from ledger.core.pages import Page, PagesInMemory, TrialPages, copy_page
from ledger.errors import NotFound
from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import Book, Version
from ledger.wire.entries import ACCEPTED, ENGINE, Change, Earned, Entry
from ledger.wire.entry_codec import decode_entry
from ledger.wire.fact_codec import decode_canonical
from ledger.wire.facts import PROGRAMME_SUBJECT, Fact, Redemption, RedemptionRequested
from ledger.wire.times import SECOND, to_text
from projections.answers.members import UnknownMember
from projections.explaining.words import count

OUT_OF_RANGE = "out-of-range"  # decided again by the shard, without asking the rules


class NothingToExplain(NotFound):
    """The member has no such entry or lot; the message says what there is."""


@dataclass(frozen=True, slots=True)
class Step:
    """An entry, the fact it decided, and its place in the journal."""

    entry: Entry
    fact: Fact
    place: int


@dataclass(slots=True)
class LotStory:
    """A lot: the change that opened it, and every later change that touched it."""

    origin: Step
    earned: Earned
    events: list[tuple[Step, Change]] = field(default_factory=list)


@dataclass(slots=True)
class Moment:
    """What one decision stood on.

    `before` is the account before the entry, `at` after what fell due with it (its first `due` changes), so as the
    fact's own decision found it. `pages` are those it asked for as they were (None: there was none), `pages_after`
    those it wrote. `would_accept` asks the engine about another fact in this one's place.
    """

    step: Step
    book: Book
    version: Version
    before: Account
    at: Account
    due: int
    pages: dict[str, Page | None]
    pages_after: dict[str, Page]
    derives: bool
    would_accept: Callable[[Fact], bool]


class RecordedPages:
    """Pages that remember what was asked for and written."""

    def __init__(self, pages: PagesInMemory) -> None:
        self._pages = pages
        self.asked: dict[str, Page | None] = {}
        self.written: set[str] = set()

    def get(self, key: str) -> Page | None:
        """A page; how it was is remembered."""
        page = self._pages.get(key)
        if key not in self.asked:
            self.asked[key] = None if page is None else copy_page(page)
        return page

    def put(self, key: str, page: Page) -> None:
        """Keep a page."""
        self.written.add(key)
        self._pages.put(key, page)


@dataclass(slots=True)
class Present:
    """The account run from its last entry to an instant, and what fell due on the way."""

    account: Account
    as_of: int
    changes: list[Change]


class History:
    """One member's entries whose clock is by an instant; all of them, up to the present, where none is given.

    Raises `UnknownMember` where the ledger has no entry of the member at all.
    """

    def __init__(self, ledger: Ledger, member: str, as_of: int | None = None) -> None:
        if member == PROGRAMME_SUBJECT:
            raise UnknownMember(ledger, member)
        journal = ledger.journal(ledger.partition_of(member))
        self.member = member
        self.whole_book = ledger.book
        self.offset = self.whole_book.offset
        self._limits = ledger.limits
        self.steps: list[Step] = []
        self.lots: dict[int, LotStory] = {}
        self.redemptions: dict[str, Redemption] = {}  # that were granted
        rows = journal.entries_of(member)
        if not rows:
            raise UnknownMember(ledger, member)
        for row in rows:
            entry = decode_entry(row.state)
            if as_of is not None and entry.clock > as_of:
                break  # an account's clock never runs back
            step = Step(entry, decode_canonical(entry.fact)[0], row.place)
            self.steps.append(step)
            self._index(step)
        self._is_now = as_of is None
        self.as_of = max(int(time.time()) * SECOND, self.steps[-1].entry.clock) if as_of is None else as_of
        published = [(row.place, decode_entry(row.state)) for row in journal.entries_of(PROGRAMME_SUBJECT)]
        self._published = [(place, entry.version) for place, entry in published if entry.outcome == ACCEPTED]
        self._books: dict[int, Book] = {}

    def _index(self, step: Step) -> None:
        if isinstance(step.fact, RedemptionRequested) and step.entry.outcome == ACCEPTED:
            self.redemptions[step.fact.data.redemption] = step.fact.data
        for change in step.entry.changes:
            key = getattr(change, "lot", None)
            if isinstance(change, Earned):
                self.lots[change.lot] = LotStory(step, change)
            elif key is not None and key in self.lots:
                self.lots[key].events.append((step, change))

    def step(self, number: int) -> Step:
        """The entry of that number. Raises `NothingToExplain`."""
        for step in self.steps[max(0, number - 1) :]:
            if step.entry.number == number:
                return step
        then = "" if self._is_now else f" as of {to_text(self.as_of, self.offset)}"
        entries = count(len(self.steps), "entry", "entries")
        raise NothingToExplain(f'"{self.member}" has {entries}{then}; there is no entry {number}')

    def earlier(self, number: int) -> Iterator[Step]:
        """The entries before a number, the latest first."""
        return reversed(self.steps[: number - 1])

    def version_of(self, entry: Entry) -> Version:
        """The version pinned to an entry, or the nearest where none was in force."""
        return self.whole_book.by_name.get(entry.version) or self.whole_book.nearest(entry.occurred)

    def moment(self, number: int) -> Moment:
        """What the decision of an entry stood on. Raises `NothingToExplain`."""
        self.step(number)
        for step, _, moment in self.walk(lambda entry: entry.number == number, number):
            if step.entry.number == number and moment is not None:
                return moment
        raise NothingToExplain(f'"{self.member}" has no entry {number}')

    def walk(
        self, wanted: Callable[[Entry], bool], upto: int | None = None
    ) -> Iterator[tuple[Step, Account, Moment | None]]:
        """Each entry with the account after it (good until the next), and its moment where that is wanted."""
        account, pages = Account(), PagesInMemory()
        for done, step in enumerate(self.steps[:upto]):
            entry, book = step.entry, self._book_at(step.place)
            before = encode_account(account) if wanted(entry) else b""
            watched = RecordedPages(pages) if before else None
            derives = self._derive(step, account, watched or pages, book)
            if not derives:
                account = Account()
                for kept in self.steps[: done + 1]:
                    evolve_entry(account, kept.entry)
            moment = None
            if watched is not None:
                moment = self._moment(step, book, before, pages, watched, derives)
            yield step, account, moment

    def present(self) -> Present:
        """The account then: nothing is stored when time passes, so what fell due since the last entry is worked out."""
        account = Account()
        for step in self.steps:
            evolve_entry(account, step.entry)
        as_of, book = self.as_of, self.whole_book
        draft = Draft(account, PagesInMemory(), book, book.nearest(as_of), account.number + 1, as_of, as_of)
        fall_due(draft, as_of)
        account.clock = as_of
        return Present(account, as_of, draft.changes)

    def _derive(self, step: Step, account: Account, pages: PagesInMemory | RecordedPages, book: Book) -> bool:
        """Decide a fact again; False where something else comes out than was decided."""
        entry = step.entry
        if entry.reason == OUT_OF_RANGE:
            evolve_entry(account, entry)
            return True
        if entry.engine != ENGINE:
            return False
        repeats = None
        if entry.reason in ("duplicate", "conflict"):
            repeats = Repetition(int(entry.figures["first"]), entry.reason == "duplicate")
        try:
            decision = decide(
                account,
                pages,
                step.fact,
                entry.occurred,
                book,
                recorded=entry.recorded,
                backlog=entry.backlog,
                limits=self._limits,
                repeats=repeats,
            )
        except (OutOfRange, KeyError, AssertionError, TypeError):
            return False  # an earlier entry is not what was decided; `points replay` names it
        account.number = entry.number
        return (
            decision.outcome == entry.outcome
            and decision.reason == entry.reason
            and decision.clock == entry.clock
            and decision.version == entry.version
            and decision.changes == entry.changes
            and decision.figures == entry.figures
        )

    def _moment(
        self, step: Step, book: Book, before: bytes, pages: PagesInMemory, watched: RecordedPages, derives: bool
    ) -> Moment:
        entry, version = step.entry, self.version_of(step.entry)
        at, due = decode_account(before), 0
        if entry.reason != OUT_OF_RANGE:
            draft = Draft(at, TrialPages(pages), book, version, entry.number, entry.occurred, entry.clock)
            fall_due(draft, entry.clock)
            at.clock = entry.clock
            due = len(draft.changes)
            if draft.changes != entry.changes[:due]:  # the entry holds, not the derivation
                at, due = decode_account(before), 0
        limits = self._limits

        def would_accept(fact: Fact) -> bool:
            return _accepts(fact, entry, decode_account(before), TrialPages(pages), book, limits)

        after = {key: copy_page(pages[key]) for key in watched.written}
        return Moment(step, book, version, decode_account(before), at, due, watched.asked, after, derives, would_accept)

    def _book_at(self, place: int) -> Book:
        """The book as this partition knew it at a place of its journal: what was published later is not in it."""
        later = [name for published, name in self._published if published >= place]
        if not later:
            return self.whole_book
        book = self._books.get(len(later))
        if book is None:
            book = self._books[len(later)] = Book([])
            book.versions = [v for v in self.whole_book.versions if v.name not in later]
            book.by_name = {v.name: v for v in book.versions}
        return book


def copy_account(account: Account) -> Account:
    """An account of one's own, to evolve."""
    return decode_account(encode_account(account))


def _accepts(fact: Fact, entry: Entry, account: Account, pages: TrialPages, book: Book, limits: Limits) -> bool:
    try:
        decision = decide(
            account,
            pages,
            fact,
            entry.occurred,
            book,
            recorded=entry.recorded,
            backlog=entry.backlog,
            limits=limits,
        )
    except OutOfRange:
        return False
    return decision.outcome == ACCEPTED
