//! An entry's stored bytes walked from end to end, to know that Python reads them, with nothing made of them.
//!
//! It takes less than MessagePack allows: every field of an entry and of its changes, of the type that it is declared
//! with. What it does not take is read by Python.

use crate::entries::{Change, Figure, Text};

/// What an entry's bytes say. `figures` and `changes` are walked anew.
pub struct PlainEntry<'a> {
    pub member: &'a str,
    pub number: i64,
    pub partition: i64,
    pub offset: i64,
    pub occurred: i64,
    pub recorded: i64,
    pub clock: i64,
    pub backlog: bool,
    pub version: &'a str,
    pub engine: i64,
    pub outcome: i64,
    pub reason: &'a str,
    pub figures: Walk<'a>,
    pub changes: Walk<'a>,
    pub fact: &'a [u8],
    pub received: &'a [u8],
    pub pushed: i64,
}

const FIELDS: usize = 16; // and `pushed` where it is not 0

/// Return what an entry's bytes say, None where they are not plainly an entry's.
pub fn read(state: &[u8]) -> Option<PlainEntry<'_>> {
    walked(state, |from| {
        for _ in 0..from.map()? {
            from.text()?;
            from.value(Kind::Figure).filter(|value| value.is_utf8())?;
        }
        for _ in 0..from.array()? {
            let (_, fields) = from.change()?;
            fields.iter().all(|field| from.value(field.kind).is_some_and(Value::is_utf8)).then_some(())?;
        }
        Some(())
    })
}

/// Return the same, but figures and changes are passed over, whatever they are.
pub fn outline(state: &[u8]) -> Option<PlainEntry<'_>> {
    walked(state, |from| from.pass(2))
}

/// Return what an entry's bytes say; `pass` goes over its figures and changes.
fn walked<'a>(state: &'a [u8], pass: impl FnOnce(&mut Walk<'a>) -> Option<()>) -> Option<PlainEntry<'a>> {
    let mut from = Walk { bytes: state };
    let fields = from.array()?;
    let member = from.text()?;
    let (number, partition, offset) = (from.number()?, from.number()?, from.number()?);
    let (occurred, recorded, clock) = (from.number()?, from.number()?, from.number()?);
    let (backlog, version, engine) = (from.truth()?, from.text()?, from.number()?);
    let (outcome, reason) = (from.number()?, from.text()?);
    let (figures, mut changes) = (from, from);
    changes.pass(1)?;
    pass(&mut from)?;
    let (fact, received) = (from.binary()?, from.binary()?);
    let pushed = match fields.checked_sub(FIELDS)? {
        0 => 0,
        1 => from.number()?,
        _ => return None,
    };
    from.bytes.is_empty().then_some(PlainEntry {
        member,
        number,
        partition,
        offset,
        occurred,
        recorded,
        clock,
        backlog,
        version,
        engine,
        outcome,
        reason,
        figures,
        changes,
        fact,
        received,
        pushed,
    })
}

/// A value of a figure or of a change's field. A text's bytes may be no UTF-8.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    Text(&'a [u8]),
    Number(i64),
    Truth(bool),
}

/// What a value is of.
#[derive(Clone, Copy)]
pub enum Kind {
    Text,
    Number,
    Truth,
    /// A text or a number.
    Figure,
}

impl Value<'_> {
    fn is_utf8(self) -> bool {
        !matches!(self, Value::Text(text) if std::str::from_utf8(text).is_err())
    }
}

/// What the number or text of a change's field stands for.
#[derive(Clone, Copy)]
pub enum Meaning {
    Lot,
    Instant,
    /// An instant at which points end, if they ever do.
    End,
    /// An instant up to which something waits, perhaps for ever.
    Wait,
    /// A bucket of a score.
    Bucket,
    /// A name under which an account keeps something.
    Key,
    Json,
    Itself,
}

/// A field of a change.
pub struct Field {
    /// As it stands in JSON behind another: a comma, the name and a colon.
    pub name: &'static str,
    pub kind: Kind,
    pub meaning: Meaning,
}

impl Field {
    pub const fn new(field: &str, name: &'static str, kind: Kind) -> Field {
        let meaning = match field.as_bytes() {
            b"lot" | b"to_lot" => Meaning::Lot,
            b"anchor_at" | b"bought_at" | b"earned_at" | b"due_at" | b"until_at" | b"from_at" | b"at" | b"time" => {
                Meaning::Instant
            }
            b"expires_at" => Meaning::End,
            b"pending_until" => Meaning::Wait,
            b"month" | b"first_month" | b"last_month" | b"first" => Meaning::Bucket,
            b"hold" | b"card" | b"house" => Meaning::Key,
            b"data" => Meaning::Json,
            _ => Meaning::Itself,
        };
        Field { name, kind, meaning }
    }
}

/// The type of a change's field.
pub trait Scalar {
    const KIND: Kind;
}

impl Scalar for Text {
    const KIND: Kind = Kind::Text;
}

impl Scalar for i64 {
    const KIND: Kind = Kind::Number;
}

impl Scalar for bool {
    const KIND: Kind = Kind::Truth;
}

impl Scalar for Figure {
    const KIND: Kind = Kind::Figure;
}

