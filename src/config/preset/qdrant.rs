//! Qdrant, as the official image runs it by its documentation (qdrant.tech/documentation/guides/configuration). No
//! such image was at hand where this was written: what is rendered is tested, the image with it is not.

use crate::base::units::{ByteSize, Span};
use crate::model::secrets::{Piece, SECRETS_FOLDER, Template};
use crate::model::service::{Ask, Health, VolumeMount};

use super::{Definition, Expansion};

pub(super) const DEFINITION: Definition = Definition {
    name: "qdrant",
    tag: "v1.12.4",
    text: "Qdrant with a generated API key and a volume. Not tried with the real image yet.",
    offers: &["url", "host", "port", "grpc_port", "api_key"],
    keys: &["password"],
    schemes: &["http://", "https://"],
    expand,
};

fn expand(x: &mut Expansion<'_>) {
    let name = x.service.name.clone();
    let key = x.password("api_key");
    for (offer, text) in [
        ("url", format!("http://{name}:6333")),
        ("host", name.to_string()),
        ("port", "6333".to_owned()),
        ("grpc_port", "6334".to_owned()),
    ] {
        x.offers.insert(offer, Template::text(text));
    }
    // A file instead of `QDRANT__SERVICE__API_KEY`: the environment can be read by everyone who may ask the engine.
    let config = vec![
        Piece::Text(
            "# Rendered by stackctl.\n\
             storage:\n  storage_path: /qdrant/storage\n  snapshots_path: /qdrant/storage/snapshots\n\
             service:\n  host: 0.0.0.0\n  http_port: 6333\n  grpc_port: 6334\n  api_key: "
                .to_owned(),
        ),
        Piece::Quoted(key),
        Piece::Text("\ntelemetry_disabled: true\n".to_owned()),
    ];
    let image = x.image("qdrant/qdrant");
    let service = &mut x.service;
    service.image = image;
    service.command =
        Some(vec!["./entrypoint.sh".to_owned(), "--config-path".to_owned(), format!("{SECRETS_FOLDER}/qdrant.yaml")]);
    service.files.insert("qdrant.yaml".to_owned(), Template(config));
    service.memory = Some(service.memory.unwrap_or(ByteSize(1 << 30)));
    service.port = Some(6333);
    service.egress = false;
    service.stop_grace_period = Span::seconds(60);
    service.volumes.push(VolumeMount {
        volume: format!("{name}-data"),
        target: "/qdrant/storage".to_owned(),
        read_only: false,
        shared: false,
    });
    service.health = Some(Health {
        // Answers without the key.
        ask: Ask::Http("/readyz".to_owned()),
        body: None,
        interval: Span::seconds(10),
        timeout: Span::seconds(5),
        retries: 3,
        start_period: Span::seconds(120),
        line: service.line,
    });
}
