"""Why nothing came: for each rule that could have applied to an accepted fact and did not give, the reason.

Whether a condition holds is asked of the pinned version's own compiled rule, one condition at a time; what the account
and the pages held is what the engine found. `UNKNOWN` would mean that the engine has a reason this module doesn't know.
"""

from typing import Any

from ledger.core.account import term_at
from ledger.core.evaluate import amount_of, meets
from ledger.core.pages import COMPLETED, OrderPage, PageLine
from ledger.rulebook.compiled import Clause, Rule
from ledger.wire.entries import CounterAdded, Earned, FirstSeen, HistoryPruned, Resettled, Scored, ScoredOnce, Withheld
from ledger.wire.facts import (
    Order,
    OrderCancelled,
    OrderCompleted,
    OrderLine,
    OrderPaid,
    OrderRejected,
    OrderReturned,
    ReviewPosted,
    ReviewRemoved,
)
from ledger.wire.times import day_of, day_text, month_text
from projections.explaining.context import Context, inputs_of, line_of
from projections.explaining.reasons import current_of, term_text
from projections.explaining.words import amount_text, joined, ordinal, yuan

UNKNOWN = "unknown"
_NO_EFFECT = (CounterAdded, FirstSeen, Withheld, HistoryPruned, Resettled)  # on what the member has

Why = tuple[str, str]  # a code and a sentence


