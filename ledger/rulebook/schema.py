"""A rule book as data: TOML checked against one schema, with errors that name the table and key.

A ledger has one book of dated versions. A version is named by the SHA-256 of its text, pinned to each entry it decides.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from fractions import Fraction
from hashlib import sha256
from importlib import resources
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct, field

from ledger.errors import Unusable
from ledger.wire.times import DAY, MAX_INSTANT, SECOND, month_of_day, month_start, to_instant

_Points = Annotated[int, Meta(ge=1, le=1 << 40)]
_Small = Annotated[int, Meta(ge=1, le=1 << 20)]
_Days = Annotated[int, Meta(ge=1, le=40_000)]
_Label = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9.-]*$")]
_Text = Annotated[str, Meta(max_length=400)]


class BadProgramme(Unusable):
    """A rule book that cannot be used: the message names the file, the table and the key, and what is wanted."""


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Expiry(_Table, frozen=True):
    """How points earned from a date on expire: some days after, or at the end of a year after the year of earning."""

    from_: date = field(name="from")
    days: _Days | None = None
    end_of_year_after: Annotated[int, Meta(ge=0, le=100)] | None = None


class Kind(_Table, frozen=True):
    """A spendable currency; `fen` is what one point is worth."""

    name: _Text
    expiry: Annotated[tuple[Expiry, ...], Meta(min_length=1, max_length=100)]
    fen: _Points = 1
    burn: Literal["soonest-expiring", "oldest"] = "soonest-expiring"
    shortfall: Literal["cash", "debt", "clamp"] = "debt"


class Tier(_Table, frozen=True):
    at_least: int
    name: Annotated[str, Meta(min_length=1, max_length=64)]


class Score(_Table, frozen=True):
    name: _Text
    parts: dict[_Label, _Text]
    window_months: Annotated[int, Meta(ge=1, le=13)] = 12
    tiers: tuple[Tier, ...] = ()
    one_star_limit: int | None = None


class Product(_Table, frozen=True):
    days: _Days
    cap: _Points | None = None  # points a term at the membership's rate
    trial: bool = False


class Benefit(_Table, frozen=True):
    """A benefit; `quota` by product, none where a product is not named (no limit where no quota is given at all)."""

    name: _Text
    quota: dict[_Label, Annotated[int, Meta(ge=0, le=1 << 30)]] | None = None
    per: Literal["term", "month", "year"] = "term"


class Membership(_Table, frozen=True):
    name: _Text
    products: dict[_Label, Product]
    benefits: dict[_Label, Benefit] = field(default_factory=dict)
    release_days: Annotated[int, Meta(ge=0, le=4000)] = 30


class Condition(_Table, frozen=True):
    at_least: int | None = None
    at_most: int | None = None
    in_: tuple[str | bool, ...] | None = field(name="in", default=None)
    not_in: tuple[str | bool, ...] | None = None
    has: str | None = None  # for tags


class Step(_Table, frozen=True):
    at_least_fen: int
    points: _Points


class Give(_Table, frozen=True):
    """`points`, or `points` per `per_fen` of an amount floored to `floor_fen`, or steps by amount."""

    points: _Points | None = None
    per_fen: _Points | None = None
    floor_fen: _Points = 1
    steps: tuple[Step, ...] = ()


class Cap(_Table, frozen=True):
    per: Literal["line", "day", "month", "year"]
    points: _Points


class Award(_Table, frozen=True):
    """What a fact gives: points of a kind, or an item of a score's part."""

    rule: _Label
    name: _Text
    on: Literal[
        "order.completed",
        "review.posted",
        "question.answered",
        "item.shared",
        "member.signed-in",
        "shop.visited",
        "identity.verified",
        "wechat.bound",
        "qq.bound",
        "profile.completed",
    ]
    give: Give
    text: _Text = ""
    from_: date | None = field(name="from", default=None)
    until: date | None = None
    each: Literal["line", "fact"] = "fact"
    kind: _Label | None = None
    score: _Label | None = None
    part: _Label | None = None
    member: _Label | None = None
    instead_of: _Label | None = None
    when: dict[str, Condition] = field(default_factory=dict)
    rates: dict[str, Annotated[int, Meta(ge=0, le=10_000)]] = field(default_factory=dict)
    cap: tuple[Cap, ...] = ()
    first: Literal["category"] | None = None
    days_in_month: Annotated[int, Meta(ge=1, le=31)] | None = None
    each_day: Literal["shop"] | None = None
    within_days: _Days | None = None
    once: bool = False
    unless_returned: bool = False  # nothing for a line of which every piece came back
    returns: bool = True  # a return takes it back (of awards to lines)


