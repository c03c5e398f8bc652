"""A programme compiled: each rule once, to plain functions over lines and facts. No rule is interpreted per fact."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from ledger.rulebook.schema import (
    LINE_FIELDS,
    Award,
    BadProgramme,
    Benefit,
    Condition,
    Give,
    Product,
    expiry_function,
    instant_of,
    offset_of,
    parse_programme,
    share_of,
    version_of,
)
from ledger.wire.times import DAY, month_of_day

Test = Callable[[Any, Any], bool]  # of a line and its fact's data
Amount = Callable[[int, str], int]  # points for fen and a category


class Rule:
    """An award rule, ready to apply. `test` is None where every line or fact meets it."""

    __slots__ = (
        "amount",
        "award",
        "day_cap",
        "day_mark",
        "first_category",
        "is_dated",
        "key",
        "kind",
        "line_cap",
        "member",
        "month_cap",
        "name",
        "part",
        "returnable",
        "score",
        "since",
        "test",
        "until",
        "within",
        "year_cap",
    )

    def __init__(self, award: Award, offset: int) -> None:
        caps = {cap.per: cap.points for cap in award.cap}
        self.award = award
        self.name = award.rule
        self.kind = award.kind or ""
        self.score = award.score or ""
        self.part = award.part or ""
        self.key = f"{award.score}/{award.part}/{award.rule}" if award.score else ""
        has_line = award.each == "line" or award.on == "review.posted"
        self.test = _compile_conditions(award.when, LINE_FIELDS if has_line else frozenset())
        self.amount = _compile_amount(award.give, award.rates)
        self.member = award.member
        self.first_category = award.first is not None
        self.day_mark = award.each_day  # the field of a fact's data whose every value counts once a day
        self.line_cap = caps.get("line", 0)
        self.day_cap = caps.get("day", 0)
        self.month_cap = caps.get("month", 0)
        self.year_cap = caps.get("year", 0)
        self.since = instant_of(award.from_, offset) if award.from_ else 0
        self.until = instant_of(award.until, offset) if award.until else 1 << 62
        self.is_dated = award.from_ is not None or award.until is not None
        self.within = award.within_days * DAY if award.within_days else 0
        self.returnable = award.returns and award.each == "line"


class Version:
    """One dated version of a rule book, compiled."""

    def __init__(self, toml: str, where: str = "rule book") -> None:
        self.toml = toml
        self.name = version_of(toml)
        self.programme = parse_programme(toml, where)
        self.offset = offset_of(self.programme)
        self.since = instant_of(self.programme.from_, self.offset)
        self.late = self.programme.late_days * DAY
        rules = [Rule(award, self.offset) for award in self.programme.award]
        self.rules = {rule.name: rule for rule in rules}
        self.line_rules = tuple(r for r in rules if r.award.each == "line")
        self._line_rules_of_all = tuple(r for r in self.line_rules if r.member is None)
        self._has_dated_line_rules = any(r.is_dated for r in self.line_rules)
        self.fact_rules: dict[str, tuple[Rule, ...]] = {}
        for rule in rules:
            if rule.award.each == "fact":
                self.fact_rules[rule.award.on] = (*self.fact_rules.get(rule.award.on, ()), rule)
        self.products: dict[str, tuple[str, Product]] = {}
        self.benefits: dict[str, tuple[str, Benefit]] = {}
        for name, membership in self.programme.memberships.items():
            for label, product in membership.products.items():
                self.products[label] = (name, product)
            for label, benefit in membership.benefits.items():
                self.benefits[label] = (name, benefit)
        self.shares: dict[str, Fraction | None] = {name: share_of(use) for name, use in self.programme.uses.items()}
        self._expiries = {name: expiry_function(kind, self.offset) for name, kind in self.programme.kinds.items()}

    def line_rules_at(self, instant: int, *, has_card: bool) -> tuple[Rule, ...]:
        """The rules for lines of an order completed at an instant; `has_card` leaves in those that ask for one."""
        rules = self.line_rules if has_card else self._line_rules_of_all
        if self._has_dated_line_rules:
            return tuple(rule for rule in rules if rule.since <= instant < rule.until)
        return rules

    def expires_at(self, kind: str, earned_at: int) -> int:
        """When points of a kind earned at an instant expire (exclusive)."""
        return self._expiries[kind](earned_at)

    def month(self, instant: int) -> int:
        """The local month of an instant."""
        return month_of_day((instant + self.offset) // DAY)


class Book:
    """A ledger's rule book: the newest version whose `from` is at or before an instant decides what occurred then."""

    def __init__(self, tomls: list[str], where: str = "rule book") -> None:
        self.versions: list[Version] = []
        self.by_name: dict[str, Version] = {}
        for toml in tomls:
            self.add(toml, where)

    def add(self, toml: str, where: str = "rule book") -> Version:
        """Take a version in (again: nothing happens). Raises `BadProgramme`, also where accounts would lose a kind."""
        known = self.by_name.get(version_of(toml))
        if known is not None:
            return known
        version = Version(toml, where)
        if self.versions:
            first = self.versions[0].programme
            new = version.programme
            if new.utc_offset != first.utc_offset:
                raise BadProgramme(
                    f"{where}: utc_offset: is {new.utc_offset}; this ledger counts at {first.utc_offset}"
                )
            for table in ("kinds", "scores", "memberships"):
                missing = sorted(set(getattr(first, table)) - set(getattr(new, table)))
                if missing:
                    raise BadProgramme(
                        f"{where}: {table}: lacks {', '.join(missing)}, which this ledger's accounts have"
                    )
            for name, score in first.scores.items():
                missing = sorted(set(score.parts) - set(new.scores[name].parts))
                if missing:
                    raise BadProgramme(f"{where}: scores.{name}.parts: lacks {', '.join(missing)}, which accounts have")
        self.versions.append(version)
        self.versions.sort(key=lambda v: v.since)  # stable: of equal dates the one published last is last
        self.by_name[version.name] = version
        return version

    def at(self, instant: int) -> Version | None:
        """The version that decides what occurred at an instant; None before the first."""
        for version in reversed(self.versions):
            if version.since <= instant:
                return version
        return None

    def nearest(self, instant: int) -> Version:
        """The version at an instant, or the first where none held yet."""
        return self.at(instant) or self.versions[0]

    @property
    def offset(self) -> int:
        """The book's offset from UTC in microseconds."""
        return self.versions[0].offset


