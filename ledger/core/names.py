"""Decisions of a member who has several names: under which of them each is made, and where its pages stand.

A fact names a page. It is looked up under the name the fact was sent to, then under the account's own, then under the
others in the order in which they came; where it is found, that name is the one the fact is decided under. What it opens
stands there. Source: two-accounts.md F.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from ledger.core.account import Account, Bundle
from ledger.core.bundles import count_for
from ledger.core.draft import MAX_TOTAL, Draft
from ledger.core.evolve import APPLY
from ledger.core.openings import opening_of
from ledger.core.page_keys import aim_of, pages_named
from ledger.core.pages import DayPage, MovingPage, OrderPage, Page, Pages, QuotaPage, ScorePage, copy_page
from ledger.wire.entries import (
    BIRTH_BIT,
    Change,
    Earned,
    Scored,
    Under,
    birth_of,
    lot_named,
    lot_of,
    lot_text,
    owner_of,
)
from ledger.wire.fact_catalogue import FactType
from ledger.wire.name_keys import named, under

MOVING = "moving"  # the key of the page of what a move has still to send
_LOT = "lot/"

K = TypeVar("K", int, str)
_MET = OrderPage()  # of an order that the name never saw, once all it remembered has met the order of another name
_SUMMED = ("day/", "cap/", "benefit/", "score/")  # how the keys of pages begin that count, over all names


class NamedPages:
    """The pages of a member with several names, as a decision under the name `acting` sees them (empty: the own one).

    What counts (a day's cap, a shop's quota or score) is seen as the sum over names, and changed under
    the one that acts. `whole` are the pages by the keys under which they are stored.
    """

    def __init__(self, whole: Pages, account: Account) -> None:
        self.whole = whole
        self.acting = ""
        self._account = account
        self._found: dict[str, str] = {}  # key -> the name under which it was found

    def names(self) -> list[str]:
        """Return the names in the order in which a page is looked for."""
        bundle = self._account.bundle
        others = list(bundle.names) if bundle is not None else []
        return list(dict.fromkeys([self.acting, "", *others]))

    def where(self, key: str) -> str | None:
        """Return the name under which there is a page of a key, None where there is none."""
        empty = None
        for name in self.names():
            page = self.whole.get(under(name, key))
            if page is not None and page != _MET:
                return name
            empty = name if page is not None and empty is None else empty
        return empty

    def get(self, key: str) -> Page | None:
        """Return a page by its key."""
        if key.startswith(_SUMMED):
            return _sum([page for name in self.names() if (page := self.whole.get(under(name, key))) is not None])
        name = self.where(key)
        if name is None:
            return None
        self._found[key] = name
        return self.whole.get(under(name, key))

    def put(self, key: str, page: Page) -> None:
        """Take a page that is new or changed."""
        if key.startswith(_SUMMED):
            page = self._own_part(key, page)
            name = self.acting
        elif key.startswith(_LOT):
            name = self.owner(int(key[len(_LOT) :]))
        else:
            name = self._found.get(key, self.acting)
        self.store(under(name, key), page)

    def _own_part(self, key: str, page: Page) -> Page:
        """Return what a page counts of the name that acts, which was seen as the sum over names."""
        own = copy_page(page)
        for name in self.names():
            other = self.whole.get(under(name, key)) if name != self.acting else None
            if other is None:
                continue
            _take_from(own, other)
            if isinstance(other, ScorePage) and isinstance(page, ScorePage) and other.tier != page.tier:
                other.tier = page.tier  # it is the tier of the sum
                self.store(under(name, key), other)
        return own

    def store(self, key: str, page: Page) -> None:
        """Take a page by the key under which it is stored; a move that has begun sends it again."""
        self.whole.put(key, page)
        bundle = self._account.bundle
        if bundle is not None and bundle.merger is not None and key != MOVING:
            moving = self.whole.get(MOVING)
            if isinstance(moving, MovingPage) and key not in moving.changed:
                moving.changed.append(key)
                self.whole.put(MOVING, moving)

    def enter(self, number: int, changes: list[Change]) -> None:
        """Take the changes of an entry that opened lots."""
        self.whole.enter(number, changes)

    def opened(self, number: int) -> list[Earned]:
        """Return the lots that an earlier entry of this account opened."""
        return self.whole.opened(number)

    def all_keys(self) -> list[str]:
        """Return the keys of all pages as they are stored, in order."""
        return self.whole.all_keys()

    def forget(self) -> None:
        """Begin another fact of the same entry."""
        self._found.clear()

    def owner(self, lot: int) -> str:
        """Return the name that a lot is of, empty for the account's own."""
        owner, bundle = owner_of(lot), self._account.bundle
        return bundle.known[owner - 1] if owner and bundle is not None else ""


def _sum(pages: list[Page]) -> Page | None:
    """Return what some pages of one key count together, as a page of its own: what is added to it is nobody's yet."""
    if not pages:
        return None
    total = copy_page(pages[0])
    for page in pages[1:]:
        if isinstance(total, DayPage) and isinstance(page, DayPage):
            total.given += page.given
            total.marks = list(dict.fromkeys([*total.marks, *page.marks]))
        elif isinstance(total, QuotaPage) and isinstance(page, QuotaPage):
            _count_into(total.used, page.used, 1)
        elif isinstance(total, ScorePage) and isinstance(page, ScorePage):
            _count_into(total.parts, page.parts, 1)
    return total


def _take_from(own: Page, other: Page) -> None:
    """Take what another name counts from a sum."""
    if isinstance(own, DayPage) and isinstance(other, DayPage):
        own.given -= other.given
        own.marks = [mark for mark in own.marks if mark not in other.marks]
    elif isinstance(own, QuotaPage) and isinstance(other, QuotaPage):
        _count_into(own.used, other.used, -1)
    elif isinstance(own, ScorePage) and isinstance(other, ScorePage):
        _count_into(own.parts, other.parts, -1)


