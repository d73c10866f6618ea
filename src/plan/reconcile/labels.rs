//! Labels of what we make.

use std::collections::BTreeMap;

use crate::model::container::label;
use crate::model::service::{Kind, Service};
use crate::model::stack::Stack;
use crate::plan::Inputs;
use crate::plan::place::{Placed, Replica};

/// Version that Compose sees; informational there.
const VERSION: &str = concat!("stackctl ", env!("CARGO_PKG_VERSION"));

type Labels = BTreeMap<String, String>;

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

/// A volume's. Only data volumes carry Compose's, so that `docker compose down --volumes` leaves the rest to us.
pub(super) fn volume(stack: &Stack, service: &str, role: &str, compose_key: Option<&str>) -> Labels {
    let mut out = labels([(label::PROJECT, stack.project.as_str()), (label::SERVICE, service), (label::ROLE, role)]);
    if let Some(key) = compose_key {
        out.extend(labels([(label::COMPOSE_PROJECT, stack.project.as_str()), (label::COMPOSE_VOLUME, key)]));
    }
    out
}

/// A replica's.
pub(super) fn replica(placed: &Placed, replica: &Replica, inputs: &Inputs<'_>, release: u32) -> Labels {
    let addresses: Vec<String> =
        replica.places.keys().filter_map(|n| Some(format!("{n}={}", replica.address(n)?))).collect();
    let mut out = common(placed, inputs, release, "service", "False");
    out.extend(labels([
        (label::ADDRESSES, &addresses.join(",")),
        (label::BANK, if replica.bank == 0 { "0" } else { "1" }),
        (label::PARTS, &serde_json::to_string(&placed.parts(inputs)).unwrap_or_default()),
        (label::COMPOSE_NUMBER, &replica.number.to_string()),
    ]));
    out
}

/// A job's.
pub(super) fn job(placed: &Placed, inputs: &Inputs<'_>, release: u32) -> Labels {
    common(placed, inputs, release, "job", "True")
}

fn common(placed: &Placed, inputs: &Inputs<'_>, release: u32, role: &str, oneoff: &str) -> Labels {
    let stack = inputs.stack;
    let (folder, file) = inputs.origin;
    labels([
        (label::PROJECT, stack.project.as_str()),
        (label::ROLE, role),
        (label::SERVICE, placed.service.as_str()),
        (label::CONFIG, &placed.hash),
        (label::RELEASE, &release.to_string()),
        (label::STAGE, stack.stage.as_deref().unwrap_or_default()),
        (label::COMPOSE_PROJECT, stack.project.as_str()),
        (label::COMPOSE_SERVICE, placed.service.as_str()),
        (label::COMPOSE_HASH, &placed.hash),
        (label::COMPOSE_ONEOFF, oneoff),
        (label::COMPOSE_DEPENDS, &depends(stack.services.get(&placed.service), stack)),
        (label::COMPOSE_FOLDER, folder),
        (label::COMPOSE_FILES, file),
        (label::COMPOSE_VERSION, VERSION),
    ])
}

/// `postgres:service_healthy:false,…`: what `docker compose down` orders by.
fn depends(service: Option<&Service>, stack: &Stack) -> String {
    let needed: Vec<String> = match service {
        Some(service) => service
            .depends_on
            .iter()
            .map(|name| {
                let condition = match stack.services.get(name) {
                    Some(job) if job.kind == Kind::Job => "service_completed_successfully",
                    Some(needed) if needed.health.is_some() => "service_healthy",
                    _ => "service_started",
                };
                format!("{name}:{condition}:false")
            })
            .collect(),
        None => stack
            .proxy
            .iter()
            .flat_map(|p| &p.routes)
            .filter_map(|r| Some(format!("{}:service_started:false", r.service()?)))
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect(),
    };
    needed.join(",")
}
