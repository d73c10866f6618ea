//! Certificates from an authority: Pebble, with its knobs, in front of a real stack.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::support::{Site, root};

const HTTP: u16 = 18_145;
const HTTPS: u16 = 18_545;
const DIRECTORY: u16 = 18_645;
const MANAGEMENT: u16 = 18_646;
const DNS: u16 = 18_647;
const DNS_MANAGEMENT: u16 = 18_648;

/// An authority, the DNS it asks, and the certificate of its own.
struct Authority {
    dir: TempDir,
    running: Vec<Child>,
}

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority);
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("trust.pem", &authority.pem());
        write("own.pem", &own.unwrap().pem());
        write("own.key", &key.serialize_pem());
        write(
            "pebble.json",
            &serde_json::json!({ "pebble": {
                "listenAddress": format!("127.0.0.1:{DIRECTORY}"),
                "managementListenAddress": format!("127.0.0.1:{MANAGEMENT}"),
                "certificate": dir.path().join("own.pem"),
                "privateKey": dir.path().join("own.key"),
                "httpPort": HTTP,
                "tlsPort": HTTPS,
                "ocspResponderURL": "",
                "externalAccountBindingRequired": false,
                "retryAfter": { "authz": 1, "order": 1 },
            } })
            .to_string(),
        );
        let mut authority = Self { dir, running: Vec::new() };
        authority.start();
        authority
    }

    fn start(&mut self) {
        let tools = root().join("target/tools/pebble");
        let log = |name: &str| {
            let file = fs::File::options().append(true).create(true).open(self.dir.path().join(name)).unwrap();
            Stdio::from(file)
        };
        let mut dns = Command::new(tools.join("pebble-challtestsrv"));
        dns.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-defaultIPv6", ""]);
        dns.args(["-management", &format!("127.0.0.1:{DNS_MANAGEMENT}"), "-dns01", &format!("127.0.0.1:{DNS}")]);
        let mut pebble = Command::new(tools.join("pebble"));
        pebble.args(["-dnsserver", &format!("127.0.0.1:{DNS}"), "-config"]).arg(self.dir.path().join("pebble.json"));
        // A fifth of all nonces is refused: that is every day's business.
        pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "20").env("PEBBLE_AUTHZREUSE", "0");
        for (command, name) in [(&mut dns, "dns.log"), (&mut pebble, "pebble.log")] {
            let child = command.stdout(log(name)).stderr(log(name)).stdin(Stdio::null()).spawn();
            self.running.push(child.expect("Pebble is needed: make tools"));
        }
        let began = Instant::now();
        for port in [DIRECTORY, MANAGEMENT, DNS_MANAGEMENT] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(began.elapsed() < Duration::from_secs(10), "{}", self.log());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn stop(&mut self) {
        for mut child in self.running.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// It forgets everything: accounts, orders, even its own key.
    fn forget(&mut self) {
        self.stop();
        self.start();
    }

    /// Where a name leads, for the authority.
    fn leads(name: &str, address: &str) {
        let body = serde_json::json!({ "host": format!("{name}."), "addresses": [address] }).to_string();
        for what in ["clear-a", "add-a"] {
            let mut stream = TcpStream::connect(("127.0.0.1", DNS_MANAGEMENT)).unwrap();
            let request = format!(
                "POST /{what} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }

    /// The authority's root, as a file.
    fn root(&self) -> String {
        let to = self.dir.path().join("root.pem").display().to_string();
        let url = format!("https://localhost:{MANAGEMENT}/roots/0");
        let done = Command::new("curl").args(["-sk", "-m", "5", "-o", &to, &url]).status().unwrap();
        assert!(done.success());
        to
    }

    fn log(&self) -> String {
        ["dns.log", "pebble.log"]
            .map(|name| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default())
            .concat()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            println!("{}", self.log());
        }
    }
}

fn toml(authority: &Authority, domains: &str) -> String {
    format!(
        r#"
name = "t-acme"

[services.app]
build       = "{app}"
user        = "10001"
port        = 8000
healthcheck = {{ path = "/health", start_period = "40s" }}
memory      = "128M"
read_only   = true

[proxy]
domains    = [{domains}]
http_port  = {HTTP}
https_port = {HTTPS}
address    = "127.0.0.1"

[proxy.tls.acme]
email     = "ops@acme.test"
directory = "https://localhost:{DIRECTORY}/dir"
trust     = "{trust}"

[routes]
"/" = "app"
"#,
        app = root().join("tests/sample-app").display(),
        trust = authority.dir.path().join("trust.pem").display(),
    )
}

/// What the site answers under a name to somebody who trusts only this authority: status, or curl's complaint.
fn asked(name: &str, trust: &str) -> String {
    let output = Command::new("curl")
        .args(["-sS", "-m", "10", "--cacert", trust, "--resolve", &format!("{name}:{HTTPS}:127.0.0.1")])
        .args(["-o", "/dev/null", "-w", "%{http_code}", &format!("https://{name}:{HTTPS}/health")])
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
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
    fn new(name: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut answers = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let output = Command::new("curl")
                    .args(["-skS", "-m", "10", "--resolve", &format!("{name}:{HTTPS}:127.0.0.1")])
                    .args(["-o", "/dev/null", "-w", "%{http_code}", &format!("https://{name}:{HTTPS}/health")])
                    .output()
                    .unwrap();
                answers.push(format!(
                    "{}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                ));
                std::thread::sleep(Duration::from_millis(20));
            }
            answers
        });
        Self { stop, thread: Some(thread) }
    }

    #[track_caller]
    fn was_always_served(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let answers = self.thread.take().unwrap().join().unwrap();
        let failed: Vec<&String> = answers.iter().filter(|a| *a != "200").collect();
        assert!(answers.len() > 3 && failed.is_empty(), "{} of {}: {failed:?}", failed.len(), answers.len());
        answers.len()
    }
}

#[test]
fn certificates_come_are_renewed_and_survive_their_authority() {
    let mut authority = Authority::new();
    let site = Site::new(&toml(&authority, "\"acme.test\""), "t-acme", HTTP);

    // The first start asks for it, and nothing is left to do.
    site.run(&["up", "--yes", "--no-verify"], &[]).ends(0).says("certificate for acme.test until");
    let trusted = authority.root();
    assert_eq!(asked("acme.test", &trusted), "200");
    site.run(&["plan", "--exit-code"], &[]).ends(0);
    let first = status(&site);
    assert_eq!((&first["names"], &first["problems"]), (&serde_json::json!(["acme.test"]), &serde_json::json!([])));
    // What holds is not asked for again.
    site.run(&["cert", "renew"], &[]).ends(0).says("the certificate holds");
    site.run(&["cert", "issue"], &[]).ends(0).says("the certificate holds");
    assert_eq!(status(&site)["sha256"], first["sha256"]);

    // A new one under load.
    let visitor = Visitor::new("acme.test");
    site.run(&["cert", "issue", "--anew"], &[]).ends(0).says("new certificate for acme.test");
    visitor.was_always_served();
    let second = status(&site);
    assert_ne!(second["sha256"], first["sha256"]);
    assert_eq!(asked("acme.test", &trusted), "200");
    site.run(&["plan", "--exit-code"], &[]).ends(0);

    // Another name, which leads elsewhere: the old certificate serves on, and nobody asks again too soon.
    Authority::leads("www.acme.test", "127.0.0.9");
    site.write(&toml(&authority, "\"acme.test\", \"www.acme.test\""));
    let visitor = Visitor::new("acme.test");
    site.run(&["up", "--yes", "--no-verify"], &[])
        .ends(1)
        .says("www.acme.test")
        .says("port 80 of the name's addresses")
        .says("the old one serves on, until");
    visitor.was_always_served();
    assert_eq!(status(&site)["sha256"], second["sha256"]);
    assert!(status(&site)["failed"].as_str().unwrap().contains("www.acme.test"));
    site.run(&["cert", "renew"], &[]).ends(1).says("`stackctl cert renew` asks again from");
    // Mended, and asked by a person: now.
    Authority::leads("www.acme.test", "127.0.0.1");
    site.run(&["cert", "issue"], &[]).ends(0).says("acme.test, www.acme.test");
    assert_eq!(
        (asked("www.acme.test", &trusted).as_str(), &status(&site)["failed"]),
        ("308", &serde_json::Value::Null)
    );

    // The authority is away; then it is back, and knows nobody any more.
    let third = status(&site);
    authority.stop();
    site.run(&["cert", "issue", "--anew"], &[]).ends(1).says("it cannot be asked").says("the old one serves on, until");
    assert_eq!((asked("acme.test", &trusted).as_str(), &status(&site)["sha256"]), ("200", &third["sha256"]));
    authority.forget();
    site.run(&["cert", "issue", "--anew"], &[]).ends(0).says("new certificate for");
    assert_eq!(asked("acme.test", &authority.root()), "200");
    site.run(&["audit"], &[]).ends(0).says("renew the certificate");
}
