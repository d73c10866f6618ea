//! A plan says why, in the words of the file, and what users will notice of it.

use stackctl::plan::{Action, Plan};

use crate::model::World;
use crate::stacks::Sketch;
use crate::walk::deploy;
use crate::wish::Wish;

/// The causes of what is made or written for a service, and what interrupts anything.
fn told(plan: &Plan, service: &str) -> Vec<String> {
    let mut out = Vec::new();
    for step in &plan.steps {
        let cause = match &step.action {
            Action::Create { service: s, .. } if s.as_str() == service => Some(step.cause.clone()),
            Action::WriteFiles { service: s, links, .. } if s.as_str() == service && links.is_empty() => {
                Some(step.cause.clone())
            }
            Action::Stop { container, .. } | Action::Reload { container, .. }
                if container.contains(&format!("-{service}-")) =>
            {
                step.interrupts
                    .as_ref()
                    .map(|what| format!("{what}{}", step.at_most.map(|t| format!(", {t}")).unwrap_or_default()))
            }
            _ => None,
        };
        out.extend(cause.filter(|c| {
            !["secrets and configuration it reads at start", "configuration it starts with"].contains(&c.as_str())
        }));
    }
    out.dedup();
    out
}

/// Nginx counts quotas in its memory: a container that is replaced forgets them, a reload does not.
#[test]
fn quotas_that_start_anew_are_told() {
    let wish = |sketch: &Sketch| {
        let rate = format!("limit = {{ rate = \"{}/s\", burst = 10 }}", sketch.limit);
        let text = sketch.text();
        assert!(text.contains(&rate), "{text}");
        Wish::new(&text.replace(&rate, &format!("limit = \"{}/hour\"", sketch.limit))).secret("TOKEN", "s1")
    };
    let before = Sketch::new();
    let mut world = World::new("shop");
    deploy(&mut world, &wish(&before), None).expect("the first deploy");
    for (what, make, told) in [
        ("a reload", (|s| s.limit = 60) as Make, false),
        ("another port", |s| s.door = Some(("nginx:1.30", 9090)), true),
        ("another Nginx", |s| s.door = Some(("nginx:1.29", 8080)), true),
    ] {
        let mut after = before.clone();
        make(&mut after);
        let notes = wish(&after).plan(&mut world.clone()).plan.notes;
        assert_eq!(notes.iter().any(|note| note.contains("quotas start anew")), told, "{what}: {notes:?}");
    }
    // Rates refill within seconds: nothing to say.
    let mut world = World::new("shop");
    deploy(&mut world, &before.wish(), None).expect("the first deploy");
    let mut after = before;
    after.door = Some(("nginx:1.29", 8080));
    let notes = after.wish().plan(&mut world).plan.notes;
    assert!(!notes.iter().any(|note| note.contains("quotas")), "{notes:?}");
}

/// Redis knows one password of the user's own: who comes with the old one is refused from the reload on.
#[test]
fn a_password_of_ones_own_interrupts_where_it_is_changed() {
    let text =
        Sketch::new().text().replace("preset = \"redis:7\"", "preset = \"redis:7\"\npassword = \"${secrets.token}\"");
    let mut world = World::new("shop");
    deploy(&mut world, &Wish::new(&text).secret("TOKEN", "a-first-password"), None).expect("the first deploy");
    let plan = Wish::new(&text).secret("TOKEN", "another-password").plan(&mut world).plan;
    let interrupts: Vec<_> = plan.steps.iter().filter_map(|step| step.interrupts.as_deref()).collect();
    assert_eq!(interrupts, ["cache refuses the old password until those who log in have the new one"]);
    assert!(plan.needs_consent());
}