def explain_nothing(context: Context, withheld: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What gave nothing and why; `withheld` are the entry's withheld changes as `explain_changes` put them."""
    moment, fact = context.moment, context.moment.step.fact
    if moment.step.entry.outcome:
        return []  # the reason says it
    views: list[dict[str, Any]] = []
    if isinstance(fact, OrderCompleted):
        for line in fact.data.lines:
            for rule in moment.version.line_rules:
                views += _unless_given(context, withheld, rule, line, fact.data)
    on = str(fact.__struct_config__.tag).removesuffix(".v1")
    rules = moment.version.fact_rules.get(on, ())
    about = line_of(moment, fact.data.line) if isinstance(fact, ReviewPosted) else None
    for rule in rules:
        views += _unless_given(context, withheld, rule, about, fact.data)
    if not views and not has_effect(context):
        code, text = _other(context, on)
        views.append(_view(context, "", code, text, None))
    return views


def has_effect(context: Context) -> bool:
    """Whether the fact itself moved anything, apart from what time did and what is only counted."""
    moment = context.moment
    return any(not isinstance(change, _NO_EFFECT) for change in moment.step.entry.changes[moment.due :])


def _unless_given(
    context: Context, withheld: list[dict[str, Any]], rule: Rule, line: OrderLine | PageLine | None, data: Any
) -> list[dict[str, Any]]:
    entry = context.moment.step.entry
    name = line.line if line is not None else ""
    for change in entry.changes:
        if isinstance(change, (Earned, Scored)) and change.rule == rule.name and change.points > 0:
            if change.line == name or rule.award.each != "line":
                return []
        elif isinstance(change, ScoredOnce) and change.rule == rule.name:
            return []
    for said in withheld:
        if said["rule"] == rule.name and said.get("line", "") in (name, ""):
            return [_view(context, rule.name, said["why"], said["text"], line, said)]
    if rule.award.each == "line":
        assert isinstance(line, OrderLine)
        code, text = _why_line(context, rule, line, data)
    else:
        code, text = _why_fact(context, rule, line, data)
    return [_view(context, rule.name, code, text, line)]


def _view(
    context: Context,
    rule: str,
    code: str,
    text: str,
    line: OrderLine | PageLine | None,
    said: dict[str, Any] | None = None,
) -> dict[str, Any]:
    words, version = context.words, context.moment.version
    known = version.rules.get(rule)
    view: dict[str, Any] = {
        "rule": rule,
        "rule_name": words.rule_name(rule),
        "rule_text": words.rule_text(rule),
    }
    view |= {"version": version.name, "version_from": version.programme.from_.isoformat()}
    if known is not None:
        view["gives"] = known.kind or known.award.score
    if line is not None:
        view["line"] = line.line
    view |= {
        "inputs": inputs_of(context.moment, line),
        "why": code,
        "text": f"{text[:1].upper()}{text[1:].rstrip('.')}.",
    }
    if said:
        view["caps"] = said.get("caps", [])
        if said.get("would"):
            view["would"] = said["would"]
    return view


# -- award rules, in the order in which the engine asks --------------------------------------------------------------


def _why_line(context: Context, rule: Rule, line: OrderLine, order: Order) -> Why:
    moment, words = context.moment, context.words
    entry, award = moment.step.entry, rule.award
    for change in entry.changes:
        if isinstance(change, Earned) and change.line == line.line and change.page == order.order:
            other = moment.version.rules.get(change.rule)
            if other is not None and other.award.instead_of == rule.name:
                return (
                    "replaced",
                    f"{words.rule(other.name)} gave {words.points(change.points, change.kind)} instead",
                )
    found = _not_in_force(context, rule) or _failing_text(rule, line, order)
    if found:
        return found
    if award.member is not None and term_at(moment.at, award.member, entry.occurred) is None:
        term = current_of(moment, award.member)
        at = words.time(entry.occurred)
        return (
            "no-membership",
            f"{words.membership(award.member)} was not active at {at}: {term_text(term, entry.occurred, words)}",
        )
    if award.first is not None:
        if not line.category:
            return "no-category", "the line names no category"
        where = _first_met(context, rule, 0, line.category)
        if where:
            return "not-first", f"category {line.category} was bought before: {where}"
    if not amount_of(rule.amount, line.paid_fen, line.category):
        return "too-little", amount_text(rule, line.paid_fen, line.category)
    return UNKNOWN, "the engine gave nothing, and this program does not know why"


def _why_fact(context: Context, rule: Rule, line: OrderLine | PageLine | None, data: Any) -> Why:
    words, award = context.words, rule.award
    found = _not_in_force(context, rule) or _failing_text(rule, line, data)
    if found:
        return found
    if award.days_in_month is not None:
        return _too_few_days(context, rule, award.days_in_month)
    base, category = (line.paid_fen, line.category) if line is not None else (0, "")
    if not amount_of(rule.amount, base, category):
        return "too-little", amount_text(rule, base, category)
    return UNKNOWN, f"the engine gave nothing by {words.rule(rule.name)}, and this program does not know why"


def _not_in_force(context: Context, rule: Rule) -> Why | None:
    occurred, words = context.moment.step.entry.occurred, context.words
    if occurred < rule.since:
        return "not-in-force", f"the rule begins at {words.time(rule.since)}"
    if occurred >= rule.until:
        return "not-in-force", f"the rule ended at {words.time(rule.until)}"
    return None


def _too_few_days(context: Context, rule: Rule, wanted: int) -> Why:
    moment = context.moment
    entry, version = moment.step.entry, moment.version
    month = version.month(entry.occurred)
    met = moment.at.days.get(month, {}).get(rule.name, 0)
    days = {f"{month_text(month)}-{number:02d}" for number in range(1, 32) if met >> number & 1}
    day = day_text(day_of(entry.occurred, version.offset))
    if len(days) >= wanted:
        where = _given_in_month(context, rule, month)
        return "given-this-month", f"{month_text(month)} had its {wanted} different days before{where}"
    listed = joined(sorted({*days, day}))
    if day in days:
        return (
            "day-counted",
            f"{day} was counted before; {len(days)} of {wanted} different days in {month_text(month)} ({listed})",
        )
    return (
        "too-few-days",
        f"the {ordinal(len(days) + 1)} of {wanted} different days in {month_text(month)} ({listed})",
    )


def _given_in_month(context: Context, rule: Rule, month: int) -> str:
    for step in context.history.earlier(context.moment.step.entry.number):
        for change in step.entry.changes:
            if isinstance(change, Scored) and change.rule == rule.name and change.month == month and change.points > 0:
                return f": entry {step.entry.number}"
    return ""


def _first_met(context: Context, rule: Rule, bucket: int, mark: str) -> str:
    entry = context.moment.step.entry
    for change in entry.changes:
        if isinstance(change, FirstSeen) and (change.rule, change.bucket, change.mark) == (
            rule.name,
            bucket,
            mark,
        ):
            return "an earlier line of this order"
    for step in context.history.steps[: entry.number - 1]:
        for change in step.entry.changes:
            if isinstance(change, FirstSeen) and (change.rule, change.bucket, change.mark) == (
                rule.name,
                bucket,
                mark,
            ):
                return f"entry {step.entry.number}, {context.words.time(step.entry.occurred)}"
    return ""


# -- conditions ------------------------------------------------------------------------------------------------------


def _failing_text(rule: Rule, line: OrderLine | PageLine | None, data: Any) -> Why | None:
    found = [
        _clause_text(clause, getattr(line if clause.of_line else data, clause.field), rule)
        for clause in rule.clauses
        if not meets((clause,), line, data)
    ]
    return (found[0][0], "; also ".join(text for _, text in found)) if found else None


def _clause_text(clause: Clause, value: Any, rule: Rule) -> Why:
    name, shown = clause.field, _value(clause.field, value)
    if clause.op in ("at_least", "at_most"):
        needed, paid = _value(name, clause.value), name == "paid_fen"
        what = f"paid {shown}" if paid else f"{shown} {name}"
        if clause.op == "at_least":
            return "below-threshold", f"{what}; the rule needs {needed}"
        return "above-threshold", f"{what}; the rule takes {'up to' if paid else 'at most'} {needed}"
    condition = rule.award.when[name]
    if clause.op == "not_in":
        return "excluded", f"{name} {shown} is excluded (as are {_listed(name, condition.not_in or (), value)})"
    if clause.op == "in":
        which = joined([_value(name, item) for item in condition.in_ or ()], "or")
        return "not-included", f"{name} is {shown}; the rule takes {which}"
    return "lacks-tag", f"{name} lack {clause.value}; the rule needs it"


def _listed(name: str, items: tuple[str | bool, ...], but: Any) -> str:
    return joined([_value(name, item) for item in items if item != but])


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return yuan(value) if name.endswith("_fen") else f"{value:,}"
    return str(value) or "not given"


# -- facts that no award rule stands on ------------------------------------------------------------------------------


def _other(context: Context, on: str) -> Why:
    fact, words = context.moment.step.fact, context.words
    match fact:
        case OrderPaid():
            return "not-completed", "points come when the order completes"
        case OrderCancelled():
            return (
                "nothing-to-restore",
                f"no points had been spent on order {fact.data.order}, so none came back",
            )
        case OrderRejected():
            return _no_penalty(context)
        case OrderReturned():
            return _nothing_to_take_back(context, fact)
        case ReviewRemoved():
            return "nothing-to-take-back", f"review {fact.data.review} had given nothing"
    return "no-rule", f"no rule of the book {words.version.programme.name} stands on {on}"


def _no_penalty(context: Context) -> Why:
    moment = context.moment
    figures, programme = moment.step.entry.figures, moment.version.programme
    in_month, in_year = int(figures.get("in_month", 0)), int(figures.get("in_year", 0))
    counted = f"the {ordinal(in_month)} this month and the {ordinal(in_year)} this year"
    for penalty in programme.penalties.values():
        points = context.words.points(penalty.points, penalty.kind)
        from_ = f"from the {ordinal(penalty.from_in_month)} in a month or the {ordinal(penalty.from_in_year)} in a year"
        if moment.step.entry.reason == "exempt" and penalty.exempt is not None:
            name = context.words.membership(penalty.exempt.membership)
            exempts = f"{name} exempts the first {penalty.exempt.in_month} of a month"
            return "exempt", f"{counted}; {points} are taken {from_}, but {exempts}"
        return "below-penalty", f"{counted}; {points} are taken {from_}"
    return "no-rule", "the book has no penalty for an order refused at the door"


def _nothing_to_take_back(context: Context, fact: OrderReturned) -> Why:
    page = context.moment.pages_after.get(f"order/{fact.data.order}")
    if not isinstance(page, OrderPage) or page.status != COMPLETED:
        return "before-completion", "the order is not completed yet: the return is kept and applied when it completes"
    lines = [line for line in (page.line(item.line) for item in fact.data.lines) if line is not None]
    without = [line.line for line in lines if not line.awards]
    if len(without) == len(lines):
        return "nothing-to-take-back", f"line {joined(without)} had given nothing that a return takes back"
    return (
        "nothing-to-take-back",
        "what these lines gave was taken back before, or the refund is too small to take a whole point",
    )
