"""Each change of an entry: the rule and version it follows, what went in, the caps and rates that applied, a sentence.

The account is taken along change by change, so that a figure ("42 of 60 this month") is that of the very step.
"""

from dataclasses import dataclass, field
from typing import Any, assert_never

import msgspec

from ledger.account import Account, evolve, quota_key
from ledger.cards import bucket_of
from ledger.entries import (
    BenefitUsed,
    Captured,
    Change,
    ClawedBack,
    Confirmed,
    Counted,
    CreditSet,
    Earned,
    Expired,
    Forgot,
    Frozen,
    Held,
    Indebted,
    Marked,
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
    change_to_dict,
)
from ledger.facts import (
    CampaignGranted,
    Line,
    LotOpened,
    Order,
    OrderCompleted,
    PointsAdjusted,
    Review,
    ReviewPosted,
)
from ledger.pages import DayPage, OrderPage, PageLine
from ledger.rules import Rule
from ledger.scores import value_of
from ledger.times import month_of, month_text
from projections.explaining.history import History, Moment, Present, copy_account
from projections.explaining.lots import (
    cause_text,
    expiry_text,
    explain_lot_story,
    lot_brief,
    lot_name,
    redemption_text,
)
from projections.explaining.words import Words, amount_text, count, ordinal, span, yuan


@dataclass(slots=True)
class Context:
    """All that a sentence about one entry may need."""

    history: History
    moment: Moment
    present: Present
    words: Words
    scratch: Account = field(default_factory=Account)  # as the changes so far have left it


def explain_changes(context: Context) -> list[dict[str, Any]]:
    """A dict a change, in the entry's order: the change's own fields and what explains them."""
    moment, version = context.moment, context.moment.version
    entry = moment.step.entry
    context.scratch = copy_account(moment.before)
    views = []
    for place, change in enumerate(entry.changes):
        view = change_to_dict(change, version.offset)
        view["due"] = place < moment.due
        view |= {"version": version.name, "version_from": version.programme.from_.isoformat()}
        if "rule" in view or "origin" in view:
            rule = view.get("rule") or view["origin"]
            view |= {
                "rule": rule,
                "rule_name": context.words.rule_name(rule),
                "rule_text": context.words.rule_text(rule),
            }
        view |= _details(context, change)
        evolve(context.scratch, change)
        views.append(view)
    return views


def is_bookkeeping(change: Change) -> bool:
    """Whether a change only counts for later decisions."""
    return isinstance(change, (Counted, Marked, Forgot))


def line_of(moment: Moment, name: str) -> Line | PageLine | None:
    """The order line that an award is about: of the completed order, or of the reviewed one."""
    fact = moment.step.fact
    if isinstance(fact, OrderCompleted):
        return next((line for line in fact.data.lines if line.line == name), None)
    if isinstance(fact, ReviewPosted):
        page = moment.pages.get(f"order/{fact.data.order}")
        return page.line(fact.data.line) if isinstance(page, OrderPage) else None
    return None


def inputs_of(moment: Moment, line: Line | PageLine | None) -> dict[str, Any]:
    """What a rule counted by: the line, and what the fact says beside its lines."""
    data = moment.step.fact.data
    inputs: dict[str, Any] = msgspec.to_builtins(data)
    inputs.pop("lines", None)
    if line is not None:
        inputs |= {
            "line": line.line,
            "category": line.category,
            "quantity": line.quantity,
            "paid_fen": line.paid_fen,
        }
        if isinstance(line, Line) and line.sku:
            inputs["sku"] = line.sku
    return inputs


