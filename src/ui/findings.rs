//! Shim until the real view is merged.
use super::output::{Output, WriteError};
use crate::model::finding::Finding;
/// Report.
pub struct Report<'a> {
    /// File.
    pub file: &'a str,
    /// Project.
    pub project: &'a str,
    /// Findings.
    pub findings: &'a [Finding],
}
impl Report<'_> {
    /// Human.
    pub fn human(&self, out: &Output) -> Result<(), WriteError> {
        for f in self.findings {
            out.line(format!(
                "{:6} {:7} {} {} | {} | {}",
                f.verdict.word(),
                f.id,
                f.title,
                f.subject,
                f.expected,
                f.observed
            ))?;
        }
        Ok(())
    }
    /// JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!(self.findings)
    }
    /// Problems.
    pub fn problems(&self, out: &Output) {
        for f in self.findings {
            if f.verdict > crate::model::finding::Verdict::NotApplicable {
                out.say(format!(
                    "{:6} {:7} {} {} | {} | {}",
                    f.verdict.word(),
                    f.id,
                    f.title,
                    f.subject,
                    f.expected,
                    f.observed
                ));
            }
        }
    }
}
/// Watch.
pub struct Watch;
impl Watch {
    /// New.
    pub fn new(_: &Output) -> Self {
        Self
    }
    /// Found.
    pub fn found(&self, _: &Finding) {}
}
