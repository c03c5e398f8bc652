"""How points move: earned into lots, spent from them in burn order, restored to them, clawed back to the last point."""

from ledger.core.account import Lot, OpenHold, Purse
from ledger.core.asks import give_up_lot, refill
from ledger.core.draft import MAX_TOTAL, Draft
from ledger.core.moved_lots import lives_elsewhere, send_on
from ledger.core.pages import Award, Fined, LotPage, Part, RedemptionPage
from ledger.rulebook.compiled import ASKED, OPENS
from ledger.rulebook.schema import AT_SHOP
from ledger.wire.entries import (
    Captured,
    ClawedBack,
    Confirmed,
    DebtIncurred,
    Earned,
    Expired,
    Forfeited,
    Forgiven,
    GivenBack,
    IdleEnded,
    IdleMoved,
    PaidInCash,
    Released,
    Repaid,
    Restored,
    Scored,
    Spent,
    Waiting,
    WrittenOff,
)
from ledger.wire.times import MAX_INSTANT


def earn(draft: Draft, earned: Earned, waits: int = 0) -> int:
    """Open a lot and let it meet what waits for it: its lapse, its expiry, or debt. Returns its key.

    `waits` says for what it is pending, if not for a card.
    """
    kind, key = earned.kind, earned.lot
    purse = draft.account.purses.get(kind)
    if draft.engine == 1 and purse is not None and purse.issued + earned.points > MAX_TOTAL:
        draft.beyond("more points than a store's integers hold")  # since engine 2 `emit` sees to it
    if draft.version.idle:
        keep_alive(draft, kind)
        purse = draft.account.purses.get(kind)
    draft.emit(earned)
    if waits:
        draft.emit(Waiting(kind, key, waits))
        end_waiting(draft, kind, key, draft.clock)
    elif earned.pending_until:
        if earned.pending_until <= draft.clock:
            expire(draft, kind, key, draft.account.purses[kind].lots[key], earned.pending_until)
    elif earned.expires_at <= draft.clock or (purse is not None and (purse.debt or purse.idle_until)):
        repay_or_expire(draft, kind, key, draft.clock)
    return key


def end_waiting(draft: Draft, kind: str, key: int, now: int) -> None:
    """Let a lot that waits for its time or a claim become spendable, lapse or expire, as far as that is due."""
    lot = draft.account.purses[kind].lots[key]
    if lot.due_at() > now:
        return
    if lot.waits == OPENS and lot.pending_until < lot.expires_at:
        draft.emit(Confirmed(kind, key, lot.left))
        repay_or_expire(draft, kind, key, now)
    else:
        expire(draft, kind, key, lot, lot.due_at())


def take(draft: Draft, kind: str, points: int) -> list[tuple[int, int]]:
    """Which spendable lots a burn of `points` takes: (lot, points) in burn order. The sum may fall short."""
    purse = draft.account.purses.get(kind)
    return [] if purse is None else purse.burn(points, draft.version.kind(kind).burn)


def spend(draft: Draft, kind: str, points: int, redemption: str) -> list[Part]:
    """Burn spendable points (there are enough) and return the parts for the redemption's page."""
    parts = []
    if draft.version.idle:
        keep_alive(draft, kind)
    for key, part in take(draft, kind, points):
        lot = draft.account.purses[kind].lots[key]
        parts.append(part_of(lot, key, part))
        draft.emit(Spent(kind, key, part, redemption))
    return parts


def parts_of(draft: Draft, kind: str, points: int) -> list[Part]:
    """Return what a burn of `points` is about to take of each lot, with all that is needed to give it back."""
    lots = draft.account.purse(kind).lots
    return [part_of(lots[key], key, part) for key, part in take(draft, kind, points)]


def owe_back(draft: Draft, fined: Fined) -> None:
    """Give points that a penalty took back to their lots; what had become debt is forgiven, or given back if repaid."""
    kind = fined.kind
    for part in reversed(fined.parts):
        _give_back(draft, kind, fined.rule, part)
    forgiven = min(fined.debt, draft.account.purse(kind).debt)
    if forgiven:
        draft.emit(Forgiven(kind, forgiven, fined.rule))
    repaid = fined.debt - forgiven
    if repaid:
        lot, at = draft.next_lot(), draft.occurred
        expires_at = draft.version.expires_at(kind, at)
        _give_back(draft, kind, fined.rule, Part(lot, repaid, fined.rule, repaid, at, expires_at, False))


