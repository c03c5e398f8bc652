//! An entry as JSON, as the outcomes topic is told. `ledger/wire/entry_json.py` is the same in Python.

use crate::entries::{DAY_BUCKETS, FIRST_MONTH, LOT_BITS};
use crate::plain_entry::{self, Kind, Meaning, Value, Walk};
use crate::times::{MAX_INSTANT, Zone, day_text, month_text};

const OUTCOMES: [&str; 3] = ["accepted", "refused", "ignored"];

/// What tells of entries one after the other, with times in a zone.
pub struct Telling<'a> {
    zone: &'a Zone,
    told: Object,
    instants: Recent,
    buckets: Recent,
}

impl Telling<'_> {
    pub fn new(zone: &Zone) -> Telling<'_> {
        Telling { zone, told: Object::default(), instants: Recent::default(), buckets: Recent::default() }
    }

    /// Return the entry at a place of the journal as it is published; None where Python is to describe it.
    ///
    /// `link` is the chain's at it. A published rule book stands in every partition: all but one are a copy.
    /// The fact's data is told as it is stored: it was found to be JSON when the fact was taken.
    pub fn published(&mut self, place: i64, state: &[u8], link: &[u8], is_copy: bool) -> Option<&[u8]> {
        let entry = plain_entry::outline(state)?;
        let [kind, id, source, data] = named(entry.fact)?;
        self.told.0.clear();
        self.told.two_numbers(r#"{"position":"#, [entry.partition, entry.offset], ":");
        self.told.plain(r#","outcome":"#, OUTCOMES.get(usize::try_from(entry.outcome).ok()?)?);
        self.told.text(r#","reason":"#, entry.reason)?;
        self.told.text(r#","member":"#, entry.member)?;
        self.told.number(r#","number":"#, entry.number);
        self.told.plain(r#","type":"#, kind);
        self.told.plain(r#","id":"#, id);
        self.told.plain(r#","source":"#, source);
        self.instant(r#","occurred":"#, entry.occurred)?;
        self.instant(r#","recorded":"#, entry.recorded)?;
        self.instant(r#","clock":"#, entry.clock)?;
        self.told.json(r#","figures":{"#);
        self.figures(entry.figures)?;
        self.told.json("}");
        self.told.text(r#","version":"#, entry.version)?;
        self.told.number(r#","engine":"#, entry.engine);
        self.told.json(r#","data":"#);
        self.told.json(data);
        self.told.json(r#","changes":["#);
        let mut from = entry.changes;
        for place in 0..from.array()? {
            self.told.json(if place == 0 { "{" } else { ",{" });
            self.change(&mut from)?;
            self.told.json("}");
        }
        self.told.json("]");
        self.told.hex(r#","link":"#, link);
        if entry.backlog {
            self.told.json(r#","backlog":true"#);
        }
        if entry.pushed != 0 {
            self.instant(r#","stamped":"#, entry.recorded - entry.pushed)?;
        }
        self.told.number(r#","place":"#, place);
        if is_copy {
            self.told.json(r#","copy":true"#);
        }
        self.told.json("}");
        Some(&self.told.0)
    }

    /// Add an instant as clocks show it; None where it has no text.
    fn instant(&mut self, name: &str, instant: i64) -> Option<()> {
        let text = self.instants.text(instant, |instant| self.zone.text(instant))?;
        self.told.plain(name, text);
        Some(())
    }

    /// Add the figures by their names; None where a name comes twice.
    fn figures(&mut self, mut from: Walk) -> Option<()> {
        let mut names = Vec::new();
        for _ in 0..from.map()? {
            let name = from.text()?;
            if names.contains(&name) {
                return None;
            }
            if !names.is_empty() {
                self.told.json(",");
            }
            names.push(name);
            self.told.text("", name)?;
            self.told.value(":", from.value(Kind::Figure)?)?;
        }
        Some(())
    }

    /// Add a change with its name under `change`, times in the zone, and empty fields left out.
    fn change(&mut self, from: &mut Walk) -> Option<()> {
        let (tag, fields) = from.change()?;
        self.told.plain(r#""change":"#, tag);
        for field in fields {
            let name = field.name; // as JSON
            match (field.meaning, from.value(field.kind)?) {
                (_, Value::Text(b"") | Value::Truth(false)) => {}
                (Meaning::Lot, Value::Number(lot)) => {
                    self.told.two_numbers(name, [lot >> LOT_BITS, (lot & ((1 << LOT_BITS) - 1)) + 1], ".");
                }
                (Meaning::Wait, Value::Number(at)) if at >= MAX_INSTANT => {} // for a pool's answer
                (Meaning::End, Value::Number(at)) if at >= MAX_INSTANT => {
                    self.told.json(name);
                    self.told.json("null");
                }
                (Meaning::Wait | Meaning::Instant | Meaning::Bucket, Value::Number(0)) => {}
                (Meaning::Wait | Meaning::Instant | Meaning::End, Value::Number(at)) => self.instant(name, at)?,
                (Meaning::Bucket, Value::Number(bucket)) => {
                    self.told.plain(name, self.buckets.text(bucket, |bucket| Some(bucket_text(bucket)))?);
                }
                // It is written as what is kept under another name of the member's: Python tells that.
                (Meaning::Key, Value::Text(key)) if key.starts_with(b"~") && key.contains(&b'\n') => return None,
                (Meaning::Json, Value::Text(json)) => {
                    self.told.json(name);
                    self.told.json(std::str::from_utf8(json).ok()?);
                }
                (_, value) => self.told.value(name, value)?,
            }
        }
        Some(())
    }
}

/// Return the type, id and source of a fact, and its data as JSON; None where one has an escape or stands elsewhere.
fn named(fact: &[u8]) -> Option<[&str; 4]> {
    const NAMES: [&str; 5] =
        [r#"{"type":""#, r#","specversion":"1.0","id":""#, r#","source":""#, r#","subject":""#, r#","time":""#];
    let mut rest = std::str::from_utf8(fact).ok()?;
    let mut texts = [""; 5];
    for (name, text) in NAMES.into_iter().zip(&mut texts) {
        (*text, rest) = rest.strip_prefix(name)?.split_once('"')?;
        if text.contains('\\') {
            return None;
        }
    }
    let data = rest.strip_prefix(r#","data":"#)?.strip_suffix('}')?;
    let [kind, id, source, ..] = texts;
    Some([kind, id, source, data])
}

/// JSON in the making. A `name` is JSON too, with what stands before and behind it.
#[derive(Default)]
struct Object(Vec<u8>);

impl Object {
    fn json(&mut self, json: &str) {
        self.0.extend_from_slice(json.as_bytes());
    }

    /// Add a text in which nothing is to be escaped.
    fn plain(&mut self, name: &str, text: &str) {
        self.json(name);
        self.quoted(text.as_bytes());
    }

    fn text(&mut self, name: &str, text: &str) -> Option<()> {
        self.value(name, Value::Text(text.as_bytes()))
    }

    fn number(&mut self, name: &str, number: i64) {
        self.json(name);
        self.digits(number);
    }

    /// Add a text of two numbers with a mark between them.
    fn two_numbers(&mut self, name: &str, [first, second]: [i64; 2], mark: &str) {
        self.json(name);
        self.json("\"");
        self.digits(first);
        self.json(mark);
        self.digits(second);
        self.json("\"");
    }

    /// Add bytes as a text of hexadecimal digits.
    fn hex(&mut self, name: &str, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.json(name);
        self.json("\"");
        for byte in bytes {
            self.0.extend_from_slice(&[byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]));
        }
        self.json("\"");
    }

    fn value(&mut self, name: &str, value: Value) -> Option<()> {
        self.json(name);
        match value {
            Value::Text(text) if text.iter().all(|byte| is_plain(*byte)) => self.quoted(text),
            Value::Text(text) => serde_json::to_writer(&mut self.0, std::str::from_utf8(text).ok()?).ok()?,
            Value::Number(number) => self.digits(number),
            Value::Truth(truth) => self.json(if truth { "true" } else { "false" }),
        }
        Some(())
    }

    fn quoted(&mut self, text: &[u8]) {
        self.0.push(b'"');
        self.0.extend_from_slice(text);
        self.0.push(b'"');
    }

    fn digits(&mut self, number: i64) {
        serde_json::to_writer(&mut self.0, &number).expect("a number is written to memory");
    }
}

/// Return true for a character of ASCII that JSON does not escape.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

const RECENT: usize = 8;

/// The texts of some numbers that were told last: entries that stand together name few.
#[derive(Default)]
struct Recent(Vec<(i64, String)>);

impl Recent {
    /// Return the text of a number, as `make` writes it.
    fn text(&mut self, number: i64, make: impl FnOnce(i64) -> Option<String>) -> Option<&str> {
        let known = self.0.iter().position(|(of, _)| *of == number);
        let place = match known {
            Some(place) => place,
            None => {
                let text = make(number)?;
                if self.0.len() == RECENT {
                    self.0.clear();
                }
                self.0.push((number, text));
                self.0.len() - 1
            }
        };
        Some(&self.0[place].1)
    }
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
