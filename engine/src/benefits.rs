//! How often a benefit was given: by its card's term, day, month, year, pieces of days, or ever.

use crate::account::{Account, Term, is_dropped};
use crate::entries::{DAY_BUCKETS, Text};
use crate::programme::{CountedBy, Per, Perk, Programme, Version};
use crate::times::DAY;

/// Return how a term counts a benefit: by term (bucket 0), or by the bucket of a time.
pub fn quota_key(benefit: &str, bucket: i64) -> Text {
    format!("{benefit}:{bucket}").into()
}

/// Return what a quota counts an instant by: its month, year or day, the last day of its piece of days, or 0.
pub fn bucket_of(perk: &Perk, book: &Programme, version: &Version, term: Option<&Term>, instant: i64) -> i64 {
    match perk.per {
        Per::Month => version.month(instant),
        Per::Year => version.month(instant).div_euclid(12),
        Per::Day => DAY_BUCKETS + version.zone.day(instant),
        Per::Days => {
            let begin = term.map_or(book.versions[0].since, |term| term.start);
            let piece = (instant - begin).div_euclid(perk.days * DAY);
            DAY_BUCKETS + version.zone.day(begin) + (piece + 1) * perk.days - 1
        }
        _ => 0,
    }
}

/// Return how often a benefit was given in a bucket, by its card's term or by the account.
pub fn times_used(account: &Account, perk: &Perk, term: Option<&Term>, bucket: i64) -> i64 {
    if perk.counted == CountedBy::Term {
        return term.and_then(|term| term.used.get(&quota_key(&perk.name, bucket))).copied().unwrap_or(0);
    }
    account.count(bucket, &format!("benefit/{}", perk.name))
}

/// Let a term count claims of days before a month together, so that it stays small and still counts as used.
pub fn forget_days(term: &mut Term, month: i64) {
    let old: Vec<Text> = term.used.keys().filter(|key| is_old(key, month)).cloned().collect();
    for key in old {
        let (benefit, _) = key.rsplit_once(':').expect("a quota's key names its bucket");
        let whole = quota_key(benefit, 0);
        let times = term.used.shift_remove(&key).unwrap_or(0);
        *term.used.entry(whole).or_insert(0) += times;
    }
}

/// Return true if a term counts claims of days before a month by themselves.
pub fn has_old_days(term: &Term, month: i64) -> bool {
    term.used.keys().any(|key| is_old(key, month))
}

fn is_old(key: &str, month: i64) -> bool {
    let bucket: i64 = key.rsplit_once(':').and_then(|(_, bucket)| bucket.parse().ok()).unwrap_or(0);
    bucket >= DAY_BUCKETS && is_dropped(bucket, month)
}

/// Return until when a term is in grace after its end: its end itself where it has none, as trials and refunded cards.
pub fn grace_until(version: &Version, term: &Term) -> i64 {
    match version.products.get(&term.product) {
        Some(product) if !term.trial && (term.cut_at == 0 || term.upgraded) => {
            term.until + product.table.grace_days * DAY
        }
        _ => term.until,
    }
}

/// Return true if a term is over, and may still be renewed from its end on.
pub fn is_in_grace(version: &Version, term: &Term, instant: i64) -> bool {
    term.until <= instant && instant < grace_until(version, term)
}
