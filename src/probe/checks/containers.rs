//! How containers run, compared with how stack.toml wants them to.

use crate::model::container::ContainerSpec;
use crate::model::finding::Finding;
use crate::model::inspected::Inspected;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::all_are;

use Judged::{Fail, Pass, Skip, Unsure, Warn};

/// Of CIS Docker 1.6, numbers as in docker-bench-security.
const fn hardening(id: &'static str, title: &'static str, severity: Severity) -> Check {
    Check {
        id,
        family: Family::Containers,
        title,
        question: "",
        pass: "",
        source: "CIS Docker 1.6 (docker-bench-security)",
        severity,
        remedy: "run `stackctl up`: it replaces containers that are not as stack.toml says",
    }
}

pub(in crate::probe) const CTR_1: Check = Check {
    question: "Do memory, processor share and number of processes of each container have the declared limits? Asked \
               of the engine (HostConfig).",
    pass: "as declared; memory and processes always have a limit",
    source: "CIS Docker 1.6 (docker-bench-security 5.11, 5.12, 5.29)",
    ..hardening("CTR-1", "resource limits", Severity::High)
};

pub(in crate::probe) const CTR_2: Check = Check {
    question: "Has any container more privileges than stack.toml grants? Asked of the engine: privileged, CapAdd, \
               CapDrop, SecurityOpt.",
    pass: "not privileged, all capabilities dropped but the declared ones, no-new-privileges, no profile switched off",
    source: "CIS Docker 1.6 (docker-bench-security 5.4, 5.5, 5.22, 5.26)",
    ..hardening("CTR-2", "privileges", Severity::Critical)
};

pub(in crate::probe) const CTR_3: Check = Check {
    question: "As which user do the processes of each container really run? The engine lists them; what an entry \
               point does after the start counts, not what the configuration says.",
    pass: "no process has user ID 0; with all capabilities dropped it is a warning",
    source: "CIS Docker 1.6 (docker-bench-security 4.1)",
    remedy: "name another user: `user = \"10001\"` in the service, and let its files belong to that user in the image",
    ..hardening("CTR-3", "effective user", Severity::High)
};

pub(in crate::probe) const CTR_4: Check = Check {
    question: "Is the root file system of each container that shall not write to it read-only? Asked of the engine.",
    pass: "as declared by `read_only`",
    source: "CIS Docker 1.6 (docker-bench-security 5.13)",
    ..hardening("CTR-4", "read-only root", Severity::Medium)
};

pub(in crate::probe) const CTR_5: Check = Check {
    question: "Does the engine start each container again as declared? Asked of the engine (RestartPolicy).",
    pass: "as declared by `restart`",
    source: "CIS Docker 1.6 (docker-bench-security 5.15)",
    ..hardening("CTR-5", "restart policy", Severity::Medium)
};

pub(super) const CHECKS: [&Check; 5] = [&CTR_1, &CTR_2, &CTR_3, &CTR_4, &CTR_5];

/// Judges a container by what it should be.
type Judge = fn(&ContainerSpec, &Inspected) -> Judged;

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let (seen, specs) = match (context.containers().await, context.known.specs) {
        (Ok(seen), Some(specs)) => (seen, specs),
        (Err(why), _) => return all_are(&CHECKS, context.stack.project.as_str(), None, &why.into()),
        (_, None) => {
            let why = Skip("not visible from here: what the stack wants is not known".to_owned());
            return all_are(&CHECKS, context.stack.project.as_str(), None, &why);
        }
    };
    let all: [(&'static Check, Judge); 5] =
        [(&CTR_1, limits), (&CTR_2, privileges), (&CTR_3, users), (&CTR_4, read_only), (&CTR_5, restart)];
    let mut findings = Vec::new();
    for (service, spec) in specs {
        let own: Vec<&Inspected> = seen.iter().filter(|c| c.service == *service && c.number > 0).collect();
        for (check, judge) in all {
            let judged = Judged::worst(own.iter().map(|c| (c.name.as_str(), judge(spec, c))));
            let judged = judged.unwrap_or_else(|| Skip("no container of it is there".to_owned()));
            findings.push(check.about(service).line(context.line_of(service)).from("engine").judged(judged));
        }
    }
    findings
}

fn limits(spec: &ContainerSpec, seen: &Inspected) -> Judged {
    let memory = spec.memory.map_or(0, |m| i64::try_from(m.0).unwrap_or(i64::MAX));
    #[expect(clippy::cast_possible_truncation, reason = "a share of processors is far below 2^63 billionths")]
    let cpus = spec.cpus.map_or(0, |c| (c * 1e9).round() as i64);
    let pids = spec.pids.map_or(0, i64::from);
    let mut wrong = Vec::new();
    if seen.memory != memory {
        wrong.push(format!("memory {} instead of {}", megabytes(seen.memory), megabytes(memory)));
    }
    if seen.nano_cpus != cpus {
        wrong.push(format!("processors {} instead of {}", share(seen.nano_cpus), share(cpus)));
    }
    if seen.pids.max(0) != pids {
        wrong.push(format!("{} processes instead of {pids}", seen.pids));
    }
    match (wrong.is_empty(), memory, pids) {
        (false, ..) => Fail(wrong.join(", ")),
        (true, 0, _) => Warn("no limit of memory: write `memory = \"512M\"` or what it needs".to_owned()),
        (true, _, 0) => Warn("no limit of processes".to_owned()),
        _ => Pass(format!("{}, {} processes", megabytes(memory), pids)),
    }
}

pub(super) fn megabytes(bytes: i64) -> String {
    if bytes == 0 { "without limit".to_owned() } else { format!("{} MiB", bytes >> 20) }
}

fn share(billionths: i64) -> String {
    if billionths == 0 {
        return "without limit".to_owned();
    }
    format!("{}.{:02}", billionths / 1_000_000_000, billionths / 10_000_000 % 100)
}

/// `CAP_NET_ADMIN` and `net_admin` are one thing.
pub(super) fn capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("CAP_").map_or(name.clone(), str::to_owned)
}

