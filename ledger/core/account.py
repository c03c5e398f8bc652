"""One member's state: the fold of that member's entries.

An account stays small for ever: open lots, sums of a window of months, terms. What must be kept of each order or
redemption stands on pages (`ledger.pages`), which are rows of their own.
"""

from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct, field

from ledger.core.burning import OrderedLots, kept_in_order
from ledger.rulebook.compiled import ASKED
from ledger.wire.entries import DAY_BUCKETS, FIRST_MONTH, owner_of
from ledger.wire.name_keys import named
from ledger.wire.times import first_day

NEVER = 1 << 62  # an instant after every other


class Lot(Struct, array_like=True, gc=False):
    """Points earned together: `left` are free (spendable, or pending while `pending_until` is set), `held` on hold."""

    left: int
    held: int
    earned: int
    earned_at: int
    expires_at: int
    rule: str
    pending_until: int
    returnable: bool
    waits: int = 0  # what a pending lot waits for: 0 a card, `OPENS` its time, `CLAIM` a claim, `ASKED` a pool

    def due_at(self) -> int:
        """The instant at which something becomes of it by itself."""
        if not self.pending_until:
            return self.expires_at
        if self.waits == ASKED:
            return self.pending_until  # for ever: what is due meanwhile ends with the answer
        return min(self.pending_until, self.expires_at) if self.waits else self.pending_until


class Purse(Struct, array_like=True, gc=False):
    """One kind of points: open lots by their key, debt, and totals since the account began (points; cash in fen)."""

    lots: dict[int, Lot] = field(default_factory=dict)
    debt: int = 0
    issued: int = 0
    redeemed: int = 0
    expired: int = 0
    clawed_back: int = 0
    written_off: int = 0
    cash_shortfall_fen: int = 0
    idle_until: int = 0  # of a kind that ends when idle: its lots end then, unless it is used before; 0: no such end
    idle_ended: int = 0  # lots with keys below this ended with the purse, and what comes back to them is gone
    forfeited: int = 0
    gone: int = 0  # left for other accounts
    come: int = 0  # arrived from other accounts, and came back from them

    def end_of(self, lot: Lot) -> int:
        """When a lot that is not pending expires: by itself, or earlier with its idle purse."""
        return min(lot.expires_at, self.idle_until or lot.expires_at)

    def spendable(self) -> int:
        """Points that a redemption may take now."""
        lots = self.lots
        if type(lots) is OrderedLots:
            return lots.spendable
        return sum([lot.left for lot in lots.values() if not lot.pending_until])

    def burn(self, points: int, burn: str) -> list[tuple[int, int]]:
        """Return which spendable lots a burn takes: (lot, points) in the order `burn` names. The sum may fall short.

        A large purse keeps its lots in that order from then on.
        """
        lots = self.lots = kept_in_order(self.lots)
        if type(lots) is OrderedLots:
            return lots.burn(points, by_end=burn != "oldest")
        keys = sorted(lots)
        if burn != "oldest":
            keys.sort(key=lambda key: lots[key].expires_at)
        taken = []
        for key in keys:
            if not points:
                break
            lot = lots[key]
            if lot.left and not lot.pending_until:
                part = min(points, lot.left)
                taken.append((key, part))
                points -= part
        return taken

    def pending(self) -> int:
        """Points that are visible and frozen."""
        return sum(lot.left for lot in self.lots.values() if lot.pending_until)

    def held(self) -> int:
        """Points that holds keep."""
        return sum(lot.held for lot in self.lots.values())

    def in_transit(self) -> int:
        """What went to other accounts less what came from them: over all members, the points that are on their way."""
        return self.gone - self.come


class OpenHold(Struct, array_like=True, gc=False):
    """Points kept for a hold until an instant, by lot in the order they were taken."""

    kind: str
    until: int
    parts: dict[int, int]


class Term(Struct, array_like=True, gc=False):
    """An interval of a membership, and what was used of its cap (points) and its quotas (by benefit:bucket)."""

    card: str
    product: str
    start: int
    until: int
    trial: bool
    bought_at: int  # the card's own instant
    span: int  # of the whole card, in microseconds
    cut_at: int = 0  # where a refund, or the card bought in a trial, ended it before its time
    ended: bool = False
    converted: bool = False
    capped: int = 0
    used: dict[str, int] = field(default_factory=dict)
    months: int = 0  # of a term by the calendar, 0: of days
    anchor: int = 0  # the instant whose local day and time such a term ends on
    rights: int = 0  # that it gave to lines of orders which did not come back whole
    upgraded: bool = False  # `cut_at` is where a better card was bought: it was not given back, and has its grace


