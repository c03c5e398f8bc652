"""Bugs between members that are planted to see that they are found: those on which the protocols were explored."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import msgspec

from consumers.local.port import Append
from consumers.runtime import follow_ups as sending
from consumers.runtime.follow_ups import FollowUps
from ledger.core import asks, decide, lots
from ledger.core.decisions import forwarding, houses, merges, outside, pools, transfers
from ledger.core.draft import Draft
from ledger.core.evolve import OUT
from ledger.core.names import NamedDraft
from ledger.core.pages import AskPage
from ledger.journal import partition
from ledger.wire import facts, follow_ups
from ledger.wire.entries import LOT_BITS, Entry, Leased, Told
from ledger.wire.facts import Arrival, LeaseMove, LeaseReturned
from ledger.wire.follow_ups import FLOW, is_from_ledger
from tests.simulator import planted
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


@contextmanager
def an_older_word_about_a_seat_holds() -> Iterator[None]:
    """A member believes what a house said last of what came, and not what it said last."""

    def change(draft: Draft, data: facts.SeatChange) -> None:
        draft.account.seats.pop(draft.seat_key(data.frm), None)
        houses.change_seat(draft, data)

    with patch.dict(decide._DECIDER_OF, {facts.SeatChanged: change}):
        yield


@contextmanager
def a_claim_by_a_seat_that_comes_back_still_counts() -> Iterator[None]:
    """A house does not count back what its members give back."""
    with patch.object(houses, "count_back", lambda *_: None):
        yield


@contextmanager
def a_late_yes_costs_nothing() -> Iterator[None]:
    """What a partner gave after its time is over is not paid for."""
    with patch.object(outside, "_pay_late", lambda *_: None):
        yield


@contextmanager
def an_account_that_leaves_takes_another_in() -> Iterator[None]:
    """Who asks to become a name of another, or moves there, says yes to whom asks the same."""

    def asked(draft: NamedDraft, data: facts.MergeAsk) -> None:
        bundle = draft.bundle
        was, bundle.merger = bundle.merger, None
        merges.asked(draft, data)
        bundle.merger = was

    with patch.dict(decide._DECIDER_OF, {facts.MergeAsked: asked}):
        yield


@contextmanager
def a_closed_account_takes_a_merge() -> Iterator[None]:
    """A closed account says yes to whom asks to become a name of it."""

    def asked(draft: NamedDraft, data: facts.MergeAsk) -> None:
        was, draft.account.closed = draft.account.closed, False
        merges.asked(draft, data)
        draft.account.closed = was

    with patch.dict(decide._DECIDER_OF, {facts.MergeAsked: asked}):
        yield


@contextmanager
def changed_pages_not_sent() -> Iterator[None]:
    """What changed on a page after it had been sent is not sent with the rest."""
    real = merges._let_go
    with patch.object(merges, "_let_go", lambda draft, merger, _changed: real(draft, merger, [])):
        yield


@contextmanager
def a_fact_handed_back_is_handed_on_again() -> Iterator[None]:
    """A name that is on its way back does not wait: what its head handed back goes there again."""
    real = forwarding.place

    def place(draft: NamedDraft, data: facts.Forwarded, *, is_new: bool = False) -> str:
        alias = draft.bundle.alias
        if alias is not None and data.name in alias.names and data.back:
            data = msgspec.structs.replace(data, back=False)
        return real(draft, data, is_new=is_new)

    with patch.object(forwarding, "place", place):
        yield


@contextmanager
def an_alias_hands_on_what_did_not_move_with_it() -> Iterator[None]:
    """Whatever comes to an alias goes to its head, also for a name that parted from it before."""
    real = forwarding.place

    def place(draft: NamedDraft, data: facts.Forwarded, *, is_new: bool = False) -> str:
        alias = draft.bundle.alias
        if alias is None or data.name in alias.names:
            return real(draft, data, is_new=is_new)
        forwarding._send(draft, alias.head, data, draft.member, alias.era)
        return forwarding.FORWARDED

    with patch.object(forwarding, "place", place):
        yield


@contextmanager
def what_operators_say_of_an_alias_is_handed_on() -> Iterator[None]:
    """A closing that means the old name closes the new one."""
    with patch.object(decide, "_OF_ACCOUNTS", frozenset()):
        yield


@contextmanager
def what_comes_back_stays_at_the_wrong_name() -> Iterator[None]:
    """What comes back to a lot whose name lives elsewhere stays where it was spent."""
    with patch.object(lots, "lives_elsewhere", lambda *_: False):
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
    an_older_word_about_a_seat_holds: "houses",
    a_claim_by_a_seat_that_comes_back_still_counts: "houses",
    a_late_yes_costs_nothing: "exchanges",
    an_account_that_leaves_takes_another_in: "merges",
    a_closed_account_takes_a_merge: "merges",
    changed_pages_not_sent: "merges",
    a_fact_handed_back_is_handed_on_again: "merges",
    an_alias_hands_on_what_did_not_move_with_it: "merges",
    what_operators_say_of_an_alias_is_handed_on: "merges",
    what_comes_back_stays_at_the_wrong_name: "merges",
}

# Of bugs that show seldom, a seed that shows each: it is tried first, before the search from the beginning.
SHOWN_BY: dict[Bug, int] = {
    planted.a_commit_tried_again: 7,
    planted.a_hole_passed_over: 8,
    planted.an_inbox_that_is_not_synced: 21,
    planted.a_decision_told_to_another: 87,
    a_pool_off_by_one: 29,
    a_recalled_lease_gives_back_what_is_drawn: 294,
    a_position_moved_before_sending: 274,
    points_without_the_clock_that_let_them_go: 99,
    an_older_word_about_a_seat_holds: 754,
    a_claim_by_a_seat_that_comes_back_still_counts: 39,
    a_late_yes_costs_nothing: 139,
    an_account_that_leaves_takes_another_in: 89,
    a_closed_account_takes_a_merge: 84,
    changed_pages_not_sent: 169,
    what_operators_say_of_an_alias_is_handed_on: 174,
    what_comes_back_stays_at_the_wrong_name: 1339,
    a_fact_handed_back_is_handed_on_again: 809,
    an_alias_hands_on_what_did_not_move_with_it: 259,
}
