"""A rule book as data: the tables and keys of its TOML, with their types and bounds.

A ledger has one book of dated versions. A version is named by the SHA-256 of its text, pinned to each entry it decides.
"""

from datetime import date, datetime
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from ledger.errors import Unusable
from ledger.wire.facts import KIND_LEFT_OUT
from ledger.wire.times import SECOND, TimeZone, Zone, instant_at, to_instant

_Points = Annotated[int, Meta(ge=1, le=1 << 40)]
_Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]
_Small = Annotated[int, Meta(ge=1, le=1 << 20)]
_Days = Annotated[int, Meta(ge=1, le=40_000)]
_Months = Annotated[int, Meta(ge=1, le=1200)]
_Offset = Annotated[str, Meta(pattern=r"^[+-](0[0-9]|1[0-5]):[0-5][0-9](:[0-5][0-9])?$")]
_Label = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9.-]*$")]
_Text = Annotated[str, Meta(max_length=400)]
# When something begins or ends: a date, which is its midnight in the book's zone, or an instant; in TOML no text.
Moment = Annotated[str, Meta(min_length=10, max_length=40)]
MAX_SEATS = 500  # of a house: whatever moves its terms is told to each
_Lease = Annotated[int, Meta(ge=1, le=1 << 30)]
_Times = Annotated[int, Meta(ge=0, le=1 << 30)]
_Day = Annotated[int, Meta(ge=1, le=31)]
_ZoneName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$")]


DIVIDER = "\f"  # between the texts of several rule books that are one version; no TOML may hold it
AT_SHOP = "@"  # between a kind or score and the shop that it is kept for: shop-points@shop-a


class BadProgramme(Unusable):
    """A rule book that cannot be used: the message names the file, the table and the key, and what is wanted."""


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Expiry(_Table, frozen=True):
    """How points earned from a date on expire: exactly one key besides `from` says it."""

    from_: date = field(name="from")
    days: _Days | None = None
    end_of_year_after: Annotated[int, Meta(ge=0, le=100)] | None = None
    months: _Months | None = None
    end_of_month_after: Annotated[int, Meta(ge=0, le=1200)] | None = None
    never: bool = False
    idle_days: _Days | None = None  # after the last earning or spending of the kind, for all its lots at once


class Kind(_Table, frozen=True):
    """A spendable currency; `fen` is what one point is worth."""

    name: _Text
    expiry: Annotated[tuple[Expiry, ...], Meta(min_length=1, max_length=100)]
    fen: _Points = 1
    burn: Literal["soonest-expiring", "oldest"] = "soonest-expiring"
    shortfall: Literal["cash", "debt", "clamp"] = "debt"
    each: Literal["shop"] | None = None  # a purse for each shop


class Tier(_Table, frozen=True):
    """A tier of a score: its name, and the value that it begins at; `invited`: it takes an invitation besides."""

    at_least: Annotated[int, Meta(ge=-(1 << 62), le=1 << 62)]
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    invited: bool = False


class TierHolding(_Table, frozen=True):
    """How long a tier that was reached does not fall by ageing: days, or to the end of a year after that year."""

    days: _Days | None = None
    end_of_year_after: Annotated[int, Meta(ge=0, le=100)] | None = None


class Score(_Table, frozen=True):
    """A number that ranks members and is never spent: its parts, what time it counts, and when its tiers move."""

    name: _Text
    parts: dict[_Label, _Text]
    settle: Literal["monthly", "daily", "at-once"] = "monthly"
    settle_day: Annotated[int, Meta(ge=1, le=28)] | None = None
    months: Annotated[int, Meta(ge=1, le=120)] | None = field(name="window_months", default=None)
    window_days: Annotated[int, Meta(ge=1, le=4000)] | None = None
    window: Literal["life", "year"] | None = None
    hold: TierHolding | None = None
    deduct: dict[str, Annotated[int, Meta(ge=0, le=1 << 40)]] | None = None
    down: Literal["replace", "step"] = "replace"
    tiers: Annotated[tuple[Tier, ...], Meta(max_length=100)] = ()
    one_star_limit: int | None = None
    each: Literal["shop"] | None = None  # a sum and a tier for each shop
    joined: bool = False  # nothing before the member joined that shop

    @property
    def window_months(self) -> int:
        """The whole months that a window of months counts."""
        return self.months or 12

    @property
    def limits(self) -> tuple[tuple[str, int, int], ...]:
        """By an attribute of the member: its name, the value that limits the score, and the most that it then is."""
        return () if self.one_star_limit is None else (("stars", 1, self.one_star_limit),)


