//! A service that changes its port together with its containers: nobody is sent to a port where nobody listens.

use stackctl::plan::{Action, Plan};

use crate::model::World;
use crate::stacks::Sketch;
use crate::walk::{Until, deploy, fail};

fn sketch(port: u16) -> Sketch {
    Sketch { port, ..Sketch::new() }
}

fn index(plan: &Plan, what: fn(&Action) -> bool) -> Option<usize> {
    plan.steps.iter().position(|s| what(&s.action))
}

fn flips(action: &Action) -> bool {
    matches!(action, Action::Switch { links, .. } if links.keys().any(|link| link.starts_with("live/")))
}

fn door_loads(action: &Action) -> bool {
    matches!(action, Action::Reload { service, .. } if service.as_str() == "proxy")
}

#[test]
fn the_front_door_learns_the_port_before_traffic_moves() {
    let mut world = World::new("shop");
    deploy(&mut world, &sketch(8000).wish(), None).expect("the first");
    let plan = sketch(8001).wish().plan(&mut world).plan;
    assert!(!plan.needs_consent(), "{plan}");
    let (loads, gate, flips) =
        (index(&plan, door_loads), index(&plan, |a| matches!(a, Action::Gate { .. })), index(&plan, flips));
    assert!(loads < gate && gate < flips && loads.is_some(), "load, ask, switch\n{plan}");
    deploy(&mut world, &sketch(8001).wish(), None).expect("another port");
    // And back: the front door still knows the old port in the other bank.
    let back = sketch(8000).wish().plan(&mut world).plan;
    assert!(!back.needs_consent() && index(&back, door_loads).is_none(), "only the flags move\n{back}");
    deploy(&mut world, &sketch(8000).wish(), None).expect("back");
}

/// Taken back whole, whatever fails before traffic has moved: the old files are loaded again.
#[test]
fn what_fails_before_the_switch_leaves_the_old_port() {
    let mut start = World::new("shop");
    deploy(&mut start, &sketch(8000).wish(), None).expect("the first");
    let wish = Sketch { limit: 99, ..sketch(8001) }.wish();
    let plan = wish.plan(&mut start).plan;
    let switch = index(&plan, flips).expect("a switch");
    for index in 0..switch {
        let mut world = start.clone();
        let back = fail(&mut world, &wish, &plan, None, Until::Fails(index, false), false);
        assert_eq!(back, Ok(true), "#{index}\n{plan}");
        assert_eq!(world.loaded(), start.loaded(), "#{index}: other files are loaded\n{plan}");
    }
}

/// Somebody removes a container by hand: its address is still the front door's, and nobody else gets it.
#[test]
fn an_address_that_the_front_door_knows_is_taken() {
    let mut world = World::new("shop");
    let before = Sketch { worker: false, ..sketch(8000) };
    deploy(&mut world, &before.wish(), None).expect("the first");
    let freed = world.find("shop-api-1").expect("api").networks.clone();
    world.remove_by_hand("shop-api-1");
    let wish = Sketch { worker: true, api: false, ..before }.wish();
    let worker = |world: &World| world.find("shop-worker-1").map(|c| c.networks.clone()).expect("worker");
    deploy(&mut world, &wish, None).expect("a worker instead");
    assert!(freed.iter().all(|(network, address)| worker(&world).get(network) != Some(address)), "{freed:?}");
}
