"""What happened: immutable CloudEvents, decoded and checked in one pass into a closed tagged union.

A fact is named for ever by (subject, source, id). Money is integer fen, points are integers, times carry an offset.
Unknown fields are dropped. What cannot be decoded raises `BadFact` with a bare reason code and a sentence.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

MAX_BYTES = 1 << 20  # of one fact as received
MAX_LINES = 1_000  # of one order or return
MAX_ID = 128  # characters
MAX_ATTRIBUTES = 64  # of one fact
MAX_NAMES = 200  # of one member
MAX_CARDS_ASKED = 1_000  # that names tell of when they ask to be taken in: the last ones
MAX_SEAT_TERMS = 4  # of a house that a seat is told at once
MAX_INT = 1 << 53
# Defaults that are text. The encoder leaves a default out where it is the same object, which a text just read never is:
# each class with such a field puts the default's own object in its place, so that said or left out is the same fact.
SELF, APP, BEANS = "self", "app", "beans"
KIND_LEFT_OUT = BEANS  # stands for the book's own `default_kind`

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
LongId = Annotated[str, Meta(min_length=1, max_length=160)]  # of a follow-up: an account's name, and where it was left
Name = Annotated[str, Meta(max_length=MAX_ID)]
Count = Annotated[int, Meta(ge=0, le=MAX_INT)]
Some = Annotated[int, Meta(ge=1, le=MAX_INT)]
Large = Annotated[int, Meta(ge=0, le=1 << 62)]  # a sum of an account, the key of a lot, or an instant in microseconds
Signed = Annotated[int, Meta(ge=-MAX_INT, le=MAX_INT)]
Time = Annotated[datetime, Meta(tz=True)]
Tags = Annotated[list[Name], Meta(max_length=64)]


class _Data(Struct, omit_defaults=True, gc=False):
    pass


class _OfKind(_Data):
    kind: Id = BEANS

    def __post_init__(self) -> None:
        if self.kind == BEANS:
            self.kind = BEANS


class OrderLine(_Data):
    """A line of an order: `paid_fen` is the cash for the whole line after coupons and points, without freight.

    `list_fen` is what it would have cost without the benefit `saved_by`; 0: not known. Nothing is decided by them.
    `tags` are the line's own, beside those of its order.
    """

    line: Id
    paid_fen: Count
    quantity: Some = 1
    sku: Name = ""
    category: Name = ""
    points: Count = 0
    list_fen: Count = 0
    saved_by: Name = ""
    tags: Tags = []

    @property
    def unit_fen(self) -> int:
        """What one piece was paid, in whole fen (rounded down)."""
        return self.paid_fen // self.quantity


class Order(_Data):
    """An order as it was paid or completed, whole; `pay` names the way of paying."""

    order: Id
    lines: Annotated[list[OrderLine], Meta(min_length=1, max_length=MAX_LINES)]
    shop: Name = SELF
    self_operated: bool = True
    channel: Name = APP
    pay: Name = ""
    tags: Tags = []

    def __post_init__(self) -> None:
        lines = self.lines
        if len(lines) > 1 and len({line.line for line in lines}) < len(lines):
            raise ValueError("two lines have the same `line`; every line of an order needs its own")
        if self.shop == SELF:
            self.shop = SELF
        if self.channel == APP:
            self.channel = APP


class CompletedOrder(Order):
    """Lines of an order that are completed; `more`: further lines of it follow under the same name."""

    more: bool = False


class AmendedOrder(CompletedOrder):
    """All lines of an order as they are now; `refund_fen` is the money that goes back with the change."""

    refund_fen: Count = 0


class OrderEnd(_Data):
    """An order that was cancelled, or refused at the door."""

    order: Id
    reason: Name = ""


class ReturnLine(_Data):
    """Pieces of a line that came back (0: money without the piece), and what a return says of points on them.

    `exchange`: the pieces are replaced, so that neither they nor money count as back.
    """

    line: Id
    quantity: Count
    refund_fen: Count
    points: Count = 0
    exchange: bool = False

    def __post_init__(self) -> None:
        if self.quantity == 0 and self.refund_fen == 0:
            raise ValueError("`quantity` and `refund_fen` are both 0; a returned line has pieces, money or both")


class Return(_Data):
    """Some lines of an order that came back together."""

    return_: Id = msgspec.field(name="return")
    lines: Annotated[list[ReturnLine], Meta(min_length=1, max_length=MAX_LINES)]
    order: Name = ""


class Review(_Data):
    """A review of one line of a completed order."""

    review: Id
    order: Id
    line: Id
    characters: Count = 0
    images: Count = 0


class ReviewRemoval(_Data):
    """The review that was removed."""

    review: Id


class Answer(_Data):
    """An answer to a question about an item."""

    answer: Id
    sku: Name = ""


class Share(_Data):
    """An item that was shared, and by which way."""

    share: Id
    sku: Name = ""
    via: Name = ""


class SignIn(_Data):
    """The day that a sign-in is for (YYYY-MM-DD); empty: the day of its time."""

    day: Name = ""

    def __post_init__(self) -> None:
        if self.day:
            if len(self.day) != 10:
                raise ValueError("`day` is not a date like 2025-11-11")
            if not 1970 <= date.fromisoformat(self.day).year <= 2999:
                raise ValueError(f"`day` is {self.day}; years 1970 to 2999 are taken")


class ShopVisit(_Data):
    """The shop that was visited."""

    shop: Id


class Grant(_OfKind, kw_only=True):
    """Points that a campaign gives; without `expires` they end as the book says."""

    grant: Id
    campaign: Id
    points: Some
    expires: Time | None = None
    shop: Name = ""


class Joining(_Data):
    """The shop whose members the member now is one of."""

    shop: Id


class Activity(_Data):
    """Something that another system knows of a member: how often it was done, or for what amount, and where."""

    done: Id
    activity: Id
    count: Some = 1
    amount_fen: Count = 0
    shop: Name = ""
    sku: Name = ""
    channel: Name = ""
    tags: Tags = []


class Undone(_Data):
    """An activity that did not stand."""

    done: Id


class Nothing(_Data):
    """No more than the type of fact says."""


class CreditScore(_Data):
    """The credit score that a member now has."""

    score: Count


class Stars(_Data):
    """The reputation that a member now has, from one star to five."""

    stars: Annotated[int, Meta(ge=1, le=5)]


class Description(_Data):
    """Attributes that a member now has, by their names in the rule book; an empty text removes one.

    What can be no attribute (a list, a fraction, a long text) is kept as null: the fact counts, with a note.
    """

    attributes: Annotated[dict[Name, Any], Meta(max_length=MAX_ATTRIBUTES)]

    def __post_init__(self) -> None:
        for name, value in self.attributes.items():
            is_text = isinstance(value, str) and len(value) <= MAX_ID
            if not (is_text or (type(value) is int and -MAX_INT <= value <= MAX_INT)):
                self.attributes[name] = None


class Redemption(_OfKind, kw_only=True):
    """Points that are asked for, and for what; `settlement_fen` is what the order was to be paid before points.

    An empty `kind` takes the kinds of the use in their order.
    """

    kind: Name = BEANS
    redemption: Id
    points: Some
    use: Id
    order: Name = ""
    settlement_fen: Count = 0
    shop: Name = ""


class Reversal(_Data):
    """Points of a redemption that are to come back; left out: all that is left of it."""

    redemption: Id
    points: Some | None = None


class Hold(_OfKind, kw_only=True):
    """Points that are to be kept for a later capture, until an instant."""

    hold: Id
    points: Some
    until: Time
    shop: Name = ""


class Capture(_Data):
    """Points of a hold that are taken; left out: all that it holds."""

    hold: Id
    points: Some | None = None


class Release(_Data):
    """The hold whose points go back."""

    hold: Id


_LOT_NAME = r"^([1-9][0-9]{0,18}\.[1-9][0-9]{0,4}(~[0-9]{1,3}\.[0-9]{1,3})?)?$"


class Aim(_Data):
    """The award that something is about: of an order's line, of a grant, or the one that opened a lot ("12.1").

    Of a member with several names a lot may have the name that `points show` says, with whose it is ("12.1~1.1").
    """

    order: Name = ""
    line: Name = ""
    grant: Name = ""
    lot: Annotated[str, Meta(max_length=40, pattern=_LOT_NAME)] = ""

    def __post_init__(self) -> None:
        said = tuple(name for name in self.__struct_fields__ if getattr(self, name))
        if said not in (("order", "line"), ("grant",), ("lot",)):
            raise ValueError("`of` names an award by `order` and `line`, by `grant`, or by `lot`: one of the three")


class PointsClaim(_Data):
    """Points that wait to be claimed: those of an order's line, of a grant, or of a lot (``"12.1"``)."""

    of: Aim


