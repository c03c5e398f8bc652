//! An account in few bytes, for as long as this process runs: how a member lies in memory who is not decided on.
//!
//! A field that is blank takes a bit. A text that many accounts have is the number of it in a table. A number takes as
//! many bytes as it needs, and an instant as many as its distance from one of the last that were written. What is stored
//! has another form, which does not change: `stored.rs`.

use indexmap::IndexSet;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::account::{Account, Bundle, Lot, OpenHold, Purse, Seat, Term, TierGrant, TierHold};
use crate::entries::{Figure, LOT_BITS, Map, Text};
use crate::open_lots::OpenLots;

const OFTEN: u32 = 32; // a text that was written so many times gets a number
const RARE: usize = 4_096; // texts without a number that are counted
const NUMBERED: usize = 1 << 16; // at most

/// A number from here on, or below its negative, is written by its distance from another.
const LARGE: i64 = 1 << 40;
/// What such a distance may be counted in, in microseconds: the most that divides it is taken.
const UNITS: [i64; 4] = [1, 1_000, 1_000_000, 3_600_000_000];

/// The texts that many accounts have, by their numbers.
#[derive(Default)]
pub struct Texts {
    texts: Vec<Text>,
    numbers: FxHashMap<Text, u64>,
    counted: FxHashMap<Text, u32>,
}

impl Texts {
    /// Return the number of a text, which is from 1 on; None as long as it is rare.
    fn number(&mut self, text: &Text) -> Option<u64> {
        if let Some(number) = self.numbers.get(text) {
            return Some(*number);
        }
        if self.counted.len() == RARE {
            self.counted.clear();
        }
        let times = self.counted.entry(text.clone()).or_default();
        *times += 1;
        if *times < OFTEN || self.texts.len() == NUMBERED {
            return None;
        }
        self.counted.remove(text);
        self.texts.push(text.clone());
        let number = self.texts.len() as u64;
        self.numbers.insert(text.clone(), number);
        Some(number)
    }
}

/// Large numbers to tell others by: 0, and the last three.
#[derive(Default)]
struct Recent {
    values: [i64; 4],
    written: usize,
}

impl Recent {
    fn add(&mut self, value: i64) {
        self.values[1 + self.written % 3] = value;
        self.written += 1;
    }
}

/// What an account is written into.
pub struct Writer<'a> {
    pub bytes: Vec<u8>,
    texts: &'a mut Texts,
    recent: Recent,
}

impl Writer<'_> {
    /// Return a writer behind bytes that there are.
    pub fn behind(bytes: Vec<u8>, texts: &mut Texts) -> Writer<'_> {
        Writer { bytes, texts, recent: Recent::default() }
    }

    /// Write a number of at least 0 in groups of seven bits.
    fn length(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// Write the first byte of a number: `head`, and its lowest `bits` bits; then the others, if there are.
    fn behind_head(&mut self, head: u8, bits: u32, number: u64) {
        let low = head | (number & ((1 << bits) - 1)) as u8;
        let rest = number >> bits;
        if rest == 0 {
            self.bytes.push(low);
        } else {
            self.bytes.push(low | 0x80);
            self.length(rest);
        }
    }

    fn number(&mut self, number: i64) {
        if -LARGE < number && number < LARGE {
            return self.behind_head(0, 6, folded(number));
        }
        let distances = self.recent.values.iter().map(|base| number.wrapping_sub(*base)).enumerate();
        let (base, distance) = distances.min_by_key(|(_, distance)| folded(*distance)).expect("there are four");
        let unit = UNITS.iter().rposition(|unit| distance % unit == 0).expect("1 divides all");
        let head = 0x40 | (base as u8) << 4 | (unit as u8) << 2;
        self.behind_head(head, 2, folded(distance / UNITS[unit]));
        if distance != 0 {
            self.recent.add(number);
        }
    }
}

/// What an account is read from: bytes that `Writer` made in this process, with the same table.
pub struct Reader<'a> {
    bytes: &'a [u8],
    texts: &'a Texts,
    recent: Recent,
}

