"""The console's first page as figures: what the view `overview` says of some days, and how the members stand now.

Every figure is a sum of the view's rows. `outstanding` at the end of a period is all that was issued by then less all
that went, so the last one is what the books call outstanding once the range ends today.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from heapq import nlargest
from itertools import accumulate, islice
from typing import Literal, NamedTuple

from msgspec import Struct

from ledger.rulebook.compiled import ProgrammeVersion
from ledger.wire.times import day_of, day_text, month_text, to_text
from projections.views.builtin import overview as view
from projections.views.builtin.liability import breakage, outstanding_of
from projections.views.snapshot import ViewSnapshot
from projections.views.view import Amounts, Key, SumTable, summed

MOST_DAYS = 92  # of a range that is shown by day; a longer one is shown by month
SOON = 30  # days in which what expires is listed
MOST_RULES = 12
MOST_CAMPAIGNS = 10
MOST_CAMPAIGN_ROWS = 20_000  # of the range's months; where there are more none are listed
MOST_MOVES = 8
MOST_DUE = 200  # members for whom something fell due since the view looked: more are left to the view
BY_MONTH = (view.GIVEN, view.SPENDING, view.MOVES)  # read for the range's months alone
READ = tuple(table for table in view.TABLES if table.key[0].name != "month")
Tables = Mapping[str, Mapping[Key, Amounts]]


class Range(NamedTuple):
    """The days that are shown, as days since 1970; `of` is the name of a length, empty where the days were chosen."""

    first: int
    last: int
    of: str


class Period(Struct, frozen=True):
    """A day or month with what moved in it; `outstanding` at its end; `active` members; `label` is ISO 8601."""

    label: str
    issued: int
    redeemed: int
    expired: int
    clawed_back: int
    forfeited: int
    in_transit: int
    outstanding: int
    active: int


class Moved(Struct, frozen=True):
    """What moved in a range."""

    issued: int
    redeemed: int
    expired: int
    clawed_back: int
    forfeited: int
    in_transit: int


class Share(Struct, frozen=True):
    """A part of a whole, as a count and in hundredths of a percent of the largest (`width`) and of all (`share`)."""

    name: str
    amount: int
    times: int
    share: int
    width: int


class TierMove(Struct, frozen=True):
    """Moves from a tier to another (empty: below the first); `is_up` where it is higher."""

    before: str
    after: str
    moves: int
    is_up: bool


class Score(Struct, frozen=True):
    """Members by tier of a score, the highest first and those below the first last, and the moves of the range."""

    name: str
    tiers: list[Share]
    moves: list[TierMove]
    up: int
    down: int


class Spend(Struct, frozen=True):
    """Orders of members who held a membership (empty: none): buying members are counted anew each month."""

    membership: str
    members: int
    orders: int
    paid_fen: int
    by_month: list[int]  # what was paid by buying member, in fen, in the order of `Overview.months`


class Overview(Struct, frozen=True):
    """What the first page shows. Shares are in hundredths of a percent, money in fen; None where there is nothing yet.

    `is_settling` is set where what time did is not counted whole yet.
    """

    as_of: str
    behind: int
    is_settling: bool
    first: str
    last: str
    range: str
    by: Literal["day", "month"]
    kind: str
    kinds: list[str]
    fen: int
    members: int
    periods: list[Period]
    moved: Moved
    before: Moved | None
    outstanding: int
    redeemed_share: int | None
    breakage_share: int | None
    active_month: str
    active: int
    expiring: list[tuple[str, int]]
    expiring_points: int
    rules: list[Share]
    more_rules: int
    campaigns: list[Share] | None
    scores: list[Score]
    cards: dict[str, dict[str, int]]
    months: list[str]
    spending: list[Spend]


def overview_of(taken: ViewSnapshot, range_name: str, first: str, last: str, kind: str) -> Overview:
    """Return the figures of a range: of a name (``30d``, ``90d``, ``12m``, ``all``), or from a day to another.

    A range with a name ends today, or on the last day on which a member was active where that is over. An unknown kind
    is the book's first. Raises `ValueError` for days that are none.
    """
    assert taken.standing is not None
    is_settling = taken.has_due(MOST_DUE)
    found = _read(taken, READ, None, is_settling=is_settling)
    version, zone = taken.book.nearest(taken.as_of), taken.book.offset
    kinds = list(dict.fromkeys([*version.programme.kinds, *(str(key[0]) for key in found[view.MOVEMENTS.name])]))
    kind = kind if kind in kinds else next(iter(kinds), "")
    today = day_of(taken.as_of, zone)
    days = {str(day): of for (of_kind, day), of in found[view.MOVEMENTS.name].items() if of_kind == kind}
    active = {str(period): members for (period,), (members,) in found[view.ACTIVE.name].items()}
    shown = range_of(range_name, first, last, today, [day for day in active if len(day) > 7], days)
    text, end = day_text(shown.first), day_text(shown.last)
    months = _months_between(text[:7], end[:7])
    found = {**found, **_read(taken, BY_MONTH, (months[0], months[-1]), is_settling=is_settling)}
    periods = _periods(shown, days, active, months)
    length = shown.last - shown.first + 1
    moved = _moved(days, text, end)
    earlier = _moved(days, day_text(shown.first - length), day_text(shown.first - 1)) if shown.first >= length else None
    cohorts = {str(month): list(of) for (of_kind, month), of in found[view.COHORTS.name].items() if of_kind == kind}
    rate = breakage(cohorts, day_text(today)[:7])
    soon = [
        (str(day), points)
        for (of_kind, day), (points,) in found[view.EXPIRING.name].items()
        if of_kind == kind and day_text(today) <= str(day) < day_text(today + SOON)
    ]
    rules = _by_rule(found[view.GIVEN.name], kind, months)
    cards: dict[str, dict[str, int]] = {}
    for (membership, state), (members,) in found[view.CARDS.name].items():
        cards.setdefault(str(membership), {})[str(state)] = members
    return Overview(
        as_of=to_text(taken.as_of, zone),
        behind=taken.standing.behind,
        is_settling=is_settling,
        first=text,
        last=end,
        range=shown.of,
        by="day" if shown.last - shown.first < MOST_DAYS else "month",
        kind=kind,
        kinds=kinds,
        fen=version.programme.fen_of(kind) if kind in version.programme.kinds else 0,
        members=found[view.PEOPLE.name].get(view.MEMBERS, [0])[0],
        periods=periods,
        moved=moved,
        before=earlier,
        outstanding=outstanding_of(*(sum(of[place] for of in days.values()) for place in range(view.WIDTH))),
        redeemed_share=moved.redeemed * 10_000 // moved.issued if moved.issued > 0 else None,
        breakage_share=None if rate is None else rate[0] * 10_000 // rate[1],
        active_month=end[:7],
        active=active.get(end[:7], 0),
        expiring=soon,
        expiring_points=sum(points for _, points in soon),
        rules=_shares(rules, MOST_RULES),
        more_rules=max(0, len(rules) - MOST_RULES),
        campaigns=_campaigns(taken, kind, months),
        scores=_scores(version, found, months),
        cards=cards,
        months=months,
        spending=_spending(found[view.SPENDING.name], months),
    )


def _read(
    taken: ViewSnapshot, tables: Sequence[SumTable], between: tuple[str, str] | None, *, is_settling: bool
) -> Tables:
    if is_settling:
        return {table.name: dict(taken.stored(table, between)) for table in tables}
    return taken.counted(tables=tables, between=between)


def range_of(
    name: str, first: str, last: str, today: int, active: Sequence[str], moved: Mapping[str, Amounts]
) -> Range:
    """Return the days of a range. Raises `ValueError` for days that are none, or in the wrong order."""
    if first and last:
        begin, end = _day(first), _day(last)
        if not begin <= end:
            raise ValueError("the range ends before it begins")
        return Range(begin, end, "")
    latest = min(today, _day(max(active))) if active else today
    if name == "30d":
        return Range(latest - 29, latest, name)
    if name in ("12m", "all"):
        until = day_text(latest)
        year_ago = _following(f"{int(until[:4]) - 1}{until[4:7]}")
        since = min([*active, *moved, until])[:7] if name == "all" else year_ago
        return Range(_day(f"{since}-01"), latest, name)
    return Range(latest - 89, latest, "90d")


def _periods(
    shown: Range, days: Mapping[str, Amounts], active: Mapping[str, int], months: Sequence[str]
) -> list[Period]:
    first, last = day_text(shown.first), day_text(shown.last)
    is_by_day = shown.last - shown.first < MOST_DAYS
    labels = [day_text(day) for day in range(shown.first, shown.last + 1)] if is_by_day else list(months)
    within = summed((day if is_by_day else day[:7], list(of)) for day, of in days.items() if first <= day <= last)
    nothing = [0] * view.WIDTH
    amounts = [within.get(label, nothing) for label in labels]
    opening = outstanding_of(*_total(of for day, of in days.items() if day < first))
    ends = list(accumulate((outstanding_of(*of) for of in amounts), initial=opening))[1:]
    rows = zip(labels, amounts, ends, strict=True)
    return [
        Period(label, of[0], of[1], of[2], of[3], of[4], of[5], end, active.get(label, 0)) for label, of, end in rows
    ]


def _total(rows: Iterable[Amounts]) -> list[int]:
    return summed(("", of) for of in rows).get("", [0] * view.WIDTH)


def _moved(days: Mapping[str, Amounts], first: str, last: str) -> Moved:
    return Moved(*_total(of for day, of in days.items() if first <= day <= last))


def _by_rule(given: Mapping[Key, Amounts], kind: str, months: Sequence[str]) -> dict[str, Amounts]:
    first, last = months[0], months[-1]
    return summed(
        (str(rule), of) for (month, of_kind, rule), of in given.items() if of_kind == kind and first <= month <= last
    )


def _campaigns(taken: ViewSnapshot, kind: str, months: Sequence[str]) -> list[Share] | None:
    rows = list(islice(taken.stored(view.CAMPAIGNS, (months[0], months[-1])), MOST_CAMPAIGN_ROWS + 1))
    if len(rows) > MOST_CAMPAIGN_ROWS:
        return None
    return _shares(summed((str(key[2]), of) for key, of in rows if key[1] == kind), MOST_CAMPAIGNS)


def _shares(amounts: Mapping[str, Amounts], most: int) -> list[Share]:
    """Return the largest of some sums (an amount, and how often), the largest first."""
    total = sum(of[0] for of in amounts.values())
    largest = nlargest(most, amounts.items(), key=lambda item: (item[1][0], item[0]))
    top = largest[0][1][0] if largest else 0
    return [
        Share(name, amount, times, _of(amount, total), _of(amount, top)) for name, (amount, times) in largest if amount
    ]


def _of(part: int, whole: int) -> int:
    return part * 10_000 // whole if whole > 0 else 0


def _scores(version: ProgrammeVersion, found: Tables, months: Sequence[str]) -> list[Score]:
    """Return the book's scores that have tiers and are not kept for each shop."""
    scores = []
    for name, ranking in version.rankings.items():
        if name in version.keyed_scores or not ranking.tiers:
            continue
        names = [tier.name for tier in ranking.tiers]
        order = {tier: place for place, tier in enumerate(["", *names])}
        members = {str(tier): n for (score, tier), (n,) in found[view.TIERS.name].items() if score == name}
        total, top = sum(members.values()), max(members.values(), default=0)
        tiers = [
            Share(tier, n := members.get(tier, 0), 0, _of(n, total), _of(n, top)) for tier in [*reversed(names), ""]
        ]
        moved = summed(
            ((str(before), str(after)), of)
            for (month, score, before, after), of in found[view.MOVES.name].items()
            if score == name and months[0] <= month <= months[-1]
        )
        moves = [
            TierMove(before, after, n, order.get(after, 0) > order.get(before, 0))
            for (before, after), (n,) in sorted(moved.items(), key=lambda item: (-item[1][0], item[0]))
        ]
        up = sum(move.moves for move in moves if move.is_up)
        down = sum(move.moves for move in moves if not move.is_up)
        scores.append(Score(name, tiers, moves[:MOST_MOVES], up, down))
    return scores


