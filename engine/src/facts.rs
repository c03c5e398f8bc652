//! What happened, from the canonical bytes that Python's decoder made: bounded and checked already.
//!
//! `ledger/wire/facts.py` and `fact_catalogue.py` say what each means.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::entries::{Figure, Map, Text};
use crate::times::instant_of;

fn one() -> i64 {
    1
}

fn yes() -> bool {
    true
}

fn own_shop() -> Text {
    "self".into()
}

fn app() -> Text {
    "app".into()
}

fn beans() -> Text {
    BEANS.into()
}

/// The kind of facts that name none, which stands for the book's own `default_kind`.
pub const BEANS: &str = "beans";

/// An instant in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Instant(pub i64);

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Instant, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        instant_of(&text).map(Instant).ok_or_else(|| serde::de::Error::custom("no canonical time"))
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct OrderLine {
    pub line: Text,
    pub paid_fen: i64,
    #[serde(default = "one")]
    pub quantity: i64,
    #[serde(default)]
    pub sku: Text,
    #[serde(default)]
    pub category: Text,
    #[serde(default)]
    pub points: i64,
    #[serde(default)]
    pub tags: Vec<Text>,
}

/// An order that was paid, completed or amended.
#[derive(Clone, Debug, Deserialize)]
pub struct Order {
    pub order: Text,
    pub lines: Vec<OrderLine>,
    #[serde(default = "own_shop")]
    pub shop: Text,
    #[serde(default = "yes")]
    pub self_operated: bool,
    #[serde(default = "app")]
    pub channel: Text,
    #[serde(default)]
    pub pay: Text,
    #[serde(default)]
    pub tags: Vec<Text>,
    #[serde(default)]
    pub more: bool,
    #[serde(default)]
    pub refund_fen: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct OrderEnd {
    pub order: Text,
    #[serde(default)]
    pub reason: Text,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ReturnLine {
    pub line: Text,
    pub quantity: i64,
    pub refund_fen: i64,
    #[serde(default)]
    pub points: i64,
    #[serde(default)]
    pub exchange: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Return {
    #[serde(rename = "return")]
    pub return_: Text,
    pub lines: Vec<ReturnLine>,
    #[serde(default)]
    pub order: Text,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Review {
    pub review: Text,
    pub order: Text,
    pub line: Text,
    #[serde(default)]
    pub characters: i64,
    #[serde(default)]
    pub images: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ReviewRemoval {
    pub review: Text,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    pub answer: Text,
    #[serde(default)]
    pub sku: Text,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Share {
    pub share: Text,
    #[serde(default)]
    pub sku: Text,
    #[serde(default)]
    pub via: Text,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SignIn {
    pub day: Text,
}

/// A shop that was visited or joined.
#[derive(Clone, Debug, Deserialize)]
pub struct AtShop {
    pub shop: Text,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Grant {
    #[serde(default = "beans")]
    pub kind: Text,
    pub grant: Text,
    pub campaign: Text,
    pub points: i64,
    #[serde(default)]
    pub expires: Option<Instant>,
    #[serde(default)]
    pub shop: Text,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Activity {
    pub done: Text,
    pub activity: Text,
    #[serde(default = "one")]
    pub count: i64,
    #[serde(default)]
    pub amount_fen: i64,
    #[serde(default)]
    pub shop: Text,
    #[serde(default)]
    pub sku: Text,
    #[serde(default)]
    pub channel: Text,
    #[serde(default)]
    pub tags: Vec<Text>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Undone {
    pub done: Text,
}

#[derive(Clone, Debug, Deserialize)]
pub struct CreditScore {
    pub score: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Stars {
    pub stars: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Description {
    pub attributes: Map<Text, Option<Figure>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Redemption {
    #[serde(default = "beans")]
    pub kind: Text,
    pub redemption: Text,
    pub points: i64,
    #[serde(rename = "use")]
    pub use_: Text,
    #[serde(default)]
    pub order: Text,
    #[serde(default)]
    pub settlement_fen: i64,
    #[serde(default)]
    pub shop: Text,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Reversal {
    pub redemption: Text,
    #[serde(default)]
    pub points: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Hold {
    #[serde(default = "beans")]
    pub kind: Text,
    pub hold: Text,
    pub points: i64,
    pub until: Instant,
    #[serde(default)]
    pub shop: Text,
}

/// The capture of a hold's points (all where no number is said), or its release.
#[derive(Clone, Debug, Deserialize)]
pub struct HoldEnd {
    pub hold: Text,
    #[serde(default)]
    pub points: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Aim {
    pub order: Text,
    pub line: Text,
    pub grant: Text,
    pub lot: Text,
}

#[derive(Clone, Debug, Deserialize)]
pub struct PointsClaim {
    pub of: Aim,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Exchange {
    pub request: Text,
    pub exchange: Text,
    pub points: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ExchangeReversal {
    pub request: Text,
}

/// A card that was bought, came by a code, or is tried; `paid_fen` of a bought one alone.
#[derive(Clone, Debug, Deserialize)]
pub struct Card {
    pub card: Text,
    pub product: Text,
    #[serde(default)]
    pub paid_fen: Option<i64>,
    #[serde(default)]
    pub code: Text,
}

#[derive(Clone, Debug, Deserialize)]
pub struct CardRefund {
    pub card: Text,
    pub refund_fen: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Claim {
    pub claim: Text,
    pub benefit: Text,
    #[serde(default)]
    pub order: Text,
    #[serde(default)]
    pub line: Text,
    #[serde(default)]
    pub shop: Text,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ClaimReturn {
    pub claim: Text,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Adjustment {
    #[serde(default = "beans")]
    pub kind: Text,
    pub adjustment: Text,
    pub points: i64,
    pub reason: Text,
    pub by: Text,
    #[serde(default)]
    pub approved_by: Text,
    #[serde(default)]
    pub of: Option<Aim>,
    #[serde(default)]
    pub shop: Text,
}

#[derive(Clone, Debug, Deserialize)]
pub struct TierGrantFact {
    pub grant: Text,
    pub score: Text,
    pub tier: Text,
    pub until: Instant,
}

#[derive(Clone, Debug, Deserialize)]
pub struct TierWithdrawal {
    pub grant: Text,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Reason {
    pub reason: Text,
}

#[derive(Clone, Debug, Deserialize)]
pub struct OpeningLot {
    #[serde(default = "beans")]
    pub kind: Text,
    pub lot: Text,
    pub points: i64,
    pub earned_at: Instant,
    pub expires_at: Instant,
    #[serde(default)]
    pub shop: Text,
}

/// An own tier of a score that a member passed upwards, and the tier below it: no fact, but rules stand on it.
#[derive(Clone, Debug)]
pub struct Reached {
    pub score: Text,
    pub tier: Text,
    pub before: Text,
}

/// What a fact says, by its type.
#[derive(Clone, Debug)]
pub enum Data {
    OrderPaid(Order),
    OrderCompleted(Order),
    OrderAmended(Order),
    OrderCancelled(OrderEnd),
    OrderRejected(OrderEnd),
    OrderReturned(Return),
    ReviewPosted(Review),
    ReviewRemoved(ReviewRemoval),
    QuestionAnswered(Answer),
    ItemShared(Share),
    MemberSignedIn(SignIn),
    ShopVisited(AtShop),
    CampaignGranted(Grant),
    IdentityVerified,
    WechatBound,
    QqBound,
    ProfileCompleted,
    CreditScored(CreditScore),
    ReputationRated(Stars),
    MemberDescribed(Description),
    MemberJoined(AtShop),
    ActivityDone(Activity),
    ActivityUndone(Undone),
    RedemptionRequested(Redemption),
    RedemptionReversed(Reversal),
    HoldRequested(Hold),
    HoldCaptured(HoldEnd),
    HoldReleased(HoldEnd),
    PointsClaimed(PointsClaim),
    ExchangeRequested(Exchange),
    ExchangeReversed(ExchangeReversal),
    CardPurchased(Card),
    CardCodeRedeemed(Card),
    CardTrialStarted(Card),
    CardRefunded(CardRefund),
    BenefitClaimed(Claim),
    BenefitReturned(ClaimReturn),
    PointsAdjusted(Adjustment),
    AccountFrozen(Reason),
    AccountUnfrozen(Reason),
    AccountClosed(Reason),
    AccountReopened(Reason),
    TierGranted(TierGrantFact),
    TierWithdrawn(TierWithdrawal),
    LotOpened(OpeningLot),
    Reached(Reached),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    time: Instant,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// A fact: when it occurred, and what it says.
#[derive(Clone, Debug)]
pub struct Fact {
    pub occurred: i64,
    pub data: Data,
}

/// Return a fact from its canonical bytes; None for one that this engine does not know.
pub fn decode(canonical: &[u8]) -> Option<Fact> {
    let envelope: Envelope = serde_json::from_slice(canonical).ok()?;
    let json = envelope.data.map_or("{}", RawValue::get);
    let data = data_of(&envelope.kind, json)?;
    Some(Fact { occurred: envelope.time.0, data })
}

fn data_of(kind: &str, json: &str) -> Option<Data> {
    use serde_json::from_str;
    Some(match kind.strip_suffix(".v1")? {
        "order.paid" => Data::OrderPaid(from_str(json).ok()?),
        "order.completed" => Data::OrderCompleted(from_str(json).ok()?),
        "order.amended" => Data::OrderAmended(from_str(json).ok()?),
        "order.cancelled" => Data::OrderCancelled(from_str(json).ok()?),
        "order.rejected" => Data::OrderRejected(from_str(json).ok()?),
        "order.returned" => Data::OrderReturned(from_str(json).ok()?),
        "review.posted" => Data::ReviewPosted(from_str(json).ok()?),
        "review.removed" => Data::ReviewRemoved(from_str(json).ok()?),
        "question.answered" => Data::QuestionAnswered(from_str(json).ok()?),
        "item.shared" => Data::ItemShared(from_str(json).ok()?),
        "member.signed-in" => Data::MemberSignedIn(from_str(json).ok()?),
        "shop.visited" => Data::ShopVisited(from_str(json).ok()?),
        "campaign.granted" => Data::CampaignGranted(from_str(json).ok()?),
        "identity.verified" => Data::IdentityVerified,
        "wechat.bound" => Data::WechatBound,
        "qq.bound" => Data::QqBound,
        "profile.completed" => Data::ProfileCompleted,
        "credit.scored" => Data::CreditScored(from_str(json).ok()?),
        "reputation.rated" => Data::ReputationRated(from_str(json).ok()?),
        "member.described" => Data::MemberDescribed(from_str(json).ok()?),
        "member.joined" => Data::MemberJoined(from_str(json).ok()?),
        "activity.done" => Data::ActivityDone(from_str(json).ok()?),
        "activity.undone" => Data::ActivityUndone(from_str(json).ok()?),
        "redemption.requested" => Data::RedemptionRequested(from_str(json).ok()?),
        "redemption.reversed" => Data::RedemptionReversed(from_str(json).ok()?),
        "hold.requested" => Data::HoldRequested(from_str(json).ok()?),
        "hold.captured" => Data::HoldCaptured(from_str(json).ok()?),
        "hold.released" => Data::HoldReleased(from_str(json).ok()?),
        "points.claimed" => Data::PointsClaimed(from_str(json).ok()?),
        "exchange.requested" => Data::ExchangeRequested(from_str(json).ok()?),
        "exchange.reversed" => Data::ExchangeReversed(from_str(json).ok()?),
        "card.purchased" => Data::CardPurchased(from_str(json).ok()?),
        "card.code-redeemed" => Data::CardCodeRedeemed(from_str(json).ok()?),
        "card.trial-started" => Data::CardTrialStarted(from_str(json).ok()?),
        "card.refunded" => Data::CardRefunded(from_str(json).ok()?),
        "benefit.claimed" => Data::BenefitClaimed(from_str(json).ok()?),
        "benefit.returned" => Data::BenefitReturned(from_str(json).ok()?),
        "points.adjusted" => Data::PointsAdjusted(from_str(json).ok()?),
        "account.frozen" => Data::AccountFrozen(from_str(json).ok()?),
        "account.unfrozen" => Data::AccountUnfrozen(from_str(json).ok()?),
        "account.closed" => Data::AccountClosed(from_str(json).ok()?),
        "account.reopened" => Data::AccountReopened(from_str(json).ok()?),
        "tier.granted" => Data::TierGranted(from_str(json).ok()?),
        "tier.withdrawn" => Data::TierWithdrawn(from_str(json).ok()?),
        "lot.opened" => Data::LotOpened(from_str(json).ok()?),
        _ => return None,
    })
}

/// The name of a field that a rule may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    Activity,
    AmountFen,
    Before,
    Benefit,
    Campaign,
    Category,
    Channel,
    Characters,
    Code,
    Count,
    Exchange,
    Images,
    Kind,
    PaidFen,
    Pay,
    Points,
    Product,
    Quantity,
    Reason,
    RefundFen,
    Score,
    SelfOperated,
    SettlementFen,
    Shop,
    Sku,
    Stars,
    Tags,
    Tier,
    UnitFen,
    Use,
    Via,
}

/// A field of a fact or of a line, as a rule's condition asks it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Number(i64),
    Text(&'a Text),
    Truth(bool),
    Texts(&'a [Text]),
    Missing,
}

impl Data {
    /// Return the type as a rule book names it.
    pub fn on(&self) -> &'static str {
        match self {
            Data::OrderPaid(_) => "order.paid",
            Data::OrderCompleted(_) => "order.completed",
            Data::OrderAmended(_) => "order.amended",
            Data::OrderCancelled(_) => "order.cancelled",
            Data::OrderRejected(_) => "order.rejected",
            Data::OrderReturned(_) => "order.returned",
            Data::ReviewPosted(_) => "review.posted",
            Data::ReviewRemoved(_) => "review.removed",
            Data::QuestionAnswered(_) => "question.answered",
            Data::ItemShared(_) => "item.shared",
            Data::MemberSignedIn(_) => "member.signed-in",
            Data::ShopVisited(_) => "shop.visited",
            Data::CampaignGranted(_) => "campaign.granted",
            Data::IdentityVerified => "identity.verified",
            Data::WechatBound => "wechat.bound",
            Data::QqBound => "qq.bound",
            Data::ProfileCompleted => "profile.completed",
            Data::CreditScored(_) => "credit.scored",
            Data::ReputationRated(_) => "reputation.rated",
            Data::MemberDescribed(_) => "member.described",
            Data::MemberJoined(_) => "member.joined",
            Data::ActivityDone(_) => "activity.done",
            Data::ActivityUndone(_) => "activity.undone",
            Data::RedemptionRequested(_) => "redemption.requested",
            Data::RedemptionReversed(_) => "redemption.reversed",
            Data::HoldRequested(_) => "hold.requested",
            Data::HoldCaptured(_) => "hold.captured",
            Data::HoldReleased(_) => "hold.released",
            Data::PointsClaimed(_) => "points.claimed",
            Data::ExchangeRequested(_) => "exchange.requested",
            Data::ExchangeReversed(_) => "exchange.reversed",
            Data::CardPurchased(_) => "card.purchased",
            Data::CardCodeRedeemed(_) => "card.code-redeemed",
            Data::CardTrialStarted(_) => "card.trial-started",
            Data::CardRefunded(_) => "card.refunded",
            Data::BenefitClaimed(_) => "benefit.claimed",
            Data::BenefitReturned(_) => "benefit.returned",
            Data::PointsAdjusted(_) => "points.adjusted",
            Data::AccountFrozen(_) => "account.frozen",
            Data::AccountUnfrozen(_) => "account.unfrozen",
            Data::AccountClosed(_) => "account.closed",
            Data::AccountReopened(_) => "account.reopened",
            Data::TierGranted(_) => "tier.granted",
            Data::TierWithdrawn(_) => "tier.withdrawn",
            Data::LotOpened(_) => "lot.opened",
            Data::Reached(_) => "tier.reached",
        }
    }

    /// Return the kind of page and the business id that the fact takes, where it has one.
    pub fn own(&self) -> Option<(&'static str, &Text)> {
        Some(match self {
            Data::OrderPaid(order) | Data::OrderCompleted(order) | Data::OrderAmended(order) => ("order", &order.order),
            Data::OrderCancelled(end) | Data::OrderRejected(end) => ("order", &end.order),
            Data::OrderReturned(back) => ("return", &back.return_),
            Data::ReviewPosted(review) => ("review", &review.review),
            Data::ReviewRemoved(removal) => ("review", &removal.review),
            Data::QuestionAnswered(answer) => ("answer", &answer.answer),
            Data::ItemShared(share) => ("share", &share.share),
            Data::CampaignGranted(grant) => ("grant", &grant.grant),
            Data::MemberJoined(joined) => ("joined", &joined.shop),
            Data::ActivityDone(activity) => ("activity", &activity.done),
            Data::ActivityUndone(undone) => ("activity", &undone.done),
            Data::RedemptionRequested(asked) => ("redemption", &asked.redemption),
            Data::RedemptionReversed(reversal) => ("redemption", &reversal.redemption),
            Data::HoldRequested(hold) => ("hold", &hold.hold),
            Data::HoldCaptured(end) | Data::HoldReleased(end) => ("hold", &end.hold),
            Data::ExchangeRequested(exchange) => ("exchange", &exchange.request),
            Data::ExchangeReversed(reversal) => ("exchange", &reversal.request),
            Data::CardPurchased(card) | Data::CardCodeRedeemed(card) | Data::CardTrialStarted(card) => {
                ("card", &card.card)
            }
            Data::CardRefunded(refund) => ("card", &refund.card),
            Data::BenefitClaimed(claim) => ("claim", &claim.claim),
            Data::BenefitReturned(claim) => ("claim", &claim.claim),
            Data::PointsAdjusted(adjustment) => ("adjustment", &adjustment.adjustment),
            Data::TierGranted(grant) => ("tier-grant", &grant.grant),
            Data::TierWithdrawn(grant) => ("tier-grant", &grant.grant),
            Data::LotOpened(lot) => ("opening", &lot.lot),
            _ => return None,
        })
    }

    /// Return true if the fact is a request, which may be refused.
    pub fn is_request(&self) -> bool {
        matches!(
            self,
            Data::RedemptionRequested(_)
                | Data::HoldRequested(_)
                | Data::ExchangeRequested(_)
                | Data::BenefitClaimed(_)
        )
    }

    /// Return the shop that the fact names, empty where it names none.
    pub fn shop(&self) -> &str {
        match self {
            Data::OrderPaid(order) | Data::OrderCompleted(order) | Data::OrderAmended(order) => &order.shop,
            Data::ShopVisited(at) | Data::MemberJoined(at) => &at.shop,
            Data::CampaignGranted(grant) => &grant.shop,
            Data::ActivityDone(activity) => &activity.shop,
            Data::RedemptionRequested(asked) => &asked.shop,
            Data::HoldRequested(hold) => &hold.shop,
            Data::BenefitClaimed(claim) => &claim.shop,
            Data::PointsAdjusted(adjustment) => &adjustment.shop,
            Data::LotOpened(lot) => &lot.shop,
            _ => "",
        }
    }

    /// Return a field that a rule may name.
    pub fn field(&self, name: Field) -> Value<'_> {
        match (self, name) {
            (Data::OrderPaid(order) | Data::OrderCompleted(order) | Data::OrderAmended(order), name) => match name {
                Field::Shop => Value::Text(&order.shop),
                Field::SelfOperated => Value::Truth(order.self_operated),
                Field::Channel => Value::Text(&order.channel),
                Field::Pay => Value::Text(&order.pay),
                Field::Tags => Value::Texts(&order.tags),
                _ => Value::Missing,
            },
            (Data::OrderCancelled(end) | Data::OrderRejected(end), Field::Reason) => Value::Text(&end.reason),
            (Data::ReviewPosted(review), Field::Characters) => Value::Number(review.characters),
            (Data::ReviewPosted(review), Field::Images) => Value::Number(review.images),
            (Data::QuestionAnswered(answer), Field::Sku) => Value::Text(&answer.sku),
            (Data::ItemShared(share), Field::Sku) => Value::Text(&share.sku),
            (Data::ItemShared(share), Field::Via) => Value::Text(&share.via),
            (Data::ShopVisited(at) | Data::MemberJoined(at), Field::Shop) => Value::Text(&at.shop),
            (Data::CampaignGranted(grant), Field::Campaign) => Value::Text(&grant.campaign),
            (Data::CampaignGranted(grant), Field::Kind) => Value::Text(&grant.kind),
            (Data::CampaignGranted(grant), Field::Points) => Value::Number(grant.points),
            (Data::CampaignGranted(grant), Field::Shop) => Value::Text(&grant.shop),
            (Data::CreditScored(credit), Field::Score) => Value::Number(credit.score),
            (Data::ReputationRated(rated), Field::Stars) => Value::Number(rated.stars),
            (Data::ActivityDone(activity), name) => match name {
                Field::Activity => Value::Text(&activity.activity),
                Field::Count => Value::Number(activity.count),
                Field::AmountFen => Value::Number(activity.amount_fen),
                Field::Shop => Value::Text(&activity.shop),
                Field::Sku => Value::Text(&activity.sku),
                Field::Channel => Value::Text(&activity.channel),
                Field::Tags => Value::Texts(&activity.tags),
                _ => Value::Missing,
            },
            (Data::RedemptionRequested(asked), name) => match name {
                Field::Kind => Value::Text(&asked.kind),
                Field::Points => Value::Number(asked.points),
                Field::Use => Value::Text(&asked.use_),
                Field::SettlementFen => Value::Number(asked.settlement_fen),
                Field::Shop => Value::Text(&asked.shop),
                _ => Value::Missing,
            },
            (Data::HoldRequested(hold), Field::Kind) => Value::Text(&hold.kind),
            (Data::HoldRequested(hold), Field::Points) => Value::Number(hold.points),
            (Data::HoldRequested(hold), Field::Shop) => Value::Text(&hold.shop),
            (Data::ExchangeRequested(exchange), Field::Exchange) => Value::Text(&exchange.exchange),
            (Data::ExchangeRequested(exchange), Field::Points) => Value::Number(exchange.points),
            (Data::CardPurchased(card) | Data::CardCodeRedeemed(card) | Data::CardTrialStarted(card), name) => {
                match name {
                    Field::Product => Value::Text(&card.product),
                    Field::PaidFen => card.paid_fen.map_or(Value::Missing, Value::Number),
                    Field::Code => Value::Text(&card.code),
                    _ => Value::Missing,
                }
            }
            (Data::CardRefunded(refund), Field::RefundFen) => Value::Number(refund.refund_fen),
            (Data::BenefitClaimed(claim), Field::Benefit) => Value::Text(&claim.benefit),
            (Data::BenefitClaimed(claim), Field::Shop) => Value::Text(&claim.shop),
            (Data::Reached(reached), Field::Score) => Value::Text(&reached.score),
            (Data::Reached(reached), Field::Tier) => Value::Text(&reached.tier),
            (Data::Reached(reached), Field::Before) => Value::Text(&reached.before),
            _ => Value::Missing,
        }
    }
}