class Use(_Table, frozen=True):
    """What a redemption may be for, and its bounds. `share` is the most of `settlement_fen` that points may pay."""

    name: _Text
    kinds: tuple[_Label, ...]
    order: bool = False
    multiple: _Points = 1
    share: Annotated[str, Meta(pattern=r"^[0-9]{1,6}/[1-9][0-9]{0,5}$")] | None = None
    balance_at_least: int = 0
    settlement_at_least_fen: int = 0
    exactly: _Points | None = None


class Exemption(_Table, frozen=True):
    membership: _Label
    in_month: _Small


class Penalty(_Table, frozen=True):
    name: _Text
    on: Literal["order.rejected"]
    kind: _Label
    points: _Points
    from_in_month: _Small
    from_in_year: _Small
    text: _Text = ""
    exempt: Exemption | None = None


class Programme(_Table, frozen=True):
    """One version of a rule book, as its TOML says it."""

    programme: _Label
    name: _Text
    from_: date = field(name="from")
    utc_offset: Annotated[str, Meta(pattern=r"^[+-](0[0-9]|1[0-4]):[0-5][0-9]$")]
    kinds: Annotated[dict[_Label, Kind], Meta(max_length=100)]
    scores: Annotated[dict[_Label, Score], Meta(max_length=100)] = field(default_factory=dict)
    memberships: Annotated[dict[_Label, Membership], Meta(max_length=100)] = field(default_factory=dict)
    award: Annotated[tuple[Award, ...], Meta(max_length=1000)] = ()
    uses: Annotated[dict[_Label, Use], Meta(max_length=1000)] = field(default_factory=dict)
    penalties: Annotated[dict[_Label, Penalty], Meta(max_length=100)] = field(default_factory=dict)
    late_days: Annotated[int, Meta(ge=1, le=4000)] = 400


# The fields a condition may name, by the fact it stands on: of the line, then of the fact.
LINE_FIELDS = frozenset({"paid_fen", "category", "quantity", "sku", "points"})
FACT_FIELDS = {
    "order.completed": frozenset({"shop", "self_operated", "channel", "pay", "tags"}),
    "review.posted": frozenset({"characters", "images"}),
    "question.answered": frozenset({"sku"}),
    "item.shared": frozenset({"sku", "via"}),
    "shop.visited": frozenset({"shop"}),
}


def parse_programme(toml: str, where: str = "rule book") -> Programme:
    """A checked version from its TOML. Raises `BadProgramme` that names `where`, the table and the key."""
    try:
        document = tomllib.loads(toml)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadProgramme(f"{where}: not TOML: {error}") from None
    try:
        programme = msgspec.convert(document, Programme, strict=True)
    except msgspec.ValidationError as error:
        raise BadProgramme(f"{where}: {_place(str(error), document)}") from None
    problem = next(_problems(programme), None)
    if problem:
        raise BadProgramme(f"{where}: {problem}")
    return programme


def version_of(toml: str) -> str:
    """The name of a version: the first 16 hex digits of the SHA-256 of its text."""
    return sha256(toml.encode()).hexdigest()[:16]


def shipped(name: str) -> str:
    """The TOML of a rule book that comes with the package. Raises `BadProgramme` where there is none of that name."""
    try:
        return resources.files("ledger").joinpath("programmes", f"{name}.toml").read_text(encoding="utf-8")
    except (FileNotFoundError, OSError):
        raise BadProgramme(f'no rule book "{name}" is shipped; give a file of your own') from None


