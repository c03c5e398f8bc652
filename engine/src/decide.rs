//! decide(account, fact, book) -> outcome and changes: the one place where a fact meets the rules.
//!
//! A request may be refused, and then nothing has changed; any other fact is accepted, or ignored with the discrepancy
//! named. Time goes first: what fell due by the fact's instant is part of its entry. `ledger/core/decide.py` is the same
//! in Python, for engine 2.

use crate::account::Account;
use crate::awards::{Given, apply_rules};
use crate::decisions::{
    activities, amendments, benefits, exchanges, memberships, operators, orders, redemptions, reviews,
};
use crate::draft::{Done, Draft, Pages, Stop, decline};
use crate::entries::{ACCEPTED, Bytes, Change, ENGINE, Entry, Figures, IGNORED, REFUSED, Text};
use crate::facts::{Data, Fact, Field, Value};
use crate::fall_due::fall_due;
use crate::handed_back::HandedBack;
use crate::pages::ASKS;
use crate::penalties::apply_penalties;
use crate::programme::{Programme, Version};
use crate::reached::award_reached;
use crate::shops::follow_shops;
use crate::tiers::follow_scores;
use crate::times::SECOND;
use crate::who::unentitled_by;

/// What became of a fact.
pub struct Decision {
    pub outcome: i64,
    pub reason: Text,
    pub figures: Figures,
    pub changes: Vec<Change>,
    pub clock: i64,
    pub version: Text,
}

impl Decision {
    /// Return the entry that writes it down: the owner's, and a replay's to compare with it.
    pub fn into_entry<'a>(self, place: Place, occurred: i64, fact: &'a [u8], received: &'a [u8]) -> Entry<'a> {
        Entry {
            member: place.member,
            number: place.number,
            partition: place.partition,
            offset: place.offset,
            occurred,
            recorded: place.recorded,
            clock: self.clock,
            backlog: place.backlog,
            version: self.version,
            engine: ENGINE,
            outcome: self.outcome,
            reason: self.reason,
            figures: self.figures,
            changes: self.changes,
            fact: Bytes(fact),
            received: Bytes(received),
            pushed: place.pushed,
        }
    }
}

/// Where an entry stands: among its member's, and where its fact came.
pub struct Place {
    pub member: Text,
    pub number: i64,
    pub partition: i64,
    pub offset: i64,
    pub recorded: i64,
    pub backlog: bool,
    pub pushed: i64,
}

/// How a fact came: when it was recorded, whether in a backlog, and which entry decided it before.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub recorded: i64,
    /// By how much `recorded` is later than the clock said, in microseconds.
    pub pushed: i64,
    pub backlog: bool,
    /// The number of the entry that decided a fact of the same name, and whether its content is the same.
    pub repeats: Option<(i64, bool)>,
    /// Microseconds between occurred and recorded that a request may have.
    pub max_age: i64,
}

