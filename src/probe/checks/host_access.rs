//! What containers can reach of the host they run on.

use crate::model::finding::Finding;
use crate::model::inspected::Inspected;
use crate::model::observed::Observed;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::of_containers;

use Judged::{Fail, Pass, Skip, Warn};

pub(in crate::probe) const NET_3: Check = Check {
    id: "NET-3",
    family: Family::Exposure,
    title: "ports bound to loopback",
    question: "Are ports that are published on 127.0.0.1 really closed to the host's neighbours? Engines before 28.0 \
               route packets from the same network segment to them.",
    pass: "nothing is published on loopback, or the engine is 28.0 or newer",
    source: "docs.docker.com packet filtering; moby#45610",
    severity: Severity::Medium,
    remedy: "update the engine to 28.0, or block the port in the chain DOCKER-USER",
};

pub(in crate::probe) const NET_4: Check = Check {
    id: "NET-4",
    family: Family::Exposure,
    title: "host out of reach",
    question: "Does any container share a namespace with the host, or see its files? Asked of the engine: NetworkMode, \
               PidMode, IpcMode, UTSMode, UsernsMode, binds.",
    pass: "no namespace of the host, no engine socket, no folder of the host; a folder outside of the system is a warning",
    source: "CIS Docker 1.6 (docker-bench-security 5.5, 5.10, 5.16, 5.17, 5.21, 5.32)",
    severity: Severity::Critical,
    remedy: "remove the container and run `stackctl up`: stackctl makes none that can do this",
};

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let project = context.stack.project.as_str();
    let loopback = match context.observed {
        Some(observed) => loopback(observed),
        None => Skip("not visible from here: it needs the engine".to_owned()),
    };
    let reach = match context.containers().await {
        Ok(seen) => of_containers(context, &NET_4, seen.iter(), reach),
        Err(why) => NET_4.about(project).from("engine").judged(why),
    };
    vec![NET_3.about(project).from("engine").judged(loopback), reach]
}

/// The major number of a version such as `20.10.24`.
fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

fn loopback(observed: &Observed) -> Judged {
    let local: Vec<String> = observed
        .containers
        .iter()
        .flat_map(|c| c.ports.iter().map(move |port| (c, port)))
        .filter(|(_, (address, ..))| address.parse::<std::net::IpAddr>().is_ok_and(|a| a.is_loopback()))
        .map(|(c, (address, port, _))| format!("{} at {address}:{port}", c.name))
        .collect();
    let version = &observed.engine.version;
    if local.is_empty() {
        return Skip("nothing is published on loopback".to_owned());
    }
    match major(version) {
        Some(28..) => Pass(format!("{}, engine {version}", local.join(", "))),
        Some(_) => Warn(format!("{}, and the engine is {version}: neighbours reach it", local.join(", "))),
        None => Judged::Unsure(format!("{}, and the engine tells no version", local.join(", "))),
    }
}

/// Folders that are the system itself.
const SYSTEM: [&str; 11] =
    ["/boot", "/dev", "/etc", "/lib", "/proc", "/root", "/run", "/sys", "/usr", "/var/lib/docker", "/var/run"];

fn reach(container: &Inspected) -> Judged {
    let mut wrong: Vec<String> =
        container.host_namespaces.iter().map(|name| format!("shares the host's {name} namespace")).collect();
    let mut odd = Vec::new();
    for (source, target) in &container.binds {
        let system = source == "/" || SYSTEM.iter().any(|f| source == f || source.starts_with(&format!("{f}/")));
        if std::path::Path::new(source).extension().is_some_and(|e| e == "sock") {
            wrong.push(format!("has the socket {source} at {target}"));
        } else if system {
            wrong.push(format!("has {source} of the host at {target}"));
        } else {
            odd.push(format!("has {source} of the host at {target}"));
        }
    }
    match (wrong.is_empty(), odd.is_empty()) {
        (false, _) => Fail(wrong.join(", ")),
        (true, false) => Warn(odd.join(", ")),
        (true, true) => Pass("no namespace, socket or folder of the host".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observed::{EngineFacts, ObservedContainer};

    fn observed(version: &str, address: &str) -> Observed {
        Observed {
            engine: EngineFacts { version: version.into(), ..EngineFacts::default() },
            containers: vec![ObservedContainer {
                name: "x".into(),
                ports: vec![(address.into(), 5432, 5432)],
                ..ObservedContainer::default()
            }],
            ..Observed::default()
        }
    }

    #[test]
    fn loopback_is_safe_from_28_on() {
        assert!(matches!(loopback(&observed("20.10.24", "127.0.0.1")), Warn(_)));
        assert!(matches!(loopback(&observed("28.0.1", "::1")), Pass(_)));
        assert!(matches!(loopback(&observed("20.10.24", "0.0.0.0")), Skip(_)));
        assert!(matches!(loopback(&observed("", "127.0.0.1")), Judged::Unsure(_)));
    }

    #[test]
    fn what_reaches_the_host_is_found() {
        let bind =
            |source: &str| Inspected { binds: vec![(source.to_owned(), "/x".to_owned())], ..Inspected::default() };
        assert!(matches!(reach(&Inspected::default()), Pass(_)));
        for source in ["/", "/etc", "/var/run/docker.sock", "/run/docker.sock", "/root/.ssh", "/srv/x.sock"] {
            assert!(matches!(reach(&bind(source)), Fail(_)), "{source}");
        }
        for source in ["/srv/data", "/etcetera", "/home/deploy/site"] {
            assert!(matches!(reach(&bind(source)), Warn(_)), "{source}");
        }
        for name in ["network", "pid", "ipc", "uts", "user"] {
            let shared = Inspected { host_namespaces: vec![name], ..Inspected::default() };
            assert!(matches!(reach(&shared), Fail(_)), "{name}");
        }
    }
}
