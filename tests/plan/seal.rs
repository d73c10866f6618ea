//! A sealed plan is carried out as it was seen, or not at all.

use stackctl::model::lock::Lock;
use stackctl::plan::Seal;

use crate::model::World;
use crate::stacks::{CHANGES, Sketch};
use crate::walk::deploy;

fn there() -> (World, Sketch) {
    let mut world = World::new("shop");
    let sketch = Sketch::new();
    deploy(&mut world, &sketch.wish(), None).expect("the first deploy");
    (world, sketch)
}

#[test]
fn what_stays_the_same_does_not_break_it() {
    let (world, mut sketch) = there();
    sketch.tag = 2;
    let wish = sketch.wish();
    let seal = wish.seal_of(&world.observe(&wish.stack));
    let text = serde_json::to_string(&seal).expect("plain data");
    let read: Seal = serde_json::from_str(&text).expect("the same again");
    assert_eq!(read.broken_by(&wish.seal_of(&world.observe(&wish.stack))), Vec::<String>::new());
    assert!(!text.contains("s1"), "a secret's value is in it");
}

#[test]
fn every_change_breaks_it() {
    for change in CHANGES {
        let (mut world, mut sketch) = there();
        sketch.limit = 10;
        let wish = sketch.wish();
        let seal = wish.seal_of(&world.observe(&wish.stack));
        let before = (sketch.text(), sketch.secret, format!("{:?}", world.observe(&wish.stack)));
        (change.file)(&mut sketch);
        (change.hand)(&mut world);
        let wish = sketch.wish();
        let after = (sketch.text(), sketch.secret, format!("{:?}", world.observe(&wish.stack)));
        let broken = seal.broken_by(&wish.seal_of(&world.observe(&wish.stack)));
        assert_eq!(broken.is_empty(), before == after, "{}: {broken:?}", change.name);
    }
}

#[test]
fn it_says_what_is_different() {
    type Hand = fn(&mut World, &mut Sketch);
    let cases: [(Hand, &str); 6] = [
        (|_, s| s.secret = "other", "secret `token` changed"),
        (|_, s| s.limit = 99, "the front door changed"),
        (|w, _| w.move_tag("acme/app:1"), "image acme/app:1 changed"),
        (|w, _| w.stop_by_hand("shop-api-1"), "container shop-api-1 changed"),
        (|w, _| w.record(2, "failed"), "the number of the next release changed"),
        (|_, s| s.worker = false, "service worker is gone"),
    ];
    for (change, expected) in cases {
        let (mut world, mut sketch) = there();
        let wish = sketch.wish();
        let seal = wish.seal_of(&world.observe(&wish.stack));
        change(&mut world, &mut sketch);
        let wish = sketch.wish();
        assert_eq!(seal.broken_by(&wish.seal_of(&world.observe(&wish.stack))), [expected]);
    }
}

/// What `apply::prepare` adds for a lock: an entry that changed is named, whatever else follows from it.
#[test]
fn a_changed_entry_of_the_lock_is_named() {
    let (world, sketch) = there();
    let wish = sketch.wish();
    let lock = |entries: &[(&str, &str)]| Lock {
        images: entries.iter().map(|(image, digest)| ((*image).to_owned(), format!("sha256:{digest}"))).collect(),
    };
    let seal = |lock: Option<&Lock>| wish.seal_of(&world.observe(&wish.stack)).with_lock(&wish.stack, lock);
    let then = lock(&[("acme/app:1", "a"), ("acme/api:1", "b"), ("of/another:stage", "c")]);
    let sealed = seal(Some(&then));
    let cases: [(Option<Lock>, &[&str]); 5] = [
        (Some(lock(&[("acme/app:1", "a"), ("acme/api:1", "b"), ("of/another:stage", "d")])), &[]),
        (Some(lock(&[("acme/app:1", "x"), ("acme/api:1", "b")])), &["stack.lock's digest of `acme/app:1` changed"]),
        (Some(lock(&[("acme/app:1", "a")])), &["stack.lock's digest of `acme/api:1` is gone"]),
        (
            Some(lock(&[("acme/app:1", "a"), ("acme/api:1", "b"), ("redis:7", "e")])),
            &["stack.lock's digest of `redis:7` is new"],
        ),
        (None, &["stack.lock's digest of `acme/api:1` is gone", "stack.lock's digest of `acme/app:1` is gone"]),
    ];
    for (now, expected) in cases {
        assert_eq!(sealed.broken_by(&seal(now.as_ref())), expected, "{now:?}");
    }
}

#[test]
fn a_first_deploy_can_be_sealed_before_there_is_a_key() {
    let mut world = World::new("shop");
    let wish = Sketch::new().wish();
    let seal = wish.seal_of(&world.observe(&wish.stack));
    assert!(seal.wanted.keys().all(|k| !k.starts_with("secret `")), "{:?}", seal.wanted.keys());
    world.ensure_state(&wish.stack);
    assert_eq!(seal.broken_by(&wish.seal_of(&world.observe(&wish.stack))), Vec::<String>::new());
}

#[test]
fn another_version_or_project_may_lead_to_other_steps() {
    let (world, sketch) = there();
    let wish = sketch.wish();
    let now = wish.seal_of(&world.observe(&wish.stack));
    let old = Seal { stackctl: "0.0.1".into(), ..now.clone() };
    assert_eq!(old.broken_by(&now).len(), 1);
    let other = Seal { stage: "staging".into(), ..now.clone() };
    assert_eq!(other.broken_by(&now), ["it is for shop (stage staging), not for shop"]);
    let mut steps = now.clone();
    steps.steps.push("remove everything: because".into());
    assert_eq!(steps.broken_by(&now), ["the same files and the same engine now lead to other steps"]);
}
