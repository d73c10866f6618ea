//! What is counted, and how it is added up.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::cli::Mode;

/// Examples kept per failure class.
const EXAMPLES: usize = 10;

/// Why a request failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Class {
    /// No TCP connection.
    Connect,
    /// No TLS session, or not the protocol asked for.
    Tls,
    /// A kept connection ended under a request before any byte of the answer: the server closed it while
    /// the request was on its way. HTTP lets a client repeat this if the request is idempotent.
    StaleConnection,
    /// The connection was reset.
    Reset,
    /// The connection ended before the answer did.
    Eof,
    /// No answer within ten seconds.
    Timeout,
    /// An answer of 500 or more.
    Status,
    /// The server's GOAWAY says it did not process this request (RFC 9113, 8.7: safe to repeat).
    GoawayUnprocessed,
    /// `RST_STREAM` with `REFUSED_STREAM` (RFC 9113, 8.7: safe to repeat).
    RefusedStream,
    /// Not HTTP.
    Protocol,
}

impl Class {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Class::Connect => "connect",
            Class::Tls => "tls",
            Class::StaleConnection => "stale_connection",
            Class::Reset => "reset",
            Class::Eof => "eof",
            Class::Timeout => "timeout",
            Class::Status => "status_5xx",
            Class::GoawayUnprocessed => "goaway_unprocessed",
            Class::RefusedStream => "refused_stream",
            Class::Protocol => "protocol",
        }
    }
}

/// A failed request: its class and what was seen.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: Class,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(class: Class, text: impl Into<String>) -> Self {
        Self { class, text: text.into() }
    }

    /// Classifies an error of the socket. What has no class of its own ended the connection like a reset.
    pub(crate) fn io(err: &std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let class = match err.kind() {
            K::UnexpectedEof => Class::Eof,
            K::TimedOut => Class::Timeout,
            K::InvalidData => Class::Protocol,
            _ => Class::Reset,
        };
        Self::new(class, err.to_string())
    }
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The value of the header to count by.
    pub(crate) label: Option<String>,
}

#[derive(Clone, Default)]
pub(crate) struct Failures {
    pub(crate) count: u64,
    /// Wall-clock time and text.
    pub(crate) examples: Vec<(SystemTime, String)>,
}

/// The counts of one mode, or of all of them.
#[derive(Clone)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) ok: u64,
    pub(crate) failures: BTreeMap<Class, Failures>,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) labels: BTreeMap<String, u64>,
    /// Kept connections found closed by the server before the next request was written.
    pub(crate) reconnects: u64,
    /// Times the server announced the end of a connection (`Connection: close`, GOAWAY) and was obeyed.
    pub(crate) told_to_close: u64,
    latencies_us: Vec<u32>,
    last_ok: Instant,
    pub(crate) longest_gap: Duration,
}

impl Counts {
    fn new(now: Instant) -> Self {
        Self {
            sent: 0,
            ok: 0,
            failures: BTreeMap::new(),
            statuses: BTreeMap::new(),
            labels: BTreeMap::new(),
            reconnects: 0,
            told_to_close: 0,
            latencies_us: Vec::new(),
            last_ok: now,
            longest_gap: Duration::ZERO,
        }
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().map(|f| f.count).sum()
    }

    fn ok(&mut self, now: Instant, due: Instant) {
        self.ok += 1;
        self.longest_gap = self.longest_gap.max(now - self.last_ok);
        self.last_ok = now;
        self.latencies_us.push(u32::try_from((now - due).as_micros()).unwrap_or(u32::MAX));
    }

    fn fail(&mut self, failure: &Failure) {
        let entry = self.failures.entry(failure.class).or_default();
        entry.count += 1;
        if entry.examples.len() < EXAMPLES {
            entry.examples.push((SystemTime::now(), failure.text.clone()));
        }
    }

    /// A latency percentile in milliseconds; the latencies must be sorted.
    pub(crate) fn percentile_ms(&self, percent: usize) -> f64 {
        let last = self.latencies_us.len().saturating_sub(1);
        let index = (self.latencies_us.len() * percent / 100).min(last);
        self.latencies_us.get(index).map_or(0.0, |us| f64::from(*us) / 1000.0)
    }
}

/// Takes everything down; one per run, shared by all connections on one thread.
pub(crate) struct Recorder(RefCell<Inner>);

struct Inner {
    started: Instant,
    all: Counts,
    modes: BTreeMap<Mode, Counts>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        let started = Instant::now();
        Self(RefCell::new(Inner { started, all: Counts::new(started), modes: BTreeMap::new() }))
    }

    fn each(&self, mode: Mode, change: impl Fn(&mut Counts)) {
        let inner = &mut *self.0.borrow_mut();
        change(&mut inner.all);
        change(inner.modes.entry(mode).or_insert_with(|| Counts::new(inner.started)));
    }

    pub(crate) fn reconnect(&self, mode: Mode) {
        self.each(mode, |c| c.reconnects += 1);
    }

    pub(crate) fn told_to_close(&self, mode: Mode) {
        self.each(mode, |c| c.told_to_close += 1);
    }

    /// One request is over. Its answer may have come and still be a failure.
    pub(crate) fn request(&self, mode: Mode, due: Instant, outcome: &Result<Answer, Failure>) {
        let now = Instant::now();
        self.each(mode, |c| {
            c.sent += 1;
            match outcome {
                Ok(answer) => {
                    *c.statuses.entry(answer.status).or_default() += 1;
                    if let Some(label) = &answer.label {
                        *c.labels.entry(label.clone()).or_default() += 1;
                    }
                    if answer.status >= 500 {
                        c.fail(&Failure::new(Class::Status, format!("status {}", answer.status)));
                    } else {
                        c.ok(now, due);
                    }
                }
                Err(failure) => c.fail(failure),
            }
        });
    }

    pub(crate) fn summary(&self) -> Summary {
        let inner = self.0.borrow();
        let now = Instant::now();
        let finish = |counts: &Counts| {
            let mut counts = counts.clone();
            counts.latencies_us.sort_unstable();
            counts
        };
        Summary {
            seconds: (now - inner.started).as_secs_f64(),
            all: finish(&inner.all),
            modes: inner.modes.iter().map(|(mode, counts)| (*mode, finish(counts))).collect(),
        }
    }
}

/// The result of a run.
pub(crate) struct Summary {
    pub(crate) seconds: f64,
    pub(crate) all: Counts,
    pub(crate) modes: BTreeMap<Mode, Counts>,
}
