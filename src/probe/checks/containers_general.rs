//! How containers run that no stack.toml declares: judged by what is right for nearly everybody.

use crate::model::finding::Finding;
use crate::model::inspected::Inspected;

use super::super::check::{Check, Judged};
use super::super::context::Context;
use super::all_are;
use super::containers::{CHECKS, CTR_1, CTR_2, CTR_3, CTR_4, CTR_5, capability, megabytes, program};

use Judged::{Fail, Pass, Skip, Unsure, Warn};

/// Capabilities with which a program in a container is as good as root on its host.
const GRAVE: [&str; 8] =
    ["ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH", "NET_ADMIN", "BPF"];

type Judge = fn(&Inspected) -> Judged;

/// Every service, with the worst of its containers.
pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let seen = match context.containers().await {
        Ok(seen) => seen,
        Err(why) => return all_are(&CHECKS, context.stack.project.as_str(), None, &why.into()),
    };
    let all: [(&'static Check, &str, Judge); 5] = [
        (&CTR_1, "a limit of memory, and one of processes", limits),
        (&CTR_2, "not privileged, nothing unconfined; all capabilities dropped, no-new-privileges", privileges),
        (&CTR_3, "no process of user 0", users),
        (&CTR_4, "its root cannot be written", read_only),
        (&CTR_5, "started again after a crash and after the host's own restart", restart),
    ];
    let mut findings = Vec::new();
    for service in context.stack.services.values().map(|service| service.name.as_str()) {
        let own: Vec<&Inspected> = seen.iter().filter(|c| c.service == service && c.number > 0).collect();
        for (check, expected, judge) in all {
            let judged = Judged::worst(own.iter().map(|c| (c.name.as_str(), judge(c))));
            let judged = judged.unwrap_or_else(|| Skip("no container of it is there".to_owned()));
            let question = check.about(service).line(context.line_of(service)).from("engine").expect(expected);
            findings.push(question.remedy(remedy(check)).judged(judged));
        }
    }
    findings
}

/// In the words of a compose file.
fn remedy(check: &Check) -> &'static str {
    match check.id {
        "CTR-1" => "write `mem_limit: 512m` (what it needs) and `pids_limit: 512` into the service",
        "CTR-2" => {
            "write `cap_drop: [ALL]`, `cap_add` with what it cannot do without, and \
             `security_opt: [\"no-new-privileges:true\"]` into the service; never `privileged`"
        }
        "CTR-3" => "write `user: \"10001:10001\"` into the service, or `USER` into its Dockerfile",
        "CTR-4" => "write `read_only: true` into the service, and `tmpfs: [/tmp]`",
        _ => "write `restart: unless-stopped` into the service",
    }
}

fn limits(seen: &Inspected) -> Judged {
    let memory = (seen.memory <= 0).then_some("no limit of memory: it can take the whole host's");
    let pids = (seen.pids <= 0).then_some("no limit of processes");
    let missing: Vec<&str> = memory.into_iter().chain(pids).collect();
    if missing.is_empty() {
        return Pass(format!("{}, {} processes", megabytes(seen.memory), seen.pids));
    }
    Warn(missing.join("; "))
}

fn privileges(seen: &Inspected) -> Judged {
    let mut grave = Vec::new();
    if seen.privileged {
        grave.push("it is privileged: as good as root on the host".to_owned());
    }
    let added = seen.cap_add.iter().map(|name| capability(name));
    grave.extend(added.filter(|name| GRAVE.contains(&name.as_str())).map(|name| format!("it has {name}")));
    let off = seen.security.iter().filter(|o| o.ends_with("unconfined") || o.ends_with("label=disable"));
    grave.extend(off.map(|option| format!("`{option}`")));
    if !grave.is_empty() {
        return Fail(grave.join(", "));
    }
    let mut missing = Vec::new();
    if !seen.cap_drop.iter().any(|name| capability(name) == "ALL") {
        missing.push("it keeps the capabilities of the engine's default");
    }
    if !seen.security.iter().any(|o| o == "no-new-privileges" || o == "no-new-privileges:true") {
        missing.push("no-new-privileges is missing");
    }
    if missing.is_empty() {
        Pass("no capability but its own, no-new-privileges".to_owned())
    } else {
        Warn(missing.join(", "))
    }
}

fn users(seen: &Inspected) -> Judged {
    if !seen.running {
        return Skip("it does not run".to_owned());
    }
    let Some(processes) = seen.processes.as_ref().filter(|list| !list.is_empty()) else {
        return Unsure("the engine does not list its processes".to_owned());
    };
    match processes.iter().find(|(uid, _)| *uid == 0) {
        None => Pass("no process of user 0".to_owned()),
        // Masters that drop to a user in their children (Nginx, Apache) need root to begin with, not to serve.
        Some((_, command)) if processes.iter().any(|(uid, _)| *uid != 0) => {
            Warn(format!("`{}` runs as root, others of its processes do not", program(command)))
        }
        Some((_, command)) => Fail(format!("`{}` runs as root", program(command))),
    }
}

fn read_only(seen: &Inspected) -> Judged {
    if seen.read_only { Pass("it is".to_owned()) } else { Skip("`read_only: true` is not set".to_owned()) }
}

fn restart(seen: &Inspected) -> Judged {
    match seen.restart.as_str() {
        "" | "no" if seen.running => Warn("it stays down after a crash, and when the host was restarted".to_owned()),
        "" | "no" => Skip("it ended, and is not to be started again".to_owned()),
        policy => Pass(policy.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Inspected {
        Inspected {
            running: true,
            memory: 64 << 20,
            pids: 100,
            cap_drop: vec!["ALL".into()],
            security: vec!["no-new-privileges:true".into()],
            read_only: true,
            restart: "unless-stopped".into(),
            processes: Some(vec![(10001, "app".into())]),
            ..Inspected::default()
        }
    }

    #[test]
    fn what_is_right_for_nearly_everybody() {
        for judge in [limits, privileges, users, read_only, restart] {
            assert!(matches!(judge(&good()), Pass(_)));
        }
        assert!(matches!(limits(&Inspected { memory: 0, ..good() }), Warn(_)));
        assert!(matches!(limits(&Inspected { pids: 0, ..good() }), Warn(_)));
        for grave in [
            Inspected { privileged: true, ..good() },
            Inspected { cap_add: vec!["CAP_SYS_ADMIN".into()], ..good() },
            Inspected { security: vec!["seccomp=unconfined".into(), "no-new-privileges".into()], ..good() },
        ] {
            assert!(matches!(privileges(&grave), Fail(_)), "{grave:?}");
        }
        assert!(matches!(privileges(&Inspected { cap_drop: vec![], ..good() }), Warn(_)));
        assert!(matches!(privileges(&Inspected { security: vec![], ..good() }), Warn(_)));
        let root =
            |list: &[u32]| Inspected { processes: Some(list.iter().map(|u| (*u, "x".into())).collect()), ..good() };
        assert!(matches!(users(&root(&[0])), Fail(_)));
        assert!(matches!(users(&root(&[0, 101])), Warn(_)));
        assert!(matches!(restart(&Inspected { restart: "no".into(), ..good() }), Warn(_)));
        assert!(matches!(restart(&Inspected { restart: "no".into(), running: false, ..good() }), Skip(_)));
        assert!(matches!(read_only(&Inspected::default()), Skip(_)));
    }
}
