//! PostgreSQL, as the official image runs it.

use crate::base::name::SecretName;
use crate::base::problem::Problem;
use crate::base::units::{ByteSize, Span};
use crate::model::rotation::Names;
use crate::model::secrets::{Piece, Recipe, SecretSource, Template};
use crate::model::service::{Ask, Demand, Health, POSTGRES_DATA as DATA, RELOADED, ServerTls, VolumeMount};

use super::{Definition, Expansion, add_environment, overridden};

pub(super) const DEFINITION: Definition = Definition {
    name: "postgres",
    tag: "15",
    text: "PostgreSQL with a role, a database, a generated password, a volume and settings that follow `memory`.",
    offers: &["url", "host", "port", "user", "database", "password", "ca"],
    keys: &["database", "username", "password", "settings", "tune_for", "extensions", "init_sql", "tls"],
    schemes: &["postgresql://", "postgres://"],
    expand,
};

/// User of the official image on Debian.
const UID: u32 = 999;

/// User of the official image on Alpine.
const ALPINE_UID: u32 = 70;

/// Versions of PostgreSQL that the preset knows: major ones whose data directory is where we mount the volume, and that are still maintained (13) or nearly.
pub const MAJORS: std::ops::RangeInclusive<u32> = 13..=17;

fn expand(x: &mut Expansion<'_>) {
    let name = x.service.name.clone();
    let user = x.keys.username.as_ref().map_or_else(|| x.base.clone(), |t| t.value.0.clone());
    let database = x.keys.database.as_ref().map_or_else(|| user.clone(), |t| t.value.0.clone());
    let version = version(x);
    let uid = if x.alpine() { ALPINE_UID } else { UID };
    let password = x.password("password");
    let tls = tls(x);
    let role = match Names::of(&password) {
        Some(names) => Piece::Role(names.login, user.clone()),
        None => Piece::Text(user.clone()),
    };
    let mut url = vec![
        Piece::Text("postgresql://".to_owned()),
        role.clone(),
        Piece::Text(":".to_owned()),
        Piece::Encoded(password.clone()),
        Piece::Text(format!("@{name}:5432/{database}")),
    ];
    if let Some((tls, ca)) = &tls {
        url.push(Piece::Text(format!("?sslmode={}", tls.demand.as_str())));
        if tls.demand == Demand::VerifyFull {
            url.extend([Piece::Text("&sslrootcert=".to_owned()), Piece::File(ca.clone())]);
        }
    }
    let url = Template(url);
    x.secret("url", SecretSource::Derived(url));
    for (offer, text) in [("host", name.as_str()), ("port", "5432"), ("database", database.as_str())] {
        x.offers.insert(offer, Template::text(text));
    }

    x.offers.insert("user", Template(vec![role.clone()]));

    let memory = x.service.memory.unwrap_or(ByteSize(512 << 20));
    let mut command = vec!["postgres".to_owned()];
    let settings = overridden(tuned(x, memory), x.keys);
    let settings = settings.into_iter().chain(tls.iter().flat_map(|_| encrypted()));
    for (key, value) in settings {
        command.extend(["-c".to_owned(), format!("{key}={value}")]);
    }

    let image = x.image("postgres");
    let service = &mut x.service;
    service.image = image;
    service.data_version = version;
    service.password = Some(password.clone());
    service.tls = tls.as_ref().map(|(tls, _)| tls.clone());
    service.command = Some(command);
    service.user = Some("postgres".to_owned());
    service.uid = Some(uid);
    service.memory = Some(memory);
    service.port = Some(5432);
    service.egress = false;
    service.read_only = true;
    service.stop_grace_period = Span::seconds(60);
    service.tmpfs.insert("/var/run/postgresql".to_owned(), format!("uid={uid},gid={uid},mode=0775,size=1m"));
    service.volumes.push(VolumeMount {
        volume: format!("{name}-data"),
        target: DATA.to_owned(),
        read_only: false,
        shared: false,
    });
    for (key, value) in [("POSTGRES_USER", user.as_str()), ("POSTGRES_DB", database.as_str())] {
        add_environment(service, key, Template::text(value));
    }
    add_environment(service, "POSTGRES_PASSWORD_FILE", Template(vec![Piece::File(password.clone())]));
    service.secrets.insert(password.clone());
    service.health = Some(Health {
        ask: Ask::Postgres { user: user.clone(), database: database.clone() },
        body: None,
        interval: Span::seconds(10),
        timeout: Span::seconds(5),
        retries: 3,
        start_period: Span::seconds(120),
        line: service.line,
    });
    super::setup::add(x, role, &database, &password, tls.as_ref().map(|(tls, ca)| (tls.demand, ca)));
}

