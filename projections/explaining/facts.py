"""What a fact was, in one sentence."""

from typing import assert_never

from ledger.wire.facts import (
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
    Order,
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
    Redemption,
    RedemptionRequested,
    RedemptionReversed,
    ReputationRated,
    Return,
    ReviewPosted,
    ReviewRemoved,
    ShopVisited,
    WechatBound,
)
from ledger.wire.times import to_instant
from projections.explaining.words import Words, count, yuan


def fact_text(fact: Fact, words: Words) -> str:
    """The sentence."""
    match fact:
        case OrderPaid():
            return f"Order {fact.data.order} paid: {_order(fact.data)}"
        case OrderCompleted():
            return f"Order {fact.data.order} completed: {_order(fact.data)}"
        case OrderCancelled():
            return f"Order {fact.data.order} cancelled{_because(fact.data.reason)}"
        case OrderReturned():
            return _return(fact.data)
        case OrderRejected():
            return f"Order {fact.data.order} refused at the door{_because(fact.data.reason)}"
        case ReviewPosted():
            data = fact.data
            photos = f" and {count(data.images, 'photo')}" if data.images else ""
            what = f"{count(data.characters, 'character')}{photos}"
            return f"Review {data.review} of line {data.line} of order {data.order}: {what}"
        case ReviewRemoved():
            return f"Review {fact.data.review} removed"
        case QuestionAnswered():
            return f"A question answered ({fact.data.answer}){_about(fact.data.sku)}"
        case ItemShared():
            via = f" by {fact.data.via}" if fact.data.via else ""
            return f"An item shared ({fact.data.share}){_about(fact.data.sku)}{via}"
        case MemberSignedIn():
            return f"Signed in for {fact.data.day}" if fact.data.day else "Signed in"
        case ShopVisited():
            return f"Visited {fact.data.shop}"
        case CampaignGranted():
            data_ = fact.data
            ends = f", good until {words.time(to_instant(data_.expires))}" if data_.expires else ""
            return f"Campaign {data_.campaign} granted {words.points(data_.points, data_.kind)} ({data_.grant}){ends}"
        case IdentityVerified():
            return "Identity verified"
        case WechatBound():
            return "WeChat bound"
        case QqBound():
            return "QQ bound"
        case ProfileCompleted():
            return "Profile completed"
        case CreditScored():
            return f"Credit scored {fact.data.score:,}"
        case ReputationRated():
            return f"Reputation rated {count(fact.data.stars, 'star')}"
        case RedemptionRequested():
            return _redemption(fact.data, words)
        case RedemptionReversed():
            points = "what is left" if fact.data.points is None else count(fact.data.points, "point")
            return f"Redemption {fact.data.redemption} reversed: {points} to be given back"
        case HoldRequested():
            hold = fact.data
            until = words.time(to_instant(hold.until))
            return f"Asked to hold {words.points(hold.points, hold.kind)} ({hold.hold}) until {until}"
        case HoldCaptured():
            points = "all" if fact.data.points is None else count(fact.data.points, "point")
            return f"Hold {fact.data.hold} captured: {points} to be taken"
        case HoldReleased():
            return f"Hold {fact.data.hold} released"
        case CardPurchased():
            return f"Card {fact.data.card} ({fact.data.product}) bought for {yuan(fact.data.paid_fen)}"
        case CardCodeRedeemed():
            return f"Card {fact.data.card} ({fact.data.product}) opened by a code"
        case CardTrialStarted():
            return f"Trial {fact.data.card} ({fact.data.product}) started"
        case CardRefunded():
            return f"Card {fact.data.card} refunded, {yuan(fact.data.refund_fen)} back"
        case BenefitClaimed():
            known = words.version.benefits.get(fact.data.benefit)
            name = f" ({known[1].name})" if known else ""
            return f"Asked for the benefit {fact.data.benefit}{name}, claim {fact.data.claim}"
        case PointsAdjusted():
            change = fact.data
            signed = f"{'+' if change.points > 0 else ''}{words.points(change.points, change.kind)}"
            return f"Adjustment {change.adjustment}: {signed}, reason {change.reason}, by {change.by}"
        case AccountFrozen():
            return f"Account frozen{_because(fact.data.reason)}"
        case AccountUnfrozen():
            return f"Account unfrozen{_because(fact.data.reason)}"
        case LotOpened():
            lot = fact.data
            return f"Opening balance {lot.lot}: {words.points(lot.points, lot.kind)} from an older system"
        case ProgrammePublished():
            return "A version of the rule book published"
        case _:
            assert_never(fact)


def _order(order: Order) -> str:
    paid = sum(line.paid_fen for line in order.lines)
    points = sum(line.points for line in order.lines)
    tendered = f" and {count(points, 'point')}" if points else ""
    pay = f" by {order.pay}" if order.pay else ""
    return f"{count(len(order.lines), 'line')}, {yuan(paid)}{tendered} paid{pay}"


def _return(data: Return) -> str:
    lines = []
    for line in data.lines[:3]:
        money = f"{yuan(line.refund_fen)} back" if line.refund_fen else "no money back"
        pieces = count(line.quantity, "piece") if line.quantity else "no piece"
        points = f" and {count(line.points, 'point')}" if line.points else ""
        lines.append(f"line {line.line}, {pieces}, {money}{points}")
    if len(data.lines) > 3:
        rest = data.lines[3:]
        lines.append(f"{count(len(rest), 'more line')} with {yuan(sum(r.refund_fen for r in rest))} back")
    order = f"order {data.order}" if data.order else "an order that is not named"
    return f"Return {data.return_} of {order}: {'; '.join(lines)}"


def _redemption(data: Redemption, words: Words) -> str:
    order = ""
    if data.order:
        settlement = f" of {yuan(data.settlement_fen)}" if data.settlement_fen else ""
        order = f", order {data.order}{settlement}"
    return (
        f"Asked to redeem {words.points(data.points, data.kind)} for {words.use(data.use)}{order} ({data.redemption})"
    )


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _about(sku: str) -> str:
    return f" about item {sku}" if sku else ""
