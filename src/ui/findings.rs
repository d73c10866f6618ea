//! The report of `verify`: a table for people, a document for programs.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::model::finding::{Finding, Verdict};
use crate::probe::Timings;

use super::paint::Paint;
use super::reports::{self, earlier::Earlier};
use super::text::{clean, columns, count, duration, pad, utc, wrap};

/// What was found, and where it was asked.
#[derive(Clone, Copy)]
pub struct Report<'a> {
    /// Project.
    pub project: &'a str,
    /// Stage; empty for the default one.
    pub stage: &'a str,
    /// The stack file as the user named it.
    pub file: &'a str,
    /// What was found, in the order it was asked.
    pub findings: &'a [Finding],
    /// When it began, seconds since 1970.
    pub started: u64,
    /// How long it took, milliseconds.
    pub millis: u64,
    /// What it is compared with.
    pub earlier: Option<&'a Earlier>,
    /// Where the time went, where that is known.
    pub timings: Option<&'a Timings>,
}

/// Verdicts from worst to best, with the name each has in counts.
const COUNTED: [(Verdict, &str); 5] = [
    (Verdict::Fail, "failed"),
    (Verdict::Inconclusive, "not judged"),
    (Verdict::Warn, "to be looked at"),
    (Verdict::Pass, "passed"),
    (Verdict::NotApplicable, "not applicable"),
];

