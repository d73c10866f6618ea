//! Limits.

use std::ops::Range;

use crate::base::problem::{Problem, Problems};
use crate::config::decode::At;
use crate::config::keys::limit::{By, LimitKey, LimitKeys};
use crate::model::limit::{Allows, Bucket, Enforcer, Limit};
use crate::model::nginx::NginxFacts;
use crate::model::proxy::Route;

use super::Input;

/// The limit that stands at `declared`: the path of a route, or `proxy`. `None` for `"off"`.
pub(super) fn lower(key: &At<LimitKey>, declared: &str, input: &Input<'_>) -> Option<Limit> {
    let allows = match &key.value {
        LimitKey::Off => return None,
        LimitKey::Quota(quota) => Allows::Quota(*quota),
        LimitKey::Keys(keys) => allows(keys)?,
    };
    let keys = match &key.value {
        LimitKey::Keys(keys) => Some(keys),
        LimitKey::Off | LimitKey::Quota(_) => None,
    };
    Some(Limit {
        line: input.line(&key.span),
        declared: declared.to_owned(),
        allows,
        key: keys.and_then(|k| k.key.as_ref()).map(|k| k.value.0.clone()),
        by: match keys.and_then(|k| k.by.as_ref()).map(|by| by.value) {
            Some(By::App) => Enforcer::App,
            Some(By::Proxy) | None => Enforcer::Proxy,
        },
    })
}

fn allows(keys: &LimitKeys) -> Option<Allows> {
    if let Some(quota) = &keys.quota {
        return Some(Allows::Quota(quota.value));
    }
    Some(Allows::Bucket(Bucket {
        rate: keys.rate.as_ref()?.value,
        burst: keys.burst.as_ref().map_or(0, |b| b.value.get()),
        delay: keys.delay.as_ref().map(|d| d.value.get()),
    }))
}

/// Quotas are counted in JavaScript; an image that lacks it is refused before anything is made.
pub(super) fn needs_of_quotas(
    routes: &[Route],
    nginx: &NginxFacts,
    image: &str,
    span: Range<usize>,
    problems: &mut Problems,
) {
    let limits = || routes.iter().filter_map(|route| route.limit.as_ref()).filter(|limit| limit.needs_njs());
    let (Some(first), false) = (limits().min_by_key(|limit| limit.line), nginx.njs) else { return };
    problems.push(
        Problem::error(format!("`{image}` cannot count quotas such as `{first}` (line {})", first.line))
            .at(span)
            .help(
                "quotas need njs 0.8 or later: official images have it from 1.26 on, but not `-slim`; of an image of \
                 your own, say `modules = [\"njs\"]`. A rate (`limit = { rate = \"1/m\", burst = 4 }`) needs nothing, \
                 and `by = \"app\"` leaves a limit to the service",
            )
            .fix("image = \"nginx:1.30\""),
    );
}
