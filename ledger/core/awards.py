"""What rules give: the one pipeline through which every award goes, for a line and for a whole fact alike.

A rule: its dates → left out by another → conditions → membership → within, unless returned → firsts → amount, which is
multiplied and rounded once → caps of line and order → the card's cap → caps of day, month, year, term, ever → given.
Each guard that says no tells the draft's `trace`, where one listens, the rule, a code and figures.
"""

from typing import Any, NamedTuple

from ledger.core.account import Term, term_at
from ledger.core.asks import begin
from ledger.core.card_orders import has_rate
from ledger.core.draft import MAX_TOTAL, Draft
from ledger.core.evaluate import amount_of, meets, multiplier_of, rules_for
from ledger.core.lots import earn
from ledger.core.pages import AskPage, Award, DayPage, OrderPage, PageLine
from ledger.core.shops import has_joined
from ledger.core.terms import open_free
from ledger.rulebook.compiled import ASKED, Bucket, Multiplier, Pool, Rule, Rules
from ledger.rulebook.schema import AT_SHOP
from ledger.wire.entries import CounterAdded, Earned, FirstSeen, Multiplied, Scored, ScoredOnce, Withheld
from ledger.wire.fact_catalogue import OWN_PAGES
from ledger.wire.facts import OrderLine
from ledger.wire.times import DAY, MAX_INSTANT, day_of, day_text, month_text

Line = OrderLine | PageLine
ONCE = "once"  # the mark of a rule for points that gives once


