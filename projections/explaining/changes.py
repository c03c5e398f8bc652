"""Each change of an entry: the rule and version it follows, the lots it touched, and a sentence with its figures.

The account is taken along change by change, so that a figure ("42 of 60 this month") is that of the very step.
"""

from typing import Any, assert_never

from ledger.core.benefits import quota_key
from ledger.core.evolve import evolve
from ledger.core.scores import value_of
from ledger.wire.entries import (
    BenefitUsed,
    Captured,
    Change,
    ClawedBack,
    Confirmed,
    CounterAdded,
    CreditSet,
    DebtIncurred,
    Earned,
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
    TermMoved,
    TermOpened,
    TierMoved,
    TrialConverted,
    Unfrozen,
    Withheld,
    WrittenOff,
)
from ledger.wire.entry_json import change_to_dict
from ledger.wire.times import month_of, month_text
from projections.explaining.awards import (
    explain_earned,
    explain_scored,
    explain_scored_once,
    explain_withheld,
)
from projections.explaining.context import Context, bucket_text, put
from projections.explaining.history import copy_account
from projections.explaining.lots import cause_text, expiry_text, lot_brief, lot_name, redemption_text
from projections.explaining.words import count, ordinal, yuan

_OfLots = Spent | Restored | Expired | ClawedBack | Repaid | Held | Captured | Released | Confirmed


def explain_changes(context: Context) -> list[dict[str, Any]]:
    """A dict a change, in the entry's order: the change's own fields and what explains them."""
    moment, words, version = context.moment, context.words, context.moment.version
    context.scratch = copy_account(moment.before)
    views = []
    for place, change in enumerate(moment.step.entry.changes):
        view = change_to_dict(change, version.offset)
        view["due"] = place < moment.due
        view |= {"version": version.name, "version_from": version.programme.from_.isoformat(), "rule_name": ""}
        rule = view.get("rule") or view.get("origin")
        if rule:
            view |= {"rule": rule, "rule_name": words.rule_name(rule), "rule_text": words.rule_text(rule)}
        view |= _details(context, change)
        evolve(context.scratch, change)
        views.append(view)
    return views


def _details(context: Context, change: Change) -> dict[str, Any]:
    words = context.words
    match change:
        case Earned():
            return explain_earned(context, change)
        case Scored():
            return explain_scored(context, change)
        case ScoredOnce():
            return explain_scored_once(context, change)
        case Withheld():
            return explain_withheld(context, change)
        case (
            Spent() | Restored() | Expired() | ClawedBack() | Repaid() | Held() | Captured() | Released() | Confirmed()
        ):
            return _of_lots(context, change)
        case DebtIncurred() | PaidInCash() | WrittenOff():
            return _shortfall(context, change)
        case TierMoved():
            return _tier_moved(context, change)
        case Resettled():
            first, last = month_text(change.first_month), month_text(change.last_month)
            months = first if first == last else f"{first} to {last}"
            return put("", f"the settled scores {words.beside(change.score)} of {months} moved; past decisions stand")
        case TermOpened() | TermMoved() | TermEnded() | TrialConverted():
            return {"rule_name": words.name(change.membership), **_term(context, change)}
        case BenefitUsed():
            return _benefit_used(context, change)
        case Rated():
            limits = [s.one_star_limit for s in context.moment.version.programme.scores.values() if s.one_star_limit]
            held = (
                f"; the score is held at {limits[0]:,} at most while it is one" if limits and change.stars == 1 else ""
            )
            return put("", f"reputation is {count(change.stars, 'star')} now{held}")
        case CreditSet():
            return put("", f"credit is {change.credit:,} now; the book gives no points for it")
        case CounterAdded():
            counted = f"{change.by:,} counted in {bucket_text(change.bucket)}"
            return put("", f"{counted} towards the limits of {words.rule(change.rule)}")
        case FirstSeen():
            what = f"day {change.mark} counts from now on" if change.bucket else f"{change.mark} is known from now on"
            return put("", f"{what} for {words.rule(change.rule)}")
        case HistoryPruned():
            late = context.moment.version.programme.late_days
            dropped = f"sums and counters before {month_text(change.month)} were dropped"
            return put("", f"{dropped}: facts come at most {late} days late, so nothing can change them any more")
        case Frozen():
            return put("", "the account is frozen: it goes on earning and takes no requests")
        case Unfrozen():
            return put("", "the account takes requests again")
        case _:
            assert_never(change)


