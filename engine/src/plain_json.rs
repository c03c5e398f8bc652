//! A reader of plain JSON: no escapes, no fractions, and of what is not asked for single values alone.
//!
//! It takes less than JSON allows, and nothing that JSON does not allow. What it does not take is read by Python.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor, value::Error as Odd};
use serde::forward_to_deserialize_any;

const DIGITS: usize = 18;

/// A place in a text that has no backslash.
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
}

fn odd<T>() -> Result<T, Odd> {
    Err(Odd::custom("not plain"))
}

impl<'a> Reader<'a> {
    /// Begin to read; None for bytes that are no UTF-8 or have a backslash.
    pub fn new(bytes: &'a [u8]) -> Option<Reader<'a>> {
        let text = std::str::from_utf8(bytes).ok()?;
        (!bytes.contains(&b'\\')).then_some(Reader { text, at: 0 })
    }

    /// Return the next byte that is no white space, 0 at the end.
    pub fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return *byte;
            }
            self.at += 1;
        }
        0
    }

    /// Return true if nothing but white space is left.
    pub fn is_over(&mut self) -> bool {
        self.peek();
        self.at == self.text.len()
    }

    /// Take a byte, which has to be the next that is no white space.
    pub fn take(&mut self, byte: u8) -> Result<(), Odd> {
        if self.peek() != byte {
            return odd();
        }
        self.at += 1;
        Ok(())
    }

    /// Take a text.
    pub fn string(&mut self) -> Result<&'a str, Odd> {
        self.take(b'"')?;
        let start = self.at;
        for byte in &self.text.as_bytes()[start..] {
            match byte {
                b'"' => {
                    let text = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(text);
                }
                0..0x20 => return odd(),
                _ => self.at += 1,
            }
        }
        odd()
    }

    /// Take a value of any kind, and return its text; what is in it may be no JSON.
    pub fn span(&mut self) -> Result<&'a str, Odd> {
        self.peek();
        let start = self.at;
        let mut depth = 0;
        loop {
            match self.peek() {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                0 => return odd(),
                _ => self.at += self.text[self.at..].chars().next().map_or(0, char::len_utf8),
            }
            if depth <= 0 {
                return Ok(&self.text[start..self.at]);
            }
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Odd> {
        self.peek();
        if !self.text[self.at..].starts_with(word) {
            return odd();
        }
        self.at += word.len();
        Ok(())
    }

    fn integer(&mut self) -> Result<i64, Odd> {
        let is_negative = self.peek() == b'-';
        self.at += usize::from(is_negative);
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_odd = count == 0
            || count > DIGITS
            || rest[0] == b'0' && (count > 1 || is_negative)
            || matches!(rest.get(count), Some(b'.' | b'e' | b'E'));
        if is_odd {
            return odd();
        }
        self.at += count;
        let number = rest[..count].iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        Ok(if is_negative { -number } else { number })
    }

    fn truth(&mut self) -> Result<bool, Odd> {
        if self.peek() == b't' { self.word("true").map(|()| true) } else { self.word("false").map(|()| false) }
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Odd;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        match self.peek() {
            b'"' => visitor.visit_borrowed_str(self.string()?),
            b't' | b'f' => visitor.visit_bool(self.truth()?),
            b'n' => self.word("null").and_then(|()| visitor.visit_unit()),
            _ => visitor.visit_i64(self.integer()?),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        self.deserialize_any(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        visitor.visit_bool(self.truth()?)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        visitor.visit_i64(self.integer()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        visitor.visit_borrowed_str(self.string()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        if self.peek() == b'n' {
            return self.word("null").and_then(|()| visitor.visit_none());
        }
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        self.take(b'[')?;
        visitor.visit_seq(Items { reader: self, end: b']', is_first: true })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        self.take(b'{')?;
        visitor.visit_map(Items { reader: self, end: b'}', is_first: true })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Odd> {
        self.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct tuple
        tuple_struct enum
    }
}

/// What stands between brackets.
struct Items<'r, 'de> {
    reader: &'r mut Reader<'de>,
    end: u8,
    is_first: bool,
}

impl Items<'_, '_> {
    /// Go to the next; false where there is none.
    fn has_next(&mut self) -> Result<bool, Odd> {
        if self.reader.peek() == self.end {
            self.reader.at += 1;
            return Ok(false);
        }
        if !self.is_first {
            self.reader.take(b',')?;
        }
        self.is_first = false;
        Ok(true)
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Odd;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Odd> {
        if self.has_next()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Odd;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Odd> {
        if self.has_next()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Odd> {
        self.reader.take(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}
