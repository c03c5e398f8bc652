"""A rule book's TOML, read and checked against the schema, with errors that name the table and key."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from fractions import Fraction
from functools import cache
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec

from ledger.rulebook.attributes import is_value
from ledger.rulebook.bounded_toml import read_toml
from ledger.rulebook.languages import take_languages
from ledger.rulebook.schema import (
    Attribute,
    Award,
    BadProgramme,
    Benefit,
    Campaign,
    Condition,
    Exchange,
    Expiry,
    Gift,
    Give,
    Membership,
    Opening,
    Penalty,
    Product,
    ProgrammeTables,
    Score,
    Transfer,
    UseCap,
    Who,
    instant_of,
    zone_of,
)
from ledger.rulebook.union import Part, clashes, in_order, merged, placed, texts_of
from ledger.wire.entries import ENGINE
from ledger.wire.fact_catalogue import BUILT_IN_ATTRIBUTES, OCCASIONS, OLDER_OCCASIONS, REACHED, Occasion
from ledger.wire.facts import KIND_LEFT_OUT
from ledger.wire.times import to_datetime
from ledger.wire.unreadable import UNREADABLE

_NAMES = ", ".join(OCCASIONS)


def parse_programme(toml: str, where: str = "rule book", engine: int = ENGINE) -> ProgrammeTables:
    """A checked version from its TOML. Raises `BadProgramme` that names `where`, the table and the key."""
    return merged(read_parts(toml, where, engine))[0]


def read_parts(toml: str, where: str = "rule book", engine: int = ENGINE) -> tuple[Part, ...]:
    """Return the books of a version from its text, checked by themselves and together. Raises `BadProgramme`.

    `engine` is the one whose checks it met when it was published: one that is stored is not refused by later checks.
    """
    parts = parts_of(toml, where)
    if parts != in_order(parts):
        raise BadProgramme(f"{where}: its books do not stand in the order of their `programme`")
    check_parts(parts, engine)
    return parts


def parts_of(toml: str, where: str) -> tuple[Part, ...]:
    """Return the books of a version by the schema, not checked any further. Raises `BadProgramme`."""
    texts = texts_of(toml)
    names = [f"{where}, book {place}" for place in range(1, len(texts) + 1)] if len(texts) > 1 else [where]
    return tuple(_read_part(text, name) for name, text in zip(names, texts, strict=True))


def _read_part(toml: str, where: str) -> Part:
    try:
        document = _with_moments(read_toml(toml))
    except UNREADABLE as error:
        raise BadProgramme(f"{where}: not TOML: {error}") from None
    languages = take_languages(document, where)
    return Part(where, toml, _convert(document, ProgrammeTables, where), languages)


def check_parts(parts: Sequence[Part], engine: int = ENGINE) -> None:
    """Raise `BadProgramme` where books cannot be one version: it names the file (or both), the table and the key."""
    clash = next(clashes(parts), None)
    if clash:
        raise BadProgramme(clash)
    programme, _ = merged(parts)
    problem = next(_problems(programme), None)
    if problem is None and engine >= 2:
        problem = next(_problems_since_engine_2(programme), None)
    if problem:
        raise BadProgramme(placed(problem, parts))


# What may name a table of a book that does not hold yet: it is not met before that does.
_NOT_MET_YET = re.compile(r"[^:]*\.(?:who\b|member:|exempt:|instead_of:|open\.month_of:|quota\[)")


def check_stage(parts: Sequence[Part], since: date) -> None:
    """Raise `BadProgramme` where what holds from a day on needs a table of another file that holds from later on."""
    for problem in _problems(merged(parts)[0]):
        if not _NOT_MET_YET.match(problem):
            raise BadProgramme(
                f"{placed(problem, parts)} on {since}; a file that has it holds from a later day on:"
                " let both have the same `from`"
            )


def _convert(document: Any, table: Any, where: str, at: str = "") -> Any:
    """A table of the book by its type. Named tables within it go first, so that a complaint has their names."""
    for key, named in _named_tables(table) if isinstance(document, dict) else ():
        if isinstance(document.get(key), dict):
            for name, value in document[key].items():
                _convert(value, named, where, f"{at}.{key}.{name}")
    try:
        return msgspec.convert(document, table, strict=True)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        path, hint = _place_in(document, table, path.removeprefix("`key` in ").strip("`").removeprefix("$"))
        field = re.search(r"unknown field `(\w+)`", text)
        allowed = [name for one in _options_of(hint) for name in getattr(one, "__struct_encode_fields__", ())]
        values = [str(value) for one in _options_of(hint) if get_origin(one) is Literal for value in get_args(one)]
        if field is not None:
            text = f"no key `{field[1]}`; there are {', '.join(allowed)}"
        elif values:
            text += f"; there are {', '.join(values)}"
        path = at + path
        found = re.match(r"\.award\[(\d+)\]", path)
        award = document["award"][int(found[1])] if found else None
        if path.endswith((".from", ".until")):
            text += "; a date like 2017-07-10 is wanted, or in rules a time like 2017-07-10T18:00:00+08:00"
        rule = f' (rule "{award["rule"]}")' if isinstance(award, dict) and award.get("rule") else ""
        raise BadProgramme(f"{where}: {path[1:] or 'top level'}{rule}: {text}") from None


@cache
def _named_tables(table: Any) -> tuple[tuple[str, Any], ...]:
    """The keys of a table under which there are tables by name, and the type of these."""
    hints = get_type_hints(table, include_extras=True) if isinstance(table, type) else {}
    named = ((key, t) for key, hint in hints.items() for t in (hint, *get_args(hint)) if get_origin(t) is dict)
    return tuple((key, get_args(found)[1]) for key, found in named)


def _options_of(hint: Any) -> list[Any]:
    """The types that a hint allows, without what is annotated."""
    if get_origin(hint) is Annotated:
        return _options_of(get_args(hint)[0])
    if get_origin(hint) not in (None, dict, tuple, Literal):  # a union, however it is written
        return [one for option in get_args(hint) for one in _options_of(option)]
    return [hint]


def _place_in(document: Any, hint: Any, path: str) -> tuple[str, Any]:
    """The place of a complaint with the names that msgspec leaves out of it, and the type that stands there."""
    said = ""
    for step in re.findall(r"\.\w+|\[[^]]*\]", path):
        options = _options_of(hint)
        if step.startswith("."):
            table = next((one for one in options if isinstance(one, type) and issubclass(one, msgspec.Struct)), None)
            hints = get_type_hints(table, include_extras=True) if table is not None else {}
            fields = dict(zip(table.__struct_encode_fields__, table.__struct_fields__, strict=True)) if table else {}
            hint = hints.get(fields.get(step[1:], ""), Any)
            document = document.get(step[1:]) if isinstance(document, dict) else None
        elif step == "[...]":
            hint = next((get_args(one)[1] for one in options if get_origin(one) is dict), Any)
            named = document if isinstance(document, dict) else {}
            name = next((name for name, value in named.items() if not _is_a(value, hint)), "...")
            step, document = f".{name}", named.get(name)
        else:
            hint = next((get_args(one)[0] for one in options if get_origin(one) is tuple), Any)
            document = document[int(step[1:-1])] if isinstance(document, list) else None
        said += step
    return said, hint


def _is_a(value: Any, hint: Any) -> bool:
    try:
        msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError:
        return False
    return True


def _with_moments(value: Any) -> Any:
    """A TOML document with its dates and times as texts, of which the schema has one type for both."""
    if isinstance(value, dict):
        return {key: _with_moments(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_moments(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def moment_problems(at: str, *moments: str | None) -> Iterator[str]:
    """What is wrong with a `from` and `until`: each a date, or a time with its offset."""
    for key, moment in zip(("from", "until"), moments, strict=True):
        if moment is None:
            continue
        try:
            read = datetime.fromisoformat(moment)
        except ValueError:
            yield f"{at}.{key}: {moment} is no date like 2017-07-10 and no time like 2017-07-10T18:00:00+08:00"
            continue
        if "T" in moment and read.tzinfo is None:
            yield f"{at}.{key}: {moment} has no offset; a time is written like 2017-07-10T18:00:00+08:00"
        elif not 1970 <= read.year <= 2999:
            yield f"{at}.{key}: {moment} is out of range; years 1970 to 2999 are taken"


def misfits(first: ProgrammeTables, later: ProgrammeTables) -> Iterator[str]:
    """Why a later version cannot be one of the book that began with `first`: accounts would lose what they have."""
    if later.time_zone != first.time_zone:
        counts = first.time_zone or first.utc_offset
        yield f"time_zone: is {later.time_zone or later.utc_offset}; this ledger counts at {counts}"
    elif later.utc_offset != first.utc_offset:
        yield f"utc_offset: is {later.utc_offset}; this ledger counts at {first.utc_offset}"
    elif first.time_zone and _past(first, later.from_) != _past(later, later.from_):
        yield f"transitions: differ from this ledger's {first.time_zone} before {later.from_}, when the version begins"
    for name, score in first.scores.items():
        if name in later.scores:
            for key, had, has in (
                ("window", window_kind(score), window_kind(later.scores[name])),
                ("settle", score.settle, later.scores[name].settle),
                ("each", score.each, later.scores[name].each),
            ):
                if had != has:
                    yield f"scores.{name}.{key}: is {has}; this ledger counts it {had}, and has kept no other sums"
    for name, kind in first.kinds.items():
        if name in later.kinds and later.kinds[name].each != kind.each:
            yield f"kinds.{name}.each: is {later.kinds[name].each}; this ledger keeps it {kind.each}"
    tables = [(name, getattr(first, name), getattr(later, name)) for name in ("kinds", "scores", "memberships")]
    for name, score in first.scores.items():
        if name in later.scores:
            tables.append((f"scores.{name}.parts", score.parts, later.scores[name].parts))
    for name, had, has in tables:
        missing = sorted(had.keys() - has.keys())
        if missing:
            yield f"{name}: lacks {', '.join(missing)}, which this ledger's accounts have"


def _past(programme: ProgrammeTables, until: date) -> list[tuple[datetime, str]]:
    """The transitions of a book's zone before a date of its own local time."""
    zone = programme.time_zone or ""
    end = to_datetime(instant_of(until, zone_of(programme)))
    return [(one.at, one.offset) for one in programme.transitions[zone] if one.at < end]


