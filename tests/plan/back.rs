//! Going back to a release whose image's tag means something else by now.

use std::collections::BTreeMap;

use stackctl::model::container::label;
use stackctl::model::stack::Stack;
use stackctl::plan::Action;

use crate::model::World;
use crate::stacks::Sketch;
use crate::walk::{Dice, Until, deploy, walk};
use crate::wish::Wish;

const IMAGE: &str = "acme/app:1";
const HELD: &str = "shop-app:held-1";

/// What was deployed first, a world in which the tag has moved since and other things have changed, and the way back.
fn moved() -> (World, World, Wish) {
    let mut world = World::new("shop");
    let mut sketch = Sketch::new();
    deploy(&mut world, &sketch.wish(), None).expect("the first deploy");
    let first = world.clone();
    let id = world.images[IMAGE].clone();
    world.images.insert(HELD.into(), id);
    world.move_tag(IMAGE);
    (sketch.env, sketch.secret, sketch.limit, sketch.replicas) = ("b", "s2", 99, 3);
    deploy(&mut world, &sketch.wish(), None).expect("another release");
    let mut back = Sketch::new().wish();
    back.back = Some(BTreeMap::from([(IMAGE.to_owned(), HELD.to_owned())]));
    (first, world, back)
}

#[test]
fn hashes_and_images_are_those_of_the_release() {
    for seed in 0..20 {
        let (first, mut world, back) = moved();
        deploy(&mut world, &back, (seed > 0).then(|| Dice::new(seed))).expect("the way back");
        for then in first.containers.iter().filter(|c| c.label(label::ROLE) == "service") {
            let now = world.find(&then.name).expect(&then.name);
            assert_eq!(now.label(label::CONFIG), then.label(label::CONFIG), "{}", then.name);
            assert_eq!(now.image, then.image, "{}", then.name);
        }
    }
}

#[test]
fn data_does_not_go_back_and_nothing_is_built() {
    let (_, mut world, back) = moved();
    let plan = back.plan(&mut world).plan;
    let forbidden = |a: &Action| matches!(a, Action::RunJob { .. } | Action::Build { .. } | Action::Pull { .. });
    assert!(!plan.steps.iter().any(|s| forbidden(&s.action)), "{plan}");
    let image_of = |a: &Action| match a {
        Action::Create { container, service } if service.as_str() == "app" => Some(container.image.clone()),
        _ => None,
    };
    assert!(plan.steps.iter().filter_map(|s| image_of(&s.action)).all(|i| i == HELD), "{plan}");
}

#[test]
fn killed_on_the_way_it_gets_there_all_the_same() {
    let (_, mut start, back) = moved();
    let plan = back.plan(&mut start).plan;
    for stop in 0..plan.steps.len() {
        for half in [false, true] {
            let mut world = start.clone();
            walk(&mut world, &back, &plan, None, Until::Killed(stop, half)).expect("until the kill");
            deploy(&mut world, &back, None).unwrap_or_else(|e| panic!("killed after {stop} ({half}): {e}"));
        }
    }
}

#[test]
fn a_record_holds_the_whole_stack() {
    let example = Wish::new(include_str!("../../stack.example.toml"));
    for stack in [example.stack, Sketch::new().wish().stack] {
        let text = serde_json::to_string(&stack).expect("plain data");
        let read: Stack = serde_json::from_str(&text).expect("the same again");
        assert_eq!(read, stack);
    }
}
