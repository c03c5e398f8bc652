//! One partition's members in memory, and batches of facts decided on them.
//!
//! What this engine does not do it hands back: the member's facts of the batch are decided by Python, and nothing of them
//! is kept here. `handed_back.rs` lists the reasons.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::account::Account;
use crate::compact::Texts;
use crate::decide::{Arrival, Place, decide};
use crate::draft::{Done, Pages, Stop};
use crate::entries::{Change, Earned, Entry, Map, Text, leaf_of, link_after};
use crate::evolve::apply_entry;
use crate::facts::Fact;
use crate::handed_back::HandedBack;
use crate::members::{Encoded, KeptPages, Member, keeping};
use crate::page_keys::{cards_ahead, pages_ahead};
use crate::pages::Page;
use crate::programme::Programme;
use crate::quiet::caught;
use crate::stored::{pack, unpack};

const SNAPSHOT_EVERY: i64 = 64;
const SNAPSHOT_ON_EVICTION: i64 = 8;
const HOT: usize = 4; // this part of the memory for members is the hot ones' at least
// A member is kept so many batches longer than one of half as many entries.
const BATCHES_LONGER: u64 = 20;
const MEMBERS_AT_ONCE: usize = 256; // that are read before the first of them is decided on

/// A member's snapshot, if there is one, and the entries behind it.
pub type Stored = (Option<Vec<u8>>, Vec<Vec<u8>>);

/// A page as it is stored: key, member, bytes.
pub type StoredPage = (String, String, Vec<u8>);

/// A member's pages by their keys, as they are stored; None: there is none.
type ReadAhead = FxHashMap<String, Option<Vec<u8>>>;

/// A member by what is stored, or what is wrong with that.
type Loaded<'a> = (&'a Text, Result<Member, String>);

/// What is read of a journal while a batch is decided.
pub trait Store {
    /// Return of each of some members the snapshot, if there is one, and the entries behind it.
    fn accounts(&mut self, members: Vec<&str>) -> Result<Vec<Stored>, String>;
    /// Return those that there are of some pages (key and member), in their order.
    fn pages(&mut self, asked: Vec<(&str, &str)>) -> Result<Vec<StoredPage>, String>;
    /// Return the bytes of a member's page.
    fn page(&mut self, member: &str, key: &str) -> Result<Option<Vec<u8>>, String>;
    /// Return the bytes of a member's entry by its number.
    fn entry(&mut self, member: &str, number: i64) -> Result<Option<Vec<u8>>, String>;
}

/// A fact where it stands in the stream.
pub struct Item {
    pub member: Text,
    pub offset: i64,
    pub recorded: i64,
    pub pushed: i64,
    pub backlog: bool,
    pub canonical: Vec<u8>,
    pub received: Vec<u8>,
    /// Or why it is to be handed back.
    pub fact: Result<Fact, HandedBack>,
}

/// The number of the entry that decided a fact, or below 0 its place in this batch as `-1 - place`; and whether the
/// content is the same.
pub type Repeats = (i64, bool);

/// What a fact came to.
#[derive(Clone, Default)]
pub struct Decided {
    pub number: i64,
    pub outcome: i64,
    pub state: Vec<u8>,
}

/// What a batch came to: by its places what is decided, what is to be written, and who is handed back.
#[derive(Default)]
pub struct Batch {
    pub decided: Vec<Decided>,
    pub pages: Vec<(String, Text, Vec<u8>)>,
    pub snapshots: Vec<(Text, i64, Vec<u8>)>,
    pub handed_back: Vec<(Text, HandedBack)>,
}

/// A partition's members and its programme.
pub struct Engine {
    pub book: Programme,
    partition: i64,
    max_age: i64,
    most_bytes: usize,
    members: FxHashMap<Text, Member>,
    bytes: usize,
    encoded: FxHashSet<Encoded>,
    encoded_bytes: usize,
    texts: Texts,
    batches: u64,
}

impl Engine {
    /// Make an engine that holds about `most_bytes` of members.
    pub fn new(partition: i64, max_age: i64, most_bytes: usize) -> Engine {
        Engine {
            book: Programme::default(),
            partition,
            max_age,
            most_bytes,
            members: FxHashMap::default(),
            bytes: 0,
            encoded: FxHashSet::default(),
            encoded_bytes: 0,
            texts: Texts::default(),
            batches: 0,
        }
    }

    /// Forget all members: after an error some may be ahead of what is stored.
    pub fn clear(&mut self) {
        self.members.clear();
        self.encoded.clear();
        (self.bytes, self.encoded_bytes) = (0, 0);
    }

