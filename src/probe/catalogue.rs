//! The checklist, in the order it is asked. A new check is its constant beside the code that asks it, and one line here.

use super::check::Check;
use super::checks::{
    alertmanager, attested, body, certificate, compression, containers, cookies, cors, database_tls, databases, dns,
    drift, exchange, exposure, files, headers, health, host, host_access, http2, images, logs, monitoring, own,
    performance, ports, protocol, redirect, replicas, restarts, rules, secrets, tracking, validity, waivers, websocket,
};
use super::limit;

/// Every check there is.
pub const CATALOGUE: &[Check] = &[
    health::HLT_1,
    health::HLT_3,
    health::HLT_4,
    restarts::HLT_5,
    replicas::HLT_6,
    protocol::TLS_1,
    protocol::TLS_2,
    protocol::TLS_3,
    exchange::TLS_4,
    certificate::TLS_5,
    certificate::TLS_6,
    certificate::TLS_7,
    validity::TLS_8,
    certificate::TLS_9,
    validity::TLS_10,
    certificate::TLS_11,
    certificate::TLS_12,
    certificate::TLS_13,
    redirect::RED_1,
    redirect::RED_2,
    headers::HSTS_1,
    cookies::HSTS_2,
    headers::HDR_1,
    headers::HDR_2,
    headers::HDR_3,
    headers::HDR_4,
    headers::HDR_5,
    headers::HDR_6,
    headers::HDR_7,
    cookies::HDR_8,
    ports::NET_1,
    ports::NET_2,
    host_access::NET_3,
    host_access::NET_4,
    exposure::NET_5,
    websocket::WS_1,
    websocket::WS_2,
    cors::CORS_1,
    cors::CORS_2,
    body::BODY_1,
    compression::CMP_1,
    compression::CCH_1,
    files::FIL_1,
    files::FIL_2,
    http2::H2_1,
    containers::CTR_1,
    containers::CTR_2,
    containers::CTR_3,
    containers::CTR_4,
    containers::CTR_5,
    images::IMG_1,
    images::IMG_2,
    images::IMG_3,
    secrets::SEC_1,
    secrets::SEC_2,
    secrets::SEC_3,
    secrets::SEC_4,
    databases::DB_1,
    databases::DB_2,
    databases::DB_3,
    database_tls::DB_4,
    logs::LOG_1,
    logs::LOG_2,
    monitoring::MON_1,
    monitoring::MON_2,
    monitoring::MON_3,
    monitoring::MON_4,
    alertmanager::MON_5,
    rules::MON_6,
    rules::MON_7,
    tracking::ERR_1,
    host::HOST_1,
    host::HOST_2,
    host::HOST_3,
    host::HOST_4,
    host::HOST_5,
    dns::DNS_1,
    dns::DNS_2,
    drift::DRF_1,
    performance::PERF_1,
    limit::RL_1,
    limit::RL_2,
    limit::RL_3,
    limit::RL_4,
    limit::RL_5,
    limit::RL_6,
    limit::RL_7,
    own::OWN_1,
    own::OWN_2,
    own::OWN_3,
    own::OWN_4,
    own::OWN_5,
    attested::ATT_1,
    attested::ATT_2,
    attested::ATT_3,
    attested::ATT_4,
    attested::ATT_5,
    attested::ATT_6,
    attested::ATT_7,
    attested::ATT_8,
    attested::ATT_9,
    attested::ATT_10,
    attested::ATT_11,
    attested::ATT_12,
    waivers::WVR_1,
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
