"""The arithmetic of what a return or a removal took back: what each award keeps, and where the rest was taken from."""

from typing import Any

from ledger.core.pages import COMPLETED, Award, OrderPage, PageLine, ReviewPage
from ledger.wire.entries import ClawedBack, DebtIncurred, PaidInCash, WrittenOff, lot_text
from ledger.wire.facts import OrderCompleted, OrderReturned, ReviewRemoved
from ledger.wire.times import month_text
from projections.explaining.context import Context
from projections.explaining.lots import lot_brief
from projections.explaining.words import count, joined, yuan


def explain_clawbacks(context: Context) -> list[dict[str, Any]]:
    """One dict for each award of a line that came back, also where nothing had to be taken.

    `claim` is what the award no longer keeps, `taken` what of it left the member's lots (or the score) in this entry.
    """
    moment, fact = context.moment, context.moment.step.fact
    if moment.step.entry.outcome:
        return []
    match fact:
        case ReviewRemoved():
            before, after = (
                moment.pages.get(f"review/{fact.data.review}"),
                moment.pages_after.get(f"review/{fact.data.review}"),
            )
            if not isinstance(before, ReviewPage) or not isinstance(after, ReviewPage):
                return []
            pairs = zip(before.awards, after.awards, strict=True)
            return [
                _award(context, was.held, award, before.line, "The review was removed: it keeps K = 0")
                for was, award in pairs
            ]
        case OrderReturned():
            names = [line.line for line in fact.data.lines]
        case OrderCompleted():
            early = moment.pages.get(f"order/{fact.data.order}")
            names = [name for back in early.early for name, _, _ in back.lines] if isinstance(early, OrderPage) else []
        case _:
            return []
    page, old = (
        moment.pages_after.get(f"order/{fact.data.order}"),
        moment.pages.get(f"order/{fact.data.order}"),
    )
    if not isinstance(page, OrderPage) or page.status != COMPLETED:
        return []
    views = []
    for name in dict.fromkeys(names):
        line = page.line(name)
        known = old.line(name) if isinstance(old, OrderPage) and old.status == COMPLETED else None
        for place, award in enumerate(line.awards if line is not None else ()):
            held = known.awards[place].held if known is not None else award.given
            assert line is not None
            view = _award(context, held, award, name, _formula(line, award))
            views.append(view | {"paid_fen": line.paid_fen, "refunded_fen": line.refunded_fen} | _pieces(line))
    return views


def _pieces(line: PageLine) -> dict[str, int]:
    return {"returned": line.returned, "quantity": line.quantity}


def _formula(line: PageLine, award: Award) -> str:
    """K = 0 once all pieces are back, else ⌊A × (P − min(F, P)) / P⌋, with its figures."""
    if line.returned >= line.quantity:
        back = f"{line.returned:,} of {count(line.quantity, 'piece')} {'is' if line.quantity == 1 else 'are'} back"
        return f"{back}, the whole line, so it keeps K = 0"
    if not line.paid_fen:
        return f"The line was paid ¥0.00, so a refund takes nothing: it keeps K = {award.given:,}"
    paid, refunded = yuan(line.paid_fen), yuan(min(line.refunded_fen, line.paid_fen))
    keep = award.given * (line.paid_fen - min(line.refunded_fen, line.paid_fen)) // line.paid_fen
    return f"It keeps K = ⌊A × (P − min(F, P)) / P⌋ = ⌊{award.given:,} × ({paid} − {refunded}) / {paid}⌋ = {keep:,}"


def _award(context: Context, held: int, award: Award, line: str, formula: str) -> dict[str, Any]:
    words = context.words
    claim = held - award.held
    unit = award.kind or award.score
    view: dict[str, Any] = {
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
    how = f"line {line} was given {words.points(award.given, unit)}. {formula}; it held {held:,}, so "
    if not claim:
        how += "nothing is taken back"
    elif not award.kind:
        how += f"{claim:,} are taken back from {month_text(award.month)}, the month that earned them"
    else:
        met, others = _met(context, award, line, claim)
        taken = met["own_lot"] + met["other_lots"]
        view |= {"lot": lot_text(award.lot), "met": met, "other_lots": others, "taken": taken}
        how += f"{claim:,} are {'taken back' if taken == claim else 'claimed'}: {_met_text(award, met, others)}"
    how = f"{how[:1].upper()}{how[1:]}."
    return view | {"how": how, "text": f"{words.rule(award.rule)}: {how}"}


def _met(context: Context, award: Award, line: str, claim: int) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """How a claim on points was met, and which lots that are not the award's own gave to it."""
    met = {"own_lot": 0, "expired": 0, "other_lots": 0, "cash": 0, "debt": 0, "written_off": 0}
    others: list[dict[str, Any]] = []
    for change in context.moment.step.entry.changes:
        match change:
            case ClawedBack() | PaidInCash() | DebtIncurred() | WrittenOff():
                if (change.origin, change.line) != (award.rule, line):
                    continue
        match change:
            case ClawedBack() if change.lot == award.lot:
                met["own_lot"] += change.points
            case ClawedBack():
                met["other_lots"] += change.points
                others.append({**lot_brief(context.history, change.lot, context.words), "points": change.points})
            case PaidInCash():
                met["cash"] += change.points
            case DebtIncurred():
                met["debt"] += change.points
            case WrittenOff():
                met["written_off"] += change.points
    met["expired"] = claim - sum(met.values())
    return met, others


def _met_text(award: Award, met: dict[str, int], others: list[dict[str, Any]]) -> str:
    lots = ", ".join(f"{other['points']:,} of {other['lot']}" for other in others[:5])
    more = f" and {len(others) - 5:,} more lots" if len(others) > 5 else ""
    said = {
        "own_lot": f"from its own lot {lot_text(award.lot)}",
        "expired": "expired meanwhile and are not asked for again",
        "other_lots": f"from other lots, as its own were spent ({lots}{more})",
        "cash": "in cash, less on the refund",
        "debt": "owed, until later earnings repay them",
        "written_off": "given up",
    }
    return joined([f"{met[name]:,} {how}" for name, how in said.items() if met[name]])
