"""Every reason code and every rule of a book, each with a sentence."""

from typing import Any

from ledger.rulebook.compiled import Book
from ledger.wire.reasons import REASONS, Reason

# Lots and score items that no [[award]] of a book gives.
WITHOUT_A_RULE = {
    "campaign": ("活动赠送", "points that a campaign granted"),
    "adjustment": ("人工调整", "points that an operator gave or took, approved by another"),
    "lot.opened": ("期初余额", "an opening balance from an older system"),
}


def codes(book: Book) -> dict[str, Any]:
    """The contract's JSON: reasons with where they apply, rules with the version that has them (the newest)."""
    return {"reasons": _reasons(book), "rules": _rules(book)}


def rule_names(book: Book) -> dict[str, str]:
    """What people call each rule, by its code, in every version of a book."""
    return {rule["rule"]: rule["name"] for rule in _rules(book)}


def _reasons(book: Book) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for code, reason in REASONS.items():
        if "<kind>" in code:
            kinds = dict.fromkeys(kind for version in book.versions for kind in version.programme.kinds)
            found.extend(_reason(code.replace("<kind>", kind), reason) for kind in kinds)
        else:
            found.append(_reason(code, reason))
    return found


def _reason(code: str, reason: Reason) -> dict[str, str]:
    return {"code": code, "where": reason.where, "text": reason.text}


def _rules(book: Book) -> list[dict[str, str]]:
    rules: dict[str, dict[str, str]] = {}
    for version in book.versions:
        for award in version.programme.award:
            rules[award.rule] = _rule(award.rule, award.name, award.text, award.on, version.name)
        for name, penalty in version.programme.penalties.items():
            rule = f"penalty.{name}"
            rules[rule] = _rule(rule, penalty.name, penalty.text, penalty.on, version.name)
    for rule, (name, text) in WITHOUT_A_RULE.items():
        rules.setdefault(rule, _rule(rule, name, text, "", ""))
    return list(rules.values())


def _rule(rule: str, name: str, text: str, on: str, version: str) -> dict[str, str]:
    return {"rule": rule, "name": name, "text": text, "on": on, "version": version}
