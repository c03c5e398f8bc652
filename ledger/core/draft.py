"""A decision in the making: the account, the fact's place and time, and the changes so far.

Every change is applied to the account as it is written down (`emit`), so that each step of a decision stands on the
last, and an account is by construction the fold of its entries. A request is refused before its first change.
"""

from typing import NoReturn, Protocol

import msgspec
from msgspec import Struct, field

from ledger.core.account import NEVER, Account
from ledger.core.evolve import APPLY
from ledger.core.pages import SEEN, Award, Page, Pages, ScorePage
from ledger.core.standing import Stand, stand_of
from ledger.errors import ControlFlow
from ledger.rulebook.compiled import Programme, ProgrammeVersion, Rule
from ledger.rulebook.schema import AT_SHOP
from ledger.wire.entries import ENGINE, LOT_BITS, Change, Scored, Told, lot_named, lot_text
from ledger.wire.facts import KIND_LEFT_OUT, Fact

_APPLY_SCORED = APPLY[Scored]
_encode = msgspec.json.Encoder().encode
MAX_LOTS = 1 << LOT_BITS
MAX_SHOPS = 1_000  # of one kind that is kept for each shop
MAX_TOTAL = 1 << 62  # of each sum of an account or page, either way: what a store's integers hold, and as much again


