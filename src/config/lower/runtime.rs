//! How a service's containers run: what the user wrote, checked against itself.

use std::ops::Range;

use crate::base::problem::{Problem, Problems};
use crate::base::suggest::nearest;
use crate::config::decode::{At, Map};
use crate::config::keys::runtime::LoggingKeys;
use crate::config::keys::service::ServiceKeys;
use crate::config::values::{Scalar, Text};
use crate::model::runtime::{Logging, Reserve};
use crate::model::service::{Image, Kind, Service};

pub(super) fn lower(service: &mut Service, keys: &At<ServiceKeys>, problems: &mut Problems) {
    let k = &keys.value;
    let runtime = &mut service.runtime;
    runtime.working_dir = k.working_dir.as_ref().map(|w| w.value.0.clone());
    runtime.shm_size = k.shm_size.as_ref().map(|s| s.value);
    for (name, limit) in k.ulimits.iter().flat_map(|m| &m.value.0) {
        runtime.ulimits.insert(name.value.0.clone(), limit.value.0);
    }
    runtime.devices.extend(k.devices.iter().flat_map(|list| &list.value).map(|d| d.value.0.clone()));
    for (name, address) in k.extra_hosts.iter().flat_map(|m| &m.value.0) {
        runtime.extra_hosts.insert(name.value.0.clone(), address.value.0.clone());
    }
    runtime.dns.extend(k.dns.iter().flat_map(|list| &list.value).map(|d| d.value.0));
    for (name, value) in k.labels.iter().flat_map(|m| &m.value.0) {
        runtime.labels.insert(name.value.0.clone(), value.value.0.clone());
    }
    if let Some(reserve) = &k.reserve {
        let keys = &reserve.value;
        runtime.reserve =
            Reserve { cpus: keys.cpus.as_ref().map(|c| c.value.0), memory: keys.memory.as_ref().map(|m| m.value) };
        if let (Some(reserved), Some(limit)) = (&keys.memory, service.memory)
            && reserved.value > limit
        {
            let message = format!("{} are reserved, and `memory` allows {limit}", reserved.value);
            problems.push(Problem::error(message).at(reserved.span.clone()).fix(format!("\"{limit}\"")));
        }
        if let (Some(reserved), Some(limit)) = (&keys.cpus, service.cpus)
            && reserved.value.0 > limit
        {
            let message = format!("{} cores are reserved, and `cpus` allows {limit}", reserved.value.0);
            problems.push(Problem::error(message).at(reserved.span.clone()).fix(limit.to_string()));
        }
    }
    if let Some(logging) = &k.logging {
        service.runtime.logging = Some(self::logging(&logging.value, &logging.span, problems));
    }
    if let (Image::Build(_), Some(policy)) = (&service.image, &k.pull_policy) {
        problems.push(
            Problem::error("an image that is built is never pulled")
                .at(policy.span.clone())
                .help("leave `pull_policy` away"),
        );
    }
    publish(service, keys, problems);
    kind(service, keys, problems);
}

/// Options the engine takes for the drivers that keep files; those of others are the other program's business.
fn options_of(driver: &str) -> Option<&'static [&'static str]> {
    match driver {
        "json-file" => Some(&["max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag"]),
        "local" => Some(&["max-size", "max-file", "compress"]),
        "none" => Some(&[]),
        _ => None,
    }
}

fn logging(keys: &LoggingKeys, span: &Range<usize>, problems: &mut Problems) -> Logging {
    let driver = keys.driver.as_ref().map_or("json-file", |d| d.value.0);
    let mut options = match driver {
        "json-file" | "local" => Logging::rotation(),
        _ => std::collections::BTreeMap::new(),
    };
    if driver == "none" {
        problems.push(
            Problem::warning("nobody will see what this service prints")
                .at(keys.driver.as_ref().map_or(span.clone(), |d| d.span.clone()))
                .help("`stackctl logs`, and the reason why it does not start, come from there"),
        );
    }
    if let Some(own) = &keys.options {
        check_options(driver, &own.value, problems);
        options.extend(own.value.0.iter().map(|(name, value)| (name.value.0.clone(), value.value.0.clone())));
    }
    Logging { driver: driver.to_owned(), options }
}

