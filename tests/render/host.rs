//! A host that runs: systemd as the first process of a container, and on it two of the guides' programs, a Flask and a
//! `FastAPI` application from Debian's packages, as `render` wrote their units. They are asked through the front door
//! what they can do there.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::docker::{docker, image};
use crate::readers::feed;

/// What systemd needs that the engine does not give: mounts of its own, user namespaces of others, and priorities.
const RIGHTS: [&str; 4] = ["SYS_ADMIN", "SYS_PTRACE", "SYS_NICE", "DAC_READ_SEARCH"];

struct Host {
    name: String,
}

impl Host {
    fn boot() -> Self {
        let host = Self { name: format!("render-test-host-{}", std::process::id()) };
        let mut arguments = vec!["run", "--detach", "--name", &host.name, "--cgroupns", "private"];
        for option in ["seccomp=unconfined", "apparmor=unconfined"] {
            arguments.extend(["--security-opt", option]);
        }
        for right in RIGHTS {
            arguments.extend(["--cap-add", right]);
        }
        for folder in ["/run", "/run/lock", "/tmp"] {
            arguments.extend(["--tmpfs", folder]);
        }
        let image = image("test/systemd:252");
        arguments.push(&image);
        docker(&arguments);
        host.waits_for("systemd", || {
            let (_, state) = host.says(&["systemctl", "is-system-running"]);
            ["running", "degraded"].contains(&state.trim())
        });
        host
    }

    /// Whether a command there ended well, and all it wrote.
    fn says(&self, command: &[&str]) -> (bool, String) {
        let output = Command::new("docker").args(["exec", &self.name]).args(command).output().expect("docker runs");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    fn does(&self, script: &str) -> String {
        let (good, output) = self.says(&["sh", "-euc", script]);
        assert!(good, "{script}: {output}\n{}", self.journal());
        output.trim().to_owned()
    }

    fn journal(&self) -> String {
        self.says(&["journalctl", "--no-pager", "--boot", "--lines=60"]).1
    }

    fn waits_for(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_secs(40), "no {what}: {}", self.journal());
            sleep(Duration::from_millis(100));
        }
    }

    /// Puts what a folder holds below `to`, as root's.
    fn put(&self, from: &Path, to: &str) {
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_dir_all(".", from).unwrap();
        let place = ["exec", "-i", &self.name, "tar", "-x", "--no-same-owner", "--no-overwrite-dir", "-C", to];
        let (good, output) = feed("docker", &place, tar.into_inner().unwrap());
        assert!(good, "{output}");
    }

    /// What the front door answers, asked on the host itself.
    fn asks(&self, url: &str) -> Result<Value, String> {
        let (_, text) = self.says(&["curl", "-sSk", "--max-time", "5", "--connect-to", "::127.0.0.1:", url]);
        serde_json::from_str(&text).map_err(|_| text)
    }

    fn shows(&self, unit: &str, property: &str) -> String {
        self.does(&format!("systemctl show --value --property={property} {unit}"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", "--volumes", &self.name]).output();
    }
}

/// A guide's stack: its domain, health path, names it uses, and a folder of its own.
struct Guide {
    name: &'static str,
    site: &'static str,
    health: &'static str,
    names: &'static [&'static str],
    memory: u64,
}

const GUIDES: [Guide; 2] = [
    Guide {
        name: "sum",
        site: "https://sum.example.com",
        health: "/health/ready",
        names: &["postgres", "redis", "app"],
        memory: 1 << 30,
    },
    Guide {
        name: "research-assistant",
        site: "https://yourdomain.com",
        health: "/api/health",
        names: &["db", "app"],
        memory: 4 << 30,
    },
];