def window_kind(score: Score) -> str:
    """What a score's window counts: months, days, the year, or a whole life."""
    return score.window or ("days" if score.window_days is not None else "months")


# -- what the schema cannot say, a sentence each -----------------------------------------------------------------------


def _problems(programme: ProgrammeTables) -> Iterator[str]:
    yield from _membership_problems(programme)
    yield from _zone_problems(programme)
    for name, kind in programme.kinds.items():
        for index, period in enumerate(kind.expiry):
            ends = [getattr(period, name) for name in _ENDS]
            if sum(value is not None and value is not False for value in ends) != 1:
                yield f"kinds.{name}.expiry[{index}]: give either {', '.join(_ENDS[:-1])} or {_ENDS[-1]}"
        if len(kind.expiry) > 1 and any(period.idle_days is not None for period in kind.expiry):
            yield f"kinds.{name}.expiry: idle_days is the only period of its kind"
        if not _in_order(period.from_ for period in kind.expiry):
            yield f"kinds.{name}.expiry: the periods are not in order of `from`"
    for name, attribute in programme.attributes.items():
        if name in _BUILT_IN:
            yield f"attributes.{name}: is built in; leave it out"
        if attribute.values is not None and attribute.type != "text":
            yield f'attributes.{name}.values: are for type = "text"'
    for name, score in programme.scores.items():
        if not _in_order(tier.at_least for tier in score.tiers):
            yield f"scores.{name}.tiers: not in order of at_least"
        yield from _score_problems(f"scores.{name}", score, programme.late_days)
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
        yield from who_problems(f"uses.{name}.who", use.who, programme)
        if use.share and not use.order:
            yield f"uses.{name}.share: needs order = true"
        if not use.order and any(cap.per == "order" for cap in use.cap):
            yield f'uses.{name}.cap: per = "order" needs order = true'
        if len({cap.per for cap in use.cap}) < len(use.cap):
            yield f"uses.{name}.cap: the same `per` stands twice"
        if len(set(use.kinds)) < len(use.kinds) or not use.kinds:
            yield f"uses.{name}.kinds: name each kind once, and at least one"
        if use.at_least and use.at_most and use.at_least > use.at_most:
            yield f"uses.{name}.at_least: is above at_most"
    yield from _shop_problems(programme)
    if programme.default_kind != KIND_LEFT_OUT:
        if programme.default_kind not in programme.kinds:
            yield f"default_kind: there is no [kinds.{programme.default_kind}]"
        if KIND_LEFT_OUT in programme.kinds:
            yield f"default_kind: facts that name no kind and those of [kinds.{KIND_LEFT_OUT}] could not be told apart"
    for name, exchange in programme.exchanges.items():
        yield from _exchange_problems(f"exchanges.{name}", exchange, programme)
    for name, transfer in programme.transfers.items():
        yield from _transfer_problems(f"transfers.{name}", transfer, programme)
    for name, campaign in programme.campaigns.items():
        yield from _campaign_problems(f"campaigns.{name}", campaign, programme)
    for name, penalty in programme.penalties.items():
        yield from _penalty_problems(f"penalties.{name}", penalty, programme)
    for name, benefit in programme.benefits.items():
        yield from _benefit_problems(f"benefits.{name}", benefit, None, programme)
    yield from _circles_of_opens(programme)