    /// Forget a member, whom Python has decided about.
    fn forget(&mut self, member: &str) {
        if let Some(known) = self.members.remove(member) {
            self.bytes -= known.weight;
        }
        self.take_encoded(member);
    }

    /// Take a member out of the encoded ones.
    fn take_encoded(&mut self, member: &str) -> Option<Encoded> {
        let taken = self.encoded.take(member)?;
        self.encoded_bytes -= taken.weight();
        Some(taken)
    }

    /// Return true if a member is in memory.
    pub fn has(&self, member: &str) -> bool {
        self.members.contains_key(member) || self.encoded.contains(member)
    }

    /// Decide a batch, member by member; `repeats` by the places of facts that came before.
    ///
    /// Raises what the store does; the engine is then to be cleared.
    pub fn decide(
        &mut self,
        items: &[&Item],
        repeats: &FxHashMap<usize, Repeats>,
        store: &mut dyn Store,
    ) -> Result<Batch, String> {
        self.batches += 1;
        let mut batch = Batch { decided: vec![Decided::default(); items.len()], ..Batch::default() };
        let mut by_member: Map<&Text, Vec<usize>> = Map::default();
        for (place, item) in items.iter().enumerate() {
            by_member.entry(&item.member).or_default().push(place);
        }
        let mut ahead = self.read_ahead(&by_member, items, store)?;
        let lacking: Vec<&Text> = by_member.keys().filter(|&&name| !self.members.contains_key(name)).copied().collect();
        let mut lacking = lacking.chunks(MEMBERS_AT_ONCE);
        let mut loaded: FxHashMap<&Text, Result<Member, String>> = FxHashMap::default();
        for (&name, places) in &by_member {
            if let Some(why) = places.iter().find_map(|&place| items[place].fact.as_ref().err().copied()) {
                self.forget(name);
                batch.handed_back.push((name.clone(), why));
                continue;
            }
            let mut member = match self.members.remove(name) {
                Some(member) => {
                    self.bytes -= member.weight;
                    member
                }
                None => {
                    while !loaded.contains_key(name) {
                        let some = lacking.next().expect("all that are not in memory are named");
                        let mut members = self.load(some, store)?;
                        self.read_cards_ahead(&mut members, &by_member, items, store)?;
                        loaded.extend(members);
                    }
                    loaded.remove(name).expect("it was read")?
                }
            };
            for (key, page) in ahead.remove(name).unwrap_or_default() {
                member.pages.keep(&key, page.as_deref());
            }
            let mut written = FxHashMap::default();
            let done = caught(|| {
                self.decide_member(&mut member, name, places, items, repeats, store, &mut written, &mut batch)
            });
            let why = match done {
                Some(Ok(())) => None,
                Some(Err(Stop::Store(error))) => return Err(error),
                Some(Err(Stop::HandBack(why))) => Some(why),
                Some(Err(Stop::Decline(..))) | None => Some(HandedBack::BrokenInvariant),
            };
            if let Some(why) = why {
                batch.handed_back.push((name.clone(), why));
                continue;
            }
            for (key, page) in written {
                let packed = pack(&page);
                member.pages.keep(&key, Some(&packed));
                batch.pages.push((key, name.clone(), packed));
            }
            if member.account.number - member.saved >= SNAPSHOT_EVERY {
                member.saved = member.account.number;
                batch.snapshots.push((name.clone(), member.saved, pack(&member.account)));
            }
            member.worth = worth(self.batches, member.account.number);
            member.weight = member.weigh();
            self.bytes += member.weight;
            self.members.insert(name.clone(), member);
        }
        self.evict(&mut batch);
        batch.pages.sort_unstable_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        batch.snapshots.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Ok(batch)
    }

