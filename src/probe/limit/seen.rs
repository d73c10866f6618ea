//! What was seen of a limit, as plain data.

use super::super::net::error::ProbeError;
use super::super::net::http::Response;
use super::volley::Shot;

/// What a rejection should say (RFC 6585 §4).
pub(super) const TOO_MANY: u16 = 429;

/// Everything seen.
#[derive(Debug)]
pub(super) struct Measured {
    /// Why there is no volley.
    pub(super) trouble: Option<String>,
    pub(super) volley: Option<Volley>,
    pub(super) rate: Result<RateRun, String>,
    pub(super) forged: Result<Forged, String>,
    /// The path without a limit and what it answered while the bucket was full.
    pub(super) sibling: Option<(String, Result<u16, ProbeError>)>,
    /// Status taken for a rejection.
    pub(super) reject: u16,
    /// One rejection.
    pub(super) rejected: Option<Response>,
    /// How many rejections there were in all.
    pub(super) rejections: usize,
    /// Whether a request after Retry-After was admitted.
    pub(super) after: Option<Result<bool, String>>,
    /// Another try could do better.
    pub(super) worth_repeating: bool,
    /// When the next request was admitted, of a limit that is too slow for more than one.
    pub(super) pace: Option<Pace>,
}

/// Asking a full bucket until it has room for one, in seconds after it was filled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    /// The last request that was refused.
    pub(super) rejected: f64,
    /// The answer to the one that was admitted; `None` if none was.
    pub(super) admitted: Option<f64>,
}

/// Twice the rate, offered for a while.
#[derive(Debug, Clone)]
pub(super) struct RateRun {
    pub(super) admitted: usize,
    pub(super) rejected: usize,
    pub(super) odd: usize,
    /// Requests the bucket had room for when the run began.
    pub(super) free: usize,
    /// What may be lost between two requests where there is no burst, per second.
    pub(super) lost: f64,
    /// Seconds from the first to the last request.
    pub(super) duration: f64,
    /// The latest any request left, seconds after its time.
    pub(super) latest: f64,
    /// How late would still be harmless, seconds.
    pub(super) leeway: f64,
}

/// Requests with forged addresses at a full bucket.
#[derive(Debug, Clone)]
pub(super) struct Forged {
    /// By header: how many were admitted.
    pub(super) admitted: Vec<(&'static str, usize)>,
    /// How many were sent with each.
    pub(super) each: usize,
    /// A request without forged headers, sent last, was rejected.
    pub(super) control_rejected: bool,
    /// Seconds from the first to the last of them.
    pub(super) window: f64,
}

impl Measured {
    /// Nothing was measured, and why.
    pub(super) fn trouble(why: String, worth_repeating: bool) -> Self {
        Self {
            trouble: Some(why),
            volley: None,
            rate: Err(String::new()),
            forged: Err(String::new()),
            sibling: None,
            reject: TOO_MANY,
            rejected: None,
            rejections: 0,
            after: None,
            worth_repeating,
            pace: None,
        }
    }

    /// The status of every rejection.
    pub(super) fn all_rejects(&self) -> Vec<u16> {
        vec![self.reject; self.rejections]
    }
}

/// Answers of a volley, sorted out.
#[derive(Debug, Clone, Default)]
pub(super) struct Volley {
    /// How many were sent.
    pub(super) sent: usize,
    /// Seconds each admitted request took.
    pub(super) admitted: Vec<f64>,
    /// Seconds from the release to each rejection.
    pub(super) rejected: Vec<f64>,
    /// What was neither, for people.
    pub(super) odd: Vec<String>,
    /// Seconds between the first and the last sending.
    pub(super) spread: f64,
}

impl Volley {
    /// Sorts answers: `reject` is the status of rejections; 5xx that the request before the volley did not get is
    /// the server's trouble, all else was admitted.
    pub(super) fn of(shots: &[Shot], reject: u16, usual: u16) -> Self {
        let mut volley = Self { sent: shots.len(), ..Self::default() };
        for shot in shots {
            let end = shot.sent + shot.took;
            match shot.status() {
                Some(status) if status == reject => volley.rejected.push(end.as_secs_f64()),
                Some(status) if status >= 500 && status != usual => volley.odd.push(status.to_string()),
                Some(_) => volley.admitted.push(shot.took.as_secs_f64()),
                None => volley.odd.push(shot.answer.as_ref().err().map(ToString::to_string).unwrap_or_default()),
            }
        }
        let first = shots.iter().map(|s| s.sent).min().unwrap_or_default();
        let last = shots.iter().map(|s| s.sent).max().unwrap_or_default();
        volley.spread = last.saturating_sub(first).as_secs_f64();
        volley
    }

    /// How many were rejected.
    pub(super) fn rejected(&self) -> usize {
        self.rejected.len()
    }
}

/// The largest.
pub(super) fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// A count as a number to calculate with; volleys are small.
pub(super) fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Whole requests that leak out of a bucket in this time.
pub(super) fn leaked(rate: f64, seconds: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "capped, and never negative")]
    let whole = (rate * seconds).clamp(0.0, 1e6).floor() as usize;
    whole
}
