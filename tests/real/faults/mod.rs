//! Seeded faults: one healthy stack, broken in one way at a time. Exactly the checks that a fault names find it, the cause
//! comes first, and it points at the right line. `make soak` tries every fault, `make test` those marked `often`.

mod bench;
mod document;
mod fault;
mod hand;
mod report;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use stackctl::probe::CATALOGUE;

use super::support::soak;
use bench::Bench;
use fault::{Fault, LANES, families, families_of};

#[test]
fn exactly_the_checks_that_look_for_a_fault_find_it() {
    let begin = Instant::now();
    // Those with one of the words (`a|b`) in their name, for whoever works on them.
    let named = std::env::var("FAULT_NAMED").ok();
    let asked = |fault: &Fault| {
        named.as_ref().map_or(soak() || fault.often, |words| words.split('|').any(|word| fault.what.contains(word)))
    };
    // A second stack pays for itself where there is much to do.
    let lanes = &LANES[..if soak() { 2 } else { 1 }];
    let of_lane = |number: usize| -> Vec<Fault> {
        let all = families_of(lanes[number]).into_iter().flat_map(|family| family.faults);
        let mut chosen: Vec<Fault> = all.filter(asked).collect();
        // What is asked of the front door's files needs no healthy stack in between.
        chosen.sort_by_key(|fault| fault.asks);
        chosen
    };
    let number = of_lane(0).len();
    // Whoever is free takes the next one: none is waited for longer than the others.
    let next = AtomicUsize::new(0);
    let coming_up = Mutex::new(());
    let wrong = Mutex::new(Vec::new());
    let of_lane = &of_lane;
    std::thread::scope(|scope| {
        for (lane, at) in lanes.iter().zip(0..) {
            let (next, coming_up, wrong) = (&next, &coming_up, &wrong);
            scope.spawn(move || {
                let mut bench = {
                    // Stacks that come up at the same time choose from the same pool.
                    let _turn = coming_up.lock().unwrap_or_else(PoisonError::into_inner);
                    Bench::new(*lane)
                };
                println!("{} is up and healthy after {:.1} s", lane.name, begin.elapsed().as_secs_f64());
                let faults = of_lane(at);
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begin = Instant::now();
                    let trouble = bench.tries(fault);
                    let word = if trouble.is_empty() { "found" } else { "WRONG" };
                    let took = begin.elapsed().as_secs_f64();
                    println!("{word} in {took:4.1} s: {} {}", fault.what, trouble.join("; "));
                    let trouble = trouble.into_iter().map(|trouble| format!("{}: {trouble}", fault.what));
                    wrong.lock().unwrap_or_else(PoisonError::into_inner).extend(trouble);
                }
                bench.wait_until_healthy();
            });
        }
    });
    let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{} of {number} faults in {:.0} s", number - wrong.len(), begin.elapsed().as_secs_f64());
    assert!(number > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_fault_names_checks_that_exist() {
    let families = families();
    let all = || families.iter().flat_map(|family| &family.faults);
    let names: BTreeSet<&str> = all().map(|fault| fault.what.as_str()).collect();
    assert_eq!(names.len(), all().count(), "two faults have one name");
    assert!(all().count() >= 60);
    for fault in all() {
        let finds = fault.finds();
        assert!(finds.contains_key(fault.cause.as_str()), "{}: the cause is not among those who find it", fault.what);
        for id in finds.keys() {
            assert!(CATALOGUE.iter().any(|check| check.id == *id), "{}: {id}", fault.what);
        }
        assert!(!fault.way().is_empty());
    }
    assert!((10..=16).contains(&all().filter(|fault| fault.often).count()), "a spread, and a short one");
}

#[test]
fn the_document_is_made_from_the_table() {
    document::compare(&families());
}
