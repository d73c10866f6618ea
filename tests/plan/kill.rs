//! A run that is killed after any step, or in the middle of one: the next one finishes.

use crate::converge::report;
use crate::model::World;
use crate::stacks::Sketch;
use crate::walk::{Dice, Until, Walk, deploy, walk};

type Make = fn(&mut Sketch);

/// What was deployed before, and what the run that is killed was about. `None` before: nothing.
pub(crate) const PLANS: &[(&str, Option<Make>, Make)] = &[
    ("first deploy", None, |_| {}),
    ("image", Some(|_| {}), |s| s.tag = 2),
    ("scale up", Some(|_| {}), |s| s.replicas = 4),
    ("scale down", Some(|s| s.replicas = 3), |s| s.replicas = 1),
    ("scale down and image", Some(|s| s.replicas = 3), |s| (s.replicas, s.tag) = (1, 2)),
    ("scale up and image", Some(|_| {}), |s| (s.replicas, s.tag) = (3, 2)),
    ("limit", Some(|_| {}), |s| s.limit = 99),
    ("limit and image", Some(|_| {}), |s| (s.limit, s.tag) = (99, 2)),
    ("service removed", Some(|_| {}), |s| (s.api, s.worker) = (false, false)),
    ("service added", Some(|s| s.api = false), |s| s.api = true),
    ("renamed", Some(|_| {}), |s| s.app = "web"),
    ("no longer routed", Some(|_| {}), |s| s.api_route = false),
    ("routed now", Some(|s| s.api_route = false), |s| s.api_route = true),
    ("database", Some(|_| {}), |s| s.database = "512M"),
    ("database and image", Some(|_| {}), |s| (s.database, s.tag) = ("512M", 2)),
    ("port", Some(|_| {}), |s| s.port = 8001),
    ("port and limit", Some(|_| {}), |s| (s.port, s.limit, s.replicas) = (8001, 99, 3)),
    ("port and a new route", Some(|s| s.api = false), |s| (s.port, s.api) = (8001, true)),
    ("port of the door", Some(|_| {}), |s| s.door = Some(("nginx:1.30", 9090))),
    ("door and image", Some(|_| {}), |s| (s.door, s.tag) = (Some(("nginx:1.29", 8080)), 2)),
    ("secret", Some(|_| {}), |s| s.secret = "s2"),
    ("network", Some(|_| {}), |s| s.egress = false),
    ("prometheus", Some(|s| s.prometheus = true), |s| (s.prometheus, s.tag) = (true, 2)),
    ("without door", Some(|_| {}), |s| s.door = None),
    ("files", Some(|s| s.files = None), |s| s.files = Some("/app/static")),
    ("other files", Some(|_| {}), |s| s.files = Some("/app/public")),
];

/// What somebody wants after the kill instead of the same again; the first is just that.
const THIRD: &[(&str, Make)] = &[
    ("the same", |_| {}),
    ("another image", |s| s.tag = 3),
    ("the old", |s| *s = Sketch::new()),
    ("another environment, one replica", |s| (s.env, s.replicas) = ("c", 1)),
    ("more", |s| (s.replicas, s.api_replicas) = (4, 2)),
    ("api not routed", |s| s.api_route = false),
    ("app not routed", |s| (s.app_route, s.api, s.api_route, s.tag) = (false, true, true, 3)),
    ("another door", |s| (s.door, s.tag) = (Some(("nginx:1.28", 8081)), 3)),
    ("another limit", |s| s.limit = 77),
    ("another port", |s| s.port = 8002),
    ("no files", |s| s.files = None),
];

pub(crate) fn sketches(before: Option<Make>, during: Make) -> (Option<Sketch>, Sketch) {
    let before = before.map(|make| {
        let mut sketch = Sketch::new();
        make(&mut sketch);
        sketch
    });
    let mut changed = before.clone().unwrap_or_else(Sketch::new);
    during(&mut changed);
    (before, changed)
}

