//! What presets make of a few lines.

use std::collections::BTreeMap;

use crate::base::name::SecretName;
use crate::base::secret::Secret;
use crate::config::beside::Beside;
use crate::config::{Loaded, load_beside};
use crate::model::secrets::{SecretSource, SecretValues, Template};
use crate::model::service::{FileContent, Kind, Service};
use crate::model::stack::Stack;

/// `init.sql`, and nothing else.
struct OneFile;

impl Beside for OneFile {
    fn read(&self, path: &str) -> Result<Vec<FileContent>, String> {
        if path != "init.sql" {
            return Err("does not exist".to_owned());
        }
        Ok(vec![FileContent { path: String::new(), text: "CREATE TABLE t ();\n".to_owned(), executable: false }])
    }
}

const APP: &str = "name = \"shop\"\n[services.app]\nimage = \"app:1\"\nport = 8000\n";

fn loaded(text: &str) -> Loaded {
    load_beside(&format!("{APP}{text}"), None, &BTreeMap::new(), &OneFile)
}

fn stack(text: &str) -> Stack {
    let Loaded { stack, problems } = loaded(text);
    stack.unwrap_or_else(|| unreachable!("{problems:#?}"))
}

fn problems(text: &str) -> String {
    let all = loaded(text).problems.sorted();
    let lines = all.into_iter().map(|p| [p.message, "; ".into(), p.label.or(p.help).unwrap_or_default(), "\n".into()]);
    lines.flatten().collect()
}

fn service<'a>(stack: &'a Stack, name: &str) -> &'a Service {
    stack.services.get(name).unwrap_or_else(|| unreachable!("no {name}"))
}

/// Values that show in a text which secret they are.
fn values(stack: &Stack) -> SecretValues {
    let named = |name: &SecretName| Secret::new(format!("<{name}>"));
    let mut out: SecretValues = stack.secrets.keys().map(|name| (name.clone(), named(name))).collect();
    for (name, spec) in &stack.secrets {
        if let SecretSource::Derived(template) = &spec.source {
            let value = template.fill(&out);
            out.insert(name.clone(), value);
        }
    }
    out
}

fn text(template: Option<&Template>, stack: &Stack) -> String {
    template.map(|t| t.fill(&values(stack)).expose().to_owned()).unwrap_or_default()
}

#[test]
fn postgres_is_set_up_by_a_job_before_anybody_uses_it() {
    let stack = stack(
        "depends_on = [\"db\"]\n[services.db]\npreset = \"postgres:15\"\nmemory = \"2G\"\ntune_for = \"1G\"\n\
         extensions = [\"uuid-ossp\", \"pg_stat_statements\"]\ninit_sql = \"init.sql\"\nsettings = { work_mem = \"9MB\", max_connections = 50 }\n",
    );
    let (db, job) = (service(&stack, "db"), service(&stack, "db-setup"));
    assert_eq!((job.kind, job.replicas, &job.image), (Kind::Job, 0, &db.image));
    assert!(job.volumes.is_empty() && !job.egress && job.depends_on.contains("db"));
    let order: Vec<&str> = stack.start_order().iter().map(|s| s.name.as_str()).collect();
    assert_eq!(order, ["db", "db-setup", "app"]);
    let sql = text(job.files.get("setup.sql"), &stack);
    for line in [
        "CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\";\n",
        "CREATE EXTENSION IF NOT EXISTS \"pg_stat_statements\";\n",
        "\\i /run/secrets/init.sql\n",
    ] {
        assert!(sql.contains(line), "{sql}");
    }
    assert_eq!(text(job.files.get("init.sql"), &stack), "CREATE TABLE t ();\n");
    assert_eq!(
        text(job.files.get("pg_service.conf"), &stack),
        "[setup]\nhost=db\nport=5432\ndbname=shop\nuser=shop\npassword=<db.password>\n"
    );
    let command = db.command.clone().unwrap_or_default().join(" ");
    for setting in
        ["shared_buffers=256MB", "work_mem=9MB", "max_connections=50", "shared_preload_libraries=pg_stat_statements"]
    {
        assert!(command.contains(setting), "{setting}: {command}");
    }
    assert!(!stack_without_setup().services.contains_key("db-setup"));
}

fn stack_without_setup() -> Stack {
    stack("[services.db]\npreset = \"postgres:17-alpine\"\n")
}

#[test]
fn alpine_has_another_number_for_the_same_user() {
    let stack = stack_without_setup();
    assert_eq!(service(&stack, "db").uid, Some(70));
}

