"""Orders from payment to return: what completes is awarded line by line, what comes back is reversed exactly."""

from collections.abc import Iterable

from ledger.core.account import term_at
from ledger.core.awards import apply_rules
from ledger.core.card_orders import remember
from ledger.core.claims import give_back
from ledger.core.decisions.payments import award_payment, take_back_payment
from ledger.core.draft import Draft
from ledger.core.lots import claw_back, restore
from ledger.core.pages import (
    CANCELLED,
    COMPLETED,
    OPEN,
    PAID,
    REJECTED,
    SEEN,
    ClaimPage,
    Completion,
    EarlyReturn,
    OrderPage,
    PageLine,
    RedemptionPage,
    kept_of,
)
from ledger.core.rights import end_rights, give_rights, said_of
from ledger.wire.facts import MAX_LINES, CompletedOrder, Order, OrderEnd, OrderLine, Return

ENDED = {COMPLETED: "order-completed", CANCELLED: "order-cancelled", REJECTED: "order-rejected"}


def page_of(draft: Draft, order: str) -> OrderPage | None:
    """Return the page of an order, None where it was never seen."""
    page = draft.pages.get(f"order/{order}") if order else None
    if page is not None and not isinstance(page, OrderPage):
        raise TypeError(f"order/{order} is the page of something else")
    return page


def _end_once(draft: Draft, page: OrderPage | None, status: int) -> None:
    """Decline what comes again, or after the order has ended another way."""
    if page is not None and page.status in ENDED:
        draft.decline("already" if page.status == status else ENDED[page.status])


def _reopen(draft: Draft, page: OrderPage) -> None:
    """Let a cancelled order go on; what its cancellation gave back counts no more. Source: orders.md 4."""
    page.redeemed = 0
    page.redeemed_fen = 0
    page.redemptions = []
    page.ended_at = 0
    draft.note("after-cancellation")


def pay(draft: Draft, order: Order) -> None:
    """Decide an order that was paid."""
    page = page_of(draft, order.order)
    if page is None:
        page = OrderPage()
    elif page.status == CANCELLED and draft.engine >= 2 and draft.occurred >= page.ended_at:
        _reopen(draft, page)
    else:
        _end_once(draft, page, PAID)
        if page.status == PAID:
            draft.decline("already")
    page.status = PAID
    page.lines = [page_line(line) for line in order.lines]
    award_payment(draft, page, order)
    if page.paid and draft.engine >= 2:
        for early in page.early:  # that came before the payment was heard of
            draft.refund_fen = early.refund_fen
            for name, pieces, fen in early.lines:
                _return_payment(draft, page, name, pieces, fen)
            early.refund_fen = draft.refund_fen
    draft.pages.put(f"order/{order.order}", page)


def page_line(line: OrderLine) -> PageLine:
    """Return a line as its order's page keeps it, with nothing given for it yet."""
    name, paid, sku, points = line.line, line.paid_fen, line.sku, line.points
    return PageLine(name, line.quantity, paid, line.category, sku=sku, points=points)


def complete(draft: Draft, order: CompletedOrder) -> None:
    """Decide lines of an order that are completed: they are awarded, and returns that came before are applied."""
    page, lines = page_of(draft, order.order), order.lines
    is_first = page is None or page.status != COMPLETED
    if page is None:
        page = OrderPage()
    elif page.more and not is_first:
        lines = [line for line in lines if page.line(line.line) is None]
        if not lines:
            draft.decline("already")
        if len(lines) < len(order.lines):
            draft.note("line-completed", lines=listed(x.line for x in order.lines if page.line(x.line)))
    elif page.status == CANCELLED and draft.engine >= 2:
        _reopen(draft, page)
    else:
        _end_once(draft, page, COMPLETED)
    if is_first:
        page.status = COMPLETED
        page.ended_at = draft.occurred
        page.lines = []
    page.more = order.more
    award_lines(draft, page, order, lines)
    if is_first:
        apply_rules(draft, draft.version.rules_on("order.completed"), order, order.order, order=page)
    if not page.more and page.tendered != page.redeemed:
        draft.note("points-differ", tendered=page.tendered, redeemed=page.redeemed)
    if page.early:
        apply_early(draft, page)
    draft.pages.put(f"order/{order.order}", page)


