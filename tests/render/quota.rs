//! Quotas in a real Nginx: at most so many in any window, whoever asks and however.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Barrier};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use stackctl::base::name::ServiceName;
use stackctl::model::proxy::Tls;
use stackctl::model::stack::Stack;
use stackctl::render::Banks;

use crate::client::{ask, get};
use crate::docker::{self, Container};
use crate::door::{accepted, open_with, open_with_clock, render};
use crate::sample::{self, upstreams};
use crate::service;

const WITH_NJS: [&str; 2] = ["1.26", "1.30"];
const SITE: &str = "http://sum.example.com";

/// `/` 3 in 10 s, `/key` 2 an hour by header, `/day` 200 a day, `/app` left to the app, `/health` free.
fn site() -> (Stack, BTreeMap<ServiceName, Banks>) {
    let port = service::start("app");
    let mut app = sample::service("app", Some(port));
    app.health = Some(sample::health(stackctl::model::service::Ask::Http("/health".to_owned())));
    let route = |path, limit| stackctl::model::proxy::Route { limit: Some(limit), ..sample::route(path, "app") };
    let by_key = stackctl::model::limit::Limit { key: Some("X-Api-Key".to_owned()), ..sample::quota(31, "2/hour") };
    let by_app =
        stackctl::model::limit::Limit { by: stackctl::model::limit::Enforcer::App, ..sample::quota(32, "1/hour") };
    let routes = vec![
        route("/", sample::quota(30, "3/10s")),
        route("/key", by_key),
        route("/app", by_app),
        route("/day", sample::quota(33, "200/day")),
    ];
    let mut proxy = sample::proxy(&["sum.example.com"], routes);
    proxy.tls = Tls::Off;
    proxy.cpus = Some(2.0);
    let target = format!("{}:{port}", docker::gateway());
    (sample::stack(vec![app], Some(proxy)), upstreams(&[("app", &[&target])]))
}