class Exchange(_Data):
    """Points that are asked to become points of another kind."""

    request: Id
    exchange: Id
    points: Some


class ExchangeReversal(_Data):
    """The exchange that is to be undone."""

    request: Id


class ExchangeConfirmation(_Data):
    """A partner gave what an exchange asked for."""

    request: Id


class ExchangeFailure(_Data):
    """A partner gave nothing for an exchange, and why."""

    request: Id
    reason: Name = ""


class Transfer(_OfKind, kw_only=True):
    """Points that are asked to be given to another member, by a transfer of the book (`rule`)."""

    transfer: Id
    rule: Id
    to: Id
    points: Some


class TransferReversal(_Data):
    """The gift that is to come back."""

    transfer: Id


class Card(_Data):
    """A membership card that was bought."""

    card: Id
    product: Id
    paid_fen: Count


class CodedCard(_Data):
    """A membership card that came by a code, or is tried."""

    card: Id
    product: Id
    code: Name = ""


class CardRefund(_Data):
    """The card that was given back, and the money for it."""

    card: Id
    refund_fen: Count


class Claim(_Data):
    """A benefit that is asked for: of a membership, of an order's line, or one that stands by itself."""

    claim: Id
    benefit: Id
    order: Name = ""
    line: Name = ""
    shop: Name = ""


