//! What runs beside containers: by the clock, or on the host itself.

use std::collections::BTreeMap;

use crate::base::name::ServiceName;
use crate::base::problem::{Problem, Problems};
use crate::config::decode::At;
use crate::config::keys::native::NativeKey;
use crate::config::keys::service::ServiceKeys;
use crate::model::native::{Job, Native};
use crate::model::service::{Kind, Service};

use super::Input;

pub(super) fn lower(service: &mut Service, keys: &At<ServiceKeys>, input: &Input<'_>, problems: &mut Problems) {
    jobs(service, keys, input, problems);
    let Some(native) = &keys.value.native else { return };
    if keys.value.preset.is_some() {
        problems.push(
            Problem::error("a preset runs in a container, or as the host's own package")
                .at(native.span.clone())
                .help("leave `native` away: services on the host find it at 127.0.0.1"),
        );
        return;
    }
    let line = input.line(&native.span);
    let (folder, user, command) = match &native.value {
        NativeKey::Folder(folder) => (Some(folder), None, None),
        NativeKey::Keys(table) => (
            table.folder.as_ref().map(|f| &f.value),
            table.user.as_ref().map(|u| u.value.0.clone()),
            table.command.as_ref().map(|c| c.value.0.clone()),
        ),
    };
    let Some(folder) = folder else { return };
    if command.is_none() && service.command.is_none() {
        problems.push(
            Problem::error("on the host nobody knows the image's own command")
                .at(native.span.clone())
                .help("write `command` in the service, or in `native`"),
        );
    }
    service.native = Some(Native { line, folder: folder.0.clone(), user, command });
}

/// On a host all services share the ports.
pub(super) fn together(
    entries: &[(At<ServiceName>, At<ServiceKeys>)],
    services: &BTreeMap<ServiceName, Service>,
    problems: &mut Problems,
) {
    let mut taken: BTreeMap<u16, &ServiceName> = BTreeMap::new();
    for (name, keys) in entries {
        let service = services.get(&name.value).filter(|service| service.native.is_some());
        let Some((port, native)) = service.and_then(|service| service.port).zip(keys.value.native.as_ref()) else {
            continue;
        };
        if let Some(other) = taken.insert(port, &name.value) {
            problems.push(
                Problem::error(format!("`{other}` has port {port} on the host already"))
                    .at(native.span.clone())
                    .help("there all services share the ports: give one of them another `port`"),
            );
        }
    }
}

fn jobs(service: &mut Service, keys: &At<ServiceKeys>, input: &Input<'_>, problems: &mut Problems) {
    let Some(jobs) = &keys.value.jobs else { return };
    if service.kind == Kind::Job {
        problems.push(
            Problem::error("a job has no jobs of its own")
                .at(jobs.span.clone())
                .help("write them in a service that runs all the time: they run in containers like its own"),
        );
    }
    for (name, job) in &jobs.value.0 {
        for missing in &job.value.missing {
            let fix = match *missing {
                "command" => "command = [\"python\", \"-m\", \"app.cleanup\"]",
                _ => "schedule = \"daily\"",
            };
            problems.push(Problem::error(format!("a job needs a `{missing}`")).at(name.span.clone()).fix(fix));
        }
        let keys = &job.value.keys;
        let (Some(command), Some(schedule)) = (&keys.command, &keys.schedule) else { continue };
        let line = input.line(&name.span);
        let (command, schedule) = (command.value.0.clone(), schedule.value.clone());
        service.jobs.insert(name.value.0.clone(), Job { line, command, schedule });
    }
}