def _problems_since_engine_2(programme: ProgrammeTables) -> Iterator[str]:
    """What an older book may say: engine 1 took it, and decides by it as it did."""
    places = {award.rule: place for place, award in enumerate(programme.award)}
    for index, award in enumerate(programme.award):
        if award.instead_of is not None and places[award.instead_of] <= index:
            yield (
                f'award[{index}] (rule "{award.rule}").instead_of: "{award.instead_of}" stands before it; '
                "a rule stands before the one that it leaves out"
            )
    tables = dict.fromkeys(programme.benefits, "benefits")
    for name, membership in programme.memberships.items():
        for label in membership.benefits:
            if label in tables:
                yield (
                    f"memberships.{name}.benefits.{label}: stands in {tables[label]}, too; "
                    "a claim names a benefit only, so its name stands in one table"
                )
            tables[label] = f"memberships.{name}.benefits"


_ENDS = tuple(name for name in Expiry.__struct_fields__ if name != "from_")


def _zone_problems(programme: ProgrammeTables) -> Iterator[str]:
    zone = programme.time_zone
    if (zone is None) == (programme.utc_offset is None):
        yield "top level: give either utc_offset or time_zone"
    found = programme.transitions.get(zone or "", ())
    if set(programme.transitions) - {zone}:
        yield "transitions: are those of the book's time_zone only"
    if zone is not None and not found:
        yield f"transitions: none of {zone}; `points programme publish` and `--book` write them in"
    if [one.at for one in found] != sorted({one.at for one in found}):
        yield f"transitions.{zone}: not in order of `at`"


def _score_problems(at: str, score: Score, late_days: int) -> Iterator[str]:
    """What the keys of a score say against one another."""
    windows = [score.months is not None, score.window_days is not None, score.window is not None]
    is_daily, is_at_once, hold = score.settle == "daily", score.settle == "at-once", score.hold
    months = score.months or 0
    tiers = {tier.name for tier in score.tiers}
    unknown = sorted((score.deduct or {}).keys() - tiers)
    for is_wrong, said in (
        (sum(windows) > 1, ".window: give one of window_months, window_days and window"),
        (is_daily and score.window_days is None, '.settle: "daily" needs window_days'),
        (not is_daily and score.window_days is not None, '.window_days: needs settle = "daily"'),
        (score.window is not None and not is_at_once, f'.window: "{score.window}" needs settle = "at-once"'),
        (
            score.settle_day is not None and score.settle != "monthly",
            f'.settle_day: is for settle = "monthly", not "{score.settle}"',
        ),
        (
            hold is not None and (hold.days is None) == (hold.end_of_year_after is None),
            ".hold: give either days or end_of_year_after",
        ),
        (
            score.deduct is not None and (hold is None or score.window != "life"),
            '.deduct: needs hold and window = "life"',
        ),
        (score.deduct is not None and score.down == "step", '.down: "step" is not for a score with deduct'),
        (unknown, f".deduct: no tier {', '.join(unknown)}; there are {', '.join(sorted(tiers)) or 'none'}"),
        (
            months > 13 and late_days < (months + 1) * 31,
            f".window_months: {months} months need late_days of {(months + 1) * 31} or more; sums are kept so long",
        ),
    ):
        if is_wrong:
            yield at + said