def _details(context: Context, change: Change) -> dict[str, Any]:
    words, history, moment = context.words, context.history, context.moment
    match change:
        case Earned():
            return _earned(context, change)
        case Scored():
            return _scored(context, change)
        case ScoredOnce():
            rule = moment.version.rules.get(change.rule)
            text = f"{_plus(words, change.points, change.score)}, once for ever; it does not age"
            return {
                "inputs": inputs_of(moment, None),
                "caps": _once_cap(rule),
                "multipliers": [],
                "text": f"{text}.",
            }
        case Withheld():
            return {**_withheld(context, change)}
        case Spent():
            use = redemption_text(history, change.redemption, words)
            text = f"{words.points(change.points, change.kind)} spent on {use} from {lot_name(history, change.lot, words)}"
            return {"lots": [lot_brief(history, change.lot, words)], "text": f"{text}."}
        case Restored():
            text = f"{words.points(change.points, change.kind)} came back to {lot_name(history, change.lot, words)}"
            use = redemption_text(history, change.redemption, words)
            text += f", from which they were spent on {use}; they keep their own end, {words.time(change.expires_at)}"
            return {"lots": [lot_brief(history, change.lot, words)], "text": f"{text}."}
        case Expired():
            return _expired(context, change)
        case ClawedBack():
            return _clawed_back(context, change)
        case Repaid():
            lot = lot_name(history, change.lot, words)
            debt = context.scratch.purse(change.kind).debt
            text = f"{words.points(change.points, change.kind)} of {lot} repaid debt: {debt:,} were owed"
            return {
                "lots": [lot_brief(history, change.lot, words)],
                "text": f"{text}, {debt - change.points:,} still are.",
            }
        case Indebted():
            text = (
                f"{words.points(change.points, change.kind)} could not be taken: nothing spendable was left"
            )
            return {"text": f"{text}{_for(words, change)}; they are owed, and later earnings repay them."}
        case PaidInCash():
            text = f"{words.points(change.points, change.kind)} could not be taken{_for(words, change)}"
            return {
                "text": f"{text}: nothing spendable was left, so the refund is to be {yuan(change.fen)} less."
            }
        case WrittenOff():
            text = f"{words.points(change.points, change.kind)} could not be taken{_for(words, change)}"
            return {"text": f"{text}: nothing spendable was left, and the book gives them up."}
        case Held():
            lot = lot_name(history, change.lot, words)
            text = f"{words.points(change.points, change.kind)} of {lot} put on hold {change.hold}"
            return {
                "lots": [lot_brief(history, change.lot, words)],
                "text": f"{text} until {words.time(change.until_at)}; they cannot be spent meanwhile.",
            }
        case Captured():
            lot = lot_name(history, change.lot, words)
            text = f"{words.points(change.points, change.kind)} of {lot} taken by hold {change.hold}"
            return {"lots": [lot_brief(history, change.lot, words)], "text": f"{text}."}
        case Released():
            lot = lot_name(history, change.lot, words)
            text = f"{words.points(change.points, change.kind)} of {lot} free again: hold {change.hold}"
            end = (
                f"ended by itself at {words.time(change.due_at)}" if change.due_at else "took no more of them"
            )
            return {"lots": [lot_brief(history, change.lot, words)], "text": f"{text} {end}."}
        case Confirmed():
            lot = lot_name(history, change.lot, words)
            text = (
                f"{words.points(change.points, change.kind)} of {lot} became spendable, as a card was bought"
            )
            return {"lots": [lot_brief(history, change.lot, words)], "text": f"{text}."}
        case Rated():
            limits = [s.one_star_limit for s in moment.version.programme.scores.values() if s.one_star_limit]
            held = (
                f"; the score is held at {limits[0]:,} at most while it is one"
                if limits and change.stars == 1
                else ""
            )
            return {"text": f"Reputation is {count(change.stars, 'star')} now{held}."}
        case CreditSet():
            return {"text": f"Credit is {change.credit:,} now; the book gives no points for it."}
        case Resettled():
            months = month_text(change.first_month), month_text(change.last_month)
            which = months[0] if months[0] == months[1] else f"{months[0]} to {months[1]}"
            return {
                "text": f"Settled scores moved: {words.beside(change.score)} of {which}. Past decisions stand."
            }
        case TierMoved():
            return _tier_moved(context, change)
        case Counted():
            text = f"{change.by:,} counted towards the limits of {words.rule(change.rule)} in {_bucket(change.bucket)}"
            return {"text": f"{text}."}
        case Marked():
            what = (
                f"{change.mark} is known from now on"
                if not change.bucket
                else f"{change.mark} counts in its month"
            )
            return {"text": f"For {words.rule(change.rule)}: {what}."}
        case Forgot():
            late = moment.version.programme.late_days
            text = f"Sums and counters before {month_text(change.month)} were dropped"
            return {
                "text": f"{text}: facts are taken up to {late} days late, so none can change them any more."
            }
        case TermOpened():
            return {
                "rule": change.product,
                "rule_name": words.name(change.membership),
                "text": _term_opened(context, change),
            }
        case TermMoved():
            return {"rule_name": words.name(change.membership), "text": _term_moved(context, change)}
        case TermEnded():
            text = f"The {words.membership(change.membership)} term of card {change.card} ended at {words.time(change.at)}"
            return {"rule_name": words.name(change.membership), "text": f"{text}."}
        case TrialConverted():
            text = f"A card was bought after the trial {change.card}: the beans it earned are frozen no more"
            return {"rule_name": words.name(change.membership), "text": f"{text}."}
        case BenefitUsed():
            return _benefit_used(context, change)
        case Frozen():
            return {"text": "The account is frozen: it goes on earning and takes no requests."}
        case Unfrozen():
            return {"text": "The account takes requests again."}
        case _:
            assert_never(change)


