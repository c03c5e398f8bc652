//! What rules give: the one pipeline through which every award goes, for a line and for a whole fact alike.
//!
//! A rule: its dates → left out by another → conditions → membership → within, unless returned → firsts → amount, which
//! is multiplied and rounded once → caps of line and order → the card's cap → caps of day, month, year, term, ever.

use crate::account::Term;
use crate::caps::Place;
use crate::card_orders::has_rate;
use crate::draft::{Done, Draft, MAX_TOTAL, Stop, at_shop, bounded};
use crate::entries::{CounterAdded, Earned, FirstSeen, Map, Multiplied, Scored, ScoredOnce, Text, Withheld};
use crate::evaluate::{Asked, Line, amount_of, meets, multiplier_of};
use crate::facts::{Data, Field, Value};
use crate::handed_back::HandedBack;
use crate::lots::earn;
use crate::pages::{Award, DayPage, OrderPage};
use crate::programme::{Bucket, Per, Rule};
use crate::shops::has_joined;
use crate::terms::open_free;
use crate::times::{DAY, day_text};

pub const ONCE: &str = "once";

/// What rules are asked for: a fact's data, and a line of it or the amounts of a fact without one.
pub struct Given<'a> {
    pub data: &'a Data,
    /// What it is given for.
    pub page: &'a Text,
    pub line: Option<Line<'a>>,
    /// The day that it counts on, if not that of the fact.
    pub day: Option<i64>,
    /// When the line was completed.
    pub since: i64,
    pub fen: i64,
    pub count: i64,
    pub may_return: bool,
}

impl<'a> Given<'a> {
    /// Return what is asked for a whole fact.
    pub fn of_fact(data: &'a Data, page: &'a Text) -> Given<'a> {
        Given { data, page, line: None, day: None, since: 0, fen: 0, count: 1, may_return: false }
    }

    /// Return what is asked for a line of a fact.
    pub fn of_line(data: &'a Data, page: &'a Text, line: Line<'a>) -> Given<'a> {
        Given { fen: line.paid_fen, count: line.quantity, line: Some(line), ..Given::of_fact(data, page) }
    }

    fn line_name(&self) -> Text {
        self.line.map_or_else(Text::default, |line| line.line.clone())
    }
}