def _in_order(values: Iterable[Any]) -> bool:
    found = list(values)
    return found == sorted(found)


def _membership_problems(programme: ProgrammeTables) -> Iterator[str]:
    products: set[str] = set()
    for name, membership in programme.memberships.items():
        for product in membership.products:
            if product in products:
                yield f'memberships.{name}.products: "{product}" stands in two memberships'
            products.add(product)
        for label, card in membership.products.items():
            at = f"memberships.{name}.products.{label}"
            if sum(length is not None for length in (card.days, card.months, card.years)) != 1:
                yield f"{at}: give either days, months or years"
            if card.trial and (card.grace_days or card.upgrades):
                yield f"{at}: a trial has no grace_days and no upgrades"
            stocked = [name for name, benefit in membership.benefits.items() if benefit.stock is not None]
            if card.seats and stocked:
                yield f"{at}.seats: a claim by a seat asks the house; benefits.{stocked[0]} asks its stock"
            yield from who_problems(f"{at}.who", card.who, programme)
            yield from _gate_problems(at, card)
            for index, price in enumerate(card.price):
                yield from who_problems(f"{at}.price[{index}].who", price.who, programme)
            yield from _hidden(f"{at}.price", [(price.who, price.from_ or "") for price in card.price])
            for upgraded in card.upgrades:
                if upgraded not in membership.products:
                    yield f'{at}.upgrades: no product "{upgraded}" in this membership'
        for label, benefit in membership.benefits.items():
            yield from _benefit_problems(f"memberships.{name}.benefits.{label}", benefit, membership, programme)


def _gate_problems(at: str, card: Product) -> Iterator[str]:
    """What is wrong with the time in which it is asked who may open a card."""
    since, until = card.who_from, card.who_until
    if card.who is None and (since or until):
        yield f"{at}.{'who_from' if since else 'who_until'}: says when `who` is asked, and there is no `who`"
    problems = [each.replace(f"{at}.", f"{at}.who_", 1) for each in moment_problems(at, since, until)]
    yield from problems


def _benefit_problems(
    at: str, benefit: Benefit, membership: Membership | None, programme: ProgrammeTables
) -> Iterator[str]:
    """What is wrong with a benefit of a membership, or (None) with one that stands by itself."""
    quota, per, of_line = benefit.quota, benefit.counts_by, benefit.of is not None
    stands = membership is None
    for is_wrong, said in (
        (
            stands and isinstance(quota, dict),
            ".quota: is by product, which a card has; give a number, or a list of {who, times}",
        ),
        (
            stands and quota is not None and per == "term",
            '.per: "term" is of a card; give day, month, year, ever, or days',
        ),
        (of_line and per != "line", f'.per: is "{per}"; what is of a line counts per = "line"'),
        (not of_line and per == "line", '.per: "line" needs of = "line"'),
        (not of_line and bool(benefit.when), '.when: needs of = "line"; `who` has the conditions on the member'),
        (not of_line and benefit.at == "claim", '.at: needs of = "line"'),
        (per == "days" and benefit.days is None, '.days: per = "days" needs them'),
        (not of_line and per != "days" and benefit.days is not None, '.days: needs of = "line" or per = "days"'),
    ):
        if is_wrong:
            yield at + said
    if isinstance(quota, dict) and membership is not None:
        for product in quota:
            if product not in membership.products:
                yield f'{at}.quota: no product "{product}" in this membership'
    is_asked_late = of_line and benefit.at == "completion"
    yield from who_problems(f"{at}.who", benefit.who, programme, may_ask_scores=not is_asked_late)
    if isinstance(quota, tuple):
        for index, allowed in enumerate(quota):
            yield from who_problems(f"{at}.quota[{index}].who", allowed.who, programme)
        yield from _hidden(f"{at}.quota", [(allowed.who, "") for allowed in quota])
    for index, price in enumerate(benefit.price):
        if price.kind not in programme.kinds:
            yield f"{at}.price[{index}].kind: there is no [kinds.{price.kind}]"
        yield from who_problems(f"{at}.price[{index}].who", price.who, programme)
    yield from _hidden(f"{at}.price", [(price.who, "") for price in benefit.price])
    occasion = OCCASIONS["order.completed"]
    fields = occasion.rule_fields(of_lines=True)
    yield from _condition_problems(f"{at}.when", benefit.when, fields, occasion.numbers)
    if benefit.open_ is not None:
        yield from _opening_problems(f"{at}.open", benefit.open_, programme)
    yield from _gift_problems(f"{at}.gives", benefit.gives, programme)
    yield from _stock_problems(at, benefit)
    if benefit.saves is not None and (benefit.saves.fen is None) == (benefit.saves.share is None):
        yield f"{at}.saves: give either fen or share"


def _hidden(at: str, entries: list[tuple[Who | None, str]]) -> Iterator[str]:
    """Entries (whom each is for, and from when) that can never be the first of their list that holds."""
    for place, (who, since) in enumerate(entries):
        for before, (earlier, begins) in enumerate(entries[:place]):
            is_begun = begins in ("", since) or begins[:10] < since[:10]
            if (earlier is None or earlier == who) and is_begun:
                yield f"{at}[{place}]: is never reached: {at.rpartition('.')[2]}[{before}] stands before it and holds"
                break


def _opening_problems(at: str, opening: Opening, programme: ProgrammeTables) -> Iterator[str]:
    yield from moment_problems(at, opening.from_, opening.until)
    if opening.days_of_month is not None and opening.days_of_month[0] > opening.days_of_month[1]:
        yield f"{at}.days_of_month: the first day is behind the last"
    if opening.month_of is not None:
        attribute = programme.attributes.get(opening.month_of)
        if attribute is None or attribute.type != "month-day":
            yield f'{at}.month_of: there is no [attributes.{opening.month_of}] of type = "month-day"'
    if opening == Opening():
        yield f"{at}: says nothing; give days_of_month, month_of, from or until"