# -- what came in ----------------------------------------------------------------------------------------------------


def _earned(context: Context, change: Earned) -> dict[str, Any]:
    moment, words = context.moment, context.words
    rule = moment.version.rules.get(change.rule)
    line = line_of(moment, change.line)
    caps = _caps(context, rule, change) if rule else []
    multipliers = _multipliers(context, rule, change, line) if rule else []
    parts = [f"{words.points(change.points, change.kind)}: {_counting(moment, rule, change, line)}"]
    parts += [item["text"] for item in (*multipliers, *caps) if item.get("text")]
    expiry = expiry_text(moment.version, change.kind, change.earned_at, change.expires_at)
    parts.append(f"Lot {_lot(change.lot)}, good until {words.time(change.expires_at)} ({expiry})")
    if change.pending_until:
        parts.append(
            f"Frozen until a card is bought, and gone at {words.time(change.pending_until)} if none is"
        )
    return {
        "inputs": inputs_of(moment, line),
        "caps": caps,
        "multipliers": multipliers,
        "lots": [explain_lot_story(context.history, change.lot, context.present, words)],
        "text": ". ".join(parts) + ".",
    }


def _counting(
    moment: Moment, rule: Rule | None, change: Earned | Scored, line: Line | PageLine | None
) -> str:
    """How many came of what."""
    fact = moment.step.fact
    if rule is None:
        match fact:
            case CampaignGranted():
                return f"granted by campaign {fact.data.campaign} (grant {fact.data.grant})"
            case PointsAdjusted():
                data = fact.data
                return f"added by {data.by}, approved by {data.approved_by}, reason {data.reason}"
            case LotOpened():
                return f"carried over from an older system (lot {fact.data.lot})"
        return f"by {change.rule}"
    if line is None:
        return f"{rule.award.name}, {change.uncapped:,} each time"
    category = f" ({line.category})" if line.category else ""
    how = amount_text(rule, change.base, line.category)
    return f"line {line.line}{category}, {how}"


