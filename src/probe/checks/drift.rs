//! Whether the engine has what stack.toml says.

use crate::model::finding::Finding;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;

use Judged::{Fail, Pass, Skip};

pub(in crate::probe) const DRF_1: Check = Check {
    id: "DRF-1",
    family: Family::Drift,
    title: "nothing to do",
    question: "Would `up` change anything now? The plan is made and not carried out: it compares containers, images, \
               networks, volumes, secrets and rendered files with stack.toml.",
    pass: "the plan is empty",
    source: "stack.toml",
    severity: Severity::High,
    remedy: "`stackctl plan` shows what differs and why; `stackctl up` makes it as stack.toml says",
};

/// So many steps are named.
const NAMED: usize = 3;

pub(in crate::probe) fn run(context: &Context<'_>) -> Vec<Finding> {
    let judged = match context.known.steps {
        None => Skip("not visible from here: it needs the engine".to_owned()),
        Some(steps) => judge(steps),
    };
    vec![DRF_1.about(context.stack.project.as_str()).from("engine").judged(judged)]
}

fn judge(steps: &[String]) -> Judged {
    match steps.len() {
        0 => Pass("0 steps".to_owned()),
        number => {
            let named = steps.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
            let more = if number > NAMED { format!("; {} more", number - NAMED) } else { String::new() };
            Fail(format!("{number} steps: {named}{more}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_named() {
        assert!(matches!(judge(&[]), Pass(_)));
        let steps = ["a", "b", "c", "d"].map(str::to_owned);
        assert_eq!(judge(&steps), Fail("4 steps: a; b; c; 1 more".into()));
    }
}
