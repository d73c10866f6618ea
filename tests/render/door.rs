//! The front door in a real Nginx, asked from outside.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use stackctl::base::name::ServiceName;
use stackctl::base::secret::Secret;
use stackctl::base::units::{ByteSize, Span};
use stackctl::model::artifact::{Artifact, Content};
use stackctl::model::nginx::NginxFacts;
use stackctl::model::proxy::Tls;
use stackctl::model::service::Ask;
use stackctl::model::stack::{Pool, Stack};
use stackctl::render::{Banks, Place, ProxyInput, nginx};

use crate::client::{ask, get, statuses};
use crate::docker::{self, Container, image};
use crate::sample::{self, banks, upstreams};
use crate::service;

const CONF: &str = "/run/stackctl/current/nginx.conf";
pub(crate) const OLD_AND_NEW: [&str; 3] = ["1.22", "1.26", "1.30"];

pub(crate) fn render(stack: &Stack, tag: &str, ups: &BTreeMap<ServiceName, Banks>, release: &str) -> Vec<Artifact> {
    let proxy = stack.proxy.as_ref().unwrap();
    let names: Vec<String> = proxy.domains.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (chain, key) = (made.cert.pem(), Secret::new(made.signing_key.serialize_pem()));
    nginx(&ProxyInput {
        stack,
        proxy,
        upstreams: ups,
        certificate: proxy.https().then_some((chain.as_str(), &key)),
        facts: NginxFacts {
            openssl: proxy.nginx.openssl,
            brotli: proxy.nginx.brotli,
            ..NginxFacts::from_tag(&format!("nginx:{tag}"))
        },
        trusted_probe: vec![docker::gateway()],
        release: Some(release),
        place: Place::Container,
    })
    .unwrap()
}

fn container(tag: &str, arguments: &[&str]) -> Container {
    let mut command = vec!["nginx", "-e", "stderr", "-c", CONF];
    command.extend(arguments);
    Container::create(&image(&format!("library/nginx:{tag}")), "101:101", &command)
}

/// What `nginx -t` says, as the user and with the rights it will have.
pub(crate) fn judge(tag: &str, files: &[Artifact]) -> (i32, String) {
    let container = container(tag, &["-t"]);
    container.put("a", files);
    container.finish()
}

pub(crate) fn accepted(tag: &str, what: &str, files: &[Artifact]) {
    let (code, output) = judge(tag, files);
    assert!(code == 0 && !output.contains("[warn]"), "{what} on {tag}: {output}");
}

#[test]
fn nginx_accepts_every_shape() {
    let full = sample::full();
    let ups = upstreams(&[("app", &["10.83.0.2:8000", "10.83.0.3:8000"]), ("api", &["10.83.0.4:9000"])]);
    let mut plain = full.clone();
    plain.proxy.as_mut().unwrap().tls = Tls::Off;
    let mut local = full.clone();
    local.proxy = Some(sample::proxy(&["localhost"], vec![sample::route("/", "app")]));
    let mut address = full.clone();
    address.proxy = Some(sample::proxy(&["127.0.0.1"], vec![sample::route("/only/", "app")]));
    let mut bare = full.clone();
    bare.proxy = Some(sample::proxy(&["a.example"], Vec::new()));
    let proxy = bare.proxy.as_mut().unwrap();
    proxy.headers.clear();
    proxy.hsts = None;
    let two: &[&str] = &["10.83.0.4:8000", "10.83.0.5:8000"];
    let both = banks(&[
        ("app", &["10.83.0.2:8000", "10.83.0.3:8000"], two),
        ("api", &["10.83.0.6:9000"], &["10.83.0.7:9000"]),
        ("later", &[], two),
    ]);
    let uneven = banks(&[("app", &["10.83.0.2:8000"], two), ("api", two, &["localhost:9000"])]);
    let names = upstreams(&[("app", &["localhost:8000"]), ("api", &["localhost:9000"])]);
    for tag in OLD_AND_NEW {
        for (what, stack, ups) in [
            ("all", &full, &ups),
            ("plain", &plain, &ups),
            ("localhost", &local, &ups),
            ("an address", &address, &ups),
            ("no routes", &bare, &ups),
            ("nobody in service", &full, &BTreeMap::new()),
            ("host names", &full, &names),
            ("two banks", &full, &both),
            ("two banks, plain", &plain, &both),
            ("banks of unlike size", &full, &uneven),
        ] {
            accepted(tag, what, &render(stack, tag, ups, "1"));
        }
    }
}

