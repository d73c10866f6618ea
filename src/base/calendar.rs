//! When a timer fires, as systemd.time(7) writes it: `daily`, `Mon..Fri 02:00`, `*-*-01 04:30:00 Europe/Berlin`.
//!
//! What is taken here, systemd takes; the other way round, its rarer spellings (times with fractions of a second, `~`
//! for days from the end of a month, seconds since the epoch) are not.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An `OnCalendar=` expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Calendar(String);

/// Words that stand for a whole expression.
const WORDS: [&str; 8] = ["minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "semiannually", "yearly"];

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Calendar {
    /// As it was written: letters, digits and a few signs, none of which mean anything to a unit file.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Calendar {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` is not a time of a calendar; `daily`, `Mon..Fri 02:00` and `*-*-01 04:30` are such times")
        };
        let mut parts: Vec<&str> = text.split(' ').collect();
        if let [word, rest @ ..] = parts.as_slice()
            && WORDS.contains(word)
            && (rest.is_empty() || matches!(rest, [zone] if is_zone(zone)))
        {
            return Ok(Self(text.to_owned()));
        }
        if parts.len() > 1 && parts.last().is_some_and(|last| is_zone(last)) {
            parts.pop();
        }
        if parts.len() > 1 && parts.first().is_some_and(|first| are_days(first)) {
            parts.remove(0);
        }
        let fine = match parts.as_slice() {
            [one] => are_days(one) || is_date(one) || is_time(one),
            [date, time] => is_date(date) && is_time(time),
            _ => false,
        };
        if fine { Ok(Self(text.to_owned())) } else { Err(wrong()) }
    }
}

/// A list of days and of ranges of days.
fn are_days(text: &str) -> bool {
    let day = |text: &str| DAYS.contains(&text);
    text.split(',').all(|part| match part.split_once("..") {
        Some((from, to)) => day(from) && day(to),
        None => day(part),
    })
}

/// `*-*-01`, or without the year.
fn is_date(text: &str) -> bool {
    match text.split('-').collect::<Vec<_>>().as_slice() {
        [year, month, day] => are_numbers(year, 1970, 2199) && are_numbers(month, 1, 12) && are_numbers(day, 1, 31),
        [month, day] => are_numbers(month, 1, 12) && are_numbers(day, 1, 31),
        _ => false,
    }
}

/// `02:00`, or with seconds.
fn is_time(text: &str) -> bool {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [hour, minute] => are_numbers(hour, 0, 23) && are_numbers(minute, 0, 59),
        [hour, minute, second] => are_numbers(hour, 0, 23) && are_numbers(minute, 0, 59) && are_numbers(second, 0, 59),
        _ => false,
    }
}

/// `*`, or a list of numbers and ranges, each perhaps with `/STEP`.
fn are_numbers(text: &str, low: u16, high: u16) -> bool {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|n| digits && (low..=high).contains(n))
    };
    text == "*"
        || text.split(',').all(|part| {
            let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
            let stepped = step.is_none_or(|step| step.parse::<u16>().is_ok_and(|n| (1..=high).contains(&n)))
                && step.is_none_or(|step| step.bytes().all(|b| b.is_ascii_digit()));
            let fine = match range.split_once("..") {
                Some((from, to)) => number(from).zip(number(to)).is_some_and(|(from, to)| from < to),
                None => number(range).is_some(),
            };
            fine && stepped
        })
}

/// `UTC`, or a place of the zone database: `Europe/Berlin`.
fn is_zone(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_uppercase())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b))
    };
    text == "UTC" || (text.split_once('/').is_some_and(|(area, place)| part(area) && place.split('/').all(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_everything_else() {
        for good in [
            "daily",
            "weekly UTC",
            "Mon..Fri 02:00",
            "Sat,Sun",
            "*-*-01 04:30:00",
            "03:15",
            "*:0/15",
            "01-01",
            "Mon *-1..6-* 0,12:00:30 Europe/Berlin",
            "*-*-* *:*:00",
        ] {
            assert_eq!(good.parse::<Calendar>().map(|c| c.to_string()), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "dayly",
            "0 2 * * *",
            "24:00",
            "2:60",
            "*-13-01",
            "Mon-Fri 02:00",
            "02:00 Berlin",
            "every day",
            "daily\nExecStart=x",
            "*-*-* 02:00:00 ; x",
            "02:00 02:00",
            "5..1:00",
            "*/2:00",
            "%h",
            "Mon  02:00",
            "0/0:00",
        ] {
            assert!(bad.parse::<Calendar>().is_err(), "{bad}");
        }
    }
}
