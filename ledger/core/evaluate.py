"""What a compiled rule says of one line or fact: whether its conditions are met, and what it gives."""

from collections.abc import Container
from typing import Any

from ledger.rulebook.compiled import MAX_KNOWN, Amount, Clause, Multiplier, Rule, RuleIndex


def meets(clauses: tuple[Clause, ...], line: Any, data: Any) -> bool:
    """Return True if a line and the data of its fact meet every clause."""
    for field, of_line, op, value in clauses:
        found = getattr(line if of_line else data, field)
        if op == "at_least":
            met = found >= value
        elif op == "not_in":
            met = found not in value
        elif op == "in":
            met = found in value
        elif op == "at_most":
            met = found <= value
        else:
            met = value in found
        if not met:
            return False
    return True


def rules_for(index: RuleIndex, rules: tuple[Rule, ...], line: Any, data: Any) -> tuple[Rule, ...]:
    """Return the rules that a line and the data of its fact may meet, in their order."""
    key = tuple([_known(getattr(line if of_line else data, name), values) for name, of_line, values in index.fields])
    found = index.known.get(key)
    if found is None:
        places = set(index.others)
        for value, (_, _, values) in zip(key, index.fields, strict=True):
            if value is not None:
                places |= values[value]
        found = tuple(rules[place] for place in sorted(places))
        if len(index.known) >= MAX_KNOWN:
            index.known.clear()
        index.known[key] = found
    return found


def _known(value: str, values: Container[str]) -> str | None:
    return value if value in values else None


def amount_of(amount: Amount, fen: int, category: str, count: int = 1, times: Multiplier | None = None) -> int:
    """Return the points that an amount of fen of a category, or a count of pieces, makes before every cap.

    It is rounded down once, the multiplier `times` included.
    """
    points, per_fen, floor_fen, rates, steps, per_count = amount
    if times is None and not (steps or rates or per_count):  # what most rules give
        return fen // floor_fen * floor_fen * points // per_fen if per_fen else points
    by, of = (times.by, times.of) if times is not None else (1, 1)
    if per_fen and not steps:
        if rates and category in rates:
            return fen * rates[category] * by // (10_000 * of)
        return fen // floor_fen * floor_fen * points * by // (per_fen * of)
    if per_count:
        return count * points * by // (per_count * of)
    if steps:
        for least, given in steps:
            if fen >= least:
                return given * by // of
    return points * by // of


def multiplier_of(
    rule: Rule, line: Any, data: Any, occurred: int, unentitled: Container[str] = ()
) -> Multiplier | None:
    """Return the first multiplier of a rule that holds; None where none does. Some are not this member's."""
    for times in rule.times:
        if times.name in unentitled:
            continue
        if times.since <= occurred < times.until and meets(times.clauses, line, data):
            return times
    return None


def ordinary_points(rule: Rule, line: Any, data: Any) -> int:
    """Return what a rule would give for a line that no other rule and no cap but the line's own stood over."""
    if not meets(rule.clauses, line, data):
        return 0
    points = amount_of(rule.amount, line.paid_fen, line.category, line.quantity)
    return min(points, rule.line_cap) if rule.line_cap else points
