"""Any rule book a second time: naive, slow, and written from the contract alone.

Differential tests feed the same facts to this and to the real engine and compare what both say. Nothing is shared with
the rest of the repository and only the standard library is imported, so that a mistake would have to be made twice.

The contract is wire.md, orders.md and programmes/grammar.md; the rulings of docs/decisions stand where it is silent.
A comment that begins with "Reading:" names a choice taken here. What needs two accounts (pools, transfers) is spoken by
`oracle_of_members`. Only
valid facts and valid books are expected.

A member is an object of plain lists and dicts. Every fact first moves the member's clock, letting what is due happen by
its instants; then one method per type of fact decides. Queries run a deep copy of the member on to `as_of`.
"""

import tomllib
from calendar import monthrange
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

Table = dict[str, Any]
Decision = tuple[str, str]

NEVER = datetime(3000, 1, 1, tzinfo=UTC)
OPERATORS = "/operators"
REQUESTS = ("redemption.requested", "hold.requested", "benefit.claimed", "exchange.requested", "transfer.requested")
OPERATOR_FACTS = (
    *("points.adjusted", "account.frozen", "account.unfrozen", "account.closed", "account.reopened"),
    *("tier.granted", "tier.withdrawn", "lot.opened", "programme.published", "transfer.reversed"),
    *("member.merged", "member.unmerged"),
)
COUNT_WHEN_CLOSED = ("order.returned", "account.closed", "account.reopened", "exchange.confirmed", "exchange.failed")
# Rules of these are asked where they are decided; those of other types behind the decision.
ASKED_WITHIN = ("order.paid", "order.completed", "review.posted", "activity.done", "benefit.claimed")
# The fields of each fact with their defaults: unknown fields are dropped, a field left out has its default.
LINE = {"line": "", "sku": "", "category": "", "quantity": 1, "paid_fen": 0, "points": 0, "tags": []}
RETURN_LINE = {"line": "", "quantity": 0, "refund_fen": 0, "points": 0, "exchange": False}
ORDER = {
    **{"order": "", "lines": [LINE], "shop": "self", "self_operated": True},
    **{"channel": "app", "pay": "", "tags": []},
}
AIM = {"order": "", "line": "", "grant": "", "lot": ""}
FIELDS: dict[str, Table] = {
    "order.paid": ORDER,
    "order.completed": {**ORDER, "more": False},
    "order.amended": {**ORDER, "more": False, "refund_fen": 0},
    "order.cancelled": {"order": "", "reason": ""},
    "order.returned": {"order": "", "return": "", "lines": [RETURN_LINE]},
    "order.rejected": {"order": "", "reason": ""},
    "review.posted": {"review": "", "order": "", "line": "", "characters": 0, "images": 0},
    "review.removed": {"review": ""},
    "question.answered": {"answer": "", "sku": ""},
    "item.shared": {"share": "", "sku": "", "via": ""},
    "member.signed-in": {"day": ""},
    "shop.visited": {"shop": ""},
    "campaign.granted": {"grant": "", "campaign": "", "kind": "beans", "points": 0, "expires": None, "shop": ""},
    "identity.verified": {},
    "wechat.bound": {},
    "qq.bound": {},
    "profile.completed": {},
    "credit.scored": {"score": 0},
    "reputation.rated": {"stars": 0},
    "member.described": {"attributes": {}},
    "member.joined": {"shop": ""},
    "activity.done": {
        **{"done": "", "activity": "", "count": 1, "amount_fen": 0},
        **{"shop": "", "sku": "", "channel": "", "tags": []},
    },
    "activity.undone": {"done": ""},
    "redemption.requested": {
        **{"redemption": "", "kind": "beans", "points": 0, "use": ""},
        **{"order": "", "settlement_fen": 0, "shop": ""},
    },
    "redemption.reversed": {"redemption": "", "points": None},
    "hold.requested": {"hold": "", "kind": "beans", "points": 0, "until": None, "shop": ""},
    "hold.captured": {"hold": "", "points": None},
    "hold.released": {"hold": ""},
    "points.claimed": {"of": AIM},
    "exchange.requested": {"request": "", "exchange": "", "points": 0},
    "exchange.reversed": {"request": ""},
    "transfer.requested": {"transfer": "", "rule": "", "to": "", "kind": "beans", "points": 0},
    "exchange.confirmed": {"request": ""},
    "exchange.failed": {"request": "", "reason": ""},
    "transfer.reversed": {"transfer": ""},
    "house.joined": {"house": "", "card": "", "member": ""},
    "house.left": {"house": "", "member": "", "card": ""},
    "member.merged": {"into": ""},
    "member.unmerged": {"name": ""},
    "card.purchased": {"card": "", "product": "", "paid_fen": 0},
    "card.code-redeemed": {"card": "", "product": "", "code": ""},
    "card.trial-started": {"card": "", "product": "", "code": ""},
    "card.refunded": {"card": "", "refund_fen": 0},
    "benefit.claimed": {"claim": "", "benefit": "", "order": "", "line": "", "shop": ""},
    "benefit.returned": {"claim": ""},
    "points.adjusted": {
        **{"adjustment": "", "kind": "beans", "points": 0, "reason": "", "by": ""},
        **{"approved_by": "", "of": None, "shop": ""},
    },
    "account.frozen": {"reason": ""},
    "account.unfrozen": {"reason": ""},
    "account.closed": {"reason": ""},
    "account.reopened": {"reason": ""},
    "tier.granted": {"grant": "", "score": "", "tier": "", "until": None},
    "tier.withdrawn": {"grant": ""},
    "lot.opened": {"lot": "", "kind": "beans", "points": 0, "earned_at": None, "expires_at": None, "shop": ""},
}
TIMES = ("expires", "until", "earned_at", "expires_at")
# What is shown besides: why it is so, how long, and what comes next.
MORE = {"because", "until", "then", "next", "why", "opens_at", "closes_at", "again_at", "benefits"}
# The business ids that may come once and need no page of their own.
OWN_IDS = {
    "question.answered": "answer",
    "item.shared": "share",
    "member.joined": "shop",
}


def instant(written: str) -> datetime:
    """An instant as a fact writes it, in UTC."""
    return datetime.fromisoformat(written.upper()).astimezone(UTC)


def parts_that_differ(shown: Table, told: Table) -> list[str]:
    """The parts of what is shown of a member that do not say what the oracle told.

    More may be shown: why it is so and how long, and quotas that each shop has.
    """
    benefits = {name: one for name, one in shown["benefits"].items() if name in told["benefits"]}
    parts = ("entries", "frozen", "points", "scores", "memberships", "benefits")
    return [part for part in parts if not _says((shown | {"benefits": benefits})[part], told[part])]


def _says(shown: Any, told: Any) -> bool:
    if isinstance(shown, dict) and isinstance(told, dict):
        is_whole = told.keys() <= shown.keys() and shown.keys() - told.keys() <= MORE
        return is_whole and all(_says(shown[key], told[key]) for key in told)
    if isinstance(shown, list) and isinstance(told, list):
        return len(shown) == len(told) and all(map(_says, shown, told))
    return bool(shown == told)


def complete(data: Table, fields: Table) -> Table:
    """The data with every field of its type and no other, instants as such."""
    whole: Table = {}
    for name, default in fields.items():
        value = data.get(name, deepcopy(default))
        if name == "lines":
            value = [complete(line, default[0]) for line in data.get(name, [])]
        elif name == "of" and value is not None:
            value = complete(value, AIM)
        elif name in TIMES and value is not None:
            value = instant(value)
        whole[name] = value
    return whole


# ---- the book ------------------------------------------------------------------------------------------------------


def books_of(tomls: Sequence[str]) -> list["Book"]:
    """Versions that were published one after the other, as they hold: of several owners' files each from its day on.

    Before the day of a file its owner's file of before holds, where there is one.
    """
    found: list[Book] = []
    for toml in tomls:
        files = {file["programme"]: file for file in map(tomllib.loads, toml.split("\f"))}
        stages = []
        for day in sorted({file["from"] for file in files.values()}):
            begins = Book([next(iter(files.values())) | {"from": day}]).begins
            before = [book.files for book in found if book.begins <= begins]
            held = {file["programme"]: file for file in before[-1]} if before else {}
            chosen = {name: file if file["from"] <= day else held.get(name) for name, file in files.items()}
            stages.append(Book([file for _, file in sorted(chosen.items()) if file is not None], day))
        found = sorted([*found, *stages], key=lambda book: book.begins)
    return found


