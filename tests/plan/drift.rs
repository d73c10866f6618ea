//! What somebody changed by hand is named field by field, and mended, and nothing else is touched.

use stackctl::plan::Plan;

use crate::model::World;
use crate::stacks::Sketch;
use crate::walk::{Until, deploy, settled, walk};

/// Steps with their causes, without those that only wait or ask.
fn told(plan: &Plan) -> Vec<String> {
    let steps = plan.steps.iter().filter(|s| s.action.sign() != '·');
    steps.map(|s| format!("{}: {}", s.action, s.cause)).collect()
}

fn deployed() -> (World, Sketch) {
    let mut world = World::new("shop");
    let mut sketch = Sketch::new();
    sketch.prometheus = true;
    deploy(&mut world, &sketch.wish(), None).expect("the first deploy");
    (world, sketch)
}

fn files_of(world: &World, service: &str) -> String {
    let prefix = format!("shop_{service}-files-");
    world.volumes.keys().find(|v| v.starts_with(&prefix)).expect("a files volume").clone()
}

#[test]
fn what_was_changed_by_hand_is_mended_and_nothing_else() {
    type Hand = fn(&mut World);
    let cases: &[(Hand, &[&str])] = &[
        (
            |w| w.set("shop-db-1", "memory", Some("1G")),
            &["set the limits of shop-db-1 again: changed by hand: memory 256M → 1G"],
        ),
        (
            |w| {
                w.set("shop-proxy-1", "pids", None);
                w.set("shop-proxy-1", "restart", Some("no"));
            },
            &[
                "set the limits of shop-proxy-1 again: changed by hand: pids no longer set (was 256); restart always → no",
            ],
        ),
        (
            |w| w.join("shop-db-1", "bridge"),
            &["take shop-db-1 off network bridge: connected by hand: stack.toml has it not"],
        ),
        (|w| w.rename("shop-app-1", "old-app"), &["rename old-app to shop-app-1: renamed by hand"]),
        (|w| w.pause("shop-app-1"), &["start shop-app-1: it is paused"]),
        (|w| w.stop_by_hand("shop-worker-1"), &["start shop-worker-1: it is stopped"]),
    ];
    for (hand, expected) in cases {
        let (mut world, sketch) = deployed();
        hand(&mut world);
        let plan = sketch.wish().plan(&mut world).plan;
        assert_eq!(told(&plan), *expected, "{plan}");
        assert!(!plan.needs_consent(), "{plan}");
        walk(&mut world, &sketch.wish(), &plan, None, Until::End).expect("mending");
        settled(&mut world, &sketch.wish()).expect("as it was");
    }
}

#[test]
fn what_no_engine_takes_back_makes_a_new_container_of_that_one_service() {
    for (field, value, cause) in [
        ("cap_add", Some("SYS_ADMIN"), "changed by hand: cap_add set to SYS_ADMIN"),
        ("privileged", Some("true"), "changed by hand: privileged set to true"),
        ("cpus", Some("4"), "changed by hand: cpus set to 4"),
        ("env MODE", None, "changed by hand: environment MODE is gone"),
    ] {
        let (mut world, sketch) = deployed();
        world.set("shop-app-2", field, value);
        let before: Vec<String> = world.containers.iter().map(|c| format!("{} {:?}", c.name, c.networks)).collect();
        let plan = sketch.wish().plan(&mut world).plan;
        let created: Vec<String> = plan
            .steps
            .iter()
            .filter(|s| matches!(s.action, stackctl::plan::Action::Create { .. }))
            .map(|s| s.cause.clone())
            .collect();
        // The service as a whole moves to its other bank of addresses.
        assert_eq!(created, ["another replica was changed by hand, and all move at once", cause], "{field}: {plan}");
        assert!(!plan.needs_consent(), "{plan}");
        walk(&mut world, &sketch.wish(), &plan, None, Until::End).expect("mending");
        settled(&mut world, &sketch.wish()).expect("as it was");
        let after: Vec<String> = world.containers.iter().map(|c| format!("{} {:?}", c.name, c.networks)).collect();
        let other = |line: &&String| !line.starts_with("shop-app-");
        assert_eq!(
            before.iter().filter(other).collect::<Vec<_>>(),
            after.iter().filter(other).collect::<Vec<_>>(),
            "{field}"
        );
    }
}

#[test]
fn an_edited_file_is_written_again() {
    let (mut world, sketch) = deployed();
    let volume = files_of(&world, "app");
    world.edit(&volume, "token", "of somebody else");
    let planned = sketch.wish().plan(&mut world);
    assert_eq!(told(&planned.plan), [format!("write 1 files to {volume}: changed by hand: file token")]);
    assert_eq!(planned.plan.notes.len(), 1, "{:?}", planned.plan.notes);
    walk(&mut world, &sketch.wish(), &planned.plan, None, Until::End).expect("mending");
    settled(&mut world, &sketch.wish()).expect("as it was");
    assert_eq!(world.volumes[&volume].files["token"], "s1");
}

#[test]
fn an_edited_file_of_a_program_that_reads_it_again_is_loaded() {
    let (mut world, sketch) = deployed();
    for (service, file) in [("proxy", "nginx.conf"), ("prometheus", "prometheus.yml")] {
        let volume = format!("shop_{service}-files");
        let current = world.volumes[&volume].links["current"].clone();
        let path = format!("{current}/{file}");
        let right = world.volumes[&volume].files[&path].clone();
        world.edit(&volume, &path, &right.replace('5', "6"));
        let plan = sketch.wish().plan(&mut world).plan;
        let all = told(&plan);
        assert!(all[0].ends_with(&format!("changed by hand: file {file}")), "{plan}");
        assert!(all.iter().any(|t| t.starts_with(&format!("reload shop-{service}-1"))), "{plan}");
        assert!(plan.steps.iter().all(|s| s.action.to_string().contains(service) || s.action.sign() != '-'), "{plan}");
        walk(&mut world, &sketch.wish(), &plan, None, Until::End).expect("mending");
        settled(&mut world, &sketch.wish()).expect("as it was");
        assert_eq!(world.volumes[&volume].files[&path], right);
    }
}
