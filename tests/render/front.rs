//! What a route or the proxy may declare, each observed by a request.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use stackctl::base::name::ServiceName;
use stackctl::base::units::{ByteSize, Span};
use stackctl::model::proxy::{Backend, Balance, Connections, Cors, Proxy, Route, Server, Tls, TlsProfile};
use stackctl::model::service::Ask;
use stackctl::model::stack::Stack;
use stackctl::render::{Banks, MAINTENANCE};

use crate::client::{Answer, ask, get};
use crate::docker::{self, Container};
use crate::door::{OLD_AND_NEW, accepted, open_with, render};
use crate::sample::{self, upstreams};
use crate::service;

const SITE: &str = "http://sum.example.com";

/// A service on this host behind plain HTTP; `shape` says what is declared.
fn site(shape: impl FnOnce(&mut Proxy)) -> (Stack, BTreeMap<ServiceName, Banks>) {
    let port = service::start("app");
    let mut proxy = sample::proxy(&["sum.example.com"], vec![sample::route("/", "app")]);
    proxy.tls = Tls::Off;
    shape(&mut proxy);
    let target = format!("{}:{port}", docker::gateway());
    (sample::stack(vec![sample::service("app", Some(port))], Some(proxy)), upstreams(&[("app", &[&target])]))
}

fn route(path: &str, shape: impl FnOnce(&mut Route)) -> Route {
    let mut route = sample::route(path, "app");
    shape(&mut route);
    route
}

fn from(door: &Container, path: &str, headers: &[&str]) -> Answer {
    let headers: Vec<&str> = headers.iter().flat_map(|header| ["-H", header]).collect();
    ask(door, &format!("{SITE}{path}"), &headers).unwrap_or_else(|code| panic!("{path}: curl {code}\n{}", door.logs()))
}

/// A `WebSocket` that stays open for three seconds, once it is.
fn socket(door: &Container, path: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(format!("{}:80", door.address())).unwrap();
    let head = "Host: sum.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{head}").as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    (stream, String::from_utf8_lossy(&start[9..]).into_owned())
}

#[test]
fn closed_paths_are_closed_and_declared_ones_open() {
    let (mut stack, ups) = site(|proxy| {
        proxy.closed = vec!["/metrics".to_owned(), "/debug".to_owned(), "/admin".to_owned()];
        proxy.routes.push(sample::route("/debug/open/", "app"));
        proxy.routes.push(sample::route("/admin/", "app"));
        proxy.routes.push(sample::route("/.hidden/", "app"));
    });
    let health = sample::health(Ask::Http("/debug/health".to_owned()));
    let app = stack.services.get_mut(&sample::name("app")).unwrap();
    (app.health, app.metrics) = (Some(health), Some("/metrics".to_owned()));
    for tag in OLD_AND_NEW {
        accepted(tag, "closed paths", &render(&stack, tag, &ups, "1"));
        let door = open_with(tag, &stack, &ups);
        for path in [
            "/metrics",
            "/metrics/",
            "/metrics/x",
            "/%6detrics",
            "//metrics",
            "/debug",
            "/debug/x",
            "/.env",
            "/.git/HEAD",
            "/a/b/.htpasswd",
            "/debug/open/.env",
            "/%2eenv",
            "/.well-known.bak",
        ] {
            let answer = ask(&door, &format!("{SITE}{path}"), &["--path-as-is"]).unwrap();
            assert_eq!(answer.status, 404, "{tag}: {path}");
            assert!(answer.body.contains("<h1>Not found</h1>"), "{tag}: {path}: {}", answer.body);
        }
        for path in [
            "/",
            "/debug/health",
            "/metricsx",
            "/debugger",
            "/debug/open/x",
            "/admin/x",
            "/.well-known/security.txt",
            "/.hidden/x",
            "/a.b/c",
        ] {
            assert_eq!(get(&door, &format!("{SITE}{path}")).status, 200, "{tag}: {path}");
        }
    }
}