/// Give what some rules give; return what the page of what it is given for keeps of that.
///
/// The page of an `order` counts its caps; `multiplied` is told by rule the multiplier that holds, where it is not 1.
pub fn apply_rules(
    draft: &mut Draft,
    rules: &[usize],
    given: &Given,
    mut order: Option<&mut OrderPage>,
    mut multiplied: Option<&mut Map<Text, Text>>,
) -> Done<Vec<Award>> {
    let version = draft.version;
    let (line, asked) = (given.line.as_ref(), Asked::Data(given.data));
    let name = given.line_name();
    let category: &str = line.map_or("", |line| line.category);
    let mut awards = Vec::new();
    let mut replaced: Vec<&Text> = Vec::new();
    for rule in rules.iter().map(|place| &version.rules[*place]) {
        if replaced.contains(&&rule.name) {
            continue;
        }
        if rule.is_dated && !(rule.since <= draft.occurred && draft.occurred < rule.until) {
            continue;
        }
        if !meets(&rule.clauses, line, asked) {
            continue;
        }
        let mut term: Option<Term> = None;
        if let Some(membership) = &rule.member {
            term = draft.account.term_at(membership, draft.occurred).cloned();
            let Some(held) = &term else {
                continue;
            };
            if line.is_some() && order.is_some() && !has_rate(draft, held)? {
                continue;
            }
        }
        let times = multiplier_of(rule, line, asked, draft.occurred, &draft.unentitled);
        if let (Some(times), Some(multiplied)) = (times, multiplied.as_deref_mut()) {
            multiplied.insert(rule.name.clone(), times.text.clone());
        }
        if rule.who.is_some() && draft.unentitled.contains_key(&rule.name) {
            let points = bounded(amount_of(&rule.amount, given.fen, category, given.count, times))?;
            withhold(draft, rule, "not-entitled", &name, points)?;
            continue;
        }
        if rule.at_shop && !is_of_shop(draft, rule, given.data, &name)? {
            continue;
        }
        if rule.has_guards && !is_let(draft, rule, line, &name, given.since)? {
            continue;
        }
        let uncapped = amount_of(&rule.amount, given.fen, category, given.count, times);
        if uncapped > MAX_TOTAL {
            return Err(Stop::HandBack(HandedBack::OutOfRange));
        }
        let uncapped = uncapped as i64;
        let mut points = uncapped;
        if rule.is_limited {
            if rule.line_cap != 0 {
                points = points.min(rule.line_cap);
            }
            if rule.gives_once && was_given(draft, rule, points)? {
                continue;
            }
            let counted = Counted {
                data: given.data,
                line: given.line,
                card: term.as_ref().map(|term| term.card.clone()),
                day: given.day,
                month: 0,
            };
            if let Some(bucket) = &rule.order_bucket {
                points = room(draft, rule, std::slice::from_ref(bucket), points, &counted, order.as_deref())?;
            }
            if let Some(term) = &term {
                match room_of_card(draft, rule, term, points, &name)? {
                    None => continue,
                    Some(left) => points = left,
                }
            }
            if rule.pool.is_some() {
                return Err(Stop::HandBack(HandedBack::Pool));
            }
            if rule.is_counted {
                points = take_room(draft, rule, points, &counted, order.as_deref_mut())?;
            }
        }
        if points == 0 {
            if !rule.opens.is_empty() {
                open(draft, rule)?;
            }
            continue;
        }
        if !rule.stands_in_for.is_empty() {
            replaced.push(&rule.stands_in_for);
        }
        if let Some(times) = times {
            draft.emit(Multiplied { rule: rule.name.clone(), line: name.clone(), by: times.text.clone() })?;
        }
        if !rule.key.is_empty() {
            if rule.gives_once {
                draft.remember(&rule.score);
                let (score, part, rule) = (rule.score.clone(), rule.part.clone(), rule.name.clone());
                draft.emit(ScoredOnce { score, part, rule, points, at: draft.occurred })?;
                continue;
            }
            let mut month = draft.month;
            if version.live.contains(&rule.score) {
                month = version.bucket(&rule.score, draft.occurred);
            }
            let mut score = rule.score.clone();
            if rule.at_shop {
                score = at_shop(&score, given.data.shop());
            }
            draft.score(Scored {
                score: score.clone(),
                part: rule.part.clone(),
                rule: rule.name.clone(),
                month,
                points,
                page: given.page.clone(),
                line: name.clone(),
                base: given.fen,
                uncapped,
            })?;
            if rule.is_kept {
                let (rule, part) = (rule.name.clone(), rule.part.clone());
                awards.push(Award { rule, given: points, held: points, score, part, month, ..Award::default() });
            }
        } else {
            if rule.gives_once {
                draft.emit(FirstSeen { rule: rule.name.clone(), bucket: 0, mark: ONCE.into() })?;
            }
            let returnable = given.may_return || !name.is_empty() || rule.wait.is_some();
            let shop = if rule.at_shop { given.data.shop() } else { "" };
            let earning =
                Earning { points, uncapped, page: given.page, line: &name, base: given.fen, returnable, shop };
            let lot = earn_award(draft, rule, &earning, term.as_ref())?;
            if rule.is_kept {
                awards.push(Award {
                    rule: rule.name.clone(),
                    given: points,
                    held: points,
                    kind: lot.kind,
                    lot: lot.lot,
                    expires_at: lot.expires_at,
                    card: lot.card,
                    ..Award::default()
                });
            }
        }
    }
    Ok(awards)
}

/// Lay the card that a rule opens; of a rule that gives once this was asked before.
fn open(draft: &mut Draft, rule: &Rule) -> Done {
    if rule.award.once {
        draft.emit(FirstSeen { rule: rule.name.clone(), bucket: 0, mark: ONCE.into() })?;
    }
    let card = format!("{}/{}.{}", rule.name, draft.number, draft.changes.len()).into();
    open_free(draft, &card, &rule.opens).map(|_| ())
}

