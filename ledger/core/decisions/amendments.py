"""Amendments: the lines of an order as they are now, and what each rule gives more or less for it.

For each line and rule A is what was given and A′ what the new line gives at its completion's version, card and
multiplier. K(A′) − K(A), both with what came back so far, is earned now or taken back. Source: orders.md 3.
"""

from msgspec import Struct

from ledger.core.account import Term, term_at
from ledger.core.awards import Counted, earn_award, room_of, withhold
from ledger.core.card_orders import count_taken_out, ordinary_of, put_order, stood_in_for, taken_out_of
from ledger.core.decisions.orders import (
    ENDED,
    apply_early,
    award_lines,
    listed,
    page_line,
    page_of,
    restore_rest,
)
from ledger.core.decisions.payments import take_back_line
from ledger.core.draft import Draft
from ledger.core.evaluate import amount_of, meets, multiplier_of
from ledger.core.lots import claw_back
from ledger.core.pages import COMPLETED, Award, CardPage, Completion, GrownLot, OrderPage, PageLine, kept_of
from ledger.core.rights import end_rights, tag_line
from ledger.core.who import unentitled_by
from ledger.rulebook.compiled import Multiplier, ProgrammeVersion, Rule
from ledger.rulebook.schema import AT_SHOP
from ledger.wire.entries import Scored
from ledger.wire.facts import AmendedOrder, OrderLine
from ledger.wire.times import day_of


class _Line(Struct, gc=False):
    """A line that is amended: its page, its new data, and by rule what it kept before."""

    page: PageLine
    data: OrderLine
    kept: dict[str, int]


class _Order(Struct, gc=False):
    """An order that is amended, as its rules are asked: the fact's data and the completion of one of its lines."""

    name: str
    page: OrderPage
    data: AmendedOrder
    completion: Completion
    version: ProgrammeVersion


def amend(draft: Draft, order: AmendedOrder) -> None:
    """Decide the lines of an order as they are now; before its completion they are only kept."""
    page = page_of(draft, order.order)
    if page is None:
        draft.decline("unknown-order", order=order.order)
    if page.status in ENDED and page.status != COMPLETED:
        draft.decline(ENDED[page.status])
    if page.status != COMPLETED:
        page.lines = [page_line(line) for line in order.lines]
        draft.pages.put(f"order/{order.order}", page)
        return
    draft.refund_fen = order.refund_fen
    page.more = page.more or order.more
    known = {line.line: line for line in page.lines}
    amended = [_renew(page, known[line.line], line) for line in order.lines if _is_there(known, line.line)]
    fresh = [line for line in order.lines if line.line not in known]
    gone = [line.line for line in order.lines if line.line in known and known[line.line].is_gone]
    if gone:
        draft.note("line-returned", lines=listed(gone))
    asked = draft.version.asks_who.get("order.completed", ()) if fresh else ()
    unentitled = unentitled_by(draft, asked, order)
    named = {line.line for line in order.lines}
    missing = [line for line in page.lines if not line.is_gone and line.line not in named]
    for line in missing:
        line.is_gone = True
        line.returned = max(line.returned, line.quantity)
    if not fresh:
        restore_rest(draft, page)
    for renewed in amended:
        draft.unentitled = None  # what was judged at its completion holds
        _amend_line(draft, _asked_of(draft, page, order, renewed.page), renewed)
    if fresh:
        draft.unentitled = unentitled
        award_lines(draft, page, order, fresh)
    for gone_line in missing:
        end_rights(draft, gone_line)
        take_back_line(draft, page, gone_line.line)
        for award in gone_line.awards:
            claw_back(draft, award, 0, gone_line.line)
    apply_early(draft, page)
    draft.pages.put(f"order/{order.order}", page)


def _is_there(known: dict[str, PageLine], name: str) -> bool:
    return name in known and not known[name].is_gone


def _renew(page: OrderPage, line: PageLine, data: OrderLine) -> _Line:
    """Put a line's new figures on its page; what it kept of each award goes by the old ones."""
    kept = {award.rule: kept_of(line, award.counted) for award in line.awards}
    line.quantity, line.paid_fen, line.category = data.quantity, data.paid_fen, data.category
    line.sku, line.points = data.sku, data.points
    said = page.completions[line.completion].said if page.completions else None
    if said is not None:
        tag_line(said, data)
    return _Line(line, data, kept)


def _asked_of(draft: Draft, page: OrderPage, order: AmendedOrder, line: PageLine) -> _Order:
    if page.completions:
        completion = page.completions[line.completion]
    else:  # engine 1 kept no more than the instant
        completion = Completion(page.ended_at, "")
        for membership in draft.account.terms:
            term = term_at(draft.account, membership, page.ended_at)
            if term is not None:
                completion.cards = {**(completion.cards or {}), membership: term.card}
    version = draft.book.decided(completion.version, completion.at)
    return _Order(order.order, page, order, completion, version)


def _amend_line(draft: Draft, order: _Order, line: _Line) -> None:
    """Give or take back what each rule of a line's completion makes of its new figures."""
    awards = {award.rule: award for award in line.page.awards}
    replaced: set[str] = set()
    for rule in order.version.line_rules:
        award = awards.get(rule.name)
        if not rule.is_kept or rule.award.first or (award is None and _is_not_asked_anew(order, rule)):
            continue
        term = _term_of(draft, order, rule, award)
        given = 0
        if rule.name not in replaced and (term is not None or rule.member is None or award is not None):
            given = _would_give(order, rule, line)
        if award is not None and award.card and rule.member in order.version.claws_back:
            award.ordinary = _ordinary_of(draft, order, line, rule, award.ordinary)
            if award.is_ordinary:
                given = award.ordinary
        award = _move_to(draft, order, line, rule, award, term, given)
        if award is not None and award.given and rule.award.instead_of:
            replaced.add(rule.award.instead_of)


