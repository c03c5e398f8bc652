"""The arithmetic of what a return or a removal took back: what each award keeps, and where the rest was taken from."""

from typing import Any

from ledger.entries import ClawedBack, Indebted, PaidInCash, WrittenOff, lot_text
from ledger.facts import OrderCompleted, OrderReturned, ReviewRemoved
from ledger.pages import COMPLETED, Award, OrderPage, PageLine, ReviewPage
from projections.explaining.changes import Context
from projections.explaining.words import Words, joined, yuan


def explain_clawbacks(context: Context) -> list[dict[str, Any]]:
    """One dict for each award of a line that came back, also where nothing had to be taken."""
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
                _award(context, was.held, award, before.line, "the review was removed: K = 0")
                for was, award in pairs
            ]
        case OrderReturned():
            names = [line.line for line in fact.data.lines]
        case OrderCompleted():
            early = moment.pages.get(f"order/{fact.data.order}")
            names = (
                [name for back in early.early for name, _, _ in back.lines]
                if isinstance(early, OrderPage)
                else []
            )
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
            view = _award(context, held, award, name, _formula(line, award, context.words))
            views.append(
                view | {"paid_fen": line.paid_fen, "refunded_fen": line.refunded_fen} | _pieces(line)
            )
    return views


def _pieces(line: PageLine) -> dict[str, int]:
    return {"returned": line.returned, "quantity": line.quantity}


def _formula(line: PageLine, award: Award, words: Words) -> str:
    """K = 0 once all pieces are back, else ⌊A × (P − min(F, P)) / P⌋, with its figures."""
    if line.returned >= line.quantity:
        return f"{line.returned:,} of {line.quantity:,} pieces are back, the whole line: K = 0"
    if not line.paid_fen:
        return f"the line was paid ¥0.00, so a refund takes nothing: K = {award.given:,}"
    paid, refunded = yuan(line.paid_fen), yuan(min(line.refunded_fen, line.paid_fen))
    keep = award.given * (line.paid_fen - min(line.refunded_fen, line.paid_fen)) // line.paid_fen
    return f"K = ⌊A × (P − min(F, P)) / P⌋ = ⌊{award.given:,} × ({paid} − {refunded}) / {paid}⌋ = {keep:,}"


def _award(context: Context, held: int, award: Award, line: str, formula: str) -> dict[str, Any]:
    words, entry = context.words, context.moment.step.entry
    claim = held - award.held
    view: dict[str, Any] = {
        "line": line,
        "rule": award.rule,
        "rule_name": words.rule_name(award.rule),
        "kind": award.kind or award.score,
        "given": award.given,
        "held_before": held,
        "keep": award.held,
        "claim": claim,
        "formula": formula,
    }
    unit = award.kind or award.score
    if not claim:
        view["text"] = (
            f"{words.rule(award.rule)} of line {line}: nothing more to take back ({formula}; it held {held:,})."
        )
        return view
    text = f"{words.rule(award.rule)} of line {line} gave {words.points(award.given, unit)}: {formula}"
    text += f"; it held {held:,}, so {claim:,} are taken back"
    if not award.kind:
        view["text"] = f"{text}, from the month that earned them."
        return view
    met = {"own_lot": 0, "other_lots": 0, "cash": 0, "debt": 0, "written_off": 0}
    for change in entry.changes:
        if not isinstance(change, (ClawedBack, Indebted, PaidInCash, WrittenOff)):
            continue
        if change.origin != award.rule or change.line != line:
            continue
        match change:
            case ClawedBack():
                met["own_lot" if change.lot == award.lot else "other_lots"] += change.points
            case PaidInCash():
                met["cash"] += change.points
            case Indebted():
                met["debt"] += change.points
            case WrittenOff():
                met["written_off"] += change.points
    met["expired"] = claim - sum(met.values())
    said = {
        "own_lot": f"from its own lot {lot_text(award.lot)}",
        "expired": "that had expired already and are not asked for again",
        "other_lots": "from other lots, because its own was spent",
        "cash": "less on the refund, in cash",
        "debt": "owed",
        "written_off": "given up",
    }
    parts = [f"{met[name]:,} {how}" for name, how in said.items() if met[name]]
    view |= {"lot": lot_text(award.lot), "met": met, "text": f"{text}: {joined(parts)}."}
    return view