#[test]
fn nginx_rejects_what_is_broken() {
    let stack = sample::full();
    // As the oldest is told: the others know that, too.
    let files = render(&stack, "1.22", &BTreeMap::new(), "1");
    for (from, to) in
        [("return 444;", "return 444"), (" certs/site.pem", " certs/none.pem"), ("return 503", "retrun 503")]
    {
        let mut broken = files.clone();
        let Content::Plain(text) = &broken[0].content else { panic!("nginx.conf is plain") };
        assert!(text.contains(from), "{from}");
        broken[0].content = Content::Plain(text.replacen(from, to, 1));
        for tag in OLD_AND_NEW {
            let (code, output) = judge(tag, &broken);
            assert!(code != 0 && output.contains("[emerg]"), "{from} → {to} went through on {tag}: {output}");
        }
    }
}

/// A stack whose services are on this host: `app` alive in bank a, `gone` refuses connections, `later` has no replica.
fn live() -> (Stack, BTreeMap<ServiceName, Banks>, u16) {
    let gateway = docker::gateway();
    let (port, candidate) = (service::start("app-1"), service::start("app-2"));
    let mut app = sample::service("app", Some(candidate));
    app.health = Some(sample::health(Ask::Http("/health?deep=1".to_owned())));
    app.metrics = Some("/metrics".to_owned());
    let mut root = sample::route("/", "app");
    root.limit = Some(sample::limit(14, "1/s", 30, None));
    let mut login = sample::route("/login", "app");
    login.limit = Some(sample::limit(15, "5/m", 2, None));
    let mut slow = sample::route("/slow", "app");
    slow.limit = Some(sample::limit(16, "2/s", 2, Some(0)));
    let mut small = sample::route("/small/", "app");
    small.max_body = ByteSize(1024);
    let mut socket = sample::route("/ws", "app");
    socket.websocket = true;
    let mut proxy = sample::proxy(
        &["sum.example.com", "www.sum.example.com"],
        vec![root, login, slow, small, socket, sample::route("/gone/", "gone"), sample::route("/later/", "later")],
    );
    proxy.https_port = 8443;
    let services = vec![app, sample::service("gone", Some(9)), sample::service("later", Some(7000))];
    let mut stack = sample::stack(services, Some(proxy));
    stack.pool = Pool { base: Ipv4Addr::new(gateway.octets()[0], gateway.octets()[1], 0, 0), prefix: 16 };
    let (app, gone) = (format!("{gateway}:{port}"), format!("{gateway}:9"));
    let (app, gone): (&[&str], &[&str]) = (&[&app], &[&gone]);
    (stack, banks(&[("app", app, gone), ("gone", gone, gone), ("later", &[], &[])]), candidate)
}

pub(crate) fn open(tag: &str) -> (Container, Stack, BTreeMap<ServiceName, Banks>, u16) {
    let (stack, ups, candidate) = live();
    (open_with(tag, &stack, &ups), stack, ups, candidate)
}

pub(crate) fn open_with(tag: &str, stack: &Stack, ups: &BTreeMap<ServiceName, Banks>) -> Container {
    let container = container(tag, &["-g", "daemon off;"]);
    container.put("a", &render(stack, tag, ups, "7"));
    opened(container, tag)
}

/// The same with a clock that tests set: seconds ahead of the real one, in the file `clock` of the volume.
pub(crate) fn open_with_clock(tag: &str, stack: &Stack, ups: &BTreeMap<ServiceName, Banks>) -> Container {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/tools/faketime-{tag}/libfaketime.so"));
    let library = std::fs::read(library).expect("`make tools` gets it");
    // Nginx empties its environment but for what it is told to keep.
    let keep = "env FAKETIME_TIMESTAMP_FILE; daemon off;";
    let more = [
        "-e",
        "LD_PRELOAD=/run/stackctl/libfaketime.so",
        "-e",
        "FAKETIME_TIMESTAMP_FILE=/run/stackctl/clock",
        "-e",
        "FAKETIME_NO_CACHE=1",
        "-e",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ];
    let image = image(&format!("library/nginx:{tag}"));
    let container =
        Container::create_with(&image, "101:101", &more, &["nginx", "-e", "stderr", "-c", CONF, "-g", keep]);
    container.put_bytes("libfaketime.so", &library);
    container.put_bytes("clock", b"+0");
    container.put("a", &render(stack, tag, ups, "7"));
    opened(container, tag)
}

fn opened(container: Container, tag: &str) -> Container {
    container.start();
    for _ in 0..50 {
        if ask(&container, "http://x:8081/stackctl/release", &[]).is_ok() {
            return container;
        }
        sleep(Duration::from_millis(100));
    }
    panic!("nginx {tag} does not answer: {}", container.logs());
}

