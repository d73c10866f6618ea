//! A value planted in every kind of secret is found with its users only.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use age::secrecy::ExposeSecret as _;

use super::commands::Screen;
use super::places::{OWN, Watch, everywhere, files, kept, nowhere, read, volume_files};
use super::support::{Said, Site, said as ended, slim};

/// Where the value of a secret comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// A variable of the environment.
    Environment(&'static str),
    /// A variable in `.env`.
    DotEnv(&'static str),
    /// `NAME.txt`, which the secret names, or which is read into it.
    File,
    /// `secrets set NAME --from NAME.txt`
    SetFromFile,
    /// `secrets set NAME`, typed at a terminal.
    Typed,
    /// `secrets set NAME`, through standard input.
    Piped,
    /// It is made here.
    Made,
    /// There is none.
    Nowhere,
}

/// Every kind of secret: name, declaration, value that is planted, and how.
const KINDS: &[(&str, &str, &str, From)] = &[
    ("hex", r#"{ generate = "hex:32" }"#, "", From::Made),
    ("short", "{ generate = true }", "", From::Made),
    ("salt", r#"{ generate = "base64:32" }"#, "", From::Made),
    ("id", r#"{ generate = "uuid" }"#, "", From::Made),
    ("pair", r#"{ generate = "ed25519" }"#, "", From::Made),
    ("signs", r#"{ generate = "rsa:2048" }"#, "", From::Made),
    ("given", r#"{ env = "GIVEN", one_of = "group" }"#, "pl4nted-value-of-a-variable", From::Environment("GIVEN")),
    ("spare", r#"{ env = "SPARE", one_of = "group" }"#, "", From::Nowhere),
    ("dotted", r#"{ env = "DOTTED" }"#, "pl4nted-value-of-a-line-in-a-file", From::DotEnv("DOTTED")),
    (
        "told",
        r#"{ command = ["sh", "-c", "echo ran >> ran; printenv TOLD"] }"#,
        "pl4nted-value-of-a-command",
        From::Environment("TOLD"),
    ),
    ("sealed", r#"{ age = "secrets.age" }"#, "pl4nted-value-of-an-encrypted-file", From::SetFromFile),
    ("kept", "{ stored = true }", "pl4nted-value-set-by-hand", From::SetFromFile),
    ("typed", "{ stored = true }", "pl4nted-value-typed-at-a-prompt", From::Typed),
    ("piped", "{ stored = true }", "pl4nted-value-piped-in", From::Piped),
    ("filed", r#"{ file = "filed.txt" }"#, "pl4nted-value-of-a-file", From::File),
    ("hook", r#"{ env = "HOOK" }"#, "pl4nted-path-of-a-webhook", From::Environment("HOOK")),
    ("baked", r#"{ env = "BAKED" }"#, "pl4nted-value-for-a-build", From::Environment("BAKED")),
];

/// Those of [`KINDS`] that the app has no file of.
const NOT_OF_APP: &[&str] = &["hook", "baked"];

/// An image that is built with a secret, and shows that it was there.
const BAKER: &str = "ARG STACKCTL_REGISTRY_MIRROR=\"\"\n\
                     FROM ${STACKCTL_REGISTRY_MIRROR}debian:trixie-slim\n\
                     RUN --mount=type=secret,id=baked,required=true wc -c < /run/secrets/baked > /baked\n";

fn stack() -> String {
    let (mut declared, mut used) = (String::new(), String::new());
    for (name, declaration, ..) in KINDS {
        let _ = writeln!(declared, "{name} = {declaration}");
        if !NOT_OF_APP.contains(name) {
            let _ = writeln!(used, "{}_FILE = \"${{secrets.{name}.file}}\"", name.to_uppercase());
        }
    }
    used += "PUBLIC_FILE = \"${secrets.pair.pub.file}\"\nDATABASE_URL_FILE = \"${postgres.url.file}\"\n\
             REDIS_URL_FILE = \"${redis.url.file}\"\n";
    slim("t-leak", 18131)
        .replace("replicas    = 3", "replicas    = 1")
        .replace("[proxy]", &format!("{used}\n[proxy]"))
        .replace(
            "tls       = \"off\"\nhttp_port = 18131",
            "tls = \"self-signed\"\nhttp_port = 18131\nhttps_port = 18531",
        )
        + "\n[services.postgres]\npreset = \"postgres:15\"\nmemory = \"128M\"\n\
           [services.redis]\npreset = \"redis:7\"\nmemory = \"64M\"\n\
           [services.baker]\nbuild = { context = \"baker\", secrets = [\"baked\"] }\nkind = \"worker\"\n\
           command = [\"sleep\", \"infinity\"]\nmemory = \"16M\"\n\
           [notify]\nwebhook = \"http://127.0.0.1:9/${secrets.hook}\"\n[secrets]\n"
        + &declared
}

/// A stack with everything planted, what is run on it, and what that says.
struct Search {
    site: Site,
    identity: String,
    said: Vec<(String, String)>,
}

impl Search {
    fn new() -> Self {
        let site = Site::new(&stack(), "t-leak", 18131);
        let identity = age::x25519::Identity::generate().to_string().expose_secret().to_owned();
        for (name, _, value, from) in KINDS {
            match from {
                From::File | From::SetFromFile => private(&site.folder().join(format!("{name}.txt")), value),
                From::DotEnv(variable) => private(&site.folder().join(".env"), &format!("{variable}={value}\n")),
                _ => {}
            }
        }
        for folder in ["tmp", "baker"] {
            std::fs::create_dir(site.folder().join(folder)).unwrap();
        }
        std::fs::write(site.folder().join("baker/Dockerfile"), BAKER).unwrap();
        Self { site, identity, said: Vec::new() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.site.command(args, &[]);
        command.env(OWN.0, OWN.1).env("STACKCTL_AGE_IDENTITY", &self.identity).env("APP_VERSION", "1");
        command.env("RUST_BACKTRACE", "full").env("TMPDIR", self.site.folder().join("tmp"));
        for (_, _, value, from) in KINDS {
            if let From::Environment(variable) = from {
                command.env(variable, value);
            }
        }
        command
    }

    fn run(&mut self, args: &[&str]) -> Said {
        let run = ended(&self.command(args).output().unwrap());
        self.said.push((args.join(" "), format!("{}{}", run.out, run.err)));
        run
    }

    #[track_caller]
    fn keep(&mut self, args: &[&str]) {
        let run = self.run(args);
        assert!([0, 3].contains(&run.code), "{args:?}: {}{}", run.out, run.err);
    }

    fn pipe(&mut self, name: &str, value: &str) {
        let mut command = self.command(&["secrets", "set", name]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
        let run = ended(&child.wait_with_output().unwrap()).ends(0);
        self.said.push(("secrets set, piped".into(), format!("{}{}", run.out, run.err)));
    }

    /// What a terminal shows, typed keys and all.
    fn terminal(&mut self, args: &str, typed: &[(&str, &str)], until: &str) {
        // The environment goes by a file: the multiplexer's arguments are as public as anybody's.
        let command = self.command(&[]);
        let words: Vec<String> = command
            .get_envs()
            .filter_map(|(name, value)| {
                Some(format!("export {}='{}'", name.to_string_lossy(), value?.to_string_lossy()))
            })
            .collect();
        let script = self.site.folder().join("in-a-terminal");
        let binary = env!("CARGO_BIN_EXE_stackctl");
        private(&script, &format!("{}\n{binary} {args}\necho \"ended with $?\"; sleep 60\n", words.join("\n")));
        let screen = Screen::open(&self.site, &format!("env {}={} sh in-a-terminal {args}", OWN.0, OWN.1));
        for (question, answer) in typed {
            screen.shows(question);
            screen.types(&["-l", answer]);
            screen.types(&["Enter"]);
        }
        screen.shows(until);
        self.said.push((format!("terminal: {args}"), screen.all()));
        drop(screen);
        std::fs::remove_file(script).unwrap();
    }
}

fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn secrets_are_with_their_users_and_nowhere_else() {
    let began = now();
    let mut search = Search::new();
    let watch = Watch::new(&search.site.folder().join("tmp"));
    plant_and_run(&mut search);

    // What is kept on the engine: the values to look for, and where they are meant to be.
    let state = volume_files(&search.site, "t-leak_stackctl");
    let mut secrets = kept(&state);
    let names: Vec<&str> = secrets.iter().map(|(n, _)| n.as_str()).collect();
    for name in ["postgres.password", "redis.password"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for (name, _, planted, from) in KINDS.iter().filter(|(.., from)| *from != From::Nowhere) {
        let value = secrets.iter().find(|(n, _)| n == name).map(|(_, value)| value);
        assert!(value.is_some_and(|v| *from == From::Made || v == planted), "{name} is not kept");
    }
    assert_eq!(names.iter().filter(|name| name.starts_with("proxy.")).count(), 2, "authority and trial: {names:?}");
    secrets.push(("the identity".into(), search.identity.clone()));

    every_command_of_secrets(&mut search);
    let mut places = everywhere(&search.site, &state);
    places.extend(watch.ends());
    places.extend(search.said.clone());
    let site = &search.site;
    places.push(("secrets.age".into(), read(&site.folder().join("secrets.age"))));
    places.push(("the sealed plan".into(), read(&site.folder().join("sealed.plan"))));
    places.extend(files(&site.folder().join("rendered")));
    let until = now().to_string();
    let events = ["events", "--since", &began.to_string(), "--until", &until, "--format", "{{json .}}"];
    let events = site.docker(&events);
    assert!(events.contains("t-leak"), "the engine tells what happened");
    places.push(("the engine's events".into(), events));
    nowhere(&places, &secrets);

    // Where they are meant to be: below /run/secrets of their users, for their user alone.
    let script =
        "ls -ln /run/secrets; cd /run/secrets; cat given told sealed kept typed piped filed dotted; cat pair.pub; env";
    let of_app = site.docker(&["exec", "t-leak-app-1", "sh", "-c", script]);
    for (name, _, planted, from) in KINDS.iter().filter(|(name, ..)| !NOT_OF_APP.contains(name)) {
        assert!(*from == From::Made || of_app.contains(planted), "the app does not have {name}: {of_app}");
    }
    assert!(of_app.contains("-r-------- 1 10001") && of_app.contains("-----BEGIN PUBLIC KEY-----"), "{of_app}");
    // One of a group is enough, and what has no value leaves no variable that points nowhere.
    assert!(of_app.contains("GIVEN_FILE=") && !of_app.contains("SPARE_FILE="), "{of_app}");
    let of_baker = site.docker(&["exec", "t-leak-baker-1", "sh", "-c", "cat /baked; ls -A /run/secrets; env"]);
    assert_eq!(of_baker.lines().next(), Some("25"), "the build had it: {of_baker}");
    assert!(!of_baker.contains("BAKED"), "{of_baker}");
    let of_redis = site.docker(&["exec", "t-leak-redis-1", "sh", "-c", "ls /run/secrets"]);
    assert!(!of_redis.contains("given") && of_redis.contains("redis.conf"), "{of_redis}");
    new_values_go_to_their_users(&mut search);
}

#[test]
#[expect(clippy::unnecessary_literal_unwrap, reason = "it is there to panic")]
fn a_panic_shows_no_value() {
    use stackctl::base::{name::SecretName, secret::Secret};
    let planted = KINDS.iter().filter(|(_, _, value, _)| !value.is_empty());
    let values: std::collections::BTreeMap<SecretName, Secret> =
        planted.map(|(name, _, value, _)| (SecretName::parse(name).unwrap(), Secret::new(*value))).collect();
    let payload = std::panic::catch_unwind(|| {
        let none: Result<(), _> = Err(&values);
        none.expect("all values");
    })
    .unwrap_err();
    let message = payload.downcast_ref::<String>().unwrap();
    assert!(message.contains("[secret]") && !message.contains("pl4nted"), "{message}");
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Every way in, and everything that says something about a stack, as loud as it can.
fn plant_and_run(search: &mut Search) {
    for (name, _, value, from) in KINDS {
        match from {
            From::SetFromFile => search.keep(&["--verbose", "secrets", "set", name, "--from", &format!("{name}.txt")]),
            From::Typed => {
                let asked = [("Value of typed", *value), ("Again", *value)];
                search.terminal(&format!("secrets set {name}"), &asked, "ended with 0");
            }
            From::Piped => search.pipe(name, value),
            _ => {}
        }
    }
    search.keep(&["plan", "--verbose"]);
    search.keep(&["--json", "plan"]);
    search.keep(&["plan", "--out", "sealed.plan"]);
    search.keep(&["--json", "up", "--yes", "--no-verify"]);
    // A deploy makes its plan twice, and asks a secret manager once.
    assert_eq!(read(&search.site.folder().join("ran")).lines().count(), 4, "three plans and a deploy");
    for args in [
        &["--json", "plan"][..],
        &["--verbose", "plan", "--drift"],
        &["--verbose", "up", "--yes"],
        &["--json", "verify", "--quick"],
        &["verify", "--quick", "--format", "junit"],
        &["--verbose", "verify", "--quick", "--format", "tap"],
        &["--json", "status"],
        &["status", "--drift"],
        &["--verbose", "logs", "--tail", "all"],
        &["--json", "check"],
        &["check", "--format", "sarif"],
        &["explain", "services.app.environment"],
        &["render", "rendered", "--no-secrets"],
        &["releases"],
        &["releases", "1"],
        &["--json", "releases", "1"],
        &["audit"],
        &["--json", "audit"],
        &["--verbose", "cert", "status"],
        &["cert", "renew"],
        &["--verbose", "secrets", "list"],
        &["--json", "secrets", "list"],
        &["secrets", "check"],
        &["--json", "--verbose", "secrets", "check"],
        &["secrets", "recipients"],
    ] {
        search.keep(args);
    }
    // What it says where it cannot say anything: no panic, and no value.
    for args in [&["--json", "plan"][..], &["secrets", "list"], &["--json", "check"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = search.command(args).stdout(full).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && !err.contains("panicked"), "{args:?}: {err}");
        search.said.push((format!("{} on a full disk", args.join(" ")), err));
    }
    search.terminal("--verbose up --yes --no-verify", &[], "ended with 0");
    search.terminal("secrets list", &[], "ended with 0");
    let list = search.said.iter().find(|(what, _)| what.ends_with("secrets list")).map(|(_, text)| text.clone());
    let list: Vec<String> = list.unwrap().lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for row in ["given env GIVEN", "kept stored", "sealed secrets.age", "told command sh"] {
        assert!(list.iter().any(|line| line.starts_with(row)), "`{row}` is not in:\n{}", list.join("\n"));
    }
}

/// What `secrets` does beyond that: values are shown where that is asked for, and nowhere else.
fn every_command_of_secrets(search: &mut Search) {
    let value_of = |name: &str| KINDS.iter().find(|(n, ..)| *n == name).unwrap().2;
    search.run(&["secrets", "get", "given"]).ends(5).says("say `--reveal` if that is what you want");
    let shown = ended(&search.command(&["secrets", "get", "given", "--reveal"]).output().unwrap()).ends(0);
    assert_eq!((shown.out.trim(), shown.err.as_str()), (value_of("given"), ""));
    for (args, words) in [
        (&["secrets", "rotate", "given", "--yes"][..], "`given` is not generated"),
        (&["secrets", "rotate", "hex"], "the old value of `hex` is lost"),
        (&["secrets", "pull", "filed.txt"], "`filed.txt` exists"),
        (&["secrets", "set", "filed"], "comes from filed.txt"),
    ] {
        search.run(args).ends(5).says(words);
    }
    search.keep(&["secrets", "pull", "pulled.env"]);
    let pulled = search.site.folder().join("pulled.env");
    let text = read(&pulled);
    for line in ["GIVEN", "DOTTED", "HOOK"] {
        assert!(text.contains(&format!("{line}='{}'", value_of(&line.to_lowercase()))), "{line}");
    }
    assert_eq!(std::fs::metadata(&pulled).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::remove_file(pulled).unwrap();

    // Once in git is in git for ever. The search itself shows nothing to those who list processes.
    let folder = search.site.folder().to_owned();
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]);
        let output = command.args(args).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    git(&["init", "-q"]);
    for (file, message) in [("filed.txt", "oh"), ("stack.toml", "the stack")] {
        git(&["add", "-f", file]);
        git(&["commit", "-q", "-m", message]);
    }
    search.run(&["secrets", "check"]).ends(4).says("filed.txt").says("git keeps it");
    git(&["rm", "-q", "--cached", "filed.txt"]);
    git(&["commit", "-q", "-m", "gone, or so it seems"]);
    search.run(&["secrets", "check"]).ends(4).says("its value is there since commit");
    search.run(&["--json", "--verbose", "secrets", "check"]).ends(4);
    std::fs::remove_dir_all(folder.join(".git")).unwrap();
}

/// What is rotated or taken over is what the next `up` gives to its users.
fn new_values_go_to_their_users(search: &mut Search) {
    let folder = search.site.folder().to_owned();
    for (mode, text, code, words) in [
        (0o644, "KEPT=imported-value-of-a-line\n", 2, "others can read"),
        (0o600, "ELSE=imported-value-of-a-line\n", 2, "has nothing for the secrets of this stack"),
        (0o600, "KEPT=imported-value-of-a-line\nOTHER=x\n", 0, "not a secret of this stack: OTHER"),
    ] {
        private(&folder.join("old.env"), text);
        std::fs::set_permissions(folder.join("old.env"), std::fs::Permissions::from_mode(mode)).unwrap();
        search.run(&["secrets", "import", "old.env"]).ends(code).says(words);
    }
    let cat = |name: &str| search.site.docker(&["exec", "t-leak-app-1", "cat", &format!("/run/secrets/{name}")]);
    let (hex, kept) = (cat("hex"), cat("kept"));
    search.run(&["secrets", "rotate", "hex", "--yes"]).ends(0);
    search.run(&["up", "--yes", "--no-verify"]).ends(0);
    let cat = |name: &str| search.site.docker(&["exec", "t-leak-app-1", "cat", &format!("/run/secrets/{name}")]);
    assert_eq!((cat("kept").as_str(), kept.as_str()), ("imported-value-of-a-line", "pl4nted-value-set-by-hand"));
    assert!(cat("hex").len() == hex.len() && cat("hex") != hex, "rotated");
    search.run(&["secrets", "get", "kept", "--reveal"]).ends(0).says("imported-value-of-a-line");
}
