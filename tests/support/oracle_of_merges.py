"""The oracle of members who become one and part again (two-accounts.md F, decision 59).

An account is a bundle of names, and whatever it has stands under one of them. What a decision reads is of all names;
what it writes stands under the name that it acts as. When a name leaves, all that stands under it goes with it. Lots
and pages go as they are, beside the follow-ups, whose bytes are left to the ledger.
"""

from collections.abc import Iterator, MutableMapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.support.oracle import FIELDS, REQUESTS, Claim, Decision, Lot, Order, Purse, Table, Term, complete, instant
from tests.support.oracle_of_exchanges import Exchanging
from tests.support.oracle_of_pools import NOT_MEMBERS

# What is said of an account itself, and is not handed on by one that is a name of another.
OF_ACCOUNTS = (
    *("account.frozen", "account.unfrozen", "account.closed", "account.reopened"),
    *("member.merged", "member.unmerged"),
)
MOVES = ("member.pages", "member.moved", "merge.answered", "merge.taken")  # that a name hears itself, wherever it lives
BACK: Table = {"back": True}
SUMS = ("attributes", "counts", "items", "marks", "trials")  # what is kept of a name and is no page
# The pages that a fact names, the first that is found: by the field with the page's name.
NAMED_BY: dict[str, tuple[tuple[str, str], ...]] = {
    **dict.fromkeys(
        ("order.paid", "order.completed", "order.amended", "order.cancelled", "order.returned", "order.rejected"),
        (("orders", "order"),),
    ),
    "review.posted": (("reviews", "review"), ("orders", "order")),
    "review.removed": (("reviews", "review"),),
    "campaign.granted": (("grants_of_points", "grant"),),
    **dict.fromkeys(("activity.done", "activity.undone"), (("activities", "done"),)),
    "redemption.requested": (("redemptions", "redemption"), ("orders", "order")),
    "redemption.reversed": (("redemptions", "redemption"), ("holds", "redemption")),
    **dict.fromkeys(("hold.requested", "hold.captured", "hold.released"), (("holds", "hold"),)),
    "exchange.requested": (("exchanges", "request"),),
    **dict.fromkeys(
        ("exchange.reversed", "exchange.confirmed", "exchange.failed", "exchange.answered"),
        (("exchanges", "request"),),
    ),
    **dict.fromkeys(("transfer.requested", "transfer.reversed", "transfer.returned"), (("gifts", "transfer"),)),
    **dict.fromkeys(
        ("card.purchased", "card.code-redeemed", "card.trial-started", "card.refunded"), (("cards", "card"),)
    ),
    "benefit.claimed": (("claims", "claim"), ("orders", "order")),
    "benefit.returned": (("claims", "claim"),),
    "pool.answered": (("asks", "ask"),),
    **dict.fromkeys(("tier.granted", "tier.withdrawn"), (("grants", "grant"),)),
}


ASKED: Table = {"frm": "", "n": 0, "bucket": 0, "limit": 0, "reason": ""}
SEAT: Table = {"card": "", "product": "", "from": None, "until": None}
# Follow-ups with their fields and defaults.
FOLLOW_UPS: dict[str, Table] = {
    "transfer.arrived": {"frm": "", "at": None, "transfer": "", "rule": "", "kind": "", "lots": [], "points": 0},
    "transfer.returned": {"frm": "", "at": None, "transfer": "", "points": 0, "reason": ""},
    "transfer.recalled": {"frm": "", "transfer": ""},
    "pool.asked": {**ASKED, "ask": "", "membership": "", "benefit": "", "claim": ""},
    "pool.answered": {"frm": "", "ask": "", "yes": False, "reason": ""},
    "pool.returned": {"frm": "", "ask": "", "n": 0},
    "lease.asked": ASKED,
    "lease.answered": ASKED,
    "lease.recalled": ASKED,
    "lease.returned": ASKED,
    "seat.changed": {**SEAT, "frm": "", "n": 0, "membership": "", "later": []},
    "exchange.asked": {"frm": "", "request": "", "kind": "", "points": 0, "expires": None},
    "exchange.answered": {"frm": "", "request": "", "yes": False, "reason": ""},
    "exchange.recalled": {"frm": "", "request": ""},
    "merge.asked": {"frm": "", "names": [], "era": 0, "cards": []},
    "merge.answered": {"frm": "", "yes": False, "era": 0, "by": "", "reason": ""},
    "merge.taken": {"frm": "", "era": 0, "i": 0},
    "member.pages": {"frm": "", "era": 0, "i": 0},
    "member.moved": {"frm": "", "at": None, "era": 0, "back": False},
    "member.forwarded": {"frm": "", "at": None, "name": "", "fact": {}, "by": "", "era": 0, "back": False},
    "lot.returned": {"frm": "", "at": None, "points": 0},
}


