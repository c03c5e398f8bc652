"""What benefits saved a member: by claims, and by lines of orders that name the benefit; against what the card cost.

Nothing is decided by what a benefit saves, so all is reckoned by the version of the book that holds when it is asked.
The fold keeps what happened: claims that were not given back, tagged lines with what came back of them, cards.
Where a member became another's name, what was before stays told of that name, and what comes back of it too; what is
sent to it from then on is told of the head, which has the cards and seats until the name leaves. What a card cost is
told of the name that it was bought under.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction

import msgspec
from msgspec import Struct, field

from ledger.core.bundles import share_of, term_of
from ledger.core.fees import price_of
from ledger.core.perks import holder_of, offer_of
from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import HOUSE, Programme, ProgrammeVersion
from ledger.wire import answers, entries, facts
from ledger.wire.entries import Entry
from ledger.wire.follow_ups import told_in
from ledger.wire.name_keys import named, under
from ledger.wire.times import DAY, to_text
from projections.answers.benefits import draft_at
from projections.answers.members import ELSEWHERE, account_of, decided_fact
from projections.answers.shops import entries_until

YEAR = 365 * DAY  # of orders before the instant, for which a card that the member had not would have saved money


class HeldCard(Struct, array_like=True, gc=False):
    """A card: its term (microseconds since 1970 UTC), and what was paid for it, less what came back."""

    membership: str
    product: str
    start: int
    until: int
    fee_fen: int = 0


class TaggedLine(Struct, array_like=True, gc=False):
    """A completed line that names a benefit: `cards` are those held then, by membership; the rest is as on its page."""

    benefit: str
    at: int
    list_fen: int
    paid_fen: int
    quantity: int
    cards: dict[str, str] = field(default_factory=dict)
    returned: int = 0
    refunded_fen: int = 0


class Claimed(Struct, array_like=True, gc=False):
    """A claim that was not given back, and the card or house that gave it ("" where none did)."""

    benefit: str
    card: str
    ask: str = ""  # by which a house was asked for it


class SavingsState(Struct, array_like=True, gc=False):
    """A member's cards by name, tagged lines by (order, line), returns that came before them, and claims."""

    cards: dict[str, HeldCard] = field(default_factory=dict)
    lines: dict[str, dict[str, TaggedLine]] = field(default_factory=dict)
    early: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    claims: dict[str, Claimed] = field(default_factory=dict)
    seats: dict[str, list[HeldCard]] = field(default_factory=dict)  # as the account calls them; who pays is the house


_RETURNED = str(facts.PoolReturned.__struct_config__.tag)
_EARLY = frozenset({"before-completion", "unknown-order"})


def fold_savings(state: SavingsState, entry: Entry) -> None:
    """Take an entry in."""
    if entry.outcome == entries.ACCEPTED and entry.reason in ELSEWHERE:
        _fold_elsewhere(state, entry)
    elif entry.outcome == entries.ACCEPTED:
        _fold_fact(state, entry)
    for change in entry.changes:
        if isinstance(change, entries.TermOpened):
            fee = state.cards[change.card].fee_fen if change.card in state.cards else 0
            state.cards[change.card] = HeldCard(change.membership, change.product, change.from_at, change.until_at, fee)
        elif isinstance(change, entries.TermCame):
            term = term_of(change.term)
            fee = state.cards[change.card].fee_fen if change.card in state.cards else 0  # of one that came back
            state.cards[change.card] = HeldCard(change.membership, term.product, term.start, term.until, fee)
        elif isinstance(change, entries.TermLeft) and change.card in state.cards:
            _end([state.cards[change.card]], entry.clock)
        elif isinstance(change, entries.NameCame):
            for house, seat in share_of(change.share).seats.items():
                held = [HeldCard(seat.membership, term.product, term.start, term.until) for term in seat.terms]
                state.seats[under(change.name, house)] = held
        elif isinstance(change, entries.NameLeft):
            for key, held in state.seats.items():
                if named(key)[0] == change.name:
                    _end(held, entry.clock)
        elif isinstance(change, entries.TermMoved) and change.card in state.cards:
            state.cards[change.card].start, state.cards[change.card].until = change.from_at, change.until_at
        elif isinstance(change, entries.BenefitGivenBack):
            state.claims.pop(change.claim, None)
        elif isinstance(change, entries.Told) and change.fact == _RETURNED:
            _drop(state, msgspec.json.decode(change.data, type=facts.PoolReturn).ask)
    moved = [change for change in entry.changes if isinstance(change, entries.SeatMoved)]
    if moved:
        _take_seat(state, moved)


def _drop(state: SavingsState, ask: str) -> None:
    """Forget a claim of which a house was asked: it was not given, or came back."""
    state.claims = {name: claimed for name, claimed in state.claims.items() if claimed.ask != ask}


def _take_seat(state: SavingsState, moved: list[entries.SeatMoved]) -> None:
    """Take what a house said of a seat; a seat that was left held till then."""
    house, end = moved[0].house, moved[0].until_at
    if moved[0].from_at < end:
        state.seats[house] = [HeldCard(one.membership, one.product, one.from_at, one.until_at) for one in moved]
    else:
        _end(state.seats.get(house, ()), end)


