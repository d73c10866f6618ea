//! What somebody changed by hand: what a container has now, in the words of stack.toml, beside what it was made with.
//!
//! Compared is what every engine gives back as it was told, so that no engine's own spelling looks like a change.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::base::units::ByteSize;

use super::container::{ContainerSpec, EnvValue, LAUNCHER, launched};
use super::parts::{self, Parts, hidden};
use super::runtime::Restart;

/// What an image brings along where stack.toml says nothing: no change then.
const IMAGES_OWN: &[&str] = &["command", "entrypoint", "user", "working_dir", "stop_signal"];

/// What an engine may set by itself where stack.toml says nothing (its `default-shm-size` and `default-ulimits`).
fn engines_own(name: &str) -> bool {
    name == "shm_size" || name.starts_with("ulimit ")
}

/// What an engine changes while a container runs, if it is to be something and not nothing.
const WHILE_IT_RUNS: &[&str] = &["memory", "cpus", "pids", "restart", "reserve.memory", "reserve.cpus"];

/// The limits of a container that an engine changes while it runs. `None`: stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limits {
    /// Memory.
    pub memory: Option<ByteSize>,
    /// Billionths of a processor.
    pub nano_cpus: Option<i64>,
    /// Most processes.
    pub pids: Option<u32>,
    /// Memory it keeps while the host runs out of it.
    pub memory_reservation: Option<ByteSize>,
    /// Weight of the processors' scheduler.
    pub cpu_shares: Option<i64>,
    /// Restart policy.
    pub restart: Restart,
}

/// Billionths of a processor.
pub fn nano(cpus: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation, reason = "a share of processors is far below 2^63 billionths")]
    let nano = (cpus * 1e9).round() as i64;
    nano
}

/// A share of processors as stack.toml has it.
pub fn cpus(nano: i64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "billionths of a few hundred processors")]
    let cpus = nano as f64 / 1e9;
    cpus.to_string()
}

/// A list in a part's value.
pub fn list(key: &[u8], words: &[String]) -> String {
    hidden(key, words.join("\0").as_bytes())
}

/// A mount's value: what is mounted, and how.
pub fn mounted(what: &str, read_only: bool) -> String {
    format!("{what}{}", if read_only { " (read-only)" } else { "" })
}

/// A set of capabilities, whatever prefix an engine writes before them.
pub fn capabilities(names: &[String]) -> String {
    let names: BTreeSet<&str> = names.iter().map(|n| n.strip_prefix("CAP_").unwrap_or(n)).collect();
    names.into_iter().collect::<Vec<_>>().join(",")
}

/// Options of a log driver in a part's value. Some are passwords of log servers.
pub fn options<'a>(key: &[u8], pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let pairs: BTreeSet<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    list(key, &pairs.into_iter().collect::<Vec<_>>())
}

/// Options of the kernel's security modules, whatever an engine writes for one that is on.
pub fn security(options: &[String]) -> String {
    let plain = |o: &String| o.strip_suffix(":true").or(o.strip_suffix("=true")).unwrap_or(o).to_owned();
    let options: BTreeSet<String> = options.iter().map(plain).collect();
    options.into_iter().collect::<Vec<_>>().join(",")
}

impl ContainerSpec {
    /// What an engine shows of a container that was made so and that nobody has touched.
    pub fn shown(&self, key: &[u8]) -> Parts {
        let mut out = Parts::new();
        let runtime = &self.runtime;
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|v| !v.is_empty()) {
                out.insert(name.to_owned(), value);
            }
        };
        put("memory", self.memory.map(|m| m.to_string()));
        put("cpus", self.cpus.map(|c| cpus(nano(c))));
        put("pids", self.pids.filter(|n| *n > 0).map(|n| n.to_string()));
        put("reserve.memory", runtime.reserve.memory.map(|m| m.to_string()));
        put("reserve.cpus", runtime.reserve.shares().map(|n| n.to_string()));
        put("restart", Some(self.restart.as_str().to_owned()));
        put("user", self.user.clone());
        put("working_dir", runtime.working_dir.clone());
        put("stop_signal", self.stop_signal.clone());
        let words = |words: &Option<Vec<String>>| words.as_ref().map(|words| list(key, words));
        if self.launcher {
            put("entrypoint", Some(list(key, &[LAUNCHER.to_owned()])));
            // What follows is the image's own, as far as nothing else is said: then nobody knows it here.
            let own = self.entrypoint.as_deref();
            let after = own.map(|entry| launched(Some(entry), self.command.as_deref(), (&[], &[])));
            put("command", words(&after));
        } else {
            put("entrypoint", words(&self.entrypoint));
            put("command", words(&self.command));
        }
        put("read_only", self.read_only.then(|| "true".to_owned()));
        put("cap_add", Some(capabilities(&self.cap_add)));
        put("cap_drop", Some("ALL".to_owned()));
        put("security_opt", Some("no-new-privileges".to_owned()));
        put("init", self.init.then(|| "true".to_owned()));
        put("shm_size", runtime.shm_size.map(|size| size.to_string()));
        put("dns", Some(runtime.dns.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")));
        let logging = runtime.logging.clone().unwrap_or_default();
        put("log options", Some(options(key, &logging.options)));
        put("log driver", Some(logging.driver));
        let health = self.health.as_ref().map(|h| list(key, &h.command));
        put("health check", Some(health.unwrap_or_else(|| "none".to_owned())));
        for (name, address) in &runtime.extra_hosts {
            put(&format!("host {name}"), Some(address.clone()));
        }
        for (name, limit) in &runtime.ulimits {
            put(&format!("ulimit {name}"), Some(format!("{}:{}", limit.soft, limit.hard)));
        }
        for device in &runtime.devices {
            put(&format!("device {}", device.container), Some(format!("{}:{}", device.host, device.permissions)));
        }
        for (name, value) in &self.env {
            let text = match value {
                EnvValue::Plain(text) => text,
                EnvValue::Secret(secret) => secret.expose(),
            };
            put(&format!("env {name}"), Some(hidden(key, text.as_bytes())));
        }
        for mount in &self.mounts {
            let what = match &mount.subpath {
                // The engine keeps a volume's files below its name.
                Some(part) => format!("{}/_data/{part}", mount.volume),
                None => mount.volume.clone(),
            };
            put(&format!("volume {}", mount.target), Some(mounted(&what, mount.read_only)));
        }
        for (target, options) in &self.tmpfs {
            put(&format!("tmpfs {target}"), Some(options.clone()));
        }
        for port in &self.ports {
            let name = format!("published {}", port.container_port);
            put(&name, Some(format!("{}:{}", port.address, port.host_port)));
        }
        out
    }

    /// Its limits, for an engine that is to set them again.
    pub fn limits(&self) -> Limits {
        Limits {
            memory: self.memory,
            nano_cpus: self.cpus.map(nano),
            pids: self.pids,
            memory_reservation: self.runtime.reserve.memory,
            cpu_shares: self.runtime.reserve.shares(),
            restart: self.restart,
        }
    }
}

