"""What a rule gave or withheld: what it counted, the caps that stood over it, the rates that stood in for others."""

from typing import Any

from ledger.core.account import term_at
from ledger.core.evaluate import ordinary_points
from ledger.core.pages import DayPage, OrderPage, PageLine
from ledger.rulebook.compiled import Rule
from ledger.wire.entries import Change, Earned, Scored, ScoredOnce, Withheld
from ledger.wire.facts import CampaignGranted, LotOpened, OrderCompleted, OrderLine, PointsAdjusted, ReviewPosted
from ledger.wire.times import day_of, day_text, month_text
from projections.explaining.context import Context, bucket_text, inputs_of, line_of, put
from projections.explaining.lots import cause_text, expiry_text, explain_lot_story
from projections.explaining.words import amount_text, ordinal, span


def explain_earned(context: Context, change: Earned) -> dict[str, Any]:
    """Points that came in as a lot, with the whole life of that lot."""
    moment, words = context.moment, context.words
    rule = moment.version.rules.get(change.rule)
    line = line_of(moment, change.line)
    caps = _caps(context, rule, change) if rule else []
    multipliers = _multipliers(context, rule, change, line) if rule else []
    parts = [_counting(context, rule, change, line)]
    parts += [item["text"] for item in (*multipliers, *caps) if item.get("text")]
    expiry = expiry_text(moment.version, change.kind, change.earned_at, change.expires_at)
    parts.append(f"Good until {words.time(change.expires_at)} ({expiry})")
    if change.pending_until:
        until = words.time(change.pending_until)
        parts.append(f"Frozen until a card is bought, and gone at {until} if none is")
    return put(
        words.signed(change.points, change.kind),
        ". ".join(parts),
        inputs=inputs_of(moment, line),
        caps=caps,
        multipliers=multipliers,
        lots=[explain_lot_story(context.history, change.lot, context.present, words)],
    )


def explain_scored(context: Context, change: Scored) -> dict[str, Any]:
    """A score item given, or taken back from its month."""
    moment, words = context.moment, context.words
    rule = moment.version.rules.get(change.rule)
    score = moment.version.programme.scores.get(change.score)
    line = line_of(moment, change.line)
    amount, month = words.signed(change.points, change.score), month_text(change.month)
    part = f"part {change.part} {score.parts.get(change.part, '')}".rstrip() if score else f"part {change.part}"
    if change.points < 0:
        how = f"taken back by {cause_text(moment.step.fact)}, from {month}, {part}"
        return put(amount, how, inputs=inputs_of(moment, line), caps=[], multipliers=[])
    caps = _caps(context, rule, change) if rule else []
    parts = [_counting(context, rule, change, line)]
    if rule is not None and rule.award.first and line is not None:
        parts[0] = f"category {line.category} was never bought before"
    if rule is not None and rule.award.days_in_month:
        parts[0] = f"the {ordinal(rule.award.days_in_month)} different day with a completed order in {month}"
    parts += [cap["text"] for cap in caps if cap.get("text")]
    if score is not None:
        first, last = month_text(change.month + 1), month_text(change.month + score.window_months)
        parts.append(f"Counts in the scores of {first} to {last} ({part})")
    return put(amount, ". ".join(parts), inputs=inputs_of(moment, line), caps=caps, multipliers=[])


def explain_scored_once(context: Context, change: ScoredOnce) -> dict[str, Any]:
    """A score item that does not age."""
    cap = {"per": "member", "points": change.points, "before": 0, "after": change.points, "took": 0}
    how = f"once for ever, and it does not age (part {change.part})"
    amount = context.words.signed(change.points, change.score)
    return put(amount, how, inputs=inputs_of(context.moment, None), caps=[cap], multipliers=[])


