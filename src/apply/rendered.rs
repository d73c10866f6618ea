//! The files of services that read theirs again, as the placement of this run has them.

use std::collections::BTreeMap;

use crate::base::name::ServiceName;
use crate::model::artifact::{CERTIFICATES, door_hash, files_hash};
use crate::model::service::Preset;
use crate::model::stack::Stack;
use crate::plan::{self, Files, Inputs, Placement};
use crate::render::{self, Banks, Found, Place, ProxyInput, ScrapeTarget, Upstream};

use super::error::ApplyError;
use super::held::configured;

/// Files of services that reload them, each set under its hash.
pub(super) fn rendered(inputs: &Inputs<'_>, placement: &Placement) -> Result<Files, ApplyError> {
    let mut out = Files::new();
    for placed in placement.services.iter().filter(|p| p.reloads) {
        let service = inputs.stack.services.get(&placed.service);
        let files = match (service.and_then(|s| s.preset), service) {
            (Some(Preset::Alertmanager), _) => render::alertmanager(inputs.stack, inputs.values)?,
            (Some(Preset::Redis), Some(store)) => render::redis(store, inputs.values),
            (_, Some(database)) if database.tls.is_some() => render::postgres(database, inputs.values),
            _ => render::prometheus(inputs.stack, Found::At(&scrape_targets(inputs.stack, placement)))?,
        };
        out.insert(placed.service.clone(), (files_hash(inputs.key, &files), files));
    }
    if let (Some(proxy), Some(placed)) = (&inputs.stack.proxy, &placement.proxy) {
        let upstreams = upstreams(inputs, placement);
        let certificate = configured(proxy, inputs.values);
        let gateways = placement.networks.iter().map(|n| n.subnet.gateway()).collect();
        let mut input = ProxyInput {
            stack: inputs.stack,
            proxy,
            upstreams: &upstreams,
            certificate: certificate.as_ref().map(|(chain, key)| (chain.as_str(), key)),
            facts: proxy.nginx,
            trusted_probe: gateways,
            release: None,
            place: Place::Container,
        };
        // The name of the files is in them, so that Nginx can be asked which ones it serves by.
        let mut files = render::nginx(&input)?;
        files.retain(|file| !file.path.starts_with(CERTIFICATES));
        let configuration = files_hash(inputs.key, &files);
        input.release = Some(&configuration);
        let files = render::nginx(&input)?;
        out.insert(placed.service.clone(), (door_hash(&configuration, inputs.key, &files), files));
    }
    Ok(out)
}

fn upstreams(inputs: &Inputs<'_>, placement: &Placement) -> BTreeMap<ServiceName, Banks> {
    let of = |(service, replicas): (ServiceName, BTreeMap<u32, plan::door::Sockets>)| {
        let bank = |bank: usize| {
            let upstream = |(number, sockets): (&u32, &plan::door::Sockets)| Upstream {
                target: sockets[bank].to_string(),
                comment: format!("{service}-{number}"),
            };
            replicas.iter().map(upstream).collect()
        };
        let banks = Banks { a: bank(0), b: bank(1) };
        (service, banks)
    };
    plan::door::upstreams(inputs, placement).into_iter().map(of).collect()
}

fn scrape_targets(stack: &Stack, placement: &Placement) -> Vec<ScrapeTarget> {
    let is_one = |name| stack.services.get(name).is_some_and(|s| s.preset == Some(Preset::Prometheus));
    let watcher = placement.services.iter().find(|p| is_one(&p.service));
    let mut out = Vec::new();
    for placed in &placement.services {
        let Some(service) = stack.services.get(&placed.service).filter(|s| s.metrics.is_some()) else { continue };
        for replica in &placed.replicas {
            let address = service.port.and_then(|p| placed.socket_for(watcher?, replica, p));
            out.extend(address.map(|address| ScrapeTarget {
                service: placed.service.clone(),
                replica: replica.number,
                address: address.to_string(),
            }));
        }
    }
    out
}
