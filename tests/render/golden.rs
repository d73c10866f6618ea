//! Rendered text as it was last looked at. `UPDATE_GOLDEN=1` writes it anew.

use std::net::Ipv4Addr;
use std::path::Path;

use stackctl::base::secret::Secret;
use stackctl::model::artifact::{Artifact, Content};
use stackctl::model::stack::Stack;
use stackctl::render::{NginxFacts, ProxyInput, nginx};

use crate::sample::{self, upstreams};

fn check(folder: &str, files: &[Artifact]) {
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

fn front_door(stack: &Stack, tag: &str) -> Vec<Artifact> {
    let key = Secret::new("KEY\n");
    let input = ProxyInput {
        stack,
        proxy: stack.proxy.as_ref().unwrap(),
        upstreams: &upstreams(&[
            ("app", &["10.83.0.2:8000", "10.83.0.3:8000"]),
            ("api", &["10.83.0.4:9000"]),
            ("later", &[]),
        ]),
        certificate: Some(("CHAIN\n", &key)),
        facts: NginxFacts::from_tag(tag),
        trusted_probe: vec![Ipv4Addr::new(10, 83, 0, 1)],
        release: Some("7"),
    };
    let files = nginx(&input).unwrap();
    assert_eq!(files, nginx(&input).unwrap(), "the same input gives the same bytes");
    files
}

#[test]
fn nginx_new() {
    check("nginx-1.30", &front_door(&sample::full(), "nginx:1.30"));
}

#[test]
fn nginx_old() {
    check("nginx-1.22", &front_door(&sample::full(), "nginx:1.22"));
}