def _count_into(total: dict[K, int], counts: Mapping[K, int], sign: int) -> None:
    for key, count in counts.items():
        total[key] = total.get(key, 0) + sign * count
        if not total[key]:
            del total[key]


class NamedDraft(Draft, kw_only=True, gc=False):
    """A decision of a member who has several names, had, or is about to: `name` is the one it is made under."""

    member: str  # the account's own name
    named: NamedPages
    aimed: int = 0  # the lot that the fact names

    @property
    def bundle(self) -> Bundle:
        """The names of the account; an empty bundle while it has none."""
        return self.account.bundle or Bundle()

    @property
    def own_name(self) -> str:
        """The name of the account itself."""
        return self.member

    def emit(self, change: Change) -> None:
        """Write a change down and apply it, under the name that acts. Raises `OutOfRange`."""
        acting, bundle = self.named.acting, self.account.bundle
        if bundle is not None and bundle.acting != acting:
            self._emit(Under(acting))
        self._emit(change)

    def _emit(self, change: Change) -> None:
        self.changes.append(change)
        apply = APPLY[type(change)]
        grown = apply(self.account, change)
        if self.account.bundle is not None:
            count_for(self.account.bundle, change, apply)
        if grown and not -MAX_TOTAL <= grown <= MAX_TOTAL:
            self._beyond(type(change).__name__, grown)

    def score_month(self, change: Scored) -> None:
        """Emit a score item that moves no more than the month that runs."""
        self.emit(change)

    def next_lot(self) -> int:
        """The key of a lot that this entry opens, of the name that acts."""
        own = super().next_lot()
        acting = self.named.acting
        return lot_of(self.bundle.number_of(acting), 0, own) if acting else own

    def lot_name(self, lot: int) -> str:
        """Return the name of a lot wherever it lives: of one that its own name did not open, with who did."""
        owner, birth = owner_of(lot), birth_of(lot)
        text = lot_text(lot).partition("~")[0]
        if owner == birth:
            return text
        return f"{self.bundle.known[birth - 1] if birth else self.member}:{text}"

    def find_lot(self, name: str) -> int:
        """Return the key of the lot that the fact names, wherever it was opened; 0 where there is none so called."""
        return self.aimed

    def look_up(self, lot: str) -> int:
        """Return the key of the lot that people call so, 0 where there is none.

        As entry and place it is one that the account of the name which acts opened. With whose it is, it says what this
        account calls it, and nothing to who means another name.
        """
        text, _, slots = lot.partition("~")
        own, known = lot_named(text), len(self.bundle.known)
        if own >= 1 << BIRTH_BIT:
            return 0
        acting = self.named.acting
        owner = birth = self.bundle.number_of(acting) if acting else 0
        if slots:
            if acting:
                return 0
            owner, birth = map(int, slots.split("."))
        key = lot_of(owner, birth, own) if max(owner, birth) <= known else 0
        return key if opening_of(self, key) is not None else 0

    def hold_key(self, hold: str) -> str:
        """Return the name under which the account keeps a hold: where there is none yet, that of the name that acts."""
        keys = [under(name, hold) for name in self.named.names()]
        return next((key for key in keys if key in self.account.holds), keys[0])

    def seat_key(self, house: str) -> str:
        """Return how the account calls the seat that the name which acts has in a house."""
        return under(self.named.acting, house)

    def sit_as(self, seat: str) -> str:
        """Go on under the name of this member whose a seat is. Returns the house."""
        name, house = named(seat)
        self.act_as(name)
        return house

    def act_as(self, name: str) -> None:
        """Go on under a name of the account; empty: its own."""
        self.named.acting = name
        self.name = name or self.member

    def holder_of(self, key: str) -> str:
        """Return the name under which there is a page of a key; the one that acts where there is none."""
        name = self.named.where(key)
        return self.name if name is None else name or self.member

    def all_names(self) -> list[str]:
        """Return all names of this member, the account's own first."""
        return [self.member, *self.bundle.names]

    def own_page(self, key: str) -> Page | None:
        """Return a page of the name that acts."""
        return self.named.whole.get(under(self.named.acting, key))

    def put_own(self, key: str, page: Page) -> None:
        """Take a page of the name that acts."""
        self.named.store(under(self.named.acting, key), page)

    def goes_on_as(self, name: str) -> bool:
        """Go on under a name. Returns False where it is none of this member's: it lives elsewhere."""
        if not self.is_self(name):
            return False
        self.act_as("" if name == self.member else name)
        return True

    def is_self(self, name: str) -> bool:
        """Return True if a name is this member's."""
        return name == self.member or name in self.bundle.names


def named_draft(draft: Draft, member: str) -> NamedDraft:
    """Return the draft of a decision that has just begun, for a member who has several names or is about to."""
    named = NamedPages(draft.pages, draft.account)
    place = draft.book, draft.version, draft.number, draft.occurred, draft.clock, draft.month, draft.trace, draft.engine
    return NamedDraft(draft.account, named, *place, member=member, named=named)


def decide_under(draft: NamedDraft, row: FactType, data: Any, sent_to: str) -> None:
    """Let a fact be decided under the name whose page it names, or else under the one that it was sent to."""
    draft.act_as(sent_to)
    aim = aim_of(row, data)
    if aim is not None and aim.lot:
        draft.aimed = draft.look_up(aim.lot)
        if draft.aimed:
            draft.act_as(draft.named.owner(draft.aimed))
        return
    for key in pages_named(row, data):
        found = draft.named.where(key)
        if found is not None:
            draft.act_as(found)
            return