/// What the server encrypts with, and the secret that is its authority's certificate. The authority is the database's
/// own: it can sign for its name alone, and who has it trusts nothing else of the stack.
fn tls(x: &mut Expansion<'_>) -> Option<(ServerTls, SecretName)> {
    let demand = x.keys.tls.as_ref()?.value.0;
    // By `localhost`, `stackctl forward` leads there.
    let names = vec![x.service.name.to_string(), "localhost".to_owned()];
    let authority = x.private("authority", SecretSource::Generate(Recipe::Authority(names.clone())));
    let recipe = Recipe::Trial { names, authority: authority.clone() };
    let certificate = x.private("certificate", SecretSource::Generate(recipe));
    let ca = x.secret("ca", SecretSource::PublicOf(authority.clone()));
    Some((ServerTls { demand, certificate, authority }, ca))
}

/// Settings of a server that encrypts. Certificate and rules lie where they can change while it runs: it reads both
/// again when it is told to (PostgreSQL manual, 19.9 and 21.1).
fn encrypted() -> Vec<(String, String)> {
    let file = |name: &str| format!("{RELOADED}/current/{name}");
    [
        ("ssl", "on".to_owned()),
        ("ssl_cert_file", file("server.pem")),
        ("ssl_key_file", file("server.pem")),
        ("hba_file", file("pg_hba.conf")),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec()
}

/// The tag says which data directories it can read: it must have a number.
fn version(x: &mut Expansion<'_>) -> Option<u32> {
    let digits: String = x.tag.chars().take_while(char::is_ascii_digit).collect();
    let version = digits.parse().ok().filter(|major| MAJORS.contains(major));
    if version.is_some() {
        return version;
    }
    let span = x.keys.preset.as_ref().map_or(0..0, |p| p.span.clone());
    let mut problem = Problem::error(format!("`{}` is not a version of PostgreSQL this preset knows", x.tag))
        .at(span)
        .label(format!("allowed: {} to {}", MAJORS.start(), MAJORS.end()));
    problem = if digits.is_empty() {
        problem.help("data of one major version cannot be read by another: say which one it is").fix("\"postgres:17\"")
    } else {
        problem.help("any other version runs with `image`; its data folder, user and settings are then yours to say")
    };
    x.problems.push(problem);
    None
}

/// Settings for `tune_for`, or for the memory it may use.
fn tuned(x: &mut Expansion<'_>, memory: ByteSize) -> Vec<(String, String)> {
    let mut settings = tuning(x.keys.tune_for.as_ref().map_or(memory, |t| t.value));
    if let Some(wanted) = x.keys.tune_for.as_ref().filter(|t| t.value > memory) {
        let message = format!("tuned for {}, it would need more than the {memory} it may use", wanted.value);
        let problem = Problem::error(message).at(wanted.span.clone());
        x.problems.push(problem.help("or give it more `memory`").fix(format!("\"{memory}\"")));
    }
    let preloaded = |name: &str| x.keys.extensions.iter().flat_map(|l| &l.value).any(|e| e.value.0 == name);
    if preloaded("pg_stat_statements") {
        // It counts in shared memory, which the server only shares out at its start.
        settings.push(("shared_preload_libraries".to_owned(), "pg_stat_statements".to_owned()));
    }
    settings
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
