//! Everything a stack renders to, as a folder for people who run it with other programs, or want to read it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::name::ServiceName;
use crate::base::secret::Secret;
use crate::files;
use crate::model::artifact::{Artifact, Content};
use crate::model::proxy::Tls;
use crate::model::rotation::Names;
use crate::model::secrets::{Recipe, SecretSource, SecretValues};
use crate::model::service::{Build, Image, Preset};
use crate::model::stack::Stack;
use crate::model::state::State;
use crate::plan;
use crate::render::{self, Banks, Found, NativeInput, Place, ProxyInput, Upstream};

use super::error::ApplyError;
use super::held::configured;
use super::secrets::{self, join_pem};
use super::wanted::Wanted;

/// `compose.yaml`, `nginx/`, a folder for each service that reloads its files, `secrets/`, `systemd/`, and `native/` where a
/// service runs on hosts, too. Generated
/// secrets that are not among `known` are made anew. With `hide`, none has a value. Beside the files, what whoever runs
/// them should know. `root` leads from the folder to
/// that of stack.toml; `binary` is where stackctl is installed.
pub async fn artifacts(
    wanted: &Wanted,
    known: SecretValues,
    root: &str,
    binary: &str,
    hide: bool,
) -> Result<(Vec<Artifact>, Vec<String>), ApplyError> {
    let stack = &wanted.stack;
    let mut known = known;
    // What is rendered makes a database of its own, with one role and one password.
    for names in stack.services.values().filter_map(|s| s.password.as_ref()).filter_map(Names::of) {
        for name in names.all() {
            known.remove(name);
        }
    }
    let mut known = State { secrets: known, ..State::default() };
    // Where none is shown, none has to be there, and none is made.
    let values = if hide {
        let made = stack.secrets.iter().filter(|(_, spec)| matches!(spec.source, SecretSource::Generate(_)));
        known.secrets.extend(made.map(|(name, _)| (name.clone(), Secret::new(HIDDEN))));
        let mut values = secrets::find(wanted, Some(&known)).await.values;
        for name in stack.secrets.keys() {
            values.entry(name.clone()).or_insert_with(|| Secret::new(HIDDEN));
        }
        values
    } else {
        secrets::resolve(wanted, Some(&known)).await?.values
    };
    let mut out = rendered(stack, &by_mirror(stack, wanted)?, &values, &wanted.file, (root, binary))?;
    if hide {
        // A certificate that is made now, for a key nobody sees, says nothing, and is another one each time.
        let made = stack.proxy.as_ref().is_some_and(|proxy| matches!(proxy.tls, Tls::SelfSigned(_) | Tls::Acme(_)));
        for artifact in &mut out {
            if let Content::Secret(_) = artifact.content {
                artifact.content = Content::Secret(Secret::new(HIDDEN));
            } else if made && artifact.path.ends_with("certs/site.pem") {
                artifact.content = Content::Plain(HIDDEN.to_owned());
            }
        }
    }
    Ok((out, stack.monitoring.notes(&values)))
}

/// The same with values that are known. `mirrored` is the stack with the images that Compose shall pull; `file` is
/// stack.toml; then come the way from the folder to it and where stackctl is installed.
pub(super) fn rendered(
    stack: &Stack,
    mirrored: &Stack,
    values: &SecretValues,
    file: &Path,
    (root, binary): (&str, &str),
) -> Result<Vec<Artifact>, ApplyError> {
    let mut out = render::compose(mirrored, root)?;
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
        let pair = configured(proxy, values);
        let files = render::nginx(&ProxyInput {
            stack,
            proxy,
            upstreams: &upstreams,
            certificate: pair.as_ref().map(|(chain, key)| (chain.as_str(), key)),
            facts: proxy.nginx,
            trusted_probe: Vec::new(),
            release: None,
            place: Place::Container,
        })?;
        out.extend(below("nginx", files));
    }
    for service in stack.services.values() {
        let files = match service.preset {
            Some(Preset::Prometheus) => render::prometheus(stack, Found::ByName)?,
            Some(Preset::Alertmanager) => render::alertmanager(stack, values)?,
            _ => continue,
        };
        out.extend(below(service.name.as_str(), files));
    }
    for service in stack.services.values().filter(|s| s.tls.is_some()) {
        out.extend(below(service.name.as_str(), render::postgres(service, values)));
    }
    for service in stack.services.values().filter(|s| s.preset == Some(Preset::Redis)) {
        // Nobody tells it to read them again there.
        let files = render::redis(service, values).into_iter().filter(|f| f.path != "password");
        out.extend(below(service.name.as_str(), files.collect()));
    }
    for service in stack.services.values() {
        for name in &service.secrets {
            // Compose starts nothing whose files are not there: one without a value is empty, and nobody reads it.
            let value = values.get(name).cloned().unwrap_or_else(|| Secret::new(""));
            out.push(Artifact::secret(format!("secrets/{name}"), value, service.uid));
        }
        if let Image::Build(build) = &service.image {
            // Whoever builds reads them; one that a service reads, too, is that one's already.
            for name in &build.secrets {
                let value = values.get(name).cloned();
                out.extend(value.map(|value| Artifact::secret(format!("secrets/{name}"), value, Some(0))));
            }
        }
        for (name, template) in &service.files {
            let path = format!("secrets/{}/{name}", service.name);
            out.push(Artifact::secret(path, template.fill(values), service.uid));
        }
    }
    // Those that only other secrets are made of, too: the next `render` must find them.
    for (name, spec) in &stack.secrets {
        let kept = matches!(&spec.source, SecretSource::Generate(recipe) if !matches!(recipe, Recipe::Trial { .. }));
        if let Some(value) = values.get(name).filter(|_| kept) {
            out.push(Artifact::secret(format!("secrets/{name}"), value.clone(), Some(0)));
        }
    }
    out.extend(below("systemd", render::systemd(stack, binary, &file.to_string_lossy())?));
    let pair = stack.proxy.as_ref().and_then(|proxy| configured(proxy, values));
    let certificate = pair.as_ref().map(|(chain, key)| (chain.as_str(), key));
    out.extend(below("native", render::native(&NativeInput { stack, values, certificate })?));
    out.sort_by(|a, b| a.path.cmp(&b.path));
    out.dedup_by(|a, b| a.path == b.path);
    Ok(out)
}

