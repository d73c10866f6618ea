//! Certificates from an authority: Pebble, with its knobs, and something that breaks things before it, in front of a
//! real stack.

mod authority;
mod between;
mod wrong;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::release::Load;
use super::support::{Site, root};
use authority::{Authority, Setup};

/// A stack whose certificate comes from an authority: its name, its ports for HTTP and HTTPS.
#[derive(Clone, Copy)]
struct Door {
    name: &'static str,
    http: u16,
    https: u16,
}

impl Door {
    /// The stack's file. `acme` is what stands in `[proxy.tls.acme]`, and whatever is to follow it.
    fn toml(self, domains: &str, acme: &str) -> String {
        let Self { name, http, https } = self;
        let app = root().join("tests/sample-app");
        format!(
            r#"
name = "{name}"

[services.app]
build       = "{app}"
user        = "10001"
port        = 8000
healthcheck = {{ path = "/health", start_period = "40s" }}
memory      = "128M"
read_only   = true

[routes]
"/" = "app"

[proxy]
domains    = [{domains}]
http_port  = {http}
https_port = {https}
address    = "127.0.0.1"

{acme}
"#,
            app = app.display(),
        )
    }

    /// What the site answers under a name to somebody who trusts only this authority: status, or curl's complaint.
    fn asked(self, name: &str, trust: &str) -> String {
        let https = self.https;
        let output = Command::new("curl")
            .args(["-sS", "-m", "10", "--cacert", trust, "--resolve", &format!("{name}:{https}:127.0.0.1")])
            .args(["-o", "/dev/null", "-w", "%{http_code}", &format!("https://{name}:{https}/health")])
            .output()
            .unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// SHA-256 of the certificate that is shown to whoever shakes hands.
    fn shown(self) -> String {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &format!("127.0.0.1:{}", self.https), "-servername", "acme.test"])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let der = CertificateDer::from_pem_slice(&output.stdout).expect("a handshake");
        print(&der)
    }
}

/// SHA-256, hexadecimal.
fn print(der: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    digest.as_ref().iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// `[proxy.tls.acme]` for a directory.
fn acme(directory: &str, authority: &Authority, more: &str) -> String {
    let trust = authority.path("trust.pem");
    format!(
        "[proxy.tls.acme]\nemail = \"ops@acme.test\"\ndirectory = \"{directory}\"\ntrust = \"{}\"\n{more}",
        trust.display()
    )
}

/// The certificate that is kept.
fn status(site: &Site) -> serde_json::Value {
    serde_json::from_str(&site.run(&["--json", "cert", "status"], &[]).out).unwrap()
}

/// Somebody who asks all the time over HTTPS, on a new connection each time, and never twice.
struct Visitor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<String>>>,
}

impl Visitor {
    fn new(door: Door) -> Self {
        Self::over("--http2", door)
    }

