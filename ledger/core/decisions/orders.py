"""Orders from payment to return: what completes is awarded line by line, what comes back is reversed exactly."""

from ledger.core.account import term_at
from ledger.core.awards import apply_rules
from ledger.core.draft import Draft
from ledger.core.lots import claw_back, collect, restore
from ledger.core.pages import (
    CANCELLED,
    COMPLETED,
    OPEN,
    PAID,
    REJECTED,
    SEEN,
    Completion,
    EarlyReturn,
    OrderPage,
    PageLine,
    RedemptionPage,
)
from ledger.wire.entries import CounterAdded
from ledger.wire.facts import Order, OrderEnd, OrderLine, Return

_ENDED = {COMPLETED: "order-completed", CANCELLED: "order-cancelled", REJECTED: "order-rejected"}


def _page_of(draft: Draft, order: str) -> OrderPage | None:
    page = draft.pages.get(f"order/{order}") if order else None
    if page is not None and not isinstance(page, OrderPage):
        raise TypeError(f"order/{order} is the page of something else")
    return page


def _end_once(draft: Draft, page: OrderPage | None, status: int) -> None:
    """Decline what comes again, or after the order has ended another way."""
    if page is not None and page.status in _ENDED:
        draft.decline("already" if page.status == status else _ENDED[page.status])


def pay(draft: Draft, order: Order) -> None:
    """Decide an order that was paid."""
    page = _page_of(draft, order.order)
    _end_once(draft, page, PAID)
    if page is None:
        page = OrderPage()
    elif page.status == PAID:
        draft.decline("already")
    page.status = PAID
    page.lines = [page_line(line) for line in order.lines]
    draft.pages.put(f"order/{order.order}", page)


def page_line(line: OrderLine) -> PageLine:
    """Return a line as its order's page keeps it, with nothing given for it yet."""
    name, paid, sku, points = line.line, line.paid_fen, line.sku, line.points
    return PageLine(name, line.quantity, paid, line.category, sku=sku, points=points)


def complete(draft: Draft, order: Order) -> None:
    """Decide an order that is completed: its lines are awarded, and returns that came before it are applied."""
    page = _page_of(draft, order.order)
    _end_once(draft, page, COMPLETED)
    if page is None:
        page = OrderPage()
    page.status = COMPLETED
    page.ended_at = draft.occurred
    version = draft.version
    asks_all = draft.account.terms or draft.trace is not None
    rules = version.line_rules if asks_all else version.line_rules_without_card
    page.lines = []
    page.completions = [_completion(draft)]
    for line in order.lines:
        kept = page_line(line)
        kept.awards = apply_rules(draft, rules, order, order.order, line, order=page, multiplied=kept.times)
        page.lines.append(kept)
    apply_rules(draft, version.rules_on("order.completed"), order, order.order, order=page)
    tendered = sum([line.points for line in order.lines])
    if tendered != page.redeemed:
        draft.note("points-differ", tendered=tendered, redeemed=page.redeemed)
    for early in page.early:
        draft.refund_fen = early.refund_fen
        unknown = [name for name, pieces, fen in early.lines if not _return_line(draft, page, name, pieces, fen)]
        if unknown:
            draft.note("unknown-line", lines=",".join(unknown)[:512])
    page.early = []
    draft.pages.put(f"order/{order.order}", page)


def _completion(draft: Draft) -> Completion:
    """What holds for the lines that complete with this fact, as an amendment of them will ask."""
    completion = Completion(draft.occurred, draft.version.name)
    for membership in draft.account.terms:
        term = term_at(draft.account, membership, draft.occurred)
        if term is not None:
            completion.cards[membership] = term.card
    return completion


def cancel(draft: Draft, end: OrderEnd) -> None:
    """Decide an order that was cancelled."""
    order = end.order
    page = _page_of(draft, order)
    _end_once(draft, page, CANCELLED)
    if page is None:
        draft.decline("unknown-order", order=order)
    _end_with_restoration(draft, order, page, CANCELLED)


