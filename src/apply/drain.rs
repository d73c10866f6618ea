//! Waiting until what goes is not used any more: the kernel is asked, not a clock (docs/cutover.md has the figures).

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::{Engine, EngineError};

/// Requests that were being sent when the traffic was switched have a connection by then.
const SETTLE: Duration = Duration::from_millis(200);

/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(400);

/// How long old workers of the front door are waited for: the time it keeps idle connections at a reload (10 s), and
/// a little. Those that stay longer carry WebSocket traffic or uploads; Nginx ends those itself.
const WORKERS: Duration = Duration::from_secs(12);

/// State of a TCP connection that is over: `TIME_WAIT` (`include/net/tcp_states.h`).
const OVER: u8 = 6;

/// Waits until the front door's network namespace has no connection to these addresses, at most `time`. Where its
/// image has no `cat` to look with, all of that time is waited.
pub(super) async fn until_quiet(
    engine: &Engine,
    door: &str,
    addresses: &[SocketAddrV4],
    time: Duration,
    tell: &dyn Fn(String),
) {
    let began = Instant::now();
    let look = ["cat", "/proc/net/tcp"].map(str::to_owned);
    tokio::time::sleep(SETTLE.min(time)).await;
    let mut said = usize::MAX;
    while began.elapsed() < time {
        let left = time.saturating_sub(began.elapsed());
        let open = match tokio::time::timeout(left, engine.exec(door, &look)).await {
            Ok(Ok((0, table))) => connections(&table, addresses),
            _ => usize::MAX,
        };
        if open == 0 {
            return;
        }
        if open != usize::MAX && open != said && began.elapsed() > Duration::from_secs(1) {
            tell(format!("{open} under way"));
            said = open;
        }
        tokio::time::sleep(LOOK_AGAIN.min(time.saturating_sub(began.elapsed()))).await;
    }
}

/// How many connections of `/proc/net/tcp` lead to one of these addresses and are not over.
fn connections(table: &str, addresses: &[SocketAddrV4]) -> usize {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split_whitespace().skip(2);
            let remote = columns.next().and_then(socket)?;
            let state = u8::from_str_radix(columns.next()?, 16).ok()?;
            (state != OVER && addresses.contains(&remote)).then_some(())
        })
        .count()
}

/// `0500530A:1F40`: the address as the kernel has it in memory (little-endian on all engines we know), the port.
fn socket(text: &str) -> Option<SocketAddrV4> {
    let (address, port) = text.split_once(':')?;
    let address = u32::from_str_radix(address, 16).ok()?;
    Some(SocketAddrV4::new(Ipv4Addr::from(address.swap_bytes()), u16::from_str_radix(port, 16).ok()?))
}

/// Process numbers of Nginx's workers.
pub(super) async fn workers(engine: &Engine, door: &str) -> Result<BTreeSet<u32>, EngineError> {
    let processes = engine.processes(door).await?;
    Ok(processes.into_iter().filter(|(_, command)| command.contains("worker process")).map(|(pid, _)| pid).collect())
}

/// How long Nginx may take to start workers by new files.
const RENEWED: Duration = Duration::from_secs(10);

/// Waits until there is a worker that is none of these.
pub(super) async fn until_renewed(engine: &Engine, door: &str, old: &BTreeSet<u32>) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let now = workers(engine, door).await.map_err(|e| e.to_string())?;
        if !now.is_subset(old) {
            return Ok(());
        }
        if began.elapsed() > RENEWED {
            return Err(format!("after {} s no worker of the front door serves by the new files", RENEWED.as_secs()));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Waits until none of these workers is left.
pub(super) async fn until_gone(engine: &Engine, door: &str, old: &BTreeSet<u32>) {
    let began = Instant::now();
    while began.elapsed() < WORKERS {
        match workers(engine, door).await {
            Ok(now) if now.is_disjoint(old) => return,
            _ => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_by_their_remote_end() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
             0: 0300530A:D431 0500530A:1F40 01 00000000:00000000\n\
             1: 0300530A:D432 0500530A:1F40 06 00000000:00000000\n\
             2: 0300530A:0050 0100530A:E2F0 01 00000000:00000000\n\
             3: 0300530A:D433 0600530A:1F40 04 00000000:00000000\n";
        let at = |last| SocketAddrV4::new(Ipv4Addr::new(10, 83, 0, last), 8000);
        assert_eq!(connections(table, &[at(5)]), 1);
        assert_eq!(connections(table, &[at(5), at(6)]), 2);
        assert_eq!(connections(table, &[at(7)]), 0);
    }
}
