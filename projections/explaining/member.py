"""A member's story: what is there now and where each lot came from, then a line an entry with the running balance."""

from typing import Any

from ledger.core.account import current_term
from ledger.core.scores import parts_of, tier_of, value_of
from ledger.wire.entries import (
    OUTCOMES,
    BenefitUsed,
    Captured,
    Change,
    ClawedBack,
    Confirmed,
    CounterAdded,
    CreditSet,
    DebtIncurred,
    Earned,
    Entry,
    Expired,
    FirstSeen,
    Frozen,
    Held,
    HistoryPruned,
    PaidInCash,
    Rated,
    Released,
    Repaid,
    Resettled,
    Restored,
    Scored,
    ScoredOnce,
    Spent,
    TermEnded,
    TermOpened,
    TierMoved,
    Unfrozen,
    Withheld,
    WrittenOff,
    lot_text,
)
from ledger.wire.facts import fact_type
from projections.explaining.changes import explain_changes
from projections.explaining.context import Context
from projections.explaining.facts import fact_text
from projections.explaining.history import History, Moment, Present, Step
from projections.explaining.lots import origin_text
from projections.explaining.nothing import explain_nothing
from projections.explaining.reasons import reason_text
from projections.explaining.words import Words, yuan

_OF_TIME_OR_COUNTED = (
    Expired,
    Released,
    TermEnded,
    TierMoved,
    Resettled,
    CounterAdded,
    FirstSeen,
    Withheld,
    HistoryPruned,
)


def explain_story(history: History, present: Present, lines: int | None) -> dict[str, Any]:
    """The story as data; its statement has the last `lines` entries (None: all), `earlier` counts those before."""
    words = Words(history.whole_book.nearest(present.as_of))
    statement: list[dict[str, Any]] = []
    earlier = 0 if lines is None else max(0, len(history.steps) - lines)
    for step, account, moment in history.walk(lambda entry: entry.number > earlier and _gave_nothing(entry)):
        if step.entry.number <= earlier:
            continue
        spendable = {kind: purse.spendable() for kind, purse in account.purses.items()}
        statement.append(_line(history, present, step, moment, spendable))
    return {
        "explains": "member",
        "member": history.member,
        "as_of": words.time(present.as_of),
        "entries": len(history.steps),
        "frozen": present.account.frozen,
        "points": {kind: _purse(history, present, kind, words) for kind in sorted(present.account.purses)},
        "scores": _scores(present, words),
        "memberships": _memberships(present, words),
        "earlier": earlier,
        "statement": statement,
        "since": {
            "after": len(history.steps),
            "effect": effect_of(present.changes),
            "texts": _since(present.changes, words),
        },
    }


def _since(changes: list[Change], words: Words) -> list[str]:
    """What fell due since the last entry, with its dates."""
    expired: dict[tuple[str, int], int] = {}
    texts: list[str] = []
    for change in changes:
        match change:
            case Expired():
                key = (change.kind, change.due_at)
                expired[key] = expired.get(key, 0) + change.points
            case TermEnded():
                name = words.membership(change.membership)
                texts.append(f"{name} by card {change.card} ended at {words.time(change.at)}")
            case TierMoved():
                moved = f"from {change.before or 'none'} to {change.after or 'none'}"
                texts.append(f"tier of {words.beside(change.score)} moved {moved} at {words.time(change.at)}")
            case Released():
                points = words.points(change.points, change.kind)
                texts.append(f"hold {change.hold} ended at {words.time(change.due_at)}: {points} free again")
    gone = [f"{words.points(n, kind)} expired at {words.time(at)}" for (kind, at), n in expired.items()]
    return gone + texts


def effect_of(changes: list[Change]) -> dict[str, int]:
    """What changes did to what is spendable of each kind, and to each score."""
    effect: dict[str, int] = {}
    for change in changes:
        match change:
            case Earned() if not change.pending_until:
                effect[change.kind] = effect.get(change.kind, 0) + change.points
            case Restored() | Released() | Confirmed():
                effect[change.kind] = effect.get(change.kind, 0) + change.points
            case Spent() | ClawedBack() | Repaid() | Held():
                effect[change.kind] = effect.get(change.kind, 0) - change.points
            case Scored() | ScoredOnce():
                effect[change.score] = effect.get(change.score, 0) + change.points
    return effect


def effect_text(changes: list[Change], words: Words) -> str:
    """The same in a few words, what cannot be seen in a sum included: +35 beans, 12 beans expired, tier 201."""
    sums: dict[tuple[str, str], int] = {}
    texts: list[str] = []
    for change in changes:
        moved = _sum_of(change)
        if moved is not None:
            kind, what, points = moved
            sums[kind, what] = sums.get((kind, what), 0) + points
        elif text := _said(change, words):
            texts.append(text)
    moves = [f"{words.signed(n, kind)} {what}".rstrip() for (kind, what), n in sums.items() if n]
    return ", ".join([*moves, *texts])


