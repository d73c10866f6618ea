//! Releases of every kind under load: visitors notice none of them, but for the one that fails only once it has the
//! traffic, and of that the meter tells what the visitors tell.

use super::release::{Load, line};
use super::support::{Site, Visitor, alone, slim, soak};

const NAME: &str = "t-kinds";
const PORT: u16 = 18301;

/// A server that is as bad as it is told to be.
const SERVER: &str = r#"
import http.server, os, threading, time
KIND, BEGAN = os.environ["KIND"], time.monotonic()
if KIND == "slow":
    time.sleep(3)

class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        status, age = 200, time.monotonic() - BEGAN
        if KIND == "slow":
            time.sleep(0.03)
        elif KIND == "sick":
            status = 503
        elif KIND == "turns" and age > 2 or KIND == "turns-late" and age > 8:
            status = 500
        elif KIND == "proxied" and self.headers.get("X-Forwarded-Proto"):
            status = 500
        body = os.environ["APP_VERSION"].encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

def leak():
    kept = []
    while True:
        kept.append(bytearray(os.urandom(1 << 20) * 8))
        time.sleep(0.05)

if KIND == "leaks":
    threading.Thread(target=leak, daemon=True).start()
http.server.ThreadingHTTPServer.request_queue_size = 256
http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Page).serve_forever()
"#;

/// Kind, whether it comes to its end, words of the answer.
const KINDS: &[(&str, bool, &str)] = &[
    ("good", true, "release"),
    ("slow", true, "release"),
    ("sick", false, "503"),
    ("turns", false, "500"),
    ("proxied", false, "the front door gets 500"),
    ("leaks", false, "memory"),
    ("migrate", false, "exited with 1"),
];

fn stack(soak: bool) -> String {
    // The client of the long form speaks every protocol that a front door with TLS does.
    let tls =
        if soak { "tls = \"self-signed\"\nhttps_port = 18701\nmemory = \"256M\"\n" } else { "tls       = \"off\"\n" };
    slim(NAME, PORT)
        .replace("tls       = \"off\"\n", tls)
        .replace("replicas    = 3", "replicas    = 2\ncommand     = [\"python3\", \"/srv/server.py\"]\ndrain       = \"2s\"\nfiles       = [\"server.py:/srv/server.py\"]\ndeploy      = { min_healthy = \"3s\", watch = \"${WATCH:-0s}\", timeout = \"${START:-12s}\" }")
        .replace("metrics     = \"/metrics\"\n", "")
        .replace("#EXTRA", "pre_deploy  = [\"python3\", \"-c\", \"import os, sys; sys.exit(os.environ['KIND'] == 'migrate')\"]")
        .replace("FAULT       = ", "KIND        = \"${KIND:-good}\"\nFAULT       = ")
}

/// Number of failures and of requests of the last release, as its record has them.
fn metered(site: &Site) -> (u64, u64) {
    let said = site.run(&["--json", "releases"], &[]).ends(0);
    let all: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let last = all["releases"].as_array().unwrap().iter().max_by_key(|r| r["number"].as_u64()).unwrap();
    let number = |key: &str| last["served"][key].as_u64().unwrap_or_else(|| panic!("{last:#}"));
    (number("failed"), number("asked"))
}

/// Somebody who asks meanwhile: what was asked and what failed.
enum Client {
    Visitor(Visitor),
    Load(Load),
}

impl Client {
    fn start(site: &Site) -> Self {
        if soak() { Self::Load(Load::start(site, 18701)) } else { Self::Visitor(Visitor::of(site)) }
    }

    fn end(self) -> (u64, u64) {
        match self {
            Self::Visitor(visitor) => {
                let (asked, failures) = visitor.end();
                (failures.len() as u64, u64::from(asked))
            }
            Self::Load(load) => {
                let report = load.end();
                println!("  {}", line(&report));
                (report["failed"].as_u64().unwrap(), report["sent"].as_u64().unwrap())
            }
        }
    }
}

#[test]
fn releases_of_every_kind_are_noticed_by_nobody() {
    if !soak() {
        println!("only with SOAK=1: some minutes");
        return;
    }
    let site = Site::on(None, Some(alone()), &stack(soak()), NAME, PORT);
    std::fs::write(site.folder().join("server.py"), SERVER).unwrap();
    site.up("0");
    for (number, (kind, done, words)) in KINDS.iter().enumerate() {
        let client = Client::start(&site);
        let env = [("APP_VERSION", (number + 1).to_string()), ("KIND", (*kind).to_owned())];
        let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
        let said = site.run(&["up", "--yes", "--no-verify"], &env).ends(i32::from(!done)).says(words);
        if !done {
            said.says("still serves");
        }
        let (failed, asked) = client.end();
        let meter = metered(&site);
        println!("{kind}: {failed} of {asked} failed; the meter: {} of {}", meter.0, meter.1);
        assert_eq!((failed, meter.0), (0, 0), "{kind}: of {asked} requests, and of {} of the meter's", meter.1);
        assert!(asked > 20 && meter.1 > 10, "{kind}: {asked} and {} requests say nothing", meter.1);
    }

    // One that is well until it has had the traffic for a while: watched, it loses it again, within a fraction of a second.
    // The meter, which asks ten times a second, tells the same share, and may have met none.
    let client = Client::start(&site);
    let env = [("APP_VERSION", "9"), ("KIND", "turns-late"), ("WATCH", "20s")];
    site.run(&["up", "--yes", "--no-verify"], &env).ends(1).says("traffic went back");
    let (failed, asked) = client.end();
    let meter = metered(&site);
    println!("turns-late: {failed} of {asked} failed; the meter: {} of {}", meter.0, meter.1);
    assert!(failed > 0, "{failed} of {asked}, {} of {}", meter.0, meter.1);
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    let share = |(failed, asked): (u64, u64)| failed as f64 / asked as f64;
    let (visitors, meter) = (share((failed, asked)), share(meter));
    assert!(visitors < 0.2 && (visitors - meter).abs() < 0.05, "shares of {visitors:.3} and {meter:.3}");
    site.run(&["plan", "--exit-code"], &[("APP_VERSION", "2"), ("KIND", "slow")]).ends(0);
}
