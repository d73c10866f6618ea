//! The real program, in this process, on an engine in memory that fails at every single call in every way, and that is
//! left alone at every moment: nothing panics, nothing hangs, visitors are served throughout, the next run finishes.
//!
//! The calls are those of a run that was recorded just before: a call that is new is in the sweep.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::model::{Fault, Seen, World};
use super::run::{How, Outcome, run};

/// Longest time of a command that meets one fault: a call's own 60 s (a command in a container has as much again), what
/// it then waits for (a container's `start_period`, the front door's 10 s), and taking back what was begun.
const LIMIT: Duration = Duration::from_secs(240);

/// The same for a pull that says nothing, and for `verify`, which has 300 s for all its checks.
/// And a second for this machine, whose own work the paused clock counts, too.
const LONG: Duration = Duration::from_secs(361);

/// What happens at each call of each command.
const ALWAYS: &[Fault] = &[Fault::Refused(500, "something went wrong in the engine"), Fault::Cut, Fault::Stall];

/// What happens beside at the first call of each kind.
const ONCE: &[Fault] = &[
    Fault::CutHead,
    Fault::CutBody,
    Fault::StallBody,
    Fault::Garbage(b"<html>not an engine</html>"),
    Fault::Garbage(b"\xff\xfe{\"Id\":\"\xc3\x28\"}"),
    Fault::Garbage(br#"{"Id":7,"Names":"x","State":[],"Volumes":"none","Version":{},"message":1}"#),
    Fault::Garbage(br#"["a",{"Id":[]},null]"#),
    Fault::Garbage(b"!SSH-2.0-OpenSSH_9.2\r\n"),
];

/// And, with `SOAK=1`, whatever engines say, also where it makes no sense. Texts: daemon/errors.go, libnetwork and
/// distribution/errors.go of moby 20.10 and 28; the two say the same things in other words.
const WORDS: &[Fault] = &[
    Fault::Refused(500, "write /var/lib/docker/tmp/x: no space left on device"),
    Fault::Refused(
        500,
        "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host",
    ),
    Fault::Refused(
        500,
        "failed to do request: Head \"https://registry-1.docker.io/v2/library/nginx/manifests/1.30\": dial tcp: lookup registry-1.docker.io: no such host",
    ),
    Fault::Refused(
        404,
        "pull access denied for acme/app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
    ),
    Fault::Refused(
        500,
        "driver failed programming external connectivity on endpoint shop-proxy-1 (0a1b): Error starting userland proxy: listen tcp4 127.0.0.1:18080: bind: address already in use",
    ),
    Fault::Refused(
        500,
        "failed to set up container networking: driver failed programming external connectivity on endpoint shop-proxy-1 (0a1b): failed to bind host port 127.0.0.1:18080/tcp: address already in use",
    ),
    Fault::Refused(403, "Pool overlaps with other one on this address space"),
    Fault::Refused(400, "invalid pool request: Pool overlaps with other one on this address space"),
    Fault::Refused(
        400,
        "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"serve\": executable file not found in $PATH: unknown",
    ),
    Fault::Refused(
        400,
        "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: \"serve\": executable file not found in $PATH",
    ),
    Fault::Refused(
        409,
        "Conflict. The container name \"/shop-app-1\" is already in use by container \"0a1b\". You have to remove (or rename) that container to be able to reuse that name.",
    ),
    Fault::Refused(403, "authorization denied by plugin opa: no"),
    GONE,
    Fault::Refused(503, ""),
];

const GONE: Fault = Fault::Refused(404, "page not found");

/// A stack of everything, on addresses of its own: several are tried side by side.
fn stack(pool: usize) -> String {
    format!(
        r#"
name = "shop"
pool = "10.{pool}.0.0/16"

[services.app]
image       = "acme/app:${{TAG}}"
port        = 8000
replicas    = 2
healthcheck = "/health"
metrics     = "/metrics"
pre_deploy  = ["migrate"]
[services.app.environment]
MODE         = "${{TAG}}"
TOKEN_FILE   = "${{secrets.token.file}}"
DATABASE_URL = "${{db.url}}"
REDIS_URL    = "${{cache.url}}"

[services.worker]
like     = "app"
command  = ["work"]
replicas = 1

[services.api]
image       = "acme/api:${{TAG}}"
port        = 9000
healthcheck = "/health"

[services.db]
preset = "postgres:15"
memory = "256M"

[services.cache]
preset = "redis:7"
memory = "64M"

[services.prometheus]
preset = "prometheus:v2.53.3"

[secrets]
token = {{ env = "TOKEN" }}

[proxy]
tls       = "off"
http_port = 18080
address   = "127.0.0.1"
limit     = {{ rate = "${{TAG}}0/s", burst = 10 }}

[routes]
"/shop/" = "app"
"/api/"  = "api"
"#
    )
}

/// A folder with a stack, and what an engine has after `up`.
pub(crate) struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new(pool: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("stack.toml"), stack(pool)).unwrap();
        Self { folder }
    }

    pub(crate) fn run(&self, world: &World, args: &[&str], tag: &str, how: &How) -> Result<Outcome, String> {
        let token = format!("a-token-of-version-{tag}");
        run(self.folder.path(), world.clone(), args, &[("TAG", tag), ("TOKEN", &token)], how)
    }

    #[track_caller]
    fn well(&self, world: &World, args: &[&str], tag: &str) -> Outcome {
        let outcome = self.run(world, args, tag, &How::default()).unwrap();
        assert_eq!(outcome.code, Some(0), "{args:?}: {}{}", outcome.out, outcome.err);
        outcome
    }

    /// Two releases.
    fn deployed(&self) -> Worlds {
        let nothing = World { networks: BTreeMap::from([("bridge".to_owned(), bridge())]), ..World::default() };
        let one = self.well(&nothing, UP, "1").world;
        let two = self.well(&one, UP, "2").world;
        (one, two)
    }
}

