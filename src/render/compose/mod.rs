//! Compose: the same stack for plain `docker compose up`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::hash;
use crate::base::name::ServiceName;
use crate::base::units::Span;
use crate::model::artifact::Artifact;
use crate::model::assets;
use crate::model::proxy::{Folder, Proxy, Route};
use crate::model::service::{Ask, Image, Kind, Preset, PullPolicy, Service};
use crate::model::stack::Stack;

use super::RenderError;
use super::engine::{self, COMPOSE};
use super::nginx::{LIVE, UID};

mod variables;
mod view;

use variables::Variables;
use view::{BuildView, Door, Entry, FileView, FolderView, Granted, HealthView, View, VolumeView};

/// Network of services that may open connections to the outside.
const OUTSIDE: &str = "default";

/// Renders `compose.yaml`. The front door's files lie in `nginx/` beside it, secrets in `secrets/`; `root` leads from
/// the file's folder to that of stack.toml, `.` if they are the same.
///
/// # Errors
/// [`RenderError::Value`] where two secrets would share a variable, or a service and a job a name.
pub fn compose(stack: &Stack, root: &str) -> Result<Vec<Artifact>, RenderError> {
    let mut variables = Variables::new(stack);
    let mut secrets: BTreeMap<String, String> = BTreeMap::new();
    let mut services = Vec::new();
    for service in stack.start_order() {
        let granted = grants(service, &mut secrets);
        let entry = entry(stack, service, root, granted, &mut variables)?;
        if let Some(command) = &service.pre_deploy {
            if stack.services.contains_key(before_name(service).as_str()) {
                let why = "the job that runs before a service has that name";
                return Err(RenderError::Value { format: "compose", value: before_name(service), why });
            }
            services.push(before(stack, service, root, command, &mut variables, &mut secrets)?);
        }
        services.push(entry);
    }
    let proxy = stack.proxy.as_ref().map(|proxy| door(stack, proxy));
    let networks: Vec<String> = stack.services.keys().filter(|name| is_asked(stack, name)).map(network).collect();
    let view = View {
        project: stack.project.as_str(),
        variables: variables.needed(),
        launcher: stack.services.values().any(|service| service.launcher),
        outside: proxy.is_some() || stack.services.values().any(|service| service.egress),
        services,
        proxy,
        networks,
        volumes: stack
            .services
            .values()
            .flat_map(|s| s.volumes.iter().map(|v| v.volume.clone()).chain(served(stack, s).map(|(name, _)| name)))
            .collect(),
        secrets,
    };
    Ok(vec![Artifact::plain("compose.yaml", engine::fill(&COMPOSE, &view)?)])
}

