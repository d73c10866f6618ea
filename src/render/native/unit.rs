//! A service, or one of its jobs, as a unit of systemd: what its container would get, in systemd's words.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::base::name::SecretName;
use crate::base::units::ByteSize;
use crate::model::native::{Job, Native};
use crate::model::runtime::Restart;
use crate::model::secrets::{Piece, SecretValues, Template};
use crate::model::service::{Kind, Preset, Service};
use crate::model::stack::Stack;
use crate::render::{RenderError, escape};

/// What the template sees.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each switches a few lines of the template")]
pub(super) struct Unit<'a> {
    #[serde(skip)]
    pub(super) name: String,
    #[serde(skip)]
    service: &'a Service,
    project: &'a str,
    /// Words of ours, and names.
    description: String,
    /// Units that are started, too, and before.
    wants: Vec<String>,
    /// Jobs that must have ended well before.
    requires: Vec<String>,
    /// It runs to its end.
    ends: bool,
    /// A timer starts it.
    timed: bool,
    pub(super) user: String,
    folder: &'a str,
    /// Its environment file.
    pub(super) environment: Option<String>,
    /// Whole tokens, as all that are printed as they are.
    credentials: Vec<String>,
    before: Option<&'a [String]>,
    command: Vec<String>,
    stop_signal: Option<&'a str>,
    stop: String,
    restart: Option<&'static str>,
    limits: Vec<String>,
    state: Vec<String>,
    binds: Vec<String>,
    reads: Vec<String>,
    tmpfs: Vec<String>,
    capabilities: Vec<&'a str>,
    at_home: bool,
    egress: bool,
}

impl Unit<'_> {
    /// Secrets it gets as credentials.
    pub(super) fn secrets(&self) -> &BTreeSet<SecretName> {
        &self.service.secrets
    }

    /// Its environment, with values.
    pub(super) fn variables(&self, values: &SecretValues) -> BTreeMap<String, String> {
        let filled = |text: &Template| {
            let pieces = text.0.iter().map(|piece| match piece {
                Piece::File(name) => Piece::Text(format!("/run/credentials/{}/{name}", self.name)),
                other => other.clone(),
            });
            Template(pieces.collect()).fill(values).expose().to_owned()
        };
        self.service.environment.iter().map(|(name, text)| (name.clone(), filled(text))).collect()
    }
}

pub(super) fn of_service<'a>(stack: &'a Stack, service: &'a Service) -> Result<Unit<'a>, RenderError> {
    let name = format!("{}-{}.service", stack.project, service.name);
    let native = native_of(service)?;
    let command = native.command.as_deref().or(service.command.as_deref()).unwrap_or_default();
    let description = format!("{} of {}", service.name, stack.project);
    let unit = unit(stack, service, name, description, command)?;
    Ok(Unit { before: service.pre_deploy.as_deref(), ends: service.kind == Kind::Job, ..unit })
}

pub(super) fn of_job<'a>(
    stack: &'a Stack,
    service: &'a Service,
    name: &str,
    job: &'a Job,
) -> Result<Unit<'a>, RenderError> {
    let file = format!("{}-{}-{name}.service", stack.project, service.name);
    let unit = unit(stack, service, file, format!("{name} of {}", stack.project), &job.command)?;
    Ok(Unit { ends: true, timed: true, restart: None, ..unit })
}

fn refuse(value: &str, why: &'static str) -> RenderError {
    RenderError::Value { format: "systemd", value: value.to_owned(), why }
}

fn native_of(service: &Service) -> Result<&Native, RenderError> {
    service.native.as_ref().ok_or_else(|| refuse(service.name.as_str(), "the service has no `native`"))
}

/// Whether a folder is one that `ProtectHome` hides.
pub(super) fn at_home(folder: &str) -> bool {
    ["/home/", "/root/", "/run/user/"].iter().any(|home| folder.starts_with(home))
}