/// A reload loses requests of clients that never repeat them (docs/cutover.md); a release reloads nothing.
#[test]
fn who_may_lose_a_request_by_a_reload_is_told() {
    let limited: Make = |s| s.limit = 60;
    let both = Some("over HTTP/2 or on a kept connection (from Nginx 1.27.4 on over HTTP/2 only)");
    for (image, tls, make, told) in [
        ("nginx:1.30", true, limited, Some("over HTTP/2")),
        ("nginx:1.27.4", true, limited, Some("over HTTP/2")),
        ("nginx:1.27.3", true, limited, both),
        ("nginx:1.26-alpine", true, limited, both),
        ("nginx:1.26", false, limited, Some("on a kept connection (from Nginx 1.27.4 on none)")),
        ("nginx:1.30", false, limited, None),
        ("nginx:1.30", true, |s| s.tag = 2, None),
    ] {
        let wish = |sketch: &Sketch| {
            let text = sketch.text();
            assert!(text.contains("tls = \"self-signed\"\n"), "{text}");
            Wish::new(&if tls { text } else { text.replace("tls = \"self-signed\"", "tls = \"off\"") })
                .secret("TOKEN", "s1")
        };
        let mut sketch = Sketch::new();
        sketch.door = Some((image, 8080));
        let mut world = World::new("shop");
        deploy(&mut world, &wish(&sketch), None).expect("the first deploy");
        make(&mut sketch);
        let notes = wish(&sketch).plan(&mut world).plan.notes;
        let reloads: Vec<&String> = notes.iter().filter(|note| note.contains("reloaded")).collect();
        let expected =
            told.map(|who| format!("Nginx is reloaded: a client that does not retry may lose a request {who}"));
        assert_eq!(reloads, expected.iter().collect::<Vec<_>>(), "{image}, TLS {tls}");
    }
}

type Make = fn(&mut Sketch);
type Hand = fn(&mut World);

/// What somebody changes in the file or by hand, and what the plan says of it about a service.
const CASES: &[(&str, Make, Hand, &str, &[&str])] = &[
    ("environment", |s| s.env = "b", |_| {}, "app", &["environment MODE changed"]),
    ("secret", |s| s.secret = "other", |_| {}, "app", &["secret `token` changed"]),
    ("image", |s| s.tag = 2, |_| {}, "app", &["image acme/app:1 → acme/app:2"]),
    (
        "image and environment",
        |s| (s.tag, s.env) = (2, "b"),
        |_| {},
        "worker",
        &["image acme/app:1 → acme/app:2; environment MODE changed"],
    ),
    ("more replicas", |s| s.replicas = 3, |_| {}, "app", &["replica 3 of 3"]),
    ("more replicas", |s| s.replicas = 3, |_| {}, "proxy", &["replicas of app 2 → 3"]),
    (
        "limit",
        |s| s.limit = 99,
        |_| {},
        "proxy",
        &["route /: limit 50/s, burst 10 → 99/s, burst 10; route /api/: limit 50/s, burst 10 → 99/s, burst 10"],
    ),
    (
        "a route less",
        |s| s.api_route = false,
        |_| {},
        "proxy",
        &["route /api/ is gone; port of api no longer set (was 9000); replicas of api no longer set (was 1)"],
    ),
    (
        "tag moved",
        |_| {},
        |w| w.move_tag("acme/app:1"),
        "app",
        &["image digest moved: acme/app:1 is another image now"],
    ),
    (
        "image gone",
        |_| {},
        |w| {
            w.images.remove("acme/app:1");
        },
        "app",
        &[],
    ),
    (
        "network lost",
        |_| {},
        |w| w.lose_network("shop_to-db"),
        "db",
        &["it lost the network shop_to-db", "db is away until its successor is ready, 3m"],
    ),
    (
        "no way out",
        |s| s.egress = false,
        |_| {},
        "worker",
        &["leaves network shop_default; joins network shop_to-worker"],
    ),
    (
        "database",
        |s| s.database = "512M",
        |_| {},
        "db",
        &["command changed; memory 256M → 512M", "db is away until its successor is ready, 3m"],
    ),
    (
        "port of the door",
        |s| s.door = Some(("nginx:1.30", 9090)),
        |_| {},
        "proxy",
        &[
            "published 443 0.0.0.0:8081 → 0.0.0.0:9091; published 80 0.0.0.0:8080 → 0.0.0.0:9090",
            "proxy is away until its successor is ready, 1m",
        ],
    ),
    ("service gone", |s| s.worker = false, |_| {}, "worker", &["worker goes for good; its volumes stay"]),
    ("port", |s| s.port = 8001, |_| {}, "proxy", &["port of app 8000 → 8001"]),
    ("port and image", |s| (s.port, s.tag) = (8001, 2), |_| {}, "proxy", &["port of app 8000 → 8001"]),
    ("no door", |s| s.door = None, |_| {}, "proxy", &["nobody answers any more"]),
    ("no replicas", |s| s.replicas = 0, |_| {}, "app", &["the front door answers 503 for app: it has no replicas"]),
];

