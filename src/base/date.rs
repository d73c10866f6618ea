//! Days of the calendar: end dates of promises, and ages.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Seconds of a day.
const DAY: u64 = 86_400;

/// A day of the Gregorian calendar, UTC, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(u64);

impl Date {
    /// The day of a moment, given in seconds since 1970.
    pub fn of_seconds(seconds: u64) -> Self {
        Self(seconds / DAY)
    }

    /// Its first second, since 1970.
    pub fn seconds(self) -> u64 {
        self.0 * DAY
    }

    /// Days from `earlier` to this one; 0 if `earlier` is later.
    pub fn days_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The day this many days later.
    #[must_use]
    pub fn plus(self, days: u64) -> Self {
        Self(self.0.saturating_add(days))
    }

    fn civil(self) -> (u64, u64, u64) {
        // Counted in eras of 400 years from 1 March of year 0.
        let z = self.0 + 719_468;
        let (era, day) = (z / 146_097, z % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let of_year = day - (365 * year + year / 4 - year / 100);
        let march = (5 * of_year + 2) / 153;
        let month = if march < 10 { march + 3 } else { march - 9 };
        (year + era * 400 + u64::from(month <= 2), month, of_year - (153 * march + 2) / 5 + 1)
    }

    fn of_civil(year: u64, month: u64, day: u64) -> Option<Self> {
        if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let shifted = if month <= 2 { year - 1 } else { year };
        let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
        let (era, of_era) = (shifted / 400, shifted % 400);
        let date = Self(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468);
        // The 31st of a short month would be another day.
        (date.civil() == (year, month, day)).then_some(date)
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('-').collect();
        let number = |text: &str, digits: usize| {
            (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
        };
        let date = match parts.as_slice() {
            [y, m, d] => number(y, 4).zip(number(m, 2)).zip(number(d, 2)),
            _ => None,
        };
        date.and_then(|((y, m), d)| Self::of_civil(y, m, d))
            .ok_or_else(|| format!("`{text}` is not a date; write year, month and day, such as `2027-03-31`"))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|_| serde::de::Error::custom("not a date"))
    }
}

/// Seconds since 1970 of a moment as engines write it (RFC 3339, with or without fractions of a second, UTC or an
/// offset); `None` for anything else and for moments before 1970.
pub fn moment(text: &str) -> Option<u64> {
    let date: Date = text.get(..10)?.parse().ok()?;
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let rest = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let local = date.seconds() + hour * 3600 + minute * 60 + second;
    if matches!(rest, "Z" | "z") {
        return Some(local);
    }
    let (sign, offset) = rest.split_at_checked(1)?;
    let (hours, minutes) = offset.split_once(':')?;
    let offset = hours.parse::<u64>().ok()? * 3600 + minutes.parse::<u64>().ok()? * 60;
    match sign {
        "+" => local.checked_sub(offset),
        "-" => Some(local + offset),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in ["1970-01-01", "2000-02-29", "2024-02-29", "2026-11-20", "2100-03-01", "9999-12-31"] {
            assert_eq!(text.parse::<Date>().unwrap().to_string(), text);
        }
        assert_eq!("2026-11-20".parse::<Date>().unwrap().seconds(), 1_795_132_800);
        let (first, last) = ("2026-02-28".parse::<Date>().unwrap(), "2026-03-01".parse::<Date>().unwrap());
        assert_eq!((last.days_since(first), first.days_since(last)), (1, 0));
        assert_eq!(first.plus(1), last);
    }

    #[test]
    fn no_dates() {
        for text in ["", "2026", "2026-2-3", "2026-02-30", "2026-13-01", "26-01-01", "2026-01-01x", "+026-01-01"] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }

    #[test]
    fn moments_of_engines() {
        let known = Some(1_795_178_918);
        for text in ["2026-11-20T12:48:38Z", "2026-11-20T12:48:38.123456789Z", "2026-11-20T13:48:38.1+01:00"] {
            assert_eq!(moment(text), known, "{text}");
        }
        for text in ["", "0001-01-01T00:00:00Z", "2026-11-20", "2026-11-20T12:48:38", "2026-11-20T12:48:38 CET", "é"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
