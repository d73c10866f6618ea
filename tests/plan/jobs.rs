//! Services of `kind = "job"`: in the order of dependencies, once for each version of themselves.

use stackctl::model::observed::Observed;
use stackctl::plan::PlanError;

use crate::model::World;
use crate::walk::{Until, walk};
use crate::wish::Wish;

const STACK: &str = r#"
name = "shop"

[services.app]
image      = "acme/app:1"
port       = 8000
depends_on = ["load"]

[services.load]
image      = "acme/tools:1"
kind       = "job"
command    = ["load", "--all"]
depends_on = ["db"]

[services.db]
preset = "postgres:15"
"#;

fn deploy(world: &mut World, wish: &Wish) -> String {
    let plan = wish.plan(world).plan;
    walk(world, wish, &plan, None, Until::End).expect("a deploy");
    world.record(plan.release, "done");
    plan.to_string()
}

/// Numbers of the steps whose line starts with this.
fn at(plan: &str, start: &str) -> usize {
    let place = |line: &str| line.split_once(' ').is_some_and(|(_, rest)| rest.starts_with(start));
    plan.lines().position(place).unwrap_or_else(|| panic!("no step `{start}` in\n{plan}"))
}

#[test]
fn a_job_runs_between_what_it_needs_and_what_needs_it() {
    let mut world = World::new("shop");
    let wish = Wish::new(STACK);
    let plan = deploy(&mut world, &wish);
    let [ready, run, start] =
        ["wait until shop-db-1", "run shop-load-job", "start shop-app-1"].map(|step| at(&plan, step));
    assert!(ready < run && run < start, "{plan}");
    let line = plan.lines().nth(start).unwrap_or_default();
    assert!(line.contains(&format!("#{run}")), "it waits for the job: {line}");
    assert!(world.find("shop-load-job").is_none(), "it is gone when it has ended");
    assert_eq!(deploy(&mut world, &wish), "", "once is enough");
}

#[test]
fn it_runs_again_when_something_about_it_has_changed_or_its_work_is_lost() {
    let mut world = World::new("shop");
    deploy(&mut world, &Wish::new(STACK));
    let other = deploy(&mut world, &Wish::new(&STACK.replace("acme/app:1", "acme/app:2")));
    assert!(other.contains("start shop-app-1") && !other.contains("run shop-load-job"), "not its own change:\n{other}");
    for (from, to) in [("--all", "--more"), ("acme/tools:1", "acme/tools:2")] {
        let plan = deploy(&mut world, &Wish::new(&STACK.replace(from, to)));
        assert!(plan.contains("run shop-load-job"), "{to}:\n{plan}");
    }
    deploy(&mut world, &Wish::new(STACK));
    world.remove_by_hand("shop-db-1");
    let plan = deploy(&mut world, &Wish::new(STACK));
    assert!(!plan.contains("run shop-load-job"), "its work is on a volume that stayed:\n{plan}");
    world.remove_by_hand("shop-db-1");
    assert!(world.volumes.remove("shop_db-data").is_some());
    let plan = deploy(&mut world, &Wish::new(STACK));
    assert!(plan.contains("run shop-load-job"), "{plan}");
}

#[test]
fn one_that_failed_runs_again() {
    let mut world = World::new("shop");
    let wish = Wish::new(STACK);
    let plan = wish.plan(&mut world).plan;
    let run = at(&plan.to_string(), "run shop-load-job");
    walk(&mut world, &wish, &plan, None, Until::Fails(run, true)).expect("a failure that is taken back");
    assert!(world.find("shop-app-1").is_none(), "nothing that needs it has begun");
    assert!(deploy(&mut world, &wish).contains("run shop-load-job"));
}

#[test]
fn a_service_that_becomes_a_job_loses_its_containers() {
    let mut world = World::new("shop");
    deploy(&mut world, &Wish::new(&STACK.replace("kind       = \"job\"", "kind       = \"worker\"")));
    assert!(world.find("shop-load-1").is_some());
    deploy(&mut world, &Wish::new(STACK));
    assert!(world.find("shop-load-1").is_none());
}

#[test]
fn images_are_pulled_as_the_file_says() {
    let mut world = World::new("shop");
    let never = Wish::new(&STACK.replace("\"acme/app:1\"", "\"acme/app:1\"\npull_policy = \"never\""));
    world.ensure_state(&never.stack);
    let missing = never.try_plan(&world.observe(&never.stack)).err();
    assert_eq!(missing, Some(PlanError::NoImage { image: "acme/app:1".into(), service: "app".into() }));

    let always = Wish::new(&STACK.replace("\"acme/app:1\"", "\"acme/app:1\"\npull_policy = \"always\""));
    deploy(&mut world, &always);
    let same = world.observe(&always.stack);
    assert!(always.plan_of(&same).plan.is_empty(), "the registry has the same");
    let moved = Observed { moved: ["acme/app:1".to_owned()].into(), ..same };
    let plan = always.plan_of(&moved).plan.to_string();
    let [pull, create] = ["pull acme/app:1", "create shop-app-1"].map(|step| at(&plan, step));
    assert!(pull < create && plan.contains("the registry has another one by that name"), "{plan}");
    assert!(!plan.contains("shop-db-1"), "{plan}");
}

#[test]
fn what_runs_elsewhere_is_asked_before_anything_that_needs_it_starts() {
    let text = STACK
        .replace("preset = \"postgres:15\"", "preset = \"postgres\"\nexternal = \"postgresql://db.example.com/shop\"")
        .replace("depends_on = [\"load\"]", "environment = { HOST = \"${db.host}\" }");
    let mut world = World::new("shop");
    let wish = Wish::new(&text);
    let plan = deploy(&mut world, &wish);
    let reach = at(&plan, "connect to db at db.example.com:5432");
    for start in ["start shop-app-1", "run shop-load-job"] {
        let line = plan.lines().nth(at(&plan, start)).unwrap_or_default();
        assert!(line.contains(&format!("#{reach}")), "{line}");
    }
    assert_eq!(deploy(&mut world, &wish), "", "nothing starts: nobody asks");
}