def _give_back(draft: Draft, kind: str, origin: str, part: Part) -> None:
    figures = (part.rule, part.earned, part.earned_at, part.expires_at, part.returnable)
    draft.emit(GivenBack(kind, part.lot, part.points, origin, *figures))
    repay_or_expire(draft, kind, part.lot, draft.clock)


def part_of(lot: Lot, key: int, points: int) -> Part:
    """What a redemption's page keeps of points that it takes from a lot."""
    return Part(key, points, lot.rule, lot.earned, lot.earned_at, lot.expires_at, lot.returnable)


def restore(draft: Draft, redemption: str, page: RedemptionPage, points: int, key: str = "") -> int:
    """Give up to `points` of a redemption back to their lots, the last taken first. Returns how many there were.

    `key` is that of its page where it is not ``redemption/…``.
    """
    restored = restore_parts(draft, redemption, page.parts, points, page.kind)
    draft.pages.put(key or f"redemption/{redemption}", page)
    return restored


def restore_parts(draft: Draft, redemption: str, parts: list[Part], points: int, kind: str) -> int:
    """Give up to `points` of what was spent back to its lots, the last taken first. Returns how many there were.

    `kind` is empty where each part has its own.
    """
    rest, common = points, kind
    for part in reversed(parts):
        back = min(rest, part.points - part.restored)
        if not back:
            continue
        part.restored += back
        rest -= back
        kind = common or part.kind
        if draft.version.idle and part.lot >= draft.account.purse(kind).idle_ended:
            keep_alive(draft, kind)
        draft.emit(
            Restored(
                kind,
                part.lot,
                back,
                redemption,
                part.rule,
                part.earned,
                part.earned_at,
                part.expires_at,
                part.returnable,
            )
        )
        repay_or_expire(draft, kind, part.lot, draft.clock)
    return points - rest


def claw_back(draft: Draft, award: Award, keep: int, line: str) -> None:
    """Take back what an award still holds above `keep`, a score item from its month and points from lots."""
    if draft.trace is not None:
        draft.trace.left(award, keep, line)
    claim = award.held - keep
    if claim <= 0:
        return
    award.held = keep
    if award.score:
        draft.score(Scored(award.score, award.part, award.rule, award.month, -claim, line=line))
        return
    short = 0
    for grown in reversed(award.grown):  # of an amended line: the newest lot first
        part = min(claim, grown.held)
        grown.held -= part
        claim -= part
        short += _take_own(draft, award, grown.lot, part, line)
    short += _take_own(draft, award, award.lot, claim, line)
    if short:
        collect(draft, award.kind, short, award.rule, line)


def _take_own(draft: Draft, award: Award, key: int, claim: int, line: str) -> int:
    """Claim points of a lot of an award's own. Returns what is to come from others: it was spent."""
    if not claim:
        return 0
    if award.rule in draft.book.drawing:
        refill(draft, key, claim)
    lot = draft.account.purse(award.kind).lots.get(key)
    own = min(claim, lot.left) if lot else 0
    if own:
        draft.emit(ClawedBack(award.kind, key, own, award.rule, line))
        claim -= own
        if lot is not None and lot.waits == ASKED and not lot.left:
            give_up_lot(draft, key)
    if claim:
        page = draft.pages.get(f"lot/{key}")
        if isinstance(page, LotPage):
            gone = page.expired + (0 if draft.account.closed else page.forfeited)
            if gone > page.met:
                met = min(claim, gone - page.met)  # what expired is gone and is not asked for again
                page.met = draft.bounded(page.met + met)
                claim -= met
                draft.pages.put(f"lot/{key}", page)
    return claim


