//! A programme as plain data: what `ledger/rulebook/compiled.py` makes of its TOML, handed over by `plain.py`.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::entries::{Map, Text};
use crate::facts::{Field, Value};
use crate::rankings::Ranking;
use crate::times::{DAY, MAX_INSTANT, Zone};

/// Between a kind or score and the shop that it is kept for.
pub const AT_SHOP: char = '@';
/// What a pending lot waits for: its time,
pub const OPENS: i64 = 1;
/// or a claim; 0 is a card.
pub const CLAIM: i64 = 2;

/// Return a kind or score without the shop that it is kept for.
pub fn base_of(name: &str) -> &str {
    name.split_once(AT_SHOP).map_or(name, |(base, _)| base)
}

/// How a bound of a condition compares.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    AtLeast,
    AtMost,
    In,
    NotIn,
    Has,
    Active,
}

/// What a bound compares with.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Wanted {
    Truth(bool),
    Number(i64),
    Text(Text),
    Any(Vec<One>),
}

/// One of several texts and truths.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum One {
    Truth(bool),
    Text(Text),
}

impl Wanted {
    /// Return true if a field's value is one of several.
    pub fn names(&self, found: Value) -> bool {
        let Wanted::Any(ones) = self else {
            return false;
        };
        ones.iter().any(|one| match (one, found) {
            (One::Truth(truth), Value::Truth(found)) => *truth == found,
            (One::Text(text), Value::Text(found)) => text == found,
            _ => false,
        })
    }

    /// Return the number that it is.
    pub fn number(&self) -> i64 {
        match self {
            Wanted::Number(number) => *number,
            _ => 0,
        }
    }
}

/// One bound of a condition on a line (`of_line`) or on the fact's data.
#[derive(Clone, Debug, Deserialize)]
pub struct Clause {
    pub field: Field,
    pub of_line: bool,
    pub op: Op,
    pub value: Wanted,
}

/// A table of conditions on the member.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    Score,
    Tier,
    Card,
    Attribute,
}

impl Table {
    /// Return its name in a book.
    pub fn name(self) -> &'static str {
        match self {
            Table::Score => "score",
            Table::Tier => "tier",
            Table::Card => "card",
            Table::Attribute => "attribute",
        }
    }
}

/// One condition on the member.
#[derive(Clone, Debug, Deserialize)]
pub struct MemberClause {
    pub table: Table,
    pub name: Text,
    pub op: Op,
    pub value: Wanted,
}

/// Whom something is for: every clause holds, and of `any_of`, where there are some, one.
#[derive(Clone, Debug, Deserialize)]
pub struct Entitlement {
    pub clauses: Vec<MemberClause>,
    pub any_of: Vec<Entitlement>,
}

/// Whom some rules and multipliers are for that stand on one type of fact, all alike, while any is in force.
#[derive(Clone, Debug, Deserialize)]
pub struct AskedWho {
    pub who: Entitlement,
    pub since: i64,
    pub until: i64,
    pub names: Vec<Text>,
}

/// What a rule gives.
#[derive(Clone, Debug, Deserialize)]
pub struct Amount {
    pub points: i64,
    pub per_fen: i64,
    pub floor_fen: i64,
    pub rates: Map<Text, i64>,
    pub steps: Vec<(i64, i64)>,
    pub per_count: i64,
}

/// What an amount is multiplied by, `by` / `of`, while its dates and clauses hold.
#[derive(Clone, Debug, Deserialize)]
pub struct Multiplier {
    pub by: i64,
    pub of: i64,
    pub clauses: Vec<Clause>,
    pub since: i64,
    pub until: i64,
    pub text: Text,
    pub name: Text,
    pub who: Option<Entitlement>,
}

/// The period of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    Order,
    Day,
    Month,
    Year,
    Ever,
    Term,
    Line,
    Days,
}

impl Per {
    /// Return its name in a book.
    pub fn name(self) -> &'static str {
        match self {
            Per::Order => "order",
            Per::Day => "day",
            Per::Month => "month",
            Per::Year => "year",
            Per::Ever => "ever",
            Per::Term => "term",
            Per::Line => "line",
            Per::Days => "days",
        }
    }
}

/// The most points that are given in a period; `each`: for a value of a field.
#[derive(Clone, Debug, Deserialize)]
pub struct Bucket {
    pub per: Per,
    pub points: i64,
    pub each: Text,
    pub of_line: bool,
}

