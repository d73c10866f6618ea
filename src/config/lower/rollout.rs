//! How a release of a service goes.

use crate::base::problem::{Problem, Problems};
use crate::base::units::Span;
use crate::config::decode::At;
use crate::config::keys::service::DeployKeys;
use crate::model::service::Rollout;

pub(super) fn lower(keys: &DeployKeys, replicas: u32, problems: &mut Problems) -> Rollout {
    let span = |key: &Option<At<Span>>| key.as_ref().map_or(Span::seconds(0), |s| s.value);
    let canary = keys.canary.as_ref().map_or(0, |c| c.value.get());
    if let Some(at) = keys.canary.as_ref().filter(|_| canary > 0 && canary >= replicas) {
        problems.push(
            Problem::error(format!("{canary} of {replicas} containers first is all of them"))
                .at(at.span.clone())
                .help("`canary` must be less than `replicas`"),
        );
    }
    let stop_first = keys.order.as_ref().is_some_and(|o| o.value.stop_first);
    if let Some(at) = keys.watch.as_ref().filter(|w| stop_first && !w.value.0.is_zero()) {
        problems.push(
            Problem::error("there is nothing to go back to: with `order = \"stop-first\"` the old containers are gone")
                .at(at.span.clone())
                .help("leave out `watch`, or `order`"),
        );
    }
    Rollout {
        parallel: keys.parallel.as_ref().map(|p| p.value.get()),
        canary,
        stop_first,
        min_healthy: span(&keys.min_healthy),
        watch: span(&keys.watch),
        timeout: keys.timeout.as_ref().map(|t| t.value),
    }
}
