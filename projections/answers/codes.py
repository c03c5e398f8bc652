"""Every reason code and every rule of a book, each with a sentence."""

import tomllib
from functools import cache
from importlib import resources

from msgspec import Struct

from ledger.rulebook.compiled import Programme, ProgrammeVersion
from ledger.rulebook.schema import Award, Benefit, Penalty
from ledger.wire.reasons import REASONS

SHORT = "-short"  # the end of a code that is about a kind of points

# Lots and score items that no [[award]] of a book gives.
WITHOUT_A_RULE = {
    "campaign": ("活动赠送", "points that a campaign granted"),
    "adjustment": ("人工调整", "points that an operator gave or took, approved by another"),
    "lot.opened": ("期初余额", "an opening balance from an older system"),
}


class ReasonCode(Struct, frozen=True):
    """A reason code, with where it is said and a sentence about it."""

    code: str
    where: str
    text: str


class RuleCode(Struct, frozen=True):
    """A rule with its name and a sentence; `on` is the fact type, `version` the newest that has it, "" for none."""

    rule: str
    name: str
    text: str
    on: str = ""
    version: str = ""


class Codes(Struct, frozen=True):
    """Every reason code, and every rule of every version."""

    reasons: list[ReasonCode]
    rules: list[RuleCode]


def codes(book: Programme, language: str = "") -> Codes:
    """Return every reason code, and every rule of a book with the newest version that has it.

    Sentences and names are in a language, where there are some in it: reasons have English and Chinese ones.
    """
    return Codes(_reasons(book, language), _rules(book, language))


def reason_text(code: str, language: str = "") -> str:
    """Return the sentence about a reason code in a language, the English one where there is none; "" of no code."""
    known = code if code in REASONS else f"<kind>{SHORT}" if code.endswith(SHORT) else ""
    text = REASONS[known].text if known else ""
    return reasons_in(language).get(known, text)


@cache
def reasons_in(language: str) -> dict[str, str]:
    """Return the sentences about reasons in a language by their codes; none where there is no file of them."""
    file = resources.files(__package__) / f"reasons-{language}.toml"
    return tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}


def rule_names(book: Programme, language: str = "") -> dict[str, str]:
    """Return what people call each rule, by its code, in every version of a book; in a language, where it has one."""
    return {rule.rule: rule.name for rule in _rules(book, language)}


def _reasons(book: Programme, language: str) -> list[ReasonCode]:
    kinds = dict.fromkeys(kind for version in book.versions for kind in version.programme.kinds)
    return [
        ReasonCode(code.replace("<kind>", kind), reason.where, reasons_in(language).get(code, reason.text))
        for code, reason in REASONS.items()
        for kind in (kinds if "<kind>" in code else ("",))
    ]


def _code(
    version: ProgrammeVersion, rule: str, place: str, table: Award | Penalty | Benefit, on: str, language: str
) -> RuleCode:
    name, text = (version.text_in(f"{place}.{key}", language, getattr(table, key)) for key in ("name", "text"))
    return RuleCode(rule, name, text, on, version.name)


def _rules(book: Programme, language: str = "") -> list[RuleCode]:
    rules: dict[str, RuleCode] = {}
    for version in book.versions:
        for award in version.programme.award:
            rules[award.rule] = _code(version, award.rule, f"award.{award.rule}", award, award.on, language)
        for name, penalty in version.programme.penalties.items():
            rule = f"penalty.{name}"
            rules[rule] = _code(version, rule, f"penalties.{name}", penalty, penalty.on, language)
        for name, (owner, benefit) in version.benefits.items():
            if any(gift.kind for gift in benefit.gives):
                place = f"memberships.{owner}.benefits.{name}" if owner else f"benefits.{name}"
                rule = f"benefit.{name}"
                rules[rule] = _code(version, rule, place, benefit, "benefit.claimed", language)
        for name, exchange in version.programme.exchanges.items():
            rule, called = f"exchange.{name}", version.text_in(f"exchanges.{name}.name", language, exchange.name)
            text = f"points of {exchange.gives} for points of {exchange.takes}"
            rules[rule] = RuleCode(rule, called, text, "exchange.requested", version.name)
    for rule, (name, text) in WITHOUT_A_RULE.items():
        rules.setdefault(rule, RuleCode(rule, name, text))
    return list(rules.values())
