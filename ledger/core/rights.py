"""Rights of an order's line: given as it completes, claimed by order and line, gone with the last piece."""

from ledger.core.awards import Line
from ledger.core.draft import Draft
from ledger.core.evaluate import meets
from ledger.core.pages import COMPLETED, OrderPage, PageLine, Right, SaidOfOrder
from ledger.core.perks import holder_of, seat_of
from ledger.core.who import who_fails
from ledger.rulebook.compiled import Perk
from ledger.wire.entries import RightEnded, RightGiven
from ledger.wire.facts import Claim, CompletedOrder, OrderLine
from ledger.wire.times import DAY, MAX_INSTANT


def said_of(order: CompletedOrder) -> SaidOfOrder:
    """What is kept of an order's fact where a claim of a line's right will ask it."""
    said = SaidOfOrder(order.shop, order.self_operated, order.channel, order.pay, order.tags)
    for line in order.lines:
        tag_line(said, line)
    return said


def tag_line(said: SaidOfOrder, line: OrderLine) -> None:
    """Keep a line's own tags, in place of those it had before."""
    if line.tags:
        said.of_lines = said.of_lines or {}
        said.of_lines[line.line] = line.tags
    elif said.of_lines:
        said.of_lines.pop(line.line, None)


def give_rights(draft: Draft, rights: tuple[Perk, ...], order: CompletedOrder, data: Line, line: PageLine) -> None:
    """Give a line that completes its rights; whose they are is judged now, and holds whatever comes."""
    for perk in rights:
        if not meets(perk.clauses, data, order):
            continue
        card, product = "", ""
        if perk.membership:
            term = holder_of(draft, perk.membership)
            if term is None:
                seat = seat_of(draft, perk.membership)
                term = seat[1] if seat is not None else None
            if term is None or (perk.by_product is not None and term.product not in perk.by_product):
                continue
            card, product = term.card, term.product
        if perk.who is not None and who_fails(draft, perk.who, order.shop) is not None:
            continue
        until = _until(draft.occurred, perk)
        line.rights = (*line.rights, Right(perk.name, until, perk.membership, card, product))
        draft.emit(RightGiven(perk.name, order.order, line.line, until, perk.membership, card))


def end_rights(draft: Draft, line: PageLine) -> None:
    """End the rights of a line of which all pieces came back, once."""
    for right in line.rights:
        if not right.is_ended:
            right.is_ended = True
            draft.emit(RightEnded(right.benefit, line.line, right.membership, right.card))


def check_line(draft: Draft, perk: Perk, data: Claim, page: OrderPage | None) -> tuple[PageLine, Right]:
    """Return the line that a claim names, and its right; of a benefit that is judged at the claim one made for it.

    Declines a line that has not completed, has no such right or has it no longer, or came back.
    """
    line = page.line(data.line) if page is not None and page.status == COMPLETED else None
    if page is None or line is None:
        draft.decline("line-not-completed", order=data.order, line=data.line)
    right = _asked_now(page, line, perk) if perk.at_claim else _kept(line, perk.name)
    if right is None:
        draft.decline("no-right", benefit=perk.name, order=data.order, line=data.line)
    if draft.occurred >= right.until:
        draft.decline("right-over", benefit=perk.name, order=data.order, line=data.line)
    if line.returned >= line.quantity:
        draft.decline("line-returned", order=data.order, line=data.line)
    return line, right


def _kept(line: PageLine, benefit: str) -> Right | None:
    return next((right for right in line.rights if right.benefit == benefit), None)


def _asked_now(page: OrderPage, line: PageLine, perk: Perk) -> Right | None:
    """The right that a line has by what is kept of it and its order, whoever asks."""
    said = page.completions[line.completion].said if page.completions else None
    if perk.asks_order and said is None:
        return None
    if said is not None and said.of_lines:
        tags = [*said.tags, *said.of_lines.get(line.line, ())]
        said = SaidOfOrder(said.shop, said.self_operated, said.channel, said.pay, tags)
    return Right(perk.name, _until(page.completed_at(line), perk)) if meets(perk.clauses, line, said) else None


def _until(completed_at: int, perk: Perk) -> int:
    return min(completed_at + perk.days * DAY, MAX_INSTANT) if perk.days else MAX_INSTANT