/// What a rule gives as a lot, and for what.
pub struct Earning<'a> {
    pub points: i64,
    pub uncapped: i64,
    pub page: &'a Text,
    pub line: &'a Text,
    pub base: i64,
    pub returnable: bool,
    pub shop: &'a str,
}

/// Write down what a rule gives as a lot; `term` is the card that it counts against.
pub fn earn_award(draft: &mut Draft, rule: &Rule, earning: &Earning, term: Option<&Term>) -> Done<Earned> {
    let version = draft.version;
    let kind = if rule.at_shop { at_shop(&rule.kind, earning.shop) } else { rule.kind.clone() };
    let earned_at = draft.occurred;
    let mut change = Earned {
        expires_at: version.expires_at(&kind, earned_at),
        kind,
        points: earning.points,
        rule: rule.name.clone(),
        earned_at,
        page: earning.page.clone(),
        line: earning.line.clone(),
        base: earning.base,
        uncapped: earning.uncapped,
        returnable: earning.returnable,
        ..Earned::default()
    };
    if let Some(term) = term {
        change.card = term.card.clone();
        if term.trial && !term.converted {
            let membership = rule.member.as_deref().unwrap_or_default();
            change.pending_until = term.until + version.release_days[membership] * DAY;
        }
    }
    let mut waits = 0;
    if let Some(wait) = &rule.wait {
        (change.pending_until, waits) = (version.pending_until(wait, earned_at), wait.waits);
    }
    change.lot = draft.next_lot()?;
    earn(draft, change.clone(), waits)?;
    Ok(change)
}

/// Say in the entry that a rule which applies gives nothing, or `would` points less.
pub fn withhold(draft: &mut Draft, rule: &Rule, why: &str, line: &Text, would: i64) -> Done {
    draft.emit(Withheld { rule: rule.name.clone(), why: why.into(), line: line.clone(), would })
}

/// Return true if a rule is in time, its line was not returned whole, and it is a first that the rule wants.
fn is_let(draft: &mut Draft, rule: &Rule, line: Option<&Line>, name: &Text, since: i64) -> Done<bool> {
    let award = &rule.award;
    if rule.within != 0 && draft.occurred - since > rule.within {
        withhold(draft, rule, "too-long-after-completion", name, 0)?;
        return Ok(false);
    }
    if award.unless_returned && line.is_some_and(|line| line.is_returned) {
        withhold(draft, rule, "line-returned", name, 0)?;
        return Ok(false);
    }
    if let (Some(_), Some(line)) = (&award.first, line)
        && !is_first(draft, rule, line)?
    {
        return Ok(false);
    }
    match award.days_in_month {
        Some(wanted) => is_nth_day(draft, rule, wanted),
        None => Ok(true),
    }
}

/// Return true if a rule for what is kept for each shop has one, that the member joined where that is wanted.
fn is_of_shop(draft: &mut Draft, rule: &Rule, data: &Data, name: &Text) -> Done<bool> {
    let shop = data.shop();
    if shop.is_empty() {
        return Ok(false);
    }
    if rule.wants_joined && !has_joined(draft, shop)? {
        withhold(draft, rule, "not-joined", name, 0)?;
        return Ok(false);
    }
    Ok(!rule.key.is_empty() || draft.has_room_for(&at_shop(&rule.kind, shop)))
}

/// Return true if a rule that gives once has given.
fn was_given(draft: &mut Draft, rule: &Rule, points: i64) -> Done<bool> {
    let account = &draft.account;
    let given = if rule.key.is_empty() {
        account.marks.get(&rule.name).is_some_and(|marks| marks.contains(ONCE))
    } else {
        account.once.contains_key(&rule.key)
    };
    if given {
        withhold(draft, rule, "once", &Text::default(), points)?;
    }
    Ok(given)
}

