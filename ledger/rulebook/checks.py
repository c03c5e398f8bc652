"""A rule book's TOML, read and checked against the schema, with errors that name the table and key."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from ledger.rulebook.schema import Award, BadProgramme, Programme
from ledger.wire.fact_catalogue import BY_NAME

_NUMBERS = frozenset({"paid_fen", "quantity", "points", "characters", "images"})
_NAMES = ", ".join(name for name, row in BY_NAME.items() if row.fields is not None)


def parse_programme(toml: str, where: str = "rule book") -> Programme:
    """A checked version from its TOML. Raises `BadProgramme` that names `where`, the table and the key."""
    try:
        document = tomllib.loads(toml)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadProgramme(f"{where}: not TOML: {error}") from None
    try:
        programme = msgspec.convert(document, Programme, strict=True)
    except msgspec.ValidationError as error:
        raise BadProgramme(f"{where}: {_complaint(str(error), document)}") from None
    problem = next(_problems(programme), None)
    if problem:
        raise BadProgramme(f"{where}: {problem}")
    return programme


# -- what the schema says ----------------------------------------------------------------------------------------------


def _complaint(message: str, document: dict[str, Any]) -> str:
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


# -- what the schema cannot say, a sentence each -----------------------------------------------------------------------


def _problems(programme: Programme) -> Iterator[str]:
    yield from _membership_problems(programme)
    for name, kind in programme.kinds.items():
        for index, period in enumerate(kind.expiry):
            if (period.days is None) == (period.end_of_year_after is None):
                yield f"kinds.{name}.expiry[{index}]: give either days or end_of_year_after"
        if not _in_order(period.from_ for period in kind.expiry):
            yield f"kinds.{name}.expiry: the periods are not in order of `from`"
    for name, score in programme.scores.items():
        if not _in_order(tier.at_least for tier in score.tiers):
            yield f"scores.{name}.tiers: not in order of at_least"
    rules: set[str] = set()
    for index, award in enumerate(programme.award):
        at = f'award[{index}] (rule "{award.rule}")'
        if award.rule in rules:
            yield f"{at}: this rule name stands twice"
        rules.add(award.rule)
        yield from _award_problems(at, award, programme)
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


def _in_order(values: Iterable[Any]) -> bool:
    found = list(values)
    return found == sorted(found)


def _membership_problems(programme: Programme) -> Iterator[str]:
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


def _award_problems(at: str, award: Award, programme: Programme) -> Iterator[str]:
    row, of_lines = BY_NAME.get(award.on), award.each == "line"
    if row is None or row.fields is None:
        yield f'{at}.on: no rule can stand on "{award.on}"; there are {_NAMES}'
        return
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
    if award.instead_of is not None and award.instead_of not in {other.rule for other in programme.award}:
        yield f'{at}.instead_of: there is no rule "{award.instead_of}"'
    if of_lines and row.lines != "each":
        yield f"{at}.each: only order.completed has lines"
    if not of_lines and (award.member or award.instead_of):
        yield f'{at}: member and instead_of need each = "line"'
    if of_lines and award.once:
        yield f"{at}.once: is not for lines; first is"
    for cap in award.cap:
        if cap.per in ("line", "day") and (cap.per == "line") != of_lines:
            yield f'{at}.cap: per = "{cap.per}" is {"for" if cap.per == "line" else "not for"} each = "line"'
    for name in ("within_days", "unless_returned"):
        if getattr(award, name) and row.lines != "one":
            yield f"{at}.{name}: is for review.posted, which is about a line completed before"
    if award.each_day and award.on != "shop.visited":
        yield f"{at}.each_day: is for shop.visited"
    if award.first and not of_lines:
        yield f'{at}.first: needs each = "line"'
    if award.once and award.score is None:
        yield f"{at}.once: is for scores"
    if bool(award.give.steps) == (award.give.points is not None):
        yield f"{at}.give: give either points or steps"
    fields = row.rule_fields(of_lines=of_lines)
    for name in award.when:
        if name not in fields:
            yield f'{at}.when: no field "{name}"; there are {", ".join(sorted(fields)) or "none"}'
    yield from _condition_problems(at, award)


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