def is_empty(page: Any) -> bool:
    """Whether a page is of an order that a name never saw, once all it remembered has met that of another name."""
    return isinstance(page, Order) and vars(page) | {"was_met": False} == vars(Order())


class Named(MutableMapping[Any, Any]):
    """Pages by their keys, each under one of an account's names; a key is looked up in the order of its names."""

    def __init__(self, account: "Merging") -> None:
        self.account = account
        self.parts: dict[str, dict[Any, Any]] = {}

    def where(self, key: Any) -> str | None:
        """The name under which there is something of a key."""
        found = [name for name in self.account.looked_up() if key in self.parts.get(name, ())]
        told = [name for name in found if not is_empty(self.parts[name][key])]
        return next(iter([*told, *found]), None)

    def each(self) -> Iterator[dict[Any, Any]]:
        """What stands under each name."""
        return (self.parts.get(name, {}) for name in self.account.looked_up())

    def __getitem__(self, key: Any) -> Any:
        name = self.where(key)
        if name is None:
            raise KeyError(key)
        return self.parts[name][key]

    def __setitem__(self, key: Any, value: Any) -> None:
        name = self.where(key)
        self.parts.setdefault(self.account.acting if name is None else name, {})[key] = value

    def __delitem__(self, key: Any) -> None:
        name = self.where(key)
        del self.parts["" if name is None else name][key]

    def __iter__(self) -> Iterator[Any]:
        return iter(dict.fromkeys(key for part in self.each() for key in part))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def values(self) -> Any:
        """All, also those of one key under several names."""
        return [value for part in self.each() for value in part.values()]

    def items(self) -> Any:
        """All with their keys, also those of one key under several names."""
        return [pair for part in self.each() for pair in part.items()]


class Counts(Named):
    """Numbers that count what all names did: their sum is seen, and what is more or less is the acting name's."""

    def __getitem__(self, key: Any) -> int:
        found = [part[key] for part in self.each() if key in part]
        if not found:
            raise KeyError(key)
        return sum(found)

    def __setitem__(self, key: Any, value: int) -> None:
        own = self.parts.setdefault(self.account.acting, {})
        own[key] = own.get(key, 0) + value - self.get(key, 0)


class Lists(Named):
    """Lists that are seen as one, of the names in their order; what is added is the acting name's."""

    def __getitem__(self, key: Any) -> "Joined":
        if self.where(key) is None:
            raise KeyError(key)
        return Joined(self, key)

    def setdefault(self, key: Any, default: Any = None) -> "Joined":
        """The list of a key, which is there from now on."""
        self.parts.setdefault(self.account.acting, {}).setdefault(key, [])
        return Joined(self, key)


class Marks(Lists):
    """Lists of what was seen, which have nothing twice."""


class Joined(Sequence[Any]):
    """One of `Lists`."""

    def __init__(self, lists: Lists, key: Any) -> None:
        self.lists, self.key = lists, key

    def _all(self) -> list[Any]:
        found = [one for part in self.lists.each() for one in part.get(self.key, [])]
        return list(dict.fromkeys(found)) if isinstance(self.lists, Marks) else found

    def __getitem__(self, at: Any) -> Any:
        return self._all()[at]

    def __len__(self) -> int:
        return len(self._all())

    def append(self, one: Any) -> None:
        """Add one."""
        self.lists.parts.setdefault(self.lists.account.acting, {}).setdefault(self.key, []).append(one)


