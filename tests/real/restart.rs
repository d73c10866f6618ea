//! Reboots, as far as the engine is concerned: everything stopped and started, in any order.

use std::time::{Duration, Instant};

use super::support::{Random, Site, get, replicas_answering, seed, slim};

#[test]
fn after_a_restart_in_any_order_every_upstream_reaches_its_own_service() {
    let mut random = Random(seed());
    let stack = slim("t-boot", 18111)
        + "\n[services.other]\nlike = \"app\"\nport = 8000\nreplicas = 2\nhealthcheck = \"/health\"\n"
        + "\n[services.other.environment]\nAPP_VERSION = \"other\"\n";
    let stack = stack.replace("\"/\" = \"app\"", "\"/\" = \"app\"\n\"/health/\" = \"other\"");
    let site = Site::new(&stack, "t-boot", 18111);
    site.up("1");
    let check = |when: &str| {
        let (status, body) = site.get("/health").unwrap();
        assert_eq!((status, body.contains("\"version\":\"1\"")), (200, true), "{when}: {body}");
        let (status, body) = site.get("/health/ready").unwrap();
        assert_eq!((status, body.contains("\"version\":\"other\"")), (200, true), "{when}: {body}");
        let answering = replicas_answering(&site, "/", 30);
        assert!(answering.len() == 3 && answering.keys().all(|r| r.starts_with("app-")), "{when}: {answering:?}");
        // Each container is still where it says.
        for name in site.list("containers").iter().filter(|n| n.contains("-app-") || n.contains("-other-")) {
            let addresses = site.docker(&["inspect", "-f", "{{index .Config.Labels \"stackctl.addresses\"}}", name]);
            let address = addresses.trim().split('=').nth(1).unwrap().to_owned();
            let (status, body) = patiently(&address);
            assert_eq!(status, 200, "{when}: {name}: {body}");
            let replica: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert!(name.ends_with(replica["replica"].as_str().unwrap()), "{when}: {name} is {body}");
        }
    };
    check("before");
    // A second generation is in the other bank by then.
    site.up("1");
    for round in 0..3 {
        let mut names = site.list("containers");
        random.shuffle(&mut names);
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        site.docker(&[&["stop", "-t", "1"], all.as_slice()].concat());
        random.shuffle(&mut names);
        for name in &names {
            site.docker(&["start", name]);
            // The front door comes up whether or not those behind it are there.
            if name.contains("-proxy-") {
                let status = wait_for_door(&site);
                assert!([200, 502, 504].contains(&status), "{status}");
            }
        }
        wait_until_served(&site);
        check(&format!("round {round}"));
        site.nothing_to_do("1");
    }
}

fn wait_for_door(site: &Site) -> u16 {
    for _ in 0..50 {
        // Until Nginx listens, the engine's own forwarder takes the connection and ends it without an answer.
        match site.get("/health") {
            Ok((status, _)) => return status,
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
    panic!("the front door does not answer");
}

fn wait_until_served(site: &Site) {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(60) {
        let ok = |path| site.get(path).is_ok_and(|(status, _)| status == 200);
        if ok("/health") && ok("/health/ready") && replicas(site) == 3 {
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("not everything came back");
}

fn replicas(site: &Site) -> usize {
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..12 {
        if let Ok((200, body)) = site.get("/") {
            names.insert(body.split("\"replica\":\"").nth(1).unwrap_or_default().chars().take(5).collect::<String>());
        }
    }
    names.len()
}

/// What a container answers, once it does: the front door passes over one that still starts.
fn patiently(address: &str) -> (u16, String) {
    let begin = Instant::now();
    loop {
        match get((address, 8000), "/") {
            Ok(answer) => return answer,
            Err(error) => assert!(begin.elapsed() < Duration::from_secs(30), "{address}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
