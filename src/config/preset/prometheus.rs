//! Prometheus, as the official image runs it.

use crate::base::problem::Problem;
use crate::base::units::{ByteSize, Span};
use crate::model::secrets::Template;
use crate::model::service::{Ask, Health, VolumeMount};

use super::{Definition, Expansion};

pub(super) const DEFINITION: Definition = Definition {
    name: "prometheus",
    tag: "v2.53.3",
    text: "Prometheus with a volume, scraping every service that has `metrics`; alerting rules about them and about itself; new targets are loaded without a restart.",
    offers: &["url", "host", "port"],
    keys: &["retention", "external_labels"],
    schemes: &["http://", "https://"],
    expand,
};

/// `nobody`, the user of the official image.
const UID: u32 = 65534;

/// Where services that reload their files find them.
pub(crate) const CONFIG: &str = "/run/stackctl/current/prometheus.yml";

/// Prometheus's own default.
const RETENTION: Span = Span::seconds(15 * DAY);

/// What Prometheus writes, and forgets, at once (docs/storage.md).
const BLOCK: Span = Span::seconds(2 * 60 * 60);

const DAY: u64 = 24 * 60 * 60;

/// A span as Prometheus writes it: whole days, or seconds.
fn duration(span: Span) -> String {
    let seconds = span.ceil_seconds();
    if seconds.is_multiple_of(DAY) { format!("{}d", seconds / DAY) } else { format!("{seconds}s") }
}

fn expand(x: &mut Expansion<'_>) {
    let name = x.service.name.clone();
    for (offer, text) in
        [("url", format!("http://{name}:9090")), ("host", name.to_string()), ("port", "9090".to_owned())]
    {
        x.offers.insert(offer, Template::text(text));
    }
    let retention = x.keys.retention.as_ref().map_or(RETENTION, |r| r.value);
    if let Some(short) = x.keys.retention.as_ref().filter(|r| r.value < BLOCK) {
        x.problems.push(
            Problem::error(format!("Prometheus cannot keep its data for {} only", short.value))
                .at(short.span.clone())
                .label("at least two hours, which is what it writes at once")
                .fix("\"15d\""),
        );
    }
    let image = x.image("prom/prometheus");
    let service = &mut x.service;
    service.image = image;
    service.command = Some(vec![
        format!("--config.file={CONFIG}"),
        "--storage.tsdb.path=/prometheus".to_owned(),
        format!("--storage.tsdb.retention.time={}", duration(retention)),
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
