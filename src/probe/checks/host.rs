//! The machine the engine runs on, as far as it can be asked: its clock, its disk, and who guards it.

use crate::model::finding::Finding;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::inside::Inside;
use super::super::judged::Unseen;
use super::super::tls::certificate::now;
use super::all_are;

use Judged::{Fail, Pass, Skip, Unsure, Warn};

const fn guard(id: &'static str, title: &'static str, severity: Severity) -> Check {
    Check { id, family: Family::Host, title, question: "", pass: "", source: "", severity, remedy: "" }
}

pub(in crate::probe) const HOST_1: Check = Check {
    question: "Is the engine's clock right? It is compared with this machine's; on one and the same machine, with what \
               systemd-timesyncd says of itself.",
    pass: "at most 5 s apart; more than 60 s fails: certificates, tokens and logs depend on it",
    source: "stackctl's own figures; JWT libraries allow 0 to 60 s",
    remedy: "`timedatectl set-ntp true`, or install chrony",
    ..guard("HOST-1", "clock", Severity::Medium)
};

pub(in crate::probe) const HOST_2: Check = Check {
    question: "How full is the disk that containers and volumes are on? `df -P /` in the front door's container.",
    pass: "at least 10 % free; under 5 % fails",
    source: "the guides' alert (disk < 10 %); node_exporter mixin (critical under 5 %)",
    remedy: "`docker system df` tells what takes the room; `docker image prune` removes what nobody uses",
    ..guard("HOST-2", "disk", Severity::High)
};

pub(in crate::probe) const HOST_3: Check = Check {
    question: "Does the machine install security updates by itself? /etc/apt/apt.conf.d/20auto-upgrades is read, on \
               Debian and its relatives.",
    pass: "APT::Periodic::Unattended-Upgrade is not 0",
    source: "wiki.debian.org/UnattendedUpgrades",
    remedy: "apt-get install unattended-upgrades && dpkg-reconfigure -plow unattended-upgrades",
    ..guard("HOST-3", "security updates", Severity::Medium)
};

pub(in crate::probe) const HOST_4: Check = Check {
    question: "Is ufw on? /etc/ufw/ufw.conf is read. It guards what is not published by the engine: published ports \
               pass it by (NET-1, NET-2).",
    pass: "ENABLED=yes",
    source: "docs.docker.com packet filtering; help.ubuntu.com UFW",
    remedy: "ufw allow 22,80,443/tcp && ufw enable",
    ..guard("HOST-4", "firewall", Severity::Medium)
};

pub(in crate::probe) const HOST_5: Check = Check {
    question: "Where fail2ban is installed: does it run? Its process file is looked for.",
    pass: "/run/fail2ban/fail2ban.pid is there",
    source: "fail2ban config/fail2ban.conf",
    remedy: "systemctl enable --now fail2ban",
    ..guard("HOST-5", "fail2ban", Severity::Low)
};

const CHECKS: [&Check; 5] = [&HOST_1, &HOST_2, &HOST_3, &HOST_4, &HOST_5];

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let inside = match context.inside() {
        Ok(inside) => inside,
        Err(why) => return all_are(&CHECKS, "host", None, &why.into()),
    };
    let about = |check: &'static Check| check.about("host").from("engine");
    let file = |path: &'static str| async move { read(inside, path).await };
    vec![
        about(&HOST_1).judged(clock(context, inside).await),
        about(&HOST_2).judged(disk(context, inside).await),
        about(&HOST_3).judged(
            match (file("/etc/debian_version").await, file("/etc/apt/apt.conf.d/20auto-upgrades").await) {
                (Ok(debian), Ok(settings)) => updates(debian.is_some(), settings.as_deref()),
                (Err(why), _) | (_, Err(why)) => why.into(),
            },
        ),
        about(&HOST_4).judged(match file("/etc/ufw/ufw.conf").await {
            Ok(settings) => firewall(settings.as_deref()),
            Err(why) => why.into(),
        }),
        about(&HOST_5).judged(
            match (file("/etc/fail2ban/fail2ban.conf").await, file("/run/fail2ban/fail2ban.pid").await) {
                (Ok(installed), Ok(process)) => banning(installed.is_some(), process.is_some()),
                (Err(why), _) | (_, Err(why)) => why.into(),
            },
        ),
    ]
}

/// A file of the host. Another machine's cannot be read: that is no failure.
async fn read(inside: &dyn Inside, path: &str) -> Result<Option<String>, Unseen> {
    inside.host_file(path).await.map_err(|why| Unseen::FromHere(format!("not visible from here: {why}")))
}

async fn clock(context: &Context<'_>, inside: &dyn Inside) -> Judged {
    let there = match inside.clock().await {
        Ok(there) => there,
        Err(why) => return Unsure(why),
    };
    let apart = there.abs_diff(now());
    if !context.observed.is_some_and(|o| o.engine.local) {
        return skew(apart);
    }
    // One clock cannot be compared with itself.
    match read(inside, "/run/systemd/timesync/synchronized").await {
        _ if apart > 5 => skew(apart),
        Ok(Some(_)) => Pass("systemd-timesyncd has set it".to_owned()),
        _ => Skip("it is this machine's own, and nothing here tells whether anybody sets it".to_owned()),
    }
}

