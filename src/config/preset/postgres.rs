//! PostgreSQL, as the official image runs it.

use crate::base::units::{ByteSize, Span};
use crate::model::secrets::{Piece, Recipe, SecretSource, Template};
use crate::model::service::{Ask, Health, Image, VolumeMount};

use super::{Definition, Expansion, overridden};

pub(super) const DEFINITION: Definition = Definition {
    name: "postgres",
    tag: "15",
    text: "PostgreSQL with a role, a database, a generated password, a volume and settings that follow `memory`.",
    offers: &["url", "host", "port", "user", "database", "password"],
    expand,
};

/// User of the official image.
const UID: u32 = 999;

fn expand(x: &mut Expansion<'_>) {
    let name = x.service.name.clone();
    let user = x.keys.username.as_ref().map_or_else(|| x.base.clone(), |t| t.value.0.clone());
    let database = x.keys.database.as_ref().map_or_else(|| user.clone(), |t| t.value.0.clone());
    let password = x.secret("password", SecretSource::Generate(Recipe::UrlSafe(32)));
    let url = Template(vec![
        Piece::Text(format!("postgresql://{user}:")),
        Piece::Encoded(password.clone()),
        Piece::Text(format!("@{name}:5432/{database}")),
    ]);
    x.secret("url", SecretSource::Derived(url));
    for (offer, text) in
        [("host", name.as_str()), ("port", "5432"), ("user", user.as_str()), ("database", database.as_str())]
    {
        x.offers.insert(offer, Template::text(text));
    }

    let memory = x.service.memory.unwrap_or(ByteSize(512 << 20));
    let mut command = vec!["postgres".to_owned()];
    let settings = tuning(memory);
    let settings = overridden(settings, x.keys);
    for (key, value) in settings {
        command.extend(["-c".to_owned(), format!("{key}={value}")]);
    }

    let service = &mut x.service;
    service.image = Image::Pull(format!("postgres:{}", x.tag));
    service.command = Some(command);
    service.user = Some("postgres".to_owned());
    service.uid = Some(UID);
    service.memory = Some(memory);
    service.port = Some(5432);
    service.egress = false;
    service.read_only = true;
    service.stop_grace_period = Span::seconds(60);
    service.tmpfs.insert("/var/run/postgresql".to_owned(), format!("uid={UID},gid={UID},mode=0775,size=1m"));
    service.volumes.push(VolumeMount {
        volume: format!("{name}-data"),
        target: "/var/lib/postgresql/data".to_owned(),
        read_only: false,
        shared: false,
    });
    for (key, value) in [("POSTGRES_USER", user.as_str()), ("POSTGRES_DB", database.as_str())] {
        add_environment(service, key, Template::text(value));
    }
    add_environment(service, "POSTGRES_PASSWORD_FILE", Template(vec![Piece::File(password.clone())]));
    service.secrets.insert(password);
    service.health = Some(Health {
        ask: Ask::Postgres { user, database },
        interval: Span::seconds(10),
        timeout: Span::seconds(5),
        retries: 3,
        start_period: Span::seconds(120),
        line: service.line,
    });
}

pub(super) fn add_environment(service: &mut crate::model::service::Service, key: &str, value: Template) {
    service.environment.entry(key.to_owned()).or_insert(value);
}

/// Settings for a server that has this much memory for itself, by the PostgreSQL manual's rules of thumb (§19.4):
/// a quarter for shared buffers, three quarters assumed cached, a sixteenth for maintenance up to 1 GB.
fn tuning(memory: ByteSize) -> Vec<(String, String)> {
    let megabytes = memory.0 >> 20;
    [
        ("shared_buffers", format!("{}MB", (megabytes / 4).max(16))),
        ("effective_cache_size", format!("{}MB", (megabytes * 3 / 4).max(48))),
        ("maintenance_work_mem", format!("{}MB", (megabytes / 16).clamp(16, 1024))),
        ("work_mem", format!("{}MB", (megabytes / 200).clamp(2, 64))),
        ("max_connections", if megabytes >= 2048 { "200" } else { "100" }.to_owned()),
        // A pool of containers that all start at once is the usual first load; a slow query is worth a line.
        ("log_min_duration_statement", "1000".to_owned()),
    ]
    .map(|(k, v)| (k.to_owned(), v))
    .to_vec()
}