class Owing(Purse):
    """A purse whose debt stands under the names that owe it."""

    def __init__(self, account: "Merging") -> None:
        self.account = account
        self.debts: dict[str, int] = {}
        super().__init__()

    @property
    def debt(self) -> int:  # type: ignore[override]
        """What is owed, of all names."""
        return sum(self.debts.values())

    @debt.setter
    def debt(self, points: int) -> None:
        """More is the acting name's; less is first that of the name whose lot pays, then of the others in order."""
        account, more = self.account, points - self.debt
        if more > 0:
            self.debts[account.acting] = self.debts.get(account.acting, 0) + more
        for name in dict.fromkeys([account.payer or account.acting, *account.here()]):
            paid = min(max(-more, 0), self.debts.get(name, 0))
            if paid:
                self.debts[name] -= paid
                more += paid


@dataclass
class Came:
    """A name that came: by which entry of its account, and through which other name."""

    era: int
    through: str = ""


@dataclass
class Move:
    """A move that goes on: "asking" or "moving", to whom; `back` is the name that is handed back."""

    state: str
    to: str
    era: int
    back: str = ""


@dataclass
class Alias:
    """Whose name an account is, by which entry, and the names that went there with it."""

    head: str
    era: int
    names: list[str]


@dataclass
class Parcel:
    """All that stands under names that move."""

    names: dict[str, Came]
    frozen: set[str]
    pages: dict[str, dict[str, Any]]  # by kind and name
    seats: dict[tuple[str, str], Any]
    aimed: dict[Lot, Any]
    lots: dict[str, list[Lot]] = field(default_factory=dict)
    points: dict[str, int] = field(default_factory=dict)
    debts: dict[str, dict[str, int]] = field(default_factory=dict)
    terms: dict[str, list[Term]] = field(default_factory=dict)