fn privileges(spec: &ContainerSpec, seen: &Inspected) -> Judged {
    let mut wrong = Vec::new();
    if seen.privileged {
        wrong.push("it is privileged".to_owned());
    }
    let granted: Vec<String> = spec.cap_add.iter().map(|c| capability(c)).collect();
    let more: Vec<String> = seen.cap_add.iter().map(|c| capability(c)).filter(|c| !granted.contains(c)).collect();
    if !more.is_empty() {
        wrong.push(format!("it keeps {}", more.join(", ")));
    }
    if !seen.cap_drop.iter().any(|c| capability(c) == "ALL") {
        wrong.push("not all capabilities are dropped".to_owned());
    }
    if !seen.security.iter().any(|o| o == "no-new-privileges" || o == "no-new-privileges:true") {
        wrong.push("no-new-privileges is missing".to_owned());
    }
    let off = seen.security.iter().filter(|o| o.ends_with("unconfined") || o.ends_with("label=disable"));
    wrong.extend(off.map(|option| format!("`{option}`")));
    if wrong.is_empty() {
        let kept = if granted.is_empty() { "no capability".to_owned() } else { granted.join(", ") };
        Pass(format!("{kept}, no-new-privileges"))
    } else {
        Fail(wrong.join(", "))
    }
}