class Condition(_Table, frozen=True):
    """What one field of a fact or line must be; all that is given must hold."""

    at_least: int | None = None
    at_most: int | None = None
    in_: tuple[str | bool, ...] | None = field(name="in", default=None)
    not_in: tuple[str | bool, ...] | None = None
    has: str | None = None  # for tags


class CardCondition(_Table, frozen=True):
    """What the card of a membership must be at an instant: held (or not), and of which product."""

    active: bool | None = None
    in_: tuple[_Label, ...] | None = field(name="in", default=None)
    not_in: tuple[_Label, ...] | None = None


class Who(_Table, frozen=True):
    """Conditions on the member: all tables and all names in them must hold, of `any` one."""

    score: dict[_Label, Condition] = field(default_factory=dict)
    tier: dict[_Label, Condition] = field(default_factory=dict)
    card: dict[_Label, CardCondition] = field(default_factory=dict)
    attribute: dict[_Label, Condition] = field(default_factory=dict)
    any_: Annotated[tuple["Who", ...], Meta(max_length=100)] = field(name="any", default=())


class Price(_Table, frozen=True):
    """What a card costs from a date on, to whom the conditions hold for."""

    fen: Annotated[int, Meta(ge=0, le=1 << 53)]
    from_: Moment | None = field(name="from", default=None)
    who: Who | None = None


class CardRefund(_Table, frozen=True):
    """When money back for a card is due: so many days after it was bought, and unused."""

    within_days: _Days | None = None
    unused: bool = False


class Product(_Table, frozen=True):
    """A card of a membership: a term of days, or of months or years by the calendar."""

    days: _Days | None = None
    cap: _Points | None = None  # points a term at the membership's rate
    trial: bool = False
    fill: bool = False  # the line that meets the cap takes what is left of it
    months: _Months | None = None
    years: Annotated[int, Meta(ge=1, le=100)] | None = None
    upgrades: tuple[_Label, ...] = ()  # products whose running term ends where this one is bought
    grace_days: Annotated[int, Meta(ge=0, le=4000)] = 0
    price: Annotated[tuple[Price, ...], Meta(max_length=100)] = ()
    who: Who | None = None  # who may open it
    refund: CardRefund | None = None
    on_refund: Literal["keep", "claw-back"] = "keep"  # what becomes of what it gave where it is refunded whole
    who_from: Moment | None = None  # when who may open it begins to be asked
    who_until: Moment | None = None  # and ends
    seats: Annotated[int, Meta(ge=1, le=MAX_SEATS)] | None = None  # members that a house may seat through it

    @property
    def calendar_months(self) -> int:
        """The months of a term by the calendar; 0 for a term of days."""
        return (self.months or 0) + 12 * (self.years or 0)


class Allowance(_Table, frozen=True):
    """How often a benefit is given to whom the conditions hold for."""

    times: _Times
    who: Who | None = None


class Opening(_Table, frozen=True):
    """When a benefit may be claimed: all that is given must hold."""

    days_of_month: tuple[_Day, _Day] | None = None  # both included
    month_of: _Label | None = None  # an attribute of the member that is a month and day
    from_: Moment | None = field(name="from", default=None)
    until: Moment | None = None


class BenefitPrice(_Table, frozen=True):
    """Points that a claim burns, of whom the conditions hold for."""

    kind: _Label
    points: _Points
    who: Who | None = None


class Gift(_Table, frozen=True):
    """What a claim gives: points of a kind, a card of a product, or a tier of a score for some days."""

    kind: _Label | None = None
    points: _Points | None = None
    days: _Days | None = None
    opens: _Label | None = None
    score: _Label | None = None
    tier: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class Saving(_Table, frozen=True):
    """What a claim saves the member in fen, or which share of `list_fen` a line that names the benefit."""

    fen: Annotated[int, Meta(ge=1, le=1 << 53)] | None = None
    share: Annotated[str, Meta(pattern=r"^[0-9]{1,6}/[1-9][0-9]{0,5}$")] | None = None