impl<'a> Reader<'a> {
    /// Return what reads bytes from their beginning.
    pub fn of(bytes: &'a [u8], texts: &'a Texts) -> Reader<'a> {
        Reader { bytes, texts, recent: Recent::default() }
    }

    fn byte(&mut self) -> u8 {
        let (first, rest) = self.bytes.split_first().expect("it was written whole");
        self.bytes = rest;
        *first
    }

    fn length(&mut self) -> u64 {
        let (mut number, mut bits) = (0, 0);
        loop {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f) << bits;
            if byte < 0x80 {
                return number;
            }
            bits += 7;
        }
    }

    fn number(&mut self) -> i64 {
        let head = self.byte();
        let bits = if head & 0x40 == 0 { 6 } else { 2 };
        let low = u64::from(head) & ((1 << bits) - 1);
        let number = if head < 0x80 { low } else { low | self.length() << bits };
        if bits == 6 {
            return unfolded(number);
        }
        let base = self.recent.values[usize::from(head >> 4 & 3)];
        if number == 0 {
            return base;
        }
        let number = base.wrapping_add(unfolded(number).wrapping_mul(UNITS[usize::from(head >> 2 & 3)]));
        self.recent.add(number);
        number
    }
}

/// Return a number as one of at least 0, so that what lies close to 0 stays small.
fn folded(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

fn unfolded(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// What an account consists of.
pub trait Compact: Sized {
    /// Return true if nothing is in it; a struct does not write such a field, and reads it as the default of its type.
    fn is_blank(&self) -> bool;

    /// Write it. Of a `bool` nothing is written: where it is not blank, it is true.
    fn put(&self, to: &mut Writer);

    /// Read what `put` wrote.
    fn take(from: &mut Reader) -> Self;
}

impl Compact for i64 {
    fn is_blank(&self) -> bool {
        *self == 0
    }

    fn put(&self, to: &mut Writer) {
        to.number(*self);
    }

    fn take(from: &mut Reader) -> i64 {
        from.number()
    }
}

impl Compact for bool {
    fn is_blank(&self) -> bool {
        !self
    }

    fn put(&self, _to: &mut Writer) {}

    fn take(_from: &mut Reader) -> bool {
        true
    }
}

impl Compact for Option<Bundle> {
    fn is_blank(&self) -> bool {
        self.is_none()
    }

    fn put(&self, _to: &mut Writer) {}

    fn take(_from: &mut Reader) -> Option<Bundle> {
        Some(Bundle)
    }
}

impl Compact for Text {
    fn is_blank(&self) -> bool {
        self.is_empty()
    }

    fn put(&self, to: &mut Writer) {
        match to.texts.number(self) {
            Some(number) => to.length(number),
            None => {
                to.length(0);
                to.length(self.len() as u64);
                to.bytes.extend_from_slice(self.as_bytes());
            }
        }
    }

    fn take(from: &mut Reader) -> Text {
        match from.length() {
            0 => {
                let length = from.length() as usize;
                let (text, rest) = from.bytes.split_at(length);
                from.bytes = rest;
                str::from_utf8(text).expect("it was a text").into()
            }
            number => from.texts.texts[number as usize - 1].clone(),
        }
    }
}

impl Compact for Figure {
    fn is_blank(&self) -> bool {
        false
    }

    fn put(&self, to: &mut Writer) {
        match self {
            Figure::Number(number) => {
                to.length(0);
                number.put(to);
            }
            Figure::Text(text) => {
                to.length(1);
                text.put(to);
            }
        }
    }

    fn take(from: &mut Reader) -> Figure {
        match from.length() {
            0 => Figure::Number(i64::take(from)),
            _ => Figure::Text(Text::take(from)),
        }
    }
}

impl<A: Compact, B: Compact> Compact for (A, B) {
    fn is_blank(&self) -> bool {
        false
    }

    fn put(&self, to: &mut Writer) {
        self.0.put(to);
        self.1.put(to);
    }

    fn take(from: &mut Reader) -> (A, B) {
        (A::take(from), B::take(from))
    }
}

impl<T: Compact> Compact for Vec<T> {
    fn is_blank(&self) -> bool {
        self.is_empty()
    }

    fn put(&self, to: &mut Writer) {
        put_all(self, to);
    }

    fn take(from: &mut Reader) -> Vec<T> {
        (0..from.length()).map(|_| T::take(from)).collect()
    }
}

impl<K: Compact + std::hash::Hash + Eq + Clone, V: Compact> Compact for Map<K, V> {
    fn is_blank(&self) -> bool {
        self.is_empty()
    }

    fn put(&self, to: &mut Writer) {
        put_all(self.items(), to);
    }

    fn take(from: &mut Reader) -> Map<K, V> {
        Map::of(Vec::take(from))
    }
}

impl Compact for IndexSet<Text, FxBuildHasher> {
    fn is_blank(&self) -> bool {
        self.is_empty()
    }

    fn put(&self, to: &mut Writer) {
        to.length(self.len() as u64);
        self.iter().for_each(|text| text.put(to));
    }

    fn take(from: &mut Reader) -> IndexSet<Text, FxBuildHasher> {
        (0..from.length()).map(|_| Text::take(from)).collect()
    }
}

/// A lot's key is the distance of its entry from the one before, and its place in the entry.
impl Compact for OpenLots {
    fn is_blank(&self) -> bool {
        self.len() == 0
    }

    fn put(&self, to: &mut Writer) {
        to.length(self.len() as u64);
        let mut before = 0;
        for (key, lot) in self.iter() {
            let entry = key >> LOT_BITS;
            to.number(entry.wrapping_sub(before));
            to.number(key & PLACE);
            lot.put(to);
            before = entry;
        }
    }

    fn take(from: &mut Reader) -> OpenLots {
        let mut entry = 0_i64;
        let lots = (0..from.length()).map(|_| {
            entry = entry.wrapping_add(from.number());
            (entry << LOT_BITS | from.number(), Lot::take(from))
        });
        OpenLots::of(lots.collect())
    }
}

const PLACE: i64 = (1 << LOT_BITS) - 1;

fn put_all<T: Compact>(items: &[T], to: &mut Writer) {
    to.length(items.len() as u64);
    items.iter().for_each(|item| item.put(to));
}

/// Write structs as a bit for each field, set where it is not blank, and those fields; what is seldom blank comes first.
macro_rules! compact {
    ($($struct:ident { $($field:ident),* $(,)? })*) => { $(
        impl Compact for $struct {
            fn is_blank(&self) -> bool {
                let $struct { $($field),* } = self;
                true $(&& $field.is_blank())*
            }

            fn put(&self, to: &mut Writer) {
                let $struct { $($field),* } = self;
                let (mut there, mut bit) = (0, 1);
                $(
                    there |= if $field.is_blank() { 0 } else { bit };
                    bit <<= 1;
                )*
                let _ = bit;
                to.length(there);
                $(if !$field.is_blank() {
                    $field.put(to);
                })*
            }

            fn take(from: &mut Reader) -> $struct {
                let mut there = from.length();
                $(
                    let $field = if there & 1 == 1 { Compact::take(from) } else { Default::default() };
                    there >>= 1;
                )*
                let _ = there;
                $struct { $($field),* }
            }
        }
    )* };
}

compact! {
    Lot { left, earned, earned_at, expires_at, rule, returnable, held, pending_until, waits }
    Purse {
        lots, issued, redeemed, expired, clawed_back, idle_until, debt, written_off, cash_shortfall_fen, idle_ended,
        forfeited, gone, come,
    }
    OpenHold { kind, until, parts }
    Term {
        card, product, start, until, bought_at, span, months, anchor, capped, used, rights, trial, ended, cut_at,
        converted, upgraded,
    }
    TierHold { until, value, first, needs }
    TierGrant { score, tier, until }
    Seat { membership, n, terms }
    Account {
        number, clock, next_due_at, next_month_at, purses, sums, counts, days, tiers, marks, once, tier_moves, tier_holds,
        terms, credit, stars, holds, trials, attributes, grants, pruned_before, placed_by, frozen, closed, seats, bundle,
    }
}