impl Report<'_> {
    /// How many have this verdict.
    pub fn number(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|f| f.verdict == verdict).count()
    }

    /// Whether a finding is worse than in the report that this one is compared with.
    fn is_worse(&self, finding: &Finding) -> bool {
        self.earlier.is_some_and(|earlier| earlier.is_worse(finding))
    }

    /// For people: the verdict, what is wrong with causes first, what passed by family, what does not apply by reason,
    /// and the counts.
    pub fn human(&self, paint: Paint, width: usize) -> String {
        let mut out = format!("{}\n\n", self.verdict(paint));
        let problems = self.problems(paint, width);
        if !problems.is_empty() {
            let _ = writeln!(out, "{}\n{problems}", paint.bold("To look at"));
        }
        let ids = self.widest();
        let mut family = "";
        for finding in self.findings.iter().filter(|f| f.verdict == Verdict::Pass) {
            if family != family_of(finding.id) {
                family = family_of(finding.id);
                let _ = writeln!(out, "{}", paint.bold(family));
            }
            out.push_str(&self.lines(finding, ids, paint, width));
        }
        if !family.is_empty() {
            out.push('\n');
        }
        out.push_str(&self.not_applicable(paint, width));
        let summary = self.summary(Paint(false));
        // The counts get a line of their own where both do not fit.
        let summary =
            if columns(&summary) > width { self.summary(paint).replacen(": ", ":\n", 1) } else { self.summary(paint) };
        out.push_str(&summary);
        out.push('\n');
        out
    }

    /// What somebody has to look at, causes first.
    pub fn problems(&self, paint: Paint, width: usize) -> String {
        let worst = reports::worst_first(self.findings).into_iter().filter(|f| reports::is_problem(f));
        worst.map(|finding| self.lines(finding, self.widest(), paint, width)).collect()
    }

    /// Columns of the longest identifier.
    fn widest(&self) -> usize {
        self.findings.iter().map(|f| columns(f.id)).max().unwrap_or(0)
    }

    /// `sum (production): not as declared`
    fn verdict(&self, paint: Paint) -> String {
        let worst = self.findings.iter().map(|f| f.verdict).max().unwrap_or(Verdict::NotApplicable);
        let stage = if self.stage.is_empty() { String::new() } else { format!(" ({})", clean(self.stage)) };
        let name = paint.bold(format!("{}{stage}", clean(self.project)));
        format!("{name}: {}", ink(worst, paint, reports::verdict(self.findings)))
    }

    /// Identifiers by the reason why they do not apply, in the order they were asked.
    fn not_applicable(&self, paint: Paint, width: usize) -> String {
        let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
        for finding in self.findings.iter().filter(|f| f.verdict == Verdict::NotApplicable) {
            let reason = clean(&finding.observed);
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, ids)) => ids.push(finding.id),
                None => reasons.push((reason, vec![finding.id])),
            }
        }
        if reasons.is_empty() {
            return String::new();
        }
        let mut out = format!("{}\n", paint.bold("Does not apply"));
        for (reason, mut ids) in reasons {
            ids.dedup();
            let _ = writeln!(out, "  {}", wrap(&format!("{}: {reason}", ids.join(", ")), width, 6));
        }
        out.push('\n');
        out
    }

    /// `12 checks of sum in 3.2s: 1 failed, 11 passed`
    pub fn summary(&self, paint: Paint) -> String {
        let numbers: Vec<String> = COUNTED
            .iter()
            .map(|(verdict, name)| (self.number(*verdict), verdict, name))
            .filter(|(number, ..)| *number > 0)
            .map(|(number, verdict, name)| ink(*verdict, paint, &format!("{number} {name}")))
            .collect();
        let stage = if self.stage.is_empty() { String::new() } else { format!(" ({})", clean(self.stage)) };
        let head = format!("{} of {}{stage}", count(self.findings.len(), "check"), clean(self.project));
        let tail = if numbers.is_empty() { "nothing was asked".to_owned() } else { numbers.join(", ") };
        let mut summary = format!("{head} in {}: {tail}", duration(self.millis));
        if let Some(earlier) = self.earlier {
            let worse = self.findings.iter().filter(|f| self.is_worse(f)).count();
            let words = if worse == 0 { "nothing".to_owned() } else { worse.to_string() };
            let _ = write!(summary, "; {words} worse than in {}", clean(earlier.name()));
        }
        summary
    }

    fn lines(&self, finding: &Finding, ids: usize, paint: Paint, width: usize) -> String {
        let word = finding.verdict.word();
        let word = format!("{}{}", ink(finding.verdict, paint, word), " ".repeat(6_usize.saturating_sub(word.len())));
        // Two blanks before the verdict, two after it and two after the identifier.
        let indent = 2 + 6 + 2 + ids + 2;
        let question = wrap(&format!("{}: {}", finding.title, clean(&finding.subject)), width, indent);
        let mut out = format!("  {word}  {}  {question}\n", pad(finding.id, ids));
        let mut more = |name: &str, text: &str, paint: Paint| {
            let text = wrap(&clean(text), width, 14 + 10);
            let _ = writeln!(out, "{}{}{text}", " ".repeat(14), paint.dim(pad(name, 10)));
        };
        if reports::is_problem(finding) {
            for (name, text) in reports::details(finding, self.file) {
                more(name, &text, paint);
            }
            if let Some(earlier) = self.earlier.filter(|_| self.is_worse(finding)) {
                let was = earlier.was(finding).map_or("not asked", Verdict::word);
                more("worse", &format!("it was `{was}` in {}", earlier.name()), paint);
            }
            let behind = reports::behind(finding, self.findings);
            if !behind.is_empty() {
                more("follows", &format!("perhaps from {}: look at that first", behind.join(", ")), paint);
            }
        }
        out
    }

    /// Where the time went: what was waited for, and the checks that took longest. Nothing where that is not known.
    pub fn times(&self, paint: Paint, width: usize) -> String {
        let Some(timings) = self.timings else { return String::new() };
        let millis = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut out = String::new();
        let mut section = |title: &str, mut lines: Vec<(u64, String)>| {
            lines.retain(|(took, _)| *took > 0);
            lines.sort_by_key(|(took, _)| Reverse(*took));
            if !lines.is_empty() {
                let _ = writeln!(out, "{}", paint.bold(title));
            }
            for (took, what) in lines {
                let _ = writeln!(out, "  {:>7}  {}", duration(took), wrap(&clean(&what), width, 11));
            }
        };
        section("Waited for", timings.waits.iter().map(|(what, time)| (millis(time), what.clone())).collect());
        section("Time of checks", timings.groups.iter().map(|(ids, time)| (millis(time), ids.join(", "))).collect());
        out
    }

    /// For programs. The shape is versioned: `schema` changes when a key goes away or changes its meaning.
    pub fn json(&self) -> Value {
        let ranked = reports::worst_first(self.findings);
        let rank = |f: &Finding| ranked.iter().position(|other| std::ptr::eq(*other, f)).map(|at| at + 1);
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|f| {
                json!({
                    "rank": rank(f).filter(|_| reports::is_problem(f)),
                    "follows": reports::behind(f, self.findings),
                    "id": f.id,
                    "family": family_of(f.id),
                    "title": f.title,
                    "subject": f.subject,
                    "verdict": f.verdict,
                    "severity": reports::severity(f.id),
                    "expected": f.expected,
                    "observed": f.observed,
                    "remedy": f.remedy,
                    "place": f.line.map(|line| json!({ "file": self.file, "line": line })),
                    "vantage": f.vantage,
                    "millis": f.millis,
                    "was": self.earlier.and_then(|earlier| earlier.was(f)),
                    "worse": self.earlier.map(|earlier| earlier.is_worse(f)),
                })
            })
            .collect();
        json!({
            "schema": "stackctl.verify/1",
            "project": self.project,
            "stage": if self.stage.is_empty() { Value::Null } else { json!(self.stage) },
            "file": self.file,
            "started": format!("{}Z", utc(self.started)),
            "millis": self.millis,
            "against": self.earlier.map(Earlier::name),
            "verdict": self.findings.iter().map(|f| f.verdict).max(),
            "summary": {
                "total": self.findings.len(),
                "pass": self.number(Verdict::Pass),
                "not-applicable": self.number(Verdict::NotApplicable),
                "warn": self.number(Verdict::Warn),
                "inconclusive": self.number(Verdict::Inconclusive),
                "fail": self.number(Verdict::Fail),
            },
            "findings": findings,
            "timings": self.timings.map(|timings| json!({
                "waits": timings.waits.iter().map(|(what, time)| json!({ "for": what, "millis": time.as_millis() }))
                    .collect::<Vec<_>>(),
                "groups": timings.groups.iter().map(|(ids, time)| json!({ "checks": ids, "millis": time.as_millis() }))
                    .collect::<Vec<_>>(),
            })),
        })
    }
}

/// `TLS` of `TLS-1`.
pub fn family_of(id: &'static str) -> &'static str {
    id.rsplit_once('-').map_or(id, |(family, _)| family)
}

fn ink(verdict: Verdict, paint: Paint, text: &str) -> String {
    match verdict {
        Verdict::Pass => paint.green(text),
        Verdict::NotApplicable => paint.dim(text),
        Verdict::Warn | Verdict::Inconclusive => paint.yellow(text),
        Verdict::Fail => paint.bold_red(text),
    }
}

#[cfg(test)]
#[path = "findings_tests.rs"]
pub(super) mod tests;