pub(crate) const UP: &[&str] = &["up", "--yes", "--no-verify"];

pub(crate) fn bridge() -> serde_json::Value {
    serde_json::json!({ "Id": "net-bridge", "Name": "bridge", "IPAM": { "Config": [{ "Subnet": "172.17.0.0/16" }] } })
}

/// What is wrong with a run that met a fault.
fn judged(outcome: &Result<Outcome, String>, at: usize, command: &str) -> Vec<String> {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(panic) => return vec![format!("it panicked: {panic}")],
    };
    let mut wrong = Vec::new();
    let Some(code) = outcome.code else { return vec!["it hangs".to_owned()] };
    let pulls = outcome.seen.get(at).is_some_and(|seen| seen.call == "POST /images/create");
    if outcome.took > if pulls || command == "verify" { LONG } else { LIMIT } {
        wrong.push(format!("it took {:?}", outcome.took));
    }
    wrong.extend(outcome.outages.first().cloned());
    let error = outcome.err.lines().find(|line| line.starts_with("error: "));
    match (code, error) {
        (0, None) => {}
        (0, Some(error)) => wrong.push(format!("it succeeded, and says {error}")),
        (_, None) => wrong.push(format!("exit {code} without an error")),
        (_, Some(error)) => {
            let flat = outcome.err.split_whitespace().collect::<Vec<_>>().join(" ");
            if !error.contains("could not ") {
                wrong.push(format!("which call it was is not said: {error}"));
            }
            if !flat.contains("hint: ") {
                wrong.push(format!("no way on is named: {error}"));
            }
        }
    }
    wrong
}

/// A stack that was deployed once, and once more.
type Worlds = (World, World);

/// Fingerprints of worlds that were found to be well.
type Well = Mutex<HashSet<u64>>;

/// Cases side by side, each worker with addresses of its own. Returns what went wrong.
fn side_by_side<T: Sync>(
    cases: &(dyn Fn(&Site, &Worlds) -> Vec<T> + Sync),
    case: &(dyn Fn(&Site, &Worlds, &T, &Well) -> Vec<String> + Sync),
) -> (usize, Vec<String>) {
    let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(8);
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let number = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (next, wrong, number) = (&next, &wrong, &number);
            scope.spawn(move || {
                let site = Site::new(80 + worker);
                let worlds = site.deployed();
                let all = cases(&site, &worlds);
                number.store(all.len(), Ordering::Relaxed);
                // Addresses differ from worker to worker, so each has its own.
                let well = Well::default();
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = case(&site, &worlds, one, &well);
                    wrong.lock().unwrap().extend(found);
                }
            });
        }
    });
    (number.into_inner(), wrong.into_inner().unwrap())
}