/// Return true if a line's category is met for the first time (in stream order); an empty one never counts.
fn is_first(draft: &mut Draft, rule: &Rule, line: &Line) -> Done<bool> {
    let category = line.category;
    let is_known = draft.account.marks.get(&rule.name).is_some_and(|marks| marks.contains(category));
    if category.is_empty() || is_known {
        return Ok(false);
    }
    draft.emit(FirstSeen { rule: rule.name.clone(), bucket: 0, mark: category.clone() })?;
    Ok(true)
}

/// Return true if this fact's day is the `wanted`-th different one of its month.
fn is_nth_day(draft: &mut Draft, rule: &Rule, wanted: i64) -> Done<bool> {
    let days = draft.account.days.get(&draft.month).and_then(|days| days.get(&rule.name)).copied().unwrap_or(0);
    let met = i64::from(days.count_ones());
    if met < wanted {
        let day = day_text(draft.version.zone.day(draft.occurred));
        let of_month: u32 = day[8..].parse().unwrap_or(0);
        if days >> of_month & 1 == 0 {
            draft.emit(FirstSeen { rule: rule.name.clone(), bucket: draft.month, mark: day.into() })?;
            return Ok(met + 1 == wanted);
        }
    }
    Ok(false)
}

/// What buckets are told apart by: the fact's data, its line, the card, and the day and month that it is for.
pub struct Counted<'a> {
    pub data: &'a Data,
    pub line: Option<Line<'a>>,
    pub card: Option<Text>,
    pub day: Option<i64>,
    pub month: i64,
}

/// Return what a card's cap and the caps of periods leave of an award, which is counted in these.
pub fn room_of(
    draft: &mut Draft,
    rule: &Rule,
    points: i64,
    counted: &Counted,
    term: Option<&Term>,
    order: &mut OrderPage,
) -> Done<i64> {
    if rule.pool.is_some() {
        return Err(Stop::HandBack(HandedBack::Pool));
    }
    let mut points = points;
    if let Some(term) = term {
        let name = counted.line.map_or_else(Text::default, |line| line.line.clone());
        points = room_of_card(draft, rule, term, points, &name)?.unwrap_or(0).max(0);
    }
    points = room(draft, rule, &rule.buckets, points, counted, Some(order))?;
    count(draft, rule, &rule.buckets, points, counted, Some(order))?;
    Ok(points)
}

/// Return what a card's cap leaves of an award: all, or the rest of one that is filled; None: the rule gives nothing.
fn room_of_card(draft: &mut Draft, rule: &Rule, term: &Term, points: i64, line: &Text) -> Done<Option<i64>> {
    let Some(product) = draft.version.products.get(&term.product) else {
        return Ok(Some(points));
    };
    // what this entry gave by the card counts as well, so the term is asked as it stands now
    let membership = rule.member.as_deref().unwrap_or_default();
    let capped = draft.account.term_of(membership, &term.card).map_or(term.capped, |term| term.capped);
    let Some(cap) = product.table.cap else {
        return Ok(Some(points));
    };
    if i128::from(capped) + i128::from(points) <= i128::from(cap) {
        return Ok(Some(points));
    }
    let left = if product.table.fill { (cap - capped).max(0) } else { 0 };
    withhold(draft, rule, "card-cap-full", line, points - left)?;
    Ok((left != 0).then_some(left))
}

/// Return what the caps of a rule leave of an award; it is counted in all of them.
fn take_room(
    draft: &mut Draft,
    rule: &Rule,
    points: i64,
    counted: &Counted,
    order: Option<&mut OrderPage>,
) -> Done<i64> {
    let mark = rule.day_mark.map_or_else(Text::default, |field| text_of(counted.data.field(field)));
    let mut key = String::new();
    if !mark.is_empty() {
        key = format!("day/{}/{}", rule.name, day_of(draft, counted));
        if draft.page::<DayPage>(&key)?.is_some_and(|page| page.marks.contains(&mark)) {
            withhold(draft, rule, "already-today", &Text::default(), points)?;
            return Ok(0);
        }
    }
    let points = room(draft, rule, &rule.buckets, points, counted, order.as_deref())?;
    count(draft, rule, &rule.buckets, points, counted, order)?;
    if !mark.is_empty() && points != 0 {
        let mut page: DayPage = draft.page(&key)?.unwrap_or_default();
        if rule.day_cap == 0 {
            page.given = bounded(i128::from(page.given) + i128::from(points))?;
        }
        page.marks.push(mark);
        draft.put(key, page);
    }
    Ok(points)
}

