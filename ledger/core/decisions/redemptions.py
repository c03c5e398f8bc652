"""Points that are asked for: redemptions and holds, decided against what is spendable at the account's clock."""

from ledger.core.caps import check_caps, count_caps
from ledger.core.draft import Draft
from ledger.core.lots import keep_alive, part_of, release_hold, restore, spend, take
from ledger.core.pages import NOT_PAYABLE, OPEN, HoldPage, OrderPage, Part, RedemptionPage
from ledger.core.who import require
from ledger.rulebook.schema import AT_SHOP
from ledger.wire.entries import Captured, Held
from ledger.wire.facts import Capture, Hold, Redemption, Release, Reversal
from ledger.wire.times import to_instant


def redeem(draft: Draft, data: Redemption) -> None:
    """Decide points that are asked for, of one kind, or (no kind is said) of the use's kinds in their order."""
    programme = draft.version.programme
    use = programme.uses.get(data.use)
    if use is None:
        draft.decline("unknown-use", use=data.use)
    kinds: tuple[str, ...]
    if data.kind:
        kind = draft.kind_of(data.kind, data.shop)
        kinds, named = (kind,), kind.partition(AT_SHOP)[0]
        if named not in use.kinds:
            draft.decline("kind-not-taken", kind=named, use=data.use)
    else:
        kinds, named = tuple(draft.kind_of(kind, data.shop) for kind in use.kinds), "points"
    require(draft, draft.version.who_may_use[data.use], data.shop)
    points = data.points
    if use.exactly is not None and points != use.exactly:
        draft.decline("not-exact", asked=points, exactly=use.exactly)
    if points % use.multiple:
        draft.decline("not-a-multiple", asked=points, multiple=use.multiple)
    if use.at_least is not None and points < use.at_least:
        draft.decline("below-least", asked=points, at_least=use.at_least)
    if use.at_most is not None and points > use.at_most:
        draft.decline("above-most", asked=points, at_most=use.at_most)
    if use.order and not data.order:
        draft.decline("order-missing", use=data.use)
    order = draft.pages.get(f"order/{data.order}") if data.order else None
    page = order if isinstance(order, OrderPage) else OrderPage()
    if draft.engine >= 2 and page.status in NOT_PAYABLE:
        draft.decline("order-ended", order=data.order, status=NOT_PAYABLE[page.status])
    if use.settlement_at_least_fen > data.settlement_fen:
        draft.decline("settlement-too-small", settlement_fen=data.settlement_fen, at_least=use.settlement_at_least_fen)
    shares = shares_of(draft, kinds, points)
    fen = sum([part * draft.version.kind(kind).fen for kind, part in shares])
    _check_share(draft, data, page, kinds[0], fen)
    if use.cap:
        check_caps(draft, f"use/{data.use}", use.cap, points, data.order)
    spendable = sum([draft.account.purse(kind).spendable() for kind in kinds])
    if spendable < use.balance_at_least:
        draft.decline("balance-too-small", spendable=spendable, at_least=use.balance_at_least)
    if points > spendable:
        if not data.kind:
            draft.decline("points-short", asked=points, spendable=spendable)
        draft.decline(f"{named}-short", asked=points, spendable=spendable)
    parts: list[Part] = []
    for kind, part in shares:
        taken = spend(draft, kind, part, data.redemption)
        if not data.kind:
            for one in taken:
                one.kind = kind
        parts += taken
    if use.cap:
        count_caps(draft, f"use/{data.use}", use.cap, points, data.order)
    draft.pages.put(f"redemption/{data.redemption}", RedemptionPage(kinds[0] if data.kind else "", data.order, parts))
    if data.order:
        if draft.engine >= 2:
            page.redeemed_fen = draft.bounded(redeemed_fen(draft, page, kinds[0]) + fen)
        page.redeemed = draft.bounded(page.redeemed + points)
        page.redemptions.append(data.redemption)
        draft.pages.put(f"order/{data.order}", page)
        if page.status > OPEN + 1:
            draft.note("order-ended")


def shares_of(draft: Draft, kinds: tuple[str, ...], points: int) -> list[tuple[str, int]]:
    """Which kinds a burn of `points` takes, each as far as it goes; the last one takes what no kind has."""
    shares = []
    for kind in kinds:
        part = points if kind == kinds[-1] else min(points, draft.account.purse(kind).spendable())
        if part:
            shares.append((kind, part))
        points -= part
    return shares


