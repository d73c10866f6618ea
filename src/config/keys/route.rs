//! Keys of routes.

use crate::base::name::ServiceName;
use crate::base::net::Network;
use crate::base::problem::{Problem, Problems};
use crate::base::units::{ByteSize, Span};
use crate::config::decode::{At, Decode, mismatch, table};
use crate::config::shape::Shape;
use crate::config::tree::{Entry, Node, Value};
use crate::config::values::{Int, word};
use crate::config::web::{Address, ImageFolder};
use crate::model::proxy::Balance;

use super::cors::CorsKey;
use super::limit::LimitKey;

table! {
    /// A path of the front door. The longest matching path wins.
    RouteKeys as "a route" short for service never both of service, servers, files {
        /// Service that answers.
        service: ServiceName => r#""app""#,
        /// Instead of a service, servers elsewhere, by plain HTTP: `"10.0.0.11:8000"`, or with a weight. One that fails is left out for ten seconds.
        servers: Vec<At<ServerKey>> => r#"["10.0.0.11:8000"]"#,
        /// Instead of a service that answers, files out of its image: the service, and a folder there. Nginx serves them itself. Those of the image before stay until the image changes again, for pages that are still open. No limit is inherited; names that begin with a dot are not served, and a folder has no listing.
        files: ImageFolder => r#""app:/app/static""#,
        /// How long browsers and caches keep `files` without asking. With a year and more, not even a reload asks (`immutable`): for names that change with the content. Without it, they ask each time, and get 304 for what they have.
        cache: Span => r#""1y""#,
        /// How requests are spread over the service's replicas: `"round_robin"`, `"least_conn"` (to the one with the fewest under way) or `"ip_hash"` (a client stays with one). With `"ip_hash"`, an upload that outlasts a release is lost.
        balance: BalanceKey = "\"round_robin\"" => r#""least_conn""#,
        /// Limit per client here, instead of the inherited one; `"off"` for none.
        limit: LimitKey => r#""5/hour""#,
        /// Requests under way at once per client here, instead of the inherited number.
        connections: Int<1, 100_000> => "4",
        /// Sites whose scripts may read the answers here, instead of the inherited ones; `"off"` leaves it to the service.
        cors: CorsKey => r#"["https://app.example.com"]"#,
        /// Addresses and ranges that are admitted; all others get 403. Without it, everyone is.
        allow: Vec<At<Network>> => r#"["203.0.113.0/24"]"#,
        /// Passes WebSocket upgrades on.
        websocket: bool = "false" => "true",
        /// Longest wait for a connection to a replica, before the next one is asked.
        connect_timeout: Span = "\"2s\"" => r#""5s""#,
        /// Longest pause of the service in taking the request.
        send_timeout: Span = "\"60s\"" => r#""2m""#,
        /// Longest silence of the service before the proxy answers 504; of a WebSocket, the longest silence at all.
        timeout: Span = "\"60s\"" => r#""5m""#,
        /// Largest request body here. Routes that take more than `16M` pass bodies on as they arrive, instead of collecting them in memory first.
        max_body: ByteSize => r#""100M""#,
        /// Collect requests and responses before passing them on; `false` for streams.
        buffering: bool = "true" => "false",
    }
}

table! {
    /// A server that is not of the stack.
    ServerKeys as "a server" short for address {
        /// Host name or address, and port.
        address: Address => r#""10.0.0.11:8000""#,
        /// Its share of the requests.
        weight: Int<1, 1000> = "1" => "2",
    }
}

/// One of `servers`: an address, or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerKey {
    /// Nothing else said.
    Address(Address),
    /// In detail.
    Keys(Box<ServerKeys>),
}

impl Decode for ServerKey {
    fn shape() -> Shape {
        Shape::Either(vec![Address::shape(), ServerKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Text(_) => Address::decode(node, problems).map(Self::Address),
            Value::Table(_) => {
                if node.get("address").is_none() {
                    problems.push(
                        Problem::error("a server needs an `address`")
                            .at(node.span.clone())
                            .fix("address = \"10.0.0.11:8000\""),
                    );
                }
                ServerKeys::decode(node, problems).map(|keys| Self::Keys(Box::new(keys)))
            }
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

/// Keys that say where a route leads.
const ENDS: [&str; 3] = ["service", "servers", "files"];

/// Keys that say how a service is asked: files have nobody to ask.
const OF_SERVICES: [&str; 7] =
    ["balance", "websocket", "connect_timeout", "send_timeout", "timeout", "max_body", "buffering"];

/// What goes with files and not with services, and the other way round.
fn of_files(node: &Node, problems: &mut Problems) {
    let files = node.get("files").is_some();
    if let Some(cache) = node.get("cache").filter(|_| !files) {
        problems.push(
            Problem::error("`cache` is for `files`")
                .at(cache.key_span.clone())
                .help("a service says itself how long its answers may be kept, by the header Cache-Control"),
        );
    }
    for entry in OF_SERVICES.iter().filter(|_| files).filter_map(|name| node.get(name)) {
        problems.push(
            Problem::error(format!("`{}` has no meaning for `files`", entry.key))
                .at(entry.key_span.clone())
                .label("Nginx serves them itself: no service is asked"),
        );
    }
}

const BALANCES: &[&str] = &["round_robin", "least_conn", "ip_hash"];

/// `balance`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceKey(pub Balance);

impl Decode for BalanceKey {
    fn shape() -> Shape {
        Shape::Word(BALANCES)
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        word(node, BALANCES, problems).map(|name| {
            Self(match name {
                "least_conn" => Balance::LeastConnections,
                "ip_hash" => Balance::IpHash,
                _ => Balance::RoundRobin,
            })
        })
    }
}

/// A route: the name of a service, or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum RouteKey {
    /// Who answers.
    Service(ServiceName),
    /// In detail.
    Keys(Box<RouteKeys>),
}

impl Decode for RouteKey {
    fn shape() -> Shape {
        Shape::Either(vec![ServiceName::shape(), RouteKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Table(_) => {
                let ends: Vec<&Entry> = ENDS.iter().filter_map(|end| node.get(end)).collect();
                match ends.as_slice() {
                    [] => problems.push(
                        Problem::error("a route needs a `service`").at(node.span.clone()).fix("service = \"app\""),
                    ),
                    [_] => {}
                    [_, others @ ..] => {
                        for other in others {
                            problems.push(
                                Problem::error("a route leads to a `service`, to `servers` or to `files`: one of them")
                                    .at(other.key_span.clone()),
                            );
                        }
                    }
                }
                of_files(node, problems);
                RouteKeys::decode(node, problems).map(|k| Self::Keys(Box::new(k)))
            }
            Value::Text(_) => ServiceName::decode(node, problems).map(Self::Service),
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}