def _is_not_asked_anew(order: _Order, rule: Rule) -> bool:
    """Return True if a rule that gave nothing gives nothing now: what it asked of the member is not known any more."""
    return rule.has_guards or rule.who is not None or rule.wants_joined or (rule.at_shop and not order.data.shop)


def _ordinary_of(draft: Draft, order: _Order, line: _Line, rule: Rule, had: int) -> int:
    """Return what the rule would have given for the new line, at its completion, that a card's rule stands in for.

    One with `who` only if it would have then; a multiplier that was not asked for then is the first for anybody.
    """
    other = stood_in_for(order.version, rule)
    if other is None or (other.who is not None and not had):
        return 0
    draft.unentitled = {times.name: "" for times in other.times if times.who is not None}
    return ordinary_of(draft, order.version, order.completion.at, order.data, order.page, line.page, rule)


def _term_of(draft: Draft, order: _Order, rule: Rule, award: Award | None) -> Term | None:
    """The term of the card by which a rule gave, or of the one that held at the line's completion."""
    if rule.member is None:
        return None
    card = (award.card if award is not None else "") or (order.completion.cards or {}).get(rule.member, "")
    page = draft.pages.get(f"card/{card}") if card else None
    if isinstance(page, CardPage) and page.is_taken_back:
        return None
    terms = draft.account.terms.get(rule.member, ())
    laid = next((term for term in terms if card and term.card == card), None)
    return laid or (taken_out_of(draft, rule.member, card) if card else None)


def _would_give(order: _Order, rule: Rule, line: _Line) -> int:
    """Return A′: what a rule gives for the new line at its completion, after the cap of the line."""
    if not rule.since <= order.completion.at < rule.until or not meets(rule.clauses, line.data, order.data):
        return 0
    data = line.data
    points = amount_of(rule.amount, data.paid_fen, data.category, data.quantity, _times_of(order, rule, line))
    return min(points, rule.line_cap) if rule.line_cap else points


def _times_of(order: _Order, rule: Rule, line: _Line) -> Multiplier | None:
    """The multiplier that held at the line's completion; where the rule was not asked then, the first for anybody."""
    kept = line.page.times or {}
    if rule.name in line.kept:
        text = kept.get(rule.name)
        return next((times for times in rule.times if times.text == text), None)
    of_some = {times.name for times in rule.times if times.who is not None}
    found = multiplier_of(rule, line.data, order.data, order.completion.at, of_some)
    if found is not None:  # it stands, should the rule give now
        line.page.times = {**kept, rule.name: found.text}
    elif rule.name in kept:
        del kept[rule.name]
    return found


def _move_to(
    draft: Draft, order: _Order, line: _Line, rule: Rule, award: Award | None, term: Term | None, given: int
) -> Award | None:
    """Let an award come to `given`, or one begin that gave nothing. Returns it, None where there is none."""
    page, before = line.page, line.kept.get(rule.name, 0)
    less = award.less if award is not None else 0
    counted = max(0, given - less)
    more = kept_of(page, counted) - before
    if more > 0:
        room = 0
        if draft.clock - order.completion.at > draft.version.late:
            withhold(draft, rule, "too-long-after-completion", page.line, more, since=order.completion.at)
        elif term is not None or rule.member is None or award is not None:  # its card may be taken back by now
            at = order.completion.at
            day, month = day_of(at, order.version.offset), order.version.month(at)
            room = room_of(draft, rule, more, Counted(order.data, line.data, term, order.page, day, month))
        if room < more:
            counted = _least_that_keeps(page, before + room)
        if room:
            award = _add(draft, order, line, rule, award, term, room)
    elif more < 0 and award is not None:
        claw_back(draft, award, max(0, award.held + more), page.line)
    if award is not None:
        award.given = draft.bounded(counted + less)
    return award


def _least_that_keeps(line: PageLine, points: int) -> int:
    """Return the least A of which a line keeps so many points (K(A) = points), where it keeps anything at all."""
    paid = line.paid_fen
    left = paid - min(line.refunded_fen, paid)
    return -(-points * paid // left) if left else points


def _add(
    draft: Draft, order: _Order, line: _Line, rule: Rule, award: Award | None, term: Term | None, points: int
) -> Award:
    """Give points more for a line: a second lot of its award, or an item in the month of its completion."""
    name, fen = line.page.line, line.data.paid_fen
    if award is None:
        at = f"{AT_SHOP}{order.data.shop}" if rule.at_shop else ""
        kind, score = rule.kind and rule.kind + at, rule.score and rule.score + at
        award = Award(rule.name, 0, 0, kind, score=score, part=rule.part)
        award.month = order.version.bucket(rule.score, order.completion.at) if rule.key else 0
        line.page.awards.append(award)
    if rule.key:
        draft.score(Scored(award.score, rule.part, rule.name, award.month, points, order.name, name, fen, points))
    else:
        kind = f"{rule.kind}{AT_SHOP}{order.data.shop}" if rule.at_shop else rule.kind
        earned = earn_award(draft, rule, kind, points, points, order.name, name, fen, term)
        if term is not None:
            count_taken_out(draft, term.card, points)
        if award.lot:
            award.grown = (*award.grown, GrownLot(earned.lot, points, earned.expires_at))
        else:
            award.lot, award.expires_at, award.card = earned.lot, earned.expires_at, earned.card
            if rule.member in order.version.claws_back:
                award.ordinary = _ordinary_of(draft, order, line, rule, 0)
                put_order(draft, earned.card, order.name)
    award.held = draft.bounded(award.held + points)
    return award
