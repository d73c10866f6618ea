//! Keys of how a container runs: reservations, limits, devices, names, logging.

use std::net::IpAddr;

use crate::base::problem::{Problem, Problems};
use crate::base::units::ByteSize;
use crate::config::decode::{Decode, Map, MapKey, mismatch, table};
use crate::config::shape::Shape;
use crate::config::tree::{Node, Value};
use crate::config::values::{Cores, Int, Scalar, Text, is_absolute, parsed, word};
use crate::model::runtime::{Device, Ulimit};

table! {
    /// What a service gets before others do. The limits are `cpus` and `memory` of the service itself.
    ReserveKeys as "reserve" {
        /// Cores it gets while all processors are busy; the rest is shared in the same proportion. What reserves nothing counts as 1.
        cpus: Cores => "0.5",
        /// Memory it keeps while the host runs out of it. Not more than `memory`.
        memory: ByteSize => r#""512M""#,
    }
}

table! {
    /// Where the output of a service goes.
    LoggingKeys as "logging" {
        /// The engine's log driver. `stackctl logs` reads what `json-file`, `local` and `journald` keep; `none` keeps nothing.
        driver: DriverKey = "\"json-file\"" => r#""local""#,
        /// Options of the driver, by its own names. `json-file` and `local` keep five files of 10 MB if nothing else is said.
        options: Map<Text, Scalar> => r#"{ max-size = "50m" }"#,
    }
}

table! {
    /// A limit of a process. `-1` is none.
    UlimitKeys as "a ulimit" short for soft, hard {
        /// Where it starts; the process may raise it to `hard`.
        soft: Int<{ -1 }, 1_000_000_000_000> => "1024",
        /// The most.
        hard: Int<{ -1 }, 1_000_000_000_000> => "4096",
    }
}

/// Drivers the engine brings along.
const DRIVERS: &[&str] =
    &["json-file", "local", "journald", "syslog", "gelf", "fluentd", "awslogs", "gcplogs", "splunk", "none"];

/// `logging.driver`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriverKey(pub &'static str);

impl Decode for DriverKey {
    fn shape() -> Shape {
        Shape::Word(DRIVERS)
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        word(node, DRIVERS, problems).map(Self)
    }
}

/// The name of a limit of setrlimit(2) that the engine knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UlimitName(pub String);

impl MapKey for UlimitName {
    const WHAT: &'static str = "ulimit";
    const RULE: &'static str = "`core`, `cpu`, `data`, `fsize`, `locks`, `memlock`, `msgqueue`, `nice`, `nofile`, \
        `nproc`, `rss`, `rtprio`, `rttime`, `sigpending` or `stack`";
    fn parse(text: &str) -> Option<Self> {
        Self::RULE.split('`').skip(1).step_by(2).any(|name| name == text).then(|| Self(text.to_owned()))
    }
}

/// `ulimits.NAME`: one number for both, or a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UlimitKey(pub Ulimit);

impl Decode for UlimitKey {
    fn shape() -> Shape {
        Shape::Either(vec![Shape::Integer { min: -1, max: 1_000_000_000_000 }, UlimitKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let (soft, hard) = match node.value {
            Value::Integer(_) => {
                let both = Int::<{ -1 }, { i64::MAX }>::decode(node, problems)?.0;
                (both, both)
            }
            Value::Table(_) => {
                let keys = UlimitKeys::decode(node, problems)?;
                let (Some(soft), Some(hard)) = (&keys.soft, &keys.hard) else {
                    // A value that is there but wrong has been reported already.
                    if node.get("soft").is_none() || node.get("hard").is_none() {
                        let problem = Problem::error("a ulimit needs both `soft` and `hard`, or is one number");
                        problems.push(problem.at(node.span.clone()).fix("{ soft = 1024, hard = 4096 }"));
                    }
                    return None;
                };
                (soft.value.0, hard.value.0)
            }
            _ => {
                mismatch(node, &Self::shape(), problems);
                return None;
            }
        };
        if hard != -1 && (soft == -1 || soft > hard) {
            problems.push(Problem::error("`soft` is above `hard`").at(node.span.clone()));
            return None;
        }
        Some(Self(Ulimit { soft, hard }))
    }
}

/// `devices`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceKey(pub Device);

/// Devices through which a process reads and writes all of the host's memory or disks.
const HOST_ITSELF: &[&str] = &["/dev/mem", "/dev/kmem", "/dev/port", "/dev/kcore"];

impl Decode for DeviceKey {
    fn shape() -> Shape {
        Shape::Text { what: "a device such as \"/dev/dri\"", pattern: "^/dev/[^:]+(:/[^:]+(:[rwm]+)?)?$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            let mut parts = text.split(':');
            let host = parts.next().unwrap_or_default();
            let container = parts.next().unwrap_or(host);
            let permissions = parts.next().unwrap_or("rwm");
            if HOST_ITSELF.contains(&host) {
                return Err(format!("`{host}` is the host itself: whoever has it needs no container"));
            }
            let sane = host.starts_with("/dev/")
                && is_absolute(host)
                && is_absolute(container)
                && !permissions.is_empty()
                && permissions.chars().all(|c| "rwm".contains(c))
                && parts.next().is_none();
            if !sane {
                return Err(format!("`{text}` is not a device; write `/dev/x`, `/dev/x:/dev/y` or `/dev/x:/dev/y:rw`"));
            }
            let [host, container, permissions] = [host, container, permissions].map(str::to_owned);
            Ok(Self(Device { host, container, permissions }))
        })
    }
}

/// A host name, or a short one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(pub String);

impl MapKey for HostName {
    const WHAT: &'static str = "host";
    const RULE: &'static str = "letters, digits, `-`, `_` and `.`";
    fn parse(text: &str) -> Option<Self> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let sane = !text.is_empty() && text.len() <= 253 && text.bytes().all(fine) && !text.starts_with(['-', '.']);
        sane.then(|| Self(text.to_owned()))
    }
}

/// `extra_hosts.NAME`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAddress(pub String);

/// The engine's word for the host's own address.
const GATEWAY: &str = "host-gateway";

impl Decode for HostAddress {
    fn shape() -> Shape {
        Shape::Text { what: "an IP address or `host-gateway`", pattern: "^([0-9a-fA-F.:]+|host-gateway)$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| match text.parse::<IpAddr>() {
            Ok(address) => Ok(Self(address.to_string())),
            Err(_) if text == GATEWAY => Ok(Self(text.to_owned())),
            Err(_) => Err(format!("`{text}` is neither an IP address nor `{GATEWAY}`")),
        })
    }
}

/// `dns`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameServer(pub IpAddr);

impl Decode for NameServer {
    fn shape() -> Shape {
        Shape::Text { what: "an IP address", pattern: "^[0-9a-fA-F.:]+$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            text.parse().map(Self).map_err(|_| format!("`{text}` is not the IP address of a name server"))
        })
    }
}

/// The name of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelName(pub String);

impl MapKey for LabelName {
    const WHAT: &'static str = "label";
    const RULE: &'static str =
        "letters, digits, `.`, `-`, `_` and `/`; names below `com.docker.compose.` and `stackctl.` are ours";
    fn parse(text: &str) -> Option<Self> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b".-_/".contains(&b);
        let ours = ["com.docker.compose.", "stackctl."].iter().any(|prefix| text.starts_with(prefix));
        let sane = !text.is_empty() && text.len() <= 128 && text.bytes().all(fine) && !ours;
        sane.then(|| Self(text.to_owned()))
    }
}
