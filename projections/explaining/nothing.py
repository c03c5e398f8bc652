"""Why nothing came: what the engine said of each rule that it asked for an accepted fact and that did not give."""

from collections.abc import Callable
from typing import Any

from ledger.core.evaluate import meets
from ledger.core.pages import COMPLETED, OrderPage, PageLine
from ledger.rulebook.compiled import Clause, Rule
from ledger.wire import entries
from ledger.wire.fact_catalogue import FOLLOW_UPS, REACHED
from ledger.wire.facts import (
    OrderCancelled,
    OrderLine,
    OrderPaid,
    OrderRejected,
    OrderReturned,
    ReviewRemoved,
)
from ledger.wire.times import day_of, day_text, month_text
from projections.answers.members import ELSEWHERE
from projections.explaining.context import Context, inputs_of, line_of, term_of
from projections.explaining.facts import name_of
from projections.explaining.history import Skip, Step
from projections.explaining.movements import COUNTED
from projections.explaining.reasons import current_of, term_text

View = dict[str, Any]
Why = tuple[str, str, list[View]]  # a code, its sentence, and the caps that were full


def explain_nothing(context: Context) -> list[View]:
    """What gave nothing and why, once for each rule and line, in the order in which the engine asked."""
    moment = context.moment
    if moment.step.entry.outcome or moment.step.entry.reason in ELSEWHERE:
        return []  # the reason says it
    views = [_view(context, skip) for skip in moment.skips if not _gave(context, skip) and not _is_of_another(skip)]
    views = list({(view["rule"], view.get("line")): view for view in views}.values())  # the last guard is the one
    own = moment.step.entry.changes[moment.due :]
    if not views and COUNTED.issuperset(map(type, own)):
        code, text = _no_rule_asked(context)
        if code:
            views.append(_put(context, "", code, text, None))
    return views


def _gave(context: Context, skip: Skip) -> bool:
    """Return True if the rule gave all the same, if less than it might have."""
    of_line = skip.rule.award.each == "line"
    return any(
        _is_award(change, skip) and (not of_line or getattr(change, "line", "") == skip.line)
        for change in context.moment.step.entry.changes
    )


def _is_of_another(skip: Skip) -> bool:
    """Return True if a rule on reached tiers is about another one than was reached: nobody would ask after it."""
    return skip.code == "condition" and skip.rule.award.on == REACHED


def _is_award(change: entries.Change, skip: Skip) -> bool:
    if not isinstance(change, entries.Earned | entries.Scored | entries.ScoredOnce):
        return False
    return change.rule == skip.rule.name and change.points > 0


def _view(context: Context, skip: Skip) -> View:
    line = line_of(context.moment, skip.line)
    code, text, caps = skip_text(context, skip)
    view = _put(context, skip.rule.name, code, text, line)
    if "would" in skip.figures:  # the entry says so, too
        view["caps"] = caps
        if skip.figures["would"]:
            view["would"] = skip.figures["would"]
    return view


def _put(context: Context, rule: str, code: str, text: str, line: OrderLine | PageLine | None) -> View:
    words, version = context.words, context.moment.version
    known = version.rules.get(rule)
    view: View = {
        **words.about_rule(rule),
        "version": version.name,
        "version_from": version.programme.from_.isoformat(),
    }
    if known is not None:
        view["gives"] = known.kind or known.award.score
    if line is not None:
        view["line"] = line.line
    return view | {"inputs": inputs_of(context.moment, line), "why": code, "text": words.speech.sentence(text)}


# -- what a guard saw, in words --------------------------------------------------------------------------------------


