"""Houses: their cards with what is left of the quotas, and who sits there."""

from ledger.core.account import Account, current_term
from ledger.core.decisions.houses import seats_of
from ledger.errors import NotFound
from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import HOUSE, Programme
from ledger.wire import answers
from projections.answers.benefits import draft_at
from projections.answers.members import UnknownMember, account_of
from projections.answers.show import describe_account


class UnknownHouse(NotFound):
    """No fact of this house was ever taken."""


def house_named(ledger: Ledger, name: str, as_of: int, known_at: int | None = None) -> answers.House:
    """Return a house at an instant, by `ID` or `house/ID`. Raises `UnknownHouse`."""
    subject = HOUSE + name.removeprefix(HOUSE)
    try:
        account, book = account_of(ledger, subject, as_of, known_at), ledger.books(known_at).of(subject)
    except UnknownMember:
        raise UnknownHouse(f'the ledger has no house "{name}"') from None
    shown = describe_account(subject, account, book, as_of)
    return answers.House(
        house=subject.removeprefix(HOUSE),
        as_of=shown.as_of,
        state="closed" if account.closed else "frozen" if account.frozen else "open",
        memberships=shown.memberships,
        seats=seats_in(account, book, as_of),
    )


def seats_in(account: Account, book: Programme, as_of: int) -> dict[str, answers.HouseSeats]:
    """Return by membership how many a house may seat by its current card, and who sits there."""
    found, draft = {}, draft_at(account, book, as_of)
    for membership in draft.version.programme.memberships:
        term = current_term(account, membership, as_of)
        if term is not None:
            who = sorted(member for member, seat in account.seats.items() if seat.membership == membership)
            found[membership] = answers.HouseSeats(seats_of(draft, term), who)
    return found
