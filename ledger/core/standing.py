"""Which tier a member has: the higher of the own one and of those granted.

The own tier is the highest of the tier of the value and of those held. A score whose holds end in a deduction does not
age, so that there the value alone says it.
"""

from bisect import bisect_right
from typing import NamedTuple

from ledger.core.account import Account
from ledger.core.scores import value_in
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.rankings import YEAR, Ranking, period_at


class Stand(NamedTuple):
    """A score before something moved it: its value, that of the calendar year before, and the place of the own tier."""

    value: int
    last_year: int
    own: int


def own_place(account: Account, ranking: Ranking, value: int) -> int:
    """Return the place of a member's own tier at a value of the score; -1 below the first."""
    held = () if ranking.deducts or not account.tier_holds else account.tier_holds.get(ranking.name, ())
    if ranking.bounds is not None and not held:
        return bisect_right(ranking.bounds, value) - 1
    place = -1
    for number, (name, at_least, invited, _) in enumerate(ranking.tiers):
        if (value >= at_least or name in held) and (not invited or is_invited(account, ranking, number)):
            place = number
    return place


def place_at(account: Account, ranking: Ranking, value: int) -> int:
    """Return the place of the tier in force at a value: the higher of the own one and of those granted."""
    place = own_place(account, ranking, value)
    for grant in account.grants.values() if account.grants else ():
        if grant.score == ranking.name:
            for number, tier in enumerate(ranking.tiers):
                if tier.name == grant.tier and not tier.invited:
                    place = max(place, number)
    return place


def tier_name(ranking: Ranking, place: int) -> str:
    """The name of the tier in a place, empty below the first."""
    return ranking.tiers[place].name if place >= 0 else ""


def tier_now(account: Account, version: ProgrammeVersion, name: str, instant: int) -> str:
    """Return the tier in force of an account that was run to this instant."""
    ranking = version.rankings[name]
    value = value_in(account, ranking, period_at(ranking, instant, version.offset))
    return tier_name(ranking, place_at(account, ranking, value))


def tier_at(account: Account, version: ProgrammeVersion, name: str, instant: int) -> str:
    """Return the tier in force at an instant as the ledger knew it, empty below the first.

    A tier that moved because of late facts does not reach back: a move holds from its own instant on.
    """
    moves = account.tier_moves.get(name)
    if moves is None:
        held = account.tiers.get(name)
        return version.rankings[name].first_tier if held is None else held
    for at, tier in reversed(moves):
        if at <= instant:
            return tier
    return moves[0][1]


def is_invited(account: Account, ranking: Ranking, place: int) -> bool:
    """Return True if the member is permitted the tier in a place now."""
    wanted = ranking.tiers[place].name
    return any(grant.score == ranking.name and grant.tier == wanted for grant in account.grants.values())


def stand_of(account: Account, ranking: Ranking, version: ProgrammeVersion, instant: int) -> Stand:
    """Return how a score stands at an instant, to be compared with later."""
    period = period_at(ranking, instant, version.offset)
    value = value_in(account, ranking, period)
    last_year = value_in(account, ranking, period - 1) if ranking.window == YEAR else 0
    return Stand(value, last_year, own_place(account, ranking, value))
