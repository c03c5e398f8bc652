"""decide(account, fact, book) -> outcome and changes: the one place where a fact meets the rules.

A request may be refused, and then nothing has changed; any other fact is accepted, or ignored with the discrepancy
named. Time goes first: what fell due by the fact's instant is part of its entry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from ledger import cards, orders, redemptions
from ledger.account import Account
from ledger.awards import award_fact
from ledger.draft import Decline, Draft, fall_due, move_tiers, resettle
from ledger.entries import ACCEPTED, ENGINE, IGNORED, REFUSED, Change, CreditSet, Earned, Entry, Frozen, Rated, Unfrozen
from ledger.facts import (
    FACT_TYPES,
    REQUESTS,
    AccountFrozen,
    AccountUnfrozen,
    Adjustment,
    Answer,
    BenefitClaimed,
    CampaignGranted,
    CardCodeRedeemed,
    CardPurchased,
    CardRefunded,
    CardTrialStarted,
    CreditScore,
    CreditScored,
    Fact,
    Grant,
    HoldCaptured,
    HoldReleased,
    HoldRequested,
    IdentityVerified,
    ItemShared,
    LotOpened,
    MemberSignedIn,
    Nothing,
    OpeningLot,
    OrderCancelled,
    OrderCompleted,
    OrderPaid,
    OrderRejected,
    OrderReturned,
    PointsAdjusted,
    ProfileCompleted,
    ProgrammePublished,
    Publication,
    QqBound,
    QuestionAnswered,
    Reason,
    RedemptionRequested,
    RedemptionReversed,
    ReputationRated,
    Review,
    ReviewPosted,
    ReviewRemoval,
    ReviewRemoved,
    Share,
    ShopVisit,
    ShopVisited,
    SignIn,
    Stars,
    WechatBound,
)
from ledger.lots import claw_back, collect, earn
from ledger.pages import COMPLETED, SEEN, OrderPage, Pages, ReviewPage
from ledger.rules import Book
from ledger.times import EPOCH, SECOND, parse_instant, to_instant


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
) -> Decision:
    """Decide one fact for one member; the account is evolved by the changes, the pages by what they must keep.

    `repeats` says that a fact of the same (subject, source, id) came before. Raises `draft.OutOfRange` where a bound
    of the account's integers would be passed: the account is then half changed, and to be dropped.
    """
    clock = occurred if occurred > account.clock else account.clock
    version = book.at(occurred)
    draft = Draft(account, pages, book, version or book.versions[0], account.number + 1, occurred, clock)
    if clock >= account.due or clock >= account.turn:
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


def _take_id(draft: Draft, key: str) -> None:
    """Take a business id, or decline what comes again under a new fact id."""
    if draft.pages.get(key) is not None:
        draft.decline("already")
    draft.pages.put(key, SEEN)


def _sign_in(draft: Draft, data: SignIn) -> None:
    award_fact(draft, "member.signed-in", data, day=_day_of(data))


def _visit(draft: Draft, data: ShopVisit) -> None:
    award_fact(draft, "shop.visited", data)


def _share(draft: Draft, data: Share) -> None:
    _take_id(draft, f"share/{data.share}")
    award_fact(draft, "item.shared", data, page=data.share)


def _answer(draft: Draft, data: Answer) -> None:
    _take_id(draft, f"answer/{data.answer}")
    award_fact(draft, "question.answered", data, page=data.answer)


def _complete_profile(draft: Draft, data: Nothing) -> None:
    award_fact(draft, "profile.completed", data)


def _become_known(on: str) -> Callable[[Draft, Nothing], None]:
    """What is given once for something that makes a member known, and may move the tier at once."""

    def decide_it(draft: Draft, data: Nothing) -> None:
        award_fact(draft, on, data)
        move_tiers(draft, draft.version.month(draft.clock), draft.clock)

    return decide_it


def _set_credit(draft: Draft, data: CreditScore) -> None:
    draft.emit(CreditSet(data.score))


def _rate(draft: Draft, data: Stars) -> None:
    draft.emit(Rated(data.stars))
    move_tiers(draft, draft.version.month(draft.clock), draft.clock)


def _freeze(draft: Draft, data: Reason) -> None:
    draft.emit(Frozen(data.reason))


def _unfreeze(draft: Draft, data: Reason) -> None:
    if not draft.account.frozen:
        draft.decline("not-frozen")
    draft.emit(Unfrozen(data.reason))


def _publish(draft: Draft, _data: Publication) -> None:
    draft.decline("not-a-member")  # the intake takes a published book before it comes here


def _day_of(data: SignIn) -> int | None:
    """The day a sign-in says it is for, in days since 1970-01-01."""
    if not data.day:
        return None
    return (parse_instant(data.day, 0) - to_instant(EPOCH)) // (86_400 * SECOND)


def _review(draft: Draft, data: Review) -> None:
    key = f"review/{data.review}"
    if draft.pages.get(key) is not None:
        draft.decline("already")
    order = draft.pages.get(f"order/{data.order}")
    if not isinstance(order, OrderPage) or order.status != COMPLETED:
        draft.decline("line-not-completed", order=data.order, line=data.line)
    line = order.line(data.line)
    if line is None:
        draft.decline("line-not-completed", order=data.order, line=data.line)
    if line.reviewed:
        draft.decline("already-reviewed", order=data.order, line=data.line)
    line.reviewed = True
    draft.pages.put(f"order/{data.order}", order)
    awards = award_fact(draft, "review.posted", data, page=data.review, line=line, since=order.ended_at)
    draft.pages.put(key, ReviewPage(data.order, data.line, False, awards))


def _remove_review(draft: Draft, data: ReviewRemoval) -> None:
    review = data.review
    page = draft.pages.get(f"review/{review}")
    if not isinstance(page, ReviewPage):
        draft.decline("unknown-review", review=review)
    if page.removed:
        draft.decline("already")
    page.removed = True
    for award in page.awards:
        claw_back(draft, award, 0, page.line)
    draft.pages.put(f"review/{review}", page)


def _grant(draft: Draft, data: Grant) -> None:
    if data.kind not in draft.version.programme.kinds:
        draft.decline("unknown-kind", kind=data.kind)
    _take_id(draft, f"grant/{data.grant}")
    expires = draft.version.expires_at(data.kind, draft.occurred) if data.expires is None else to_instant(data.expires)
    _earn(draft, data, "campaign", draft.occurred, expires, data.campaign)


def _earn(
    draft: Draft, data: Grant | Adjustment | OpeningLot, rule: str, earned_at: int, expires_at: int, page: str
) -> None:
    """Open a lot of points that stand in the fact itself."""
    lot, points = draft.next_lot(), data.points
    earn(draft, Earned(data.kind, lot, points, rule, earned_at, expires_at, page=page, uncapped=points))


def _adjust(draft: Draft, data: Adjustment) -> None:
    if data.kind not in draft.version.programme.kinds:
        draft.decline("unknown-kind", kind=data.kind)
    if draft.pages.get(f"adjustment/{data.adjustment}") is not None:
        draft.decline("already")
    if not data.approved_by or data.approved_by == data.by:
        draft.decline("not-approved", by=data.by, approved_by=data.approved_by)
    _take_id(draft, f"adjustment/{data.adjustment}")
    draft.figures["reason"] = data.reason
    if data.points > 0:
        expires = draft.version.expires_at(data.kind, draft.occurred)
        _earn(draft, data, "adjustment", draft.occurred, expires, data.adjustment)
    else:
        collect(draft, data.kind, -data.points, "adjustment")


def _open_lot(draft: Draft, data: OpeningLot) -> None:
    if data.kind not in draft.version.programme.kinds:
        draft.decline("unknown-kind", kind=data.kind)
    _take_id(draft, f"opening/{data.lot}")
    _earn(draft, data, "lot.opened", to_instant(data.earned_at), to_instant(data.expires_at), data.lot)


# By class, as changes are applied: matching one class after the other costs more than many a decision.
_DECIDERS: Mapping[type[Fact], Callable[[Draft, Any], None]] = {
    OrderPaid: orders.pay,
    OrderCompleted: orders.complete,
    OrderCancelled: orders.cancel,
    OrderReturned: orders.take_back,
    OrderRejected: orders.reject,
    ReviewPosted: _review,
    ReviewRemoved: _remove_review,
    QuestionAnswered: _answer,
    ItemShared: _share,
    MemberSignedIn: _sign_in,
    ShopVisited: _visit,
    CampaignGranted: _grant,
    IdentityVerified: _become_known("identity.verified"),
    WechatBound: _become_known("wechat.bound"),
    QqBound: _become_known("qq.bound"),
    ProfileCompleted: _complete_profile,
    CreditScored: _set_credit,
    ReputationRated: _rate,
    RedemptionRequested: redemptions.redeem,
    RedemptionReversed: redemptions.reverse,
    HoldRequested: redemptions.hold,
    HoldCaptured: redemptions.capture,
    HoldReleased: redemptions.release,
    CardPurchased: cards.open_card,
    CardCodeRedeemed: cards.open_card,
    CardTrialStarted: cards.open_trial,
    CardRefunded: cards.refund_card,
    BenefitClaimed: cards.claim,
    PointsAdjusted: _adjust,
    AccountFrozen: _freeze,
    AccountUnfrozen: _unfreeze,
    LotOpened: _open_lot,
    ProgrammePublished: _publish,
}
assert _DECIDERS.keys() == set(FACT_TYPES), "a type of fact that nobody decides"
