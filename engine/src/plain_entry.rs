//! An entry's stored bytes walked from end to end, to know that Python reads them, with nothing kept of them.
//!
//! It takes less than MessagePack allows: every field of an entry and of its changes, of the type that it is declared
//! with. What it does not take is read by Python.

use crate::entries::{Change, Figure, Text};

/// What of an entry says where it stands, and by which version it was decided.
pub struct PlainEntry<'a> {
    pub member: &'a str,
    pub number: i64,
    pub partition: i64,
    pub offset: i64,
    pub version: &'a str,
}

const FIELDS: usize = 16; // and `pushed` where it is not 0

/// Return what an entry's bytes say, None where they are not plainly an entry's.
pub fn read(state: &[u8]) -> Option<PlainEntry<'_>> {
    let mut from = Walk { bytes: state };
    let fields = from.array()?;
    let member = from.text()?;
    let (number, partition, offset) = (from.number()?, from.number()?, from.number()?);
    let (_occurred, _recorded, _clock) = (from.number()?, from.number()?, from.number()?);
    let (_backlog, version, _engine) = (from.truth()?, from.text()?, from.number()?);
    let (_outcome, _reason) = (from.number()?, from.text()?);
    for _ in 0..from.map()? {
        from.text()?;
        Figure::pass(&mut from)?;
    }
    for _ in 0..from.array()? {
        let given = from.array()?;
        let fields = Change::fields_of(from.text()?)?;
        if given != 1 + fields.len() {
            return None;
        }
        fields.iter().try_for_each(|pass| pass(&mut from))?;
    }
    let (_fact, _received) = (from.binary()?, from.binary()?);
    match fields.checked_sub(FIELDS)? {
        0 => {}
        1 => _ = from.number()?,
        _ => return None,
    }
    from.bytes.is_empty().then_some(PlainEntry { member, number, partition, offset, version })
}

/// What passes a value of a field's type, None where there is another.
pub type Pass = fn(&mut Walk) -> Option<()>;

/// The type of a change's field.
pub trait Scalar {
    /// Pass a value of this type.
    fn pass(from: &mut Walk) -> Option<()>;
}

impl Scalar for Text {
    fn pass(from: &mut Walk) -> Option<()> {
        from.text().map(drop)
    }
}

impl Scalar for i64 {
    fn pass(from: &mut Walk) -> Option<()> {
        from.number().map(drop)
    }
}

impl Scalar for bool {
    fn pass(from: &mut Walk) -> Option<()> {
        from.truth().map(drop)
    }
}

impl Scalar for Figure {
    fn pass(from: &mut Walk) -> Option<()> {
        match from.bytes.first()? {
            0xa0..=0xbf | 0xd9..=0xdb => Text::pass(from),
            _ => i64::pass(from),
        }
    }
}

/// What is left of some MessagePack.
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

    fn array(&mut self) -> Option<usize> {
        match self.byte()? {
            head @ 0x90..=0x9f => Some(usize::from(head & 0x0f)),
            0xdc => self.length::<2>(),
            0xdd => self.length::<4>(),
            _ => None,
        }
    }

    fn map(&mut self) -> Option<usize> {
        match self.byte()? {
            head @ 0x80..=0x8f => Some(usize::from(head & 0x0f)),
            0xde => self.length::<2>(),
            0xdf => self.length::<4>(),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<&'a str> {
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