/// What is left of some MessagePack.
#[derive(Clone, Copy)]
pub struct Walk<'a> {
    bytes: &'a [u8],
}

impl<'a> Walk<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn some(&mut self, count: usize) -> Option<&'a [u8]> {
        let (some, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(some)
    }

    /// Take an integer of so many bytes.
    fn wide<const WIDTH: usize>(&mut self) -> Option<u64> {
        Some(self.some(WIDTH)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// Take the same as a length.
    fn length<const WIDTH: usize>(&mut self) -> Option<usize> {
        usize::try_from(self.wide::<WIDTH>()?).ok()
    }

    /// Return what is read next; None where it is something else.
    pub fn read<T: serde::Deserialize<'a>>(&self) -> Option<T> {
        rmp_serde::from_slice(self.bytes).ok()
    }

    /// Take the tag of a change, and return it with the fields that follow, which are all of its type.
    pub fn change(&mut self) -> Option<(&'a str, &'static [Field])> {
        let given = self.array()?;
        let tag = self.text()?;
        let fields = Change::fields_of(tag)?;
        (given == 1 + fields.len()).then_some((tag, fields))
    }

    /// Take the head of an array, and return how many values follow.
    pub fn array(&mut self) -> Option<usize> {
        match self.byte()? {
            head @ 0x90..=0x9f => Some(usize::from(head & 0x0f)),
            0xdc => self.length::<2>(),
            0xdd => self.length::<4>(),
            _ => None,
        }
    }

    /// Take the head of a map, and return how many names follow, each with its value.
    pub fn map(&mut self) -> Option<usize> {
        match self.byte()? {
            head @ 0x80..=0x8f => Some(usize::from(head & 0x0f)),
            0xde => self.length::<2>(),
            0xdf => self.length::<4>(),
            _ => None,
        }
    }

    /// Pass over so many values with all that is in them.
    fn pass(&mut self, values: usize) -> Option<()> {
        let mut left = values;
        while left > 0 {
            left -= 1;
            let length = match self.byte()? {
                0..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => 0,
                head @ 0xa0..=0xbf => usize::from(head & 0x1f),
                head @ 0x90..=0x9f => {
                    left = left.checked_add(usize::from(head & 0x0f))?;
                    0
                }
                head @ 0x80..=0x8f => {
                    left = left.checked_add(2 * usize::from(head & 0x0f))?;
                    0
                }
                0xcc | 0xd0 => 1,
                0xcd | 0xd1 => 2,
                0xce | 0xd2 => 4,
                0xcf | 0xd3 => 8,
                0xc4 | 0xd9 => self.length::<1>()?,
                0xc5 | 0xda => self.length::<2>()?,
                0xc6 | 0xdb => self.length::<4>()?,
                0xdc => {
                    left = left.checked_add(self.length::<2>()?)?;
                    0
                }
                0xde => {
                    left = left.checked_add(2 * self.length::<2>()?)?;
                    0
                }
                _ => return None,
            };
            self.some(length)?;
        }
        Some(())
    }

    /// Take a value of a kind; None where there is another.
    pub fn value(&mut self, kind: Kind) -> Option<Value<'a>> {
        match (kind, self.bytes.first()?) {
            (Kind::Text, _) | (Kind::Figure, 0xa0..=0xbf | 0xd9..=0xdb) => self.text_bytes().map(Value::Text),
            (Kind::Number | Kind::Figure, _) => self.number().map(Value::Number),
            (Kind::Truth, _) => self.truth().map(Value::Truth),
        }
    }

    /// Take a text.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.text_bytes()?).ok()
    }

    fn text_bytes(&mut self) -> Option<&'a [u8]> {
        let length = match self.byte()? {
            head @ 0xa0..=0xbf => usize::from(head & 0x1f),
            0xd9 => self.length::<1>()?,
            0xda => self.length::<2>()?,
            0xdb => self.length::<4>()?,
            _ => return None,
        };
        self.some(length)
    }

    fn binary(&mut self) -> Option<&'a [u8]> {
        let length = match self.byte()? {
            0xc4 => self.length::<1>()?,
            0xc5 => self.length::<2>()?,
            0xc6 => self.length::<4>()?,
            _ => return None,
        };
        self.some(length)
    }

    fn number(&mut self) -> Option<i64> {
        match self.byte()? {
            small @ 0..=0x7f => Some(i64::from(small)),
            small @ 0xe0..=0xff => Some(i64::from(small as i8)),
            0xcc => self.wide::<1>().map(|number| number as i64),
            0xcd => self.wide::<2>().map(|number| number as i64),
            0xce => self.wide::<4>().map(|number| number as i64),
            0xcf => self.wide::<8>().and_then(|number| i64::try_from(number).ok()),
            0xd0 => self.wide::<1>().map(|number| i64::from(number as i8)),
            0xd1 => self.wide::<2>().map(|number| i64::from(number as i16)),
            0xd2 => self.wide::<4>().map(|number| i64::from(number as i32)),
            0xd3 => self.wide::<8>().map(|number| number as i64),
            _ => None,
        }
    }

    fn truth(&mut self) -> Option<bool> {
        match self.byte()? {
            0xc2 => Some(false),
            0xc3 => Some(true),
            _ => None,
        }
    }
}
