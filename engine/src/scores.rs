//! Scores are functions of an account and an instant, never stored: sums of some buckets, and what does not age.

use crate::account::Account;
use crate::entries::Map;
use crate::programme::Version;
use crate::rankings::Ranking;

/// Return a score at an instant, from the sums known now; never below 0.
pub fn value_at(account: &Account, version: &Version, name: &str, instant: i64) -> i64 {
    let ranking = &version.rankings[name];
    value_in(account, ranking, ranking.period_at(instant, &version.zone))
}

/// Return the score of a period (a month, day or year as a bucket), from the sums known now; never below 0.
pub fn value_in(account: &Account, ranking: &Ranking, period: i64) -> i64 {
    let mut value = once_of(account, &ranking.name);
    if let Some(sums) = account.sums.get(&ranking.name) {
        let (first, last) = ranking.window_of(period);
        let counted = sums.iter().filter(|(bucket, _)| first <= **bucket && **bucket <= last);
        value += counted.flat_map(|(_, parts)| parts.values()).sum::<i64>();
    }
    for (attribute, held, most) in &ranking.limits {
        let known = match &**attribute {
            "stars" => account.stars,
            _ => account.credit,
        };
        if known == *held {
            value = value.min(*most);
        }
    }
    value.max(0)
}

/// Return what a score comes to without ageing: all that came and went of the buckets from `first` on.
pub fn value_since(account: &Account, ranking: &Ranking, first: i64) -> i64 {
    let sums = account.sums.get(&ranking.name).into_iter().flatten().filter(|(bucket, _)| **bucket >= first);
    once_of(account, &ranking.name) + sums.flat_map(|(_, parts)| Map::values(parts)).sum::<i64>()
}

fn once_of(account: &Account, score: &str) -> i64 {
    let own = |key: &str| key.strip_prefix(score).is_some_and(|rest| rest.starts_with('/'));
    account.once.iter().filter(|(key, _)| own(key)).map(|(_, points)| points).sum()
}
