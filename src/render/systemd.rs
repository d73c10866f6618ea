//! systemd: the stack comes up with the host, and its jobs start by the clock.

use serde::Serialize;

use crate::model::artifact::Artifact;
use crate::model::proxy::Tls;
use crate::model::stack::Stack;

use super::RenderError;
use super::engine::{self, NATIVE_TIMER, SYSTEMD, SYSTEMD_RENEW, SYSTEMD_TIMER};

#[derive(Serialize)]
struct View<'a> {
    project: &'a str,
    stage: Option<&'a str>,
    binary: &'a str,
    file: &'a str,
    /// A job instead of the whole stack.
    job: Option<Job<'a>>,
}

#[derive(Serialize)]
struct Job<'a> {
    name: &'a str,
    service: &'a str,
    command: &'a [String],
}

#[derive(Serialize)]
struct Timer<'a> {
    unit: &'a str,
    target: String,
    schedule: &'a str,
}

/// Renders `<project>.service`, a service and a timer for each job, and where certificates are renewed
/// `<project>-certificates.service` with its timer. `binary` and `file` are absolute paths on the host.
///
/// # Errors
/// [`RenderError::Value`] for a path that is not absolute, or that systemd cannot hold.
pub fn systemd(stack: &Stack, binary: &str, file: &str) -> Result<Vec<Artifact>, RenderError> {
    let refuse = |value: &str, why| RenderError::Value { format: "systemd", value: value.to_owned(), why };
    if let Some(path) = [binary, file].into_iter().find(|path| !path.starts_with('/')) {
        return Err(refuse(path, "the path is not absolute"));
    }
    // The program's own path is read before variables are: a doubled `$` would stay doubled there.
    if binary.contains('$') {
        return Err(refuse(binary, "the path of a program cannot hold `$`"));
    }
    let project = stack.project.as_str();
    let view = View { project, stage: stack.stage.as_deref(), binary, file, job: None };
    let whole = format!("{project}.service");
    let mut out = vec![Artifact::plain(&whole, engine::fill(&SYSTEMD, &view)?)];
    for (service, name, job) in
        stack.services.values().flat_map(|s| s.jobs.iter().map(move |(name, job)| (s.name.as_str(), name, job)))
    {
        let view = View { job: Some(Job { name, service, command: &job.command }), ..view };
        let unit = format!("{project}-{service}-{name}.service");
        let timer = Timer { unit: &unit, target: whole.clone(), schedule: job.schedule.as_str() };
        out.push(Artifact::plain(unit.replace(".service", ".timer"), engine::fill(&NATIVE_TIMER, &timer)?));
        out.push(Artifact::plain(&unit, engine::fill(&SYSTEMD, &view)?));
    }
    let encrypts = stack.services.values().any(|s| s.tls.is_some());
    if encrypts || stack.proxy.as_ref().is_some_and(|p| matches!(p.tls, Tls::Acme(_))) {
        for (end, template) in [("service", &SYSTEMD_RENEW), ("timer", &SYSTEMD_TIMER)] {
            out.push(Artifact::plain(format!("{project}-certificates.{end}"), engine::fill(template, &view)?));
        }
    }
    Ok(out)
}
