"""What is kept for each shop: scores as a member's entries tell them (no account has them), and sums over all shops."""

from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.schema import AT_SHOP
from ledger.wire import answers
from ledger.wire.entries import Change, Entry, Joined, Scored, TierMoved
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

    def take(self, change: Change) -> None:
        """Take a change in; those that are about no shop change nothing."""
        if isinstance(change, Joined):
            self.joined.append(change.shop)
        elif isinstance(change, Scored) and AT_SHOP in change.score:
            points = self._of(change.score).points
            points[change.part] = points.get(change.part, 0) + change.points
        elif isinstance(change, TierMoved) and AT_SHOP in change.score:
            self._of(change.score).tier = change.after

    def _of(self, key: str) -> ShopScore:
        return self.scores.setdefault(key, ShopScore())

    def describe(self, version: ProgrammeVersion, as_of: int) -> Iterator[tuple[str, str, answers.Score]]:
        """Yield each score of the book, ``score@shop`` and what it is at an instant: by score, then by shop."""
        month = month_text(version.month(as_of))
        for name in version.programme.scores:
            if name not in version.keyed_scores:
                continue
            tables = version.programme.scores[name]
            begun = [f"{name}{AT_SHOP}{shop}" for shop in self.joined if tables.joined]
            begun += [key for key in self.scores if key.partition(AT_SHOP)[0] == name]
            for key in sorted(set(begun)):
                score = self.scores.get(key) or ShopScore()
                tier = version.rankings[name].first_tier if score.tier is None else score.tier
                parts = dict.fromkeys(tables.parts, 0) | score.points
                yield name, key, answers.Score(max(0, sum(score.points.values())), tier, month, parts)


def entries_until(entries: Iterable[Entry], as_of: int, known_at: int | None) -> Iterator[Entry]:
    """Yield the entries whose clock is at or before an instant, and that were recorded by another."""
    for entry in entries:
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


def describe_shops(entries: Iterable[Entry], version: ProgrammeVersion, as_of: int) -> dict[str, answers.Score]:
    """Return the scores of each shop by ``score@shop``, of the entries until an instant; {} where the book has none."""
    if not version.keyed_scores:
        return {}
    return {key: score for _, key, score in shops_of(entries).describe(version, as_of)}


def shops_by_member(
    ledger: Ledger, partition: int, as_of: int, known_at: int | None
) -> Iterator[tuple[str, ShopScores]]:
    """Yield every member of a partition with an entry by then, in order, with the scores by shop."""
    for member, rows in ledger.journal(partition).by_member():
        if member == PROGRAMME_SUBJECT:
            continue
        entries = list(entries_until((decode_entry(row.state) for row in rows), as_of, known_at))
        if entries:
            yield member, shops_of(entries)


def without_shop(name: str) -> str:
    """Return the kind of points or the score that is kept for a shop: ``shop-points`` of ``shop-points@shop-a``."""
    return name.partition(AT_SHOP)[0]