def _scored(context: Context, change: Scored) -> dict[str, Any]:
    moment, words = context.moment, context.words
    rule = moment.version.rules.get(change.rule)
    score = moment.version.programme.scores.get(change.score)
    part = f", part {change.part}" + (
        f" {score.parts[change.part]}" if score and change.part in score.parts else ""
    )
    month = month_text(change.month)
    if change.points < 0:
        text = f"{_plus(words, change.points, change.score)} in {month}{part}: taken back by {cause_text(moment.step.fact)}"
        return {
            "inputs": inputs_of(moment, line_of(moment, change.line)),
            "caps": [],
            "multipliers": [],
            "text": f"{text}.",
        }
    line = line_of(moment, change.line)
    caps = _caps(context, rule, change) if rule else []
    parts = [f"{_plus(words, change.points, change.score)}{part}: {_counting(moment, rule, change, line)}"]
    if rule is not None and rule.award.first and line is not None:
        parts[0] += f"; {line.category} was never bought before"
    if rule is not None and rule.award.days_in_month:
        parts[0] += f"; this is the {ordinal(rule.award.days_in_month)} different day of {month}"
    parts += [cap["text"] for cap in caps if cap.get("text")]
    if score is not None:
        first, last = month_text(change.month + 1), month_text(change.month + score.window_months)
        parts.append(f"It belongs to {month} and counts in the scores of {first} to {last}")
    return {
        "inputs": inputs_of(moment, line),
        "caps": caps,
        "multipliers": [],
        "text": ". ".join(parts) + ".",
    }