def award_lines(draft: Draft, page: OrderPage, order: CompletedOrder, lines: Iterable[OrderLine]) -> None:
    """Give what lines earn that complete with this fact, and put them on their order's page."""
    version, terms, trace = draft.version, draft.account.terms, draft.trace
    may_claw_back = version.claws_back and draft.engine >= 2
    place = len(page.completions)
    said = said_of(order) if version.keeps_said else None
    page.completions.append(Completion(draft.occurred, version.name, _cards_at(draft) if terms else None, said))
    for line in lines:
        rules = version.line_rules if terms or trace is not None else version.line_rules_without_card
        times: dict[str, str] | None = {} if version.multiplies else None
        awards = apply_rules(draft, rules, order, order.order, line, order=page, multiplied=times)
        name, quantity, paid, category = line.line, line.quantity, line.paid_fen, line.category
        kept = PageLine(
            name, quantity, paid, category, 0, 0, False, awards, place, False, times or None, line.sku, line.points
        )
        if may_claw_back and terms:
            remember(draft, order, page, kept)
        rights = version.rights if terms or draft.account.seats else version.rights_without_card
        if rights:
            give_rights(draft, rights, order, line, kept)
        page.lines.append(kept)
        if line.points:
            page.tendered = draft.bounded(page.tendered + line.points)


def _cards_at(draft: Draft) -> dict[str, str] | None:
    """Return the card of each membership that holds at the fact's instant, for amendments; None where none does."""
    cards = {}
    for membership in draft.account.terms:
        term = term_at(draft.account, membership, draft.occurred)
        if term is not None:
            cards[membership] = term.card
    return cards or None


def listed(names: Iterable[str]) -> str:
    """Names of lines as a figure of an entry has them."""
    return ",".join(names)[:512]


def cancel(draft: Draft, end: OrderEnd) -> None:
    """Decide an order that was cancelled, or what is left of one that completes in parts."""
    order = end.order
    page = page_of(draft, order)
    if page is not None and page.status == COMPLETED and page.more:
        draft.note("rest-cancelled")
        page.more = False
        page.early = []
        take_back_payment(draft, page, completed=True)
        restore_rest(draft, page)
        draft.pages.put(f"order/{order}", page)
        return
    _end_once(draft, page, CANCELLED)
    if page is None:
        if draft.engine < 2:
            draft.decline("unknown-order", order=order)
        draft.note("unknown-order", order=order)
        page = OrderPage()
    _end_with_restoration(draft, order, page, CANCELLED)


def reject(draft: Draft, end: OrderEnd) -> None:
    """Decide an order that was refused at the door; its penalties follow."""
    order = end.order
    page = page_of(draft, order)
    _end_once(draft, page, REJECTED)
    _end_with_restoration(draft, order, page or OrderPage(), REJECTED)


def _end_with_restoration(draft: Draft, order: str, page: OrderPage, status: int) -> None:
    """End an order before completion: every point tendered on it goes back to its lots."""
    page.status = status
    page.ended_at = draft.occurred
    page.early = []
    _restore(draft, page, 1 << 62)  # first, as where an order comes back whole (orders.md 7)
    take_back_payment(draft, page)
    for name in page.claims:
        claim = draft.pages.get(f"claim/{name}")
        if isinstance(claim, ClaimPage) and not claim.is_returned:
            give_back(draft, name, claim)
    page.claims = ()
    draft.pages.put(f"order/{order}", page)