def explain_withheld(context: Context, change: Withheld) -> dict[str, Any]:
    """A rule that applied and gave nothing, or less."""
    moment = context.moment
    rule = moment.version.rules.get(change.rule)
    view: dict[str, Any] = {"inputs": inputs_of(moment, line_of(moment, change.line)), "multipliers": []}
    if rule is None:
        return put("", change.why, **view, caps=[])
    match change.why:
        case "card-cap-full":
            how, caps = _card_cap_full(context, rule, change)
            return put("", how, **view, caps=caps)
        case "cap-full":
            how, caps = _cap_full(context, rule, change)
            return put("", how, **view, caps=caps)
        case "already-today":
            earlier = _same_day(context, rule)
            where = f": entry {earlier}" if earlier else ""
            mark = getattr(moment.step.fact.data, rule.award.each_day or "", "")
            how = f"{mark} was counted on this day already{where}; it is counted once a day"
        case "once":
            earlier = _given_before(context, rule)
            where = f": entry {earlier}" if earlier else ""
            how = f"it was given before{where}, and is given once"
        case "too-long-after-completion":
            how = _too_long_after(context, rule)
        case "line-returned":
            how = f"every piece of line {change.line} has been returned"
        case _:
            how = change.why
    return put("", how, **view, caps=[])


# -- what was counted ------------------------------------------------------------------------------------------------


def _counting(context: Context, rule: Rule | None, change: Earned | Scored, line: OrderLine | PageLine | None) -> str:
    fact = context.moment.step.fact
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
    if line is None or (rule.award.give.per_fen is None and not rule.award.give.steps):
        return f"{change.uncapped:,} each time"
    return amount_text(rule, change.base, line.category)


def _multipliers(
    context: Context, rule: Rule, change: Earned, line: OrderLine | PageLine | None
) -> list[dict[str, Any]]:
    """Rates that stood in for the ordinary ones: a category's, a membership's."""
    moment, words = context.moment, context.words
    multipliers: list[dict[str, Any]] = []
    award = rule.award
    if line is not None and line.category in award.rates:
        rate = award.rates[line.category] / 100
        multipliers.append({"category": line.category, "rate_percent": rate})
    if award.member is None:
        return multipliers
    name = words.membership(award.member)
    term = next((t for t in moment.at.terms.get(award.member, ()) if t.card == change.card), None)
    product = term.product if term else ""
    text = f"The {name} rate, as card {change.card} ({product}) was active"
    item: dict[str, Any] = {"membership": award.member, "name": name, "card": change.card, "product": product}
    ordinary = moment.version.rules.get(award.instead_of or "")
    fact = moment.step.fact
    if ordinary is not None and isinstance(line, OrderLine) and isinstance(fact, OrderCompleted):
        points = ordinary_points(ordinary, line, fact.data)
        item |= {"instead_of": ordinary.name, "ordinary_points": points}
        text += f"; {words.rule(ordinary.name)} would have given {points:,}"
    multipliers.append({**item, "text": text})
    return multipliers


# -- caps ------------------------------------------------------------------------------------------------------------


def _caps(context: Context, rule: Rule, change: Earned | Scored) -> list[dict[str, Any]]:
    """The caps that stood over an award: how full each was before and after, and what it took."""
    version = context.moment.version
    caps: list[dict[str, Any]] = []
    if rule.line_cap:
        caps.append(_cap("line", rule.line_cap, 0, change, change.line))
    if rule.day_cap:
        key, given = _day(context, rule)
        caps.append(_cap("day", rule.day_cap, given, change, key))
    for per, most, bucket in _buckets(context, rule):  # counted before the award is written down
        given = context.scratch.counts.get(bucket, {}).get(rule.name, 0) - change.points
        caps.append(_cap(per, most, given, change, bucket_text(bucket)))
    if isinstance(change, Earned) and change.card:
        terms = context.scratch.terms.get(rule.award.member or "", ())
        term = next((term for term in terms if term.card == change.card), None)
        product = version.products.get(term.product) if term else None
        if term is not None and product is not None and product[1].cap is not None:
            cap = _cap("term", product[1].cap, term.capped, change, term.card)
            cap["text"] = f"That makes {cap['after']:,} of at most {cap['points']:,} by this card"
            caps.append(cap)
    return caps


def _cap(per: str, most: int, before: int, change: Earned | Scored, of: str) -> dict[str, Any]:
    after = before + change.points
    took = change.uncapped - change.points if after >= most else 0
    cap = {"per": per, "of": of, "points": most, "before": before, "after": after, "took": took}
    if took:
        cap["text"] = f"The cap of {most:,} a {per} took {took:,} of {change.uncapped:,}"
    elif per != "line":
        cap["text"] = f"That makes {after:,} of at most {most:,} a {per} ({of})"
    return cap


