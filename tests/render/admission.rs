//! Who may ask for what: each declaration, observed by requests.

use std::thread::sleep;
use std::time::Duration;

use stackctl::base::units::Span;
use stackctl::model::proxy::{Connections, Cors};
use stackctl::model::service::Ask;

use crate::client::{ask, get};
use crate::docker::{self, Container};
use crate::door::{OLD_AND_NEW, accepted, open_with, render};
use crate::front::{SITE, from, route, site, socket};
use crate::sample;

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
