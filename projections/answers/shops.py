"""Scores that are kept for each shop, as a member's entries tell them: no account has them, they stand on pages."""

from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.schema import AT_SHOP
from ledger.wire import answers
from ledger.wire.entries import Entry, Joined, Scored, TierMoved
from ledger.wire.times import month_text


class _AtShop(Struct, gc=False):
    parts: dict[str, int]
    tier: str
    points: dict[str, int] = field(default_factory=dict)


def entries_until(entries: Iterable[Entry], as_of: int, known_at: int | None) -> Iterator[Entry]:
    """Yield the entries whose clock is at or before an instant, and that were recorded by another."""
    for entry in entries:
        if entry.clock > as_of or (known_at is not None and entry.recorded > known_at):
            return
        yield entry


def describe_shops(entries: Iterable[Entry], version: ProgrammeVersion, as_of: int) -> dict[str, answers.Score]:
    """Return the scores of each shop by ``score@shop``, of the entries until an instant; {} where the book has none."""
    found: dict[str, _AtShop] = {}
    for entry in entries if version.keyed_scores else ():
        for change in entry.changes:
            if isinstance(change, Joined):
                for name in version.keyed_scores:
                    if version.programme.scores[name].joined:
                        _of(found, version, f"{name}{AT_SHOP}{change.shop}")
            elif isinstance(change, Scored) and AT_SHOP in change.score:
                score = _of(found, version, change.score)
                score.points[change.part] = score.points.get(change.part, 0) + change.points
            elif isinstance(change, TierMoved) and AT_SHOP in change.score:
                _of(found, version, change.score).tier = change.after
    month = month_text(version.month(as_of))
    return {
        name: answers.Score(max(0, sum(score.points.values())), score.tier, month, score.parts | score.points)
        for name, score in found.items()
    }


def _of(found: dict[str, _AtShop], version: ProgrammeVersion, key: str) -> _AtShop:
    score = found.get(key)
    if score is None:
        name = key.partition(AT_SHOP)[0]
        parts = dict.fromkeys(version.programme.scores[name].parts, 0)
        score = found[key] = _AtShop(parts, version.rankings[name].first_tier)
    return score
