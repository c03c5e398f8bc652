//! What happened: facts as they are decided on, and as their canonical bytes have them.
//!
//! `ledger/wire/facts.py` and `fact_catalogue.py` say what each means, and where it has its bounds. A field that has its
//! default is left out of the canonical bytes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::entries::{Figure, Map, Text};
use crate::times::{instant_of, utc_text};

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

fn is_one(number: &i64) -> bool {
    *number == 1
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn is_yes(truth: &bool) -> bool {
    *truth
}

fn is_false(truth: &bool) -> bool {
    !truth
}

fn is_empty(text: &Text) -> bool {
    text.is_empty()
}

fn is_own_shop(text: &Text) -> bool {
    &**text == "self"
}

fn is_app(text: &Text) -> bool {
    &**text == "app"
}

fn is_beans(text: &Text) -> bool {
    &**text == BEANS
}

/// The kind of facts that name none, which stands for the book's own `default_kind`.
pub const BEANS: &str = "beans";

/// An instant in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Instant(pub i64);

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Instant, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        instant_of(&text).map(Instant).ok_or_else(|| serde::de::Error::custom("no plain time"))
    }
}

impl Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&utc_text(self.0))
    }
}

type Attributes = Map<Text, Option<Figure>>;

/// Read attributes, each once.
fn distinct<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Attributes, D::Error> {
    struct Distinct;
    impl<'de> serde::de::Visitor<'de> for Distinct {
        type Value = Attributes;
        fn expecting(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
            to.write_str("attributes")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut from: A) -> Result<Attributes, A::Error> {
            let mut attributes = Attributes::default();
            while let Some((name, value)) = from.next_entry()? {
                if attributes.insert(name, value).is_some() {
                    return Err(serde::de::Error::custom("an attribute comes twice"));
                }
            }
            Ok(attributes)
        }
    }
    from.deserialize_map(Distinct)
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct OrderLine {
    pub line: Text,
    pub paid_fen: i64,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub quantity: i64,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub sku: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub category: Text,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub points: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub list_fen: i64,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub saved_by: Text,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Text>,
}

/// An order that was paid, completed or amended.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Order {
    pub order: Text,
    pub lines: Vec<OrderLine>,
    #[serde(default = "own_shop", skip_serializing_if = "is_own_shop")]
    pub shop: Text,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub self_operated: bool,
    #[serde(default = "app", skip_serializing_if = "is_app")]
    pub channel: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub pay: Text,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Text>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refund_fen: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct OrderEnd {
    pub order: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub reason: Text,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ReturnLine {
    pub line: Text,
    pub quantity: i64,
    pub refund_fen: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub points: i64,
    #[serde(default, skip_serializing_if = "is_false")]
    pub exchange: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Return {
    #[serde(rename = "return")]
    pub return_: Text,
    pub lines: Vec<ReturnLine>,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub order: Text,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Review {
    pub review: Text,
    pub order: Text,
    pub line: Text,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub characters: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub images: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ReviewRemoval {
    pub review: Text,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Answer {
    pub answer: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub sku: Text,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Share {
    pub share: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub sku: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub via: Text,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct SignIn {
    #[serde(default, skip_serializing_if = "is_empty")]
    pub day: Text,
}

/// A shop that was visited or joined.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct AtShop {
    pub shop: Text,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Grant {
    #[serde(default = "beans", skip_serializing_if = "is_beans")]
    pub kind: Text,
    pub grant: Text,
    pub campaign: Text,
    pub points: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Instant>,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub shop: Text,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Activity {
    pub done: Text,
    pub activity: Text,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub amount_fen: i64,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub shop: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub sku: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub channel: Text,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Text>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Undone {
    pub done: Text,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CreditScore {
    pub score: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Stars {
    pub stars: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Description {
    #[serde(deserialize_with = "distinct")]
    pub attributes: Attributes,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Redemption {
    #[serde(default = "beans", skip_serializing_if = "is_beans")]
    pub kind: Text,
    pub redemption: Text,
    pub points: i64,
    #[serde(rename = "use")]
    pub use_: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub order: Text,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub settlement_fen: i64,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub shop: Text,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Reversal {
    pub redemption: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Hold {
    #[serde(default = "beans", skip_serializing_if = "is_beans")]
    pub kind: Text,
    pub hold: Text,
    pub points: i64,
    pub until: Instant,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub shop: Text,
}

/// The capture of a hold's points (all where no number is said), or its release.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct HoldEnd {
    pub hold: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Aim {
    #[serde(default, skip_serializing_if = "is_empty")]
    pub order: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub line: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub grant: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub lot: Text,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PointsClaim {
    pub of: Aim,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Exchange {
    pub request: Text,
    pub exchange: Text,
    pub points: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ExchangeReversal {
    pub request: Text,
}

/// A card that was bought, came by a code, or is tried; `paid_fen` of a bought one alone.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Card {
    pub card: Text,
    pub product: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_fen: Option<i64>,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub code: Text,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CardRefund {
    pub card: Text,
    pub refund_fen: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Claim {
    pub claim: Text,
    pub benefit: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub order: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub line: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub shop: Text,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ClaimReturn {
    pub claim: Text,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Adjustment {
    #[serde(default = "beans", skip_serializing_if = "is_beans")]
    pub kind: Text,
    pub adjustment: Text,
    pub points: i64,
    pub reason: Text,
    pub by: Text,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub approved_by: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Aim>,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub shop: Text,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct TierGrantFact {
    pub grant: Text,
    pub score: Text,
    pub tier: Text,
    pub until: Instant,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct TierWithdrawal {
    pub grant: Text,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Reason {
    #[serde(default, skip_serializing_if = "is_empty")]
    pub reason: Text,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct OpeningLot {
    #[serde(default = "beans", skip_serializing_if = "is_beans")]
    pub kind: Text,
    pub lot: Text,
    pub points: i64,
    pub earned_at: Instant,
    pub expires_at: Instant,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub shop: Text,
}

/// An own tier of a score that a member passed upwards, and the tier below it: no fact, but rules stand on it.
#[derive(Clone, Debug)]
pub struct Reached {
    pub score: Text,
    pub tier: Text,
    pub before: Text,
}

/// No more than the type of fact says.
#[derive(Deserialize)]
struct Nothing {}

/// What a fact says, by its type.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
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
    #[serde(skip)]
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
    data_by(kind, &mut serde_json::Deserializer::from_str(json))
}

/// Return what a fact of a CloudEvents type says, read from its data; None where that is not known or does not fit.
pub fn data_by<'de, D: serde::Deserializer<'de>>(kind: &str, data: D) -> Option<Data> {
    fn read<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(data: D) -> Option<T> {
        T::deserialize(data).ok()
    }
    Some(match kind.strip_suffix(".v1")? {
        "order.paid" => Data::OrderPaid(read(data)?),
        "order.completed" => Data::OrderCompleted(read(data)?),
        "order.amended" => Data::OrderAmended(read(data)?),
        "order.cancelled" => Data::OrderCancelled(read(data)?),
        "order.rejected" => Data::OrderRejected(read(data)?),
        "order.returned" => Data::OrderReturned(read(data)?),
        "review.posted" => Data::ReviewPosted(read(data)?),
        "review.removed" => Data::ReviewRemoved(read(data)?),
        "question.answered" => Data::QuestionAnswered(read(data)?),
        "item.shared" => Data::ItemShared(read(data)?),
        "member.signed-in" => Data::MemberSignedIn(read(data)?),
        "shop.visited" => Data::ShopVisited(read(data)?),
        "campaign.granted" => Data::CampaignGranted(read(data)?),
        "identity.verified" => read(data).map(|Nothing {}| Data::IdentityVerified)?,
        "wechat.bound" => read(data).map(|Nothing {}| Data::WechatBound)?,
        "qq.bound" => read(data).map(|Nothing {}| Data::QqBound)?,
        "profile.completed" => read(data).map(|Nothing {}| Data::ProfileCompleted)?,
        "credit.scored" => Data::CreditScored(read(data)?),
        "reputation.rated" => Data::ReputationRated(read(data)?),
        "member.described" => Data::MemberDescribed(read(data)?),
        "member.joined" => Data::MemberJoined(read(data)?),
        "activity.done" => Data::ActivityDone(read(data)?),
        "activity.undone" => Data::ActivityUndone(read(data)?),
        "redemption.requested" => Data::RedemptionRequested(read(data)?),
        "redemption.reversed" => Data::RedemptionReversed(read(data)?),
        "hold.requested" => Data::HoldRequested(read(data)?),
        "hold.captured" => Data::HoldCaptured(read(data)?),
        "hold.released" => Data::HoldReleased(read(data)?),
        "points.claimed" => Data::PointsClaimed(read(data)?),
        "exchange.requested" => Data::ExchangeRequested(read(data)?),
        "exchange.reversed" => Data::ExchangeReversed(read(data)?),
        "card.purchased" => Data::CardPurchased(read(data)?),
        "card.code-redeemed" => Data::CardCodeRedeemed(read(data)?),
        "card.trial-started" => Data::CardTrialStarted(read(data)?),
        "card.refunded" => Data::CardRefunded(read(data)?),
        "benefit.claimed" => Data::BenefitClaimed(read(data)?),
        "benefit.returned" => Data::BenefitReturned(read(data)?),
        "points.adjusted" => Data::PointsAdjusted(read(data)?),
        "account.frozen" => Data::AccountFrozen(read(data)?),
        "account.unfrozen" => Data::AccountUnfrozen(read(data)?),
        "account.closed" => Data::AccountClosed(read(data)?),
        "account.reopened" => Data::AccountReopened(read(data)?),
        "tier.granted" => Data::TierGranted(read(data)?),
        "tier.withdrawn" => Data::TierWithdrawn(read(data)?),
        "lot.opened" => Data::LotOpened(read(data)?),
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