fn users(spec: &ContainerSpec, seen: &Inspected) -> Judged {
    if !seen.running {
        return Skip("it does not run".to_owned());
    }
    let Some(processes) = seen.processes.as_ref().filter(|list| !list.is_empty()) else {
        return Unsure("the engine does not list its processes".to_owned());
    };
    let roots: Vec<&str> = processes.iter().filter(|(uid, _)| *uid == 0).map(|(_, command)| program(command)).collect();
    // The engine's own init is there to pass signals on; it runs as the container's user, too.
    let dropped = spec.cap_add.is_empty() && seen.cap_drop.iter().any(|c| capability(c) == "ALL") && !seen.privileged;
    match roots.first() {
        None => {
            let mut uids: Vec<u32> = processes.iter().map(|(uid, _)| *uid).collect();
            uids.sort_unstable();
            uids.dedup();
            Pass(format!("user {}", uids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")))
        }
        Some(program) if dropped => Warn(format!("`{program}` runs as root, though without capabilities")),
        Some(program) => Fail(format!("`{program}` runs as root")),
    }
}

/// The first word of a command line; the rest may hold anything.
pub(super) fn program(command: &str) -> &str {
    command.split_whitespace().next().unwrap_or("a process")
}

fn read_only(spec: &ContainerSpec, seen: &Inspected) -> Judged {
    match (spec.read_only, seen.read_only) {
        (true, true) => Pass("it is".to_owned()),
        (true, false) => Fail("it can be written".to_owned()),
        (false, true) => Warn("read-only, which stack.toml does not ask for".to_owned()),
        (false, false) => Skip("`read_only = true` is not set".to_owned()),
    }
}

fn restart(spec: &ContainerSpec, seen: &Inspected) -> Judged {
    let wanted = spec.restart.as_str();
    let found = if seen.restart.is_empty() { "no" } else { seen.restart.as_str() };
    if found == wanted { Pass(found.to_owned()) } else { Fail(format!("`{found}` instead of `{wanted}`")) }
}

#[cfg(test)]
pub(in crate::probe) mod tests {
    use super::*;
    use crate::base::units::{ByteSize, Span};
    use crate::model::runtime::Restart;

    pub(in crate::probe) fn spec() -> ContainerSpec {
        ContainerSpec {
            name: String::new(),
            hostname: None,
            image: "app:1".into(),
            entrypoint: None,
            command: None,
            launcher: false,
            user: Some("10001".into()),
            env: [].into(),
            mounts: vec![],
            tmpfs: [].into(),
            networks: vec![],
            ports: vec![],
            cpus: Some(0.5),
            memory: Some(ByteSize(64 << 20)),
            pids: Some(100),
            read_only: true,
            cap_add: vec!["NET_BIND_SERVICE".into()],
            init: true,
            restart: Restart::UnlessStopped,
            stop_signal: None,
            stop_timeout: Span::seconds(10),
            health: None,
            labels: [].into(),
            runtime: crate::model::runtime::Runtime::default(),
        }
    }

    /// As `up` would have made it.
    pub(in crate::probe) fn seen() -> Inspected {
        Inspected {
            name: "sum-app-1".into(),
            service: "app".into(),
            number: 1,
            running: true,
            user: "10001".into(),
            cap_add: vec!["CAP_NET_BIND_SERVICE".into()],
            cap_drop: vec!["ALL".into()],
            security: vec!["no-new-privileges".into()],
            read_only: true,
            memory: 64 << 20,
            nano_cpus: 500_000_000,
            pids: 100,
            restart: "unless-stopped".into(),
            log_driver: "json-file".into(),
            log_options: [("max-size".to_owned(), "10m".to_owned()), ("max-file".to_owned(), "5".to_owned())].into(),
            image: "app:1".into(),
            processes: Some(vec![(10001, "python -m app".into())]),
            ..Inspected::default()
        }
    }

    #[test]
    fn as_declared_passes_and_every_difference_fails_its_own_check() {
        type Break = fn(&mut Inspected);
        let judges: [(&str, Judge); 5] =
            [("CTR-1", limits), ("CTR-2", privileges), ("CTR-3", users), ("CTR-4", read_only), ("CTR-5", restart)];
        for (id, judge) in judges {
            assert!(matches!(judge(&spec(), &seen()), Pass(_)), "{id}: {:?}", judge(&spec(), &seen()));
        }
        let breaks: [(&str, Break); 13] = [
            ("CTR-1", |c| c.memory = 0),
            ("CTR-1", |c| c.nano_cpus = 2_000_000_000),
            ("CTR-1", |c| c.pids = -1),
            ("CTR-2", |c| c.privileged = true),
            ("CTR-2", |c| c.cap_add.push("SYS_ADMIN".into())),
            ("CTR-2", |c| c.cap_drop.clear()),
            ("CTR-2", |c| c.security.clear()),
            ("CTR-2", |c| c.security.push("seccomp=unconfined".into())),
            ("CTR-2", |c| c.security.push("apparmor:unconfined".into())),
            ("CTR-3", |c| c.processes = Some(vec![(10001, "sh".into()), (0, "/usr/sbin/cron -f".into())])),
            ("CTR-4", |c| c.read_only = false),
            ("CTR-5", |c| c.restart = "no".into()),
            ("CTR-5", |c| c.restart = String::new()),
        ];
        for (wanted, break_it) in breaks {
            let mut broken = seen();
            break_it(&mut broken);
            let failing: Vec<&str> = judges
                .iter()
                .filter(|(_, judge)| matches!(judge(&spec(), &broken), Fail(_)))
                .map(|(id, _)| *id)
                .collect();
            assert_eq!(failing, [wanted], "{broken:?}");
        }
    }

    #[test]
    fn what_is_neither_right_nor_wrong_is_said() {
        let no_limit = ContainerSpec { memory: None, ..spec() };
        assert!(matches!(limits(&no_limit, &Inspected { memory: 0, ..seen() }), Warn(_)));
        let harmless = ContainerSpec { cap_add: vec![], ..spec() };
        let root = Inspected { cap_add: vec![], processes: Some(vec![(0, "sh -c x".into())]), ..seen() };
        assert_eq!(users(&harmless, &root), Warn("`sh` runs as root, though without capabilities".into()));
        assert!(matches!(users(&spec(), &Inspected { processes: None, ..seen() }), Unsure(_)));
        assert!(matches!(users(&spec(), &Inspected { running: false, ..seen() }), Skip(_)));
        let writable = ContainerSpec { read_only: false, ..spec() };
        assert!(matches!(read_only(&writable, &Inspected { read_only: false, ..seen() }), Skip(_)));
    }
}
