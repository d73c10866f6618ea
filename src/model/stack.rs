//! The desired state: one validated `stack.toml`, presets expanded, references resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::base::name::{ProjectName, SecretName, ServiceName};

use super::checklist::Checklist;
use super::monitoring::Monitoring;
use super::notify::Notify;
use super::proxy::Proxy;
use super::secrets::{SecretSource, SecretSpec, Template};
use super::service::Service;

/// A whole stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    /// `name`, or `name-STAGE` for a stage other than the default: prefix of all objects on the engine.
    pub project: ProjectName,
    /// The stage asked for, if any.
    pub stage: Option<String>,
    /// Where the engine is: `host` of the stage, if it has one.
    pub host: Option<String>,
    /// Services by name, presets included, the proxy not.
    pub services: BTreeMap<ServiceName, Service>,
    /// What runs somewhere else and is used from here, where the file says at which address.
    pub elsewhere: BTreeMap<ServiceName, Elsewhere>,
    /// Secrets by name: declared, implied by presets, derived (URLs).
    pub secrets: BTreeMap<SecretName, SecretSpec>,
    /// The front door, if there are routes.
    pub proxy: Option<Proxy>,
    /// Addresses the stack's networks are cut from.
    pub pool: Pool,
    /// What the file adds to the checklist.
    pub checklist: Checklist,
    /// What Prometheus is told besides whom to ask. Releases of before know nothing of it.
    #[serde(default)]
    pub monitoring: Monitoring,
    /// How many releases back images that were built here are held by containers.
    #[serde(default)]
    pub hold_images: u32,
    /// Who is told of deploys. Releases of before know nothing of it.
    #[serde(default)]
    pub notify: Notify,
}

/// Something that runs somewhere else: a managed database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Line of stack.toml that declares it, from 1.
    pub line: u32,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Services that refer to it.
    pub users: BTreeSet<ServiceName>,
}

/// An IPv4 range a stack's networks are cut from, a /24 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// First address of the range.
    pub base: Ipv4Addr,
    /// Prefix length, 8 to 24.
    pub prefix: u8,
}

impl Default for Pool {
    /// 10.83.0.0/16: private (RFC 1918) and away from the ranges engines, VPNs and home routers pick by default.
    fn default() -> Self {
        Self { base: Ipv4Addr::new(10, 83, 0, 0), prefix: 16 }
    }
}

impl Stack {
    /// Every named volume that holds users' data, with the service that owns it.
    pub fn data_volumes(&self) -> BTreeMap<String, &Service> {
        self.services
            .values()
            .flat_map(|service| service.volumes.iter().map(move |mount| (self.volume_name(&mount.volume), service)))
            .collect()
    }

    /// A volume's or network's name on the engine, as Compose builds it.
    pub fn volume_name(&self, key: &str) -> String {
        format!("{}_{key}", self.project)
    }

    /// Whether this is a stack for one person's own machine: by the name of its stage, or because its front door
    /// answers to names of this machine only. Default passwords are nobody's business there.
    pub fn is_development(&self) -> bool {
        let named = self.stage.as_deref().is_some_and(|s| ["dev", "development", "local", "test"].contains(&s));
        let own = |name: &str| name == "localhost" || name.ends_with(".localhost") || name.starts_with("127.");
        named || self.proxy.as_ref().is_some_and(|p| p.domains.iter().all(|d| own(d.as_str())))
    }

    /// The services that hold a secret: as a file, in a value of their environment, or inside a text made from it.
    pub fn users_of(&self, name: &SecretName) -> Vec<&ServiceName> {
        let mut names = vec![name];
        for (other, spec) in &self.secrets {
            match &spec.source {
                SecretSource::Derived(text) if text.values().any(|n| n == name) => names.push(other),
                SecretSource::PublicOf(pair) if pair == name => names.push(other),
                _ => {}
            }
        }
        let holds = |service: &Service| {
            let texts = service.environment.values().chain(service.files.values());
            service.secrets.iter().chain(&service.password).any(|n| names.contains(&n))
                || texts.flat_map(Template::values).any(|n| names.contains(&n))
        };
        self.services.values().filter(|s| holds(s)).map(|s| &s.name).collect()
    }

    /// A container's final name, as Compose builds it.
    pub fn container_name(&self, service: &str, number: u32) -> String {
        format!("{}-{service}-{number}", self.project)
    }

    /// Services in an order in which each comes after all it depends on. Ties: those with a `pre_deploy` job first,
    /// since others may run the same program on what it prepares; then by name.
    pub fn start_order(&self) -> Vec<&Service> {
        let rank = |service: &Service| (service.pre_deploy.is_none(), service.name.clone());
        let mut waits: BTreeMap<&ServiceName, usize> = BTreeMap::new();
        let mut users: BTreeMap<&ServiceName, Vec<&Service>> = BTreeMap::new();
        for service in self.services.values() {
            let needed: Vec<&ServiceName> =
                service.depends_on.iter().filter(|need| self.services.contains_key(*need)).collect();
            waits.insert(&service.name, needed.len());
            for need in needed {
                users.entry(need).or_default().push(service);
            }
        }
        let free = self.services.values().filter(|s| waits.get(&s.name) == Some(&0));
        let mut free: BTreeMap<_, &Service> = free.map(|s| (rank(s), s)).collect();
        let mut done: Vec<&Service> = Vec::new();
        // A cycle is refused when the file is read; of a hand-made Stack with one, its services are left out.
        while let Some((_, next)) = free.pop_first() {
            done.push(next);
            for user in users.get(&next.name).into_iter().flatten() {
                let left = waits.get_mut(&user.name).map_or(0, |left| {
                    *left -= 1;
                    *left
                });
                if left == 0 {
                    free.insert(rank(user), user);
                }
            }
        }
        done
    }
}