def _sum_of(change: Change) -> tuple[str, str, int] | None:
    """Points that add up over an entry: their kind, what became of them, and how many (signed)."""
    match change:
        case Earned():
            return change.kind, "frozen" if change.pending_until else "", change.points
        case Scored() | ScoredOnce():
            return change.score, "", change.points
        case Spent():
            return change.kind, "spent", -change.points
        case Restored():
            return change.kind, "come back", change.points
        case Expired():
            return change.kind, "expired", -change.points
        case ClawedBack():
            return change.kind, "taken back", -change.points
        case Repaid():
            return change.kind, "for debt", -change.points
        case DebtIncurred():
            return change.kind, "owed", -change.points
        case WrittenOff():
            return change.kind, "given up", change.points
        case Held():
            return change.kind, "put on hold", -change.points
        case Captured():
            return change.kind, "taken from hold", -change.points
        case Released():
            return change.kind, "free again", change.points
        case Confirmed():
            return change.kind, "frozen no more", change.points
    return None


def _said(change: Change, words: Words) -> str:
    match change:
        case PaidInCash():
            return f"{yuan(change.fen)} off the refund"
        case TierMoved():
            return f"tier {change.after or 'none'}"
        case TermOpened():
            return f"{words.membership(change.membership)} until {words.time(change.until_at)}"
        case TermEnded():
            return f"{words.membership(change.membership)} ended"
        case BenefitUsed():
            return f"{change.benefit} used"
        case Rated():
            return "one star" if change.stars == 1 else ""
        case CreditSet():
            return "no points for it"
        case Frozen():
            return "frozen"
        case Unfrozen():
            return "unfrozen"
    return ""


def _gave_nothing(entry: Entry) -> bool:
    """Whether an entry may be one whose line is to say why nothing came: all it has is what time does, or counts."""
    return not entry.outcome and all(isinstance(change, _OF_TIME_OR_COUNTED) for change in entry.changes)


def _line(
    history: History, present: Present, step: Step, moment: Moment | None, spendable: dict[str, int]
) -> dict[str, Any]:
    entry = step.entry
    words = Words(history.version_of(entry))
    result = effect_text(entry.changes, words)
    if entry.outcome:
        first = f"{result}; " if result else ""
        result = f"{first}{OUTCOMES[entry.outcome]}: {reason_text(entry.reason, step, words)}"
    elif moment is not None:
        context = Context(history, moment, present, words)
        withheld = [view for view in explain_changes(context) if view["change"] == "withheld"]
        nothing = explain_nothing(context, withheld)
        own = effect_text(entry.changes[moment.due :], words)
        if nothing and not own:
            nothing_ = "nothing yet" if nothing[0]["why"] == "not-completed" else "nothing"
            result = f"{result + '; ' if result else ''}{nothing_}: {_briefly(nothing)}"
    return {
        "number": entry.number,
        "occurred": words.time(entry.occurred),
        "type": fact_type(step.fact),
        "id": step.fact.id,
        "outcome": OUTCOMES[entry.outcome],
        "reason": entry.reason,
        "text": fact_text(step.fact, words),
        "result": result or "nothing moved",
        "effect": effect_of(entry.changes),
        "spendable": spendable,
    }


def _briefly(nothing: list[dict[str, Any]]) -> str:
    """The first reasons why nothing came, points before scores."""
    texts = list(dict.fromkeys(view["text"].rstrip(".") for view in nothing))
    text: str = texts[0]
    first = text[:1].lower() + text[1:]
    return first + (f" (and {len(texts) - 1} more)" if len(texts) > 1 else "")


def _purse(history: History, present: Present, kind: str, words: Words) -> dict[str, Any]:
    purse = present.account.purses[kind]
    lots = sorted(purse.lots.items(), key=lambda item: (item[1].expires_at, item[0]))
    views = []
    for key, lot in lots:
        story = history.lots.get(key)
        views.append(
            {
                "lot": lot_text(key),
                "entry": key >> 16,
                "rule": lot.rule,
                "rule_name": words.rule_name(lot.rule),
                "origin": origin_text(story, words) if story else lot.rule,
                "earned": lot.earned,
                "left": lot.left,
                "held": lot.held,
                "pending": bool(lot.pending_until),
                "earned_at": words.time(lot.earned_at),
                "expires_at": words.time(lot.pending_until or lot.expires_at),
            }
        )
    return {
        "name": words.name(kind),
        "spendable": purse.spendable(),
        "pending": purse.pending(),
        "held": purse.held(),
        "debt": purse.debt,
        "lots": views,
    }


def _scores(present: Present, words: Words) -> dict[str, Any]:
    version, account = words.version, present.account
    month = version.month(present.as_of)
    views = {}
    for name, score in version.programme.scores.items():
        value = value_of(account, name, score, month)
        parts = parts_of(account, name, score, month)
        views[name] = {"name": score.name, "value": value, "tier": tier_of(score, value), "parts": parts}
    return views


def _memberships(present: Present, words: Words) -> dict[str, Any]:
    views = {}
    for name in present.account.terms:
        term = current_term(present.account, name, present.as_of)
        if term is not None:
            state = "ended" if term.until <= present.as_of else "trial" if term.trial else "active"
            until = words.time(term.until)
            views[name] = {
                "name": words.name(name),
                "state": state,
                "product": term.product,
                "card": term.card,
                "until": until,
            }
    return views
