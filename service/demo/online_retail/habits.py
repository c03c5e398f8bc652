"""What members do besides buying, which the shop's record does not say, and how often they do it.

All of it is made up, by chance from a seed. After each real order every habit is asked in turn at its own
rate; what it yields lies in the days after the order and is put into the stream when its time comes.
`spending.tender` alone stands before an order, because points for an order are asked for first.
"""

from collections.abc import Callable, Iterator

from service.demo.online_retail import activity, mishaps, plus, spending
from service.demo.online_retail.members import Chance, Member
from service.demo.online_retail.sales import Order
from service.demo.online_retail.wire import Fact

Habit = Callable[[Chance, Member, Order], Iterator[Fact]]

# After how many of a thousand orders each habit is asked; whether it then does anything is its own affair.
HABITS: tuple[tuple[int, Habit], ...] = (
    (230, activity.review),
    (40, activity.answer),
    (35, activity.share),
    (100, activity.sign_in),
    (70, activity.shop_visit),
    (1_000, activity.account),
    (30, activity.standing),
    (60, activity.grant),
    (60, spending.redeem),
    (8, spending.top_up),
    (12, spending.hold),
    (30, plus.card),
    (350, plus.claim),
    (5, mishaps.cancelled),
    (3, mishaps.rejected),
    (1, mishaps.reported_late),
    (1, mishaps.adjusted),
    (1, mishaps.frozen),
)