def collect(draft: Draft, kind: str, claim: int, origin: str, line: str = "") -> None:
    """Take a claim from spendable lots in burn order; what remains follows the kind's shortfall policy."""
    for key, part in take(draft, kind, claim):
        draft.emit(ClawedBack(kind, key, part, origin, line))
        claim -= part
    if not claim:
        return
    currency = draft.version.kind(kind)
    if currency.shortfall == "clamp" or draft.account.closed:
        draft.emit(WrittenOff(kind, claim, origin, line))
        return
    if currency.shortfall == "cash":
        points = min(claim, draft.refund_fen // currency.fen)
        if points:
            draft.refund_fen -= points * currency.fen
            draft.emit(PaidInCash(kind, points, points * currency.fen, origin, line))
            claim -= points
    if claim:
        owe(draft, kind, claim, origin, line)


def lot_page(draft: Draft, key: int) -> LotPage:
    """What is kept of a lot, a page of its own where nothing is yet."""
    page = draft.pages.get(f"lot/{key}")
    return page if isinstance(page, LotPage) else LotPage()


def expire(draft: Draft, kind: str, key: int, lot: Lot, due: int) -> None:
    """End what is left of a lot, and keep on its page how much that was, if a return may ask."""
    points = lot.left
    if lot.returnable:
        page = lot_page(draft, key)
        page.expired = draft.bounded(page.expired + points)
        draft.pages.put(f"lot/{key}", page)
    draft.emit(Expired(kind, key, points, due))


def forfeit(draft: Draft, kind: str, key: int, lot: Lot) -> None:
    """Take what is left of a lot of a closed account, and keep on its page how much that was, if a claim may ask."""
    points = lot.left
    if lot.returnable:
        page = lot_page(draft, key)
        page.forfeited = draft.bounded(page.forfeited + points)
        draft.pages.put(f"lot/{key}", page)
    draft.emit(Forfeited(kind, key, points))


def repay_or_expire(draft: Draft, kind: str, key: int, now: int) -> None:
    """Points have just become spendable in a lot: they expire at once if they are due, or repay debt first.

    On a closed account what is not due is forfeited. What is of a name that lives elsewhere goes on to that.
    """
    if lives_elsewhere(draft, key):
        send_on(draft, kind, key)
        return
    purse = draft.account.purses[kind]
    lot = purse.lots[key]
    if lot.pending_until:  # they came back to points of a trial that are frozen again
        if lot.pending_until <= now:
            expire(draft, kind, key, lot, now)
    elif purse.end_of(lot) <= now or key < purse.idle_ended:
        expire(draft, kind, key, lot, now)
    elif draft.account.closed:
        if lot.left:
            forfeit(draft, kind, key, lot)
    elif purse.debt > 0 and lot.left:
        draft.emit(Repaid(kind, key, min(purse.debt, lot.left)))


def keep_alive(draft: Draft, kind: str) -> None:
    """Move the end of a kind that ends when idle: it was earned or spent now. Nothing happens to other kinds."""
    idle = draft.version.idle.get(kind.partition(AT_SHOP)[0])
    if idle is not None:
        until = min(draft.occurred + idle, MAX_INSTANT)
        if until > draft.account.purse(kind).idle_until:
            draft.emit(IdleMoved(kind, until))


def end_idle(draft: Draft, kind: str, purse: Purse, at: int) -> None:
    """End all that is left of a kind that was idle for too long, pending points too."""
    for key in sorted(key for key, lot in purse.lots.items() if lot.left and lot.waits != ASKED):
        expire(draft, kind, key, purse.lots[key], at)
    draft.emit(IdleEnded(kind, at))


def owe(draft: Draft, kind: str, points: int, origin: str, line: str = "") -> None:
    """Make a claim that nothing could meet a debt. Raises OutOfRange."""
    if draft.account.purse(kind).debt + points > MAX_TOTAL:
        draft.beyond("debt beyond what a store's integers hold")
    draft.emit(DebtIncurred(kind, points, origin, line))


def capture_hold(draft: Draft, name: str, hold: OpenHold) -> list[Part]:
    """Take all that a hold keeps for good, and return the parts for the redemption's page."""
    parts = []
    if draft.version.idle:
        keep_alive(draft, hold.kind)
    for key, points in list(hold.parts.items()):
        parts.append(part_of(draft.account.purses[hold.kind].lots[key], key, points))
        draft.emit(Captured(hold.kind, key, points, name))
    return parts


def release_hold(draft: Draft, name: str, hold: OpenHold, now: int, due: int = 0) -> None:
    """Give what a hold still keeps back to its lots, the last taken first; `due` where it ends by itself."""
    for key, points in list(reversed(hold.parts.items())):
        draft.emit(Released(hold.kind, key, points, name, due))
        repay_or_expire(draft, hold.kind, key, now)