fn unit<'a>(
    stack: &'a Stack,
    service: &'a Service,
    name: String,
    description: String,
    command: &[String],
) -> Result<Unit<'a>, RenderError> {
    let native = native_of(service)?;
    let project = stack.project.as_str();
    let environment = format!("/etc/{project}/{}", name.replace(".service", ".env"));
    let binds = service.volumes.iter().map(|mount| {
        // The folders of a read-only mount are made by whoever may write there.
        (mount.read_only, pair(&format!("/var/lib/{project}/{}", mount.volume), &mount.target))
    });
    let (reads, writes): (Vec<_>, Vec<_>) = binds.partition(|(read_only, _)| *read_only);
    let mut reads = reads.into_iter().map(|(_, token)| token).collect::<Result<Vec<_>, _>>()?;
    reads.push(pair(&format!("/etc/{project}/hosts"), "/etc/hosts")?);
    for file in &service.project_files {
        reads.push(pair(&format!("{}/{}", native.folder, file.source), &file.target)?);
    }
    let at_home = at_home(&native.folder);
    if at_home {
        // The unit sees no home at all but for this folder.
        reads.push(pair(&native.folder, &native.folder)?);
    }
    let tmpfs = service.tmpfs.iter().filter(|(target, _)| *target != "/tmp");
    let (wants, requires) = needs(stack, service);
    Ok(Unit {
        service,
        project,
        description,
        wants,
        requires,
        ends: false,
        timed: false,
        user: native.user.clone().unwrap_or_else(|| project.to_owned()),
        folder: &native.folder,
        environment: (!service.environment.is_empty()).then_some(environment),
        credentials: service
            .secrets
            .iter()
            .map(|secret| pair(secret.as_str(), &format!("/etc/{project}/credentials/{secret}")))
            .collect::<Result<_, _>>()?,
        before: None,
        command: words(native, command)?,
        stop_signal: service.stop_signal.as_deref(),
        stop: format!("{}ms", service.stop_grace_period.0.as_millis()),
        restart: match service.restart {
            Restart::No => None,
            Restart::OnFailure => Some("on-failure"),
            Restart::Always | Restart::UnlessStopped => Some("always"),
        },
        limits: limits(service),
        state: service.volumes.iter().filter(|m| !m.read_only).map(|m| format!("{project}/{}", m.volume)).collect(),
        binds: writes.into_iter().map(|(_, token)| token).collect::<Result<_, _>>()?,
        reads,
        tmpfs: tmpfs.map(|(target, _)| pair(target, "mode=1777")).collect::<Result<_, _>>()?,
        capabilities: service.cap_add.iter().map(String::as_str).collect(),
        at_home,
        egress: service.egress,
        name,
    })
}

/// `from:to` as one word. A colon in either would be another pair.
pub(super) fn pair(from: &str, to: &str) -> Result<String, RenderError> {
    if let Some(value) = [from, to].into_iter().find(|value| value.contains([':', '\\']) || value.contains('\0')) {
        return Err(refuse(value, "a path that is mounted cannot hold `:` or a backslash"));
    }
    let mut out = Vec::new();
    // Writing to memory does not fail, and NUL is not among it.
    let _ = escape::setting(&format!("{from}:{to}"), &mut out);
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// The command line. What systemd reads into a program's name is refused.
fn words(native: &Native, command: &[String]) -> Result<Vec<String>, RenderError> {
    let (program, arguments) = command.split_first().ok_or_else(|| refuse("", "there is no command"))?;
    if program.is_empty() || program.starts_with(['@', '-', ':', '+', '!', '|']) {
        return Err(refuse(program, "systemd takes the first sign of a program's name for an option"));
    }
    if program.contains('$') {
        return Err(refuse(program, "the path of a program cannot hold `$`"));
    }
    let program = match program.strip_prefix("./").unwrap_or(program) {
        inside if inside.contains('/') && !inside.starts_with('/') => format!("{}/{inside}", native.folder),
        inside if program.starts_with("./") => format!("{}/{inside}", native.folder),
        _ => program.clone(),
    };
    Ok(std::iter::once(program).chain(arguments.iter().cloned()).collect())
}

/// Units of what it needs: those of this stack, and the host's own packages for presets.
fn needs(stack: &Stack, service: &Service) -> (Vec<String>, Vec<String>) {
    let (mut wants, mut requires) = (Vec::new(), Vec::new());
    for needed in service.depends_on.iter().filter_map(|name| stack.services.get(name)) {
        let own = format!("{}-{}.service", stack.project, needed.name);
        match (&needed.native, needed.preset) {
            (Some(_), _) if needed.kind == Kind::Job => requires.push(own),
            (Some(_), _) => wants.push(own),
            (None, Some(preset)) => wants.push(package(preset).to_owned()),
            (None, None) => {}
        }
    }
    (wants, requires)
}

/// Units of Debian's packages, and of the makers' own where Debian has none.
fn package(preset: Preset) -> &'static str {
    match preset {
        Preset::Postgres => "postgresql.service",
        Preset::Redis => "redis-server.service",
        Preset::Prometheus => "prometheus.service",
        Preset::Qdrant => "qdrant.service",
        Preset::Alertmanager => "prometheus-alertmanager.service",
        Preset::Grafana => "grafana-server.service",
    }
}

/// Limits, a line each.
fn limits(service: &Service) -> Vec<String> {
    let mut out = vec![format!("TasksMax={}", service.pids)];
    let bytes = |size: ByteSize| size.0;
    out.extend(service.memory.map(|size| format!("MemoryMax={}", bytes(size))));
    out.extend(service.runtime.reserve.memory.map(|size| format!("MemoryLow={}", bytes(size))));
    out.extend(service.cpus.map(|cpus| format!("CPUQuota={:.0}%", cpus * 100.0)));
    for (name, limit) in &service.runtime.ulimits {
        let number = |n: i64| if n < 0 { "infinity".to_owned() } else { n.to_string() };
        out.push(format!("Limit{}={}:{}", name.to_uppercase(), number(limit.soft), number(limit.hard)));
    }
    out
}
