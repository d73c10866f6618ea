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
build = { context = ".", dockerfile = "Dockerfile", target = "runtime" }"#,
    ),
    (
        "healthcheck",
        r#"[services.app]
healthcheck = { path = "/health", interval = "5s", start_period = "2m" }"#,
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
    use crate::config::interpolate::Variables;
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