def apply_rules(
    draft: Draft,
    rules: Rules,
    data: Any,
    page: str,
    line: Line | None = None,
    day: int | None = None,
    since: int = 0,
    fen: int = 0,
    count: int = 1,
    order: OrderPage | None = None,
    multiplied: dict[str, str] | None = None,
    may_return: bool = False,
) -> list[Award]:
    """Give what some rules give for a fact of this data, or for one `line` of it; return what its page keeps of that.

    `page` names what it is given for, `day` (since 1970) what it counts on if not on that of the fact; `since` is the
    instant at which the line was completed; `fen` and `count` are the amounts of a fact without a line. The page of an
    `order` counts its caps; `multiplied` is told by rule the multiplier that holds for the line, where it is not 1.
    What is given for a line, or if it `may_return`, can be taken back.
    """
    occurred, trace = draft.occurred, draft.trace
    is_now = occurred == draft.clock and draft.engine >= 2
    name, category = "", ""
    if line is not None:
        name, fen, category, count = line.line, line.paid_fen, line.category, line.quantity
    asked: tuple[Rule, ...] = rules
    if trace is None and rules.lookup is not None:
        asked = rules_for(rules.lookup, rules, line, data, occurred)
    awards: list[Award] = []
    replaced: dict[str, str] = {}  # rule -> the one that stands in for it
    for rule in asked:
        if replaced and rule.name in replaced:
            if trace is not None:
                trace.skipped(rule, "replaced", {"line": name, "by": replaced[rule.name]})
            continue
        term: Term | None = None
        times: Multiplier | None = None
        if not rule.is_plain:
            if rule.is_dated and not rule.since <= occurred < rule.until:
                if trace is not None:
                    trace.skipped(rule, "not-in-force", {"line": name})
                continue
            if rule.clauses and not meets(rule.clauses, line, data):
                if trace is not None:
                    trace.skipped(rule, "condition", {"line": name})
                continue
            if rule.is_particular:
                if rule.member is not None:
                    term = term_at(draft.account, rule.member, occurred)
                    if term is None:
                        if trace is not None:
                            trace.skipped(rule, "no-membership", {"line": name})
                        continue
                    if line is not None and order is not None and not has_rate(draft, term):
                        if trace is not None:
                            trace.skipped(rule, "card-taken-back", {"line": name, "card": term.card})
                        continue
                if rule.times:
                    times = multiplier_of(rule, line, data, occurred, draft.unentitled or ())
                    if times is not None and multiplied is not None:
                        multiplied[rule.name] = times.text
                if rule.who is not None and draft.unentitled and rule.name in draft.unentitled:
                    points = draft.bounded(amount_of(rule.amount, fen, category, count, times))
                    withhold(draft, rule, "not-entitled", name, points, who=draft.unentitled[rule.name])
                    continue
                if rule.at_shop and not _is_of_shop(draft, rule, data, name):
                    continue
            if rule.has_guards and not _is_let(draft, rule, line, name, since):
                continue
        points = uncapped = rule.flat
        if not points or times is not None:
            points = uncapped = amount_of(rule.amount, fen, category, count, times)
            if points > MAX_TOTAL:
                draft.bounded(points)
        if rule.is_limited:
            if rule.line_cap and points > rule.line_cap:
                points = rule.line_cap
            if rule.gives_once:
                if _was_given(draft, rule, points):
                    continue
                if rule.key and draft.engine < 2:
                    draft.emit(ScoredOnce(rule.score, rule.part, rule.name, points, occurred))
                    continue
            if rule.order_bucket is not None:
                points = _room(draft, rule, (rule.order_bucket,), points, Counted(data, line, term, order, day))
            if term is not None:
                points = _room_of_card(draft, rule, term, points, name)
                if points < 0:
                    continue
                if draft.engine < 2:  # the last card's rule alone stood in for another, also where its cap was full
                    replaced = {rule.stands_in_for: rule.name} if rule.stands_in_for else {}
            if rule.pool is not None:
                points = _room_of_member(draft, rule.pool, rule, points, name)
            if rule.is_of_month:
                points = _take_month(draft, rule, points, name)
            elif rule.is_of_day:
                points = _take_day(draft, rule, points, name, data, day)
            elif rule.is_counted:
                points = _take_room(draft, rule, points, Counted(data, line, term, order, day))
            if rule.pool is not None:
                _count_of_member(draft, rule.pool, points)
        if not points:
            if rule.opens:
                _open(draft, rule)
            elif trace is not None and not uncapped:
                trace.skipped(rule, "too-little", {"line": name})
            continue
        if rule.is_particular:
            if rule.stands_in_for and draft.engine >= 2:
                replaced[rule.stands_in_for] = rule.name
            if times is not None:
                draft.emit(Multiplied(rule.name, name, times.text))
        if rule.key:
            score, month = rule.score, draft.month
            if rule.is_monthly and is_now:  # it moves no more than the month that runs
                draft.score_month(Scored(score, rule.part, rule.name, month, points, page, name, fen, uncapped))
            elif rule.gives_once:
                draft.remember(score)
                draft.emit(ScoredOnce(score, rule.part, rule.name, points, occurred))
                continue
            else:
                if score in draft.version.live:
                    month = draft.version.bucket(score, occurred)
                if rule.at_shop:
                    score = f"{score}{AT_SHOP}{data.shop}"
                draft.score(Scored(score, rule.part, rule.name, month, points, page, name, fen, uncapped))
            if rule.is_kept:
                awards.append(Award(rule.name, points, points, "", 0, 0, score, rule.part, month))
        else:
            if rule.gives_once:
                draft.emit(FirstSeen(rule.name, 0, ONCE))
            kind = f"{rule.kind}{AT_SHOP}{data.shop}" if rule.at_shop else rule.kind
            is_returnable = may_return or name != "" or rule.wait is not None or rule.pool is not None
            lot = earn_award(draft, rule, kind, points, uncapped, page, name, fen, term, is_returnable)
            if rule.is_kept:
                awards.append(Award(rule.name, points, points, kind, lot.lot, lot.expires_at, card=lot.card))
    return awards


def _open(draft: Draft, rule: Rule) -> None:
    """Lay the card that a rule opens; of a rule that gives once this was asked before."""
    if rule.award.once:
        draft.emit(FirstSeen(rule.name, 0, ONCE))
    open_free(draft, f"{rule.name}/{draft.number}.{len(draft.changes)}", rule.opens)


def earn_award(
    draft: Draft,
    rule: Rule,
    kind: str,
    points: int,
    uncapped: int,
    page: str,
    line: str,
    base: int,
    term: Term | None,
    is_returnable: bool = True,
) -> Earned:
    """Write down what a rule gives as a lot of a kind; `term` is the card that it counts against."""
    earned_at = draft.occurred
    expires_at = draft.version.expires_at(kind, earned_at)
    pending, card, waits = 0, "", 0
    if term is not None:
        card = term.card
        if term.trial and not term.converted:
            membership = draft.version.programme.memberships[rule.member or ""]
            pending = term.until + membership.release_days * DAY
    if rule.wait is not None:
        pending, waits = draft.version.pending_until(rule.wait, earned_at), rule.wait.waits
    if rule.pool is not None:
        pending, waits = MAX_INSTANT, ASKED
    lot = draft.next_lot()
    change = Earned(
        kind, lot, points, rule.name, earned_at, expires_at, pending, page, line, base, uncapped, card, is_returnable
    )
    earn(draft, change, waits)
    if rule.pool is not None:
        ask = AskPage("", points, 0, rule.pool.refill, kind=kind, lot=lot, page=page_key(rule, page) if page else "")
        begin(draft, rule.pool, ask, lot)
    return change


