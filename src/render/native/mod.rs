//! A host without containers: units, users, modes and log rotation for the services that can run there, and Nginx in
//! front of them.
//!
//! All of it lies below `etc/`, as it will on the host. Names of services lead to the host itself in every unit, so
//! that URLs of presets hold as they are.

mod door;
mod unit;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::base::name::SecretName;
use crate::base::secret::Secret;
use crate::model::artifact::Artifact;
use crate::model::proxy::Proxy;
use crate::model::secrets::SecretValues;
use crate::model::service::{Kind, Service};
use crate::model::stack::Stack;

use super::RenderError;
use super::engine::{
    self, NATIVE_ENVIRONMENT, NATIVE_HOSTS, NATIVE_MODES, NATIVE_SERVICE, NATIVE_TARGET, NATIVE_TIMER, NATIVE_USERS,
};
use unit::Unit;

/// Everything that units are made of.
#[derive(Debug, Clone, Copy)]
pub struct NativeInput<'a> {
    /// The stack.
    pub stack: &'a Stack,
    /// Values of its secrets.
    pub values: &'a SecretValues,
    /// Chain and key of the front door, both PEM.
    pub certificate: Option<(&'a str, &'a Secret)>,
}

#[derive(Serialize)]
struct Target<'a> {
    project: &'a str,
    /// There is a Prometheus, or somebody it tells.
    watched: bool,
    units: Vec<String>,
}

#[derive(Serialize)]
struct Timer<'a> {
    unit: &'a str,
    target: String,
    schedule: &'a str,
}

#[derive(Serialize)]
struct Users<'a> {
    project: &'a str,
    users: BTreeSet<String>,
}

#[derive(Serialize)]
struct Modes<'a> {
    project: &'a str,
    /// The user of the front door, if there is one.
    proxy: Option<String>,
    /// An authority asks the front door before it gives a certificate.
    challenges: bool,
}

#[derive(Serialize)]
struct Hosts<'a> {
    project: &'a str,
    names: Vec<&'a str>,
    others: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct Environment {
    variables: BTreeMap<String, String>,
}

/// Renders what the services with `native` need on a host; nothing where there is none.
///
/// # Errors
/// [`RenderError::Value`] for what a unit or an environment file cannot hold.
pub fn native(input: &NativeInput<'_>) -> Result<Vec<Artifact>, RenderError> {
    let stack = input.stack;
    let project = stack.project.as_str();
    let services: Vec<&Service> = stack.services.values().filter(|service| service.native.is_some()).collect();
    if services.is_empty() {
        return Ok(Vec::new());
    }
    let values = on_loopback(stack, input.values);
    let input = &NativeInput { values: &values, ..*input };
    let mut out = Vec::new();
    let mut units = Vec::new();
    let mut users = BTreeSet::new();
    for service in &services {
        let own = unit::of_service(stack, service)?;
        users.insert(own.user.clone());
        units.push(own.name.clone());
        add(input, &own, &mut out)?;
        for (name, job) in &service.jobs {
            let own = unit::of_job(stack, service, name, job)?;
            let timer = own.name.replace(".service", ".timer");
            let view = Timer { unit: &own.name, target: format!("{project}.target"), schedule: job.schedule.as_str() };
            out.push(Artifact::plain(in_system(&timer), engine::fill(&NATIVE_TIMER, &view)?));
            units.push(timer);
            add(input, &own, &mut out)?;
        }
    }
    let proxy = match &stack.proxy {
        Some(proxy) if door::leads_here(stack, proxy) => {
            let user = door::user(stack);
            out.extend(door::render(input, proxy, &services)?);
            units.push(format!("{project}-proxy.service"));
            users.insert(user.clone());
            Some(user)
        }
        _ => None,
    };
    let hosts = engine::fill(&NATIVE_HOSTS, &hosts(stack))?;
    out.push(Artifact::plain(format!("etc/{project}/hosts"), hosts));
    let challenges = stack.proxy.as_ref().is_some_and(Proxy::is_asked);
    let modes = engine::fill(&NATIVE_MODES, &Modes { project, proxy, challenges })?;
    out.push(Artifact::plain(format!("etc/tmpfiles.d/{project}.conf"), modes));
    let users = engine::fill(&NATIVE_USERS, &Users { project, users })?;
    out.push(Artifact::plain(format!("etc/sysusers.d/{project}.conf"), users));
    let target = engine::fill(
        &NATIVE_TARGET,
        &Target { project, watched: stack.services.values().any(Service::reloads), units },
    )?;
    out.push(Artifact::plain(in_system(&format!("{project}.target")), target));
    Ok(out)
}

/// Values as a host has them: a database is the distribution's, on the loopback address, and shows a certificate of its
/// own making. URLs say nothing of TLS there.
fn on_loopback(stack: &Stack, values: &SecretValues) -> SecretValues {
    let mut out = values.clone();
    for service in stack.services.values().filter(|s| s.tls.is_some()) {
        let Some(url) = SecretName::parse(&format!("{}.url", service.name)).and_then(|name| out.get_mut(&name)) else {
            continue;
        };
        // The rest of the URL is encoded: nothing else in it looks like that.
        let plain = url.expose().split_once("?sslmode=").map(|(plain, _)| Secret::new(plain));
        *url = plain.unwrap_or_else(|| url.clone());
    }
    out
}

fn in_system(unit: &str) -> String {
    format!("etc/systemd/system/{unit}")
}

/// A unit with its environment and its credentials.
fn add(input: &NativeInput<'_>, unit: &Unit<'_>, out: &mut Vec<Artifact>) -> Result<(), RenderError> {
    out.push(Artifact::plain(in_system(&unit.name), engine::fill(&NATIVE_SERVICE, unit)?));
    let project = input.stack.project.as_str();
    let variables = unit.variables(input.values);
    if let Some(path) = &unit.environment {
        let text = engine::fill(&NATIVE_ENVIRONMENT, &Environment { variables })?;
        out.push(Artifact::secret(path.trim_start_matches('/'), Secret::new(text), Some(0)));
    }
    for name in unit.secrets() {
        if let Some(value) = input.values.get(name) {
            let path = format!("etc/{project}/credentials/{name}");
            if !out.iter().any(|file| file.path == path) {
                out.push(Artifact::secret(path, value.clone(), Some(0)));
            }
        }
    }
    Ok(())
}

/// Every name of the stack is the host itself.
fn hosts(stack: &Stack) -> Hosts<'_> {
    let running = stack.services.values().filter(|service| service.kind != Kind::Job);
    let extra = stack.services.values().filter(|s| s.native.is_some()).flat_map(|s| &s.runtime.extra_hosts);
    Hosts {
        project: stack.project.as_str(),
        names: running.map(|service| service.name.as_str()).collect(),
        others: extra
            .map(|(name, address)| {
                (name.as_str(), if address == "host-gateway" { "127.0.0.1" } else { address.as_str() })
            })
            .collect(),
    }
}
