//! Whether containers stay up: the same question twice, half a minute apart.

use std::time::Duration;

use crate::model::finding::Finding;
use crate::model::inspected::Inspected;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::judged::Unseen;

use Judged::{Fail, Pass, Skip, Unsure, Warn};

/// An engine waits up to a minute between restarts, but only after several; a loop that has just begun shows sooner.
const APART: Duration = Duration::from_secs(30);

pub(in crate::probe) const HLT_5: Check = Check {
    id: "HLT-5",
    family: Family::Health,
    title: "no restarts",
    question: "Do the containers stay up? The engine is asked twice, 30 s apart, for restart counts, start times and \
               kills for want of memory; with `--quick` once.",
    pass: "the same start time and count both times, and none was killed for want of memory; earlier restarts are a \
           warning",
    source: "CIS Docker 1.6 (docker-bench-security 5.15); 30 s is stackctl's own",
    severity: Severity::High,
    remedy: "`stackctl logs` of the service tells why it ended; give it more `memory` if it was killed for that",
};

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    if context.options.gate || !context.wants(&HLT_5) {
        return Vec::new();
    }
    let question = || HLT_5.about(context.stack.project.as_str()).from("engine");
    let first = match context.containers().await {
        Ok(first) => first,
        Err(why) => return vec![question().judged(why)],
    };
    let again = if context.options.quick {
        None
    } else {
        let left = APART.saturating_sub(context.started.elapsed());
        context.waits.sleep("containers, whether they stay up (HLT-5)", left).await;
        let inside = match context.inside() {
            Ok(inside) => inside,
            Err(why) => return vec![question().judged(why)],
        };
        match inside.containers().await {
            Ok(second) => Some(second),
            Err(why) => return vec![question().judged(Unseen::Broken(why))],
        }
    };
    let mut services: Vec<&str> = first.iter().filter(|c| c.number > 0).map(|c| c.service.as_str()).collect();
    services.dedup();
    let mut findings = Vec::new();
    for service in services {
        let own = first.iter().filter(|c| c.number > 0 && c.service == service);
        let judged = Judged::worst(own.map(|c| (c.name.as_str(), judge(c, again.as_deref()))));
        let question = HLT_5.about(service).line(context.line_of(service)).from("engine");
        findings.extend(judged.map(|judged| question.judged(judged)));
    }
    if findings.is_empty() {
        findings.push(question().judged(Skip("there is no container".to_owned())));
    }
    findings
}

fn judge(first: &Inspected, again: Option<&[Inspected]>) -> Judged {
    let last = match again.map(|all| all.iter().find(|c| c.name == first.name)) {
        None => first,
        Some(Some(second)) => second,
        Some(None) => return Unsure("it was replaced while it was watched".to_owned()),
    };
    if last.oom_killed {
        return Fail("killed for using more memory than it may".to_owned());
    }
    if last.restarts > first.restarts {
        return Fail(format!("restarted {} times within 30 s", last.restarts - first.restarts));
    }
    if last.started != first.started {
        return Fail("started anew within 30 s".to_owned());
    }
    match (last.restarts, again) {
        (1.., _) => Warn(format!("restarted {} times before", last.restarts)),
        (_, None) => Pass("never restarted".to_owned()),
        (_, Some(_)) => Pass("never restarted, and stayed up for 30 s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(restarts: i64, started: &str) -> Inspected {
        Inspected { name: "sum-app-1".into(), restarts, started: started.into(), ..Inspected::default() }
    }

    #[test]
    fn a_loop_is_told_from_an_old_accident() {
        let calm = container(0, "t1");
        assert!(matches!(judge(&calm, Some(std::slice::from_ref(&calm))), Pass(_)));
        assert!(matches!(judge(&calm, None), Pass(_)));
        assert!(matches!(judge(&container(3, "t1"), Some(&[container(3, "t1")])), Warn(_)));
        assert!(matches!(judge(&calm, Some(&[container(1, "t2")])), Fail(_)));
        assert!(matches!(judge(&calm, Some(&[container(0, "t2")])), Fail(_)));
        assert!(matches!(judge(&Inspected { oom_killed: true, ..calm.clone() }, None), Fail(_)));
        assert!(matches!(judge(&calm, Some(&[])), Unsure(_)));
    }
}