class Worth(_Table, frozen=True):
    """What a benefit is worth that saves nothing by itself, such as a delay of payment: so much for so many days."""

    days: _Days
    fen: Annotated[int, Meta(ge=1, le=1 << 53)]


class Benefit(_Table, frozen=True):
    """A benefit of a membership, or one that stands by itself; with no `quota` it is given without a limit.

    A quota by product is of a membership's benefit, and none is left where the card's product is not named.
    """

    name: _Text
    quota: (
        dict[_Label, _Times] | _Times | Annotated[tuple[Allowance, ...], Meta(min_length=1, max_length=100)] | None
    ) = None
    per: Literal["term", "day", "month", "year", "ever", "line", "days"] | None = None
    returns_with_order: bool = False  # a claim for an order that is cancelled or rejected comes back
    who: Who | None = None
    open_: Opening | None = field(name="open", default=None)
    price: Annotated[tuple[BenefitPrice, ...], Meta(max_length=100)] = ()
    gives: Annotated[tuple[Gift, ...], Meta(max_length=100)] = ()
    of: Literal["line"] | None = None  # a right of each line of an order that completes
    days: _Days | None = None  # how long the right of a line lasts, or the pieces of per = "days"
    when: dict[str, Condition] = field(default_factory=dict)  # which lines have the right
    at: Literal["completion", "claim"] = "completion"  # when a line's right is judged
    saves: Saving | None = None
    value: Worth | None = None
    text: _Text = ""
    stock: _Points | None = None  # of all members together
    stock_per: Literal["ever", "month"] | None = None
    refill: bool = False  # a claim that comes back gives its piece back to the stock
    lease: _Lease | None = None  # pieces that each partition takes of the stock at once

    @property
    def counts_by(self) -> str:
        """What its quota counts by."""
        return self.per or ("line" if self.of is not None else "term")


class Membership(_Table, frozen=True):
    """A membership: its cards and benefits; points frozen in a trial wait `release_days` after its end."""

    name: _Text
    products: dict[_Label, Product]
    benefits: dict[_Label, Benefit] = field(default_factory=dict)
    release_days: Annotated[int, Meta(ge=0, le=4000)] = 30


class Attribute(_Table, frozen=True):
    """What may be told of a member: texts (of `values` alone, where they are given), numbers, or a month and day."""

    name: _Text
    type: Literal["text", "number", "month-day"] = "text"
    values: Annotated[tuple[_Text, ...], Meta(min_length=1, max_length=1000)] | None = None


class Step(_Table, frozen=True):
    """Points from an amount on."""

    at_least_fen: int
    points: _Points


class Give(_Table, frozen=True):
    """`points`, or `points` per `per_count`, or per `per_fen` of an amount floored to `floor_fen`, or steps."""

    points: _Points | None = None
    per_fen: _Points | None = None
    per_count: _Points | None = None
    floor_fen: _Points = 1
    steps: tuple[Step, ...] = ()


class Cap(_Table, frozen=True):
    """The most points that a rule gives in a bucket; `each` makes a bucket for each value of a field."""

    per: Literal["line", "order", "day", "month", "year", "ever", "term"]
    points: _Points
    each: Literal["category", "shop", "sku"] | None = None


class Times(_Table, frozen=True):
    """A multiplier of what a rule gives, while its dates and conditions hold."""

    by: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,5}(/[1-9][0-9]{0,5})?$")]
    who: Who | None = None
    when: dict[str, Condition] = field(default_factory=dict)
    from_: Moment | None = field(name="from", default=None)
    until: Moment | None = None


class Pending(_Table, frozen=True):
    """How long what a rule gives is frozen: until it is claimed, or until it becomes spendable by itself."""

    claim_days: _Days | None = None
    days: _Days | None = None
    day_of_next_month: Annotated[int, Meta(ge=1, le=28)] | None = None