def _gift_problems(at: str, gifts: tuple[Gift, ...], programme: ProgrammeTables) -> Iterator[str]:
    opened: set[str] = set()
    products = {label: name for name, table in programme.memberships.items() for label in table.products}
    for index, gift in enumerate(gifts):
        here = f"{at}[{index}]"
        points = gift.kind is not None or gift.points is not None
        tier = gift.score is not None or gift.tier is not None
        if points + tier + (gift.opens is not None) != 1:
            yield f"{here}: give either kind and points, or opens, or score, tier and days"
        elif points and (gift.kind not in programme.kinds or gift.points is None):
            yield f"{here}.kind: there is no [kinds.{gift.kind}]" if gift.points else f"{here}.points: is wanted"
        elif gift.opens is not None:
            yield from _opens_problems(f"{here}.opens", gift.opens, programme)
            if gift.days is not None:
                yield f"{here}.days: are the product's"
            if products.get(gift.opens, "") in opened:
                yield f"{here}.opens: another of these opens a card of that membership; a claim opens one of each"
            opened.add(products.get(gift.opens, gift.opens))
        elif tier:
            score = programme.scores.get(gift.score or "")
            if score is None or all(one.name != gift.tier for one in score.tiers):
                known = ", ".join(one.name for one in score.tiers) if score is not None else "no such score"
                yield f'{here}.tier: scores.{gift.score} has no tier "{gift.tier}"; there are: {known}'
            if score is not None and score.each is not None:
                yield f"{here}.score: scores.{gift.score} is kept for each shop; a tier of it is not granted"
            if gift.days is None:
                yield f"{here}.days: a tier is given for some days"
    if sum(gift.tier is not None for gift in gifts) > 1:
        yield f"{at}: a claim gives one tier at most"


def _opens_problems(at: str, opens: str, programme: ProgrammeTables) -> Iterator[str]:
    product = next((t.products[opens] for t in programme.memberships.values() if opens in t.products), None)
    if product is None:
        yield f'{at}: there is no product "{opens}" in a membership'
    elif product.trial:
        yield f"{at}: {opens} is a trial, which a member starts"


def _circles_of_opens(programme: ProgrammeTables) -> Iterator[str]:
    """Memberships whose benefits open one another, so that claims would open cards without an end."""
    products = {label: name for name, table in programme.memberships.items() for label in table.products}
    opens: dict[str, dict[str, str]] = {}  # membership -> membership that it opens -> the benefit that does so
    tables = [(f"memberships.{n}.benefits", [n], t.benefits) for n, t in programme.memberships.items()]
    for label, benefit in programme.benefits.items():
        tables.append(("benefits", list(_cards_of(benefit.who)), {label: benefit}))
    for table, cards, benefits in tables:
        for label, benefit in benefits.items():
            for gift in benefit.gives:
                for card in cards if gift.opens in products else ():
                    opens.setdefault(card, {})[products[gift.opens or ""]] = f"{table}.{label}.gives"
    for first in opens:
        seen, ahead = [first], [(first, "")]
        while ahead:
            membership, _ = ahead.pop()
            for target, where in opens.get(membership, {}).items():
                if target == first:
                    yield f"{where}: opens memberships.{first} again, which led to it; opens may not go in a circle"
                    return
                if target not in seen:
                    seen.append(target)
                    ahead.append((target, where))


def _cards_of(who: Who | None) -> Iterator[str]:
    """The memberships of which a member must, or may, hold a card to meet some conditions."""
    if who is not None:
        yield from (name for name, card in who.card.items() if card.active is not False)
        for one in who.any_:
            yield from _cards_of(one)


def _shop_problems(programme: ProgrammeTables) -> Iterator[str]:
    """What is kept for each shop: scores of a life, and rules over facts that name a shop."""
    for name, score in programme.scores.items():
        if score.joined and not score.each:
            yield f'scores.{name}.joined: needs each = "shop"'
        is_of_life = score.window == "life" and score.settle == "at-once"
        if score.each and not (is_of_life and score.hold is None and score.one_star_limit is None):
            yield f'scores.{name}.each: needs window = "life" and settle = "at-once", no hold and no limit'
        if score.each and any(tier.invited for tier in score.tiers):
            yield f"scores.{name}.tiers: none is invited where there is one for each shop"
    keyed = {name for name, score in programme.scores.items() if score.each}
    keyed |= {name for name, kind in programme.kinds.items() if kind.each}
    if not keyed:
        return
    for index, award in enumerate(programme.award):
        at, occasion = f'award[{index}] (rule "{award.rule}")', OCCASIONS.get(award.on)
        has_shop = occasion is not None and "shop" in occasion.fields
        asked = {*scores_asked(award.who), *(name for times in award.times for name in scores_asked(times.who))}
        if ({award.kind, award.score} | asked) & keyed and not has_shop:
            yield f"{at}: {award.on} names no shop, and something of this rule is kept for each shop"
        if award.once and award.score in keyed:
            yield f'{at}.once: is not for a score with each = "shop"'
    for name, penalty in programme.penalties.items():
        occasion = OCCASIONS.get(penalty.on)
        if {penalty.kind, penalty.score} & keyed and (occasion is None or "shop" not in occasion.fields):
            yield f"penalties.{name}: {penalty.on} names no shop, and what it takes is kept for each shop"
    for name, exchange in programme.exchanges.items():
        rates = (asked for rate in exchange.rate for asked in scores_asked(rate.who))
        kinds = {exchange.takes} if exchange.ledger else {exchange.takes, exchange.gives}
        if {*kinds, *scores_asked(exchange.who), *rates} & keyed:
            yield f"exchanges.{name}: an exchange names no shop, and something of it is kept for each shop"
    for name, transfer in programme.transfers.items():
        if {transfer.kind, *scores_asked(transfer.who)} & keyed:
            yield f"transfers.{name}: a transfer names no shop, and something of it is kept for each shop"