    /// Return members who are not ready to be decided on: decoded, or read of the store.
    fn load<'a>(&mut self, names: &[&'a Text], store: &mut dyn Store) -> Result<Vec<Loaded<'a>>, String> {
        let (mut loaded, mut lacking) = (Vec::with_capacity(names.len()), Vec::new());
        for &name in names {
            match self.take_encoded(name) {
                Some(encoded) => loaded.push((name, Ok(encoded.decoded(&self.texts)))),
                None => lacking.push(name),
            }
        }
        if !lacking.is_empty() {
            let found = store.accounts(lacking.iter().map(|name| &***name).collect())?;
            if found.len() != lacking.len() {
                return Err("the store has not answered for each member".to_owned());
            }
            loaded.extend(lacking.into_iter().zip(found.into_iter().map(folded)));
        }
        Ok(loaded)
    }

    /// Read at once the pages that a batch will ask for and that are not in memory; each by its member and key.
    fn read_ahead<'a>(
        &self,
        by_member: &Map<&'a Text, Vec<usize>>,
        items: &[&Item],
        store: &mut dyn Store,
    ) -> Result<FxHashMap<&'a Text, ReadAhead>, String> {
        let mut asked: FxHashMap<&Text, ReadAhead> = FxHashMap::default();
        for (&name, places) in by_member {
            let known = self.members.get(name);
            let facts = places.iter().filter_map(|place| items[*place].fact.as_ref().ok());
            let keys = facts.flat_map(|fact| {
                let cards = known.map(|member| cards_ahead(fact, &self.book, &member.account));
                pages_ahead(fact, &self.book).into_iter().chain(cards.into_iter().flatten())
            });
            let lacking = keys.filter(|key| known.is_none_or(|member| member.pages.get(key).is_none()));
            let lacking: ReadAhead = lacking.map(|key| (key, None)).collect();
            if !lacking.is_empty() {
                asked.insert(name, lacking);
            }
        }
        read_pages(&mut asked, store)?;
        Ok(asked)
    }

    /// Read at once the pages of the cards that the orders of members count on who were just read; these keep them.
    fn read_cards_ahead<'a>(
        &self,
        members: &mut [Loaded<'a>],
        by_member: &Map<&'a Text, Vec<usize>>,
        items: &[&Item],
        store: &mut dyn Store,
    ) -> Result<(), String> {
        let mut asked: FxHashMap<&Text, ReadAhead> = FxHashMap::default();
        for (name, member) in members.iter() {
            let Ok(member) = member else { continue };
            let facts = by_member[name].iter().filter_map(|place| items[*place].fact.as_ref().ok());
            let keys = facts.flat_map(|fact| cards_ahead(fact, &self.book, &member.account));
            let keys: ReadAhead = keys.map(|key| (key, None)).collect();
            if !keys.is_empty() {
                asked.insert(name, keys);
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        read_pages(&mut asked, store)?;
        for (name, member) in members {
            if let (Ok(member), Some(pages)) = (member, asked.get(name)) {
                pages.iter().for_each(|(key, page)| member.pages.keep(key, page.as_deref()));
            }
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn decide_member(
        &self,
        member: &mut Member,
        name: &Text,
        places: &[usize],
        items: &[&Item],
        repeats: &FxHashMap<usize, Repeats>,
        store: &mut dyn Store,
        written: &mut FxHashMap<String, Page>,
        batch: &mut Batch,
    ) -> Done {
        if self.book.is_shared(name) || !member.account.seats.is_empty() {
            return Err(Stop::HandBack(HandedBack::Pool));
        }
        let Member { account, pages, .. } = member;
        let mut pages = MemberPages { member: name, pages, store, written, entered: FxHashMap::default() };
        for &place in places {
            let (item, fact) = (items[place], items[place].fact.as_ref().expect("others are handed back"));
            let repeats = repeats.get(&place).map(|&(number, is_same)| {
                let in_batch = usize::try_from(-1 - number).ok();
                (in_batch.map_or(number, |place| batch.decided[place].number), is_same)
            });
            let (recorded, pushed, backlog) = (item.recorded, item.pushed, item.backlog);
            let arrival = Arrival { recorded, pushed, backlog, repeats, max_age: self.max_age };
            let decision = decide(account, &mut pages, fact, &self.book, arrival)?;
            account.number += 1;
            let outcome = decision.outcome;
            let entry_place = Place {
                member: name.clone(),
                number: account.number,
                partition: self.partition,
                offset: item.offset,
                recorded,
                backlog,
                pushed,
            };
            let entry = decision.into_entry(entry_place, fact.occurred, &item.canonical, &item.received);
            batch.decided[place] = Decided { number: account.number, outcome, state: pack(&entry) };
        }
        Ok(())
    }

    /// Where there are too many bytes, encode the hot members worth least, and let go of the encoded ones worth least.
    ///
    /// Of one that goes there is a snapshot where a reload would have to fold many entries.
    fn evict(&mut self, batch: &mut Batch) {
        if self.bytes + self.encoded_bytes <= self.most_bytes {
            return;
        }
        let most = self.most_bytes / 16 * 15;
        let over = self.bytes + self.encoded_bytes - most;
        let hot = self.bytes.saturating_sub(over).max(most / HOT);
        let least = keeping(self.members.values().map(|member| (member.worth, member.weight)), hot);
        for (name, member) in self.members.extract_if(|_, member| member.worth < least) {
            self.bytes -= member.weight;
            let encoded = Encoded::of(&name, &member, &mut self.texts);
            self.encoded_bytes += encoded.weight();
            self.encoded.insert(encoded);
        }
        if self.bytes + self.encoded_bytes <= self.most_bytes {
            return;
        }
        let weights = self.encoded.iter().map(|member| (member.worth, member.weight()));
        let least = keeping(weights, most.saturating_sub(self.bytes));
        for encoded in self.encoded.extract_if(|member| member.worth < least) {
            self.encoded_bytes -= encoded.weight();
            let member = encoded.decoded(&self.texts);
            if member.account.number - member.saved >= SNAPSHOT_ON_EVICTION {
                batch.snapshots.push((encoded.name().into(), member.account.number, pack(&member.account)));
            }
        }
    }
}

/// Return what a member is worth who was used last in a batch: who does much stays longer than who does little.
fn worth(batches: u64, number: i64) -> u64 {
    batches + BATCHES_LONGER * u64::from(number.unsigned_abs().max(1).ilog2())
}

/// Return the links of a chain behind a link, one for each entry.
pub fn links<S: AsRef<[u8]>>(link: [u8; 32], states: &[S]) -> Vec<[u8; 32]> {
    let mut link = link;
    let mut links = Vec::with_capacity(states.len());
    for state in states {
        link = link_after(&link, &leaf_of(state.as_ref()));
        links.push(link);
    }
    links
}

/// Return a member by what is stored.
fn folded((snapshot, entries): Stored) -> Result<Member, String> {
    let mut account = match snapshot {
        Some(bytes) => unpack(&bytes)?,
        None => Account::default(),
    };
    let saved = account.number;
    for bytes in &entries {
        apply_entry(&mut account, &unpack::<Entry>(bytes)?);
    }
    Ok(Member::new(account, saved))
}

/// Read the pages that are named, all at once, in the order of their keys.
fn read_pages(asked: &mut FxHashMap<&Text, ReadAhead>, store: &mut dyn Store) -> Result<(), String> {
    let mut names: Vec<(&str, &str)> = Vec::new();
    for (member, keys) in &*asked {
        names.extend(keys.keys().map(|key| (key.as_str(), &***member)));
    }
    names.sort_unstable();
    let found = store.pages(names)?;
    for (key, member, state) in found {
        if let Some(page) = asked.get_mut(&Text::from(member)).and_then(|keys| keys.get_mut(&key)) {
            *page = Some(state);
        }
    }
    Ok(())
}

/// One member's pages within a batch: what the batch wrote, what is in memory, then the store.
struct MemberPages<'a> {
    member: &'a Text,
    pages: &'a mut KeptPages,
    store: &'a mut dyn Store,
    written: &'a mut FxHashMap<String, Page>,
    entered: FxHashMap<i64, Vec<Earned>>,
}

impl MemberPages<'_> {
    /// Return the bytes of a page that this batch did not write.
    fn stored(&mut self, key: &str) -> Done<Option<&[u8]>> {
        if self.pages.get(key).is_none() {
            let found = self.store.page(self.member, key).map_err(Stop::Store)?;
            self.pages.keep(key, found.as_deref());
        }
        Ok(self.pages.get(key).flatten())
    }
}

impl Pages for MemberPages<'_> {
    fn get(&mut self, key: &str) -> Done<Option<Page>> {
        match self.written.get(key) {
            Some(page) => Ok(Some(page.clone())),
            None => self.stored(key)?.map(unpack).transpose().map_err(|_| Stop::HandBack(HandedBack::UnknownPage)),
        }
    }

    fn has(&mut self, key: &str) -> Done<bool> {
        Ok(self.written.contains_key(key) || self.stored(key)?.is_some())
    }

    fn put(&mut self, key: String, page: Page) {
        self.written.insert(key, page);
    }

    fn enter(&mut self, number: i64, changes: &[Change]) {
        self.entered.insert(number, earned_in(changes));
    }

    fn opened(&mut self, number: i64) -> Done<Vec<Earned>> {
        if let Some(opened) = self.entered.get(&number) {
            return Ok(opened.clone());
        }
        let stored = self.store.entry(self.member, number).map_err(Stop::Store)?;
        let Some(bytes) = stored else {
            return Ok(vec![]);
        };
        let entry: Entry = unpack(&bytes).map_err(Stop::Store)?;
        Ok(earned_in(&entry.changes))
    }
}

/// Return the lots that an entry opened, by its changes.
pub fn earned_in(changes: &[Change]) -> Vec<Earned> {
    let earned = changes.iter().filter_map(|change| match change {
        Change::Earned(earned) => Some(earned.clone()),
        _ => None,
    });
    earned.collect()
}