/// From whatever is there, one more `up` reaches what is wanted: nothing more to do, nothing left behind, nobody turned
/// away meanwhile.
fn finishes(site: &Site, world: &World, wanted: &World, well: &Well) -> Option<String> {
    if !well.lock().unwrap().insert(world.fingerprint()) {
        return None;
    }
    let again = match site.run(world, UP, "2", &How::default()) {
        Ok(again) => again,
        Err(panic) => return Some(format!("the next run panicked: {panic}")),
    };
    if again.code != Some(0) {
        return Some(format!("the next run ends with {:?}: {}", again.code, again.err));
    }
    if let Some(outage) = again.outages.first() {
        return Some(format!("in the next run nobody answers {outage}"));
    }
    if !again.world.gaps.is_empty() {
        return Some(format!("for a moment there is no {:?}, which somebody reads", again.world.gaps));
    }
    let plan = site.run(&again.world, &["plan", "--exit-code"], "2", &How::default()).ok()?;
    if plan.code != Some(0) {
        return Some(format!("after the next run there is more to do: {}", plan.out));
    }
    if again.world.services() != wanted.services() {
        return Some(format!("other containers than wanted: {:?}", again.world.services()));
    }
    let helpers = again.world.helpers();
    (!helpers.is_empty()).then(|| format!("helpers are left: {helpers:?}"))
}

/// The same test in a network of its own, where all addresses are this machine's.
pub(crate) fn apart(test: &str) -> bool {
    if std::env::var_os("STACKCTL_TEST_APART").is_some() {
        return true;
    }
    let script = r#"ip link set lo up && ip route add local 10.0.0.0/8 dev lo && exec "$@""#;
    let mut command = Command::new("unshare");
    if std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) != 0) {
        command.arg("--map-root-user");
    }
    command.args(["--net", "--", "sh", "-c", script, "sh"]).arg(std::env::current_exe().unwrap());
    let output = command.args(["--exact", test, "--nocapture"]).env("STACKCTL_TEST_APART", "1").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let figures = out.lines().filter(|line| line.starts_with("sweep: ")).collect::<Vec<_>>();
    assert!(!figures.is_empty(), "it did not run:\n{out}");
    println!("{}", figures.join("\n"));
    false
}

fn report(wrong: &[String]) {
    let mut text = String::new();
    let different: BTreeSet<&String> = wrong.iter().collect();
    for one in different.iter().take(25) {
        let _ = writeln!(text, "- {one}");
    }
    assert!(wrong.is_empty(), "{} cases, {} different:\n{text}", wrong.len(), different.len());
}

/// A run is killed before and after every call.
#[test]
fn killed_at_every_call() {
    if !apart("sweep::killed_at_every_call") {
        return;
    }
    let began = Instant::now();
    let calls = AtomicUsize::new(0);
    let moments = |site: &Site, worlds: &Worlds| {
        let good = site.run(&worlds.0, UP, "2", &How { remember: true, ..How::default() }).unwrap();
        assert_eq!(good.code, Some(0), "{}", good.err);
        assert_eq!(good.outages, Vec::<String>::new(), "a good release turns nobody away");
        let steps =
            good.err.lines().find_map(|l| l.strip_prefix("release 2: ")?.split(' ').next()?.parse::<u32>().ok());
        assert!(steps.is_some_and(|steps| steps >= 25), "{steps:?} steps: {}", good.err);
        calls.store(good.seen.len(), Ordering::Relaxed);
        good.moments.into_iter().map(World::without_client).collect::<Vec<_>>()
    };
    let (number, wrong) = side_by_side(&moments, &|site, worlds, killed, well| {
        let mut wrong = Vec::new();
        let unserved = killed.unserved();
        if !unserved.is_empty() {
            wrong.push(format!("a kill leaves {unserved:?} unserved"));
        }
        wrong.extend(finishes(site, killed, &worlds.1, well));
        wrong
    });
    println!("sweep: {number} kills around {} calls in {:?}", calls.into_inner(), began.elapsed());
    report(&wrong);
}

/// Every call of a release fails, in every way.
#[test]
fn every_call_of_a_release_fails() {
    if !apart("sweep::every_call_of_a_release_fails") {
        return;
    }
    let began = Instant::now();
    let met: Mutex<BTreeSet<String>> = Mutex::default();
    let recorded: Mutex<BTreeSet<String>> = Mutex::default();
    let cases = |site: &Site, worlds: &Worlds| {
        let good = site.well(&worlds.0, UP, "2");
        recorded.lock().unwrap().extend(good.seen.iter().map(|s| s.call.clone()));
        faults_of(&good.seen)
    };
    let (number, wrong) = side_by_side(&cases, &|site, worlds, (at, fault), well| {
        let outcome =
            site.run(&worlds.0, UP, "2", &How { fault: Some((*at, *fault)), limit: Some(LIMIT * 4), ..How::default() });
        let call = outcome.as_ref().ok().and_then(|o| o.seen.get(*at)).cloned();
        if let Some(call) = &call {
            met.lock().unwrap().insert(call.call.clone());
        }
        let what = format!("call {at} ({}), {fault:?}", call.map_or_else(String::new, |c| c.path));
        let mut wrong = judged(&outcome, *at, "up");
        if let Ok(outcome) = &outcome {
            wrong.extend(finishes(site, &outcome.world, &worlds.1, well));
        }
        if *fault == GONE {
            // What an engine says is gone is taken to be gone.
            wrong.retain(|why| !why.starts_with("helpers are left"));
        }
        wrong.into_iter().map(|why| format!("{what}: {why}")).collect()
    });
    println!("sweep: up: {number} faults in {:?}", began.elapsed());
    report(&wrong);
    assert_eq!(met.into_inner().unwrap(), recorded.into_inner().unwrap(), "each kind of call has failed");
}