def page_key(rule: Rule, page: str) -> str:
    """Return the key of the page that an award of a rule stands on, by the id of what it was given for."""
    return f"{OWN_PAGES[rule.award.on]}/{page}" if rule.is_kept else ""


def withhold(draft: Draft, rule: Rule, code: str, line: str, would: int, **figures: int | str) -> None:
    """Say in the entry that a rule which applies gives nothing, or `would` points less."""
    draft.emit(Withheld(rule.name, code, line, would))
    if draft.trace is not None:
        draft.trace.skipped(rule, code, {"line": line, "would": would, **figures})


# -- guards: whether a rule applies ------------------------------------------------------------------------------------


def _is_let(draft: Draft, rule: Rule, line: Line | None, name: str, since: int) -> bool:
    """Return True if a rule is in time, its line was not returned whole, and it is a first that the rule wants."""
    if rule.within and draft.occurred - since > rule.within:
        withhold(draft, rule, "too-long-after-completion", name, 0, since=since)
        return False
    award = rule.award
    if award.unless_returned and isinstance(line, PageLine) and line.returned >= line.quantity:
        withhold(draft, rule, "line-returned", name, 0)
        return False
    if award.first is not None and line is not None and not _is_first(draft, rule, line):
        return False
    return award.days_in_month is None or _is_nth_day(draft, rule, award.days_in_month)


def _is_of_shop(draft: Draft, rule: Rule, data: Any, name: str) -> bool:
    """Return True if a rule for what is kept for each shop has one, that the member joined where that is wanted."""
    if not data.shop:
        if draft.trace is not None:
            draft.trace.skipped(rule, "no-shop", {"line": name})
        return False
    if rule.wants_joined and not has_joined(draft, data.shop):
        withhold(draft, rule, "not-joined", name, 0, shop=data.shop)
        return False
    return rule.key != "" or draft.has_room_for(f"{rule.kind}{AT_SHOP}{data.shop}")


def _was_given(draft: Draft, rule: Rule, points: int) -> bool:
    """Return True if a rule that gives once has given."""
    account = draft.account
    given = rule.key in account.once if rule.key else ONCE in account.marks.get(rule.name, ())
    if given:
        withhold(draft, rule, "once", "", points)
    return given


def _is_first(draft: Draft, rule: Rule, line: Line) -> bool:
    """Return True if a line's category is met for the first time (in stream order); an empty one never counts."""
    category = line.category
    if category and category not in draft.account.marks.get(rule.name, ()):
        draft.emit(FirstSeen(rule.name, 0, category))
        return True
    if draft.trace is not None:
        draft.trace.skipped(rule, "not-first" if category else "no-category", {"line": line.line, "category": category})
    return False


def _is_nth_day(draft: Draft, rule: Rule, wanted: int) -> bool:
    """Return True if this fact's day is the `wanted`-th different one of its month."""
    days = draft.account.days.get(draft.month, {}).get(rule.name, 0)
    met = days.bit_count()
    why = "given-this-month"
    if met < wanted:
        day = day_text(day_of(draft.occurred, draft.version.offset))
        why = "day-counted"
        if not days >> int(day[-2:]) & 1:
            draft.emit(FirstSeen(rule.name, draft.month, day))
            if met + 1 == wanted:
                return True
            why = "too-few-days"
    if draft.trace is not None:
        draft.trace.skipped(rule, why, {"line": "", "days": days, "wanted": wanted})  # bit 1 of `days`: the first
    return False


# -- caps: what is left of an amount -----------------------------------------------------------------------------------


class Counted(NamedTuple):
    """What buckets are told apart by: the fact's data, its line, the card, its order's page, and the day it is for.

    `day` is since 1970, and `month` as `times.month_of` has it; None and 0 are those of the fact.
    """

    data: Any
    line: Line | None = None
    term: Term | None = None
    order: OrderPage | None = None
    day: int | None = None
    month: int = 0


