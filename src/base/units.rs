//! Quantities with units, as people write them in stack.toml.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of bytes: `512M`, `2G`, `64k`, `1024`. Units are powers of 1024, as in Compose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not a size; write a whole number and a unit, such as `512M` or `2G`");
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let shift = match unit.to_ascii_lowercase().trim_end_matches('b') {
            "" => 0,
            "k" | "ki" => 10,
            "m" | "mi" => 20,
            "g" | "gi" => 30,
            "t" | "ti" => 40,
            _ => return Err(refuse()),
        };
        let number: u64 = number.parse().map_err(|_| refuse())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| format!("`{text}` is more than any machine has"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0"),
            n if n % (1 << 30) == 0 => write!(f, "{}G", n >> 30),
            n if n % (1 << 20) == 0 => write!(f, "{}M", n >> 20),
            n if n % (1 << 10) == 0 => write!(f, "{}k", n >> 10),
            n => write!(f, "{n}"),
        }
    }
}

/// A span of time: `500ms`, `30s`, `5m`, `1h30m`, `7d`, `1y` (365 days). A bare number is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// A span of whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Whole seconds, rounded up: half a second is not "no time" to a program that counts in seconds.
    pub fn ceil_seconds(self) -> u64 {
        self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0)
    }
}

impl Serialize for Span {
    /// As it is written in stack.toml.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not a duration; write numbers and units, such as `30s`, `5m` or `1h30m`");
        let mut rest = text;
        let mut total: u64 = 0;
        if rest.is_empty() {
            return Err(refuse());
        }
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number: u64 = rest[..digits].parse().map_err(|_| refuse())?;
            rest = &rest[digits..];
            let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let millis = match &rest[..letters] {
                "ms" => 1,
                "s" => 1_000,
                "" if rest.len() == letters && digits == text.len() => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 7 * 86_400_000,
                "y" => 365 * 86_400_000,
                _ => return Err(refuse()),
            };
            rest = &rest[letters..];
            total = number.checked_mul(millis).and_then(|n| total.checked_add(n)).ok_or_else(refuse)?;
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if !millis.is_multiple_of(1_000) {
            return write!(f, "{millis}ms");
        }
        let mut seconds = self.0.as_secs();
        if seconds == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in [("y", 31_536_000), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
            if seconds >= size {
                write!(f, "{}{unit}", seconds / size)?;
                seconds %= size;
            }
        }
        Ok(())
    }
}

/// A rate as Nginx's `limit_req` knows it: a whole number of requests per second or per minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Requests, at least 1.
    pub requests: u32,
    /// Per second or per minute.
    pub per: RateUnit,
}

/// The time unit of a [`Rate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateUnit {
    /// `r/s`
    Second,
    /// `r/m`
    Minute,
}

impl Rate {
    /// Requests per second as Nginx enforces them: it keeps `n*1000/60` truncated to a whole thousandth
    /// (`ngx_http_limit_req_module.c`), so `5/m` is 4.98 a minute.
    pub fn per_second(self) -> f64 {
        match self.per {
            RateUnit::Second => f64::from(self.requests),
            RateUnit::Minute => {
                f64::from(u32::try_from(u64::from(self.requests) * 1000 / 60).unwrap_or(u32::MAX)) / 1000.0
            }
        }
    }

    /// Seconds until one more request is admitted once the bucket is full, rounded up: an honest `Retry-After`.
    pub fn retry_after(self) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 63 by construction")]
        let seconds = (1.0 / self.per_second()).ceil() as u64;
        seconds.max(1)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not a rate; write `10/s` or `30/m`");
        let (number, unit) = text.split_once('/').ok_or_else(refuse)?;
        let number = number.trim().trim_end_matches('r').trim();
        let requests: u32 = number.parse().map_err(|_| refuse())?;
        let per = match unit.trim() {
            "s" | "sec" | "second" => RateUnit::Second,
            "m" | "min" | "minute" => RateUnit::Minute,
            "h" | "hour" | "d" | "day" => {
                return Err(format!(
                    "`{text}` cannot be a rate: Nginx's `limit_req` counts per second or per minute; write `10/s` or \
                     `30/m`, or a quota: `limit = \"{text}\"`"
                ));
            }
            _ => return Err(refuse()),
        };
        if requests == 0 {
            return Err(format!("`{text}` admits nothing; the smallest rate is `1/m`"));
        }
        Ok(Self { requests, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, if self.per == RateUnit::Second { "s" } else { "m" })
    }
}