/// How long what a rule gives is pending: `days`, or until a `day` of the next month; `waits` says what follows.
#[derive(Clone, Debug, Deserialize)]
pub struct Wait {
    pub waits: i64,
    pub days: i64,
    pub day: i64,
}

/// What of a rule's own table the core asks.
#[derive(Clone, Debug, Deserialize)]
pub struct AwardTable {
    pub first: Option<Text>,
    pub days_in_month: Option<i64>,
    pub unless_returned: bool,
    pub once: bool,
    pub instead_of: Option<Text>,
}

/// An award rule, ready to apply; a cap of 0 is no cap.
#[derive(Clone, Debug, Deserialize)]
pub struct Rule {
    pub award: AwardTable,
    pub name: Text,
    pub kind: Text,
    pub score: Text,
    pub part: Text,
    pub key: Text,
    pub clauses: Vec<Clause>,
    pub amount: Amount,
    pub member: Option<Text>,
    pub who: Option<Entitlement>,
    pub is_dated: bool,
    pub since: i64,
    pub until: i64,
    pub within: i64,
    pub has_guards: bool,
    pub is_counted: bool,
    pub line_cap: i64,
    pub day_cap: i64,
    pub day_mark: Option<Field>,
    pub is_kept: bool,
    pub times: Vec<Multiplier>,
    pub buckets: Vec<Bucket>,
    pub order_bucket: Option<Bucket>,
    pub wait: Option<Wait>,
    pub opens: Text,
    pub at_shop: bool,
    pub wants_joined: bool,
    pub is_limited: bool,
    pub gives_once: bool,
    pub stands_in_for: Text,
    /// Its points are drawn from a budget.
    pub pool: Option<IgnoredAny>,
}

