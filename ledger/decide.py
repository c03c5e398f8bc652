"""decide(account, fact, book) -> outcome and changes: the one place where a fact meets the rules.

A request may be refused, and then nothing has changed; any other fact is accepted, or ignored with the discrepancy
named. Time goes first: what fell due by the fact's instant is part of its entry.
"""

from dataclasses import dataclass
from typing import NamedTuple, assert_never

from ledger.account import Account
from ledger.awards import award_fact
from ledger.cards import decide_card, decide_card_refund, decide_claim
from ledger.draft import Decline, Draft, fall_due, move_tiers, resettle
from ledger.entries import ACCEPTED, ENGINE, IGNORED, REFUSED, Change, CreditSet, Entry, Frozen, Rated, Unfrozen
from ledger.facts import (
    REQUESTS,
    AccountFrozen,
    AccountUnfrozen,
    Adjustment,
    BenefitClaimed,
    CampaignGranted,
    CardCodeRedeemed,
    CardPurchased,
    CardRefunded,
    CardTrialStarted,
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
    OpeningLot,
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
    Review,
    ReviewPosted,
    ReviewRemoved,
    ShopVisited,
    SignIn,
    WechatBound,
)
from ledger.lots import claw_back, collect, earn
from ledger.orders import decide_order
from ledger.pages import COMPLETED, SEEN, OrderPage, Pages, ReviewPage
from ledger.redemptions import decide_hold, decide_redemption
from ledger.rules import Book
from ledger.times import EPOCH, SECOND, parse_instant, to_instant


class Decision(NamedTuple):
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
    clock = max(account.clock, occurred)
    version = book.at(occurred)
    draft = Draft(account, pages, book, version or book.versions[0], account.number + 1, occurred, clock)
    if clock >= account.due or clock >= account.turn:
        fall_due(draft, clock)
    account.clock = clock
    due = len(draft.changes)
    declined = REFUSED if isinstance(fact, REQUESTS) else IGNORED
    name = version.name if version else ""
    if repeats is not None:
        reason = "duplicate" if repeats.is_same else "conflict"
        return Decision(IGNORED, reason, {"first": repeats.first}, draft.changes, clock, name)
    try:
        if version is None:
            draft.decline("no-programme")
        if clock - occurred > version.late:
            draft.decline("too-late")
        if isinstance(fact, REQUESTS):
            _check_request(draft, fact, recorded, backlog, limits)
        _decide(draft, fact)
    except Decline as decline:
        assert len(draft.changes) == due, "a fact that is declined changes nothing"
        outcome = IGNORED if decline.reason == "already" else declined
        return Decision(outcome, decline.reason, decline.figures, draft.changes, clock, name)
    resettle(draft)
    return Decision(ACCEPTED, draft.reason, draft.figures, draft.changes, clock, name)


def run_to(account: Account, book: Book, instant: int, pages: Pages) -> list[Change]:
    """Run an account's clock to an instant without a fact: what falls due by then happens (to this copy of it).

    Returns the changes that time made, in their order.
    """
    if instant <= account.clock:
        return []
    draft = Draft(account, pages, book, book.nearest(instant), account.number + 1, instant, instant)
    fall_due(draft, instant)
    account.clock = instant
    return draft.changes


