//! Databases and stores: closed to strangers, with room left.

use std::net::SocketAddrV4;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::base::name::SecretName;
use crate::model::finding::Finding;
use crate::model::inspected::Inspected;
use crate::model::service::{Ask, Health, Preset, Service};

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::net::client::within;
use super::super::net::error::ProbeError;
use super::super::ready::{exchange, postgres_hello};
use super::super::tls::session;
use super::database_tls;
use super::none_apply;
use super::stores::{PATIENCE, socket};

use Judged::{Fail, Pass, Skip, Unsure, Warn};

pub(in crate::probe) const DB_1: Check = Check {
    id: "DB-1",
    family: Family::Databases,
    title: "asks for a password",
    question: "Does each database ask a stranger for a password? PostgreSQL gets a start-up message, Redis a PING, both \
               without one, at the container's own address.",
    pass: "PostgreSQL asks (SCRAM-SHA-256; MD5 is a warning, `trust` fails), Redis answers NOAUTH",
    source: "postgresql.org auth-methods; redis.io security",
    severity: Severity::Critical,
    remedy: "PostgreSQL: set `host all all all scram-sha-256` in pg_hba.conf; Redis: set `requirepass`",
};

pub(in crate::probe) const DB_2: Check = Check {
    id: "DB-2",
    family: Family::Databases,
    title: "connections left",
    question: "How many of PostgreSQL's connections are in use? Asked by `psql` in its container.",
    pass: "at most 80 % of max_connections less the reserved ones; above 95 % fails",
    source: "postgres_exporter alert rules: pg_stat_activity_count > 0.8 × max_connections",
    severity: Severity::High,
    remedy: "fewer or smaller pools in the app, PgBouncer between, or more: settings = { max_connections = \"200\" }",
};

pub(in crate::probe) const DB_3: Check = Check {
    id: "DB-3",
    family: Family::Databases,
    title: "Redis has room and keeps what it is told",
    question: "Has Redis a memory limit with room left, and did its last writes to disk succeed? INFO, with the stack's \
               password.",
    pass: "maxmemory is set, at most 90 % of it used (above is a warning where it may evict), rdb_last_bgsave_status \
           and aof_last_write_status ok",
    source: "redis.io INFO; redis_exporter alert rules (memory > 90 %)",
    severity: Severity::High,
    remedy: "give the service more `memory`; look at `stackctl logs` for why it cannot write",
};

/// Connections in use, and those an ordinary user may open.
const CONNECTIONS: &str = "select (select count(*) from pg_stat_activity where backend_type = 'client backend'), \
     current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int";

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let project = context.stack.project.as_str();
    let services = || context.stack.services.values().filter(|s| s.replicas > 0);
    let mut findings = Vec::new();
    let known = services().filter(|s| matches!(s.preset, Some(Preset::Postgres | Preset::Redis)));
    for service in known {
        let question = DB_1.about(service.name.as_str()).line(service.line).from("engine network");
        findings.push(question.judged(stranger(context, service).await));
    }
    if findings.is_empty() {
        findings.extend(none_apply(&[&DB_1], project, None, "the stack has no database of ours"));
    }
    let postgres: Vec<&Service> = services().filter(|s| s.preset == Some(Preset::Postgres)).collect();
    for service in &postgres {
        let question = DB_2.about(service.name.as_str()).line(service.line).from("container");
        findings.push(question.judged(headroom(context, service).await));
    }
    if postgres.is_empty() {
        findings.extend(none_apply(&[&DB_2], project, None, "the stack has no PostgreSQL of ours"));
    }
    let redis: Vec<&Service> = services().filter(|s| s.preset == Some(Preset::Redis)).collect();
    for service in &redis {
        let question = DB_3.about(service.name.as_str()).line(service.line).from("engine network");
        findings.push(question.judged(store(context, service).await));
    }
    if redis.is_empty() {
        findings.extend(none_apply(&[&DB_3], project, None, "the stack has no Redis of ours"));
    }
    findings.extend(database_tls::run(context).await);
    findings
}

/// What a server says to a start-up message inside TLS, whatever its certificate is.
async fn encrypted_answer(at: SocketAddrV4, name: &str, hello: &[u8]) -> Result<Vec<u8>, ProbeError> {
    within(PATIENCE, async {
        let mut stream = session::postgres(at.into(), name, session::config(true, &[])?).await?;
        stream.write_all(hello).await?;
        let mut answer = vec![0; 2048];
        let read = stream.read(&mut answer).await?;
        answer.truncate(read);
        Ok(answer)
    })
    .await
}

