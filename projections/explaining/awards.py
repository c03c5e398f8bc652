"""What a rule gave: what it counted, the caps that stood over it, the rates that stood in for others."""

from typing import Any

from ledger.core.evaluate import ordinary_points
from ledger.core.pages import DayPage, OrderPage, PageLine
from ledger.core.tiers import DEDUCTION
from ledger.rulebook.compiled import CLAIM, Rule
from ledger.wire.entries import Earned, Scored, ScoredOnce, Withheld
from ledger.wire.facts import OrderAmended, OrderCompleted, OrderLine
from ledger.wire.times import day_of, day_text
from projections.explaining.context import Context, inputs_of, line_of, put, term_of
from projections.explaining.facts import cause_text
from projections.explaining.lots import expiry_text, explain_lot_story
from projections.explaining.nothing import skip_text

View = dict[str, Any]
_COUNTED = ("month", "year", "ever")  # the periods whose caps the account counts


def explain_earned(context: Context, change: Earned) -> View:
    """Points that came in as a lot, with the whole life of that lot."""
    moment, words = context.moment, context.words
    rule = moment.version.rules.get(change.rule)
    line = line_of(moment, change.line)
    caps = _caps(context, rule, change) if rule else []
    multipliers = _multipliers(context, rule, change, line) if rule else []
    parts = [_counting(context, rule, change, line)]
    parts += [item["text"] for item in (*multipliers, *caps) if item.get("text")]
    parts.append(words.say("good-until", change, expiry=expiry_text(moment.version, change, words)))
    if change.pending_until:
        form = "" if rule is None or rule.wait is None else ".claim" if rule.wait.waits == CLAIM else ".time"
        form = ".pool" if rule is not None and rule.pool is not None else form
        parts.append(words.say(f"pending{form}", change))
    return put(
        context.words,
        words.signed(change.points, change.kind),
        words.speech.stop.join(parts),
        inputs=inputs_of(moment, line),
        caps=caps,
        multipliers=multipliers,
        lots=[explain_lot_story(context.history, change.lot, words)],
    )


def explain_scored(context: Context, change: Scored) -> View:
    """A score item given, or taken back from its month."""
    moment, words = context.moment, context.words
    rule = moment.version.rules.get(change.rule)
    score = moment.version.programme.scores.get(change.score)
    line = line_of(moment, change.line)
    part = words.say("part", change, name=words.part_name(change.score, change.part))
    caps: list[View] = []
    if change.rule == DEDUCTION:
        parts = [words.say("scored.deduction", part=part)]
    elif change.points < 0:
        parts = [words.say("scored.back", change, cause=cause_text(moment.step.decided, words), part=part)]
    else:
        caps = _caps(context, rule, change) if rule else []
        parts = [_counting(context, rule, change, line)]
        if rule is not None and rule.award.first and line is not None:
            parts = [words.say("given.new-category", line)]
        if rule is not None and rule.award.days_in_month:
            parts = [words.say("given.days", change, days=rule.award.days_in_month, month=moment.month)]
        parts += [cap["text"] for cap in caps if cap.get("text")]
        if score is not None and moment.version.rankings[change.score].is_plain:
            last = change.month + score.window_months
            parts.append(words.say("scored.counts", first=change.month + 1, last=last, part=part))
    amount = words.signed(change.points, change.score)
    return put(
        context.words,
        amount,
        words.speech.stop.join(parts),
        inputs=inputs_of(moment, line),
        caps=caps,
        multipliers=[],
    )


def explain_scored_once(context: Context, change: ScoredOnce) -> View:
    """A score item that does not age."""
    words, inputs = context.words, inputs_of(context.moment, None)
    cap = {"per": "member", "points": change.points, "before": 0, "after": change.points, "took": 0}
    amount = words.signed(change.points, change.score)
    return put(context.words, amount, words.say("given.once", change), inputs=inputs, caps=[cap], multipliers=[])


def explain_withheld(context: Context, change: Withheld) -> View:
    """A rule that applied and gave nothing, or less."""
    moment = context.moment
    how, skip = change.why, next(context.withheld, None)
    caps: list[View] = []
    if skip is not None and (skip.rule.name, skip.code, skip.figures["would"]) == (change.rule, how, change.would):
        _, how, caps = skip_text(context, skip)
    return put(
        context.words, "", how, inputs=inputs_of(moment, line_of(moment, change.line)), multipliers=[], caps=caps
    )


