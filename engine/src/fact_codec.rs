//! A fact from the bytes as they came, where they are plainly good, and its canonical bytes.
//!
//! `ledger/wire/fact_codec.py` reads every fact, and names what is wrong with one that is none. This reads those alone
//! about which there is no question. It hands back whatever is odd in any way: an escape, a key twice, a number with a
//! fraction, a time that is written in another way, a bound that is passed, a published programme. So it may hand back
//! too much; what it takes has the canonical bytes that Python makes.

use std::collections::HashSet;

use crate::entries::{Figure, Text};
use crate::facts::{Aim, Card, Data, Fact, Order, OrderLine, Return, ReturnLine, data_by};
use crate::plain_json::Reader;
use crate::times::{instant_of, utc_text};

const MAX_BYTES: usize = 1 << 20;
const MAX_LINES: usize = 1_000;
const MAX_ID: usize = 128;
const MAX_TAGS: usize = 64;
const MAX_ATTRIBUTES: usize = 64;
const MAX_INT: i64 = 1 << 53;

/// A fact that was plain, by what names it.
pub struct Plain {
    pub id: String,
    pub source: String,
    pub member: Text,
    pub fact: Fact,
    pub canonical: Vec<u8>,
}

/// Return a fact from the bytes received; None where Python is to read it.
pub fn decode(raw: &[u8]) -> Option<Plain> {
    if raw.len() > MAX_BYTES {
        return None;
    }
    let mut reader = Reader::new(raw)?;
    let [mut specversion, mut id, mut source, mut kind, mut subject, mut time, mut data] = [None; 7];
    let mut read = None;
    reader.take(b'{').ok()?;
    loop {
        let key = reader.string().ok()?;
        reader.take(b':').ok()?;
        let known = kind;
        let place = match key {
            "specversion" => &mut specversion,
            "id" => &mut id,
            "source" => &mut source,
            "type" => &mut kind,
            "subject" => &mut subject,
            "time" => &mut time,
            "data" => &mut data,
            _ => {
                reader.string().ok()?; // an attribute that CloudEvents has and facts have not: it is dropped
                &mut None
            }
        };
        if place.is_some() {
            return None;
        }
        match (key, known) {
            ("data", Some(kind)) => {
                read = Some(data_by(kind, &mut reader)?);
                *place = Some("");
            }
            ("data", None) => *place = Some(reader.span().ok()?), // its type comes behind it
            ("specversion" | "id" | "source" | "type" | "subject" | "time", _) => *place = Some(reader.string().ok()?),
            _ => {}
        }
        match reader.peek() {
            b',' => reader.take(b',').ok()?,
            _ => break,
        }
    }
    reader.take(b'}').ok()?;
    if !reader.is_over() || specversion? != "1.0" {
        return None;
    }
    let (id, source, kind, subject) = (id?, source?, kind?, subject?);
    if ![id, source, subject].into_iter().all(is_id) {
        return None;
    }
    let occurred = instant_of(time?)?;
    let data = match (read, data) {
        (Some(data), _) => data,
        (None, Some(span)) => {
            let mut reader = Reader::new(span.as_bytes())?;
            let data = data_by(kind, &mut reader)?;
            reader.is_over().then_some(data)?
        }
        (None, None) => data_by(kind, &mut Reader::new(b"{}")?).filter(may_lack_data)?,
    };
    if !fits(&data) {
        return None;
    }
    let mut canonical = Vec::with_capacity(raw.len() + 16);
    let head = [("{\"type", kind), ("\",\"specversion", "1.0"), ("\",\"id", id), ("\",\"source", source)];
    let time = utc_text(occurred);
    for (name, text) in head.into_iter().chain([("\",\"subject", subject), ("\",\"time", &*time)]) {
        canonical.extend_from_slice(name.as_bytes());
        canonical.extend_from_slice(b"\":\"");
        canonical.extend_from_slice(text.as_bytes());
    }
    canonical.extend_from_slice(b"\",\"data\":");
    if has_no_data(&data) {
        canonical.extend_from_slice(b"{}");
    } else {
        serde_json::to_writer(&mut canonical, &data).ok()?;
    }
    canonical.push(b'}');
    let fact = Fact { occurred, data };
    Some(Plain { id: id.to_owned(), source: source.to_owned(), member: subject.into(), fact, canonical })
}

