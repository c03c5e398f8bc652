"""Made-up traffic of a large shop, faster than a ledger reads it; the same seed gives the same bytes.

Few members do much and many do little, evenings and weekends are busy, 618 and 11.11 are peaks. What a fact
refers to (the order of a return, the card of a refund) was there before, for the same member. Memory grows
with the members and never with the facts: only recent orders, cards, reviews and redemptions can be
referred to.

Facts are formatted from templates and not encoded one by one, which is several times faster.
"""

from array import array
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import accumulate
from random import Random
from typing import NamedTuple

ZONE = timezone(timedelta(hours=8))  # of every fact; China has no summer time
START = datetime(2025, 1, 1, tzinfo=ZONE)

HOURS = (20, 12, 7, 5, 4, 6, 14, 26, 38, 48, 56, 54, 50, 48, 47, 48, 50, 52, 58, 72, 88, 92, 74, 42)
WEEKDAYS = (10, 10, 10, 10, 11, 13, 13)  # Monday first
RUSH = 20  # times the first hour of 11.11 is as busy: what waited in the carts is bought at once

RECENT = 4_096  # orders, and cards, and so on, that later facts may refer to
OPEN_ORDERS = 256  # paid, not yet completed: at most
CHUNK = 8_192  # facts drawn together

CATEGORIES = ("phone", "home", "food", "clothes", "beauty", "books", "toys", "sports", "garden", "virtual")
PRICES_FEN = (990, 1_990, 2_990, 4_990, 5_900, 7_900, 9_900, 12_900, 19_900, 29_900, 49_900, 99_900, 359_900)
BASKETS = 4_096  # different ones that are ordered
FIRST_SKU, SKUS = 100_000, 20_000
# What ends an order's data: half of the orders say nothing more.
ENDS = (
    b"",
    b"",
    b"",
    b"",
    b',"pay":"jd-pay"',
    b',"pay":"jd-pay"',
    b',"channel":"web"',
    b',"channel":"wechat"',
)
CARDS = ((b"plus.annual", 14_900), (b"plus.annual", 14_900), (b"plus.quarter", 4_900), (b"plus.month", 1_900))

OFFSET_STEP = 1_000  # points: an offset is a multiple of it
FEN_PER_BEAN = 1_000  # of a line that earns beans
BEANS_FROM_FEN = 5_000  # a line below it earns none
BEANS_A_LINE = 1_000  # at most
REJECTION_BEANS = 500  # that a refusal at the door may cost

