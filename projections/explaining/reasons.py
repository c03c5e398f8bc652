"""Why a fact was refused or ignored, or what is to be said of one that was accepted, and what would have been needed.

Where it says that another request would have been granted, the engine itself was asked at that very moment.
"""

from typing import Any, Final

from msgspec.structs import replace

from ledger.core.account import Term, current_term
from ledger.core.pages import COMPLETED, OrderPage
from ledger.wire.entries import ACCEPTED, REFUSED, Released
from ledger.wire.facts import (
    AccountFrozen,
    BenefitClaimed,
    CardRefunded,
    CardTrialStarted,
    ExchangeRequested,
    Fact,
    HoldCaptured,
    HoldReleased,
    HoldRequested,
    OrderCancelled,
    OrderCompleted,
    OrderRejected,
    RedemptionRequested,
)
from ledger.wire.times import DAY
from projections.explaining.book import benefit_needs, whom_text
from projections.explaining.facts import business_id
from projections.explaining.history import History, Moment, Step
from projections.explaining.words import Words

MOST_LINES = 20  # of an order that a sentence names


def reason_text(step: Step, words: Words) -> str:
    """The sentence of an entry's reason, without its context; empty where there is none."""
    entry = step.entry
    if not entry.reason:
        return ""
    late = (entry.clock - entry.occurred) // DAY
    sources = (entry.figures, step.decided.data, entry, words.version.programme)
    values: dict[str, Any] = {"late": late}
    if isinstance(step.decided, BenefitClaimed) and entry.reason.endswith("-short"):
        values["kind"] = entry.reason.removesuffix("-short")  # of its price, which the fact does not name
    return words.say(f"reason.{_code(entry.reason)}", *sources, **values)


def reason_details(history: History, moment: Moment, words: Words) -> dict[str, Any]:
    """The sentence with its context: the entry that came first, and what would have been needed ("" where nothing)."""
    text = reason_text(moment.step, words)
    details: dict[str, Any] = {}
    first = _first_entry(history, moment)
    if first is not None:
        details["first"] = {"entry": first.entry.number, "occurred": words.time(first.entry.occurred)}
        text += words.say("context.first", first.entry)
    more = _context(history, moment, words)
    if more:
        text += f"{words.speech.semicolon}{more}"
    return details | {"text": text, "needed": needed_text(moment, words)}


def _code(reason: str) -> str:
    """A reason's code, without the kind of points that some begin with: beans-short is short."""
    return "short" if reason.endswith("-short") else reason


# -- what came first -------------------------------------------------------------------------------------------------

_ENDS = (OrderCompleted, OrderCancelled, OrderRejected)
# By reason: the types of fact that can have come first (none: the same type), and the fields that are then the same
# (none: the business id).
_FIRST: Final[dict[str, tuple[tuple[type[Fact], ...], tuple[str, ...]]]] = {
    "already": ((), ()),
    "already-reviewed": ((), ("order", "line")),
    "order-completed": (_ENDS, ("order",)),
    "order-cancelled": (_ENDS, ("order",)),
    "order-rejected": (_ENDS, ("order",)),
    "order-ended": (_ENDS, ("order",)),
    "hold-ended": ((HoldCaptured, HoldReleased), ()),
    "card-ended": ((CardRefunded,), ()),
    "account-frozen": ((AccountFrozen,), ("subject",)),
}


def _first_entry(history: History, moment: Moment) -> Step | None:
    """The entry that a repetition repeats, or that ended or reviewed what this fact is about."""
    entry, fact = moment.step.entry, moment.step.decided
    if entry.reason in ("duplicate", "conflict"):
        return next((s for s in history.earlier(entry.number) if s.entry.number == entry.figures.get("first")), None)
    if entry.reason not in _FIRST:
        return None
    types, names = _FIRST[entry.reason]
    about = _about(fact, names)
    for step in history.earlier(entry.number):
        is_alike = step.entry.outcome == ACCEPTED and isinstance(step.decided, types or type(fact))
        if is_alike and _about(step.decided, names) == about:
            return step
    return None


def _about(fact: Fact, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(getattr(fact.data, name, getattr(fact, name, ""))) for name in names) or business_id(fact)


# -- what else the decision saw --------------------------------------------------------------------------------------


def _context(history: History, moment: Moment, words: Words) -> str:
    """What else the decision saw that a reader would ask for."""
    entry, fact = moment.step.entry, moment.step.decided
    match _code(entry.reason):
        case "line-not-completed":
            order = moment.page(f"order/{getattr(fact.data, 'order', '')}")
            if not isinstance(order, OrderPage):
                return words.say("context.order-unknown")
            if order.status != COMPLETED:
                return words.say(f"context.order-{order.status}")
            lines = [line.line for line in order.lines[:MOST_LINES]]
            return words.say("context.order-lines", lines=lines, more=len(lines) > 1)
        case "no-membership":
            return term_text(current_of(moment, str(entry.figures.get("membership", ""))), entry.occurred, words)
        case "trial-used":
            assert isinstance(fact, CardTrialStarted)
            membership = moment.version.products[fact.data.product][0]
            if moment.at.trials.get(membership):
                return words.say("context.trial")
            return term_text(current_of(moment, membership), entry.occurred, words)
        case "hold-ended":
            return _hold_end(history, moment, words)
        case "card-ended":
            terms = [term for terms in moment.at.terms.values() for term in terms]
            ends = [term.until for term in terms if term.card == getattr(fact.data, "card", "")]
            return words.say("context.ended", at=ends[0]) if ends else ""
        case "short":
            return _not_spendable(moment, words)
    return ""