# -- points that moved in lots ---------------------------------------------------------------------------------------


def _of_lots(context: Context, change: _OfLots) -> dict[str, Any]:
    """Points out of a lot, back into it, or set aside in it: `what` is the same for all lots that moved together."""
    history, words = context.history, context.words
    lot = lot_name(history, change.lot, words)
    sign, what, where = _movement(context, change)
    amount = words.signed(sign * change.points, change.kind) if sign else words.points(change.points, change.kind)
    end = f", which keeps its end, {words.time(change.expires_at)}" if isinstance(change, Restored) else ""
    return put(
        amount,
        f"{what}, {where} {lot}{end}",
        what=what,
        order=_burn_order(context, change),
        lots=[lot_brief(history, change.lot, words)],
    )


def _burn_order(context: Context, change: _OfLots) -> str:
    """In which order the lots of a burn were taken."""
    kind = context.moment.version.programme.kinds.get(change.kind)
    return f"{kind.burn} first" if kind and isinstance(change, Spent | Held | ClawedBack) else ""


def _movement(context: Context, change: _OfLots) -> tuple[int, str, str]:
    """The sign of a movement, what it was, and the word before its lot."""
    history, words, fact = context.history, context.words, context.moment.step.fact
    match change:
        case Spent():
            return -1, f"spent on {redemption_text(history, change.redemption, words)}", "from"
        case Restored():
            use = redemption_text(history, change.redemption, words)
            return 1, f"come back by {cause_text(fact)}, having been spent on {use}", "to"
        case Expired():
            return -1, _why_expired(context, change), "in"
        case ClawedBack():
            return -1, f"taken back by {cause_text(fact)}{_not_its_own(context, change)}", "from"
        case Repaid():
            debt = context.scratch.purse(change.kind).debt
            return -1, f"taken for debt ({debt:,} owed before, {debt - change.points:,} after)", "from"
        case Held():
            return -1, f"put on hold {change.hold} until {words.time(change.until_at)}", "in"
        case Captured():
            return 0, f"taken by hold {change.hold}", "from"
        case Released():
            end = f"ended by itself at {words.time(change.due_at)}" if change.due_at else "took no more of them"
            return 1, f"free again, as hold {change.hold} {end}", "in"
        case Confirmed():
            return 1, "frozen no more, as a card was bought", "in"
        case _:
            assert_never(change)


def _why_expired(context: Context, change: Expired) -> str:
    history, words = context.history, context.words
    text = f"expired at {words.time(change.due_at)}"
    story = history.lots.get(change.lot)
    if story is None:
        return text
    earned, number = story.earned, context.moment.step.entry.number
    was_freed = any(isinstance(event, Confirmed) for step, event in story.events if step.entry.number < number)
    if earned.pending_until and not was_freed:
        return f"{text}: they were frozen until a card was bought, and none was"
    expiry = expiry_text(history.version_of(story.origin.entry), earned.kind, earned.earned_at, earned.expires_at)
    if change.due_at > earned.expires_at:
        return f"{text}, at once: their end, {words.time(earned.expires_at)}, was past"
    return f"{text} ({expiry})"


def _not_its_own(context: Context, change: ClawedBack) -> str:
    """Why a claw-back took from a lot that is not the award's own."""
    story, data = context.history.lots.get(change.lot), context.moment.step.fact.data
    award = (change.origin, change.line, getattr(data, "order", "") or getattr(data, "review", ""))
    is_own = story is not None and (story.earned.rule, story.earned.line, story.earned.page) == award
    if not change.line or is_own:
        return ""
    return f", as the {context.words.rule(change.origin)} of line {change.line} were spent"