fn check_options(driver: &str, options: &Map<Text, Scalar>, problems: &mut Problems) {
    for (name, value) in &options.0 {
        if let Some(known) = options_of(driver)
            && !known.contains(&name.value.0.as_str())
        {
            let mut problem = Problem::error(format!("the log driver `{driver}` has no option `{}`", name.value.0))
                .at(name.span.clone());
            problem = match nearest(&name.value.0, known.iter().copied()) {
                Some(near) => problem.fix(near),
                None if known.is_empty() => problem.help("it has none"),
                None => problem.help(format!("it has {}", crate::base::suggest::one_of(known.iter().copied()))),
            };
            problems.push(problem);
        }
        let text = &value.value.0;
        let right = match name.value.0.as_str() {
            "max-size" => text == "-1" || text.parse::<crate::base::units::ByteSize>().is_ok_and(|size| size.0 > 0),
            "max-file" => text.parse::<u32>().is_ok_and(|n| n > 0),
            _ => true,
        };
        if !right {
            let allowed = if name.value.0 == "max-size" { "a size such as `10m`" } else { "a number from 1" };
            problems.push(
                Problem::error(format!("`{text}` is not possible for `{}`", name.value.0))
                    .at(value.span.clone())
                    .label(format!("allowed: {allowed}")),
            );
        }
    }
}

fn publish(service: &mut Service, keys: &At<ServiceKeys>, problems: &mut Problems) {
    let Some(publish) = &keys.value.publish else { return };
    service.publish.extend(publish.value.iter().map(|p| p.value.0.clone()));
    if service.replicas > 1 {
        problems.push(
            Problem::error("several containers cannot have one port of the host")
                .at(publish.span.clone())
                .help("a route spreads requests over all replicas"),
        );
    }
    if !service.egress {
        problems.push(
            Problem::error("a service without a way out has no way in from the host")
                .at(publish.span.clone())
                .label("the engine publishes nothing from a network without a gateway")
                .help("`egress = true` beside it gives it both"),
        );
    }
}

fn kind(service: &mut Service, keys: &At<ServiceKeys>, problems: &mut Problems) {
    let k = &keys.value;
    let Some(kind) = &k.kind else {
        service.kind = if service.port.is_some() { Kind::Web } else { Kind::Worker };
        return;
    };
    service.kind = kind.value.0;
    let preset = k.preset.is_some();
    if preset {
        problems.push(Problem::error("a preset knows its kind").at(kind.span.clone()).help("leave `kind` away"));
        return;
    }
    let mut refuse = |span: Option<Range<usize>>, message: &str, help: &str| {
        if let Some(span) = span {
            problems.push(Problem::error(message).at(span).help(help));
        }
    };
    match service.kind {
        Kind::Web if service.port.is_none() => {
            problems.push(Problem::error("`web` is asked on a `port`").at(kind.span.clone()).fix("port = 8000"));
        }
        Kind::Web | Kind::Worker => {}
        Kind::Job => {
            let ends = "a job runs to its end";
            let leave = "leave it away";
            refuse(k.port.as_ref().map(|p| p.span.clone()), &format!("{ends}: nobody asks it on a port"), leave);
            refuse(k.replicas.as_ref().map(|r| r.span.clone()), &format!("{ends}: it runs once"), leave);
            let asked = "that it has exited with 0 says that it is well";
            refuse(k.healthcheck.as_ref().map(|h| h.span.clone()), &format!("{ends}: {asked}"), leave);
            let again = "a job is not restarted; the next `up` runs it again if it failed";
            refuse(k.restart.as_ref().map(|r| r.span.clone()), again, leave);
            refuse(
                k.pre_deploy.as_ref().map(|p| p.span.clone()),
                "a job needs no other job before it",
                "make it a job of its own, and name that in `depends_on`",
            );
            refuse(
                k.post_deploy.as_ref().map(|p| p.span.clone()),
                "a job is over before the release is out",
                "give it to a service that serves",
            );
            refuse(
                k.on_failure.as_ref().map(|p| p.span.clone()),
                "a job has no container to run it beside",
                "give it to a service that serves",
            );
            refuse(k.metrics.as_ref().map(|m| m.span.clone()), &format!("{ends}: nobody scrapes it"), leave);
            refuse(k.publish.as_ref().map(|p| p.span.clone()), &format!("{ends}: nobody asks it on a port"), leave);
            service.restart = crate::model::runtime::Restart::No;
            // It has no container but while it runs.
            service.replicas = 0;
        }
    }
}