fn sweep(plans: &[(&str, Option<Make>, Make)], thirds: &[(&str, Make)], orders: u64) {
    let mut failed = Vec::new();
    let mut cases = 0;
    for (name, before, during) in plans {
        let (before, during) = sketches(*before, *during);
        let mut start = World::new("shop");
        if let Some(before) = &before {
            deploy(&mut start, &before.wish(), None).expect("what was there before");
        }
        let wish = during.wish();
        let planned = wish.plan(&mut start).plan;
        let thirds: Vec<_> = thirds
            .iter()
            .map(|(third, make)| {
                let mut sketch = during.clone();
                make(&mut sketch);
                (third, sketch.wish())
            })
            .collect();
        for order in 0..orders {
            let dice = (order > 0).then(|| Dice::new(order * 31 + planned.steps.len() as u64));
            let mut going = Walk::new(start.clone(), &wish, &planned, dice).expect("a plan in order");
            // What came of the last kill that was tried: the same kill again says nothing new.
            let mut tried: Option<(World, Option<Dice>)> = None;
            for stop in 0..planned.steps.len() {
                for half in [false, true] {
                    let mut killed = going.clone();
                    if let Err(e) = if half { killed.killed(&planned) } else { Ok(()) } {
                        failed.push((format!("{name}, order {order}, killed at {stop}"), e));
                        continue;
                    }
                    cases += thirds.len();
                    let case = (killed.world, (order > 0).then(|| Dice::new(order + stop as u64)));
                    if tried.as_ref() == Some(&case) {
                        continue;
                    }
                    for (third, wish) in &thirds {
                        if let Err(e) = deploy(&mut case.0.clone(), wish, case.1.clone()) {
                            let case = format!("{name}, order {order}, killed after {stop} (half: {half}), {third}");
                            failed.push((case, format!("{e}\nthe plan that was killed\n{planned}")));
                        }
                    }
                    tried = Some(case);
                }
                match going.on(&wish, &planned) {
                    Ok(more) => assert!(more, "{name}: nothing can begin after {stop} steps\n{planned}"),
                    Err(e) => {
                        failed.push((format!("{name}, order {order}, at step {stop}"), e));
                        break;
                    }
                }
            }
        }
    }
    report(&failed, cases);
}

#[test]
fn the_next_run_finishes() {
    sweep(PLANS, &THIRD[..1], 6);
}

#[test]
fn the_next_run_may_want_something_else() {
    sweep(PLANS, &THIRD[1..], 1);
}

/// Killed four times in a row, wanting something else each time.
#[test]
fn a_run_of_bad_luck_ends_well() {
    let mut failed = Vec::new();
    let cases = 400;
    for seed in 1..=cases {
        let mut dice = Dice::new(seed * 104_729);
        let mut world = World::new("shop");
        // Without files out of images: after several killed runs in a row their links may be behind until a run ends.
        let mut sketch = Sketch { files: None, ..Sketch::new() };
        let mut story = Vec::new();
        let mut run = || -> Result<(), String> {
            if dice.below(4) > 0 {
                deploy(&mut world, &sketch.wish(), None)?;
            }
            for _ in 0..4 {
                // All but the last, which is about files.
                let (name, make) = THIRD[dice.below(THIRD.len() - 1)];
                make(&mut sketch);
                sketch.files = None;
                sketch.tag += u32::try_from(dice.below(2)).unwrap_or(0);
                let wish = sketch.wish();
                let planned = wish.plan(&mut world).plan;
                let stop = dice.below(planned.steps.len() + 1);
                let half = dice.below(2) == 0;
                story.push(format!("{name}, tag {}, killed after {stop} {half}", sketch.tag));
                walk(&mut world, &wish, &planned, Some(dice.clone()), Until::Killed(stop, half))?;
            }
            deploy(&mut world, &sketch.wish(), Some(dice.clone()))
        };
        if let Err(e) = run() {
            failed.push((format!("{seed}: {story:#?}"), e));
        }
    }
    report(&failed, usize::try_from(cases).unwrap_or(0));
}
