//! An entry as JSON, as the outcomes topic is told. `ledger/wire/entry_json.py` is the same in Python.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

use crate::entries::{Change, DAY_BUCKETS, Entry, FIRST_MONTH, lot_text};
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
    let entry: Entry = rmp_serde::from_slice(state).ok()?;
    let head: FactHead = serde_json::from_slice(entry.fact.0).ok()?;
    let occurred = zone.text(entry.occurred)?;
    let or_occurred = |instant| if instant == entry.occurred { Some(occurred.clone()) } else { zone.text(instant) };
    let mut told = Object::new(2 * state.len());
    told.plain("position", &format!("{}:{}", entry.partition, entry.offset));
    told.plain("outcome", OUTCOMES.get(usize::try_from(entry.outcome).ok()?)?);
    told.value("reason", &entry.reason)?;
    told.value("member", &entry.member)?;
    told.value("number", &entry.number)?;
    told.value("type", &head.kind)?;
    told.value("id", &head.id)?;
    told.value("source", &head.source)?;
    told.plain("occurred", &occurred);
    told.plain("recorded", &or_occurred(entry.recorded)?);
    told.plain("clock", &or_occurred(entry.clock)?);
    told.value("figures", &entry.figures)?;
    told.value("version", &entry.version)?;
    told.value("engine", &entry.engine)?;
    told.raw("data", head.data.get().as_bytes());
    told.raw("changes", &changes(&entry.changes, zone)?);
    told.plain("link", &hex(link));
    if entry.backlog {
        told.raw("backlog", b"true");
    }
    if entry.pushed != 0 {
        told.plain("stamped", &zone.text(entry.recorded - entry.pushed)?);
    }
    told.value("place", &place)?;
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

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
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

    fn value<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Option<()> {
        self.name(name);
        serde_json::to_writer(&mut self.0, value).ok()
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

/// Return changes for people, as a JSON array.
fn changes(changes: &[Change], zone: &Zone) -> Option<Vec<u8>> {
    let mut told = vec![b'['];
    let mut stored = Vec::new();
    for change in changes {
        if told.len() > 1 {
            told.push(b',');
        }
        stored.clear();
        serde_json::to_writer(&mut stored, change).ok()?;
        told.extend_from_slice(&change_told(change.fields(), &stored, zone)?);
    }
    told.push(b']');
    Some(told)
}

/// Return a change with its name under `change`, times in the zone, and empty fields left out.
///
/// `stored` is it as a JSON array of its name and fields, which are texts, numbers and truths.
fn change_told(fields: &[&str], stored: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let mut told = Object::new(2 * stored.len() + 64);
    let mut names = ["change"].iter().chain(fields);
    let mut rest = stored.strip_prefix(b"[")?;
    while !rest.is_empty() {
        let (value, behind) = rest.split_at(length_of(rest)?);
        let (name, number) = (*names.next()?, number_of(value));
        rest = match behind {
            [b',', more @ ..] => more,
            [b']'] => &[],
            _ => return None,
        };
        match (name, number) {
            ("lot", Some(lot)) => told.plain(name, &lot_text(lot)),
            ("pending_until", Some(at)) if at >= MAX_INSTANT => {} // it waits for a pool's answer
            ("expires_at", Some(at)) if at >= MAX_INSTANT => told.raw(name, b"null"),
            ("expires_at", Some(at)) => told.plain(name, &zone.text(at)?),
            (
                "anchor_at" | "bought_at" | "earned_at" | "pending_until" | "due_at" | "until_at" | "from_at" | "at"
                | "time",
                Some(at),
            ) => {
                if at != 0 {
                    told.plain(name, &zone.text(at)?);
                }
            }
            ("month" | "first_month" | "last_month" | "first", Some(bucket)) => {
                if bucket != 0 {
                    told.plain(name, &bucket_text(bucket));
                }
            }
            ("data", None) => told.raw(name, serde_json::from_slice::<Cow<str>>(value).ok()?.as_bytes()),
            _ if value == b"\"\"" || value == b"false" => {}
            _ => told.raw(name, value),
        }
    }
    names.next().is_none().then(|| told.end())
}

/// Return how long the text, number or truth is with which JSON begins; None where it is none of these.
fn length_of(json: &[u8]) -> Option<usize> {
    if json.first()? != &b'"' {
        let is_scalar = |byte: &u8| !matches!(byte, b'[' | b'{');
        return json
            .iter()
            .position(|byte| matches!(byte, b',' | b']'))
            .filter(|_| json.first().is_some_and(is_scalar));
    }
    let mut at = 1;
    loop {
        match json.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Return a whole number that JSON is.
fn number_of(json: &[u8]) -> Option<i64> {
    if matches!(json.first()?, b'0'..=b'9' | b'-') { str::from_utf8(json).ok()?.parse().ok() } else { None }
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
