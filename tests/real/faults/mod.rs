//! Seeded faults: one healthy stack, broken in one way at a time. Exactly the checks that a fault names find it, the cause
//! comes first, and it points at the right line. `make soak` tries every fault, `make test` those marked `often`.

mod bench;
mod document;
mod fault;
mod hand;
mod report;

use std::collections::BTreeSet;
use std::time::Instant;

use stackctl::probe::CATALOGUE;

use super::support::soak;
use bench::Bench;
use fault::{Fault, families};

#[test]
fn exactly_the_checks_that_look_for_a_fault_find_it() {
    let begin = Instant::now();
    // Those with one of the words (`a|b`) in their name, for whoever works on them.
    let named = std::env::var("FAULT_NAMED").ok();
    let asked = |fault: &Fault| {
        named.as_ref().map_or(soak() || fault.often, |words| words.split('|').any(|word| fault.what.contains(word)))
    };
    let mut chosen: Vec<Fault> = families().into_iter().flat_map(|family| family.faults).filter(asked).collect();
    // What is asked of the front door's files needs no healthy stack in between.
    chosen.sort_by_key(|fault| fault.asks);
    let mut bench = Bench::new();
    println!("the stack is up and healthy after {:.1} s", begin.elapsed().as_secs_f64());
    let mut wrong = Vec::new();
    for fault in &chosen {
        let begin = Instant::now();
        let trouble = bench.tries(fault);
        let word = if trouble.is_empty() { "found" } else { "WRONG" };
        println!("{word} in {:4.1} s: {} {}", begin.elapsed().as_secs_f64(), fault.what, trouble.join("; "));
        wrong.extend(trouble.into_iter().map(|trouble| format!("{}: {trouble}", fault.what)));
    }
    bench.wait_until_healthy();
    println!("{} of {} faults in {:.0} s", chosen.len() - wrong.len(), chosen.len(), begin.elapsed().as_secs_f64());
    assert!(!chosen.is_empty() && wrong.is_empty(), "{}", wrong.join("\n"));
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