#[test]
fn only_declared_origins_may_read() {
    let cors = |line, origin: &str, credentials| Cors {
        line,
        origins: vec![origin.to_owned()],
        methods: vec!["GET".to_owned(), "PUT".to_owned()],
        headers: vec!["Content-Type".to_owned(), "X-Own".to_owned()],
        credentials,
        max_age: Span::seconds(600),
    };
    let (stack, ups) = site(|proxy| {
        proxy.routes.push(route("/api/", |r| r.cors = Some(cors(30, "https://app.example:8443", true))));
        proxy.routes.push(route("/open/", |r| r.cors = Some(cors(31, "*", false))));
    });
    let preflight = ["Access-Control-Request-Method: PUT"];
    let options = |door: &Container, path: &str, headers: &[&str]| {
        let mut all = vec!["-X", "OPTIONS"];
        all.extend(headers.iter().flat_map(|header| ["-H", *header]));
        ask(door, &format!("{SITE}{path}"), &all).unwrap()
    };
    for tag in OLD_AND_NEW {
        accepted(tag, "cors", &render(&stack, tag, &ups, "1"));
        let door = open_with(tag, &stack, &ups);
        let good = "Origin: https://app.example:8443";
        let answer = from(&door, "/api/", &[good]);
        assert_eq!(answer.all("access-control-allow-origin"), ["https://app.example:8443"], "{tag}: once, and ours");
        assert_eq!(answer.all("access-control-allow-credentials"), ["true"], "{tag}");
        assert!(answer.all("access-control-allow-methods").is_empty(), "{tag}");
        assert!(answer.all("vary").contains(&"Origin"), "{tag}: {:?}", answer.headers);
        assert_eq!(answer.all("x-frame-options"), ["DENY"], "{tag}: nothing else is lost");
        assert!(answer.all("x-powered-by").is_empty(), "{tag}");
        let missing = from(&door, "/api/status/404", &[good]);
        assert_eq!(missing.all("access-control-allow-origin").len(), 1, "{tag}: errors can be read, too");

        let answer = options(&door, "/api/", &[good, preflight[0]]);
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{tag}");
        for (name, value) in [
            ("access-control-allow-origin", "https://app.example:8443"),
            ("access-control-allow-methods", "GET, PUT"),
            ("access-control-allow-headers", "Content-Type, X-Own"),
            ("access-control-max-age", "600"),
        ] {
            assert_eq!(answer.all(name), [value], "{tag}: {name}");
        }
        for hostile in [
            "Origin: https://evil.example",
            "Origin: null",
            "Origin: http://app.example:8443",
            "Origin: https://app.example",
            "Origin: https://app.example:8443.evil.example",
            "Origin: https://xapp.example:8443",
        ] {
            let answer = from(&door, "/api/", &[hostile]);
            assert!(answer.all("access-control-allow-origin").is_empty(), "{tag}: {hostile}: {:?}", answer.headers);
            assert!(answer.all("access-control-allow-credentials").is_empty(), "{tag}: {hostile}");
            assert!(answer.all("vary").contains(&"Origin"), "{tag}: caches must know");
            let answer = options(&door, "/api/", &[hostile, preflight[0]]);
            let said = answer.headers.iter().any(|(name, _)| name.starts_with("access-control"));
            assert!(answer.status == 403 && !said, "{tag}: {hostile}: {:?}", answer.headers);
        }
        let any = from(&door, "/open/", &["Origin: https://anybody.example"]);
        assert_eq!(any.all("access-control-allow-origin"), ["*"], "{tag}");
        assert!(any.all("access-control-allow-credentials").is_empty(), "{tag}");
        let own = from(&door, "/", &[good]);
        assert_eq!(own.all("access-control-allow-origin"), ["https://service.example"], "{tag}: left to the service");
        assert_eq!(options(&door, "/", &[good, preflight[0]]).status, 200, "{tag}: left to the service");
        assert_eq!(options(&door, "/api/", &[]).status, 200, "{tag}: no preflight, the service answers");
    }
}

#[test]
fn a_client_has_so_many_requests_under_way() {
    let (stack, ups) = site(|proxy| {
        let two = Connections { most: 2, declared: "/ws".to_owned() };
        proxy.routes.push(route("/ws", |r| (r.websocket, r.connections) = (true, Some(two))));
    });
    for tag in OLD_AND_NEW {
        accepted(tag, "connections", &render(&stack, tag, &ups, "1"));
        let door = open_with(tag, &stack, &ups);
        let (first, second) = (socket(&door, "/ws"), socket(&door, "/ws"));
        assert_eq!([first.1.as_str(), second.1.as_str()], ["101", "101"], "{tag}");
        let refused = get(&door, &format!("{SITE}/ws"));
        assert_eq!((refused.status, refused.all("retry-after")), (429, vec!["1"]), "{tag}");
        assert_eq!(refused.all("x-frame-options"), ["DENY"], "{tag}");
        assert_eq!(get(&door, &format!("{SITE}/")).status, 200, "{tag}: elsewhere nothing is counted");
        drop((first, second));
        sleep(Duration::from_millis(300));
        assert_eq!(get(&door, &format!("{SITE}/ws")).status, 200, "{tag}: free again");
    }
}

