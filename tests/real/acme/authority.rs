//! Pebble, the DNS it asks, and the certificate of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::super::support::root;

/// ID and key (base64) of the only customer of an authority that wants to know its customers.
pub(super) const CUSTOMER: (&str, &str) = ("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");

/// How an authority is set up.
#[derive(Default)]
pub(super) struct Setup {
    /// The first of its four ports: directory, management, DNS, management of the DNS.
    pub(super) ports: u16,
    /// Where it looks for answers.
    pub(super) http: u16,
    /// Seconds its certificates hold.
    pub(super) lifetime: u64,
    /// It gives accounts to [`CUSTOMER`] only.
    pub(super) customers: bool,
    /// How many of a hundred good nonces it refuses.
    pub(super) refused_nonces: u8,
}

pub(super) struct Authority {
    setup: Setup,
    pub(super) dir: TempDir,
    running: Vec<Child>,
}

impl Authority {
    pub(super) fn new(setup: Setup) -> Self {
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
        let mut pebble = serde_json::json!({
            "listenAddress": format!("127.0.0.1:{}", setup.ports),
            "managementListenAddress": format!("127.0.0.1:{}", setup.ports + 1),
            "certificate": dir.path().join("own.pem"),
            "privateKey": dir.path().join("own.key"),
            "httpPort": setup.http,
            "tlsPort": setup.http,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": setup.customers,
            "retryAfter": { "authz": 1, "order": 1 },
        });
        if setup.lifetime > 0 {
            pebble["certificateValidityPeriod"] = setup.lifetime.into();
        }
        if setup.customers {
            pebble["externalAccountMACKeys"] = serde_json::json!({ CUSTOMER.0: CUSTOMER.1 });
        }
        write("pebble.json", &serde_json::json!({ "pebble": pebble }).to_string());
        let mut authority = Self { setup, dir, running: Vec::new() };
        authority.start();
        authority
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&mut self) {
        let folder = self.dir.path().to_owned();
        let tools = root().join("target/tools/pebble");
        let log =
            |name: &str| Stdio::from(fs::File::options().append(true).create(true).open(folder.join(name)).unwrap());
        let ports = self.setup.ports;
        let (dns_port, dns_management) = (ports + 2, ports + 3);
        let mut dns = Command::new(tools.join("pebble-challtestsrv"));
        dns.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-defaultIPv6", ""]);
        dns.args(["-management", &format!("127.0.0.1:{dns_management}"), "-dns01", &format!("127.0.0.1:{dns_port}")]);
        let mut pebble = Command::new(tools.join("pebble"));
        pebble.args(["-dnsserver", &format!("127.0.0.1:{dns_port}"), "-config"]).arg(self.path("pebble.json"));
        let nonces = self.setup.refused_nonces.to_string();
        pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", nonces).env("PEBBLE_AUTHZREUSE", "0");
        for (command, name) in [(&mut dns, "dns.log"), (&mut pebble, "pebble.log")] {
            let child = command.stdout(log(name)).stderr(log(name)).stdin(Stdio::null()).spawn();
            self.running.push(child.expect("Pebble is needed: make tools"));
        }
        let began = Instant::now();
        for port in [ports, ports + 1, dns_management] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(began.elapsed() < Duration::from_secs(10), "{}", self.log());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    pub(super) fn stop(&mut self) {
        for mut child in self.running.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// It forgets everything: accounts, orders, even its own key.
    pub(super) fn forget(&mut self) {
        self.stop();
        self.start();
    }

    /// Where a name leads, for the authority.
    pub(super) fn leads(&self, name: &str, address: &str) {
        let body = serde_json::json!({ "host": format!("{name}."), "addresses": [address] }).to_string();
        for what in ["clear-a", "add-a"] {
            let mut stream = TcpStream::connect(("127.0.0.1", self.setup.ports + 3)).unwrap();
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

    /// A program for `dns`: it notes what it is asked to do, and does it by the DNS's own interface.
    pub(super) fn dns_program(&self, folder: &std::path::Path, name: &str, more: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let management = self.setup.ports + 3;
        let script = format!(
            "#!/bin/sh\necho \"$1 $2\" >> asked\n{more}\ncase $1 in set) to=set-txt ;; unset) to=clear-txt ;; esac\n\
             exec curl -fsS -m 5 -d \"{{\\\"host\\\":\\\"$2.\\\",\\\"value\\\":\\\"$3\\\"}}\" http://127.0.0.1:{management}/$to\n"
        );
        let path = folder.join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The authority's root, as a file.
    pub(super) fn root(&self) -> String {
        let to = self.path("root.pem").display().to_string();
        let url = format!("https://localhost:{}/roots/0", self.setup.ports + 1);
        let done = Command::new("curl").args(["-sk", "-m", "5", "-o", &to, &url]).status().unwrap();
        assert!(done.success());
        to
    }

    fn log(&self) -> String {
        ["dns.log", "pebble.log"].map(|name| fs::read_to_string(self.path(name)).unwrap_or_default()).concat()
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