def _compile_amount(give: Give, rates: dict[str, int]) -> Amount:
    points, per, floor = give.points, give.per_fen, give.floor_fen
    if give.steps:
        steps = sorted(((step.at_least_fen, step.points) for step in give.steps), reverse=True)

        def stepped(fen: int, _category: str) -> int:
            for least, amount in steps:
                if fen >= least:
                    return amount
            return 0

        return stepped
    assert points is not None
    if per is None:
        return lambda _fen, _category: points
    if rates:
        return lambda fen, category: (
            fen * rates[category] // 10_000 if category in rates else fen // floor * floor * points // per
        )
    if points * floor == per:
        return lambda fen, _category: fen // floor
    return lambda fen, _category: fen // floor * floor * points // per


def _compile_conditions(when: dict[str, Condition], of_lines: frozenset[str]) -> Test | None:
    tests: list[Test] = []
    for name, condition in when.items():
        tests.extend(_compile_condition(name, name in of_lines, condition))
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda line, data: first(line, data) and second(line, data)
    return lambda line, data: all(test(line, data) for test in tests)


def _compile_condition(name: str, of_line: bool, condition: Condition) -> list[Test]:
    """The tests of one field, which stands on the line (`of_line`) or on the fact's data."""
    tests: list[Test] = []
    if condition.at_least is not None:
        least = condition.at_least
        tests.append(
            (lambda line, _: getattr(line, name) >= least)
            if of_line
            else (lambda _, data: getattr(data, name) >= least)
        )
    if condition.at_most is not None:
        most = condition.at_most
        tests.append(
            (lambda line, _: getattr(line, name) <= most) if of_line else (lambda _, data: getattr(data, name) <= most)
        )
    if condition.in_ is not None:
        allowed = frozenset(condition.in_)
        tests.append(
            (lambda line, _: getattr(line, name) in allowed)
            if of_line
            else (lambda _, data: getattr(data, name) in allowed)
        )
    if condition.not_in is not None:
        barred = frozenset(condition.not_in)
        tests.append(
            (lambda line, _: getattr(line, name) not in barred)
            if of_line
            else (lambda _, data: getattr(data, name) not in barred)
        )
    if condition.has is not None:
        wanted = condition.has
        tests.append(
            (lambda line, _: wanted in getattr(line, name))
            if of_line
            else (lambda _, data: wanted in getattr(data, name))
        )
    return tests