async fn stranger(context: &Context<'_>, service: &Service) -> Judged {
    let at = match socket(context, service) {
        Ok(at) => at,
        Err(why) => return why,
    };
    match service.health.as_ref().map(|h| &h.ask) {
        Some(Ask::Postgres { user, database }) => {
            let hello = postgres_hello(user, database);
            if service.tls.is_some() {
                return match encrypted_answer(at, service.name.as_str(), &hello).await {
                    Ok(answer) => authentication(&answer),
                    Err(error) => Unsure(error.to_string()),
                };
            }
            match within(PATIENCE, exchange(at, &hello, 2048, |bytes| bytes.len() >= 9)).await {
                Ok(answer) => authentication(&answer),
                Err(error) => Unsure(error.to_string()),
            }
        }
        _ if service.preset == Some(Preset::Redis) => {
            match within(PATIENCE, exchange(at, b"PING\r\n", 512, |bytes| bytes.contains(&b'\n'))).await {
                Ok(answer) => ping(&answer),
                Err(error) => Unsure(error.to_string()),
            }
        }
        _ => Skip("it has no health check that names a role and a database".to_owned()),
    }
}

/// `R`, a length, and what is asked for (PostgreSQL §55.7): 0 nothing, 5 MD5, 10 SASL.
fn authentication(answer: &[u8]) -> Judged {
    match answer {
        [b'R', _, _, _, _, 0, 0, 0, 0, ..] => Fail("it lets everybody in without a password (`trust`)".to_owned()),
        [b'R', _, _, _, _, 0, 0, 0, 3, ..] => Warn("it wants the password in clear text".to_owned()),
        [b'R', _, _, _, _, 0, 0, 0, 5, ..] => Warn("it asks for an MD5 password".to_owned()),
        [b'R', _, _, _, _, 0, 0, 0, 10, ..] => Pass("it asks for SCRAM".to_owned()),
        [b'E', ..] => Pass("it refuses".to_owned()),
        _ => Unsure("it does not answer like PostgreSQL".to_owned()),
    }
}

fn ping(answer: &[u8]) -> Judged {
    match answer {
        [b'-', b'N', b'O', b'A', b'U', b'T', b'H', ..] => Pass("NOAUTH".to_owned()),
        [b'-', b'D', b'E', b'N', b'I', b'E', b'D', ..] => Pass("DENIED: protected mode".to_owned()),
        [b'+', ..] => Fail("it answers everybody".to_owned()),
        _ => Unsure("it does not answer like Redis".to_owned()),
    }
}

async fn headroom(context: &Context<'_>, service: &Service) -> Judged {
    let Some(Health { ask: Ask::Postgres { user, database }, .. }) = &service.health else {
        return Skip("its health check names no role and database".to_owned());
    };
    let seen = match context.containers().await {
        Ok(seen) => seen,
        Err(why) => return why.into(),
    };
    let running = |c: &&Inspected| c.service == service.name.as_str() && c.number > 0 && c.running;
    let (Some(container), Ok(inside)) = (seen.iter().find(running), context.inside()) else {
        return Unsure("no container of it runs".to_owned());
    };
    let argv = ["psql", "-X", "-A", "-t", "-w", "-U", user, "-d", database, "-c", CONNECTIONS];
    match inside.run(&container.name, &argv).await {
        Ok((0, text)) => connections(&text),
        Ok((code, text)) => Unsure(format!("psql exited with {code}: {}", text.trim())),
        Err(why) => Unsure(why),
    }
}

/// `3|97`
fn connections(text: &str) -> Judged {
    let numbers = text.trim().split_once('|').and_then(|(used, most)| Some((used.parse().ok()?, most.parse().ok()?)));
    let Some((used, most)): Option<(u32, u32)> = numbers.filter(|(_, most)| *most > 0) else {
        return Unsure(format!("psql said `{}`", text.trim()));
    };
    let seen = format!("{used} of {most} in use");
    match u64::from(used) * 100 / u64::from(most) {
        0..=80 => Pass(seen),
        81..=95 => Warn(seen),
        _ => Fail(seen),
    }
}

