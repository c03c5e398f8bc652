//! A score of the rule book as data: what time it counts, when its value moves, and how long its tiers are held.

use serde::Deserialize;

use crate::entries::{DAY_BUCKETS, LIFE_BUCKET, Text};
use crate::times::{DAY, MAX_INSTANT, Zone, first_day};

/// What time a score counts.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    Months,
    Days,
    Year,
    Life,
}

/// A tier of a score; `deduct` is taken from the score when its hold ends.
#[derive(Clone, Debug, Deserialize)]
pub struct RankTier {
    pub name: Text,
    pub at_least: i64,
    pub invited: bool,
    pub deduct: i64,
}

/// A score, ready to reckon with.
#[derive(Clone, Debug, Deserialize)]
pub struct Ranking {
    pub name: Text,
    pub window: Window,
    pub span: i64,
    pub at_once: bool,
    pub settle_day: i64,
    pub tiers: Vec<RankTier>,
    pub limits: Vec<(Text, i64, i64)>,
    pub hold_days: i64,
    pub hold_years: i64,
    pub deducts: bool,
    pub steps_down: bool,
    pub holds: bool,
    pub is_monthly: bool,
}

impl Ranking {
    /// Return the bucket of an item that occurred at an instant.
    pub fn bucket_at(&self, instant: i64, zone: &Zone) -> i64 {
        match self.window {
            Window::Life => LIFE_BUCKET,
            Window::Days => DAY_BUCKETS + zone.day(instant),
            Window::Year => zone.month(instant).div_euclid(12),
            Window::Months => zone.month(instant),
        }
    }

    /// Return the month, day or year (as a bucket) whose value holds at an instant.
    pub fn period_at(&self, instant: i64, zone: &Zone) -> i64 {
        if self.settle_day > 1 && instant < self.settle_instant(zone.month(instant), zone) {
            return zone.month(instant) - 1;
        }
        self.bucket_at(instant, zone)
    }

    /// Return the first and the last bucket that the value of a period counts.
    pub fn window_of(&self, period: i64) -> (i64, i64) {
        if matches!(self.window, Window::Life | Window::Year) {
            return (period, period);
        }
        (period - self.span, if self.at_once { period } else { period - 1 })
    }

    /// Return the instant from which the value of a month holds.
    pub fn settle_instant(&self, month: i64, zone: &Zone) -> i64 {
        if self.settle_day == 1 {
            return zone.month_start(month);
        }
        zone.instant((first_day(month) + self.settle_day - 1) * DAY)
    }

    /// Return the instants at which what a bucket holds begins to count by time alone, and no longer counts.
    pub fn moves_of(&self, bucket: i64, zone: &Zone) -> Vec<i64> {
        match self.window {
            Window::Life => vec![],
            Window::Year => vec![zone.month_start((bucket + 1) * 12)],
            Window::Days => {
                let day = bucket - DAY_BUCKETS;
                vec![zone.instant((day + 1) * DAY), zone.instant((day + 1 + self.span) * DAY)]
            }
            Window::Months if self.at_once => vec![zone.month_start(bucket + self.span + 1)],
            Window::Months => {
                vec![self.settle_instant(bucket + 1, zone), self.settle_instant(bucket + 1 + self.span, zone)]
            }
        }
    }

    /// Return when a hold ends that began at an instant, for a tier that was reached in a year.
    pub fn hold_until(&self, year: i64, begun_at: i64, zone: &Zone) -> i64 {
        if self.hold_days != 0 {
            return (begun_at + self.hold_days * DAY).min(MAX_INSTANT);
        }
        zone.month_start((year + self.hold_years + 1) * 12)
    }

    /// Return the oldest month whose sums a score still needs in a month.
    pub fn oldest_needed(&self, month: i64) -> i64 {
        match self.window {
            Window::Life => month,
            Window::Year => (month.div_euclid(12) - 1) * 12,
            Window::Days => month - self.span / 28 - 1,
            Window::Months => month - self.span - i64::from(self.settle_day > 1),
        }
    }
}
