//! A value planted in every secret is found with its users only.

use std::process::Command;

use super::support::{Site, slim};

#[test]
fn secrets_are_with_their_users_and_nowhere_else() {
    let stack = slim("t-leak", 18131)
        .replace("replicas    = 3", "replicas    = 1")
        .replace("[proxy]", "DATABASE_URL_FILE = \"${postgres.url.file}\"\nREDIS_URL_FILE = \"${redis.url.file}\"\nSECRET_KEY_FILE = \"${secrets.key.file}\"\nGIVEN_FILE = \"${secrets.given.file}\"\n\n[proxy]")
        .replace("tls       = \"off\"\nhttp_port = 18131", "tls = \"self-signed\"\nhttp_port = 18131\nhttps_port = 18531")
        + "\n[services.postgres]\npreset = \"postgres:15\"\nmemory = \"128M\"\n[services.redis]\npreset = \"redis:7\"\nmemory = \"64M\"\n[secrets]\nkey = { generate = \"hex:32\" }\ngiven = { env = \"GIVEN\" }\n";
    let site = Site::new(&stack, "t-leak", 18131);
    let planted = "pl4nted-value-of-a-given-secret";
    let env = [("GIVEN", planted), ("APP_VERSION", "1")];
    let mut said: Vec<(String, String)> = Vec::new();
    let mut keep = |what: &str, args: &[&str]| {
        let run = site.run(args, &env);
        assert!([0, 3].contains(&run.code), "{what}: {}{}", run.out, run.err);
        said.push((what.to_owned(), format!("{}{}", run.out, run.err)));
    };
    keep("plan before", &["plan", "--verbose"]);
    keep("plan --json before", &["--json", "plan"]);
    keep("up --json", &["--json", "up", "--yes", "--no-verify"]);
    keep("plan --json", &["--json", "plan"]);
    keep("up --verbose", &["--verbose", "up", "--yes"]);
    keep("verify --json", &["--json", "verify", "--quick"]);
    keep("status --json", &["--json", "status"]);
    keep("logs", &["logs", "--tail", "all"]);
    keep("check --json", &["--json", "check"]);
    keep("render --no-secrets", &["render", "rendered", "--no-secrets"]);

    // What is kept on the engine: the values to look for, and where they are meant to be.
    let state = volume_files(&site, "t-leak_stackctl");
    let mut secrets: Vec<(String, String)> = state
        .iter()
        .filter_map(|(path, text)| Some((path.strip_prefix("now/secrets/")?.to_owned(), text.clone())))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    let names: Vec<&str> = secrets.iter().map(|(n, _)| n.as_str()).collect();
    for name in ["given", "key", "postgres.password", "redis.password"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(secrets.iter().any(|(_, v)| v == planted));
    // The certificate is public; of the pair only the key is secret.
    for (name, value) in &mut secrets {
        if name.starts_with("proxy.tls") {
            *value = value.lines().nth(2).unwrap().to_owned();
        }
    }

    let mut places = said;
    let rendered = Command::new("cat").arg("-r").output();
    drop(rendered);
    for file in walk(&site.folder().join("rendered")) {
        places.push((
            format!("rendered {}", file.display()),
            String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned(),
        ));
    }
    for (kind, list) in
        [("container", site.list("containers")), ("network", site.list("network")), ("volume", site.list("volume"))]
    {
        for name in list {
            places.push((format!("inspect {name}"), site.docker(&[kind, "inspect", &name])));
            if kind == "container" {
                let image = site.docker(&["inspect", "-f", "{{.Image}}", &name]);
                places.push((format!("history of {name}"), site.docker(&["history", "--no-trunc", image.trim()])));
                places.push((format!("image of {name}"), site.docker(&["image", "inspect", image.trim()])));
            }
        }
    }
    places.push(("process arguments".into(), arguments()));
    for (path, text) in &state {
        // Old values are kept with their releases, in a file of their own.
        if !path.starts_with("now/secrets/") && !path.ends_with("/secrets.json") {
            places.push((format!("state {path}"), text.clone()));
        }
    }
    for (place, text) in &places {
        for (name, value) in &secrets {
            assert!(!text.contains(value.as_str()), "{name} is in {place}");
        }
    }
    println!("{} places searched for {} secrets", places.len(), secrets.len());

    // Where they are meant to be: below /run/secrets of their users, for their user alone.
    let of_app = site.docker(&["exec", "t-leak-app-1", "sh", "-c", "ls -ln /run/secrets; cat /run/secrets/given"]);
    assert!(of_app.contains(planted) && of_app.contains("-r-------- 1 10001"), "{of_app}");
    let of_redis = site.docker(&["exec", "t-leak-redis-1", "sh", "-c", "ls /run/secrets"]);
    assert!(!of_redis.contains("given") && of_redis.contains("redis.conf"), "{of_redis}");
}

/// Text of all files of a volume, by path.
fn volume_files(site: &Site, volume: &str) -> Vec<(String, String)> {
    let mount = site.docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", volume]);
    let mount = std::path::PathBuf::from(mount.trim());
    walk(&mount)
        .into_iter()
        .map(|file| {
            let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
            (file.strip_prefix(&mount).unwrap().display().to_string(), text)
        })
        .collect()
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(walk(&path));
        } else {
            out.push(path);
        }
    }
    out
}

/// Command lines of all processes of the machine, the containers' too.
fn arguments() -> String {
    let mut out = String::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        if let Ok(text) = std::fs::read(entry.path().join("cmdline")) {
            out.push_str(&String::from_utf8_lossy(&text));
            out.push('\n');
        }
    }
    out
}
