//! Where the time of a run went: what was asked together, and what was waited for.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use tokio::time::sleep;

/// Where the time of a run went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timings {
    /// Checks that were asked one after the other, and how long all of them took, waits among it; in the order they ended.
    pub groups: Vec<(Vec<&'static str>, Duration)>,
    /// What was waited for, and how long in all; in the order it began.
    pub waits: Vec<(String, Duration)>,
}

impl Timings {
    /// The longest wait: a run cannot end before it.
    pub fn longest_wait(&self) -> Option<&(String, Duration)> {
        self.waits.iter().max_by_key(|(_, time)| *time)
    }
}

/// Waits of a run, as they happen: what for, from when to when, counted from the start of the run.
#[derive(Debug)]
pub(super) struct Waits {
    began: Instant,
    seen: RefCell<Vec<(String, Duration, Duration)>>,
}

impl Waits {
    pub(super) fn new(began: Instant) -> Self {
        Self { began, seen: RefCell::default() }
    }

    /// Sleeps, and remembers what for.
    pub(super) async fn sleep(&self, what: &str, time: Duration) {
        self.during(what, sleep(time)).await;
    }

    /// Does something that only takes time, such as offering requests at a rate, and remembers what for.
    pub(super) async fn during<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let from = self.began.elapsed();
        let out = work.await;
        self.seen.borrow_mut().push((what.to_owned(), from, self.began.elapsed()));
        out
    }

    /// By what was waited for. Waits for the same thing at the same time are one.
    pub(super) fn in_all(&self) -> Vec<(String, Duration)> {
        let mut seen = self.seen.borrow().clone();
        seen.sort_by_key(|(_, from, _)| *from);
        let mut all: Vec<(String, Duration, Duration)> = Vec::new();
        for (what, from, to) in seen {
            match all.iter_mut().find(|(known, ..)| *known == what) {
                Some((_, time, until)) => {
                    *time += to.saturating_sub(from.max(*until));
                    *until = to.max(*until);
                }
                None => all.push((what, to.saturating_sub(from), to)),
            }
        }
        all.into_iter().map(|(what, time, _)| (what, time)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_side_by_side_are_one() {
        let seconds = Duration::from_secs;
        let waits = Waits::new(Instant::now());
        for (what, from, to) in [("b", 2, 14), ("a", 1, 3), ("b", 4, 16), ("b", 5, 6), ("b", 20, 21)] {
            waits.seen.borrow_mut().push((what.to_owned(), seconds(from), seconds(to)));
        }
        let all = waits.in_all();
        assert_eq!(all, [("a".to_owned(), seconds(2)), ("b".to_owned(), seconds(15))]);
        let timings = Timings { groups: Vec::new(), waits: all };
        assert_eq!(timings.longest_wait().map(|(what, _)| what.as_str()), Some("b"));
    }
}
