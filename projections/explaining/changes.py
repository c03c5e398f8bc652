"""Each change of an entry: the rule and version it follows, the lots it touched, and a sentence with its figures.

The account is taken along change by change, so that a figure ("42 of 60 this month") is that of the very step.
"""

from collections.abc import Callable
from typing import Any, Final

from ledger.core.account import copy_account
from ledger.core.benefits import quota_key
from ledger.core.evolve import evolve
from ledger.core.perks import offer_of
from ledger.core.scores import value_at
from ledger.rulebook.compiled import ASKED, CLAIM, OPENS
from ledger.rulebook.rankings import MONTHS, period_at, window_of
from ledger.wire import entries
from ledger.wire.entry_json import change_to_dict
from ledger.wire.facts import PoolAnswered
from ledger.wire.times import month_of, month_text
from projections.answers.benefits import draft_at
from projections.explaining.awards import explain_earned, explain_scored, explain_scored_once, explain_withheld
from projections.explaining.context import Context, put, term_of
from projections.explaining.facts import cause_text, name_of, redemption_text
from projections.explaining.lots import expiry_text, lot_brief, lot_name
from projections.explaining.movements import IN_LOTS, MOVEMENTS, TAGS

View = dict[str, Any]

# Changes, by tag, that move nothing a person would ask about; what was withheld stands under what gave nothing.
BOOKKEEPING: Final = frozenset(("counted", "marked", "forgot", "withheld", "resettled"))


def explain_changes(context: Context) -> list[View]:
    """A dict a change, in the entry's order: the change's own fields and what explains them."""
    moment, words, version = context.moment, context.words, context.moment.version
    context.scratch = copy_account(moment.before)
    context.withheld = (skip for skip in moment.skips if "would" in skip.figures)  # one for each `Withheld`
    views = []
    for place, change in enumerate(moment.step.entry.changes):
        view = change_to_dict(change, version.offset)
        view["due"] = place < moment.due
        view |= {"version": version.name, "version_from": version.programme.from_.isoformat(), "rule_name": ""}
        rule = view.get("rule") or view.get("origin")
        if rule:
            view |= words.about_rule(rule)
        explain: Callable[..., View] = EXPLAINERS.get(type(change), _plain)
        view |= explain(context, change)
        evolve(context.scratch, change)
        views.append(view)
    return views


def _plain(context: Context, change: entries.Change, **values: Any) -> View:
    """A change that is all said by its own phrases: ``amount.<change>``, where it has one, and ``change.<change>``."""
    say, code, programme = context.words.say, TAGS[type(change)], context.moment.version.programme
    return put(context.words, say(f"amount.{code}", change), say(f"change.{code}", change, programme, **values))


# -- points that moved in lots ---------------------------------------------------------------------------------------


def _in_lots(context: Context, change: Any) -> View:
    """Points out of a lot, back into it, or set aside in it: `what` is the same for all lots that moved together."""
    history, words, fact, code = context.history, context.words, context.moment.step.decided, TAGS[type(change)]
    debt = context.scratch.purse(change.kind).debt
    values: View = {"use": "", "cause": cause_text(fact, words), "debt": debt, "after": debt - change.points}
    if hasattr(change, "redemption"):
        values["use"] = redemption_text(history, change.redemption, words)
    if isinstance(change, entries.Expired):
        what = _why_expired(context, change)
    else:
        values["others"] = _spent_award(context, change) if isinstance(change, entries.ClawedBack) else ""
        what = words.say(f"what.{code}.{name_of(fact)}", change, **values)
    sign = MOVEMENTS[type(change)].in_sums
    amount = words.points(change.points, change.kind)
    if not isinstance(change, entries.Captured):
        amount = words.signed(sign * change.points, change.kind)
    kind = context.moment.version.programme.kinds.get(change.kind)
    is_burn = kind is not None and isinstance(change, entries.Spent | entries.Held | entries.ClawedBack)
    return put(
        context.words,
        amount,
        words.say(f"change.{code}", change, what=what, lot=lot_name(history, change.lot, words)),
        what=what,
        order=words.say("burn", kind) if is_burn else "",
        lots=[lot_brief(history, change.lot, words)],
    )


