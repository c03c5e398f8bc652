//! Instants are integers: microseconds since 1970-01-01T00:00Z. Months and days are counted in the book's zone.
//!
//! A month is `year * 12 + month - 1`, a day is days since 1970-01-01. `ledger/wire/times.py` is the same in Python.

use serde::Deserialize;

pub const SECOND: i64 = 1_000_000;
pub const DAY: i64 = 86_400 * SECOND;
/// 3000-01-01T00:00Z: what ends then never does.
pub const MAX_INSTANT: i64 = 32_503_680_000 * SECOND;
pub const LAST_MONTH: i64 = 2999 * 12 + 11;

/// Where local time stands: a fixed offset from UTC in microseconds, or offsets that change.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Zone {
    Fixed(i64),
    Changing(TimeZone),
}

/// A zone by its transitions: from `starts[i]` on, local time is `offsets[i]` microseconds ahead of UTC.
#[derive(Clone, Debug, Deserialize)]
pub struct TimeZone {
    pub starts: Vec<i64>,
    pub offsets: Vec<i64>,
}

impl TimeZone {
    fn place_at(&self, instant: i64) -> usize {
        self.starts.partition_point(|&start| start <= instant).saturating_sub(1)
    }
}

impl Zone {
    /// Return what clocks show at an instant, in microseconds since 1970-01-01T00:00 by those clocks.
    pub fn local(&self, instant: i64) -> i64 {
        match self {
            Zone::Fixed(offset) => instant + offset,
            Zone::Changing(zone) => instant + zone.offsets[zone.place_at(instant)],
        }
    }

    /// Return the instant at which clocks show a local time: the first of two, and the end of the gap that skips it.
    pub fn instant(&self, local: i64) -> i64 {
        match self {
            Zone::Fixed(offset) => local - offset,
            Zone::Changing(zone) => {
                let (starts, offsets) = (&zone.starts, &zone.offsets);
                let mut place = zone.place_at(local - 2 * DAY);
                while place + 1 < starts.len() && local - offsets[place] >= starts[place + 1] {
                    place += 1;
                }
                let instant = local - offsets[place];
                if place == 0 { instant } else { instant.max(starts[place]) }
            }
        }
    }

    /// Return the local day of an instant.
    pub fn day(&self, instant: i64) -> i64 {
        self.local(instant).div_euclid(DAY)
    }

    /// Return an instant as clocks show it: RFC 3339, with a fraction only where there is one. None before 1970 or after
    /// the year 3000.
    pub fn text(&self, instant: i64) -> Option<String> {
        if !(0..=MAX_INSTANT).contains(&instant) {
            return None;
        }
        let local = self.local(instant);
        let (sign, ahead) = if local < instant { ('-', instant - local) } else { ('+', local - instant) };
        let (hours, minutes, seconds) = (ahead / SECOND / 3_600, ahead / SECOND / 60 % 60, ahead / SECOND % 60);
        let mut text = clock_text(local);
        text.push(sign);
        push_digits(&mut text, hours, 2);
        text.push(':');
        push_digits(&mut text, minutes, 2);
        if seconds != 0 {
            text.push(':');
            push_digits(&mut text, seconds, 2);
        }
        Some(text)
    }

    /// Return the local month of an instant.
    pub fn month(&self, instant: i64) -> i64 {
        month_of_day(self.day(instant))
    }

    /// Return the instant at which a local month begins; `MAX_INSTANT` where that lies beyond every clock.
    pub fn month_start(&self, month: i64) -> i64 {
        if month > LAST_MONTH { MAX_INSTANT } else { self.instant(first_day(month) * DAY) }
    }

    /// Return the instant in the month `months` later, on the anchor's local day and at its time of day.
    ///
    /// A month that lacks the day has its last day instead.
    pub fn months_later(&self, instant: i64, months: i64, anchor: i64) -> i64 {
        let month = self.month(instant) + months;
        if month >= LAST_MONTH {
            return MAX_INSTANT;
        }
        let local = self.local(anchor);
        let (day, time) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let of_month = day - first_day(month_of_day(day));
        let day = (first_day(month) + of_month).min(first_day(month + 1) - 1);
        self.instant(day * DAY + time)
    }
}

