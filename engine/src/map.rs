//! A map that keeps the order in which its keys first appeared, and that is small while it has few.
//!
//! Nearly all maps of an account have a handful of keys, which are found faster by looking at each. From `FEW` on an index
//! finds them.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

use rustc_hash::FxHashMap;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

const FEW: usize = 16;
const AT_ONCE: usize = 64; // keys that room is made for because a length says so

/// A map in the order of its keys' first appearance.
#[derive(Clone)]
pub struct Map<K, V> {
    items: Vec<(K, V)>,
    /// Where each key stands, once there are more than `FEW`.
    places: Option<Box<FxHashMap<K, usize>>>,
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Map<K, V> {
        Map { items: Vec::new(), places: None }
    }
}

impl<K, V> Map<K, V> {
    /// Return how many keys there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Return true if there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Take all keys out.
    pub fn clear(&mut self) {
        *self = Map::default();
    }

    /// Return the pairs in their order.
    pub fn items(&self) -> &[(K, V)] {
        &self.items
    }

    /// Return the pairs in their order.
    pub fn iter(&self) -> Pairs<'_, K, V> {
        self.items.iter().map(|(key, value)| (key, value))
    }

    /// Return the pairs in their order, the values to be changed.
    pub fn iter_mut(&mut self) -> PairsMut<'_, K, V> {
        self.items.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Return the keys in their order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator {
        self.items.iter().map(|(key, _)| key)
    }

    /// Return the values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.items.iter().map(|(_, value)| value)
    }

    /// Return the values in the order of their keys, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> + ExactSizeIterator {
        self.items.iter_mut().map(|(_, value)| value)
    }
}

impl<K: Hash + Eq + Clone, V> Map<K, V> {
    /// Return a map of pairs in their order, each of another key.
    pub fn of(items: Vec<(K, V)>) -> Map<K, V> {
        let mut map = Map { items, places: None };
        map.find_places();
        map
    }

    fn place<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        match &self.places {
            None => self.items.iter().position(|(known, _)| known.borrow() == key),
            Some(places) => places.get(key).copied(),
        }
    }

    /// Return the value of a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.place(key).map(|place| &self.items[place].1)
    }

    /// Return the value of a key, to be changed.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.place(key).map(|place| &mut self.items[place].1)
    }

    /// Return true if a key is there.
    pub fn contains_key<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_some()
    }

    /// Give a key a value; returns the one it had. A key that is there stays where it stands.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Some(place) => Some(std::mem::replace(&mut self.items[place].1, value)),
            None => {
                self.push(key, value);
                None
            }
        }
    }

    /// Return the value of a key that may not be there yet.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        Entry { place: self.place(&key), map: self, key }
    }

    /// Take a key out; those behind it move up.
    pub fn shift_remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key)?;
        let (_, value) = self.items.remove(place);
        match &mut self.places {
            Some(places) if self.items.len() > FEW => {
                places.remove(key);
                places.values_mut().filter(|known| **known > place).for_each(|known| *known -= 1);
            }
            places => *places = None,
        }
        Some(value)
    }

    /// Keep only the pairs that are told to be kept.
    pub fn retain(&mut self, mut keeps: impl FnMut(&K, &mut V) -> bool) {
        let before = self.len();
        self.items.retain_mut(|(key, value)| keeps(key, value));
        if self.len() != before {
            self.find_places();
        }
    }

    fn push(&mut self, key: K, value: V) {
        if let Some(places) = &mut self.places {
            places.insert(key.clone(), self.items.len());
        }
        self.items.push((key, value));
        if self.places.is_none() && self.len() > FEW {
            self.find_places();
        }
    }

    /// Find all keys' places anew.
    fn find_places(&mut self) {
        self.places = (self.len() > FEW).then(|| {
            let places = self.items.iter().enumerate().map(|(place, (key, _))| (key.clone(), place));
            Box::new(places.collect())
        });
    }
}

/// A key that may have no value yet.
pub struct Entry<'a, K, V> {
    map: &'a mut Map<K, V>,
    key: K,
    place: Option<usize>,
}

impl<'a, K: Hash + Eq + Clone, V> Entry<'a, K, V> {
    /// Return the value, which is made if the key has none.
    pub fn or_insert_with(self, made: impl FnOnce() -> V) -> &'a mut V {
        let Entry { map, key, place } = self;
        let place = place.unwrap_or_else(|| {
            map.push(key, made());
            map.len() - 1
        });
        &mut map.items[place].1
    }

    /// Return the value, the one that is given if the key has none.
    pub fn or_insert(self, value: V) -> &'a mut V {
        self.or_insert_with(|| value)
    }

    /// Return the value, the default if the key has none.
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<K: Hash + Eq + Clone + Borrow<Q>, V, Q: Hash + Eq + ?Sized> Index<&Q> for Map<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the key is there")
    }
}

impl<K: Hash + Eq + Clone + Borrow<Q>, V, Q: Hash + Eq + ?Sized> IndexMut<&Q> for Map<K, V> {
    fn index_mut(&mut self, key: &Q) -> &mut V {
        self.get_mut(key).expect("the key is there")
    }
}

impl<K: Hash + Eq + Clone, V> Extend<(K, V)> for Map<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        for (key, value) in pairs {
            self.insert(key, value);
        }
    }
}

impl<K: Hash + Eq + Clone, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Map<K, V> {
        let mut map = Map::default();
        map.extend(pairs);
        map
    }
}

impl<K: Hash + Eq + Clone, V, const N: usize> From<[(K, V); N]> for Map<K, V> {
    fn from(pairs: [(K, V); N]) -> Map<K, V> {
        pairs.into_iter().collect()
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

/// The pairs of a map.
pub type Pairs<'a, K, V> = std::iter::Map<std::slice::Iter<'a, (K, V)>, fn(&'a (K, V)) -> (&'a K, &'a V)>;
/// The pairs of a map, the values to be changed.
pub type PairsMut<'a, K, V> = std::iter::Map<std::slice::IterMut<'a, (K, V)>, fn(&'a mut (K, V)) -> (&'a K, &'a mut V)>;

impl<'a, K, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Pairs<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, K, V> IntoIterator for &'a mut Map<K, V> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = PairsMut<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

/// Equal whatever the order, as Python's are.
impl<K: Hash + Eq + Clone, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Map<K, V>) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Serialize, V: Serialize> Serialize for Map<K, V> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self)
    }
}

impl<'de, K: Deserialize<'de> + Hash + Eq + Clone, V: Deserialize<'de>> Deserialize<'de> for Map<K, V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Map<K, V>, D::Error> {
        from.deserialize_map(Reading(PhantomData))
    }
}

struct Reading<K, V>(PhantomData<(K, V)>);

impl<'de, K: Deserialize<'de> + Hash + Eq + Clone, V: Deserialize<'de>> Visitor<'de> for Reading<K, V> {
    type Value = Map<K, V>;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Map<K, V>, A::Error> {
        let mut map = Map::default();
        map.items.reserve_exact(from.size_hint().unwrap_or(0).min(AT_ONCE));
        while let Some((key, value)) = from.next_entry()? {
            map.insert(key, value);
        }
        Ok(map)
    }
}
