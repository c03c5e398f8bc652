"""One member's history as the engine saw it: each fact is decided again by the engine, up to the entry asked for.

So the account, the pages and the rules that gave nothing are those of the decision itself. The entry, not the
derivation, is what is explained; where the two differ, `derives` is False and the reader is told.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter

from msgspec import Raw
from msgspec.structs import replace

from ledger.core.account import Account, copy_account
from ledger.core.decide import Decision, Limits, Repetition, run_to
from ledger.core.draft import Draft, OutOfRange
from ledger.core.evolve import evolve_entry
from ledger.core.pages import Award, Page, Pages, PagesInMemory, TrialPages, copy_page
from ledger.errors import NotFound
from ledger.journal.ledger import Ledger
from ledger.journal.partition import FactRecord, decided
from ledger.rulebook.compiled import Programme, ProgrammeVersion, Rule
from ledger.wire.entries import (
    ACCEPTED,
    ENGINES,
    Change,
    Earned,
    Entry,
    HoldCame,
    HoldShifted,
    MovedIn,
    Received,
    Waiting,
)
from ledger.wire.entry_codec import decode_entry
from ledger.wire.fact_codec import canonical, decode_canonical
from ledger.wire.facts import Fact, MemberForwarded, Redemption, RedemptionRequested
from ledger.wire.name_keys import under
from ledger.wire.times import SECOND, to_text
from projections.answers.members import ELSEWHERE, decided_fact, require_member
from projections.book_history import BookHistory
from projections.explaining.speech import ENGLISH
from projections.explaining.words import Words
from projections.ticking import Progress, silent, ticking

_DECIDED = attrgetter(*Decision.__struct_fields__)
TOLD_EVERY = 500  # entries
OUT_OF_RANGE = "out-of-range"  # decided by the owner, without asking the rules


class NothingToExplain(NotFound):
    """The member has no such entry or lot; the message says what there is."""


@dataclass(frozen=True, slots=True)
class Step:
    """An entry, its fact, its place in the journal, and the fact that it decided: within one for another name."""

    entry: Entry
    fact: Fact
    place: int
    decided: Fact

    @property
    def name(self) -> str:
        """The name under which a fact came that another account handed on; empty: the member's own."""
        return self.decided.subject if self.decided.subject != self.fact.subject else ""


@dataclass(slots=True)
class LotStory:
    """A lot: the change that opened it, and every later change that touched it."""

    origin: Step
    earned: Earned
    events: list[tuple[Step, Change]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Skip:
    """A rule that gave nothing, or less, for a line ("": the whole fact): the guard's code, and what it saw."""

    rule: Rule
    code: str
    line: str
    figures: dict[str, int | str]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a return or removal leaves of an award for a line: it held `held`, and keeps `keep`."""

    line: str
    award: Award
    held: int
    keep: int


@dataclass(slots=True)
class Moment:
    """What one decision stood on, written down while the engine decides: its `Trace`, and its `Pages`.

    `before` is the account before the entry, `at` that which the fact's own decision found (after the entry's first
    `due` changes). `pages` are those it asked for as they were (None: there was none), `after` all of them as they
    are; `after` is good until the next entry is walked to.
    """

    step: Step
    book: Programme
    version: ProgrammeVersion
    limits: Limits
    before: Account
    after: PagesInMemory
    at: Account = field(init=False)
    due: int = 0
    skips: list[Skip] = field(default_factory=list)
    claims: dict[tuple[str, str], Claim] = field(default_factory=dict)  # by line and rule
    pages: dict[str, Page | None] = field(default_factory=dict)
    derives: bool = False

    def __post_init__(self) -> None:
        self.at = self.before

    @property
    def month(self) -> int:
        """The month in which the fact occurred."""
        return self.version.month(self.step.entry.occurred)

    def began(self, draft: Draft) -> None:
        """Take what fell due as done, if the entry says the same: it holds, not the derivation."""
        if draft.changes == self.step.entry.changes[: len(draft.changes)]:
            self.due, self.at = len(draft.changes), copy_account(draft.account)

    def skipped(self, rule: Rule, code: str, figures: dict[str, int | str]) -> None:
        """Take a rule that gave nothing, or less."""
        self.skips.append(Skip(rule, code, str(figures["line"]), figures))

    def left(self, award: Award, keep: int, line: str) -> None:
        """Take what a return or removal leaves of an award; one entry may do so more than once."""
        held = self.claims[line, award.rule].held if (line, award.rule) in self.claims else award.held
        self.claims[line, award.rule] = Claim(line, award, held, min(keep, award.held))

    def get(self, key: str) -> Page | None:
        """A page; how it was is remembered."""
        page = self.after.get(key)
        if key not in self.pages:
            self.pages[key] = None if page is None else copy_page(page)
        return page

    def put(self, key: str, page: Page) -> None:
        """Keep a page."""
        self.after.put(key, page)

    def enter(self, number: int, changes: list[Change]) -> None:
        """Keep the lots that the entry opened."""
        self.after.enter(number, changes)

    def opened(self, number: int) -> list[Earned]:
        """The lots that an entry opened."""
        return self.after.opened(number)

    def all_keys(self) -> list[str]:
        """The keys of all pages, in order."""
        return self.after.all_keys()

    def page(self, key: str) -> Page | None:
        """Return a page as the decision found it, under whichever name; None where it asked for none."""
        return self._under_names(self.pages.get, key)

    def page_after(self, key: str) -> Page | None:
        """Return a page as it is after the decision, under whichever name."""
        return self._under_names(self.after.get, key)

    def _under_names(self, get: Callable[[str], Page | None], key: str) -> Page | None:
        names = self.at.bundle.names if self.at.bundle is not None else ()
        found = (get(under(name, key)) for name in dict.fromkeys((self.step.name, "", *names)))
        return next((page for page in found if page is not None), None)

    def would_accept(self, fact: Fact) -> bool:
        """Return True if the engine had accepted another fact in this one's place."""
        account, pages = copy_account(self.before), TrialPages(self.after)
        if isinstance(outer := self.step.fact, MemberForwarded):
            fact = replace(outer, data=replace(outer.data, fact=Raw(canonical(fact))))
        try:
            decision = _decide_again(self.step.entry, fact, account, pages, self.book, self.limits, None)
        except OutOfRange:
            return False
        return decision.outcome == ACCEPTED


