"""Pools that many members draw from, first come first served, and what members do with the answers.

A pool is an account of its own: `pool/campaigns.NAME` for a budget, `pool/benefits.NAME` for a stock. Whom it gives
what is decided by its own stream alone. A busy pool is handed out in blocks: a lease, `pool/NAME@k.j`, is an account in
partition k that has a block of it, and members who were born there ask the lease. Always
limit >= drawn + what leases have out, and what a lease has out is what is free there, drawn there, or on its way.
Source: two-accounts.md C.
"""

from typing import Final

from ledger.core.account import is_dropped
from ledger.core.asks import DRAWN, GIVEN_UP, LEASED, OVER, WAITS, end, put_back
from ledger.core.claims import give_up, pay_held
from ledger.core.decisions import houses
from ledger.core.decisions.benefits import give_all
from ledger.core.draft import Draft
from ledger.core.evolve import DRAWN as DRAWN_COUNTER
from ledger.core.evolve import OUT
from ledger.core.lots import repay_or_expire
from ledger.core.pages import (
    ActivityPage,
    AskPage,
    Award,
    ClaimPage,
    DrawnPage,
    LimitPage,
    OrderPage,
    Page,
    QueuePage,
    ReviewPage,
    Waiter,
)
from ledger.core.who import unentitled_by
from ledger.rulebook.compiled import ASKED, HOUSE, POOL
from ledger.wire.entries import Confirmed, Drawn, Expired, Leased, PutBack
from ledger.wire.facts import (
    Claim,
    LeaseAnswered,
    LeaseAsked,
    LeaseMove,
    LeaseRecalled,
    LeaseReturned,
    PoolAnswer,
    PoolAnswered,
    PoolAsk,
    PoolReturn,
)

MAX_WAITING: Final = 50_000  # at one lease, for one bucket
# Why an answer is no.
EMPTY = "pool-empty"
CLOSED = "pool-closed"
BUSY = "pool-busy"


# -- the member --------------------------------------------------------------------------------------------------------


def answered(draft: Draft, data: PoolAnswer) -> None:
    """Decide what a pool answered: a lot is confirmed or lapses, a claim is given or is over."""
    ask = draft.pages.get(f"ask/{data.ask}")
    if not isinstance(ask, AskPage) or ask.pool != data.frm:
        draft.decline("unknown-ask", ask=data.ask)
    if ask.state not in (WAITS, GIVEN_UP):
        draft.decline("already")
    is_given_up = ask.state == GIVEN_UP
    end(draft, data.ask, ask, DRAWN if data.yes and not is_given_up else OVER)
    if is_given_up:
        if data.yes:
            put_back(draft, data.ask, ask, ask.n)  # it was never given, whatever the book says of what comes back
        if ask.claim:
            draft.figures["claim"] = ask.claim
        draft.note("given-up")
    elif ask.claim:
        _claim_answered(draft, ask, data)
    elif data.yes:
        _confirm(draft, data.ask, ask)
    else:
        _lapse(draft, ask, data.reason)


def give_up_ask(draft: Draft, name: str) -> None:
    """Give up what waits for a pool's answer; the points of a lot are still there."""
    ask = draft.pages.get(f"ask/{name}")
    assert isinstance(ask, AskPage), "what waits for an answer has a page"
    end(draft, name, ask, GIVEN_UP)
    claim = draft.pages.get(f"claim/{ask.claim}") if ask.claim else None
    if isinstance(claim, ClaimPage):
        give_up(draft, ask.claim, claim)


def _confirm(draft: Draft, name: str, ask: AskPage) -> None:
    """Let what is left of a lot be spendable; what was claimed back meanwhile may go back to the budget."""
    lot = draft.account.purse(ask.kind).lots.get(ask.lot)
    left = lot.left if lot is not None else 0
    if lot is not None and lot.waits == ASKED:
        draft.emit(Confirmed(ask.kind, ask.lot, left))
        repay_or_expire(draft, ask.kind, ask.lot, draft.clock)
    if ask.refill:
        put_back(draft, name, ask, ask.n - left)


