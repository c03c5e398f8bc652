"""Tiers that are granted and withdrawn, by operators or by whom the ledger's settings name as grantors."""

from ledger.core.asks import tiers_asked
from ledger.core.draft import Draft
from ledger.core.pages import SEEN, ClaimPage
from ledger.core.tiers import MAX_GRANTS, grant_tier, withdraw_tier
from ledger.wire.facts import TierGrant, TierWithdrawal
from ledger.wire.times import to_instant


def grant(draft: Draft, data: TierGrant) -> None:
    """Decide a tier that is granted: a floor until an instant, or of an invited tier the permission."""
    page = f"tier-grant/{data.grant}"
    if data.grant in draft.account.grants or draft.pages.get(page) is not None:
        draft.decline("already")
    ranking = draft.version.rankings.get(data.score)
    is_kept_so = data.score in draft.version.keyed_scores  # for each shop, and a grant names none
    if ranking is None or is_kept_so or all(tier.name != data.tier for tier in ranking.tiers):
        draft.decline("unknown-tier", score=data.score, tier=data.tier)
    until = to_instant(data.until)
    if until <= draft.clock:
        draft.decline("over")
    if len(draft.account.grants) + tiers_asked(draft) >= MAX_GRANTS:
        draft.decline("too-many-grants", most=MAX_GRANTS)
    grant_tier(draft, data.grant, data.score, data.tier, until)
    draft.pages.put(page, SEEN)


def withdraw(draft: Draft, data: TierWithdrawal) -> None:
    """Decide that a granted tier ends: a fact's own, or what a claim gave (``claim/ID``)."""
    name = data.grant
    if name not in draft.account.grants:
        page = draft.pages.get(name if name.startswith("claim/") else f"tier-grant/{name}")
        was_known = page.has_tier if isinstance(page, ClaimPage) else page is not None
        draft.decline("already" if was_known else "unknown-grant", grant=name)
    withdraw_tier(draft, name)