def _received(context: Context, change: entries.Received | entries.MovedIn) -> View:
    """Points that another member gave, or had, which are a lot of their own."""
    amount = context.words.signed(change.points, change.kind)
    how = context.words.say(f"change.{TAGS[type(change)]}", change)
    return put(context.words, amount, how, lots=[lot_brief(context.history, change.lot, context.words)])


def _why_expired(context: Context, change: entries.Expired) -> str:
    history, words = context.history, context.words
    story = history.lots.get(change.lot)
    if story is None:
        return words.say("what.expired", change)
    earned, number = story.earned, context.moment.step.entry.number
    was_freed = any(isinstance(event, entries.Confirmed) for step, event in story.events if step.entry.number < number)
    if isinstance(context.moment.step.decided, PoolAnswered) and not was_freed:
        return words.say("what.expired.lapsed", change)
    if earned.pending_until and not was_freed:
        return words.say("what.expired.pending", change)
    if change.due_at > earned.expires_at:
        return words.say("what.expired.past", change, end=earned.expires_at)
    expiry = expiry_text(history.version_of(story.origin.entry), earned, words)
    return words.say("what.expired.due", change, expiry=expiry)


def _spent_award(context: Context, change: entries.ClawedBack) -> str:
    """The rule whose points were spent where a claw-back took from a lot that is not the award's own, else ""."""
    story, data = context.history.lots.get(change.lot), context.moment.step.decided.data
    award = (change.origin, change.line, getattr(data, "order", "") or getattr(data, "review", ""))
    is_own = story is not None and (story.earned.rule, story.earned.line, story.earned.page) == award
    return "" if is_own or not change.line else context.words.rule(change.origin)


# -- score, membership -----------------------------------------------------------------------------------------------


def _tier_moved(context: Context, change: entries.TierMoved) -> View:
    words, version = context.words, context.moment.book.nearest(change.at)
    values: View = {}
    inputs: View = {}
    ranking = version.rankings.get(change.score)
    if ranking is not None:
        value = value_at(context.scratch, version, change.score, change.at)
        needs = {tier.name: tier.at_least for tier in ranking.tiers}
        tier = change.after if change.after in needs else change.before
        values = {
            "value": value,
            "alone": ranking.window != MONTHS,
            "tier": tier if tier in needs else "",
            "needs": needs.get(tier, 0),
        }
        if ranking.window == MONTHS:
            month = period_at(ranking, change.at, version.offset)
            first, last = window_of(ranking, month)
            values |= {"month": month, "first": first, "last": last}
        inputs = {"inputs": {"month": month_text(month_of(change.at, version.offset)), "value": value}}
        inputs["inputs"]["at_least"] = needs.get(tier, 0)
    return {**_plain(context, change, **values), "rule": "tiers", "rule_name": words.name(change.score), **inputs}


def _tier_changed(context: Context, change: entries.TierChange, **values: Any) -> View:
    withdrawn = getattr(change, "why", "") == "withdrawn"
    view = _plain(context, change, withdrawn=withdrawn, **values)
    return {**view, "rule": "tiers", "rule_name": context.words.name(change.score)}


def _tier_hold_ended(context: Context, change: entries.TierHoldEnded) -> View:
    return _tier_changed(context, change, reason=context.words.say(f"hold-ended.{change.why}"))


def _resettled(context: Context, change: entries.Resettled) -> View:
    return _plain(context, change, last=change.last_month if change.last_month != change.first_month else 0)


def _term(context: Context, change: Any, **values: Any) -> View:
    return {"rule_name": context.words.name(change.membership), **_plain(context, change, **values)}


def _term_opened(context: Context, change: entries.TermOpened) -> View:
    found = context.moment.version.products.get(change.product)
    days, months = (found[1].days, found[1].calendar_months) if found else (0, 0)
    waits = change.from_at > context.moment.step.entry.occurred
    return _term(context, change, days=days, months=months, waits=waits) | {"rule": change.product}


