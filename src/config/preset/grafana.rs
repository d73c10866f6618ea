//! Grafana, as the official image runs it by its documentation (grafana.com/docs, "Configure a Grafana Docker image").
//! No such image was at hand where this was written: what is rendered is tested, the image with it is not.

use crate::base::units::{ByteSize, Span};
use crate::model::secrets::{Piece, SECRETS_FOLDER, Template};
use crate::model::service::{Ask, Health, VolumeMount};

use super::{Definition, Expansion, add_environment};

pub(super) const DEFINITION: Definition = Definition {
    name: "grafana",
    tag: "11.3.0",
    text: "Grafana with a volume, a generated password for its administrator, and this stack's Prometheus as its data source. Not tried with the real image yet.",
    offers: &["url", "host", "port", "user", "password"],
    keys: &["username", "password"],
    schemes: &["http://", "https://"],
    expand,
};

/// User of the official image.
const UID: u32 = 472;

fn expand(x: &mut Expansion<'_>) {
    let name = x.service.name.clone();
    let user = x.keys.username.as_ref().map_or("admin", |u| u.value.0.as_str()).to_owned();
    let password = x.password("password");
    for (offer, text) in [
        ("url", format!("http://{name}:3000")),
        ("host", name.to_string()),
        ("port", "3000".to_owned()),
        ("user", user.clone()),
    ] {
        x.offers.insert(offer, Template::text(text));
    }
    let image = x.image("grafana/grafana");
    let prometheus = x.prometheus.clone();
    let service = &mut x.service;
    service.image = image;
    service.user = Some(UID.to_string());
    service.uid = Some(UID);
    service.memory = Some(service.memory.unwrap_or(ByteSize(256 << 20)));
    service.port = Some(3000);
    service.volumes.push(VolumeMount {
        volume: format!("{name}-data"),
        target: "/var/lib/grafana".to_owned(),
        read_only: false,
        shared: false,
    });
    // Its start script reads `NAME__FILE` for every `NAME`.
    let text = |value: &str| Template::text(value);
    add_environment(service, "GF_SECURITY_ADMIN_USER", text(&user));
    add_environment(service, "GF_SECURITY_ADMIN_PASSWORD__FILE", Template(vec![Piece::File(password.clone())]));
    add_environment(service, "GF_USERS_ALLOW_SIGN_UP", text("false"));
    add_environment(service, "GF_ANALYTICS_REPORTING_ENABLED", text("false"));
    service.secrets.insert(password.clone());
    service.password = Some(password);
    if let Some(prometheus) = prometheus {
        let source = format!(
            "# Rendered by stackctl.\napiVersion: 1\ndatasources:\n  - name: Prometheus\n    type: prometheus\n    \
             access: proxy\n    url: http://{prometheus}:9090\n    isDefault: true\n    editable: false\n"
        );
        service.files.insert("provisioning/datasources/prometheus.yaml".to_owned(), Template::text(source));
        add_environment(service, "GF_PATHS_PROVISIONING", text(&format!("{SECRETS_FOLDER}/provisioning")));
        service.depends_on.insert(prometheus);
    }
    service.health = Some(Health {
        ask: Ask::Http("/api/health".to_owned()),
        body: Some(r#"{"database":"ok"}"#.to_owned()),
        interval: Span::seconds(10),
        timeout: Span::seconds(5),
        retries: 3,
        start_period: Span::seconds(120),
        line: service.line,
    });
}
