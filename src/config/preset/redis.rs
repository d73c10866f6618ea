//! Redis, as the official image runs it.

use crate::base::units::{ByteSize, Span};
use crate::config::keys::preset::Persistence;
use crate::model::secrets::{Piece, SECRETS_FOLDER, SecretSource, Template, quoted};
use crate::model::service::{Ask, Health, RELOADED, VolumeMount};

use super::{Definition, Expansion, overridden};

pub(super) const DEFINITION: Definition = Definition {
    name: "redis",
    tag: "7",
    text: "Redis with a generated password, a volume with an append-only file, and a `maxmemory` that follows `memory`.",
    offers: &["url", "host", "port", "password"],
    keys: &["password", "settings", "policy", "persistence"],
    schemes: &["redis://", "rediss://"],
    expand,
};

/// User of the official image, on Debian and on Alpine.
const UID: u32 = 999;

fn expand(x: &mut Expansion<'_>) {
    let name = x.service.name.clone();
    let password = x.password("password");
    let url = Template(vec![
        Piece::Text("redis://:".to_owned()),
        Piece::Encoded(password.clone()),
        Piece::Text(format!("@{name}:6379/0")),
    ]);
    x.secret("url", SecretSource::Derived(url));
    for (offer, text) in [("host", name.as_str()), ("port", "6379")] {
        x.offers.insert(offer, Template::text(text));
    }

    let memory = x.service.memory.unwrap_or(ByteSize(256 << 20));
    let persistence = x.keys.persistence.as_ref().map_or(Persistence::Aof, |p| p.value);
    let policy = x.keys.policy.as_ref().map_or("allkeys-lru", |p| p.value.0);
    // Four fifths: the rest is for copy-on-write while a snapshot is written, and for client buffers.
    let limit = (memory.0 / 5 * 4).to_string();
    let mut settings = vec![("dir", "/data"), ("maxmemory", &limit), ("maxmemory-policy", policy)];
    settings.extend(match persistence {
        Persistence::Aof => vec![("appendonly", "yes"), ("appendfsync", "everysec")],
        // Snapshots are what it does by itself: after 1 write in an hour, 100 in 5 minutes, 10 000 in one.
        Persistence::Rdb => vec![("appendonly", "no")],
        Persistence::Off => vec![("appendonly", "no"), ("save", "")],
    });
    let settings = settings.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let settings = overridden(settings, x.keys);
    // Who may log in is in a file of its own, which can change while it runs.
    let mut conf = format!("# Rendered by stackctl.\naclfile {RELOADED}/current/users.acl");
    for (key, value) in settings {
        conf.extend(["\n", &key, " ", &quoted(&value)]);
    }
    conf.push('\n');

    let image = x.image("redis");
    let service = &mut x.service;
    service.image = image;
    service.command = Some(vec!["redis-server".to_owned(), format!("{SECRETS_FOLDER}/redis.conf")]);
    service.files.insert("redis.conf".to_owned(), Template::text(conf));
    service.password = Some(password);
    service.user = Some("redis".to_owned());
    service.uid = Some(UID);
    service.memory = Some(memory);
    service.port = Some(6379);
    service.egress = false;
    service.read_only = true;
    if persistence == Persistence::Off {
        // Over the image's own volume, which would be made anew, without a name, for every container.
        service.tmpfs.insert("/data".to_owned(), format!("uid={UID},gid={UID},mode=0755"));
    } else {
        service.volumes.push(VolumeMount {
            volume: format!("{name}-data"),
            target: "/data".to_owned(),
            read_only: false,
            shared: false,
        });
    }
    service.health = Some(Health {
        ask: Ask::Redis,
        body: None,
        interval: Span::seconds(10),
        timeout: Span::seconds(5),
        retries: 3,
        start_period: Span::seconds(60),
        line: service.line,
    });
}
