"""A programme compiled: each rule once, to plain data that the core evaluates. No rule is interpreted per fact."""

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final, NamedTuple

from msgspec import Struct, structs

from ledger.rulebook.checks import check_parts, check_stage, misfits, read_parts
from ledger.rulebook.languages import text_in
from ledger.rulebook.rankings import DAYS, MONTHS, Ranking, bucket_at, compile_ranking, oldest_needed
from ledger.rulebook.schema import (
    AT_SHOP,
    Award,
    BadProgramme,
    Benefit,
    Campaign,
    Cap,
    Condition,
    Exchange,
    Expiry,
    Kind,
    Opening,
    Penalty,
    Pending,
    Product,
    ProgrammeTables,
    Times,
    Who,
    instant_of,
    version_of,
    zone_of,
)
from ledger.rulebook.union import Part, in_order, joined, merged
from ledger.wire.entries import ENGINE, ENGINES, FIRST_MONTH
from ledger.wire.fact_catalogue import BY_CLASS, KEPT, OCCASIONS, REACHED
from ledger.wire.times import (
    DAY,
    MAX_INSTANT,
    Zone,
    instant_at,
    local_at,
    month_of,
    month_of_day,
    month_start,
    months_later,
)

_NEVER: Final = (0, 0, 0)  # no instant lies between the first two
STORED: Final = ENGINES[0]  # what is stored met the checks of its day, of whatever engine
NO_END: Final = 1 << 62  # an instant after every other
KNOWN_VERSIONS: Final = 16  # that a process keeps when it has read them once


class Clause(NamedTuple):
    """One bound of a condition: `field` of the line (`of_line`) or of the fact's data stands in `op` to `value`."""

    field: str
    of_line: bool
    op: str  # at_least, at_most, in, not_in, has
    value: Any  # an integer, a frozen set of texts and truths, or the text that a list is to have


class MemberClause(NamedTuple):
    """One condition on the member: what stands under `name` in `table` is in `op` to `value`."""

    table: str  # score, tier, card, attribute
    name: str
    op: str  # at_least, at_most, in, not_in, active
    value: Any  # an integer, a frozen set of texts, or a truth


class Entitlement(NamedTuple):
    """Whom something is for: every clause holds, and of `any_of`, where there are some, one."""

    clauses: tuple[MemberClause, ...]
    any_of: tuple["Entitlement", ...]


class Asked(NamedTuple):
    """Whom some rules and multipliers are for that stand on one type of fact, all alike, while any is in force."""

    who: Entitlement
    since: int
    until: int
    names: tuple[str, ...]


class Amount(Struct, frozen=True, eq=False):
    """What a rule gives: by `steps` of an amount of fen, by a category's rate, or `points` (per `per_fen` or count)."""

    points: int  # 0 where there are steps
    per_fen: int  # 0: the points are given as they stand
    floor_fen: int
    rates: dict[str, int]  # category -> points for 10,000 fen
    steps: tuple[tuple[int, int], ...]  # (least fen, points), the highest first
    per_count: int  # 0: pieces do not count
    is_plain: bool  # by fen, or as they stand: what most rules give


class Multiplier(NamedTuple):
    """What an amount is multiplied by, `by` / `of`, while its dates and clauses hold."""

    by: int
    of: int
    clauses: tuple[Clause, ...]
    since: int
    until: int
    text: str  # "3/2"
    name: str  # rule/times/place
    who: Entitlement | None


class Price(NamedTuple):
    """What a card costs from an instant on, in fen, to whom `who` holds for."""

    fen: int
    since: int
    who: Entitlement | None


class Allowed(NamedTuple):
    """How often a benefit is given, to whom `who` holds for."""

    times: int
    who: Entitlement | None


class Charge(NamedTuple):
    """Points of a kind that a claim burns, of whom `who` holds for."""

    kind: str
    points: int
    who: Entitlement | None


class Pool(Struct, frozen=True, eq=False):
    """A budget of points or a stock of pieces that members share, which an account of its own keeps."""

    subject: str  # of that account: pool/campaigns.NAME or pool/benefits.NAME
    limit: int
    by_month: bool  # as much in each month of the book, and not ever
    refill: bool  # what comes back is there again
    lease: int  # taken at once by each partition; 0: members ask the pool itself
    each_member: int  # the most that a member is given; 0: no bound


def campaign_pool(name: str, campaign: Campaign) -> Pool:
    """The pool of a campaign's budget."""
    budget, each = campaign.budget, campaign.each_member or 0
    return Pool(f"{POOL}campaigns.{name}", budget, False, campaign.refill, campaign.lease or 0, each)


def stock_pool(name: str, benefit: Benefit) -> Pool | None:
    """The pool of a benefit's stock, None where it has none."""
    if benefit.stock is None:
        return None
    by_month = benefit.stock_per == "month"
    return Pool(f"{POOL}benefits.{name}", benefit.stock, by_month, benefit.refill, benefit.lease or 0, 0)