def _lapse(draft: Draft, ask: AskPage, reason: str) -> None:
    """End a lot that was not drawn; later returns reckon as if nothing had been given."""
    lot = draft.account.purse(ask.kind).lots.get(ask.lot)
    if lot is not None and lot.left:
        draft.emit(Expired(ask.kind, ask.lot, lot.left, draft.clock))
    page = draft.pages.get(ask.page) if ask.page else None
    award = _award_of(page, ask.lot)
    if page is not None and award is not None:
        grown = next((one for one in award.grown if one.lot == ask.lot), None)
        if grown is not None:
            award.held -= grown.held
            grown.held = 0
        else:
            award.held = sum(one.held for one in award.grown)
        award.less += ask.n
        draft.pages.put(ask.page, page)
    draft.note(reason or EMPTY, points=ask.n)


def _award_of(page: Page | None, lot: int) -> Award | None:
    """Return the award on a page that opened a lot."""
    awards: list[Award] = []
    if isinstance(page, OrderPage):
        awards = [award for line in (*page.lines, *page.paid) for award in line.awards]
    elif isinstance(page, ReviewPage | ActivityPage | ClaimPage):
        awards = page.awards
    found = (award for award in awards if award.lot == lot or any(grown.lot == lot for grown in award.grown))
    return next(found, None)


def _claim_answered(draft: Draft, ask: AskPage, data: PoolAnswer) -> None:
    """Give what a claim gives as of when it was claimed, or let it be over: a `no` costs nothing."""
    page = draft.pages.get(f"claim/{ask.claim}")
    assert isinstance(page, ClaimPage), "a claim that asked has a page"
    draft.figures["claim"] = ask.claim
    if not data.yes:
        give_up(draft, ask.claim, page)
        draft.note(data.reason or EMPTY)
        return
    pay_held(draft, ask.claim)
    perk = draft.version.perks.get(ask.benefit)
    if perk is not None:
        claim = Claim(claim=ask.claim, benefit=ask.benefit, order=ask.order, line=ask.line, shop=ask.shop)
        if "benefit.claimed" in draft.version.asks_who:
            draft.unentitled = unentitled_by(draft, draft.version.asks_who["benefit.claimed"], claim)
        give_all(draft, perk, claim, page)
    draft.pages.put(f"claim/{ask.claim}", page)


# -- the pool ----------------------------------------------------------------------------------------------------------


def ask(draft: Draft, data: PoolAsk) -> None:
    """Decide a draw from a pool, all or nothing; at a lease it waits in the order in which it came."""
    if draft.name.startswith(HOUSE):
        houses.ask(draft, data)
        return
    root, _, lease = draft.name.partition(LEASED)
    if not root.startswith(POOL):
        draft.decline("unknown-pool", ask=data.ask)
    limit = _limit(draft, root, data)
    if draft.account.closed or draft.account.frozen or _is_dropped(draft, data.bucket):
        _answer(draft, data.frm, data.ask, data.n, data.bucket, CLOSED)
    elif not lease:
        is_empty = _room(draft, limit, data.bucket) < data.n
        _answer(draft, data.frm, data.ask, data.n, data.bucket, EMPTY if is_empty else "")
    else:
        queue = _queue(draft, data.bucket)
        if len(queue.waiting) >= MAX_WAITING:
            _answer(draft, data.frm, data.ask, data.n, data.bucket, BUSY)
            return
        queue.waiting.append(Waiter(data.ask, data.n, data.frm))
        if len(queue.waiting) == 1 or not queue.is_asking:  # else whoever came before waits for a block
            _serve(draft, root, data.bucket, queue, limit)
        else:
            draft.pages.put(f"queue/{data.bucket}", queue)