class ClaimReturn(_Data):
    """The claim of a benefit that is given back."""

    claim: Id


class Adjustment(_OfKind, kw_only=True):
    """Points put on or (negative) taken off by hand: by whom, approved by whom, and a code that says why.

    `of` names the award that negative points are taken of.
    """

    adjustment: Id
    points: Signed
    reason: Id
    by: Id
    approved_by: Name = ""
    of: Aim | None = None
    shop: Name = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points == 0:
            raise ValueError("`points` is 0; an adjustment moves at least one point")


class TierGrant(_Data):
    """A tier of a score that is granted until an instant; of an invited tier, the permission for it."""

    grant: Id
    score: Id
    tier: Name
    until: Time


class TierWithdrawal(_Data):
    """The grant of a tier that ends: its id, or ``claim/`` and the claim that gave it."""

    grant: Id


class Reason(_Data):
    """A code that says why."""

    reason: Name = ""


class OpeningLot(_OfKind, kw_only=True):
    """A lot that comes from an older system."""

    lot: Id
    points: Some
    earned_at: Time
    expires_at: Time
    shop: Name = ""


class Seating(_Data):
    """A member who takes a seat in a house, through a card of it."""

    house: Id
    card: Id
    member: Id


class Leaving(_Data):
    """A member who leaves a house; `card` is for the reader, since nobody has two seats in one."""

    house: Id
    member: Id
    card: Name = ""


class FollowUp(_Data, kw_only=True):
    """What one account of the ledger tells another: `frm` is the name under which it was done.

    Where points go with it, `at` is the clock of the account that let them go.
    """

    frm: Id
    at: Time | None = None


class GivenLot(_Data):
    """Points of a gift that were one lot at the sender; without `expires_at` they have no end."""

    points: Some
    earned_at: Time
    expires_at: Time | None = None
    rule: Name = ""


class Arrival(FollowUp, kw_only=True):
    """A gift that arrives: by which transfer of the book, and what it is made of."""

    transfer: Id
    rule: Id
    kind: Id
    lots: Annotated[list[GivenLot], Meta(min_length=1, max_length=MAX_LINES)]
    points: Some


class Returned(FollowUp, kw_only=True):
    """Points of a gift that come back to its sender, and why."""

    transfer: Id
    points: Some
    reason: Name = ""


class Recall(FollowUp, kw_only=True):
    """A gift of which the receiver is to give back what there is."""

    transfer: Id