def room_of(draft: Draft, rule: Rule, points: int, what: Counted) -> int:
    """What a card's cap and the caps of periods leave of an award, which is counted in these: for an amended line."""
    if what.term is not None:
        points = max(_room_of_card(draft, rule, what.term, points, what.line.line if what.line is not None else ""), 0)
    if rule.pool is not None:
        points = _room_of_member(draft, rule.pool, rule, points, what.line.line if what.line is not None else "")
    points = _room(draft, rule, rule.buckets, points, what)
    _count(draft, rule, rule.buckets, points, what)
    if rule.pool is not None:
        _count_of_member(draft, rule.pool, points)
    return points


def _room_of_member(draft: Draft, pool: Pool, rule: Rule, points: int, line: str) -> int:
    """What a campaign leaves of an award for one member; what was asked before counts, whatever the answer."""
    if not pool.each_member:
        return points
    given = draft.account.counts.get(0, {}).get(pool.subject, 0)
    left = min(points, max(pool.each_member - given, 0))
    if left < points:
        figures: dict[str, int | str] = {"cap": pool.each_member, "given": given, "per": "ever", "of": ""}
        withhold(draft, rule, "cap-full", line, points - left, **figures)
    return left


def _count_of_member(draft: Draft, pool: Pool, points: int) -> None:
    if pool.each_member and points:
        draft.emit(CounterAdded(pool.subject, 0, points))


def _room_of_card(draft: Draft, rule: Rule, term: Term, points: int, line: str) -> int:
    """What a card's cap leaves of an award: all, or the rest of one that is filled, or -1: the rule gives nothing."""
    found = draft.version.products.get(term.product)
    cap = found[1].cap if found is not None else None
    if cap is None or term.capped + points <= cap:
        return points
    left = max(cap - term.capped, 0) if found is not None and found[1].fill else 0
    withhold(draft, rule, "card-cap-full", line, points - left, card=term.card, cap=cap, given=term.capped)
    return left or -1


def _take_month(draft: Draft, rule: Rule, points: int, line: str) -> int:
    """What the one cap of a rule, of the month, leaves of an award; it is counted. (`_take_room`, sooner.)"""
    month, counts = draft.month, draft.account.counts
    given = counts[month].get(rule.name, 0) if month in counts else 0
    left = max(rule.month_cap - given, 0)
    if points > left:
        of = month_text(month)
        withhold(draft, rule, "cap-full", line, points - left, cap=rule.month_cap, given=given, per="month", of=of)
        points = left
    if points:
        draft.emit(CounterAdded(rule.name, month, points))
    return points


def _take_day(draft: Draft, rule: Rule, points: int, line: str, data: Any, day: int | None) -> int:
    """What the one cap of a rule, of the day, leaves of an award; it is counted. (`_take_room`, sooner.)"""
    if day is None:
        day = day_of(draft.occurred, draft.version.offset)
    key = f"day/{rule.name}/{day}"
    page = draft.pages.get(key)
    if not isinstance(page, DayPage):
        page = DayPage()
    mark = str(getattr(data, rule.day_mark)) if rule.day_mark else ""
    if mark and mark in page.marks:
        withhold(draft, rule, "already-today", "", points, day=day, mark=mark)
        return 0
    left = rule.day_cap - page.given
    if points > left:
        left = max(left, 0)
        given = rule.day_cap - left
        withhold(
            draft, rule, "cap-full", line, points - left, cap=rule.day_cap, given=given, per="day", of=day_text(day)
        )
        points = left
    if points:
        page.given += points  # within the cap
        if mark:
            page.marks.append(mark)
        draft.pages.put(key, page)
    return points


def _take_room(draft: Draft, rule: Rule, points: int, what: Counted) -> int:
    """What the caps of a rule leave of an award; it is counted in all of them."""
    mark = str(getattr(what.data, rule.day_mark)) if rule.day_mark else ""
    key = ""
    if mark:
        day = _day(draft, what)
        key = f"day/{rule.name}/{day}"
        page = draft.pages.get(key)
        if isinstance(page, DayPage) and mark in page.marks:
            withhold(draft, rule, "already-today", "", points, day=day, mark=mark)
            return 0
    buckets = rule.buckets
    if draft.engine < 2:  # the day before the month and the year, and counted even where these then let less through
        of_day, buckets = (buckets[:1], buckets[1:]) if rule.day_cap else ((), buckets)
        points = _room(draft, rule, of_day, points, what)
        _count(draft, rule, of_day, points, what)
        _mark(draft, rule, key, mark, points)
    points = _room(draft, rule, buckets, points, what)
    _count(draft, rule, buckets, points, what)
    if draft.engine >= 2:
        _mark(draft, rule, key, mark, points)
    return points