class Award(_Table, frozen=True):
    """What a fact gives: points of a kind, or an item of a score's part."""

    rule: _Label
    name: _Text
    on: _Label  # a type of fact, as `fact_catalogue` has it
    give: Give = Give()
    text: _Text = ""
    from_: Moment | None = field(name="from", default=None)
    until: Moment | None = None
    each: Literal["line", "fact"] = "fact"
    kind: _Label | None = None
    score: _Label | None = None
    part: _Label | None = None
    member: _Label | None = None
    who: Who | None = None
    instead_of: _Label | None = None
    when: dict[str, Condition] = field(default_factory=dict)
    rates: dict[str, Annotated[int, Meta(ge=0, le=10_000)]] = field(default_factory=dict)
    times: Annotated[tuple[Times, ...], Meta(max_length=100)] = ()
    pending: Pending | None = None
    cap: tuple[Cap, ...] = ()
    first: Literal["category"] | None = None
    days_in_month: Annotated[int, Meta(ge=1, le=31)] | None = None
    each_day: Literal["shop"] | None = None
    within_days: _Days | None = None
    once: bool = False
    unless_returned: bool = False  # nothing for a line of which every piece came back
    opens: _Label | None = None  # a card of this product, instead of points
    campaign: _Label | None = None  # whose budget the points are drawn from
    returns: bool = True  # a return takes it back (of awards to lines)


class Campaign(_Table, frozen=True):
    """A budget of points for all members together, first come first served; rules that name it draw from it."""

    name: _Text
    kind: _Label
    budget: _Points
    each_member: _Points | None = None  # the most that one member is given
    from_: Moment | None = field(name="from", default=None)
    until: Moment | None = None
    who: Who | None = None
    refill: bool = False  # what a return takes back is there again for others
    lease: _Lease | None = None  # points that each partition takes of the budget at once
    text: _Text = ""


class UseCap(_Table, frozen=True):
    """The most points that a use grants in a bucket: what was granted counts, whether it came back or not."""

    per: Literal["order", "day", "month", "year", "ever"]
    points: _Points


class Use(_Table, frozen=True):
    """What a redemption may be for, and its bounds. `share` is the most of `settlement_fen` that points may pay.

    A redemption of no kind burns `kinds` in their order.
    """

    name: _Text
    kinds: tuple[_Label, ...]
    order: bool = False
    multiple: _Points = 1
    share: Annotated[str, Meta(pattern=r"^[0-9]{1,6}/[1-9][0-9]{0,5}$")] | None = None
    balance_at_least: int = 0
    settlement_at_least_fen: int = 0
    exactly: _Points | None = None
    who: Who | None = None
    at_least: _Points | None = None
    at_most: _Points | None = None
    cap: tuple[UseCap, ...] = ()


class ExchangeRate(_Table, frozen=True):
    """How many points of the one kind make how many of the other, from a date on."""

    from_: Moment = field(name="from")
    take: _Points
    give: _Points
    who: Who | None = None


class Exchange(_Table, frozen=True):
    """Points of one kind for points of another: of its rates the first that has begun and is for the member.

    With `ledger` what it gives is a kind of that other ledger; a partner outside answers within so many days.
    """

    name: _Text
    takes: _Label
    gives: _Label
    rate: Annotated[tuple[ExchangeRate, ...], Meta(min_length=1, max_length=100)]
    cap: tuple[UseCap, ...] = ()
    who: Who | None = None
    ledger: _Label | None = None
    answer_within: _Days | None = None


class Transfer(_Table, frozen=True):
    """Points that a member may give to another: `fee` of them are burned, rounded up; who may, and how many."""

    name: _Text
    kind: _Label
    fee: Annotated[str, Meta(pattern=r"^[0-9]{1,6}/[1-9][0-9]{0,5}$")] | None = None
    cap: tuple[UseCap, ...] = ()
    who: Who | None = None
    keeps_expiry: bool = True  # otherwise they end no later than points of the kind that are earned then


class Exemption(_Table, frozen=True):
    """The members whom a penalty spares, `in_month` times a month."""

    membership: _Label
    in_month: _Small


class Penalty(_Table, frozen=True):
    """Points taken for a fact, each time or from a count of it in its month or its year on."""

    name: _Text
    on: _Label  # a type of fact, as `fact_catalogue` has it
    points: _Points
    kind: _Label | None = None
    from_in_month: _Small | None = None
    from_in_year: _Small | None = None
    text: _Text = ""
    exempt: Exemption | None = None
    when: dict[str, Condition] = field(default_factory=dict)
    score: _Label | None = None
    part: _Label | None = None


class Transition(_Table, frozen=True):
    """An instant from which on a time zone is `offset` ahead of UTC."""

    at: Annotated[datetime, Meta(tz=True)]
    offset: _Offset


Transitions = Annotated[tuple[Transition, ...], Meta(min_length=1, max_length=2000)]