def redeemed_fen(draft: Draft, page: OrderPage, kind: str) -> int:
    """What an order's redemptions are worth so far; of a page of engine 1 as if all of them were of `kind`."""
    if draft.engine < 2 or not page.redeemed_fen:
        return page.redeemed * draft.version.kind(kind).fen
    return page.redeemed_fen if page.redeemed else 0


def _check_share(draft: Draft, data: Redemption, page: OrderPage, kind: str, fen: int) -> None:
    """Decline what is worth more than the use's share of the settlement, over all redemptions of the order."""
    share = draft.version.shares[data.use]
    if share is None:
        return
    if (redeemed_fen(draft, page, kind) + fen) * share.denominator > share.numerator * data.settlement_fen:
        most = int(share * data.settlement_fen)
        draft.decline("above-share", asked=data.points, redeemed=page.redeemed, most_fen=most)


def reverse(draft: Draft, data: Reversal) -> None:
    """Decide a redemption's reversal, of a part or of all that is left of it."""
    key = f"redemption/{data.redemption}"
    page = draft.pages.get(key)
    captured = draft.pages.get(f"captured/{data.redemption}")
    if isinstance(captured, RedemptionPage) and not (isinstance(page, RedemptionPage) and _reversible(page)):
        key, page = f"captured/{data.redemption}", captured
    if not isinstance(page, RedemptionPage):
        draft.decline("unknown-redemption", redemption=data.redemption)
    if page.order:
        draft.decline("redemption-of-an-order", order=page.order)
    rest = _reversible(page)
    if not rest:
        draft.decline("already")
    asked = rest if data.points is None else data.points
    restored = restore(draft, data.redemption, page, min(asked, rest), key)
    if restored < asked:
        draft.note("points-capped", asked=asked, restored=restored)


def _reversible(page: RedemptionPage) -> int:
    """Return the points that a reversal can still give back of a redemption."""
    return 0 if page.order else sum(part.points - part.restored for part in page.parts)


def hold(draft: Draft, data: Hold) -> None:
    """Decide points that are to be held."""
    kind = draft.kind_of(data.kind, data.shop)
    until = to_instant(data.until)
    if until <= draft.clock:
        draft.decline("hold-over")
    name = draft.hold_key(data.hold)
    if name in draft.account.holds:
        draft.decline("already")  # it is the name of what is held for a claim
    spendable = draft.account.purse(kind).spendable()
    if data.points > spendable:
        draft.decline(f"{kind.partition(AT_SHOP)[0]}-short", asked=data.points, spendable=spendable)
    for key, part in take(draft, kind, data.points):
        draft.emit(Held(kind, key, part, name, until))
    draft.pages.put(f"hold/{data.hold}", HoldPage())


def end_hold(draft: Draft, data: Capture | Release) -> None:
    """Decide the capture of a hold's points (all where no number is said), or its release; what is left is released."""
    name, key_of_hold = data.hold, draft.hold_key(data.hold)
    ended, asked = ("captured", data.points) if isinstance(data, Capture) else ("released", 0)
    page = draft.pages.get(f"hold/{name}")
    if not isinstance(page, HoldPage):
        draft.decline("unknown-hold", hold=name)
    hold = draft.account.holds.get(key_of_hold)
    if hold is None:
        draft.decline("already" if page.ended == ended else "hold-ended")
    held = sum(hold.parts.values())
    rest = held if asked is None else asked
    if rest > held:
        draft.note("points-capped", asked=rest, captured=held)
    kind = hold.kind
    parts = []
    if rest and draft.version.idle:
        keep_alive(draft, kind)
    for key, points in list(hold.parts.items()):
        captured = min(rest, points)
        if captured:
            rest -= captured
            parts.append(part_of(draft.account.purses[kind].lots[key], key, captured))
            draft.emit(Captured(kind, key, captured, key_of_hold))
    if parts and draft.engine >= 2:  # a redemption of the hold's name, which a reversal gives back: orders.md 1
        draft.pages.put(f"captured/{name}", RedemptionPage(kind, "", parts))
    release_hold(draft, key_of_hold, hold, draft.clock)
    page.ended = ended
    draft.pages.put(f"hold/{name}", page)
