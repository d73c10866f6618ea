//! Alertmanager, as the official image runs it. Whom it tells is said in `[monitoring]`.

use crate::base::units::{ByteSize, Span};
use crate::model::secrets::Template;
use crate::model::service::{Ask, Health, VolumeMount};

use super::{Definition, Expansion};

pub(super) const DEFINITION: Definition = Definition {
    name: "alertmanager",
    tag: "v0.28.1",
    text: "Alertmanager with a volume (what was told already, and what is silenced): tells those in `[monitoring]` of this stack's alerts, which Prometheus sends it.",
    offers: &["url", "host", "port"],
    keys: &[],
    schemes: &["http://", "https://"],
    expand,
};

/// `nobody`, the user of the official image.
const UID: u32 = 65534;

/// Where services that reload their files find them.
const CONFIG: &str = "/run/stackctl/current/alertmanager.yml";

/// Its own default.
const PORT: u16 = 9093;

fn expand(x: &mut Expansion<'_>) {
    let name = x.service.name.clone();
    for (offer, text) in
        [("url", format!("http://{name}:{PORT}")), ("host", name.to_string()), ("port", PORT.to_string())]
    {
        x.offers.insert(offer, Template::text(text));
    }
    let image = x.image("prom/alertmanager");
    let service = &mut x.service;
    service.image = image;
    service.command = Some(vec![
        format!("--config.file={CONFIG}"),
        "--storage.path=/alertmanager".to_owned(),
        // One is alone: nobody gossips with it, and no second port is open.
        "--cluster.listen-address=".to_owned(),
    ]);
    service.user = Some("nobody".to_owned());
    service.uid = Some(UID);
    service.memory = Some(service.memory.unwrap_or(ByteSize(128 << 20)));
    service.port = Some(PORT);
    service.metrics = Some("/metrics".to_owned());
    service.read_only = true;
    service.volumes.push(VolumeMount {
        volume: format!("{name}-data"),
        target: "/alertmanager".to_owned(),
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