def _mark(draft: Draft, rule: Rule, key: str, mark: str, points: int) -> None:
    """Keep on the page of a day that a rule gave for something."""
    if mark and points:
        page = draft.pages.get(key)
        if not isinstance(page, DayPage):
            page = DayPage()
        if not rule.day_cap:
            page.given = draft.bounded(page.given + points)
        page.marks.append(mark)
        draft.pages.put(key, page)


def _room(draft: Draft, rule: Rule, buckets: tuple[Bucket, ...], points: int, what: Counted) -> int:
    """What the fullest of some buckets leaves of an award."""
    room, full = points, None
    for bucket in buckets:
        left = max(bucket.points - _given(draft, rule, bucket, what), 0)
        if left < room:
            room, full = left, bucket
    if full is not None:
        given = full.points - room
        figures: dict[str, int | str] = {
            "cap": full.points,
            "given": given,
            "per": full.per,
            "of": _of(draft, full, what),
        }
        withhold(draft, rule, "cap-full", what.line.line if what.line is not None else "", points - room, **figures)
    return room


def _given(draft: Draft, rule: Rule, bucket: Bucket, what: Counted) -> int:
    """What a rule has given in a bucket."""
    if bucket.per == "order":
        return what.order.given.get(rule.name, 0) if what.order is not None and what.order.given else 0
    key = _bucket_key(draft, rule, bucket, what)
    if isinstance(key, str):
        page = draft.pages.get(key)
        return page.given if isinstance(page, DayPage) else 0
    counts = draft.account.counts.get(key)
    return 0 if counts is None else counts.get(rule.name, 0)


def _count(draft: Draft, rule: Rule, buckets: tuple[Bucket, ...], points: int, what: Counted) -> None:
    """Count what a rule gives in all its buckets."""
    for bucket in buckets if points else ():
        if bucket.per == "order":
            if what.order is not None:
                if what.order.given is None:
                    what.order.given = {}
                what.order.given[rule.name] = draft.bounded(what.order.given.get(rule.name, 0) + points)
            continue
        key = _bucket_key(draft, rule, bucket, what)
        if isinstance(key, str):
            page = draft.pages.get(key)
            if not isinstance(page, DayPage):
                page = DayPage()
            page.given = draft.bounded(page.given + points)
            draft.pages.put(key, page)
        else:
            draft.emit(CounterAdded(rule.name, key, points))


def _bucket_key(draft: Draft, rule: Rule, bucket: Bucket, what: Counted) -> int | str:
    """Where a bucket is counted: the account's counter of a month, a year or for ever, or the page of that key."""
    per, month = bucket.per, what.month or draft.month
    if per == "term":
        return f"cap/{rule.name}/term/{what.term.card if what.term is not None else ''}"
    if bucket.each:
        when = _day(draft, what) if per == "day" else month
        return f"cap/{rule.name}/{bucket.each}.{per}.{when}/{_value(bucket, what)}"
    if per == "day":
        return f"day/{rule.name}/{_day(draft, what)}"
    return month if per == "month" else month // 12 if per == "year" else 0


def _day(draft: Draft, what: Counted) -> int:
    return what.day if what.day is not None else day_of(draft.occurred, draft.version.offset)


def _of(draft: Draft, bucket: Bucket, what: Counted) -> str:
    """Which bucket it is, for people: the order, card, day, month or year, and the value that it is of."""
    month = what.month or draft.month
    match bucket.per:
        case "order":
            of = str(getattr(what.data, "order", ""))
        case "term":
            of = what.term.card if what.term is not None else ""
        case "day":
            of = day_text(_day(draft, what))
        case "month":
            of = month_text(month)
        case _:
            of = str(month // 12) if bucket.per == "year" else ""
    return f"{of}, {bucket.each} {_value(bucket, what)}" if bucket.each else of


def _value(bucket: Bucket, what: Counted) -> str:
    return str(getattr(what.line if bucket.of_line else what.data, bucket.each))
