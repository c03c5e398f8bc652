"""decide(account, fact, book) -> outcome and changes: the one place where a fact meets the rules.

A request may be refused, and then nothing has changed; any other fact is accepted, or ignored with the discrepancy
named. Time goes first: what fell due by the fact's instant is part of its entry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from ledger.core.account import Account
from ledger.core.decisions import memberships, orders, redemptions
from ledger.core.decisions.activities import (
    answer_question,
    become_known,
    complete_profile,
    rate,
    set_credit,
    share_item,
    sign_in,
    visit_shop,
)
from ledger.core.decisions.operators import adjust, freeze, grant, open_lot, publish, unfreeze
from ledger.core.decisions.reviews import post_review, remove_review
from ledger.core.draft import Decline, Draft, Trace, fall_due, resettle
from ledger.core.pages import Pages
from ledger.rulebook.compiled import Book
from ledger.wire.entries import (
    ACCEPTED,
    ENGINE,
    IGNORED,
    REFUSED,
    Change,
    Entry,
)
from ledger.wire.facts import (
    FACT_TYPES,
    REQUESTS,
    AccountFrozen,
    AccountUnfrozen,
    BenefitClaimed,
    CampaignGranted,
    CardCodeRedeemed,
    CardPurchased,
    CardRefunded,
    CardTrialStarted,
    CreditScored,
    Fact,
    HoldCaptured,
    HoldReleased,
    HoldRequested,
    IdentityVerified,
    ItemShared,
    LotOpened,
    MemberSignedIn,
    OrderCancelled,
    OrderCompleted,
    OrderPaid,
    OrderRejected,
    OrderReturned,
    PointsAdjusted,
    ProfileCompleted,
    ProgrammePublished,
    QqBound,
    QuestionAnswered,
    RedemptionRequested,
    RedemptionReversed,
    ReputationRated,
    ReviewPosted,
    ReviewRemoved,
    ShopVisited,
    WechatBound,
)
from ledger.wire.times import SECOND


class Decision(Struct, frozen=True, gc=False):
    """What became of a fact: an outcome of `entries.OUTCOMES`, a reason code, its figures, and the changes."""

    outcome: int
    reason: str
    figures: dict[str, int | str]
    changes: list[Change]
    clock: int
    version: str


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
        ENGINE,
        decision.outcome,
        decision.reason,
        decision.figures,
        decision.changes,
        fact,
        received,
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


def decide(
    account: Account,
    pages: Pages,
    fact: Fact,
    occurred: int,
    book: Book,
    *,
    recorded: int,
    backlog: bool = False,
    limits: Limits = Limits(),
    repeats: "Repetition | None" = None,
    trace: Trace | None = None,
) -> Decision:
    """Decide one fact for one member; the account is evolved by the changes, the pages by what they must keep.

    `repeats` says that a fact of the same (subject, source, id) came before; `trace` is told of each rule that gave
    nothing. Raises `draft.OutOfRange` where a bound
    of the account's integers would be passed: the account is then half changed, and to be dropped.
    """
    clock = occurred if occurred > account.clock else account.clock
    version = book.at(occurred)
    draft = Draft(account, pages, book, version or book.versions[0], account.number + 1, occurred, clock, trace=trace)
    if clock >= account.next_due_at or clock >= account.next_month_at:
        fall_due(draft, clock)
    account.clock = clock
    due = len(draft.changes)
    name = version.name if version else ""
    if repeats is not None:
        reason = "duplicate" if repeats.is_same else "conflict"
        return Decision(IGNORED, reason, {"first": repeats.first}, draft.changes, clock, name)
    kind = type(fact)
    try:
        if version is None:
            draft.decline("no-programme")
        if clock - occurred > version.late:
            draft.decline("too-late")
        if kind in REQUESTS:
            _check_request(draft, fact, recorded, backlog, limits)
        _DECIDERS[kind](draft, fact.data)
    except Decline as decline:
        assert len(draft.changes) == due, "a fact that is declined changes nothing"
        outcome = REFUSED if kind in REQUESTS and decline.reason != "already" else IGNORED
        return Decision(outcome, decline.reason, decline.figures, draft.changes, clock, name)
    resettle(draft)
    return Decision(ACCEPTED, draft.reason, draft.figures, draft.changes, clock, name)


def run_to(account: Account, book: Book, instant: int, pages: Pages) -> list[Change]:
    """Run an account's clock to an instant without a fact: what falls due by then happens to it, and is returned."""
    if instant < account.clock:
        return []  # at the clock itself: a late fact may just have let something fall due before it
    draft = Draft(account, pages, book, book.nearest(instant), account.number + 1, instant, instant)
    fall_due(draft, instant)
    account.clock = instant
    return draft.changes


def _check_request(draft: Draft, fact: Fact, recorded: int, backlog: bool, limits: Limits) -> None:
    match fact:
        case RedemptionRequested():
            key = f"redemption/{fact.data.redemption}"
        case HoldRequested():
            key = f"hold/{fact.data.hold}"
        case BenefitClaimed():
            key = f"claim/{fact.data.claim}"
        case _:
            raise TypeError(f"{type(fact).__name__} is no request")
    if draft.pages.get(key) is not None:
        draft.decline("already")
    age = recorded - draft.occurred
    if not backlog and age > limits.request_max_age:
        draft.decline("stale", age_seconds=age // SECOND, most_seconds=limits.request_max_age // SECOND)
    if draft.account.frozen:
        draft.decline("account-frozen")


# By class, as changes are applied: matching one class after the other costs more than many a decision.
_DECIDERS: Mapping[type[Fact], Callable[[Draft, Any], None]] = {
    OrderPaid: orders.pay,
    OrderCompleted: orders.complete,
    OrderCancelled: orders.cancel,
    OrderReturned: orders.take_back,
    OrderRejected: orders.reject,
    ReviewPosted: post_review,
    ReviewRemoved: remove_review,
    QuestionAnswered: answer_question,
    ItemShared: share_item,
    MemberSignedIn: sign_in,
    ShopVisited: visit_shop,
    CampaignGranted: grant,
    IdentityVerified: become_known("identity.verified"),
    WechatBound: become_known("wechat.bound"),
    QqBound: become_known("qq.bound"),
    ProfileCompleted: complete_profile,
    CreditScored: set_credit,
    ReputationRated: rate,
    RedemptionRequested: redemptions.redeem,
    RedemptionReversed: redemptions.reverse,
    HoldRequested: redemptions.hold,
    HoldCaptured: redemptions.capture,
    HoldReleased: redemptions.release,
    CardPurchased: memberships.open_card,
    CardCodeRedeemed: memberships.open_card,
    CardTrialStarted: memberships.open_trial,
    CardRefunded: memberships.refund_card,
    BenefitClaimed: memberships.claim,
    PointsAdjusted: adjust,
    AccountFrozen: freeze,
    AccountUnfrozen: unfreeze,
    LotOpened: open_lot,
    ProgrammePublished: publish,
}
assert _DECIDERS.keys() == set(FACT_TYPES), "a type of fact that nobody decides"
