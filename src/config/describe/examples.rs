//! An example for every table of stack.toml, shown in the reference. A test loads each of them.

/// By the table's name.
pub(super) const EXAMPLES: &[(&str, &str)] = &[
    (
        "stack.toml",
        r#"name = "sum"

[services.app]
build = "."
port  = 8000"#,
    ),
    (
        "a service",
        r#"[services.app]
build       = "."
port        = 8000
replicas    = 3
healthcheck = "/health"
pre_deploy  = ["python", "-m", "app.migrate"]
post_deploy = ["python", "-m", "app.warm_up"]
on_failure  = ["python", "-m", "app.alarm"]
volumes     = ["uploads:/app/uploads"]
cpus        = 2
memory      = "1G"

[services.app.environment]
DATABASE_URL_FILE = "${postgres.url.file}"
WORKERS           = "${workers}"

[services.worker]
like    = "app"
command = ["celery", "-A", "app", "worker"]

[services.postgres]
preset = "postgres:15"
memory = "1G""#,
    ),
    (
        "build",
        r#"[services.app]
build = { context = ".", target = "runtime", secrets = ["npm_token"] }

[secrets]
npm_token = { env = "NPM_TOKEN" }"#,
    ),
    (
        "healthcheck",
        r#"[services.app]
healthcheck = { path = "/health", interval = "5s", start_period = "2m" }"#,
    ),
    (
        "snippets",
        r#"[proxy.snippets]
http   = "nginx/http.conf"
server = "nginx/server.conf""#,
    ),
    (
        "monitoring",
        r#"[services.prometheus]
preset = "prometheus"

[services.alertmanager]
preset = "alertmanager"

[monitoring]
slack     = "${secrets.slack}"
pagerduty = "${secrets.pagerduty}"
repeat    = "12h"

[secrets]
slack     = { env = "SLACK_WEBHOOK", optional = true }
pagerduty = { env = "PAGERDUTY_ROUTING_KEY", optional = true }"#,
    ),
    (
        "a receiver",
        r#"[monitoring]
slack   = "${secrets.slack}"
webhook = { url = "https://calls.example.com/${secrets.calls}", severity = "critical" }

[services.prometheus]
preset = "prometheus"

[services.alertmanager]
preset = "alertmanager"

[secrets]
slack = { env = "SLACK_WEBHOOK" }
calls = { env = "CALLS_TOKEN" }"#,
    ),
    (
        "pagerduty",
        r#"[monitoring]
pagerduty = { routing_key = "${secrets.pagerduty}", severity = "warning" }

[services.prometheus]
preset = "prometheus"

[services.alertmanager]
preset = "alertmanager"

[secrets]
pagerduty = { env = "PAGERDUTY_ROUTING_KEY" }"#,
    ),
    (
        "email",
        r#"[monitoring.email]
to        = ["ops@example.com", "second@example.com"]
from      = "alerts@example.com"
smarthost = "smtp.example.com:587"
user      = "alerts@example.com"
password  = "${secrets.smtp}"

[services.prometheus]
preset = "prometheus"

[services.alertmanager]
preset = "alertmanager"

[secrets]
smtp = { env = "SMTP_PASSWORD" }"#,
    ),
    (
        "github",
        r#"[notify.github]
repository = "acme/shop"
token      = "${secrets.github}"

[secrets]
github = { env = "GITHUB_TOKEN", optional = true }"#,
    ),
    (
        "notify",
        r#"[notify]
slack = "${secrets.slack}"
on    = "failure"

[secrets]
slack = { env = "SLACK_WEBHOOK", optional = true }"#,
    ),
    (
        "native",
        r#"[services.app]
image   = "app:1"
port    = 8000
command = ["gunicorn", "--bind", "127.0.0.1:8000", "app:app"]
native  = { folder = "/opt/app", user = "app" }"#,
    ),
    (
        "a job",
        r#"[services.app.jobs.cleanup]
command  = ["python", "-m", "app.cleanup"]
schedule = "Mon..Fri 02:00""#,
    ),
    (
        "deploy",
        r#"[services.app]
replicas = 3
deploy   = { canary = 1, min_healthy = "10s", watch = "1m" }"#,
    ),
    (
        "reserve",
        r#"[services.app]
cpus    = 1
memory  = "1G"
reserve = { cpus = 0.5, memory = "512M" }"#,
    ),
    (
        "logging",
        r#"[services.app]
logging = { driver = "local", options = { max-size = "50m" } }"#,
    ),
    (
        "a ulimit",
        r"[services.app]
ulimits = { nofile = { soft = 1024, hard = 4096 }, core = 0 }",
    ),
    (
        "a secret's file",
        r#"[services.app]
secrets = ["session_key", { source = "licence", mode = "0440", uid = 33 }]

[secrets]
session_key = { generate = "hex:32" }
licence     = { file = "licence.txt" }"#,
    ),
    (
        "a secret",
        r#"[secrets]
session_key = { generate = "hex:32" }
token_key   = { generate = "ed25519" }                      # its public half: ${secrets.token_key.pub.file}
smtp        = { env = "SMTP_PASSWORD", optional = true }
licence     = { file = "licence.txt" }
stripe      = { command = ["op", "read", "op://prod/stripe/key"] }
sentry      = { age = "secrets.age" }
openai      = { env = "OPENAI_API_KEY", one_of = "llm" }
anthropic   = { env = "ANTHROPIC_API_KEY", one_of = "llm" }"#,
    ),
    (
        "proxy",
        r#"[proxy]
domains  = ["www.example.com", "example.com"]
tls      = { files = { cert = "certs/site.pem", key = "certs/site.key" } }
limit    = { rate = "20/s", burst = 40 }
max_body = "20M"
closed   = ["/metrics", "/debug", "/internal"]

trusted_proxies = ["173.245.48.0/20"]
real_ip_header  = "CF-Connecting-IP"

[proxy.headers]
Content-Security-Policy = "default-src 'self'""#,
    ),
    (
        "tls",
        r#"[proxy]
tls = "self-signed""#,
    ),
    (
        "tls.acme",
        r#"[proxy]
domains = ["example.com"]
tls     = { acme = { email = "ops@example.com", names = ["example.com", "*.example.com"], dns = ["./dns.sh"] } }"#,
    ),
    (
        "tls.files",
        r#"[proxy]
tls = { files = { cert = "certs/site.pem", key = "certs/site.key" } }"#,
    ),
    (
        "cors",
        r#"[proxy]
cors = ["https://app.example.com"]

[routes]
"/"     = "app"
"/api/" = { service = "app", cors = { origins = ["https://partner.example"], credentials = true } }"#,
    ),
    (
        "a server",
        r#"[routes]
"/"       = "app"
"/search" = { servers = ["10.0.0.11:8000", { address = "10.0.0.12:8000", weight = 2 }], balance = "least_conn" }"#,
    ),
    (
        "a route",
        r#"[routes]
"/"       = "app"
"/api/"   = { service = "app", limit = { rate = "5/s", burst = 10 } }
"/login"  = { service = "app", limit = "5/hour" }
"/stream" = { service = "app", websocket = true, timeout = "1h", limit = "off" }
"/upload" = { service = "app", max_body = "100M", connections = 2 }
"/admin/" = { service = "app", allow = ["203.0.113.0/24"] }"#,
    ),
    (
        "a limit",
        r#"[proxy]
limit = { rate = "10/s", burst = 20, delay = 10 }

[routes]
"/"       = "app"
"/login"  = { service = "app", limit = "5/hour" }
"/export" = { service = "app", limit = { quota = "3/day", key = "X-Api-Key" } }
"/search" = { service = "app", limit = { rate = "100/m", by = "app" } }"#,
    ),
    (
        "a check",
        r#"[checks.search]
path   = "/api/search?q=x"
json   = { status = "healthy" }
within = "500ms"

[checks.jobs]
service = "postgres"
sql     = "select count(*) from jobs where state = 'waiting'"
at_most = 50"#,
    ),
    (
        "a waiver",
        r#"[[waivers]]
check  = "TLS-5"
reason = "the certificate is ordered"
until  = "2027-03-31""#,
    ),
    (
        "an attestation",
        r#"[attestations]
restore = { by = "ops@example.com", on = "2026-11-20" }"#,
    ),
    (
        "a stage",
        r#"[stages.staging]
host                  = "unix:///var/run/docker.sock"
proxy.domains         = ["staging.example.com"]
services.app.replicas = 1"#,
    ),
];