class PoolAsk(FollowUp, kw_only=True):
    """A draw from a pool: `limit` is what the pool had by the book `version` that the asker was decided by.

    Of a house it is a `claim` of a `benefit` of the `membership` in which the asker sits; `limit` is then the quota.
    """

    ask: LongId
    n: Some
    bucket: Count = 0
    version: Name = ""
    limit: Count = 0
    membership: Name = ""
    benefit: Name = ""
    claim: Name = ""


class PoolAnswer(FollowUp, kw_only=True):
    """What a pool answered to an ask."""

    ask: LongId
    yes: bool
    reason: Name = ""


class PoolReturn(FollowUp, kw_only=True):
    """How much of a draw comes back to the pool."""

    ask: LongId
    n: Some


class LeaseMove(FollowUp, kw_only=True):
    """How much a lease of a pool asks for, is given, or gives back; with an ask, `limit` and `version` as in that.

    Where nothing is given, `reason` says why if the pool is not just empty.
    """

    n: Count = 0
    bucket: Count = 0
    version: Name = ""
    limit: Count = 0
    reason: Name = ""


class Merge(_Data):
    """The member that another one is to become a name of."""

    into: Id


class Unmerge(_Data):
    """A name that is to be a member of its own again."""

    name: Id


class MergeAsk(FollowUp, kw_only=True):
    """Names that ask to be taken in; `era` is the entry of their account that began it, `cards` are those they have.

    `most` is the largest sum that they bring.
    """

    names: Annotated[list[Id], Meta(min_length=1, max_length=MAX_NAMES)]
    era: Count
    cards: Annotated[list[Id], Meta(max_length=MAX_CARDS_ASKED)] = []
    most: Large = 0


class MergeAnswer(FollowUp, kw_only=True):
    """What the account `by` says to names that asked to be taken in."""

    yes: bool
    era: Count
    by: Id
    reason: Name = ""


class MergeTaken(FollowUp, kw_only=True):
    """The pieces up to `i` of what moves have come."""

    era: Count
    i: Count


class MovedPage(_Data):
    """A page of a name, by its key there; `state` is base64 of its stored bytes."""

    name: Id
    key: str
    state: bytes
    more: bool = False  # the next one goes on with it


class MemberPagesData(FollowUp, kw_only=True):
    """The piece `i` of the pages of names that move. `known` are the names by which lots are numbered in it, from 0."""

    era: Count
    i: Count
    known: list[Id]
    pages: list[MovedPage] = []


class MovedName(_Data):
    """A name that moves, the name it came through, if any, and as JSON what is counted under it."""

    name: Id
    era: Count
    through: Name = ""
    share: str = ""


class MovedLot(_Data):
    """A lot that moves, as it is (instants in microseconds); `points` are free, `held` on hold."""

    kind: str
    lot: Large
    points: Large
    earned_at: Large
    expires_at: Large
    held: Large = 0
    earned: Large = 0
    rule: str = ""
    pending_until: Large = 0
    returnable: bool = False
    waits: Large = 0


class MovedHold(_Data):
    """Points of a lot that a name's hold keeps until an instant."""

    name: Id
    hold: str
    kind: str
    lot: Large
    points: Large
    until: Large


class MovedDebt(_Data):
    """What is owed under a name."""

    name: Id
    kind: str
    points: Large


class MovedTerm(_Data):
    """A card's term of a name, as JSON."""

    name: Id
    membership: str
    card: str
    term: str


class Moved(FollowUp, kw_only=True):
    """Names that move with all they have, in `parts` of which this is one; `points` are those of its lots.

    `back`: to the account of the name itself. `idle` says by kind when what there is of it ends, if it is not used.
    """

    era: Count
    known: list[Id]
    part: Count = 0
    parts: Some = 1
    back: bool = False
    points: Large = 0
    names: list[MovedName] = []
    lots: list[MovedLot] = []
    holds: list[MovedHold] = []
    debts: list[MovedDebt] = []
    terms: list[MovedTerm] = []
    pages: list[MovedPage] = []
    idle: dict[str, Large] = {}


