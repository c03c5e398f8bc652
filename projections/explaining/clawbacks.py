"""The arithmetic of what a return or a removal took back: what each award keeps, and where the rest was taken from."""

from typing import Any

from ledger.core.pages import Award, OrderPage, PageLine
from ledger.wire.entries import ClawedBack, DebtIncurred, PaidInCash, WrittenOff, lot_text
from projections.explaining.context import Context
from projections.explaining.history import Claim
from projections.explaining.lots import lot_brief

View = dict[str, Any]

MOST_LOTS = 5  # that a sentence names
_MET = {PaidInCash: "cash", DebtIncurred: "debt", WrittenOff: "written_off"}


def explain_clawbacks(context: Context) -> list[View]:
    """One dict for each award of a line that came back, also where nothing had to be taken.

    `claim` is what the award no longer keeps, `taken` what of it left the member's lots (or the score) in this entry.
    """
    moment, fact = context.moment, context.moment.step.decided
    page = moment.page_after(f"order/{getattr(fact.data, 'order', '')}")
    views = []
    for claim in moment.claims.values() if not moment.step.entry.outcome else ():
        line = page.line(claim.line) if isinstance(page, OrderPage) else None
        view = _claim(context, claim, _formula(context, line, claim.award))
        if line is not None:
            view |= {name: getattr(line, name) for name in ("paid_fen", "refunded_fen", "returned", "quantity")}
        views.append(view)
    return views


def _formula(context: Context, line: PageLine | None, award: Award) -> str:
    """K = 0 once all pieces are back or the review is gone (no line), else ⌊A × (P − min(F, P)) / P⌋."""
    say = context.words.say
    if line is None:
        return say("formula.review")
    if line.returned >= line.quantity:
        return say("formula.whole", line, are="is" if line.quantity == 1 else "are")
    if not line.paid_fen:
        return say("formula.unpaid", line, award)
    refunded = min(line.refunded_fen, line.paid_fen)
    keep = award.given * (line.paid_fen - refunded) // line.paid_fen
    return say("formula.part", line, award, refunded=refunded, keep=keep)


def _claim(context: Context, left: Claim, formula: str) -> View:
    words, award, claim = context.words, left.award, left.held - left.keep
    unit = award.kind or award.score
    view: View = {
        "line": left.line,
        **words.about_rule(award.rule),
        "kind": unit,
        "unit": words.unit(unit),
        "given": award.given,
        "held_before": left.held,
        "keep": left.keep,
        "claim": claim,
        "taken": claim,
        "formula": formula,
    }
    if not claim:
        taken = words.say("back.nothing")
    elif not award.kind:
        taken = words.say("back.score", award, claim=claim)
    else:
        met, others = _met(context, award, left.line, claim)
        view |= {"lot": lot_text(award.lot), "met": met, "other_lots": others}
        view["taken"] = met["own_lot"] + met["other_lots"]
        code = "back.taken" if view["taken"] == claim else "back.claimed"
        taken = words.say(code, claim=claim, met=_met_text(context, award, met, others))
    how = words.speech.sentence(
        words.say("back", left, given=words.points(award.given, unit), formula=formula, taken=taken)
    )
    return view | {"how": how, "text": f"{words.rule(award.rule)}{words.speech.colon}{how}"}


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
    say, speech = context.words.say, context.words.speech
    values = {
        "lot": lot_text(award.lot),
        "lots": speech.comma.join(say("met.lot", other) for other in others[:MOST_LOTS]),
        "more": len(others[MOST_LOTS:]),
    }
    return speech.joined([f"{points:,} {say(f'met.{name}', **values)}" for name, points in met.items() if points])