class Decline(ControlFlow):
    """The fact is refused (a request) or ignored, with a reason code and its figures; nothing was changed."""

    def __init__(self, reason: str, **figures: int | str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.figures = figures


class OutOfRange(ControlFlow):
    """The decision would pass a bound of the account's integers; the account in memory is to be dropped."""


class Trace(Protocol):
    """A listener to one decision: the rules that were asked and gave nothing or less, and what returns take back."""

    def began(self, draft: "Draft") -> None:
        """What fell due is in the draft's changes; the fact's own decision begins."""

    def skipped(self, rule: Rule, code: str, figures: dict[str, int | str]) -> None:
        """A guard of the pipeline said no to `rule`, for the `figures["line"]` of the fact (empty: the whole fact)."""

    def left(self, award: Award, keep: int, line: str) -> None:
        """A return or removal is about to leave `keep` of what an award holds, or all of it if it holds less."""


class Draft(Struct, gc=False):
    """One decision: `occurred` picks the version and the month, `clock` what is spendable.

    One that `is_question` is never stored: no bound of a store holds for it, and it is answered whatever it comes to.
    """

    account: Account
    pages: Pages
    book: Programme
    version: ProgrammeVersion
    number: int
    occurred: int
    clock: int
    month: int = 0  # of `occurred`, in the book's zone; 0 where only time passes
    trace: Trace | None = None
    engine: int = ENGINE
    changes: list[Change] = field(default_factory=list)
    figures: dict[str, int | str] = field(default_factory=dict)
    reason: str = ""
    lots: int = 0  # opened so far
    refund_fen: int = 0  # of the fact, still free to meet a shortfall in cash
    oldest_month: int = NEVER  # of the score items moved (engine 1)
    stands: dict[str, Stand] | None = None  # score -> how it stood before an item moved its value
    reached: tuple[tuple[str, str, str, int], ...] = ()  # score, own tier reached, the one below, at
    at_shops: dict[str, str] | None = None  # score@shop whose items moved -> the tier before
    unentitled: dict[str, str] | None = None  # rule -> the condition on the member that fails
    is_question: bool = False
    name: str = ""  # of the account, as others know it
    source: str = ""  # of the fact
    partitions: int = 1  # that the ledger was born with
    told: int = 0  # follow-ups left so far

    @property
    def own_name(self) -> str:
        """The name of the account itself."""
        return self.name

    def emit(self, change: Change) -> None:
        """Write a change down and apply it. Raises `OutOfRange`."""
        self.changes.append(change)
        grown = APPLY[type(change)](self.account, change)  # what `evolve` does, without a call of its own
        if grown and not -MAX_TOTAL <= grown <= MAX_TOTAL:
            self._beyond(type(change).__name__, grown)

    def tell(self, to: str, kind: type[Fact], data: Struct, at: int = 0) -> None:
        """Leave a follow-up fact for another account; `at` is the clock where points go with it.

        It has the time of the fact that began it, which is this one's own.
        """
        self.emit(Told(self.told, to, str(kind.__struct_config__.tag), self.occurred, at, _encode(data).decode()))
        self.told += 1

    def bounded(self, total: int) -> int:
        """Return a sum that a page is to keep. Raises `OutOfRange`."""
        if not -MAX_TOTAL <= total <= MAX_TOTAL:
            self._beyond("a page", total)
        return total

    def _beyond(self, what: str, total: int) -> None:
        """Raise `OutOfRange`, as `beyond` does; what engine 1 decided had no such bound."""
        if self.engine >= 2:
            self.beyond(f"{what} comes to {total}, beyond what a store's integers hold")

    def beyond(self, why: str) -> None:
        """Raise `OutOfRange`, unless it is a question."""
        if not self.is_question:
            raise OutOfRange(why)

    def note(self, reason: str, **figures: int | str) -> None:
        """Say something of an accepted fact: the first reason stays."""
        self.reason = self.reason or reason
        self.figures.update(figures)

    def decline(self, reason: str, **figures: int | str) -> NoReturn:
        """Refuse or ignore the fact."""
        raise Decline(reason, **figures)

    def kind_of(self, kind: str, shop: str) -> str:
        """Return the purse that a fact means: its kind, or the book's own where it names none, and its shop.

        Declines a kind that the book has not, and one that is kept for each shop where none is named.
        """
        if kind == KIND_LEFT_OUT:
            kind = self.version.default_kind
        if kind not in self.version.programme.kinds:
            self.decline("unknown-kind", kind=kind)
        if kind not in self.version.keyed_kinds:
            return kind
        if not shop:
            self.decline("shop-missing", kind=kind)
        return f"{kind}{AT_SHOP}{shop}"

    def has_room_for(self, kind: str) -> bool:
        """Return True if a purse is there or may be opened; False, with a note, where a kind has too many shops."""
        base, _, shop = kind.partition(AT_SHOP)
        if not shop or kind in self.account.purses:
            return True
        if sum(name.startswith(f"{base}{AT_SHOP}") for name in self.account.purses) < MAX_SHOPS:
            return True
        self.note("too-many-shops", kind=base, shop=shop, most=MAX_SHOPS)
        return False

    def take_id(self, key: str) -> None:
        """Take a business id, or decline what comes again under a new fact id."""
        if self.pages.get(key) is not None:
            self.decline("already")
        self.pages.put(key, SEEN)

    def next_lot(self) -> int:
        """The key of a lot that this entry opens."""
        place = self.lots
        if place >= MAX_LOTS:
            raise OutOfRange(f"more than {MAX_LOTS:,} lots in one entry")
        self.lots = place + 1
        return self.number << LOT_BITS | place  # `lot_key`, without a call more

    def lot_name(self, lot: int) -> str:
        """Return the name of a lot, as pools know it."""
        return lot_text(lot)

    def find_lot(self, name: str) -> int:
        """Return the key of the lot that a fact names, 0 where there is none so called."""
        return lot_named(name)

    def hold_key(self, hold: str) -> str:
        """Return the name under which the account keeps a hold."""
        return hold

    def seat_key(self, house: str) -> str:
        """Return how the account calls a member's seat in a house."""
        return house

    def sit_as(self, seat: str) -> str:
        """Go on under the name of this member whose a seat is: there is one. Returns the house."""
        return seat

    def holder_of(self, key: str) -> str:
        """Return the name under which there is a page of a key; the one that acts where there is none."""
        return self.name

    def all_names(self) -> list[str]:
        """Return all names of this member, the account's own first."""
        return [self.name]

    def own_page(self, key: str) -> Page | None:
        """Return a page of the name that acts."""
        return self.pages.get(key)

    def put_own(self, key: str, page: Page) -> None:
        """Take a page of the name that acts."""
        self.pages.put(key, page)

    def goes_on_as(self, name: str) -> bool:
        """Go on under a name. Returns False where it is none of this member's: it lives elsewhere."""
        return name == self.name

    def is_self(self, name: str) -> bool:
        """Return True if a name is this member's."""
        return name == self.name

    def score(self, change: Scored) -> None:
        """Emit a score item, and remember how its score stood where it moves more than the month that runs."""
        score, month = change.score, change.month
        if AT_SHOP in score:
            self._score_at_shop(change)
            return
        if self.engine == 1:
            if month < self.oldest_month:
                self.oldest_month = month
        elif month != self.month or self.occurred != self.clock or score in self.version.live:
            self.remember(score)
        self.score_month(change)

    def score_month(self, change: Scored) -> None:
        """Emit a score item that moves no more than the month that runs."""
        self.changes.append(change)
        grown = _APPLY_SCORED(self.account, change)
        if grown and not -MAX_TOTAL <= grown <= MAX_TOTAL:
            self._beyond(change.score, grown)

    def _score_at_shop(self, change: Scored) -> None:
        """Emit an item of a score that is kept for each shop, on a page of its own."""
        name, _, shop = change.score.partition(AT_SHOP)
        key = f"score/{name}/{shop}"
        page = self.pages.get(key)
        if not isinstance(page, ScorePage):
            page = ScorePage(tier=self.version.rankings[name].first_tier)
        page.parts[change.part] = page.parts.get(change.part, 0) + change.points
        self.bounded(sum(map(abs, page.parts.values())))
        self.pages.put(key, page)
        self.emit(change)
        self.at_shops = {change.score: page.tier, **(self.at_shops or {})}  # the tier before the first item stays

    def remember(self, score: str) -> None:
        """Keep how a score stands before something moves its value, once in a decision."""
        stands = self.stands or {}
        if score not in stands:
            version = self.book.nearest(self.clock)
            ranking = version.rankings.get(score)
            if ranking is not None:
                self.stands = {**stands, score: stand_of(self.account, ranking, version, self.clock)}

    def remember_limited(self, attribute: str) -> None:
        """Keep how the scores stand that an attribute of the member limits."""
        for name, ranking in self.book.nearest(self.clock).rankings.items():
            if any(limit[0] == attribute for limit in ranking.limits):
                self.remember(name)