def _check_request(
    draft: Draft,
    fact: RedemptionRequested | HoldRequested | BenefitClaimed,
    recorded: int,
    backlog: bool,
    limits: Limits,
) -> None:
    match fact:
        case RedemptionRequested():
            key = f"redemption/{fact.data.redemption}"
        case HoldRequested():
            key = f"hold/{fact.data.hold}"
        case BenefitClaimed():
            key = f"claim/{fact.data.claim}"
        case _:
            assert_never(fact)
    if draft.pages.get(key) is not None:
        draft.decline("already")
    age = recorded - draft.occurred
    if not backlog and age > limits.request_max_age:
        draft.decline("stale", age_seconds=age // SECOND, most_seconds=limits.request_max_age // SECOND)
    if draft.account.frozen:
        draft.decline("account-frozen")


def _decide(draft: Draft, fact: Fact) -> None:
    match fact:
        case OrderCompleted() | OrderPaid() | OrderCancelled() | OrderReturned() | OrderRejected():
            decide_order(draft, fact)
        case MemberSignedIn():
            award_fact(draft, "member.signed-in", fact.data, day=_day_of(fact.data))
        case ReviewPosted():
            _review(draft, fact.data)
        case ShopVisited():
            award_fact(draft, "shop.visited", fact.data)
        case RedemptionRequested() | RedemptionReversed():
            decide_redemption(draft, fact)
        case ItemShared():
            _take_id(draft, f"share/{fact.data.share}")
            award_fact(draft, "item.shared", fact.data, page=fact.data.share)
        case QuestionAnswered():
            _take_id(draft, f"answer/{fact.data.answer}")
            award_fact(draft, "question.answered", fact.data, page=fact.data.answer)
        case ReviewRemoved():
            _remove_review(draft, fact.data.review)
        case CampaignGranted():
            _grant(draft, fact.data)
        case HoldRequested() | HoldCaptured() | HoldReleased():
            decide_hold(draft, fact)
        case CardPurchased() | CardCodeRedeemed() | CardTrialStarted():
            decide_card(draft, fact)
        case CardRefunded():
            decide_card_refund(draft, fact)
        case BenefitClaimed():
            decide_claim(draft, fact)
        case IdentityVerified():
            _award_once(draft, "identity.verified", fact)
        case WechatBound():
            _award_once(draft, "wechat.bound", fact)
        case QqBound():
            _award_once(draft, "qq.bound", fact)
        case ProfileCompleted():
            award_fact(draft, "profile.completed", fact.data)
        case CreditScored():
            draft.emit(CreditSet(fact.data.score))
        case ReputationRated():
            draft.emit(Rated(fact.data.stars))
            move_tiers(draft, draft.version.month(draft.clock), draft.clock)
        case PointsAdjusted():
            _adjust(draft, fact.data)
        case AccountFrozen():
            draft.emit(Frozen(fact.data.reason))
        case AccountUnfrozen():
            if not draft.account.frozen:
                draft.decline("not-frozen")
            draft.emit(Unfrozen(fact.data.reason))
        case LotOpened():
            _open_lot(draft, fact.data)
        case ProgrammePublished():
            draft.decline("not-a-member")  # the intake takes a published book before it comes here
        case _:
            assert_never(fact)


def _take_id(draft: Draft, key: str) -> None:
    """Take a business id, or decline what comes again under a new fact id."""
    if draft.pages.get(key) is not None:
        draft.decline("already")
    draft.pages.put(key, SEEN)


def _award_once(draft: Draft, on: str, fact: IdentityVerified | WechatBound | QqBound) -> None:
    award_fact(draft, on, fact.data)
    move_tiers(draft, draft.version.month(draft.clock), draft.clock)


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


def _remove_review(draft: Draft, review: str) -> None:
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
    earn(
        draft,
        data.kind,
        data.points,
        "campaign",
        expires_at=expires,
        earned_at=draft.occurred,
        page=data.campaign,
        uncapped=data.points,
    )


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
        earn(
            draft,
            data.kind,
            data.points,
            "adjustment",
            expires_at=expires,
            earned_at=draft.occurred,
            page=data.adjustment,
            uncapped=data.points,
        )
    else:
        collect(draft, data.kind, -data.points, "adjustment")


def _open_lot(draft: Draft, data: OpeningLot) -> None:
    if data.kind not in draft.version.programme.kinds:
        draft.decline("unknown-kind", kind=data.kind)
    _take_id(draft, f"opening/{data.lot}")
    earn(
        draft,
        data.kind,
        data.points,
        "lot.opened",
        expires_at=to_instant(data.expires_at),
        earned_at=to_instant(data.earned_at),
        page=data.lot,
        uncapped=data.points,
    )
