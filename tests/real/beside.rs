//! The same releases by others, for comparison: figures, printed in the long form only.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::release::{Load, line, releases};
use super::support::{Said, Site, alone, root, said, soak};

#[test]
fn an_older_nginx_loses_nothing_either() {
    if !soak() {
        println!("left out: only with SOAK=1");
        return;
    }
    // No release reloads, so that what an older Nginx loses at reloads is not lost.
    let report = releases("t-older", 18142, "1.26", 100_000);
    assert_eq!(report["failed"], 0, "{}", line(&report));
}

/// `docker compose up -d` with a new version each time: containers are replaced one generation after the other, and
/// Nginx knows the names it started with.
#[test]
fn what_compose_loses() {
    if !soak() {
        println!("left out: only with SOAK=1");
        return;
    }
    let (name, https) = ("t-beside", 18543);
    let site = Site::on(None, Some(alone()), "", name, 18143);
    compose_file(&site, https);
    let up = |version: u32| -> Said {
        let mut compose = Command::new(root().join("target/tools/compose-2.26/docker-compose"));
        compose.args(["-p", name, "up", "-d", "--wait", "--build"]).current_dir(site.folder());
        said(&compose.env("APP_VERSION", version.to_string()).output().expect("compose runs")).ends(0)
    };
    up(0);
    let load = Load::start(&site, https);
    std::thread::sleep(Duration::from_secs(2));
    for version in 1..=10 {
        up(version);
    }
    std::thread::sleep(Duration::from_secs(2));
    println!("Compose 2.26, ten releases: {}", line(&load.end()));
}

/// The same app behind the same Nginx, as one writes it for Compose: upstreams by name. Our label is for cleaning up.
fn compose_file(site: &Site, https: u16) {
    let write = |name: &str, text: &str| fs::write(site.folder().join(name), text).expect("a file");
    let trial = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    write("cert.pem", &trial.cert.pem());
    write("key.pem", &trial.signing_key.serialize_pem());
    let nginx = r"
events {}
http {
  upstream app { server app:8000; }
  server {
    listen 443 ssl;
    http2 on;
    ssl_certificate /etc/nginx/cert.pem;
    ssl_certificate_key /etc/nginx/key.pem;
    location / {
      proxy_pass http://app;
      proxy_set_header Host $host;
    }
  }
}
";
    write("nginx.conf", nginx);
    let mirror = std::env::var("STACKCTL_REGISTRY_MIRROR").unwrap_or_else(|_| "stackctl.test".to_owned());
    let compose = r#"
services:
  app:
    build: { context: "{APP}", args: { STACKCTL_REGISTRY_MIRROR: "{MIRROR}/library/" } }
    deploy: { replicas: 3 }
    environment: { APP_VERSION: "${APP_VERSION}" }
    labels: { stackctl.project: {NAME} }
    stop_grace_period: 30s
    healthcheck:
      test: ["CMD", "python3", "-c", "import urllib.request as r; r.urlopen('http://localhost:8000/health/ready')"]
      interval: 1s
  proxy:
    image: "{MIRROR}/library/nginx:1.30"
    depends_on: { app: { condition: service_healthy } }
    ports: ["{HTTPS}:443"]
    labels: { stackctl.project: {NAME} }
    volumes:
      - ./nginx.conf:/etc/nginx/nginx.conf:ro
      - ./cert.pem:/etc/nginx/cert.pem:ro
      - ./key.pem:/etc/nginx/key.pem:ro
networks:
  default: { labels: { stackctl.project: {NAME} } }
"#;
    let app = root().join("tests/sample-app").display().to_string();
    let filled = [("{APP}", app), ("{MIRROR}", mirror), ("{NAME}", site.name.clone()), ("{HTTPS}", https.to_string())];
    write("compose.yaml", &filled.iter().fold(compose.to_owned(), |text, (from, to)| text.replace(from, to)));
}
