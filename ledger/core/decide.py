"""decide(account, fact, book) -> outcome and changes: the one place where a fact meets the rules.

A request may be refused, and then nothing has changed; any other fact is accepted, or ignored with the discrepancy
named. Time goes first: what fell due by the fact's instant is part of its entry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from msgspec import Struct

from ledger.core.account import NEVER, Account
from ledger.core.awards import apply_rules
from ledger.core.card_orders import taken_back_elsewhere
from ledger.core.decisions import (
    activities,
    amendments,
    benefits,
    exchanges,
    forwarding,
    grants,
    houses,
    memberships,
    merges,
    operators,
    orders,
    outside,
    pending,
    pools,
    redemptions,
    reviews,
    transfers,
)
from ledger.core.draft import Decline, Draft, Trace
from ledger.core.fall_due import fall_due
from ledger.core.names import NamedDraft, decide_under, named_draft
from ledger.core.pages import Pages
from ledger.core.pages_of_engine_1 import PagesOfEngine1
from ledger.core.penalties import apply_penalties
from ledger.core.reached import award_reached
from ledger.core.shops import follow_shops
from ledger.core.tiers import follow_scores, refresh_settled
from ledger.core.who import unentitled_by
from ledger.rulebook.compiled import HOUSE, POOL, Programme
from ledger.wire import facts
from ledger.wire.entries import ACCEPTED, ENGINE, IGNORED, OUTCOMES, REFUSED, Change, DecidedLate, Entry
from ledger.wire.fact_catalogue import BY_CLASS, CATALOGUE, FactType
from ledger.wire.fact_codec import decode_canonical
from ledger.wire.facts import Fact
from ledger.wire.times import SECOND, to_instant


class Decision(Struct, frozen=True, gc=False):
    """What became of a fact: an outcome of `entries.OUTCOMES`, a reason code, its figures, and the changes."""

    outcome: int
    reason: str
    figures: dict[str, int | str]
    changes: list[Change]
    clock: int
    version: str
    engine: int = ENGINE


def entry_of(
    decision: Decision,
    *,
    member: str,
    number: int,
    partition: int,
    offset: int,
    occurred: int,
    recorded: int,
    backlog: bool,
    fact: bytes,
    received: bytes,
    pushed: int = 0,
) -> Entry:
    """The entry that writes a decision down: the owner's, and a replay's to compare with it."""
    return Entry(
        member,
        number,
        partition,
        offset,
        occurred,
        recorded,
        decision.clock,
        backlog,
        decision.version,
        decision.engine,
        decision.outcome,
        decision.reason,
        decision.figures,
        decision.changes,
        fact,
        received,
        pushed,
    )


@dataclass(frozen=True, slots=True)
class Repetition:
    """A fact came before under the same name: the number of its entry, and whether the content is the same."""

    first: int
    is_same: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """Settings of a ledger that bound what it decides."""

    request_max_age: int = 86_400 * SECOND  # microseconds between occurred and recorded
    partitions: int = 1  # that the ledger was born with


class _Arrival(NamedTuple):
    """How a fact came into the stream, as `decide` is told."""

    recorded: int
    pushed: int
    backlog: bool
    limits: Limits


def decide(
    account: Account,
    pages: Pages,
    fact: Fact,
    occurred: int,
    book: Programme,
    *,
    recorded: int,
    pushed: int = 0,
    backlog: bool = False,
    limits: Limits = Limits(),
    repeats: Repetition | None = None,
    trace: Trace | None = None,
    engine: int = ENGINE,
) -> Decision:
    """Decide one fact for one member; the account is evolved by the changes, the pages by what they must keep.

    `recorded` is when the stream took it, and `pushed` by how much that is later than the clock said (both in
    microseconds). `repeats` says that a fact of the same (subject, source, id) came before; `trace` is told of each
    rule that gave nothing; `engine` is the one that is to decide: an entry's own where it is derived again. Raises
    `draft.OutOfRange` where a bound of the account's integers would be passed: the account is then half changed, and
    to be dropped.
    """
    if engine == 1:
        pages = PagesOfEngine1(pages)
    kind = type(fact)
    row = BY_CLASS[kind]
    clock = occurred if occurred > account.clock else account.clock
    if row.is_follow_up:
        clock = max(clock, _left_at(fact.data))
    newest = book.versions[-1]  # decides nearly every fact
    version = newest if newest.since <= occurred else book.at(occurred)
    rules = version or book.versions[0]
    if row.is_follow_up:
        version = rules
    month = rules.month(occurred)
    draft, due = Draft(account, pages, book, rules, account.number + 1, occurred, clock, month, trace, engine), 0
    if account.bundle is not None or kind in _OF_NAMES:
        draft = named_draft(draft, fact.subject)
    draft.name, draft.source, draft.partitions = fact.subject, fact.source, limits.partitions
    if clock >= account.next_due_at or clock >= account.next_month_at or rules.name != account.placed_by:
        fall_due(draft, clock)
        due = len(draft.changes)
        if draft.lots:  # that reached tiers gave as time passed: they are there whatever becomes of the fact
            pages.enter(draft.number, draft.changes)
    account.clock = clock
    if trace is not None:
        trace.began(draft)
    name = version.name if version else ""
    if repeats is not None:
        reason = "duplicate" if repeats.is_same else "conflict"
        return Decision(IGNORED, reason, {"first": repeats.first}, draft.changes, clock, name, engine)
    at = _Arrival(recorded, pushed, backlog, limits)
    try:
        if version is None:
            draft.decline("no-programme")
        if isinstance(draft, NamedDraft):
            _decide_named(draft, row, fact, at)
        else:
            _decide_one(draft, row, fact, at)
    except Decline as decline:
        assert len(draft.changes) == due, "a fact that is declined changes nothing"
        if isinstance(fact.data, facts.Forwarded):
            row = _inner(fact.data)
        return Decision(_declined(row, decline), decline.reason, decline.figures, draft.changes, clock, name, engine)
    _follow(draft)
    if draft.lots:
        pages.enter(draft.number, draft.changes)
    if account.bundle is not None:
        account.bundle.acting = ""
    return Decision(ACCEPTED, draft.reason, draft.figures, draft.changes, clock, name, engine)


def _follow(draft: Draft, since: int = 0) -> None:
    """Let tiers follow what a fact decided, whose changes begin at `since`, and give what reached ones give."""
    if draft.engine == 1:
        if draft.oldest_month != NEVER:
            refresh_settled(draft)
    elif draft.stands:
        follow_scores(draft, since)
    if draft.at_shops:
        follow_shops(draft)
    if draft.reached:
        award_reached(draft)


def _decide_one(draft: Draft, row: FactType, fact: Fact, at: _Arrival, *, is_judged: bool = False) -> None:
    """Let a fact meet the account and the rules; how old it is was judged before, where it was forwarded."""
    kind, version = row.fact, draft.version
    is_house = draft.book.has_seats and draft.name.startswith(HOUSE)
    if draft.book.has_pools and draft.name.startswith(POOL) and not row.is_follow_up and kind not in _OF_POOLS:
        draft.decline("not-a-member")
    if is_house and not row.is_follow_up and kind not in _OF_HOUSES:
        draft.decline("not-a-member")
    if row.is_follow_up:
        pass  # it is never turned away: its decider knows what to do in each state of the account
    elif not is_judged and draft.clock - draft.occurred > version.late:
        draft.decline("too-late")
    elif row.is_request:
        _check_request(draft, row.own_key(fact.data), None if is_judged else at)
    elif draft.account.closed and kind not in _COUNT_WHEN_CLOSED:
        draft.decline("account-closed")
    if row.on in version.asks_who:
        draft.unentitled = unentitled_by(draft, version.asks_who[row.on], fact.data)
    _DECIDER_OF[kind](draft, fact.data)
    if is_house:
        houses.tell_seats(draft)
    elif kind in version.asked_behind:  # a house has neither points nor scores
        _ask_rules(draft, row, fact.data)


# -- members with several names ----------------------------------------------------------------------------------------


def _decide_named(draft: NamedDraft, row: FactType, fact: Fact, at: _Arrival) -> None:
    """Decide a fact of a member who has several names, or is one of another's."""
    kind = row.fact
    if isinstance(fact, facts.MemberMoved):
        if merges.moved(draft, fact.data):
            _decide_delayed(draft, at)
    elif kind in _OF_MOVES:
        _DECIDER_OF[kind](draft, fact.data)
    elif isinstance(fact.data, facts.Forwarded):
        where = forwarding.place(draft, fact.data)
        if where == forwarding.HERE:
            _decide_forwarded(draft, fact.data, at)
        else:
            forwarding.note(draft, fact.data, where)
    elif draft.bundle.alias is not None:
        if kind in _OF_ACCOUNTS:
            draft.decline("alias", head=draft.bundle.alias.head)
        _judge_age(draft, row, at)
        data = forwarding.wrapped(draft, fact)
        if len(bytes(data.fact)) > forwarding.MOST_BYTES:
            head = draft.bundle.alias.head
            length = len(bytes(data.fact))
            draft.decline("too-long-for-alias", bytes=length, most=forwarding.MOST_BYTES, head=head)
        forwarding.note(draft, data, forwarding.place(draft, data, is_new=True))
    else:
        decide_under(draft, row, fact.data, "")
        _decide_one(draft, row, fact, at)