/// Return the year, month (1 to 12) and day of the month of a day since 1970-01-01.
pub fn date_of(day: i64) -> (i64, i64, i64) {
    let days = day + 719_468; // since 0000-03-01
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153; // March is 0
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

/// Return the month of a day.
pub fn month_of_day(day: i64) -> i64 {
    let (year, month, _) = date_of(day);
    year * 12 + month - 1
}

/// Return the first day of a month.
pub fn first_day(month: i64) -> i64 {
    day_of_date(month.div_euclid(12), month.rem_euclid(12) + 1, 1)
}

/// Return a date's days since 1970-01-01.
pub fn day_of_date(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted = (month + 9) % 12;
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Return a day as `YYYY-MM-DD`.
pub fn day_text(day: i64) -> String {
    let (year, month, of_month) = date_of(day);
    let mut text = String::with_capacity(10);
    push_digits(&mut text, year, 4);
    for number in [month, of_month] {
        text.push('-');
        push_digits(&mut text, number, 2);
    }
    text
}

/// Return a month as `YYYY-MM`.
pub fn month_text(month: i64) -> String {
    format!("{:04}-{:02}", month.div_euclid(12), month.rem_euclid(12) + 1)
}

/// Return the instant that RFC 3339 names where it is plainly written: a `T`, up to six digits of a second, and `Z` or
/// an offset of whole minutes; years 1970 to 2999. None for anything else, which Python may still read.
pub fn instant_of(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = bytes.get(range)?;
        digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let marks = [bytes[4], bytes[7], bytes[10], bytes[13], bytes[16]];
    let is_a_time = marks == *b"--T::" && hour < 24 && minute < 60 && second < 60;
    if !is_a_time || !(1970..3000).contains(&year) || !(1..=12).contains(&month) || !has_day(year, month, day) {
        return None;
    }
    let mut at = 19;
    let mut micros = 0;
    if bytes.get(at)? == &b'.' {
        let end = (at + 1..bytes.len()).find(|&at| !bytes[at].is_ascii_digit())?;
        let digits = end - at - 1;
        if !(1..=6).contains(&digits) {
            return None;
        }
        micros = number(at + 1..end)? * 10_i64.pow(6 - digits as u32);
        at = end;
    }
    let ahead = match (bytes[at], bytes.len() - at) {
        (b'Z', 1) => 0,
        (sign @ (b'+' | b'-'), 6) if bytes[at + 3] == b':' => {
            let (hours, minutes) = (number(at + 1..at + 3)?, number(at + 4..at + 6)?);
            if hours > 14 || minutes > 59 {
                return None;
            }
            let ahead = (hours * 60 + minutes) * 60 * SECOND;
            if sign == b'+' { ahead } else { -ahead }
        }
        _ => return None,
    };
    let days = day_of_date(year, month, day);
    let instant = days * DAY + (hour * 3_600 + minute * 60 + second) * SECOND + micros - ahead;
    (0..MAX_INSTANT).contains(&instant).then_some(instant)
}

fn has_day(year: i64, month: i64, day: i64) -> bool {
    let next = if month == 12 { day_of_date(year + 1, 1, 1) } else { day_of_date(year, month + 1, 1) };
    day >= 1 && day_of_date(year, month, day) < next
}

/// Return an instant in UTC as canonical facts have it.
pub fn utc_text(instant: i64) -> String {
    clock_text(instant) + "Z"
}

/// Return what clocks show, with no fraction of a second or one of six digits; `local` as microseconds since 1970 by them.
fn clock_text(local: i64) -> String {
    let (year, month, day) = date_of(local.div_euclid(DAY));
    let (seconds, micros) = (local.rem_euclid(DAY) / SECOND, local.rem_euclid(SECOND));
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut text = String::with_capacity(32);
    push_digits(&mut text, year, 4);
    for (mark, number) in [('-', month), ('-', day), ('T', hour), (':', minute), (':', second)] {
        text.push(mark);
        push_digits(&mut text, number, 2);
    }
    if micros != 0 {
        text.push('.');
        push_digits(&mut text, micros, 6);
    }
    text
}

/// Add the last digits of a number from 0 on, as many as asked for: an even count.
fn push_digits(text: &mut String, number: i64, count: u32) {
    if count > 2 {
        push_digits(text, number / 100, count - 2);
    }
    text.push(char::from(b'0' + (number / 10 % 10) as u8));
    text.push(char::from(b'0' + (number % 10) as u8));
}