def returned(draft: Draft, data: PoolReturn) -> None:
    """Decide what comes back of a draw: it is there again, and at a lease serves who waits."""
    if draft.name.startswith(HOUSE):
        houses.returned(draft, data)
        return
    root, _, lease = draft.name.partition(LEASED)
    key = f"ask/{data.frm}/{data.ask}"
    page = draft.pages.get(key)
    back = min(data.n, page.n - page.back) if isinstance(page, DrawnPage) else 0
    if not isinstance(page, DrawnPage) or not back:
        draft.decline("unknown-ask", ask=data.ask)
    page.back += back
    draft.pages.put(key, page)
    if _is_dropped(draft, page.bucket):
        return
    draft.emit(PutBack(data.frm, data.ask, back, page.bucket))
    if lease:
        limit = draft.pages.get(_limit_key(page.bucket))
        _serve(draft, root, page.bucket, _queue(draft, page.bucket), limit.limit if isinstance(limit, LimitPage) else 0)


def lease_asked(draft: Draft, data: LeaseMove) -> None:
    """Decide at a pool how large a block a lease is given: a part of what it asks for, where no more is left."""
    limit = _limit(draft, draft.name, data)
    is_closed = draft.account.closed or draft.account.frozen or _is_dropped(draft, data.bucket)
    given = 0 if is_closed else max(0, min(data.n, _room(draft, limit, data.bucket)))
    if given:
        draft.emit(Leased(data.frm, given, data.bucket))
    reason = CLOSED if is_closed else ""
    draft.tell(data.frm, LeaseAnswered, LeaseMove(frm=draft.name, n=given, bucket=data.bucket, reason=reason))


def lease_answered(draft: Draft, data: LeaseMove) -> None:
    """Decide at a lease what its pool gave: who waits is served, and where it was nothing, who does not fit is told."""
    root = draft.name.partition(LEASED)[0]
    queue = _queue(draft, data.bucket)
    queue.is_asking = False
    if data.n:
        draft.emit(Leased(draft.name, data.n, data.bucket))
    limit = draft.pages.get(_limit_key(data.bucket))
    _serve(
        draft,
        root,
        data.bucket,
        queue,
        limit.limit if isinstance(limit, LimitPage) else 0,
        why_not="" if data.n else data.reason or EMPTY,
    )


def lease_recalled(draft: Draft, data: LeaseMove) -> None:
    """Decide at a lease that what is free of its block goes back; what is drawn stays."""
    _give_block_back(draft, data.frm, data.bucket)


def _give_block_back(draft: Draft, root: str, bucket: int) -> None:
    """Give back to a pool what a lease has free of its block."""
    free = _free(draft, bucket)
    if free > 0:
        draft.emit(Leased(draft.name, -free, bucket))
        draft.tell(root, LeaseReturned, LeaseMove(frm=draft.name, n=free, bucket=bucket))


def lease_returned(draft: Draft, data: LeaseMove) -> None:
    """Decide at a pool what came back of a lease's block."""
    if data.n and not _is_dropped(draft, data.bucket):
        draft.emit(Leased(data.frm, -data.n, data.bucket))


def _room(draft: Draft, limit: int, bucket: int) -> int:
    """Return what a pool has left of a limit: below 0 where that was lowered."""
    counts = draft.account.counts.get(bucket, {})
    out = sum(count for name, count in counts.items() if name.startswith(OUT))
    return limit - counts.get(DRAWN_COUNTER, 0) - out


def _free(draft: Draft, bucket: int) -> int:
    """Return what a lease has left of its block."""
    counts = draft.account.counts.get(bucket, {})
    return counts.get(f"{OUT}{draft.name}", 0) - counts.get(DRAWN_COUNTER, 0)


def _is_dropped(draft: Draft, bucket: int) -> bool:
    """Return True if a bucket is so old that its counters are gone: nothing is drawn from it, or comes back to it."""
    return is_dropped(bucket, draft.account.pruned_before)


