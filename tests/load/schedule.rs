//! When to send, and when to stop.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// A connection's arrivals: evenly spaced, whatever became of the ones before.
pub(crate) struct Timetable {
    next: Instant,
    every: Duration,
}

impl Timetable {
    pub(crate) fn new(offset: Duration, every: Duration) -> Self {
        Self { next: Instant::now() + offset, every }
    }

    /// Waits for the next arrival and returns when it was due; at once if that time has passed.
    /// `None` when the run is over.
    pub(crate) async fn arrival(&mut self, stop: &Stop) -> Option<Instant> {
        let due = self.next;
        tokio::select! {
            biased;
            () = stop.wait() => return None,
            () = tokio::time::sleep_until(due) => {}
        }
        self.next += self.every.max(Duration::from_micros(100));
        stop.take().then_some(due)
    }
}

/// The end of the run: a number of requests, a time, a file, or whichever comes first.
pub(crate) struct Stop {
    left: Cell<Option<u64>>,
    over: watch::Sender<bool>,
}

impl Stop {
    pub(crate) fn new(requests: Option<u64>, duration: Option<Duration>, file: Option<PathBuf>) -> Rc<Self> {
        let stop = Rc::new(Self { left: Cell::new(requests), over: watch::channel(false).0 });
        if let Some(duration) = duration {
            let stop = Rc::clone(&stop);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(duration).await;
                stop.over.send_replace(true);
            });
        }
        if let Some(file) = file {
            let stop = Rc::clone(&stop);
            tokio::task::spawn_local(async move {
                while !file.exists() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                stop.over.send_replace(true);
            });
        }
        stop
    }

    /// Takes one request from the budget; `false` when the run is over.
    fn take(&self) -> bool {
        if *self.over.borrow() {
            return false;
        }
        match self.left.get() {
            None => true,
            Some(0) => {
                self.over.send_replace(true);
                false
            }
            Some(left) => {
                self.left.set(Some(left - 1));
                true
            }
        }
    }

    pub(crate) async fn wait(&self) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }
}
