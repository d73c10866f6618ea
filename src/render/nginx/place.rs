//! What depends on where Nginx runs.

use std::net::Ipv4Addr;

use serde::Serialize;

use super::{PRIVATE_PORT, PRIVATE_TLS_PORT, ProxyInput, ROOT};

/// Where Nginx runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a container of the official image; the engine publishes its ports.
    Container,
    /// On the host, as Debian's package lays it out, with ports of its own.
    Host,
}

#[derive(Serialize)]
pub(super) struct PlaceView {
    js_module: String,
    brotli_module: String,
    access_log: String,
    /// What `listen` takes.
    http: String,
    https: String,
    private: String,
    private_tls: String,
    /// Where the files volume is mounted, where there is one.
    root: Option<&'static str>,
    /// Folder of the certificate and its key, through a link that is switched to others: each handshake looks. On a
    /// host its keys are read by root alone, before there are workers.
    certificates: Option<String>,
}

impl PlaceView {
    pub(super) fn of(input: &ProxyInput<'_>) -> Self {
        let proxy = input.proxy;
        let module = |folder: &str, name: &str| format!("{folder}/ngx_http_{name}_module.so");
        let mounted = (input.place == Place::Container).then_some(ROOT);
        let with = |folder: &str, access_log: String, [http, https, private, private_tls]: [String; 4]| Self {
            js_module: module(folder, "js"),
            brotli_module: module(folder, "brotli_filter"),
            access_log,
            http,
            https,
            private,
            private_tls,
            root: mounted,
            certificates: mounted.map(|root| format!("{root}/current/certs")),
        };
        match input.place {
            Place::Container => {
                let ports = [80, 443, PRIVATE_PORT, PRIVATE_TLS_PORT].map(|port| port.to_string());
                with("/etc/nginx/modules", "/dev/stdout".to_owned(), ports)
            }
            Place::Host => {
                let public = |port: u16| match proxy.address {
                    Ipv4Addr::UNSPECIFIED => port.to_string(),
                    address => format!("{address}:{port}"),
                };
                // The host has more neighbours than a container.
                let own = |port: u16| format!("{}:{port}", Ipv4Addr::LOCALHOST);
                let ports =
                    [public(proxy.http_port), public(proxy.https_port), own(PRIVATE_PORT), own(PRIVATE_TLS_PORT)];
                // Standard output is a socket of the journal there, which Nginx cannot open as a file.
                let log = format!("/var/log/{}/access.log", input.stack.project);
                with("/usr/lib/nginx/modules", log, ports)
            }
        }
    }
}
