"""What is kept for each shop: scores as a member's entries tell them (no account has them), and sums over all shops.

A member who has several names is told the sum over them, which is what decisions read; each name's share stands beside
it, as its pages do in the ledger (two-accounts.md F). What a name has comes with its pages, in the facts of a move.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import UNSET, Struct, UnsetType, field

from ledger.core.pages import PagesInMemory, QuotaPage, ScorePage, SeenPage, decode_page
from ledger.journal.ledger import Ledger
from ledger.journal.port import EntryRow
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.rankings import Ranking
from ledger.rulebook.schema import AT_SHOP
from ledger.wire import answers
from ledger.wire.entries import (
    ACCEPTED,
    BenefitCounted,
    BenefitGivenBack,
    Change,
    Entry,
    Joined,
    NameCame,
    NameLeft,
    Scored,
    TierMoved,
    Under,
)
from ledger.wire.entry_codec import decode_entry
from ledger.wire.fact_codec import decode_canonical
from ledger.wire.facts import PROGRAMME_SUBJECT, MemberMoved, MemberPages, MovedPage
from ledger.wire.times import month_text

_WITH_PAGES = tuple(f'"{fact.__struct_config__.tag}"'.encode() for fact in (MemberPages, MemberMoved))
_AT_SHOPS = ("score/", "benefit/", "joined/")  # how the keys of pages begin that are about a shop
_Parts = dict[str, int]
_Claims = dict[str, dict[str, dict[int, int]]]  # by shop, benefit and bucket


class ShopScore(Struct, array_like=True, gc=False):
    """A score of one shop: its points by part, and its tier (None: it never moved from the first)."""

    points: _Parts = field(default_factory=dict)
    tier: str | None = None


class ShopShare(Struct, array_like=True, gc=False):
    """What one name has at shops: scores by ``score@shop``, the shops that it joined, and its claims that count."""

    scores: dict[str, ShopScore] = field(default_factory=dict)
    joined: list[str] = field(default_factory=list)
    claims: _Claims = field(default_factory=dict)

    def take_page(self, key: str, state: bytes) -> None:
        """Take a page of a shop that came in place of the one before."""
        kind, name = key.split("/", 1)
        page = decode_page(state)
        if kind == "joined":
            if name not in self.joined:
                self.joined.append(name)
            return
        name, shop = name.split("/", 1)
        if isinstance(page, ScorePage):
            self.scores[f"{name}{AT_SHOP}{shop}"] = ShopScore(page.parts, page.tier)
        elif isinstance(page, QuotaPage):
            self.claims.setdefault(shop, {})[name] = page.used


class ShopScores(ShopShare, array_like=True, gc=False):
    """What a member has at shops: under the member's own name, and in `others` under other names that are here.

    The tier of a score is that of the sum, and stands with each name that has points of it. `coming` are names whose
    pages came before them (empty: the own one), `pieces` parts of a move of which others are still to come, and
    `acting` is the name that the present entry goes on under.
    """

    others: dict[str, ShopShare] = field(default_factory=dict)
    coming: dict[str, ShopShare] = field(default_factory=dict)
    pieces: dict[str, dict[int, list[MovedPage]]] = field(default_factory=dict)
    acting: str = ""

    def begin(self, fact: bytes, outcome: int) -> None:
        """Begin an entry, before its changes: take the pages that its fact brings."""
        self.acting = ""
        if outcome == ACCEPTED and any(one in fact for one in _WITH_PAGES):
            found = decode_canonical(fact)[0]
            if isinstance(found, MemberPages):
                self._take_pages(found.subject, found.data.pages)
            elif isinstance(found, MemberMoved):
                self._take_part(found)

    def take(self, change: Change) -> None:
        """Take a change in; those that are about no shop change nothing."""
        taken = _TAKEN.get(type(change))
        if taken is not None:
            taken(self, change)

    def begun(self, version: ProgrammeVersion) -> list[str]:
        """Return the shops where the member has a score of the book or claimed a benefit, sorted."""
        claimed = (shop for share in self.shares() for shop in share.claims)
        return sorted({*claimed, *(key.partition(AT_SHOP)[2] for _, key in self._begun(version))})

    def pages(self, version: ProgrammeVersion) -> PagesInMemory:
        """Return the pages that conditions and quotas of shops are asked of."""
        pages = PagesInMemory()
        for shop in self._joined():
            pages.put(f"joined/{shop}", SeenPage())
        for name, key in self._begun(version):
            page = ScorePage(self._points(key), self._tier(version, name, key))
            pages.put(f"score/{name}/{key.partition(AT_SHOP)[2]}", page)
        used: dict[str, dict[int, int]] = {}
        for share in self.shares():
            for shop, benefits in share.claims.items():
                for benefit, counted in benefits.items():
                    _add(used.setdefault(f"benefit/{benefit}/{shop}", {}), counted)
        for key, counted in used.items():
            pages.put(key, QuotaPage(counted))
        return pages

    def describe(self, version: ProgrammeVersion, as_of: int) -> Iterator[tuple[str, str, answers.Score]]:
        """Yield each score of the book, ``score@shop`` and what it is at an instant: by score, then by shop."""
        month = month_text(version.month(as_of))
        for name, key in self._begun(version):
            points, tier = self._points(key), self._tier(version, name, key)
            value, parts = max(0, sum(points.values())), dict.fromkeys(version.programme.scores[name].parts, 0) | points
            following = next_tier(version.rankings[name], tier, value)
            because: answers.Because | UnsetType = "value" if tier else UNSET
            yield name, key, answers.Score(value, tier, month, parts, because=because, next=following)

    def _begun(self, version: ProgrammeVersion) -> Iterator[tuple[str, str]]:
        """Yield each score of the book with ``score@shop`` where it has begun: by score, then by shop."""
        scored = [key for share in self.shares() for key in share.scores]
        for name, tables in version.programme.scores.items():
            if name in version.keyed_scores:
                begun = [f"{name}{AT_SHOP}{shop}" for shop in self._joined() if tables.joined]
                begun += [key for key in scored if without_shop(key) == name]
                yield from ((name, key) for key in sorted(set(begun)))

    def _joined(self) -> list[str]:
        return list(dict.fromkeys(shop for share in self.shares() for shop in share.joined))

    def _points(self, score: str) -> _Parts:
        total: _Parts = {}
        for share in self.shares():
            if score in share.scores:
                _add(total, share.scores[score].points)
        return total

    def _tier(self, version: ProgrammeVersion, name: str, score: str) -> str:
        tier = self.tier_of(score)
        return version.rankings[name].first_tier if tier is None else tier

    def shares(self) -> Iterator[ShopShare]:
        """Yield what each name has that is here, the member's own first."""
        yield self
        yield from self.others.values()

    def share(self) -> ShopShare:
        """Return what the name has that acts."""
        return self.others.setdefault(self.acting, ShopShare()) if self.acting else self

    def tier_of(self, score: str) -> str | None:
        """Return the tier of ``score@shop``; None where it never moved from the first, or has not begun."""
        return next((share.scores[score].tier for share in self.shares() if score in share.scores), None)

    def has(self, score: str) -> bool:
        """Return True if a name that is here has points of ``score@shop``."""
        return any(score in share.scores for share in self.shares())

    def _take_part(self, fact: MemberMoved) -> None:
        """Take the pages of a move whose parts are all here, in the order of the parts; keep them until they are."""
        data, move = fact.data, f"{fact.data.era}/{fact.data.frm}"
        parts = self.pieces.setdefault(move, {})
        parts[data.part] = [page for page in data.pages if page.key.startswith(_AT_SHOPS)]
        if len(parts) == data.parts:
            del self.pieces[move]
            self._take_pages(fact.subject, [page for part in range(data.parts) for page in parts[part]])

    def _take_pages(self, member: str, pages: list[MovedPage]) -> None:
        state = b""
        for page in pages:
            if page.key.startswith(_AT_SHOPS):
                state += page.state
                if not page.more:
                    name = "" if page.name == member else page.name
                    self.coming.setdefault(name, ShopShare()).take_page(page.key, state)
                    state = b""