class Forwarded(FollowUp, kw_only=True):
    """A fact that was sent to a name, on its way to where that lives; `back`: it was sent back to the account `by`."""

    name: Id
    fact: msgspec.Raw
    by: Id
    era: Count = 0
    back: bool = False
    points: Large = 0


class LotReturn(FollowUp, kw_only=True):
    """Points that came back to a lot whose name lives elsewhere. `known` are the names by which it is numbered."""

    known: list[Id]
    lot: MovedLot
    points: Large = 0


class CardBack(FollowUp, kw_only=True):
    """A card was refunded whole, at whose rate orders earned while their name and the card's were one member's."""

    card: Id
    orders: list[Id]


class SeatTerm(_Data):
    """A term of a house that a seat has a part in."""

    card: Id
    product: Name
    from_: Time = msgspec.field(name="from")
    until: Time


class SeatChange(FollowUp, kw_only=True):
    """What a seat in a house gives from now on: the terms of a membership, the first here and the others in `later`.

    None are left where `from` is `until`. `n` is the house's entry: the highest holds.
    """

    house: Id
    n: Some
    membership: Name = ""
    card: Name = ""
    product: Name = ""
    from_: Time = msgspec.field(name="from")
    until: Time
    later: Annotated[list[SeatTerm], Meta(max_length=MAX_SEAT_TERMS - 1)] = []


class ExchangeAsk(FollowUp, kw_only=True):
    """Points that an exchange in another ledger is to give here; without `expires` nothing ends them but their kind."""

    request: Id
    kind: Id
    points: Some
    expires: Time | None = None


class ExchangeAnswer(FollowUp, kw_only=True):
    """Whether another ledger gave what an exchange asked for; or, of one that is undone, whether it gave that back."""

    request: Id
    yes: bool
    reason: Name = ""


class ExchangeRecall(FollowUp, kw_only=True):
    """An exchange that is to be undone, if all that it gave is there."""

    request: Id


class Publication(_Data):
    """A version of the rule book."""

    toml: Annotated[str, Meta(min_length=1, max_length=MAX_BYTES)]
    by: Name = ""


class _Fact(Struct, tag_field="type", omit_defaults=True, gc=False):
    specversion: Literal["1.0"]
    id: Id
    source: Id
    subject: Id
    time: Time


class OrderPaid(_Fact, tag="order.paid.v1"):
    data: Order


class OrderCompleted(_Fact, tag="order.completed.v1"):
    data: CompletedOrder


class OrderAmended(_Fact, tag="order.amended.v1"):
    data: AmendedOrder


class OrderCancelled(_Fact, tag="order.cancelled.v1"):
    data: OrderEnd


class OrderReturned(_Fact, tag="order.returned.v1"):
    data: Return


class OrderRejected(_Fact, tag="order.rejected.v1"):
    data: OrderEnd


class ReviewPosted(_Fact, tag="review.posted.v1"):
    data: Review


class ReviewRemoved(_Fact, tag="review.removed.v1"):
    data: ReviewRemoval


class QuestionAnswered(_Fact, tag="question.answered.v1"):
    data: Answer


class ItemShared(_Fact, tag="item.shared.v1"):
    data: Share


class MemberSignedIn(_Fact, tag="member.signed-in.v1"):
    data: SignIn = msgspec.field(default_factory=SignIn)


class ShopVisited(_Fact, tag="shop.visited.v1"):
    data: ShopVisit


class CampaignGranted(_Fact, tag="campaign.granted.v1"):
    data: Grant


class IdentityVerified(_Fact, tag="identity.verified.v1"):
    data: Nothing = msgspec.field(default_factory=Nothing)


class WechatBound(_Fact, tag="wechat.bound.v1"):
    data: Nothing = msgspec.field(default_factory=Nothing)


class QqBound(_Fact, tag="qq.bound.v1"):
    data: Nothing = msgspec.field(default_factory=Nothing)


class ProfileCompleted(_Fact, tag="profile.completed.v1"):
    data: Nothing = msgspec.field(default_factory=Nothing)


class CreditScored(_Fact, tag="credit.scored.v1"):
    data: CreditScore


class ReputationRated(_Fact, tag="reputation.rated.v1"):
    data: Stars


class MemberDescribed(_Fact, tag="member.described.v1"):
    data: Description


