//! Rendered text as it was last looked at. `UPDATE_GOLDEN=1` writes it anew.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::OnceLock;

use stackctl::base::name::ServiceName;
use stackctl::base::secret::Secret;
use stackctl::model::artifact::{Artifact, Content};
use stackctl::model::nginx::NginxFacts;
use stackctl::model::proxy::Tls;
use stackctl::model::stack::Stack;
use stackctl::render::{Banks, LIVE, Place, ProxyInput, RenderError, live_flag, nginx};

use crate::sample::{self, banks, upstreams};

static CERTIFICATE: OnceLock<(String, String)> = OnceLock::new();

pub(crate) fn check(folder: &str, files: &[Artifact]) {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/render/golden").join(folder);
    for file in files {
        let Content::Plain(text) = &file.content else { continue };
        let path = base.join(&file.path);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(golden == *text, "{} differs; look at it, then UPDATE_GOLDEN=1\n{text}", path.display());
    }
}

/// The front door of a stack with replicas here and there.
pub(crate) fn front_door(stack: &Stack, tag: &str) -> Result<Vec<Artifact>, RenderError> {
    let app: (&[&str], &[&str]) = (&["10.83.0.2:8000", "10.83.0.3:8000"], &["10.83.0.5:8000", "10.83.0.6:8000"]);
    let api: (&[&str], &[&str]) = (&["10.83.0.4:9000"], &["10.83.0.7:9000"]);
    let later: &[&str] = &["10.83.0.8:7000"];
    render(stack, tag, &banks(&[("app", app.0, app.1), ("api", api.0, api.1), ("later", &[], later)]))
}

/// The same with one replica at `target`.
pub(crate) fn front_door_to(stack: &Stack, target: &str) -> Result<Vec<Artifact>, RenderError> {
    render(stack, "nginx:1.30", &upstreams(&[("app", &[target])]))
}

fn render(stack: &Stack, tag: &str, upstreams: &BTreeMap<ServiceName, Banks>) -> Result<Vec<Artifact>, RenderError> {
    // A certificate that any Nginx accepts; it is in no golden file.
    let made = CERTIFICATE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["sum.example.com".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    });
    let key = Secret::new(&made.1);
    let input = ProxyInput {
        stack,
        proxy: stack.proxy.as_ref().unwrap(),
        upstreams,
        certificate: Some((&made.0, &key)),
        facts: NginxFacts::from_tag(tag),
        trusted_probe: vec![Ipv4Addr::new(10, 83, 0, 1)],
        release: Some("7"),
        place: Place::Container,
    };
    let files = nginx(&input);
    assert_eq!(files, nginx(&input), "the same input gives the same bytes");
    files
}

fn without_certificates(mut files: Vec<Artifact>) -> Vec<Artifact> {
    files.retain(|file| !file.path.starts_with("certs/"));
    files
}

#[test]
fn nginx_new() {
    check("nginx-1.30", &without_certificates(front_door(&sample::full(), "nginx:1.30").unwrap()));
}

#[test]
fn nginx_old() {
    check("nginx-1.22", &without_certificates(front_door(&sample::full(), "nginx:1.22").unwrap()));
}

#[test]
fn an_authority_is_answered_by_files() {
    let mut stack = sample::full();
    stack.proxy.as_mut().unwrap().tls = sample::acme();
    check("nginx-acme", &without_certificates(front_door(&stack, "nginx:1.30").unwrap()[..1].to_vec()));
}

#[test]
fn nginx_plain_with_names() {
    let mut stack = sample::full();
    stack.proxy.as_mut().unwrap().tls = Tls::Off;
    let names = upstreams(&[("app", &["app:8000"]), ("api", &["api:9000"])]);
    check("nginx-plain", &render(&stack, "nginx:1.30", &names).unwrap());
}

#[test]
fn what_this_nginx_does_not_know_is_left_out() {
    for (tag, lines) in [
        ("nginx:1.19.9", [0, 0, 0]),
        ("nginx:1.19.10", [1, 0, 0]),
        ("nginx:1.27.3", [1, 0, 0]),
        ("nginx:1.27.4", [1, 1, 0]),
        ("nginx:1.29.6", [1, 1, 0]),
        ("nginx:1.29.7", [1, 1, 4]),
    ] {
        let files = front_door(&sample::full(), tag).unwrap();
        let text = files[0].content.expose();
        let found = ["    keepalive_time 1d;", "    keepalive_min_timeout 10s;", "        keepalive 0;"]
            .map(|wanted| text.lines().filter(|line| *line == wanted).count());
        assert_eq!(found, lines, "{tag}");
    }
}

#[test]
fn the_flag_rendered_is_the_flag_to_put() {
    let files = front_door(&sample::full(), "nginx:1.30").unwrap();
    let flag = live_flag(&sample::name("app"));
    assert_eq!(flag, "live/app.b");
    assert_eq!(format!("/run/stackctl/{flag}"), format!("{LIVE}/app.b"));
    assert!(files[0].content.expose().contains(&format!("if (-f /run/stackctl/{flag}) {{ set ")));
}

#[test]
fn repeating_reaches_the_other_bank_however_large_the_first() {
    for (replicas, limit) in [(1, "10s"), (4, "10s"), (5, "11s"), (12, "25s")] {
        let targets: Vec<String> = (0..replicas).map(|n| format!("10.83.1.{n}:8000")).collect();
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        let files = render(&sample::full(), "nginx:1.30", &banks(&[("app", &targets, &["10.83.2.1:8000"])])).unwrap();
        let text = files[0].content.expose();
        assert!(text.contains(&format!("    proxy_next_upstream_timeout {limit};\n")), "{replicas}: {limit}");
    }
}

#[test]
fn the_key_is_for_nginx_alone() {
    let files = front_door(&sample::full(), "nginx:1.30").unwrap();
    let key = files.iter().find(|file| file.path == "certs/site.key").unwrap();
    assert!(matches!(key.content, Content::Secret(_)));
    assert_eq!((key.mode, key.uid), (0o400, 101));
    assert!(!format!("{files:?}").contains("PRIVATE KEY"));
}

#[test]
fn https_needs_a_certificate() {
    let stack = sample::full();
    let input = ProxyInput {
        stack: &stack,
        proxy: stack.proxy.as_ref().unwrap(),
        upstreams: &BTreeMap::new(),
        certificate: None,
        facts: NginxFacts::from_tag("nginx"),
        trusted_probe: Vec::new(),
        release: None,
        place: Place::Container,
    };
    assert_eq!(nginx(&input), Err(RenderError::Certificate));
}
