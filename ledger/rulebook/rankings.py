"""A score of the rule book as data: what time it counts, when its value moves, and how long its tiers are held.

Items are summed in buckets, which are integers: a month (year * 12 + month - 1), for a window of days a day, for one of
the calendar year the year, and for one of a whole life a single bucket that nothing ages out of.
"""

from typing import Final, NamedTuple

from msgspec import Struct

from ledger.rulebook.schema import Score
from ledger.wire.entries import DAY_BUCKETS, LIFE_BUCKET
from ledger.wire.times import DAY, MAX_INSTANT, Zone, day_of, first_day, instant_at, month_of, month_start

MONTHS: Final = "months"
DAYS: Final = "days"
YEAR: Final = "year"
LIFE: Final = "life"


class RankTier(NamedTuple):
    """A tier of a score; `deduct` is taken from the score when its hold ends."""

    name: str
    at_least: int
    invited: bool
    deduct: int


class Ranking(Struct, frozen=True, eq=False):
    """A score, ready to reckon with."""

    name: str
    window: str  # of MONTHS, DAYS, YEAR, LIFE
    span: int  # whole months or days that the window counts
    at_once: bool  # an item counts from its instant, and not only from the next month or day on
    settle_day: int  # of the month, on which value and tier of a monthly score begin
    tiers: tuple[RankTier, ...]  # the lowest first
    bounds: tuple[int, ...] | None  # what each tier begins at; None where one is by invitation
    first_tier: str  # that of the value 0, which a member has before any item
    limits: tuple[tuple[str, int, int], ...]  # attribute, value, the most that the score then is
    hold_days: int  # 0: not by days
    hold_years: int  # -1: not by years
    deducts: bool
    steps_down: bool
    holds: bool  # a tier that was reached is held against ageing
    is_monthly: bool  # the value moves as months begin, and only then

    @property
    def is_plain(self) -> bool:
        """Whether the tier follows from the sums of whole months alone, and moves as months begin."""
        return self.is_monthly and not self.holds


def compile_ranking(name: str, score: Score) -> Ranking:
    """A score of a book as data."""
    window = score.window or (DAYS if score.window_days is not None else MONTHS)
    hold, deduct = score.hold, score.deduct or {}
    hold_days = hold.days or 0 if hold is not None else 0
    hold_years = -1 if hold is None or hold.end_of_year_after is None else hold.end_of_year_after
    at_once, settle_day = score.settle == "at-once", score.settle_day or 1
    return Ranking(
        name=name,
        window=window,
        span=score.window_days or score.window_months,
        at_once=at_once,
        settle_day=settle_day,
        tiers=tuple(RankTier(t.name, t.at_least, t.invited, deduct.get(t.name, 0)) for t in score.tiers),
        bounds=None if any(t.invited for t in score.tiers) else tuple(t.at_least for t in score.tiers),
        first_tier=next((t.name for t in reversed(score.tiers) if t.at_least <= 0 and not t.invited), ""),
        limits=score.limits,
        hold_days=hold_days,
        hold_years=hold_years,
        deducts=score.deduct is not None,
        steps_down=score.down == "step",
        holds=hold_days > 0 or hold_years >= 0,
        is_monthly=window == MONTHS and not at_once and settle_day == 1,
    )


def bucket_at(ranking: Ranking, instant: int, zone: Zone) -> int:
    """The bucket of an item that occurred at an instant."""
    if ranking.window == LIFE:
        return LIFE_BUCKET
    if ranking.window == DAYS:
        return DAY_BUCKETS + day_of(instant, zone)
    month = month_of(instant, zone)
    return month // 12 if ranking.window == YEAR else month


def period_at(ranking: Ranking, instant: int, zone: Zone) -> int:
    """The month, day or year (as a bucket) whose value holds at an instant."""
    if ranking.settle_day > 1 and instant < settle_instant(ranking, month_of(instant, zone), zone):
        return month_of(instant, zone) - 1
    return bucket_at(ranking, instant, zone)


def window_of(ranking: Ranking, period: int) -> tuple[int, int]:
    """The first and the last bucket that the value of a period counts."""
    if ranking.window in (LIFE, YEAR):
        return period, period
    return period - ranking.span, period if ranking.at_once else period - 1


def settle_instant(ranking: Ranking, month: int, zone: Zone) -> int:
    """The instant from which the value of a month holds."""
    if ranking.settle_day == 1:
        return month_start(month, zone)
    return instant_at((first_day(month) + ranking.settle_day - 1) * DAY, zone)


def moves_of(ranking: Ranking, bucket: int, zone: Zone) -> tuple[int, ...]:
    """The instants at which what a bucket holds begins to count by time alone, and at which it no longer counts."""
    if ranking.window == LIFE:
        return ()
    if ranking.window == YEAR:
        return (month_start((bucket + 1) * 12, zone),)
    if ranking.window == DAYS:
        day = bucket - DAY_BUCKETS
        return instant_at((day + 1) * DAY, zone), instant_at((day + 1 + ranking.span) * DAY, zone)
    if ranking.at_once:
        return (month_start(bucket + ranking.span + 1, zone),)
    return settle_instant(ranking, bucket + 1, zone), settle_instant(ranking, bucket + 1 + ranking.span, zone)


def hold_until(ranking: Ranking, year: int, begun_at: int, zone: Zone) -> int:
    """When a hold ends that began at an instant, for a tier that was reached in a year."""
    if ranking.hold_days:
        return min(begun_at + ranking.hold_days * DAY, MAX_INSTANT)
    return month_start((year + ranking.hold_years + 1) * 12, zone)


def oldest_needed(ranking: Ranking, month: int) -> int:
    """The oldest month whose sums a score still needs in a month."""
    if ranking.window == LIFE:
        return month
    if ranking.window == YEAR:
        return (month // 12 - 1) * 12
    if ranking.window == DAYS:
        return month - ranking.span // 28 - 1
    return month - ranking.span - (ranking.settle_day > 1)
