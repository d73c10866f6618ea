//! Secrets without an engine: declarations, encrypted files, and what is refused.

use std::process::Command;

use crate::harness::{Case, root};

const BASE: &str = "name = \"sum\"\n\n[services.app]\nimage = \"app:1\"\nport = 8000\nsecrets = [\"smtp\"]\n\n[proxy]\ndomains = [\"sum.example.com\"]\n";

fn stack(secrets: &str) -> String {
    format!("{BASE}\n[secrets]\n{secrets}\n")
}

fn wrong(name: &str, secrets: &str) {
    Case::new().file("stack.toml", stack(secrets)).snapshot(name, &["check"]);
}

#[test]
fn declarations() {
    wrong("secret-sources", "smtp = { env = \"A\", file = \"b\", age = \"c\" }\nother = { optional = true }");
    wrong(
        "secret-recipes",
        "smtp = { generate = \"hex:8\" }\na = { generate = \"rsa:512\" }\nb = { generate = false }",
    );
    wrong("secret-stored", "smtp = { stored = false }\nb = { env = \"B\", timeout = \"3s\" }");
    wrong("secret-command", "smtp = { command = \"op read 'x' | tee y\" }");
    wrong("secret-one-of", "smtp = { env = \"A\", one_of = \"llm\" }\nb = { env = \"B\", one_of = \"lmm\" }");
    wrong("secret-pair", "smtp = { generate = \"ed25519\" }\n\"smtp.pub\" = { env = \"A\" }");
}

#[test]
fn an_environment_file_is_a_plain_file() {
    let case = Case::new().file("stack.toml", stack("smtp = { env = \"A\" }")).file("elsewhere", "A=x\n");
    std::os::unix::fs::symlink("elsewhere", case.path().join(".env")).expect("a link");
    case.snapshot("env-file-link", &["check"]);
}

/// Runs with this person's identity.
fn with_identity(case: Case, identity: &str) -> Case {
    case.file("identity", identity).var("STACKCTL_AGE_IDENTITY_FILE", "identity")
}

/// Debian's age, unpacked by `make tools`.
fn age(program: &str, arguments: &[&str], folder: &std::path::Path) -> String {
    let path = root().join("target/tools/age").join(program);
    let output = Command::new(&path).args(arguments).current_dir(folder).output();
    let output = output.expect("age is there: `make tools` fetches it");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn an_encrypted_file_is_read_by_others_and_others_are_read() {
    let here = tempfile::tempdir().expect("a folder");
    let identity = age("age-keygen", &[], here.path());
    let public = identity.lines().find_map(|l| l.strip_prefix("# public key: ")).expect("a public key").to_owned();
    let case = with_identity(Case::new().file("stack.toml", stack("smtp = { age = \"secrets.age\" }")), &identity);
    let value = "s3cret-of-the-file \"quoted\"";
    let case = case.file("value", value);
    let nobody = case.run(&["secrets", "edit"]);
    assert!(nobody.stderr.contains("EDITOR names no editor"), "{}", nobody.stderr);
    let case = case.var("EDITOR", "./editor");

    // Ours, opened by theirs.
    let set = case.run(&["secrets", "set", "smtp", "--from", "value"]);
    assert_eq!((set.code, set.stdout.as_str()), (Some(0), ""), "{}", set.stderr);
    assert_eq!(set.stderr, "`smtp` written into [DIR]/secrets.age\n");
    let sealed = std::fs::read_to_string(case.path().join("secrets.age")).expect("the file");
    assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") && !sealed.contains("s3cret"), "{sealed}");
    let text = age("age", &["--decrypt", "--identity", "identity", "secrets.age"], case.path());
    let parsed: toml::Table = text.parse().expect("TOML");
    assert_eq!(parsed["smtp"].as_str(), Some(value), "{text}");
    assert!(case.run(&["secrets", "recipients"]).stdout.contains(&public));

    // Theirs, opened by ours, armour or not.
    std::fs::write(case.path().join("plain"), "smtp = \"from-their-side\"\n").expect("a file");
    for armour in [&["--armor"][..], &[]] {
        let arguments = [armour, &["--encrypt", "--recipient", &public, "--output", "secrets.age", "plain"]].concat();
        age("age", &arguments, case.path());
        let edited = with_editor(&case, "cat \"$1\" > seen").run(&["secrets", "edit"]);
        assert_eq!(edited.code, Some(0), "{}", edited.stderr);
        assert_eq!(
            std::fs::read_to_string(case.path().join("seen")).ok().as_deref(),
            Some("smtp = \"from-their-side\"\n")
        );
    }
}

/// The case with a shell script as its editor.
fn with_editor<'a>(case: &'a Case, script: &str) -> &'a Case {
    use std::os::unix::fs::PermissionsExt as _;
    let path = case.path().join("editor");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("the editor");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("its mode");
    case
}