class Book:
    """One version of a rule book as it holds from some day on: what the files of its owners say together."""

    def __init__(self, files: list[Table], begins: Any = None) -> None:
        self.files = files
        self.tables: Table = {}
        for file in files:  # in the order of their programmes
            for key, value in file.items():
                if isinstance(value, dict):
                    self.tables[key] = self.tables.get(key, {}) | value
                elif isinstance(value, list):
                    self.tables[key] = [*self.tables.get(key, []), *value]
                else:
                    self.tables[key] = value
        if begins is not None:
            self.tables["from"] = begins
        self.zone: tzinfo = self._zone()
        self.begins = self.moment(self.tables["from"])
        self.late = timedelta(days=self.tables.get("late_days", 400))
        self.kinds: dict[str, Table] = self.tables.get("kinds", {})
        self.scores: dict[str, Table] = self.tables.get("scores", {})
        self.memberships: dict[str, Table] = self.tables.get("memberships", {})
        self.awards: list[Table] = self.tables.get("award", [])
        self.products = {p: name for name, table in self.memberships.items() for p in table["products"]}

    def __deepcopy__(self, memo: Table) -> "Book":
        return self

    def _zone(self) -> tzinfo:
        if "time_zone" in self.tables:
            return ZoneInfo(self.tables["time_zone"])
        written = self.tables["utc_offset"]
        away = timedelta(hours=int(written[1:3]), minutes=int(written[4:6]))
        return timezone(-away if written[0] == "-" else away)

    def product(self, name: str) -> Table:
        """A card by its name."""
        table: Table = self.memberships[self.products[name]]["products"][name]
        return table

    def benefit(self, name: str) -> tuple[Table | None, str]:
        """A benefit, and the membership that it is of."""
        if name in self.tables.get("benefits", {}):
            return self.tables["benefits"][name], ""
        for membership, table in self.memberships.items():
            if name in table.get("benefits", {}):
                return table["benefits"][name], membership
        return None, ""

    def kind_named(self, kind: str) -> str:
        """The kind that a fact means: what is left out, or "beans", is the book's own default."""
        default: str = self.tables.get("default_kind", "beans")
        return default if kind == "beans" else kind

    # -- local time

    def local(self, at: datetime) -> datetime:
        """The clock on the wall, without a zone."""
        return at.astimezone(self.zone).replace(tzinfo=None)

    def instant_of(self, wall: datetime) -> datetime:
        """When the clock on the wall first says this; where it never does, the first instant after the gap."""
        found = wall.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
        if self.local(found) == wall:
            return found
        early, late = found - timedelta(hours=26), found
        before = early.astimezone(self.zone).utcoffset()
        while late - early > timedelta(microseconds=1):
            middle = early + (late - early) // 2
            if middle.astimezone(self.zone).utcoffset() == before:
                early = middle
            else:
                late = middle
        return late

    def moment(self, value: Any) -> datetime:
        """An instant, or the beginning of a date."""
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        return self.instant_of(datetime(value.year, value.month, value.day))

    def month(self, at: datetime) -> int:
        """Months counted through."""
        wall = self.local(at)
        return wall.year * 12 + wall.month - 1

    def month_start(self, month: int, day: int = 1) -> datetime:
        """The beginning of a day of a month that is counted through."""
        return self.instant_of(datetime(month // 12, month % 12 + 1, day))

    def day(self, at: datetime) -> int:
        """Days counted through."""
        return self.local(at).date().toordinal()

    def year(self, at: datetime) -> int:
        return self.local(at).year

    def months_later(self, wall: datetime, months: int, day: int) -> datetime:
        """The same time of day, so many months later, on a day or on that month's last."""
        month = wall.year * 12 + wall.month - 1 + months
        last = monthrange(month // 12, month % 12 + 1)[1]
        return self.instant_of(wall.replace(year=month // 12, month=month % 12 + 1, day=min(day, last)))

    def expiry(self, kind: str, earned_at: datetime) -> datetime:
        """When points end that are earned at an instant; of an idle kind its purse says so."""
        periods = self.kinds[kind]["expiry"]
        begun = [one for one in periods if self.moment(one["from"]) <= earned_at]
        period = begun[-1] if begun else periods[0]
        wall = self.local(earned_at)
        if "days" in period:
            return earned_at + timedelta(days=period["days"])
        if "end_of_year_after" in period:
            return self.instant_of(datetime(wall.year + period["end_of_year_after"] + 1, 1, 1))
        if "months" in period:
            return self.months_later(wall, period["months"], wall.day)
        if "end_of_month_after" in period:
            return self.month_start(self.month(earned_at) + period["end_of_month_after"] + 1)
        return NEVER

    def idle_days(self, kind: str) -> int | None:
        """After how many days without earning or spending all of a kind ends."""
        days: int | None = self.kinds[kind]["expiry"][0].get("idle_days")
        return days


def kind_of(purse: str) -> str:
    """The kind of points in a purse: shop-points@shop-a holds shop-points."""
    return purse.partition("@")[0]


def meets(conditions: Table, fields: Table) -> bool:
    """Whether fields of a fact are what all conditions want."""
    return all(name in fields and holds(fields[name], condition) for name, condition in conditions.items())


def holds(value: Any, condition: Table) -> bool:
    """Whether one value meets one condition."""
    return (
        ("at_least" not in condition or value >= condition["at_least"])
        and ("at_most" not in condition or value <= condition["at_most"])
        and ("in" not in condition or value in condition["in"])
        and ("not_in" not in condition or value not in condition["not_in"])
        and ("has" not in condition or condition["has"] in value)
    )


def asked_of(fields: Table, line: "Line") -> Table:
    """What conditions on a line are asked of: what its order or review says, and the line; its tags beside theirs."""
    return fields | line.fields | {"tags": [*fields.get("tags", []), *line.fields["tags"]]}


def fraction(written: str) -> tuple[int, int]:
    """The two numbers of "3/2", or of "2"."""
    above, _, below = written.partition("/")
    return int(above), int(below or 1)


def asks_scores(who: Table | None) -> Iterator[str]:
    """The scores whose value or tier a condition on the member asks."""
    if who:
        yield from who.get("score", {})
        yield from who.get("tier", {})
        for one in who.get("any", []):
            yield from asks_scores(one)


# ---- what a member has ---------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Lot:
    """Points earned together."""

    name: str
    entry: int
    purse: str
    rule: str
    earned: int
    earned_at: datetime
    ends: datetime
    left: int = 0
    pending: str = ""  # "trial", "time", "claim" or "pool"
    until: datetime = NEVER  # of what is pending by time or for a claim
    membership: str = ""  # of what is pending for a card
    gone: bool = False  # it ended: what comes back to it is gone, too
    expired: int = 0
    forfeited: int = 0
    waited_for_claim: bool = False
    ended_idle: bool = False  # with its purse: what comes back to it moves nothing
    has_no_page: bool = False  # nobody remembers what of it expired
    was_claimed: bool = False
    owner: str = ""  # the name that it is of
    birth: str = ""  # the account that opened it


@dataclass(eq=False)
class Purse:
    """The lots and totals of one kind, at one shop."""

    lots: list[Lot] = field(default_factory=list)
    idle_end: datetime | None = None
    issued: int = 0
    redeemed: int = 0
    expired: int = 0
    clawed_back: int = 0
    written_off: int = 0
    debt: int = 0
    cash_shortfall_fen: int = 0
    forfeited: int = 0
    gone: int = 0
    come: int = 0


Slice = list[Any]  # [lot, points]


@dataclass(eq=False)
class Award:
    """What a rule gave: `given` is the A of the formula of returns, `held` what it still holds of that."""

    rule: str
    purse: str  # or
    score: str
    part: str
    given: int
    held: int
    at: datetime  # of the item
    ages: bool
    lots: list[Slice]  # [lot, what the award holds of it]
    paid_fen: int = 0
    quantity: int = 1
    returns: bool = True
    term: "Term | None" = None
    ordinary: int | None = None  # what the rule would have given that it left out
    of_payment: bool = False
    is_remembered: bool = True
    less: int = 0  # what adjustments took


@dataclass(eq=False)
class Line:
    """A line of an order that completed."""

    fields: Table
    at: datetime
    book: Book
    refunded: int = 0
    returned: int = 0
    awards: list[Award] = field(default_factory=list)
    review: str = ""
    rights: dict[str, datetime] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    right_terms: list["Term"] = field(default_factory=list)
    order: Table = field(default_factory=dict)
    by: dict[str, tuple[int, int]] = field(default_factory=dict)
    cards: "dict[str, Term]" = field(default_factory=dict)  # that held when it completed
    left_out_by_amendment: bool = False

    @property
    def is_back(self) -> bool:
        return bool(self.returned >= self.fields["quantity"])


@dataclass(eq=False)
class Order:
    """All that is known of an order."""

    end: str = ""  # "completed", "cancelled" or "rejected"
    ended_at: datetime = NEVER
    is_known: bool = False  # reported as paid, redeemed for or completed
    paid: dict[str, Line] | None = None
    paid_awards: list[Award] = field(default_factory=list)  # of the payment as a whole
    lines: dict[str, Line] = field(default_factory=dict)
    waiting: list[Table] = field(default_factory=list)
    granted_fen: int = 0
    granted: dict[str, int] = field(default_factory=dict)  # use: points
    burned: list[Slice] = field(default_factory=list)
    more: bool = False
    given: dict[str, int] = field(default_factory=dict)  # rule: points, for the cap of an order
    claims: list[str] = field(default_factory=list)
    amended: list[str] | None = None  # its lines as an amendment before completion told them
    was_met: bool = False  # returns were remembered for it, which met the order of another name


@dataclass(eq=False)
class Term:
    """A card's term."""

    card: str
    product: str
    membership: str
    spec: Table
    opened: datetime
    paid_fen: int = 0
    is_free: bool = False
    start: datetime = NEVER
    until: datetime = NEVER
    cut: datetime | None = None
    is_refunded: bool = False
    is_laid_anew: bool = False
    is_taken_back: bool = False
    anchor: datetime | None = None
    capped: int = 0
    claims: int = 0
    frees: list[Lot] = field(default_factory=list)  # lots of a trial that it made spendable
    points: str = ""  # of a trial: "frozen", "free" or "lapsed"
    owner: str = ""  # the name that it is of
    length: timedelta | None = None  # what was left of it when it was laid behind those of another name

    @property
    def is_trial(self) -> bool:
        return bool(self.spec.get("trial", False))


@dataclass(eq=False)
class Hold:
    """A tier that was reached does not fall by ageing before `until`; `value` is the one without ageing."""

    until: datetime
    value: int
    first_bucket: int
    at_least: int


@dataclass(eq=False)
class Grant:
    """A tier that was granted."""

    score: str
    tier: str
    until: datetime
    is_over: bool = False


@dataclass(eq=False)
class Claim:
    """A claim of a benefit: what may come back."""

    counted: tuple[Any, ...]
    term: Term | None
    line: tuple[Line, str] | None
    burned: list[Slice]
    lots: list[Slice]
    cards: list[Term]
    grant: str
    awards: list[Award] = field(default_factory=list)  # of rules on the claim
    is_returned: bool = False
    house: str = ""  # that counts it
    quota: int | None = None


@dataclass
class Asking:
    """A fact as its rules see it."""

    on: str
    at: datetime
    fields: Table
    day: int
    shop: str = ""
    fen: int = 0
    count: int = 1
    order: Order | None = None


class Cash:
    """What a refund still has to meet a shortfall with, in fen."""

    def __init__(self, fen: int = 0) -> None:
        self.fen = fen


# ---- a member and her time -----------------------------------------------------------------------------------------


class Member:
    """One member under one book."""

    def __init__(self, name: str, books: list[Book]) -> None:
        self.name = self.acting = name  # of several names the one that is decided under
        self.books = books
        self.book = books[0]
        self.clock: datetime | None = None
        self.entries = 0
        self.opened_lots = 0  # of this entry
        self.facts: dict[tuple[str, str], tuple[Any, ...]] = {}
        self.seen: dict[str, list[str]] = {}
        self.note = ""
        self.verdicts: dict[tuple[str, Any], bool] = {}
        self.is_frozen = self.is_closed = False
        self.purses: dict[str, Purse] = {}
        self.orders: dict[str, Order] = {}
        self.redemptions: dict[str, Table] = {}
        self.holds: dict[str, Table] = {}
        self.reviews: dict[str, Table] = {}
        self.activities: dict[str, Table] = {}
        self.grants_of_points: dict[str, Lot] = {}
        self.aimed: dict[Lot, Award] = {}  # by lot, for awards that no page has
        self.exchanges: dict[str, Table] = {}
        self.attributes: dict[str, tuple[Any, datetime]] = {}
        self.joined: list[str] = []
        self.counts: dict[tuple[Any, ...], int] = {}  # caps, quotas, penalties
        self.marks: dict[str, list[Any]] = {}  # by rule: categories, days, shops of a day
        self.once: list[str] = []
        self.items: dict[str, list[tuple[str, datetime, int, bool]]] = {}  # score: (part, when, points, ages)
        self.moved: set[str] = set()  # scores that this fact moved
        self.tiers: dict[str, str] = {}  # in force, granted ones counted
        self.own_tiers: dict[str, str] = {}
        self.moves: dict[str, list[tuple[datetime, str, str]]] = {}  # (from, before, after)
        self.values: dict[str, int] = {}  # when the tiers were placed last
        self.late_values: dict[tuple[str, int], int] = {}
        self.placed: dict[str, datetime] = {}
        self.tier_holds: dict[str, dict[str, Hold]] = {}
        self.grants: dict[str, Grant] = {}
        self.terms: dict[str, list[Term]] = {}
        self.trials: dict[str, Term] = {}  # one a membership, also where it was taken out
        self.cards: dict[str, Term] = {}
        self.claims: dict[str, Claim] = {}

    # -- time

    def run_to(self, until: datetime) -> None:
        """Move the clock on; what is due up to and including `until` happens strictly by its instants."""
        while True:
            self.book = self.version_at(until if self.clock is None else self.clock)
            due = sorted((one for one in self.due() if one[0] <= until), key=lambda one: one[:3])
            if not due:
                break
            at, _, _, happen, whom = due[0]
            self.clock = at if self.clock is None else max(self.clock, at)
            if happen is not None:
                happen(*whom)
            else:
                self.move_tiers([(place, whom) for when, place, _, _, whom in due if when == at and place >= 5], at)
        self.clock = until
        self.book = self.version_at(until)

    def version_at(self, at: datetime) -> Book:
        """The version of the book that holds at an instant, or the first."""
        return next((book for book in reversed(self.books) if book.begins <= at), self.books[0])

    def due(self) -> Iterator[tuple[datetime, int, int, Callable[..., None] | None, tuple[Any, ...]]]:
        """(instant, place among what is due at once, number, what happens, to whom); tiers move together."""
        for number, hold in enumerate(self.holds.values()):
            if hold["open"]:
                yield hold["until"], 0, number, self.release, (hold,)
        for nth, (name, purse) in enumerate(self.purses.items()):
            for number, lot in enumerate(purse.lots):
                if not lot.left:
                    continue
                if lot.pending == "pool":
                    continue  # without an end until the pool has answered
                if lot.pending:
                    until, ends = self.pending_until(lot), self.end_of(lot)
                    if lot.pending == "trial":
                        yield until, 2, nth * 100_000 + number, self.lapse, (lot,)
                    elif ends <= until:
                        yield ends, 2, nth * 100_000 + number, self.expire, (lot,)
                    elif lot.pending == "time":
                        yield until, 1, nth * 100_000 + number, self.confirm, (lot,)
                    else:
                        yield until, 2, nth * 100_000 + number, self.lapse, (lot,)
                else:
                    yield lot.ends, 2, nth * 100_000 + number, self.expire, (lot,)
            if purse.idle_end is not None:
                yield purse.idle_end, 3, nth, self.end_idle, (name,)
        for term in self.trials.values():
            if term.points == "frozen":
                yield self.trial_over(term), 2, 0, self.trial_lapses, (term,)
        for number, grant in enumerate(self.grants.values()):
            if not grant.is_over:
                yield grant.until, 5, number, None, (grant,)
        for score, tiers in self.tier_holds.items():
            for tier, held in tiers.items():
                yield held.until, 6, 0, None, (score, tier)
        for book in self.books[1:]:
            if self.clock is not None and self.clock < book.begins:
                yield book.begins, 8, 0, None, ()
        for number, score in enumerate(self.book.scores):
            if self.items.get(score):
                after = self.placed.get(score, datetime(1, 1, 1, tzinfo=UTC))
                for at in self.boundaries(score):
                    if at > after and (self.clock is None or at >= self.clock):
                        yield at, 7, number, None, (score,)

    def copy_at(self, as_of: datetime) -> "Member":
        """A copy run on to `as_of`; itself where it is there."""
        if self.clock == as_of:
            return self
        copy = deepcopy(self)
        copy.opened_lots = 0
        copy.run_to(as_of)
        return copy

    # -- points

    def purse(self, name: str) -> Purse:
        return self.purses.setdefault(name, Purse())

    def spendable(self, name: str) -> int:
        found = self.purses.get(name)
        return sum(lot.left for lot in found.lots if not lot.pending) if found else 0

    def pending(self, name: str) -> int:
        found = self.purses.get(name)
        return sum(lot.left for lot in found.lots if lot.pending) if found else 0

    def held(self, name: str) -> int:
        pieces = [piece for hold in self.holds.values() if hold["open"] for piece in hold["slices"]]
        return sum(points for lot, points in pieces if lot.purse == name)

    def end_of(self, lot: Lot) -> datetime:
        if lot.gone:
            return datetime(1, 1, 1, tzinfo=UTC)
        return min(self.purse(lot.purse).idle_end or NEVER, lot.ends)

    def pending_until(self, lot: Lot) -> datetime:
        return self.trial_over(self.trial_of(lot.membership)) if lot.pending == "trial" else lot.until

    def burn_order(self, name: str) -> list[Lot]:
        lots = [lot for lot in self.purse(name).lots if lot.left and not lot.pending]
        if self.book.kinds[kind_of(name)].get("burn") == "oldest":
            return lots  # Reading: in the order of entries
        return sorted(lots, key=lambda lot: lot.ends)

    def stir(self, name: str, at: datetime) -> None:
        """The kind was earned or spent: where it is idle for so long, it ends later now."""
        days = self.book.idle_days(kind_of(name))
        if days is not None:
            purse = self.purse(name)
            end = at + timedelta(days=days)
            purse.idle_end = end if purse.idle_end is None else max(purse.idle_end, end)

    def open_lot(
        self,
        name: str,
        rule: str,
        points: int,
        earned_at: datetime,
        ends: datetime | None,
        pending: str = "",
        until: datetime = NEVER,
        membership: str = "",
    ) -> Lot:
        """A new lot. What was earned in a trial is pending, lapsed or free, as the trial's points are by now."""
        assert self.clock is not None
        self.opened_lots += 1
        purse = self.purse(name)
        ends = self.book.expiry(kind_of(name), earned_at) if ends is None else ends
        lot = Lot(self.newest_name(), self.entries, name, rule, points, earned_at, ends)
        lot.owner, lot.birth = self.acting, self.name
        purse.lots.append(lot)
        purse.issued += points
        lot.left = points
        if pending == "trial":
            state = self.trial_of(membership).points
            if state == "frozen":
                lot.pending, lot.membership = pending, membership
                return lot
            if state == "lapsed":
                self.lapse(lot)
                return lot
        elif pending == "pool":
            lot.pending = pending
            return lot
        elif pending:
            lot.pending, lot.until, lot.waited_for_claim = pending, until, pending == "claim"
            if min(self.end_of(lot), until) > self.clock:
                return lot
            if self.end_of(lot) <= until:
                self.expire(lot)
            elif pending == "claim":
                self.lapse(lot)
            else:
                self.confirm(lot)
            return lot
        lot.left = 0
        self.make_spendable(lot, points)
        return lot

    def newest_name(self) -> str:
        """What the last lot of this entry is called: of another name than the account's own, with the account."""
        place = f"{self.entries}.{self.opened_lots}"
        return place if self.acting == self.name else f"{self.name}:{place}"

    def make_spendable(self, lot: Lot, points: int) -> None:
        """Points earned, restored, released or confirmed: gone if the lot is due, else debt is repaid first."""
        assert self.clock is not None
        purse = self.purse(lot.purse)
        if lot.pending:  # frozen again since they were burned or held
            lot.left += points
        elif lot.gone or self.end_of(lot) <= self.clock:
            lot.expired += points
            purse.expired += points
        elif self.is_closed:
            lot.forfeited += points
            purse.forfeited += points
        else:
            repaid = min(points, purse.debt)
            purse.debt -= repaid
            purse.clawed_back += repaid
            lot.left += points - repaid

    def confirm(self, lot: Lot) -> None:
        points, lot.left, lot.pending = lot.left, 0, ""
        self.make_spendable(lot, points)

    def expire(self, lot: Lot) -> None:
        self.purse(lot.purse).expired += lot.left
        lot.expired += lot.left
        lot.left, lot.gone = 0, True
        lot.pending = ""

    def lapse(self, lot: Lot) -> None:
        self.expire(lot)

    def end_idle(self, name: str) -> None:
        purse = self.purse(name)
        for lot in purse.lots:
            if lot.left:
                self.expire(lot)
            lot.gone = lot.ended_idle = True
        purse.idle_end = None

    def take_from_lots(self, name: str, points: int) -> list[Slice]:
        """Take up to `points` of what is spendable in burn order; [lot, amount] for each lot, as taken."""
        slices: list[Slice] = []
        for lot in self.burn_order(name) if name in self.purses else []:
            amount = min(points, lot.left)
            if amount > 0:
                lot.left -= amount
                points -= amount
                slices.append([lot, amount])
        return slices

    def take_away(self, name: str, points: int) -> tuple[list[Slice], int]:
        """For a claw-back, penalty or negative adjustment: what was taken, and how much could not be."""
        taken = self.take_from_lots(name, points)
        self.purse(name).clawed_back += rest_of(taken)
        return taken, points - rest_of(taken)

    def fall_short(self, name: str, points: int, cash: Cash) -> None:
        """What nothing could meet, by the kind's own rule."""
        purse, table = self.purse(name), self.book.kinds[kind_of(name)]
        how = table.get("shortfall", "debt")
        if how == "clamp":
            purse.written_off += points
            return
        if how == "cash":
            fen = table.get("fen", 1)
            paid = min(points, cash.fen // fen)
            cash.fen -= paid * fen
            purse.cash_shortfall_fen += paid * fen
            points -= paid
        purse.debt += points

    def claw_back(self, lots: list[Slice], points: int, cash: Cash) -> None:
        """Take from an award's lots, the newest first, at most what it holds of each."""
        for piece in reversed(lots):
            amount = min(points, piece[1])
            if amount > 0:
                piece[1] -= amount
                points -= amount
                self.claw_back_of(piece[0], amount, cash)

    def claw_back_of(self, lot: Lot, points: int, cash: Cash) -> None:
        """Own lot, what of it is gone, other lots in burn order, and then the shortfall."""
        purse = self.purse(lot.purse)
        own = min(points, lot.left)
        lot.left -= own
        purse.clawed_back += own
        points -= own
        gone = min(points, lot.expired)
        lot.expired -= gone  # met once
        points -= gone
        if not self.is_closed:  # what was forfeited is gone like what expired, once the account goes on
            gone = min(points, lot.forfeited)
            lot.forfeited -= gone
            points -= gone
        short = self.take_away(lot.purse, points)[1]
        if self.is_closed:
            purse.written_off += short
        elif short:
            self.fall_short(lot.purse, short, cash)

    def restore(self, burned: list[Slice], points: int, at: datetime) -> int:
        """Back to the lots they were burned from, the last taken first, at most what was burned; says how many."""
        back = 0
        for piece in reversed(burned):
            amount = min(points - back, piece[1])
            if amount > 0:
                piece[1] -= amount
                back += amount
                self.purse(piece[0].purse).redeemed -= amount
                self.make_spendable(piece[0], amount)
                if not piece[0].ended_idle:
                    self.stir(piece[0].purse, at)
        return back

    # -- who she is

    def attribute(self, name: str) -> Any:
        """What is known of her; None where nothing is."""
        value = self.attributes.get(name, (None, None))[0]
        if name in ("credit", "stars"):
            return value or None
        table = self.book.tables.get("attributes", {}).get(name)
        if value is None or table is None or ("values" in table and value not in table["values"]):
            return None
        return value

    def is_one(self, who: Table | None, at: datetime, shop: str = "") -> bool:
        """Whether conditions on the member hold at an instant."""
        if not who:
            return True
        for name, condition in who.get("score", {}).items():
            if self.tier_at(name, at, shop) is None:  # no shop is named, or it was not joined
                return False
            if not holds(self.value(self.key_of(name, shop), at), condition):
                return False
        for name, condition in who.get("tier", {}).items():
            tier = self.tier_at(name, at, shop)
            if tier is None or not holds(tier, condition):
                return False
        for name, condition in who.get("card", {}).items():
            term = self.card_of(name, at)
            if condition.get("active", True) != (term is not None):
                return False
            if term is not None and not holds(term.product, {k: v for k, v in condition.items() if k != "active"}):
                return False
        for name, condition in who.get("attribute", {}).items():
            value = self.attribute(name)
            if value is None or not holds(value, condition):
                return False
        return "any" not in who or any(self.is_one(one, at, shop) for one in who["any"])

    # -- scores and tiers

    def key_of(self, score: str, shop: str) -> str:
        return f"{score}@{shop}" if self.book.scores[score].get("each") else score

    def score_table(self, key: str) -> Table:
        table: Table = self.book.scores[key.partition("@")[0]]
        return table

    def bucket(self, key: str, at: datetime) -> int:
        """The month, day, year or life that an item stands in."""
        table = self.score_table(key)
        if table.get("window") == "life":
            return 0
        if table.get("window") == "year":
            return self.book.year(at)
        return self.book.day(at) if table.get("settle") == "daily" else self.book.month(at)

    def score_month(self, key: str, at: datetime) -> int:
        """The month whose value holds at an instant."""
        month, day = self.book.month(at), self.score_table(key).get("settle_day", 1)
        return month - 1 if at < self.book.month_start(month, day) else month

    def window(self, key: str, at: datetime) -> tuple[int, int]:
        """The first and the last bucket that count at an instant."""
        table = self.score_table(key)
        settle, kind = table.get("settle", "monthly"), table.get("window")
        if kind in ("life", "year"):
            return (self.bucket(key, at),) * 2
        if settle == "daily":
            day = self.book.day(at)
            return day - table["window_days"], day - 1
        months = table.get("window_months", 12)
        if settle == "at-once":
            return self.book.month(at) - months, self.book.month(at)
        month = self.score_month(key, at)
        return month - months, month - 1

    def counted(self, key: str, at: datetime) -> Iterator[tuple[str, int]]:
        first, last = self.window(key, at)
        for part, when, points, ages in self.items.get(key, []):
            if not ages or first <= self.bucket(key, when) <= last:
                yield part, points

    def value(self, key: str, at: datetime) -> int:
        """The value of a score: never below 0, and limited for a member of one star."""
        value = max(0, sum(points for _, points in self.counted(key, at)))
        limit = self.score_table(key).get("one_star_limit")
        return min(value, limit) if limit is not None and self.attributes.get("stars", (0,))[0] == 1 else value

    def add_item(self, key: str, part: str, at: datetime, points: int, ages: bool = True) -> None:
        """An item of a score, or (below 0) what is taken back of one, where the item stands."""
        if not points:
            return
        self.items.setdefault(key, []).append((part, at, points, ages))
        self.moved.add(key)
        for held in self.tier_holds.get(key, {}).values():
            if not ages or self.bucket(key, at) >= held.first_bucket:
                held.value += points

    def boundaries(self, key: str) -> list[datetime]:
        """When the value may change by itself."""
        table, found = self.score_table(key), []
        settle, day = table.get("settle", "monthly"), table.get("settle_day", 1)
        for bucket in {self.bucket(key, when) for _, when, _, ages in self.items[key] if ages}:
            if table.get("window") == "life":
                continue
            if table.get("window") == "year":
                found.append(self.book.instant_of(datetime(bucket + 1, 1, 1)))
            elif settle == "daily":
                for days in (1, 1 + table["window_days"]):
                    wall = date.fromordinal(bucket + days)
                    found.append(self.book.instant_of(datetime(wall.year, wall.month, wall.day)))
            else:
                months = table.get("window_months", 12)
                for month in (bucket + months + 1,) if settle == "at-once" else (bucket + 1, bucket + 1 + months):
                    found.append(self.book.month_start(month, day))
        return found

    def ladder(self, key: str) -> list[Table]:
        """The tiers of a score, and below them the one without a name."""
        return [{"at_least": None, "name": ""}, *self.score_table(key).get("tiers", [])]

    def rank(self, key: str, tier: str) -> int:
        return next((n for n, one in enumerate(self.ladder(key)) if one["name"] == tier), 0)

    def may_have(self, key: str, tier: Table) -> bool:
        """Whether a tier needs no invitation, or she has one that runs."""
        if not tier.get("invited"):
            return True
        score = key.partition("@")[0]
        return any((g.score, g.tier) == (score, tier["name"]) and not g.is_over for g in self.grants.values())

    def tier_of(self, key: str, value: int) -> str:
        """The highest tier that a value has."""
        found = ""
        for tier in self.ladder(key)[1:]:
            if value >= tier["at_least"] and self.may_have(key, tier):
                found = tier["name"]
        return found

    def tier(self, key: str) -> str:
        """The tier in force."""
        return self.tiers[key] if key in self.tiers else self.tier_of(key, 0)

    def own_tier(self, key: str) -> str:
        return self.own_tiers[key] if key in self.own_tiers else self.tier_of(key, 0)

    def tier_at(self, score: str, at: datetime, shop: str = "") -> str | None:
        """The tier in force at an instant as it was known; None where she has none."""
        table = self.book.scores.get(score)
        if table is None:
            return None  # its file does not hold yet
        if table.get("each") and (not shop or (table.get("joined") and shop not in self.joined)):
            return None
        key = self.key_of(score, shop)
        if table.get("each"):
            return self.tier(key)  # Reading: a shop's page keeps the tier as it stands
        moves = self.moves.get(key, [])
        for since, _, after in reversed(moves):
            if since <= at:
                return after
        return moves[0][1] if moves else self.tier(key)

    def hold_end(self, key: str, since: datetime) -> datetime:
        hold = self.score_table(key)["hold"]
        if "days" in hold:
            return since + timedelta(days=hold["days"])
        return self.book.instant_of(datetime(self.book.year(since) + hold["end_of_year_after"] + 1, 1, 1))

    def unaged(self, key: str, first: int) -> int:
        """The value without ageing: all items of a window and behind it."""
        return sum(p for _, when, p, ages in self.items.get(key, []) if not ages or self.bucket(key, when) >= first)

    def place(self, key: str, at: datetime, ended: tuple[str, Hold] | None = None, by_item: bool = True) -> list[str]:
        """Place the member anew at an instant; the own tiers that were passed upwards, the lowest first."""
        table, ladder = self.score_table(key), self.ladder(key)
        value, before = self.value(key, at), self.values.get(key, 0)
        self.values[key] = value
        held = self.tier_holds.setdefault(key, {})
        has_deduct = "deduct" in table
        own_before = self.own_tier(key)
        if "hold" in table and not has_deduct:
            if by_item:
                self.hold_what_was_reached(key, at, before, value)
            for name in list(held):
                tier = ladder[self.rank(key, name)]
                if held[name].value < held[name].at_least or not self.may_have(key, tier):
                    del held[name]
        own = self.tier_of(key, value)
        if not has_deduct:
            own = max([own, *held], key=lambda name: self.rank(key, name))
        if ended is not None and table.get("down") == "step":
            below = ladder[max(0, self.rank(key, ended[0]) - 1)]
            if self.rank(key, own) < self.rank(key, below["name"]):
                own = below["name"]
                if own:
                    held[own] = Hold(self.hold_end(key, at), ended[1].value, ended[1].first_bucket, below["at_least"])
        if has_deduct and ((by_item and own != own_before) or ended is not None):
            held.clear()
            if own and table["deduct"].get(own, 0):
                held[own] = Hold(self.hold_end(key, at), 0, 0, 0)
        self.own_tiers[key] = own
        floors = [g.tier for g in self.grants.values() if g.score == key and not g.is_over]
        floors = [tier for tier in floors if not ladder[self.rank(key, tier)].get("invited")]
        now, was = max([own, *floors], key=lambda name: self.rank(key, name)), self.tier(key)
        if now != was:
            self.moves.setdefault(key, []).append((at, was, now))
        self.tiers[key] = now
        if not by_item:
            return []
        passed = ladder[self.rank(key, own_before) + 1 : self.rank(key, own) + 1]
        return [tier["name"] for tier in passed if self.may_have(key, tier)]

    def hold_what_was_reached(self, key: str, at: datetime, before: int, value: int) -> None:
        held, table = self.tier_holds[key], self.score_table(key)
        first = self.window(key, at)[0]
        for tier in table.get("tiers", []):
            if before < tier["at_least"] <= value and self.may_have(key, tier):
                old, until = held.get(tier["name"]), self.hold_end(key, at)
                if old is not None:
                    until = max(until, old.until)
                held[tier["name"]] = Hold(until, self.unaged(key, first), first, tier["at_least"])
        if table.get("window") == "year":  # what is told late crosses in its own year
            last = first - 1
            value = max(0, sum(p for _, when, p, ages in self.items.get(key, []) if self.book.year(when) == last))
            before = self.late_values.get((key, last), 0)
            for tier in table.get("tiers", []):
                if before < tier["at_least"] <= value and self.may_have(key, tier):
                    until = self.hold_end(key, at)  # Reading: days count from the clock, also of last year's hold
                    if "days" not in table["hold"]:
                        until = self.hold_end(key, self.book.moment(date(last, 6, 1)))
                    old = held.get(tier["name"])
                    if until > at and (old is None or old.until < until):
                        held[tier["name"]] = Hold(until, self.unaged(key, last), last, tier["at_least"])
            self.late_values[key, last] = value
        if table.get("window") == "year":
            self.late_values[key, first] = self.value(key, at)

    def move_tiers(self, due: list[tuple[int, tuple[Any, ...]]], at: datetime) -> None:
        """Grants that end, holds that end, and then the month or day: all at one instant."""
        passed: list[tuple[str, str]] = []
        if any(place == 8 for place, _ in due):  # another version: all are placed anew, and nothing is reached
            self.book = self.version_at(at)
            begins = [whom[0] for place, whom in due if place == 7]  # Reading: what a day or month brings is reached
            for key in self.items:
                if "@" not in key and key not in begins:
                    self.place(key, at, by_item=False)
        for place, whom in due:
            if place == 5:
                whom[0].is_over = True
                self.place(whom[0].score, at, by_item=False)
        over = [whom for place, whom in due if place == 6]
        for key, tier in sorted(over, key=lambda one: self.rank(*one)):  # the lowest first: it is one fall at most
            ended = self.tier_holds[key].get(tier)
            if ended is None or ended.until > at:  # another that ended here began it anew
                continue
            del self.tier_holds[key][tier]
            table = self.score_table(key)
            if "deduct" in table:
                part = "deduction"
                self.add_item(key, part, at, -min(table["deduct"].get(tier, 0), self.value(key, at)))
            passed += [(key, one) for one in self.place(key, at, (tier, ended))]
        for place, whom in due:
            if place == 7:
                self.placed[whom[0]] = at
                passed += [(whom[0], one) for one in self.place(whom[0], at)]
        self.award_what_was_reached(passed, at)

    def settle(self, *, by_item: bool = True) -> None:
        """After a fact: the tiers by what it changed."""
        assert self.clock is not None
        passed: list[tuple[str, str]] = []
        # Reading: what is kept for each shop is placed where it moves, and not anew by another version.
        for key in [*self.book.scores, *(key for key in self.items if "@" in key and key in self.moved)]:
            if not self.score_table(key).get("each") or "@" in key:
                found = self.place(key, self.clock, by_item=by_item)
                passed += [(key, tier) for tier in found]
        self.award_what_was_reached(passed, self.clock)

    def award_what_was_reached(self, passed: list[tuple[str, str]], at: datetime) -> None:
        for key, tier in passed:
            before = self.ladder(key)[self.rank(key, tier) - 1]["name"]
            fields = {"score": key.partition("@")[0], "tier": tier, "before": before}
            asking = Asking("tier.reached", at, fields, self.book.day(at))
            self.verdicts = {}
            self.judge(asking)
            self.ask(asking)

    # -- cards

    def term_at(self, membership: str, at: datetime) -> Term | None:
        """The term that holds at an instant."""
        return next((t for t in self.terms.get(membership, []) if t.start <= at < t.until), None)

    def card_of(self, membership: str, at: datetime) -> Term | None:
        """The term that conditions on the member ask about."""
        return self.term_at(membership, at)

    def holder(self, name: str, table: Table, membership: str, at: datetime) -> tuple[Term | None, str]:
        """The term by which a benefit is claimed, and whose it is: empty for the member's own."""
        return self.term_at(membership, at) or self.term_in_grace(membership, at), ""

    def term_in_grace(self, membership: str, at: datetime) -> Term | None:
        """The last term where its grace runs."""
        begun = [t for t in self.terms.get(membership, []) if t.start <= at]
        if not begun or begun[-1].until > at:
            return None
        last = begun[-1]
        if last.is_trial or last.is_refunded:
            return None
        ends = last.until + timedelta(days=last.spec.get("grace_days", 0))
        return last if last.until <= at < ends else None

    def trial_of(self, membership: str) -> Term:
        return self.trials[membership]

    def trial_over(self, trial: Term) -> datetime:
        """When what a trial earned lapses."""
        days = self.book.memberships[trial.membership].get("release_days", 30)
        return trial.until + timedelta(days=days)

    def trial_lapses(self, trial: Term) -> None:
        trial.points = "lapsed"
        for purse in self.purses.values():
            for lot in purse.lots:
                if lot.pending == "trial" and lot.membership == trial.membership:
                    on_hold = self.on_hold(lot)
                    self.lapse(lot)
                    lot.gone = lot.gone or on_hold > 0

    def on_hold(self, lot: Lot) -> int:
        pieces = [piece for hold in self.holds.values() if hold["open"] for piece in hold["slices"]]
        return sum(points for of, points in pieces if of is lot)

    def lay(
        self, membership: str, card: str, product: str, at: datetime, *, paid_fen: int = 0, is_free: bool = False
    ) -> Term:
        """A card's term, behind those of its membership, or in place of the one that it is better than."""
        spec = self.book.product(product)
        term = Term(card, product, membership, spec, at, paid_fen, is_free, owner=self.acting)
        if term.is_trial:
            term.points, self.trials[membership] = "frozen", term
        terms = self.terms.setdefault(membership, [])
        self.cards[card] = term
        running = self.term_at(membership, at)
        if not is_free and running is not None and running.product in spec.get("upgrades", []):
            place = terms.index(running)
            running.until = running.cut = at
            terms.insert(place + 1, term)
            self.lay_anew(membership, place + 2, first=place + 1)
        else:
            terms.append(term)
            self.lay_anew(membership, len(terms), first=len(terms) - 1)
        return term

    def lay_anew(self, membership: str, anew: int, first: int | None = None) -> None:
        """Lay the terms from number `first` on; those from number `anew` on are laid a second time."""
        terms = self.terms[membership]
        for number in range(anew if first is None else first, len(terms)):
            term = terms[number]
            before = terms[number - 1] if number else None
            term.start = term.opened
            if before is not None:
                term.start = max(term.opened, before.until)
                grace = timedelta(days=before.spec.get("grace_days", 0))
                is_late = before.until < term.opened < before.until + grace and number < anew and not term.is_trial
                if is_late and not (before.is_trial or before.is_refunded):
                    term.start = before.until
            if number >= anew:
                term.is_laid_anew = True
            term.until = self.end_of_term(term, before)
            if term.cut is not None:
                term.until = max(term.start, min(term.until, term.cut))

    def end_of_term(self, term: Term, before: Term | None) -> datetime:
        months = term.spec.get("months", 0) + 12 * term.spec.get("years", 0)
        if term.length is not None:
            return term.start + term.length
        if not months:
            term.anchor = None
            return term.start + timedelta(days=term.spec["days"])
        chained = before is not None and before.anchor is not None and before.until == term.start
        chained = chained and before is not None and before.cut is None
        term.anchor = before.anchor if chained and before and not term.is_laid_anew else term.start
        assert term.anchor is not None
        wall, start = self.book.local(term.anchor), self.book.local(term.start)
        gone = (start.year - wall.year) * 12 + start.month - wall.month
        return self.book.months_later(wall, gone + months, wall.day)

    # -- rules

    def judge(self, asking: Asking) -> None:
        """Judge the conditions on the member of all rules on a fact, before its first change."""
        for rule in self.book.awards:
            if rule["on"] == asking.on:
                self.verdicts[rule["rule"], None] = self.is_one(rule.get("who"), asking.at, asking.shop)
                for number, entry in enumerate(rule.get("times", [])):
                    verdict = self.is_one(entry.get("who"), asking.at, asking.shop)
                    self.verdicts[rule["rule"], number] = verdict
        if asking.on == "order.completed":
            for name, table, membership in self.rights():
                term = self.term_at(membership, asking.at) if membership else None
                has_card = not membership or (term is not None and self.quota_names(table, term.product))
                self.verdicts["right", name] = has_card and self.is_one(table.get("who"), asking.at, asking.shop)

    def ask(self, asking: Asking, line: Line | None = None) -> None:
        """Ask the rules of a fact as a whole, and then the penalties."""
        for rule in self.book.awards:
            if rule["on"] == asking.on and rule.get("each", "fact") == "fact":
                self.give(rule, asking, line, set())

    def penalise(self, asking: Asking) -> list[Table]:
        """Take what the fact costs; what may be given back."""
        taken = []
        for name, table in self.book.tables.get("penalties", {}).items():
            if table["on"] != asking.on or not meets(table.get("when", {}), asking.fields):
                continue
            month, year = self.book.month(asking.at), self.book.year(asking.at)
            is_counted = "exempt" in table or any(key in table for key in FROM)
            in_month = self.count("penalty", name, "month", month) if is_counted else 0
            in_year = self.count("penalty", name, "year", year) if is_counted else 0
            least = [(n, in_month if key == "from_in_month" else in_year) for key in FROM if (n := table.get(key))]
            is_spared = bool(least) and all(number < n for n, number in least)
            exempt = table.get("exempt")
            if exempt and self.term_at(exempt["membership"], asking.at) is not None:
                is_spared |= self.count("penalty", name, "exempt", month) <= exempt["in_month"]
            if is_spared:
                continue
            if "score" in table:
                score = self.book.scores[table["score"]]
                if score.get("each") and not (asking.shop and (asking.shop in self.joined or not score.get("joined"))):
                    continue
                key = self.key_of(table["score"], asking.shop)
                self.add_item(key, table["part"], asking.at, -table["points"])
                taken.append({"key": key, "part": table["part"], "at": asking.at, "points": table["points"]})
                continue
            purse = self.purse_name(table["kind"], asking.shop)
            if not purse:
                continue
            slices, short = self.take_away(purse, table["points"])
            owed = self.purse(purse).debt
            self.fall_short(purse, short, Cash())
            owed = self.purse(purse).debt - owed
            taken.append({"purse": purse, "slices": slices, "owed": owed, "rule": f"penalty.{name}"})
        return taken

    def count(self, *key: Any) -> int:
        """Count one more."""
        self.counts[key] = self.counts.get(key, 0) + 1
        return self.counts[key]

    def purse_name(self, kind: str, shop: str) -> str:
        """The purse of a kind; empty where it is kept for each shop and none is named."""
        if not self.book.kinds[kind].get("each"):
            return kind
        return f"{kind}@{shop}" if shop else ""

    def give(self, rule: Table, asking: Asking, line: Line | None, left_out: set[str]) -> Award | None:
        """What one rule gives for a fact, or for one of its lines; None where it gives nothing."""
        name, at = rule["rule"], asking.at
        if "from" in rule and at < self.book.moment(rule["from"]):
            return None
        if "until" in rule and at >= self.book.moment(rule["until"]):
            return None
        if name in left_out:
            return None
        term = None
        if "member" in rule:
            term = self.term_at(rule["member"], at)
            if term is None or (term.is_taken_back and line is not None and asking.on != "review.posted"):
                return None  # Reading: whoever is told late of an order earns as if it had come before the refund
        fields = asking.fields if line is None else asked_of(asking.fields, line)
        if not meets(rule.get("when", {}), fields) or not self.verdicts[name, None]:
            return None
        purse = score = ""
        if "kind" in rule:
            purse = self.purse_name(rule["kind"], asking.shop)
            if not purse:
                return None
        elif "score" in rule:
            table = self.book.scores[rule["score"]]
            if table.get("each") and (not asking.shop or (table.get("joined") and asking.shop not in self.joined)):
                return None
            score = self.key_of(rule["score"], asking.shop)
        if line is not None and asking.on == "review.posted":
            if "within_days" in rule and at - line.at > timedelta(days=rule["within_days"]):
                return None
            if rule.get("unless_returned") and line.is_back:
                return None
        marks = self.marks.setdefault(name, [])
        if "first" in rule:
            category = fields["category"]
            if not category or category in marks:
                return None
            marks.append(category)
        if "days_in_month" in rule:
            if asking.day in marks:
                return None
            marks.append(asking.day)
            month = self.book.month(at)
            days = [d for d in marks if date.fromordinal(d).year * 12 + date.fromordinal(d).month - 1 == month]
            if len(days) != rule["days_in_month"]:
                return None
        if "each_day" in rule:
            if (asking.day, asking.shop) in marks:
                return None
            marks.append((asking.day, asking.shop))
        if rule.get("once") and name in self.once:
            return None
        if "opens" in rule:
            if rule.get("once"):  # Reading: one that becomes `once` in a later version has given nothing so far
                self.once.append(name)
            membership = self.book.products[rule["opens"]]
            self.lay(membership, f"{name}/{self.entries}", rule["opens"], at, is_free=True)
            return None
        by = self.multiplier(rule, at, fields)
        fen, count = (asking.fen, asking.count) if line is None else (fields["paid_fen"], fields["quantity"])
        points = self.amount(rule, fen, count, fields.get("category", ""), by)
        if line is not None:
            line.by[name] = by
        points = self.room(rule, asking, term, fields, points)
        if points <= 0:
            return None
        self.count_given(rule, asking, term, fields, points)
        ages = not (score and rule.get("once"))
        award = Award(name, purse, score, rule.get("part", ""), points, points, at, ages, [])
        award.returns = rule.get("returns", True)
        award.is_remembered = line is not None or asking.on in ("order.paid", "activity.done", "benefit.claimed")
        if line is not None:
            award.paid_fen, award.quantity = line.fields["paid_fen"], line.fields["quantity"]
        if term is not None:
            award.term = term
            term.capped += points
            award.ordinary = self.ordinary(rule, line, asking) if line is not None else 0
        if rule.get("once"):
            self.once.append(name)
        self.hand_out(rule, award, term)
        return award

    def hand_out(self, rule: Table, award: Award, term: Term | None) -> None:
        """The points of an award as a lot, or its item."""
        if award.score:
            self.add_item(award.score, award.part, award.at, award.given, award.ages)
            return
        pending, until, membership = "", NEVER, ""
        if term is not None and term.is_trial:
            pending, membership = "trial", term.membership
        elif "pending" in rule:
            table = rule["pending"]
            pending = "claim" if "claim_days" in table else "time"
            if "day_of_next_month" in table:
                until = self.book.month_start(self.book.month(award.at) + 1, table["day_of_next_month"])
            else:
                until = award.at + timedelta(days=table.get("days", table.get("claim_days")))
        self.stir(award.purse, award.at)
        lot = self.open_lot(award.purse, award.rule, award.given, award.at, None, pending, until, membership)
        award.lots = [[lot, award.given]]
        lot.has_no_page = not (award.is_remembered or pending)
        self.aimed[lot] = award

    def multiplier(self, rule: Table, at: datetime, fields: Table) -> tuple[int, int]:
        for number, entry in enumerate(rule.get("times", [])):
            if "from" in entry and at < self.book.moment(entry["from"]):
                continue
            if "until" in entry and at >= self.book.moment(entry["until"]):
                continue
            if meets(entry.get("when", {}), fields) and self.verdicts[rule["rule"], number]:
                return fraction(entry["by"])
        return 1, 1

    def amount(self, rule: Table, fen: int, count: int, category: str, by: tuple[int, int]) -> int:
        """What a rule gives before every cap, rounded once."""
        give, (above, below) = rule["give"], by
        if category in rule.get("rates", {}):
            return int(fen * rule["rates"][category] * above // (10_000 * below))
        if "steps" in give:
            reached = [step["points"] for step in give["steps"] if fen >= step["at_least_fen"]]
            return int((reached[-1] if reached else 0) * above // below)
        if "per_fen" in give:
            fen -= fen % give.get("floor_fen", 1)
            return int(fen * give["points"] * above // (give["per_fen"] * below))
        if "per_count" in give:
            return int(count * give["points"] * above // (give["per_count"] * below))
        return int(give["points"] * above // below)

    def buckets(
        self, rule: Table, asking: Asking, term: Term | None, fields: Table
    ) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """The caps of a rule by periods: the most, and what is counted by."""
        for cap in rule.get("cap", []):
            if cap["per"] in ("line", "order"):
                continue
            period: Any = {
                "day": asking.day,
                "month": self.book.month(asking.at),
                "year": self.book.year(asking.at),
                "ever": 0,
                "term": term.card if term is not None else "",
            }[cap["per"]]
            each = fields[cap["each"]] if "each" in cap else None
            yield cap["points"], ("cap", rule["rule"], cap["per"], period, cap.get("each"), each)

    def room(self, rule: Table, asking: Asking, term: Term | None, fields: Table, points: int) -> int:
        """What of an amount the caps leave: of the line, of the order, of the card, and then of the periods."""
        points = self.room_of_line(rule, asking.order, points)
        if term is not None and "cap" in term.spec:
            left = term.spec["cap"] - term.capped
            if points > left:
                points = max(left, 0) if term.spec.get("fill") else 0
        for most, key in self.buckets(rule, asking, term, fields):
            points = min(points, most - self.counts.get(key, 0))
        return max(points, 0)

    def room_of_line(self, rule: Table, order: Order | None, points: int) -> int:
        for cap in rule.get("cap", []):
            if cap["per"] == "line":
                points = min(points, cap["points"])
        for cap in rule.get("cap", []):
            if cap["per"] == "order" and order is not None:
                points = min(points, cap["points"] - order.given.get(rule["rule"], 0))
        return max(points, 0)

    def count_given(self, rule: Table, asking: Asking, term: Term | None, fields: Table, points: int) -> None:
        for key in {key for _, key in self.buckets(rule, asking, term, fields)}:
            self.counts[key] = self.counts.get(key, 0) + points
        if asking.order is not None and any(cap["per"] == "order" for cap in rule.get("cap", [])):
            asking.order.given[rule["rule"]] = asking.order.given.get(rule["rule"], 0) + points

    def ordinary(self, rule: Table, line: Line, asking: Asking) -> int:
        """What the rule that one leaves out would have given a line, after the caps of the line and the order."""
        fields, at = asked_of(asking.fields, line), asking.at
        other = next((r for r in self.book.awards if r["rule"] == rule.get("instead_of")), None)
        while other is not None and other.get("member") == rule["member"]:
            other = next((r for r in self.book.awards if r["rule"] == other.get("instead_of")), None)
        if other is None or other.get("kind") != rule.get("kind") or "member" in other:
            return 0
        if not meets(other.get("when", {}), fields) or not self.verdicts[other["rule"], None]:
            return 0
        if "from" in other and at < self.book.moment(other["from"]):
            return 0
        if "until" in other and at >= self.book.moment(other["until"]):
            return 0
        by = self.multiplier(other, at, fields)
        points = self.amount(other, fields["paid_fen"], fields["quantity"], fields["category"], by)
        gave = 0  # that rule for the lines before, or would have given
        for before in asking.order.lines.values() if asking.order is not None else ():
            if before is line:
                break
            gave += sum(a.given for a in before.awards if a.rule == other["rule"])
            gave += sum(a.ordinary or 0 for a in before.awards if a.rule == rule["rule"])
        for cap in other.get("cap", []):
            if cap["per"] in ("line", "order"):
                points = min(points, cap["points"] - (gave if cap["per"] == "order" else 0))
        return max(points, 0)

    def take_back(self, award: Award, keeps: int, cash: Cash) -> None:
        """Take what an award holds above what it keeps."""
        points = award.held - keeps
        if points <= 0:
            return
        award.held -= points
        if award.score:
            self.add_item(award.score, award.part, award.at, -points, award.ages)
        else:
            self.claw_back(award.lots, points, cash)

    # -- orders

    def order(self, name: str) -> Order:
        return self.orders.setdefault(name, Order())

    def asking_of(self, on: str, data: Table, at: datetime, order: Order | None) -> Asking:
        fields = {name: data[name] for name in data if name not in ("order", "lines", "line")}
        return Asking(on, at, fields, self.book.day(at), data.get("shop") or "", order=order)

    def order_paid(self, data: Table, at: datetime) -> Decision:
        order = self.orders.get(data["order"])
        if order is not None and order.end == "cancelled" and at >= order.ended_at:
            self.go_on(order)
        elif order is not None and order.end:
            return "ignored", f"order-{order.end}"
        order = self.order(data["order"])
        if order.paid is not None:
            return "ignored", "already"
        order.is_known = True
        order.paid = {}
        asking = self.asking_of("order.paid", data, at, order)
        for fields in data["lines"]:
            line = self.new_line(fields, data, at)
            order.paid[fields["line"]] = line
            line.awards = self.give_lines("order.paid", asking, line)
            for award in line.awards:
                award.of_payment = True
        for rule in self.book.awards:
            if rule["on"] == "order.paid" and rule.get("each", "fact") == "fact":
                award = self.give(rule, asking, None, set())
                if award is not None:
                    order.paid_awards.append(award)
        for told in order.waiting:  # returns that came before it
            self.take_payment_back(order, told["lines"], told["cash"])
        return "accepted", ""

    def take_payment_back(self, order: Order, lines: list[Table], cash: Cash) -> None:
        """What the payment gave for lines that came back before they completed."""
        for told in lines:
            paid = (order.paid or {}).get(told["line"])
            if paid is None:
                continue
            paid.refunded += told["refund_fen"]
            paid.returned = min(paid.fields["quantity"], paid.returned + told["quantity"])
            for award in paid.awards:
                if award.returns:
                    self.take_back(award, self.keeps(paid, award), cash)

    def new_line(self, fields: Table, data: Table, at: datetime) -> Line:
        fields = fields | {"unit_fen": fields["paid_fen"] // fields["quantity"]}
        asked = {name: data[name] for name in ("shop", "self_operated", "channel", "pay", "tags")}
        return Line(fields, at, self.book, order=asked)

    def give_lines(self, on: str, asking: Asking, line: Line) -> list[Award]:
        """What the rules for lines give for one."""
        found, left_out = [], set[str]()
        for rule in self.book.awards:
            if rule["on"] == on and rule.get("each") == "line":
                award = self.give(rule, asking, line, left_out)
                if award is not None:
                    found.append(award)
                    if "instead_of" in rule:
                        left_out.add(rule["instead_of"])
        return found

    def go_on(self, order: Order) -> None:
        """A cancelled order is paid or completed after all: what came back with the cancellation stays."""
        self.say("after-cancellation")
        order.end, order.paid, order.paid_awards, order.waiting = "", None, [], []
        order.granted_fen, order.burned = 0, []

    def order_completed(self, data: Table, at: datetime) -> Decision:
        order = self.order(data["order"])
        if order.end == "cancelled":
            self.go_on(order)
        fresh = data["lines"]
        if order.end == "completed" and order.more:
            fresh = [line for line in fresh if line["line"] not in order.lines]
            if not fresh:
                return "ignored", "already"
            if len(fresh) < len(data["lines"]):
                self.say("line-completed")
        elif order.end:
            return "ignored", "already" if order.end == "completed" else f"order-{order.end}"
        is_first = order.end == ""
        order.end, order.is_known, order.more = "completed", True, data["more"]
        asking = self.asking_of("order.completed", data, at, order)
        for fields in fresh:
            self.complete_line(order, asking, fields, data, at)
        if is_first:
            self.ask(asking)
        self.apply_waiting(order, at)
        return "accepted", ""

    def complete_line(self, order: Order, asking: Asking, fields: Table, data: Table, at: datetime) -> Line:
        line = self.new_line(fields, data, at)
        order.lines[fields["line"]] = line
        line.cards = {name: t for name in self.book.memberships if (t := self.term_at(name, at)) is not None}
        paid = (order.paid or {}).get(fields["line"])
        if paid is not None:
            line.awards += paid.awards
            line.refunded, line.returned = 0, 0
        line.awards += self.give_lines("order.completed", asking, line)
        for name, table, membership in self.rights():
            is_given = table.get("at", "completion") == "completion" and self.verdicts["right", name]
            if is_given and meets(table.get("when", {}), asked_of(asking.fields, line)):
                days = table.get("days")
                line.rights[name] = NEVER if days is None else at + timedelta(days=days)
                term = self.term_at(membership, at)
                if term is not None:
                    line.right_terms.append(term)
        return line

    def rights(self) -> Iterator[tuple[str, Table, str]]:
        """Benefits that are rights of a line: name, table, membership."""
        for name, membership, table in self.all_benefits():
            if table.get("of") == "line":
                yield name, table, membership

    def all_benefits(self) -> Iterator[tuple[str, str, Table]]:
        for membership, table in self.book.memberships.items():
            for name, benefit in table.get("benefits", {}).items():
                yield name, membership, benefit
        for name, benefit in self.book.tables.get("benefits", {}).items():
            yield name, "", benefit

    def apply_waiting(self, order: Order, at: datetime) -> None:
        """The returns that came before: the rest restored where they were whole, then each with its own refund."""
        waiting, order.waiting = order.waiting, []
        came: dict[str, int] = {}
        for told in waiting:
            for line in told["lines"]:
                came[line["line"]] = came.get(line["line"], 0) + line["quantity"]
        if waiting and self.comes_back_whole(order, came):
            self.restore_rest(order, at)
        for told in waiting:
            told["asked"] -= self.restore(order.burned, told["asked"], at)
            self.take_lines_back(order, told["lines"], told["cash"])
            to_come = [line for line in told["lines"] if line["line"] not in order.lines]
            if order.more and (to_come or told["asked"]):
                order.waiting.append({"lines": to_come, "cash": told["cash"], "asked": told["asked"]})

    def comes_back_whole(self, order: Order, came: dict[str, int]) -> bool:
        """Whether with these pieces every line is back, and none is still to come."""
        return not order.more and all(
            line.returned + came.get(name, 0) >= line.fields["quantity"] for name, line in order.lines.items()
        )

    def restore_rest(self, order: Order, at: datetime) -> None:
        if self.restore(order.burned, rest_of(order.burned), at):
            self.say("rest-restored")

    def take_lines_back(self, order: Order, lines: list[Table], cash: Cash) -> None:
        for told in lines:
            line = order.lines.get(told["line"])
            if line is None or line.left_out_by_amendment:
                continue
            line.refunded += told["refund_fen"]
            line.returned = min(line.fields["quantity"], line.returned + told["quantity"])
            for award in line.awards:
                if award.returns:
                    self.take_back(award, self.keeps(line, award), cash)

    def keeps(self, line: Line, award: Award, given: int | None = None) -> int:
        """K: what an award keeps after what was refunded and returned so far."""
        given = award.given if given is None else given
        if line.returned >= award.quantity:
            return 0
        if not award.paid_fen:  # Reading: of nothing that was paid nothing came back
            return given
        return int(given * (award.paid_fen - min(line.refunded, award.paid_fen)) // award.paid_fen)

    def order_returned(self, data: Table, at: datetime) -> Decision:
        if data["return"] in self.seen.get("return", []):
            return "ignored", "already"
        if not data["order"]:
            return "ignored", "unknown-order"
        found = self.orders.get(data["order"], Order())
        if found.end in ("cancelled", "rejected"):
            return "ignored", f"order-{found.end}"
        if found.end == "completed":
            lines = [line for line in data["lines"] if line["line"] in found.lines or found.more]
        elif found.paid is not None:  # Reading: lines are known by the payment, or as it was amended
            known = found.amended if found.amended is not None else list(found.paid)
            lines = [line for line in data["lines"] if line["line"] in known]
        else:
            lines = data["lines"]
        if not lines:
            return "ignored", "unknown-line"
        if data["order"] not in self.orders:
            self.say("unknown-order")
        order = self.order(data["order"])
        self.seen.setdefault("return", []).append(data["return"])
        # Reading: the refund of the whole fact, lines it has wrong included.
        cash = Cash(sum(line["refund_fen"] for line in data["lines"] if not line["exchange"]))
        asked = sum(line["points"] for line in lines)
        asked -= self.restore(order.burned, asked, at)
        for_later = order.end != "completed" or any(line["line"] not in order.lines for line in lines)
        lines = [line for line in lines if not line["exchange"]]
        if order.end == "completed":
            came: dict[str, int] = {}
            for line in lines:
                came[line["line"]] = came.get(line["line"], 0) + line["quantity"]
            if self.comes_back_whole(order, came):
                self.restore_rest(order, at)
            self.take_lines_back(order, lines, cash)
            lines = [line for line in lines if line["line"] not in order.lines]
        elif order.paid is not None:
            self.take_payment_back(order, lines, cash)
        if for_later:
            order.waiting.append({"lines": lines, "cash": cash, "asked": asked})
        return "accepted", ""

    def order_cancelled(self, data: Table, at: datetime) -> Decision:
        order = self.order(data["order"])
        if order.more:
            self.say("rest-cancelled")
            order.more, order.waiting = False, []
            for name, paid in (order.paid or {}).items():
                if name not in order.lines:
                    for award in paid.awards:
                        self.take_back(award, 0, Cash())
            if self.comes_back_whole(order, {}):
                self.restore_rest(order, at)
            return "accepted", ""
        if order.end:
            return "ignored", "already" if order.end == "cancelled" else f"order-{order.end}"
        # Reading: an order for which a benefit was claimed was seen, as one that points were redeemed for
        if not order.is_known and not order.waiting and not order.claims and not order.was_met:
            self.say("unknown-order")
        self.end_order(order, "cancelled", at)
        return "accepted", ""

    def end_order(self, order: Order, end: str, at: datetime) -> None:
        order.end, order.ended_at, order.waiting, order.amended = end, at, [], None
        self.restore(order.burned, rest_of(order.burned), at)
        for line in (order.paid or {}).values():
            for award in line.awards:
                self.take_back(award, 0, Cash())
        for award in order.paid_awards:
            self.take_back(award, 0, Cash())
        order.paid_awards = []
        for claim in order.claims:
            if claim in self.claims and not self.claims[claim].is_returned:
                self.give_claim_back(claim, at)
        order.claims = []

    def order_rejected(self, data: Table, at: datetime) -> Decision:
        order = self.order(data["order"])
        if order.end:
            return "ignored", "already" if order.end == "rejected" else f"order-{order.end}"
        self.end_order(order, "rejected", at)
        return "accepted", ""

    # -- amendments

    def order_amended(self, data: Table, at: datetime) -> Decision:
        order = self.orders.get(data["order"])
        if order is None:  # Reading: an order of which a return is remembered was seen
            return "ignored", "unknown-order"
        if order.end in ("cancelled", "rejected"):
            return "ignored", f"order-{order.end}"
        if order.end != "completed":  # the newest lines count, and nothing is given
            order.amended = [line["line"] for line in data["lines"]]
            return "accepted", ""
        order.more = order.more or data["more"]
        told = {line["line"]: line for line in data["lines"]}
        if not order.more and self.is_whole_after(order, told):
            self.restore_rest(order, at)
        cash = Cash(data["refund_fen"])
        asking = self.asking_of("order.completed", data, at, order)
        self.judge(asking)
        for name, fields in told.items():
            line = order.lines.get(name)
            if line is not None and line.left_out_by_amendment:
                self.say("line-returned")
            elif line is not None:
                self.amend_line(order, line, fields, data, at, cash)
        for name, fields in told.items():
            if name not in order.lines:
                self.complete_line(order, asking, fields, data, at)
        for name, line in order.lines.items():
            if name not in told and not line.left_out_by_amendment:
                line.left_out_by_amendment = True
                line.returned = max(line.fields["quantity"], *(award.quantity for award in line.awards), 0)
                for award in line.awards:
                    if award.returns:
                        self.take_back(award, 0, cash)
        self.apply_waiting(order, at)
        return "accepted", ""

    def is_whole_after(self, order: Order, told: dict[str, Table]) -> bool:
        """Whether an amendment leaves nothing that has not come back."""
        return all(
            line.left_out_by_amendment or name not in told or line.returned >= told[name]["quantity"]
            for name, line in order.lines.items()
        ) and all(name in order.lines for name in told)

    def amend_line(self, order: Order, line: Line, fields: Table, data: Table, at: datetime, cash: Cash) -> None:
        """A line as it is now: each rule gives the difference, or it is taken back as a return does."""
        assert self.clock is not None
        is_late, now = self.clock - line.at > self.book.late, self.book
        self.book = line.book
        line.fields = fields | {"unit_fen": fields["paid_fen"] // fields["quantity"]}
        asking = self.asking_of("order.completed", line.order, line.at, order)
        left_out: set[str] = set()
        kept: dict[str, int] = {}  # K(A) by the old figures
        for award in line.awards:  # later returns reckon with the new figures; a payment's with its own
            if not award.of_payment:
                kept[award.rule] = self.keeps(line, award)
                award.paid_fen, award.quantity = line.fields["paid_fen"], line.fields["quantity"]
        for rule in self.book.awards:
            if rule["on"] != "order.completed" or rule.get("each") != "line":
                continue
            found = next((a for a in line.awards if a.rule == rule["rule"] and not a.of_payment), None)
            if "first" in rule or not rule.get("returns", True) or (found is None and "who" in rule):
                if found is not None and "instead_of" in rule:
                    left_out.add(rule["instead_of"])
                continue
            award = found or self.nothing_yet(rule, line, asking)
            if award is None:
                continue
            award.paid_fen, award.quantity = line.fields["paid_fen"], line.fields["quantity"]
            gives = 0 if rule["rule"] in left_out else self.would_give(rule, award, asking, line)
            gives = max(0, gives - award.less)
            before = kept.get(award.rule, 0)
            more = self.keeps(line, award, gives) - before
            if more > 0:
                got = self.give_more(rule, award, asking, line, at, 0 if is_late else more)
                if got < more:  # the least A of which this is kept
                    gives = next(n for n in range(gives + 1) if self.keeps(line, award, n) >= before + got)
            else:
                self.take_back(award, max(0, award.held + more), cash)
            award.given = gives
            if found is None and award.held:
                line.awards.append(award)
            if award.given and (found is not None or award.held) and "instead_of" in rule:
                left_out.add(rule["instead_of"])
        self.book = now

    def nothing_yet(self, rule: Table, line: Line, asking: Asking) -> Award | None:
        """An award of a rule that gave nothing for a line; None where it cannot give."""
        term = None
        if "member" in rule:
            term = line.cards.get(rule["member"])
            if term is None or term.is_taken_back:  # Reading: a card that was taken back has no rate any more
                return None
        purse = self.purse_name(rule["kind"], asking.shop) if "kind" in rule else ""
        score = self.key_of(rule["score"], asking.shop) if "score" in rule else ""
        if score and self.book.scores[rule["score"]].get("joined"):
            return None  # earlier purchases are not counted afterwards
        if not purse and not score:
            return None
        return Award(rule["rule"], purse, score, rule.get("part", ""), 0, 0, line.at, True, [], term=term)

    def would_give(self, rule: Table, award: Award, asking: Asking, line: Line) -> int:
        """What a rule gives on the line as it is now, after the caps of the line and the order."""
        fields = asked_of(asking.fields, line)
        if award.term is not None and award.term.is_taken_back:
            award.ordinary = self.ordinary_of(rule, line, asking, award.ordinary or 0)
            return award.ordinary
        if not meets(rule.get("when", {}), fields):
            return 0
        if "from" in rule and line.at < self.book.moment(rule["from"]):
            return 0
        if "until" in rule and line.at >= self.book.moment(rule["until"]):
            return 0
        by = line.by.get(rule["rule"], (1, 1))
        if award not in line.awards:  # one that gave nothing has the first multiplier that is for anybody
            judged, self.verdicts = self.verdicts, {}
            for number, entry in enumerate(rule.get("times", [])):
                self.verdicts[rule["rule"], number] = "who" not in entry
            by = self.multiplier(rule, line.at, fields)
            self.verdicts = judged
            line.by[rule["rule"]] = by
        points = self.amount(rule, line.fields["paid_fen"], line.fields["quantity"], line.fields["category"], by)
        for cap in rule.get("cap", []):
            if cap["per"] == "line":
                points = min(points, cap["points"])
        if award.term is not None:
            award.ordinary = self.ordinary_of(rule, line, asking, award.ordinary or 0)
        return points

    def ordinary_of(self, rule: Table, line: Line, asking: Asking, had: int) -> int:
        """What the rule that one leaves out would give on the line as it is now."""
        judged, self.verdicts = self.verdicts, {}
        for r in self.book.awards:  # one with `who` only if it would have given; multipliers are those for anybody
            self.verdicts[r["rule"], None] = "who" not in r or bool(had)
            self.verdicts |= {(r["rule"], n): "who" not in entry for n, entry in enumerate(r.get("times", []))}
        found = self.ordinary(rule, line, asking)
        self.verdicts = judged
        return found

    def give_more(self, rule: Table, award: Award, asking: Asking, line: Line, at: datetime, more: int) -> int:
        """Give the difference, as far as the completion's own buckets have room; says how much."""
        term = award.term
        more = self.room_of_line(
            rule | {"cap": [c for c in rule.get("cap", []) if c["per"] == "order"]}, asking.order, more
        )
        if term is not None and "cap" in term.spec and not term.is_taken_back:
            left = max(term.spec["cap"] - term.capped, 0)
            if more > left:
                more = left if term.spec.get("fill") else 0
        for most, key in self.buckets(rule, asking, term, asking.fields | line.fields):
            more = max(0, min(more, most - self.counts.get(key, 0)))
        if more:
            self.count_given(rule, asking, term, asking.fields | line.fields, more)
            if term is not None and not term.is_taken_back:
                term.capped += more
            extra = Award(award.rule, award.purse, award.score, award.part, more, more, line.at, True, [])
            if award.purse:
                extra.at = at
            by_then, self.book = self.book, self.version_at(at)  # it is earned now
            self.hand_out(rule, extra, term)
            self.book = by_then
            award.held += more
            award.lots += extra.lots
            for lot, _ in extra.lots:
                self.aimed[lot] = award
        return more

    # -- reviews, activities and what needs no page

    def review_posted(self, data: Table, at: datetime) -> Decision:
        if data["review"] in self.reviews:
            return "ignored", "already"
        order = self.orders.get(data["order"])
        line = order.lines.get(data["line"]) if order is not None else None
        if line is None:
            return "ignored", "line-not-completed"
        if line.review:
            return "ignored", "already-reviewed"
        line.review = data["review"]
        asking = self.asking_of("review.posted", data, at, None)
        asking.fields = {name: data[name] for name in ("characters", "images")}
        found = []
        for rule in self.book.awards:
            if rule["on"] == "review.posted":
                award = self.give(rule, asking, line, set())
                if award is not None:
                    found.append(award)
        self.reviews[data["review"]] = {"awards": found, "removed": False}
        return "accepted", ""

    def review_removed(self, data: Table, at: datetime) -> Decision:
        review = self.reviews.get(data["review"])
        if review is None:
            return "ignored", "unknown-review"
        if review["removed"]:
            return "ignored", "already"
        review["removed"] = True
        for award in review["awards"]:
            if award.ages:
                self.take_back(award, 0, Cash())
        return "accepted", ""

    def activity_done(self, data: Table, at: datetime) -> Decision:
        if data["done"] in self.activities:
            return "ignored", "already"
        asking = self.asking_of("activity.done", data, at, None)
        asking.fen, asking.count = data["amount_fen"], data["count"]
        found = []
        for rule in self.book.awards:
            if rule["on"] == "activity.done":
                award = self.give(rule, asking, None, set())
                if award is not None:
                    found.append(award)
        self.activities[data["done"]] = {"awards": found, "penalties": self.penalise(asking), "undone": False}
        return "accepted", ""

    def activity_undone(self, data: Table, at: datetime) -> Decision:
        activity = self.activities.get(data["done"])
        if activity is None:
            return "ignored", "unknown-activity"
        if activity["undone"]:
            return "ignored", "already"
        activity["undone"] = True
        for award in activity["awards"]:
            if award.ages:
                self.take_back(award, 0, Cash())
        for taken in activity["penalties"]:
            if "key" in taken:
                self.add_item(taken["key"], taken["part"], taken["at"], taken["points"])
                continue
            purse = self.purse(taken["purse"])
            for piece in reversed(taken["slices"]):
                purse.clawed_back -= piece[1]
                self.make_spendable(piece[0], piece[1])
            owed = min(taken["owed"], purse.debt)
            purse.debt -= owed
            repaid = taken["owed"] - owed
            if repaid:
                purse.clawed_back -= repaid
                purse.issued -= repaid
                self.open_lot(taken["purse"], taken["rule"], repaid, at, None)
        return "accepted", ""

    def own_id(self, data: Table, at: datetime) -> Decision:
        """A fact that comes once under its own id."""
        name = OWN_IDS[self.on]
        if data[name] in self.seen.get(name, []):
            return "ignored", "already"
        self.seen.setdefault(name, []).append(data[name])
        if self.on == "member.joined":
            self.joined.append(data["shop"])
        return "accepted", ""

    def nothing(self, data: Table, at: datetime) -> Decision:
        return "accepted", ""

    def learn(self, name: str, value: Any, at: datetime) -> None:
        """Of two tellings the one that occurred later holds; of equal ones the later in the stream."""
        if name not in self.attributes or at >= self.attributes[name][1]:
            self.attributes[name] = value, at

    def credit_scored(self, data: Table, at: datetime) -> Decision:
        self.learn("credit", data["score"], at)
        return "accepted", ""

    def reputation_rated(self, data: Table, at: datetime) -> Decision:
        self.learn("stars", data["stars"], at)
        return "accepted", ""

    def member_described(self, data: Table, at: datetime) -> Decision:
        declared = self.book.tables.get("attributes", {})
        for name, value in data["attributes"].items():
            if name not in declared or not (value == "" or is_of_type(declared[name].get("type", "text"), value)):
                self.say("unknown-attribute")
        for name, table in declared.items():
            value = data["attributes"].get(name)
            if name in data["attributes"] and (value == "" or is_of_type(table.get("type", "text"), value)):
                self.learn(name, None if value == "" else value, at)
        return "accepted", ""

    # -- points by hand

    def kind_asked(self, data: Table) -> tuple[str, str]:
        """The purse that a fact names, or what is wrong with it."""
        kind = self.book.kind_named(data["kind"])
        if kind not in self.book.kinds:
            return "", "unknown-kind"
        purse = self.purse_name(kind, data["shop"])
        return (purse, "") if purse else ("", "shop-missing")

    def campaign_granted(self, data: Table, at: datetime) -> Decision:
        purse, wrong = self.kind_asked(data)  # Reading: before all else, as of adjustments and opened lots
        if wrong:
            return "ignored", wrong
        if data["grant"] in self.grants_of_points:
            return "ignored", "already"
        self.stir(purse, at)
        lot = self.open_lot(purse, "campaign", data["points"], at, data["expires"])
        self.grants_of_points[data["grant"]] = lot
        self.aim_at(lot)
        return "accepted", ""

    def aim_at(self, lot: Lot) -> None:
        """Something that an adjustment may aim at."""
        self.aimed[lot] = Award(
            lot.rule, lot.purse, "", "", lot.earned, lot.earned, lot.earned_at, True, [[lot, lot.earned]]
        )

    def lot_opened(self, data: Table, at: datetime) -> Decision:
        purse, wrong = self.kind_asked(data)
        if wrong:
            return "ignored", wrong
        if data["lot"] in self.seen.get("lot", []):
            return "ignored", "already"
        self.seen.setdefault("lot", []).append(data["lot"])
        self.stir(purse, at)  # Reading: an opened lot is earned
        self.aim_at(self.open_lot(purse, "lot.opened", data["points"], data["earned_at"], data["expires_at"]))
        return "accepted", ""

    def points_adjusted(self, data: Table, at: datetime) -> Decision:
        assert self.clock is not None
        purse, wrong = self.kind_asked(data)
        if wrong:
            return "ignored", wrong
        if data["adjustment"] in self.seen.get("adjustment", []):
            return "ignored", "already"
        if not data["approved_by"] or data["approved_by"] == data["by"]:
            return "ignored", "not-approved"
        points = data["points"]
        aims: list[Award] = []
        if points < 0 and data["of"] is not None:
            aims = [award for award in self.awards_aimed_at(data["of"]) if award.purse == purse]
            if not aims:
                return "ignored", "unknown-award"
        self.seen.setdefault("adjustment", []).append(data["adjustment"])
        if points > 0:
            self.stir(purse, at)
            self.aim_at(self.open_lot(purse, "adjustment", points, at, None))
        elif aims:
            asked = -points
            for award in aims:
                taken = min(asked, award.held)
                asked -= taken
                award.given -= taken
                award.less += taken
                award.held -= taken
                # A lot without a page counts as expired from its end on (decision 29).
                if not all(lot.has_no_page and self.end_of(lot) <= self.clock for lot, _ in award.lots):
                    self.claw_back(award.lots, taken, Cash())
            if asked:
                self.say("adjustment-capped")
        else:
            short = self.take_away(purse, -points)[1]
            if short:
                self.fall_short(purse, short, Cash())
        return "accepted", ""

    def awards_aimed_at(self, of: Table) -> list[Award]:
        if of["order"]:
            order = self.orders.get(of["order"])
            line = order.lines.get(of["line"]) if order is not None else None
            # Reading: what returns leave to her is aimed at by its lot.
            return [a for a in line.awards if not a.of_payment and a.returns] if line is not None else []
        if of["grant"]:
            lot = self.grants_of_points.get(of["grant"])
            return [self.aimed[lot]] if lot is not None else []
        return [award for lot, award in self.aimed.items() if lot.name == of["lot"]]

    def points_claimed(self, data: Table, at: datetime) -> Decision:
        order = self.orders.get(data["of"]["order"], Order())
        lines = [lines[data["of"]["line"]] for lines in (order.paid or {}, order.lines) if data["of"]["line"] in lines]
        awards = [award for line in lines for award in line.awards] or self.awards_aimed_at(data["of"])
        lots = [lot for award in awards for lot, _ in award.lots]
        if data["of"]["lot"]:  # Reading: that lot, and not what an amendment gave beside it
            lots = [lot for lot in lots if lot.name == data["of"]["lot"]]
        waited = [lot for lot in lots if lot.waited_for_claim]
        waiting = [lot for lot in waited if lot.pending == "claim" and lot.left]
        if not waited:  # Reading: of what is gone it is not told how it went
            return "ignored", "unknown-award|lapsed"
        if not waiting:
            was_claimed = any(lot.was_claimed for lot in waited)
            lapsed = "lapsed" if any(lot.expired for lot in waited) else "unknown-award|lapsed"
            return "ignored", "already" if was_claimed else lapsed
        for lot in waiting:
            lot.was_claimed = True
            self.confirm(lot)
        return "accepted", ""

    def account_frozen(self, data: Table, at: datetime) -> Decision:
        self.is_frozen = True
        return "accepted", ""

    def account_unfrozen(self, data: Table, at: datetime) -> Decision:
        if not self.is_frozen:
            return "ignored", "not-frozen"
        self.is_frozen = False
        return "accepted", ""

    def account_closed(self, data: Table, at: datetime) -> Decision:
        if self.is_closed:
            return "ignored", "already"
        for hold in self.holds.values():
            if hold["open"]:
                self.release(hold)
        self.is_closed = True
        for purse in self.purses.values():
            for lot in purse.lots:
                lot.forfeited += lot.left
                purse.forfeited += lot.left
                lot.left = 0
                lot.pending = ""
        return "accepted", ""

    def account_reopened(self, data: Table, at: datetime) -> Decision:
        if not self.is_closed:
            return "ignored", "not-closed"
        self.is_closed = False
        return "accepted", ""

    def tier_granted(self, data: Table, at: datetime) -> Decision:
        assert self.clock is not None
        if data["grant"] in self.grants:
            return "ignored", "already"
        score = self.book.scores.get(data["score"])
        if score is None or score.get("each") or all(t["name"] != data["tier"] for t in score.get("tiers", [])):
            return "ignored", "unknown-tier"
        if data["until"] <= self.clock:
            return "ignored", "over"
        self.grants[data["grant"]] = Grant(data["score"], data["tier"], data["until"])
        return "accepted", ""

    def tier_withdrawn(self, data: Table, at: datetime) -> Decision:
        grant = self.grants.get(data["grant"])
        if grant is None:
            return "ignored", "unknown-grant"
        if grant.is_over:
            return "ignored", "already"
        grant.is_over = True
        return "accepted", ""

    # -- redemptions and holds

    def redemption_requested(self, data: Table, at: datetime) -> Decision:
        points, shop = data["points"], data["shop"]
        use = self.book.tables.get("uses", {}).get(data["use"])
        if use is None:
            return "refused", "unknown-use"
        kinds = use["kinds"]
        if data["kind"]:
            kind = self.book.kind_named(data["kind"])
            if kind not in self.book.kinds:
                return "refused", "unknown-kind"
            if kind not in kinds:
                return "refused", "kind-not-taken"
            kinds = [kind]
        purses = [self.purse_name(kind, shop) for kind in kinds]
        if not all(purses):
            return "refused", "shop-missing"
        if not self.is_one(use.get("who"), at, shop):
            return "refused", "not-entitled"
        split, rest = [], points
        for purse in purses:
            split.append(min(rest, self.spendable(purse)))
            rest -= split[-1]
        if "exactly" in use and points != use["exactly"]:
            return "refused", "not-exact"
        if points % use.get("multiple", 1):
            return "refused", "not-a-multiple"
        if points < use.get("at_least", 1):
            return "refused", "below-least"
        if points > use.get("at_most", points):
            return "refused", "above-most"
        if use.get("order") and not data["order"]:
            return "refused", "order-missing"
        order = self.orders.get(data["order"]) if data["order"] else None
        if order is not None and order.end in ("cancelled", "rejected"):
            return "refused", "order-ended"
        if data["settlement_fen"] < use.get("settlement_at_least_fen", 0):
            return "refused", "settlement-too-small"
        worth = [self.book.kinds[kind].get("fen", 1) for kind in kinds]
        asked = points * worth[0] if len(kinds) == 1 else sum(s * w for s, w in zip(split, worth, strict=True))
        if rest and len(kinds) > 1:
            asked += rest * worth[-1]  # Reading: what is not there would be of the last kind
        if "share" in use:
            above, below = fraction(use["share"])
            # Reading: every redemption that names the order is in the sum, whatever its use.
            if (asked + (order.granted_fen if order is not None else 0)) * below > data["settlement_fen"] * above:
                return "refused", "above-share"
        counted = self.use_buckets(use, data["use"], at)
        for cap in use.get("cap", []):
            if cap["per"] == "order":
                given = order.granted.get(data["use"], 0) if order is not None else 0
            else:
                given = self.counts.get(counted[cap["per"]], 0)
            if given + points > cap["points"]:
                return "refused", "cap-full"
        if sum(self.spendable(purse) for purse in purses) < use.get("balance_at_least", 0):
            return "refused", "balance-too-small"
        if rest:
            return "refused", f"{kinds[0]}-short" if data["kind"] else "points-short"
        for key in {counted[cap["per"]] for cap in use.get("cap", []) if cap["per"] != "order"}:
            self.counts[key] = self.counts.get(key, 0) + points
        burned = [piece for purse, n in zip(purses, split, strict=True) if n for piece in self.burn(purse, n, at)]
        self.redemptions[data["redemption"]] = {"order": data["order"], "burned": burned}
        if data["order"]:
            order = self.order(data["order"])
            order.is_known = True
            order.granted_fen += asked
            order.granted[data["use"]] = order.granted.get(data["use"], 0) + points
            order.burned.extend(burned)
        return "accepted", ""

    def use_buckets(self, use: Table, name: str, at: datetime) -> dict[str, tuple[Any, ...]]:
        periods = {"day": self.book.day(at), "month": self.book.month(at), "year": self.book.year(at), "ever": 0}
        return {per: ("use", name, per, period) for per, period in periods.items()}

    def burn(self, purse: str, points: int, at: datetime) -> list[Slice]:
        burned = self.take_from_lots(purse, points)
        self.purse(purse).redeemed += points
        self.stir(purse, at)
        return burned

    def redemption_reversed(self, data: Table, at: datetime) -> Decision:
        redemption = self.redemptions.get(data["redemption"])
        hold = self.holds.get(data["redemption"], {})
        # A captured hold is found by its name where no redemption of that name has anything to give back.
        if hold.get("captured") and (redemption is None or redemption["order"] or not rest_of(redemption["burned"])):
            redemption = {"order": "", "burned": hold["captured"]}
        if redemption is None:
            return "ignored", "unknown-redemption"
        if redemption["order"]:
            return "ignored", "redemption-of-an-order"
        rest = rest_of(redemption["burned"])
        if not rest:
            return "ignored", "already"
        self.restore(redemption["burned"], rest if data["points"] is None else min(data["points"], rest), at)
        return "accepted", ""

    def hold_requested(self, data: Table, at: datetime) -> Decision:
        assert self.clock is not None
        purse, wrong = self.kind_asked(data)
        if wrong:
            return "refused", wrong
        if data["until"] <= self.clock:
            return "refused", "hold-over"
        if self.spendable(purse) < data["points"]:
            return "refused", f"{kind_of(purse)}-short"
        slices = self.take_from_lots(purse, data["points"])
        self.holds[data["hold"]] = {
            "until": data["until"],
            "open": True,
            "slices": slices,
            "captured": [],
            "ended_by": "",
        }
        return "accepted", ""

    def hold_captured(self, data: Table, at: datetime) -> Decision:
        hold = self.holds.get(data["hold"])
        if hold is None:
            return "ignored", "unknown-hold"
        if not hold["open"]:  # Reading: the same end again is told twice, another contradicts
            return "ignored", "already" if hold["ended_by"] == self.on else "hold-ended"
        hold["ended_by"] = self.on
        wanted = rest_of(hold["slices"]) if data["points"] is None else data["points"]
        for piece in hold["slices"]:
            amount = min(wanted, piece[1])
            if amount:
                piece[1] -= amount
                wanted -= amount
                self.purse(piece[0].purse).redeemed += amount
                self.stir(piece[0].purse, at)
                hold["captured"].append([piece[0], amount])
        self.release(hold)
        return "accepted", ""

    def hold_released(self, data: Table, at: datetime) -> Decision:
        hold = self.holds.get(data["hold"])
        if hold is None:
            return "ignored", "unknown-hold"
        if not hold["open"]:
            return "ignored", "already" if hold["ended_by"] == self.on else "hold-ended"
        hold["ended_by"] = self.on
        self.release(hold)
        return "accepted", ""

    def release(self, hold: Table) -> None:
        """What is left of a hold goes back, the last taken first."""
        hold["open"] = False
        for piece in reversed(hold["slices"]):
            self.make_spendable(piece[0], piece[1])
        hold["slices"] = []

    def exchange_requested(self, data: Table, at: datetime) -> Decision:
        table = self.book.tables.get("exchanges", {}).get(data["exchange"])
        if table is None:
            return "refused", "unknown-exchange"
        rates = [r for r in table["rate"] if self.book.moment(r["from"]) <= at and self.is_one(r.get("who"), at)]
        if not rates or not self.is_one(table.get("who"), at):
            return "refused", "not-entitled"
        points, rate = data["points"], rates[0]
        if points % rate["take"]:
            return "refused", "not-a-multiple"
        if self.is_hold_over(table, at):
            return "refused", "hold-over"
        counted = self.use_buckets(table, "exchange/" + data["exchange"], at)
        for cap in table.get("cap", []):
            if self.counts.get(counted[cap["per"]], 0) + points > cap["points"]:
                return "refused", "cap-full"
        if self.spendable(table["takes"]) < points:
            return "refused", f"{table['takes']}-short"
        for key in {counted[cap["per"]] for cap in table.get("cap", [])}:
            self.counts[key] = self.counts.get(key, 0) + points
        return self.settle_exchange(data, table, points // rate["take"] * rate["give"], at)

    def is_hold_over(self, table: Table, at: datetime) -> bool:
        """Whether the points of an exchange with a partner would be held for no time at all."""
        return False

    def settle_exchange(self, data: Table, table: Table, given: int, at: datetime) -> Decision:
        """Take and give what an exchange that may be made takes and gives."""
        points = data["points"]
        burned = self.burn(table["takes"], points, at)
        shares = [given * amount // points for _, amount in burned]
        order = sorted(range(len(burned)), key=lambda n: -(given * burned[n][1] % points))
        for n in order[: given - sum(shares)]:
            shares[n] += 1
        lots = []
        self.stir(table["gives"], at)
        for (lot, _), share in zip(burned, shares, strict=True):
            if share:
                ends = min(self.book.expiry(table["gives"], at), self.purse(table["takes"]).idle_end or lot.ends)
                lots.append(self.open_lot(table["gives"], "exchange." + data["exchange"], share, at, ends))
        for one in lots:
            self.aim_at(one)
        self.exchanges[data["request"]] = {"burned": burned, "lots": lots, "undone": False}
        return "accepted", ""

    def exchange_reversed(self, data: Table, at: datetime) -> Decision:
        exchange = self.exchanges.get(data["request"])
        if exchange is None:
            return "ignored", "unknown-exchange"
        if exchange["undone"]:
            return "ignored", "already"
        if any(lot.left != lot.earned for lot in exchange["lots"]):
            return "ignored", "given-spent"
        exchange["undone"] = True
        for lot in exchange["lots"]:
            self.purse(lot.purse).clawed_back += lot.left
            lot.left = 0
        self.restore(exchange["burned"], rest_of(exchange["burned"]), at)
        return "accepted", ""

    # -- cards

    def card_opened(self, data: Table, at: datetime) -> Decision:
        """Bought, or by a code."""
        if data["card"] in self.cards:
            return "ignored", "already"
        if data["product"] not in self.book.products:
            return "ignored", "unknown-product"
        spec, membership = self.book.product(data["product"]), self.book.products[data["product"]]
        if spec.get("trial"):
            return "ignored", "not-for-sale"
        self.say_who_may(spec, data, at)
        trial = self.trials.get(membership)
        if trial is not None and trial.start <= at < trial.until:
            trial.until = trial.cut = at
            if trial in self.terms[membership]:
                self.lay_anew(membership, self.terms[membership].index(trial) + 1)
        term = self.lay(membership, data["card"], data["product"], at, paid_fen=data.get("paid_fen", 0))
        if trial is not None and trial.points == "frozen":
            trial.points = "free"
            for purse in self.purses.values():
                for lot in purse.lots:
                    if lot.pending == "trial" and lot.membership == membership:
                        term.frees.append(lot)
                        self.confirm(lot)
        return "accepted", ""

    def say_who_may(self, spec: Table, data: Table, at: datetime) -> None:
        """Not for her, or another price: a purchase is a fact, so it is said and no more."""
        asked = "who_from" not in spec or self.book.moment(spec["who_from"]) <= at
        asked = asked and ("who_until" not in spec or at < self.book.moment(spec["who_until"]))
        if asked and not self.is_one(spec.get("who"), at):
            self.say("not-eligible")
        if "paid_fen" in data:
            prices = [
                price
                for price in spec.get("price", [])
                if ("from" not in price or self.book.moment(price["from"]) <= at) and self.is_one(price.get("who"), at)
            ]
            if prices and prices[0]["fen"] != data["paid_fen"]:
                self.say("price-differs")

    def trial_started(self, data: Table, at: datetime) -> Decision:
        if data["card"] in self.cards:
            return "ignored", "already"
        if data["product"] not in self.book.products:
            return "ignored", "unknown-product"
        spec, membership = self.book.product(data["product"]), self.book.products[data["product"]]
        if not spec.get("trial"):
            return "ignored", "not-a-trial"
        terms = self.terms.get(membership, [])
        if membership in self.trials or any(term.until > at for term in terms):
            return "ignored", "trial-used"
        self.say_who_may(spec, data, at)
        self.lay(membership, data["card"], data["product"], at)
        return "accepted", ""

    def is_used(self, term: Term) -> bool:
        """Whether a card gave anything: a claim, points at its rate, a right of a line that is not back whole."""
        rights = [line for order in self.orders.values() for line in order.lines.values() if term in line.right_terms]
        return term.claims > 0 or term.capped > 0 or any(not line.is_back for line in rights)

    def card_refunded(self, data: Table, at: datetime) -> Decision:
        term = self.cards.get(data["card"])
        if term is None or term.is_free:
            return "ignored", "unknown-card"
        if term.is_refunded:
            return "ignored", "already"
        if term.until <= at:
            return "ignored", "card-ended"
        if data["refund_fen"] > term.paid_fen:
            self.say("refund-above-price")
        rule = term.spec.get("refund", {})
        is_late = "within_days" in rule and at - term.opened > timedelta(days=rule["within_days"])
        if is_late or (rule.get("unused") and self.is_used(term)):
            self.say("refund-not-due")
        term.is_refunded = True
        self.end_term(term, at)
        if term.spec.get("on_refund", "keep") == "claw-back" and 0 < term.paid_fen <= data["refund_fen"]:
            self.take_card_back(term, Cash(data["refund_fen"]))
        return "accepted", ""

    def end_term(self, term: Term, at: datetime) -> None:
        """A term ends now, and those behind it move up; one that has not begun is taken out."""
        terms = self.terms[term.membership]
        number = terms.index(term)
        if term.start <= at:
            term.until = term.cut = at
            self.lay_anew(term.membership, number + 1)
        else:
            term.until = term.start
            del terms[number]
            self.lay_anew(term.membership, number)

    def take_card_back(self, term: Term, cash: Cash) -> None:
        """Refunded whole: its lines count at the ordinary rate, and what it released from the trial is frozen again."""
        assert self.clock is not None
        term.is_taken_back = True
        claims: list[tuple[tuple[int, int], Lot, Award | None, Line | None, int]] = []
        lines = [line for order in self.orders.values() for line in order.lines.values()]
        pairs = [(line, award) for line in lines for award in line.awards if award.purse]
        trial = self.trials.get(term.membership)
        if trial is not None and term.frees:
            bought = [t for t in self.terms[term.membership] if not t.is_trial and not t.is_refunded and not t.is_free]
            others = [t for t in bought if t.opened >= trial.opened]
            if others:
                others[0].frees = others[0].frees + term.frees
            else:
                trial.points = "frozen"
                for lot in term.frees:
                    on_hold = self.on_hold(lot)
                    for _, award in pairs:
                        if any(of is lot for of, _ in award.lots):
                            spent = award.held - lot.left - on_hold - lot.expired - lot.forfeited
                            if spent > 0:
                                award.held -= spent
                                award.lots = [[of, n - spent if of is lot else n] for of, n in award.lots]
                                claims.append((place_of(lot), lot, None, None, spent))
                    if lot.left > 0 or on_hold > 0:
                        lot.pending, lot.membership, lot.gone = "trial", term.membership, False
                if self.trial_over(trial) <= self.clock:
                    self.trial_lapses(trial)
            term.frees = []
        for line, award in pairs:
            if award.term is term:
                claims.append((place_of(award.lots[0][0]), award.lots[0][0], award, line, 0))
        for _, lot, award_, line_, spent in sorted(claims, key=lambda claim: claim[0]):
            if award_ is None or line_ is None:
                short = self.take_away(lot.purse, spent)[1]
                if short:
                    self.fall_short(lot.purse, short, cash)
                continue
            award_.given = max(0, (award_.ordinary or 0) - award_.less)
            self.take_back(award_, self.keeps(line_, award_), cash)

    # -- benefits

    def quota_names(self, table: Table, product: str) -> bool:
        quota = table.get("quota")
        return not isinstance(quota, dict) or product in quota

    def offer(self, table: Table, product: str, at: datetime, shop: str) -> tuple[bool, int | None]:
        """Whether a benefit is for her, and how often (None: without a limit)."""
        quota = table.get("quota")
        fits = self.is_one(table.get("who"), at, shop) and self.can_pay(table, at, shop)
        if isinstance(quota, dict):
            return fits, quota.get(product, 0)
        if isinstance(quota, list):
            found = next((one["times"] for one in quota if self.is_one(one.get("who"), at, shop)), None)
            return fits and found is not None, found or 0
        return fits, quota

    def can_pay(self, table: Table, at: datetime, shop: str) -> bool:
        prices = table.get("price", [])
        return not prices or any(self.is_one(one.get("who"), at, shop) for one in prices)

    def is_by_shop(self, table: Table) -> bool:
        """Whether its `who` or quota asks a score that is kept for each shop."""
        quota = table.get("quota")
        entries = quota if isinstance(quota, list) else []
        asked = [*asks_scores(table.get("who")), *(s for one in entries for s in asks_scores(one.get("who")))]
        return any(self.book.scores.get(score, {}).get("each") for score in asked)

    def counted_by(self, name: str, table: Table, term: Term | None, at: datetime, shop: str) -> tuple[Any, ...]:
        """What a claim is counted by."""
        per = table.get("per", "term")
        scope = shop if self.is_by_shop(table) else term.card if term is not None and per != "ever" else ""
        period: Any = 0
        if per == "day":
            period = self.book.day(at)
        elif per in ("month", "year"):
            period = self.book.month(at) if per == "month" else self.book.year(at)
        elif per == "days":
            origin = term.start if term is not None else self.books[0].begins
            period = (at - origin) // timedelta(days=table["days"])
        return "benefit", name, scope, per, period

    def is_open(self, table: Table, at: datetime) -> bool:
        opening, wall = table.get("open", {}), self.book.local(at)
        if "days_of_month" in opening and not opening["days_of_month"][0] <= wall.day <= opening["days_of_month"][1]:
            return False
        if "month_of" in opening:
            told = self.attribute(opening["month_of"])
            if told is None or int(told[:2]) != wall.month:
                return False
        if "from" in opening and at < self.book.moment(opening["from"]):
            return False
        return "until" not in opening or at < self.book.moment(opening["until"])

    def benefit_claimed(self, data: Table, at: datetime) -> Decision:
        name, shop, sent_to = data["benefit"], data["shop"], self.acting
        table, membership = self.book.benefit(name)
        if table is None:
            return "refused", "unknown-benefit"
        order = self.orders.get(data["order"]) if data["order"] else None
        if table.get("returns_with_order") and order is not None and order.end in ("cancelled", "rejected"):
            return "refused", "order-ended"
        term, line, house = None, None, ""
        if table.get("of") == "line":
            line = order.lines.get(data["line"]) if order is not None else None
            if line is None:
                return "refused", "line-not-completed"
            if table.get("at", "completion") == "completion":
                if name not in line.rights:
                    return "refused", "no-right"
                if at >= line.rights[name]:
                    return "refused", "right-over"
            else:
                if not meets(table.get("when", {}), asked_of(line.order, line)):
                    return "refused", "no-right"
                if "days" in table and at >= line.at + timedelta(days=table["days"]):
                    return "refused", "right-over"
            if line.is_back:
                return "refused", "line-returned"
        if membership and (line is None or table.get("at") == "claim"):
            term, house = self.holder(name, table, membership, at)
            if term is None:
                return "refused", "no-membership"
            if not self.quota_names(table, term.product):
                return "refused", "not-in-card"
        if line is not None and table.get("at", "completion") == "completion":
            quota = table.get("quota")
            if isinstance(quota, dict):
                product = next(t.product for t in line.right_terms if t.membership == membership)
                quota = quota[product]
            elif isinstance(quota, list):
                quota = self.offer(table | {"who": None}, "", at, shop)[1]
                if quota is None:
                    return "refused", "not-entitled"
            if not self.can_pay(table, at, shop):
                return "refused", "not-entitled"
        else:
            fits, quota = self.offer(table, term.product if term is not None else "", at, shop)
            if not fits or (self.is_by_shop(table) and not shop):
                return "refused", "not-entitled"
        if not self.is_open(table, at):
            return "refused", "not-open"
        counted = self.counted_by(name, table, term, at, shop)
        if quota is not None and not house:
            used = line.claims.get(name, 0) if line is not None else self.counts.get(counted, 0)
            if used >= quota:
                return "refused", "quota-used"
        prices = [one for one in table.get("price", []) if self.is_one(one.get("who"), at, shop)]
        price: tuple[str, int] | None = None
        if prices:
            purse = self.purse_name(prices[0]["kind"], shop)
            if not purse:
                return "refused", "shop-missing"
            if self.spendable(purse) < prices[0]["points"]:
                return "refused", f"{prices[0]['kind']}-short"
            price = purse, prices[0]["points"]
        claim = Claim(counted, term, (line, name) if line is not None else None, [], [], [], "", house=house)
        claim.quota = quota
        self.count_claim(claim, 1)
        self.claims[data["claim"]] = claim
        if table.get("returns_with_order") and data["order"]:
            acting, self.acting = self.acting, sent_to
            self.order(data["order"]).claims.append(data["claim"])
            self.acting = acting
        return self.settle_claim(data, claim, table, price, at)

    def settle_claim(
        self, data: Table, claim: Claim, table: Table, price: tuple[str, int] | None, at: datetime
    ) -> Decision:
        """Pay for a claim that may be made, and be given what it gives."""
        if price is not None:
            claim.burned = self.burn(*price, at)
        self.give_claim(data, claim, table, at)
        return "accepted", ""

    def give_claim(self, data: Table, claim: Claim, table: Table, at: datetime) -> None:
        """What a claim gives, and what the rules on claims give for it."""
        self.hand_over(data["claim"], claim, data["benefit"], table, at, data["shop"])
        asking = self.asking_of(self.on, data, at, None)
        for rule in self.book.awards:
            if rule["on"] == self.on:
                award = self.give(rule, asking, None, set())
                if award is not None:
                    claim.awards.append(award)

    def hand_over(self, claim_id: str, claim: Claim, name: str, table: Table, at: datetime, shop: str) -> None:
        """What a claim gives."""
        assert self.clock is not None
        for gift in table.get("gives", []):
            if "opens" in gift:
                membership = self.book.products[gift["opens"]]
                card = f"claim/{claim_id}/{membership}" if claim.cards else f"claim/{claim_id}"
                claim.cards.append(self.lay(membership, card, gift["opens"], at, is_free=True))
            elif "kind" in gift:
                purse = self.purse_name(gift["kind"], shop)
                if not purse:
                    continue
                ends = at + timedelta(days=gift["days"]) if "days" in gift else None
                self.stir(purse, at)
                lot = self.open_lot(purse, f"benefit.{name}", gift["points"], at, ends)
                self.aim_at(lot)
                claim.lots.append([lot, gift["points"]])
            else:
                until = at + timedelta(days=gift["days"])
                if until > self.clock:
                    claim.grant = f"claim/{claim_id}"
                    self.grants[claim.grant] = Grant(gift["score"], gift["tier"], until)
                    self.place(gift["score"], self.clock, by_item=False)  # what is granted is not reached

    def count_claim(self, claim: Claim, by: int) -> None:
        """Count a claim (1), or no more (-1): one that a house counts counts nowhere here."""
        if claim.house:
            return
        if claim.line is not None:
            line, name = claim.line
            line.claims[name] = line.claims.get(name, 0) + by
        else:
            self.counts[claim.counted] = self.counts.get(claim.counted, 0) + by
        if claim.term is not None:
            claim.term.claims += by

    def benefit_returned(self, data: Table, at: datetime) -> Decision:
        claim = self.claims.get(data["claim"])
        if claim is None:
            return "ignored", "unknown-claim"
        if claim.is_returned:
            return "ignored", "already"
        self.give_claim_back(data["claim"], at)
        return "accepted", ""

    def give_claim_back(self, claim_id: str, at: datetime) -> None:
        """Undo a claim: its points to their lots first, then what it gave, then cards and the tier."""
        claim = self.claims[claim_id]
        claim.is_returned = True
        self.count_claim(claim, -1)
        self.restore(claim.burned, rest_of(claim.burned), at)
        for piece in claim.lots:
            points, piece[1] = piece[1], 0
            award = self.aimed[piece[0]]
            self.claw_back_of(piece[0], min(points, award.held), Cash())
            award.held = 0
        for award in claim.awards:
            if award.ages:
                self.take_back(award, 0, Cash())
        for term in claim.cards:
            if term.until > at and term in self.terms[term.membership]:
                self.end_term(term, at)
        if claim.grant and not self.grants[claim.grant].is_over:
            assert self.clock is not None
            self.grants[claim.grant].is_over = True
            self.place(self.grants[claim.grant].score, self.clock, by_item=False)

    # -- what is decided

    def begin_entry(self, at: datetime) -> None:
        """Let an entry begin, with what is due by its instant."""
        self.entries += 1
        self.opened_lots, self.note = 0, ""
        self.run_to(at if self.clock is None else max(self.clock, at))

    def say(self, note: str) -> None:
        """Of several notes the first stays."""
        self.note = self.note or note

    def take(self, fact: Table, on: str, data: Table, at: datetime, *, is_stale: bool) -> Decision:
        """Decide a fact that is new and not too late."""
        if on in REQUESTS:
            reason = self.objection(on, data, is_stale=is_stale)
            if reason:
                return "ignored" if reason == "already" else "refused", reason
        elif self.is_closed and on not in COUNT_WHEN_CLOSED:
            return "ignored", "account-closed"
        return self.decide(on, data, at)

    def objection(self, on: str, data: Table, *, is_stale: bool) -> str:
        """What stands against any request: asked before, too old, or the account closed or frozen."""
        field, known = self.asked_before(on)
        if data[field] in known:
            return "already"
        if is_stale:
            return "stale"
        if self.is_closed:
            return "account-closed"
        return "account-frozen" if self.is_frozen else ""

    def asked_before(self, on: str) -> tuple[str, Any]:
        """The field that names a request of a type, and the names there were."""
        found: tuple[str, Any] = {
            "redemption.requested": ("redemption", self.redemptions),
            "hold.requested": ("hold", self.holds),
            "benefit.claimed": ("claim", self.claims),
            "exchange.requested": ("request", self.exchanges),
        }[on]
        return found

    def handler(self, on: str) -> Callable[[Table, datetime], Decision]:
        """What decides facts of a type."""
        return partial(HANDLERS[on], self)

    def decide(self, on: str, data: Table, at: datetime) -> Decision:
        """Decide a fact that nothing stands against."""
        self.on = on
        self.verdicts, self.moved = {}, set()
        asking = self.asking_of(on, data, at, None)
        if on == "member.signed-in" and data["day"]:
            asking.day = date.fromisoformat(data["day"]).toordinal()
        if on == "card.purchased":
            asking.fen = data["paid_fen"]
        self.judge(asking)
        outcome, reason = self.handler(on)(data, at)
        if outcome == "accepted":
            if on not in ASKED_WITHIN:
                self.ask(asking)
            if on != "activity.done":
                self.penalise(asking)
            self.book = self.version_at(self.clock)
            self.settle(by_item=on not in ("tier.granted", "tier.withdrawn"))
        return outcome, reason or self.note

    # -- what is shown

    def text(self, at: datetime) -> str:
        return at.astimezone(self.book.zone).isoformat()

    def show(self, at: datetime) -> Table:
        """What she has at her clock."""
        keyed = {name for name, table in self.book.kinds.items() if table.get("each")}
        kinds = [name for name in self.book.kinds if name not in keyed]
        kinds += [name for name in self.purses if name not in self.book.kinds]
        scores = [name for name, table in self.book.scores.items() if not table.get("each")]
        return {
            "entries": self.entries,
            "frozen": self.is_frozen,
            "points": {name: self.show_purse(name) for name in kinds},
            "scores": {name: self.show_score(name, at) for name in scores} | self.show_shops(at),
            "memberships": {
                name: self.show_membership(name, at) for name in self.book.memberships if self.terms.get(name)
            },
            "benefits": {
                name: self.show_benefit(name, table, at)
                for name, table in self.book.tables.get("benefits", {}).items()
                if table.get("of") != "line" and not self.is_by_shop(table)
            },
        }

    def show_purse(self, name: str) -> Table:
        purse = self.purses.get(name, Purse())
        lots = sorted((lot for lot in purse.lots if lot.left), key=self.end_of)
        return {
            "spendable": self.spendable(name),
            "pending": self.pending(name),
            "held": self.held(name),
            "debt": purse.debt,
            "lots": [self.show_lot(lot) for lot in lots],
        }

    def show_lot(self, lot: Lot) -> Table:
        end = self.end_of(lot)
        shown = {
            "entry": lot.entry,
            "rule": lot.rule,
            "earned": lot.earned,
            "left": lot.left,
            "earned_at": self.text(lot.earned_at),
            "expires_at": None if end >= NEVER else self.text(end),
        }
        if lot.pending == "pool":
            shown |= {"pending": True}
        elif lot.pending:
            shown |= {"pending": True, "pending_until": self.text(self.pending_until(lot))}
        return shown

    def show_score(self, key: str, at: datetime) -> Table:
        parts = dict.fromkeys(self.score_table(key)["parts"], 0)
        for part, points in self.counted(key, at):
            parts[part] = parts.get(part, 0) + points
        month = self.book.month(at)
        table = self.score_table(key)
        if table.get("settle", "monthly") == "monthly":
            month = self.score_month(key, at)
        tier = self.tier(key)
        shown = {
            "value": self.value(key, at),
            "tier": tier,
            "month": f"{month // 12:04d}-{month % 12 + 1:02d}",
            "parts": parts,
        }
        held = self.tier_holds.get(key, {}).get(tier)
        if held is not None:
            shown["held_until"] = self.text(held.until)
        granted = [g.until for g in self.grants.values() if (g.score, g.tier) == (key, tier) and not g.is_over]
        if granted:
            shown["granted_until"] = self.text(max(granted))
        return shown

    def show_shops(self, at: datetime) -> Table:
        shown = {}
        for name, table in self.book.scores.items():
            if table.get("each"):
                keys = [key for key in self.items if key.partition("@")[0] == name]
                if table.get("joined"):
                    keys = [f"{name}@{shop}" for shop in self.joined]
                shown |= {key: self.show_score(key, at) for key in keys}
        return shown

    def show_membership(self, name: str, at: datetime) -> Table:
        begun = [term for term in self.terms[name] if term.start <= at]
        term, state = self.term_at(name, at), "active"
        if term is None:
            term, state = self.term_in_grace(name, at), "grace"
        elif term.is_trial:
            state = "trial"
        quotas = {}
        if term is None:
            # Reading: the last that has begun; of terms with a gap between them one may still be to come.
            term, state = (begun or self.terms[name])[-1 if begun else 0], "ended"
        else:
            for label, table in self.book.memberships[name].get("benefits", {}).items():
                if table.get("of") == "line" or self.is_by_shop(table) or not self.quota_names(table, term.product):
                    continue
                fits, quota = self.offer(table, term.product, at, "")
                if fits and quota is not None:
                    used = self.counts.get(self.counted_by(label, table, term, at, ""), 0)
                    quotas[label] = max(quota - used, 0)
        return {
            "state": state,
            "product": term.product,
            "from": self.text(term.start),
            "until": self.text(term.until),
            "quotas": quotas,
        }

    def show_benefit(self, name: str, table: Table, at: datetime) -> Table:
        fits, quota = self.offer(table, "", at, "")
        used = self.counts.get(self.counted_by(name, table, None, at, ""), 0)
        left = None if quota is None else max(quota - used, 0)
        return {"left": left, "entitled": fits, "open": self.is_open(table, at)}

    def totals(self, name: str) -> dict[str, int]:
        """The figures of one kind."""
        purse = self.purses.get(name, Purse())
        return {
            "issued": purse.issued,
            "spendable": self.spendable(name),
            "pending": self.pending(name),
            "held": self.held(name),
            "redeemed": purse.redeemed,
            "expired": purse.expired,
            "clawed_back": purse.clawed_back,
            "forfeited": purse.forfeited,
            "debt": purse.debt,
            "cash_shortfall_fen": purse.cash_shortfall_fen,
            "written_off": purse.written_off,
            "gone": purse.gone,
            "come": purse.come,
        }


FROM = ("from_in_month", "from_in_year")


def rest_of(burned: list[Slice]) -> int:
    """What is left of what was burned."""
    return sum(amount for _, amount in burned)


def place_of(lot: Lot) -> tuple[int, int]:
    """Where a lot stands among all."""
    entry, _, number = lot.name.rpartition(":")[2].partition(".")
    return int(entry), int(number)


def is_of_type(wanted: str, value: Any) -> bool:
    """Whether a value can be one of an attribute of this type."""
    if wanted == "number":
        return isinstance(value, int) and not isinstance(value, bool)
    if not isinstance(value, str):
        return False
    if wanted == "text":
        return True
    month, _, day = value.partition("-")
    if len(month) != 2 or not month.isdigit() or not 1 <= int(month) <= 12:
        return False
    return value == month or (len(day) == 2 and day.isdigit() and 1 <= int(day) <= monthrange(2024, int(month))[1])


HANDLERS: dict[str, Callable[[Member, Table, datetime], Decision]] = {
    "order.paid": Member.order_paid,
    "order.completed": Member.order_completed,
    "order.amended": Member.order_amended,
    "order.cancelled": Member.order_cancelled,
    "order.returned": Member.order_returned,
    "order.rejected": Member.order_rejected,
    "review.posted": Member.review_posted,
    "review.removed": Member.review_removed,
    "question.answered": Member.own_id,
    "item.shared": Member.own_id,
    "member.signed-in": Member.nothing,
    "shop.visited": Member.nothing,
    "campaign.granted": Member.campaign_granted,
    "identity.verified": Member.nothing,
    "wechat.bound": Member.nothing,
    "qq.bound": Member.nothing,
    "profile.completed": Member.nothing,
    "credit.scored": Member.credit_scored,
    "reputation.rated": Member.reputation_rated,
    "member.described": Member.member_described,
    "member.joined": Member.own_id,
    "activity.done": Member.activity_done,
    "activity.undone": Member.activity_undone,
    "redemption.requested": Member.redemption_requested,
    "redemption.reversed": Member.redemption_reversed,
    "hold.requested": Member.hold_requested,
    "hold.captured": Member.hold_captured,
    "hold.released": Member.hold_released,
    "points.claimed": Member.points_claimed,
    "exchange.requested": Member.exchange_requested,
    "exchange.reversed": Member.exchange_reversed,
    "card.purchased": Member.card_opened,
    "card.code-redeemed": Member.card_opened,
    "card.trial-started": Member.trial_started,
    "card.refunded": Member.card_refunded,
    "benefit.claimed": Member.benefit_claimed,
    "benefit.returned": Member.benefit_returned,
    "points.adjusted": Member.points_adjusted,
    "account.frozen": Member.account_frozen,
    "account.unfrozen": Member.account_unfrozen,
    "account.closed": Member.account_closed,
    "account.reopened": Member.account_reopened,
    "tier.granted": Member.tier_granted,
    "tier.withdrawn": Member.tier_withdrawn,
    "lot.opened": Member.lot_opened,
}


class Oracle:
    """Takes facts one by one; answers `show` and `totals` at instants not before what it has seen."""

    def __init__(self, *tomls: str, request_max_age: int | None = 86_400) -> None:
        self.books = books_of(tomls)
        self.request_max_age = request_max_age
        self.members: dict[str, Member] = {}

    def take(self, fact: Table, recorded: datetime | None = None) -> Decision:
        """The outcome and the reason, or of what is accepted the note."""
        on = fact["type"].removesuffix(".v1")
        if on in OPERATOR_FACTS and fact["source"] != OPERATORS:
            return "parked", "not-authorised"
        data, at = complete(fact.get("data", {}), FIELDS[on]), instant(fact["time"])
        m = self.members.setdefault(fact["subject"], self.new_member(fact["subject"]))
        m.begin_entry(at)
        outcome, reason = self.decide(m, fact, on, data, at, recorded or at)
        assert m.clock is not None
        m.run_to(m.clock)  # what a late fact brought may be due already
        return outcome, reason

    def new_member(self, name: str) -> Member:
        """A member of whom nothing is known."""
        return Member(name, self.books)

    def decide(self, m: Member, fact: Table, on: str, data: Table, at: datetime, recorded: datetime) -> Decision:
        name, content = (fact["source"], fact["id"]), (on, at, data)
        if name in m.facts:
            return "ignored", "duplicate" if m.facts[name] == content else "conflict"
        m.facts[name] = content
        assert m.clock is not None
        no = "refused" if on in REQUESTS else "ignored"
        begun = [book for book in self.books if book.begins <= at]
        if not begun:
            return no, "no-programme"
        m.book = begun[-1]  # what occurred is decided by the version of then
        if m.clock - at > m.book.late:
            return no, "too-late"
        is_stale = self.request_max_age is not None and recorded - at > timedelta(seconds=self.request_max_age)
        return m.take(fact, on, data, at, is_stale=is_stale)

    def show(self, member: str, as_of: datetime) -> Table:
        """What a member has at an instant."""
        return self.members[member].copy_at(as_of).show(as_of)

    def totals(self, member: str, as_of: datetime, kind: str) -> dict[str, int]:
        """The figures of one of a member's kinds at an instant."""
        return self.members[member].copy_at(as_of).totals(kind)