fn entry<'a>(
    stack: &'a Stack,
    service: &'a Service,
    root: &str,
    secrets: Vec<Granted>,
    variables: &mut Variables<'_>,
) -> Result<Entry<'a>, RenderError> {
    let (image, build) = match &service.image {
        Image::Pull(reference) => (Some(reference.as_str()), None),
        Image::Build(build) => {
            let context = match root {
                "." => build.context.clone(),
                _ if build.context.starts_with('/') => build.context.clone(),
                _ => format!("{root}/{}", build.context),
            };
            let target = build.target.as_deref();
            let (args, secrets, platform) = (&build.args, &build.secrets, build.platform.as_deref());
            (None, Some(BuildView { context, dockerfile: &build.dockerfile, target, args, secrets, platform }))
        }
    };
    let mut environment = BTreeMap::new();
    for (name, value) in &service.environment {
        environment.insert(name.as_str(), variables.token(value)?);
    }
    let mut depends_on: BTreeMap<String, &'static str> = BTreeMap::new();
    for need in &service.depends_on {
        depends_on.insert(need.to_string(), condition(stack.services.get(need)));
    }
    if service.pre_deploy.is_some() {
        depends_on.insert(before_name(service), "service_completed_successfully");
    }
    Ok(Entry {
        name: service.name.to_string(),
        image,
        build,
        entrypoint: match &service.tls {
            Some(_) => Some(Cow::Owned(with_key_of_its_own())),
            None => service.entrypoint.as_deref().map(Cow::Borrowed),
        },
        command: match &service.tls {
            Some(_) => service.command.as_deref().map(|words| words.iter().map(|w| w.replace(PEM, OWN_PEM)).collect()),
            None => service.command.as_deref().map(Cow::Borrowed),
        },
        user: service.user.as_deref(),
        working_dir: service.runtime.working_dir.as_deref(),
        init: service.init,
        pull_policy: match service.pull {
            PullPolicy::Missing => None,
            PullPolicy::Always => Some("always"),
            // Compose knows of one engine only.
            PullPolicy::Never | PullPolicy::Send => Some("never"),
        },
        environment,
        secrets,
        volumes: service
            .volumes
            .iter()
            .map(|v| VolumeView { source: v.volume.clone(), target: &v.target, read_only: v.read_only })
            .chain(served(stack, service).map(|(source, folder)| VolumeView {
                source,
                target: &folder.path,
                // What the program may write elsewhere in its image, it may write here.
                read_only: false,
            }))
            .collect(),
        files: service
            .project_files
            .iter()
            .map(|f| FileView { source: below(root, &f.source), target: &f.target })
            .collect(),
        reloaded: (service.reloads() || service.preset == Some(Preset::Redis)).then_some(service.name.as_str()),
        tmpfs: tmpfs(service),
        networks: networks_of(stack, service),
        depends_on,
        health: health(service),
        replicas: if service.kind == Kind::Job { 1 } else { service.replicas },
        cpus: service.cpus,
        memory: service.memory.map(|size| size.to_string()),
        pids: service.pids,
        read_only: service.read_only,
        cap_add: &service.cap_add,
        restart: service.restart.as_str(),
        stop_signal: service.stop_signal.as_deref(),
        stop_grace_period: time(service.stop_grace_period),
        ports: service.publish.iter().map(|p| format!("{}:{}:{}", p.address, p.host_port, p.container_port)).collect(),
        shm_size: service.runtime.shm_size.map(|size| size.to_string()),
        cpu_shares: service.runtime.reserve.shares(),
        mem_reservation: service.runtime.reserve.memory.map(|size| size.to_string()),
        ulimits: &service.runtime.ulimits,
        devices: service
            .runtime
            .devices
            .iter()
            .map(|d| format!("{}:{}:{}", d.host, d.container, d.permissions))
            .collect(),
        extra_hosts: service.runtime.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect(),
        dns: service.runtime.dns.iter().map(ToString::to_string).collect(),
        labels: &service.runtime.labels,
        logging: service.runtime.logging.clone().unwrap_or_default(),
    })
}

/// Certificate and key of a database as they are mounted, and where the server reads them.
const PEM: &str = "/run/stackctl/current/server.pem";
const OWN_PEM: &str = "/tmp/server.pem";

/// PostgreSQL takes no key that others can read, and Compose cannot say whose a file is: it is copied first.
fn with_key_of_its_own() -> Vec<String> {
    let script = format!("install -m 0600 {PEM} {OWN_PEM} && exec docker-entrypoint.sh \"$0\" \"$@\"");
    ["sh", "-c", &script].map(str::to_owned).to_vec()
}

/// A path of the project as seen from the folder of the rendered file: Compose takes only what starts with `.` or `/`
/// for a path.
fn below(root: &str, path: &str) -> String {
    if root.starts_with(['.', '/']) { format!("{root}/{path}") } else { format!("./{root}/{path}") }
}

/// What of a service must be before another starts.
fn condition(needed: Option<&Service>) -> &'static str {
    match needed {
        Some(job) if job.kind == Kind::Job => "service_completed_successfully",
        Some(service) if health(service).is_some() => "service_healthy",
        _ => "service_started",
    }
}

/// Folders of a service's image that the front door serves, each with the volume that holds a copy: the engine fills one
/// that is empty with what the image has there, when it makes a container with it. Another image is another volume.
fn served<'a>(stack: &'a Stack, service: &'a Service) -> impl Iterator<Item = (String, &'a Folder)> {
    let folders = stack.proxy.iter().flat_map(Proxy::folders);
    let image = match &service.image {
        Image::Pull(reference) => hash::sha256(reference.as_bytes()),
        Image::Build(build) => hash::sha256(build.name.as_str().as_bytes()),
    };
    folders.filter(|(_, folder)| folder.service == service.name).map(move |(key, folder)| {
        (format!("{}-{}", key.replace('.', "-files-"), image.get(..8).unwrap_or_default()), folder)
    })
}

/// The job that runs before a service gets traffic.
fn before<'a>(
    stack: &'a Stack,
    service: &'a Service,
    root: &str,
    command: &'a [String],
    variables: &mut Variables<'_>,
    secrets: &mut BTreeMap<String, String>,
) -> Result<Entry<'a>, RenderError> {
    let mut job = entry(stack, service, root, grants(service, secrets), variables)?;
    job.name = before_name(service);
    job.command = Some(Cow::Borrowed(command));
    job.depends_on.remove(&job.name);
    job.health = None;
    job.replicas = 1;
    job.restart = "no";
    job.ports.clear();
    Ok(job)
}

