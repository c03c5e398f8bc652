//! A decision in the making: the account, the fact's place and time, and the changes so far.
//!
//! Every change is applied to the account as it is written down, so that each step of a decision stands on the last.

use crate::account::{Account, Purse};
use crate::entries::{Change, Earned, Figure, Figures, LOT_BITS, Map, Scored, Text, lot_key};
use crate::evolve::apply;
use crate::facts::BEANS;
use crate::handed_back::HandedBack;
use crate::pages::{Kind, Page, ScorePage, SeenPage};
use crate::programme::{AT_SHOP, Programme, Version, base_of};
use crate::standing::{Stand, first_tier, stand_of};

const MAX_LOTS: i64 = 1 << LOT_BITS;
const MAX_SHOPS: usize = 1_000;
/// Of each sum of an account or page, either way.
pub const MAX_TOTAL: i128 = 1 << 62;

/// Why a decision does not go on.
#[derive(Debug)]
pub enum Stop {
    /// The fact is refused (a request) or ignored; nothing was changed.
    Decline(Text, Figures),
    /// Python is to decide.
    HandBack(HandedBack),
    /// The store cannot be read.
    Store(String),
}

/// What a step of a decision comes to.
pub type Done<T = ()> = Result<T, Stop>;

/// Return that a fact is declined.
pub fn decline<const N: usize>(reason: impl Into<Text>, figures: [(&str, Figure); N]) -> Stop {
    Stop::Decline(reason.into(), figures.into_iter().map(|(name, figure)| (name.into(), figure)).collect())
}

/// One member's pages, as a decision sees them, and the lots that the member's entries opened.
pub trait Pages {
    /// Return a page by its key.
    fn get(&mut self, key: &str) -> Done<Option<Page>>;
    /// Return true if there is a page of a key.
    fn has(&mut self, key: &str) -> Done<bool>;
    /// Take a page that is new or changed.
    fn put(&mut self, key: String, page: Page);
    /// Take the lots that an entry opened.
    fn enter(&mut self, number: i64, changes: &[Change]);
    /// Return the lots that an earlier entry opened.
    fn opened(&mut self, number: i64) -> Done<Vec<Earned>>;
}

/// A tier that was reached: the score, the tier, the one below it, and when.
pub type Passed = (Text, Text, Text, i64);

/// One decision: `occurred` picks the version and the month, `clock` what is spendable.
pub struct Draft<'a> {
    pub account: &'a mut Account,
    pub pages: &'a mut dyn Pages,
    pub book: &'a Programme,
    pub version: &'a Version,
    pub number: i64,
    pub occurred: i64,
    pub clock: i64,
    pub month: i64,
    pub changes: Vec<Change>,
    pub figures: Figures,
    pub reason: Text,
    pub lots: i64,
    pub refund_fen: i64,
    pub stands: Map<Text, Stand>,
    pub reached: Vec<Passed>,
    pub at_shops: Map<Text, Text>,
    pub unentitled: Map<Text, String>,
}