#[test]
fn every_status_has_every_header_once() {
    for tag in OLD_AND_NEW {
        let (door, ..) = open(tag);
        let site = "https://sum.example.com";
        let big = "x".repeat(2048);
        while get(&door, &format!("{site}/login")).status == 200 {}
        let answers = [
            (200, get(&door, &format!("{site}/"))),
            (301, get(&door, &format!("{site}/status/301"))),
            (404, get(&door, &format!("{site}/status/404"))),
            (500, get(&door, &format!("{site}/status/500"))),
            (404, get(&door, &format!("{site}/metrics"))),
            (404, get(&door, &format!("{site}/%6detrics/"))),
            (413, ask(&door, &format!("{site}/small/"), &["--data", &big]).unwrap()),
            (429, get(&door, &format!("{site}/login"))),
            (502, get(&door, &format!("{site}/gone/"))),
            (503, get(&door, &format!("{site}/later/"))),
            (308, get(&door, "https://www.sum.example.com/a?b=c")),
            (308, get(&door, "http://sum.example.com/a?b=c")),
            (400, ask(&door, &format!("{site}/"), &["--http1.1", "-H", "Host: a b"]).unwrap()),
            (421, ask(&door, &format!("{site}/"), &["--http1.1", "-H", "Host: evil.example"]).unwrap()),
        ];
        for (status, answer) in &answers {
            assert_eq!(answer.status, *status, "{tag}: {:?}", answer.headers);
            for (name, value) in [
                ("content-security-policy", "default-src 'self'; object-src 'none'; frame-ancestors 'none'"),
                ("referrer-policy", "strict-origin-when-cross-origin"),
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
            ] {
                assert_eq!(answer.all(name), [value], "{tag}: {status} {name}");
            }
            assert!(answer.all("x-powered-by").is_empty(), "{tag}: {status}");
            assert_eq!(answer.all("server"), ["nginx"], "{tag}: {status}");
            let wait: &[&str] = if *status == 429 { &["13"] } else { &[] };
            assert_eq!(answer.all("retry-after"), wait, "{tag}: {status}");
        }
        for (status, answer) in &answers[..11] {
            assert_eq!(answer.all("strict-transport-security"), ["max-age=63072000"], "{tag}: {status}");
        }
        assert!(answers[11].1.all("strict-transport-security").is_empty(), "{tag}: not over plain HTTP");
        let targets = [answers[10].1.all("location"), answers[11].1.all("location")].concat();
        assert_eq!(targets, ["https://sum.example.com:8443/a?b=c"; 2], "{tag}");
        let logs = door.logs();
        assert!(!logs.contains("[emerg]") && !logs.contains("[alert]") && !logs.contains("[crit]"), "{logs}");
        let line = logs.lines().find(|line| line.contains("/status/500")).expect("an access log line");
        let json: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(json["status"], "500");
        assert_eq!(json["request_id"].as_str().map(str::len), Some(32));
    }
}

#[test]
fn strangers_are_turned_away_and_claims_replaced() {
    for tag in OLD_AND_NEW {
        let (door, ..) = open(tag);
        assert_eq!(ask(&door, "https://other.example/", &[]).err(), Some(35), "{tag}: handshake refused");
        assert_eq!(ask(&door, "http://other.example/", &[]).err(), Some(52), "{tag}: closed without an answer");
        let claims = ["-H", "X-Forwarded-For: 6.6.6.6", "-H", "X-Real-IP: 6.6.6.6", "-H", "Forwarded: for=6.6.6.6"];
        let more = ["-H", "X-Stackctl-Candidate: 1.2.3.4:5", "-H", "Upgrade: h2c", "-H", "X-Forwarded-Proto: http"];
        let asked = ask(&door, "https://sum.example.com/echo", &[claims.as_slice(), &more].concat()).unwrap().body;
        let asked = asked.to_lowercase();
        for wanted in [
            "\r\nhost: sum.example.com:8443\r\n",
            "\r\nx-forwarded-proto: https\r\n",
            "x-request-id: ",
            "\r\nconnection: close\r\n",
        ] {
            assert!(asked.contains(wanted), "{tag}: {wanted} in {asked}");
        }
        for wrong in ["6.6.6.6", "\r\nupgrade", "1.2.3.4", "forwarded: for", "connection: upgrade"] {
            assert!(!asked.contains(wrong), "{tag}: {wrong} in {asked}");
        }
    }
}