/// Return what the fullest of some buckets leaves of an award.
fn room(
    draft: &mut Draft,
    rule: &Rule,
    buckets: &[Bucket],
    points: i64,
    counted: &Counted,
    order: Option<&OrderPage>,
) -> Done<i64> {
    let mut room = points;
    for bucket in buckets {
        let given = if bucket.per == Per::Order {
            order.and_then(|order| order.given.as_ref()?.get(&rule.name).copied()).unwrap_or(0)
        } else {
            match place_of(draft, rule, bucket, counted) {
                Place::Page(key) => draft.page::<DayPage>(&key)?.map_or(0, |page| page.given),
                Place::Bucket(bucket) => draft.account.count(bucket, &rule.name),
            }
        };
        room = room.min((bucket.points - given).max(0));
    }
    if room < points {
        let name = counted.line.map_or_else(Text::default, |line| line.line.clone());
        withhold(draft, rule, "cap-full", &name, points - room)?;
    }
    Ok(room)
}

/// Count what a rule gives in all its buckets.
fn count(
    draft: &mut Draft,
    rule: &Rule,
    buckets: &[Bucket],
    points: i64,
    counted: &Counted,
    mut order: Option<&mut OrderPage>,
) -> Done {
    if points == 0 {
        return Ok(());
    }
    for bucket in buckets {
        if bucket.per == Per::Order {
            if let Some(order) = order.as_deref_mut() {
                let given = order.given.get_or_insert_default().entry(rule.name.clone()).or_insert(0);
                *given = bounded(i128::from(*given) + i128::from(points))?;
            }
            continue;
        }
        match place_of(draft, rule, bucket, counted) {
            Place::Bucket(bucket) => draft.emit(CounterAdded { rule: rule.name.clone(), bucket, by: points })?,
            Place::Page(key) => {
                let mut page: DayPage = draft.page(&key)?.unwrap_or_default();
                page.given = bounded(i128::from(page.given) + i128::from(points))?;
                draft.put(key, page);
            }
        }
    }
    Ok(())
}

/// Return where a bucket is counted: the account's counter of a month, a year or for ever, or a page.
fn place_of(draft: &Draft, rule: &Rule, bucket: &Bucket, counted: &Counted) -> Place {
    let month = if counted.month == 0 { draft.month } else { counted.month };
    let per = bucket.per;
    if per == Per::Term {
        return Place::Page(format!("cap/{}/term/{}", rule.name, counted.card.as_deref().unwrap_or_default()));
    }
    if !bucket.each.is_empty() {
        let when = if per == Per::Day { day_of(draft, counted) } else { month };
        let value = value_of(bucket, counted);
        return Place::Page(format!("cap/{}/{}.{}.{when}/{value}", rule.name, bucket.each, per.name()));
    }
    match per {
        Per::Day => Place::Page(format!("day/{}/{}", rule.name, day_of(draft, counted))),
        Per::Month => Place::Bucket(month),
        Per::Year => Place::Bucket(month.div_euclid(12)),
        _ => Place::Bucket(0),
    }
}

fn day_of(draft: &Draft, counted: &Counted) -> i64 {
    counted.day.unwrap_or_else(|| draft.version.zone.day(draft.occurred))
}

fn value_of(bucket: &Bucket, counted: &Counted) -> Text {
    let field = match &*bucket.each {
        "category" => Field::Category,
        "sku" => Field::Sku,
        _ => Field::Shop,
    };
    match counted.line {
        Some(line) if bucket.of_line => text_of(line.field(field)),
        _ => text_of(counted.data.field(field)),
    }
}

fn text_of(value: Value) -> Text {
    match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string().into(),
        _ => Text::default(),
    }
}