@dataclass(slots=True)
class Present:
    """The account run from its last entry to the history's instant, and what fell due on the way."""

    account: Account
    changes: list[Change]


class History:
    """One member's entries whose clock is by an instant; all of them, up to the present, where none is given.

    `progress` is told how many entries were read, and then how many were decided anew. Raises `UnknownMember` where the
    ledger has no entry of the member at all.
    """

    def __init__(
        self,
        ledger: Ledger,
        member: str,
        as_of: int | None = None,
        language: str = "",
        progress: Progress = silent,
    ) -> None:
        require_member(ledger, member)
        journal = ledger.journal(ledger.partition_of(member))
        self.ledger = ledger
        self.member = member
        self._books = BookHistory(ledger, ledger.partition_of(member))
        self.whole_book = self._books.whole
        self.offset = self.whole_book.offset
        self._limits = ledger.limits
        self._language = language
        self._progress = progress
        self.steps: list[Step] = []
        self.lots: dict[int, LotStory] = {}
        self.redemptions: dict[str, Redemption] = {}  # that were granted
        for row in ticking(journal.each_entry_of(member), progress, every=TOLD_EVERY):
            entry = decode_entry(row.state)
            if as_of is not None and entry.clock > as_of:
                break  # an account's clock never runs back
            fact = decode_canonical(entry.fact)[0]
            step = Step(entry, fact, row.sequence, fact if entry.reason in ELSEWHERE else decided_fact(entry.fact))
            self.steps.append(step)
            self._index(step)
        self._is_now = as_of is None
        self.as_of = max(int(time.time()) * SECOND, self.steps[-1].entry.clock) if as_of is None else as_of
        self._words: dict[ProgrammeVersion, Words] = {}
        self._walked: Account | None = None  # as the last entry left it, once all were walked to

    def _index(self, step: Step) -> None:
        if isinstance(step.decided, RedemptionRequested) and step.entry.outcome == ACCEPTED:
            self.redemptions[step.decided.data.redemption] = step.decided.data
        for change in step.entry.changes:
            key = getattr(change, "lot", None)
            if isinstance(change, Earned):
                self.lots[change.lot] = LotStory(step, change)
            elif isinstance(change, Received) or (isinstance(change, MovedIn) and change.lot not in self.lots):
                points = change.points + getattr(change, "held", 0)
                came = Earned(change.kind, change.lot, points, change.rule, change.earned_at, change.expires_at)
                self.lots[change.lot] = LotStory(step, came)
            elif isinstance(change, HoldShifted) and change.lot in self.lots:
                story = self.lots[change.lot]
                story.events.append((step, change))
                of = story.earned
                own = Earned(change.kind, change.to_lot, change.points, of.rule, of.earned_at, of.expires_at)
                self.lots[change.to_lot] = LotStory(step, own)
            elif key is not None and key in self.lots and not isinstance(change, Waiting | HoldCame):
                self.lots[key].events.append((step, change))

    def step(self, number: int) -> Step:
        """The entry of that number. Raises `NothingToExplain`."""
        for step in self.steps[max(0, number - 1) :]:
            if step.entry.number == number:
                return step
        then = "" if self._is_now else f" as of {to_text(self.as_of, self.offset)}"
        entries = ENGLISH.count(len(self.steps), "entry", "entries")
        raise NothingToExplain(f'"{self.member}" has {entries}{then}; there is no entry {number}')

    def earlier(self, number: int) -> Iterator[Step]:
        """The entries before a number, the latest first."""
        return reversed(self.steps[: number - 1])

    def version_of(self, entry: Entry) -> ProgrammeVersion:
        """The version pinned to an entry, or the nearest where none was in force."""
        return self.whole_book.decided(entry.version, entry.occurred)

    def words_of(self, entry: Entry) -> Words:
        """The words of the version pinned to an entry."""
        version = self.version_of(entry)
        if version not in self._words:
            self._words[version] = Words(version, reader=self._language)
        return self._words[version]

    def moment(self, number: int) -> Moment:
        """What the decision of an entry stood on. Raises `NothingToExplain`."""
        wanted = self.step(number).entry
        return next(moment for *_, moment in self.walk(lambda entry: entry is wanted) if moment is not None)

    def walk(self, wanted: Callable[[Entry], bool]) -> Iterator[tuple[Step, Account, Moment | None]]:
        """Each entry with the account after it (good until the next), and its moment where that is wanted."""
        account, pages = Account(), PagesInMemory()
        for done, step in enumerate(ticking(self.steps, self._progress, every=TOLD_EVERY)):
            entry, book, moment = step.entry, self._books.before(step.place), None
            if wanted(entry):
                moment = Moment(step, book, self.version_of(entry), self._limits, copy_account(account), pages)
            derives = self._derive(step, account, pages, book, moment)
            if not derives:
                account = Account()
                for kept in self.steps[: done + 1]:
                    evolve_entry(account, kept.entry)
            if moment is not None:
                moment.derives = derives
            yield step, account, moment
        self._walked = account

    @cached_property
    def present(self) -> Present:
        """The account then: nothing is stored when time passes, so what fell due since the last entry is worked out."""
        account = self._walked or Account()
        if self._walked is None:
            for step in self.steps:
                evolve_entry(account, step.entry)
        return Present(account, run_to(account, self.whole_book, self.as_of, PagesInMemory()))

    def _derive(self, step: Step, account: Account, pages: Pages, book: Programme, moment: Moment | None) -> bool:
        """Decide a fact again; False where something else comes out than was decided."""
        entry = step.entry
        if entry.reason == OUT_OF_RANGE:
            evolve_entry(account, entry)
            return True
        if entry.engine not in ENGINES:
            return False
        try:
            decision = _decide_again(entry, step.fact, account, moment or pages, book, self._limits, moment)
        except (OutOfRange, KeyError, AssertionError, TypeError):
            return False  # an earlier entry is not what was decided; `points replay` names it
        account.number = entry.number
        return _DECIDED(decision) == _DECIDED(entry)


def _decide_again(
    entry: Entry, fact: Fact, account: Account, pages: Pages, book: Programme, limits: Limits, trace: Moment | None
) -> Decision:
    """Decide a fact in an entry's place. Raises OutOfRange."""
    repeats = None
    if entry.reason in ("duplicate", "conflict"):
        repeats = Repetition(int(entry.figures["first"]), entry.reason == "duplicate")
    place = entry.offset, entry.recorded, entry.backlog
    item = FactRecord(*place, fact, entry.occurred, entry.fact, entry.received, entry.engine, entry.pushed)
    return decided(account, pages, item, book, limits, repeats, trace)