def _term_moved(context: Context, change: entries.TermMoved) -> View:
    return _term(context, change, what=context.words.say(f"what.term-moved.{change.why}", change))


def _benefit_used(context: Context, change: entries.BenefitUsed) -> View:
    words, moment = context.words, context.moment
    perk = moment.version.perks.get(change.benefit)
    term = term_of(context.scratch, change.membership, change.card)
    if perk is None or term is None:
        return put(context.words, change.benefit, words.say("change.benefit-used.unknown", change))
    name = words.benefit_name(change.benefit)
    called = words.say("benefit", change, name=name)
    used = term.used.get(quota_key(change.benefit, change.bucket), 0) + 1
    if perk.counted != "term":
        return put(context.words, called, words.say("change.benefit-used.unknown", change), rule=change.benefit)
    quota = offer_of(draft_at(moment.at, moment.book, moment.step.entry.occurred), perk, term.product).quota
    per = words.say(f"per.{perk.per}", days=perk.days)
    limit = words.say("quota" if quota is None else "quota.limit", per=per, quota=quota)
    cap = {"per": perk.per, "of": change.card, "points": quota, "before": used - 1, "after": used, "took": 0}
    how = words.say("change.benefit-used", change, term, used=used, limit=limit)
    return put(context.words, called, how, rule=change.benefit, rule_name=name, caps=[cap])


def _of_benefit(context: Context, change: Any) -> View:
    """A benefit that no card counts, or a line's right to one."""
    name = context.words.benefit_name(change.benefit)
    return {**_plain(context, change, name=name), "rule": change.benefit, "rule_name": name}


def _rated(context: Context, change: entries.Rated) -> View:
    return _plain(context, change, limit=_limit(context, "stars", change.stars))


def _attribute_told(context: Context, change: entries.AttributeTold) -> View:
    limit = _limit(context, change.attribute, change.value)
    return _plain(context, change, told=change.value != "", limit=limit)


def _limit(context: Context, attribute: str, value: str | int) -> int:
    """The most that a score is while an attribute has this value, 0 where nothing limits it."""
    limits = [limit for score in context.moment.version.programme.scores.values() for limit in score.limits]
    return next((most for name, held, most in limits if (name, held) == (attribute, value)), 0)


def _waiting(context: Context, change: entries.Waiting) -> View:
    waits = change.waits
    return _plain(context, change, claims=waits == CLAIM, asked=waits == ASKED, itself=waits == OPENS) | {"lots": []}


def _leased(context: Context, change: entries.Leased) -> View:
    return _plain(context, change, gives=change.n > 0, back=-change.n)


def _seat_moved(context: Context, change: entries.SeatMoved) -> View:
    return _plain(context, change, held=change.from_at < change.until_at)


# How a class is explained, where it takes more than its own phrases.
EXPLAINERS: Final[dict[type[entries.Change], Callable[..., View]]] = {
    entries.Earned: explain_earned,
    entries.Scored: explain_scored,
    entries.ScoredOnce: explain_scored_once,
    entries.Withheld: explain_withheld,
    **dict.fromkeys(IN_LOTS, _in_lots),
    entries.Received: _received,
    entries.MovedIn: _received,
    entries.TierMoved: _tier_moved,
    entries.TierHeld: _tier_changed,
    entries.TierHoldEnded: _tier_hold_ended,
    entries.TierGranted: _tier_changed,
    entries.TierGrantEnded: _tier_changed,
    entries.Resettled: _resettled,
    entries.TermOpened: _term_opened,
    entries.TermAnchored: _term,
    entries.TermMoved: _term_moved,
    entries.TermEnded: _term,
    entries.TrialConverted: _term,
    entries.TrialReverted: _term,
    entries.BenefitUsed: _benefit_used,
    entries.BenefitCounted: _of_benefit,
    entries.BenefitGivenBack: _of_benefit,
    entries.RightGiven: _of_benefit,
    entries.RightEnded: _of_benefit,
    entries.Rated: _rated,
    entries.Waiting: _waiting,
    entries.Leased: _leased,
    entries.SeatMoved: _seat_moved,
    entries.AttributeTold: _attribute_told,
}
