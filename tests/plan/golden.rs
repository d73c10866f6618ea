//! Plans as text, word for word. `UPDATE_GOLDEN=1` writes them anew.

use std::path::PathBuf;

use stackctl::plan::down::down;

use crate::model::World;
use crate::walk::{Until, walk};
use crate::wish::Wish;

const EXAMPLE: &str = include_str!("../../stack.example.toml");

fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/plan/golden").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("golden file");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{}: expected\n{expected}\ngot\n{text}", path.display());
}

fn example() -> Wish {
    Wish::new(EXAMPLE)
}

fn example_with(from: &str, to: &str) -> Wish {
    assert!(EXAMPLE.contains(from), "{from}");
    Wish::new(&EXAMPLE.replacen(from, to, 1))
}

fn deployed(wish: &Wish) -> World {
    let mut world = World::new("example");
    let planned = wish.plan(&mut world);
    walk(&mut world, wish, &planned.plan, None, Until::End).expect("the first deploy");
    world
}

fn change(name: &str, before: &Wish, after: &Wish) {
    let mut world = deployed(before);
    let plan = after.plan(&mut world).plan;
    golden(name, &plan.to_string());
    walk(&mut world, after, &plan, None, Until::End).expect(name);
}

#[test]
fn first_deploy() {
    golden("first", &example().plan(&mut World::new("example")).plan.to_string());
}

#[test]
fn nothing_to_do() {
    change("nothing", &example(), &example());
}

#[test]
fn image_changed() {
    change("image", &example(), &example().context("fedcba9876543210"));
}

#[test]
fn a_limit_changed() {
    change("limit", &example(), &example_with("rate = \"10/s\"", "rate = \"20/s\""));
}

#[test]
fn replicas() {
    change("replicas-3-to-5", &example(), &example_with("replicas    = 3", "replicas    = 5"));
    change("replicas-3-to-2", &example(), &example_with("replicas    = 3", "replicas    = 2"));
}

#[test]
fn service_removed() {
    let without = example_with(
        "[services.worker]\nlike    = \"app\"                                  # the same image and environment, another command\ncommand = [\"python3\", \"-m\", \"app.worker\"]\nmemory  = \"128M\"\n",
        "",
    );
    change("service-removed", &example(), &without);
}

#[test]
fn database_memory_changed() {
    let text = "preset = \"postgres:15\"                           # role, database, password, volume, health and tuning come with it\nmemory = \"256M\"";
    change("database-memory", &example(), &example_with(text, "preset = \"postgres:15\"\nmemory = \"512M\""));
}

#[test]
fn port_of_the_front_door_changed() {
    change("proxy-port", &example(), &example_with("http_port  = 8080", "http_port  = 9090"));
}

#[test]
fn an_interrupted_run_goes_on() {
    let new = example().context("fedcba9876543210");
    for (name, stop) in [("resumed-before-the-switch", "wait until"), ("resumed-after-the-switch", "switch traffic")] {
        let mut world = deployed(&example());
        let plan = new.plan(&mut world).plan;
        let last = plan.steps.iter().position(|s| s.action.to_string().starts_with(stop)).expect(stop);
        walk(&mut world, &new, &plan, None, Until::Killed(last + 1, false)).expect("the run that is killed");
        let plan = new.plan(&mut world).plan;
        golden(name, &plan.to_string());
        walk(&mut world, &new, &plan, None, Until::End).expect(name);
    }
}

/// Each handshake looks for the certificate: nothing is reloaded, not even where a release comes with it. Whoever is killed
/// on the way is followed by somebody who does the rest.
#[test]
fn the_certificate_changed() {
    let renewed = || {
        let mut world = deployed(&example());
        let state = &mut world.state.as_mut().expect("a deployed stack").0;
        let kept = &mut std::sync::Arc::make_mut(state).secrets;
        let pair = kept.iter_mut().find(|(name, _)| name.as_str().starts_with("proxy.tls."));
        *pair.expect("a trial certificate").1 = stackctl::base::secret::Secret::new("made anew");
        world
    };
    for (name, context) in [("certificate", "0123456789abcdef"), ("certificate-and-image", "fedcba9876543210")] {
        let wish = example().context(context);
        let mut world = renewed();
        let plan = wish.plan(&mut world).plan;
        golden(name, &plan.to_string());
        for (stop, half) in (0..plan.steps.len()).flat_map(|stop| [(stop, false), (stop, true)]) {
            let mut world = renewed();
            walk(&mut world, &wish, &plan, None, Until::Killed(stop, half)).expect("the run that is killed");
            crate::walk::deploy(&mut world, &wish, None).unwrap_or_else(|e| panic!("{name}, killed at {stop}: {e}"));
        }
        walk(&mut world, &wish, &plan, None, Until::End).expect(name);
        assert!(wish.plan(&mut world).plan.is_empty(), "{name}");
        // The next change of something else is loaded as always.
        let limited = example_with("rate = \"10/s\"", "rate = \"20/s\"").context(context);
        let plan = limited.plan(&mut world).plan;
        assert!(plan.to_string().contains("reload example-proxy-1"), "{plan}");
        walk(&mut world, &limited, &plan, None, Until::End).expect(name);
    }
}

#[test]
fn taken_down() {
    for (name, volumes) in [("down", false), ("down-volumes", true)] {
        let wish = example();
        let mut world = deployed(&wish);
        let data = world.data_volumes();
        let plan = down(&wish.stack.project, &world.observe(&wish.stack), volumes);
        golden(name, &plan.to_string());
        for step in &plan.steps {
            world.apply(step, crate::model::Extent::Whole).expect("a step of down");
        }
        assert!(world.containers.is_empty() && world.our_networks().is_empty() && world.files_volumes().is_empty());
        assert_eq!(world.data_volumes().is_empty(), volumes || data.is_empty());
        assert_eq!(world.state.is_none(), volumes);
        if volumes {
            assert!(world.volumes.is_empty());
        }
        // And up again.
        crate::walk::deploy(&mut world, &wish, None).expect("after down");
    }
}