def _end(held: Iterable[HeldCard], at: int) -> None:
    """Let cards that are held no more have ended by an instant."""
    for card in held:
        card.until = min(card.until, at)


def _fold_elsewhere(state: SavingsState, entry: Entry) -> None:
    """Take what another account decides: of it only what comes back of what was before the names became one."""
    match decided_fact(entry.fact):
        case facts.OrderReturned() as fact:
            for line in fact.data.lines:
                if not line.exchange:
                    _return(state, entry, fact.data.order, line.line, line.quantity, line.refund_fen)
        case facts.BenefitReturned() as fact:
            state.claims.pop(fact.data.claim, None)
        case facts.CardRefunded() as fact:
            _refund(state, fact.data)
        case _:
            pass


def _fold_fact(state: SavingsState, entry: Entry) -> None:
    fact = decided_fact(entry.fact)
    match fact:
        case facts.OrderCompleted():
            lines = state.lines.get(fact.data.order, {})
            _take_lines(state, fact.data.order, [x for x in fact.data.lines if x.line not in lines], entry.occurred)
        case facts.OrderAmended() if fact.data.order in state.lines:
            _amend(state, fact.data.order, fact.data.lines, entry.occurred)
        case facts.OrderReturned():
            for line in fact.data.lines:
                if not line.exchange:
                    _return(state, entry, fact.data.order, line.line, line.quantity, line.refund_fen)
        case facts.OrderCancelled() | facts.OrderRejected():
            state.early.pop(fact.data.order, None)
        case facts.CardPurchased():
            term = next(
                (c for c in entry.changes if isinstance(c, entries.TermOpened) and c.card == fact.data.card), None
            )
            if term is not None:
                state.cards[fact.data.card] = HeldCard(term.membership, term.product, 0, 0, fact.data.paid_fen)
        case facts.CardRefunded():
            _refund(state, fact.data)
        case facts.BenefitClaimed():
            given = [c for c in entry.changes if isinstance(c, entries.BenefitUsed | entries.BenefitCounted) and c.card]
            claimed = Claimed(fact.data.benefit, given[0].card if given else "")
            for told in told_in(entry):
                if told.to.startswith(HOUSE):
                    claimed.card, claimed.ask = told.to, msgspec.json.decode(told.data, type=facts.PoolAsk).ask
            state.claims[fact.data.claim] = claimed
        case facts.PoolAnswered() if not fact.data.yes:
            _drop(state, fact.data.ask)
        case facts.PoolAsked():  # of a house
            for change in entry.changes:
                if isinstance(change, entries.BenefitUsed):
                    state.claims[f"{fact.data.frm}/{fact.data.ask}"] = Claimed(change.benefit, change.card)


def _refund(state: SavingsState, data: facts.CardRefund) -> None:
    card = state.cards.get(data.card)
    if card is not None:
        card.fee_fen = max(0, card.fee_fen - data.refund_fen)


def _take_lines(state: SavingsState, order: str, lines: Iterable[facts.OrderLine], at: int) -> None:
    """Keep the tagged lines of those that complete now."""
    held = [(named(house)[1], card) for house, terms in state.seats.items() for card in terms]
    held += state.cards.items()  # the own card goes first
    cards = {card.membership: name for name, card in held if card.start <= at < card.until}
    early = state.early.get(order, {})
    for line in lines:
        if line.saved_by and line.list_fen:
            pieces, fen = early.pop(line.line, (0, 0))
            kept = TaggedLine(line.saved_by, at, line.list_fen, line.paid_fen, line.quantity, cards, pieces, fen)
            state.lines.setdefault(order, {})[line.line] = kept


def _amend(state: SavingsState, order: str, lines: Iterable[facts.OrderLine], at: int) -> None:
    """Take the lines of an order as they are now; one that is left out came back whole."""
    kept, told = state.lines[order], {line.line: line for line in lines}
    for name, line in kept.items():
        now = told.pop(name, None)
        if now is None:
            line.returned = line.quantity
        else:
            line.benefit, line.list_fen = now.saved_by, now.list_fen
            line.paid_fen, line.quantity = now.paid_fen, now.quantity
    _take_lines(state, order, told.values(), at)


def _return(state: SavingsState, entry: Entry, order: str, name: str, pieces: int, fen: int) -> None:
    line = state.lines.get(order, {}).get(name)
    if line is not None:
        line.returned, line.refunded_fen = line.returned + pieces, line.refunded_fen + fen
    elif entry.reason in _EARLY:
        waiting = state.early.setdefault(order, {})
        before = waiting.get(name, (0, 0))
        waiting[name] = (before[0] + pieces, before[1] + fen)


class Saved(Struct, gc=False):
    """What a benefit saved by a card ("" where none gave it), or (`is_missed`) would have saved with one."""

    membership: str
    card: str
    benefit: str
    is_missed: bool = False
    times: int = 0
    lines: int = 0
    list_fen: int = 0
    saved_fen: int = 0


