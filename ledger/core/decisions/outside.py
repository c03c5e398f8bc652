"""Exchanges with another ledger: what is taken is held here until the other side has answered.

The other side is a ledger of ours, asked by a follow-up fact and never silent for ever; or a partner, who reads the
outcome and answers by a fact of its own, and has so many days for it, after which the hold ends by itself. The first
answer stands. Source: two-accounts.md E.
"""

from ledger.core.draft import MAX_TOTAL, Draft
from ledger.core.lots import capture_hold, earn, owe, owe_back, part_of, release_hold, restore, spend, take
from ledger.core.pages import Fined, GivenPage, OutsidePage, RedemptionPage
from ledger.rulebook import schema
from ledger.rulebook.compiled import NOT_MEMBERS
from ledger.wire import facts
from ledger.wire.entries import ClawedBack, Earned, Held, Spent, WrittenOff
from ledger.wire.facts import (
    MAX_INT,
    Exchange,
    ExchangeAnswer,
    ExchangeAsk,
    ExchangeConfirmation,
    ExchangeFailure,
    ExchangeRecall,
)
from ledger.wire.follow_ups import ledger_of
from ledger.wire.times import DAY, MAX_INSTANT, to_datetime, to_instant

ASKED, CONFIRMED, FAILED, UNDONE = range(4)  # the states of a page: no answer yet, yes, no, given back there and here


def taken_key(request: str) -> str:
    """Return the key of the page with the lots that an exchange took."""
    return f"exchanged/{request}"


def check(draft: Draft, data: Exchange, table: schema.Exchange, given: int) -> None:
    """Decline an exchange with another ledger that could not be held, or not be given there."""
    if _held_until(draft, table) <= draft.clock:
        draft.decline("hold-over")
    if given > MAX_INT:
        draft.decline("out-of-range", given=given, most=MAX_INT)
    name = _name(data.request)
    if draft.hold_key(name) in draft.account.holds or draft.pages.get(f"hold/{name}") is not None:
        draft.decline("already")


def ask(draft: Draft, data: Exchange, table: schema.Exchange, given: int) -> None:
    """Hold what an exchange takes (there is enough of it), and ask the other ledger, or let the partner read of it."""
    assert table.ledger is not None
    kind, until = table.takes, _held_until(draft, table)
    page = OutsidePage(
        data.exchange, table.ledger, kind, table.gives, given, is_partner=table.answer_within is not None, parts=[]
    )
    for key, points in take(draft, kind, data.points):
        page.parts.append(part_of(draft.account.purses[kind].lots[key], key, points))
        draft.emit(Held(kind, key, points, draft.hold_key(_name(data.request)), until))
    draft.pages.put(_key(data.request), page)
    if not page.is_partner:
        ends = min(draft.account.purses[kind].idle_until or MAX_INSTANT, *(part.expires_at for part in page.parts))
        expires = None if ends >= MAX_INSTANT else to_datetime(ends)
        told = ExchangeAsk(frm=draft.name, request=data.request, kind=table.gives, points=given, expires=expires)
        draft.tell(f"{table.ledger}/{draft.name}", facts.ExchangeAsked, told)
    draft.note("exchange-asked", ledger=table.ledger, gives=table.gives, given=given)


def _held_until(draft: Draft, table: schema.Exchange) -> int:
    if table.answer_within is None:
        return MAX_INSTANT
    return min(draft.occurred + table.answer_within * DAY, MAX_INSTANT)


# -- the answer --------------------------------------------------------------------------------------------------------


def confirm(draft: Draft, data: ExchangeConfirmation) -> None:
    """Decide that a partner gave what an exchange asked for."""
    _end(draft, data.request, _asked_page(draft, data.request, is_partner=True), is_given=True)


def fail(draft: Draft, data: ExchangeFailure) -> None:
    """Decide that a partner gave nothing for an exchange."""
    _end(draft, data.request, _asked_page(draft, data.request, is_partner=True), is_given=False, why=data.reason)


def answered(draft: Draft, data: ExchangeAnswer) -> None:
    """Decide what another ledger answered: to an exchange, or to the wish to have one undone."""
    page = _asked_page(draft, data.request, is_partner=False)
    if page.state != CONFIRMED:
        _end(draft, data.request, page, is_given=data.yes, why=data.reason)
    elif data.yes:
        _undo(draft, data.request, page)
    else:
        draft.note(data.reason or "given-spent", request=data.request)


def _asked_page(draft: Draft, request: str, *, is_partner: bool) -> OutsidePage:
    """Return the page of an exchange that the fact's source may answer; declines others."""
    page = draft.pages.get(_key(request))
    if not isinstance(page, OutsidePage) or (page.is_partner, page.ledger) != (is_partner, ledger_of(draft.source)):
        draft.decline("unknown-exchange", request=request)
    return page


def _end(draft: Draft, request: str, page: OutsidePage, *, is_given: bool, why: str = "") -> None:
    if page.state != ASKED:
        draft.decline("exchange-ended", request=request)
    name = _name(request)
    key_of_hold = draft.hold_key(name)
    hold = draft.account.holds.get(key_of_hold)
    if hold is not None and draft.pages.get(f"hold/{name}") is not None:
        hold = None  # of that name, and the member's own: this one's is over
    if not is_given:
        if hold is not None:
            release_hold(draft, key_of_hold, hold, draft.clock)
        draft.note("exchange-failed", request=request, why=why)
    elif hold is not None:
        draft.pages.put(taken_key(request), RedemptionPage(page.kind, "", capture_hold(draft, key_of_hold, hold)))
    else:
        _pay_late(draft, request, page)
    page.state = CONFIRMED if is_given else FAILED
    draft.pages.put(_key(request), page)