def _shortfall(context: Context, change: DebtIncurred | PaidInCash | WrittenOff) -> dict[str, Any]:
    words = context.words
    of = f" of line {change.line}" if change.line else ""
    why = f"a claim of the {words.rule(change.origin)}{of} that nothing spendable could meet"
    points = words.points(change.points, change.kind)
    match change:
        case DebtIncurred():
            return put(f"{points} owed", f"{why}; later earnings repay it")
        case PaidInCash():
            return put(f"{points} in cash", f"{why}; the refund is to be {yuan(change.fen)} less")
        case WrittenOff():
            return put(f"{points} given up", f"{why}; the book lets it go")
        case _:
            assert_never(change)


# -- score, membership -----------------------------------------------------------------------------------------------


def _tier_moved(context: Context, change: TierMoved) -> dict[str, Any]:
    words, version = context.words, context.moment.book.nearest(change.at)
    month = month_of(change.at, version.offset)
    amount = f"tier {change.after or 'none'}"
    how = f"{words.beside(change.score)} was in {f'tier {change.before}' if change.before else 'no tier'}"
    how += f" until {words.time(change.at)}"
    view: dict[str, Any] = {"rule": "tiers", "rule_name": words.name(change.score)}
    score = version.programme.scores.get(change.score)
    if score is None:
        return put(amount, how, **view)
    value = value_of(context.scratch, change.score, score, month)
    needs = {tier.name: tier.at_least for tier in score.tiers}
    first, last = month_text(month - score.window_months), month_text(month - 1)
    how += f"; the score of {month_text(month)} counts {first} to {last} and is {value:,}"
    name = change.after if change.after in needs else change.before
    how += f", and tier {name} needs {needs[name]:,}" if name in needs else ""
    view["inputs"] = {"month": month_text(month), "value": value, "at_least": needs.get(name, 0)}
    return put(amount, how, **view)


def _term(context: Context, change: TermOpened | TermMoved | TermEnded | TrialConverted) -> dict[str, Any]:
    words, entry = context.words, context.moment.step.entry
    name = words.membership(change.membership)
    match change:
        case TermOpened():
            product = context.moment.version.products.get(change.product)
            days = f", {count(product[1].days, 'day')}" if product else ""
            how = f"card {change.card} ({change.product}{days}), {_interval(context, change)}"
            how += ", beginning where the last term ends" if change.from_at > entry.occurred else ""
            how += "; a trial: its beans stay frozen until a card is bought" if change.trial else ""
            return put(name, how, rule=change.product)
        case TermMoved():
            until = words.time(change.until_at)
            match change.why:
                case "taken-out":
                    how = f"the term of card {change.card} is gone: it was refunded before it began"
                case "refunded":
                    how = f"the term of card {change.card} ends at {until}, as it was refunded"
                case "bought":
                    how = f"the trial {change.card} ends at {until}, as a card was bought"
                case _:
                    how = f"the term of card {change.card} moved up, {_interval(context, change)}"
            if change.pending_until:
                how += f"; frozen points wait for a card until {words.time(change.pending_until)}"
            return put(name, how)
        case TermEnded():
            return put(name, f"the term of card {change.card} ended at {words.time(change.at)}")
        case TrialConverted():
            return put(name, f"a card was bought after the trial {change.card}: its beans are frozen no more")
        case _:
            assert_never(change)


def _interval(context: Context, change: TermOpened | TermMoved) -> str:
    return f"from {context.words.time(change.from_at)} to {context.words.time(change.until_at)}"


def _benefit_used(context: Context, change: BenefitUsed) -> dict[str, Any]:
    found = context.moment.version.benefits.get(change.benefit)
    terms = context.scratch.terms.get(change.membership, ())
    term = next((term for term in terms if term.card == change.card), None)
    if found is None or term is None:
        return put(change.benefit, f"by card {change.card}")
    benefit = found[1]
    used = term.used.get(quota_key(change.benefit, change.bucket), 0) + 1
    quota = benefit.quota.get(term.product) if benefit.quota is not None else None
    limit = f" of {quota:,} a {benefit.per}" if quota is not None else f" this {benefit.per}, without a limit"
    cap = {
        "per": benefit.per,
        "of": change.card,
        "points": quota,
        "before": used - 1,
        "after": used,
        "took": 0,
    }
    how = f"the {ordinal(used)}{limit}, by card {change.card} ({term.product})"
    return put(f"{change.benefit} {benefit.name}", how, rule=change.benefit, rule_name=benefit.name, caps=[cap])