def _buckets(context: Context, rule: Rule) -> list[tuple[str, int, int]]:
    month = context.moment.version.month(context.moment.step.entry.occurred)
    caps = (("month", rule.month_cap, month), ("year", rule.year_cap, month // 12))
    return [(per, most, bucket) for per, most, bucket in caps if most]


def _day(context: Context, rule: Rule) -> tuple[str, int]:
    """The day an award counts on, and what the rule had given on it before this entry."""
    prefix = f"day/{rule.name}/"
    key = next((key for key in context.moment.pages if key.startswith(prefix)), "")
    page = context.moment.pages.get(key)
    day = int(key.removeprefix(prefix)) if key else day_of(context.moment.step.entry.occurred, context.history.offset)
    return day_text(day), page.given if isinstance(page, DayPage) else 0


def _cap_full(context: Context, rule: Rule, change: Withheld) -> tuple[str, list[dict[str, Any]]]:
    """The cap with the least room left."""
    found: list[tuple[int, str, int, int, str]] = []
    if rule.day_cap:
        label, given = _day(context, rule)
        found.append((rule.day_cap - given, "day", rule.day_cap, given, label))
    for per, most, bucket in _buckets(context, rule):
        given = context.scratch.counts.get(bucket, {}).get(rule.name, 0)
        found.append((most - given, per, most, given, bucket_text(bucket)))
    room, per, most, given, of = min(found)
    cap = {
        "per": per,
        "of": of,
        "points": most,
        "before": given,
        "after": given + max(room, 0),
        "took": change.would,
    }
    left_out = f"so {change.would:,} did not come"
    if room > 0:
        return f"only {room:,} of {most:,} a {per} ({of}) was left, {left_out}", [cap]
    return f"the {most:,} a {per} ({of}) {'was' if most == 1 else 'were'} given before, {left_out}", [cap]


def _card_cap_full(context: Context, rule: Rule, change: Withheld) -> tuple[str, list[dict[str, Any]]]:
    version, entry = context.moment.version, context.moment.step.entry
    term = term_at(context.scratch, rule.award.member or "", entry.occurred)
    most = version.products[term.product][1].cap if term and term.product in version.products else None
    if term is None or most is None:
        return "the card's cap is full", []
    cap = {
        "per": "term",
        "of": term.card,
        "points": most,
        "before": term.capped,
        "after": term.capped,
        "took": change.would,
    }
    given = f"card {term.card} ({term.product}) has given {term.capped:,} of at most {most:,}"
    return f"{given}, so {change.would:,} more do not fit; the ordinary rule holds", [cap]


# -- what came before ------------------------------------------------------------------------------------------------


def _too_long_after(context: Context, rule: Rule) -> str:
    fact, entry = context.moment.step.fact, context.moment.step.entry
    page = context.moment.pages.get(f"order/{fact.data.order}") if isinstance(fact, ReviewPosted) else None
    since = page.ended_at if isinstance(page, OrderPage) else 0
    posted = f"posted {span(entry.occurred - since)} after the order was completed ({context.words.time(since)})"
    return f"{posted}; the rule takes {rule.award.within_days} days"


def _same_day(context: Context, rule: Rule) -> int:
    """The entry that gave this rule's award for the same thing on the same day; 0 where none is found."""
    entry, fact = context.moment.step.entry, context.moment.step.fact
    name, offset = rule.award.each_day or "", context.history.offset
    mark, day = getattr(fact.data, name, None), day_of(entry.occurred, offset)
    for step in context.history.earlier(entry.number):
        is_alike = type(step.fact) is type(fact) and getattr(step.fact.data, name, None) == mark
        if is_alike and day_of(step.entry.occurred, offset) == day and _gave(step.entry.changes, rule):
            return step.entry.number
    return 0


def _given_before(context: Context, rule: Rule) -> int:
    for step in context.history.earlier(context.moment.step.entry.number):
        if _gave(step.entry.changes, rule):
            return step.entry.number
    return 0


def _gave(changes: list[Change], rule: Rule) -> bool:
    return any(isinstance(c, (Earned, Scored, ScoredOnce)) and c.rule == rule.name for c in changes)