/// Decide one fact for one member; the account is evolved by the changes, the pages by what they must keep.
pub fn decide(
    account: &mut Account,
    pages: &mut dyn Pages,
    fact: &Fact,
    book: &Programme,
    arrival: Arrival,
) -> Done<Decision> {
    let occurred = fact.occurred;
    let clock = occurred.max(account.clock);
    let version = book.at(occurred);
    let rules = version.unwrap_or(&book.versions[0]);
    let month = rules.month(occurred);
    let mut draft = Draft::new(account, pages, book, rules, occurred, clock, month);
    if book.has_pools() && draft.has_page(ASKS)? {
        return Err(Stop::HandBack(HandedBack::Pool));
    }
    let account = &draft.account;
    if account.bundle.is_some() {
        return Err(Stop::HandBack(HandedBack::Names));
    }
    if clock >= account.next_due_at || clock >= account.next_month_at || rules.name != account.placed_by {
        fall_due(&mut draft, clock)?;
    }
    draft.account.clock = clock;
    let due = draft.changes.len();
    if draft.lots != 0 {
        // that reached tiers gave as time passed: they are there whatever becomes of the fact
        draft.pages.enter(draft.number, &draft.changes);
    }
    let name = version.map_or_else(Text::default, |version| version.name.clone());
    let ignored = |reason: &str, figures, changes| Decision {
        outcome: IGNORED,
        reason: reason.into(),
        figures,
        changes,
        clock,
        version: name.clone(),
    };
    if let Some((first, is_same)) = arrival.repeats {
        let figures = [("first".into(), first.into())].into_iter().collect();
        return Ok(ignored(if is_same { "duplicate" } else { "conflict" }, figures, draft.changes));
    }
    match decide_fact(&mut draft, version, &fact.data, arrival) {
        Ok(()) => {}
        Err(Stop::Decline(reason, figures)) => {
            assert!(draft.changes.len() == due, "a fact that is declined changes nothing");
            let is_refused = fact.data.is_request() && &*reason != "already";
            let outcome = if is_refused { REFUSED } else { IGNORED };
            return Ok(Decision { outcome, ..ignored(&reason, figures, draft.changes) });
        }
        Err(stop) => return Err(stop),
    }
    if !draft.stands.is_empty() {
        follow_scores(&mut draft)?;
    }
    if !draft.at_shops.is_empty() {
        follow_shops(&mut draft)?;
    }
    if !draft.reached.is_empty() {
        award_reached(&mut draft)?;
    }
    if draft.lots != 0 {
        draft.pages.enter(draft.number, &draft.changes);
    }
    let (reason, figures) = (draft.reason.clone(), std::mem::take(&mut draft.figures));
    Ok(Decision { outcome: ACCEPTED, reason, figures, changes: draft.changes, clock, version: name })
}

fn decide_fact(draft: &mut Draft, version: Option<&Version>, data: &Data, arrival: Arrival) -> Done {
    let Some(version) = version else {
        return Err(decline("no-programme", []));
    };
    if draft.clock - draft.occurred > version.late {
        return Err(decline("too-late", []));
    }
    let counts_when_closed = matches!(data, Data::OrderReturned(_) | Data::AccountClosed(_) | Data::AccountReopened(_));
    if data.is_request() {
        check_request(draft, data, arrival)?;
    } else if draft.account.closed && !counts_when_closed {
        return Err(decline("account-closed", []));
    }
    if version.asks_who.contains_key(data.on()) {
        draft.unentitled = unentitled_by(draft, data.on(), data)?;
    }
    decide_type(draft, data)?;
    if version.asked_behind.contains(data.on()) {
        ask_rules(draft, data)?;
    }
    Ok(())
}

/// Decline a request that came before (its page has this key), is too old, or meets a frozen account.
fn check_request(draft: &mut Draft, data: &Data, arrival: Arrival) -> Done {
    let (kind, id) = data.own().expect("a request has a business id");
    if draft.has_page(&[kind, "/", id].concat())? {
        return Err(decline("already", []));
    }
    let age = arrival.recorded - arrival.pushed - draft.occurred;
    if !arrival.backlog && age > arrival.max_age {
        let (age, most) = (age.div_euclid(SECOND), arrival.max_age.div_euclid(SECOND));
        let figures = [("age_seconds", age.into()), ("most_seconds", most.into())];
        if arrival.pushed == 0 {
            return Err(decline("stale", figures));
        }
        let ahead = arrival.pushed.div_euclid(SECOND);
        let [age, most] = figures;
        return Err(decline("stale", [age, most, ("recorded_ahead_seconds", ahead.into())]));
    }
    if draft.account.closed {
        return Err(decline("account-closed", []));
    }
    if draft.account.frozen {
        return Err(decline("account-frozen", []));
    }
    Ok(())
}