class Perk(Struct, frozen=True, eq=False):
    """A benefit, ready to be claimed. Instants in microseconds since 1970 UTC."""

    name: str
    membership: str  # empty: it stands by itself
    benefit: Benefit
    per: str  # term, day, month, year, ever, line or days
    counted: str  # by whom: term, account, shop or line
    days: int  # of a piece, or of a line's right; 0: none
    who: Entitlement | None
    by_product: dict[str, int] | None  # product -> times
    allowed: tuple[Allowed, ...]  # the first that holds; none where there is no limit, or one by product
    charges: tuple[Charge, ...]
    since: int
    until: int
    first_day: int  # of the month; 0: any
    last_day: int
    month_of: str  # an attribute; empty: any month
    clauses: tuple[Clause, ...]  # on a line and its order
    of_line: bool
    at_claim: bool  # a line's right is judged at the claim
    asks_order: bool  # a clause on the order's fact
    stock: Pool | None  # that its claims are drawn from

    @property
    def is_of_holder(self) -> bool:
        """Whether its quota is counted where the card is, by its term or account, and not for a line or at a shop."""
        return self.counted in ("term", "account")

    @property
    def is_judged_at_claim(self) -> bool:
        """Whether `who` is asked at the claim: the right of a line may have been judged before."""
        return self.at_claim or not self.of_line


class Bucket(NamedTuple):
    """The most points that are given in an order, day, month, year, card's term, or ever; `each`: for a value of it."""

    per: str
    points: int
    each: str  # a field, empty: one bucket for all
    of_line: bool  # that field is of the line


PERIODS: Final = ("order", "day", "month", "year", "ever", "term")  # the order in which buckets are asked
OPENS: Final = 1  # what a pending lot waits for: its time,
CLAIM: Final = 2  # or a claim; 0 is a card
ASKED: Final = 3  # or a pool's answer
POOL: Final = "pool/"  # before the names of accounts that are pools, and no members
HOUSE: Final = "house/"  # and of those that hold cards in which members have seats
NOT_MEMBERS: Final = (POOL, HOUSE)


class Wait(NamedTuple):
    """How long what a rule gives is pending: `days`, or until a `day` of the next month; `waits` says what follows."""

    waits: int
    days: int
    day: int