fn has_no_data(data: &Data) -> bool {
    matches!(data, Data::IdentityVerified | Data::WechatBound | Data::QqBound | Data::ProfileCompleted)
}

/// Return true for a type of fact whose data may be left out.
fn may_lack_data(data: &Data) -> bool {
    let of_accounts = matches!(
        data,
        Data::AccountFrozen(_) | Data::AccountUnfrozen(_) | Data::AccountClosed(_) | Data::AccountReopened(_)
    );
    has_no_data(data) || of_accounts || matches!(data, Data::MemberSignedIn(_))
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX_ID || text.chars().count() <= MAX_ID
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && is_name(text)
}

fn is_count(number: i64) -> bool {
    (0..=MAX_INT).contains(&number)
}

fn is_some(number: i64) -> bool {
    (1..=MAX_INT).contains(&number)
}

fn are_tags(tags: &[Text]) -> bool {
    tags.len() <= MAX_TAGS && tags.iter().all(|tag| is_name(tag))
}

fn ids<const N: usize>(texts: [&Text; N]) -> bool {
    texts.into_iter().all(|text| is_id(text))
}

fn names<const N: usize>(texts: [&Text; N]) -> bool {
    texts.into_iter().all(|text| is_name(text))
}

/// Return true if a fact's data keeps the bounds that `ledger/wire/facts.py` has, type by type.
fn fits(data: &Data) -> bool {
    match data {
        Data::OrderPaid(order) | Data::OrderCompleted(order) | Data::OrderAmended(order) => fits_order(data, order),
        Data::OrderCancelled(end) | Data::OrderRejected(end) => ids([&end.order]) && names([&end.reason]),
        Data::OrderReturned(back) => fits_return(back),
        Data::ReviewPosted(review) => {
            ids([&review.review, &review.order, &review.line]) && is_count(review.characters) && is_count(review.images)
        }
        Data::ReviewRemoved(removal) => ids([&removal.review]),
        Data::QuestionAnswered(answer) => ids([&answer.answer]) && names([&answer.sku]),
        Data::ItemShared(share) => ids([&share.share]) && names([&share.sku, &share.via]),
        Data::MemberSignedIn(sign_in) => sign_in.day.is_empty() || is_day(&sign_in.day),
        Data::ShopVisited(at) | Data::MemberJoined(at) => ids([&at.shop]),
        Data::CampaignGranted(grant) => {
            ids([&grant.kind, &grant.grant, &grant.campaign]) && is_some(grant.points) && names([&grant.shop])
        }
        Data::IdentityVerified | Data::WechatBound | Data::QqBound | Data::ProfileCompleted => true,
        Data::CreditScored(credit) => is_count(credit.score),
        Data::ReputationRated(rated) => (1..=5).contains(&rated.stars),
        Data::MemberDescribed(described) => {
            described.attributes.len() <= MAX_ATTRIBUTES
                && described
                    .attributes
                    .iter()
                    .all(|(name, value)| is_name(name) && value.as_ref().is_some_and(is_figure))
        }
        Data::ActivityDone(activity) => {
            ids([&activity.done, &activity.activity])
                && is_some(activity.count)
                && is_count(activity.amount_fen)
                && names([&activity.shop, &activity.sku, &activity.channel])
                && are_tags(&activity.tags)
        }
        Data::ActivityUndone(undone) => ids([&undone.done]),
        Data::RedemptionRequested(asked) => {
            ids([&asked.redemption, &asked.use_])
                && names([&asked.kind, &asked.order, &asked.shop])
                && is_some(asked.points)
                && is_count(asked.settlement_fen)
        }
        Data::RedemptionReversed(reversal) => ids([&reversal.redemption]) && reversal.points.is_none_or(is_some),
        Data::HoldRequested(hold) => ids([&hold.kind, &hold.hold]) && is_some(hold.points) && names([&hold.shop]),
        Data::HoldCaptured(end) => ids([&end.hold]) && end.points.is_none_or(is_some),
        Data::HoldReleased(end) => ids([&end.hold]) && end.points.is_none(),
        Data::PointsClaimed(claim) => is_aim(&claim.of),
        Data::ExchangeRequested(exchange) => ids([&exchange.request, &exchange.exchange]) && is_some(exchange.points),
        Data::ExchangeReversed(reversal) => ids([&reversal.request]),
        Data::CardPurchased(card) => fits_card(card) && card.code.is_empty() && card.paid_fen.is_some_and(is_count),
        Data::CardCodeRedeemed(card) | Data::CardTrialStarted(card) => fits_card(card) && card.paid_fen.is_none(),
        Data::CardRefunded(refund) => ids([&refund.card]) && is_count(refund.refund_fen),
        Data::BenefitClaimed(claim) => {
            ids([&claim.claim, &claim.benefit]) && names([&claim.order, &claim.line, &claim.shop])
        }
        Data::BenefitReturned(claim) => ids([&claim.claim]),
        Data::PointsAdjusted(adjustment) => {
            ids([&adjustment.kind, &adjustment.adjustment, &adjustment.reason, &adjustment.by])
                && names([&adjustment.approved_by, &adjustment.shop])
                && adjustment.points != 0
                && is_count(adjustment.points.abs())
                && adjustment.of.as_ref().is_none_or(is_aim)
        }
        Data::AccountFrozen(reason)
        | Data::AccountUnfrozen(reason)
        | Data::AccountClosed(reason)
        | Data::AccountReopened(reason) => names([&reason.reason]),
        Data::TierGranted(grant) => ids([&grant.grant, &grant.score]) && names([&grant.tier]),
        Data::TierWithdrawn(grant) => ids([&grant.grant]),
        Data::LotOpened(lot) => ids([&lot.kind, &lot.lot]) && is_some(lot.points) && names([&lot.shop]),
        Data::Reached(_) => false,
    }
}