def _decide_forwarded(draft: NamedDraft, data: facts.Forwarded, at: _Arrival) -> None:
    """Decide a fact that was sent to another name of this member, at its own time."""
    fact, occurred = decode_canonical(bytes(data.fact))
    row = BY_CLASS[type(fact)]
    draft.occurred, draft.version = occurred, draft.book.at(occurred) or draft.book.versions[0]
    draft.month, draft.refund_fen, draft.unentitled = draft.version.month(occurred), 0, None
    draft.source = fact.source
    draft.named.forget()
    decide_under(draft, row, fact.data, "" if data.name == draft.member else data.name)
    _decide_one(draft, row, fact, at, is_judged=True)


def _decide_delayed(draft: NamedDraft, at: _Arrival) -> None:
    """Decide the facts that waited for a name which is here now, in the order in which they came.

    Each is decided as if it had an entry of its own: tiers have followed it before the next one asks for them.
    """
    occurred, version, month = draft.occurred, draft.version, draft.month
    for number in list(draft.bundle.delayed):
        data = forwarding.kept(draft, number)
        where = forwarding.place(draft, data)
        outcome, reason = ACCEPTED, where
        if where == forwarding.WAITS:
            continue
        if where == forwarding.HERE:
            draft.reason, draft.stands, draft.at_shops, since = "", None, None, len(draft.changes)
            try:
                _decide_forwarded(draft, data, at)
                reason = draft.reason
                _follow(draft, since)
            except Decline as decline:
                outcome, reason = _declined(_inner(data), decline), decline.reason
        draft.act_as("")
        draft.emit(DecidedLate(number, OUTCOMES[outcome], reason))
    draft.occurred, draft.version, draft.month, draft.reason = occurred, version, month, ""
    draft.stands, draft.at_shops = None, None