#[test]
fn the_address_is_taken_from_trusted_proxies_only() {
    let seen = |door: &Container, headers: &[&str]| {
        let body = from(door, "/echo", headers).body;
        let find = |name: &str| body.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim().to_owned();
        (find("X-Real-IP:"), find("X-Forwarded-For:"), find("X-Forwarded-Proto:"))
    };
    let gateway = docker::gateway().to_string();
    for tag in OLD_AND_NEW {
        let (mut stack, ups) = site(|_| {});
        let forged =
            ["X-Forwarded-For: 6.6.6.6, 203.0.113.9", "CF-Connecting-IP: 203.0.113.9", "X-Forwarded-Proto: https"];
        let door = open_with(tag, &stack, &ups);
        let own = (gateway.clone(), gateway.clone(), "http".to_owned());
        assert_eq!(seen(&door, &forged), own, "{tag}: nobody is trusted");
        let proxy = stack.proxy.as_mut().unwrap();
        proxy.trusted_proxies = vec![gateway.parse().unwrap(), "198.51.100.0/24".parse().unwrap()];
        proxy.routes[0].limit = Some(sample::limit(14, "1/m", 0, None));
        accepted(tag, "trusted proxies", &render(&stack, tag, &ups, "1"));
        let door = open_with(tag, &stack, &ups);
        let real = "203.0.113.9".to_owned();
        assert_eq!(
            seen(&door, &forged),
            (real.clone(), real, "https".to_owned()),
            "{tag}: the last who is not trusted"
        );
        let through = ["X-Forwarded-For: 6.6.6.6, 203.0.113.10, 198.51.100.7"];
        assert_eq!(seen(&door, &through).0, "203.0.113.10", "{tag}: through two of ours");
        // The limit counts who really asks; an invented first entry changes nothing.
        assert_eq!(from(&door, "/", &["X-Forwarded-For: 7.7.7.7, 203.0.113.9"]).status, 429, "{tag}");
        assert_eq!(from(&door, "/", &["X-Forwarded-For: 2001:db8::1"]).status, 200, "{tag}");
        assert_eq!(from(&door, "/", &["X-Forwarded-For: 2001:db8::ffff:1"]).status, 429, "{tag}: the same /64");
        assert_eq!(from(&door, "/", &["X-Forwarded-For: 2001:db8:0:1::1"]).status, 200, "{tag}: another /64");
        assert_eq!(from(&door, "/", &["X-Forwarded-For: ::ffff:203.0.113.9"]).status, 429, "{tag}: IPv4 in disguise");
        let private = ask(&door, "http://x:8081/stackctl/status", &["-H", "X-Forwarded-For: 6.6.6.6"]).unwrap();
        assert_eq!(private.status, 200, "{tag}: the private listener goes by who is connected");

        stack.proxy.as_mut().unwrap().real_ip_header = "CF-Connecting-IP".to_owned();
        let door = open_with(tag, &stack, &ups);
        assert_eq!(seen(&door, &forged).0, "203.0.113.9", "{tag}");
    }
}

#[test]
fn some_routes_are_for_some_addresses() {
    let gateway = docker::gateway().to_string();
    let (stack, ups) = site(|proxy| {
        proxy.routes.push(route("/mine/", |r| r.allow = vec![gateway.parse().unwrap()]));
        proxy.routes.push(route("/theirs/", |r| r.allow = vec!["192.0.2.0/24".parse().unwrap()]));
    });
    for tag in OLD_AND_NEW {
        let door = open_with(tag, &stack, &ups);
        assert_eq!(get(&door, &format!("{SITE}/mine/")).status, 200, "{tag}");
        let refused = get(&door, &format!("{SITE}/theirs/"));
        assert_eq!((refused.status, refused.all("x-frame-options")), (403, vec!["DENY"]), "{tag}");
        assert_eq!(from(&door, "/theirs/", &["X-Forwarded-For: 192.0.2.1"]).status, 403, "{tag}");
    }
}

