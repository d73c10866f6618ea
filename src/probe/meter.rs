//! How available a front door is while something is done to it: ten gentle requests a second, each on a connection of
//! its own, from a thread of their own, so that what the process does meanwhile is not measured.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::base::name::ServiceName;
use crate::model::proxy::Proxy;
use crate::model::served::Served;
use crate::model::stack::Stack;

use super::checks::health::public_path;
use super::net::client::{Door, Request};
use super::tls::session;

/// Time between two requests.
const EVERY: Duration = Duration::from_millis(100);

/// An answer that takes longer counts as none.
const PATIENCE: Duration = Duration::from_secs(5);

/// A measurement under way.
pub struct Meter {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Served>,
}

/// The path that can be asked without harm: a health route that the front door passes on, to a service that answers
/// already. Limits do not count those; but an upstream that does not answer yet would count as failed for a while.
pub fn harmless_path(stack: &Stack, answers: impl Fn(&ServiceName) -> bool) -> Option<&str> {
    let proxy = stack.proxy.as_ref()?;
    // The service of the shortest route is what most visitors come for.
    let mut routes: Vec<_> = proxy.routes.iter().filter(|r| r.service().is_some_and(&answers)).collect();
    routes.sort_by_key(|r| r.path.len());
    routes.into_iter().find_map(|route| public_path(proxy, stack.services.get(route.service()?)?))
}

impl Meter {
    /// Begins to ask for `path` at the published port of the front door. `None` if no thread or no TLS is to be had.
    pub fn start(proxy: &Proxy, address: SocketAddr, path: &str) -> Option<Self> {
        let name = proxy.canonical().to_owned();
        let authority = proxy.url().split_once("://").map_or_else(|| name.clone(), |(_, host)| host.to_owned());
        let door = if proxy.https() {
            Door::tls(address, &authority, &name, session::config(true, &[b"http/1.1"]).ok()?)
        } else {
            Door::plain(address, &authority)
        };
        let path = path.to_owned();
        let (stop, stopped) = oneshot::channel();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|r| r.block_on(measure(&door, &path, stopped))).unwrap_or_default()
        };
        let thread = std::thread::Builder::new().name("meter".to_owned()).spawn(work).ok()?;
        Some(Self { stop, thread })
    }

    /// Ends it, once what was asked is answered (at most five seconds). `None` if nothing was asked.
    pub fn stop(self) -> Option<Served> {
        let _ = self.stop.send(());
        self.thread.join().ok().filter(|served| served.asked > 0)
    }
}

async fn measure(door: &Door, path: &str, mut stopped: oneshot::Receiver<()>) -> Served {
    let mut served = Served { path: path.to_owned(), ..Served::default() };
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut under_way = FuturesUnordered::new();
    let mut ending = false;
    loop {
        tokio::select! {
            biased;
            Some(result) = under_way.next(), if !under_way.is_empty() => count(&mut served, result),
            _ = &mut stopped, if !ending => ending = true,
            _ = ticks.tick(), if !ending => under_way.push(ask(door, path)),
            else => return served,
        }
        if ending && under_way.is_empty() {
            return served;
        }
    }
}

fn count(served: &mut Served, (took, failure): (Duration, Option<String>)) {
    served.asked += 1;
    served.longest_millis = served.longest_millis.max(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    if failure.is_some() {
        served.failed += 1;
        served.first_failure = served.first_failure.take().or(failure);
    }
}

/// One request: how long it took, and what was wrong.
async fn ask(door: &Door, path: &str) -> (Duration, Option<String>) {
    let began = Instant::now();
    let failure = match timeout(PATIENCE, door.get(&Request::path(path))).await {
        Ok(Ok(response)) if response.status < 500 => None,
        Ok(Ok(response)) => Some(format!("status {}", response.status)),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    (began.elapsed(), failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_and_the_longest_wait_are_counted() {
        let mut served = Served::default();
        let answer = |ms, failure: Option<&str>| (Duration::from_millis(ms), failure.map(str::to_owned));
        for result in [
            answer(20, None),
            answer(30, Some("status 502")),
            answer(5000, Some("no answer within 5 s")),
            answer(10, None),
        ] {
            count(&mut served, result);
        }
        assert_eq!((served.asked, served.failed, served.longest_millis), (4, 2, 5000));
        assert_eq!(served.first_failure.as_deref(), Some("status 502"));
        assert_eq!(served.to_string(), "2 of 4 failed, longest 5000 ms");
    }
}