#[test]
fn limits_hold_where_declared_and_nowhere_else() {
    for tag in OLD_AND_NEW {
        let (door, ..) = open(tag);
        let ask_many = |path: &str, count: usize| -> Vec<u16> {
            statuses(&door, &format!("https://sum.example.com{path}"), count)
        };
        let login = ask_many("/login", 6);
        assert_eq!(login, [200, 200, 200, 429, 429, 429], "{tag}: burst 2 admits three at once");
        assert_eq!(ask_many("/", 3), [200; 3], "{tag}: another declaration is another bucket");
        let start = std::time::Instant::now();
        assert_eq!(ask_many("/slow", 3), [200; 3], "{tag}");
        assert!(start.elapsed() > Duration::from_millis(900), "{tag}: delayed to the rate: {:?}", start.elapsed());
        let root = ask_many("/", 50);
        assert!(root.contains(&429), "{tag}: the inherited limit holds");
        assert_eq!(
            ask_many("/small", 1),
            [429],
            "{tag}: `/small` is not below `/small/`: the route `/` answers, without a redirect"
        );
        assert_eq!(ask_many("/health", 3), [200; 3], "{tag}: health is exempt");
        let headers = ["-H", "X-Forwarded-For: 9.9.9.9"];
        while get(&door, "https://sum.example.com/login").status == 200 {}
        assert_eq!(ask(&door, "https://sum.example.com/login", &headers).unwrap().status, 429, "{tag}: no way around");
    }
}

#[test]
fn a_route_may_upgrade_and_others_may_not() {
    for tag in OLD_AND_NEW {
        let (door, ..) = open(tag);
        let upgrade = ["--http1.1", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "--max-time", "2"];
        let answer = ask(&door, "https://sum.example.com/ws", &upgrade).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (101, "hello"), "{tag}");
        assert_eq!(ask(&door, "https://sum.example.com/", &upgrade).unwrap().status, 200, "{tag}");
    }
}

#[test]
fn the_private_listener_asks_candidates_and_survives_a_switch() {
    for tag in OLD_AND_NEW {
        let (door, mut stack, ups, candidate) = open(tag);
        let gateway = docker::gateway();
        let own = format!("X-Stackctl-Candidate: {gateway}:{candidate}");
        for url in ["http://x:8081/deep", "https://x:8444/deep"] {
            let answer = ask(&door, url, &["-H", &own]).unwrap();
            assert!(answer.body.starts_with("app-2"), "{tag}: {}", answer.body);
            assert!(answer.body.contains("Host: sum.example.com:8443\r\n"), "{tag}: {}", answer.body);
        }
        for wrong in
            ["169.254.169.254:80", "10.0.0.1:22", &format!("{gateway}:22"), &format!("{gateway}:{candidate}/x")]
        {
            let header = format!("X-Stackctl-Candidate: {wrong}");
            assert_eq!(ask(&door, "http://x:8081/", &["-H", &header]).unwrap().status, 404, "{tag}: {wrong}");
        }
        assert!(get(&door, "http://x:8081/stackctl/status").body.contains("Active connections"), "{tag}");
        assert_eq!(get(&door, "http://x:8081/stackctl/release").body, "7", "{tag}");
        stack.proxy.as_mut().unwrap().hsts = Some(Span::seconds(5));
        door.switch("b", &render(&stack, tag, &ups, "8"));
        door.signal("HUP");
        assert_eq!(get(&door, "http://x:8081/stackctl/release").body, "8", "{tag}: current leads to the new release");
        let answer = get(&door, "https://sum.example.com/");
        assert_eq!(answer.all("strict-transport-security"), ["max-age=5"], "{tag}: and so do its includes");
    }
}

#[test]
fn others_cannot_use_the_private_listener() {
    let (stack, ups, _) = live();
    let proxy = stack.proxy.as_ref().unwrap();
    let key = Secret::new("unused");
    let mut plain = proxy.clone();
    plain.tls = Tls::Off;
    let files = nginx(&ProxyInput {
        stack: &stack,
        proxy: &plain,
        upstreams: &ups,
        certificate: Some(("", &key)),
        facts: NginxFacts::from_tag("nginx:1.30"),
        trusted_probe: vec![Ipv4Addr::new(192, 0, 2, 1)],
        release: Some("7"),
        place: Place::Container,
    })
    .unwrap();
    let door = container("1.30", &["-g", "daemon off;"]);
    door.put("a", &files);
    door.start();
    sleep(Duration::from_millis(800));
    for path in ["/stackctl/status", "/stackctl/release", "/"] {
        assert_eq!(get(&door, &format!("http://x:8081{path}")).status, 403, "{path}");
    }
    assert_eq!(get(&door, "http://sum.example.com/").status, 200);
    assert_eq!(
        get(&door, "http://www.sum.example.com/q").all("location"),
        ["http://sum.example.com/q"],
        "plain HTTP keeps to plain HTTP"
    );
}