class MemberJoined(_Fact, tag="member.joined.v1"):
    data: Joining


class ActivityDone(_Fact, tag="activity.done.v1"):
    data: Activity


class ActivityUndone(_Fact, tag="activity.undone.v1"):
    data: Undone


class RedemptionRequested(_Fact, tag="redemption.requested.v1"):
    data: Redemption


class RedemptionReversed(_Fact, tag="redemption.reversed.v1"):
    data: Reversal


class HoldRequested(_Fact, tag="hold.requested.v1"):
    data: Hold


class HoldCaptured(_Fact, tag="hold.captured.v1"):
    data: Capture


class HoldReleased(_Fact, tag="hold.released.v1"):
    data: Release


class PointsClaimed(_Fact, tag="points.claimed.v1"):
    data: PointsClaim


class ExchangeRequested(_Fact, tag="exchange.requested.v1"):
    data: Exchange


class ExchangeReversed(_Fact, tag="exchange.reversed.v1"):
    data: ExchangeReversal


class ExchangeConfirmed(_Fact, tag="exchange.confirmed.v1"):
    data: ExchangeConfirmation


class ExchangeFailed(_Fact, tag="exchange.failed.v1"):
    data: ExchangeFailure


class TransferRequested(_Fact, tag="transfer.requested.v1"):
    data: Transfer


class TransferReversed(_Fact, tag="transfer.reversed.v1"):
    data: TransferReversal


class CardPurchased(_Fact, tag="card.purchased.v1"):
    data: Card


class CardCodeRedeemed(_Fact, tag="card.code-redeemed.v1"):
    data: CodedCard


class CardTrialStarted(_Fact, tag="card.trial-started.v1"):
    data: CodedCard


class CardRefunded(_Fact, tag="card.refunded.v1"):
    data: CardRefund


class BenefitClaimed(_Fact, tag="benefit.claimed.v1"):
    data: Claim


class BenefitReturned(_Fact, tag="benefit.returned.v1"):
    data: ClaimReturn


class HouseJoined(_Fact, tag="house.joined.v1"):
    data: Seating


class HouseLeft(_Fact, tag="house.left.v1"):
    data: Leaving


class PointsAdjusted(_Fact, tag="points.adjusted.v1"):
    data: Adjustment


class AccountFrozen(_Fact, tag="account.frozen.v1"):
    data: Reason = msgspec.field(default_factory=Reason)


class AccountUnfrozen(_Fact, tag="account.unfrozen.v1"):
    data: Reason = msgspec.field(default_factory=Reason)


class AccountClosed(_Fact, tag="account.closed.v1"):
    data: Reason = msgspec.field(default_factory=Reason)


class AccountReopened(_Fact, tag="account.reopened.v1"):
    data: Reason = msgspec.field(default_factory=Reason)


class TierGranted(_Fact, tag="tier.granted.v1"):
    data: TierGrant


class TierWithdrawn(_Fact, tag="tier.withdrawn.v1"):
    data: TierWithdrawal


class LotOpened(_Fact, tag="lot.opened.v1"):
    data: OpeningLot


class _FollowUpFact(_Fact):
    id: LongId


class TransferArrived(_FollowUpFact, tag="transfer.arrived.v1"):
    data: Arrival


class TransferReturned(_FollowUpFact, tag="transfer.returned.v1"):
    data: Returned


class TransferRecalled(_FollowUpFact, tag="transfer.recalled.v1"):
    data: Recall


class PoolAsked(_FollowUpFact, tag="pool.asked.v1"):
    data: PoolAsk


class PoolAnswered(_FollowUpFact, tag="pool.answered.v1"):
    data: PoolAnswer


class PoolReturned(_FollowUpFact, tag="pool.returned.v1"):
    data: PoolReturn


class LeaseAsked(_FollowUpFact, tag="lease.asked.v1"):
    data: LeaseMove


class LeaseAnswered(_FollowUpFact, tag="lease.answered.v1"):
    data: LeaseMove


class LeaseRecalled(_FollowUpFact, tag="lease.recalled.v1"):
    data: LeaseMove


class LeaseReturned(_FollowUpFact, tag="lease.returned.v1"):
    data: LeaseMove


