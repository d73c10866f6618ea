//! Prometheus, as the official image runs it.

use crate::base::units::{ByteSize, Span};
use crate::model::secrets::Template;
use crate::model::service::{Ask, Health, VolumeMount};

use super::{Definition, Expansion};

pub(super) const DEFINITION: Definition = Definition {
    name: "prometheus",
    tag: "v2.53.3",
    text: "Prometheus with a volume, scraping every service that has `metrics`; new targets are loaded without a restart.",
    offers: &["url", "host", "port"],
    keys: &[],
    schemes: &["http://", "https://"],
    expand,
};

/// `nobody`, the user of the official image.
const UID: u32 = 65534;

/// Where services that reload their files find them.
pub(crate) const CONFIG: &str = "/run/stackctl/current/prometheus.yml";

fn expand(x: &mut Expansion<'_>) {
    let name = x.service.name.clone();
    for (offer, text) in
        [("url", format!("http://{name}:9090")), ("host", name.to_string()), ("port", "9090".to_owned())]
    {
        x.offers.insert(offer, Template::text(text));
    }
    let image = x.image("prom/prometheus");
    let service = &mut x.service;
    service.image = image;
    service.command = Some(vec![
        format!("--config.file={CONFIG}"),
        "--storage.tsdb.path=/prometheus".to_owned(),
        "--storage.tsdb.retention.time=15d".to_owned(),
    ]);
    service.user = Some("nobody".to_owned());
    service.uid = Some(UID);
    service.memory = Some(service.memory.unwrap_or(ByteSize(512 << 20)));
    service.port = Some(9090);
    service.read_only = true;
    service.volumes.push(VolumeMount {
        volume: format!("{name}-data"),
        target: "/prometheus".to_owned(),
        read_only: false,
        shared: false,
    });
    service.health = Some(Health {
        ask: Ask::Http("/-/ready".to_owned()),
        body: None,
        interval: Span::seconds(10),
        timeout: Span::seconds(5),
        retries: 3,
        start_period: Span::seconds(60),
        line: service.line,
    });
}
