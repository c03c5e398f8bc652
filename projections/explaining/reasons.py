"""Why a fact was refused or ignored, or what is to be said of one that was accepted: a sentence with its figures.

`SENTENCES` has every code of `ledger.reasons` that an entry may carry, with its figures in their places.
"""

from typing import Any

from ledger.core.account import Term, current_term
from ledger.core.pages import CANCELLED, COMPLETED, OPEN, PAID, REJECTED, OrderPage
from ledger.wire.entries import Released
from ledger.wire.facts import (
    AccountFrozen,
    CardRefunded,
    CardTrialStarted,
    Fact,
    HoldCaptured,
    HoldReleased,
    OrderCancelled,
    OrderCompleted,
    OrderRejected,
)
from projections.explaining.history import History, Moment, Step
from projections.explaining.needed import needed_text
from projections.explaining.words import Words, joined, yuan

# Each code with its sentence; the places are the figures of the entry and the fields of the fact.
SENTENCES: dict[str, str] = {
    # of any fact
    "duplicate": "this very fact was decided before",
    "conflict": "a different fact of the same source and id was decided before; this one changes nothing",
    "out-of-range": "the points are more than an account can hold",
    "no-programme": "no version of the rule book was in force yet at {occurred}",
    "too-late": "it occurred {late} before the account's clock ({clock}); the book takes {late_days} days",
    "already": "this was reported before under another fact id; it counts once",
    "bad-programme": "the rule book cannot be used: {problem}",
    "not-a-member": "the subject of a published rule book is no member",
    "unknown-kind": 'the book has no kind of points called "{kind}"',
    # of requests
    "stale": "it was {age} old when it was recorded; a request is taken up to {most}",
    "account-frozen": "the account is frozen and takes no requests; it goes on earning",
    "unknown-use": 'the book knows no use called "{use}"',
    "kind-not-taken": "{use} does not take {kind}",
    "not-exact": "asked {asked} {kind}; {use} takes exactly {exactly}",
    "not-a-multiple": "asked {asked} {kind}; {use} takes multiples of {multiple}",
    "order-missing": "{use} is for an order, and the request names none",
    "settlement-too-small": "the order comes to {settlement_fen}; {use} needs {at_least_money} or more",
    "above-share": "asked {asked} {kind}, {redeemed} used on the order before; points may pay {most_fen} of it",
    "balance-too-small": "{spendable} {kind} spendable; {use} needs a balance of {at_least}",
    "<kind>-short": "asked {asked} {kind}, {spendable} spendable",
    "hold-over": "the hold would have ended at {until}, which was already past",
    "unknown-benefit": 'the book has no benefit called "{benefit}"',
    "no-membership": "no {membership_name} card was running at {occurred}",
    "not-in-card": "the card {product} does not have the benefit {benefit}",
    "quota-used": "{used} of {quota} {benefit} were used already",
    # of orders and returns
    "order-completed": "the order was completed before",
    "order-cancelled": "the order was cancelled before",
    "order-rejected": "the order was refused at the door before",
    "unknown-order": "this member has no order {order_name}",
    "unknown-line": "the order has no line {lines}",
    "points-differ": "the lines name {tendered} points used on the order; its redemptions, which hold, took {redeemed}",
    "points-capped": "asked {asked} points; there were only {there}",
    "before-completion": "the order is not completed yet: the return is kept and applied when it completes",
    "order-ended": "the order had already ended; the redemption was decided like any other",
    "exempt": "a membership exempts this refusal at the door from the penalty of {points} points",
    # of reviews, redemptions, holds, cards and operators
    "line-not-completed": "line {line} of order {order} is not completed for this member, so it cannot be reviewed",
    "already-reviewed": "line {line} of order {order} was reviewed before; a line is reviewed once",
    "unknown-review": "this member has no review {review}",
    "unknown-redemption": "this member has no redemption {redemption} that was granted",
    "redemption-of-an-order": "it was for order {order}: its points come back by a return or cancellation of the order",
    "unknown-hold": "this member has no hold {hold} that was granted",
    "hold-ended": "the hold had ended another way",
    "unknown-product": 'the book sells no card called "{product}"',
    "not-a-trial": "{product} is no trial",
    "not-for-sale": "{product} is a trial and cannot be bought",
    "trial-used": "a member has one trial, and none beside or after a running card",
    "unknown-card": "this member has no card {card}",
    "card-ended": "the card had already ended",
    "not-approved": "an adjustment needs a second person's approval (by {by}, approved by {approver})",
    "not-frozen": "the account was not frozen",
}
_ENDS = (OrderCompleted, OrderCancelled, OrderRejected)
_STATUS = {
    OPEN: "was seen only in a redemption",
    PAID: "was paid and not completed",
    COMPLETED: "was completed",
    CANCELLED: "was cancelled",
    REJECTED: "was refused at the door",
}


