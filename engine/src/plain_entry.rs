//! An entry's stored bytes walked from end to end, to know that Python reads them, with nothing made of them.
//!
//! It takes less than MessagePack allows: every field of an entry and of its changes, of the type that it is declared
//! with. What it does not take is read by Python.

use crate::entries::{Change, Figure, Text};

/// What an entry's bytes say. `figures` and `changes` are walked anew, and are as they should be.
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
    pub pushed: i64,
}

const FIELDS: usize = 16; // and `pushed` where it is not 0

/// Return what an entry's bytes say, None where they are not plainly an entry's.
pub fn read(state: &[u8]) -> Option<PlainEntry<'_>> {
    let mut from = Walk { bytes: state };
    let fields = from.array()?;
    let member = from.text()?;
    let (number, partition, offset) = (from.number()?, from.number()?, from.number()?);
    let (occurred, recorded, clock) = (from.number()?, from.number()?, from.number()?);
    let (backlog, version, engine) = (from.truth()?, from.text()?, from.number()?);
    let (outcome, reason) = (from.number()?, from.text()?);
    let figures = from;
    for _ in 0..from.map()? {
        from.text()?;
        Figure::take(&mut from)?;
    }
    let changes = from;
    for _ in 0..from.array()? {
        let (_, fields) = from.change()?;
        fields.iter().try_for_each(|(_, take)| take(&mut from).map(drop))?;
    }
    let (fact, _received) = (from.binary()?, from.binary()?);
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
        pushed,
    })
}

/// What of an entry its fact does not say, and the fact. Figures and changes are passed over, whatever they are.
pub struct Head<'a> {
    pub offset: i64,
    pub recorded: i64,
    pub clock: i64,
    pub backlog: bool,
    pub version: &'a str,
    pub engine: i64,
    pub fact: &'a [u8],
    pub received: &'a [u8],
    pub pushed: i64,
}

/// Return the head of an entry, None where its bytes are not plainly an entry's.
pub fn head(state: &[u8]) -> Option<Head<'_>> {
    let mut from = Walk { bytes: state };
    let fields = from.array()?;
    from.text()?; // the member
    let (_number, _partition, offset) = (from.number()?, from.number()?, from.number()?);
    let (_occurred, recorded, clock) = (from.number()?, from.number()?, from.number()?);
    let (backlog, version, engine) = (from.truth()?, from.text()?, from.number()?);
    from.pass(4)?; // outcome, reason, figures and changes
    let (fact, received) = (from.binary()?, from.binary()?);
    let pushed = match fields.checked_sub(FIELDS)? {
        0 => 0,
        1 => from.number()?,
        _ => return None,
    };
    let head = Head { offset, recorded, clock, backlog, version, engine, fact, received, pushed };
    from.bytes.is_empty().then_some(head)
}

/// A value of a figure or of a change's field.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    Text(&'a str),
    Number(i64),
    Truth(bool),
}

/// A field of a change: its name, and what takes a value of its type; None where there is another.
pub type Field = (&'static str, for<'a> fn(&mut Walk<'a>) -> Option<Value<'a>>);

/// The type of a change's field.
pub trait Scalar {
    /// Take a value of this type.
    fn take<'a>(from: &mut Walk<'a>) -> Option<Value<'a>>;
}

impl Scalar for Text {
    fn take<'a>(from: &mut Walk<'a>) -> Option<Value<'a>> {
        from.text().map(Value::Text)
    }
}

impl Scalar for i64 {
    fn take<'a>(from: &mut Walk<'a>) -> Option<Value<'a>> {
        from.number().map(Value::Number)
    }
}

impl Scalar for bool {
    fn take<'a>(from: &mut Walk<'a>) -> Option<Value<'a>> {
        from.truth().map(Value::Truth)
    }
}

impl Scalar for Figure {
    fn take<'a>(from: &mut Walk<'a>) -> Option<Value<'a>> {
        match from.bytes.first()? {
            0xa0..=0xbf | 0xd9..=0xdb => Text::take(from),
            _ => i64::take(from),
        }
    }
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

    /// Take a text.
    pub fn text(&mut self) -> Option<&'a str> {
        let length = match self.byte()? {
            head @ 0xa0..=0xbf => usize::from(head & 0x1f),
            0xd9 => self.length::<1>()?,
            0xda => self.length::<2>()?,
            0xdb => self.length::<4>()?,
            _ => return None,
        };
        std::str::from_utf8(self.some(length)?).ok()
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
