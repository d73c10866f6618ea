//! How a request gets to a service, and what it may take: each declaration, observed by requests.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use stackctl::base::units::{ByteSize, Span};
use stackctl::model::proxy::{Backend, Balance, Route, Server};

use crate::client::{ask, get};
use crate::docker;
use crate::door::{OLD_AND_NEW, accepted, open_with, render};
use crate::front::{SITE, from, route, site, socket};
use crate::sample::{self, upstreams};
use crate::service;

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
fn a_stream_arrives_as_it_is_sent() {
    for tag in OLD_AND_NEW {
        let (stack, ups) = site(|proxy| {
            proxy.routes.push(route("/drip/stream", |r| r.buffering = false));
        });
        let door = open_with(tag, &stack, &ups);
        for (path, streams) in [("/drip/stream", true), ("/drip", false)] {
            let mut stream = TcpStream::connect(format!("{}:80", door.address())).unwrap();
            stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: sum.example.com\r\n\r\n").as_bytes()).unwrap();
            let (start, mut text, mut first) = (Instant::now(), Vec::new(), None);
            let mut buffer = [0; 4096];
            loop {
                let read = stream.read(&mut buffer).unwrap();
                text.extend(&buffer[..read]);
                if first.is_none() && text.ends_with(b"first ") {
                    first = Some(start.elapsed());
                }
                if read == 0 {
                    break;
                }
            }
            assert!(text.ends_with(b"first later"), "{tag}: {path}: {}", String::from_utf8_lossy(&text));
            let early = first.is_some_and(|at| at < Duration::from_millis(700));
            assert_eq!(early, streams, "{tag}: {path}: {first:?}");
        }
    }
}

#[test]
fn a_service_that_takes_nothing_is_given_up() {
    for tag in OLD_AND_NEW {
        let (stack, ups) = site(|proxy| {
            let shape = |r: &mut Route| (r.send_timeout, r.max_body) = (Span::seconds(1), ByteSize(100 << 20));
            proxy.routes.push(route("/deaf", shape));
        });
        let door = open_with(tag, &stack, &ups);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.as_file_mut().set_len(50 << 20).unwrap();
        let start = Instant::now();
        let arguments = ["-X", "POST", "-T", file.path().to_str().unwrap(), "-H", "Expect:"];
        let answer = ask(&door, &format!("{SITE}/deaf"), &arguments).unwrap();
        assert_eq!(answer.status, 504, "{tag}: {}", door.logs());
        assert!((900..3000).contains(&start.elapsed().as_millis()), "{tag}: {:?}", start.elapsed());
    }
}

#[test]
fn text_is_compressed_and_says_so_to_caches() {
    for tag in OLD_AND_NEW {
        let (stack, ups) = site(|_| {});
        let door = open_with(tag, &stack, &ups);
        let wide = format!("X-Wide: {}", "wide ".repeat(400));
        let asked = |path: &str, accepted: &str| {
            let answer = from(&door, path, &[&format!("Accept-Encoding: {accepted}"), &wide]);
            assert_eq!(answer.status, 200, "{tag}: {path}");
            (answer.all("content-encoding").join(" "), answer.all("vary").contains(&"Accept-Encoding"))
        };
        assert_eq!(asked("/typed", "gzip"), ("gzip".to_owned(), true), "{tag}");
        assert_eq!(asked("/typed", "identity"), (String::new(), true), "{tag}: not for whom it is not");
        assert_eq!(asked("/untyped", "gzip"), (String::new(), false), "{tag}: what is no text by its type");
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
            let before = service::seen(&format!("POST {path} "));
            let mut stream = TcpStream::connect(format!("{}:80", door.address())).unwrap();
            let head = format!("POST {path} HTTP/1.1\r\nHost: sum.example.com\r\nContent-Length: 9000000\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&vec![b'x'; 100_000]).unwrap();
            sleep(Duration::from_millis(500));
            assert_eq!(service::seen(&format!("POST {path} ")) - before, arrives, "{tag}: {path}, before its end");
        }
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

#[test]
fn uploads_larger_than_all_there_is_go_through() {
    let folder = tempfile::tempdir().unwrap();
    let (fits, large) = (folder.path().join("fits"), folder.path().join("large"));
    // Nothing is written for either: files of holes.
    std::fs::File::create(&fits).unwrap().set_len(100 << 20).unwrap();
    std::fs::File::create(&large).unwrap().set_len((100 << 20) + 1).unwrap();
    for tag in OLD_AND_NEW {
        let (stack, ups) = site(|proxy| {
            proxy.routes.push(route("/large/", |r| r.max_body = ByteSize(100 << 20)));
        });
        let door = open_with(tag, &stack, &ups);
        let post = |file: &std::path::Path| {
            let arguments = ["-X", "POST", "-T", file.to_str().unwrap(), "-H", "Expect:", "--max-time", "30"];
            ask(&door, &format!("{SITE}/large/"), &arguments).unwrap()
        };
        // The root cannot be written and `/tmp` holds 64 MB: no place to collect it in.
        let answer = post(&fits);
        assert_eq!(answer.status, 200, "{tag}: {}", door.logs());
        assert!(answer.body.ends_with(&format!("received: {}\n", 100 << 20)), "{tag}: {}", answer.body);
        assert!(!door.logs().contains("buffered to a temporary file"), "{tag}: {}", door.logs());
        assert_eq!(post(&large).status, 413, "{tag}: a byte more");
    }
}

#[test]
fn a_post_is_sent_once_and_a_get_again() {
    let ports = ["one", "two"].map(service::start);
    let targets = ports.map(|port| format!("{}:{port}", docker::gateway()));
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    for (tag, number) in OLD_AND_NEW.iter().zip(0..) {
        let (stack, _) = site(|_| {});
        let door = open_with(tag, &stack, &upstreams(&[("app", &targets)]));
        let path = format!("/abort-{number}");
        assert_eq!(ask(&door, &format!("{SITE}{path}"), &["--data", "x=1"]).unwrap().status, 502, "{tag}");
        assert_eq!(service::seen(&format!("POST {path} ")), 1, "{tag}: nobody pays twice");
        // What failed is left out for a second; Nginx counts whole ones.
        sleep(Duration::from_millis(2100));
        assert_eq!(get(&door, &format!("{SITE}{path}")).status, 502, "{tag}");
        assert_eq!(service::seen(&format!("GET {path} ")), 2, "{tag}: both replicas were asked");
    }
}

/// Nginx's own bound is 60 s; the route's is what counts.
#[test]
fn a_websocket_may_be_silent_for_long() {
    const SILENT: u64 = 65;
    let open = |tag: &str| {
        let (stack, ups) = site(|proxy| {
            let shape = |r: &mut Route| (r.websocket, r.timeout) = (true, Span::seconds(3600));
            proxy.routes.push(route("/silent/", shape));
        });
        let door = open_with(tag, &stack, &ups);
        let (stream, status) = socket(&door, &format!("/silent/{SILENT}"));
        assert_eq!(status, "101", "{tag}");
        (door, stream)
    };
    let start = Instant::now();
    let doors = OLD_AND_NEW.map(|tag| (tag, open(tag)));
    for (tag, (door, mut stream)) in doors {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("hellogoodbye"), "{tag}: {rest}\n{}", door.logs());
        assert!(start.elapsed() >= Duration::from_secs(SILENT), "{tag}: {:?}", start.elapsed());
    }
}