fn before_name(service: &Service) -> String {
    format!("{}-pre-deploy", service.name)
}

/// Secret files of a service; what Compose is to read them from is added to `all`.
fn grants(service: &Service, all: &mut BTreeMap<String, String>) -> Vec<Granted> {
    let mut granted = Vec::new();
    for name in &service.secrets {
        all.insert(name.to_string(), format!("./secrets/{name}"));
        granted.push(Granted { source: name.to_string(), target: name.to_string() });
    }
    if let Image::Build(build) = &service.image {
        all.extend(build.secrets.iter().map(|name| (name.to_string(), format!("./secrets/{name}"))));
    }
    for (file, number) in service.files.keys().zip(1..) {
        let source = format!("{}.file-{number}", service.name);
        all.insert(source.clone(), format!("./secrets/{}/{file}", service.name));
        granted.push(Granted { source, target: file.clone() });
    }
    granted
}

/// A network per service that others ask, with nobody else on it.
fn network(service: &ServiceName) -> String {
    format!("to-{service}")
}

fn is_asked(stack: &Stack, name: &ServiceName) -> bool {
    stack.services.values().any(|other| other.depends_on.contains(name))
        || stack.proxy.as_ref().is_some_and(|proxy| proxy.routes.iter().any(|route| route.leads_to(name)))
}

fn networks_of(stack: &Stack, service: &Service) -> Vec<String> {
    let own = is_asked(stack, &service.name).then(|| network(&service.name));
    let needs = service.depends_on.iter().map(network);
    own.into_iter().chain(needs).chain(service.egress.then(|| OUTSIDE.to_owned())).collect()
}

fn door<'a>(stack: &'a Stack, proxy: &'a Proxy) -> Door<'a> {
    let routed: BTreeSet<&ServiceName> = proxy.routes.iter().filter_map(Route::service).collect();
    let files = stack.services.values().flat_map(|service| served(stack, service));
    let files = files.map(|(volume, folder)| FolderView {
        volume,
        target: format!("{LIVE}/{}", assets::link(&folder.key(), assets::CURRENT)),
    });
    let holders = proxy.folders().into_values().map(|folder| folder.service.as_str());
    let mut ports = vec![format!("{}:{}:80", proxy.address, proxy.http_port)];
    if proxy.https() {
        ports.push(format!("{}:{}:443", proxy.address, proxy.https_port));
    }
    Door {
        name: if stack.services.contains_key("proxy") { "stackctl-proxy" } else { "proxy" },
        image: &proxy.image,
        user: format!("{UID}:{UID}"),
        ports,
        networks: routed.iter().map(|name| network(name)).chain([OUTSIDE.to_owned()]).collect(),
        depends_on: routed
            .iter()
            .map(|name| name.as_str())
            .chain(holders)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        memory: proxy.memory.to_string(),
        cpus: proxy.cpus,
        files: files.collect(),
    }
}

/// In-memory folders; `/tmp` is always one.
fn tmpfs(service: &Service) -> Vec<String> {
    let mut folders = service.tmpfs.clone();
    folders.entry("/tmp".to_owned()).or_default();
    folders
        .into_iter()
        .map(|(target, options)| if options.is_empty() { target } else { format!("{target}:{options}") })
        .collect()
}

/// A health check that needs nothing but the service's own image. HTTP and TCP are asked by stackctl from outside the
/// container; Compose cannot.
fn health(service: &Service) -> Option<HealthView> {
    let health = service.health.as_ref()?;
    let command: Vec<&str> = match &health.ask {
        Ask::Http(_) | Ask::Tcp => return None,
        Ask::Command(command) => command.iter().map(String::as_str).collect(),
        Ask::Postgres { user, database } => vec!["pg_isready", "-q", "-U", user, "-d", database],
        Ask::Redis => vec!["redis-cli", "ping"],
    };
    Some(HealthView {
        test: ["CMD"].into_iter().chain(command).map(str::to_owned).collect(),
        interval: time(health.interval),
        timeout: time(health.timeout),
        retries: health.retries,
        start_period: time(health.start_period),
    })
}

fn time(span: Span) -> String {
    format!("{}ms", span.0.as_millis()).replace("000ms", "s")
}
