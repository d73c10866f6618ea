use super::*;
use crate::base::name::{ProjectName, ServiceName};
use crate::base::units::Span;
use crate::model::container::{ContainerSpec, NetworkSpec, Subnet};

fn service(name: &str) -> ServiceName {
    ServiceName::parse(name).unwrap_or_else(|| unreachable!())
}

fn step(action: Action, cause: &str) -> Step {
    Step { action, cause: cause.into(), after: Vec::new(), interrupts: None, at_most: None, destroys: false }
}

fn plan() -> Plan {
    let network = NetworkSpec {
        name: "sum_default".into(),
        subnet: Subnet([10, 83, 0, 0].into()),
        internal: false,
        labels: BTreeMap::new(),
    };
    let ready = Action::WaitReady {
        container: "sum-app-1-next".into(),
        service: service("app"),
        health: None,
        address: None,
        hold: None,
        timeout: None,
    };
    let steps = vec![
        step(Action::CreateNetwork { network }, "not there yet"),
        step(Action::Start { container: "sum-app-1-next".into() }, "its image changed"),
        step(ready, "its image changed"),
        step(
            Action::Drain {
                time: Span::seconds(5),
                service: service("app"),
                door: "sum-proxy-1".into(),
                addresses: vec![],
            },
            "its image changed",
        ),
        step(Action::Stop { container: "sum-app-1".into(), grace: Span::seconds(30) }, "replaced"),
        Step {
            interrupts: Some("postgres is away while it starts again".into()),
            at_most: Some(Span::seconds(90)),
            ..step(Action::Stop { container: "sum-postgres-1".into(), grace: Span::seconds(60) }, "its memory changed")
        },
        Step { destroys: true, ..step(Action::RemoveVolume { volume: "sum_old".into() }, "asked for") },
    ];
    Plan {
        on_failure: Vec::new(),
        project: ProjectName::parse("sum").unwrap_or_else(|| unreachable!()),
        release: 4,
        steps,
        notes: vec!["Nginx 1.22 may close idle connections at a reload".into()],
    }
}

#[test]
fn people_see_groups_causes_and_consequences() {
    assert_eq!(
        human(&plan(), Paint(false), 80, false),
        "the stack\n  \
           + create network sum_default (10.83.0.0/24)\n      \
               not there yet\n  \
           - remove volume sum_old  asked for\n      \
               destroys: it cannot be made again\n\
         \n~ app\n  \
           ~ start sum-app-1-next  its image changed\n  \
           - stop sum-app-1        replaced\n\
         \n~ postgres\n  \
           - stop sum-postgres-1  its memory changed\n      \
               interrupts: postgres is away while it starts again (at most 1m30s)\n\
         \nnote: Nginx 1.22 may close idle connections at a reload\n\
         \nrelease 4 of sum: 7 steps (1 to make, 1 to change, 3 to take away)\n\
         interrupts service: 1 step; destroys data: 1 step\n"
    );
}

#[test]
fn details_show_waiting_too() {
    let text = human(&plan(), Paint(false), 80, true);
    assert!(text.contains("· let requests to the old app end (at most 5s)\n      its image changed\n"), "{text}");
}

#[test]
fn a_service_is_made_changed_replaced_or_taken_away() {
    let create = |name: &str| Action::Create {
        container: Box::new(ContainerSpec { name: name.into(), ..ContainerSpec::default() }),
        service: service("app"),
    };
    let stop = || Action::Stop { container: "sum-app-1".into(), grace: Span::seconds(1) };
    let remove = || Action::Remove { container: "sum-app-1".into() };
    let start = || Action::Start { container: "sum-app-1".into() };
    for (steps, sign) in [
        (vec![create("sum-app-1"), start()], '+'),
        (vec![create("sum-app-1.0a"), stop(), remove()], '±'),
        (vec![stop(), remove()], '-'),
        (vec![start()], '~'),
    ] {
        let steps = steps.into_iter().map(|a| step(a, "memory 128M → 256M")).collect();
        let plan = Plan { steps, notes: Vec::new(), ..plan() };
        assert!(human(&plan, Paint(false), 80, false).starts_with(&format!("{sign} app\n")), "{sign}");
        let value = json(&plan);
        assert_eq!(value["services"][0]["sign"], sign.to_string());
        assert_eq!(value["services"][0]["service"], "app");
        assert_eq!(value["services"][0]["causes"], serde_json::json!(["memory 128M → 256M"]));
    }
}

#[test]
fn an_empty_plan_is_good_news() {
    let empty = Plan { steps: Vec::new(), notes: Vec::new(), ..plan() };
    assert_eq!(human(&empty, Paint(false), 80, false), "sum: everything is as stack.toml says; nothing to do\n");
    assert_eq!(json(&empty)["changes"], false);
}

#[test]
fn programs_get_the_steps() {
    let value = json(&plan());
    assert_eq!(value["schema"], "stackctl.plan/1");
    assert_eq!(value["needs_consent"], true);
    assert_eq!(value["steps"][1]["service"], "app");
    assert_eq!(value["steps"][0]["service"], Value::Null);
    assert_eq!(value["steps"][6]["destroys"], true);
}

#[test]
fn a_container_tells_its_service() {
    assert_eq!(from_name("sum-app-1", "sum"), Some("app"));
    assert_eq!(from_name("sum-my-app-12-next", "sum"), Some("my-app"));
    assert_eq!(from_name("other-app-1", "sum"), None);
    assert_eq!(from_name("sum-app", "sum"), None);
}