class MemberMerged(_Fact, tag="member.merged.v1"):
    data: Merge


class MemberUnmerged(_Fact, tag="member.unmerged.v1"):
    data: Unmerge


class MergeAsked(_FollowUpFact, tag="merge.asked.v1"):
    data: MergeAsk


class MergeAnswered(_FollowUpFact, tag="merge.answered.v1"):
    data: MergeAnswer


class MergePieceTaken(_FollowUpFact, tag="merge.taken.v1"):
    data: MergeTaken


class MemberPages(_FollowUpFact, tag="member.pages.v1"):
    data: MemberPagesData


class MemberMoved(_FollowUpFact, tag="member.moved.v1"):
    data: Moved


class MemberForwarded(_FollowUpFact, tag="member.forwarded.v1"):
    data: Forwarded


class LotReturned(_FollowUpFact, tag="lot.returned.v1"):
    data: LotReturn


class CardTakenBack(_FollowUpFact, tag="card.taken-back.v1"):
    data: CardBack


class SeatChanged(_FollowUpFact, tag="seat.changed.v1"):
    data: SeatChange


class ExchangeAsked(_FollowUpFact, tag="exchange.asked.v1"):
    data: ExchangeAsk


class ExchangeAnswered(_FollowUpFact, tag="exchange.answered.v1"):
    data: ExchangeAnswer


class ExchangeRecalled(_FollowUpFact, tag="exchange.recalled.v1"):
    data: ExchangeRecall


class ProgrammePublished(_Fact, tag="programme.published.v1"):
    data: Publication


OrderFact = OrderPaid | OrderCompleted | OrderAmended | OrderCancelled | OrderReturned | OrderRejected
ReviewFact = ReviewPosted | ReviewRemoved
ActivityFact = QuestionAnswered | ItemShared | MemberSignedIn | ShopVisited | CampaignGranted
ProfileFact = (
    IdentityVerified | WechatBound | QqBound | ProfileCompleted | CreditScored | ReputationRated | MemberDescribed
)
DoneFact = MemberJoined | ActivityDone | ActivityUndone
SpendingFact = RedemptionRequested | RedemptionReversed | HoldRequested | HoldCaptured | HoldReleased
ExchangeFact = PointsClaimed | ExchangeRequested | ExchangeReversed | ExchangeConfirmed | ExchangeFailed
TransferFact = TransferRequested | TransferReversed
MembershipFact = CardPurchased | CardCodeRedeemed | CardTrialStarted | CardRefunded | BenefitClaimed | BenefitReturned
HouseFact = HouseJoined | HouseLeft
AccountFact = AccountFrozen | AccountUnfrozen | AccountClosed | AccountReopened
GiftFact = TransferArrived | TransferReturned | TransferRecalled
PoolFact = PoolAsked | PoolAnswered | PoolReturned | LeaseAsked | LeaseAnswered | LeaseRecalled | LeaseReturned
MergeFact = MemberMerged | MemberUnmerged
MoveFact = MergeAsked | MergeAnswered | MergePieceTaken | MemberPages | MemberMoved | MemberForwarded | LotReturned
SharedFact = PoolFact | SeatChanged | CardTakenBack
BetweenLedgersFact = ExchangeAsked | ExchangeAnswered | ExchangeRecalled
OperatorFact = MergeFact | PointsAdjusted | AccountFact | TierGranted | TierWithdrawn | LotOpened | ProgrammePublished
Fact = (
    OrderFact
    | ReviewFact
    | ActivityFact
    | ProfileFact
    | DoneFact
    | SpendingFact
    | ExchangeFact
    | TransferFact
    | MembershipFact
    | HouseFact
    | GiftFact
    | SharedFact
    | BetweenLedgersFact
    | MoveFact
    | OperatorFact
)
FACT_TYPES: tuple[type[_Fact], ...] = Fact.__args__
LEDGER_SOURCE = "ledger/"  # how the source of every follow-up begins; behind it stands the partition of who left it
PROGRAMME_SUBJECT = "programme"  # of a published rule book, which belongs to no member


def fact_type(fact: Fact) -> str:
    """The CloudEvents type of a fact, such as ``order.completed.v1``."""
    return str(fact.__struct_config__.tag)