def _pay_late(draft: Draft, request: str, page: OutsidePage) -> None:
    """Take what was given though the hold is over: the lots of then first, then any; what is missing is debt."""
    kind, name, parts = page.kind, _name(request), []
    points = rest = sum(part.points for part in page.parts)
    has_any = draft.account.purse(kind).spendable() > 0
    for part in page.parts:
        lot = draft.account.purse(kind).lots.get(part.lot)
        own = min(part.points, lot.left) if lot is not None and not lot.pending_until else 0
        if lot is not None and own:
            parts.append(part_of(lot, part.lot, own))
            draft.emit(Spent(kind, part.lot, own, name))
            rest -= own
    others = spend(draft, kind, rest, name) if has_any else []
    rest -= sum(part.points for part in others)
    if rest and draft.account.closed:
        draft.emit(WrittenOff(kind, rest, _rule(page.exchange)))
    elif rest:
        owe(draft, kind, rest, _rule(page.exchange))
        page.debt = rest
    draft.pages.put(taken_key(request), RedemptionPage(kind, "", parts + others))
    draft.note("late-confirmed", request=request, asked=points, short=rest)


def _undo(draft: Draft, request: str, page: OutsidePage) -> None:
    """Give back what an exchange took, of which the other ledger took back all that it gave."""
    if page.debt:
        owe_back(draft, Fined(_rule(page.exchange), page.debt, page.kind, debt=page.debt))
    taken = draft.pages.get(taken_key(request))
    assert isinstance(taken, RedemptionPage), "an exchange that was confirmed took something"
    restore(draft, _name(request), taken, sum(part.points for part in taken.parts), taken_key(request))
    page.state = UNDONE
    draft.pages.put(_key(request), page)


def reverse(draft: Draft, request: str, page: OutsidePage) -> None:
    """Decide that an exchange with another ledger is to be undone: that ledger is asked, and may be asked again."""
    if page.is_partner:
        draft.decline("given-spent", ledger=page.ledger)
    if page.state == ASKED:
        draft.decline("exchange-asked", request=request)
    if page.state != CONFIRMED:
        draft.decline("already" if page.state == UNDONE else "exchange-ended", request=request)
    draft.tell(f"{page.ledger}/{draft.name}", facts.ExchangeRecalled, ExchangeRecall(frm=draft.name, request=request))


# -- at the other ledger -----------------------------------------------------------------------------------------------


def give(draft: Draft, data: ExchangeAsk) -> None:
    """Decide points that an exchange in another ledger is to give here: they come in, or the answer is no."""
    ledger = ledger_of(draft.source)
    key = _given_key(ledger, data.frm, data.request)
    if draft.pages.get(key) is not None:
        draft.decline("already")
    why, lot = _why_not(draft, data), 0
    if why:
        draft.note("exchange-failed", request=data.request, why=why)
    else:
        lot, at = draft.next_lot(), draft.occurred
        ends = MAX_INSTANT if data.expires is None else to_instant(data.expires)
        ends = min(ends, draft.version.expires_at(data.kind, at))
        rule, points = _rule(ledger), data.points
        earn(draft, Earned(data.kind, lot, points, rule, at, ends, page=data.request, uncapped=points, returnable=True))
    draft.pages.put(key, GivenPage(data.kind, lot, 0 if why else data.points))
    _answer(draft, ledger, data, why)


def _why_not(draft: Draft, data: ExchangeAsk) -> str:
    """Return why points cannot be given here, empty where they can."""
    version, purse = draft.version, draft.account.purse(data.kind)
    if data.kind not in version.programme.kinds or data.kind in version.keyed_kinds:
        return "unknown-kind"
    if draft.name.startswith(NOT_MEMBERS):
        return "not-a-member"
    if draft.account.closed:
        return "account-closed"
    return "out-of-range" if purse.issued + purse.come + data.points > MAX_TOTAL else ""


def take_back(draft: Draft, data: ExchangeRecall) -> None:
    """Decide that what was given for an exchange goes, which it does while all of it is there."""
    ledger = ledger_of(draft.source)
    key = _given_key(ledger, data.frm, data.request)
    page = draft.pages.get(key)
    if not isinstance(page, GivenPage) or not page.points:
        draft.decline("unknown-exchange", request=data.request)
    if page.is_undone:
        draft.decline("already")
    lot = draft.account.purse(page.kind).lots.get(page.lot)
    left = lot.left if lot is not None else 0
    if left < page.points:
        draft.note("given-spent", given=page.points, left=left)
        _answer(draft, ledger, data, "given-spent")
        return
    draft.emit(ClawedBack(page.kind, page.lot, page.points, _rule(ledger)))
    page.is_undone = True
    draft.pages.put(key, page)
    _answer(draft, ledger, data, "")


def _answer(draft: Draft, ledger: str, data: ExchangeAsk | ExchangeRecall, why: str) -> None:
    told = ExchangeAnswer(frm=draft.name, request=data.request, yes=not why, reason=why)
    draft.tell(f"{ledger}/{data.frm}", facts.ExchangeAnswered, told)


# -- names -------------------------------------------------------------------------------------------------------------


def _key(request: str) -> str:
    return f"exchange/{request}"


def _name(request: str) -> str:
    """Return the name of an exchange's hold, and of what it spends."""
    return f"exchange/{request}"


def _rule(name: str) -> str:
    """Return the rule of what an exchange takes (by its own name) and gives (by that of the ledger it comes from)."""
    return f"exchange.{name}"


def _given_key(ledger: str, frm: str, request: str) -> str:
    """Return the key of what was given for an exchange of another ledger: each account there names its own."""
    return f"given/{ledger}/{len(frm)}/{frm}/{request}"
