"""What a compiled rule says of one line or fact: whether its conditions are met, and what it gives."""

from typing import Any

from ledger.rulebook.compiled import Amount, Clause, Rule


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


def amount_of(amount: Amount, fen: int, category: str) -> int:
    """Return the points that an amount of fen of a category makes, before every cap."""
    points, per_fen, floor_fen, rates, steps = amount
    if per_fen and not steps:
        if rates and category in rates:
            return fen * rates[category] // 10_000
        return fen // floor_fen * floor_fen * points // per_fen
    if steps:
        for least, given in steps:
            if fen >= least:
                return given
    return points


def ordinary_points(rule: Rule, line: Any, data: Any) -> int:
    """Return what a rule would give for a line that no other rule and no cap but the line's own stood over."""
    if not meets(rule.clauses, line, data):
        return 0
    points = amount_of(rule.amount, line.paid_fen, line.category)
    return min(points, rule.line_cap) if rule.line_cap else points
