//! The open lots of a purse in the order of their keys: a plain list while there are few, a tree where there are many.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::account::Lot;

const FEW: usize = 64; // up to which a list takes less time and half the memory

/// Lots by their keys; those of `many` where there are more than `FEW`, and otherwise those of `few`.
#[derive(Clone, Debug, Default)]
pub struct OpenLots {
    few: Vec<(i64, Lot)>,
    many: BTreeMap<i64, Lot>,
}

impl OpenLots {
    /// Return lots in the order of their keys, each of another.
    pub fn of(lots: Vec<(i64, Lot)>) -> OpenLots {
        if lots.len() > FEW {
            return OpenLots { few: vec![], many: lots.into_iter().collect() };
        }
        OpenLots { few: lots, many: BTreeMap::new() }
    }

    /// Return how many lots there are.
    pub fn len(&self) -> usize {
        self.few.len() + self.many.len()
    }

    /// Return the lots with their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&i64, &Lot)> {
        self.few.iter().map(|(key, lot)| (key, lot)).chain(&self.many)
    }

    /// Return the keys.
    pub fn keys(&self) -> impl Iterator<Item = &i64> {
        self.iter().map(|(key, _)| key)
    }

    /// Return the lots.
    pub fn values(&self) -> impl Iterator<Item = &Lot> {
        self.iter().map(|(_, lot)| lot)
    }

    /// Return the lots, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Lot> {
        self.few.iter_mut().map(|(_, lot)| lot).chain(self.many.values_mut())
    }

    fn place(&self, key: i64) -> Result<usize, usize> {
        match self.few.last() {
            Some((last, _)) if *last < key => Err(self.few.len()), // as nearly every new one
            _ => self.few.binary_search_by_key(&key, |(known, _)| *known),
        }
    }

    /// Return the lot of a key.
    pub fn get(&self, key: &i64) -> Option<&Lot> {
        match self.place(*key) {
            Ok(place) => Some(&self.few[place].1),
            Err(_) => self.many.get(key),
        }
    }

    /// Return the lot of a key, to be changed.
    pub fn get_mut(&mut self, key: &i64) -> Option<&mut Lot> {
        match self.place(*key) {
            Ok(place) => Some(&mut self.few[place].1),
            Err(_) => self.many.get_mut(key),
        }
    }

    /// Open a lot; one of the same key is replaced.
    pub fn insert(&mut self, key: i64, lot: Lot) {
        *self.get_or_open(key, Lot::default) = lot;
    }

    /// Return the lot of a key, which is opened if there is none.
    pub fn get_or_open(&mut self, key: i64, opened: impl FnOnce() -> Lot) -> &mut Lot {
        if self.few.len() == FEW && self.place(key).is_err() {
            self.many = std::mem::take(&mut self.few).into_iter().collect();
        }
        if !self.many.is_empty() {
            return self.many.entry(key).or_insert_with(opened);
        }
        let place = self.place(key).unwrap_or_else(|place| {
            self.few.insert(place, (key, opened()));
            place
        });
        &mut self.few[place].1
    }

    /// Close a lot.
    pub fn remove(&mut self, key: &i64) {
        match self.place(*key) {
            Ok(place) => drop(self.few.remove(place)),
            Err(_) => drop(self.many.remove(key)),
        }
    }
}

impl Index<&i64> for OpenLots {
    type Output = Lot;

    fn index(&self, key: &i64) -> &Lot {
        self.get(key).expect("the lot is open")
    }
}

impl PartialEq for OpenLots {
    fn eq(&self, other: &OpenLots) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Serialize for OpenLots {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for OpenLots {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<OpenLots, D::Error> {
        from.deserialize_map(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = OpenLots;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("a map of lots")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<OpenLots, A::Error> {
        let mut lots = OpenLots::default();
        lots.few.reserve_exact(from.size_hint().unwrap_or(0).min(FEW));
        while let Some((key, lot)) = from.next_entry()? {
            lots.insert(key, lot);
        }
        Ok(lots)
    }
}
