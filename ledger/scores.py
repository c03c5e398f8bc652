"""Scores are functions of an account and an instant, never stored: sums of some months, and what does not age."""

from ledger.account import Account
from ledger.programme import Score


def parts_of(account: Account, name: str, score: Score, month: int) -> dict[str, int]:
    """Points of each part in the months that the score of `month` counts, and what does not age."""
    parts = dict.fromkeys(score.parts, 0)
    prefix = f"{name}/"
    for counted in range(month - score.window_months, month):
        for key, points in account.sums.get(counted, {}).items():
            if key.startswith(prefix):
                _add(parts, key, points)
    for key, points in account.once.items():
        if key.startswith(prefix):
            _add(parts, key, points)
    return parts


def _add(parts: dict[str, int], key: str, points: int) -> None:
    part = key.split("/", 2)[1]
    parts[part] = parts.get(part, 0) + points


def value_of(account: Account, name: str, score: Score, month: int) -> int:
    """The score of a month."""
    prefix = f"{name}/"
    value = sum(points for key, points in account.once.items() if key.startswith(prefix))
    for counted, sums in account.sums.items():
        if month - score.window_months <= counted < month:
            for key, points in sums.items():
                if key.startswith(prefix):
                    value += points
    if account.stars == 1 and score.one_star_limit is not None:
        return min(value, score.one_star_limit)
    return value


def tier_of(score: Score, value: int) -> str:
    """The name of the tier of a value, empty below the first."""
    name = ""
    for tier in score.tiers:
        if value >= tier.at_least:
            name = tier.name
    return name