def _inner(data: facts.Forwarded) -> FactType:
    return BY_CLASS[type(decode_canonical(bytes(data.fact))[0])]


def _declined(row: FactType, decline: Decline) -> int:
    """Return what a fact is called that is declined: a request is refused, any other ignored."""
    return REFUSED if row.is_request and decline.reason != "already" else IGNORED


def _judge_age(draft: Draft, row: FactType, at: _Arrival) -> None:
    """Decline what comes too late, or is an old request: the account that it goes on to does not ask."""
    if not row.is_follow_up and draft.clock - draft.occurred > draft.version.late:
        draft.decline("too-late")
    if row.is_request:
        _check_age(draft, at)


def _left_at(data: Any) -> int:
    """Return the instant at which points were let go that come with a follow-up: they are here no sooner."""
    return to_instant(data.at) if data.at is not None else 0


def run_to(account: Account, book: Programme, instant: int, pages: Pages) -> list[Change]:
    """Run an account's clock to an instant without a fact: what falls due by then happens to it, and is returned.

    The account is for a question: it may come to integers beyond what a store holds.
    """
    if instant < account.clock:
        return []  # at the clock itself: a late fact may just have let something fall due before it
    draft = Draft(account, pages, book, book.nearest(instant), account.number + 1, instant, instant, is_question=True)
    fall_due(draft, instant)
    account.clock = instant
    return draft.changes


def _check_request(draft: Draft, key: str, at: _Arrival | None) -> None:
    """Decline a request that came before (its page has this key), is too old, or meets a frozen account.

    `at` says how it came, where that was not judged before.
    """
    if draft.pages.get(key) is not None:
        draft.decline("already")
    if at is not None:
        _check_age(draft, at)
    if draft.account.closed:
        draft.decline("account-closed")
    if draft.account.frozen:
        draft.decline("account-frozen")