/// Return true if an order keeps its bounds and says nothing that its type of fact has not.
fn fits_order(data: &Data, order: &Order) -> bool {
    let is_whole = match data {
        Data::OrderPaid(_) => !order.more && order.refund_fen == 0,
        Data::OrderCompleted(_) => order.refund_fen == 0,
        _ => true,
    };
    let lines = &order.lines;
    is_whole
        && ids([&order.order])
        && names([&order.shop, &order.channel, &order.pay])
        && are_tags(&order.tags)
        && is_count(order.refund_fen)
        && (1..=MAX_LINES).contains(&lines.len())
        && lines.iter().all(fits_line)
        && (lines.len() == 1 || lines.iter().map(|line| &line.line).collect::<HashSet<_>>().len() == lines.len())
}

fn fits_line(line: &OrderLine) -> bool {
    ids([&line.line])
        && names([&line.sku, &line.category, &line.saved_by])
        && is_count(line.paid_fen)
        && is_some(line.quantity)
        && is_count(line.points)
        && is_count(line.list_fen)
        && are_tags(&line.tags)
}

fn fits_return(back: &Return) -> bool {
    let fits_line = |line: &ReturnLine| {
        ids([&line.line])
            && [line.quantity, line.refund_fen, line.points].into_iter().all(is_count)
            && (line.quantity, line.refund_fen) != (0, 0)
    };
    ids([&back.return_])
        && names([&back.order])
        && (1..=MAX_LINES).contains(&back.lines.len())
        && back.lines.iter().all(fits_line)
}

fn fits_card(card: &Card) -> bool {
    ids([&card.card, &card.product]) && names([&card.code])
}

fn is_figure(value: &Figure) -> bool {
    match value {
        Figure::Number(number) => (-MAX_INT..=MAX_INT).contains(number),
        Figure::Text(text) => is_name(text),
    }
}

/// Return true for a day as YYYY-MM-DD.
fn is_day(day: &str) -> bool {
    day.len() == 10 && instant_of(&format!("{day}T00:00:00Z")).is_some()
}

/// Return true if an award is named by one of the three ways; one by its lot is left to Python.
fn is_aim(aim: &Aim) -> bool {
    let said = [&aim.order, &aim.line, &aim.grant, &aim.lot].map(|text| !text.is_empty());
    matches!(said, [true, true, false, false] | [false, false, true, false])
        && names([&aim.order, &aim.line, &aim.grant])
}
