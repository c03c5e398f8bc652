"""What is kept for each shop: scores as a member's entries tell them (no account has them), and sums over all shops."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import UNSET, Struct, UnsetType, field

from ledger.core.pages import PagesInMemory, QuotaPage, ScorePage, SeenPage
from ledger.journal.ledger import Ledger
from ledger.journal.port import EntryRow
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.rankings import Ranking
from ledger.rulebook.schema import AT_SHOP
from ledger.wire import answers
from ledger.wire.entries import BenefitCounted, BenefitGivenBack, Change, Entry, Joined, Scored, TierMoved
from ledger.wire.entry_codec import decode_entry
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.times import month_text


class ShopScore(Struct, array_like=True, gc=False):
    """A score of one shop: its points by part, and its tier (None: it never moved from the first)."""

    points: dict[str, int] = field(default_factory=dict)
    tier: str | None = None


class ShopScores(Struct, array_like=True, gc=False):
    """A member's scores that are kept for each shop, by ``score@shop``, and the shops that the member joined."""

    scores: dict[str, ShopScore] = field(default_factory=dict)
    joined: list[str] = field(default_factory=list)
    claims: dict[str, dict[str, dict[int, int]]] = field(default_factory=dict)  # by shop, benefit and bucket

    def take(self, change: Change) -> None:
        """Take a change in; those that are about no shop change nothing."""
        taken = _TAKEN.get(type(change))
        if taken is not None:
            taken(self, change)

    def begun(self, version: ProgrammeVersion) -> list[str]:
        """Return the shops where the member has a score of the book or claimed a benefit, sorted."""
        return sorted({*self.claims, *(key.partition(AT_SHOP)[2] for _, key in self._begun(version))})

    def pages(self, version: ProgrammeVersion) -> PagesInMemory:
        """Return the pages that conditions and quotas of shops are asked of."""
        pages = PagesInMemory()
        for shop in self.joined:
            pages.put(f"joined/{shop}", SeenPage())
        for name, key in self._begun(version):
            score = self.scores.get(key) or ShopScore()
            page = ScorePage(score.points, _tier(version, name, score))
            pages.put(f"score/{name}/{key.partition(AT_SHOP)[2]}", page)
        for shop, benefits in self.claims.items():
            for benefit, used in benefits.items():
                pages.put(f"benefit/{benefit}/{shop}", QuotaPage(used))
        return pages

    def _begun(self, version: ProgrammeVersion) -> Iterator[tuple[str, str]]:
        """Yield each score of the book with ``score@shop`` where it has begun: by score, then by shop."""
        for name, tables in version.programme.scores.items():
            if name in version.keyed_scores:
                begun = [f"{name}{AT_SHOP}{shop}" for shop in self.joined if tables.joined]
                begun += [key for key in self.scores if without_shop(key) == name]
                yield from ((name, key) for key in sorted(set(begun)))

    def describe(self, version: ProgrammeVersion, as_of: int) -> Iterator[tuple[str, str, answers.Score]]:
        """Yield each score of the book, ``score@shop`` and what it is at an instant: by score, then by shop."""
        month = month_text(version.month(as_of))
        for name, key in self._begun(version):
            score = self.scores.get(key) or ShopScore()
            tier, value = _tier(version, name, score), max(0, sum(score.points.values()))
            parts = dict.fromkeys(version.programme.scores[name].parts, 0) | score.points
            following = next_tier(version.rankings[name], tier, value)
            because: answers.Because | UnsetType = "value" if tier else UNSET
            yield name, key, answers.Score(value, tier, month, parts, because=because, next=following)


def _joined(shops: ShopScores, change: Joined) -> None:
    shops.joined.append(change.shop)


def _scored(shops: ShopScores, change: Scored) -> None:
    if AT_SHOP in change.score:
        points = shops.scores.setdefault(change.score, ShopScore()).points
        points[change.part] = points.get(change.part, 0) + change.points


def _tier_moved(shops: ShopScores, change: TierMoved) -> None:
    if AT_SHOP in change.score:
        shops.scores.setdefault(change.score, ShopScore()).tier = change.after


def _claimed(shops: ShopScores, change: BenefitCounted) -> None:
    _claim(shops, change, 1)


def _given_back(shops: ShopScores, change: BenefitGivenBack) -> None:
    _claim(shops, change, -1)


def _claim(shops: ShopScores, change: BenefitCounted | BenefitGivenBack, by: int) -> None:
    if change.shop:
        used = shops.claims.setdefault(change.shop, {}).setdefault(change.benefit, {})
        used[change.bucket] = used.get(change.bucket, 0) + by


_TAKEN: dict[type[Change], Callable[[ShopScores, Any], None]] = {
    Joined: _joined,
    Scored: _scored,
    TierMoved: _tier_moved,
    BenefitCounted: _claimed,
    BenefitGivenBack: _given_back,
}


def _tier(version: ProgrammeVersion, name: str, score: ShopScore) -> str:
    return version.rankings[name].first_tier if score.tier is None else score.tier


def next_tier(ranking: Ranking, tier: str, value: int) -> answers.NextTier | UnsetType:
    """Return the tier above another that needs the least, and how much of the value is missing for it."""
    names = [one.name for one in ranking.tiers]
    above = ranking.tiers[names.index(tier) + 1 if tier in names else 0 :]
    for one in above:
        if value < one.at_least or one.invited:
            return answers.NextTier(one.name, one.at_least, max(0, one.at_least - value), one.invited)
    return UNSET


def entries_until(rows: Iterable[EntryRow], as_of: int, known_at: int | None) -> Iterator[Entry]:
    """Yield a member's entries whose clock is at or before an instant, and that were recorded by another."""
    for row in rows:
        entry = decode_entry(row.state)
        if entry.clock > as_of or (known_at is not None and entry.recorded > known_at):
            return
        yield entry


def shops_of(entries: Iterable[Entry]) -> ShopScores:
    """Return a member's scores by shop, from the entries."""
    found = ShopScores()
    for entry in entries:
        for change in entry.changes:
            found.take(change)
    return found


def shops_of_member(
    ledger: Ledger, member: str, version: ProgrammeVersion, as_of: int, known_at: int | None = None
) -> ShopScores:
    """Return a member's scores by shop at an instant; none are read where the book has none."""
    if not version.keyed_scores:
        return ShopScores()
    rows = ledger.journal(ledger.partition_of(member)).entries_of(member)
    return shops_of(entries_until(rows, as_of, known_at))


def shops_by_member(
    ledger: Ledger, partition: int, as_of: int, known_at: int | None
) -> Iterator[tuple[str, ShopScores]]:
    """Yield every member of a partition with an entry by then, in order, with the scores by shop."""
    for member, rows in ledger.journal(partition).by_member():
        if member == PROGRAMME_SUBJECT:
            continue
        entries = list(entries_until(rows, as_of, known_at))
        if entries:
            yield member, shops_of(entries)


def without_shop(name: str) -> str:
    """Return the kind of points or the score that is kept for a shop: ``shop-points`` of ``shop-points@shop-a``."""
    return name.partition(AT_SHOP)[0]