class Merging(Exchanging):
    """An account that may have several names, or be one of another's."""

    def __init__(self, name: str, books: Any) -> None:
        self.names: dict[str, Came] = {}
        self.known: list[str] = []  # names of others, as they became known
        self.move: Move | None = None
        self.receiving: dict[str, str] = {}  # by name, from whom
        self.alias: Alias | None = None
        self.delayed: list[Table] = []  # facts that wait for a name
        self.frozen: set[str] = set()
        self.payer = ""
        self.carried: dict[str, Any] = {}  # by follow-up's id, what goes beside its bytes
        self.fact: Table = {}
        super().__init__(name, books)
        self.pages: dict[str, Named] = {}
        for kind in ("orders", "redemptions", "holds", "reviews", "activities", "grants_of_points", "exchanges"):
            self._keep(kind, Named(self))
        for kind in (
            "attributes",
            "grants",
            "trials",
            "cards",
            "claims",
            "gifts",
            "arrived",
            "asks",
            "outside",
            "given",
        ):
            self._keep(kind, Named(self))
        self._keep("counts", Counts(self))
        self._keep("items", Lists(self))
        for kind in ("marks", "seen", "lists"):
            self._keep(kind, Marks(self))
        self.once: Any = Joined(self.pages["lists"], "once")  # type: ignore[arg-type]
        self.joined: Any = Joined(self.pages["lists"], "joined")  # type: ignore[arg-type]

    def _keep(self, kind: str, pages: Named) -> None:
        self.pages[kind] = pages
        setattr(self, kind, pages)

    # -- names

    def here(self) -> list[str]:
        """The names that live here, in the order in which they came."""
        return [] if self.alias is not None else [self.name, *self.names]

    def looked_up(self) -> list[str]:
        """The names in the order in which pages are looked up."""
        return list(dict.fromkeys([self.acting, self.name, *self.names]))

    def is_self(self, name: str) -> bool:
        return name in self.here()

    def has(self, lot: Lot) -> bool:
        return self.is_self(lot.owner)

    def acts(self, on: str, data: Table, sent_to: str) -> None:
        """Act under the name whose page a fact names, or else under the one that it was sent to."""
        self.acting = sent_to
        named = NAMED_BY.get(on, ())
        if on in ("points.adjusted", "points.claimed") and data["of"] is not None:
            named, data = (("orders", "order"), ("grants_of_points", "grant")), data["of"]
        for kind, key in named:
            found = self.pages[kind].where(data[key]) if data[key] else None
            if found is not None:
                self.acting = found
                return

    @property
    def is_frozen(self) -> bool:  # type: ignore[override]
        """Whether one of the names is frozen."""
        return bool(self.frozen)

    @is_frozen.setter
    def is_frozen(self, is_frozen: bool) -> None:
        self.frozen = self.frozen | {self.acting} if is_frozen else set()

    @property
    def is_busy(self) -> bool:
        """Whether a merge or its undoing goes on."""
        return self.move is not None or bool(self.receiving)

    # -- what is decided

    def begin_entry(self, at: datetime) -> None:
        self.acting = self.name
        super().begin_entry(at)

    def carries(self, to: str, type_: str, what: Any, *, with_points: bool = True, **data: Any) -> None:
        """Leave a follow-up, and beside its bytes something, and the names that are known here."""
        self.tell(to, type_, with_points=with_points, **data)
        self.carried[f"{self.name}:{self.entries}.{len(self.told) - 1}"] = what, [self.name, *self.known]

    def _carried(self) -> Any:
        """What came beside the follow-up that is decided; the names of which it tells are known from now on."""
        what, known = self.carried[self.fact["id"]]
        self.known += [name for name in known if name != self.name and name not in self.known]
        return what

    def take(self, fact: Table, on: str, data: Table, at: datetime, *, is_stale: bool) -> Decision:
        """Decide a fact, or hand it on to the account that this one is a name of."""
        if self.alias is not None and on in OF_ACCOUNTS:
            return "ignored", "alias"
        if self.alias is not None and on in REQUESTS and is_stale:
            return "refused", "stale"
        if self.alias is not None and on not in MOVES:
            return self._hands_on(fact, self.name, self.alias.era)
        self.fact = fact
        if self.alias is None:
            self.acts(on, data, self.name)
        return super().take(fact, on, data, at, is_stale=is_stale)

    def hears(self, fact: Table, on: str, data: Table, at: datetime) -> Decision:
        """Decide a follow-up, which is never turned away."""
        if self.alias is not None and on not in (*MOVES, "member.forwarded"):
            return self._hands_on(fact, self.name, self.alias.era)
        self.fact, self.source = fact, fact["source"]
        if self.alias is None:
            self.acts(on, data, self.name)
        return self.decide(on, data, at)

    def _hands_on(self, fact: Table, name: str, era: int) -> Decision:
        assert self.alias is not None
        self._forwards(self.alias.head, name, fact, self.name, era)
        return "accepted", "forwarded"

    def _forwards(self, to: str, name: str, fact: Table, by: str, era: int, *, back: bool = False) -> None:
        self.tell(to, "member.forwarded", name=name, fact=fact, by=by, era=era, **BACK if back else {})

    def member_forwarded(self, data: Table, at: datetime) -> Decision:
        name, fact, back = data["name"], data["fact"], data["back"]
        if self.alias is not None and name in (self.name, *self.alias.names):
            if back and data["era"] == self.alias.era:
                self.delayed.append(data)
                return "accepted", "waits"
            return self._hands_on(fact, name, self.alias.era)
        if self.is_self(name):
            return self._decides_for(name, fact)
        if name in self.receiving:
            self.delayed.append(data)
            return "accepted", "waits"
        if back:
            self._forwards(name, name, fact, self.name, 0)
            return "accepted", "forwarded"
        self._forwards(data["by"], name, fact, data["by"], data["era"], back=True)
        return "accepted", "handed-back"

    def _decides_for(self, name: str, fact: Table) -> Decision:
        """Decide a fact that was sent to a name, whose age was judged there."""
        on, at = fact["type"].removesuffix(".v1"), instant(fact["time"])
        self.book, self.fact, self.source = self.version_at(at), fact, fact["source"]
        data = complete(fact.get("data", {}), (FIELDS | FOLLOW_UPS)[on])
        self.acts(on, data, name)
        if on in FOLLOW_UPS:
            return self.decide(on, data, at)
        return super().take(fact, on, data, at, is_stale=False)

    # -- points

    def purse(self, name: str) -> Purse:
        return self.purses.setdefault(name, Owing(self))

    def make_spendable(self, lot: Lot, points: int) -> None:
        """Points that come back to a lot whose name lives elsewhere go on to it."""
        if not self.has(lot):
            self.purse(lot.purse).gone += points
            self.carries(lot.owner, "lot.returned", lot, points=points)
            return
        self.payer = lot.owner
        super().make_spendable(lot, points)
        self.payer = ""

    def open_lot(self, name: str, *args: Any, **more: Any) -> Lot:
        lot = super().open_lot(name, *args, **more)
        self.purse(name).lots.sort(key=self._place_of)
        return lot

    def show_lot(self, lot: Lot) -> Table:
        return super().show_lot(lot) | ({"account": lot.birth} if lot.birth != self.name else {})

    def lot_returned(self, data: Table, at: datetime) -> Decision:
        lot = self._carried()
        self.purse(lot.purse).come += data["points"]
        self.make_spendable(lot, data["points"])
        return "accepted", ""

    def count_claim(self, claim: Claim, by: int) -> None:
        """What a claim counts on a card's term is the term's, and stays with it where names part."""
        acting, term = self.acting, claim.term
        if term is not None and not self.is_self(term.owner):
            return
        if term is not None and claim.counted[2]:
            self.acting = term.owner
        super().count_claim(claim, by)
        self.acting = acting

    def account_closed(self, data: Table, at: datetime) -> Decision:
        if self.is_busy:
            return "ignored", "merge-busy"
        return super().account_closed(data, at)

    def ends_claim(self, claim_id: str) -> None:
        acting, self.acting = self.acting, self.pages["claims"].where(claim_id) or self.acting
        super().ends_claim(claim_id)
        self.acting = acting

    def give_claim_back(self, claim_id: str, at: datetime) -> None:
        acting, self.acting = self.acting, self.pages["claims"].where(claim_id) or self.acting
        super().give_claim_back(claim_id, at)
        self.acting = acting

    def learn(self, name: str, value: Any, at: datetime) -> None:
        told = [part[name][1] for part in self.pages["attributes"].each() if name in part]
        if not told or at >= max(told):  # Reading: what another name was told later holds for both
            self.pages["attributes"].parts.setdefault(self.acting, {})[name] = value, at

    def attribute(self, name: str) -> Any:
        parts = self.pages["attributes"].parts
        # Reading: of what names were told at one instant the account's own holds, then by the order in which they came
        told = [parts[one][name] for one in self.here() if name in parts.get(one, {})]
        if not told:
            return super().attribute(name)
        latest = max(told, key=lambda one: one[1])
        kept, self.attributes = self.attributes, {name: latest}
        found = super().attribute(name)
        self.attributes = kept
        return found

    # -- who becomes whose name

    def member_merged(self, data: Table, at: datetime) -> Decision:
        into = data["into"]
        if into == "programme" or into.startswith(NOT_MEMBERS) or self.name.startswith(NOT_MEMBERS):
            return "ignored", "not-a-member"
        if into == self.name:
            return "ignored", "merge-cycle"
        if self.is_busy:
            return "ignored", "merge-busy"
        self.move = Move("asking", into, self.entries)
        laid = [term.card for terms in self.terms.values() for term in terms]
        cards: Table = {"cards": laid} if laid else {}
        self.tell(into, "merge.asked", names=[self.name, *self.names], era=self.entries, **cards)
        return "accepted", ""

    def merge_asked(self, data: Table, at: datetime) -> Decision:
        why = self._why_two(data)
        if not why:
            self.receiving |= dict.fromkeys(data["names"], data["frm"])
        more = {"reason": why} if why else {}
        own: Table = {"frm": self.name, "by": self.name, "era": data["era"]}
        self.tell(data["frm"], "merge.answered", yes=not why, **own, **more)
        return "accepted", why

    def _why_two(self, data: Table) -> str:
        if self.name in data["names"]:
            return "merge-cycle"
        if any(name in self.names or name in self.receiving for name in data["names"]):
            return "already"
        if self.is_closed:
            return "account-closed"
        if self.move is not None:
            return "merge-busy"
        laid = {term.card for terms in self.terms.values() for term in terms}
        return "same-card" if laid.intersection(data["cards"]) else ""

    def merge_answered(self, data: Table, at: datetime) -> Decision:
        assert self.move is not None and self.move.era == data["era"]
        if not data["yes"]:
            self.move = None
            return "accepted", data["reason"]
        self.move.state, self.move.to = "moving", data["by"]
        self._moves_on(self.here())
        return "accepted", ""

    def counts_of(self, name: str) -> dict[Any, int]:
        """What is counted under one name."""
        return self.pages["counts"].parts.get(name, {})

    def _moves_on(self, names: Sequence[str]) -> None:
        """The pages go first, in one piece where there are few of them, as in these histories; then all else."""
        assert self.move is not None
        parts = [self.pages[kind].parts.get(name) for kind in self.pages if kind not in SUMS for name in names]
        counts = [key for name in names for key in self.counts_of(name)]
        if any(parts) or any(key[0] == "cap" and key[2] == "day" for key in counts):
            self.carries(self.move.to, "member.pages", None, with_points=False, era=self.move.era, i=1)
        else:
            self._moves_out(names)

    def member_pages(self, data: Table, at: datetime) -> Decision:
        self._carried()
        self.tell(data["frm"], "merge.taken", era=data["era"], i=data["i"])
        return "accepted", ""

    def merge_taken(self, data: Table, at: datetime) -> Decision:
        assert self.move is not None and self.move.state == "moving"
        self._moves_out(self._with(self.move.back) if self.move.back else self.here())
        return "accepted", ""

    def _moves_out(self, names: Sequence[str]) -> None:
        move = self.move
        assert move is not None
        parcel = self._lets_go(names)
        self.carries(move.to, "member.moved", parcel, era=move.era, **BACK if move.back else {})
        self.move = None
        if move.back:
            for name in names:
                del self.names[name]
            self._lays_what_stays()
        else:
            self.names = {}
            self.alias = Alias(move.to, move.era, list(names[1:]))
            self.tiers, self.own_tiers, self.values, self.moves = {}, {}, {}, {}
        self._places()

    def member_unmerged(self, data: Table, at: datetime) -> Decision:
        name = data["name"]
        if name not in self.names:
            return "ignored", "unknown-alias"
        if self.names[name].through:
            return "ignored", "merged-through"
        if self.is_busy:
            return "ignored", "merge-busy"
        self.move = Move("moving", name, self.names[name].era, back=name)
        self._moves_on(self._with(name))
        return "accepted", ""

    def _with(self, name: str) -> list[str]:
        """A name and all that came through it, however far."""
        found = [name]
        for other, came in self.names.items():
            if came.through in found:
                found.append(other)
        return found

    # -- what moves

    def _lets_go(self, names: Sequence[str]) -> Parcel:
        """Take out all that stands under names."""
        assert self.move is not None
        own = self.names | {self.name: Came(self.move.era)}
        self._parts_holds(names)
        parcel = Parcel(
            {name: own[name] for name in names},
            self.frozen & set(names),
            {
                kind: {name: pages.parts.pop(name) for name in names if name in pages.parts}
                for kind, pages in self.pages.items()
            },
            {key: self.seats.pop(key) for key in list(self.seats) if key[0] in names},
            {lot: self.aimed.pop(lot) for lot in list(self.aimed) if lot.owner in names},
        )
        self.frozen -= set(names)
        leaving = [hold for part in parcel.pages["holds"].values() for hold in part.values() if hold["open"]]
        for kind, purse in self.purses.items():
            assert isinstance(purse, Owing)
            lots = [lot for lot in purse.lots if lot.owner in names]
            purse.lots = [lot for lot in purse.lots if lot.owner not in names]
            held = sum(points for hold in leaving for lot, points in hold["slices"] if lot.purse == kind)
            parcel.lots[kind], parcel.points[kind] = lots, sum(lot.left for lot in lots) + held
            purse.gone += parcel.points[kind]
            parcel.debts[kind] = {name: purse.debts.pop(name) for name in names if purse.debts.get(name)}
        for membership, terms in self.terms.items():
            parcel.terms[membership] = [term for term in terms if term.owner in names]
            self.terms[membership] = [term for term in terms if term.owner not in names]
        return parcel

    def _parts_holds(self, names: Sequence[str]) -> None:
        """What a hold has of lots of a name that parts from its own becomes a lot of its own name."""
        for name, part in self.pages["holds"].parts.items():
            for piece in [piece for hold in part.values() if hold["open"] for piece in hold["slices"]]:
                lot, points = piece
                if (lot.owner in names) != (name in names):
                    self.opened_lots += 1
                    piece[0] = own = copy(lot)
                    own.owner, own.birth, own.left, own.earned = name, self.name, 0, points
                    own.entry, own.name = self.entries, f"{self.name}:{self.entries}.{self.opened_lots}"
                    self.purse(lot.purse).lots.append(own)

    def _lays_what_stays(self) -> None:
        """Terms that waited behind those of names that left begin when they can."""
        assert self.clock is not None
        for terms in self.terms.values():
            self._lays_on(terms)

    def _lays_on(self, terms: list[Term]) -> None:
        assert self.clock is not None
        end = self.clock
        for term in terms:
            if term.until <= self.clock:
                continue
            if term.start > self.clock:
                length = term.until - term.start
                term.start, term.until, term.length = end, end + length, length
            end = term.until

    def member_moved(self, data: Table, at: datetime) -> Decision:
        parcel: Parcel = self._carried()
        came = parcel.names
        if data["back"]:
            self.alias = None
            names = {name: Came(one.era, "" if one.through == self.name else one.through) for name, one in came.items()}
            del names[self.name]
        else:
            through = data["frm"]
            names = {n: Came(one.era, one.through or (through if n != through else "")) for n, one in came.items()}
            for name in names:
                del self.receiving[name]
        self.names |= names
        self._takes_in(parcel)
        assert self.clock is not None
        self.run_to(self.clock)
        self._meets_debt()
        self._knows_orders(at)
        self._places()
        delayed, self.delayed = self.delayed, []
        for waited in delayed:
            self.member_forwarded(waited, at)
        self.acting, self.note = self.name, ""
        return "accepted", ""

    def _takes_in(self, parcel: Parcel) -> None:
        self.frozen |= parcel.frozen
        for kind, parts in parcel.pages.items():
            self.pages[kind].parts |= parts
        self.seats |= parcel.seats
        self.aimed |= parcel.aimed
        for kind, lots in parcel.lots.items():
            if not lots and not parcel.points[kind] and not parcel.debts[kind]:
                continue
            purse = self.purse(kind)
            assert isinstance(purse, Owing)
            purse.lots = sorted([*purse.lots, *lots], key=self._place_of)
            purse.come += parcel.points[kind]
            for name, points in parcel.debts[kind].items():
                purse.debts[name] = purse.debts.get(name, 0) + points
        for membership, terms in parcel.terms.items():
            self._lays_behind(membership, terms)

    def _place_of(self, lot: Lot) -> tuple[int, ...]:
        """Where a lot stands among those that end at once: by whose it is, who opened it, and when."""
        ranks = {self.name: -1} | {name: place for place, name in enumerate(self.known)}
        entry, _, number = lot.name.rpartition(":")[2].partition(".")
        return ranks[lot.owner], ranks[lot.birth], int(entry), int(number)

    def _lays_behind(self, membership: str, terms: list[Term]) -> None:
        """Cards that come are laid behind those that run or wait here, with what is left of them."""
        assert self.clock is not None
        here = self.terms.setdefault(membership, []) if terms else []
        end = max((term.until for term in here), default=self.clock)
        for term in terms:
            begins, waits = max(term.start, self.clock), term.start > self.clock
            if term.until > self.clock and (end > begins or (waits and end <= self.clock)):
                term.length = term.until - begins
                term.start = max(end, self.clock)
                term.until = term.start + term.length
            end = max(end, term.until)
        if terms:
            self.terms[membership] = sorted([*here, *terms], key=lambda term: term.start)

    def _meets_debt(self) -> None:
        for kind, purse in self.purses.items():
            for lot in self.burn_order(kind):
                points, lot.left = lot.left, 0
                if purse.debt:
                    self.make_spendable(lot, points)
                else:
                    lot.left = points

    def _knows_orders(self, at: datetime) -> None:
        """What is remembered of an order under a name that never saw it meets the order of the name that knows it."""
        orders = self.pages["orders"]
        for key in list(orders):
            found: list[tuple[str, Order]] = [
                (name, orders.parts[name][key]) for name in self.here() if key in orders.parts.get(name, {})
            ]
            known = next(((name, order) for name, order in found if order.is_known or order.end), None)
            if known is None:
                continue
            for _name, order in found:
                if not order.is_known and order.waiting and not order.end:
                    self.acting = known[0]
                    known[1].waiting += order.waiting
                    order.waiting, order.was_met = [], True
                    if known[1].end == "completed":
                        self.apply_waiting(known[1], at)
                    elif known[1].end:
                        known[1].waiting = []
        self.acting = self.name

    def _places(self) -> None:
        """The tiers by the sums of the names that are here; nothing is reached by that."""
        assert self.clock is not None
        for key in dict.fromkeys([*self.book.scores, *self.items]):
            if not self.score_table(key).get("each") or "@" in key:
                self.place(key, self.clock, by_item=False)
