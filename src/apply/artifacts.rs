//! Everything a stack renders to, as a folder for people who run it with other programs, or want to read it.

use std::collections::BTreeMap;

use crate::base::name::ServiceName;
use crate::base::secret::Secret;
use crate::model::artifact::{Artifact, Content};
use crate::model::secrets::SecretSource;
use crate::render::{self, Banks, NginxFacts, ProxyInput, ScrapeTarget, Upstream};

use super::error::ApplyError;
use super::prepare::{Wanted, certificate};
use super::secrets;

/// `compose.yaml`, `nginx/`, a folder for each service that reloads its files, `secrets/`, `systemd/`. Generated
/// secrets are made anew: they belong to this folder, not to a stack that is deployed. With `hide`, none has a value.
/// `root` leads from the folder to that of stack.toml; `binary` is where stackctl is installed.
pub fn artifacts(wanted: &Wanted, root: &str, binary: &str, hide: bool) -> Result<Vec<Artifact>, ApplyError> {
    let stack = &wanted.stack;
    let values = secrets::resolve(stack, None, &wanted.variables, &wanted.folder)?.values;
    let mut out = render::compose(stack, root)?;
    let below = |folder: &str, files: Vec<Artifact>| -> Vec<Artifact> {
        files.into_iter().map(|f| Artifact { path: format!("{folder}/{}", f.path), ..f }).collect()
    };
    if let Some(proxy) = &stack.proxy {
        let upstreams: BTreeMap<ServiceName, Banks> = stack
            .services
            .values()
            .filter_map(|s| {
                let upstream = Upstream { target: format!("{}:{}", s.name, s.port?), comment: s.name.to_string() };
                Some((s.name.clone(), Banks { a: vec![upstream], b: Vec::new() }))
            })
            .collect();
        let pair = certificate(proxy, &values);
        let files = render::nginx(&ProxyInput {
            stack,
            proxy,
            upstreams: &upstreams,
            certificate: pair.as_ref().map(|(chain, key)| (chain.as_str(), key)),
            facts: NginxFacts::from_tag(&proxy.image),
            trusted_probe: Vec::new(),
            release: None,
        })?;
        out.extend(below("nginx", files));
    }
    for service in stack.services.values().filter(|s| s.preset == Some(crate::model::service::Preset::Prometheus)) {
        let targets: Vec<ScrapeTarget> = stack
            .services
            .values()
            .filter(|s| s.metrics.is_some())
            .filter_map(|s| {
                Some(ScrapeTarget { service: s.name.clone(), replica: 1, address: format!("{}:{}", s.name, s.port?) })
            })
            .collect();
        out.extend(below(service.name.as_str(), render::prometheus(stack, &targets)?));
    }
    for service in stack.services.values() {
        for name in &service.secrets {
            if let Some(value) = values.get(name) {
                out.push(Artifact::secret(format!("secrets/{name}"), value.clone(), service.uid));
            }
        }
        for (name, template) in &service.files {
            let path = format!("secrets/{}/{name}", service.name);
            out.push(Artifact::secret(path, template.fill(&values), service.uid));
        }
    }
    out.extend(below("systemd", render::systemd(stack, binary, &wanted.file.to_string_lossy())?));
    out.sort_by(|a, b| a.path.cmp(&b.path));
    out.dedup_by(|a, b| a.path == b.path);
    if hide {
        for artifact in &mut out {
            if let Content::Secret(_) = artifact.content {
                artifact.content = Content::Secret(Secret::new("[secret]\n"));
            }
        }
    }
    Ok(out)
}

/// Whether rendering would make secrets that exist nowhere else: worth saying.
pub fn makes_secrets(wanted: &Wanted) -> bool {
    wanted.stack.secrets.values().any(|s| matches!(s.source, SecretSource::Generate(_)))
}
