//! An entry as JSON, as the outcomes topic is told. `ledger/wire/entry_json.py` is the same in Python.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

use crate::entries::{DAY_BUCKETS, FIRST_MONTH, Figure, lot_text};
use crate::plain_entry::{self, Scalar, Value, Walk};
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

/// Return the entry at a place of the journal as it is published; None where Python is to describe it.
///
/// `link` is the chain's at it. A published rule book stands in every partition: all but one are a copy.
pub fn published(place: i64, state: &[u8], link: &[u8], zone: &Zone, is_copy: bool) -> Option<Vec<u8>> {
    let entry = plain_entry::read(state)?;
    let head: FactHead = serde_json::from_slice(entry.fact).ok()?;
    let mut times = Times { zone, told: Vec::new() };
    let mut told = Object::new(2 * state.len());
    told.plain("position", &format!("{}:{}", entry.partition, entry.offset));
    told.plain("outcome", OUTCOMES.get(usize::try_from(entry.outcome).ok()?)?);
    told.value("reason", Value::Text(entry.reason))?;
    told.value("member", Value::Text(entry.member))?;
    told.value("number", Value::Number(entry.number))?;
    told.value("type", Value::Text(&head.kind))?;
    told.value("id", Value::Text(&head.id))?;
    told.value("source", Value::Text(&head.source))?;
    told.plain("occurred", times.text(entry.occurred)?);
    told.plain("recorded", times.text(entry.recorded)?);
    told.plain("clock", times.text(entry.clock)?);
    told.name("figures");
    told.within(*b"{}", |told| tell_figures(told, entry.figures))?;
    told.value("version", Value::Text(entry.version))?;
    told.value("engine", Value::Number(entry.engine))?;
    told.raw("data", head.data.get().as_bytes());
    told.name("changes");
    told.within(*b"[]", |told| {
        let mut from = entry.changes;
        for _ in 0..from.array()? {
            told.next();
            told.within(*b"{}", |told| tell_change(told, &mut from, &mut times))?;
        }
        Some(())
    })?;
    told.plain("link", &hex(link));
    if entry.backlog {
        told.raw("backlog", b"true");
    }
    if entry.pushed != 0 {
        told.plain("stamped", &zone.text(entry.recorded - entry.pushed)?);
    }
    told.value("place", Value::Number(place))?;
    if is_copy {
        told.raw("copy", b"true");
    }
    Some(told.end())
}

/// A JSON object in the making.
struct Object(Vec<u8>);

impl Object {
    fn new(size: usize) -> Object {
        let mut text = Vec::with_capacity(size);
        text.push(b'{');
        Object(text)
    }

    /// Go on to the next of an object or array.
    fn next(&mut self) {
        if !matches!(self.0.last(), Some(b'{' | b'[')) {
            self.0.push(b',');
        }
    }

    /// Add a name in which nothing is to be escaped.
    fn name(&mut self, name: &str) {
        self.next();
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// Add what is JSON.
    fn raw(&mut self, name: &str, json: &[u8]) {
        self.name(name);
        self.0.extend_from_slice(json);
    }

    /// Add a text in which nothing is to be escaped.
    fn plain(&mut self, name: &str, text: &str) {
        self.name(name);
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }

    /// Add a value.
    fn value(&mut self, name: &str, value: Value) -> Option<()> {
        self.name(name);
        self.put(value)
    }

    /// Add a value behind any name.
    fn pair(&mut self, name: &str, value: Value) -> Option<()> {
        self.next();
        self.put(Value::Text(name))?;
        self.0.push(b':');
        self.put(value)
    }

    fn put(&mut self, value: Value) -> Option<()> {
        match value {
            Value::Text(text) => serde_json::to_writer(&mut self.0, text),
            Value::Number(number) => serde_json::to_writer(&mut self.0, &number),
            Value::Truth(truth) => serde_json::to_writer(&mut self.0, &truth),
        }
        .ok()
    }

    /// Add what `tell` adds between two marks.
    fn within(&mut self, [open, close]: [u8; 2], tell: impl FnOnce(&mut Object) -> Option<()>) -> Option<()> {
        self.0.push(open);
        tell(self)?;
        self.0.push(close);
        Some(())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

/// Instants as texts in a zone; those that were told last are kept, as an entry names few.
struct Times<'a> {
    zone: &'a Zone,
    told: Vec<(i64, String)>,
}

impl Times<'_> {
    /// Return an instant as clocks show it; None where it has no text.
    fn text(&mut self, instant: i64) -> Option<&str> {
        let known = self.told.iter().position(|(at, _)| *at == instant);
        let place = match known {
            Some(place) => place,
            None => {
                self.told.push((instant, self.zone.text(instant)?));
                self.told.len() - 1
            }
        };
        Some(&self.told[place].1)
    }
}

/// Add the figures by their names; None where a name comes twice.
fn tell_figures(told: &mut Object, mut from: Walk) -> Option<()> {
    let mut names = Vec::new();
    for _ in 0..from.map()? {
        let name = from.text()?;
        if names.contains(&name) {
            return None;
        }
        names.push(name);
        told.pair(name, Figure::take(&mut from)?)?;
    }
    Some(())
}

/// Add a change with its name under `change`, times in the zone, and empty fields left out.
fn tell_change(told: &mut Object, from: &mut Walk, times: &mut Times) -> Option<()> {
    let (tag, fields) = from.change()?;
    told.plain("change", tag);
    for (name, take) in fields {
        match (*name, take(from)?) {
            (_, Value::Text("") | Value::Truth(false)) => {}
            ("lot" | "to_lot", Value::Number(lot)) => told.plain(name, &lot_text(lot)),
            ("pending_until", Value::Number(at)) if at >= MAX_INSTANT => {} // it waits for a pool's answer
            ("expires_at", Value::Number(at)) if at >= MAX_INSTANT => told.raw(name, b"null"),
            ("expires_at", Value::Number(at)) => told.plain(name, times.text(at)?),
            (
                "anchor_at" | "bought_at" | "earned_at" | "pending_until" | "due_at" | "until_at" | "from_at" | "at"
                | "time",
                Value::Number(at),
            ) => {
                if at != 0 {
                    told.plain(name, times.text(at)?);
                }
            }
            ("month" | "first_month" | "last_month" | "first", Value::Number(bucket)) => {
                if bucket != 0 {
                    told.plain(name, &bucket_text(bucket));
                }
            }
            // It is written as what is kept under another name of the member's: Python tells that.
            ("hold" | "card" | "house", Value::Text(name)) if name.starts_with('~') && name.contains('\n') => {
                return None;
            }
            ("data", Value::Text(json)) => told.raw(name, json.as_bytes()),
            (_, value) => told.value(name, value)?,
        }
    }
    Some(())
}

/// Return bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
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
