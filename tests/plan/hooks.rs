//! Hooks: when each of them is planned, and that one which a killed run owes is not forgotten.

use stackctl::model::container::EnvValue;
use stackctl::plan::{Action, Plan};

use crate::model::World;
use crate::walk::{Until, deploy, walk};
use crate::wish::Wish;

fn wish(tag: u32, replicas: u32) -> Wish {
    Wish::new(&format!(
        "name = \"shop\"\n[services.app]\nimage = \"acme/app:{tag}\"\nport = 8000\nreplicas = {replicas}\nhealthcheck = \"/health\"\n\
         pre_deploy = [\"migrate\"]\npost_deploy = [\"warm\"]\non_failure = [\"alarm\"]\n[proxy]\ntls = \"off\"\n[routes]\n\"/\" = \"app\"\n"
    ))
}

/// Which of the hooks that are steps a plan has.
fn hooks(plan: &Plan) -> Vec<&'static str> {
    let of = |action: &Action| match action {
        Action::RunJob { .. } => Some("pre"),
        Action::PostDeploy { .. } => Some("post"),
        _ => None,
    };
    plan.steps.iter().filter_map(|s| of(&s.action)).collect()
}

fn planned(world: &mut World, wish: &Wish) -> Vec<&'static str> {
    hooks(&wish.plan(world).plan)
}

#[test]
fn hooks_run_once_a_release() {
    let mut world = World::new("shop");
    for (what, wish, expected) in [
        ("first", wish(1, 1), vec!["pre", "post"]),
        ("nothing to do", wish(1, 1), vec![]),
        ("more of the same", wish(1, 3), vec![]),
        ("another image", wish(2, 3), vec!["pre", "post"]),
        ("and back, from the file", wish(1, 3), vec!["pre", "post"]),
    ] {
        assert_eq!(planned(&mut world, &wish), expected, "{what}");
        deploy(&mut world, &wish, None).expect(what);
    }
}

#[test]
fn the_last_of_all_and_told_of_the_release() {
    let mut world = World::new("shop");
    deploy(&mut world, &wish(1, 2), None).expect("the first");
    let plan = wish(2, 2).plan(&mut world).plan;
    let at = plan.steps.iter().position(|s| matches!(s.action, Action::PostDeploy { .. })).expect("a hook");
    assert!(matches!(plan.steps[at + 1].action, Action::WriteState { .. }) && plan.steps.len() == at + 2, "{plan}");
    let Action::PostDeploy { container, .. } = &plan.steps[at].action else { panic!("{plan}") };
    let told = |name: &str| match container.env.get(name) {
        Some(EnvValue::Plain(text)) => text.clone(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(["STACKCTL_RELEASE", "STACKCTL_PREVIOUS_RELEASE", "STACKCTL_RESULT"].map(told), ["2", "1", "done"]);
    let hook = plan.on_failure.first().expect("on_failure");
    assert_eq!((hook.service.as_str(), hook.command.join(" ").as_str()), ("app", "alarm"));
    assert_eq!(hook.timeout.to_string(), "1m");
    // A plan that does nothing cannot fail.
    deploy(&mut world, &wish(2, 2), None).expect("the second");
    assert!(wish(2, 2).plan(&mut world).plan.on_failure.is_empty());
}

/// Killed after each step: what the next run plans runs the hook if, and only if, it has not run.
#[test]
fn a_killed_run_owes_its_hook() {
    let mut start = World::new("shop");
    deploy(&mut start, &wish(1, 2), None).expect("the first");
    let plan = wish(2, 2).plan(&mut start).plan;
    let hook = plan.steps.iter().position(|s| matches!(s.action, Action::PostDeploy { .. })).expect("a hook");
    for stop in 0..=plan.steps.len() {
        let mut world = start.clone();
        walk(&mut world, &wish(2, 2), &plan, None, Until::Killed(stop, false)).expect("the run that is killed");
        let owed = planned(&mut world, &wish(2, 2)).contains(&"post");
        // Between the hook and the note that it has run, it runs again.
        assert_eq!(
            owed,
            stop < plan.steps.len(),
            "killed after {stop} of {}, hook at {hook}\n{plan}",
            plan.steps.len()
        );
        // Whoever wants the old again gets it, and no hook of the new.
        deploy(&mut world.clone(), &wish(1, 2), None).expect("the old again");
        deploy(&mut world, &wish(2, 2), None).expect("the next run");
    }
}

#[test]
fn going_back_runs_none() {
    let mut world = World::new("shop");
    deploy(&mut world, &wish(1, 1), None).expect("the first");
    deploy(&mut world, &wish(2, 1), None).expect("the second");
    let back = Wish { back: Some(std::collections::BTreeMap::new()), ..wish(1, 1) };
    assert_eq!(planned(&mut world, &back), Vec::<&str>::new());
}