#[test]
fn native_services_run_as_rendered() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let host = Host::boot();
    // What others have, and no service may see.
    host.does(
        "mkdir -p /home/somebody; echo dear >/home/somebody/letter; touch /tmp/of-others; ls /app && exit 1 || :",
    );
    for guide in &GUIDES {
        let Guide { name, site, .. } = guide;
        let folder = tempfile::tempdir().unwrap();
        let rendered = folder.path().join("out");
        // One secret more: as a file, where the guide has variables only.
        let text = std::fs::read_to_string(root.join(format!("tests/stacks/{name}.toml"))).unwrap();
        let text = text.replace("LOG_LEVEL    = ", "TOKEN_FILE = \"${secrets.secret_key.file}\"\nLOG_LEVEL = ");
        // Control groups of version 1 tell nobody in a container that they are empty: systemd waits for processes that
        // are gone already, as long as it may.
        let text = text.replace("\nnative ", "\nstop_grace_period = \"2s\"\nnative ");
        assert!(text.contains("stop_grace_period"), "{name}");
        std::fs::write(folder.path().join("stack.toml"), text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_stackctl"))
            .current_dir(folder.path())
            .arg("render")
            .arg(&rendered)
            .env_clear()
            .env("ANTHROPIC_API_KEY", "sk-\"of\" $somebody")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let apps = root.join("tests/render/apps");
        host.does(&format!("mkdir -p /opt/{name}"));
        host.put(&apps.join(name), &format!("/opt/{name}"));
        host.does(&format!(
            "cat >/opt/{name}/report.py <<'END'\n{}\nEND",
            std::fs::read_to_string(apps.join("report.py")).unwrap()
        ));
        // The steps that the target's own header tells.
        host.put(&rendered.join("native/etc"), "/etc");
        host.does(&format!("systemd-sysusers && systemd-tmpfiles --create {name}.conf"));
        host.does(&format!("systemctl daemon-reload && systemctl enable --now {name}.target"));
        host.waits_for("answer", || host.asks(&format!("{site}{}", guide.health)).is_ok());
        let health = host.asks(&format!("{site}{}", guide.health)).unwrap();
        assert_eq!(health, json!({ "status": "healthy", "tables": "made" }), "{name}: and `pre_deploy` ran before");
        confined(&host, guide);

        let unit = format!("{name}-app.service");
        assert_eq!(host.shows(&unit, "MemoryMax"), guide.memory.to_string(), "{name}");
        let group = host.shows(&unit, "ControlGroup");
        let limits = host.does(&format!(
            "cat $(ls /sys/fs/cgroup/memory{group}/memory.limit_in_bytes /sys/fs/cgroup{group}/memory.max 2>/dev/null) \
             $(ls /sys/fs/cgroup/pids{group}/pids.max /sys/fs/cgroup{group}/pids.max 2>/dev/null)"
        ));
        assert_eq!(limits, format!("{}\n{}", guide.memory, host.shows(&unit, "TasksMax")), "{name}: the kernel's own");

        // Killed, it comes back; reloaded, the front door answers on; taken away, all of it is gone.
        host.does(&format!("systemctl kill --signal=KILL {unit}"));
        host.waits_for("restart", || {
            host.shows(&unit, "NRestarts") == "1" && host.asks(&format!("{site}{}", guide.health)).is_ok()
        });
        host.does(&format!("systemctl reload {name}-proxy.service"));
        assert!(host.asks(&format!("{site}{}", guide.health)).is_ok(), "{name}");
        let journal = host.says(&["journalctl", "--no-pager", "--boot", "--output=cat"]).1;
        for bad in ["Unknown key", "Unknown section", "Failed to parse", "Invalid "] {
            assert!(!journal.contains(bad), "{name}: {bad}: {journal}");
        }
        host.does(&format!("systemctl disable --now {name}.target"));
        host.waits_for("end", || {
            let state = |own: &str| host.shows(&format!("{name}-{own}.service"), "ActiveState");
            ["app", "proxy"].iter().all(|own| ["inactive", "failed"].contains(&state(own).as_str()))
        });
    }
}

/// What a program of the stack can do there, by its own account.
fn confined(host: &Host, Guide { name, site, names, .. }: &Guide) {
    let told = host.asks(&format!("{site}/report")).unwrap_or_else(|text| panic!("{name}: {text}\n{}", host.journal()));
    let none = "0000000000000000";
    let read_only = "Read-only file system";
    let (denied, refused) = ("Permission denied", "Operation not permitted");
    let folder = format!("/opt/{name}");
    for (what, wanted) in [
        ("user", json!(name)),
        ("capabilities", json!([none, none, none])),
        ("no_new_privileges", json!("1")),
        ("seccomp", json!("2")),
        ("umask", json!("0027")),
        ("folder", json!(folder)),
        ("own", json!("done")),
        ("tmp", json!(false)),
        ("devices", json!([])),
        ("others", json!([])),
        ("suid", json!(refused)),
        ("packets", json!("Address family not supported by protocol")),
        ("netlink", json!("Address family not supported by protocol")),
        ("namespace", json!(refused)),
        ("mount", json!(refused)),
        ("hostname", json!(refused)),
    ] {
        assert_eq!(told[what], wanted, "{name}: {what}: {told:#}");
    }
    for (path, said) in told["writes"].as_object().unwrap() {
        assert!([read_only, denied].contains(&said.as_str().unwrap()), "{name}: {path} can be written: {told:#}");
    }
    for (path, said) in told["reads"].as_object().unwrap() {
        assert_ne!(said, "done", "{name}: {path} can be read");
    }
    for hidden in ["home", "credentials", "kernel"] {
        assert_ne!(told[hidden], "done", "{name}: {hidden}: {told:#}");
    }
    for own in *names {
        assert_eq!(told["names"][own], "127.0.0.1", "{name}: {own}");
    }
    let environment = &told["environment"];
    match *name {
        "sum" => {
            assert_eq!(environment["SECRET_KEY"].as_str().map(str::len), Some(64), "{environment:#}");
            assert_eq!(told["token"], environment["SECRET_KEY"], "the same, as a credential");
            assert!(environment["DATABASE_URL"].as_str().unwrap().contains("@postgres"), "{environment:#}");
        }
        _ => assert_eq!(environment["ANTHROPIC_API_KEY"], "sk-\"of\" $somebody", "{environment:#}"),
    }
}