/// A new person: identity and recipient.
fn person() -> (String, String) {
    use age::secrecy::ExposeSecret as _;
    let identity = age::x25519::Identity::generate();
    (identity.to_string().expose_secret().to_owned(), identity.to_public().to_string())
}

#[test]
fn editing() {
    let case = Case::new().file("stack.toml", stack("smtp = { age = \"secrets.age\" }")).var("EDITOR", "./editor");
    let nobody = case.run(&["secrets", "edit"]);
    assert_eq!(nobody.code, Some(2), "{}", nobody.stderr);
    assert!(nobody.stderr.contains("nobody could open [DIR]/secrets.age"), "{}", nobody.stderr);
    let case = with_identity(case, &person().0);
    let run = |script: &str| with_editor(&case, script).run(&["secrets", "edit"]);
    let first = run("stat -c %a \"$1\" > mode; echo \"$1\" > where; echo 'smtp = \"hunter2-hunter2\"' >> \"$1\"");
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert_eq!(first.stderr, "[DIR]/secrets.age written for 1 reader\n");
    let read = |name: &str| std::fs::read_to_string(case.path().join(name)).expect("a file");
    assert_eq!(read("mode"), "600\n");
    assert!(!std::path::Path::new(read("where").trim()).exists(), "the open text is gone");
    let sealed = read("secrets.age");
    // What is wrong changes nothing, and is not shown.
    for (script, words) in [
        ("echo 'hunter3-is no TOML' >> \"$1\"", "is not TOML: line 3"),
        ("exit 3", "`./editor` failed; nothing was changed"),
        ("true", "nothing was changed"),
    ] {
        let outcome = run(script);
        assert!(outcome.stderr.contains(words) && !outcome.stderr.contains("hunter"), "{script}: {}", outcome.stderr);
        assert_eq!(read("secrets.age"), sealed, "{script}");
    }
}

#[test]
fn readers_come_and_go() {
    let ((identity, own), (_, other)) = (person(), person());
    let other = other.as_str();
    let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN ada@laptop";
    let case = with_identity(Case::new().file("stack.toml", stack("smtp = { age = \"secrets.age\" }")), &identity)
        .file("value", "a-value-that-is-long");
    assert_eq!(case.run(&["secrets", "set", "smtp", "--from", "value"]).code, Some(0));
    let added = case.run(&["secrets", "recipients", "--add", other, "--add", ssh]);
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    assert_eq!(added.stdout.lines().count(), 3, "{}", added.stdout);
    let removed = case.run(&["secrets", "recipients", "--remove", "ada@laptop"]);
    assert!(removed.stderr.contains("rotate the secrets that are in it"), "{}", removed.stderr);
    assert_eq!(removed.stdout.lines().count(), 2);
    for (given, words) in [("age1nonsense", "is not a recipient"), (identity.as_str(), "the secret half")] {
        let outcome = case.run(&["secrets", "recipients", "--add", given]);
        assert_eq!(outcome.code, Some(2));
        assert!(outcome.stderr.contains(words) && !outcome.stderr.contains(&identity), "{}", outcome.stderr);
    }
    assert_eq!(case.run(&["secrets", "recipients", "--remove", &own]).code, Some(0));
    let shut_out = case.run(&["secrets", "recipients", "--remove", other]);
    assert!(shut_out.stderr.contains("is encrypted for others"), "{}", shut_out.stderr);
}

