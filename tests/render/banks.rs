//! A file moves traffic from one bank of addresses to the other, without a reload.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use stackctl::base::name::ServiceName;
use stackctl::model::proxy::Tls;
use stackctl::model::stack::Stack;
use stackctl::render::{Banks, live_flag};

use crate::client::{Answer, ask, get};
use crate::docker::{self, Container};
use crate::door::{OLD_AND_NEW, open_with, render};
use crate::sample;
use crate::service;

const SITE: &str = "http://sum.example.com";

fn on_host(port: u16) -> String {
    format!("{}:{port}", docker::gateway())
}

/// An address where no container is: connecting to it is not refused, there is no answer at all.
fn silent(number: u8) -> String {
    let [a, b, ..] = docker::gateway().octets();
    format!("{}:8000", Ipv4Addr::new(a, b, 255, number))
}

/// One service behind plain HTTP.
fn stack() -> Stack {
    let mut socket = sample::route("/ws", "app");
    socket.websocket = true;
    let mut proxy = sample::proxy(&["sum.example.com"], vec![sample::route("/", "app"), socket]);
    proxy.tls = Tls::Off;
    sample::stack(vec![sample::service("app", Some(8000))], Some(proxy))
}

fn app(a: &[&str], b: &[&str]) -> BTreeMap<ServiceName, Banks> {
    sample::banks(&[("app", a, b)])
}

fn flip(door: &Container, to: &str) {
    door.put_link(&live_flag(&sample::name("app")), to);
}

/// Who answers: the first line.
fn who(answer: &Answer) -> &str {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body.lines().next().unwrap_or_default()
}

fn post(door: &Container, size: usize) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("body");
    std::fs::write(&path, vec![b'x'; size]).unwrap();
    let data = format!("@{}", path.display());
    ask(door, &format!("{SITE}/post"), &["--http1.1", "-H", "Expect:", "--data-binary", &data]).unwrap()
}

#[test]
fn a_link_moves_traffic_there_and_back() {
    for tag in OLD_AND_NEW {
        let (a, b) = (on_host(service::start("app-a")), on_host(service::start("app-b")));
        let ups = app(&[&a], &[&b]);
        let mut stack = stack();
        let door = open_with(tag, &stack, &ups);
        let asked = || who(&get(&door, &format!("{SITE}/"))).to_owned();
        let pids = door.processes();
        assert_eq!(asked(), "app-a", "{tag}: nobody has said anything");
        door.put_file("live/on");
        assert_eq!(asked(), "app-a", "{tag}");
        for _ in 0..3 {
            flip(&door, "on");
            assert_eq!([asked(), asked()], ["app-b", "app-b"], "{tag}");
            let upgrade = ["--http1.1", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "--max-time", "1"];
            let answer = ask(&door, &format!("{SITE}/ws"), &upgrade).unwrap();
            assert_eq!((answer.status, answer.body.as_str()), (101, "hello"), "{tag}");
            assert_eq!(who(&post(&door, 3)), "app-b", "{tag}");
            flip(&door, "off");
            assert_eq!([asked(), asked()], ["app-a", "app-a"], "{tag}");
        }
        let later = door.processes();
        assert_eq!(pids, later, "{tag}: the same processes");
        assert!(!door.logs().contains("[crit]") && !door.logs().contains("[error]"), "{tag}: {}", door.logs());

        flip(&door, "on");
        stack.proxy.as_mut().unwrap().max_body.0 += 1;
        door.switch("b", &render(&stack, tag, &ups, "8"));
        door.signal("HUP");
        assert_eq!(get(&door, "http://x:8081/stackctl/release").body, "8", "{tag}");
        assert_eq!(asked(), "app-b", "{tag}: another configuration changes nothing");
    }
}