def _caps(context: Context, rule: Rule, change: Earned | Scored) -> list[dict[str, Any]]:
    """The caps that stood over an award: how full each was before and after, and whether it took something."""
    moment, version = context.moment, context.moment.version
    caps: list[dict[str, Any]] = []
    if rule.line_cap:
        caps.append(_cap("line", rule.line_cap, 0, change.points, change.uncapped, change.line))
    if rule.day_cap:
        day = next((key for key in moment.pages if key.startswith(f"day/{rule.name}/")), "")
        page = moment.pages.get(day)
        before = page.given if isinstance(page, DayPage) else 0
        caps.append(_cap("day", rule.day_cap, before, change.points, change.uncapped))
    month = version.month(moment.step.entry.occurred)
    for per, most, bucket in (("month", rule.month_cap, month), ("year", rule.year_cap, month // 12)):
        if most:  # the counter is written down before the award
            after = context.scratch.counts.get(bucket, {}).get(rule.name, 0)
            caps.append(
                _cap(per, most, after - change.points, change.points, change.uncapped, _bucket(bucket))
            )
    if isinstance(change, Earned) and change.card:
        term = next((t for ts in context.scratch.terms.values() for t in ts if t.card == change.card), None)
        product = version.products.get(term.product) if term else None
        if term is not None and product is not None and product[1].cap is not None:
            cap = _cap("term", product[1].cap, term.capped, change.points, change.uncapped, term.card)
            cap["text"] = (
                f"Card {term.card} ({term.product}) has given {cap['after']:,} of at most {cap['points']:,} now"
            )
            caps.append(cap)
    return caps


def _cap(per: str, most: int, before: int, given: int, uncapped: int, of: str = "") -> dict[str, Any]:
    after = before + given
    took = uncapped - given if after >= most and uncapped > given else 0
    cap = {"per": per, "points": most, "before": before, "after": after, "took": took}
    if of:
        cap["of"] = of
    if took:
        cap["text"] = f"The cap of {most:,} a {per} took {took:,} of {uncapped:,}"
    elif per != "line":
        in_ = f" in {of}" if of else ""
        cap["text"] = f"{after:,} of at most {most:,} a {per}{in_}"
    return cap


def _once_cap(rule: Rule | None) -> list[dict[str, Any]]:
    return (
        [{"per": "member", "points": rule.amount(0, ""), "before": 0, "after": rule.amount(0, ""), "took": 0}]
        if rule
        else []
    )


def _multipliers(
    context: Context, rule: Rule, change: Earned, line: Line | PageLine | None
) -> list[dict[str, Any]]:
    """Rates that stood in for the ordinary ones: a membership's, a category's."""
    moment, words = context.moment, context.words
    multipliers: list[dict[str, Any]] = []
    award = rule.award
    if line is not None and line.category in award.rates:
        rate = award.rates[line.category] / 100
        multipliers.append({"category": line.category, "rate_percent": rate})
    if award.member is None:
        return multipliers
    item: dict[str, Any] = {
        "membership": award.member,
        "name": words.membership(award.member),
        "card": change.card,
    }
    term = next((t for t in moment.at.terms.get(award.member, ()) if t.card == change.card), None)
    if term is not None:
        item["product"] = term.product
    name = words.membership(award.member)
    item["text"] = (
        f"The {name} rate, as card {change.card}" + (f" ({term.product})" if term else "") + " was active"
    )
    ordinary = moment.version.rules.get(award.instead_of or "")
    fact = moment.step.fact
    if ordinary is not None and isinstance(line, Line) and isinstance(fact, OrderCompleted):
        points = ordinary_points(ordinary, line, fact.data)
        item |= {"instead_of": ordinary.name, "ordinary_points": points}
        item["text"] += f"; {words.rule(ordinary.name)} would have given {points:,}"
    multipliers.append(item)
    return multipliers


def ordinary_points(rule: Rule, line: Line, order: Order) -> int:
    """What a rule that was replaced would have given for a line."""
    if rule.test is not None and not rule.test(line, order):
        return 0
    points = rule.amount(line.paid_fen, line.category)
    return min(points, rule.line_cap) if rule.line_cap else points


# -- what did not come -----------------------------------------------------------------------------------------------


def _withheld(context: Context, change: Withheld) -> dict[str, Any]:
    """A rule that applied and gave nothing, or less."""
    moment, words, version = context.moment, context.words, context.moment.version
    entry, rule = moment.step.entry, moment.version.rules.get(change.rule)
    line = line_of(moment, change.line)
    view: dict[str, Any] = {"inputs": inputs_of(moment, line), "caps": [], "multipliers": []}
    if rule is None:
        return {**view, "text": f"{change.why}."}
    match change.why:
        case "card-cap-full":
            term = next(
                (
                    t
                    for t in context.scratch.terms.get(rule.award.member or "", ())
                    if t.start <= entry.occurred < t.until
                ),
                None,
            )
            cap = version.products[term.product][1].cap if term and term.product in version.products else None
            if term is None or cap is None:
                return {**view, "text": "the card's cap is full"}
            view["caps"] = [
                {"per": "term", "points": cap, "before": term.capped, "after": term.capped, "of": term.card}
            ]
            text = f"card {term.card} ({term.product}) has given {term.capped:,} of at most {cap:,}, so {change.would:,} more do not fit"
            return {**view, "text": f"{text}; the ordinary rule holds"}
        case "cap-full":
            full = _full_cap(context, rule)
            view["caps"] = [full]
            free = full["points"] - full["before"]
            given = (
                f"only {free:,} of the {full['points']:,} a {full['per']} were free"
                if free > 0
                else (f"all {full['points']:,} a {full['per']} were given before")
            )
            of = f" ({full['of']})" if full.get("of") else ""
            return {**view, "text": f"{given}{of}, so {change.would:,} did not come"}
        case "line-returned":
            return {**view, "text": f"every piece of line {change.line} has been returned"}
        case "already-today":
            earlier = _same_day(context, rule)
            where = f": entry {earlier}" if earlier else ""
            mark = getattr(moment.step.fact.data, rule.award.each_day or "", "")
            return {**view, "text": f"{mark} was counted on this day already{where}; once a day for each"}
        case "once":
            where = next(
                (
                    f": entry {s.entry.number}"
                    for s in context.history.earlier(entry.number)
                    if _gave(s.entry.changes, rule)
                ),
                "",
            )
            return {**view, "text": f"it was given before{where}, and is given once"}
        case "too-long-after-completion":
            fact = moment.step.fact
            page = moment.pages.get(f"order/{fact.data.order}") if isinstance(fact.data, Review) else None
            since = page.ended_at if isinstance(page, OrderPage) else 0
            text = (
                f"posted {span(entry.occurred - since)} after the order was completed ({words.time(since)})"
            )
            return {**view, "text": f"{text}; the rule takes {rule.award.within_days} days"}
    return {**view, "text": change.why}


def _full_cap(context: Context, rule: Rule) -> dict[str, Any]:
    """The cap with the least room left."""
    moment = context.moment
    month = moment.version.month(moment.step.entry.occurred)
    found: list[tuple[int, dict[str, Any]]] = []
    if rule.day_cap:
        key = next((key for key in moment.pages if key.startswith(f"day/{rule.name}/")), "")
        page = moment.pages.get(key)
        given = page.given if isinstance(page, DayPage) else 0
        found.append((rule.day_cap - given, {"per": "day", "points": rule.day_cap, "before": given}))
    for per, most, bucket in (("month", rule.month_cap, month), ("year", rule.year_cap, month // 12)):
        if most:
            given = context.scratch.counts.get(bucket, {}).get(rule.name, 0)
            found.append((most - given, {"per": per, "points": most, "before": given, "of": _bucket(bucket)}))
    return min(found, key=lambda item: item[0])[1] if found else {"per": "", "points": 0, "before": 0}


def _same_day(context: Context, rule: Rule) -> int:
    """The entry that gave this rule's award for the same thing before."""
    entry, fact = context.moment.step.entry, context.moment.step.fact
    mark = getattr(fact.data, rule.award.each_day or "", None)
    day = (entry.occurred + context.history.offset) // 86_400_000_000
    for step in context.history.earlier(entry.number):
        same = (step.entry.occurred + context.history.offset) // 86_400_000_000 == day
        alike = (
            type(step.fact) is type(fact) and getattr(step.fact.data, rule.award.each_day or "", None) == mark
        )
        if same and alike and _gave(step.entry.changes, rule):
            return step.entry.number
    return 0


def _gave(changes: list[Change], rule: Rule) -> bool:
    return any(isinstance(c, (Earned, Scored, ScoredOnce)) and c.rule == rule.name for c in changes)


# -- what went out, and time -----------------------------------------------------------------------------------------


def _expired(context: Context, change: Expired) -> dict[str, Any]:
    history, words = context.history, context.words
    story = history.lots.get(change.lot)
    lot = lot_name(history, change.lot, words)
    text = f"{words.points(change.points, change.kind)} of {lot} expired at {words.time(change.due_at)}"
    if story is not None:
        earned = story.earned
        if earned.pending_until and earned.pending_until == change.due_at:
            text += ": they were frozen until a card was bought, and none was"
        else:
            version = history.version_of(story.origin.entry)
            why = expiry_text(version, earned.kind, earned.earned_at, earned.expires_at)
            text += f": earned {words.time(earned.earned_at)}, good until {why}"
            if change.due_at > earned.expires_at:
                text += f" ({words.time(earned.expires_at)}), which was past when they came back"
    return {
        "rule": "expiry",
        "rule_name": "",
        "lots": [lot_brief(history, change.lot, words)],
        "text": f"{text}.",
    }


def _clawed_back(context: Context, change: ClawedBack) -> dict[str, Any]:
    history, words = context.history, context.words
    cause = cause_text(context.moment.step.fact)
    lot = lot_name(history, change.lot, words)
    story = history.lots.get(change.lot)
    text = f"{words.points(change.points, change.kind)} taken back by {cause} from {lot}"
    own = story is not None and story.earned.rule == change.origin and story.earned.line == change.line
    if change.line and own:
        text += ", the award's own lot"
    elif change.line:
        text += f", as what {words.rule(change.origin)} gave for line {change.line} was spent"
    return {"lots": [lot_brief(history, change.lot, words)], "text": f"{text}."}


def _tier_moved(context: Context, change: TierMoved) -> dict[str, Any]:
    words, version = context.words, context.moment.book.nearest(change.at)
    month = month_of(change.at, version.offset)
    score = version.programme.scores.get(change.score)
    text = f"Tier of {words.beside(change.score)}: {change.before or 'none'} to {change.after or 'none'} at {words.time(change.at)}"
    view: dict[str, Any] = {"rule": "tiers", "rule_name": words.name(change.score)}
    if score is not None:
        value = value_of(context.scratch, change.score, score, month)
        steps = {tier.name: tier.at_least for tier in score.tiers}
        at_least = steps.get(change.after, 0) or steps.get(change.before, 0)
        relation = "needs" if change.after in steps else "would need"
        name = change.after or change.before
        first, last = month_text(month - score.window_months), month_text(month - 1)
        text += f": the score of {month_text(month)} counts {first} to {last} and is {value:,}; tier {name} {relation} {at_least:,}"
        view["inputs"] = {"month": month_text(month), "value": value, "at_least": at_least}
    return {**view, "text": f"{text}."}


# -- membership ------------------------------------------------------------------------------------------------------


def _term_opened(context: Context, change: TermOpened) -> str:
    words, entry = context.words, context.moment.step.entry
    product = context.moment.version.products.get(change.product)
    days = f", {count(product[1].days, 'day')}" if product else ""
    text = f"{words.membership(change.membership)} by card {change.card} ({change.product}{days})"
    text += f": from {words.time(change.from_at)} to {words.time(change.until_at)}"
    if change.from_at > entry.occurred:
        text += "; it begins where the last term ends"
    if change.trial:
        text += "; a trial, whose beans stay frozen until a card is bought"
    return f"{text}."


def _term_moved(context: Context, change: TermMoved) -> str:
    words = context.words
    name = f"The {words.membership(change.membership)} term of card {change.card}"
    match change.why:
        case "taken-out":
            return f"{name} is gone: the card was refunded before it began."
        case "refunded" if change.pending_until:
            until = words.time(change.pending_until)
            return f"{name}, a trial, was cut short as it was refunded; its frozen points wait for a card until {until}."
        case "refunded":
            return f"{name} was cut short at {words.time(change.until_at)}, as the card was refunded."
        case "bought":
            return f"{name} was cut short at {words.time(change.until_at)}, as a card was bought."
    return f"{name} moved up: from {words.time(change.from_at)} to {words.time(change.until_at)}."


def _benefit_used(context: Context, change: BenefitUsed) -> dict[str, Any]:
    words, version = context.words, context.moment.version
    found = version.benefits.get(change.benefit)
    term = next((t for t in context.scratch.terms.get(change.membership, ()) if t.card == change.card), None)
    name = f"{change.benefit} ({found[1].name})" if found else change.benefit
    text = f"{name} by card {change.card}"
    view: dict[str, Any] = {"rule": change.benefit, "rule_name": found[1].name if found else ""}
    if term is not None and found is not None:
        benefit = found[1]
        used = term.used.get(quota_key(change.benefit, change.bucket), 0) + 1
        quota = benefit.quota.get(term.product) if benefit.quota is not None else None
        assert change.bucket == bucket_of(benefit, version.month(context.moment.step.entry.occurred))
        text += f" ({term.product}): the {ordinal(used)}"
        text += (
            f" of {quota:,} a {benefit.per}" if quota is not None else f" this {benefit.per}, without a limit"
        )
        view["caps"] = [{"per": benefit.per, "points": quota, "before": used - 1, "after": used, "took": 0}]
    return {**view, "text": f"{text}."}


# -- small words -----------------------------------------------------------------------------------------------------


def _plus(words: Words, points: int, label: str) -> str:
    name = words.name(label)
    return f"{points:+,} {label}" + (f" ({name})" if name else "")


def _for(words: Words, change: Indebted | PaidInCash | WrittenOff) -> str:
    if change.line:
        return f" of what {words.rule(change.origin)} gave for line {change.line}"
    return f" for {words.rule(change.origin)}"


def _bucket(bucket: int) -> str:
    if not bucket:
        return "all time"
    return str(bucket) if bucket < 10_000 else month_text(bucket)


def _lot(key: int) -> str:
    return f"{key >> 16}.{(key & 0xFFFF) + 1}"