def take_back(draft: Draft, data: Return) -> None:
    """Decide a return of some lines: what comes before its lines have completed is remembered for them."""
    page = page_of(draft, data.order)
    if draft.pages.get(f"return/{data.return_}") is not None:
        draft.decline("already")
    if page is None:
        if draft.engine < 2 or not data.order:
            draft.decline("unknown-order", order=data.order)
        page = OrderPage()
        draft.note("unknown-order", order=data.order)
    if page.status in (CANCELLED, REJECTED):
        draft.decline(ENDED[page.status])
    takes_any = page.status == OPEN or page.more
    known = data.lines if takes_any else [line for line in data.lines if page.line(line.line) is not None]
    if len(known) < len(data.lines):
        unknown = listed(line.line for line in data.lines if page.line(line.line) is None)
        if not known:
            draft.decline("unknown-line", lines=unknown)
        draft.note("unknown-line", lines=unknown)
    is_completed = page.status == COMPLETED
    now = [line for line in known if is_completed and page.line(line.line) is not None]
    later = known if not now else [line for line in known if page.line(line.line) is None]
    if later and draft.engine >= 2:
        waiting = sum(max(1, len(early.lines)) for early in page.early) + len(later)
        if waiting > MAX_LINES:
            draft.decline("too-many-returns", order=data.order, lines=waiting, most=MAX_LINES)
    draft.refund_fen = draft.bounded(sum(line.refund_fen for line in data.lines if not line.exchange))
    asked = draft.bounded(sum(line.points for line in known))
    restored = _restore(draft, page, asked)
    if restored < asked:
        draft.note("points-capped", asked=asked, restored=restored)
    if page.paid:
        for line in known:
            if not line.exchange:
                _return_payment(draft, page, line.line, line.quantity, line.refund_fen)
    now = [line for line in now if not line.exchange]
    if is_completed:
        restore_rest(draft, page, [(line.line, line.quantity) for line in now])
    for line in now:
        _return_line(draft, page, line.line, line.quantity, line.refund_fen)
    if later:
        lines = [(line.line, line.quantity, line.refund_fen) for line in later if not line.exchange]
        asked_again = asked - restored if draft.engine >= 2 else 0
        page.early.append(EarlyReturn(data.return_, draft.refund_fen, lines, asked_again))
        draft.note("before-completion")
    draft.pages.put(f"order/{data.order}", page)
    draft.pages.put(f"return/{data.return_}", SEEN)


def apply_early(draft: Draft, page: OrderPage) -> None:
    """Apply the returns that came before their lines completed; those of lines still to come go on waiting."""
    waiting: list[EarlyReturn] = []
    if page.early:
        restore_rest(draft, page, [(name, pieces) for early in page.early for name, pieces, _ in early.lines])
    for early in page.early:
        draft.refund_fen = early.refund_fen
        early.points -= _restore(draft, page, early.points)
        unknown = [line for line in early.lines if not _return_line(draft, page, *line)]
        if page.more and (unknown or early.points):
            waiting.append(EarlyReturn(early.return_, draft.refund_fen, unknown, early.points))
        elif unknown:
            draft.note("unknown-line", lines=listed(line[0] for line in unknown))
        elif early.points:
            draft.note("points-capped", asked=early.points, restored=0)
    page.early = waiting


def _return_line(draft: Draft, page: OrderPage, name: str, pieces: int, refund_fen: int) -> bool:
    """Claw back what a line's awards hold above the formula's K. False where the order has no such line."""
    line = page.line(name)
    if line is not None:
        _take_of_line(draft, line, pieces, refund_fen)
    return line is not None


def _return_payment(draft: Draft, page: OrderPage, name: str, pieces: int, refund_fen: int) -> None:
    """Claw back what the payment gave for a line above the formula's K, with P and pieces as they were paid."""
    for line in page.paid:
        if line.line == name:
            _take_of_line(draft, line, pieces, refund_fen)


def _take_of_line(draft: Draft, line: PageLine, pieces: int, refund_fen: int) -> None:
    """Count what came back of a line, and claw back what its awards hold above the formula's K."""
    line.returned = min(line.quantity, line.returned + pieces)
    line.refunded_fen = min(line.refunded_fen + refund_fen, 1 << 62)
    if line.rights and line.returned >= line.quantity:
        end_rights(draft, line)
    for award in line.awards:
        claw_back(draft, award, kept_of(line, award.counted), line.line)


def restore_rest(draft: Draft, page: OrderPage, back: Iterable[tuple[str, int]] = ()) -> None:
    """Give back all that an order's redemptions keep, if with `back` (line, pieces) it came back whole.

    Source: orders.md 7.
    """
    if draft.engine < 2 or page.more:
        return
    pieces: dict[str, int] = {}
    for name, count in back:
        pieces[name] = pieces.get(name, 0) + count
    if all(line.returned + pieces.get(line.line, 0) >= line.quantity for line in page.lines):
        rest = _restore(draft, page, 1 << 62)
        if rest:
            draft.note("rest-restored", rest=rest)


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