def skip_text(context: Context, skip: Skip) -> Why:
    """Why a rule gave nothing, or less: a code, a sentence with its figures, and the caps that were full."""
    moment, words, rule, figures = context.moment, context.words, skip.rule, skip.figures
    entry, award, line = moment.step.entry, rule.award, line_of(moment, skip.line)
    code, form = skip.code, ""
    values: View = {}
    caps: list[View] = []
    match code:
        case "condition":
            return _failing(context, skip, line)
        case "replaced":
            by = str(figures["by"])
            for change in entry.changes:
                if isinstance(change, entries.Earned) and (change.rule, change.line) == (by, skip.line):
                    values["amount"] = words.points(change.points, change.kind)
            values["by"], form = words.rule(by), "" if values else ".zero"
        case "not-in-force":
            form = ".since" if entry.occurred < rule.since else ".until"
        case "no-membership":
            term = term_text(current_of(moment, award.member or ""), entry.occurred, words)
            values = {"name": words.membership(award.member or ""), "term": term}
        case "not-first":
            values["where"] = _where_first(context, skip)
        case "too-little":
            fen, category = (line.paid_fen, line.category) if line is not None else (0, "")
            return code, words.calculation(rule, fen, category), []
        case "given-this-month" | "day-counted" | "too-few-days":
            values = _days(context, skip)
        case "card-cap-full":
            card = term_of(moment.at, award.member, str(figures["card"]))
            values["product"] = card.product if card else ""
            caps = [_full(figures, "term", str(figures["card"]))]
        case "cap-full":
            per, of = str(figures["per"]), str(figures["of"]) or words.bucket(0)
            caps = [_full(figures, per, of)]
            room = int(figures["cap"]) - int(figures["given"])
            form = ".room" if room > 0 else ""
            values = {"per": per, "of": of, "room": room, "were": "was" if figures["cap"] == 1 else "were"}
        case "already-today":
            values["where"] = _where(context, skip, lambda step, _: _is_same_visit(context, skip, step))
        case "once":
            values["where"] = _where(context, skip, lambda *_: True)
        case "too-long-after-completion":
            values["late"] = entry.occurred - int(figures["since"])
    return code, words.say(f"nothing.{code}{form}", figures, rule, award, entry, **values), caps


def _full(figures: dict[str, int | str], per: str, of: str) -> View:
    """A cap that left nothing, or not enough."""
    most, given = int(figures["cap"]), int(figures["given"])
    after = given if per == "term" else max(most, given)  # a card's cap takes an award whole or not at all
    return {"per": per, "of": of, "points": most, "before": given, "after": after, "took": figures["would"]}


def _where(context: Context, skip: Skip, is_it: Callable[[Step, entries.Change], bool]) -> str:
    """The last earlier entry in which a rule gave, of those that `is_it` takes: ": entry 4", "" where there is none."""
    for step in context.history.earlier(context.moment.step.entry.number):
        for change in step.entry.changes:
            if _is_award(change, skip) and is_it(step, change):
                return context.words.say("entry.where", step.entry)
    return ""


def _is_same_visit(context: Context, skip: Skip, step: Step) -> bool:
    """Return True if an entry is about the same thing on the same day."""
    is_alike = type(step.decided) is type(context.moment.step.decided)
    mark, day = getattr(step.decided.data, skip.rule.day_mark or "", None), skip.figures["day"]
    return is_alike and mark == skip.figures["mark"] and day_of(step.entry.occurred, context.history.offset) == day


def _where_first(context: Context, skip: Skip) -> str:
    """Where the line's category was met for the first time."""
    words, entry = context.words, context.moment.step.entry
    seen = entries.FirstSeen(skip.rule.name, 0, str(skip.figures["category"]))
    if seen in entry.changes:
        return words.say("nothing.not-first.same")
    for step in context.history.steps[: entry.number - 1]:
        if seen in step.entry.changes:
            return words.say("entry.at", step.entry, time=step.entry.occurred)
    return ""


def _days(context: Context, skip: Skip) -> View:
    """The different days that a rule has counted in the month."""
    month, mask = context.moment.month, int(skip.figures["days"])
    met = {f"{month_text(month)}-{number:02d}" for number in range(1, 32) if mask >> number & 1}
    day = day_text(day_of(context.moment.step.entry.occurred, context.moment.version.offset))
    return {
        "month": month,
        "day": day,
        "met": len(met),
        "number": len(met) + 1,
        "days": sorted({*met, day}),
        "where": _where(context, skip, lambda _, change: getattr(change, "month", None) == month),
    }


