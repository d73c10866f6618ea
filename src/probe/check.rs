//! One check: what it asks, what passes, and how its findings are made.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::model::finding::{Finding, Verdict};

pub(super) use super::judged::Judged;
use super::text::clean;

/// How much a failure matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Low,
    /// Should be mended.
    Medium,
    /// Must be mended soon.
    High,
    /// Users are hurt, or data is open.
    Critical,
}

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Does it answer?
    Health,
    /// Protocols, suites, certificates.
    Tls,
    /// Redirects and response headers.
    Headers,
    /// What can be reached that should not.
    Exposure,
    /// `WebSocket` upgrades.
    Websocket,
    /// What the front door does with requests: sizes, compression, caching, other origins, HTTP/2.
    Traffic,
    /// How containers run.
    Containers,
    /// What they run.
    Images,
    /// What must not be seen.
    Secrets,
    /// Databases and stores.
    Databases,
    /// Logs.
    Logs,
    /// Prometheus, and who hears of errors.
    Monitoring,
    /// The machine.
    Host,
    /// Names.
    Dns,
    /// Whether all is as the last release left it.
    Drift,
    /// Whether it is as fast as it was.
    Performance,
    /// What people vouch for.
    Attested,
    /// The user's own.
    Own,
    /// Rate limits; only these load the server.
    Limits,
}

impl Family {
    /// A deploy waits for these.
    pub fn gate(self) -> bool {
        matches!(self, Self::Health | Self::Tls | Self::Headers | Self::Exposure)
    }
}

/// One question of the checklist. The documentation is made from these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable identifier.
    pub id: &'static str,
    /// What it is about.
    pub family: Family,
    /// A few words.
    pub title: &'static str,
    /// The question, and how it is asked.
    pub question: &'static str,
    /// What passes, with figures.
    pub pass: &'static str,
    /// Where the figures come from.
    pub source: &'static str,
    /// How much a failure matters.
    pub severity: Severity,
    /// What to do about a failure.
    pub remedy: &'static str,
}

impl Check {
    /// Whether an entry of `--only` or `--skip` means this check: its identifier or the part before the dash.
    pub fn is_called(&self, name: &str) -> bool {
        let prefix = self.id.split_once('-').map_or(self.id, |(prefix, _)| prefix);
        self.id.eq_ignore_ascii_case(name) || prefix.eq_ignore_ascii_case(name)
    }

    /// Starts to ask it about something; the clock of the finding runs from here.
    pub(super) fn about(&'static self, subject: impl AsRef<str>) -> Question {
        Question {
            check: self,
            subject: clean(subject.as_ref()),
            expected: self.pass.to_owned(),
            remedy: None,
            line: None,
            vantage: "",
            started: Instant::now(),
        }
    }
}

/// A check on its way to a finding.
#[derive(Debug, Clone)]
pub(super) struct Question {
    check: &'static Check,
    subject: String,
    expected: String,
    remedy: Option<String>,
    line: Option<u32>,
    vantage: &'static str,
    started: Instant,
}

impl Question {
    /// With the line of stack.toml that declares the subject.
    pub(super) fn line(mut self, line: u32) -> Self {
        self.line = Some(line);
        self
    }

    /// Asked from somewhere other than the rest of the checklist.
    pub(super) fn from(mut self, vantage: &'static str) -> Self {
        self.vantage = vantage;
        self
    }

    /// With what passes here, instead of the rule in general.
    pub(super) fn expect(mut self, expected: impl Into<String>) -> Self {
        self.expected = expected.into();
        self
    }

    /// With what to do here, instead of the check's general advice.
    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The clock starts at an earlier moment.
    pub(super) fn since(mut self, started: Instant) -> Self {
        self.started = started;
        self
    }

    /// The answer took this long already.
    pub(super) fn took(mut self, time: Duration) -> Self {
        self.started = self.started.checked_sub(time).unwrap_or(self.started);
        self
    }

    /// As declared.
    pub(super) fn pass(self, observed: impl AsRef<str>) -> Finding {
        self.answer(Verdict::Pass, observed.as_ref())
    }

    /// Works, but.
    pub(super) fn warn(self, observed: impl AsRef<str>) -> Finding {
        self.answer(Verdict::Warn, observed.as_ref())
    }

    /// Not as declared.
    pub(super) fn fail(self, observed: impl AsRef<str>) -> Finding {
        self.answer(Verdict::Fail, observed.as_ref())
    }

    /// Does not apply, and why.
    pub(super) fn not_applicable(self, why: impl AsRef<str>) -> Finding {
        self.answer(Verdict::NotApplicable, why.as_ref())
    }

    /// Could not be judged, and why.
    pub(super) fn unsure(self, why: impl AsRef<str>) -> Finding {
        self.answer(Verdict::Inconclusive, why.as_ref())
    }

    /// As judged.
    pub(super) fn judged(self, judged: impl Into<Judged>) -> Finding {
        match judged.into() {
            Judged::Pass(seen) => self.pass(seen),
            Judged::Skip(why) => self.not_applicable(why),
            Judged::Warn(seen) => self.warn(seen),
            Judged::Unsure(why) => self.unsure(why),
            Judged::Fail(seen) => self.fail(seen),
        }
    }

    /// With this verdict.
    pub(super) fn answer(self, verdict: Verdict, observed: &str) -> Finding {
        let advice = self.remedy.or_else(|| (verdict != Verdict::Inconclusive).then(|| self.check.remedy.to_owned()));
        let remedy = match verdict {
            Verdict::Warn | Verdict::Fail | Verdict::Inconclusive => advice.filter(|text| !text.is_empty()),
            Verdict::Pass | Verdict::NotApplicable => None,
        };
        Finding {
            id: self.check.id,
            title: self.check.title,
            subject: self.subject,
            verdict,
            expected: self.expected,
            observed: clean(observed),
            remedy,
            line: self.line,
            vantage: self.vantage,
            millis: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}