fn skew(apart: u64) -> Judged {
    let seen = format!("{apart} s apart");
    match apart {
        0..=5 => Pass(seen),
        6..=60 => Warn(seen),
        _ => Fail(seen),
    }
}

async fn disk(context: &Context<'_>, inside: &dyn Inside) -> Judged {
    let seen = match context.containers().await {
        Ok(seen) => seen,
        Err(why) => return why.into(),
    };
    let mut running: Vec<_> = seen.iter().filter(|c| c.running && c.number > 0).collect();
    // Nginx's image is sure to have a `df`; others may have no program but their own.
    running.sort_by_key(|c| c.service != "proxy");
    let Some(container) = running.first() else {
        return Skip("no container runs that could be asked".to_owned());
    };
    match inside.run(&container.name, &["df", "-P", "-k", "/"]).await {
        Ok((0, text)) => free(&text),
        Ok((code, text)) => Skip(format!("`df` in {} exited with {code}: {}", container.name, text.trim())),
        Err(why) => Skip(format!("`df` cannot be run in {}: {why}", container.name)),
    }
}

/// `overlay 263174212 30274812 65830720 32% /`
fn free(text: &str) -> Judged {
    let fields: Vec<&str> = text.lines().last().unwrap_or("").split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok());
    let (Some(used), Some(left)) = (number(2), number(3)) else {
        return Unsure(format!("`df` said `{}`", text.trim()));
    };
    let percent = left.saturating_mul(100) / (used + left).max(1);
    let seen = format!("{percent} % free, {} GiB", left >> 20);
    match percent {
        0..=4 => Fail(seen),
        5..=9 => Warn(seen),
        _ => Pass(seen),
    }
}

fn updates(debian: bool, settings: Option<&str>) -> Judged {
    if !debian {
        return Skip("not Debian or a relative of it".to_owned());
    }
    let value =
        settings.into_iter().flat_map(str::lines).map(str::trim).filter(|l| !l.starts_with("//")).find_map(|l| {
            let value = l.strip_prefix("APT::Periodic::Unattended-Upgrade")?;
            Some(value.trim().trim_end_matches(';').trim_matches('"').to_owned())
        });
    match value.as_deref() {
        None => Warn("it is not set up".to_owned()),
        Some("0") => Warn("it is switched off".to_owned()),
        Some(days) => Pass(format!("Unattended-Upgrade {days}")),
    }
}

fn firewall(settings: Option<&str>) -> Judged {
    let Some(settings) = settings else {
        return Skip("ufw is not installed; other firewalls cannot be asked: attest it in stack.toml".to_owned());
    };
    let on = settings.lines().map(str::trim).any(|line| line.eq_ignore_ascii_case("ENABLED=yes"));
    if on { Pass("ufw is on".to_owned()) } else { Warn("ufw is off".to_owned()) }
}

fn banning(installed: bool, process: bool) -> Judged {
    match (installed, process) {
        (_, true) => Pass("it runs".to_owned()),
        (true, false) => Warn("installed, but it does not run".to_owned()),
        (false, false) => Skip("it is not installed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks() {
        let df = |used: u64, left: u64| {
            format!("Filesystem 1024-blocks Used Available Capacity Mounted on\noverlay 9 {used} {left} 1% /\n")
        };
        assert!(matches!(free(&df(50, 50)), Pass(_)));
        assert!(matches!(free(&df(91, 9)), Warn(_)));
        assert!(matches!(free(&df(96, 4)), Fail(_)));
        assert!(matches!(free("df: not found"), Unsure(_)));
    }

    #[test]
    fn clocks() {
        assert!(matches!(skew(5), Pass(_)));
        assert!(matches!(skew(6), Warn(_)));
        assert!(matches!(skew(61), Fail(_)));
    }

    #[test]
    fn guards() {
        assert!(matches!(updates(true, Some("APT::Periodic::Unattended-Upgrade \"1\";")), Pass(_)));
        assert!(matches!(updates(true, Some("APT::Periodic::Unattended-Upgrade \"0\";")), Warn(_)));
        assert!(matches!(updates(true, Some("// APT::Periodic::Unattended-Upgrade \"1\";")), Warn(_)));
        assert!(matches!(updates(true, None), Warn(_)));
        assert!(matches!(updates(false, None), Skip(_)));
        assert!(matches!(firewall(Some("ENABLED=yes\n")), Pass(_)));
        assert!(matches!(firewall(Some("#ENABLED=yes\nENABLED=no\n")), Warn(_)));
        assert!(matches!(firewall(None), Skip(_)));
        assert!(matches!(banning(true, true), Pass(_)));
        assert!(matches!(banning(true, false), Warn(_)));
        assert!(matches!(banning(false, false), Skip(_)));
    }
}
