//! The checklist, in the order it is asked. A new check is its constant beside the code that asks it, and one line here.

use super::check::Check;
use super::checks::{certificate, exposure, headers, health, ports, protocol, redirect, websocket};
use super::limit;

/// Every check there is.
pub const CATALOGUE: &[Check] = &[
    health::HLT_1,
    health::HLT_3,
    health::HLT_4,
    protocol::TLS_1,
    protocol::TLS_2,
    protocol::TLS_3,
    certificate::TLS_5,
    certificate::TLS_6,
    certificate::TLS_7,
    certificate::TLS_9,
    certificate::TLS_11,
    certificate::TLS_12,
    certificate::TLS_13,
    redirect::RED_1,
    redirect::RED_2,
    headers::HSTS_1,
    headers::HDR_1,
    headers::HDR_2,
    headers::HDR_3,
    headers::HDR_4,
    headers::HDR_5,
    headers::HDR_6,
    headers::HDR_7,
    ports::NET_1,
    ports::NET_2,
    exposure::NET_5,
    websocket::WS_1,
    limit::RL_1,
    limit::RL_2,
    limit::RL_3,
    limit::RL_4,
    limit::RL_5,
    limit::RL_6,
    limit::RL_7,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_unique_and_nothing_is_left_unsaid() {
        let mut ids: Vec<_> = CATALOGUE.iter().map(|check| check.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CATALOGUE.len());
        for check in CATALOGUE {
            for text in [check.title, check.question, check.pass, check.source, check.remedy] {
                assert!(!text.is_empty(), "{}", check.id);
            }
        }
    }

    #[test]
    fn checks_are_called_by_identifier_or_family() {
        let check = CATALOGUE[0];
        assert!(check.is_called("HLT-1") && check.is_called("hlt") && !check.is_called("HLT-3"));
    }
}
