"""What an account has taken and keeps until more has come: `points audit transit` names it, and the sum is whole."""

import pytest

from ledger.core.decisions import merges
from projections.audit.transit import transit
from tests.core.test_worked_examples_of_gifts import BOOK
from tests.core.test_worked_examples_of_merges import merges as merge
from tests.core.test_worked_examples_of_merges import parts as part
from tests.support.ledgers import SmallLedger, scratch
from tests.support.town import Town


class Told(Town):
    """A town that notes what its members hear, in order."""

    heard: list[bytes]

    def hears(self, name: str, raw: bytes) -> str:
        self.heard = [*getattr(self, "heard", []), raw]
        return super().hears(name, raw)


def chained() -> Told:
    """A gift to A, who is a name of B's and with it of C's, comes to C as B parts: it goes back and waits at B."""
    town = Told(BOOK, "2025-04-01 10:00")
    for name, points in (("A", 100), ("B", 10), ("C", 1), ("G", 70)):
        town.opens(name, f"L{name}", points, "2027-01-01")
    merge(town, "A", "B")
    town.delivers_all()
    merge(town, "B", "C")
    town.delivers_all()
    town.gives("G", "A", 30, "T")
    town.delivers()
    town.delivers()  # it is on its way from B to C
    letter = town.post.pop()
    part(town, "C", "B")
    while town.post[-1].kind != "member.moved.v1":
        town.delivers(len(town.post) - 1)
    town.post.append(letter)
    assert town.delivers(1) == "accepted: handed-back"
    assert town.delivers(1) == "accepted: waits"
    return town


def test_a_fact_that_waits_for_a_name_is_named_with_its_points_until_it_is_decided() -> None:
    town = chained()
    told = len(town.heard)
    town.delivers_all()
    with scratch() as folder:
        small = SmallLedger(folder / "ledger", book=BOOK)
        seen = []
        for number, raw in enumerate(town.heard, 1):
            small.hears([raw])
            small.decides()
            found = transit(small.ledger)
            on_its_way = found.points_on_their_way + found.points_waiting - found.points_ahead
            assert found.in_transit.get("beans", 0) == on_its_way and not found.faults
            if number == told:
                (one,) = found.waits_there
                assert (one.member, one.type, one.points) == ("B", "transfer.arrived.v1", 27)
            seen.append(found.points_waiting)
        assert max(seen) == 27 and seen[-1] == 0
        small.close()


def test_parts_of_a_move_that_have_come_wait_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merges, "PIECE_BYTES", 400)
    town = Told(BOOK, "2025-04-01 10:00")
    for number in range(8):
        town.opens("A", f"L{number}", 10, "2027-01-01")
    merge(town, "A", "B")
    while town.post:
        town.delivers(len(town.post) - 1)  # the last first
    with scratch() as folder:
        small = SmallLedger(folder / "ledger", book=BOOK)
        seen = []
        for raw in town.heard:
            small.hears([raw])
            small.decides()
            found = transit(small.ledger)
            assert found.in_transit.get("beans", 0) == found.points_on_their_way + found.points_waiting
            assert sum(one.points for one in found.waits_there) == found.points_waiting
            seen.append(found.points_waiting)
        assert len(set(seen)) > 2 and seen[-1] == 0
        small.close()