def scores_asked(who: Who | None) -> Iterator[str]:
    """Yield the scores whose value or tier conditions on the member ask."""
    if who is not None:
        yield from who.score
        yield from who.tier
        for one in who.any_:
            yield from scores_asked(one)


def _occasion_problems(at: str, award: Award, row: Occasion) -> Iterator[str]:
    """Amounts that there are none of, and what a tier that is reached cannot do."""
    give, is_about_lines = award.give, award.each == "line" or row.lines == "one"
    if award.opens is not None:
        return
    if give.per_count is not None and not is_about_lines and not row.count:
        yield f"{at}.give.per_count: {award.on} counts nothing; it is for lines and activity.done"
    if (
        (give.per_fen is not None or give.steps)
        and not is_about_lines
        and not row.fen
        and award.on not in OLDER_OCCASIONS
    ):
        yield f"{at}.give: {award.on} has no amount; per_fen and steps are for lines and facts with an amount"
    if award.on != REACHED:
        return
    for is_wrong, said in (
        (award.score is not None, ".score: a tier that is reached gives points, never a score"),
        (award.days_in_month is not None, ".days_in_month: is for facts"),
        (any(cap.per not in ("month", "year", "ever") for cap in award.cap), '.cap: per = "month", "year" or "ever"'),
    ):
        if is_wrong:
            yield f"{at}{said}"


def _transfer_problems(at: str, transfer: Transfer, programme: ProgrammeTables) -> Iterator[str]:
    if transfer.kind not in programme.kinds:
        yield f"{at}.kind: there is no [kinds.{transfer.kind}]"
    if transfer.fee and Fraction(transfer.fee) >= 1:
        yield f"{at}.fee: burns all that is given; it is to be less than 1"
    yield from _cap_problems(at, transfer.cap)
    yield from who_problems(f"{at}.who", transfer.who, programme)


def _cap_problems(at: str, caps: tuple[UseCap, ...]) -> Iterator[str]:
    """Yield what is wrong with caps of what is for no order."""
    if any(cap.per == "order" for cap in caps):
        yield f'{at}.cap: per = "order" is for uses'
    if len({cap.per for cap in caps}) < len(caps):
        yield f"{at}.cap: the same `per` stands twice"


def _exchange_problems(at: str, exchange: Exchange, programme: ProgrammeTables) -> Iterator[str]:
    here = {"takes": exchange.takes} if exchange.ledger else {"takes": exchange.takes, "gives": exchange.gives}
    for key, kind in here.items():
        if kind not in programme.kinds:
            yield f"{at}.{key}: there is no [kinds.{kind}]"
    if exchange.takes == exchange.gives and not exchange.ledger:
        yield f"{at}.gives: is the kind that it takes"
    if exchange.answer_within and not exchange.ledger:
        yield f"{at}.answer_within: is for an exchange with a partner, which `ledger` names"
    yield from _cap_problems(at, exchange.cap)
    yield from who_problems(f"{at}.who", exchange.who, programme)
    for place, rate in enumerate(exchange.rate):
        yield from moment_problems(f"{at}.rate[{place}]", rate.from_, None)
        yield from who_problems(f"{at}.rate[{place}].who", rate.who, programme)


def _campaign_problems(at: str, campaign: Campaign, programme: ProgrammeTables) -> Iterator[str]:
    if campaign.kind not in programme.kinds:
        yield f"{at}.kind: there is no [kinds.{campaign.kind}]"
    elif programme.kinds[campaign.kind].each is not None:
        yield f"{at}.kind: kinds.{campaign.kind} is kept for each shop; a campaign's budget is of one kind for all"
    if campaign.each_member is not None and campaign.each_member > campaign.budget:
        yield f"{at}.each_member: is above the budget of {campaign.budget}"
    if campaign.lease is not None and campaign.lease > campaign.budget:
        yield f"{at}.lease: is above the budget of {campaign.budget}"
    yield from moment_problems(at, campaign.from_, campaign.until)
    yield from who_problems(f"{at}.who", campaign.who, programme, may_ask_scores=False)


def _drawing_problems(at: str, award: Award, programme: ProgrammeTables) -> Iterator[str]:
    """What is wrong with a rule whose points are drawn from a campaign's budget."""
    campaign = programme.campaigns.get(award.campaign or "")
    cards = programme.memberships[award.member].products.values() if award.member in programme.memberships else ()
    for is_wrong, said in (
        (campaign is None, f": there is no [campaigns.{award.campaign}]"),
        (award.kind is None or award.opens is not None, ": a budget is of points; score and opens draw from none"),
        (
            campaign is not None and award.kind not in (None, campaign.kind),
            f": its budget is of {campaign.kind if campaign is not None else ''}, and the rule gives {award.kind}",
        ),
        (award.pending is not None, ": what it gives waits for the budget's answer; pending is for other rules"),
        (award.on == REACHED, f": {REACHED} may come as time passes, with no fact that could ask the budget"),
        (
            any(card.trial for card in cards),
            f": memberships.{award.member} has a trial, whose points wait for a card",
        ),
    ):
        if is_wrong:
            yield f"{at}.campaign{said}"


