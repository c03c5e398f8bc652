"""Gifts between members: points leave whole lots with their ends, and what cannot be taken returns to those very lots.

Each side is an account of its own; they meet by follow-up facts, which come late, again, and in any order. Source: the
contract's two-accounts.md, B.
"""

from ledger.core.account import Purse
from ledger.core.caps import check_caps, count_caps
from ledger.core.draft import MAX_TOTAL, Draft
from ledger.core.lots import keep_alive, part_of, repay_or_expire, restore_parts, take
from ledger.core.pages import RECALLED, SENT_BACK, TAKEN, Part, ReceivedPage, TransferPage
from ledger.core.who import require
from ledger.rulebook.compiled import NOT_MEMBERS, TransferTerms
from ledger.wire import facts
from ledger.wire.entries import Recalled, Received, Sent, SentBack, Spent
from ledger.wire.facts import PROGRAMME_SUBJECT, Arrival, Recall, Returned, Transfer, TransferReversal
from ledger.wire.times import MAX_INSTANT, to_datetime, to_instant

# What came and went of a kind, where more may come: what comes back then, and is recalled, stays within `MAX_TOTAL`.
MOST_MOVED = MAX_TOTAL // 4
MOST_LOTS = 1_000  # of one gift, which travel in one fact


def give(draft: Draft, data: Transfer) -> None:
    """Decide points that a member asks to be given to another."""
    name, points = data.rule, data.points
    table = draft.version.programme.transfers.get(name)
    if table is None:
        draft.decline("unknown-transfer", rule=name)
    terms = draft.version.transfers[name]
    kind = draft.kind_of(data.kind, "")
    if kind != table.kind:
        draft.decline("unknown-kind", kind=kind)
    if data.to == PROGRAMME_SUBJECT or data.to.startswith(NOT_MEMBERS):
        draft.decline("not-a-member", to=data.to)
    if draft.is_self(data.to):
        draft.decline("to-self")
    require(draft, terms.who)
    fee = terms.fee_of(points)
    if fee >= points:
        draft.decline("below-least", asked=points, at_least=terms.least)
    key = f"transfer/{name}"
    check_caps(draft, key, table.cap, points)
    spendable = draft.account.purse(kind).spendable()
    if points > spendable:
        draft.decline(f"{kind}-short", asked=points, spendable=spendable)
    if _moved(draft.account.purse(kind)) + points > MOST_MOVED:
        draft.decline("out-of-range")
    taken = take(draft, kind, points)
    if len(taken) > MOST_LOTS:
        most = sum(part for _, part in taken[:MOST_LOTS])
        draft.decline("too-many-lots", asked=points, lots=len(taken), most=most, most_lots=MOST_LOTS)
    count_caps(draft, key, table.cap, points)
    page = _let_go(draft, data, kind, taken, fee)
    draft.pages.put(_sent_key(data.transfer), page)
    _tell_arrival(draft, data, page, terms)


def _moved(purse: Purse) -> int:
    return purse.gone + purse.come


def _let_go(draft: Draft, data: Transfer, kind: str, taken: list[tuple[int, int]], fee: int) -> TransferPage:
    """Take points out of lots: the fee is burned, and is the last of what was taken."""
    page = TransferPage(data.to, data.rule, kind)
    rest = data.points - fee
    if draft.version.idle:
        keep_alive(draft, kind)
    for key, points in taken:
        lot = draft.account.purses[kind].lots[key]
        going = min(points, rest)
        if going:
            page.parts.append(part_of(lot, key, going))
            draft.emit(Sent(kind, key, going, data.transfer))
            rest -= going
        if points > going:
            page.fee.append(part_of(lot, key, points - going))
            draft.emit(Spent(kind, key, points - going, f"transfer/{data.transfer}"))
    return page


def _tell_arrival(draft: Draft, data: Transfer, page: TransferPage, terms: TransferTerms) -> None:
    """Tell the receiver; what the book says of the ends of the points is applied here, by one version for both."""
    latest = MAX_INSTANT if terms.keeps_expiry else draft.version.expires_at(page.kind, draft.occurred)
    lots = [
        facts.GivenLot(
            points=part.points,
            rule=part.rule,
            earned_at=to_datetime(part.earned_at),
            expires_at=None if (end := min(part.expires_at, latest)) >= MAX_INSTANT else to_datetime(end),
        )
        for part in page.parts
    ]
    arrival = Arrival(
        frm=draft.name,
        at=to_datetime(draft.clock),
        transfer=data.transfer,
        rule=data.rule,
        kind=page.kind,
        lots=lots,
        points=page.gone,
    )
    draft.tell(data.to, facts.TransferArrived, arrival, draft.clock)


