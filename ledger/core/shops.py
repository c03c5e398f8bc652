"""Scores that are kept for each shop: a sum and a tier on a page of its own, out of which nothing falls due by time."""

from ledger.core.draft import Draft
from ledger.core.names import NamedDraft
from ledger.core.pages import ScorePage
from ledger.core.standing import tier_name
from ledger.rulebook.rankings import Ranking
from ledger.rulebook.schema import AT_SHOP
from ledger.wire.entries import TierMoved
from ledger.wire.name_keys import named, under


def has_joined(draft: Draft, shop: str) -> bool:
    """Return True if the member joined a shop."""
    return draft.pages.get(f"joined/{shop}") is not None


def page_of_shop(draft: Draft, name: str, shop: str) -> ScorePage | None:
    """Return a score of a shop, None where it has not begun: the shop was not joined, or none is named."""
    if not shop or (draft.version.programme.scores[name].joined and not has_joined(draft, shop)):
        return None
    page = draft.pages.get(f"score/{name}/{shop}")
    return page if isinstance(page, ScorePage) else ScorePage(tier=draft.version.rankings[name].first_tier)


def follow_shops(draft: Draft) -> None:
    """Move the tiers of the shops whose scores a decision moved, and note what was reached."""
    version = draft.book.nearest(draft.clock)  # the tier in force is that of now, also where the fact came late
    for score, before in (draft.at_shops or {}).items():
        name, _, shop = score.partition(AT_SHOP)
        page, ranking = draft.pages.get(f"score/{name}/{shop}"), version.rankings.get(name)
        if ranking is None:
            ranking = draft.version.rankings[name]
        assert isinstance(page, ScorePage)
        place = _place(ranking, page.value())
        page.tier = tier_name(ranking, place)
        draft.pages.put(f"score/{name}/{shop}", page)
        if page.tier != before:
            draft.emit(TierMoved(score, before, page.tier, draft.clock))
        names = [tier.name for tier in ranking.tiers]
        start = names.index(before) if before in names else -1
        for number in range(start + 1, place + 1):
            passed = (name, tier_name(ranking, number), tier_name(ranking, number - 1), draft.clock)
            draft.reached = (*draft.reached, passed)


def place_shops_anew(draft: NamedDraft) -> None:
    """Place a member in the tiers of shops by the sums over the names that are here: nothing is reached by that."""
    version, names = draft.book.nearest(draft.clock), ("", *draft.bundle.names)
    keys = draft.named.all_keys() if version.keyed_scores else ()
    for own in sorted({own for name, own in map(named, keys) if name in names and own.startswith("score/")}):
        score, shop = own.split("/", 2)[1:]
        page, ranking = draft.pages.get(own), version.rankings.get(score)
        if not isinstance(page, ScorePage) or ranking is None:
            continue
        before, page.tier = page.tier, tier_name(ranking, _place(ranking, page.value()))
        for name in names:
            share = draft.named.whole.get(under(name, own))
            if isinstance(share, ScorePage) and share.tier != page.tier:
                share.tier = page.tier
                draft.named.store(under(name, own), share)
        if page.tier != before:
            draft.emit(TierMoved(f"{score}{AT_SHOP}{shop}", before, page.tier, draft.clock))


def _place(ranking: Ranking, value: int) -> int:
    return max((number for number, tier in enumerate(ranking.tiers) if value >= tier.at_least), default=-1)