ORDERS, MEMBERS = "/shop/orders", "/shop/members"
# The data of each type of fact, to be filled in; `@` is the seed, so that the ids of two runs differ.
TEMPLATES: dict[str, tuple[str, str]] = {
    "order.paid": (ORDERS, '"order":"O@-%d","lines":[%b]%b'),
    "order.completed": (ORDERS, '"order":"O@-%d","lines":[%b]%b'),
    "order.cancelled": (ORDERS, '"order":"O@-%d","reason":"changed-mind"'),
    "order.rejected": (ORDERS, '"order":"O@-%d"'),
    "order.returned": (
        ORDERS,
        '"order":"O@-%d","return":"R@-%d","lines":[{"line":"%d","quantity":%d,"refund_fen":%d,"points":%d}]',
    ),
    "review.posted": (MEMBERS, '"review":"V@-%d","order":"O@-%d","line":"%d","characters":%d,"images":%d'),
    "review.removed": (MEMBERS, '"review":"V@-%d"'),
    "question.answered": (MEMBERS, '"answer":"Q@-%d","sku":"%d"'),
    "item.shared": (MEMBERS, '"share":"H@-%d","sku":"%d","via":"wechat"'),
    "member.signed-in": (MEMBERS, ""),
    "shop.visited": (MEMBERS, '"shop":"shop-%d"'),
    "campaign.granted": (MEMBERS, '"grant":"G@-%d","campaign":"%b","kind":"beans","points":%d%b'),
    "identity.verified": (MEMBERS, ""),
    "wechat.bound": (MEMBERS, ""),
    "qq.bound": (MEMBERS, ""),
    "profile.completed": (MEMBERS, ""),
    "credit.scored": (MEMBERS, '"score":%d'),
    "reputation.rated": (MEMBERS, '"stars":%d'),
    "redemption.requested": (MEMBERS, '"redemption":"D@-%d","kind":"beans","points":%d,"use":"%b"%b'),
    "redemption.reversed": (MEMBERS, '"redemption":"D@-%d"'),
    "hold.requested": (MEMBERS, '"hold":"E@-%d","kind":"beans","points":%d,"until":"%b"'),
    "hold.captured": (MEMBERS, '"hold":"E@-%d","points":%d'),
    "hold.released": (MEMBERS, '"hold":"E@-%d"'),
    "card.purchased": (MEMBERS, '"card":"K@-%d","product":"%b","paid_fen":%d'),
    "card.code-redeemed": (MEMBERS, '"card":"K@-%d","product":"%b","code":"PARTNER-%d"'),
    "card.trial-started": (MEMBERS, '"card":"K@-%d","product":"plus.trial"'),
    "card.refunded": (MEMBERS, '"card":"K@-%d","refund_fen":%d'),
    "benefit.claimed": (MEMBERS, '"claim":"C@-%d","benefit":"shipping"'),
}
IN_THE_HOUR = tuple(b"%02d:%02d+08:00" % divmod(second, 60) for second in range(3_600))

Act = Callable[[int], bytes]


def traffic(
    facts: int,
    members: int,
    seed: int = 1,
    start: datetime = START,
    days: int = 365,
    skew: float = 0.8,
) -> Iterator[bytes]:
    """So many facts of the members m-1, m-2 … as lines of NDJSON without their ends, in order of time.

    They fill `days` from the hour of `start` on. `skew` is the exponent of Zipf's law: at 0 all members do
    alike, the more it is the more m-1 does. Runs with other seeds are of the same members, but share no
    other id.
    """
    if facts < 0 or seed < 0 or skew < 0:
        raise ValueError(f"{facts=}, {seed=}, {skew=}: none may be below 0")
    if members < 1 or days < 1:
        raise ValueError(f"{members=}, {days=}: there must be at least one of each")
    if start.tzinfo is None:
        raise ValueError(f"start is {start.isoformat()}, without an offset: add one, such as +08:00")
    return _Shop(members, seed, skew).facts(start, days, facts)


def _hours(start: datetime, days: int, facts: int) -> Iterator[tuple[datetime, int]]:
    """Each hour with traffic and how many facts it has."""
    first = start.astimezone(ZONE).replace(minute=0, second=0, microsecond=0)
    hours = [first + timedelta(hours=hour) for hour in range(days * 24)]
    upto = list(accumulate(_busy(hour) for hour in hours))
    done = 0
    for hour, part in zip(hours, upto, strict=True):
        until = facts * part // upto[-1]
        if until > done:
            yield hour, until - done
            done = until


def _busy(hour: datetime) -> int:
    """How busy an hour is, beside others."""
    day = (hour.month, hour.day)
    season = 2
    if (6, 1) <= day <= (6, 18) or (11, 1) <= day <= (11, 11):
        season = 10 if day in ((6, 18), (11, 11)) else 4
    rush = RUSH if day == (11, 11) and hour.hour == 0 else 1
    return HOURS[hour.hour] * WEEKDAYS[hour.weekday()] * season * rush


class _Line(NamedTuple):
    """A line that can be ordered: its text up to what is paid, price in fen, whether it can earn beans."""

    text: bytes
    quantity: int
    fen: int
    earns: bool


class _Basket(NamedTuple):
    """The lines of an order and their text, both without points; what it costs in fen and earns in beans."""

    lines: tuple[_Line, ...]
    text: bytes
    fen: int
    beans: int


