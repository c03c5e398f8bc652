"""The arithmetic of what a return or a removal took back: what each award keeps, and where the rest was taken from."""

from typing import Any

from ledger.core.pages import COMPLETED, Award, OrderPage, PageLine, ReviewPage
from ledger.wire.entries import ClawedBack, DebtIncurred, PaidInCash, WrittenOff, lot_text
from ledger.wire.facts import OrderCompleted, OrderReturned, ReviewRemoved
from projections.explaining.context import Context
from projections.explaining.lots import lot_brief
from projections.explaining.words import joined, sentence

View = dict[str, Any]

MOST_LOTS = 5  # that a sentence names
_MET = {PaidInCash: "cash", DebtIncurred: "debt", WrittenOff: "written_off"}


def explain_clawbacks(context: Context) -> list[View]:
    """One dict for each award of a line that came back, also where nothing had to be taken.

    `claim` is what the award no longer keeps, `taken` what of it left the member's lots (or the score) in this entry.
    """
    moment, words, fact = context.moment, context.words, context.moment.step.fact
    if moment.step.entry.outcome:
        return []
    match fact:
        case ReviewRemoved():
            key = f"review/{fact.data.review}"
            before, after = moment.pages.get(key), moment.after.get(key)
            if not isinstance(before, ReviewPage) or not isinstance(after, ReviewPage):
                return []
            pairs = zip(before.awards, after.awards, strict=True)
            return [_award(context, was.held, award, before.line, words.say("formula.review")) for was, award in pairs]
        case OrderReturned():
            names = [line.line for line in fact.data.lines]
        case OrderCompleted():
            early = moment.pages.get(f"order/{fact.data.order}")
            names = [name for back in early.early for name, _, _ in back.lines] if isinstance(early, OrderPage) else []
        case _:
            return []
    page, old = moment.after.get(f"order/{fact.data.order}"), moment.pages.get(f"order/{fact.data.order}")
    if not isinstance(page, OrderPage) or page.status != COMPLETED:
        return []
    views = []
    for name in dict.fromkeys(names):
        line = page.line(name)
        known = old.line(name) if isinstance(old, OrderPage) and old.status == COMPLETED else None
        for place, award in enumerate(line.awards if line is not None else ()):
            held = known.awards[place].held if known is not None else award.given
            assert line is not None
            view = _award(context, held, award, name, _formula(context, line, award))
            fields = ("paid_fen", "refunded_fen", "returned", "quantity")
            views.append(view | {name: getattr(line, name) for name in fields})
    return views


def _formula(context: Context, line: PageLine, award: Award) -> str:
    """K = 0 once all pieces are back, else ⌊A × (P − min(F, P)) / P⌋, with its figures."""
    say = context.words.say
    if line.returned >= line.quantity:
        return say("formula.whole", line, are="is" if line.quantity == 1 else "are")
    if not line.paid_fen:
        return say("formula.unpaid", award)
    refunded = min(line.refunded_fen, line.paid_fen)
    keep = award.given * (line.paid_fen - refunded) // line.paid_fen
    return say("formula.part", line, award, refunded=refunded, keep=keep)


def _award(context: Context, held: int, award: Award, line: str, formula: str) -> View:
    words, claim, unit = context.words, held - award.held, award.kind or award.score
    view: View = {
        "line": line,
        "rule": award.rule,
        "rule_name": words.rule_name(award.rule),
        "rule_text": words.rule_text(award.rule),
        "kind": unit,
        "given": award.given,
        "held_before": held,
        "keep": award.held,
        "claim": claim,
        "taken": claim,
        "formula": formula,
    }
    if not claim:
        taken = words.say("back.nothing")
    elif not award.kind:
        taken = words.say("back.score", award, claim=claim)
    else:
        met, others = _met(context, award, line, claim)
        view |= {"lot": lot_text(award.lot), "met": met, "other_lots": others}
        view["taken"] = met["own_lot"] + met["other_lots"]
        code = "back.taken" if view["taken"] == claim else "back.claimed"
        taken = words.say(code, claim=claim, met=_met_text(context, award, met, others))
    given = words.points(award.given, unit)
    how = sentence(words.say("back", line=line, given=given, formula=formula, held=held, taken=taken))
    return view | {"how": how, "text": f"{words.rule(award.rule)}: {how}"}


def _met(context: Context, award: Award, line: str, claim: int) -> tuple[dict[str, int], list[View]]:
    """How a claim on points was met, and which lots that are not the award's own gave to it."""
    met = {"own_lot": 0, "expired": 0, "other_lots": 0, "cash": 0, "debt": 0, "written_off": 0}
    others: list[View] = []
    for change in context.moment.step.entry.changes:
        if not isinstance(change, ClawedBack | PaidInCash | DebtIncurred | WrittenOff):
            continue
        if (change.origin, change.line) != (award.rule, line):
            continue
        if not isinstance(change, ClawedBack):
            met[_MET[type(change)]] += change.points
        elif change.lot == award.lot:
            met["own_lot"] += change.points
        else:
            met["other_lots"] += change.points
            others.append({**lot_brief(context.history, change.lot, context.words), "points": change.points})
    met["expired"] = claim - sum(met.values())
    return met, others


def _met_text(context: Context, award: Award, met: dict[str, int], others: list[View]) -> str:
    say = context.words.say
    values = {
        "lot": lot_text(award.lot),
        "lots": ", ".join(say("met.lot", other) for other in others[:MOST_LOTS]),
        "more": len(others[MOST_LOTS:]),
    }
    return joined([f"{points:,} {say(f'met.{name}', **values)}" for name, points in met.items() if points])
