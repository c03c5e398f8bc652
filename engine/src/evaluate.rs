//! What a compiled rule says of one line or fact: whether its conditions are met, and what it gives.

use crate::entries::{Map, Text};
use crate::facts::{Data, Field, OrderLine, Value};
use crate::pages::{PageLine, SaidOfOrder};
use crate::programme::{Amount, Clause, Multiplier, Op, Rule, Wanted};

/// A line of an order as rules ask it: of its fact, or from its order's page.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    pub line: &'a Text,
    pub paid_fen: i64,
    pub quantity: i64,
    pub sku: &'a Text,
    pub category: &'a Text,
    pub points: i64,
    /// Its own, beside those of its order; those of a line that stands on a page are kept with its completion.
    pub tags: &'a [Text],
    /// Whether all pieces of a line that stands on a page came back.
    pub is_returned: bool,
}

impl<'a> From<&'a OrderLine> for Line<'a> {
    fn from(line: &'a OrderLine) -> Line<'a> {
        Line {
            line: &line.line,
            paid_fen: line.paid_fen,
            quantity: line.quantity,
            sku: &line.sku,
            category: &line.category,
            points: line.points,
            tags: &line.tags,
            is_returned: false,
        }
    }
}

impl<'a> From<&'a PageLine> for Line<'a> {
    fn from(line: &'a PageLine) -> Line<'a> {
        Line {
            line: &line.line,
            paid_fen: line.paid_fen,
            quantity: line.quantity,
            sku: &line.sku,
            category: &line.category,
            points: line.points,
            tags: &[],
            is_returned: line.returned >= line.quantity,
        }
    }
}

impl Line<'_> {
    /// Return a field that a rule may name.
    pub fn field(&self, field: Field) -> Value<'_> {
        match field {
            Field::PaidFen => Value::Number(self.paid_fen),
            Field::Quantity => Value::Number(self.quantity),
            Field::Sku => Value::Text(self.sku),
            Field::Category => Value::Text(self.category),
            Field::Points => Value::Number(self.points),
            Field::UnitFen => Value::Number(self.paid_fen / self.quantity),
            _ => Value::Missing,
        }
    }
}

/// What conditions that are not on a line ask: a fact's data, or what is kept of an order's fact.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    Data(&'a Data),
    Said(&'a SaidOfOrder),
    Nothing,
}

impl Asked<'_> {
    fn field(&self, field: Field) -> Value<'_> {
        match self {
            Asked::Data(data) => data.field(field),
            Asked::Said(said) => match field {
                Field::Shop => Value::Text(&said.shop),
                Field::SelfOperated => Value::Truth(said.self_operated),
                Field::Channel => Value::Text(&said.channel),
                Field::Pay => Value::Text(&said.pay),
                Field::Tags => Value::Texts(&said.tags),
                _ => Value::Missing,
            },
            Asked::Nothing => Value::Missing,
        }
    }
}

/// Return true if a line and the data of its fact meet every clause. What a list has, a line may have by itself.
pub fn meets(clauses: &[Clause], line: Option<&Line>, data: Asked) -> bool {
    clauses.iter().all(|clause| {
        let found = match line {
            Some(line) if clause.of_line => line.field(clause.field),
            _ => data.field(clause.field),
        };
        match (clause.op, found) {
            (Op::AtLeast, Value::Number(number)) => number >= clause.value.number(),
            (Op::AtMost, Value::Number(number)) => number <= clause.value.number(),
            (Op::In, found) => clause.value.names(found),
            (Op::NotIn, found) => !clause.value.names(found),
            (Op::Has, Value::Texts(texts)) => {
                let own = line.map_or(&[][..], |line| line.tags);
                matches!(&clause.value, Wanted::Text(text) if texts.contains(text) || own.contains(text))
            }
            _ => panic!("a condition asks {:?} of what it is not", clause.field),
        }
    })
}

/// Return the points that an amount of fen of a category, or a count of pieces, makes before every cap.
///
/// It is rounded down once, the multiplier `times` included, and reckoned in 128 bits.
pub fn amount_of(amount: &Amount, fen: i64, category: &str, count: i64, times: Option<&Multiplier>) -> i128 {
    let (by, of) = times.map_or((1, 1), |times| (i128::from(times.by), i128::from(times.of)));
    let (points, fen) = (i128::from(amount.points), i128::from(fen));
    if amount.per_fen != 0 && amount.steps.is_empty() {
        if let Some(rate) = amount.rates.get(category) {
            return fen * i128::from(*rate) * by / (10_000 * of);
        }
        let floor = i128::from(amount.floor_fen);
        return fen / floor * floor * points * by / (i128::from(amount.per_fen) * of);
    }
    if amount.per_count != 0 {
        return i128::from(count) * points * by / (i128::from(amount.per_count) * of);
    }
    for (least, given) in &amount.steps {
        if fen >= i128::from(*least) {
            return i128::from(*given) * by / of;
        }
    }
    points * by / of
}

/// Return the first multiplier of a rule that holds; None where none does. Some are not this member's.
pub fn multiplier_of<'a>(
    rule: &'a Rule,
    line: Option<&Line>,
    data: Asked,
    occurred: i64,
    unentitled: &Map<Text, String>,
) -> Option<&'a Multiplier> {
    rule.times.iter().find(|times| {
        !unentitled.contains_key(&times.name)
            && times.since <= occurred
            && occurred < times.until
            && meets(&times.clauses, line, data)
    })
}