async fn store(context: &Context<'_>, service: &Service) -> Judged {
    let at = match socket(context, service) {
        Ok(at) => at,
        Err(why) => return why,
    };
    let password = SecretName::parse(&format!("{}.password", service.name));
    let password = password.and_then(|name| context.known.values.and_then(|values| values.get(&name)));
    let mut message = Vec::new();
    if let Some(password) = password {
        message.extend(command(&["AUTH", password.expose()]));
    }
    // Redis closes after QUIT: that is the end of what is read.
    message.extend([command(&["INFO"]), command(&["QUIT"])].concat());
    match within(PATIENCE, exchange(at, &message, 64 << 10, |_| false)).await {
        Ok(answer) => info(&String::from_utf8_lossy(&answer)),
        Err(error) => Unsure(error.to_string()),
    }
}

/// A command as an array of bulk strings: nothing in a word can end it.
fn command(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    out
}

fn info(text: &str) -> Judged {
    let value = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let number = |name: &str| value(name).and_then(|v| v.parse::<u64>().ok());
    let (Some(used), Some(most)) = (number("used_memory"), number("maxmemory")) else {
        let first = text.lines().find(|l| l.starts_with('-')).unwrap_or("it tells nothing of its memory");
        return Unsure(first.trim_start_matches('-').to_owned());
    };
    let mut wrong = Vec::new();
    for name in ["rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status"] {
        if let Some(status) = value(name).filter(|status| *status != "ok") {
            wrong.push(format!("{name} is {status}"));
        }
    }
    if most == 0 {
        wrong.push("maxmemory is not set: it grows until the engine kills it".to_owned());
        return Fail(wrong.join(", "));
    }
    let policy = value("maxmemory_policy").unwrap_or("unknown");
    let share = used.saturating_mul(100) / most;
    if share > 90 && policy == "noeviction" {
        wrong.push(format!("{share} % of maxmemory used, and it may not evict"));
    }
    let seen = format!("{share} % of {} MiB used, {policy}", most >> 20);
    match (wrong.is_empty(), share) {
        (false, _) => Fail(wrong.join(", ")),
        (true, 91..) => Warn(seen),
        (true, _) => Pass(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_let_in() {
        let asks = |code: u8| authentication(&[b'R', 0, 0, 0, 8, 0, 0, 0, code]);
        assert!(matches!(asks(10), Pass(_)));
        assert!(matches!(asks(5), Warn(_)));
        assert!(matches!(asks(0), Fail(_)));
        assert!(matches!(authentication(b"E\0\0\0\x09C28P01\0"), Pass(_)));
        assert!(matches!(authentication(b"HTTP/1.1 400"), Unsure(_)));
        assert!(matches!(authentication(b""), Unsure(_)));
        assert!(matches!(ping(b"-NOAUTH Authentication required.\r\n"), Pass(_)));
        assert!(matches!(ping(b"+PONG\r\n"), Fail(_)));
        assert!(matches!(ping(b""), Unsure(_)));
    }

    #[test]
    fn room_for_connections() {
        for (text, passes) in [("3|97\n", true), ("77|97", true)] {
            assert_eq!(matches!(connections(text), Pass(_)), passes, "{text}");
        }
        assert!(matches!(connections("80|97"), Warn(_)));
        assert!(matches!(connections("97|97"), Fail(_)));
        for text in ["", "x|y", "3", "3|0"] {
            assert!(matches!(connections(text), Unsure(_)), "{text}");
        }
    }

    #[test]
    fn what_redis_says_of_itself() {
        let good = "+OK\r\n$99\r\n# Memory\r\nused_memory:1000\r\nmaxmemory:53687091\r\nmaxmemory_policy:allkeys-lru\r\n\
                    # Persistence\r\nrdb_last_bgsave_status:ok\r\naof_last_write_status:ok\r\n";
        assert!(matches!(info(good), Pass(_)), "{:?}", info(good));
        for (from, to) in [
            ("maxmemory:53687091", "maxmemory:0"),
            ("rdb_last_bgsave_status:ok", "rdb_last_bgsave_status:err"),
            ("aof_last_write_status:ok", "aof_last_write_status:err"),
        ] {
            assert!(matches!(info(&good.replace(from, to)), Fail(_)), "{to}");
        }
        let full = good.replace("used_memory:1000", "used_memory:53000000");
        assert!(matches!(info(&full), Warn(_)));
        assert!(matches!(info(&full.replace("allkeys-lru", "noeviction")), Fail(_)));
        assert_eq!(info("-WRONGPASS invalid\r\n"), Unsure("WRONGPASS invalid".into()));
        assert!(matches!(info(""), Unsure(_)));
        assert_eq!(command(&["AUTH", "a\r\nb"]), b"*2\r\n$4\r\nAUTH\r\n$4\r\na\r\nb\r\n");
    }
}