class ProgrammeTables(_Table, frozen=True):
    """One version of a rule book, as its TOML says it."""

    programme: _Label
    name: _Text
    from_: date = field(name="from")
    kinds: Annotated[dict[_Label, Kind], Meta(max_length=100)]
    attributes: Annotated[dict[_Label, Attribute], Meta(max_length=100)] = field(default_factory=dict)
    scores: Annotated[dict[_Label, Score], Meta(max_length=100)] = field(default_factory=dict)
    memberships: Annotated[dict[_Label, Membership], Meta(max_length=100)] = field(default_factory=dict)
    award: Annotated[tuple[Award, ...], Meta(max_length=1000)] = ()
    uses: Annotated[dict[_Label, Use], Meta(max_length=1000)] = field(default_factory=dict)
    penalties: Annotated[dict[_Label, Penalty], Meta(max_length=100)] = field(default_factory=dict)
    benefits: Annotated[dict[_Label, Benefit], Meta(max_length=1000)] = field(default_factory=dict)
    exchanges: Annotated[dict[_Label, Exchange], Meta(max_length=100)] = field(default_factory=dict)
    transfers: Annotated[dict[_Label, Transfer], Meta(max_length=100)] = field(default_factory=dict)
    campaigns: Annotated[dict[_Label, Campaign], Meta(max_length=1000)] = field(default_factory=dict)
    currency: _Currency = "CNY"  # of which `_fen` is a hundredth
    default_kind: _Label = KIND_LEFT_OUT  # the kind of facts that name none
    late_days: Annotated[int, Meta(ge=1, le=4000)] = 400
    utc_offset: Annotated[str, Meta(pattern=r"^[+-](0[0-9]|1[0-4]):[0-5][0-9]$")] | None = None
    time_zone: _ZoneName | None = None
    transitions: Annotated[dict[_ZoneName, Transitions], Meta(max_length=1)] = field(default_factory=dict)

    def fen_of(self, kind: str) -> int:
        """Return what a point of a kind is worth in fen; 0 where this version lacks the kind."""
        kind = kind.partition(AT_SHOP)[0]
        return self.kinds[kind].fen if kind in self.kinds else 0


def version_of(toml: str) -> str:
    """The name of a version: the first 16 hex digits of the SHA-256 of its text, or of its texts one after another."""
    return sha256(toml.replace(DIVIDER, "").encode()).hexdigest()[:16]


@cache
def _books() -> dict[str, str]:
    """The TOML of each shipped rule book by its name."""
    files = resources.files("ledger").joinpath("programmes").iterdir()
    return {f.name.removesuffix(".toml"): f.read_text(encoding="utf-8") for f in files if f.name.endswith(".toml")}


def shipped(name: str) -> str:
    """The TOML of a rule book that comes with the package. Raises `BadProgramme` where there is none of that name."""
    found = _books()
    if name not in found:
        names = ", ".join(sorted(found))
        raise BadProgramme(f'no rule book "{name}" is shipped; give a file of your own, or one of {names}')
    return found[name]


def shipped_names() -> list[str]:
    """The names of the rule books that come with the package, sorted."""
    return sorted(_books())


def offset_of(text: str) -> int:
    """An offset from UTC such as ``+08:00``, in microseconds."""
    hours, minutes, *seconds = [int(part) for part in text[1:].split(":")]
    return (-1 if text[0] == "-" else 1) * (hours * 3600 + minutes * 60 + sum(seconds)) * SECOND


def zone_of(programme: ProgrammeTables) -> Zone:
    """Where the book's months and days begin: its fixed offset from UTC in microseconds, or its time zone."""
    if programme.time_zone is None:
        return offset_of(programme.utc_offset or "+00:00")
    found = programme.transitions[programme.time_zone]
    starts, offsets = zip(*((to_instant(one.at), offset_of(one.offset)) for one in found), strict=True)
    return TimeZone(programme.time_zone, starts, offsets)


def instant_of(day: date | str, zone: Zone) -> int:
    """The instant at which a date begins in a zone, or which is said itself."""
    text = str(day)
    if len(text) > len("2017-07-10"):
        return to_instant(datetime.fromisoformat(text))
    return instant_at(to_instant(datetime.fromisoformat(text + "T00:00:00+00:00")), zone)