def reason_text(reason: str, step: Step, words: Words) -> str:
    """The sentence of an entry's reason, without its context; empty where there is none."""
    if not reason:
        return ""
    template = SENTENCES.get("<kind>-short" if reason.endswith("-short") else reason)
    if template is None:
        return reason
    return template.format_map(_Values(step, words))


def reason_details(history: History, moment: Moment, words: Words) -> dict[str, Any]:
    """The sentence with its context: the entry that came first, and what would have been needed ("" where nothing)."""
    step = moment.step
    text = reason_text(step.entry.reason, step, words)
    details: dict[str, Any] = {}
    first = _first_entry(history, moment)
    if first is not None:
        details["first"] = {"entry": first.entry.number, "occurred": words.time(first.entry.occurred)}
        text += f": entry {first.entry.number}, {words.time(first.entry.occurred)}"
    more = _context(history, moment, words)
    if more:
        text += f"; {more}"
    return details | {"text": text, "needed": needed_text(moment, words)}


class _Values(dict[str, str]):
    """What a sentence may name, made when it is asked for."""

    def __init__(self, step: Step, words: Words) -> None:
        super().__init__()
        self._step, self._words = step, words

    def __missing__(self, name: str) -> str:
        entry, words = self._step.entry, self._words
        figures, data = entry.figures, self._step.fact.data
        match name:
            case "occurred":
                return words.time(entry.occurred)
            case "clock":
                return words.time(entry.clock)
            case "late":
                return f"{(entry.clock - entry.occurred) // 86_400_000_000:,} days"
            case "late_days":
                return f"{words.version.programme.late_days:,}"
            case "age":
                return _hours(int(figures.get("age_seconds", 0)))
            case "most":
                return _hours(int(figures.get("most_seconds", 0)))
            case "at_least_money":
                return yuan(int(figures.get("at_least", 0)))
            case "there":
                return _shown("restored", figures.get("restored", figures.get("captured", 0)))
            case "use":
                return words.use(getattr(data, "use", ""))
            case "membership_name":
                return words.membership(str(figures.get("membership", "")))
            case "order_name":
                return str(figures.get("order", "")) or "(none is named)"
            case "approver":
                return str(figures.get("approved_by", "")) or "nobody"
            case "until":
                return words.time(int(data.until.timestamp() * 1_000_000)) if hasattr(data, "until") else ""
        value = figures.get(name, getattr(data, name, ""))
        return _shown(name, value)


def _shown(name: str, value: Any) -> str:
    if isinstance(value, int):
        return yuan(value) if name.endswith("_fen") else f"{value:,}"
    return str(value).replace(",", ", ") if name == "lines" else str(value)


def _hours(seconds: int) -> str:
    if seconds % 86_400 == 0 and seconds:
        days = seconds // 86_400
        return f"{days:,} day{'' if days == 1 else 's'}"
    if seconds >= 172_800:
        return f"{seconds / 86_400:,.1f} days"
    return f"{seconds / 3_600:,.1f} hours" if seconds >= 3_600 else f"{seconds:,} seconds"


