//! Exit codes: part of the interface, documented from this list.

use crate::model::finding::{Finding, Verdict};
use crate::ui::error::{Failure, Kind, Told};
use crate::ui::output::WriteError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Command line or stack.toml wrong.
    Usage,
    /// There are changes.
    Changes,
    /// A check failed.
    CheckFailed,
    /// Refused.
    Refused,
    /// Could not judge.
    Unsure,
    /// Somebody else is at work.
    Locked,
    /// Interrupted.
    Interrupted,
    /// What a command in a container ended with: `exec` and `run` pass it on.
    Command(u8),
}

/// A documented exit code.
pub struct Code {
    /// Status it stands for.
    pub status: ExitStatus,
    /// The number.
    pub number: u8,
    /// In a few words.
    pub title: &'static str,
    /// When, and what to do.
    pub text: &'static str,
}

/// All exit codes, in order of precedence: when several apply, the first in this list wins.
pub const CODES: &[Code] = &[
    Code {
        status: ExitStatus::Interrupted,
        number: 130,
        title: "interrupted",
        text: "Ctrl-C, or a signal that asks to stop. What was begun has been undone, or the next `up` goes on from it.",
    },
    Code {
        status: ExitStatus::Usage,
        number: 2,
        title: "usage or stack.toml",
        text: "The command line or stack.toml is wrong. Nothing was touched.",
    },
    Code {
        status: ExitStatus::Refused,
        number: 5,
        title: "refused",
        text: "It could be done, but needs to be asked for: consent where nobody can be asked (`--yes`), a plan that is out of date, another stage than the one on the engine. Nothing was touched.",
    },
    Code {
        status: ExitStatus::Locked,
        number: 75,
        title: "locked, try again",
        text: "Somebody else is at work on the stack. Trying again later is right (75 is `EX_TEMPFAIL` of sysexits.h).",
    },
    Code {
        status: ExitStatus::Failed,
        number: 1,
        title: "failed",
        text: "It was tried and did not work; the message says what and why.",
    },
    Code {
        status: ExitStatus::CheckFailed,
        number: 4,
        title: "a check failed",
        text: "`verify` ran, and something is not as stack.toml declares it.",
    },
    Code {
        status: ExitStatus::Unsure,
        number: 6,
        title: "could not judge",
        text: "`verify` ran, nothing failed, but a check could not be judged: no access, no answer in time. Never counted as passed.",
    },
    Code {
        status: ExitStatus::Changes,
        number: 3,
        title: "there are changes",
        text: "Only with `plan --exit-code`: `up` would change something; and with `lock --check`: stack.lock would change.",
    },
    Code {
        status: ExitStatus::Done,
        number: 0,
        title: "done",
        text: "All is well. Also when the reader of a pipe went away.",
    },
];

impl ExitStatus {
    /// The number.
    pub fn code(self) -> u8 {
        if let Self::Command(code) = self {
            return code;
        }
        CODES.iter().find(|c| c.status == self).map_or(1, |c| c.number)
    }

    /// The status that wins when several apply.
    pub fn worst(all: impl IntoIterator<Item = Self>) -> Self {
        let rank = |status: &Self| CODES.iter().position(|c| c.status == *status);
        all.into_iter().min_by_key(rank).unwrap_or(Self::Done)
    }

    /// The status a checklist ends in: a failure wins over what could not be judged; a warning is no failure.
    pub fn of_findings(findings: &[Finding]) -> Self {
        Self::worst(findings.iter().map(|f| match f.verdict {
            Verdict::Fail => Self::CheckFailed,
            Verdict::Inconclusive => Self::Unsure,
            Verdict::Pass | Verdict::Warn | Verdict::NotApplicable => Self::Done,
        }))
    }

    /// The status an error ends in.
    pub fn of(error: &anyhow::Error) -> Self {
        for link in error.chain() {
            if let Some(WriteError::Closed) = link.downcast_ref::<WriteError>() {
                return Self::Done;
            }
            let kind = link.downcast_ref::<Failure>().map(|f| f.kind).or(link.downcast_ref::<Told>().map(|t| t.0));
            if let Some(kind) = kind {
                return kind.into();
            }
        }
        Self::Failed
    }
}

impl From<Kind> for ExitStatus {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Failed => Self::Failed,
            Kind::Usage => Self::Usage,
            Kind::Refused => Self::Refused,
            Kind::Unsure => Self::Unsure,
            Kind::Locked => Self::Locked,
            Kind::Interrupted => Self::Interrupted,
        }
    }
}

/// `docs/exit-codes.md`
pub fn document() -> String {
    let mut rows: Vec<&Code> = CODES.iter().collect();
    rows.sort_by_key(|c| c.number);
    let table: Vec<String> = rows.iter().map(|c| format!("| {} | {} | {} |", c.number, c.title, c.text)).collect();
    let order: Vec<String> = CODES.iter().map(|c| c.number.to_string()).collect();
    format!(
        "# Exit codes\n\n<!-- Made from src/cli/exit.rs by `UPDATE_DOCS=1 cargo test --test cli`. -->\n\n\
         Exit codes are part of the interface: scripts may rely on them.\n\n\
         | code | | when |\n|---|---|---|\n{}\n\n\
         When several apply, the first of these wins: {}.\n\n\
         `exec` and `run` end with the exit code of the command they ran (126 if it cannot be run, 127 if it is not \
         there, 128 and the signal's number if a signal ended it), and with one of the above only where no command \
         ran.\n\n\
         A failed check (4) is never a broken run (1), and what could not be judged (6) is never counted as passed.\n",
        table.join("\n"),
        order.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        use ExitStatus as S;
        let all = [S::Done, S::Failed, S::Usage, S::Changes, S::CheckFailed, S::Refused, S::Unsure, S::Locked];
        assert_eq!(all.map(ExitStatus::code), [0, 1, 2, 3, 4, 5, 6, 75]);
        assert_eq!(S::Interrupted.code(), 130);
    }

    #[test]
    fn the_worst_wins() {
        use ExitStatus as S;
        assert_eq!(S::worst([S::Done, S::Unsure, S::CheckFailed]), S::CheckFailed);
        assert_eq!(S::worst([S::Failed, S::Locked, S::Refused]), S::Refused);
        assert_eq!(S::worst([S::Done, S::Changes]), S::Changes);
        assert_eq!(S::worst([]), S::Done);
    }

    #[test]
    fn an_error_keeps_its_kind_under_context() {
        let error = anyhow::Error::new(Failure::refused("no")).context("while stopping");
        assert_eq!(ExitStatus::of(&error), ExitStatus::Refused);
        assert_eq!(ExitStatus::of(&anyhow::Error::new(WriteError::Closed)), ExitStatus::Done);
        assert_eq!(ExitStatus::of(&anyhow::anyhow!("x")), ExitStatus::Failed);
    }
}