def _counting(context: Context, rule: Rule | None, change: Earned | Scored, line: OrderLine | PageLine | None) -> str:
    words = context.words
    if rule is None:
        return words.say(f"given.{change.rule}", context.moment.step.decided.data, rule=change.rule)
    fact, page = context.moment.step.decided, context.moment.page(f"order/{change.page}")
    if isinstance(fact, OrderAmended) and isinstance(page, OrderPage) and page.line(change.line) is not None:
        return words.say("given.amended", made=words.points(change.points, rule.kind or rule.score))
    if line is None or rule.times or (rule.award.give.per_fen is None and not rule.award.give.steps):
        return words.say("given.each", points=change.uncapped)
    return words.calculation(rule, change.base, line.category)


def _multipliers(context: Context, rule: Rule, change: Earned, line: OrderLine | PageLine | None) -> list[View]:
    """Rates that stood in for the ordinary ones: a category's, a membership's."""
    moment, words, award = context.moment, context.words, rule.award
    multipliers: list[View] = []
    if line is not None and line.category in award.rates:
        multipliers.append({"category": line.category, "rate_percent": award.rates[line.category] / 100})
    if award.member is None:
        return multipliers
    term = term_of(moment.at, award.member, change.card)
    item: View = {
        "membership": award.member,
        "name": words.membership(award.member),
        "card": change.card,
        "product": term.product if term else "",
    }
    text = words.say("given.member", item)
    ordinary, fact = moment.version.rules.get(award.instead_of or ""), moment.step.decided
    if ordinary is not None and isinstance(line, OrderLine) and isinstance(fact, OrderCompleted | OrderAmended):
        points = ordinary_points(ordinary, line, fact.data)
        item |= {"instead_of": ordinary.name, "ordinary_points": points}
        text += words.speech.semicolon + words.say("given.instead", rule=words.rule(ordinary.name), points=points)
    multipliers.append({**item, "text": text})
    return multipliers


def _caps(context: Context, rule: Rule, change: Earned | Scored) -> list[View]:
    """The caps that stood over an award: how full each was before and after, and what it took."""
    words, version, month = context.words, context.moment.version, context.moment.month
    caps: list[View] = []
    if rule.line_cap:
        caps.append(_cap(context, "line", rule.line_cap, 0, change, change.line))
    if rule.day_cap:
        day, given = _day(context, rule)
        caps.append(_cap(context, "day", rule.day_cap, given, change, day_text(day)))
    for cap in rule.buckets:
        if cap.per in _COUNTED and not cap.each:  # counted before the award is written down
            bucket = {"month": month, "year": month // 12}.get(cap.per, 0)
            given = context.scratch.counts.get(bucket, {}).get(rule.name, 0) - change.points
            caps.append(_cap(context, cap.per, cap.points, given, change, words.bucket(bucket)))
    if isinstance(change, Earned) and change.card:
        term = term_of(context.scratch, rule.award.member, change.card)
        product = version.products.get(term.product) if term else None
        if term is not None and product is not None and product[1].cap is not None:
            of_card = _cap(context, "term", product[1].cap, term.capped, change, term.card)
            caps.append(of_card | {"text": words.say("cap.card", of_card)})
    return caps


def _cap(context: Context, per: str, most: int, before: int, change: Earned | Scored, of: str) -> View:
    after = before + change.points
    took = change.uncapped - change.points if after >= most else 0
    cap: View = {"per": per, "of": of, "points": most, "before": before, "after": after, "took": took}
    if took:
        cap["text"] = context.words.say("cap.took", cap, change)
    elif per != "line":
        cap["text"] = context.words.say("cap.left", cap)
    return cap


def _day(context: Context, rule: Rule) -> tuple[int, int]:
    """The day an award counts on (since 1970), and what the rule had given on it before this entry."""
    prefix = f"day/{rule.name}/"
    for key, page in context.moment.pages.items():
        if key.startswith(prefix):
            return int(key.removeprefix(prefix)), page.given if isinstance(page, DayPage) else 0
    return day_of(context.moment.step.entry.occurred, context.history.offset), 0