def _stock_problems(at: str, benefit: Benefit) -> Iterator[str]:
    """What is wrong with the stock of a benefit."""
    if benefit.stock is None:
        for key in ("stock_per", "refill", "lease"):
            if getattr(benefit, key):
                yield f"{at}.{key}: is of a stock, and there is no `stock`"
    elif benefit.lease is not None and benefit.lease > benefit.stock:
        yield f"{at}.lease: is above the stock of {benefit.stock}"


def _penalty_problems(at: str, penalty: Penalty, programme: ProgrammeTables) -> Iterator[str]:
    occasion = OCCASIONS.get(penalty.on)
    if occasion is None or penalty.on == REACHED:
        yield f'{at}.on: no penalty can stand on "{penalty.on}"; there are {_NAMES}'
        return
    score = programme.scores.get(penalty.score or "")
    for is_wrong, said in (
        ((penalty.kind is None) == (penalty.score is None), ": give either kind (points) or score and part"),
        (penalty.kind not in (None, *programme.kinds), f".kind: there is no [kinds.{penalty.kind}]"),
        (penalty.score is not None and score is None, f".score: there is no [scores.{penalty.score}]"),
        (score and penalty.part not in score.parts, f'.part: scores.{penalty.score}.parts has no "{penalty.part}"'),
    ):
        if is_wrong:
            yield at + said
    if penalty.exempt and penalty.exempt.membership not in programme.memberships:
        yield f"{at}.exempt: there is no [memberships.{penalty.exempt.membership}]"
    yield from _condition_problems(f"{at}.when", penalty.when, occasion.fields, occasion.numbers)


def _award_problems(at: str, award: Award, programme: ProgrammeTables) -> Iterator[str]:
    row, of_lines = OCCASIONS.get(award.on), award.each == "line"
    if row is None:
        yield f'{at}.on: no rule can stand on "{award.on}"; there are {_NAMES}'
        return
    about_a_line = "is for review.posted, which is about a line completed before"
    score, caps = programme.scores.get(award.score or ""), [cap.per for cap in award.cap]
    for is_wrong, said in (
        (
            award.opens is None and (award.kind is None) == (award.score is None),
            ": give either kind (points) or score and part, or opens",
        ),
        (award.kind not in (None, *programme.kinds), f".kind: there is no [kinds.{award.kind}]"),
        (award.score is not None and score is None, f".score: there is no [scores.{award.score}]"),
        (score and award.part not in score.parts, f'.part: scores.{award.score}.parts has no "{award.part}"'),
        (award.member not in (None, *programme.memberships), f".member: there is no [memberships.{award.member}]"),
        (
            award.instead_of not in (None, *(other.rule for other in programme.award)),
            f'.instead_of: there is no rule "{award.instead_of}"',
        ),
        (of_lines and row.lines != "each", ".each: only order.paid and order.completed have lines"),
        (not of_lines and (award.member or award.instead_of), ': member and instead_of need each = "line"'),
        (of_lines and award.once, ".once: is not for lines; first is"),
        (not of_lines and "order" in caps, '.cap: per = "order" is for each = "line"'),
        (award.member is None and "term" in caps, '.cap: per = "term" is of the card of `member`'),
        (bool(award.pending and award.kind is None), ".pending: is for points"),
        (not of_lines and "line" in caps, '.cap: per = "line" is for each = "line"'),
        (award.within_days and row.lines != "one", f".within_days: {about_a_line}"),
        (award.unless_returned and row.lines != "one", f".unless_returned: {about_a_line}"),
        (award.each_day and award.on != "shop.visited", ".each_day: is for shop.visited"),
        (award.once and award.first is not None, ".once: first says it already"),
        (award.first and not of_lines, '.first: needs each = "line"'),
        (
            award.opens is None and bool(award.give.steps) == (award.give.points is not None),
            ".give: give either points or steps",
        ),
        (
            award.give.per_count is not None and bool(award.give.per_fen or award.give.steps or award.rates),
            ".give.per_count: counts pieces; per_fen, steps and rates are not for it",
        ),
    ):
        if is_wrong:
            yield at + said
    yield from _occasion_problems(at, award, row)
    if award.campaign is not None:
        yield from _drawing_problems(at, award, programme)
    if award.opens is not None:
        yield from _opens_problems(f"{at}.opens", award.opens, programme)
        for key in ("kind", "score", "part", "member", "times", "pending", "cap", "rates", "each_day", "days_in_month"):
            if getattr(award, key):
                yield f"{at}.{key}: is for points; opens gives a card"
        if of_lines or award.give != Give():
            yield f'{at}.opens: is for each = "fact", in place of give'
    fields = row.rule_fields(of_lines=of_lines)
    yield from moment_problems(at, award.from_, award.until)
    yield from _condition_problems(f"{at}.when", award.when, fields, row.numbers)
    for place, times in enumerate(award.times):
        yield from moment_problems(f"{at}.times[{place}]", times.from_, times.until)
        yield from who_problems(f"{at}.times[{place}].who", times.who, programme, may_ask_scores=False)
        yield from _condition_problems(f"{at}.times[{place}].when", times.when, fields, row.numbers)
    yield from who_problems(f"{at}.who", award.who, programme, may_ask_scores=False)
    for place, cap in enumerate(award.cap):
        if cap.each is None:
            continue
        if cap.per not in ("day", "month"):
            yield f'{at}.cap[{place}].each: needs per = "day" or "month"'
        if cap.each not in fields:
            yield f'{at}.cap[{place}].each: no field "{cap.each}"; there are {", ".join(sorted(fields)) or "none"}'
    if award.pending is not None:
        terms = (award.pending.claim_days, award.pending.days, award.pending.day_of_next_month)
        if sum(value is not None for value in terms) != 1:
            yield f"{at}.pending: give one of claim_days, days, day_of_next_month"
        cards = programme.memberships[award.member].products.values() if award.member in programme.memberships else ()
        if any(card.trial for card in cards):
            yield f"{at}.pending: memberships.{award.member} has a trial, whose points wait for a card"


