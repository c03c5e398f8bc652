"""The laws of the design under made-up books that have each feature of the grammar in some, facts of all types."""

from random import Random

import pytest

from ledger.core.account import Account, decode_account, encode_account
from ledger.core.evolve import evolve_entry
from ledger.wire.entries import ACCEPTED
from ledger.wire.entry_codec import decode_entry, encode_entry
from ledger.wire.times import DAY, to_datetime
from projections.audit.replay import replay
from tests.core.test_laws import Books, books_balance
from tests.support.accounts import alike, next_due
from tests.support.books import made_book
from tests.support.histories import book_history
from tests.support.ledgers import SmallLedger, merged, scratch
from tests.support.shop import Shop

LENGTH = 80
SOME = range(10)
FEW = range(100, 104)
OF_TIME = {  # what happens whatever becomes of a fact: it falls due, and tiers that it reaches give
    *("Confirmed", "Expired", "HistoryPruned", "IdleEnded", "Released", "Repaid", "Scored", "TermEnded"),
    *("TierGrantEnded", "TierHeld", "TierHoldEnded", "TierMoved", "Earned", "FirstSeen", "Withheld"),
}


def made(seed: int) -> tuple[str, list[dict]]:
    """A book and a history under it."""
    book = made_book(Random(seed))
    return book, book_history(Random(seed), LENGTH, book)


@pytest.mark.parametrize("seed", SOME)
def test_the_laws_hold_after_every_fact_and_at_later_instants(seed: int) -> None:
    book, facts = made(seed)
    shop, folded, books = Shop(book), Account(), Books()
    for fact in facts:
        shop.hears(fact)
        account, entry = shop.account, shop.last
        evolve_entry(folded, decode_entry(encode_entry(entry)))
        assert alike(folded) == alike(account), "the account is the fold of its entries"
        assert decode_account(encode_account(account)) == account
        assert account.next_due_at <= next_due(account), "what falls due would be missed"
        later = [shop.on(to_datetime(account.clock + wait)).account for wait in (7 * DAY, 400 * DAY)]
        for one in (account, *later):
            for kind, purse in one.purses.items():
                assert books_balance(purse), kind
                figures = (purse.debt, purse.issued, purse.redeemed, purse.expired, purse.clawed_back)
                assert min(*figures, purse.cash_shortfall_fen, purse.written_off, purse.forfeited) >= 0, kind
                assert not (purse.debt and purse.spendable()), "points at hand repay debt first"
                assert all(0 < lot.left + lot.held <= lot.earned for lot in purse.lots.values()), kind
            for terms in one.terms.values():
                assert all(term.start <= term.until for term in terms)
        if entry.outcome != ACCEPTED:
            assert {type(change).__name__ for change in entry.changes} <= OF_TIME
        books.post(entry.changes)
        assert books.are_those_of(account), "the sum of postings is the books"


@pytest.mark.parametrize("seed", SOME)
def test_waiting_in_two_steps_is_waiting_in_one(seed: int) -> None:
    book, facts = made(seed)
    shop = Shop(book)
    for fact in facts:
        shop.hears(fact)
    clock = shop.account.clock
    at_last = to_datetime(clock + 1_100 * DAY)  # where both have dropped the same past, which decides nothing
    for wait in (3 * DAY, 40 * DAY, 300 * DAY):
        two = shop.on(to_datetime(clock + wait)).on(at_last).account
        assert alike(two) == alike(shop.on(at_last).account)


@pytest.mark.parametrize("seed", SOME)
def test_each_spent_point_is_given_back_by_some_fact_that_can_still_come(seed: int) -> None:
    book, facts = made(seed)
    shop = Shop(book)
    for fact in facts:
        shop.hears(fact)
    shop.now = to_datetime(shop.account.clock)
    if shop.account.closed:
        assert shop.is_reopened() == "accepted"
    shop.brings_back_all_that_can_be()
    exchanged = 0
    for key, page in list(shop.pages.items()):
        name = key.partition("/")[2]
        if key.startswith("claim/"):
            shop.gives_claim_back(name)
        elif key.startswith("exchanged/") and "given-spent" in shop.tells("exchange.reversed", request=name):
            exchanged += sum(part.points for part in page.parts)
    assert sum(purse.redeemed for purse in shop.account.purses.values()) == exchanged, "an exchange that is spent stays"


@pytest.mark.parametrize("seed", FEW)
def test_a_replay_decides_the_same_however_the_stream_was_cut(seed: int) -> None:
    book = made_book(Random(seed))
    random = Random(seed)
    facts = merged(random, [book_history(random, 60, book, f"m-{number}") for number in range(3)])
    kept = []
    for batch, share in ((4_000, 1.0), (3, 1e-9)):
        with scratch() as folder:
            ledger = SmallLedger(folder / "ledger", share, book)
            ledger.hears(facts)
            ledger.decides(batch)
            assert replay(ledger.ledger)["differences"] == []
            kept.append((ledger.journal, ledger.pages))
            ledger.restarts()
            ledger.hears(facts)
            again = ledger.decides(batch=13)
            assert again.accepted == again.refused == 0 and again.ignored == len(facts), "each is decided once"
            ledger.close()
    assert kept[0] == kept[1]