def offset_of(programme: Programme) -> int:
    """The book's offset from UTC in microseconds."""
    sign = -1 if programme.utc_offset[0] == "-" else 1
    return sign * (int(programme.utc_offset[1:3]) * 3600 + int(programme.utc_offset[4:6]) * 60) * SECOND


def instant_of(day: date, offset: int) -> int:
    """The instant at which a date begins at an offset."""
    return to_instant(datetime.fromisoformat(day.isoformat() + "T00:00:00+00:00")) - offset


def expiry_function(kind: Kind, offset: int) -> Callable[[int], int]:
    """When points earned at an instant expire (exclusive), by the last period that has begun by then."""
    latest_first = [
        (instant_of(period.from_, offset), period.days, period.end_of_year_after) for period in reversed(kind.expiry)
    ]

    def expires_at(earned_at: int) -> int:
        for since, days, years in latest_first:  # noqa: B007 - the first period holds for what was earned before it too
            if since <= earned_at:
                break
        if days is not None:
            return min(earned_at + days * DAY, MAX_INSTANT)
        year = month_of_day((earned_at + offset) // DAY) // 12 + (years or 0) + 1
        return month_start(min(year, 2999) * 12, offset)

    return expires_at


def share_of(use: Use) -> Fraction | None:
    """The most of a settlement that points may pay, exactly."""
    return Fraction(use.share) if use.share else None


def _place(message: str, document: dict[str, Any]) -> str:
    """msgspec's `$.award[3].give.points` as a reader of the file would say it, with the rule's or table's own name."""
    text, _, path = message.partition(" - at ")
    path = path.strip("`").removeprefix("key in ").strip("`").removeprefix("$").removeprefix(".")
    rule = ""
    found = re.match(r"award\[(\d+)\]", path)
    if found:
        awards: Sequence[Any] = document.get("award", [])
        name = awards[int(found[1])].get("rule") if isinstance(awards[int(found[1])], dict) else None
        rule = f' (rule "{name}")' if name else ""
    elif "[...]" in path:
        path = _name_tables(path, text, document, Programme)
    return f"{path or 'top level'}{rule}: {text}"


def _name_tables(path: str, text: str, document: Any, table: Any) -> str:
    """The path with each `[...]` replaced by the name of the table in which the same complaint stands."""
    head, _, rest = path.partition("[...]")
    for name in head.split("."):
        hint = get_type_hints(table).get(name)
        document = document.get(name) if isinstance(document, dict) else None
    inner = next((t for t in (hint, *get_args(hint)) if get_origin(t) is dict), None)
    if inner is None or not isinstance(document, dict):
        return path
    value_type = get_args(inner)[1]
    for name, value in document.items():
        try:
            msgspec.convert(value, value_type, strict=True)
        except msgspec.ValidationError as error:
            complaint, _, below = str(error).partition(" - at ")
            if complaint == text and below.strip("`") == f"${rest}":
                shown = f"{head}.{name}"
                if "[...]" not in rest:
                    return shown + rest
                return f"{shown}.{_name_tables(rest.removeprefix('.'), text, value, value_type)}"
    return path


_NUMBERS = frozenset({"paid_fen", "quantity", "points", "characters", "images"})


def _condition_problems(at: str, award: Award) -> Iterator[str]:
    """Conditions that a field of that type cannot meet."""
    for name, condition in award.when.items():
        bounds = condition.at_least is not None or condition.at_most is not None
        lists = condition.in_ is not None or condition.not_in is not None
        has = condition.has is not None
        if name in _NUMBERS and (lists or has):
            yield f"{at}.when.{name}: is a number: at_least and at_most are for it"
        elif name == "tags" and (bounds or lists):
            yield f"{at}.when.tags: is a list: has is for it"
        elif name not in _NUMBERS and name != "tags" and (bounds or has):
            yield f"{at}.when.{name}: is no number and no list: in and not_in are for it"
        elif not (bounds or lists or has):
            yield f"{at}.when.{name}: says nothing; give at_least, at_most, in, not_in or has"


def _problems(programme: Programme) -> Iterator[str]:
    """What the schema cannot say, a sentence each."""
    rules: set[str] = set()
    names = {award.rule for award in programme.award}
    products: set[str] = set()
    for name, membership in programme.memberships.items():
        for product in membership.products:
            if product in products:
                yield f'memberships.{name}.products: "{product}" stands in two memberships'
            products.add(product)
        for label, benefit in membership.benefits.items():
            for product in benefit.quota or ():
                if product not in membership.products:
                    yield f'memberships.{name}.benefits.{label}.quota: no product "{product}" in this membership'
    for name, kind in programme.kinds.items():
        for index, period in enumerate(kind.expiry):
            if (period.days is None) == (period.end_of_year_after is None):
                yield f"kinds.{name}.expiry[{index}]: give either days or end_of_year_after"
        if [p.from_ for p in kind.expiry] != sorted(p.from_ for p in kind.expiry):
            yield f"kinds.{name}.expiry: the periods are not in order of `from`"
    for name, score in programme.scores.items():
        if [t.at_least for t in score.tiers] != sorted(t.at_least for t in score.tiers):
            yield f"scores.{name}.tiers: not in order of at_least"
    for index, award in enumerate(programme.award):
        at = f'award[{index}] (rule "{award.rule}")'
        if award.rule in rules:
            yield f"{at}: this rule name stands twice"
        rules.add(award.rule)
        if (award.kind is None) == (award.score is None):
            yield f"{at}: give either kind (points) or score and part"
        if award.kind is not None and award.kind not in programme.kinds:
            yield f"{at}.kind: there is no [kinds.{award.kind}]"
        if award.score is not None:
            if award.score not in programme.scores:
                yield f"{at}.score: there is no [scores.{award.score}]"
            elif award.part not in programme.scores[award.score].parts:
                yield f'{at}.part: scores.{award.score}.parts has no "{award.part}"'
        if award.member is not None and award.member not in programme.memberships:
            yield f"{at}.member: there is no [memberships.{award.member}]"
        if award.instead_of is not None and award.instead_of not in names:
            yield f'{at}.instead_of: there is no rule "{award.instead_of}"'
        if award.each == "line" and award.on != "order.completed":
            yield f"{at}.each: only order.completed has lines"
        if award.each != "line" and (award.member or award.instead_of):
            yield f'{at}: member and instead_of need each = "line"'
        if award.each == "line" and award.once:
            yield f"{at}.once: is not for lines; first is"
        for cap in award.cap:
            if cap.per in ("line", "day") and (cap.per == "line") != (award.each == "line"):
                yield f'{at}.cap: per = "{cap.per}" is {"for" if cap.per == "line" else "not for"} each = "line"'
        for name in ("within_days", "unless_returned"):
            if getattr(award, name) and award.on != "review.posted":
                yield f"{at}.{name}: is for review.posted, which is about a line completed before"
        if award.each_day and award.on != "shop.visited":
            yield f"{at}.each_day: is for shop.visited"
        if award.first and award.each != "line":
            yield f'{at}.first: needs each = "line"'
        if award.once and award.score is None:
            yield f"{at}.once: is for scores"
        if bool(award.give.steps) == (award.give.points is not None):
            yield f"{at}.give: give either points or steps"
        fields = FACT_FIELDS.get(award.on, frozenset())
        if award.each == "line" or award.on == "review.posted":
            fields |= LINE_FIELDS
        for name in award.when:
            if name not in fields:
                yield f'{at}.when: no field "{name}"; there are {", ".join(sorted(fields)) or "none"}'
        yield from _condition_problems(at, award)
    for name, use in programme.uses.items():
        for label in use.kinds:
            if label not in programme.kinds:
                yield f"uses.{name}.kinds: there is no [kinds.{label}]"
        if use.share and not use.order:
            yield f"uses.{name}.share: needs order = true"
    for name, penalty in programme.penalties.items():
        if penalty.kind not in programme.kinds:
            yield f"penalties.{name}.kind: there is no [kinds.{penalty.kind}]"
        if penalty.exempt and penalty.exempt.membership not in programme.memberships:
            yield f"penalties.{name}.exempt: there is no [memberships.{penalty.exempt.membership}]"
