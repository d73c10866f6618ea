//! A value planted in every secret is found with its users only.

use std::os::unix::fs::PermissionsExt as _;

use age::secrecy::ExposeSecret as _;

use super::support::{Site, slim};

/// Values that are given, by the name of their secret: each has its own source.
const PLANTED: [(&str, &str); 5] = [
    ("given", "pl4nted-value-of-a-variable"),
    ("told", "pl4nted-value-of-a-command"),
    ("sealed", "pl4nted-value-of-an-encrypted-file"),
    ("kept", "pl4nted-value-set-by-hand"),
    ("filed", "pl4nted-value-of-a-file"),
];

const SECRETS: &str = r#"
[secrets]
key    = { generate = "hex:32" }
short  = { generate = true }
id     = { generate = "uuid" }
pair   = { generate = "ed25519" }
given  = { env = "GIVEN", one_of = "group" }
spare  = { env = "SPARE", one_of = "group" }
told   = { command = ["sh", "-c", "echo ran >> ran; printenv TOLD"] }
sealed = { age = "secrets.age" }
kept   = { stored = true }
filed  = { file = "filed.txt" }
"#;

/// How the app is told where they are.
const REFERENCES: &str = r#"
DATABASE_URL_FILE = "${postgres.url.file}"
REDIS_URL_FILE    = "${redis.url.file}"
SECRET_KEY_FILE   = "${secrets.key.file}"
SHORT_FILE        = "${secrets.short.file}"
ID_FILE           = "${secrets.id.file}"
PAIR_FILE         = "${secrets.pair.file}"
PUBLIC_FILE       = "${secrets.pair.pub.file}"
GIVEN_FILE        = "${secrets.given.file}"
SPARE_FILE        = "${secrets.spare.file}"
TOLD_FILE         = "${secrets.told.file}"
SEALED_FILE       = "${secrets.sealed.file}"
KEPT_FILE         = "${secrets.kept.file}"
FILED_FILE        = "${secrets.filed.file}"
"#;