def reject(draft: Draft, end: OrderEnd) -> None:
    """Decide an order that was refused at the door, and what that costs."""
    order = end.order
    page = _page_of(draft, order)
    _end_once(draft, page, REJECTED)
    _end_with_restoration(draft, order, page or OrderPage(), REJECTED)
    month = draft.month
    for name, penalty in draft.version.programme.penalties.items():
        rule = f"penalty.{name}"
        counts = draft.account.counts
        draft.emit(CounterAdded(rule, month, 1))
        draft.emit(CounterAdded(rule, month // 12, 1))
        in_month, in_year = counts[month][rule], counts[month // 12][rule]
        exempt = penalty.exempt
        is_exempt = False
        if exempt is not None and term_at(draft.account, exempt.membership, draft.occurred) is not None:
            draft.emit(CounterAdded(f"{rule}.exempt", month, 1))
            is_exempt = counts[month][f"{rule}.exempt"] <= exempt.in_month
        draft.figures.update(in_month=in_month, in_year=in_year)
        if in_month < penalty.from_in_month and in_year < penalty.from_in_year:
            continue
        if is_exempt:
            draft.note("exempt", points=penalty.points)
        else:
            collect(draft, penalty.kind, penalty.points, rule)


def _end_with_restoration(draft: Draft, order: str, page: OrderPage, status: int) -> None:
    """End an order before completion: every point tendered on it goes back to its lots."""
    page.status = status
    page.ended_at = draft.occurred
    page.early = []
    _restore(draft, page, 1 << 62)
    draft.pages.put(f"order/{order}", page)


def take_back(draft: Draft, data: Return) -> None:
    """Decide a return of some lines."""
    page = _page_of(draft, data.order)
    if draft.pages.get(f"return/{data.return_}") is not None:
        draft.decline("already")
    if page is None:
        draft.decline("unknown-order", order=data.order)
    if page.status in (CANCELLED, REJECTED):
        draft.decline(_ENDED[page.status])
    known = data.lines if page.status == OPEN else [line for line in data.lines if page.line(line.line) is not None]
    unknown = [line.line for line in data.lines if page.status != OPEN and page.line(line.line) is None]
    if unknown:
        figures = ",".join(unknown)[:512]
        if not known:
            draft.decline("unknown-line", lines=figures)
        draft.note("unknown-line", lines=figures)
    draft.refund_fen = sum(line.refund_fen for line in data.lines)
    asked = sum(line.points for line in known)
    restored = _restore(draft, page, asked)
    if restored < asked:
        draft.note("points-capped", asked=asked, restored=restored)
    if page.status == COMPLETED:
        for line in known:
            _return_line(draft, page, line.line, line.quantity, line.refund_fen)
    else:
        lines = [(line.line, line.quantity, line.refund_fen) for line in known]
        page.early.append(EarlyReturn(data.return_, draft.refund_fen, lines))
        draft.note("before-completion")
    draft.pages.put(f"order/{data.order}", page)
    draft.pages.put(f"return/{data.return_}", SEEN)


def _return_line(draft: Draft, page: OrderPage, name: str, pieces: int, refund_fen: int) -> bool:
    """Claw back what a line's awards hold above the formula's K. False where the order has no such line.

    Source: the contract's formula: K = 0 once all pieces are back, otherwise floor(A * (P - min(F, P)) / P).
    """
    line = page.line(name)
    if line is None:
        return False
    line.returned = min(line.quantity, line.returned + pieces)
    line.refunded_fen = min(line.refunded_fen + refund_fen, 1 << 62)
    paid = line.paid_fen
    for award in line.awards:
        if line.returned >= line.quantity:
            keep = 0
        elif paid:
            keep = award.counted * (paid - min(line.refunded_fen, paid)) // paid
        else:
            keep = award.counted
        claw_back(draft, award, keep, name)
    return True


def _restore(draft: Draft, page: OrderPage, points: int) -> int:
    """Give back up to `points` of an order's redemptions, the last first. Returns how many there were."""
    rest = points
    for name in reversed(page.redemptions):
        if not rest:
            break
        redemption = draft.pages.get(f"redemption/{name}")
        assert isinstance(redemption, RedemptionPage)
        rest -= restore(draft, name, redemption, rest)
    return points - rest
