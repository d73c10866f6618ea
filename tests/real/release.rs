//! Consecutive releases under load: nothing is dropped.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::support::{Site, alone, budget, root, slim, soak};

/// The client that never retries: `tests/load`.
fn client() -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--example", "load"])
        .current_dir(root())
        .status()
        .unwrap();
    assert!(built.success(), "the load client does not build");
    let folder = std::env::current_exe().unwrap();
    folder.parent().unwrap().parent().unwrap().join("examples/load")
}

pub(crate) struct Load {
    child: Child,
    until: PathBuf,
}

impl Load {
    pub(crate) fn start(site: &Site, port: u16) -> Self {
        Self::at(site, port, "localhost", 64)
    }

    /// Over so many connections, of which a third each is HTTP/1.1 kept, HTTP/1.1 not kept, and HTTP/2.
    pub(crate) fn at(site: &Site, port: u16, name: &str, connections: u32) -> Self {
        let until = site.folder().join("enough");
        let _ = std::fs::remove_file(&until);
        let child = Command::new(client())
            .args(["--url", &format!("https://127.0.0.1:{port}/"), "--host", name, "--mode", "all"])
            .args(["--connections", &connections.to_string(), "--think-ms", "20", "--streams", "1", "--in-flight", "2"])
            .args(["--insecure", "--json", "--until-file"])
            .arg(&until)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, until }
    }

    pub(crate) fn end(self) -> serde_json::Value {
        std::fs::write(&self.until, "").unwrap();
        let output = self.child.wait_with_output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn stack(name: &str, port: u16, https: u16, nginx: &str) -> String {
    slim(name, port).replace(
        "tls       = \"off\"\n",
        &format!("tls = \"self-signed\"\nhttps_port = {https}\nimage = \"nginx:{nginx}\"\nmemory = \"512M\"\n"),
    )
}

pub(crate) fn releases(name: &str, port: u16, nginx: &str, wanted: u64) -> serde_json::Value {
    let https = port + 400;
    let site = Site::on(None, Some(alone()), &stack(name, port, https, nginx), name, port);
    site.up("0");
    let releases = if soak() { 10 } else { 3 };
    let load = Load::start(&site, https);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let begin = std::time::Instant::now();
    for version in 1..=releases {
        site.up(&version.to_string());
    }
    // What is still missing of the number goes by the last release.
    while begin.elapsed().as_secs() * 350 < wanted {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    let report = load.end();
    println!("Nginx {nginx}, {releases} releases: {}", line(&report));
    report
}

/// A load in one line.
pub(crate) fn line(report: &serde_json::Value) -> String {
    let modes = report["modes"].as_object().into_iter().flatten();
    let modes: Vec<String> = modes.map(|(mode, c)| format!("{mode} {} of {}", c["failed"], c["sent"])).collect();
    let failures = report["failures"].as_object().into_iter().flatten();
    let failures: Vec<String> = failures.map(|(kind, f)| format!("{kind} {}", f["count"])).collect();
    format!(
        "{} of {} requests failed in {} s ({}); longest silence {} ms; {}",
        report["failed"],
        report["sent"],
        report["seconds"],
        modes.join(", "),
        report["longest_gap_ms"],
        failures.join(", ")
    )
}

#[test]
fn no_request_is_dropped_by_releases() {
    // A time-boxed soak gets as far as it gets; the full one is 100 000.
    let wanted = if !soak() {
        10_000
    } else if budget() < 1200 {
        30_000
    } else {
        100_000
    };
    let report = releases("t-load", 18141, "1.30", wanted);
    let number = |key: &str| report["total"][key].as_u64().or(report[key].as_u64()).unwrap_or(u64::MAX);
    assert_eq!(number("failed"), 0, "{report:#}");
    assert!(number("sent") >= wanted, "{} requests are too few to say anything", number("sent"));
    assert_eq!(number("sent"), number("ok"));
    let statuses =
        report["total"]["statuses"].as_object().or(report["statuses"].as_object()).or(report["status"].as_object());
    let statuses = statuses.expect("the client counts statuses");
    assert_eq!(statuses.keys().collect::<Vec<_>>(), ["200"], "{report:#}");
}