class Rule(Struct, frozen=True, eq=False):
    """An award rule, ready to apply; a cap of 0 is no cap. Instants in microseconds since 1970 UTC."""

    award: Award
    name: str
    kind: str
    score: str
    part: str
    key: str  # score/part/rule, empty for points
    clauses: tuple[Clause, ...]
    amount: Amount
    member: str | None
    who: Entitlement | None
    is_dated: bool
    since: int
    until: int
    within: int  # microseconds after the line's completion, 0: no bound
    has_guards: bool  # a condition besides `clauses`, its dates and its membership
    is_counted: bool  # once, or up to a cap of a day, a month or a year
    line_cap: int
    day_cap: int
    month_cap: int
    day_mark: str | None  # the field of a fact's data whose every value counts once a day
    is_kept: bool  # what it gives stands on the page of what that was given for, so that it can be taken back
    times: tuple[Multiplier, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    order_bucket: Bucket | None = None  # of these, which is asked before the card's cap
    wait: Wait | None = None
    opens: str = ""  # a product, instead of points
    is_of_month: bool = False  # its one cap but those of line, order and card is that of the month
    at_shop: bool = False  # its kind or score is kept for each shop
    wants_joined: bool = False  # its score begins where the member joined the shop
    is_of_day: bool = False  # its one cap but those of line and card is that of the day
    # Compiled once, so that a rule does not pay for what it has not.
    is_plain: bool = False  # nothing is asked but whether another stands in for it
    is_particular: bool = False  # for card holders, some members or a shop; multiplied; or in place of another
    is_limited: bool = False  # a cap of any kind, or once
    gives_once: bool = False
    flat: int = 0  # the points that it gives as they stand; 0: not so
    is_monthly: bool = False  # its score counts in months alone, and moves as these begin
    stands_in_for: str = ""  # the rule that gives nothing where it gives; "": none
    pool: Pool | None = None  # that its points are drawn from


def compile_rule(award: Award, zone: Zone, programme: ProgrammeTables, live: Container[str]) -> Rule:
    """An award of a book whose days are a zone's, as data; `live` are the scores that do not go by months alone."""
    caps = {cap.per: cap.points for cap in award.cap if cap.each is None}
    occasion = OCCASIONS[award.on]
    of_line = occasion.line_fields if award.each == "line" or occasion.lines == "one" else frozenset[str]()
    give = award.give
    buckets = compile_buckets(award.cap, of_line)
    periods = [bucket[::2] for bucket in buckets]
    steps = tuple(sorted(((step.at_least_fen, step.points) for step in give.steps), reverse=True))
    is_simple = not (steps or award.rates or give.per_count)
    clauses, who = compile_clauses(award.when, of_line), compile_who(award.who)
    begins = instant_of(award.from_, zone) if award.from_ else 0
    ends = instant_of(award.until, zone) if award.until else NO_END
    is_dated = award.from_ is not None or award.until is not None
    has_guards = bool(award.within_days or award.unless_returned or award.first or award.days_in_month)
    is_counted = award.once or award.each_day is not None or bool(buckets)
    by_shop = programme.scores[award.score] if award.score else programme.kinds.get(award.kind or "")
    at_shop = award.opens is None and by_shop is not None and by_shop.each is not None
    pool = None
    if award.campaign is not None:
        campaign = programme.campaigns[award.campaign]
        pool, who = campaign_pool(award.campaign, campaign), both(who, compile_who(campaign.who))
        if campaign.from_ or campaign.until:
            is_dated = True
            begins = max(begins, instant_of(campaign.from_, zone) if campaign.from_ else 0)
            ends = min(ends, instant_of(campaign.until, zone) if campaign.until else NO_END)
    is_particular = bool(award.member or award.times or who or at_shop or award.instead_of)
    return Rule(
        award=award,
        name=award.rule,
        kind=award.kind or "",
        score=award.score or "",
        part=award.part or "",
        key=f"{award.score}/{award.part}/{award.rule}" if award.score else "",
        clauses=clauses,
        amount=Amount(
            give.points or 0, give.per_fen or 0, give.floor_fen, award.rates, steps, give.per_count or 0, is_simple
        ),
        member=award.member,
        who=who,
        is_dated=is_dated,
        since=begins,
        until=ends,
        within=award.within_days * DAY if award.within_days else 0,
        has_guards=has_guards,
        is_counted=is_counted,
        line_cap=caps.get("line", 0),
        day_cap=caps.get("day", 0),
        month_cap=caps.get("month", 0),
        day_mark=award.each_day,
        is_kept=award.returns if award.each == "line" else award.on in KEPT,
        times=tuple(_multiplier(f"{award.rule}/times/{i}", t, of_line, zone) for i, t in enumerate(award.times)),
        buckets=buckets,
        order_bucket=next((bucket for bucket in buckets if bucket.per == "order"), None),
        wait=_wait(award.pending) if award.pending else None,
        opens=award.opens or "",
        is_of_month=periods == [("month", "")] and award.each_day is None,
        at_shop=at_shop,
        wants_joined=award.score is not None and programme.scores[award.score].joined,
        is_of_day=periods == [("day", "")],
        is_plain=not (is_dated or clauses or is_particular or has_guards),
        is_particular=is_particular,
        is_limited=is_counted or "line" in caps or award.member is not None or pool is not None,
        gives_once=award.once,
        flat=give.points or 0 if is_simple and not give.per_fen else 0,
        is_monthly=award.score is not None and award.score not in live and not at_shop and not award.once,
        stands_in_for=award.instead_of or "",
        pool=pool,
    )


class Rate(NamedTuple):
    """How many points an exchange takes for how many, from an instant on."""

    since: int
    take: int
    give: int
    who: Entitlement | None


class TransferTerms(NamedTuple):
    """Who may give, what share of it is burned, and whether the points keep their ends."""

    who: Entitlement | None
    fee: Fraction
    keeps_expiry: bool

    def fee_of(self, points: int) -> int:
        """Return what is burned of points that are given, rounded up."""
        return -(-points * self.fee.numerator // self.fee.denominator)

    @property
    def least(self) -> int:
        """The fewest points of which something goes to the receiver."""
        return -(-self.fee.denominator // (self.fee.denominator - self.fee.numerator))


class ExchangeTerms(NamedTuple):
    """Whom an exchange is for, and its rates in the book's order."""

    who: Entitlement | None
    rates: tuple[Rate, ...]


def compile_exchange(exchange: Exchange, zone: Zone) -> ExchangeTerms:
    """An exchange of a book as data."""
    rates = tuple(Rate(instant_of(r.from_, zone), r.take, r.give, compile_who(r.who)) for r in exchange.rate)
    return ExchangeTerms(compile_who(exchange.who), rates)


class Fine(NamedTuple):
    """A penalty, ready to apply: points of a `kind`, or of a `score`'s part."""

    name: str  # penalty.NAME
    penalty: Penalty
    clauses: tuple[Clause, ...]
    is_counted: bool  # from a count of it in its month or its year on


def compile_penalty(name: str, penalty: Penalty) -> Fine:
    """A penalty of a book as data."""
    is_counted = penalty.from_in_month is not None or penalty.from_in_year is not None or penalty.exempt is not None
    return Fine(f"penalty.{name}", penalty, compile_clauses(penalty.when, frozenset()), is_counted)


def compile_asked(rules: Iterable[Rule]) -> dict[str, tuple[Asked, ...]]:
    """Return by type of fact whom its rules and their multipliers are for, each condition once."""
    alike: dict[tuple[str, Entitlement], list[Rule | Multiplier]] = {}
    for rule in rules:
        judged: list[Rule | Multiplier] = [rule, *rule.times]
        for one in judged:
            if one.who is not None:
                alike.setdefault((rule.award.on, one.who), []).append(one)
    asked: dict[str, tuple[Asked, ...]] = {}
    for (on, who), found in alike.items():
        since, until = min(one.since for one in found), max(one.until for one in found)
        asked[on] = (*asked.get(on, ()), Asked(who, since, until, tuple(one.name for one in found)))
    return asked


MANY: Final = 3  # so many rules with conditions or dates are found by these; fewer are sooner asked one by one
MAX_KNOWN: Final = 4_096  # combinations of fields and dates whose rules are remembered


class IndexedText(NamedTuple):
    """A field that conditions of some rules compare with texts and truths; any other value of it is number 0."""

    name: str
    of_line: bool
    numbers: dict[str | bool, int]  # a value that a rule names -> its number, from 1
    size: int  # how many numbers there are, 0 among them


class IndexedNumber(NamedTuple):
    """A field that conditions of some rules bound, by the least values from which on another of these holds."""

    name: str
    of_line: bool
    edges: tuple[int, ...]
    size: int


class IndexedList(NamedTuple):
    """A field that is a list, of which conditions of some rules ask what it has: each such text has a bit."""

    name: str
    of_line: bool
    bits: dict[str, int]
    size: int  # how many sums of bits there are


class RuleIndex(Struct, eq=False):
    """Finds the rules whose dates and conditions hold.

    `known` remembers them by the combination of fields and dates that was met.
    """

    texts: tuple[IndexedText, ...]
    numbers: tuple[IndexedNumber, ...]
    lists: tuple[IndexedList, ...]
    edges: tuple[int, ...]  # the instants at which a rule begins or ends
    rest: tuple[Rule, ...]  # each rule, in the book's order, without what the index answers
    known: dict[int, tuple[Rule, ...]]


class Rules(tuple[Rule, ...]):
    """Rules in the book's order, with an index where there are many."""

    lookup: RuleIndex | None = None


NO_RULES: Final = Rules()


def index_rules(found: Iterable[Rule]) -> Rules:
    """Return rules with their index: by their dates, and by the fields that their conditions name."""
    rules = Rules(found)
    texts: dict[tuple[str, bool], dict[str | bool, int]] = {}
    numbers: dict[tuple[str, bool], set[int]] = {}
    lists: dict[tuple[str, bool], dict[str, int]] = {}
    for field, of_line, op, value in (clause for rule in rules for clause in rule.clauses):
        if op in ("in", "not_in"):
            numbered = texts.setdefault((field, of_line), {})
            for one in value:
                numbered.setdefault(one, len(numbered) + 1)
        elif op == "has":
            bits = lists.setdefault((field, of_line), {})
            bits.setdefault(value, 1 << len(bits))
        else:
            numbers.setdefault((field, of_line), set()).add(value if op == "at_least" else value + 1)
    dates = {instant for rule in rules if rule.is_dated for instant in (rule.since, rule.until)}
    if sum(rule.is_dated or bool(rule.clauses) for rule in rules) >= MANY:
        rules.lookup = RuleIndex(
            tuple(IndexedText(*field, numbered, len(numbered) + 1) for field, numbered in texts.items()),
            tuple(IndexedNumber(*field, tuple(sorted(edges)), len(edges) + 1) for field, edges in numbers.items()),
            tuple(IndexedList(*field, bits, 1 << len(bits)) for field, bits in lists.items()),
            tuple(sorted(dates)),
            tuple(_without_index(rule) for rule in rules),
            {},
        )
    return rules


def _without_index(rule: Rule) -> Rule:
    """Return a rule without the dates and conditions that an index answers."""
    return structs.replace(rule, is_dated=False, clauses=(), is_plain=not (rule.is_particular or rule.has_guards))


def compile_clauses(when: Mapping[str, Condition], of_line: frozenset[str]) -> tuple[Clause, ...]:
    """Conditions by field as clauses; `of_line` are the fields that the line has."""
    return tuple(
        Clause(name, name in of_line, op, value)
        for name, condition in when.items()
        for op, value in _bounds_of(condition)
    )


def compile_buckets(caps: Iterable[Cap], of_line: frozenset[str] = frozenset()) -> tuple[Bucket, ...]:
    """Caps of a period, those that need no page first; a line's own cap is none of them."""
    buckets = [
        Bucket(cap.per, cap.points, cap.each or "", (cap.each or "") in of_line) for cap in caps if cap.per != "line"
    ]
    return tuple(sorted(buckets, key=lambda bucket: PERIODS.index(bucket.per)))


def _multiplier(name: str, times: Times, of_line: frozenset[str], zone: Zone) -> Multiplier:
    by = Fraction(times.by)
    since = instant_of(times.from_, zone) if times.from_ else 0
    until = instant_of(times.until, zone) if times.until else NO_END
    clauses = compile_clauses(times.when, of_line)
    return Multiplier(by.numerator, by.denominator, clauses, since, until, str(by), name, compile_who(times.who))


def _wait(pending: Pending) -> Wait:
    if pending.claim_days is not None:
        return Wait(CLAIM, pending.claim_days, 0)
    return Wait(OPENS, pending.days or 0, pending.day_of_next_month or 0)


def _bounds_of(condition: Condition) -> list[tuple[str, Any]]:
    bounds = {
        "at_least": condition.at_least,
        "at_most": condition.at_most,
        "in": None if condition.in_ is None else frozenset(condition.in_),
        "not_in": None if condition.not_in is None else frozenset(condition.not_in),
        "has": condition.has,
    }
    return [(op, value) for op, value in bounds.items() if value is not None]


def compile_who(who: Who | None) -> Entitlement | None:
    """Return conditions on the member as data; None where they hold for every member."""
    if who is None:
        return None
    clauses: list[MemberClause] = []
    for table, conditions in (("score", who.score), ("tier", who.tier), ("attribute", who.attribute)):
        for name, condition in conditions.items():
            clauses += [MemberClause(table, name, op, value) for op, value in _bounds_of(condition)]
    for name, card in who.card.items():
        is_held = card.active is not False
        clauses.append(MemberClause("card", name, "active", is_held))
        if card.in_ is not None:
            clauses.append(MemberClause("card", name, "in", frozenset(card.in_)))
        if card.not_in is not None:
            clauses.append(MemberClause("card", name, "not_in", frozenset(card.not_in)))
    any_of = tuple(one for one in map(compile_who, who.any_) if one is not None)
    return Entitlement(tuple(clauses), any_of) if clauses or any_of else None


def both(one: Entitlement | None, other: Entitlement | None) -> Entitlement | None:
    """Return conditions on the member that hold where both hold."""
    if one is None or other is None:
        return one or other
    if one.any_of and other.any_of:
        pairs = (both(first, second) for first in one.any_of for second in other.any_of)
        any_of = tuple(pair for pair in pairs if pair is not None)
    else:
        any_of = one.any_of or other.any_of
    return Entitlement(one.clauses + other.clauses, any_of)


class Gate(NamedTuple):
    """Who may open a card, and from when until when that is asked."""

    who: Entitlement | None
    since: int
    until: int


def _gate(product: Product, zone: Zone) -> Gate:
    since = instant_of(product.who_from, zone) if product.who_from else 0
    return Gate(compile_who(product.who), since, instant_of(product.who_until, zone) if product.who_until else NO_END)


def compile_benefit(
    name: str, membership: str, benefit: Benefit, zone: Zone, by_shop: frozenset[str] = frozenset()
) -> Perk:
    """A benefit as data; `by_shop` are the scores that are kept by shop."""
    opening, quota = benefit.open_ or Opening(), benefit.quota
    allowed: tuple[Allowed, ...] = ()
    if isinstance(quota, int):
        allowed = (Allowed(quota, None),)
    elif isinstance(quota, tuple):
        allowed = tuple(Allowed(one.times, compile_who(one.who)) for one in quota)
    charges = tuple(Charge(one.kind, one.points, compile_who(one.who)) for one in benefit.price)
    clauses = compile_clauses(benefit.when, OCCASIONS["order.completed"].line_fields)
    who = compile_who(benefit.who)
    of_line, per = benefit.of is not None, benefit.counts_by
    asked = [who, *(one.who for one in allowed)]
    if of_line:
        counted = "line"
    elif any(asks_score(one, by_shop) for one in asked):
        counted = "shop"
    else:
        counted = "term" if membership and per != "ever" else "account"
    return Perk(
        name=name,
        membership=membership,
        benefit=benefit,
        per=per,
        counted=counted,
        days=benefit.days or 0,
        who=who,
        by_product=quota if isinstance(quota, dict) else None,
        allowed=allowed,
        charges=charges,
        since=instant_of(opening.from_, zone) if opening.from_ else 0,
        until=instant_of(opening.until, zone) if opening.until else NO_END,
        first_day=opening.days_of_month[0] if opening.days_of_month else 0,
        last_day=opening.days_of_month[1] if opening.days_of_month else 0,
        month_of=opening.month_of or "",
        clauses=clauses,
        of_line=of_line,
        at_claim=of_line and benefit.at == "claim",
        asks_order=any(not clause.of_line for clause in clauses),
        stock=stock_pool(name, benefit),
    )


def asks_score(who: Entitlement | None, scores: frozenset[str]) -> bool:
    """Return True if conditions on the member ask one of some scores, its value or its tier."""
    if who is None or not scores:
        return False
    own = any(clause.table in ("score", "tier") and clause.name in scores for clause in who.clauses)
    return own or any(asks_score(one, scores) for one in who.any_of)


class Period(NamedTuple):
    """How points earned from `since` on expire: by `how`, the key of the book that says it, with its `number`."""

    since: int
    how: str  # days, end_of_year_after, months, end_of_month_after, never or idle_days
    number: int


def compile_expiry(kind: Kind, zone: Zone) -> tuple[Period, ...]:
    """How points of a kind expire, the latest period first."""
    found = []
    for period in reversed(kind.expiry):
        ends = {name: getattr(period, name) for name in Expiry.__struct_fields__ if name != "from_"}
        (end,) = [(name, int(value)) for name, value in ends.items() if value is not None and value is not False]
        found.append(Period(instant_of(period.from_, zone), *end))
    return tuple(found)


class ProgrammeVersion:
    """One dated version of a rule book, compiled: of one book, or of several owners' books together.

    Of books with days of their own, the version as a whole has every table, and a stage of it those that hold from a
    day on; a stage has the name of the whole.
    """

    def __init__(self, toml: str, where: str = "rule book", engine: int = ENGINE) -> None:
        self._compile(toml, read_parts(toml, where, engine))

    @classmethod
    def of(cls, parts: Sequence[Part], toml: str | None = None, since: date | None = None) -> "ProgrammeVersion":
        """Return the version of checked books, or of those that hold from a day on in the version of a text."""
        version = cls.__new__(cls)
        version._compile(joined(parts) if toml is None else toml, in_order(parts), since)
        return version

    def _compile(self, toml: str, parts: tuple[Part, ...], since: date | None = None) -> None:
        self.toml = toml
        self.name = version_of(toml)
        self.parts = parts
        self.programme, self.languages = merged(parts)
        if since is not None:
            self.programme = structs.replace(self.programme, from_=since)
        self.offset = zone_of(self.programme)
        self.since = instant_of(self.programme.from_, self.offset)
        self.late = self.programme.late_days * DAY
        self.rankings = {name: compile_ranking(name, score) for name, score in self.programme.scores.items()}
        # Scores whose items stand in other buckets than months, move the value at once, or are to be held.
        self.live = {name: r for name, r in self.rankings.items() if r.window != MONTHS or r.at_once or r.holds}
        rules = [compile_rule(award, self.offset, self.programme, self.live) for award in self.programme.award]
        self.rules = {rule.name: rule for rule in rules}
        of_lines = [rule for rule in rules if rule.award.each == "line"]
        self.line_rules = index_rules(rule for rule in of_lines if rule.award.on == "order.completed")
        self.paid_line_rules = index_rules(rule for rule in of_lines if rule.award.on == "order.paid")
        self.multiplies = any(rule.times for rule in of_lines)
        self.line_rules_without_card = index_rules(rule for rule in self.line_rules if rule.member is None)
        of_facts: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.award.each == "fact":
                of_facts.setdefault(rule.award.on, []).append(rule)
        self.fact_rules = {on: index_rules(found) for on, found in of_facts.items()}
        asked = {row.on for row in BY_CLASS.values() if row.asks}
        # By type of fact, the rules that are asked behind its own decision, and what it costs.
        self.rules_after = {on: found for on, found in self.fact_rules.items() if on not in asked and on != REACHED}
        self.penalties: dict[str, tuple[Fine, ...]] = {}
        for name, penalty in self.programme.penalties.items():
            self.penalties[penalty.on] = (*self.penalties.get(penalty.on, ()), compile_penalty(name, penalty))
        behind = self.rules_after.keys() | self.penalties.keys()
        self.asked_behind = frozenset(fact for fact, row in BY_CLASS.items() if row.on in behind)
        # By type of fact, whom its award rules and their multipliers are for, where that is not every member.
        self.asks_who = compile_asked(rules)
        self.products: dict[str, tuple[str, Product]] = {}
        self.benefits: dict[str, tuple[str, Benefit]] = {}
        for name, membership in self.programme.memberships.items():
            for label, product in membership.products.items():
                self.products[label] = (name, product)
            for label, benefit in membership.benefits.items():
                self.benefits[label] = (name, benefit)
        for label, benefit in self.programme.benefits.items():
            self.benefits[label] = ("", benefit)
        by_shop = frozenset(name for name, score in self.programme.scores.items() if score.each)
        self.perks = {
            label: compile_benefit(label, name, benefit, self.offset, by_shop)
            for label, (name, benefit) in self.benefits.items()
        }
        # Benefits that are rights of lines, judged as these complete; and whether a claim will ask the order's fact.
        self.rights = tuple(perk for perk in self.perks.values() if perk.of_line and not perk.at_claim)
        self.rights_without_card = tuple(perk for perk in self.rights if not perk.membership)
        self.keeps_said = any(perk.at_claim and perk.asks_order for perk in self.perks.values())
        # By the subject of its account, each budget and stock that members share.
        budgets = [campaign_pool(name, campaign) for name, campaign in self.programme.campaigns.items()]
        self.pools = {pool.subject: pool for pool in budgets}
        self.pools |= {perk.stock.subject: perk.stock for perk in self.perks.values() if perk.stock is not None}
        self.prices: dict[str, tuple[Price, ...]] = {}
        for label, (_, product) in self.products.items():
            self.prices[label] = tuple(
                Price(one.fen, instant_of(one.from_, self.offset) if one.from_ else 0, compile_who(one.who))
                for one in product.price
            )
        self.gates = {label: _gate(product, self.offset) for label, (_, product) in self.products.items()}
        # Memberships with a card of which a whole refund takes back what it gave.
        self.claws_back = frozenset(name for name, card in self.products.values() if card.on_refund == "claw-back")
        self.shares: dict[str, Fraction | None] = {
            name: Fraction(use.share) if use.share else None for name, use in self.programme.uses.items()
        }
        self.exchanges = {
            name: compile_exchange(exchange, self.offset) for name, exchange in self.programme.exchanges.items()
        }
        self.transfers = {
            name: TransferTerms(compile_who(one.who), Fraction(one.fee or 0), one.keeps_expiry)
            for name, one in self.programme.transfers.items()
        }
        # Scores that need older months than facts may still come for.
        self.kept_longer = [r for r in self.rankings.values() if oldest_needed(r, FIRST_MONTH) < FIRST_MONTH]
        # Scores that move on other days than the first of a month.
        self.own_days = [r for r in self.rankings.values() if r.window == DAYS or r.settle_day > 1]
        self.keyed_kinds = frozenset(name for name, kind in self.programme.kinds.items() if kind.each)
        self.keyed_scores = frozenset(name for name, score in self.programme.scores.items() if score.each)
        self.default_kind = self.programme.default_kind
        self.who_may_use = {name: compile_who(use.who) for name, use in self.programme.uses.items()}
        self.expiries = {name: compile_expiry(kind, self.offset) for name, kind in self.programme.kinds.items()}
        self.idle = {
            name: periods[0].number * DAY for name, periods in self.expiries.items() if periods[0].how == "idle_days"
        }
        self._oldest_kept: dict[int, int] = {}
        self._last_end: dict[str, tuple[int, int, int]] = {}  # by kind, from and until when earned, and the expiry

    def rules_on(self, on: str) -> Rules:
        """The rules that stand on a whole fact of a type (without its version)."""
        return self.fact_rules.get(on, NO_RULES)

    def kind(self, name: str) -> Kind:
        """Return the table of a kind, also of one that is kept for a shop."""
        kinds = self.programme.kinds
        return kinds.get(name) or kinds[name.partition(AT_SHOP)[0]]

    def period_at(self, kind: str, earned_at: int) -> Period:
        """Return how points of a kind expire that are earned at an instant: by the last period then begun."""
        for period in self.expiries.get(kind) or self.expiries[kind.partition(AT_SHOP)[0]]:
            if period[0] <= earned_at:
                break  # and where none has, the first period holds
        return period

    def expires_at(self, kind: str, earned_at: int) -> int:
        """When points of a kind earned at an instant expire (exclusive); `MAX_INSTANT`: they do not by themselves."""
        first, end, expires_at = self._last_end.get(kind, _NEVER)
        if first <= earned_at < end:
            return expires_at
        later = NO_END
        for period in self.expiries.get(kind) or self.expiries[kind.partition(AT_SHOP)[0]]:
            if period[0] <= earned_at:
                break  # and where none has begun, the first period holds
            later = period[0]
        since, how, count = period
        if how == "days":
            end = earned_at + count * DAY
            return end if end < MAX_INSTANT else MAX_INSTANT
        if how == "months":
            return months_later(earned_at, count, self.offset)
        if how not in ("end_of_year_after", "end_of_month_after"):
            return MAX_INSTANT  # never, or by the purse's own instant
        zone = self.offset
        first, span = self.month(earned_at), 1
        if how == "end_of_year_after":
            first, span = first - first % 12, 12
            month = min(first // 12 + count + 1, 2999) * 12
        else:
            month = first + count + 1
        expires_at = month_start(month, zone)
        if since <= earned_at and kind in self.expiries and isinstance(zone, int):
            # Elsewhere clocks that are put back may show the end of a month twice.
            begin, end = month_start(first, zone), month_start(first + span, zone)
            self._last_end[kind] = (max(begin, since), min(end, later), expires_at)
        return expires_at

    def pending_until(self, wait: Wait, earned_at: int) -> int:
        """Until when points that are earned at an instant are pending."""
        if not wait.day:
            return min(earned_at + wait.days * DAY, MAX_INSTANT)
        local = month_start(self.month(earned_at) + 1, 0) + (wait.day - 1) * DAY
        return min(instant_at(local, self.offset), MAX_INSTANT)

    def text_in(self, place: str, language: str, otherwise: str) -> str:
        """A text of the book (``kinds.KIND.name``) in a language, or `otherwise` where it has none in it."""
        return text_in(self.languages, place, language, otherwise)

    def month(self, instant: int) -> int:
        """The local month of an instant."""
        zone = self.offset
        return month_of_day((instant + zone if isinstance(zone, int) else local_at(instant, zone)) // DAY)

    def oldest_kept(self, month: int) -> int:
        """The oldest month whose sums and counters are still needed in a month: by late facts, or by a score."""
        kept = self._oldest_kept.get(month)
        if kept is None:
            kept = month_of(max(0, month_start(month, self.offset) - self.late), self.offset)
            kept = self._oldest_kept[month] = min([kept, *(oldest_needed(r, month) for r in self.kept_longer)])
        return kept

    def bucket(self, score: str, instant: int) -> int:
        """The bucket of a score's item that occurred at an instant."""
        ranking: Ranking = self.rankings[score]
        return bucket_at(ranking, instant, self.offset)


def checked_version(parts: Sequence[Part]) -> ProgrammeVersion:
    """Return the version that books make together, checked as the first of a ledger. Raises `BadProgramme`."""
    check_parts(parts)
    return Programme([]).take(ProgrammeVersion.of(parts))


@lru_cache(maxsize=KNOWN_VERSIONS)
def _version(toml: str, where: str, engine: int) -> ProgrammeVersion:
    """Return the version of a text: each partition of a ledger has the same. Raises `BadProgramme`."""
    return ProgrammeVersion(toml, where, engine)


class Programme:
    """A ledger's rule book: the newest version whose `from` is at or before an instant decides what occurred then."""

    def __init__(self, tomls: list[str], where: str = "rule book", engine: int = ENGINE) -> None:
        self.versions: list[ProgrammeVersion] = []
        # Of any version: rules and benefits that draw from a budget or stock which members share.
        self.drawing: set[str] = set()
        self.stocked: set[str] = set()
        self.has_seats = False  # whether a card has seats, by which its benefits are claimed of a house
        self.by_name: dict[str, ProgrammeVersion] = {}
        for toml in tomls:
            self.add(toml, where, engine)

    def add(self, toml: str, where: str = "rule book", engine: int = ENGINE) -> ProgrammeVersion:
        """Take a version in (again: nothing happens). Raises `BadProgramme`, also where accounts would lose a kind.

        `engine` is the one whose checks it is to meet: `STORED` for one that a ledger has taken before.
        """
        known = self.by_name.get(version_of(toml))
        if known is not None and known.toml == toml:
            return known
        return self.take(_version(toml, where, engine), where, engine)

    def take(self, version: ProgrammeVersion, where: str = "rule book", engine: int = ENGINE) -> ProgrammeVersion:
        """Take in a version that was read already. Returns and raises as `add` does."""
        known = self.by_name.get(version.name)
        if known is not None:
            if known.toml != version.toml:
                raise BadProgramme(f"{where}: the ledger has these texts already, divided in another way")
            return known
        for other in self.versions if engine > STORED else self.versions[:1]:
            problem = next(misfits(other.programme, version.programme), None)
            if problem:
                raise BadProgramme(f"{where}: {problem}")
        self.versions += self.stages_of(version, engine)
        self.versions.sort(key=lambda v: v.since)  # stable: of equal dates the one published last is last
        self.by_name[version.name] = version
        self.drawing.update(rule.name for rule in version.rules.values() if rule.pool is not None)
        self.stocked.update(perk.name for perk in version.perks.values() if perk.stock is not None)
        self.has_seats = self.has_seats or any(card.seats for _, card in version.products.values())
        return version

    def stages_of(self, version: ProgrammeVersion, engine: int) -> list[ProgrammeVersion]:
        """Return what a version of several books is from each of their days on.

        Before its own day, the book of an owner is as the ledger had it; the first days on which nothing changes are
        left out. Raises `BadProgramme`.
        """
        if len(version.parts) == 1:
            return [version]
        stages: list[ProgrammeVersion] = []
        for begin in sorted({part.tables.from_ for part in version.parts}):
            held = self.nearest(instant_of(begin, version.offset)).parts if self.versions else ()
            before = {part.tables.programme: part for part in held}
            parts = [
                part if part.tables.from_ <= begin else before.get(part.tables.programme) for part in version.parts
            ]
            found = [part for part in parts if part is not None]
            if not stages and {part.toml for part in found} == {part.toml for part in held}:
                continue
            if engine > STORED:
                check_stage(found, begin)
            stages.append(ProgrammeVersion.of(found, version.toml, begin))
        return stages or [version]

    def beside(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        """Return books with those of other owners that the ledger has: whoever publishes theirs replaces it alone."""
        own = {part.tables.programme for part in parts}
        held = self.by_name[self.versions[-1].name].parts
        others = (part._replace(where=f"the ledger's {part.tables.programme}") for part in held)
        return in_order([*parts, *(part for part in others if part.tables.programme not in own)])

    @property
    def has_pools(self) -> bool:
        """Whether any version has a budget or stock that members share, and something that draws from it."""
        return bool(self.drawing or self.stocked)

    @property
    def may_ask(self) -> bool:
        """Whether by any version a member may wait for what another account answers."""
        return self.has_pools or self.has_seats

    @property
    def whole_versions(self) -> list[ProgrammeVersion]:
        """Each version once and whole, by the instant from which it decides."""
        return [self.by_name[name] for name in dict.fromkeys(version.name for version in self.versions)]

    def decided(self, name: str, instant: int) -> ProgrammeVersion:
        """Return the version of a name as it was at an instant; the one in force then where it is unknown."""
        found = self.nearest(instant)
        if found.name == name:
            return found
        stages = [version for version in self.versions if version.name == name]
        begun = [version for version in stages if version.since <= instant]
        return begun[-1] if begun else stages[0] if stages else found

    def at(self, instant: int) -> ProgrammeVersion | None:
        """The version that decides what occurred at an instant; None before the first."""
        version = self.versions[-1]
        if version.since <= instant:  # what nearly every fact asks for
            return version
        return next((version for version in reversed(self.versions) if version.since <= instant), None)

    def nearest(self, instant: int) -> ProgrammeVersion:
        """The version at an instant, or the first where none held yet."""
        version = self.versions[-1]
        return version if version.since <= instant else self.at(instant) or self.versions[0]

    @property
    def offset(self) -> Zone:
        """The book's zone: its fixed offset from UTC in microseconds, or a zone whose offset changes."""
        return self.versions[0].offset