impl<'a> Draft<'a> {
    /// Begin a decision.
    pub fn new(
        account: &'a mut Account,
        pages: &'a mut dyn Pages,
        book: &'a Programme,
        version: &'a Version,
        occurred: i64,
        clock: i64,
        month: i64,
    ) -> Draft<'a> {
        Draft {
            number: account.number + 1,
            account,
            pages,
            book,
            version,
            occurred,
            clock,
            month,
            changes: Vec::new(),
            figures: Figures::default(),
            reason: Text::default(),
            lots: 0,
            refund_fen: 0,
            stands: Map::default(),
            reached: Vec::new(),
            at_shops: Map::default(),
            unentitled: Map::default(),
        }
    }

    /// Write a change down and apply it.
    pub fn emit(&mut self, change: impl Into<Change>) -> Done {
        let change = change.into();
        let grown = apply(self.account, &change);
        self.changes.push(change);
        bounded(grown).map(|_| ())
    }

    /// Say something of an accepted fact: the first reason stays.
    pub fn note<const N: usize>(&mut self, reason: &str, figures: [(&str, Figure); N]) {
        if self.reason.is_empty() {
            self.reason = reason.into();
        }
        for (name, figure) in figures {
            self.figures.insert(name.into(), figure);
        }
    }

    /// Return the page of a key, if it is of the kind asked for.
    pub fn page<P: Kind>(&mut self, key: &str) -> Done<Option<P>> {
        Ok(self.pages.get(key)?.and_then(P::of))
    }

    /// Return true if there is a page of a key.
    pub fn has_page(&mut self, key: &str) -> Done<bool> {
        self.pages.has(key)
    }

    /// Keep a page.
    pub fn put(&mut self, key: impl Into<String>, page: impl Into<Page>) {
        self.pages.put(key.into(), page.into());
    }

    /// Return the purse of a kind, None where there is none yet.
    pub fn purse(&self, kind: &str) -> Option<&Purse> {
        self.account.purses.get(kind)
    }

    /// Return the purse that a fact means: its kind, or the book's own where it names none, and its shop.
    pub fn kind_of(&self, kind: &Text, shop: &str) -> Done<Text> {
        let kind = if &**kind == BEANS { &self.version.default_kind } else { kind };
        if !self.version.kinds.contains_key(kind) {
            return Err(decline("unknown-kind", [("kind", kind.into())]));
        }
        if !self.version.keyed_kinds.contains(kind) {
            return Ok(kind.clone());
        }
        if shop.is_empty() {
            return Err(decline("shop-missing", [("kind", kind.into())]));
        }
        Ok(at_shop(kind, shop))
    }

    /// Return true if a purse is there or may be opened; false, with a note, where a kind has too many shops.
    pub fn has_room_for(&mut self, kind: &str) -> bool {
        let Some((base, shop)) = kind.split_once(AT_SHOP).filter(|(_, shop)| !shop.is_empty()) else {
            return true;
        };
        if self.account.purses.contains_key(kind) {
            return true;
        }
        let has_shops = |name: &&Text| name.contains(AT_SHOP) && base_of(name) == base;
        if self.account.purses.keys().filter(has_shops).count() < MAX_SHOPS {
            return true;
        }
        let figures = [("kind", base.into()), ("shop", shop.into()), ("most", (MAX_SHOPS as i64).into())];
        self.note("too-many-shops", figures);
        false
    }

    /// Take a business id, or decline what comes again under a new fact id.
    pub fn take_id(&mut self, key: String) -> Done {
        if self.has_page(&key)? {
            return Err(decline("already", []));
        }
        self.put(key, SeenPage {});
        Ok(())
    }

    /// Return the key of a lot that this entry opens.
    pub fn next_lot(&mut self) -> Done<i64> {
        if self.lots >= MAX_LOTS {
            return Err(Stop::HandBack(HandedBack::TooManyLots));
        }
        self.lots += 1;
        Ok(lot_key(self.number, self.lots - 1))
    }

    /// Emit a score item, and remember how its score stood where it moves more than the month that runs.
    pub fn score(&mut self, change: Scored) -> Done {
        if change.score.contains(AT_SHOP) {
            return self.score_at_shop(change);
        }
        if change.month != self.month || self.occurred != self.clock || self.version.live.contains(&change.score) {
            self.remember(&change.score);
        }
        self.emit(change)
    }

    fn score_at_shop(&mut self, change: Scored) -> Done {
        let (name, shop) = change.score.split_once(AT_SHOP).unwrap_or((&change.score, ""));
        let key = format!("score/{name}/{shop}");
        let ranking = &self.version.rankings[name];
        let mut page: ScorePage =
            self.page(&key)?.unwrap_or_else(|| ScorePage { parts: Map::default(), tier: first_tier(ranking) });
        *page.parts.entry(change.part.clone()).or_insert(0) += change.points;
        bounded(page.parts.values().map(|points| i128::from(points.abs())).sum())?;
        let (score, tier) = (change.score.clone(), page.tier.clone());
        self.put(key, page);
        self.emit(change)?;
        // The tier before the first item stays, and the score that moved last comes first.
        let before = self.at_shops.shift_remove(&score).unwrap_or(tier);
        self.at_shops = [(score, before)].into_iter().chain(std::mem::take(&mut self.at_shops)).collect();
        Ok(())
    }

    /// Keep how a score stands before something moves its value, once in a decision.
    pub fn remember(&mut self, score: &Text) {
        if !self.stands.contains_key(score) {
            let version = self.book.nearest(self.clock);
            if let Some(ranking) = version.rankings.get(score) {
                self.stands.insert(score.clone(), stand_of(self.account, ranking, version, self.clock));
            }
        }
    }

    /// Keep how the scores stand that an attribute of the member limits.
    pub fn remember_limited(&mut self, attribute: &str) {
        for (name, ranking) in &self.book.nearest(self.clock).rankings {
            if ranking.limits.iter().any(|(limit, _, _)| &**limit == attribute) {
                self.remember(name);
            }
        }
    }
}

/// Return a sum that an account or a page is to keep.
pub fn bounded(total: i128) -> Done<i64> {
    if (-MAX_TOTAL..=MAX_TOTAL).contains(&total) {
        Ok(total as i64)
    } else {
        Err(Stop::HandBack(HandedBack::OutOfRange))
    }
}

/// Return a kind or score as it is kept for a shop.
pub fn at_shop(name: &str, shop: &str) -> Text {
    format!("{name}{AT_SHOP}{shop}").into()
}
