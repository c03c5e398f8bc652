//! Which tier a member has: the higher of the own one and of those granted.

use crate::account::Account;
use crate::entries::Text;
use crate::programme::Version;
use crate::rankings::{Ranking, Window};
use crate::scores::value_in;

/// A score before something moved it: its value, that of the calendar year before, and the place of the own tier.
#[derive(Clone, Copy, Debug)]
pub struct Stand {
    pub value: i64,
    pub last_year: i64,
    pub own: i64,
}

/// Return the place of a member's own tier at a value of the score; -1 below the first.
pub fn own_place(account: &Account, ranking: &Ranking, value: i64) -> i64 {
    let held = if ranking.deducts { None } else { account.tier_holds.get(&ranking.name) };
    let mut place = -1;
    for (number, tier) in ranking.tiers.iter().enumerate() {
        let is_held = held.is_some_and(|held| held.contains_key(&tier.name));
        if (value >= tier.at_least || is_held) && (!tier.invited || is_invited(account, ranking, number)) {
            place = number as i64;
        }
    }
    place
}

/// Return the place of the tier in force at a value: the higher of the own one and of those granted.
pub fn place_at(account: &Account, ranking: &Ranking, value: i64) -> i64 {
    let mut place = own_place(account, ranking, value);
    for grant in account.grants.values().filter(|grant| grant.score == ranking.name) {
        for (number, tier) in ranking.tiers.iter().enumerate() {
            if tier.name == grant.tier && !tier.invited {
                place = place.max(number as i64);
            }
        }
    }
    place
}

/// Return the name of the tier in a place, empty below the first.
pub fn tier_name(ranking: &Ranking, place: i64) -> Text {
    if place < 0 { Text::default() } else { ranking.tiers[place as usize].name.clone() }
}

/// Return the tier in force at an instant as the ledger knew it, empty below the first.
pub fn tier_at(account: &Account, version: &Version, name: &str, instant: i64) -> Text {
    let Some(moves) = account.tier_moves.get(name) else {
        return account.tiers.get(name).cloned().unwrap_or_else(|| first_tier(&version.rankings[name]));
    };
    let held = moves.iter().rev().find(|(at, _)| *at <= instant);
    held.unwrap_or(&moves[0]).1.clone()
}

/// Return the tier of the value 0, which a member has before any item.
pub fn first_tier(ranking: &Ranking) -> Text {
    let place = ranking.tiers.iter().rposition(|tier| tier.at_least <= 0 && !tier.invited);
    tier_name(ranking, place.map_or(-1, |place| place as i64))
}

/// Return true if the member is permitted the tier in a place now.
pub fn is_invited(account: &Account, ranking: &Ranking, place: usize) -> bool {
    let wanted = &ranking.tiers[place].name;
    account.grants.values().any(|grant| grant.score == ranking.name && grant.tier == *wanted)
}

/// Return how a score stands at an instant, to be compared with later.
pub fn stand_of(account: &Account, ranking: &Ranking, version: &Version, instant: i64) -> Stand {
    let period = ranking.period_at(instant, &version.zone);
    let value = value_in(account, ranking, period);
    let last_year = if ranking.window == Window::Year { value_in(account, ranking, period - 1) } else { 0 };
    Stand { value, last_year, own: own_place(account, ranking, value) }
}
