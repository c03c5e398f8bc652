"""What rules give: the one pipeline through which every award goes, for a line and for a whole fact alike.

Applies (dates, conditions, membership, firsts) → amount → caps of the line and the card → caps of the day, month and
year → given. Each guard that says no tells the draft's `trace`, where one listens, the rule, a code and figures.
"""

from typing import Any

from ledger.core.account import Term, term_at
from ledger.core.draft import Draft
from ledger.core.evaluate import amount_of, meets
from ledger.core.lots import earn
from ledger.core.pages import Award, DayPage, PageLine
from ledger.rulebook.compiled import Rule
from ledger.wire.entries import CounterAdded, Earned, FirstSeen, Scored, ScoredOnce, Withheld
from ledger.wire.facts import OrderLine
from ledger.wire.times import DAY, day_of, day_text


def apply_rules(
    draft: Draft,
    rules: tuple[Rule, ...],
    data: Any,
    page: str,
    line: OrderLine | PageLine | None = None,
    day: int | None = None,
    since: int = 0,
) -> list[Award]:
    """Give what some rules give for a fact of this data, or for one `line` of it; return what its page keeps of that.

    `page` names what it is given for, `day` (since 1970) what it counts on if not on that of the fact; `since` is the
    instant at which the line was completed.
    """
    account, occurred, trace = draft.account, draft.occurred, draft.trace
    name, fen, category = "", 0, ""
    if line is not None:
        name, fen, category = line.line, line.paid_fen, line.category
    awards: list[Award] = []
    replaced: str | None = None
    by = ""
    for rule in rules:
        if replaced is not None and rule.name == replaced:
            if trace is not None:
                trace.skipped(rule, "replaced", {"line": name, "by": by})
            continue
        if rule.is_dated and not rule.since <= occurred < rule.until:
            if trace is not None:
                trace.skipped(rule, "not-in-force", {"line": name})
            continue
        if rule.clauses and not meets(rule.clauses, line, data):
            if trace is not None:
                trace.skipped(rule, "condition", {"line": name})
            continue
        term: Term | None = None
        if rule.member is not None:
            term = term_at(account, rule.member, occurred)
            if term is None:
                if trace is not None:
                    trace.skipped(rule, "no-membership", {"line": name})
                continue
        if rule.who is not None and rule.name in draft.unentitled:
            points = amount_of(rule.amount, fen, category)
            _withhold(draft, rule, "not-entitled", name, points, who=draft.unentitled[rule.name])
            continue
        if rule.has_guards:
            award = rule.award
            if award.first is not None and line is not None and not _is_first(draft, rule, line):
                continue
            if rule.within and occurred - since > rule.within:
                _withhold(draft, rule, "too-long-after-completion", name, 0, since=since)
                continue
            if award.unless_returned and isinstance(line, PageLine) and line.returned >= line.quantity:
                _withhold(draft, rule, "line-returned", name, 0)
                continue
            if award.days_in_month is not None and not _is_nth_day(draft, rule, award.days_in_month):
                continue
        points = uncapped = amount_of(rule.amount, fen, category)
        if rule.line_cap and points > rule.line_cap:
            points = rule.line_cap
        if term is not None:
            if not _has_room(draft, rule, term, points, name):
                continue
            replaced, by = rule.award.instead_of, rule.name
        if rule.is_counted:
            if rule.award.once:
                if rule.key in account.once:
                    _withhold(draft, rule, "once", "", points)
                else:
                    draft.remember(rule.score)
                    draft.emit(ScoredOnce(rule.score, rule.part, rule.name, points, occurred))
                continue
            if rule.day_cap or rule.day_mark:
                points = _count_day(draft, rule, points, data, day)
            if rule.month_cap or rule.year_cap:
                points = _count_bucket(draft, rule, points, name)
        if not points:
            if trace is not None and not uncapped:
                trace.skipped(rule, "too-little", {"line": name})
            continue
        if rule.key:
            month = draft.version.bucket(rule.score, occurred) if rule.score in draft.version.live else draft.month
            draft.score(Scored(rule.score, rule.part, rule.name, month, points, page, name, fen, uncapped))
            if rule.is_kept:
                awards.append(Award(rule.name, points, points, "", 0, 0, rule.score, rule.part, month))
        else:
            lot = _earn(draft, rule, points, uncapped, page, name, fen, term)
            if rule.is_kept:
                card = lot.card
                awards.append(Award(rule.name, points, points, rule.kind, lot.lot, lot.expires_at, card=card))
    return awards


def _earn(
    draft: Draft, rule: Rule, points: int, uncapped: int, page: str, line: str, base: int, term: Term | None
) -> Earned:
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
    return change


def _withhold(draft: Draft, rule: Rule, code: str, line: str, would: int, **figures: int | str) -> None:
    """Say in the entry that a rule which applies gives nothing, or `would` points less."""
    draft.emit(Withheld(rule.name, code, line, would))
    if draft.trace is not None:
        draft.trace.skipped(rule, code, {"line": line, "would": would, **figures})


# -- guards: whether a rule applies ------------------------------------------------------------------------------------


def _is_first(draft: Draft, rule: Rule, line: OrderLine | PageLine) -> bool:
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


def _has_room(draft: Draft, rule: Rule, term: Term, points: int, line: str) -> bool:
    """Return True if a card's cap has room for an award."""
    found = draft.version.products.get(term.product)
    cap = found[1].cap if found is not None else None
    if cap is None or term.capped + points <= cap:
        return True
    _withhold(draft, rule, "card-cap-full", line, points, card=term.card, cap=cap, given=term.capped)
    return False


def _count_bucket(draft: Draft, rule: Rule, points: int, line: str) -> int:
    """What the caps of the month and the year leave of an award, and count it."""
    month = draft.month
    caps = [(cap, bucket) for cap, bucket in ((rule.month_cap, month), (rule.year_cap, month // 12)) if cap]
    room, full, bucket_full = points, 0, 0
    for cap, bucket in caps:
        counts = draft.account.counts.get(bucket)
        left = cap if counts is None else cap - counts.get(rule.name, 0)
        if left < room:
            room, full, bucket_full = left, cap, bucket
    if room < points:
        _withhold(draft, rule, "cap-full", line, points - room, cap=full, given=full - room, bucket=bucket_full)
    if room:
        for _, bucket in caps:
            draft.emit(CounterAdded(rule.name, bucket, room))
    return room


def _count_day(draft: Draft, rule: Rule, points: int, data: Any, day: int | None) -> int:
    """What a day's cap leaves of an award (once a day for each mark), counted on the page of that day."""
    if day is None:
        day = day_of(draft.occurred, draft.version.offset)
    key = f"day/{rule.name}/{day}"
    page = draft.pages.get(key)
    if not isinstance(page, DayPage):
        page = DayPage()
    mark = getattr(data, rule.day_mark) if rule.day_mark else ""
    if mark and mark in page.marks:
        _withhold(draft, rule, "already-today", "", points, day=day, mark=mark)
        return 0
    room = min(points, rule.day_cap - page.given) if rule.day_cap else points
    if room < points:
        _withhold(draft, rule, "cap-full", "", points - room, cap=rule.day_cap, given=page.given, day=day)
    if room:
        page.given += room
        if mark:
            page.marks.append(mark)
        draft.pages.put(key, page)
    return room
