//! What the verdict about a limit is worth: on an idle machine, with a processor that burns, and of wrong limits. The
//! figures are printed; `SOAK=1` asks as often as the docs say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use futures_util::future::join_all;
use stackctl::model::finding::{Finding, Verdict};

use crate::limits::{Case, cases, once};
use crate::support::lines;

fn soak() -> bool {
    std::env::var("SOAK").is_ok_and(|v| v == "1")
}

/// A processor that does nothing else, until it is dropped.
struct Burning {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Burning {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Burning {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn any(findings: &[Finding], verdict: Verdict) -> bool {
    findings.iter().any(|f| f.verdict == verdict)
}

/// Runs of a right limit: how many passed, how many could not be judged, and what the wrong ones said.
async fn right(case: &Case, runs: usize) -> (usize, usize, Vec<String>) {
    let (mut passed, mut unsure, mut wrong) = (0, 0, Vec::new());
    for _ in 0..runs {
        let findings = once(case).await;
        if any(&findings, Verdict::Fail) {
            wrong.push(lines(&findings));
        } else if any(&findings, Verdict::Inconclusive) {
            println!("not judged:\n{}", lines(&findings));
            unsure += 1;
        } else {
            passed += 1;
        }
    }
    (passed, unsure, wrong)
}

fn declared(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).expect("a case of that name")
}

#[tokio::test]
async fn a_right_limit_is_never_called_wrong_while_a_processor_burns() {
    let runs = if soak() { 50 } else { 2 };
    let burning = Burning::start();
    let (passed, unsure, wrong) = right(&declared("right, nodelay"), runs).await;
    drop(burning);
    println!("a processor burns: of {runs} runs {passed} passed, {unsure} not judged, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!soak() || passed >= 45, "{passed} of {runs} passed");
}

#[tokio::test]
async fn a_right_limit_passes_on_an_idle_machine() {
    let runs = if soak() { 50 } else { 1 };
    let (passed, unsure, wrong) = right(&declared("right, nodelay"), runs).await;
    println!("idle: of {runs} runs {passed} passed, {unsure} not judged, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // In the short form other tests run beside it.
    assert!(!soak() || passed == runs, "{passed} of {runs} passed");
}

#[tokio::test]
async fn a_wrong_limit_never_passes() {
    let mut wrong: Vec<Case> = cases().into_iter().filter(|case| case.fails.is_some()).collect();
    assert_eq!(wrong.len(), 10);
    // Each is tried once by `limits::right_limits_pass_and_wrong_ones_never_do`.
    let runs = if soak() { 20 } else { 2 };
    wrong.truncate(if soak() { 10 } else { 1 });
    let mut passes = Vec::new();
    for case in &wrong {
        let (mut found, mut unsure, mut left) = (0, 0, runs);
        while left > 0 {
            let some = left.min(4);
            left -= some;
            for findings in join_all((0..some).map(|_| once(case))).await {
                let verdict = findings.iter().filter(|f| Some(f.id) == case.fails).map(|f| f.verdict).max();
                match verdict {
                    Some(Verdict::Fail) => found += 1,
                    Some(Verdict::Inconclusive) => unsure += 1,
                    _ => passes.push(format!("{}:\n{}", case.name, lines(&findings))),
                }
            }
        }
        println!("{:24} of {runs} runs {found} failed as they should, {unsure} not judged", case.name);
    }
    assert!(passes.is_empty(), "{}", passes.join("\n"));
}
