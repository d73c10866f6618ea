//! A service that changes its port together with its containers: no request is lost, neither forward nor back, nor when
//! the new version is no good behind the front door.

use std::process::Command;

use super::release::Load;
use super::support::{Site, Visitor, alone, slim, soak};

const NAME: &str = "t-ports";
const PORT: u16 = 18281;

/// `[proxy]` with HTTPS: the load client speaks HTTP/2, too.
fn stack(port: u16, more: &str) -> String {
    slim(NAME, PORT)
        .replace("port        = 8000", &format!("port        = {port}\ndeploy = {{ watch = \"${{WATCH:-0s}}\" }}"))
        .replace("[services.app.environment]\n", &format!("[services.app.environment]\nPORT = \"{port}\"\n"))
        .replace("tls       = \"off\"\n", "tls = \"self-signed\"\nhttps_port = 18681\nmemory = \"256M\"\n")
        + more
}

fn over_https(path: &str) -> String {
    let url = format!("https://localhost:18681{path}");
    let said = Command::new("curl").args(["-sk", "-m", "10", &url]).output().unwrap();
    String::from_utf8_lossy(&said.stdout).into_owned()
}

#[test]
fn a_port_changes_without_a_lost_request() {
    if !soak() {
        println!("only with SOAK=1: a load of its own");
        return;
    }
    let site = Site::on(None, Some(alone()), &stack(8000, ""), NAME, PORT);
    site.up("1");
    let serves = |version: &str| {
        let body = over_https("/health");
        assert!(body.contains(&format!("\"version\":\"{version}\"")), "{version}: {body}");
    };
    serves("1");
    let load = Load::start(&site, 18681);
    site.write(&stack(8123, ""));
    site.run(&["plan"], &[("APP_VERSION", "2")]).ends(0).says("service is not interrupted");
    site.up("2").says("visitors meanwhile: 0 of");
    serves("2");
    site.nothing_to_do("2");
    // Back by the flags alone: the front door knows the old port still.
    site.run(&["rollback", "--no-verify"], &[]).ends(0).says("visitors meanwhile: 0 of");
    serves("1");
    // And with another change of the front door at once.
    site.write(&stack(8200, "\"/two/\" = { service = \"app\", limit = { rate = \"7/s\", burst = 3 } }\n"));
    site.up("3").says("visitors meanwhile: 0 of");
    serves("3");
    // A version that is never ready at its new port, and one whose port nobody listens on.
    site.write(&stack(8300, "").replace("PORT = \"8300\"", "PORT = \"8301\""));
    site.run(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "4"), ("START", "3s")]).ends(1).says("still serves");
    serves("3");
    let report = load.end();
    println!("ports: {}", super::release::line(&report));
    // What reloads may cost HTTP/2 clients that never retry is told in the README; no answer is an error of ours.
    for (mode, counts) in report["modes"].as_object().unwrap() {
        let statuses = counts["statuses"].as_object().cloned().unwrap_or_default();
        assert!(statuses.keys().all(|s| s == "200"), "{mode}: {statuses:?}");
        if !mode.contains("h2") {
            assert_eq!(counts["failed"], 0, "{mode}: {report:#}");
        }
    }
}

#[test]
fn a_new_route_to_another_port_is_asked_once_the_front_door_knows_it() {
    let site = Site::new(&slim("t-newport", 18282), "t-newport", 18282);
    site.up("1");
    let visitor = Visitor::of(&site);
    let other = "\"/health/\" = \"other\"\n[services.other]\nlike = \"app\"\nport = 9123\nhealthcheck = \"/health\"\n[services.other.environment]\nPORT = \"9123\"\nAPP_VERSION = \"other\"\n";
    site.write(&(slim("t-newport", 18282) + other));
    site.up("1");
    visitor.was_always_served();
    let body = site.get("/health/ready").unwrap().1;
    assert!(body.contains("\"version\":\"other\""), "{body}");
    site.nothing_to_do("1");
}