class _Order:
    """An order of late: what was tendered, is left of its pieces, and was reviewed, line by line."""

    __slots__ = ("basket", "end", "left", "member", "number", "points", "reviewed")

    def __init__(self, number: int, member: int, basket: _Basket, end: bytes) -> None:
        self.number = number
        self.member = member
        self.basket = basket
        self.end = end
        self.points: list[int] | None = None  # tendered on each line and not given back
        self.left: list[int] | None = None  # pieces of each line, once some came back
        self.reviewed = 0  # lines, from the first on


def _baskets(random: Random) -> list[_Basket]:
    return [_basket([_line(random) for _ in range(random.choice((1, 1, 1, 2, 2, 3)))]) for _ in range(BASKETS)]


def _basket(lines: list[_Line]) -> _Basket:
    beans = sum(
        min(BEANS_A_LINE, line.fen // FEN_PER_BEAN) for line in lines if line.earns and line.fen >= BEANS_FROM_FEN
    )
    return _Basket(tuple(lines), _lines_text(lines, [0] * len(lines)), sum(line.fen for line in lines), beans)


def _line(random: Random) -> _Line:
    sku = random.randrange(SKUS)
    category = CATEGORIES[sku % len(CATEGORIES)]
    quantity = random.choice((1, 1, 1, 1, 2, 2, 3, 5))
    text = f'"sku":"{FIRST_SKU + sku}","category":"{category}","quantity":{quantity},"paid_fen":'
    price_fen = PRICES_FEN[sku % len(PRICES_FEN)]
    return _Line(text.encode(), quantity, quantity * price_fen, category != "virtual")


def _lines_text(lines: list[_Line] | tuple[_Line, ...], points: list[int]) -> bytes:
    """The JSON of lines; the points tendered on each are taken off what is paid (a point is worth a fen)."""
    return b",".join(
        b'{"line":"%d",%b%d%b}'
        % (number, line.text, line.fen - tendered, b',"points":%d' % tendered if tendered else b"")
        for number, (line, tendered) in enumerate(zip(lines, points, strict=True), 1)
    )


class _Shop:
    """The shop at work. An act makes a fact, of the member it is given or of one who has something open.

    What cannot be done (a return where there is no order yet) becomes something simpler.
    """

    def __init__(self, members: int, seed: int, skew: float) -> None:
        self._random = Random(seed)
        self._chance = self._random.random
        self._seed = seed
        self._members = members
        self._skew = skew
        self._texts = {kind: _template(kind, seed) for kind in TEMPLATES}
        self._baskets = _baskets(self._random)
        self._count = 0  # facts so far, which also numbers what they bring about
        self._now = b""
        self._in_a_week = b""
        self._campaign = b""
        # What a member can surely spend: ordinary beans of orders and grants, less what was asked for.
        self._beans = array("q", bytes(8 * (members + 1)))
        self._plus = bytearray(members + 1)  # 1 on trial (whose beans are not spendable yet), 2 had a card
        self._tendered: deque[_Order] = deque()  # redeemed for, to be paid next
        self._open: deque[_Order] = deque()  # paid, to be completed
        self._orders: deque[_Order] = deque(maxlen=RECENT)  # completed
        self._reviews: deque[tuple[int, int]] = deque(maxlen=RECENT)  # member and review
        self._redemptions: deque[tuple[int, int]] = deque(maxlen=RECENT)  # member and redemption, for no order
        self._holds: deque[tuple[int, int, int]] = deque(maxlen=RECENT)  # member, hold and points
        self._cards: deque[tuple[int, int, int]] = deque(maxlen=RECENT)  # member, card and price in fen

    def facts(self, start: datetime, days: int, facts: int) -> Iterator[bytes]:
        """So many facts, spread evenly over each hour."""
        for hour, many in _hours(start, days, facts):
            begin = hour.strftime("%Y-%m-%dT%H:").encode()
            self._in_a_week = (hour + timedelta(days=7)).isoformat().encode()
            self._campaign = hour.strftime("campaign-%Y-%m").encode()
            for done, (act, member) in enumerate(self._draws(many)):
                self._now = begin + IN_THE_HOUR[done * 3_600 // many]
                self._count += 1
                yield act(member)

    def _draws(self, many: int) -> Iterator[tuple[Act, int]]:
        """Acts and who they fall to: the inverse of Zipf's distribution, taken as a continuous one."""
        acts = self._acts()
        kinds, upto = [act for _, act in acts], list(accumulate(weight for weight, _ in acts))
        chance, members, power = self._chance, self._members, 1 - self._skew
        while many > 0:
            chunk = min(many, CHUNK)
            if abs(power) > 1e-9:
                span, inverse = (members + 1) ** power - 1, 1 / power
                ranks = [int((chance() * span + 1) ** inverse) for _ in range(chunk)]
            else:
                ranks = [int((members + 1) ** chance()) for _ in range(chunk)]
            for act, rank in zip(self._random.choices(kinds, cum_weights=upto, k=chunk), ranks, strict=True):
                yield act, min(rank, members)
            many -= chunk

    def _acts(self) -> tuple[tuple[int, Act], ...]:
        """What happens, how often in a thousand facts."""
        return (
            (440, self._complete),
            (100, self._pay),
            (4, self._cancel),
            (2, self._reject),
            (30, self._return),
            (100, self._review),
            (3, self._remove_review),
            (10, self._answer),
            (15, self._share),
            (150, self._sign_in),
            (60, self._visit_shop),
            (12, self._grant),
            (5, self._become_known),
            (2, self._be_rated),
            (45, self._redeem),
            (3, self._reverse),
            (5, self._hold),
            (4, self._end_hold),
            (4, self._take_card),
            (1, self._refund_card),
            (5, self._claim),
        )

    def _fact(self, kind: str, member: int, *data: int | bytes) -> bytes:
        return self._texts[kind] % (self._count, member, self._now, *data)

    # orders

    def _pay(self, member: int) -> bytes:
        order = self._tendered.popleft() if self._tendered else self._new_order(member)
        self._open.append(order)
        return self._order_fact("order.paid", order)

    def _complete(self, member: int) -> bytes:
        """One of four was reported as paid before."""
        if self._open and (self._chance() < 0.25 or len(self._open) > OPEN_ORDERS):
            order = self._open.popleft()
        else:
            order = self._new_order(member)
        self._orders.append(order)
        if self._plus[order.member] != 1 and order.points is None:
            self._beans[order.member] += order.basket.beans
        return self._order_fact("order.completed", order)

    def _cancel(self, member: int) -> bytes:
        if not self._open:
            return self._pay(member)
        order = self._open.popleft()
        self._beans[order.member] += sum(order.points or ())
        return self._fact("order.cancelled", order.member, order.number)

    def _reject(self, member: int) -> bytes:
        if not self._open:
            return self._pay(member)
        order = self._open.popleft()
        self._beans[order.member] += sum(order.points or ()) - REJECTION_BEANS
        return self._fact("order.rejected", order.member, order.number)

    def _return(self, member: int) -> bytes:
        """Some pieces of a line of a recent order, with their share of the cash and of the points."""
        order = self._recent_order()
        if order is None:
            return self._pay(member)
        lines = order.basket.lines
        if order.left is None:
            order.left = [line.quantity for line in lines]
        number = self._below(len(lines))
        line, left = lines[number], order.left[number]
        if left == 0:
            return self._sign_in(member)
        pieces = 1 + self._below(left)
        order.left[number] = left - pieces
        points = 0
        if order.points is not None:
            points = order.points[number] * pieces // left
            order.points[number] -= points
        refund_fen = max(0, line.fen * pieces // line.quantity - points)
        self._beans[order.member] -= 1 + refund_fen // FEN_PER_BEAN
        data = (order.number, self._count, number + 1, pieces, refund_fen, points)
        return self._fact("order.returned", order.member, *data)

    def _new_order(self, member: int) -> _Order:
        basket = self._baskets[int(self._chance() * BASKETS)]
        return _Order(self._count, member, basket, ENDS[int(self._chance() * len(ENDS))])

    def _order_fact(self, kind: str, order: _Order) -> bytes:
        basket = order.basket
        text = basket.text if order.points is None else _lines_text(basket.lines, order.points)
        return self._fact(kind, order.member, order.number, text, order.end)

    def _recent_order(self) -> _Order | None:
        return self._orders[self._below(len(self._orders))] if self._orders else None

    # activity

    def _review(self, member: int) -> bytes:
        """The next line of a recent order: one in five too short for beans, one in three with photos."""
        order = self._recent_order()
        if order is None or order.reviewed == len(order.basket.lines):
            return self._sign_in(member)
        order.reviewed += 1
        self._reviews.append((order.member, self._count))
        characters = self._below(10) if self._below(5) == 0 else 10 + self._below(200)
        images = 1 + self._below(5) if self._below(3) == 0 else 0
        data = (self._count, order.number, order.reviewed, characters, images)
        return self._fact("review.posted", order.member, *data)

    def _remove_review(self, member: int) -> bytes:
        if not self._reviews:
            return self._sign_in(member)
        reviewer, review = self._reviews[some := self._below(len(self._reviews))]
        del self._reviews[some]
        return self._fact("review.removed", reviewer, review)

    def _answer(self, member: int) -> bytes:
        return self._fact("question.answered", member, self._count, FIRST_SKU + self._below(SKUS))

    def _share(self, member: int) -> bytes:
        return self._fact("item.shared", member, self._count, FIRST_SKU + self._below(SKUS))

    def _sign_in(self, member: int) -> bytes:
        return self._fact("member.signed-in", member)

    def _visit_shop(self, member: int) -> bytes:
        return self._fact("shop.visited", member, 100 + self._below(400))

    def _grant(self, member: int) -> bytes:
        """Beans of the month's campaign; half of them end after a week, the others are hers to count on."""
        points = (10, 20, 50, 100, 200, 500)[self._below(6)]
        if self._below(2):
            self._beans[member] += points
            end = b""
        else:
            end = b',"expires":"%b"' % self._in_a_week
        return self._fact("campaign.granted", member, self._count, self._campaign, points, end)

    def _become_known(self, member: int) -> bytes:
        kinds = ("identity.verified", "wechat.bound", "qq.bound", "profile.completed")
        return self._fact(kinds[self._below(4)], member)

    def _be_rated(self, member: int) -> bytes:
        if self._below(2):
            return self._fact("credit.scored", member, 10 + self._below(101))
        return self._fact("reputation.rated", member, (1, 3, 4, 5, 5, 5, 5, 5)[self._below(8)])

    # spending

    def _redeem(self, member: int) -> bytes:
        """What her beans allow; who has too few mostly gets some from a campaign, or else asks in vain."""
        beans = self._beans[member]
        if beans >= OFFSET_STEP and self._below(3):
            return self._redeem_for_order(member, beans)
        if beans >= 100:
            use = (b"coupon", b"coupon", b"service", b"data")[self._below(4)]
            self._redemptions.append((member, self._count))
            return self._request(member, 50 + self._below(min(beans, 500) - 49), use)
        if beans >= 20:
            return self._request(member, 20, b"draw")
        if self._below(3):
            return self._grant(member)
        return self._fact("redemption.requested", member, self._count, 5_000, b"coupon", b"")

    def _redeem_for_order(self, member: int, beans: int) -> bytes:
        """An offset of up to half of an order, or a top-up of a fifth; the order is paid next."""
        order = self._new_order(member)
        full_fen, use = order.basket.fen, b"offset"
        points = min(beans, full_fen // 2) // OFFSET_STEP * OFFSET_STEP
        if self._below(10) == 0 and full_fen >= 5_000:
            points, use = min(beans, full_fen // 5), b"top-up"
        if points == 0:
            return self._request(member, 20, b"draw")
        order.points = _spread(points, order.basket)
        self._tendered.append(order)
        what_for = b',"order":"O%d-%d","settlement_fen":%d' % (self._seed, order.number, full_fen)
        return self._request(member, points, use, what_for)

    def _request(self, member: int, points: int, use: bytes, what_for: bytes = b"") -> bytes:
        self._beans[member] -= points
        return self._fact("redemption.requested", member, self._count, points, use, what_for)

    def _reverse(self, member: int) -> bytes:
        if not self._redemptions:
            return self._redeem(member)
        redeemer, redemption = self._redemptions[some := self._below(len(self._redemptions))]
        del self._redemptions[some]
        return self._fact("redemption.reversed", redeemer, redemption)

    def _hold(self, member: int) -> bytes:
        """Beans held for a week; of who has none only now and then, in vain."""
        points = 10 + 10 * self._below(30)
        if points <= self._beans[member]:
            self._beans[member] -= points
            self._holds.append((member, self._count, points))
        elif self._below(3):
            return self._grant(member)
        return self._fact("hold.requested", member, self._count, points, self._in_a_week)

    def _end_hold(self, member: int) -> bytes:
        """The latest hold captured, in whole or in part, or released."""
        if not self._holds:
            return self._hold(member)
        holder, hold, points = self._holds.pop()
        if self._below(3) == 0:
            return self._fact("hold.released", holder, hold)
        return self._fact("hold.captured", holder, hold, points if self._below(3) else points // 2)

    # PLUS

    def _take_card(self, member: int) -> bytes:
        """A trial for three of ten new members, or else a card, for one of ten by a partner's code."""
        if self._plus[member] == 0 and self._below(10) < 3:
            self._plus[member] = 1
            self._cards.append((member, self._count, 0))
            return self._fact("card.trial-started", member, self._count)
        self._plus[member] = 2
        product, price_fen = CARDS[self._below(len(CARDS))]
        if self._below(10) == 0:
            self._cards.append((member, self._count, 0))
            return self._fact("card.code-redeemed", member, self._count, product, self._count)
        self._cards.append((member, self._count, price_fen))
        return self._fact("card.purchased", member, self._count, product, price_fen)

    def _refund_card(self, member: int) -> bytes:
        """The latest card, if it was paid for."""
        if not self._cards or self._cards[-1][2] == 0:
            return self._take_card(member)
        return self._fact("card.refunded", *self._cards.pop())

    def _claim(self, member: int) -> bytes:
        """Free shipping, mostly by who took a card of late; some claim more than it has, or after its end."""
        if not self._cards:
            return self._take_card(member)
        back = int(self._chance() ** 3 * len(self._cards))
        return self._fact("benefit.claimed", self._cards[-1 - back][0], self._count)

    def _below(self, end: int) -> int:
        return int(self._chance() * end)


def _template(kind: str, seed: int) -> bytes:
    """The text of a fact with places for its number, member, time and data."""
    source, data = TEMPLATES[kind]
    head = f'{{"specversion":"1.0","id":"{seed}-%012d","source":"{source}","type":"{kind}.v1"'
    return f'{head},"subject":"m-%d","time":"%b","data":{{{data.replace("@", str(seed))}}}}}'.encode()


def _spread(points: int, basket: _Basket) -> list[int]:
    """Points by the lines' share of the price, the odd ones where there is room."""
    spread = [points * line.fen // basket.fen for line in basket.lines]
    left = points - sum(spread)
    for number, line in enumerate(basket.lines):
        extra = min(left, line.fen - spread[number])
        spread[number] += extra
        left -= extra
    return spread