class TierHold(Struct, array_like=True, gc=False):
    """A tier that does not fall by ageing before `until`.

    `value` is the score without ageing: what it came to when the hold began, and all that came and went since of the
    buckets from `first` on. Below `needs` the hold ends.
    """

    until: int
    value: int
    first: int
    needs: int


class TierGrant(Struct, array_like=True, gc=False):
    """A tier of a score that is granted until an instant."""

    score: str
    tier: str
    until: int


class Seat(Struct, array_like=True, gc=False):
    """A seat in a membership of a house: at the house that somebody sits there, at the member what it gives."""

    membership: str
    n: int = 0  # at the member: the entry of the house that said so last
    terms: list[Term] = field(default_factory=list)  # at the member, by their start; those that ended too


class Merger(Struct, array_like=True, gc=False):
    """What an account is in the middle of: `state` is `asking`, `moving` or `back`, to the account `to`.

    `era` is the entry that began it; `i` counts the pieces that were sent.
    """

    state: str
    to: str
    era: int
    names: list[str]
    i: int = 0


class Alias(Struct, array_like=True, gc=False):
    """Of an account that is another name of `head`: the entry that began it, and the names that went there with it."""

    head: str
    era: int
    names: list[str]


class Taken(Struct, array_like=True, gc=False):
    """A name that was taken in: the entry of its account that began it, and the name it came through, if any."""

    era: int
    through: str


class Bundle(Struct, array_like=True, gc=False):
    """The names of a member who is more than one, or is on the way to that.

    The account itself holds the sums over names, as decisions read them; `shares` say what of them is whose (the empty
    name is the account's own; there are none while it has no other). A share is an account of which nothing is used but
    what is counted under its name, and in its purses the debt.
    """

    names: dict[str, Taken] = field(default_factory=dict)  # beside its own, in the order in which they came
    shares: dict[str, "Account"] = field(default_factory=dict)
    known: list[str] = field(default_factory=list)  # by whose numbers, from 1, lots are named
    cards: dict[str, str] = field(default_factory=dict)  # membership/card of a term -> the name it is of
    merger: Merger | None = None
    alias: Alias | None = None
    awaited: dict[str, str] = field(default_factory=dict)  # names that may come -> who asked
    delayed: list[int] = field(default_factory=list)  # entries whose facts wait for a name
    acting: str = ""  # under which the present entry goes on

    def number_of(self, name: str) -> int:
        """Return the number of a name that it knows."""
        return self.known.index(name) + 1

    def has(self, lot: int) -> bool:
        """Return True if the name that a lot is of lives here."""
        owner = owner_of(lot)
        return not owner or self.known[owner - 1] in self.names


class Account(Struct, array_like=True, gc=False):
    """Everything about one member that the next decision may need."""

    number: int = 0  # of the member's last entry
    clock: int = 0
    next_due_at: int = NEVER  # no change falls due before this instant (it may be early, never late)
    next_month_at: int = 0  # the month of the clock ends at this instant or later (it may be early, never late)
    frozen: bool = False
    stars: int = 0  # an attribute, as `credit` is: under the name of the field of the change that sets it
    credit: int = 0
    purses: dict[str, Purse] = field(default_factory=dict)
    holds: dict[str, OpenHold] = field(default_factory=dict)
    sums: dict[str, dict[int, dict[str, int]]] = field(default_factory=dict)  # score -> month -> part -> points
    once: dict[str, int] = field(default_factory=dict)  # score/part/rule -> points that do not age
    counts: dict[int, dict[str, int]] = field(default_factory=dict)  # month, year or 0 -> rule -> count
    marks: dict[str, set[str]] = field(default_factory=dict)  # rule -> what was met once and for all
    days: dict[int, dict[str, int]] = field(default_factory=dict)  # month -> rule -> days met, bit 1 the first
    terms: dict[str, list[Term]] = field(default_factory=dict)
    trials: dict[str, int] = field(default_factory=dict)  # membership -> trials ever started
    tiers: dict[str, str] = field(default_factory=dict)
    pruned_before: int = 0  # months before this one are dropped
    attributes: dict[str, tuple[str | int, int]] = field(default_factory=dict)  # name -> value (empty: removed), since
    tier_moves: dict[str, list[tuple[int, str]]] = field(default_factory=dict)  # score -> from, tier; the first: before
    closed: bool = False
    tier_holds: dict[str, dict[str, TierHold]] = field(default_factory=dict)  # score -> tier
    grants: dict[str, TierGrant] = field(default_factory=dict)
    placed_by: str = ""  # the version whose tiers the account was last placed in (it may be missing, never wrong)
    seats: dict[str, Seat] = field(default_factory=dict)  # of a member, by house (and name); of a house, by member
    bundle: Bundle | None = None  # of a member who has, had or became another name; the last field for ever

    def purse(self, kind: str) -> Purse:
        """The purse of a kind, empty where there is none yet (and then not part of the account)."""
        return self.purses.get(kind) or Purse()