def arrive(draft: Draft, data: Arrival) -> None:
    """Decide points that another member gave: they are taken, or sent back whole where they cannot be."""
    key = _received_key(data.frm, data.transfer)
    page = draft.pages.get(key)
    if isinstance(page, ReceivedPage) and page.state != RECALLED:
        draft.decline("already")
    purse = draft.account.purse(data.kind)
    if draft.account.closed:
        reason = "account-closed"
    elif isinstance(page, ReceivedPage):
        reason = "recalled"
    elif purse.issued + data.points > MAX_TOTAL - MOST_MOVED or _moved(purse) + data.points > MOST_MOVED:
        reason = "out-of-range"
    else:
        draft.pages.put(key, _take_in(draft, data))
        return
    draft.pages.put(key, ReceivedPage(SENT_BACK, data.kind))
    _tell_return(draft, data, data.points, reason)
    draft.note("sent-back", why=reason)


def _take_in(draft: Draft, data: Arrival) -> ReceivedPage:
    page = ReceivedPage(TAKEN, data.kind, left=data.points)
    if draft.version.idle:
        keep_alive(draft, data.kind)
    for given in data.lots:
        lot = draft.next_lot()
        ends = MAX_INSTANT if given.expires_at is None else to_instant(given.expires_at)
        earned_at = to_instant(given.earned_at)
        page.lots.append(lot)
        draft.emit(Received(data.kind, lot, given.points, given.rule, earned_at, ends, data.frm, data.transfer))
        repay_or_expire(draft, data.kind, lot, draft.clock)
    return page


def _tell_return(draft: Draft, data: Arrival | Recall, points: int, reason: str) -> None:
    at = to_datetime(draft.clock)
    returned = Returned(frm=draft.name, at=at, transfer=data.transfer, points=points, reason=reason)
    draft.tell(data.frm, facts.TransferReturned, returned, draft.clock)


def come_back(draft: Draft, data: Returned) -> None:
    """Decide points of a gift that came back: to the very lots, the last taken first; with the last of them the fee."""
    key = _sent_key(data.transfer)
    page = draft.pages.get(key)
    if not isinstance(page, TransferPage):
        draft.decline("unknown-transfer", transfer=data.transfer)
    rest = data.points
    for part in reversed(page.parts):
        back = min(rest, part.points - part.restored)
        if back:
            rest -= back
            part.restored += back
            _put_back(draft, page.kind, part, back, data.transfer)
    page.back += data.points - rest
    if page.is_ended and page.fee:
        fee = sum(part.points - part.restored for part in page.fee)
        restore_parts(draft, f"transfer/{data.transfer}", page.fee, fee, page.kind)
    draft.pages.put(key, page)
    draft.figures["why"] = data.reason


def _put_back(draft: Draft, kind: str, part: Part, points: int, transfer: str) -> None:
    if draft.version.idle and part.lot >= draft.account.purse(kind).idle_ended:
        keep_alive(draft, kind)
    figures = (part.rule, part.earned, part.earned_at, part.expires_at, part.returnable)
    draft.emit(SentBack(kind, part.lot, points, transfer, *figures))
    repay_or_expire(draft, kind, part.lot, draft.clock)


def reverse(draft: Draft, data: TransferReversal) -> None:
    """Decide that what a receiver still has of a gift is asked back; later it may be asked again."""
    page = draft.pages.get(_sent_key(data.transfer))
    if not isinstance(page, TransferPage):
        draft.decline("unknown-transfer", transfer=data.transfer)
    if page.is_ended:
        draft.decline("already")
    draft.tell(page.to, facts.TransferRecalled, Recall(frm=draft.name, transfer=data.transfer))


def recall(draft: Draft, data: Recall) -> None:
    """Decide what goes back of a gift: what its very lots hold now, never other points, and never as debt."""
    key = _received_key(data.frm, data.transfer)
    page = draft.pages.get(key)
    if not isinstance(page, ReceivedPage):
        draft.pages.put(key, ReceivedPage(RECALLED))  # it is sent back as it arrives
        return
    if page.state != TAKEN:
        return
    lots = draft.account.purse(page.kind).lots
    points = 0
    for lot in page.lots:
        if lot in lots and (left := lots[lot].left):
            draft.emit(Recalled(page.kind, lot, left, data.frm, data.transfer))
            points += left
    if points:
        page.left -= points
        draft.pages.put(key, page)
        _tell_return(draft, data, points, "recalled")
    draft.figures["returned"] = points


def _sent_key(transfer: str) -> str:
    return f"transfer/{transfer}"


def _received_key(frm: str, transfer: str) -> str:
    """Return the key of a gift's page at its receiver: each sender names the sender's own gifts."""
    return f"received/{len(frm)}/{frm}/{transfer}"
