//! Whether the host is large enough. Known only once an engine was asked, so no question for `check`.

use crate::base::units::ByteSize;
use crate::model::observed::Host;
use crate::model::service::Service;
use crate::model::stack::Stack;

use super::PlanError;

/// Refuses what the engine would refuse in the middle of a release: more processors than there are.
pub fn fits(stack: &Stack, host: Host) -> Result<(), PlanError> {
    let Some(there) = host.cpus.filter(|n| *n > 0) else { return Ok(()) };
    let proxy = stack.proxy.iter().map(|p| ("proxy", p.line, p.cpus));
    let asked = stack.services.values().map(|s| (s.name.as_str(), s.line, s.cpus)).chain(proxy);
    let too_many: Vec<String> = asked
        .filter_map(|(name, line, cpus)| cpus.filter(|n| *n > f64::from(there)).map(|n| (name, line, n)))
        .map(|(name, line, cpus)| format!("`{name}` (line {line}) asks for {cpus} cpus, and the host has {there}"))
        .collect();
    if too_many.is_empty() { Ok(()) } else { Err(PlanError::TooLarge(too_many)) }
}

/// What works until it is used: limits and reservations that the host cannot honour.
pub fn notes(stack: &Stack, host: Host) -> Vec<String> {
    memory(stack, host).into_iter().chain(cpus(stack, host)).collect()
}

/// Reservations are shares: the engine takes more of them than there are processors, and everybody gets less.
fn cpus(stack: &Stack, host: Host) -> Option<String> {
    let there = host.cpus.filter(|n| *n > 0)?;
    let each = |s: &Service| s.runtime.reserve.cpus.map_or(0.0, |cpus| cpus * f64::from(s.replicas));
    let reserved: f64 = stack.services.values().map(each).sum();
    // Halves and tenths do not add up exactly.
    let reserved = (reserved * 1000.0).round() / 1000.0;
    (reserved > f64::from(there))
        .then(|| format!("reservations of cpus add up to {reserved}, and the host has {there}"))
}

fn memory(stack: &Stack, host: Host) -> Vec<String> {
    let Some(there) = host.memory.filter(|m| m.0 > 0) else { return Vec::new() };
    // What hosts have is no round number.
    let round = ByteSize(there.0 >> 20 << 20);
    let reserved: u64 = stack
        .services
        .values()
        .map(|s| s.runtime.reserve.memory.map_or(0, |m| m.0.saturating_mul(u64::from(s.replicas))))
        .sum();
    let together = (reserved > there.0)
        .then(|| format!("reservations of memory add up to {}, and the host has {round}", ByteSize(reserved)));
    stack
        .services
        .values()
        .filter_map(|s| s.memory.filter(|m| *m > there).map(|m| (s, m)))
        .map(|(s, memory)| {
            format!("`{}` (line {}) may use {memory} of memory, and the host has {round}", s.name, s.line)
        })
        .chain(together)
        .collect()
}