/// What was changed by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// Every change in a sentence: what it was made with → what it has.
    pub changes: Vec<String>,
    /// The engine can set it right while the container runs.
    pub while_it_runs: bool,
}

/// Compares what a container was made with and what it has. `unkept` are limits that this engine does not keep;
/// `image` are variables that its image sets, `None` if nobody knows.
pub fn between(made: &Parts, has: &Parts, unkept: &BTreeSet<String>, image: Option<&BTreeSet<String>>) -> Drift {
    let counts = |name: &str| {
        let images = match name.strip_prefix("env ") {
            Some(variable) => image.is_none_or(|set| set.contains(variable)),
            None => IMAGES_OWN.contains(&name) || engines_own(name),
        };
        !unkept.contains(name) && (made.contains_key(name) || !images)
    };
    let of = |parts: &Parts| -> Parts {
        parts.iter().filter(|(name, _)| counts(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
    };
    let (made, has) = (of(made), of(has));
    let differs = |name: &&String| made.get(*name) != has.get(*name);
    let while_it_runs = made
        .keys()
        .chain(has.keys())
        .filter(differs)
        // There is no way to tell an engine that there is to be no limit of processors any more.
        .all(|name| WHILE_IT_RUNS.contains(&name.as_str()) && made.contains_key(name));
    Drift { changes: parts::changes(&made, &has), while_it_runs }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pairs: &[(&str, &str)]) -> Parts {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn changes_are_told_field_by_field() {
        let made = parts(&[("memory", "128M"), ("user", "10001"), ("env A", "#1"), ("restart", "always")]);
        let none = BTreeSet::new();
        let image = BTreeSet::from(["PATH".to_owned()]);
        for (has, told, while_it_runs) in [
            (parts(&[("memory", "128M"), ("user", "10001"), ("env A", "#1"), ("restart", "always")]), vec![], true),
            (
                parts(&[("memory", "256M"), ("user", "10001"), ("env A", "#1"), ("restart", "no")]),
                vec!["memory 128M → 256M", "restart always → no"],
                true,
            ),
            (
                // No limit of memory can be set again; a limit that nobody asked for cannot be taken away.
                parts(&[("user", "10001"), ("env A", "#1"), ("restart", "always"), ("cpus", "2")]),
                vec!["cpus set to 2", "memory no longer set (was 128M)"],
                false,
            ),
            (
                parts(&[
                    ("memory", "128M"),
                    ("user", "0"),
                    ("env A", "#2"),
                    ("env B", "#3"),
                    ("env PATH", "#4"),
                    ("command", "#5"),
                    ("privileged", "true"),
                    ("restart", "always"),
                ]),
                vec!["environment A changed", "environment B is new", "privileged set to true", "user 10001 → 0"],
                false,
            ),
        ] {
            let drift = between(&made, &has, &none, Some(&image));
            assert_eq!(
                (drift.changes, drift.while_it_runs),
                (told.iter().map(|t| (*t).to_owned()).collect(), while_it_runs)
            );
        }
    }

    #[test]
    fn what_an_engine_does_not_keep_was_not_changed() {
        let made = parts(&[("memory", "128M"), ("pids", "64")]);
        let unkept = BTreeSet::from(["pids".to_owned()]);
        assert_eq!(between(&made, &parts(&[("memory", "128M")]), &unkept, None).changes, Vec::<String>::new());
    }

    #[test]
    fn figures_are_those_of_the_file() {
        assert_eq!(cpus(nano(0.5)), "0.5");
        assert_eq!(cpus(nano(2.0)), "2");
        assert_eq!(capabilities(&["CAP_SETUID".into(), "CHOWN".into()]), "CHOWN,SETUID");
    }
}