_BUILT_IN: Final = dict.fromkeys(BUILT_IN_ATTRIBUTES, Attribute("", "number"))  # facts of their own tell them
MAX_DEPTH = 8  # of `any` within `any`


def who_problems(
    at: str, who: Who | None, programme: ProgrammeTables, *, may_ask_scores: bool = True, depth: int = 1
) -> Iterator[str]:
    """Yield what is wrong with conditions on the member that stand `at` a place of the book, if any do.

    A score's value is asked where requests and prices are judged; awards may be late, and ask a tier.
    """
    if who is None:
        return
    if depth > MAX_DEPTH:
        yield f"{at}: any stands more than {MAX_DEPTH} deep"
        return
    for name, condition in who.score.items():
        if name not in programme.scores:
            yield f"{at}.score.{name}: there is no [scores.{name}]"
        elif not may_ask_scores:
            yield f"{at}.score.{name}: an award may come late, when the sums of then are gone; ask who.tier"
        yield from _bound_problems(f"{at}.score.{name}", condition, is_number=True)
    for name, condition in who.tier.items():
        yield from _tier_problems(f"{at}.tier.{name}", name, condition, programme)
    for name, card in who.card.items():
        membership = programme.memberships.get(name)
        if membership is None:
            yield f"{at}.card.{name}: there is no [memberships.{name}]"
            continue
        if card.active is None and card.in_ is None and card.not_in is None:
            yield f"{at}.card.{name}: says nothing; give active, in or not_in"
        if card.active is False and (card.in_ is not None or card.not_in is not None):
            yield f"{at}.card.{name}: active = false is for who has no card; in and not_in ask for one"
        for product in (*(card.in_ or ()), *(card.not_in or ())):
            if product not in membership.products:
                yield f'{at}.card.{name}: no product "{product}" in this membership'
    for name, condition in who.attribute.items():
        attribute = programme.attributes.get(name) or _BUILT_IN.get(name)
        if attribute is None:
            known = ", ".join(sorted({*programme.attributes, *_BUILT_IN}))
            yield f"{at}.attribute.{name}: there is no [attributes.{name}]; there are {known}"
            continue
        yield from _bound_problems(f"{at}.attribute.{name}", condition, is_number=attribute.type == "number")
        for value in (*(condition.in_ or ()), *(condition.not_in or ())):
            if not isinstance(value, str):
                yield f"{at}.attribute.{name}: {str(value).lower()} is no text"
            elif attribute.values is not None and value not in attribute.values:
                yield f'{at}.attribute.{name}: "{value}" is none of its values: {", ".join(attribute.values)}'
            elif attribute.type == "month-day" and not is_value(attribute, value):
                yield f'{at}.attribute.{name}: "{value}" is no month and day like 08-08'
    for index, one in enumerate(who.any_):
        yield from who_problems(f"{at}.any[{index}]", one, programme, may_ask_scores=may_ask_scores, depth=depth + 1)
    if not (who.score or who.tier or who.card or who.attribute or who.any_):
        yield f"{at}: says nothing; give score, tier, card, attribute or any"


def _tier_problems(at: str, name: str, condition: Condition, programme: ProgrammeTables) -> Iterator[str]:
    score = programme.scores.get(name)
    if score is None:
        yield f"{at}: there is no [scores.{name}]"
        return
    yield from _bound_problems(at, condition, is_number=False)
    names = [tier.name for tier in score.tiers]
    for tier in (*(condition.in_ or ()), *(condition.not_in or ())):
        if tier not in names and tier != "":
            yield f'{at}: scores.{name}.tiers has no "{tier}"; there are {", ".join(names) or "none"}'


def _bound_problems(at: str, condition: Condition, *, is_number: bool) -> Iterator[str]:
    bounds = condition.at_least is not None or condition.at_most is not None
    lists = condition.in_ is not None or condition.not_in is not None
    if condition.has is not None:
        yield f"{at}: has is for tags"
    elif is_number and lists:
        yield f"{at}: is a number: at_least and at_most are for it"
    elif not is_number and bounds:
        yield f"{at}: is no number: in and not_in are for it"
    elif not (bounds or lists):
        yield f"{at}: says nothing; give {'at_least or at_most' if is_number else 'in or not_in'}"


def _condition_problems(
    at: str, when: Mapping[str, Condition], fields: frozenset[str], numbers: frozenset[str]
) -> Iterator[str]:
    """Fields that the fact has not, and conditions that a field of that type cannot meet."""
    for name, condition in when.items():
        if name not in fields:
            yield f'{at}: no field "{name}"; there are {", ".join(sorted(fields)) or "none"}'
            continue
        bounds = condition.at_least is not None or condition.at_most is not None
        lists = condition.in_ is not None or condition.not_in is not None
        has = condition.has is not None
        if name in numbers and (lists or has):
            yield f"{at}.{name}: is a number: at_least and at_most are for it"
        elif name == "tags" and (bounds or lists):
            yield f"{at}.tags: is a list: has is for it"
        elif name not in numbers and name != "tags" and (bounds or has):
            yield f"{at}.{name}: is no number and no list: in and not_in are for it"
        elif not (bounds or lists or has):
            yield f"{at}.{name}: says nothing; give at_least, at_most, in, not_in or has"