/// The example of a table.
pub(super) fn of(name: &str) -> Option<&'static str> {
    EXAMPLES.iter().find(|(table, _)| *table == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::problem::{Problems, Severity};
    use crate::config::decode::Decode as _;
    use crate::config::interpolate::Variables;
    use crate::config::keys::File;
    use crate::config::shape::Shape;
    use crate::config::tree;

    /// A stack every example fits into.
    const BASE: &str = "name = \"sum\"\n[services.app]\nimage = \"app\"\nport = 8000\ncpus = 1\n\
        [services.postgres]\npreset = \"postgres\"\n[routes]\n\"/\" = \"app\"\n";

    /// Every file an example names is there.
    struct Everything;

    impl crate::config::beside::Beside for Everything {
        fn read(&self, _: &str) -> Result<Vec<crate::model::service::FileContent>, String> {
            Ok(vec![crate::model::service::FileContent {
                path: String::new(),
                text: "A=1\n".to_owned(),
                executable: false,
            }])
        }
    }

    /// What must stand beside a key, or it would say nothing: by table, unless it is one of these itself.
    const BESIDE: &[(&str, &[&str], &str)] = &[
        ("a route", &["service", "servers", "files", "cache"], "service = \"app\", "),
        ("a limit", &["rate", "quota"], "rate = \"1/s\", "),
        ("native", &["folder"], "folder = \"/opt/app\", "),
        ("a server", &["address"], "address = \"10.0.0.1:80\", "),
        ("a receiver", &["url"], "url = \"${secrets.slack}\", "),
        ("pagerduty", &["routing_key"], "routing_key = \"${secrets.pagerduty}\", "),
        ("email", &["to"], "to = \"ops@example.com\", "),
        ("email", &["from"], "from = \"alerts@example.com\", "),
        ("email", &["smarthost"], "smarthost = \"smtp.example.com:587\", "),
        ("a ulimit", &["soft"], "soft = 1, "),
        ("a ulimit", &["hard"], "hard = 4096, "),
        ("a secret's file", &["source"], "source = \"key\", "),
        ("a secret", &["generate", "env", "file", "command", "age", "stored"], "command = \"x\", "),
        ("an attestation", &["by"], "by = \"me\", "),
        ("an attestation", &["on"], "on = \"2026-11-20\", "),
        ("a waiver", &["check"], "check = \"TLS\", "),
        ("a waiver", &["reason"], "reason = \"x\", "),
        ("a waiver", &["until"], "until = \"2027-03-31\", "),
        ("tls.files", &["cert"], "cert = \"a\", "),
        ("tls.files", &["key"], "key = \"b\", "),
    ];

    /// What must stand beside one key of a table.
    const BESIDE_ONE: &[(&str, &str, &str)] = &[("a route", "cache", "files = \"app:/app/static\", ")];

    /// Each key's example in its place in a whole file: the file's text, and the key's name.
    fn placed(shape: &Shape, wrap: &dyn Fn(String) -> String, out: &mut Vec<(String, String)>) {
        match shape {
            Shape::Table(table) => {
                for key in &table.keys {
                    let beside =
                        |(name, own, _): &&(&str, &[&str], &str)| *name == table.name && !own.contains(&key.name);
                    let one = BESIDE_ONE.iter().filter(|(name, own, _)| *name == table.name && *own == key.name);
                    let all = BESIDE.iter().filter(beside).map(|(_, _, text)| *text);
                    let needed: String = all.chain(one.map(|(_, _, text)| *text)).collect();
                    let wrap = |value: String| wrap(format!("{{ {needed}{} = {value} }}", key.name));
                    if key.example.is_empty() {
                        let mut tables = Vec::new();
                        key.shape.tables("", &mut tables);
                        assert!(!tables.is_empty(), "`{}` of {} has no example", key.name, table.name);
                        assert!(tables.iter().all(|(_, t)| of(t.name).is_some()), "{}", key.name);
                    } else {
                        out.push((wrap(key.example.to_owned()), format!("{} of {}", key.name, table.name)));
                    }
                    placed(&key.shape, &wrap, out);
                }
            }
            Shape::Map { key, value, .. } => {
                let name = match *key {
                    "path" => "\"/x\"",
                    "ulimit" => "nofile",
                    "attestation" => "restore",
                    _ => "app",
                };
                placed(value, &|inner| wrap(format!("{{ {name} = {inner} }}")), out);
            }
            Shape::List(item) => placed(item, &|inner| wrap(format!("[{inner}]")), out),
            Shape::Either(shapes) => shapes.iter().for_each(|shape| placed(shape, wrap, out)),
            _ => {}
        }
    }

    #[test]
    fn every_key_has_an_example_that_is_decoded_in_its_place() {
        let mut all = Vec::new();
        placed(&File::shape(), &|table| table, &mut all);
        assert!(all.len() > 170, "{}", all.len());
        for (text, key) in all {
            let mut problems = Problems::default();
            let mut root = tree::parse(&format!("x = {text}"), &mut problems);
            let file = root.take("x").and_then(|entry| File::decode(&entry.node, &mut problems));
            assert!(file.is_some() && problems.is_empty(), "{key}: {text}\n{problems:#?}");
        }
    }

    #[test]
    fn every_example_is_right() {
        for (name, text) in EXAMPLES {
            let mut problems = Problems::default();
            let mut root = tree::parse(BASE, &mut problems);
            if text.contains("build") {
                root.take("services");
                root.overlay(tree::parse(
                    "[services.postgres]\npreset = \"postgres\"\n[services.app]\nport = 1",
                    &mut problems,
                ));
            }
            let mut upper = tree::parse(text, &mut problems);
            crate::config::take_stages(&mut upper, &mut problems);
            root.overlay(upper);
            let source = crate::config::Source { text: BASE, beside: &Everything };
            let stack = crate::config::build(source, root, None, None, &Variables::new(), &mut problems);
            let errors: Vec<_> = problems.sorted().into_iter().filter(|p| p.severity == Severity::Error).collect();
            assert!(errors.is_empty() && stack.is_some(), "{name}: {errors:#?}");
        }
    }
}