#[test]
fn what_cannot_be_set_is_refused() {
    let case = Case::new()
        .file(
            "stack.toml",
            stack(
                "smtp = { age = \"secrets.age\" }\nfile = { file = \"key\" }\ntold = { command = [\"true\"] }\npair = { generate = \"ed25519\" }",
            ),
        )
        .file("value", "a-value-that-is-long")
        .file("weak", "changeme\n")
        .file("empty", "\n")
        .file_with_mode("open", "a-value-that-is-long", 0o644);
    let case = with_identity(case, &person().0);
    for (arguments, code, words) in [
        (&["file", "--from", "value"][..], 5, "`file` comes from key; write it there"),
        (&["told", "--from", "value"], 5, "`told` is what a command prints"),
        (&["pair.pub", "--from", "value"], 5, "`pair.pub` is made from another"),
        (&["smpt", "--from", "value"], 2, "did you mean `smtp`?"),
        (&["smtp", "--from", "weak"], 5, "`smtp`: its value is a placeholder, not a secret"),
        (&["smtp", "--from", "empty"], 2, "is empty"),
        (&["smtp", "--from", "open"], 2, "others can read"),
        (&["smtp", "--from", "nowhere"], 2, "does not exist"),
        (&["smtp"], 2, "the value is empty"),
    ] {
        let outcome = case.run(&[&["secrets", "set"], arguments].concat());
        assert_eq!(outcome.code, Some(code), "{arguments:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(words), "{arguments:?}: {}", outcome.stderr);
    }
    assert!(!case.path().join("secrets.age").exists());
    let get = case.run(&["secrets", "get", "smtp"]);
    assert_eq!((get.code, get.stdout.as_str()), (Some(5), ""), "{}", get.stderr);
}

#[test]
fn a_file_of_variables_is_taken_over() {
    let case = Case::new()
        .file("stack.toml", stack("smtp = { age = \"secrets.age\" }"))
        .file_with_mode("open.env", "SMTP=a-value-that-is-long\n", 0o644)
        .file_with_mode("weak.env", "SMTP=changeme\n", 0o600)
        .file_with_mode("other.env", "OTHER=a-value-that-is-long\n", 0o600)
        .file_with_mode("torn.env", "SMTP='a-value-that-is-long\n", 0o600)
        .file_with_mode("old.env", "# mail\nSMTP=\"a value that is long\"\nOTHER=x\n", 0o600);
    let case = with_identity(case, &person().0);
    for (file, code, words) in [
        ("open.env", 2, "others can read"),
        ("weak.env", 5, "`smtp` (SMTP): its value is a placeholder, not a secret"),
        ("other.env", 2, "`other.env` has nothing for the secrets of this stack"),
        ("torn.env", 2, "torn.env"),
        ("nowhere.env", 2, "does not exist"),
    ] {
        let outcome = case.run(&["secrets", "import", file]);
        assert_eq!(outcome.code, Some(code), "{file}: {}", outcome.stderr);
        let told = outcome.stderr.contains(words) && !outcome.stderr.contains("that-is-long");
        assert!(told && !case.path().join("secrets.age").exists(), "{file}: {}", outcome.stderr);
    }
    let taken = case.run(&["secrets", "import", "old.env"]);
    assert_eq!(taken.code, Some(0), "{}", taken.stderr);
    assert!(taken.stderr.contains("not a secret of this stack: OTHER"), "{}", taken.stderr);
    let case = case.var("EDITOR", "./editor");
    assert_eq!(with_editor(&case, "cp \"$1\" seen").run(&["secrets", "edit"]).code, Some(0));
    let seen = std::fs::read_to_string(case.path().join("seen")).expect("what was seen");
    assert_eq!(seen, "\"smtp\" = \"a value that is long\"\n");
}

#[test]
fn an_ssh_key_is_an_identity() {
    let case = Case::new()
        .file("stack.toml", stack("smtp = { age = \"secrets.age\" }"))
        .file("home/.ssh/known_hosts", "")
        .file("value", "a-value-that-is-long");
    let keygen = |name: &str, passphrase: &str| {
        let path = case.path().join(name);
        let status = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", passphrase, "-C", "ada@laptop", "-f"])
            .arg(&path)
            .status();
        assert!(status.is_ok_and(|s| s.success()), "ssh-keygen");
        std::fs::read_to_string(path.with_extension("pub")).expect("the public half")
    };
    let public = keygen("home/.ssh/id_ed25519", "");
    keygen("locked", "a passphrase");
    let home = case.path().join("home").display().to_string();
    let case = case.var("HOME", &home);
    let added = case.run(&["secrets", "recipients", "--add", &public]);
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let set = case.run(&["secrets", "set", "smtp", "--from", "value"]);
    assert_eq!(set.code, Some(0), "{}", set.stderr);
    let case = case.var("EDITOR", "./editor");
    let edited = with_editor(&case, "cp \"$1\" seen").run(&["secrets", "edit"]);
    assert_eq!(edited.code, Some(0), "{}", edited.stderr);
    let seen = std::fs::read_to_string(case.path().join("seen")).expect("what was seen");
    assert_eq!(seen, "\"smtp\" = \"a-value-that-is-long\"\n");
    let locked = case.var("STACKCTL_AGE_IDENTITY_FILE", "locked").run(&["secrets", "edit"]);
    assert!(locked.stderr.contains("is protected by a passphrase"), "{}", locked.stderr);
}

/// Everything that can be wrong with a source at once: each is told with its line, no value is, and nothing is written.
#[test]
fn each_source_says_what_is_wrong_with_it() {
    let here = tempfile::tempdir().expect("a folder");
    let (mine, other) = (age("age-keygen", &[], here.path()), age("age-keygen", &[], here.path()));
    let public = |identity: &str| {
        identity.lines().find_map(|l| l.strip_prefix("# public key: ")).expect("a public key").to_owned()
    };
    let print = "s3cret-that-nobody-sees";
    let sources = [
        ("open", r#"{ file = "open" }"#, "others can read [DIR]/open; run `chmod 600 [DIR]/open`"),
        ("gone", r#"{ file = "gone" }"#, "[DIR]/gone does not exist"),
        ("empty", r#"{ file = "empty" }"#, "[DIR]/empty is empty"),
        ("dangling", r#"{ file = "dangling" }"#, "[DIR]/dangling is a link to nowhere, which does not exist"),
        ("unset", r#"{ env = "UNSET" }"#, "it has no value: set `UNSET` in the environment or in .env"),
        ("blank", r#"{ env = "BLANK" }"#, "it has no value: set `BLANK` in the environment or in .env"),
        ("hangs", r#"{ command = ["sleep", "60"], timeout = "300ms" }"#, "`sleep` did not end within 0.3 s"),
        (
            "two",
            r#"{ command = ["printf", "s3cret-that-nobody-sees\nb"] }"#,
            "`printf` printed 2 lines; a value is one",
        ),
        ("fails", r#"{ command = ["sh", "-c", "echo no token >&2; exit 9"] }"#, "`sh` failed with code 9: no token"),
        ("binary", r#"{ command = ["printf", "\\377\\376"] }"#, "`printf` printed bytes that are no text"),
        ("nobody", r#"{ command = ["no-such-program"] }"#, "there is no program `no-such-program`"),
        ("theirs", r#"{ age = "theirs.age" }"#, "theirs.age is encrypted for others"),
        ("cut", r#"{ age = "cut.age" }"#, "cut.age is cut off or damaged"),
        ("plain", r#"{ age = "plain.age" }"#, "plain.age is not a file of age"),
    ];
    let list: Vec<String> = sources.iter().map(|(name, source, _)| format!("{name} = {source}")).collect();
    let used: Vec<String> = sources.iter().map(|(name, ..)| format!("\"{name}\"")).collect();
    let text = stack(&list.join("\n")).replace("\"smtp\"", &used.join(", "));
    let line = |name: &str| {
        let found = text.lines().position(|l| l.starts_with(&format!("{name} = ")));
        found.expect("its line") + 1
    };
    let case = Case::new().file("stack.toml", &text).var("BLANK", "").file("plain.age", print);
    let case = with_identity(case, &mine).file_with_mode("open", print, 0o644).file_with_mode("empty", "\n", 0o600);
    std::os::unix::fs::symlink("nowhere", case.path().join("dangling")).expect("a link");
    std::fs::write(case.path().join("entries"), format!("theirs = \"{print}\"\ncut = \"{print}\"\n")).expect("a file");
    for (reader, to) in [(&other, "theirs.age"), (&mine, "cut.age")] {
        age("age", &["--encrypt", "--recipient", &public(reader), "--output", to, "entries"], case.path());
    }
    let whole = std::fs::read(case.path().join("cut.age")).expect("the file");
    std::fs::write(case.path().join("cut.age"), &whole[..whole.len() - 9]).expect("half of it");

    let said = case.run(&["render", "out"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    let flat = said.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for (name, _, words) in sources {
        let start = format!("secret `{name}` (line {}): ", line(name));
        let told = flat.split("secret `").find_map(|s| format!("secret `{s}").strip_prefix(&start).map(str::to_owned));
        let told = told.unwrap_or_else(|| panic!("`{start}` is not in:\n{}", said.stderr));
        assert!(told.contains(words), "{name}: {told}");
    }
    assert!(!said.stderr.contains(print) && !said.stdout.contains(print), "{}", said.stderr);
    assert!(!case.path().join("out").exists(), "nothing is written");
}
