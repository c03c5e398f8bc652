"""Bugs between members that are planted to see that they are found: those on which the protocols were explored."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from consumers.local.port import Append
from consumers.runtime import follow_ups as sending
from consumers.runtime.follow_ups import FollowUps
from ledger.core import asks, decide
from ledger.core.decisions import pools, transfers
from ledger.core.draft import Draft
from ledger.core.evolve import OUT
from ledger.core.pages import AskPage
from ledger.journal import partition
from ledger.wire import facts, follow_ups
from ledger.wire.entries import LOT_BITS, Entry, Leased, Told
from ledger.wire.facts import Arrival, LeaseMove, LeaseReturned
from ledger.wire.follow_ups import FLOW, is_from_ledger
from tests.simulator.planted import Bug


@contextmanager
def a_gift_credited_twice() -> Iterator[None]:
    """What comes a second time from another account is taken a second time."""
    real = partition.decided

    def forgetful(account: Any, pages: Any, item: Any, book: Any, limits: Any, repeats: Any) -> Any:
        if is_from_ledger(item.fact):
            repeats = None
        return real(account, pages, item, book, limits, repeats)

    def arrive(draft: Draft, data: Arrival) -> None:
        draft.pages.put(transfers._received_key(data.frm, data.transfer), transfers._take_in(draft, data))

    with (
        patch.object(partition, "decided", forgetful),
        patch.dict(decide._DECIDER_OF, {facts.TransferArrived: arrive}),
    ):
        yield


@contextmanager
def a_gift_swallowed_by_a_closed_receiver() -> Iterator[None]:
    """A closed account takes no gift, and sends nothing back."""

    def arrive(draft: Draft, data: Arrival) -> None:
        if not draft.account.closed:
            transfers.arrive(draft, data)

    with patch.dict(decide._DECIDER_OF, {facts.TransferArrived: arrive}):
        yield


@contextmanager
def a_given_up_claim_keeps_its_piece() -> Iterator[None]:
    """A yes that comes to what was given up does not go back to the pool."""
    real = pools.put_back

    def some(draft: Draft, name: str, ask: AskPage, n: int) -> None:
        if ask.state != asks.OVER:
            real(draft, name, ask, n)

    with patch.object(pools, "put_back", some):
        yield


@contextmanager
def a_pool_off_by_one() -> Iterator[None]:
    """A pool gives one more than it has."""
    real = pools._room
    with patch.object(pools, "_room", lambda draft, limit, bucket: real(draft, limit, bucket) + 1):
        yield


@contextmanager
def a_recalled_lease_gives_back_what_is_drawn() -> Iterator[None]:
    """A lease gives back all that it has of its pool, what it has given among it."""

    def give_back(draft: Draft, root: str, bucket: int) -> None:
        out = draft.account.counts.get(bucket, {}).get(f"{OUT}{draft.name}", 0)
        if out > 0:
            draft.emit(Leased(draft.name, -out, bucket))
            draft.tell(root, LeaseReturned, LeaseMove(frm=draft.name, n=out, bucket=bucket))

    with patch.object(pools, "_give_block_back", give_back):
        yield


@contextmanager
def one_name_for_two_asks() -> Iterator[None]:
    """An entry that asks twice gives both asks the name of its first lot."""
    with patch.object(Draft, "lot_name", lambda _self, lot: f"{lot >> LOT_BITS}.1"):
        yield


@contextmanager
def a_position_moved_before_sending() -> Iterator[None]:
    """How far follow-ups were sent is remembered before they are."""
    real = FollowUps.send

    def early(self: FollowUps, append: Append) -> dict[int, int]:
        if self.may_have_more:
            self._journal.publish_upto(FLOW, self._journal.head().entries)
        return real(self, append)

    with patch.object(FollowUps, "send", early):
        yield


@contextmanager
def points_without_the_clock_that_let_them_go() -> Iterator[None]:
    """Who takes points does not move its clock to where they left."""
    with patch.object(decide, "_left_at", lambda _: 0):
        yield


@contextmanager
def a_follow_up_named_by_its_gift() -> Iterator[None]:
    """A follow-up has the name of the gift or ask that it is about, so that the second of one is a repetition."""

    def name_of(entry: Entry, told: Told) -> str:
        data = json.loads(told.data)
        return f"{entry.member}:{data.get('transfer') or data.get('ask') or data.get('bucket', 0)}"

    with ExitStack() as stack:
        for module in (follow_ups, sending):
            stack.enter_context(patch.object(module, "name_of", name_of))
        yield


# Where members know each other: what they do in the seeds that show a bug.
BUGS_BETWEEN: dict[Bug, str] = {
    a_gift_credited_twice: "gifts",
    a_gift_swallowed_by_a_closed_receiver: "gifts",
    a_given_up_claim_keeps_its_piece: "pools",
    a_pool_off_by_one: "pools",
    a_recalled_lease_gives_back_what_is_drawn: "pools",
    one_name_for_two_asks: "pools",
    a_position_moved_before_sending: "gifts",
    points_without_the_clock_that_let_them_go: "gifts",
    a_follow_up_named_by_its_gift: "gifts",
}
