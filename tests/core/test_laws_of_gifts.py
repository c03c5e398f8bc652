"""The laws over generated histories of several members who give each other points.

What they tell each other comes late, in any order, and some of it twice. After every step each purse balances, and what
left accounts less what came to them is on its way. In the end nothing is; each stream alone makes the same
entries; and every point that was given comes back by reversals, down each chain the last gift first (law 10).
"""

from random import Random

import pytest

from ledger.core.pages import TransferPage
from tests.core.test_worked_examples_of_gifts import BOOK
from tests.support.shop import OPERATORS
from tests.support.town import Town

NAMES = ("A", "B", "C", "D")
DAYS = ("2025-04-30", "2025-06-01", "2025-08-01", "2025-10-01", "2026-01-01")


class Story:
    """A made-up history: what happens next is drawn, and so is which letter comes when."""

    def __init__(self, seed: int, *, closes: bool) -> None:
        self.random = Random(seed)
        self.town = Town(BOOK, "2025-04-01 10:00")
        self.closes = closes
        self.gifts: list[tuple[str, str]] = []
        self.spent: list[tuple[str, str]] = []
        self.hours = 0
        for name in NAMES:
            self.town.tells(name, "member.described", attributes={"region": "north"})
            self.town.opens(name, "L", 500, "2025-10-01")

    def at(self) -> str:
        self.hours += self.random.choice((0, 0, 1, 30, 200))
        return f"2025-{4 + self.hours // 720:02}-{1 + self.hours // 24 % 28:02} {self.hours % 24:02}:00"

    def step(self) -> None:
        random, town = self.random, self.town
        name, at, count = random.choice(NAMES), self.at(), len(town.sent) + len(town.member("A").entries)
        what = random.choice(("open", "give", "give", "give", "spend", "unspend", "recall", "order", "return", "state"))
        if what == "open":
            town.opens(name, f"L{self.hours}-{count}", random.randint(1, 500), random.choice(DAYS), at)
        elif what == "give":
            transfer = f"G{len(self.gifts)}"
            self.gifts.append((name, transfer))
            rule = random.choice(("gift", "short", "market"))
            town.gives(name, random.choice(NAMES), random.randint(1, 400), transfer, rule, at)
        elif what == "spend":
            self.spent.append((name, f"R{len(self.spent)}"))
            town.spends(name, random.randint(1, 300), self.spent[-1][1], at)
        elif what == "unspend" and self.spent:
            name, redemption = random.choice(self.spent)
            town.tells(name, "redemption.reversed", at, redemption=redemption)
        elif what == "recall" and self.gifts:
            town.reverses(*random.choice(self.gifts), at)
        elif what == "order":
            lines = [{"line": "1", "paid_fen": random.randint(100, 30_000), "quantity": 2}]
            town.tells(name, "order.completed", at, order=f"O{name}", lines=lines)
        elif what == "return":
            lines = [{"line": "1", "quantity": 1, "refund_fen": random.randint(0, 20_000)}]
            town.tells(
                name, "order.returned", at, **{"return": f"T{count}-{self.hours}"}, order=f"O{name}", lines=lines
            )
        elif what == "state" and self.closes:
            kind = random.choice(("account.closed", "account.reopened", "account.frozen", "account.unfrozen"))
            town.tells(name, kind, at, OPERATORS)

    def delivers(self) -> None:
        town, random = self.town, self.random
        while town.post and random.random() < 0.4:
            town.delivers(random.randrange(len(town.post)))
            town.check()
        if town.sent and random.random() < 0.1:  # one comes again
            letter = random.choice(town.sent)
            if letter not in town.post:
                assert town.hears(letter.to, letter.raw) == "ignored: duplicate"

    def runs(self, steps: int = 40) -> Town:
        for _ in range(steps):
            self.step()
            self.town.check()
            self.delivers()
        while self.town.post:
            self.town.delivers(self.random.randrange(len(self.town.post)))
            self.town.check()
        return self.town


def run(seed: int, *, closes: bool) -> None:
    story = Story(seed, closes=closes)
    town = story.runs()
    assert town.in_transit == 0 and town.sent
    town.check_streams()
    if not closes:
        brings_all_back(story)


def brings_all_back(story: Story) -> None:
    """Law 10: once what was spent is back, asking each gift back in turn returns all of it but what has expired."""
    town = story.town
    for name, redemption in story.spent:
        town.tells(name, "redemption.reversed", redemption=redemption)
    for _ in range(len(story.gifts)):
        before = [town.member(name).purse().come for name in NAMES]
        for name, transfer in reversed(story.gifts):
            town.reverses(name, transfer)
            town.delivers_all()
            town.check()
        if before == [town.member(name).purse().come for name in NAMES]:
            break
    purses = [town.member(name).purse() for name in NAMES]
    is_all_there = not any(purse.expired or purse.clawed_back for purse in purses)  # nor at the end of any chain
    for name in NAMES:
        for key, page in town.member(name).pages.items():
            if isinstance(page, TransferPage) and not page.is_ended:
                assert not is_all_there, "what does not come back expired, or paid for debt"
                received = town.member(page.to).pages[f"received/{len(name)}/{name}/{key.partition('/')[2]}"]
                lots = town.member(page.to).purse().lots
                assert not any(lots[lot].left for lot in received.lots if lot in lots), "what is there comes back"
    assert not is_all_there or not any(purse.redeemed for purse in purses), "with the gifts the fees came back"


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_when_nothing_is_lost_or_doubled(seed: int, closes: bool) -> None:
    run(seed, closes=closes)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(100, 500))
def test_four_hundred_more_histories(seed: int) -> None:
    run(seed, closes=seed % 2 == 0)