#[test]
fn redis_keeps_what_it_is_told_to_keep() {
    for (persistence, lines, volume) in [
        ("aof", ["appendonly \"yes\"", "appendfsync \"everysec\""], true),
        ("rdb", ["appendonly \"no\"", "dir \"/data\""], true),
        ("off", ["appendonly \"no\"", "save \"\""], false),
    ] {
        let stack = stack(&format!(
            "[services.cache]\npreset = \"redis:7\"\nmemory = \"100M\"\npolicy = \"volatile-ttl\"\npersistence = \"{persistence}\"\n"
        ));
        let cache = service(&stack, "cache");
        let conf = text(cache.files.get("redis.conf"), &stack);
        for line in lines.into_iter().chain(["maxmemory \"83886080\"", "maxmemory-policy \"volatile-ttl\""]) {
            assert!(conf.lines().any(|l| l == line), "{line} in {conf}");
        }
        assert_eq!(cache.volumes.iter().any(|v| v.target == "/data"), volume);
        assert_eq!(cache.tmpfs.contains_key("/data"), !volume);
        assert!(!cache.start_first(), "two at once would answer differently");
    }
}

#[test]
fn a_password_of_ones_own() {
    let stack = stack(
        "[services.cache]\npreset = \"redis:7\"\npassword = \"${secrets.cache}\"\n\
         [services.db]\npreset = \"postgres:15\"\npassword = \"${secrets.db}\"\n\
         [secrets]\ncache = { env = \"CACHE\" }\ndb = { env = \"DB\" }\n",
    );
    let cache = service(&stack, "cache");
    assert_eq!(cache.password.as_ref().map(SecretName::as_str), Some("cache"));
    assert!(!text(cache.files.get("redis.conf"), &stack).contains("<cache>"), "it is in a file that can change");
    let db = service(&stack, "db");
    assert_eq!(text(db.environment.get("POSTGRES_PASSWORD_FILE"), &stack), "/run/secrets/db");
    let names: Vec<&str> = stack.secrets.keys().map(SecretName::as_str).filter(|n| !n.starts_with("proxy")).collect();
    assert_eq!(names, ["cache", "cache.url", "db", "db.url"], "none is made");
    assert_eq!(
        problems("[services.db]\npreset = \"postgres:15\"\npassword = \"hunter2\"\n"),
        "a password does not belong into stack.toml; name a secret instead\n"
    );
}

#[test]
fn grafana_finds_this_stacks_prometheus() {
    let stack = stack("[services.charts]\npreset = \"grafana\"\n[services.watch]\npreset = \"prometheus\"\n");
    let grafana = service(&stack, "charts");
    assert!(grafana.depends_on.contains("watch"));
    let source = text(grafana.files.get("provisioning/datasources/prometheus.yaml"), &stack);
    assert!(source.contains("url: http://watch:9090\n"), "{source}");
    let password = text(grafana.environment.get("GF_SECURITY_ADMIN_PASSWORD__FILE"), &stack);
    assert_eq!(password, "/run/secrets/charts.password");
}

#[test]
fn qdrant_asks_for_its_key() {
    let stack =
        stack("environment = { A = \"${v.url}\", B = \"${v.api_key.file}\" }\n[services.v]\npreset = \"qdrant\"\n");
    let config = text(service(&stack, "v").files.get("qdrant.yaml"), &stack);
    assert!(config.contains("  api_key: \"<v.api_key>\"\n"), "{config}");
    let app = service(&stack, "app");
    assert_eq!(text(app.environment.get("A"), &stack), "http://v:6333");
    assert_eq!(text(app.environment.get("B"), &stack), "/run/secrets/v.api_key");
}

#[test]
fn one_that_runs_elsewhere_is_only_an_address() {
    let stack = stack(
        "environment = { A_FILE = \"${db.url.file}\", B = \"${db.host}:${db.port}/${db.database}\", C_FILE = \"${db.password.file}\", D_FILE = \"${cache.url.file}\" }\n\
         depends_on = [\"cache\"]\n\
         [services.db]\npreset = \"postgres\"\nexternal = \"postgresql://me:${secrets.pw}@db.example.com/shop?sslmode=require\"\n\
         [services.cache]\npreset = \"redis\"\nexternal = \"${secrets.cache}\"\n\
         [secrets]\npw = { env = \"PW\" }\ncache = { env = \"CACHE\" }\n",
    );
    assert_eq!(stack.services.keys().map(crate::base::name::ServiceName::as_str).collect::<Vec<_>>(), ["app"]);
    let app = service(&stack, "app");
    assert!(app.depends_on.is_empty());
    assert_eq!(text(app.environment.get("B"), &stack), "db.example.com:5432/shop");
    assert_eq!(text(app.environment.get("C_FILE"), &stack), "/run/secrets/pw");
    let value = |name: &str| values(&stack).get(name).map(|v| v.expose().to_owned()).unwrap_or_default();
    assert_eq!(value("db.url"), "postgresql://me:%3Cpw%3E@db.example.com/shop?sslmode=require");
    assert_eq!(value("cache.url"), "<cache>", "a whole URL is taken as it is");
}

