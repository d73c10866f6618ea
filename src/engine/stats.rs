//! What containers use: processor, memory, network, processes.

use std::pin::Pin;

use bollard::models::{ContainerCpuStats, ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptions;
use futures_util::{Stream, StreamExt};
use serde::Serialize;

use super::connect::Engine;
use super::error::EngineError;

/// What a container uses now.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Processor share: 1.0 is one core; `None` until two looks can be compared.
    pub cpus: Option<f64>,
    /// Memory without what the kernel can take back at once (inactive file cache), bytes.
    pub memory: u64,
    /// Most it may use, bytes; that of the host where the container has no limit.
    pub memory_limit: u64,
    /// Received since it started, bytes, over all networks.
    pub received: u64,
    /// Sent since it started, bytes.
    pub sent: u64,
    /// Processes and threads.
    pub processes: u64,
}

/// One look a second, until dropped or until the container ends.
pub type Usages = Pin<Box<dyn Stream<Item = Result<Usage, EngineError>> + Send>>;

impl Engine {
    /// Watches what a container uses.
    pub fn usage(&self, container: &str) -> Usages {
        let doing = format!("measure {container}");
        let raw = self.docker.stats(container, Some(StatsOptions { stream: true, one_shot: false }));
        let mut before: Option<ContainerCpuStats> = None;
        raw.map(move |look| match look {
            Ok(look) => {
                let usage = usage(&look, before.as_ref());
                before = look.cpu_stats;
                Ok(usage)
            }
            Err(error) => Err(EngineError::from_bollard(doing.as_str(), &error)),
        })
        .boxed()
    }
}

fn usage(look: &ContainerStatsResponse, before: Option<&ContainerCpuStats>) -> Usage {
    let memory = look.memory_stats.as_ref();
    let networks = || look.networks.iter().flat_map(|n| n.values());
    Usage {
        cpus: before.zip(look.cpu_stats.as_ref()).and_then(|(before, now)| cpus(before, now)),
        memory: memory.map_or(0, used),
        memory_limit: memory.and_then(|m| m.limit).unwrap_or(0),
        received: networks().filter_map(|n| n.rx_bytes).sum(),
        sent: networks().filter_map(|n| n.tx_bytes).sum(),
        processes: look.pids_stats.as_ref().and_then(|p| p.current).unwrap_or(0),
    }
}

/// The container's share of what all processors did meanwhile, times their number.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a second or so")]
fn cpus(before: &ContainerCpuStats, now: &ContainerCpuStats) -> Option<f64> {
    let own = |s: &ContainerCpuStats| s.cpu_usage.as_ref()?.total_usage;
    let used = own(now)?.checked_sub(own(before)?)?;
    let all = now.system_cpu_usage?.checked_sub(before.system_cpu_usage?).filter(|all| *all > 0)?;
    let online = now.online_cpus.filter(|n| *n > 0).map_or_else(
        || now.cpu_usage.as_ref().and_then(|c| c.percpu_usage.as_ref()).map_or(1, Vec::len) as f64,
        f64::from,
    );
    Some(used as f64 / all as f64 * online)
}

/// As Docker's own client counts: cgroup v1 calls the cache `total_inactive_file`, v2 `inactive_file`.
fn used(memory: &ContainerMemoryStats) -> u64 {
    let usage = memory.usage.unwrap_or(0);
    let cache = memory.stats.as_ref().and_then(|s| s.get("total_inactive_file").or_else(|| s.get("inactive_file")));
    cache.map_or(usage, |cache| usage.saturating_sub(*cache))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(own: u64, all: u64) -> ContainerStatsResponse {
        let json = serde_json::json!({
            "cpu_stats": {"cpu_usage": {"total_usage": own}, "system_cpu_usage": all, "online_cpus": 2},
            "memory_stats": {"usage": 1000, "limit": 4000, "stats": {"inactive_file": 300}},
            "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 10}, "eth1": {"rx_bytes": 2, "tx_bytes": 20}},
            "pids_stats": {"current": 3},
        });
        serde_json::from_value(json).unwrap_or_default()
    }

    #[test]
    fn half_of_two_processors_is_one() {
        let (first, second) = (look(100, 1000), look(600, 2000));
        let expected = Usage { cpus: Some(1.0), memory: 700, memory_limit: 4000, received: 3, sent: 30, processes: 3 };
        assert_eq!(usage(&second, first.cpu_stats.as_ref()), expected);
        assert_eq!(usage(&second, None).cpus, None);
        assert_eq!(usage(&first, second.cpu_stats.as_ref()).cpus, None, "a counter that began anew");
    }
}
