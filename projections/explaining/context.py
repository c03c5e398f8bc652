"""What a sentence about one entry may need, and how a change is put: an amount, how it came, the two together."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ledger.core.account import Account, Purse, Term
from ledger.core.pages import OrderPage, PageLine
from ledger.wire.facts import Fact, OrderAmended, OrderCompleted, OrderLine, OrderPaid, ReviewPosted
from projections.explaining.history import History, Moment, Skip
from projections.explaining.words import Words


@dataclass(slots=True)
class Context:
    """One entry with all that stands around it.

    `scratch` is the account as the changes so far have left it, `withheld` what the engine said of those to come.
    """

    history: History
    moment: Moment
    words: Words
    scratch: Account = field(default_factory=Account)
    withheld: Iterator[Skip] = field(default_factory=lambda: iter(()))


def put(words: Words, amount: str, how: str, **more: Any) -> dict[str, Any]:
    """A change in words: `amount` and `how` for a layout, `text` as one sentence."""
    text = words.speech.ended(f"{amount}{words.speech.colon}{how}") if amount else words.speech.sentence(how)
    return {"amount": amount, "how": how, "text": text, **more}


def line_of(moment: Moment, name: str) -> OrderLine | PageLine | None:
    """The order line that an award is about: of the order that was paid or completed, or of the reviewed one."""
    fact = moment.step.decided
    if isinstance(fact, OrderPaid | OrderCompleted | OrderAmended):
        return next((line for line in fact.data.lines if line.line == name), None)
    if isinstance(fact, ReviewPosted):
        page = moment.page(f"order/{fact.data.order}")
        return page.line(fact.data.line) if isinstance(page, OrderPage) else None
    return None


def data_of(fact: Fact) -> dict[str, Any]:
    """Return what a fact says, as plain data; of a fact that was forwarded the one within, too."""
    data: dict[str, Any] = msgspec.to_builtins(fact.data, enc_hook=msgspec.json.decode)  # the hook gets raw JSON alone
    return data


def inputs_of(moment: Moment, line: OrderLine | PageLine | None) -> dict[str, Any]:
    """What a rule counted by: the line, and what the fact says beside its lines."""
    inputs = data_of(moment.step.decided)
    inputs.pop("lines", None)
    if line is not None:
        inputs |= {name: getattr(line, name) for name in ("line", "category", "quantity", "paid_fen")}
        if isinstance(line, OrderLine) and line.sku:
            inputs["sku"] = line.sku
    return inputs


def term_of(account: Account, membership: str | None, card: str) -> Term | None:
    """The term of a card, None where the account has none any more."""
    return next((term for term in account.terms.get(membership or "", ()) if term.card == card), None)


def purse_sums(purse: Purse) -> dict[str, int]:
    """What a member has of a kind: `spendable`, `pending` (frozen), `held` and `debt`, each in points."""
    return {"spendable": purse.spendable(), "pending": purse.pending(), "held": purse.held(), "debt": purse.debt}
