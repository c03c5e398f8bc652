"""What the payment of an order gives, and how an end or a return of that order takes it back.

Lines stand as they were paid, also where the completion tells others: what the payment gave goes by those.
"""

from ledger.core.awards import apply_rules
from ledger.core.draft import Draft
from ledger.core.lots import claw_back
from ledger.core.pages import OrderPage, PageLine
from ledger.wire.facts import Order

_PAID = "order.paid"


def award_payment(draft: Draft, page: OrderPage, order: Order) -> None:
    """Give what the rules on a payment give, for each line and for the whole; the order's page keeps it."""
    of_lines, of_fact = draft.version.paid_line_rules, draft.version.rules_on(_PAID)
    if not (of_lines or of_fact):
        return
    paid: list[PageLine] = []
    for line in order.lines if of_lines else ():
        kept = PageLine(line.line, line.quantity, line.paid_fen, line.category)
        kept.awards = apply_rules(draft, of_lines, order, order.order, line, order=page)
        if kept.awards:
            paid.append(kept)
    given = apply_rules(draft, of_fact, order, order.order, order=page, may_return=True)
    if given:
        paid.append(PageLine("", 0, 0, awards=given))
    page.paid = tuple(paid)


def take_back_payment(draft: Draft, page: OrderPage, completed: bool = False) -> None:
    """Take back what a payment gave for an order that ends; `completed` keeps that of the lines that completed."""
    for line in page.paid:
        if completed and (not line.line or page.line(line.line) is not None):
            continue
        for award in line.awards:
            claw_back(draft, award, 0, line.line)


def take_back_line(draft: Draft, page: OrderPage, name: str) -> None:
    """Take back what the payment gave for a line of which nothing is left."""
    for line in page.paid:
        if line.line == name:
            line.returned = line.quantity
            for award in line.awards:
                claw_back(draft, award, 0, line.line)
