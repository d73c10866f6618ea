//! What planning costs: processor time of the pure half (place, compare, order) for stacks of 75, 150 and 300 services.
//!
//! ```text
//! cargo bench --bench plan          # as released; exits with 1 if a bound is missed
//! ```
//!
//! A third of the services has routes and may reach the outside; the others are asked by those only, each on a network
//! of its own. The front door's files are stood in for (`wish.rs`); `benches/render.py` measures the real ones.

#![expect(clippy::expect_used, clippy::panic, reason = "a bench fails by panicking")]
#![expect(clippy::print_stdout, reason = "the table is what it is for")]
#![allow(dead_code, reason = "the model is that of the tests, which use all of it")]

mod model;
mod wish;

use std::fmt::Write as _;
use std::process::ExitCode;

use model::{Extent, World};
use stackctl::config;
use wish::Wish;

/// Most processor time of a plan for 300 services.
const BOUND_MS: f64 = 50.0;

/// How much more than four times as long four times as many services may take.
const GROWTH: f64 = 1.5;

const SIZES: [usize; 3] = [75, 150, 300];

/// Times are the best of so many: what else the machine does only adds.
const RUNS: usize = 7;

/// And each is the mean of so many, since some kernels count a thread's time only every few milliseconds.
const ROUNDS: u32 = 20;

/// Ten services a group: three are asked from outside and use seven others.
fn stack(services: usize, tag: u32) -> String {
    let mut text = String::from("name = \"shop\"\npool = \"10.64.0.0/14\"\n");
    let mut routes = String::new();
    for group in 0..services / 10 + usize::from(!services.is_multiple_of(10)) {
        for member in 0..10.min(services - group * 10) {
            let name = format!("s{group}-{member}");
            let _ = write!(
                text,
                "[services.{name}]\nimage = \"acme/{name}:{tag}\"\nport = 8000\nhealthcheck = \"/health\"\n"
            );
            let _ = writeln!(text, "memory = \"64M\"");
            if member < 3 {
                let needs: Vec<String> =
                    (3..10.min(services - group * 10)).map(|m| format!("\"s{group}-{m}\"")).collect();
                let _ = writeln!(
                    text,
                    "depends_on = [{}]\n[services.{name}.environment]\nLEVEL = \"info\"",
                    needs.join(", ")
                );
                let _ = writeln!(routes, "\"/{name}/\" = \"{name}\"");
            } else {
                let _ = writeln!(text, "egress = false");
            }
        }
    }
    format!("{text}[proxy]\ndomains = [\"localhost\"]\ntls = \"off\"\nhttp_port = 8080\n[routes]\n{routes}")
}

/// Processor time of this thread so far, milliseconds: the first field of schedstat, in nanoseconds (proc(5)).
fn spent() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux with schedstat");
    let nanos: f64 = text.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    nanos / 1e6
}

fn best(mut work: impl FnMut()) -> f64 {
    let once = |work: &mut dyn FnMut()| {
        let before = spent();
        for _ in 0..ROUNDS {
            work();
        }
        (spent() - before) / f64::from(ROUNDS)
    };
    (0..RUNS).map(|_| once(&mut work)).fold(f64::INFINITY, f64::min)
}

/// Milliseconds to read the file, to plan the first deploy, a release of everything, and nothing to do; and steps of
/// the release.
fn measure(services: usize) -> ([f64; 4], usize) {
    let text = stack(services, 1);
    let read = best(|| drop(config::load(&text, None, &std::collections::BTreeMap::new())));
    let wish = Wish::new(&text);
    let mut world = World::new("shop");
    world.ensure_state(&wish.stack);
    let empty = world.observe(&wish.stack);
    let first = best(|| drop(wish.plan_of(&empty)));
    let planned = wish.plan(&mut world);
    for step in &planned.plan.steps {
        world.apply(step, Extent::Whole).unwrap_or_else(|e| panic!("{}: {e}", step.action));
    }
    world.record(planned.plan.release, "done");
    let there = world.observe(&wish.stack);
    assert!(wish.plan_of(&there).plan.is_empty(), "there is something to do:\n{}", wish.plan_of(&there).plan);
    let nothing = best(|| drop(wish.plan_of(&there)));
    let all = Wish::new(&stack(services, 2));
    let steps = all.plan_of(&there).plan.steps.len();
    let release = best(|| drop(all.plan_of(&there)));
    ([read, first, release, nothing], steps)
}

fn main() -> ExitCode {
    println!("processor time, ms, best of {RUNS}; bound {BOUND_MS} ms for a plan of {} services\n", SIZES[2]);
    println!("services  steps  read file  first deploy  release of all  nothing to do");
    let figures: Vec<([f64; 4], usize)> = SIZES.iter().map(|n| measure(*n)).collect();
    for (size, ([read, first, release, nothing], steps)) in SIZES.iter().zip(&figures) {
        println!("{size:>8}  {steps:>5}  {read:>9.1}  {first:>12.1}  {release:>14.1}  {nothing:>13.1}");
    }
    let (small, large) = (figures[0].0, figures[2].0);
    let slow = large[1..].iter().any(|ms| *ms > BOUND_MS);
    let growth = large.iter().zip(small).skip(1).map(|(large, small)| large / small / 4.0).fold(0.0, f64::max);
    println!(
        "\nfour times as many services take at most {:.1} times as long (bound {:.1})",
        growth * 4.0,
        GROWTH * 4.0
    );
    if slow || growth > GROWTH {
        println!("a bound is missed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