#[test]
fn secrets_are_with_their_users_and_nowhere_else() {
    let stack = slim("t-leak", 18131)
        .replace("replicas    = 3", "replicas    = 1")
        .replace("[proxy]", &format!("{REFERENCES}\n[proxy]"))
        .replace(
            "tls       = \"off\"\nhttp_port = 18131",
            "tls = \"self-signed\"\nhttp_port = 18131\nhttps_port = 18531",
        )
        + "\n[services.postgres]\npreset = \"postgres:15\"\nmemory = \"128M\"\n[services.redis]\npreset = \"redis:7\"\nmemory = \"64M\"\n"
        + SECRETS;
    let site = Site::new(&stack, "t-leak", 18131);
    let identity = age::x25519::Identity::generate().to_string().expose_secret().to_owned();
    let env = [
        ("GIVEN", PLANTED[0].1),
        ("TOLD", PLANTED[1].1),
        ("STACKCTL_AGE_IDENTITY", identity.as_str()),
        ("APP_VERSION", "1"),
    ];
    for (name, value) in PLANTED {
        let path = site.folder().join(format!("{name}.txt"));
        std::fs::write(&path, value).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mut said: Vec<(String, String)> = Vec::new();
    let mut keep = |what: &str, args: &[&str]| {
        let run = site.run(args, &env);
        assert!([0, 3].contains(&run.code), "{what}: {}{}", run.out, run.err);
        said.push((what.to_owned(), format!("{}{}", run.out, run.err)));
    };
    keep("secrets set into a file", &["secrets", "set", "sealed", "--from", "sealed.txt"]);
    keep("secrets set onto the engine", &["--verbose", "secrets", "set", "kept", "--from", "kept.txt"]);
    keep("plan before", &["plan", "--verbose"]);
    keep("plan --json before", &["--json", "plan"]);
    keep("up --json", &["--json", "up", "--yes", "--no-verify"]);
    // A deploy makes its plan twice, and asks a secret manager once.
    let ran = std::fs::read_to_string(site.folder().join("ran")).unwrap();
    assert_eq!(ran.lines().count(), 3, "two plans and a deploy");
    keep("plan --json", &["--json", "plan"]);
    keep("up --verbose", &["--verbose", "up", "--yes"]);
    keep("verify --json", &["--json", "verify", "--quick"]);
    keep("status --json", &["--json", "status"]);
    keep("logs", &["logs", "--tail", "all"]);
    keep("check --json", &["--json", "check"]);
    keep("render --no-secrets", &["render", "rendered", "--no-secrets"]);
    keep("secrets list", &["secrets", "list"]);
    keep("secrets list --json", &["--json", "secrets", "list"]);
    keep("secrets check", &["secrets", "check"]);
    keep("secrets check --json", &["--json", "--verbose", "secrets", "check"]);
    keep("secrets recipients", &["secrets", "recipients"]);
    let list = said.iter().find(|(what, _)| what == "secrets list").map(|(_, text)| text.clone()).unwrap();
    for row in ["given    env GIVEN", "kept     stored", "sealed   secrets.age", "told     command sh"] {
        let found = list.lines().any(|l| {
            l.split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .starts_with(&row.split_whitespace().collect::<Vec<_>>().join(" "))
        });
        assert!(found, "`{row}` is not in:\n{list}");
    }

    // What is kept on the engine: the values to look for, and where they are meant to be.
    let state = volume_files(&site, "t-leak_stackctl");
    let mut secrets: Vec<(String, String)> = state
        .iter()
        .filter_map(|(path, text)| Some((path.strip_prefix("now/secrets/")?.to_owned(), text.clone())))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    let names: Vec<&str> = secrets.iter().map(|(n, _)| n.as_str()).collect();
    for name in ["key", "short", "id", "pair", "postgres.password", "redis.password"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for (name, planted) in PLANTED {
        assert!(secrets.iter().any(|(n, v)| n == name && v == planted), "{name} is not kept");
    }
    // The certificate is public; of a pair only the key is secret, and of its text what differs from other keys.
    for (_, value) in &mut secrets {
        if value.starts_with("-----BEGIN") {
            let key: Vec<&str> = value.lines().take_while(|line| !line.starts_with("-----END")).collect();
            *value = (*key.last().unwrap()).to_owned();
        }
    }

    let places = everywhere(&site, said, &state);
    for (place, text) in &places {
        for (name, value) in &secrets {
            assert!(!text.contains(value.as_str()), "{name} is in {place}");
        }
    }
    println!("{} places searched for {} secrets", places.len(), secrets.len());

    // Where they are meant to be: below /run/secrets of their users, for their user alone.
    let script = "ls -ln /run/secrets; cd /run/secrets; cat given told sealed kept filed; cat pair.pub; env";
    let of_app = site.docker(&["exec", "t-leak-app-1", "sh", "-c", script]);
    for (name, planted) in PLANTED {
        assert!(of_app.contains(planted), "the app does not have {name}: {of_app}");
    }
    assert!(of_app.contains("-r-------- 1 10001") && of_app.contains("-----BEGIN PUBLIC KEY-----"), "{of_app}");
    // One of a group is enough, and what has no value leaves no variable that points nowhere.
    assert!(of_app.contains("GIVEN_FILE=") && !of_app.contains("SPARE_FILE="), "{of_app}");
    let of_redis = site.docker(&["exec", "t-leak-redis-1", "sh", "-c", "ls /run/secrets"]);
    assert!(!of_redis.contains("given") && of_redis.contains("redis.conf"), "{of_redis}");
}

/// Everything that others can see, by place: what was said, files, what the engine tells, arguments of processes.
fn everywhere(site: &Site, said: Vec<(String, String)>, state: &[(String, String)]) -> Vec<(String, String)> {
    let mut places = said;
    for file in walk(std::path::Path::new("/dev/shm")) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap_or_default()).into_owned();
        places.push((format!("temporary {}", file.display()), text));
    }
    let sealed = std::fs::read_to_string(site.folder().join("secrets.age")).unwrap();
    places.push(("secrets.age".into(), sealed));
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
    for (path, text) in state {
        // Old values are kept with their releases, in a file of their own.
        if !path.starts_with("now/secrets/") && !path.ends_with("/secrets.json") {
            places.push((format!("state {path}"), text.clone()));
        }
    }
    places
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