/// A quota: at most so many requests in any span of that length, wherever it begins. `5/hour`, `100/day`, `3/10s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Requests, from 1 to 100 000: each that was admitted is remembered for the whole window.
    pub requests: u32,
    /// Length of the window, from 1 s to 31 days.
    pub window: Span,
}

/// Words for windows, the first of a length being the one that is written.
const WINDOWS: &[(&str, u64)] = &[
    ("second", 1),
    ("s", 1),
    ("sec", 1),
    ("minute", 60),
    ("m", 60),
    ("min", 60),
    ("hour", 3_600),
    ("h", 3_600),
    ("day", 86_400),
    ("d", 86_400),
    ("week", 604_800),
    ("w", 604_800),
];

impl FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not a quota; write `5/hour`, `100/day` or `3/10s`");
        let (number, window) = text.split_once('/').ok_or_else(refuse)?;
        let requests: u32 = number.trim().parse().map_err(|_| refuse())?;
        let window = window.trim();
        let window = match WINDOWS.iter().find(|(word, _)| *word == window) {
            Some((_, seconds)) => Span::seconds(*seconds),
            None => window.parse().map_err(|_| refuse())?,
        };
        if requests == 0 {
            return Err(format!("`{text}` admits nothing; the smallest quota is 1"));
        }
        if requests > 100_000 {
            return Err(format!(
                "`{text}` is too much to count one by one; write a rate, such as `{{ rate = \"20/s\" }}`"
            ));
        }
        if !(Span::seconds(1)..=Span::seconds(31 * 86_400)).contains(&window) {
            return Err(format!("the window of `{text}` is out of bounds: from `1s` to `31d`"));
        }
        Ok(Self { requests, window })
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match WINDOWS.iter().find(|(_, seconds)| Span::seconds(*seconds) == self.window) {
            Some((word, _)) => write!(f, "{}/{word}", self.requests),
            None => write!(f, "{}/{}", self.requests, self.window),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas() {
        for (text, requests, seconds, written) in [
            ("5/hour", 5, 3_600, "5/hour"),
            ("5/h", 5, 3_600, "5/hour"),
            ("3/10s", 3, 10, "3/10s"),
            ("100/60s", 100, 60, "100/minute"),
            ("7/1h30m", 7, 5_400, "7/1h30m"),
        ] {
            let quota = text.parse::<Quota>();
            assert_eq!(quota, Ok(Quota { requests, window: Span::seconds(seconds) }), "{text}");
            assert_eq!(quota.map(|q| q.to_string()), Ok(written.to_owned()), "{text}");
        }
        for bad in ["5", "0/hour", "5/", "x/hour", "5/500ms", "5/2y", "5/fortnight", "100001/hour", "-1/s"] {
            assert!(bad.parse::<Quota>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("1024", 1024), ("64k", 65_536), ("512M", 512 << 20), ("2G", 2 << 30), ("2gb", 2 << 30), ("1Gi", 1 << 30)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for bad in ["", "M", "1.5G", "-1", "2X", "99999999999T"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
        assert_eq!(ByteSize(512 << 20).to_string(), "512M");
    }

    #[test]
    fn spans() {
        for (text, millis) in
            [("500ms", 500), ("30s", 30_000), ("30", 30_000), ("1h30m", 5_400_000), ("1y", 31_536_000_000)]
        {
            assert_eq!(text.parse::<Span>().map(|s| s.0.as_millis()), Ok(millis), "{text}");
        }
        for bad in ["", "s", "1x", "-1s", "1h30", "1.5s"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
        assert_eq!("90m".parse::<Span>().map(|s| s.to_string()), Ok("1h30m".into()));
    }

    #[test]
    fn rates_are_nginx_rates() {
        let five_a_minute: Rate = "5/m".parse().unwrap_or_else(|e| unreachable!("{e}"));
        assert!((five_a_minute.per_second() - 0.083).abs() < 1e-9);
        assert_eq!(five_a_minute.retry_after(), 13);
        assert_eq!("10r/s".parse(), Ok(Rate { requests: 10, per: RateUnit::Second }));
        for bad in ["10", "0/s", "5/hour", "x/s", "1.5/s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }
}