def _limit_key(bucket: int) -> str:
    return f"limit/{bucket}"


def _limit(draft: Draft, root: str, data: PoolAsk | LeaseMove) -> int:
    """Return the limit by which an ask is decided, and see to it that a lowered one is known.

    It is that of the version at the time of the ask, or what the ask carries where the version that it names has not
    come here yet. Once a later ask had a lower one, that holds: a pool calls back what its leases have free, and a
    lease gives it back by itself. A pool calls it back too once members ask it directly, since then its book has
    leases no more.
    """
    if data.version in draft.book.by_name:
        pool = draft.version.pools.get(root)
        limit = pool.limit if pool is not None else 0
    else:
        limit = data.limit
    known = draft.pages.get(_limit_key(data.bucket))
    page = LimitPage(limit, draft.occurred)
    is_lower = was_leased = False
    if isinstance(known, LimitPage):
        was_leased = known.is_leased
        if draft.occurred < known.at:
            page = LimitPage(known.limit, known.at)
            limit = min(limit, known.limit)
        else:
            is_lower = limit < known.limit
    page.is_leased = isinstance(data, LeaseMove)
    if page != known:
        draft.pages.put(_limit_key(data.bucket), page)
    if draft.name != root:
        if is_lower:
            _give_block_back(draft, root, data.bucket)
    elif is_lower or (was_leased and not page.is_leased):
        _recall(draft, data.bucket)
    return limit


def stop(draft: Draft) -> None:
    """Let a pool that an operator closes or freezes call back what its leases have free; a lease gives it back."""
    root, _, lease = draft.name.partition(LEASED)
    if not root.startswith(POOL):
        return
    for bucket in sorted(draft.account.counts):
        if lease:
            _give_block_back(draft, root, bucket)
        else:
            _recall(draft, bucket)


def _recall(draft: Draft, bucket: int) -> None:
    """Call back at a pool what each of its leases has free."""
    for name, out in draft.account.counts.get(bucket, {}).items():
        if name.startswith(OUT) and out > 0:
            draft.tell(name.removeprefix(OUT), LeaseRecalled, LeaseMove(frm=draft.name, bucket=bucket))


def _queue(draft: Draft, bucket: int) -> QueuePage:
    page = draft.pages.get(f"queue/{bucket}")
    return page if isinstance(page, QueuePage) else QueuePage()


def _serve(draft: Draft, root: str, bucket: int, queue: QueuePage, limit: int, *, why_not: str = "") -> None:
    """Answer who waits at a lease, in order, as far as its block goes; for the rest it asks its pool for another.

    `why_not` is empty unless the pool gave nothing: who does not fit is told so.
    """
    waiting, done = queue.waiting, 0
    for one in waiting:
        fits = _free(draft, bucket) >= one.n
        if not fits and not why_not:
            break
        _answer(draft, one.frm, one.ask, one.n, bucket, "" if fits else why_not)
        done += 1
    del waiting[:done]
    if waiting and not queue.is_asking:
        queue.is_asking = True
        pool = draft.version.pools.get(root)
        n = max(pool.lease if pool is not None else 0, waiting[0].n)
        move = LeaseMove(frm=draft.name, n=n, bucket=bucket, version=draft.version.name, limit=limit)
        draft.tell(root, LeaseAsked, move)
    draft.pages.put(f"queue/{bucket}", queue)


def _answer(draft: Draft, frm: str, ask: str, n: int, bucket: int, why: str) -> None:
    """Give an ask what it asks for, or say `why` not."""
    if not why:
        draft.emit(Drawn(frm, ask, n, bucket))
    else:
        draft.note(why)
    draft.pages.put(f"ask/{frm}/{ask}", DrawnPage(0 if why else n, bucket))
    draft.tell(frm, PoolAnswered, PoolAnswer(frm=draft.name, ask=ask, yes=not why, reason=why))