/// A fine that a fact brings.
#[derive(Clone, Debug, Deserialize)]
pub struct Fine {
    pub name: Text,
    pub penalty: Penalty,
    pub clauses: Vec<Clause>,
    pub is_counted: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Penalty {
    pub points: i64,
    pub kind: Option<Text>,
    pub from_in_month: Option<i64>,
    pub from_in_year: Option<i64>,
    pub exempt: Option<Exemption>,
    pub score: Option<Text>,
    pub part: Option<Text>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Exemption {
    pub membership: Text,
    pub in_month: i64,
}

/// What a card costs from an instant on, in fen, to whom `who` holds for.
#[derive(Clone, Debug, Deserialize)]
pub struct Price {
    pub fen: i64,
    pub since: i64,
    pub who: Option<Entitlement>,
}

/// How often a benefit is given, to whom `who` holds for.
#[derive(Clone, Debug, Deserialize)]
pub struct Allowed {
    pub times: i64,
    pub who: Option<Entitlement>,
}

/// Points of a kind that a claim burns, of whom `who` holds for.
#[derive(Clone, Debug, Deserialize)]
pub struct Charge {
    pub kind: Text,
    pub points: i64,
    pub who: Option<Entitlement>,
}

/// What a claim gives.
#[derive(Clone, Debug, Deserialize)]
pub struct Gift {
    pub kind: Option<Text>,
    pub points: Option<i64>,
    pub days: Option<i64>,
    pub opens: Option<Text>,
    pub score: Option<Text>,
    pub tier: Option<Text>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct BenefitTable {
    pub returns_with_order: bool,
    pub gives: Vec<Gift>,
}

/// By whom a benefit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountedBy {
    Term,
    Account,
    Shop,
    Line,
}

/// A benefit, ready to be claimed.
#[derive(Clone, Debug, Deserialize)]
pub struct Perk {
    pub name: Text,
    pub membership: Text,
    pub benefit: BenefitTable,
    pub per: Per,
    pub counted: CountedBy,
    pub days: i64,
    pub who: Option<Entitlement>,
    pub by_product: Option<Map<Text, i64>>,
    pub allowed: Vec<Allowed>,
    pub charges: Vec<Charge>,
    pub since: i64,
    pub until: i64,
    pub first_day: i64,
    pub last_day: i64,
    pub month_of: Text,
    pub clauses: Vec<Clause>,
    pub of_line: bool,
    pub at_claim: bool,
    pub asks_order: bool,
    /// Its claims are drawn from a stock.
    pub stock: Option<IgnoredAny>,
}

impl Perk {
    /// Return true if `who` is asked at the claim.
    pub fn is_judged_at_claim(&self) -> bool {
        self.at_claim || !self.of_line
    }
}

/// What of a card's own table the core asks.
#[derive(Clone, Debug, Deserialize)]
pub struct ProductTable {
    pub days: Option<i64>,
    pub cap: Option<i64>,
    pub trial: bool,
    pub fill: bool,
    pub months: Option<i64>,
    pub years: Option<i64>,
    pub upgrades: Vec<Text>,
    pub grace_days: i64,
    pub refund: Option<CardRefund>,
    pub on_refund: Text,
}

impl ProductTable {
    /// Return the months of a term by the calendar; 0 for a term of days.
    pub fn calendar_months(&self) -> i64 {
        self.months.unwrap_or(0) + 12 * self.years.unwrap_or(0)
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct CardRefund {
    pub within_days: Option<i64>,
    pub unused: bool,
}

/// A card of a membership, with its prices and whom it is for.
#[derive(Clone, Debug, Deserialize)]
pub struct Product {
    pub membership: Text,
    pub table: ProductTable,
    pub prices: Vec<Price>,
    pub gate: Gate,
}

/// Who may open a card, and from when until when that is asked.
#[derive(Clone, Debug, Deserialize)]
pub struct Gate {
    pub who: Option<Entitlement>,
    pub since: i64,
    pub until: i64,
}

/// The most points that a use grants, or an exchange takes, in a period.
#[derive(Clone, Debug, Deserialize)]
pub struct UseCap {
    pub per: Per,
    pub points: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct UseTable {
    pub kinds: Vec<Text>,
    pub order: bool,
    pub multiple: i64,
    pub balance_at_least: i64,
    pub settlement_at_least_fen: i64,
    pub exactly: Option<i64>,
    pub at_least: Option<i64>,
    pub at_most: Option<i64>,
    pub cap: Vec<UseCap>,
}

/// What a redemption may be for; `share` is the most of the settlement that points may pay, as numerator, denominator.
#[derive(Clone, Debug, Deserialize)]
pub struct Use {
    pub table: UseTable,
    pub share: Option<(i64, i64)>,
    pub who: Option<Entitlement>,
}

/// How many points an exchange takes for how many, from an instant on.
#[derive(Clone, Debug, Deserialize)]
pub struct Rate {
    pub since: i64,
    pub take: i64,
    pub give: i64,
    pub who: Option<Entitlement>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ExchangeTable {
    pub takes: Text,
    pub gives: Text,
    pub cap: Vec<UseCap>,
    pub ledger: Option<Text>,
}

/// Points of one kind for points of another.
#[derive(Clone, Debug, Deserialize)]
pub struct Exchange {
    pub table: ExchangeTable,
    pub who: Option<Entitlement>,
    pub rates: Vec<Rate>,
}

/// What becomes of a claim that no point can meet.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortfall {
    Cash,
    Debt,
    Clamp,
}

/// A kind of points.
#[derive(Clone, Debug, Deserialize)]
pub struct Kind {
    pub fen: i64,
    pub burn: Text,
    pub shortfall: Shortfall,
}

/// How points earned from `since` on expire.
#[derive(Clone, Debug, Deserialize)]
pub struct Period {
    pub since: i64,
    pub how: How,
    pub number: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    Days,
    EndOfYearAfter,
    Months,
    EndOfMonthAfter,
    Never,
    IdleDays,
}

/// The type of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttributeType {
    Text,
    Number,
    MonthDay,
}

/// What may be told of a member.
#[derive(Clone, Debug, Deserialize)]
pub struct Attribute {
    #[serde(rename = "type")]
    pub type_: AttributeType,
    pub values: Option<Vec<Text>>,
}

/// One dated version of a rule book. Rules are named by their places in `rules`.
#[derive(Clone, Debug, Deserialize)]
pub struct Version {
    pub name: Text,
    pub zone: Zone,
    pub since: i64,
    pub late: i64,
    pub default_kind: Text,
    pub rules: Vec<Rule>,
    pub line_rules: Vec<usize>,
    pub line_rules_without_card: Vec<usize>,
    pub paid_line_rules: Vec<usize>,
    pub fact_rules: Map<Text, Vec<usize>>,
    pub rules_after: FxHashSet<Text>,
    pub asked_behind: FxHashSet<Text>,
    pub asks_who: Map<Text, Vec<AskedWho>>,
    pub penalties: Map<Text, Vec<Fine>>,
    pub multiplies: bool,
    pub products: Map<Text, Product>,
    pub perks: Map<Text, Perk>,
    pub rights: Vec<Text>,
    pub keeps_said: bool,
    pub claws_back: FxHashSet<Text>,
    pub release_days: Map<Text, i64>,
    pub uses: Map<Text, Use>,
    pub exchanges: Map<Text, Exchange>,
    pub rankings: Map<Text, Ranking>,
    pub live: FxHashSet<Text>,
    pub kinds: Map<Text, Kind>,
    pub expiries: Map<Text, Vec<Period>>,
    pub idle: Map<Text, i64>,
    pub keyed_kinds: FxHashSet<Text>,
    pub keyed_scores: FxHashSet<Text>,
    pub joined_scores: FxHashSet<Text>,
    pub attributes: Map<Text, Attribute>,
    pub has_pools: bool,
}

const NO_RULES: &[usize] = &[];

impl Version {
    /// Return the rules that stand on a whole fact of a type.
    pub fn rules_on(&self, on: &str) -> &[usize] {
        self.fact_rules.get(on).map_or(NO_RULES, Vec::as_slice)
    }

    /// Return the rule of a name.
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| &*rule.name == name)
    }

    /// Return the table of a kind, also of one that is kept for a shop.
    pub fn kind(&self, name: &str) -> &Kind {
        self.kinds.get(name).unwrap_or_else(|| &self.kinds[base_of(name)])
    }

    /// Return the local month of an instant.
    pub fn month(&self, instant: i64) -> i64 {
        self.zone.month(instant)
    }

    /// Return when points of a kind earned at an instant expire (exclusive); `MAX_INSTANT`: not by themselves.
    pub fn expires_at(&self, kind: &str, earned_at: i64) -> i64 {
        let periods = self.expiries.get(kind).unwrap_or_else(|| &self.expiries[base_of(kind)]);
        let begun = periods.iter().find(|period| period.since <= earned_at);
        let period = begun.unwrap_or_else(|| &periods[periods.len() - 1]);
        match period.how {
            How::Days => (earned_at + period.number * DAY).min(MAX_INSTANT),
            How::EndOfYearAfter => {
                self.zone.month_start((self.month(earned_at).div_euclid(12) + period.number + 1).min(2999) * 12)
            }
            How::Months => self.zone.months_later(earned_at, period.number, earned_at),
            How::EndOfMonthAfter => self.zone.month_start(self.month(earned_at) + period.number + 1),
            How::Never | How::IdleDays => MAX_INSTANT,
        }
    }

    /// Return until when points that are earned at an instant are pending.
    pub fn pending_until(&self, wait: &Wait, earned_at: i64) -> i64 {
        if wait.day == 0 {
            return (earned_at + wait.days * DAY).min(MAX_INSTANT);
        }
        let local = Zone::Fixed(0).month_start(self.month(earned_at) + 1) + (wait.day - 1) * DAY;
        self.zone.instant(local).min(MAX_INSTANT)
    }

    /// Return the bucket of a score's item that occurred at an instant.
    pub fn bucket(&self, score: &str, instant: i64) -> i64 {
        self.rankings[score].bucket_at(instant, &self.zone)
    }
}

/// A ledger's rule book, its versions by their `from`: the newest at or before an instant decides what occurred then.
///
/// A version of several owners' books may stand here more than once, as it is from each of their days on.
#[derive(Clone, Debug, Default)]
pub struct Programme {
    pub versions: Vec<Arc<Version>>,
}

impl Programme {
    /// Return true if a version has a budget or stock that members share.
    pub fn has_pools(&self) -> bool {
        self.versions.iter().any(|version| version.has_pools)
    }

    /// Return true if an account is a pool, a lease of one, or a house, and no member.
    pub fn is_shared(&self, name: &str) -> bool {
        name.starts_with("house/") || (name.starts_with("pool/") && self.has_pools())
    }

    /// Return the version that decides what occurred at an instant; None before the first.
    pub fn at(&self, instant: i64) -> Option<&Version> {
        self.versions.iter().rev().find(|version| version.since <= instant).map(Arc::as_ref)
    }

    /// Return the version at an instant, or the first where none held yet.
    pub fn nearest(&self, instant: i64) -> &Version {
        self.at(instant).unwrap_or(&self.versions[0])
    }

    /// Return the version of a name as it was at an instant; the one in force then where it is unknown.
    pub fn decided(&self, name: &str, instant: i64) -> &Version {
        let found = self.nearest(instant);
        if &*found.name == name {
            return found;
        }
        let mut stages = self.versions.iter().map(Arc::as_ref).filter(|version| &*version.name == name);
        let begun = stages.clone().rfind(|version| version.since <= instant);
        begun.or_else(|| stages.next()).unwrap_or(found)
    }
}