def _add(total: dict[Any, int], counts: dict[Any, int]) -> None:
    for key, count in counts.items():
        total[key] = total.get(key, 0) + count


def _under(shops: ShopScores, change: Under) -> None:
    shops.acting = change.name


def _name_came(shops: ShopScores, change: NameCame) -> None:
    """Let a name be here: where no other had a score of a shop, its tier is that of the name."""
    share = shops.coming.pop(change.name, ShopShare())
    for name, score in share.scores.items():
        if shops.has(name):
            score.tier = shops.tier_of(name)
    if change.name:
        shops.others[change.name] = share
    else:
        shops.scores, shops.joined, shops.claims = share.scores, share.joined, share.claims


def _name_left(shops: ShopScores, change: NameLeft) -> None:
    if change.name:
        shops.others.pop(change.name, None)
    else:
        shops.scores, shops.joined, shops.claims = {}, [], {}


def _joined(shops: ShopScores, change: Joined) -> None:
    shops.share().joined.append(change.shop)


def _scored(shops: ShopScores, change: Scored) -> None:
    if AT_SHOP in change.score:
        scores = shops.share().scores
        if change.score not in scores:
            scores[change.score] = ShopScore(tier=shops.tier_of(change.score))
        _add(scores[change.score].points, {change.part: change.points})


def _tier_moved(shops: ShopScores, change: TierMoved) -> None:
    for share in shops.shares() if AT_SHOP in change.score else ():
        if change.score in share.scores:
            share.scores[change.score].tier = change.after


def _claimed(shops: ShopScores, change: BenefitCounted) -> None:
    _claim(shops, change, 1)


def _given_back(shops: ShopScores, change: BenefitGivenBack) -> None:
    _claim(shops, change, -1)


def _claim(shops: ShopScores, change: BenefitCounted | BenefitGivenBack, by: int) -> None:
    if change.shop:
        used = shops.share().claims.setdefault(change.shop, {}).setdefault(change.benefit, {})
        _add(used, {change.bucket: by})


_TAKEN: dict[type[Change], Callable[[ShopScores, Any], None]] = {
    Under: _under,
    NameCame: _name_came,
    NameLeft: _name_left,
    Joined: _joined,
    Scored: _scored,
    TierMoved: _tier_moved,
    BenefitCounted: _claimed,
    BenefitGivenBack: _given_back,
}


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
        found.begin(entry.fact, entry.outcome)
        for change in entry.changes:
            found.take(change)
    return found


def shops_of_member(
    ledger: Ledger, member: str, version: ProgrammeVersion, as_of: int, known_at: int | None = None
) -> ShopScores:
    """Return a member's scores by shop at an instant; none are read where the book has none."""
    if not version.keyed_scores:
        return ShopScores()
    rows = ledger.journal(ledger.partition_of(member)).each_entry_of(member)
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
