"""What a compiled rule says of one line or fact: whether its conditions are met, and what it gives."""

from bisect import bisect_right
from collections.abc import Container
from typing import Any

from ledger.rulebook.compiled import MAX_KNOWN, Amount, Clause, Multiplier, Rule, RuleIndex, Rules


def meets(clauses: tuple[Clause, ...], line: Any, data: Any) -> bool:
    """Return True if a line and the data of its fact meet every clause. What a list has, a line may have by itself."""
    for field, of_line, op, value in clauses:
        found = getattr(line if of_line else data, field)
        if op == "in":
            if found not in value:
                return False
        elif op == "not_in":
            if found in value:
                return False
        elif op == "at_least":
            if found < value:
                return False
        elif op == "has":
            if value not in found and value not in getattr(line, field, ()):
                return False
        elif found > value:
            return False
    return True


def rules_for(index: RuleIndex, rules: Rules, line: Any, data: Any, occurred: int) -> tuple[Rule, ...]:
    """Return the rules whose dates and conditions hold for a line and the data of its fact, in their order."""
    key = bisect_right(index.edges, occurred)
    for name, of_line, numbers, size in index.texts:
        key = key * size + numbers.get(getattr(line if of_line else data, name), 0)
    for name, of_line, edges, size in index.numbers:
        key = key * size + bisect_right(edges, getattr(line if of_line else data, name))
    for name, of_line, bits, size in index.lists:
        has = 0
        for item in (*getattr(line if of_line else data, name), *getattr(line, name, ())):
            has |= bits.get(item, 0)
        key = key * size + has
    found = index.known.get(key)
    if found is None:
        found = tuple(
            rest
            for rule, rest in zip(rules, index.rest, strict=True)
            if rule.since <= occurred < rule.until and meets(rule.clauses, line, data)
        )
        if len(index.known) >= MAX_KNOWN:
            index.known.clear()
        index.known[key] = found
    return found


def amount_of(amount: Amount, fen: int, category: str, count: int = 1, times: Multiplier | None = None) -> int:
    """Return the points that an amount of fen of a category, or a count of pieces, makes before every cap.

    It is rounded down once, the multiplier `times` included.
    """
    points, per_fen, floor_fen = amount.points, amount.per_fen, amount.floor_fen
    if times is None and amount.is_plain:
        return fen // floor_fen * floor_fen * points // per_fen if per_fen else points
    rates, steps, per_count = amount.rates, amount.steps, amount.per_count
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
