//! The front door as a whole: a site to ask, maintenance, compression, profiles of TLS.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use stackctl::base::name::ServiceName;
use stackctl::base::units::ByteSize;
use stackctl::model::proxy::{Proxy, Route, Tls, TlsProfile};
use stackctl::model::stack::Stack;
use stackctl::render::{Banks, MAINTENANCE, RenderError};

use crate::client::{Answer, ask, get};
use crate::docker::{self, Container};
use crate::door::{OLD_AND_NEW, accepted, open_with, render};
use crate::sample::{self, upstreams};
use crate::{golden, service};

pub(crate) const SITE: &str = "http://sum.example.com";

/// A service on this host behind plain HTTP; `shape` says what is declared.
pub(crate) fn site(shape: impl FnOnce(&mut Proxy)) -> (Stack, BTreeMap<ServiceName, Banks>) {
    let port = service::start("app");
    let mut proxy = sample::proxy(&["sum.example.com"], vec![sample::route("/", "app")]);
    proxy.tls = Tls::Off;
    shape(&mut proxy);
    let target = format!("{}:{port}", docker::gateway());
    (sample::stack(vec![sample::service("app", Some(port))], Some(proxy)), upstreams(&[("app", &[&target])]))
}

pub(crate) fn route(path: &str, shape: impl FnOnce(&mut Route)) -> Route {
    let mut route = sample::route(path, "app");
    shape(&mut route);
    route
}

pub(crate) fn from(door: &Container, path: &str, headers: &[&str]) -> Answer {
    let headers: Vec<&str> = headers.iter().flat_map(|header| ["-H", header]).collect();
    ask(door, &format!("{SITE}{path}"), &headers).unwrap_or_else(|code| panic!("{path}: curl {code}\n{}", door.logs()))
}

/// A `WebSocket`, and the status it was answered with. The service ends it.
pub(crate) fn socket(door: &Container, path: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(format!("{}:80", door.address())).unwrap();
    let head = "Host: sum.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{head}").as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    (stream, String::from_utf8_lossy(&start[9..]).into_owned())
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
fn pages_of_ones_own_say_it_in_ones_own_words() {
    // What means something to Nginx, and more of it than a word of its configuration may have.
    let signs = "$uri ${uri} \"'\\ ; { } # \\n {{ x }} {% y %} ä€\u{2028}\u{1f600}\r\n\t";
    let page = |status: u16, times: usize| format!("<h1>{status}</h1>\n{}", signs.repeat(times));
    let pages =
        [(404, page(404, 1)), (413, page(413, 300)), (429, page(429, 2)), (502, page(502, 700)), (503, page(503, 9))];
    let (mut stack, ups) = site(|proxy| {
        proxy.pages = pages.clone().into();
        proxy.closed = vec!["/metrics".to_owned()];
        proxy.routes.push(route("/login", |r| r.limit = Some(sample::limit(15, "1/m", 0, None))));
        proxy.routes.push(route("/small/", |r| r.max_body = ByteSize(10)));
        proxy.routes.push(sample::route("/gone/", "gone"));
        proxy.routes.push(sample::route("/later/", "later"));
    });
    stack.services.insert(sample::name("gone"), sample::service("gone", Some(9)));
    stack.services.insert(sample::name("later"), sample::service("later", Some(7000)));
    let mut ups = ups;
    ups.extend(upstreams(&[("gone", &[&format!("{}:9", docker::gateway())])]));
    for tag in OLD_AND_NEW {
        accepted(tag, "pages", &render(&stack, tag, &ups, "1"));
        let door = open_with(tag, &stack, &ups);
        assert_eq!(get(&door, &format!("{SITE}/login")).status, 200, "{tag}");
        let post = |path: &str| ask(&door, &format!("{SITE}{path}"), &["--data", "more than ten bytes"]).unwrap();
        let mut answers = vec![
            (404, get(&door, &format!("{SITE}/metrics"))),
            (404, post("/.env")),
            (413, post("/small/")),
            (429, get(&door, &format!("{SITE}/login"))),
            (429, post("/login")),
            (502, get(&door, &format!("{SITE}/gone/"))),
            (502, post("/gone/")),
            (503, get(&door, &format!("{SITE}/later/"))),
        ];
        door.put_file("live/on");
        door.put_link(&format!("live/{MAINTENANCE}"), "on");
        answers.push((503, get(&door, &format!("{SITE}/any"))));
        answers.push((503, post("/any")));
        for (status, answer) in &answers {
            assert_eq!(answer.status, *status, "{tag}: {:?}", answer.headers);
            let wanted = &pages.iter().find(|(own, _)| own == status).unwrap().1;
            assert!(answer.body == *wanted, "{tag}: {status}: {}", answer.body);
            assert_eq!(answer.all("content-type"), ["text/html"], "{tag}: {status}");
            for name in ["x-frame-options", "x-content-type-options", "referrer-policy", "content-security-policy"] {
                assert_eq!(answer.all(name).len(), 1, "{tag}: {status}: {name}: {:?}", answer.headers);
            }
        }
        door.put_link(&format!("live/{MAINTENANCE}"), "off");
        // Without a page of its own there is the friendly one; what a service answers stays its own.
        let slow = ask(&door, &format!("{SITE}/status/404"), &[]).unwrap();
        assert!(slow.status == 404 && slow.body.starts_with("app\n"), "{tag}: {}", slow.body);
    }
    stack.proxy.as_mut().unwrap().pages.insert(404, "a\0b".to_owned());
    assert!(matches!(golden::front_door(&stack, "nginx:1.30"), Err(RenderError::Value { .. })));
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
fn lines_of_ones_own_are_part_of_the_door() {
    let (mut stack, ups) = site(|_| {});
    let hostile = "a \"; } server { listen 99; } #";
    stack.stage = Some(hostile.to_owned());
    let snippets = &mut stack.proxy.as_mut().unwrap().snippets;
    snippets.http = Some("map $uri $own { default {{ stage }}; }".to_owned());
    snippets.server =
        Some("location = /own { return 200 $own; }\nlocation = /who { return 200 {{ domain }}; }".to_owned());
    for tag in OLD_AND_NEW {
        accepted(tag, "snippets", &render(&stack, tag, &ups, "1"));
        let door = open_with(tag, &stack, &ups);
        let answer = get(&door, &format!("{SITE}/own"));
        assert_eq!((answer.status, answer.body.as_str()), (200, hostile), "{tag}");
        assert_eq!(answer.all("x-frame-options"), ["DENY"], "{tag}: with every header");
        assert_eq!(get(&door, &format!("{SITE}/who")).body, "sum.example.com", "{tag}");
        assert!(get(&door, &format!("{SITE}/")).body.starts_with("app\n"), "{tag}");
    }
    stack.proxy.as_mut().unwrap().snippets.server = Some("return 200 {{ nothing".to_owned());
    assert!(matches!(golden::front_door(&stack, "nginx:1.30"), Err(RenderError::Template(_))));
    stack.proxy.as_mut().unwrap().snippets.server = Some("location = /x { return 200 {{ stage }}; }".to_owned());
    stack.stage = Some("$uri".to_owned());
    assert!(matches!(golden::front_door(&stack, "nginx:1.30"), Err(RenderError::Value { .. })));
}