/// The stack with its images from the mirror, if there is one.
fn by_mirror(stack: &Stack, wanted: &Wanted) -> Result<Stack, ApplyError> {
    let mut stack = stack.clone();
    let mirror = wanted.mirror.as_deref();
    // With the tag beside the digest, so that people see what it is.
    let locked = |reference: &str| {
        let digest = wanted.locked.as_ref().and_then(|lock| lock.images.get(reference));
        let reference = plan::image::mirrored(reference, mirror);
        digest.map_or(reference.clone(), |digest| format!("{reference}@{digest}"))
    };
    for service in stack.services.values_mut() {
        match &mut service.image {
            Image::Pull(reference) => *reference = locked(reference),
            Image::Build(build) => base_from_mirror(build, &wanted.folder, mirror)?,
        }
    }
    if let Some(proxy) = &mut stack.proxy {
        proxy.image = locked(&proxy.image);
    }
    Ok(stack)
}

/// Build argument through which a Dockerfile can take its base images from the mirror.
const MIRROR_ARGUMENT: &str = "STACKCTL_REGISTRY_MIRROR";

/// Gives a build the argument that its Dockerfile asks for.
pub(super) fn base_from_mirror(build: &mut Build, folder: &Path, mirror: Option<&str>) -> Result<(), ApplyError> {
    let Some(mirror) = mirror else { return Ok(()) };
    let text = files::read_text(&folder.join(&build.context).join(&build.dockerfile))?;
    if text.contains(MIRROR_ARGUMENT) {
        let value = format!("{}/library/", mirror.trim_end_matches('/'));
        build.args.insert(MIRROR_ARGUMENT.to_owned(), value);
    }
    Ok(())
}

/// What stands in for a secret's value.
pub const HIDDEN: &str = "[secret]\n";

/// Whether rendering would make secrets that exist nowhere else: worth saying.
pub fn makes_secrets(wanted: &Wanted, known: &SecretValues) -> bool {
    let mut generated = wanted.stack.secrets.iter().filter(|(_, s)| matches!(s.source, SecretSource::Generate(_)));
    generated.any(|(name, _)| !known.contains_key(name))
}

/// Generated secrets as an earlier `render` wrote them, read by path below the folder.
pub fn written(wanted: &Wanted, read: impl Fn(&str) -> Option<String>) -> SecretValues {
    let mut out = SecretValues::new();
    for (name, spec) in &wanted.stack.secrets {
        let database = wanted.stack.services.values().find(|s| s.tls.as_ref().is_some_and(|t| t.certificate == *name));
        let value = match &spec.source {
            SecretSource::Generate(Recipe::Trial { .. }) if database.is_some() => {
                database.and_then(|s| read(&format!("{}/server.pem", s.name))).map(Secret::new)
            }
            SecretSource::Generate(Recipe::Trial { .. }) => {
                read(KEY).zip(read(CHAIN)).map(|(key, chain)| join_pem(&chain, &key))
            }
            SecretSource::Generate(_) => read(&format!("secrets/{name}")).map(Secret::new),
            _ => None,
        };
        out.extend(value.filter(|v| !v.expose().is_empty()).map(|value| (name.clone(), value)));
    }
    out
}

/// Where the front door's certificate lies.
const CHAIN: &str = "nginx/certs/site.pem";
const KEY: &str = "nginx/certs/site.key";
