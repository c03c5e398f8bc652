"""What rules give: the lines of a completed order, and every fact that an award rule stands on."""

from typing import Any

from ledger.core.account import Term, term_at
from ledger.core.draft import Draft
from ledger.core.lots import earn
from ledger.core.pages import Award, DayPage, PageLine
from ledger.rulebook.compiled import Rule
from ledger.wire.entries import CounterAdded, Earned, FirstSeen, Scored, ScoredOnce, Withheld
from ledger.wire.facts import Line, Order
from ledger.wire.times import DAY, day_of, day_text


def award_line(draft: Draft, rules: tuple[Rule, ...], month: int, order: Order, line: Line) -> PageLine:
    """Apply the line rules of one version to a completed line; returns what its page keeps."""
    fen, category = line.paid_fen, line.category
    awards: list[Award] = []
    replaced: str | None = None
    for rule in rules:
        if rule.name == replaced:
            continue
        term: Term | None = None
        if rule.member is not None:
            term = term_at(draft.account, rule.member, draft.occurred)
            if term is None:
                continue
        if rule.test is not None and not rule.test(line, order):
            continue
        if rule.first_category and not _is_first(draft, rule, category):
            continue
        points = uncapped = rule.amount(fen, category)
        if rule.line_cap and points > rule.line_cap:
            points = rule.line_cap
        if term is not None:
            cap = draft.version.products[term.product][1].cap if term.product in draft.version.products else None
            if cap is not None and term.capped + points > cap:
                draft.emit(Withheld(rule.name, "card-cap-full", line.line, points))
                continue
            replaced = rule.award.instead_of
        if rule.month_cap or rule.year_cap:
            points = _count(draft, rule, points, month, line.line)
        if not points:
            continue
        if rule.key:
            kept = _score(draft, rule, points, uncapped, month, order.order, line.line, fen)
        else:
            kept = _earn(draft, rule, points, uncapped, order.order, line.line, fen, term)
        if rule.returnable:
            awards.append(kept)
    return PageLine(line.line, line.quantity, fen, category, 0, 0, False, awards)


def _score(draft: Draft, rule: Rule, points: int, uncapped: int, month: int, page: str, line: str, base: int) -> Award:
    """Write down what a rule gives as an item of a score."""
    draft.score(Scored(rule.score, rule.part, rule.name, month, points, page, line, base, uncapped))
    return Award(rule.name, points, points, "", 0, 0, rule.score, rule.part, month)


def _earn(
    draft: Draft, rule: Rule, points: int, uncapped: int, page: str, line: str, base: int, term: Term | None = None
) -> Award:
    """Write down what a rule gives as a lot; `term` is the card that it counts against."""
    kind, earned_at = rule.kind, draft.occurred
    expires_at = draft.version.expires_at(kind, earned_at)
    pending, card = 0, ""
    if term is not None:
        card = term.card
        if term.trial and not term.converted:
            membership = draft.version.programme.memberships[rule.member or ""]
            pending = term.until + membership.release_days * DAY
    lot = draft.next_lot()
    is_returnable = line != ""
    change = Earned(
        kind, lot, points, rule.name, earned_at, expires_at, pending, page, line, base, uncapped, card, is_returnable
    )
    earn(draft, change)
    return Award(rule.name, points, points, kind, lot, expires_at)


def award_fact(
    draft: Draft,
    on: str,
    data: Any,
    *,
    page: str = "",
    day: int | None = None,
    line: PageLine | None = None,
    since: int = 0,
) -> list[Award]:
    """Apply the rules that stand on a fact. `line` is the order line it is about, `since` that line's completion.

    Returns the awards, which the page of what was awarded keeps where they can be taken back.
    """
    awards: list[Award] = []
    month = draft.version.month(draft.occurred)
    line_name, base, category = ("", 0, "") if line is None else (line.line, line.paid_fen, line.category)
    for rule in draft.version.fact_rules.get(on, ()):
        if rule.is_dated and not rule.since <= draft.occurred < rule.until:
            continue
        if rule.test is not None and not rule.test(line, data):
            continue
        award = rule.award
        if rule.within and draft.occurred - since > rule.within:
            draft.emit(Withheld(rule.name, "too-long-after-completion", line_name))
            continue
        if award.unless_returned and line is not None and line.returned >= line.quantity:
            draft.emit(Withheld(rule.name, "line-returned", line_name))
            continue
        if award.days_in_month is not None and not _is_nth_day(draft, rule, month, award.days_in_month):
            continue
        points = uncapped = rule.amount(base, category)
        if award.once:
            if rule.key in draft.account.once:
                draft.emit(Withheld(rule.name, "once", would=points))
            else:
                draft.emit(ScoredOnce(rule.score, rule.part, rule.name, points, draft.occurred))
            continue
        if rule.day_cap or rule.day_mark:
            mark = getattr(data, rule.day_mark) if rule.day_mark else ""
            on_day = day_of(draft.occurred, draft.version.offset) if day is None else day
            points = _count_day(draft, rule, points, on_day, mark)
        if rule.month_cap or rule.year_cap:
            points = _count(draft, rule, points, month, line_name)
        if not points:
            continue
        if rule.key:
            awards.append(_score(draft, rule, points, uncapped, month, page, line_name, base))
        else:
            awards.append(_earn(draft, rule, points, uncapped, page, line_name, base))
    return awards


def _is_first(draft: Draft, rule: Rule, category: str) -> bool:
    """Whether a category is met for the first time (in stream order); an empty one never counts."""
    if not category or category in draft.account.marks.get(rule.name, ()):
        return False
    draft.emit(FirstSeen(rule.name, 0, category))
    return True


def _is_nth_day(draft: Draft, rule: Rule, month: int, wanted: int) -> bool:
    """Whether this fact's day is the `wanted`-th different one of its month."""
    days = draft.account.days.get(month, {}).get(rule.name, 0)
    if days.bit_count() >= wanted:
        return False
    day = day_text(day_of(draft.occurred, draft.version.offset))
    if days >> int(day[-2:]) & 1:
        return False
    draft.emit(FirstSeen(rule.name, month, day))
    return days.bit_count() + 1 == wanted


def _count(draft: Draft, rule: Rule, points: int, month: int, line: str = "") -> int:
    """What the month's and the year's caps leave of an award, and count it."""
    caps = [(cap, bucket) for cap, bucket in ((rule.month_cap, month), (rule.year_cap, month // 12)) if cap]
    room = points
    for cap, bucket in caps:
        counts = draft.account.counts.get(bucket)
        left = cap if counts is None else cap - counts.get(rule.name, 0)
        if left < room:
            room = left
    if room < points:
        draft.emit(Withheld(rule.name, "cap-full", line, points - room))
    if room:
        for _, bucket in caps:
            draft.emit(CounterAdded(rule.name, bucket, room))
    return room


def _count_day(draft: Draft, rule: Rule, points: int, day: int, mark: str) -> int:
    """What a day's cap leaves of an award (once a day for each mark), counted on the page of that day."""
    key = f"day/{rule.name}/{day}"
    page = draft.pages.get(key)
    if not isinstance(page, DayPage):
        page = DayPage()
    if mark and mark in page.marks:
        draft.emit(Withheld(rule.name, "already-today", would=points))
        return 0
    room = min(points, rule.day_cap - page.given) if rule.day_cap else points
    if room < points:
        draft.emit(Withheld(rule.name, "cap-full", would=points - room))
    if room:
        page.given += room
        if mark:
            page.marks.append(mark)
        draft.pages.put(key, page)
    return room
