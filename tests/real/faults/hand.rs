//! What somebody does by hand to containers and files, outside of stackctl.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use stackctl::base::date::Date;

use super::super::support::said;
use super::fault::Certificate;

/// A container with the files of the front door and of Prometheus, to write to them; it goes with its handle.
pub(super) struct Hand {
    name: String,
    /// The front door's container.
    door: String,
}

impl Hand {
    pub(super) fn new(stack: &str) -> Self {
        let (name, door) = (format!("{stack}-hand"), format!("{stack}-proxy-1"));
        docker(&["rm", "-f", &name]);
        let image = docker(&["inspect", "-f", "{{.Config.Image}}", &door]);
        let start = ["run", "-d", "--name", &name, "--network", "none", "--entrypoint", "sleep", "--user", "0"];
        let volumes = ["proxy-files:/door", "prometheus-files:/watch"].map(|volume| format!("{stack}_{volume}"));
        docker(&[&start[..], &["-v", &volumes[0], "-v", &volumes[1], image.trim(), "7200"]].concat());
        Self { name, door }
    }

    pub(super) fn read(&self, file: &str) -> String {
        let text = docker(&["exec", &self.name, "cat", file]);
        assert!(!text.is_empty(), "{file} is not there");
        text
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        let mut cat = Command::new("docker")
            .args(["exec", "-i", &self.name, "sh", "-c", &format!("cat > {file}")])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        cat.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(cat.wait().unwrap().success(), "{file}");
    }

    /// Tells Nginx to read its files, and waits until nobody serves by the old ones.
    pub(super) fn reload_door(&self) {
        let workers = || -> Vec<String> {
            let list = docker(&["top", &self.door, "-eo", "pid,args"]);
            let workers = list.lines().filter(|line| line.contains("nginx: worker"));
            workers.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
        };
        let before = workers();
        docker(&["kill", "-s", "HUP", &self.door]);
        let begin = Instant::now();
        loop {
            let now = workers();
            if !now.is_empty() && now.iter().all(|pid| !before.contains(pid)) {
                return;
            }
            let log = || said(&Command::new("docker").args(["logs", "--tail", "5", &self.door]).output().unwrap()).err;
            assert!(begin.elapsed() < Duration::from_secs(15), "Nginx does not reload: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        docker(&["rm", "-f", &self.name]);
    }
}

pub(super) fn docker(args: &[&str]) -> String {
    said(&Command::new("docker").args(args).output().unwrap()).out
}

/// Commands that must succeed.
pub(super) fn each<C: AsRef<[W]>, W: AsRef<std::ffi::OsStr> + std::fmt::Debug>(commands: &[C]) {
    for command in commands {
        let said = said(&Command::new("docker").args(command.as_ref()).output().unwrap());
        assert_eq!(said.code, 0, "docker {:?}: {}", command.as_ref(), said.err);
    }
}

/// A certificate that signs itself, and its key.
pub(super) fn certificate(wanted: &Certificate) -> (String, String) {
    let key = if wanted.ed25519 { &rcgen::PKCS_ED25519 } else { &rcgen::PKCS_ECDSA_P256_SHA256 };
    let key = rcgen::KeyPair::generate_for(key).unwrap();
    let mut params = rcgen::CertificateParams::new(wanted.names.clone()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let day = |from_now: i64| {
        let date = Date::of_seconds(now.checked_add_signed(from_now * 86_400).unwrap()).to_string();
        let parts: Vec<i32> = date.split('-').map(|part| part.parse().unwrap()).collect();
        rcgen::date_time_ymd(parts[0], u8::try_from(parts[1]).unwrap(), u8::try_from(parts[2]).unwrap())
    };
    (params.not_before, params.not_after) = (day(wanted.days[0]), day(wanted.days[1]));
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// A container as the engine knows it.
pub(super) fn inspect(container: &str) -> Value {
    let mut seen: Vec<Value> = serde_json::from_str(&docker(&["inspect", container])).unwrap();
    seen.remove(0)
}

/// Removes a container and makes it again as it was, but for `with` (null for nothing).
pub(super) fn replace(container: &str, was: &Value, with: &Value) {
    let mut wanted = was["Config"].clone();
    wanted["HostConfig"] = was["HostConfig"].clone();
    if !with.is_null() {
        merge(&mut wanted, with);
    }
    let mut networks: Vec<(&String, Value)> = Vec::new();
    if wanted["HostConfig"]["NetworkMode"] != "host" {
        for (name, end) in was["NetworkSettings"]["Networks"].as_object().unwrap() {
            networks.push((name, json!({ "IPAMConfig": end["IPAMConfig"], "Aliases": end["Aliases"] })));
        }
    }
    // Engines before 25 take one network at the start, the others after it.
    if let Some((name, end)) = networks.first() {
        wanted["HostConfig"]["NetworkMode"] = json!(name);
        wanted["NetworkingConfig"] = json!({ "EndpointsConfig": { name.as_str(): end } });
    }
    docker(&["rm", "-f", container]);
    post(&format!("/containers/create?name={container}"), &wanted);
    for (name, end) in networks.iter().skip(1) {
        post(&format!("/networks/{name}/connect"), &json!({ "Container": container, "EndpointConfig": end }));
    }
    post(&format!("/containers/{container}/start"), &Value::Null);
}

/// Tables are merged, everything else (and by an empty table) is replaced.
fn merge(into: &mut Value, with: &Value) {
    match with.as_object() {
        Some(with) if !with.is_empty() => {
            if !into.is_object() {
                *into = json!({});
            }
            for (key, value) in with {
                merge(&mut into[key], value);
            }
        }
        _ => *into = with.clone(),
    }
}

fn post(path: &str, body: &Value) {
    let mut curl = Command::new("curl")
        .args(["-sS", "--unix-socket", "/var/run/docker.sock", "-H", "Content-Type: application/json"])
        .args(["-w", "\n%{http_code}", "-d", "@-"])
        .arg(format!("http://localhost{path}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = if body.is_null() { String::new() } else { body.to_string() };
    curl.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let answer = said(&curl.wait_with_output().unwrap()).out;
    let (body, status) = answer.rsplit_once('\n').unwrap();
    assert!(status.starts_with('2'), "{path}: {status} {body}");
}
