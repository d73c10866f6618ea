//! From any stack to any other: the desired state is reached, and then there is nothing left to do.

use crate::model::World;
use crate::stacks::{CHANGES, Change, Sketch};
use crate::walk::{Dice, deploy};

/// Deploys one after the other, with changes by hand in between.
fn run(bases: &[(Sketch, &[&Change])], seed: u64) -> Result<(), String> {
    let mut world = World::new("shop");
    for (index, (sketch, by_hand)) in bases.iter().enumerate() {
        for change in *by_hand {
            (change.hand)(&mut world);
        }
        let dice = (seed > 0).then(|| Dice::new(seed + index as u64));
        deploy(&mut world, &sketch.wish(), dice).map_err(|e| format!("deploy {index}: {e}"))?;
    }
    Ok(())
}

pub(crate) fn report(failed: &[(String, String)], cases: usize) {
    if failed.is_empty() {
        return;
    }
    let shown: Vec<String> = failed.iter().take(3).map(|(case, e)| format!("{case}: {e}")).collect();
    let mut kinds = std::collections::BTreeMap::<&str, usize>::new();
    for (_, error) in failed {
        *kinds.entry(error.lines().next().unwrap_or_default()).or_default() += 1;
    }
    panic!("{} of {cases} cases:\n{}\n{kinds:#?}", failed.len(), shown.join("\n\n"));
}

#[test]
fn every_change_converges() {
    let mut failed = Vec::new();
    let mut cases = 0;
    for change in CHANGES {
        for seed in 0..4 {
            let mut sketch = Sketch::new();
            (change.file)(&mut sketch);
            let steps = [(Sketch::new(), [].as_slice()), (sketch.clone(), &[change]), (Sketch::new(), &[])];
            cases += 1;
            if let Err(e) = run(&steps, seed) {
                failed.push((format!("{} {seed}", change.name), e));
            }
        }
    }
    report(&failed, cases);
}

#[test]
fn any_two_changes_at_once_converge() {
    let mut failed = Vec::new();
    let mut cases = 0;
    for (i, one) in CHANGES.iter().enumerate() {
        for (j, other) in CHANGES.iter().enumerate() {
            if i == j {
                continue;
            }
            let mut sketch = Sketch::new();
            sketch.prometheus = (i + j) % 2 == 0;
            let first = sketch.clone();
            (one.file)(&mut sketch);
            let middle = sketch.clone();
            (other.file)(&mut sketch);
            cases += 2;
            let seed = (i * CHANGES.len() + j) as u64;
            // At once, and one after the other.
            if let Err(e) = run(&[(first.clone(), &[]), (sketch.clone(), &[one, other])], seed) {
                failed.push((format!("{} + {}", one.name, other.name), e));
            }
            if let Err(e) = run(&[(first, &[]), (middle, &[one]), (sketch, &[other])], seed) {
                failed.push((format!("{}, then {}", one.name, other.name), e));
            }
        }
    }
    report(&failed, cases);
}

#[test]
fn long_histories_converge() {
    let mut failed = Vec::new();
    let cases = 300;
    for seed in 1..=cases {
        let mut dice = Dice::new(seed * 7919);
        let mut world = World::new("shop");
        let mut sketch = Sketch::new();
        let mut story = Vec::new();
        for step in 0..8 {
            for _ in 0..=dice.below(2) {
                let change = &CHANGES[dice.below(CHANGES.len())];
                (change.file)(&mut sketch);
                (change.hand)(&mut world);
                story.push(change.name);
            }
            if let Err(e) = deploy(&mut world, &sketch.wish(), Some(Dice::new(seed + step))) {
                failed.push((format!("{seed}: {story:?}"), e));
                break;
            }
        }
    }
    report(&failed, usize::try_from(cases).unwrap_or(0));
}
