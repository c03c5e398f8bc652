"""The laws over made-up histories of members who become one and are parted, with any delivery of what they tell.

After every step each purse balances, and what left accounts less what came is on its way or waits. In the end nothing
is; heads and aliases agree; each stream alone makes the same entries; and whatever was spent comes back under the name
it was spent under, wherever that lives (law 10).
"""

import pytest

from tests.core.test_laws_of_gifts import Story
from tests.support.bundles import problems_of_names
from tests.support.shop import OPERATORS
from tests.support.town import Town


class Merging(Story):
    """A made-up history in which members merge and part."""

    def step(self) -> None:
        random, town = self.random, self.town
        what = random.choice(("merge", "part", "other", "other", "other", "other"))
        name = random.choice(self.names)
        if what == "merge":
            town.tells(name, "member.merged", self.at(), OPERATORS, into=random.choice(self.names))
        elif what == "part":
            bundle = town.member(name).account.bundle
            others = list(bundle.names) if bundle is not None else []
            town.tells(name, "member.unmerged", self.at(), OPERATORS, name=random.choice([*others, "A"]))
        else:
            super().step()

    names = ("A", "B", "C", "D")

    def rest(self) -> None:
        """Deliver all that waits, and look at what all of it comes to."""
        town = self.town
        while town.post:
            town.delivers(self.random.randrange(len(town.post)))
            town.check()
        assert town.in_transit == 0
        accounts = {name: town.member(name).account for name in self.names}
        assert not list(problems_of_names(accounts))


def run(seed: int) -> Town:
    story = Merging(seed, closes=False)
    story.runs(60)
    story.rest()
    town = story.town
    for name, redemption in story.spent:
        town.tells(name, "redemption.reversed", redemption=redemption)
        story.rest()
    redeemed = sum(town.member(name).purse().redeemed for name in story.names)
    fees = sum(
        part.points - part.restored
        for name in story.names
        for key, page in town.member(name).pages.items()
        if "transfer/" in key and is_current(town, name, key)
        for part in page.fee
    )
    assert redeemed == fees, "all that was spent is back"
    town.check_streams()
    return town


def is_current(town: Town, account: str, key: str) -> bool:
    """Return True if a page is of a name that lives in an account: what left stays there, and is not looked at."""
    bundle = town.member(account).account.bundle
    if not key.startswith("~"):
        return bundle is None or bundle.alias is None
    return bundle is not None and key[1:].partition("\n")[0] in bundle.names


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(3, 300))]
)
def test_members_merge_and_part_and_nothing_is_lost_or_doubled(seed: int) -> None:
    run(seed)