#[test]
fn every_change_has_its_cause() {
    let mut wrong = Vec::new();
    for (name, file, hand, service, expected) in CASES {
        let mut world = World::new("shop");
        let mut sketch = Sketch::new();
        deploy(&mut world, &sketch.wish(), None).expect("the first deploy");
        file(&mut sketch);
        hand(&mut world);
        let plan = sketch.wish().plan(&mut world).plan;
        let told = told(&plan, service);
        if told != *expected {
            wrong.push(format!("{name}: {told:#?}\n{plan}"));
        }
        // Nothing is interrupted without being said, and nothing that was said is kept from the one who is asked.
        assert_eq!(plan.needs_consent(), plan.steps.iter().any(|s| s.interrupts.is_some()), "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_runs_is_asked_at_a_new_port_before_the_front_door_sends_anybody_there() {
    let mut world = World::new("shop");
    let mut sketch = Sketch { listens: false, ..Sketch::new() };
    deploy(&mut world, &sketch.wish(), None).expect("the first deploy");
    sketch.port = 8001;
    let plan = sketch.wish().plan(&mut world).plan;
    let at = |find: &dyn Fn(&Action) -> bool| plan.steps.iter().position(|s| find(&s.action));
    let asks = |action: &Action, name: &str| match action {
        Action::WaitReady { container, address: Some(to), .. } => container == name && to.port() == 8001,
        _ => false,
    };
    let switch = at(&|a| matches!(a, Action::Switch { .. })).expect("it reloads");
    for name in ["shop-app-1", "shop-app-2"] {
        assert!(at(&|a| asks(a, name)).is_some_and(|step| step < switch), "{name}\n{plan}");
    }
    assert!(!plan.steps.iter().any(|s| matches!(s.action, Action::Create { .. })), "{plan}");
    deploy(&mut world, &sketch.wish(), None).expect("the other port");
    assert!(sketch.wish().plan(&mut world).plan.is_empty());
}

#[test]
fn data_that_nobody_uses_any_more_is_named() {
    let mut world = World::new("shop");
    let mut sketch = Sketch::new();
    deploy(&mut world, &sketch.wish(), None).expect("the first deploy");
    sketch.database = "";
    let mut notes = sketch.wish().plan(&mut world).plan.notes;
    notes.retain(|note| !note.contains("reloaded"));
    assert_eq!(notes, ["volume shop_db-data of db stays, with its data; nothing uses it"]);
    deploy(&mut world, &sketch.wish(), None).expect("without the database");
    assert!(sketch.wish().plan(&mut world).plan.notes.is_empty(), "said once");
}

#[test]
fn labels_do_not_give_secrets_away() {
    let mut world = World::new("shop");
    let mut sketch = Sketch::new();
    sketch.secret = "correct-horse-battery";
    deploy(&mut world, &sketch.wish(), None).expect("the first deploy");
    let labels = format!("{:?}", world.containers.iter().map(|c| &c.spec.labels).collect::<Vec<_>>());
    assert!(labels.contains("secret token"), "{labels}");
    assert!(!labels.contains("correct-horse"), "{labels}");
}