def _spending(rows: Mapping[Key, Amounts], months: Sequence[str]) -> list[Spend]:
    """Return the orders of each membership's members and of the others, the memberships first."""
    within = {(str(month), str(name)): of for (month, name), of in rows.items() if months[0] <= month <= months[-1]}
    found = []
    for name in sorted({name for _, name in within}, key=lambda name: (not name, name)):
        by_month = [within.get((month, name), [0, 0, 0]) for month in months]
        members, orders, paid = (sum(of[place] for of in by_month) for place in range(3))
        found.append(Spend(name, members, orders, paid, [of[2] // of[0] if of[0] else 0 for of in by_month]))
    return found


def _months_between(first: str, last: str) -> list[str]:
    begin, end = (int(text[:4]) * 12 + int(text[5:7]) - 1 for text in (first, last))
    return [month_text(month) for month in range(begin, end + 1)]


def _following(month: str) -> str:
    return month_text(int(month[:4]) * 12 + int(month[5:7]))


def _day(text: str) -> int:
    """Return a day of the years 1970 to 2999, as days since 1970. Raises `ValueError`."""
    day = date.fromisoformat(text)
    if not 1970 <= day.year <= 2999:
        raise ValueError(f"{text} is none of the years 1970 to 2999")
    return (day - date(1970, 1, 1)).days