#[test]
fn a_switched_route_passes_everything_as_it_is() {
    for tag in OLD_AND_NEW {
        let b = on_host(service::start("app-b"));
        let door = open_with(tag, &stack(), &app(&[&silent(1)], &[&b]));
        door.put_file("live/on");
        flip(&door, "on");
        let odd = "/a%2Fb//c/./d%20e?f=%20g&h=i+j";
        let answer = ask(&door, &format!("{SITE}{odd}"), &["--path-as-is", "--http1.1"]).unwrap();
        assert!(answer.body.contains(&format!("GET {odd} HTTP/1.1\r\n")), "{tag}: {}", answer.body);
        assert!(answer.body.contains("\r\nConnection: close\r\n"), "{tag}: {}", answer.body);
        let redirect = get(&door, &format!("{SITE}/status/302"));
        assert_eq!(redirect.all("location"), ["https://sum.example.com/there"], "{tag}");
        for size in [0, 10, 100_000, 5_000_000] {
            let answer = post(&door, size);
            assert_eq!(who(&answer), "app-b", "{tag}");
            assert!(answer.body.ends_with(&format!("received: {size}\n")), "{tag}: {size}, {}", answer.body);
        }
        assert_eq!(post(&door, 11 << 20).status, 413, "{tag}");
    }
}

#[test]
fn the_other_bank_may_be_gone() {
    for tag in OLD_AND_NEW {
        let alive = on_host(service::start("app"));
        let (first, second) = (alive.as_str(), on_host(9));
        for (what, a, b) in [
            ("one replica", vec![first], vec![silent(1)]),
            ("two replicas, one refuses", vec![first, &second], vec![silent(1), silent(2)]),
        ] {
            let b: Vec<&str> = b.iter().map(String::as_str).collect();
            let door = open_with(tag, &stack(), &app(&a, &b));
            let start = Instant::now();
            for _ in 0..20 {
                assert_eq!(who(&get(&door, &format!("{SITE}/"))), "app", "{tag}: {what}");
            }
            assert!(start.elapsed() < Duration::from_secs(2), "{tag}: {what}: {:?}", start.elapsed());
        }
    }
}

#[test]
fn one_failure_does_not_take_a_lone_replica_out() {
    for tag in OLD_AND_NEW {
        let alive = on_host(service::start("app"));
        let door = open_with(tag, &stack(), &app(&[&alive], &[&silent(1)]));
        for _ in 0..3 {
            let broken = ask(&door, &format!("{SITE}/abort"), &["--data", "x"]).unwrap();
            assert_eq!(broken.status, 502, "{tag}: a POST is not repeated");
            let start = Instant::now();
            assert_eq!(who(&get(&door, &format!("{SITE}/"))), "app", "{tag}");
            assert!(start.elapsed() < Duration::from_secs(1), "{tag}: {:?}", start.elapsed());
        }
    }
}

#[test]
fn what_finds_its_bank_gone_goes_to_the_other() {
    for tag in OLD_AND_NEW {
        let b = on_host(service::start("app-b"));
        let other = silent(2);
        for a in [vec![silent(1)], vec![silent(1), other]] {
            let a: Vec<&str> = a.iter().map(String::as_str).collect();
            let door = open_with(tag, &stack(), &app(&a, &[&b]));
            let start = Instant::now();
            let answer = post(&door, 100_000);
            assert_eq!(who(&answer), "app-b", "{tag}: an upload too");
            assert!(answer.body.ends_with("received: 100000\n"), "{tag}");
            let limit = Duration::from_millis(2000 * a.len() as u64 + 700);
            assert!(start.elapsed() < limit, "{tag}: {:?}", start.elapsed());
        }
    }
}

#[test]
fn nobody_anywhere_is_an_error_in_bounded_time() {
    for tag in OLD_AND_NEW {
        // Refused: 502 at once. Silent: two seconds each, and Nginx calls that 504.
        for (a, b, wanted, from, to) in [
            (on_host(9), on_host(9), 502, 0, 500),
            (on_host(9), silent(1), 504, 1900, 2900),
            (silent(1), silent(2), 504, 3900, 4900),
        ] {
            let door = open_with(tag, &stack(), &app(&[&a], &[&b]));
            let start = Instant::now();
            let status = ask(&door, &format!("{SITE}/"), &["--max-time", "8"]).unwrap().status;
            let took = u64::try_from(start.elapsed().as_millis()).unwrap();
            assert_eq!(status, wanted, "{tag}: {a}, {b}");
            assert!((from..to).contains(&took), "{tag}: {a}, {b}: {took} ms");
        }
    }
}