    /// For what reloads Nginx: over HTTP/2 a reload loses what was under way with it (docs/cutover.md), and says so.
    fn over(version: &'static str, door: Door) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let https = door.https;
        let thread = std::thread::spawn(move || {
            let mut answers = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let output = Command::new("curl")
                    .args(["-skS", version, "-m", "10", "--resolve", &format!("acme.test:{https}:127.0.0.1")])
                    .args(["-o", "/dev/null", "-w", "%{http_code}", &format!("https://acme.test:{https}/health")])
                    .output()
                    .unwrap();
                answers.push(format!(
                    "{}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                ));
                std::thread::sleep(Duration::from_millis(60));
            }
            answers
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it: every request was answered with 200, or every one after the first that was.
    #[track_caller]
    fn was_always_served(mut self, from_the_first: bool) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let answers = self.thread.take().unwrap().join().unwrap();
        let before = answers.iter().take_while(|a| !from_the_first && *a != "200").count();
        let failed: Vec<&String> = answers[before..].iter().filter(|a| *a != "200").collect();
        let asked = answers.len() - before;
        assert!(asked > 3 && failed.is_empty(), "{} of {asked}: {failed:?}", failed.len());
        asked
    }
}

const FIRST: Door = Door { name: "t-acme", http: 18_145, https: 18_545 };

#[test]
fn certificates_come_are_renewed_and_survive_their_authority() {
    let mut authority =
        Authority::new(Setup { ports: 18_640, http: FIRST.http, refused_nonces: 20, ..Setup::default() });
    let toml = |domains: &str| FIRST.toml(domains, &acme("https://localhost:18640/dir", &authority, ""));
    let one = toml("\"acme.test\"");
    let two = toml("\"acme.test\", \"www.acme.test\"");
    let site = Site::new(&one, FIRST.name, FIRST.http);

    // The first start asks for it, and nothing is left to do. Who was served once is served on.
    let visitor = Visitor::new(FIRST);
    site.run(&["up", "--yes", "--no-verify"], &[]).ends(0).says("certificate for acme.test until");
    let asked = visitor.was_always_served(false);
    println!("first certificate: {asked} requests since the front door is there, 0 failed");
    let trusted = authority.root();
    assert_eq!(FIRST.asked("acme.test", &trusted), "200");
    site.run(&["plan", "--exit-code"], &[]).ends(0);
    let first = status(&site);
    assert_eq!((&first["names"], &first["problems"]), (&serde_json::json!(["acme.test"]), &serde_json::json!([])));
    assert_eq!(first["sha256"], FIRST.shown());
    // What holds is not asked for again.
    site.run(&["cert", "renew"], &[]).ends(0).says("the certificate holds");
    site.run(&["cert", "issue"], &[]).ends(0).says("the certificate holds");
    assert_eq!(status(&site)["sha256"], first["sha256"]);

    // A new one under load.
    let load = Load::at(&site, FIRST.https, "acme.test", 6);
    site.run(&["cert", "issue", "--anew"], &[]).ends(0).says("new certificate for acme.test");
    std::thread::sleep(Duration::from_secs(2));
    was_served(&load.end());
    let second = status(&site);
    assert_ne!(second["sha256"], first["sha256"]);
    assert_eq!(second["sha256"], FIRST.shown());
    assert_eq!(FIRST.asked("acme.test", &trusted), "200");
    site.run(&["plan", "--exit-code"], &[]).ends(0);
    // Of the trial certificate and the first one, nothing is left that could be stolen.
    let keys = ["exec", "t-acme-proxy-1", "sh", "-c", "cat /run/stackctl/releases/*/certs/site.key"];
    assert_eq!(site.docker(&keys).matches("-----BEGIN").count(), 1);

    // Another name, which leads elsewhere: the old certificate serves on, and nobody asks again too soon. A name is
    // configuration, so that Nginx is reloaded for it.
    authority.leads("www.acme.test", "127.0.0.9");
    site.write(&two);
    let visitor = Visitor::over("--http1.1", FIRST);
    site.run(&["up", "--yes", "--no-verify"], &[])
        .ends(1)
        .says("www.acme.test")
        .says("port 80 of the name's addresses")
        .says("the old one serves on, until");
    visitor.was_always_served(true);
    assert_eq!(status(&site)["sha256"], second["sha256"]);
    assert!(status(&site)["failed"].as_str().unwrap().contains("www.acme.test"));
    site.run(&["cert", "renew"], &[]).ends(1).says("`stackctl cert renew` asks again from");
    // Mended, and asked by a person: now.
    authority.leads("www.acme.test", "127.0.0.1");
    site.run(&["cert", "issue"], &[]).ends(0).says("acme.test, www.acme.test");
    assert_eq!(
        (FIRST.asked("www.acme.test", &trusted).as_str(), &status(&site)["failed"]),
        ("308", &serde_json::Value::Null)
    );

    // The authority is away; then it is back, and knows nobody any more.
    let third = status(&site);
    authority.stop();
    site.run(&["cert", "issue", "--anew"], &[]).ends(1).says("it cannot be asked").says("the old one serves on, until");
    assert_eq!((FIRST.asked("acme.test", &trusted).as_str(), &status(&site)["sha256"]), ("200", &third["sha256"]));
    authority.forget();
    site.run(&["cert", "issue", "--anew"], &[]).ends(0).says("new certificate for");
    assert_eq!(FIRST.asked("acme.test", &authority.root()), "200");
    site.run(&["audit"], &[]).ends(0).says("renew the certificate");
}

/// A renewal reloads nothing: nobody notices it, over HTTP/2 either.
fn was_served(said: &serde_json::Value) {
    println!("renewal under load: {said}");
    for mode in ["keepalive", "close", "h2"] {
        let mode_said = &said["modes"][mode];
        let failures = mode_said["failures"].as_object().unwrap();
        assert!(mode_said["ok"].as_u64().unwrap() > 100 && failures.is_empty(), "{mode}: {said}");
    }
}