def _failing(context: Context, skip: Skip, line: OrderLine | PageLine | None) -> Why:
    """Each clause of a rule's conditions that does not hold; the first one gives the code."""
    data = context.moment.step.decided.data
    found = [
        _clause(context, skip.rule, clause, getattr(line if clause.of_line else data, clause.field))
        for clause in skip.rule.clauses
        if not meets((clause,), line, data)
    ]
    return found[0][0], context.words.say("nothing.also").join(text for _, text in found), []


def _clause(context: Context, rule: Rule, clause: Clause, value: Any) -> tuple[str, str]:
    name, condition, form = clause.field, rule.award.when[clause.field], ""
    values: View = {"name": name, "value": _value(context, name, value)}
    match clause.op:
        case "at_least" | "at_most":
            code = "below-threshold" if clause.op == "at_least" else "above-threshold"
            form, values["needed"] = f".{name}", _value(context, name, clause.value)
        case "in":
            code, values["others"] = "not-included", [_value(context, name, item) for item in condition.in_ or ()]
        case "not_in":
            others = [_value(context, name, item) for item in condition.not_in or () if item != value]
            code, values["others"] = "excluded", others
        case _:
            code, values["needed"] = "lacks-tag", clause.value
    return code, context.words.say(f"nothing.{code}{form}", **values)


def _value(context: Context, name: str, value: Any) -> str:
    if isinstance(value, bool):
        return context.words.say("value.yes" if value else "value.no")
    if isinstance(value, int):
        return context.words.money(value) if name.endswith("_fen") else f"{value:,}"
    return str(value) or context.words.say("value.none")


# -- facts of which no award rule was asked --------------------------------------------------------------------------


def _no_rule_asked(context: Context) -> tuple[str, str]:
    moment, words, fact = context.moment, context.words, context.moment.step.decided
    on, code, form = name_of(fact), "no-rule", ""
    values: View = {}
    if type(fact) in FOLLOW_UPS:
        return "", ""  # it is an answer, and no occasion for rules
    match fact:
        case OrderPaid():
            code = "not-completed"
        case OrderCancelled():
            code = "nothing-to-restore"
        case OrderRejected():
            return _no_penalty(context)
        case OrderReturned():
            code = "nothing-to-take-back"
            page = moment.page_after(f"order/{fact.data.order}")
            if not isinstance(page, OrderPage) or page.status != COMPLETED:
                code = "before-completion"
            else:
                lines = [line for line in (page.line(item.line) for item in fact.data.lines) if line is not None]
                values["lines"] = [line.line for line in lines if not line.awards]
                form = ".lines" if len(values["lines"]) == len(lines) else ""
        case ReviewRemoved():
            code, form = "nothing-to-take-back", ".review"
        case _ if not moment.derives:
            return "", ""  # nothing is known of what its rules were asked
    return code, words.say(f"nothing.{code}{form}", fact.data, on=on, name=words.version.programme.name, **values)


def _no_penalty(context: Context) -> tuple[str, str]:
    words, entry = context.words, context.moment.step.entry
    for penalty in context.moment.version.programme.penalties.values():
        if penalty.on != "order.rejected":
            continue
        bounds = (penalty.from_in_month, penalty.from_in_year)
        values = {
            "counted": words.say("counted", {"in_month": 0, "in_year": 0} | entry.figures),
            "from_": words.say("penalty.from", penalty, some=any(bounds), both=all(bounds)),
        }
        if entry.reason == "exempt" and penalty.exempt is not None:
            values |= {"name": words.membership(penalty.exempt.membership), "most": str(penalty.exempt.in_month)}
            return "exempt", words.say("nothing.exempt", penalty, **values)
        return "below-penalty", words.say("nothing.below-penalty", penalty, **values)
    return "no-rule", words.say("nothing.no-penalty")
