"""The members as the made-up part of the year sees them: chance, and a careful guess of each one's beans."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from random import Random
from zoneinfo import ZoneInfo

from service.demo.online_retail.catalogue import category
from service.demo.online_retail.sales import Order, Return

LONDON = ZoneInfo("Europe/London")
SHANGHAI = timezone(timedelta(hours=8))
NEVER = datetime.min
BEANS_FROM_FEN = 5_000  # a line below it earns none
FEN_PER_BEAN = 1_000
BEANS_A_LINE = 1_000  # at most
FEN_PER_POINT = 100  # of the score
POINTS_OF_A_CATEGORY = 10  # that was not bought before


def shop_month(at: datetime) -> int:
    """The month of a local time of London where the book counts months, in Shanghai."""
    there = at.replace(tzinfo=LONDON).astimezone(SHANGHAI)
    return there.year * 12 + there.month


class Chance:
    """Everything that is drawn and named, so that one seed gives one year."""

    def __init__(self, seed: int, began: datetime) -> None:
        self.began = began  # the first day of the year
        self.random = Random(seed)
        self._named: Counter[str] = Counter()

    def name(self, kind: str) -> str:
        """The next name of its kind: "review-1", "review-2" …"""
        self._named[kind] += 1
        return f"{kind}-{self._named[kind]}"

    def once_in(self, times: int) -> bool:
        """True once in so many times, on average."""
        return self.random.randrange(times) == 0

    def day_after(self, at: datetime, first: int, last: int) -> datetime:
        """A waking moment some days later, between `first` (1 or more) and `last`.

        Nobody is awake when clocks change, so the order of local times is the order of instants.
        """
        day = at.replace(hour=0, minute=0) + timedelta(days=self.random.randint(first, last))
        return day.replace(hour=self.random.randint(8, 21), minute=self.random.randrange(60), second=0)


@dataclass(slots=True)
class Member:
    """One customer. `beans` is what she can surely spend: never more than the ledger will find.

    It counts purchases at the ordinary rate and what an older system left, no grants; it takes off what she
    will ask for as soon as it is planned, returns in full, and the worst of a refusal at the door.
    """

    customer: str
    orders: int = 0
    beans: int = 0
    has_card: bool = False
    plus_from: datetime = NEVER
    plus_until: datetime = NEVER
    trial_from: datetime = NEVER  # beans of orders completed in a trial are not hers yet
    trial_until: datetime = NEVER
    spent: Counter[int] = field(default_factory=Counter)  # by the shop's month: points of the score
    months: dict[str, int] = field(default_factory=dict)  # of orders of which something was bought
    categories: set[str] = field(default_factory=set)
    paid_fen: dict[str, int] = field(default_factory=dict)  # by card

    def score_at(self, at: datetime) -> int:
        """About what the score is: what was bought in the months before, first purchases of a category among it."""
        month = shop_month(at)
        return sum(points for since, points in self.spent.items() if since < month)

    def note_order(self, order: Order) -> None:
        """Count an order's score, and its beans at the ordinary rate."""
        self.orders += 1
        month = self.months[order.order] = shop_month(order.at)
        for line in order.lines:
            self.spent[month] += line.paid_fen // FEN_PER_POINT
            if (called := category(line.item)) not in self.categories:
                self.categories.add(called)
                self.spent[month] += POINTS_OF_A_CATEGORY
        if self.trial_from <= order.at < self.trial_until:
            return
        self.beans += sum(
            min(BEANS_A_LINE, line.paid_fen // FEN_PER_BEAN)
            for line in order.lines
            if line.paid_fen >= BEANS_FROM_FEN and category(line.item) != "virtual"
        )

    def note_return(self, back: Return) -> None:
        """Take off what a return may claw back at the ordinary rate, and add the points it gives back."""
        if back.order in self.months:
            self.spent[self.months[back.order]] -= sum(-(-line.refund_fen // FEN_PER_POINT) for line in back.lines)
        if back.order:
            clawed_back = sum(-(-line.refund_fen // FEN_PER_BEAN) for line in back.lines)
            self.beans += sum(line.points for line in back.lines) - clawed_back