fn decide_type(draft: &mut Draft, data: &Data) -> Done {
    match data {
        Data::OrderPaid(order) => orders::pay(draft, data, order),
        Data::OrderCompleted(order) => orders::complete(draft, data, order),
        Data::OrderAmended(order) => amendments::amend(draft, data, order),
        Data::OrderCancelled(end) => orders::cancel(draft, end),
        Data::OrderRejected(end) => orders::reject(draft, end),
        Data::OrderReturned(back) => orders::take_back(draft, back),
        Data::ReviewPosted(review) => reviews::post_review(draft, data, review),
        Data::ReviewRemoved(removal) => reviews::remove_review(draft, removal),
        Data::CampaignGranted(grant) => operators::grant(draft, grant),
        Data::MemberJoined(at) => activities::join(draft, data, &at.shop),
        Data::ActivityDone(activity) => activities::do_activity(draft, data, activity),
        Data::ActivityUndone(undone) => activities::undo(draft, undone),
        Data::MemberDescribed(description) => activities::describe(draft, description),
        Data::CreditScored(credit) => activities::set_attribute(draft, "credit", credit.score),
        Data::ReputationRated(rated) => activities::set_attribute(draft, "stars", rated.stars),
        Data::RedemptionRequested(asked) => redemptions::redeem(draft, asked),
        Data::RedemptionReversed(reversal) => redemptions::reverse(draft, reversal),
        Data::HoldRequested(hold) => redemptions::hold(draft, hold),
        Data::HoldCaptured(end) => redemptions::end_hold(draft, end, "captured"),
        Data::HoldReleased(end) => redemptions::end_hold(draft, end, "released"),
        Data::PointsClaimed(claim) => operators::claim_points(draft, claim),
        Data::ExchangeRequested(exchange) => exchanges::exchange(draft, exchange),
        Data::ExchangeReversed(reversal) => exchanges::reverse_exchange(draft, reversal),
        Data::CardPurchased(card) | Data::CardCodeRedeemed(card) => memberships::open_card(draft, card, false),
        Data::CardTrialStarted(card) => memberships::open_card(draft, card, true),
        Data::CardRefunded(refund) => memberships::refund_card(draft, refund),
        Data::BenefitClaimed(claim) => benefits::claim(draft, data, claim),
        Data::BenefitReturned(claim) => benefits::return_claim(draft, claim),
        Data::PointsAdjusted(adjustment) => operators::adjust(draft, adjustment),
        Data::AccountFrozen(reason) => operators::freeze(draft, reason),
        Data::AccountUnfrozen(reason) => operators::unfreeze(draft, reason),
        Data::AccountClosed(reason) => operators::close(draft, reason),
        Data::AccountReopened(reason) => operators::reopen(draft, reason),
        Data::TierGranted(grant) => operators::grant_of_tier(draft, grant),
        Data::TierWithdrawn(grant) => operators::withdraw_of_tier(draft, grant),
        Data::LotOpened(lot) => operators::open_lot(draft, lot),
        Data::QuestionAnswered(_)
        | Data::ItemShared(_)
        | Data::MemberSignedIn(_)
        | Data::ShopVisited(_)
        | Data::IdentityVerified
        | Data::WechatBound
        | Data::QqBound
        | Data::ProfileCompleted => activities::act(draft, data),
        Data::Reached(_) => unreachable!("no fact is of this type"),
    }
}

/// Apply the awards and penalties on a type of fact whose own decision asks for none.
fn ask_rules(draft: &mut Draft, data: &Data) -> Done {
    let on = data.on();
    let page = data.own().map_or_else(Text::default, |(_, id)| id.clone());
    if draft.version.rules_after.contains(on) {
        let mut given = Given::of_fact(data, &page);
        if let (Data::CardPurchased(_), Value::Number(fen)) = (data, data.field(Field::PaidFen)) {
            given.fen = fen;
        }
        apply_rules(draft, draft.version.rules_on(on), &given, None, None)?;
    }
    if !matches!(data, Data::ActivityDone(_)) {
        // whose penalties stand on its page
        apply_penalties(draft, data, &page)?;
    }
    Ok(())
}