#[test]
fn what_presets_refuse() {
    for (text, said) in [
        (
            "[services.db]\npreset = \"postgres:12\"\n",
            "`12` is not a version of PostgreSQL this preset knows; allowed: 13 to 17\n",
        ),
        (
            "[services.db]\npreset = \"postgres:latest\"\n",
            "`latest` is not a version of PostgreSQL this preset knows; allowed: 13 to 17\n",
        ),
        (
            "[services.db]\npreset = \"postgres:15\"\nmemory = \"1G\"\ntune_for = \"4G\"\n",
            "tuned for 4G, it would need more than the 1G it may use; or give it more `memory`\n",
        ),
        (
            "[services.db]\npreset = \"postgres:15\"\ninit_sql = \"no.sql\"\n",
            "`no.sql` does not exist; the path starts at the folder of stack.toml\n",
        ),
        (
            "[services.db]\npreset = \"postgres:15\"\nextensions = [\"x\\\"; DROP\"]\n",
            "`x\"; DROP` is not the name of an extension; `uuid-ossp` or `pg_trgm` is one; \n",
        ),
        (
            "[services.db]\npreset = \"postgres:15\"\npersistence = \"off\"\n",
            "the preset `postgres` has no key `persistence`; it has `database`, `username`, `password`, `settings`, `tune_for`, `extensions`, `init_sql` or `tls`\n",
        ),
        (
            "[services.p]\npreset = \"prometheus\"\nsettings = { a = 1 }\n",
            "the preset `prometheus` has no key `settings`; it has `retention` or `external_labels`\n",
        ),
        ("policy = \"allkeys-lru\"\n", "`policy` belongs to a preset, and this service has none; \n"),
        (
            "[services.db]\npreset = \"postgres\"\nextensions = [\"pg_trgm\"]\n[services.db-setup]\nimage = \"x:1\"\n",
            "`db-setup` is the name of the job that sets `db` up; give this service another name\n",
        ),
        (
            "[services.db]\npreset = \"postgres\"\nexternal = \"postgresql://me:hunter2@db.example.com/shop\"\n",
            "a password does not belong into stack.toml; name a secret in its place\n",
        ),
        (
            "[services.db]\npreset = \"postgres\"\nexternal = \"redis://db.example.com\"\nmemory = \"1G\"\n",
            "this is not where a postgres could be; allowed: a URL such as `postgresql://db.example.com`\n\
             `db` runs elsewhere: `memory` means nothing for it; leave it away, or `external`\n",
        ),
        (
            "egress = false\nenvironment = { A = \"${db.host}\" }\n[services.db]\npreset = \"postgres\"\nexternal = \"postgresql://db.example.com/\"\n",
            "`db` runs elsewhere, and `app` has no way out; take its `egress = false` away\n",
        ),
    ] {
        assert_eq!(problems(text), said, "{text}");
    }
}

#[test]
fn a_database_that_encrypts() {
    let with = |tls: &str| {
        let stack = stack(&format!(
            "environment = {{ DATABASE_URL_FILE = \"${{db.url.file}}\" }}\n\
             [services.db]\npreset = \"postgres:15\"\nextensions = [\"pg_trgm\"]\n{tls}\n"
        ));
        let url = match stack.secrets.iter().find(|(name, _)| name.as_str() == "db.url").map(|(_, s)| &s.source) {
            Some(SecretSource::Derived(url)) => text(Some(url), &stack),
            _ => String::new(),
        };
        (url, stack)
    };
    let ca = |stack: &Stack, name: &str| service(stack, name).secrets.iter().any(|s| s.as_str() == "db.ca");
    let (url, plain) = with("");
    assert!(url.ends_with("@db:5432/shop") && !ca(&plain, "app"), "{url}");
    assert!(service(&plain, "db").tls.is_none());
    let (url, required) = with("tls = \"require\"");
    assert!(url.ends_with("@db:5432/shop?sslmode=require") && !ca(&required, "app"), "{url}");
    let (url, full) = with("tls = \"verify-full\"");
    assert!(url.ends_with("/shop?sslmode=verify-full&sslrootcert=/run/secrets/db.ca"), "{url}");
    assert!(ca(&full, "app") && ca(&full, "db-setup"), "whoever connects gets the authority");
    let command = service(&full, "db").command.clone().unwrap_or_default().join(" ");
    assert!(
        command.contains("-c ssl=on") && command.contains("hba_file=/run/stackctl/current/pg_hba.conf"),
        "{command}"
    );
    let kept: Vec<&str> = full.secrets.keys().map(SecretName::as_str).filter(|n| n.starts_with("db.")).collect();
    assert_eq!(kept, ["db.authority", "db.ca", "db.certificate", "db.password", "db.url"]);
}