def _hold_end(history: History, moment: Moment, words: Words) -> str:
    """When a hold ended by itself, if it did."""
    entry, hold = moment.step.entry, getattr(moment.step.decided.data, "hold", "")
    changes = [change for step in history.earlier(entry.number) for change in step.entry.changes]
    for change in [*entry.changes, *changes]:
        if isinstance(change, Released) and change.hold == hold and change.due_at:
            return words.say("context.lapsed", change)
    return ""


def current_of(moment: Moment, membership: str) -> Term | None:
    """The term that held or had last held, or the first to come."""
    return current_term(moment.at, membership, moment.step.entry.occurred)


def term_text(term: Term | None, instant: int, words: Words) -> str:
    """What is to be said of a term at an instant at which it does not hold, or does."""
    if term is None:
        return words.say("term.none")
    form = "ended" if term.until <= instant else "begins" if term.start > instant else "runs"
    return words.say(f"term.{form}", term)


def _not_spendable(moment: Moment, words: Words) -> str:
    """Points that are there and cannot be spent, which members see and ask about."""
    kind = str(getattr(moment.step.decided.data, "kind", ""))
    purse = moment.at.purse(kind)
    sums = {"pending": purse.pending(), "held": purse.held(), "debt": purse.debt}
    return words.speech.joined([words.say(f"context.{n}", **{n: words.points(sums[n], kind)}) for n in sums if sums[n]])


# -- what would have been needed -------------------------------------------------------------------------------------


def needed_text(moment: Moment, words: Words) -> str:
    """What would have been needed for a refused request to be granted."""
    entry, fact, version = moment.step.entry, moment.step.decided, moment.version
    if entry.outcome != REFUSED:
        return ""
    code, programme, language = _code(entry.reason), version.programme, words.speech.language
    sources: list[object] = [fact.data, entry]
    values: dict[str, Any] = {"could": "", "earliest": entry.clock - version.late, "all_kinds": list(programme.kinds)}
    values |= {"conditions": "", "unnamed": False}
    if isinstance(fact, RedemptionRequested | HoldRequested):
        spendable = int(entry.figures.get("spendable", moment.at.purse(fact.data.kind).spendable()))
        use = programme.uses.get(fact.data.use) if isinstance(fact, RedemptionRequested) else None
        most, least = spendable, fact.data.points
        if isinstance(fact, RedemptionRequested) and use is not None:
            sources.insert(0, use)
            least = use.balance_at_least if code == "balance-too-small" else least
            most = _most_redeemable(moment, fact, spendable, values)
            values["conditions"] = whom_text(version, [use.who], language)
            code += ".redemption" if code == "stale" else ""
            values["amount_exactly"] = words.points(use.exactly or 0, fact.data.kind)
        values["uses"] = sorted(programme.uses)
        values["missing"] = words.points(least - spendable, fact.data.kind)
        if code in ("not-a-multiple", "above-share", "short"):
            values["could"] = _offer(moment, fact, most, words)
    if isinstance(fact, ExchangeRequested) and (exchange := programme.exchanges.get(fact.data.exchange)) is not None:
        rates = [rate.who for rate in exchange.rate]
        values["conditions"] = whom_text(version, [exchange.who], language) or whom_text(version, rates, language)
    if isinstance(fact, BenefitClaimed):
        values["benefits"] = sorted(version.benefits)
        code += ".claim" if code == "stale" else ""
        if code == "short":
            missing = int(entry.figures["asked"]) - int(entry.figures["spendable"])
            values["missing"] = words.points(missing, entry.reason.removesuffix("-short"))
        if perk := version.perks.get(fact.data.benefit):
            values |= {"name": words.membership(perk.membership), "cards": sorted(perk.by_product or ())}
            values |= {"used": entry.figures.get("used", 0), "per": words.say(f"per.{perk.per}", days=perk.days)}
            term = current_of(moment, perk.membership)
            code += ".alone" if perk.counted != "term" and code == "quota-used" else ""
            values["conditions"] = benefit_needs(version, perk.benefit, language)
            values["unnamed"] = perk.counted == "shop" and not fact.data.shop
            if code.startswith("quota-used"):
                values["again"] = words.say(f"again.{perk.per}", term, days=perk.days)
            if term is not None:
                sources.append(term)
    return words.say(f"needed.{code}", *sources, **values)


def _most_redeemable(moment: Moment, fact: RedemptionRequested, spendable: int, values: dict[str, Any]) -> int:
    """A guess at the most that could have been redeemed, on which the engine has the last word (`_offer`).

    Sets `settlement` among the values: what the order had to come to, in fen.
    """
    data, version = fact.data, moment.version
    use, kind = version.programme.uses[data.use], version.programme.kinds.get(data.kind)
    share, most = version.shares[data.use], spendable
    if share is not None and kind is not None:
        order = moment.page(f"order/{data.order}")
        redeemed = order.redeemed if isinstance(order, OrderPage) else 0
        values["settlement"] = -(-(redeemed + data.points) * kind.fen * share.denominator // share.numerator)
        most = min(most, int(share * data.settlement_fen) // kind.fen - redeemed)
    return most // use.multiple * use.multiple if use.exactly is None else use.exactly


def _offer(moment: Moment, fact: RedemptionRequested | HoldRequested, points: int, words: Words) -> str:
    """How many points would have been granted, if the engine says so of this very moment."""
    if points < 1 or points == fact.data.points:
        return ""
    smaller = replace(fact, data=replace(fact.data, points=points))
    if not moment.would_accept(smaller):
        return ""
    return words.say("could", smaller.data)
