//! `explain`: where a value comes from and what it becomes.

use stackctl::base::problem::Problems;
use stackctl::config::{describe, tree};

use crate::harness::Case;
use crate::usage::GOOD;

#[test]
fn values_are_explained() {
    let case = Case::new().file("stack.toml", GOOD);
    for (name, args) in [
        ("replicas", &["explain", "services.app.replicas"][..]),
        ("stage", &["--stage", "staging", "explain", "services.app.replicas"]),
        ("default", &["explain", "proxy.hsts"]),
        ("preset", &["explain", "services.postgres.memory"]),
        ("route-limit", &["explain", "routes./api/.limit.rate"]),
        ("json", &["explain", "services.app.image", "--json"]),
        ("typo", &["explain", "services.app.replica"]),
        ("list", &["explain", "services.app.environment"]),
    ] {
        case.snapshot(&format!("explain-{name}"), args);
    }
}

/// What stands in a table's place is explained as the key it is short for, and so is what could stand beside it.
#[test]
fn short_forms_are_explained() {
    let text = "name = \"sum\"\n\n[services.app]\nbuild = \".\"\nport = 8000\nhealthcheck = \"/health\"\n\
        ulimits = { nofile = 1024 }\n\n[services.other]\nimage = \"other:1\"\nport = 80\n\n[proxy]\n\
        domains = [\"example.com\"]\ntls = { acme = \"ops@example.com\" }\nlimit = \"100/hour\"\n\
        cors = [\"https://a.example\"]\n\n[routes]\n\"/\" = \"app\"\n\"/x\" = { servers = [\"10.0.0.1:80\"] }\n";
    let case = Case::new().file("stack.toml", text);
    case.snapshot("explain-route-short", &["explain", "routes./"]);
    case.snapshot("explain-route-short-service", &["explain", "routes./.service"]);
    case.snapshot("explain-route-short-beside", &["explain", "routes./.websocket"]);
    for (path, value, line) in [
        ("routes./", Some("\"app\""), Some(20)),
        ("routes./.service", Some("\"app\""), Some(20)),
        ("routes./.limit", None, None),
        ("routes./.timeout", Some("\"60s\""), None),
        ("services.app.build.context", Some("\".\""), Some(4)),
        ("services.app.build.dockerfile", Some("\"Dockerfile\""), None),
        ("services.app.healthcheck.path", Some("\"/health\""), Some(6)),
        ("services.app.healthcheck.interval", Some("\"10s\""), None),
        ("services.app.ulimits.nofile.hard", Some("1024"), Some(7)),
        ("proxy.tls.acme.email", Some("\"ops@example.com\""), Some(15)),
        ("proxy.tls.acme.directory", Some("\"letsencrypt\""), None),
        ("proxy.limit.quota", Some("\"100/hour\""), Some(16)),
        ("proxy.limit.by", Some("\"proxy\""), None),
        ("proxy.cors.origins", Some("[\"https://a.example\"]"), Some(17)),
        ("routes./x.servers", Some("[\"10.0.0.1:80\"]"), Some(21)),
    ] {
        let outcome = case.run(&["explain", path, "--json"]);
        let said: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        assert_eq!((said["value"].as_str(), said["line"].as_u64()), (value, line), "{path}: {}", outcome.stdout);
        assert!(said["why_nothing"].as_str().is_none_or(|why| !why.contains("told apart")), "{path}: {said}");
    }
}

/// Everything that completions offer has an explanation. What is written is told apart from the rest, but for whole
/// services; of what is not written, that cannot be where nothing could be written (keys of presets elsewhere, files that
/// are not there).
#[test]
fn every_path_has_an_explanation() {
    let case = Case::new().file("stack.toml", GOOD);
    let mut unclear = Vec::new();
    for path in describe::paths(&tree::parse(GOOD, &mut Problems::default())) {
        let outcome = case.run(&["explain", &path, "--json"]);
        assert_eq!(outcome.code, Some(0), "{path}: {}", outcome.stderr);
        let said: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        let written = !said["line"].is_null();
        if written && said["why_nothing"].as_str().is_some_and(|why| why.contains("told apart")) {
            unclear.push(path);
        }
    }
    assert_eq!(unclear, ["services", "services.app", "services.postgres"]);
}
