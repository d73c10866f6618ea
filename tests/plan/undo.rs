//! A step that fails: the old release serves as before, or the new one already does; the next run finishes.

use crate::converge::report;
use crate::kill::{PLANS, sketches};
use crate::model::World;
use crate::walk::{Dice, Until, deploy, fail};

#[test]
fn a_failure_of_any_step_is_taken_back_or_finished() {
    let mut failed = Vec::new();
    let mut cases = 0;
    for (name, before, during) in PLANS {
        let (before, during) = sketches(*before, *during);
        let before = before.map(|s| s.wish());
        let mut start = World::new("shop");
        if let Some(before) = &before {
            deploy(&mut start, before, None).expect("what was there before");
        }
        let wish = during.wish();
        let planned = wish.plan(&mut start).plan;
        for index in 0..planned.steps.len() {
            for order in 0..4 {
                for half in [false, true] {
                    cases += 1;
                    let dice = (order > 0).then(|| Dice::new(order * 17 + index as u64));
                    let mut world = start.clone();
                    let mut run = || {
                        let back =
                            fail(&mut world, &wish, &planned, dice.clone(), Until::Fails(index, half), order == 3)?;
                        let wants = [Some(&wish), before.as_ref().filter(|_| back || order % 2 == 0)];
                        for wish in wants.into_iter().flatten() {
                            deploy(&mut world.clone(), wish, dice.clone())
                                .map_err(|e| format!("{e}\nthe plan that failed (taken back: {back})\n{planned}"))?;
                        }
                        Ok::<_, String>(())
                    };
                    if let Err(e) = run() {
                        failed.push((format!("{name}, order {order}, #{index} fails (half: {half})"), e));
                    }
                }
            }
        }
    }
    report(&failed, cases);
}