def _check_age(draft: Draft, at: _Arrival) -> None:
    """Decline a request that is older than the ledger takes."""
    age = at.recorded - at.pushed - draft.occurred
    if not at.backlog and age > at.limits.request_max_age:
        ahead = {"recorded_ahead_seconds": at.pushed // SECOND} if at.pushed else {}
        most = at.limits.request_max_age // SECOND
        draft.decline("stale", age_seconds=age // SECOND, most_seconds=most, **ahead)


def _ask_rules(draft: Draft, row: FactType, data: Any) -> None:
    """Apply the awards and penalties on a type of fact whose own decision asks for none."""
    page = row.own_key(data).partition("/")[2]
    rules = draft.version.rules_after.get(row.on)
    if rules is not None:
        fen = getattr(data, row.fen) if row.fen else 0
        apply_rules(draft, rules, data, page, fen=fen)
    if row.fact is not facts.ActivityDone:  # whose penalties stand on its page
        apply_penalties(draft, row.on, data, page)


def _decider_of(row: FactType) -> Callable[[Draft, Any], None]:
    """Return the function that decides a type of fact: its own, or a general one with its row of the catalogue."""
    own = _DECIDERS.get(row.fact)
    if own is not None:
        return own
    assert row.sets is not None or row.fields is not None, f"{row.on} has no decider"
    return partial(activities.set_attribute if row.sets is not None else activities.act, row)


_DECIDERS: Mapping[type[Fact], Callable[[Any, Any], None]] = {
    facts.OrderPaid: orders.pay,
    facts.OrderCompleted: orders.complete,
    facts.OrderAmended: amendments.amend,
    facts.OrderCancelled: orders.cancel,
    facts.OrderReturned: orders.take_back,
    facts.OrderRejected: orders.reject,
    facts.ReviewPosted: reviews.post_review,
    facts.ReviewRemoved: reviews.remove_review,
    facts.CampaignGranted: operators.grant,
    facts.MemberJoined: activities.join,
    facts.ActivityDone: activities.do,
    facts.ActivityUndone: activities.undo,
    facts.MemberDescribed: activities.describe,
    facts.RedemptionRequested: redemptions.redeem,
    facts.RedemptionReversed: redemptions.reverse,
    facts.HoldRequested: redemptions.hold,
    facts.HoldCaptured: redemptions.end_hold,
    facts.HoldReleased: redemptions.end_hold,
    facts.PointsClaimed: pending.claim_points,
    facts.ExchangeRequested: exchanges.exchange,
    facts.ExchangeReversed: exchanges.reverse_exchange,
    facts.ExchangeConfirmed: outside.confirm,
    facts.ExchangeFailed: outside.fail,
    facts.TransferRequested: transfers.give,
    facts.TransferReversed: transfers.reverse,
    facts.CardPurchased: memberships.open_card,
    facts.CardCodeRedeemed: memberships.open_card,
    facts.CardTrialStarted: partial(memberships.open_card, is_trial=True),
    facts.CardRefunded: memberships.refund_card,
    facts.BenefitClaimed: benefits.claim,
    facts.BenefitReturned: benefits.return_claim,
    facts.HouseJoined: houses.join,
    facts.HouseLeft: houses.leave,
    facts.TransferArrived: transfers.arrive,
    facts.TransferReturned: transfers.come_back,
    facts.TransferRecalled: transfers.recall,
    facts.PoolAsked: pools.ask,
    facts.PoolAnswered: pools.answered,
    facts.PoolReturned: pools.returned,
    facts.LeaseAsked: pools.lease_asked,
    facts.LeaseAnswered: pools.lease_answered,
    facts.LeaseRecalled: pools.lease_recalled,
    facts.LeaseReturned: pools.lease_returned,
    facts.SeatChanged: houses.change_seat,
    facts.CardTakenBack: taken_back_elsewhere,
    facts.ExchangeAsked: outside.give,
    facts.ExchangeAnswered: outside.answered,
    facts.ExchangeRecalled: outside.take_back,
    facts.PointsAdjusted: operators.adjust,
    facts.AccountFrozen: operators.freeze,
    facts.AccountUnfrozen: operators.unfreeze,
    facts.AccountClosed: operators.close,
    facts.AccountReopened: operators.reopen,
    facts.TierGranted: grants.grant,
    facts.TierWithdrawn: grants.withdraw,
    facts.LotOpened: operators.open_lot,
    facts.ProgrammePublished: operators.publish,
    facts.MemberMerged: merges.merge,
    facts.MemberUnmerged: merges.unmerge,
    facts.MergeAsked: merges.asked,
    facts.MergeAnswered: merges.answered,
    facts.MergePieceTaken: merges.piece_taken,
    facts.MemberPages: merges.pages_came,
    facts.LotReturned: merges.returned,
}
_OF_MOVES = frozenset({facts.MergeAnswered, facts.MergePieceTaken, facts.MemberPages})
_PLACED = frozenset({facts.MemberMoved, facts.MemberForwarded})  # decided by `_decide_named`
_OF_NAMES = _OF_MOVES | _PLACED | {facts.MemberMerged, facts.MemberUnmerged, facts.MergeAsked}
_OF_POOLS = frozenset({facts.AccountFrozen, facts.AccountUnfrozen, facts.AccountClosed, facts.AccountReopened})
_OF_ACCOUNTS = _OF_POOLS | {facts.MemberMerged, facts.MemberUnmerged}  # whoever means an account says so by its name
_OF_HOUSES = _OF_POOLS | {
    facts.CardPurchased,
    facts.CardCodeRedeemed,
    facts.CardTrialStarted,
    facts.CardRefunded,
    facts.HouseJoined,
    facts.HouseLeft,
    facts.MemberDescribed,
}
_COUNT_WHEN_CLOSED = frozenset(
    {
        facts.OrderReturned,
        facts.ExchangeConfirmed,
        facts.ExchangeFailed,
        facts.AccountClosed,
        facts.AccountReopened,
    }
)
# By class: matching one class after the other costs more than many a decision.
_DECIDER_OF = {row.fact: _decider_of(row) for row in CATALOGUE if row.fact not in _PLACED}