def _first_entry(history: History, moment: Moment) -> Step | None:
    """The entry that a repetition repeats, or that ended or reviewed what this fact is about."""
    entry, fact = moment.step.entry, moment.step.fact
    for step in history.earlier(entry.number):
        other, before = step.fact, step.entry
        match entry.reason:
            case "duplicate" | "conflict":
                if before.number == entry.figures.get("first"):
                    return step
            case "already":
                if before.outcome == 0 and type(other) is type(fact) and _business_id(other) == _business_id(fact):
                    return step
            case "already-reviewed":
                if before.outcome == 0 and type(other) is type(fact) and _about_line(other) == _about_line(fact):
                    return step
            case "order-completed" | "order-cancelled" | "order-rejected" | "order-ended":
                if before.outcome == 0 and isinstance(other, _ENDS) and _order_of(other) == _order_of(fact):
                    return step
            case "hold-ended" | "card-ended":
                ends = isinstance(other, (HoldCaptured, HoldReleased, CardRefunded))
                if before.outcome == 0 and ends and _business_id(other) == _business_id(fact):
                    return step
            case "account-frozen":
                if isinstance(other, AccountFrozen) and before.outcome == 0:
                    return step
            case _:
                return None
    return None


def _business_id(fact: Fact) -> tuple[str, str]:
    """The first field of a fact's data names what it is about: (order, O1)."""
    data = fact.data
    for name in data.__struct_fields__[:1]:
        return name, str(getattr(data, name))
    return "", ""


def _order_of(fact: Fact) -> str:
    return str(getattr(fact.data, "order", ""))


def _about_line(fact: Fact) -> tuple[str, str]:
    return _order_of(fact), str(getattr(fact.data, "line", ""))


def _context(history: History, moment: Moment, words: Words) -> str:
    """What else the decision saw that a reader would ask for."""
    entry, fact = moment.step.entry, moment.step.fact
    match entry.reason:
        case "line-not-completed":
            order = moment.pages.get(f"order/{_order_of(fact)}")
            if not isinstance(order, OrderPage):
                return "the order is not known"
            if order.status == COMPLETED:
                lines = [line.line for line in order.lines[:20]]
                return f"the completed order has line{'s' if len(lines) > 1 else ''} {joined(lines)}"
            return f"the order {_STATUS[order.status]}"
        case "no-membership":
            return term_text(current_of(moment, str(entry.figures.get("membership", ""))), entry.occurred, words)
        case "trial-used":
            assert isinstance(fact, CardTrialStarted)
            membership = moment.version.products[fact.data.product][0]
            if moment.at.trials.get(membership):
                return "a trial was started before"
            return term_text(current_of(moment, membership), entry.occurred, words)
        case "hold-ended":
            return _hold_end(history, moment, words)
        case "card-ended":
            terms = [term for terms in moment.at.terms.values() for term in terms]
            ends = [term.until for term in terms if term.card == getattr(fact.data, "card", "")]
            return f"it ended at {words.time(ends[0])}" if ends else ""
        case reason if reason.endswith("-short"):
            return _not_spendable(moment, words)
    return ""


def _hold_end(history: History, moment: Moment, words: Words) -> str:
    """When a hold ended by itself, if it did."""
    entry, hold = moment.step.entry, getattr(moment.step.fact.data, "hold", "")
    changes = [change for step in history.earlier(entry.number) for change in step.entry.changes]
    for change in [*entry.changes, *changes]:
        if isinstance(change, Released) and change.hold == hold and change.due_at:
            return f"it ended by itself at {words.time(change.due_at)}"
    return ""


def current_of(moment: Moment, membership: str) -> Term | None:
    """The term that held or had last held, or the first to come."""
    return current_term(moment.at, membership, moment.step.entry.occurred)


def term_text(term: Term | None, instant: int, words: Words) -> str:
    """What is to be said of a term at an instant at which it does not hold, or does."""
    if term is None:
        return "there was no card before"
    card = f"card {term.card} ({term.product})"
    if term.until <= instant:
        return f"the last, {card}, ended at {words.time(term.until)}"
    if term.start > instant:
        return f"{card} begins at {words.time(term.start)}"
    return f"{card} runs until {words.time(term.until)}"


def _not_spendable(moment: Moment, words: Words) -> str:
    """Points that are there and cannot be spent, which members see and ask about."""
    kind = str(getattr(moment.step.fact.data, "kind", ""))
    purse = moment.at.purse(kind)
    parts = []
    if purse.pending():
        parts.append(f"{words.points(purse.pending(), kind)} are frozen until a card is bought")
    if purse.held():
        parts.append(f"{words.points(purse.held(), kind)} are on hold")
    if purse.debt:
        parts.append(f"{words.points(purse.debt, kind)} are owed")
    return joined(parts)
