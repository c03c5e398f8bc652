"""Every reason code and every rule of a book, each with a sentence."""

from msgspec import Struct

from ledger.rulebook.compiled import Programme
from ledger.wire.reasons import REASONS

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


def codes(book: Programme) -> Codes:
    """Return every reason code, and every rule of a book with the newest version that has it."""
    return Codes(_reasons(book), _rules(book))


def rule_names(book: Programme) -> dict[str, str]:
    """Return what people call each rule, by its code, in every version of a book."""
    return {rule.rule: rule.name for rule in _rules(book)}


def _reasons(book: Programme) -> list[ReasonCode]:
    kinds = dict.fromkeys(kind for version in book.versions for kind in version.programme.kinds)
    return [
        ReasonCode(code.replace("<kind>", kind), reason.where, reason.text)
        for code, reason in REASONS.items()
        for kind in (kinds if "<kind>" in code else ("",))
    ]


def _rules(book: Programme) -> list[RuleCode]:
    rules: dict[str, RuleCode] = {}
    for version in book.versions:
        for award in version.programme.award:
            rules[award.rule] = RuleCode(award.rule, award.name, award.text, award.on, version.name)
        for name, penalty in version.programme.penalties.items():
            rule = f"penalty.{name}"
            rules[rule] = RuleCode(rule, penalty.name, penalty.text, penalty.on, version.name)
        for name, (_, benefit) in version.benefits.items():
            if any(gift.kind for gift in benefit.gives):
                rule = f"benefit.{name}"
                rules[rule] = RuleCode(rule, benefit.name, benefit.text, "benefit.claimed", version.name)
        for name, exchange in version.programme.exchanges.items():
            rule = f"exchange.{name}"
            text = f"points of {exchange.gives} for points of {exchange.takes}"
            rules[rule] = RuleCode(rule, exchange.name, text, "exchange.requested", version.name)
    for rule, (name, text) in WITHOUT_A_RULE.items():
        rules.setdefault(rule, RuleCode(rule, name, text))
    return list(rules.values())