/// Statuses of `count` requests, sent at once on connections that were opened before.
fn at_once(door: &Container, path: &str, count: usize) -> Vec<u16> {
    let barrier = Arc::new(Barrier::new(count));
    let address = format!("{}:80", door.address());
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let (barrier, address, path) = (Arc::clone(&barrier), address.clone(), path.to_owned());
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                barrier.wait();
                let request = format!("GET {path} HTTP/1.1\r\nHost: sum.example.com\r\nConnection: close\r\n\r\n");
                stream.write_all(request.as_bytes()).unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

fn admitted(statuses: &[u16]) -> usize {
    assert!(statuses.iter().all(|s| [200, 429].contains(s)), "{statuses:?}");
    statuses.iter().filter(|s| **s == 200).count()
}

#[test]
fn at_most_so_many_in_any_window() {
    for tag in WITH_NJS {
        let (stack, ups) = site();
        accepted(tag, "quotas", &render(&stack, tag, &ups, "1"));
        let door = open_with(tag, &stack, &ups);
        let start = Instant::now();
        // One early, so that the window of the others ends later than its own.
        assert_eq!(get(&door, &format!("{SITE}/")).status, 200, "{tag}");
        sleep(Duration::from_secs(3));
        assert_eq!(admitted(&at_once(&door, "/", 20)), 2, "{tag}: both workers count together");
        let refused = get(&door, &format!("{SITE}/"));
        assert_eq!(refused.status, 429, "{tag}");
        let wait: u64 = refused.all("retry-after").join(" ").parse().expect("one number");
        assert!((6..=7).contains(&wait), "{tag}: {wait}");
        assert_eq!(refused.all("x-frame-options"), ["DENY"], "{tag}: a refusal has every header");
        // A client that keeps trying is let in when its first request leaves the window, not later.
        let mut tries = 0;
        while get(&door, &format!("{SITE}/")).status == 429 {
            tries += 1;
            sleep(Duration::from_millis(20));
        }
        let freed = start.elapsed();
        assert!((9_990..10_500).contains(&freed.as_millis()) && tries > 20, "{tag}: {freed:?}, {tries} tries");
        assert_eq!(admitted(&at_once(&door, "/", 5)), 0, "{tag}: only one was freed");
        assert_eq!(admitted(&at_once(&door, "/health", 5)), 5, "{tag}: health is exempt");
        assert_eq!(admitted(&at_once(&door, "/app", 5)), 5, "{tag}: left to the app");
        assert_eq!(admitted(&at_once(&door, "/day", 230)), 200, "{tag}: exactly, with many slots and both workers");
        assert!(!door.logs().contains("[error]"), "{tag}: {}", door.logs());
    }
}

#[test]
fn five_in_any_hour() {
    for tag in WITH_NJS {
        let (mut stack, ups) = site();
        let hourly =
            stackctl::model::proxy::Route { limit: Some(sample::quota(34, "5/hour")), ..sample::route("/hour", "app") };
        stack.proxy.as_mut().unwrap().routes.push(hourly);
        let door = open_with_clock(tag, &stack, &ups);
        let at = |seconds: u32| door.put_bytes("clock", format!("+{seconds}").as_bytes());
        let asked = || {
            let answer = get(&door, &format!("{SITE}/hour"));
            (answer.status, answer.all("retry-after").join(" ").parse::<u64>().unwrap_or(0))
        };
        let admitted = |count: usize| (0..count).all(|_| asked().0 == 200);
        // A second more or less, for the time that passes meanwhile.
        let refused = |wait: u64| {
            let (status, said) = asked();
            assert_eq!(status, 429, "{tag}");
            assert!((wait - 20..=wait).contains(&said), "{tag}: {said} s, not {wait}");
        };
        assert!(admitted(1), "{tag}");
        at(600);
        assert!(admitted(4), "{tag}");
        refused(3000);
        at(3570);
        refused(30);
        at(3600);
        assert!(admitted(1), "{tag}: the first has left the window");
        refused(600);
        at(4200);
        assert!(admitted(4), "{tag}: and so have the other four");
        refused(3000);
        at(100_000);
        assert!(admitted(5), "{tag}: a new day");
        refused(3600);
        assert!(!door.logs().contains("[error]"), "{tag}: {}", door.logs());
    }
}

#[test]
fn a_header_tells_clients_apart_and_counts_outlive_a_reload() {
    for tag in WITH_NJS {
        let (mut stack, ups) = site();
        let door = open_with(tag, &stack, &ups);
        let asked = |headers: &[&str]| ask(&door, &format!("{SITE}/key"), headers).unwrap().status;
        let (one, two) = (["-H", "X-Api-Key: one"], ["-H", "X-Api-Key: two"]);
        assert_eq!([asked(&one), asked(&one), asked(&one)], [200, 200, 429], "{tag}");
        assert_eq!([asked(&two), asked(&two), asked(&two)], [200, 200, 429], "{tag}: another key");
        assert_eq!([asked(&[]), asked(&[]), asked(&[])], [200, 200, 429], "{tag}: without one, by address");
        let forged = ["-H", "X-Forwarded-For: 6.6.6.6"];
        assert_eq!(asked(&forged), 429, "{tag}: nobody is another by saying so");
        // Another declaration before it, other lines: still the same quota.
        let proxy = stack.proxy.as_mut().unwrap();
        for route in &mut proxy.routes {
            route.limit.as_mut().unwrap().line += 5;
        }
        let mut new = sample::route("/new", "app");
        new.limit = Some(sample::quota(1, "9/hour"));
        proxy.routes.push(new);
        door.switch("b", &render(&stack, tag, &ups, "8"));
        door.signal("HUP");
        assert_eq!(get(&door, "http://x:8081/stackctl/release").body, "8", "{tag}");
        assert_eq!([asked(&one), asked(&two), asked(&[])], [429; 3], "{tag}: a reload forgets nothing");
    }
}

/// Statuses of one request each for many keys, on one connection.
fn one_each(door: &Container, keys: impl Iterator<Item = String>) -> Vec<u16> {
    let mut stream = BufReader::new(TcpStream::connect(format!("{}:80", door.address())).unwrap());
    let ask = |key: String| {
        let request = format!("HEAD /key HTTP/1.1\r\nHost: sum.example.com\r\nX-Api-Key: {key}\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).unwrap() > 0, "closed after {head}");
        }
        head.split(' ').nth(1).unwrap().parse().unwrap()
    };
    keys.map(ask).collect()
}

#[test]
fn a_full_table_forgets_the_oldest_and_keeps_counting() {
    for tag in WITH_NJS {
        let (stack, ups) = site();
        let door = open_with(tag, &stack, &ups);
        let first = || one_each(&door, std::iter::once("first".to_owned()))[0];
        assert_eq!([first(), first(), first()], [200, 200, 429], "{tag}");
        // A thousand clients fit: nobody is forgotten.
        let some = one_each(&door, (0..1000).map(|n| format!("some-{n}")));
        assert!(some.iter().all(|status| *status == 200), "{tag}");
        assert_eq!(first(), 429, "{tag}: remembered");
        // Many times that do not: nobody new is refused, the oldest is forgotten, the newest are counted.
        let many = one_each(&door, (0..8000).map(|n| format!("many-{n}")));
        assert!(many.iter().all(|status| *status == 200), "{tag}");
        assert_eq!(first(), 200, "{tag}: forgotten");
        let last = one_each(&door, std::iter::repeat_n("many-7999".to_owned(), 2));
        assert_eq!(last, [200, 429], "{tag}: counted");
        assert!(!door.logs().contains("[error]"), "{tag}: {}", door.logs());
    }
}
