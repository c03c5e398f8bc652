//! An entry as JSON, as the outcomes topic is told. `ledger/wire/entry_json.py` is the same in Python.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

use crate::entries::{Change, DAY_BUCKETS, Entry, FIRST_MONTH, Figures, lot_text};
use crate::times::{MAX_INSTANT, Zone, day_text, month_text};

const OUTCOMES: [&str; 3] = ["accepted", "refused", "ignored"];

/// What names a fact, and its data as it was kept.
#[derive(Deserialize)]
struct FactHead<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Serialize)]
struct Published<'a> {
    position: String,
    outcome: &'static str,
    reason: &'a str,
    member: &'a str,
    number: i64,
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
    source: &'a str,
    occurred: String,
    recorded: String,
    clock: String,
    figures: &'a Figures,
    version: &'a str,
    engine: i64,
    data: &'a RawValue,
    changes: Vec<Told>,
    link: String,
    #[serde(skip_serializing_if = "is_false")]
    backlog: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stamped: Option<String>,
    place: i64,
    #[serde(skip_serializing_if = "is_false")]
    copy: bool,
}

fn is_false(truth: &bool) -> bool {
    !truth
}

/// Return the entry at a place of the journal as it is published; None where Python is to describe it.
///
/// `link` is the chain's at it. A published rule book stands in every partition: all but one are a copy.
pub fn published(place: i64, state: &[u8], link: &[u8], zone: &Zone, is_copy: bool) -> Option<Vec<u8>> {
    let entry: Entry = rmp_serde::from_slice(state).ok()?;
    let head: FactHead = serde_json::from_slice(entry.fact.0).ok()?;
    let occurred = zone.text(entry.occurred)?;
    let or_occurred = |instant| if instant == entry.occurred { Some(occurred.clone()) } else { zone.text(instant) };
    let told = Published {
        position: format!("{}:{}", entry.partition, entry.offset),
        outcome: OUTCOMES.get(usize::try_from(entry.outcome).ok()?)?,
        reason: &entry.reason,
        member: &entry.member,
        number: entry.number,
        kind: &head.kind,
        id: &head.id,
        source: &head.source,
        recorded: or_occurred(entry.recorded)?,
        clock: or_occurred(entry.clock)?,
        occurred: occurred.clone(),
        figures: &entry.figures,
        version: &entry.version,
        engine: entry.engine,
        data: head.data,
        changes: entry.changes.iter().map(|change| told(change, zone)).collect::<Option<_>>()?,
        link: link.iter().map(|byte| format!("{byte:02x}")).collect(),
        backlog: entry.backlog,
        stamped: if entry.pushed == 0 { None } else { Some(zone.text(entry.recorded - entry.pushed)?) },
        place,
        copy: is_copy,
    };
    serde_json::to_vec(&told).ok()
}

/// A change for people: its fields by name, in order.
struct Told(Vec<(&'static str, Value)>);

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Return a change with its name under `change`, times in the zone, and empty fields left out.
fn told(change: &Change, zone: &Zone) -> Option<Told> {
    let Ok(Value::Array(values)) = serde_json::to_value(change) else {
        return None;
    };
    let mut fields = Vec::with_capacity(values.len());
    for (&name, value) in ["change"].iter().chain(change.fields()).zip(values) {
        let number = value.as_i64();
        let value = match (name, number) {
            ("lot", Some(lot)) => lot_text(lot).into(),
            ("expires_at", Some(at)) if at >= MAX_INSTANT => Value::Null,
            ("expires_at", Some(at)) => zone.text(at)?.into(),
            (
                "anchor_at" | "bought_at" | "earned_at" | "pending_until" | "due_at" | "until_at" | "from_at" | "at",
                Some(at),
            ) => match at {
                0 => continue,
                _ => zone.text(at)?.into(),
            },
            ("month" | "first_month" | "last_month" | "first", Some(bucket)) => match bucket {
                0 => continue,
                _ => bucket_text(bucket).into(),
            },
            _ if value == "" || value == false => continue,
            _ => value,
        };
        fields.push((name, value));
    }
    Some(Told(fields))
}

/// Return a bucket of a score as people read it: a month, a day or a year.
fn bucket_text(bucket: i64) -> String {
    if bucket >= DAY_BUCKETS {
        day_text(bucket - DAY_BUCKETS)
    } else if bucket >= FIRST_MONTH {
        month_text(bucket)
    } else {
        bucket.to_string()
    }
}
