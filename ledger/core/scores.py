"""Scores are functions of an account and an instant, never stored: sums of some months, and what does not age."""

from ledger.core.account import Account
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.rankings import MONTHS, Ranking, period_at, window_of
from ledger.rulebook.schema import Score


def value_of(account: Account, name: str, score: Score, month: int) -> int:
    """The score of a month."""
    value = 0
    for key, points in account.once.items():
        if key.startswith(f"{name}/"):
            value += points
    first = month - score.window_months
    for counted, parts in account.sums.get(name, {}).items():
        if first <= counted < month:
            value += sum(parts.values())
    for attribute, held, most in score.limits:
        if getattr(account, attribute) == held:
            value = min(value, most)
    return value


def value_at(account: Account, version: ProgrammeVersion, name: str, instant: int) -> int:
    """Return a score at an instant, from the sums known now; never below 0."""
    ranking = version.rankings[name]
    return value_in(account, ranking, period_at(ranking, instant, version.offset))


def value_in(account: Account, ranking: Ranking, period: int) -> int:
    """Return the score of a period (a month, day or year as a bucket), from the sums known now; never below 0."""
    name, value = ranking.name, 0
    if account.once:
        own = f"{name}/"
        for key, points in account.once.items():
            if key.startswith(own):
                value += points
    sums = account.sums.get(name)
    if sums:
        first, last = window_of(ranking, period)
        for bucket, parts in sums.items():
            if first <= bucket <= last:
                value += sum(parts.values())
    for attribute, held, most in ranking.limits:
        if getattr(account, attribute) == held:
            value = min(value, most)
    return value if value > 0 else 0


def score_month(version: ProgrammeVersion, name: str, instant: int) -> int:
    """Return the month whose value a score has at an instant, or for a score that moves otherwise the month it is."""
    ranking = version.rankings[name]
    return period_at(ranking, instant, version.offset) if ranking.window == MONTHS else version.month(instant)


def value_since(account: Account, ranking: Ranking, first: int) -> int:
    """Return what a score comes to without ageing: all that came and went of the buckets from `first` on."""
    value = sum(points for key, points in account.once.items() if key.startswith(f"{ranking.name}/"))
    for bucket, parts in account.sums.get(ranking.name, {}).items():
        if bucket >= first:
            value += sum(parts.values())
    return value


def parts_at(account: Account, version: ProgrammeVersion, name: str, instant: int) -> dict[str, int]:
    """Return the points of each part that a score counts at an instant, and what does not age."""
    ranking = version.rankings[name]
    parts = dict.fromkeys(version.programme.scores[name].parts, 0)
    first, last = window_of(ranking, period_at(ranking, instant, version.offset))
    for bucket, found in account.sums.get(name, {}).items():
        if first <= bucket <= last:
            for part, points in found.items():
                parts[part] = parts.get(part, 0) + points
    for key, points in account.once.items():
        of, part, _ = key.split("/", 2)
        if of == name:
            parts[part] = parts.get(part, 0) + points
    return parts


def tier_of(score: Score, value: int) -> str:
    """The name of the tier of a value, empty below the first."""
    name = ""
    for tier in score.tiers:
        if value >= tier.at_least:
            name = tier.name
    return name