/// The other commands, and whether they only look.
const COMMANDS: &[(&[&str], bool)] = &[
    (&["status"], true),
    (&["status", "--drift"], true),
    (&["plan", "--drift"], true),
    (&["rollback", "--check"], true),
    (&["rollback", "--yes", "--no-verify"], false),
    (&["down", "--yes"], false),
    (&["verify", "--quick", "--only", "HLT,DB,NET,MON,DRF"], true),
];

/// Every call of the other commands fails, in every way; those that only look change nothing.
#[test]
fn every_call_of_other_commands_fails() {
    if !apart("sweep::every_call_of_other_commands_fails") {
        return;
    }
    let began = Instant::now();
    let cases = |site: &Site, worlds: &Worlds| {
        let all = COMMANDS.iter().flat_map(|(args, looks)| {
            let good = site.run(&worlds.1, args, "2", &How::default()).unwrap();
            assert!(good.code.is_some(), "{args:?} does not end");
            faults_of(&good.seen).into_iter().map(move |fault| (*args, *looks, fault))
        });
        all.collect::<Vec<_>>()
    };
    let (number, wrong) = side_by_side(&cases, &|site, worlds, (args, looks, (at, fault)), _| {
        let outcome = site.run(
            &worlds.1,
            args,
            "2",
            &How { fault: Some((*at, *fault)), limit: Some(LIMIT * 4), ..How::default() },
        );
        let call = outcome.as_ref().ok().and_then(|o| o.seen.get(*at)).map_or_else(String::new, |c| c.path.clone());
        let mut wrong = judged(&outcome, *at, args[0]);
        if args[0] == "down" {
            // Taking a stack down is what turns visitors away.
            wrong.retain(|w| !w.starts_with("after "));
        }
        if args[0] == "verify" {
            // What could not be asked is a finding, not an error.
            wrong.retain(|w| !w.contains("without an error"));
        }
        if let Ok(outcome) = &outcome
            && *looks
            && outcome.world.fingerprint() != worlds.1.clone().without_client().fingerprint()
        {
            wrong.push("it only looks, and has changed something".to_owned());
        }
        if let Ok(outcome) = &outcome
            && args[0] == "down"
        {
            let again = site.run(&outcome.world, args, "2", &How::default());
            let gone = |o: &Outcome| o.code == Some(0) && o.world.services().is_empty() && o.world.helpers().is_empty();
            if !again.as_ref().is_ok_and(gone) {
                wrong.push(format!("once more does not take it down: {:?}", again.map(|o| o.err)));
            }
        }
        wrong.into_iter().map(|why| format!("{args:?}, call {at} ({call}), {fault:?}: {why}")).collect()
    });
    println!("sweep: other commands: {number} faults in {:?}", began.elapsed());
    report(&wrong);
}

/// Which call fails how.
fn faults_of(seen: &[Seen]) -> Vec<(usize, Fault)> {
    let mut known = BTreeSet::new();
    let mut out = Vec::new();
    for (at, seen) in seen.iter().enumerate() {
        let often = known.contains(&seen.call);
        known.insert(seen.call.clone());
        out.extend(ALWAYS.iter().map(|fault| (at, *fault)));
        let words = if std::env::var("SOAK").is_ok_and(|v| v == "1") { WORDS } else { &[] };
        out.extend(ONCE.iter().chain(words).filter(|_| !often).map(|fault| (at, *fault)));
    }
    out
}

#[test]
fn the_folder_of_the_sweep_is_a_stack() {
    let site = Site::new(80);
    let text = std::fs::read_to_string(Path::new(site.folder.path()).join("stack.toml")).unwrap();
    assert!(text.contains("pool = \"10.80.0.0/16\""));
}
