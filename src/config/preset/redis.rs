//! Redis, as the official image runs it.

use crate::base::units::{ByteSize, Span};
use crate::model::secrets::{Piece, Recipe, SECRETS_FOLDER, SecretSource, Template};
use crate::model::service::{Ask, Health, Image, VolumeMount};

use super::{Definition, Expansion, overridden};

pub(super) const DEFINITION: Definition = Definition {
    name: "redis",
    tag: "7",
    text: "Redis with a generated password, a volume with an append-only file, and `maxmemory` and policy that follow `memory`.",
    offers: &["url", "host", "port", "password"],
    expand,
};

/// User of the official image.
const UID: u32 = 999;

fn expand(x: &mut Expansion<'_>) {
    let name = x.service.name.clone();
    let password = x.secret("password", SecretSource::Generate(Recipe::UrlSafe(32)));
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
    // Four fifths: the rest is for copy-on-write while a snapshot is written, and for client buffers.
    let settings = vec![
        ("dir".to_owned(), "/data".to_owned()),
        ("maxmemory".to_owned(), (memory.0 / 5 * 4).to_string()),
        ("maxmemory-policy".to_owned(), "allkeys-lru".to_owned()),
        ("appendonly".to_owned(), "yes".to_owned()),
        ("appendfsync".to_owned(), "everysec".to_owned()),
    ];
    let settings = overridden(settings, x.keys);
    let mut conf = String::from("# Rendered by stackctl. Password first: everything below is public.\nrequirepass ");
    let mut pieces = vec![Piece::Text(std::mem::take(&mut conf)), Piece::Secret(password.clone())];
    for (key, value) in settings {
        conf.extend(["\n", &key, " ", &quoted(&value)]);
    }
    conf.push('\n');
    pieces.push(Piece::Text(conf));

    let service = &mut x.service;
    service.image = Image::Pull(format!("redis:{}", x.tag));
    service.command = Some(vec!["redis-server".to_owned(), format!("{SECRETS_FOLDER}/redis.conf")]);
    service.files.insert("redis.conf".to_owned(), Template(pieces));
    service.user = Some("redis".to_owned());
    service.uid = Some(UID);
    service.memory = Some(memory);
    service.port = Some(6379);
    service.egress = false;
    service.read_only = true;
    service.volumes.push(VolumeMount {
        volume: format!("{name}-data"),
        target: "/data".to_owned(),
        read_only: false,
        shared: false,
    });
    service.health = Some(Health {
        ask: Ask::Redis,
        interval: Span::seconds(10),
        timeout: Span::seconds(5),
        retries: 3,
        start_period: Span::seconds(60),
        line: service.line,
    });
}

/// A value for redis.conf: quoted, with `"` and `\` escaped, and control characters as `\xNN` (redis.io/docs, config).
fn quoted(value: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(out, "\\x{byte:02x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn values_stay_on_their_line() {
        assert_eq!(super::quoted("a\"b\\c\nd"), "\"a\\\"b\\\\c\\x0ad\"");
    }
}