_encode = msgspec.msgpack.Encoder().encode
_FIELDS = len(Account.__struct_fields__)
_WITHOUT_BUNDLE = b"\xdc" + (_FIELDS - 1).to_bytes(2, "big")  # the head of an array without its last field

# An account from a snapshot's bytes.
decode_account: Callable[[bytes], Account] = msgspec.msgpack.Decoder(Account).decode


def encode_account(account: Account) -> bytes:
    """Return a snapshot's bytes; of an account that never had another name, the last field is left out."""
    state = _encode(account)
    return state if account.bundle is not None else _WITHOUT_BUNDLE + state[3:-1]


def find_term(account: Account, membership: str, card: str) -> Term:
    """The term that a card opened. Raises KeyError where it is no longer kept."""
    for term in account.terms.get(membership, ()):
        if term.card == card:
            return term
    raise KeyError(card)


def term_at(account: Account, membership: str, instant: int) -> Term | None:
    """The term that holds at an instant: from its start (inclusive) to its end (exclusive)."""
    for term in account.terms.get(membership, ()):
        if term.start <= instant < term.until:
            return term
    return None


def seat_terms(account: Account, membership: str) -> Iterator[tuple[str, Term]]:
    """Yield what the seats of a member give of a membership, each seat with its terms, by the name of the house."""
    for key in sorted(account.seats, key=_house_first):
        seat = account.seats[key]
        if seat.membership == membership:
            for term in seat.terms:
                yield key, term


def _house_first(seat: str) -> tuple[str, str]:
    """Return a seat's house and the name whose it is: how seats are sorted."""
    name, house = named(seat)
    return house, name


def current_term(account: Account, membership: str, instant: int) -> Term | None:
    """The term that holds at an instant, or else the last that had begun, or else the first to come."""
    return current_of(account.terms.get(membership, []), instant)


def current_of(terms: list[Term], instant: int) -> Term | None:
    """The same of the terms of one membership."""
    held = next((term for term in terms if term.start <= instant < term.until), None)
    begun = [term for term in terms if term.start <= instant]
    return held or (begun[-1] if begun else terms[0] if terms else None)


def is_dropped(bucket: int, month: int) -> bool:
    """Return True if a bucket of sums or counters lies before a month (year * 12 + month - 1)."""
    if bucket >= DAY_BUCKETS:
        return bucket - DAY_BUCKETS < first_day(month)
    return bucket < month if bucket >= FIRST_MONTH else 0 < bucket < month // 12


def next_due(account: Account) -> int:
    """The instant at which something of an account next falls due, `NEVER` where nothing will."""
    due = [
        lot.due_at() if lot.pending_until else lot.expires_at
        for purse in account.purses.values()
        for lot in purse.lots.values()
        if lot.left
    ]
    due += [hold.until for hold in account.holds.values()]
    due += [purse.idle_until for purse in account.purses.values() if purse.idle_until]
    due += [term.until for terms in account.terms.values() for term in terms if not term.ended]
    due += [hold.until for holds in account.tier_holds.values() for hold in holds.values()]
    due += [grant.until for grant in account.grants.values()]
    return min(due, default=NEVER)


def move_lapse(account: Account, until: int) -> None:
    """Let the frozen points of a trial lapse at another instant."""
    account.next_due_at = min(account.next_due_at, until)
    for purse in account.purses.values():
        for lot in purse.lots.values():
            if lot.pending_until and not lot.waits:
                lot.pending_until = until


def copy_account(account: Account) -> Account:
    """Return an account of its own, alike, to evolve."""
    return decode_account(encode_account(account))
