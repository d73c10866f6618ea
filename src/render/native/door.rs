//! Nginx on the host: its own configuration under its own unit, so that it shares no `http` block with sites of others.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::name::ServiceName;
use crate::model::artifact::Artifact;
use crate::model::nginx::NginxFacts;
use crate::model::proxy::{Proxy, Route};
use crate::model::service::Service;
use crate::model::stack::Stack;
use crate::render::RenderError;
use crate::render::engine::{self, NATIVE_LOGS, NATIVE_PROXY};
use crate::render::nginx::{Banks, Place, ProxyInput, Upstream, nginx, on_host};

use super::unit::{at_home, pair};
use super::{NativeInput, in_system};

#[derive(Serialize)]
struct Door<'a> {
    project: &'a str,
    user: String,
    conf: String,
    after: Vec<String>,
    memory: u64,
    /// Folders at home that it serves, as systemd's own tokens.
    reads: Vec<String>,
}

#[derive(Serialize)]
struct Logs<'a> {
    project: &'a str,
    user: String,
}

/// Whether a route leads to a service that runs on the host.
pub(super) fn leads_here(stack: &Stack, proxy: &Proxy) -> bool {
    let service = |route: &Route| route.service().or(route.folder().map(|folder| &folder.service)).cloned();
    let mut routed = proxy.routes.iter().filter_map(|route| stack.services.get(&service(route)?));
    routed.any(|service| service.native.is_some())
}

pub(super) fn user(stack: &Stack) -> String {
    format!("{}-proxy", stack.project)
}

pub(super) fn render(
    input: &NativeInput<'_>,
    proxy: &Proxy,
    services: &[&Service],
) -> Result<Vec<Artifact>, RenderError> {
    let stack = input.stack;
    let project = stack.project.as_str();
    let upstream = |service: &Service| {
        let target = format!("127.0.0.1:{}", service.port?);
        let upstream = Upstream { target, comment: service.name.to_string() };
        Some((service.name.clone(), Banks { a: vec![upstream], b: Vec::new() }))
    };
    let upstreams: BTreeMap<ServiceName, Banks> = services.iter().filter_map(|service| upstream(service)).collect();
    let front = ProxyInput {
        stack,
        proxy,
        upstreams: &upstreams,
        certificate: input.certificate,
        // Which Nginx the host has is not known: what all of them understand.
        facts: NginxFacts { njs: proxy.nginx.njs, ..NginxFacts::OLDEST },
        trusted_probe: Vec::new(),
        release: None,
        place: Place::Host,
    };
    let files = nginx(&front)?;
    // The unit sees no home but for these folders.
    let folders = proxy.folders().into_values().filter_map(|folder| on_host(&front, folder));
    let reads = folders.filter(|folder| at_home(folder)).map(|folder| pair(&folder, &folder));
    let reads = reads.collect::<Result<Vec<_>, _>>()?;
    // The user's number is not known here: tmpfiles.d lets him read the key.
    let below = |file: Artifact| Artifact { path: format!("etc/{project}/nginx/{}", file.path), uid: 0, ..file };
    let mut out: Vec<Artifact> = files.into_iter().map(below).collect();
    let door = Door {
        project,
        user: user(stack),
        conf: format!("/etc/{project}/nginx/nginx.conf"),
        after: services.iter().map(|service| format!("{project}-{}.service", service.name)).collect(),
        memory: proxy.memory.0,
        reads,
    };
    let unit = in_system(&format!("{project}-proxy.service"));
    out.push(Artifact::plain(unit, engine::fill(&NATIVE_PROXY, &door)?));
    let logs = engine::fill(&NATIVE_LOGS, &Logs { project, user: user(stack) })?;
    out.push(Artifact::plain(format!("etc/logrotate.d/{project}"), logs));
    Ok(out)
}