#[test]
fn requests_are_spread_as_declared() {
    let ports = ["one", "two", "three"].map(service::start);
    let targets = ports.map(|port| format!("{}:{port}", docker::gateway()));
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let others: &[&str] = &["10.83.0.2:8000"];
    for tag in OLD_AND_NEW {
        for (balance, replicas) in [(Balance::RoundRobin, 3), (Balance::LeastConnections, 2), (Balance::IpHash, 3)] {
            let (stack, _) = site(|proxy| {
                proxy.routes = vec![route("/", |r| (r.balance, r.websocket) = (balance, true))];
            });
            let ups = sample::banks(&[("app", &targets[..replicas], others)]);
            accepted(tag, &format!("{balance:?}"), &render(&stack, tag, &ups, "1"));
            let door = open_with(tag, &stack, &ups);
            let held = (balance == Balance::LeastConnections).then(|| socket(&door, "/ws"));
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            for _ in 0..6 {
                let who = get(&door, &format!("{SITE}/")).body.lines().next().unwrap_or_default().to_owned();
                *seen.entry(who).or_default() += 1;
            }
            // One replica is busy with a WebSocket, or one client stays with one replica.
            let wanted = if balance == Balance::RoundRobin { vec![2, 2, 2] } else { vec![6] };
            assert_eq!(seen.values().copied().collect::<Vec<_>>(), wanted, "{tag}: {balance:?}: {seen:?}");
            drop(held);
        }
    }
}

#[test]
fn each_wait_has_its_own_bound() {
    let [a, b, ..] = docker::gateway().octets();
    let silent = format!("{a}.{b}.255.9:8000");
    for tag in OLD_AND_NEW {
        let (stack, ups) = site(|proxy| {
            proxy.routes.push(route("/sleep/", |r| r.timeout = Span::seconds(1)));
        });
        let door = open_with(tag, &stack, &ups);
        let start = Instant::now();
        let slow = get(&door, &format!("{SITE}/sleep/3"));
        assert!(slow.status == 504 && start.elapsed() < Duration::from_secs(2), "{tag}: {:?}", start.elapsed());
        assert_eq!(slow.all("content-type"), ["text/html"], "{tag}");
        assert!(slow.body.contains("takes too long"), "{tag}: {}", slow.body);
        for (timeout, from, to) in [(1, 900, 1900), (60, 2700, 3900)] {
            let (stack, ups) = site(|proxy| {
                proxy.routes.push(route("/ws", |r| (r.websocket, r.timeout) = (true, Span::seconds(timeout))));
            });
            let door = open_with(tag, &stack, &ups);
            let (mut stream, _) = socket(&door, "/ws");
            let (start, mut rest) = (Instant::now(), Vec::new());
            stream.read_to_end(&mut rest).unwrap();
            // The service itself ends it after three seconds.
            let ended = start.elapsed().as_millis();
            assert!((from..to).contains(&ended), "{tag}: silent for {ended} ms, {timeout} s allowed");
        }
        let (stack, _) = site(|proxy| proxy.routes[0].connect_timeout = Span("700ms".parse::<Span>().unwrap().0));
        let door = open_with(tag, &stack, &upstreams(&[("app", &[&silent])]));
        let start = Instant::now();
        assert_eq!(get(&door, &format!("{SITE}/")).status, 504, "{tag}");
        assert!((600..1500).contains(&start.elapsed().as_millis()), "{tag}: {:?}", start.elapsed());
    }
}