def savings_of(state: SavingsState, version: ProgrammeVersion, as_of: int) -> Iterator[Saved]:
    """Yield what each benefit saved by each card, by what a version of the book says of it.

    What a card would have saved counts orders of the 365 days before the instant in which the member had none.
    """
    found: dict[tuple[str, str, bool], Saved] = {}

    def of(benefit: str, card: str, is_missed: bool = False) -> Saved:
        membership = version.perks[benefit].membership
        key = (benefit, card, is_missed)
        return found.setdefault(key, Saved(membership, card, benefit, is_missed))

    for claimed in state.claims.values():
        perk = version.perks.get(claimed.benefit)
        if perk is not None and perk.benefit.saves is not None:
            row = of(claimed.benefit, claimed.card)
            row.times += 1
            row.saved_fen += perk.benefit.saves.fen or 0
    for line in (line for lines in state.lines.values() for line in lines.values()):
        perk = version.perks.get(line.benefit)
        saves = perk.benefit.saves if perk is not None else None
        if perk is None or saves is None or saves.share is None or line.returned >= line.quantity:
            continue
        card = line.cards.get(perk.membership, "")
        is_missed = perk.membership != "" and not card
        if is_missed and line.at < as_of - YEAR:
            continue
        row = of(line.benefit, card, is_missed)
        row.lines += 1
        row.list_fen += line.list_fen
        row.saved_fen += _kept(line, int(line.list_fen * Fraction(saves.share)))
    yield from sorted(found.values(), key=lambda row: (row.is_missed, row.membership, row.card, row.benefit))


def _kept(line: TaggedLine, saved: int) -> int:
    """What is still saved of a line by what came back of it: the contract's formula for a return."""
    paid = line.paid_fen
    return saved * (paid - min(line.refunded_fen, paid)) // paid if paid else saved


def saves(book: Programme) -> bool:
    """Return True if a benefit of any version saves something, or is worth something."""
    benefits = (benefit for version in book.versions for _, benefit in version.benefits.values())
    return any(benefit.saves is not None or benefit.value is not None for benefit in benefits)


def savings(ledger: Ledger, member: str, as_of: int) -> answers.Savings:
    """Return what a member saved until an instant, and what cards would have saved. Raises `UnknownMember`."""
    account, book = account_of(ledger, member, as_of), ledger.book_of(member)
    version = book.nearest(as_of)
    rows = ledger.journal(ledger.partition_of(member)).each_entry_of(member)
    state = SavingsState()
    for entry in entries_until(rows, as_of, None):
        fold_savings(state, entry)
    saved = list(savings_of(state, version, as_of))
    draft, offset = draft_at(account, book, as_of), version.offset
    cards = []
    for name, card in state.cards.items():
        benefits = [_row(row, version) for row in saved if row.card == name and not row.is_missed]
        if not benefits and not card.fee_fen:
            continue
        total = sum(row.saved_fen for row in benefits)
        start, until = to_text(card.start, offset), to_text(card.until, offset)
        cards.append(
            answers.CardSavings(
                card.membership, named(name)[1], card.product, start, until, card.fee_fen, total, benefits
            )
        )
    houses: dict[str, list[HeldCard]] = {}
    for key, terms in state.seats.items():
        houses.setdefault(named(key)[1], []).extend(terms)
    for house, terms in houses.items():
        benefits = [_row(row, version) for row in saved if row.card == house and not row.is_missed]
        if benefits:
            last = max(terms, key=lambda term: term.until)
            start, until = to_text(min(term.start for term in terms), offset), to_text(last.until, offset)
            total = sum(row.saved_fen for row in benefits)
            cards.append(answers.CardSavings(last.membership, house, last.product, start, until, 0, total, benefits))
    worth = []
    for label, perk in version.perks.items():
        if perk.benefit.value is not None:
            term = holder_of(draft, perk.membership) if perk.membership else None
            if perk.membership and term is None:
                continue
            offer = offer_of(draft, perk, term.product if term is not None else "")
            if not offer.fails and offer.quota != 0:
                value = perk.benefit.value
                worth.append(answers.BenefitWorth(perk.membership, label, value.fen, value.days))
    missed = []
    for membership in dict.fromkeys(row.membership for row in saved if row.is_missed):
        of = [_row(row, version) for row in saved if row.is_missed and row.membership == membership]
        products = version.programme.memberships[membership].products
        prices = {label: price_of(draft, label) for label, product in products.items() if not product.trial}
        since = to_text(max(0, as_of - YEAR), offset)
        missed.append(answers.MissedSavings(membership, since, sum(row.saved_fen for row in of), prices, of))
    alone = [_row(row, version) for row in saved if not row.card and not row.is_missed]
    return answers.Savings(
        member,
        to_text(as_of, offset),
        version.name,
        sum(row.saved_fen for row in saved if not row.is_missed),
        sum(card.fee_fen for card in cards),
        cards,
        alone,
        worth,
        missed,
    )


def _row(row: Saved, version: ProgrammeVersion) -> answers.BenefitSavings:
    name = version.perks[row.benefit].benefit.name
    return answers.BenefitSavings(row.benefit, name, row.times, row.lines, row.list_fen, row.saved_fen)
