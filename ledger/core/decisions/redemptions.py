"""Points that are asked for: redemptions and holds, decided against what is spendable at the account's clock."""

from ledger.core.draft import Draft
from ledger.core.lots import release_hold, restore, spend, take
from ledger.core.pages import OPEN, HoldPage, OrderPage, RedemptionPage
from ledger.core.who import require
from ledger.wire.entries import Captured, Held
from ledger.wire.facts import Capture, Hold, Redemption, Release, Reversal
from ledger.wire.times import to_instant


def redeem(draft: Draft, data: Redemption) -> None:
    """Decide points that are asked for."""
    programme = draft.version.programme
    use = programme.uses.get(data.use)
    if use is None:
        draft.decline("unknown-use", use=data.use)
    draft.check_kind(data.kind)
    if data.kind not in use.kinds:
        draft.decline("kind-not-taken", kind=data.kind, use=data.use)
    require(draft, draft.version.who_may_use[data.use])
    points, spendable = data.points, draft.account.purse(data.kind).spendable()
    if use.exactly is not None and points != use.exactly:
        draft.decline("not-exact", asked=points, exactly=use.exactly)
    if points % use.multiple:
        draft.decline("not-a-multiple", asked=points, multiple=use.multiple)
    if use.order and not data.order:
        draft.decline("order-missing", use=data.use)
    order = draft.pages.get(f"order/{data.order}") if data.order else None
    page = order if isinstance(order, OrderPage) else OrderPage()
    share = draft.version.shares[data.use]
    if use.settlement_at_least_fen > data.settlement_fen:
        draft.decline("settlement-too-small", settlement_fen=data.settlement_fen, at_least=use.settlement_at_least_fen)
    if share is not None:
        worth = (page.redeemed + points) * programme.kinds[data.kind].fen
        if worth > share * data.settlement_fen:
            most = int(share * data.settlement_fen)
            draft.decline("above-share", asked=points, redeemed=page.redeemed, most_fen=most)
    if spendable < use.balance_at_least:
        draft.decline("balance-too-small", spendable=spendable, at_least=use.balance_at_least)
    if points > spendable:
        draft.decline(f"{data.kind}-short", asked=points, spendable=spendable)
    parts = spend(draft, data.kind, points, data.redemption)
    draft.pages.put(f"redemption/{data.redemption}", RedemptionPage(data.kind, data.order, parts))
    if data.order:
        page.redeemed += points
        page.redemptions.append(data.redemption)
        draft.pages.put(f"order/{data.order}", page)
        if page.status > OPEN + 1:
            draft.note("order-ended")


def reverse(draft: Draft, data: Reversal) -> None:
    """Decide a redemption's reversal, of a part or of all that is left of it."""
    page = draft.pages.get(f"redemption/{data.redemption}")
    if not isinstance(page, RedemptionPage):
        draft.decline("unknown-redemption", redemption=data.redemption)
    if page.order:
        draft.decline("redemption-of-an-order", order=page.order)
    rest = sum(part.points - part.restored for part in page.parts)
    if not rest:
        draft.decline("already")
    asked = rest if data.points is None else data.points
    restored = restore(draft, data.redemption, page, min(asked, rest))
    if restored < asked:
        draft.note("points-capped", asked=asked, restored=restored)


def hold(draft: Draft, data: Hold) -> None:
    """Decide points that are to be held."""
    draft.check_kind(data.kind)
    until = to_instant(data.until)
    if until <= draft.clock:
        draft.decline("hold-over")
    spendable = draft.account.purse(data.kind).spendable()
    if data.points > spendable:
        draft.decline(f"{data.kind}-short", asked=data.points, spendable=spendable)
    for key, part in take(draft, data.kind, data.points):
        draft.emit(Held(data.kind, key, part, data.hold, until))
    draft.pages.put(f"hold/{data.hold}", HoldPage())


def end_hold(draft: Draft, data: Capture | Release) -> None:
    """Decide the capture of a hold's points (all where no number is said), or its release; what is left is released."""
    name = data.hold
    ended, asked = ("captured", data.points) if isinstance(data, Capture) else ("released", 0)
    page = draft.pages.get(f"hold/{name}")
    if not isinstance(page, HoldPage):
        draft.decline("unknown-hold", hold=name)
    hold = draft.account.holds.get(name)
    if hold is None:
        draft.decline("already" if page.ended == ended else "hold-ended")
    held = sum(hold.parts.values())
    rest = held if asked is None else asked
    if rest > held:
        draft.note("points-capped", asked=rest, captured=held)
    kind = hold.kind
    for key, points in list(hold.parts.items()):
        captured = min(rest, points)
        if captured:
            rest -= captured
            draft.emit(Captured(kind, key, captured, name))
    release_hold(draft, name, hold, draft.clock)
    page.ended = ended
    draft.pages.put(f"hold/{name}", page)
