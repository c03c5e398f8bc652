"""What a member asked of budgets, stocks and houses that members share: `decisions.pools` and `houses` answer.

An ask is named by a lot: the one that waits, or for a claim one that the entry could have opened. Its page says what
waits for the answer, and how much of what was drawn came back since.
"""

from collections.abc import Iterator
from functools import lru_cache

from ledger.core.draft import Draft
from ledger.core.pages import AskPage, ClaimedAskPage, OpenAsksPage
from ledger.rulebook.compiled import Pool
from ledger.wire.facts import PoolAsk, PoolAsked, PoolReturn, PoolReturned
from ledger.wire.murmur import partition_of

WAITS, DRAWN, GIVEN_UP, OVER = 0, 1, 2, 3  # of an ask: no answer yet, yes, given up before it, nothing follows any more
OPEN = "asks"  # the key of the page that lists what waits for an answer, of each name its own
LEASED = "@"  # between the subject of a pool and the partition and number of a lease of it


def begin(draft: Draft, pool: Pool, ask: AskPage, lot: int) -> None:
    """Ask a pool, or the lease of it in the member's partition of birth, for what a lot (or its like) names."""
    ask.pool = pool.subject
    if pool.lease:
        ask.pool = lease_of(pool.subject, partition_of(draft.name, draft.partitions), draft.partitions)
    _wait(draft, ask, lot, pool.limit)


def begin_at_house(draft: Draft, ask: AskPage, lot: int, membership: str, limit: int) -> None:
    """Ask the house in which a member sits for a claim of a benefit, of which it gives at most `limit` in its bucket.

    What comes back of it is always there again.
    """
    _wait(draft, ask, lot, limit, membership)


def _wait(draft: Draft, ask: AskPage, lot: int, limit: int, membership: str = "") -> None:
    name = draft.lot_name(lot)
    tell = PoolAsk(frm=draft.name, ask=name, n=ask.n, bucket=ask.bucket, version=draft.version.name, limit=limit)
    if membership:
        tell.membership, tell.benefit, tell.claim = membership, ask.benefit, ask.claim
    draft.tell(ask.pool, PoolAsked, tell)
    draft.pages.put(f"ask/{name}", ask)
    open_asks = _open_asks(draft)
    open_asks.asks.append(name)
    draft.put_own(OPEN, open_asks)


@lru_cache(maxsize=4_096)
def lease_of(pool: str, partition: int, partitions: int) -> str:
    """Return the subject of a pool's lease for a partition: the first of its names that lies there."""
    number = 0
    while partition_of(f"{pool}{LEASED}{partition}.{number}", partitions) != partition:
        number += 1
    return f"{pool}{LEASED}{partition}.{number}"


def ask_of_lot(draft: Draft, lot: int) -> AskPage | None:
    """Return the ask that a lot waits for, or waited for; None for other lots."""
    page = draft.pages.get(f"ask/{draft.lot_name(lot)}")
    return page if isinstance(page, AskPage) else None


def ask_of_claim(draft: Draft, claim: str, benefit: str) -> tuple[str, AskPage] | None:
    """Return the ask of a claim with its name; None for a claim that asked nobody."""
    may_ask = draft.book.has_seats or benefit in draft.book.stocked
    named = draft.pages.get(f"claim-ask/{claim}") if may_ask else None
    if not isinstance(named, ClaimedAskPage):
        return None
    page = draft.pages.get(f"ask/{named.ask}")
    assert isinstance(page, AskPage), "an ask that a claim names has a page"
    return named.ask, page


def open_asks_of(draft: Draft) -> Iterator[str]:
    """Yield the asks that wait for an answer, in the order in which they were asked, and go on as who asked each.

    Two names of a member may each have an ask that is called the same.
    """
    acting = draft.name
    for name in draft.all_names() if draft.book.may_ask else ():
        draft.goes_on_as(name)
        yield from list(_open_asks(draft).asks)
    draft.goes_on_as(acting)


def tiers_asked(draft: Draft) -> int:
    """Return how many claims wait for an answer that is to give a tier."""
    pages = (draft.pages.get(f"ask/{name}") for name in open_asks_of(draft))
    perks = (draft.version.perks.get(page.benefit) for page in pages if isinstance(page, AskPage))
    return sum(perk is not None and any(gift.tier for gift in perk.benefit.gives) for perk in perks)


def end(draft: Draft, name: str, ask: AskPage, state: int) -> None:
    """Let an ask wait no more: it was answered, or is given up."""
    ask.state = state
    draft.pages.put(f"ask/{name}", ask)
    open_asks = _open_asks(draft)
    if name in open_asks.asks:
        open_asks.asks.remove(name)
        draft.put_own(OPEN, open_asks)


def give_up_lot(draft: Draft, lot: int) -> None:
    """Give an ask up whose lot has nothing left: whatever the pool answers, nothing comes of it."""
    ask = ask_of_lot(draft, lot)
    if ask is not None and ask.state == WAITS:
        end(draft, draft.lot_name(lot), ask, GIVEN_UP)


def put_back(draft: Draft, name: str, ask: AskPage, n: int) -> None:
    """Give back to a pool what came back of a draw, as far as it did not before."""
    n = min(n, ask.n - ask.back)
    if n <= 0:
        return
    ask.back += n
    draft.pages.put(f"ask/{name}", ask)
    draft.tell(ask.pool, PoolReturned, PoolReturn(frm=draft.name, ask=name, n=n))


def refill(draft: Draft, lot: int, points: int) -> None:
    """Give back to a budget that takes it what is claimed back of a lot which was drawn from it."""
    ask = ask_of_lot(draft, lot)
    if ask is not None and ask.state == DRAWN and ask.refill:
        put_back(draft, draft.lot_name(lot), ask, points)


def _open_asks(draft: Draft) -> OpenAsksPage:
    page = draft.own_page(OPEN)
    return page if isinstance(page, OpenAsksPage) else OpenAsksPage()