#[test]
fn large_uploads_are_passed_on_as_they_arrive() {
    for tag in OLD_AND_NEW {
        let (stack, ups) = site(|proxy| {
            proxy.routes.push(route("/upload/", |r| r.max_body = ByteSize(100 << 20)));
        });
        let door = open_with(tag, &stack, &ups);
        for (path, arrives) in [("/upload/", 1), ("/uploads", 0)] {
            let before = service::UPLOADS.load(Ordering::SeqCst);
            let mut stream = TcpStream::connect(format!("{}:80", door.address())).unwrap();
            let head = format!("POST {path} HTTP/1.1\r\nHost: sum.example.com\r\nContent-Length: 9000000\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&vec![b'x'; 100_000]).unwrap();
            sleep(Duration::from_millis(500));
            assert_eq!(service::UPLOADS.load(Ordering::SeqCst) - before, arrives, "{tag}: {path}, before its end");
        }
    }
}

#[test]
fn maintenance_is_a_file() {
    for tag in OLD_AND_NEW {
        let (stack, ups) = site(|_| {});
        let door = open_with(tag, &stack, &ups);
        let flag = format!("live/{MAINTENANCE}");
        door.put_file("live/on");
        for _ in 0..2 {
            door.put_link(&flag, "on");
            let answer = get(&door, &format!("{SITE}/any?thing"));
            assert_eq!((answer.status, answer.all("retry-after")), (503, vec!["120"]), "{tag}");
            assert!(answer.body.contains("<h1>We will be right back</h1>"), "{tag}: {}", answer.body);
            assert_eq!(answer.all("x-frame-options"), ["DENY"], "{tag}");
            assert_eq!(get(&door, "http://x:8081/stackctl/status").status, 200, "{tag}: we still see in");
            door.put_link(&flag, "off");
            assert_eq!(get(&door, &format!("{SITE}/")).status, 200, "{tag}");
        }
    }
}

#[test]
fn brotli_where_the_module_is() {
    let (mut stack, ups) = site(|_| {});
    let compressed = |tag, stack: &Stack, accepted: &str| {
        let door = open_with(tag, stack, &ups);
        let accepted = format!("Accept-Encoding: {accepted}");
        let wide = format!("X-Wide: {}", "wide ".repeat(400));
        from(&door, "/typed", &[&accepted, &wide]).all("content-encoding").join(" ")
    };
    assert_eq!(compressed("1.26-brotli", &stack, "br, gzip"), "gzip", "not declared");
    stack.proxy.as_mut().unwrap().nginx.brotli = true;
    assert_eq!(compressed("1.26-brotli", &stack, "br, gzip"), "br");
    assert_eq!(compressed("1.26-brotli", &stack, "gzip"), "gzip");
}

#[test]
fn tls_profiles_are_what_they_say() {
    let (mut stack, ups) = site(|proxy| proxy.tls = Tls::SelfSigned(sample::secret("tls")));
    for tag in OLD_AND_NEW {
        for profile in [TlsProfile::Intermediate, TlsProfile::Modern] {
            let proxy = stack.proxy.as_mut().unwrap();
            proxy.tls_profile = profile;
            accepted(tag, &format!("{profile:?}"), &render(&stack, tag, &ups, "1"));
            let door = open_with(tag, &stack, &ups);
            let site = "https://sum.example.com/";
            assert_eq!(ask(&door, site, &["--tlsv1.3"]).map(|a| a.status), Ok(200), "{tag}: {profile:?}");
            let old = ask(&door, site, &["--tls-max", "1.2"]).map(|a| a.status);
            assert_eq!(old, if profile == TlsProfile::Modern { Err(35) } else { Ok(200) }, "{tag}: {profile:?}");
        }
    }
    // Key exchange that OpenSSL has from 3.5 on, as 1.26 and 1.30 here have.
    stack.proxy.as_mut().unwrap().nginx.openssl = (3, 5);
    for tag in ["1.26", "1.30"] {
        let files = render(&stack, tag, &ups, "1");
        assert!(files[0].content.expose().contains("ssl_ecdh_curve X25519MLKEM768:"), "{tag}");
        accepted(tag, "post-quantum key exchange", &files);
    }
}

#[test]
fn servers_elsewhere_get_their_share() {
    let ports = ["one", "two", "three"].map(service::start);
    let server = |(port, weight): (&u16, u32)| Server { address: format!("{}:{port}", docker::gateway()), weight };
    let servers: Vec<Server> = ports.iter().zip([2, 2, 1]).map(server).collect();
    let away = Server { address: format!("{}:9", docker::gateway()), weight: 1 };
    for tag in OLD_AND_NEW {
        let (stack, ups) = site(|proxy| {
            let broken = Backend::Servers(vec![away.clone(), servers[0].clone()]);
            proxy.routes = vec![
                Route::new("/", 20, Backend::Servers(servers.clone())),
                Route::new("/broken/", 21, broken),
                sample::route("/own/", "app"),
            ];
        });
        accepted(tag, "servers elsewhere", &render(&stack, tag, &ups, "1"));
        let door = open_with(tag, &stack, &ups);
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..10 {
            let who = get(&door, &format!("{SITE}/")).body.lines().next().unwrap_or_default().to_owned();
            *seen.entry(who).or_default() += 1;
        }
        assert_eq!(seen.into_values().collect::<Vec<_>>(), [4, 2, 4], "{tag}: one, three, two");
        assert!(get(&door, &format!("{SITE}/own/")).body.starts_with("app\n"), "{tag}");
        for _ in 0..4 {
            assert!(
                get(&door, &format!("{SITE}/broken/")).body.starts_with("one\n"),
                "{tag}: past the one that is away"
            );
        }
    }
}
